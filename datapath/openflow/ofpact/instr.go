// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Instruction types (OpenFlow 1.3.5, 7.2.4).
const (
	instrGoto     = 1
	instrMetadata = 2
	instrWrite    = 3
	instrApply    = 4
	instrClear    = 5
	instrMeter    = 6 // not in OpenFlow 1.5
)

// DecodeInstructions reads instructions to the end of r; in OpenFlow 1.0,
// where there are none, actions.
func DecodeInstructions(r *ofp.Reader, v ofp.Version) (in action.Instructions) {
	d := newCtx(v)
	if v == ofp.V10 {
		d.instr = &in
		in.Apply = d.instrList(r)
		return in
	}
	// All heads first: what is wrong with one goes before what is wrong in another.
	var body [instrMeter + 1]*ofp.Reader
	for r.Len() > 0 {
		if r.Len() < 8 {
			r.Failf(ofp.BICBadLen, "instruction of %d bytes", r.Len())
			return
		}
		typ, n := r.U16(), int(r.U16())
		if n < 8 || n%8 != 0 || n-4 > r.Len() {
			r.Failf(ofp.BICBadLen, "instruction %d with length %d", typ, n)
			return
		}
		b := r.Sub(n-4, ofp.BICBadLen)
		switch {
		case typ == experimenterType:
			r.Failf(ofp.BICBadExperimenter, "instruction of experimenter %#x", b.U32())
			return
		case typ == 0 || typ > instrMeter || typ == instrMeter && (v < ofp.V13 || v >= ofp.V15):
			r.Failf(ofp.BICUnknownInst, "instruction %d", typ)
			return
		case body[typ] != nil:
			r.Failf(ofp.BICDupInst, "instruction %d", typ)
			return
		}
		body[typ] = b
	}
	for _, typ := range []uint16{instrMeter, instrApply, instrClear, instrWrite, instrMetadata, instrGoto} {
		b := body[typ]
		if b == nil || r.Err() != nil {
			continue
		}
		d.instruction(typ, b, &in)
		if err := b.Close(); err != nil {
			r.Fail(err)
		}
	}
	// In OpenFlow 1.5 the meter instruction is an action; where it comes first it means the same.
	if len(in.Apply) > 0 && in.Meter == 0 {
		if m, ok := in.Apply[0].(action.Meter); ok {
			in.Meter = m.ID
			if in.Apply = in.Apply[1:]; len(in.Apply) == 0 {
				in.Apply = nil
			}
		}
	}
	return in
}

// instrList reads the actions of OpenFlow 1.0 with write_metadata, which must
// come last.
func (d *ctx) instrList(r *ofp.Reader) (l action.List) {
	late := false
	for r.Len() > 0 {
		after := d.sawMetadata
		if a := d.one(r); a != nil {
			l = append(l, a)
			late = late || after
		}
	}
	if r.Err() == nil && late {
		r.Failf(ofp.BACUnsupportedOrder, "an action after write_metadata")
	}
	if r.Err() != nil {
		return nil
	}
	return l
}

func (d *ctx) instruction(typ uint16, b *ofp.Reader, in *action.Instructions) {
	switch typ {
	case instrGoto:
		in.Goto, in.HasGoto = b.U8(), true
		b.Skip(3)
	case instrMetadata:
		b.Skip(4)
		in.Metadata, in.MetadataMask = b.U64(), b.U64()
		in.Metadata &= in.MetadataMask
	case instrWrite:
		b.Skip(4)
		in.Write = d.list(b)
		for _, a := range in.Write {
			if !inActionSet(a) {
				b.Failf(ofp.BACBadType, "%T in an action set", a)
			}
		}
	case instrApply:
		b.Skip(4)
		in.Apply = d.list(b)
	case instrClear:
		b.Skip(4)
		in.ClearActions = true
	case instrMeter:
		if in.Meter = b.U32(); in.Meter == 0 && b.Err() == nil {
			b.Failf(ofp.MMFCInvalidMeter, "meter 0")
		}
	}
}

// inActionSet reports whether write_actions may hold a.
func inActionSet(a action.Action) bool {
	switch a.(type) {
	case action.Controller, action.Enqueue, action.Exit, action.Conjunction, action.Note,
		action.OutputReg, action.PopQueue, action.StackPush, action.StackPop,
		action.Clone, action.Meter, action.Learn, action.FinTimeout, action.CheckPktLarger:
		return false
	}
	return true
}

// AppendInstructions writes in as version v has it; see AppendList for m. What
// the version has no form for is left out, except that goto_table in OpenFlow
// 1.0 becomes a resubmit, as in the stock switch.
func AppendInstructions(w *ofp.Writer, in *action.Instructions, m *flow.Match, v ofp.Version) {
	e := newEncoder(w, m, v)
	if v == ofp.V10 {
		e.list(in.Apply)
		if in.MetadataMask != 0 {
			e.nx(22, 32, func() { w.Zero(6); w.U64(in.Metadata); w.U64(in.MetadataMask) })
		}
		if in.HasGoto {
			e.one(action.Resubmit{InPort: action.PortInPort, Table: in.Goto})
		}
		return
	}
	apply := in.Apply
	if in.Meter != 0 {
		if v < ofp.V15 {
			e.std(instrMeter, 8, func() { w.U32(in.Meter) })
		} else {
			apply = append(action.List{action.Meter{ID: in.Meter}}, apply...)
		}
	}
	if len(apply) > 0 {
		e.std(instrApply, 8, func() { w.Zero(4); e.list(apply) })
	}
	if in.ClearActions {
		e.std(instrClear, 8, nil)
	}
	if len(in.Write) > 0 {
		e.std(instrWrite, 8, func() { w.Zero(4); e.list(in.Write) })
	}
	if in.MetadataMask != 0 {
		e.std(instrMetadata, 24, func() { w.Zero(4); w.U64(in.Metadata); w.U64(in.MetadataMask) })
	}
	if in.HasGoto {
		e.std(instrGoto, 8, func() { w.U8(in.Goto) })
	}
}
