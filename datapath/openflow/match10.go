// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"math/bits"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Wildcards of OpenFlow 1.0's match (5.2.3).
const (
	wildInPort   = 1 << 0
	wildVLAN     = 1 << 1
	wildDLSrc    = 1 << 2
	wildDLDst    = 1 << 3
	wildDLType   = 1 << 4
	wildNWProto  = 1 << 5
	wildTPSrc    = 1 << 6
	wildTPDst    = 1 << 7
	wildNWSrc    = 8  // shift of a 6-bit field: low bits that do not count
	wildNWDst    = 14 // likewise
	wildVLANPCP  = 1 << 20
	wildNWTOS    = 1 << 21
	wildAll      = 1<<22 - 1
	match10Len   = 40
	vlanNone10   = 0xffff
	prefixBits10 = 0x3f
)

// match10 reads OpenFlow 1.0's match:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------------------------------------------------------+
//	|                           wildcards                           |
//	+-------------------------------+-------------------------------+
//	|            in_port            |            dl_src             |
//	+-------------------------------+                               |
//	|                                                               |
//	+---------------------------------------------------------------+
//	|                            dl_dst                             |
//	+                               +-------------------------------+
//	|                               |            dl_vlan            |
//	+---------------+---------------+-------------------------------+
//	|  dl_vlan_pcp  |      pad      |            dl_type            |
//	+---------------+---------------+-------------------------------+
//	|    nw_tos     |   nw_proto    |              pad              |
//	+---------------+---------------+-------------------------------+
//	|                            nw_src                             |
//	|                            nw_dst                             |
//	+-------------------------------+-------------------------------+
//	|            tp_src             |            tp_dst             |
//	+-------------------------------+-------------------------------+
//
// Fields whose prerequisites are not matched do not count, as in the stock
// switch (normalisation).
func (d *decoder) match10() (m flow.Match) {
	w := d.U32()
	inPort := d.U16()
	src, dst := d.MAC(), d.MAC()
	vid := d.U16()
	pcp := d.U8()
	d.Skip(1)
	dlType := d.U16()
	tos, proto := d.U8(), d.U8()
	d.Skip(2)
	nwSrc, nwDst := d.U32(), d.U32()
	tpSrc, tpDst := d.U16(), d.U16()
	if d.Err() != nil {
		return m
	}
	if w&wildInPort == 0 {
		m.SetU64(flow.FieldInPort, uint64(ofp.PortFrom10(inPort)))
	}
	if w&wildDLSrc == 0 {
		m.SetU64(flow.FieldEthSrc, mac(src))
	}
	if w&wildDLDst == 0 {
		m.SetU64(flow.FieldEthDst, mac(dst))
	}
	if w&wildDLType == 0 {
		m.SetU64(flow.FieldEthType, uint64(dlType))
	}
	switch {
	case w&wildVLAN == 0 && vid == vlanNone10:
		if w&wildVLANPCP == 0 {
			m.SetU64(flow.FieldVLANTCI, 0)
		} else {
			m.SetMasked(flow.FieldVLANTCI, flow.U128{}, flow.U128{Lo: 0xffff})
		}
	case w&wildVLAN == 0:
		m.SetU64(flow.FieldVLANVID, uint64(vid&0xfff)|flow.VLANPresent)
	}
	if w&wildVLANPCP == 0 && !(w&wildVLAN == 0 && vid == vlanNone10) {
		m.SetMasked(flow.FieldVLANTCI,
			flow.U128{Lo: uint64(pcp&7)<<13 | flow.VLANPresent}, flow.U128{Lo: 7<<13 | flow.VLANPresent})
	}

	ip, arp := flow.PrereqIPv4.Met(&m), flow.PrereqARP.Met(&m)
	v6 := flow.PrereqIPv6.Met(&m)
	if w&wildNWTOS == 0 && (ip || v6) {
		m.SetU64(flow.FieldIPDSCP, uint64(tos>>2))
	}
	if w&wildNWProto == 0 && (ip || v6 || arp) {
		m.SetU64(flow.FieldIPProto, uint64(proto))
	}
	if ip || arp {
		m.SetMasked(flow.FieldIPSrc, flow.U128{Lo: uint64(nwSrc)}, prefix10(w>>wildNWSrc))
		m.SetMasked(flow.FieldIPDst, flow.U128{Lo: uint64(nwDst)}, prefix10(w>>wildNWDst))
	}
	f, g, any := ports10(&m)
	if any {
		if w&wildTPSrc == 0 {
			m.SetU64(f, uint64(tpSrc))
		}
		if w&wildTPDst == 0 {
			m.SetU64(g, uint64(tpDst))
		}
	}
	return m
}

// ports10 returns the fields that tp_src and tp_dst stand for.
func ports10(m *flow.Match) (src, dst flow.Field, ok bool) {
	switch {
	case flow.PrereqTransport.Met(m):
		return flow.FieldTPSrc, flow.FieldTPDst, true
	case flow.PrereqICMPv4.Met(m), flow.PrereqICMPv6.Met(m):
		return flow.FieldICMPType, flow.FieldICMPCode, true
	}
	return 0, 0, false
}

func prefix10(w uint32) flow.U128 {
	n := w & prefixBits10
	if n >= 32 {
		return flow.U128{}
	}
	return flow.U128{Lo: uint64(^uint32(0) << n)}
}

func mac(m [6]byte) (v uint64) {
	for _, c := range m {
		v = v<<8 | uint64(c)
	}
	return v
}

func macBytes(v uint64) (m [6]byte) {
	for i := range m {
		m[i] = byte(v >> (40 - 8*i))
	}
	return m
}

// putMatch10 writes m; what does not fit is left out, as the stock switch does
// in statistics for a controller that did not ask for NXM.
func (e *encoder) putMatch10(m *flow.Match) {
	w := uint32(wildAll &^ (prefixBits10<<wildNWSrc | prefixBits10<<wildNWDst))
	has := func(f flow.Field, bit uint32) uint64 {
		if !m.Exact(f) || !m.Has(f) {
			return 0
		}
		w &^= bit
		return m.Key.U64(f)
	}
	var inPort uint16
	if m.Exact(flow.FieldInPort) {
		inPort = ofp.PortTo10(action.Port(has(flow.FieldInPort, wildInPort)))
	}
	src, dst := macBytes(has(flow.FieldEthSrc, wildDLSrc)), macBytes(has(flow.FieldEthDst, wildDLDst))
	dlType := uint16(has(flow.FieldEthType, wildDLType))
	var vid uint16
	var pcp uint8
	switch tci := uint16(m.Mask.Get(flow.FieldVLANTCI).Lo); {
	case tci&flow.VLANPresent == 0:
	case m.Key.VLANTCI()&flow.VLANPresent == 0:
		vid = vlanNone10
		w &^= wildVLAN
		if tci == 0xffff {
			w &^= wildVLANPCP
		}
	default:
		if tci&0xfff == 0xfff {
			vid = m.Key.VLANTCI() & 0xfff
			w &^= wildVLAN
		}
		if tci>>13 == 7 {
			pcp = uint8(m.Key.VLANTCI() >> 13)
			w &^= wildVLANPCP
		}
	}
	tos := uint8(has(flow.FieldIPDSCP, wildNWTOS)) << 2
	var proto uint8
	ip, arp := flow.PrereqIPv4.Met(m), flow.PrereqARP.Met(m)
	if arp || ip || flow.PrereqIPv6.Met(m) {
		if m.Exact(flow.FieldIPProto) {
			w &^= wildNWProto
			proto = m.Key.IPProto()
		}
	}
	var nwSrc, nwDst uint32
	addr := func(f flow.Field, shift uint) uint32 {
		n := uint32(32)
		mask := uint32(m.Mask.Get(f).Lo)
		if ip || arp {
			n = uint32(bits.TrailingZeros32(mask))
		}
		w |= n << shift
		if n >= 32 {
			return 0
		}
		return uint32(m.Key.U64(f)) & (^uint32(0) << n)
	}
	nwSrc, nwDst = addr(flow.FieldIPSrc, wildNWSrc), addr(flow.FieldIPDst, wildNWDst)
	var tpSrc, tpDst uint16
	if f, g, ok := ports10(m); ok {
		if m.Exact(f) {
			tpSrc = uint16(m.Key.U64(f))
			w &^= wildTPSrc
		}
		if m.Exact(g) {
			tpDst = uint16(m.Key.U64(g))
			w &^= wildTPDst
		}
	}
	if w == wildAll&^(prefixBits10<<wildNWSrc|prefixBits10<<wildNWDst)|32<<wildNWSrc|32<<wildNWDst {
		w = wildAll // all wildcards is written in full (OFPFW_ALL)
	}
	e.U32(w)
	e.U16(inPort)
	e.Bytes(src[:])
	e.Bytes(dst[:])
	e.U16(vid)
	e.U8(pcp)
	e.Zero(1)
	e.U16(dlType)
	e.U8(tos)
	e.U8(proto)
	e.Zero(2)
	e.U32(nwSrc)
	e.U32(nwDst)
	e.U16(tpSrc)
	e.U16(tpDst)
}

// fits10 reports whether OpenFlow 1.0's match can say all of m.
func fits10(m *flow.Match) bool {
	e := &encoder{}
	e.putMatch10(m)
	d := &decoder{Reader: ofp.NewReader(e.B, ofp.BRCBadLen)}
	return d.match10() == *m
}
