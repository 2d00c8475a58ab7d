// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// maxMeter is the highest meter number (OFPM13_MAX).
const maxMeter = 0xffff0000

// Check verifies in against the match of its flow and the table that holds it
// (0xff: not known). The error wraps the stock switch's Kind.
func Check(in *action.Instructions, m *flow.Match, table uint8, v ofp.Version) error {
	c := checker{m: *m, v: v}
	if in.Meter > maxMeter {
		return fmt.Errorf("meter %d: %w", in.Meter, ofp.MMFCInvalidMeter)
	}
	if err := c.list(in.Apply); err != nil {
		return err
	}
	if err := conjunctions(in); err != nil {
		return err
	}
	w := c // the set is checked against what apply leaves, and changes nothing
	// The stock switch does not mind there what OpenFlow 1.0 would let through: actions
	// on headers that the packet need not have. (Seen with write_actions(pop_vlan), dec_ttl.)
	w.v = ofp.V10
	if err := w.list(in.Write); err != nil {
		return err
	}
	if in.HasGoto && table != 0xff && in.Goto <= table {
		return fmt.Errorf("goto_table:%d in table %d: %w", in.Goto, table, ofp.BICBadTableId)
	}
	return nil
}

// CheckList verifies the actions of a packet-out.
func CheckList(l action.List, m *flow.Match, v ofp.Version) error {
	return Check(&action.Instructions{Apply: l}, m, 0xff, v)
}

// conjunctions verifies that a flow with a conjunction has nothing else but notes.
func conjunctions(in *action.Instructions) error {
	conj, other := false, in.Meter != 0 || in.HasGoto || in.ClearActions || len(in.Write) > 0 || in.MetadataMask != 0
	for _, a := range in.Apply {
		switch a.(type) {
		case action.Conjunction:
			conj = true
		case action.Note:
		default:
			other = true
		}
	}
	if conj && other {
		return fmt.Errorf("conjunction with other actions: %w", ofp.NXBACBadConjunction)
	}
	return nil
}

// checker follows what the actions make of the packets that match.
type checker struct {
	m flow.Match
	v ofp.Version
	// below has a bit for each tag under the outermost that is known, the outer ones lowest:
	// whether there is one.
	below uint64
}

func (c *checker) list(l action.List) error {
	for _, a := range l {
		if err := c.one(a); err != nil {
			return err
		}
	}
	return nil
}

// need refuses the action if the packet need not have what it works on.
// OpenFlow 1.0 lets it through: the action does nothing then.
func (c *checker) need(a action.Action, p flow.Prereq) error {
	if c.v > ofp.V10 && !p.Met(&c.m) {
		return inconsistent(a)
	}
	return nil
}

func inconsistent(a action.Action) error {
	return fmt.Errorf("%T: %w", a, ofp.BACMatchInconsistent)
}

// field refuses access to a field that the packet need not have, in every version.
func (c *checker) field(a action.Action, f flow.Field) error {
	if !c.m.Has(f) {
		return inconsistent(a)
	}
	return nil
}

func (c *checker) setType(t uint16) {
	c.m.SetU64(flow.FieldEthType, uint64(t))
	c.m.Any(flow.FieldIPProto)
}

func (c *checker) one(a action.Action) error {
	switch a := a.(type) {
	case action.PushVLAN:
		c.below <<= 1
		if flow.PrereqVLAN.Met(&c.m) {
			c.below |= 1
		}
		c.m.SetU64(flow.FieldVLANTCI, flow.VLANPresent)
	case action.PopVLAN:
		if err := c.need(a, flow.PrereqVLAN); err != nil {
			return err
		}
		c.m.SetU64(flow.FieldVLANTCI, c.below&1*flow.VLANPresent)
		c.below >>= 1
	case action.SetVLANVID:
		return c.vlan(a, a.PushIfNone)
	case action.SetVLANPCP:
		return c.vlan(a, a.PushIfNone)
	case action.PushMPLS:
		c.setType(a.EthType)
	case action.PopMPLS:
		if err := c.need(a, flow.PrereqMPLS); err != nil {
			return err
		}
		c.setType(a.EthType)
	case action.SetMPLSTTL, action.DecMPLSTTL:
		return c.need(a, flow.PrereqMPLS)
	case action.SetTTL, action.DecTTL:
		return c.need(a, flow.PrereqIP)
	case action.SetField:
		return c.setField(a)
	case action.Move:
		if err := c.field(a, a.Src.Field); err != nil {
			return err
		}
		return c.field(a, a.Dst.Field)
	case action.Load:
		return c.setField(action.SetField{Field: a.Dst.Field, Value: flow.U128{Lo: a.Value}.Lsh(uint(a.Dst.Ofs)), Mask: a.Dst.Mask()})
	case action.OutputReg:
		return c.field(a, a.Src.Field)
	case action.StackPush:
		return c.field(a, a.Src.Field)
	case action.StackPop:
		return c.field(a, a.Dst.Field)
	case action.Resubmit:
		if a.WithCT && !flow.PrereqCT.Met(&c.m) {
			return inconsistent(a)
		}
	case action.OutputTrunc:
		if a.Port >= ofp.PortLimit && a.Port != action.PortInPort && a.Port != action.PortLocal {
			return fmt.Errorf("output of %d bytes to port %#x: %w", a.MaxLen, uint32(a.Port), ofp.BACBadOutPort)
		}
	case action.Learn:
		return c.learn(a)
	case action.FinTimeout:
		// Whatever the version, and without regard to the Ethernet type.
		if c.m.Key.IPProto() != flow.ProtoTCP {
			return c.need(a, flow.PrereqTCP)
		}
	case action.Clone:
		n := *c
		return n.list(a.Actions)
	case action.Meter:
		if a.ID == 0 || a.ID > maxMeter {
			return fmt.Errorf("meter %d: %w", a.ID, ofp.MMFCInvalidMeter)
		}
	}
	return nil
}

func (c *checker) vlan(a action.Action, push bool) error {
	if push {
		c.m.SetMasked(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent}, flow.U128{Lo: flow.VLANPresent})
		return nil
	}
	return c.need(a, flow.PrereqVLAN)
}

func (c *checker) setField(a action.SetField) error {
	if a.Legacy {
		// OpenFlow 1.0's own actions.
		switch a.Field {
		case flow.FieldTunID, flow.FieldEthSrc, flow.FieldEthDst:
			return nil
		}
		return c.need(a, a.Field.Prereq())
	}
	if err := c.field(a, a.Field); err != nil {
		return err
	}
	if a.Field == flow.FieldVLANVID && !flow.PrereqVLAN.Met(&c.m) {
		return inconsistent(a) // OXM_OF_VLAN_VID can be set only where there is a tag
	}
	switch a.Field {
	case flow.FieldVLANTCI, flow.FieldVLANVID:
		// The tag may come into being, or go, and later actions see that.
		c.m.SetMasked(a.Field, a.Value, a.Mask)
	}
	return nil
}
