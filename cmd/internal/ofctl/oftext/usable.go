// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"errors"
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

// checkActions verifies actions against a match and narrows the formats down to those
// that can carry them.
func checkActions(in *action.Instructions, match *flow.Match, table uint8, usable Protocols) (Protocols, error) {
	usable &= usableActions(in)
	err10 := ofpact.Check(in, match, table, ofp.V10)
	err13 := ofpact.Check(in, match, table, ofp.V13)
	var k ofp.Kind
	switch {
	case err10 != nil && usable&OF11Up == 0, err10 != nil && err13 != nil:
		if errors.As(err10, &k) {
			if f := lacking(in.Apply, *match); k == ofp.BACMatchInconsistent && f != flow.FieldNone {
				return usable, &Warning{"ofp_actions", fmt.Sprintf("set_field %s lacks correct prerequisites", f), fmt.Errorf("actions are invalid with specified match (%s)", k)}
			}
			return usable, fmt.Errorf("actions are invalid with specified match (%s)", k)
		}
		return usable, err10
	case err13 != nil && usable != 0 && usable&^OF11Up == 0:
		if errors.As(err13, &k) {
			return usable, fmt.Errorf("actions are invalid with specified match (%s)", k)
		}
		return usable, err13
	case err13 != nil:
		usable &^= OF11Up
	}
	return usable, nil
}

// lacking returns the field of the first set_field without its prerequisites in
// packets that match m.
func lacking(l action.List, m flow.Match) flow.Field {
	for _, a := range l {
		switch a := a.(type) {
		case action.PushMPLS:
			m.SetU64(flow.FieldEthType, uint64(a.EthType))
		case action.PopMPLS:
			m.SetU64(flow.FieldEthType, uint64(a.EthType))
		case action.PushVLAN, action.SetVLANVID, action.SetVLANPCP:
			m.SetMasked(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent}, flow.U128{Lo: flow.VLANPresent})
		case action.PopVLAN:
			m.SetU64(flow.FieldVLANTCI, 0)
		case action.SetField:
			tagged := m.Key.VLANTCI()&flow.VLANPresent != 0
			if !a.Legacy && !m.Has(a.Field) || a.Field == flow.FieldVLANVID && !tagged {
				return a.Field
			}
		case action.Clone:
			if f := lacking(a.Actions, m); f != flow.FieldNone {
				return f
			}
		}
	}
	return flow.FieldNone
}

// usableActions returns the formats that the stock tool takes in to need. It
// forgets what came before a clone.
func usableActions(in *action.Instructions) Protocols {
	p := Protocols(Any)
	if in.Meter != 0 {
		p &= OXM13 | OXM14 | OXM15
	}
	p = usableList(in.Write, usableList(in.Apply, p))
	if in.MetadataMask != 0 {
		p &= NXMUp | OF11
	}
	return p
}

func usableList(l action.List, p Protocols) Protocols {
	for _, a := range l {
		switch a := a.(type) {
		case action.PushVLAN:
			p &= OF11Up
		case action.SetField:
			if !a.Legacy {
				p &= usableFor(a.Field, a.Mask.And(flow.Ones(a.Field.Bits())))
			}
		case action.Clone:
			p = usableList(a.Actions, Any)
		}
	}
	return p
}
