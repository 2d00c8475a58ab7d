// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// encoder writes actions for one version.
type encoder struct {
	w *ofp.Writer
	v ofp.Version
	// vlan says whether the packet has a tag at this point of the list, so far
	// as the match and the actions before tell.
	vlan bool
	// proto is the IP protocol of the match, 0 if it has none.
	proto uint8
}

// AppendList writes l as version v has it. m is the match of the flow (nil if
// there is none): it decides what "set the VLAN id, with a new tag if
// there is none" and "set the transport port" become in later versions.
func AppendList(w *ofp.Writer, l action.List, m *flow.Match, v ofp.Version) {
	e := newEncoder(w, m, v)
	e.list(l)
}

func newEncoder(w *ofp.Writer, m *flow.Match, v ofp.Version) encoder {
	e := encoder{w: w, v: v}
	if m != nil {
		e.vlan = flow.PrereqVLAN.Met(m)
		if flow.PrereqTransport.Met(m) {
			e.proto = m.Key.IPProto()
		}
	}
	return e
}

func (e *encoder) list(l action.List) {
	for _, a := range l {
		e.one(a)
	}
}

// std writes a standard action of n bytes, whose body is what body writes and
// zeros behind.
func (e *encoder) std(typ uint16, n int, body func()) {
	start := e.w.Len()
	e.w.U16(typ)
	e.w.U16(0)
	if body != nil {
		body()
	}
	e.finish(start, n)
}

// nx writes a Nicira action likewise.
func (e *encoder) nx(sub uint16, n int, body func()) { e.exp(Nicira, sub, n, body) }

func (e *encoder) exp(vendor uint32, sub uint16, n int, body func()) {
	e.std(experimenterType, n, func() {
		e.w.U32(vendor)
		e.w.U16(sub)
		if body != nil {
			body()
		}
	})
}

func (e *encoder) finish(start, n int) {
	e.w.Zero(start + n - e.w.Len())
	e.w.Align(start)
	e.w.SetU16(start+2, uint16(e.w.Len()-start))
}

func (e *encoder) one(a action.Action) {
	w, old := e.w, e.v == ofp.V10
	// pick writes the standard form from 1.1 on and the Nicira form in 1.0.
	pick := func(std uint16, nx uint16, body func()) {
		if old {
			e.nx(nx, 16, body)
		} else {
			e.std(std, 8, body)
		}
	}
	switch a := a.(type) {
	case action.Output:
		e.output(a)
	case action.Enqueue:
		if old {
			e.std(11, 16, func() { w.U16(ofp.PortTo10(a.Port)); w.Zero(6); w.U32(a.Queue) })
			return
		}
		e.list(action.List{action.SetQueue{ID: a.Queue}, action.Output{Port: a.Port}, action.PopQueue{}})
	case action.Group:
		if old {
			e.nx(40, 16, func() { w.Zero(2); w.U32(a.ID) })
			return
		}
		e.std(22, 8, func() { w.U32(a.ID) })
	case action.SetQueue:
		if old {
			e.nx(4, 16, func() { w.Zero(2); w.U32(a.ID) })
			return
		}
		e.std(21, 8, func() { w.U32(a.ID) })
	case action.PopQueue:
		e.nx(5, 16, nil)
	case action.Meter:
		if e.v >= ofp.V15 {
			e.std(29, 8, func() { w.U32(a.ID) })
		}
	case action.PushVLAN:
		e.vlan = true
		if !old {
			e.std(17, 8, func() { w.U16(a.TPID) })
		}
	case action.PopVLAN:
		e.vlan = false
		if old {
			e.std(3, 8, nil)
		} else {
			e.std(18, 8, nil)
		}
	case action.SetVLANVID:
		if old {
			e.std(1, 8, func() { w.U16(a.VID) })
			return
		}
		e.pushIfNone(a.PushIfNone)
		e.entry(flow.FieldVLANVID, flow.U128{Lo: uint64(a.VID) | flow.VLANPresent}, flow.Ones(13))
	case action.SetVLANPCP:
		if old {
			e.std(2, 8, func() { w.U8(a.PCP) })
			return
		}
		e.pushIfNone(a.PushIfNone)
		e.entry(flow.FieldVLANPCP, flow.U128{Lo: uint64(a.PCP)}, flow.Ones(3))
	case action.PushMPLS:
		pick(19, 23, func() { w.U16(a.EthType) })
	case action.PopMPLS:
		pick(20, 24, func() { w.U16(a.EthType) })
	case action.SetMPLSTTL:
		pick(15, 25, func() { w.U8(a.TTL) })
	case action.DecMPLSTTL:
		pick(16, 26, nil)
	case action.SetTTL:
		if old {
			e.load(flow.FieldIPTTL.All(), uint64(a.TTL))
			return
		}
		e.std(23, 8, func() { w.U8(a.TTL) })
	case action.DecTTL:
		if len(a.Controllers) == 0 {
			pick(24, 18, nil)
			return
		}
		e.nx(21, 16, func() {
			w.U16(uint16(len(a.Controllers)))
			w.Zero(4)
			for _, id := range a.Controllers {
				w.U16(id)
			}
		})
	case action.SetField:
		e.setField(a)
	case action.Move:
		e.move(a)
	case action.Load:
		if e.v >= ofp.V15 {
			m := a.Dst.Mask()
			e.entry(a.Dst.Field, flow.U128{Lo: a.Value}.Lsh(uint(a.Dst.Ofs)), m)
			return
		}
		e.load(a.Dst, a.Value)
	default:
		e.extension(a)
	}
}

func (e *encoder) pushIfNone(push bool) {
	if push && !e.vlan {
		e.one(action.PushVLAN{TPID: flow.EthTypeVLAN})
	}
}

func (e *encoder) output(a action.Output) {
	w := e.w
	if e.v == ofp.V10 {
		e.std(0, 8, func() { w.U16(ofp.PortTo10(a.Port)); w.U16(a.MaxLen) })
		return
	}
	e.std(0, 16, func() { w.U32(uint32(a.Port)); w.U16(a.MaxLen) })
}

// extension writes the actions that exist in the Nicira form only.
func (e *encoder) extension(a action.Action) {
	w := e.w
	switch a := a.(type) {
	case action.OutputReg:
		if oxm.HeaderLen(a.Src.Field, oxm.NXM) == 4 {
			e.nx(15, 24, func() { e.ofsNbits(a.Src); oxm.AppendHeader(w, a.Src, oxm.NXM); w.U16(a.MaxLen) })
			return
		}
		e.nx(32, 24, func() { e.ofsNbits(a.Src); w.U16(a.MaxLen); oxm.AppendHeader(w, a.Src, oxm.NXM) })
	case action.OutputTrunc:
		e.nx(39, 16, func() { w.U16(ofp.PortTo10(a.Port)); w.U32(a.MaxLen) })
	case action.Controller:
		e.controller(a)
	case action.Resubmit:
		switch {
		case a.WithCT:
			e.nx(44, 16, func() { w.U16(ofp.PortTo10(a.InPort)); w.U8(a.Table) })
		default:
			e.nx(14, 16, func() { w.U16(ofp.PortTo10(a.InPort)); w.U8(a.Table) })
		}
	case action.StackPush:
		e.stack(27, a.Src)
	case action.StackPop:
		e.stack(28, a.Dst)
	case action.Conjunction:
		e.nx(34, 16, func() { w.U8(a.Clause); w.U8(a.Clauses); w.U32(a.ID) })
	case action.Note:
		e.nx(8, 16, func() { w.Bytes(a.Data) })
	case action.Clone:
		e.nx(42, 16, func() {
			w.Zero(6)
			c := *e // what a clone does to the tag ends with it
			c.list(a.Actions)
		})
	case action.CheckPktLarger:
		e.nx(49, 24, func() { w.U16(a.Len); w.U16(wireOfs(a.Dst)); oxm.AppendHeader(w, a.Dst, oxm.NXM) })
	case action.Exit:
		e.nx(17, 16, nil)
	case action.Learn:
		e.learn(a)
	case action.FinTimeout:
		e.nx(19, 16, func() { w.U16(a.Idle); w.U16(a.Hard) })
	}
}

func (e *encoder) controller(a action.Controller) {
	w := e.w
	if len(a.Userdata) == 0 && !a.Pause && a.Meter == 0 {
		e.nx(20, 16, func() { w.U16(a.MaxLen); w.U16(a.ID); w.U8(a.Reason) })
		return
	}
	e.nx(37, 16, func() {
		w.Zero(6)
		if a.MaxLen != 0xffff {
			PutProperty(w, propMaxLen, func() { w.U16(a.MaxLen); w.Zero(2) })
		}
		if a.ID != 0 {
			PutProperty(w, propID, func() { w.U16(a.ID); w.Zero(2) })
		}
		if a.Reason != 1 {
			PutProperty(w, propReason, func() { w.U8(a.Reason) })
		}
		if len(a.Userdata) > 0 {
			PutProperty(w, propUserdata, func() { w.Bytes(a.Userdata) })
		}
		if a.Pause {
			PutProperty(w, propPause, func() {})
		}
		if a.Meter != 0 {
			PutProperty(w, propMeter, func() { w.U32(a.Meter) })
		}
	})
}

// PutProperty writes a property: type, length, what body writes, padding to 8
// bytes that the length does not count.
func PutProperty(w *ofp.Writer, typ uint16, body func()) {
	start := w.Len()
	w.U16(typ)
	w.U16(0)
	body()
	w.SetU16(start+2, uint16(w.Len()-start))
	w.Align(start)
}

// ofsNbits writes the field of Nicira actions that ofsNbits of decode.go reads.
func (e *encoder) ofsNbits(s flow.Subfield) {
	n := s.N
	if s == flow.FieldARPOp.All() {
		n = arpOpBits
	}
	e.w.U16(wireOfs(s)<<6 | (n-1)&0x3f)
}

func (e *encoder) stack(sub uint16, s flow.Subfield) {
	e.nx(sub, 24, func() {
		e.w.U16(wireOfs(s))
		oxm.AppendHeader(e.w, s, oxm.NXM)
		e.w.U16(s.N)
	})
}

// load writes NXAST_REG_LOAD.
func (e *encoder) load(dst flow.Subfield, v uint64) {
	e.nx(7, 24, func() {
		e.ofsNbits(dst)
		oxm.AppendHeader(e.w, dst, oxm.NXM)
		e.w.U64(v)
	})
}

func (e *encoder) move(a action.Move) {
	if e.v >= ofp.V15 {
		e.std(28, 24, func() {
			e.w.U16(a.Src.N)
			e.w.U16(wireOfs(a.Src))
			e.w.U16(wireOfs(a.Dst))
			e.w.Zero(2)
			oxm.AppendHeader(e.w, a.Src, e.v)
			oxm.AppendHeader(e.w, a.Dst, e.v)
		})
		return
	}
	e.nx(6, 24, func() {
		e.w.U16(a.Src.N)
		e.w.U16(wireOfs(a.Src))
		e.w.U16(wireOfs(a.Dst))
		oxm.AppendHeader(e.w, a.Src, oxm.NXM)
		oxm.AppendHeader(e.w, a.Dst, oxm.NXM)
	})
}
