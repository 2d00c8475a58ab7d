// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"math/bits"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// setField writes a SetField: in OpenFlow 1.0 as the action of its own if there
// is one and else as loads; from 1.2 on as set_field, with a mask from
// 1.5 on, a masked one before as loads.
func (e *encoder) setField(a action.SetField) {
	f, v := a.Field, a.Value
	all := flow.Ones(f.Bits())
	mask := a.Mask.And(all)
	if f == flow.FieldIPTOS && mask.Lo|3 == 0xff {
		mask = all // the ECN bits do not belong to nw_tos
	}
	v = v.And(mask)
	if e.v == ofp.V10 {
		if mask != all || !e.legacy(a, v.Lo) {
			e.loads(f, v, mask)
		}
		return
	}
	switch f {
	case flow.FieldTPSrc, flow.FieldTPDst:
		if f = e.transport(f); f == flow.FieldNone {
			return // without a protocol there is no name for the port
		}
	}
	if mask != all && e.v < ofp.V15 {
		e.loads(f, v, mask)
		return
	}
	e.entry(f, v, mask)
}

// transport returns the field by its name in the protocol of the match.
func (e *encoder) transport(f flow.Field) flow.Field {
	src := f == flow.FieldTPSrc
	pick := func(s, d flow.Field) flow.Field {
		if src {
			return s
		}
		return d
	}
	switch e.proto {
	case flow.ProtoTCP:
		return pick(flow.FieldTCPSrc, flow.FieldTCPDst)
	case flow.ProtoUDP:
		return pick(flow.FieldUDPSrc, flow.FieldUDPDst)
	case flow.ProtoSCTP:
		return pick(flow.FieldSCTPSrc, flow.FieldSCTPDst)
	}
	return flow.FieldNone
}

// legacy writes the OpenFlow 1.0 action that sets all of a field; it reports
// whether there is one.
func (e *encoder) legacy(a action.SetField, v uint64) bool {
	w := e.w
	mac := func() {
		for i := 40; i >= 0; i -= 8 {
			w.U8(uint8(v >> i))
		}
	}
	switch a.Field {
	case flow.FieldEthSrc:
		e.std(4, 16, mac)
	case flow.FieldEthDst:
		e.std(5, 16, mac)
	case flow.FieldIPSrc:
		e.std(6, 8, func() { w.U32(uint32(v)) })
	case flow.FieldIPDst:
		e.std(7, 8, func() { w.U32(uint32(v)) })
	case flow.FieldIPDSCP:
		e.std(8, 8, func() { w.U8(uint8(v) << 2) })
	case flow.FieldIPTOS:
		e.std(8, 8, func() { w.U8(uint8(v) & 0xfc) })
	case flow.FieldTPSrc, flow.FieldTCPSrc, flow.FieldUDPSrc:
		e.std(9, 8, func() { w.U16(uint16(v)) })
	case flow.FieldTPDst, flow.FieldTCPDst, flow.FieldUDPDst:
		e.std(10, 8, func() { w.U16(uint16(v)) })
	case flow.FieldVLANVID, flow.FieldDLVLAN:
		e.std(1, 8, func() { w.U16(uint16(v) & 0xfff) })
	case flow.FieldVLANPCP:
		e.std(2, 8, func() { w.U8(uint8(v)) })
	case flow.FieldTunID:
		switch {
		case !a.Legacy:
			return false
		case v>>32 == 0:
			e.nx(2, 16, func() { w.Zero(2); w.U32(uint32(v)) })
		default:
			e.nx(9, 24, func() { w.Zero(6); w.U64(v) })
		}
	case flow.FieldMPLSLabel:
		if !a.Legacy {
			return false
		}
		e.nx(30, 16, func() { w.Zero(2); w.U32(uint32(v)) })
	case flow.FieldMPLSTC:
		if !a.Legacy {
			return false
		}
		e.nx(31, 16, func() { w.U8(uint8(v)) })
	default:
		return false
	}
	return true
}

// loads writes the bits mask of v as loads of runs of at most 64 bits, lowest first.
func (e *encoder) loads(f flow.Field, v, mask flow.U128) {
	if f == flow.FieldInPort && mask == flow.Ones(32) {
		// in_port has 16 bits in a load.
		v.Lo, mask = uint64(ofp.PortTo10(action.Port(v.Lo))), flow.Ones(16)
	}
	ofs := 0
	for !mask.IsZero() {
		zeros := trailing(mask, 0)
		mask, v, ofs = mask.Rsh(uint(zeros)), v.Rsh(uint(zeros)), ofs+zeros
		n := min(trailing(mask, 1), 64)
		e.load(flow.Subfield{Field: f, Ofs: uint16(ofs), N: uint16(n)}, v.Lo&flow.Ones(n).Lo)
		mask, v, ofs = mask.Rsh(uint(n)), v.Rsh(uint(n)), ofs+n
	}
}

// trailing returns the number of low bits of m that are b.
func trailing(m flow.U128, b int) int {
	if b == 1 {
		m = flow.U128{Hi: ^m.Hi, Lo: ^m.Lo}
	}
	if m.Lo != 0 {
		return bits.TrailingZeros64(m.Lo)
	}
	return 64 + bits.TrailingZeros64(m.Hi)
}

// entry writes OFPAT_SET_FIELD.
func (e *encoder) entry(f flow.Field, v, mask flow.U128) {
	all := flow.Ones(f.Bits())
	if f == flow.FieldInPort && mask.And(flow.Ones(16)) == flow.Ones(16) && mask.Hi == 0 && e.v >= ofp.V15 {
		// A load of all of the 16-bit form.
		v.Lo, mask = uint64(ofp.PortFrom10(uint16(v.Lo))), all
	}
	start := e.w.Len()
	e.w.U16(25)
	e.w.U16(0)
	if !oxm.AppendValue(e.w, f, v.And(mask), mask, mask.And(all) != all, e.v) {
		e.w.B = e.w.B[:start]
		return
	}
	e.finish(start, 8)
}
