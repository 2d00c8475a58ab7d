// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// Ethernet types and IP protocols.
const (
	ethIPv4 = 0x0800
	ethARP  = 0x0806
	ethRARP = 0x8035
	ethIPv6 = 0x86dd
	eth8021Q,
	tpid8021Q = 0x8100, 0x8100
	eth8021AD = 0x88a8

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
)

// layer is the header that a field is in.
type layer uint8

const (
	layerNone layer = iota // metadata and Ethernet: always there
	layerTag               // the outer tag's priority
	layerARP
	layerIPv4
	layerIPv6
	layerIP // either
	layerPorts
	layerICMP
	layerND
	layerMPLS
)

func layerOf(f flow.Field) layer {
	switch f {
	case flow.FieldVLANPCP:
		return layerTag
	case flow.FieldARPSPA, flow.FieldARPTPA, flow.FieldARPSHA, flow.FieldARPTHA, flow.FieldARPOp:
		return layerARP
	case flow.FieldIPSrc, flow.FieldIPDst:
		return layerIPv4
	case flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label:
		return layerIPv6
	case flow.FieldIPTOS, flow.FieldIPDSCP, flow.FieldIPECN, flow.FieldIPTTL, flow.FieldIPFrag, flow.FieldIPProto:
		return layerIP
	case flow.FieldTPSrc, flow.FieldTPDst, flow.FieldTCPFlags, flow.FieldTCPSrc, flow.FieldTCPDst,
		flow.FieldUDPSrc, flow.FieldUDPDst, flow.FieldSCTPSrc, flow.FieldSCTPDst:
		return layerPorts
	case flow.FieldICMPType, flow.FieldICMPCode, flow.FieldICMPv6Type, flow.FieldICMPv6Code:
		return layerICMP
	case flow.FieldNDTarget, flow.FieldNDSLL, flow.FieldNDTLL, flow.FieldNDReserved, flow.FieldNDOptionsType:
		return layerND
	case flow.FieldMPLS0, flow.FieldMPLSLabel, flow.FieldMPLSTC, flow.FieldMPLSBOS, flow.FieldMPLSTTL:
		return layerMPLS
	}
	return layerNone
}

// has reports whether the packet has the header that f is in; what that takes counts.
func (c *ctx) has(f flow.Field) bool {
	l := layerOf(f)
	switch l {
	case layerNone:
		return true
	case layerTag:
		return c.tagged()
	}
	t := c.get(flow.FieldEthType)
	switch l {
	case layerARP:
		return t == ethARP || t == ethRARP
	case layerIPv4:
		return t == ethIPv4
	case layerIPv6:
		return t == ethIPv6
	case layerIP:
		return t == ethIPv4 || t == ethIPv6
	case layerMPLS:
		return isMPLS(t) && len(c.labels) > 0
	}
	if t != ethIPv4 && t != ethIPv6 {
		return false
	}
	proto := c.get(flow.FieldIPProto)
	if c.get(flow.FieldIPFrag)&flow.FragLater != 0 {
		return false
	}
	switch l {
	case layerPorts:
		switch f {
		case flow.FieldTCPSrc, flow.FieldTCPDst, flow.FieldTCPFlags:
			return proto == protoTCP
		case flow.FieldUDPSrc, flow.FieldUDPDst:
			return proto == protoUDP
		case flow.FieldSCTPSrc, flow.FieldSCTPDst:
			return proto == protoSCTP
		}
		return proto == protoTCP || proto == protoUDP || proto == protoSCTP
	case layerICMP:
		return t == ethIPv4 && proto == protoICMP || t == ethIPv6 && proto == protoICMPv6
	}
	if t != ethIPv6 || proto != protoICMPv6 {
		return false
	}
	if c.get(flow.FieldTPDst) != 0 {
		return false
	}
	switch typ := c.get(flow.FieldTPSrc); f {
	case flow.FieldNDSLL:
		return typ == 135
	case flow.FieldNDTLL:
		return typ == 136
	default:
		return typ == 135 || typ == 136
	}
}

// setField writes a field that the packet has; for the VLAN fields this can add or
// remove a tag.
func (c *ctx) setField(f flow.Field, v, m flow.U128) {
	in := f.Info()
	switch f {
	case flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldDLVLAN, flow.FieldVLANPCP:
	case flow.FieldInPort:
		if m.Lo>>16 == 0 {
			// NXM_OF_IN_PORT, of 16 bits, in which the reserved ports have numbers of their
			// own. in_port counts always, so that all of it is known.
			p, _ := regPort(flow.U128{Lo: c.flow.U64(f)&0xffff&^m.Lo | v.Lo&m.Lo})
			v, m = flow.U128{Lo: uint64(p)}, flow.Ones(32)
		}
		c.write(f, v, m)
		return
	default:
		c.write(f, v, m)
		return
	}
	bits := uint16(m.Lo << in.Shift)
	val := uint16(v.Lo<<in.Shift) & bits
	if f == flow.FieldDLVLAN {
		bits |= flow.VLANPresent
		val |= flow.VLANPresent
	}
	if !c.tagged() {
		if val&flow.VLANPresent != 0 {
			c.pushTag(tpid8021Q, val)
		}
		return
	}
	if bits&flow.VLANPresent != 0 && val&flow.VLANPresent == 0 {
		for c.tagged() { // "no tag" is what the stock switch makes of it: not the next one
			c.popTag()
		}
		return
	}
	c.write(flow.FieldVLANTCI, flow.U128{Lo: uint64(val)}, flow.U128{Lo: uint64(bits)})
}

// commitFields are the header fields that commit compares, by layer.
var (
	fieldsEth  = []flow.Field{flow.FieldEthDst, flow.FieldEthSrc, flow.FieldPktMark, flow.FieldSkbPriority}
	fieldsARP  = []flow.Field{flow.FieldARPOp, flow.FieldARPSPA, flow.FieldARPTPA, flow.FieldARPSHA, flow.FieldARPTHA}
	fieldsIPv4 = []flow.Field{flow.FieldIPSrc, flow.FieldIPDst, flow.FieldIPTOS, flow.FieldIPTTL}
	fieldsIPv6 = []flow.Field{flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label, flow.FieldIPTOS, flow.FieldIPTTL}
	fieldsTP   = []flow.Field{flow.FieldTPSrc, flow.FieldTPDst}
	fieldsICMP = []flow.Field{flow.FieldICMPType, flow.FieldICMPCode}
	fieldsND   = []flow.Field{flow.FieldNDReserved, flow.FieldNDTarget, flow.FieldNDSLL, flow.FieldNDTLL, flow.FieldNDOptionsType}
)

// commit makes the packet in the datapath what c.flow says.
func (c *ctx) commit() {
	c.commitTags()
	c.commitList(fieldsEth)
	c.commitLabels()
	if c.hidden {
		return // nothing there has been written
	}
	switch c.flow.EthType() {
	case ethARP, ethRARP:
		c.commitList(fieldsARP)
	case ethIPv4:
		c.commitList(fieldsIPv4)
		c.commitTransport()
	case ethIPv6:
		c.commitList(fieldsIPv6)
		c.commitTransport()
	}
}

func (c *ctx) commitTransport() {
	switch c.orig.IPProto() {
	case protoTCP, protoUDP, protoSCTP:
		c.commitList(fieldsTP)
	case protoICMP:
		c.commitList(fieldsICMP)
	case protoICMPv6:
		c.commitList(fieldsND)
		c.commitList(fieldsICMP)
	}
}

func (c *ctx) commitList(l []flow.Field) {
	for _, f := range l {
		if d := c.differ(f); !d.IsZero() {
			v := c.flow.Get(f)
			c.emit(dpif.Set{Field: f, Value: v.And(d), Mask: d})
			c.base.SetMasked(f, v, d)
			c.bwr.Set(f, d)
		}
	}
}

// differ returns the bits of f in which c.flow differs, or may differ, from the
// packet in the datapath. Bits that must become the packet's own again count from
// now on.
func (c *ctx) differ(f flow.Field) flow.U128 {
	wr, bwr := c.wr.Get(f), c.bwr.Get(f)
	if wr.IsZero() && bwr.IsZero() {
		return flow.U128{}
	}
	fv, bv, orig := c.flow.Get(f), c.base.Get(f), c.orig.Get(f)
	if back := bwr.AndNot(wr); !back.IsZero() {
		c.wc.Set(f, back)
	}
	known := c.wc.Get(f)
	xor := flow.U128{Hi: fv.Hi ^ bv.Hi, Lo: fv.Lo ^ bv.Lo}
	// Where the datapath's packet is still the original: equal only if that is known.
	xorOrig := flow.U128{Hi: fv.Hi ^ orig.Hi, Lo: fv.Lo ^ orig.Lo}
	set := wr.AndNot(bwr)
	d := bwr.And(xor)                                // both constants, or a way back to the known original
	d = d.Or(set.AndNot(known)).Or(set.And(xorOrig)) // a constant over the original
	return d
}
