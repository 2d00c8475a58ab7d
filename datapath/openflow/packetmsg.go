// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// noCookie is the cookie of a packet-in that no flow sent.
const noCookie = ^uint64(0)

// Reason returns the number of r on the wire.
func (p Proto) Reason(r PacketInReason) uint8 {
	switch {
	case r == ReasonImplicitMiss:
		return uint8(ReasonNoMatch)
	case r == ReasonExplicitMiss:
		if p.Version < ofp.V13 {
			return uint8(ReasonAction)
		}
		return uint8(ReasonNoMatch)
	case r > ReasonInvalidTTL && p.Version < ofp.V14:
		return uint8(ReasonAction)
	}
	return uint8(r)
}

// totalLen is the length field, 16 bits.
func totalLen(m *PacketIn) uint16 { return uint16(min(m.TotalLen, 0xffff)) }

func (d *decoder) packetIn10() *PacketIn {
	m := &PacketIn{BufferID: d.U32(), TotalLen: int(d.U16()), Cookie: noCookie}
	m.Metadata.SetU64(flow.FieldInPort, uint64(ofp.PortFrom10(d.U16())))
	m.Reason = PacketInReason(d.U8())
	d.Skip(1)
	m.Data = d.Rest()
	return m
}

func (e *encoder) packetIn10(m *PacketIn) {
	e.U32(m.BufferID)
	e.U16(totalLen(m))
	e.U16(ofp.PortTo10(action.Port(m.Metadata.Key.InPort())))
	e.U8(e.Reason(m.Reason))
	e.Zero(1)
	e.Bytes(m.Data)
}

func (d *decoder) packetIn13() *PacketIn {
	m := &PacketIn{BufferID: d.U32(), TotalLen: int(d.U16()), Reason: PacketInReason(d.U8()), Table: d.U8(), Cookie: d.U64()}
	m.Metadata = d.match(true)
	d.Skip(2)
	m.Data = d.Rest()
	return m
}

func (e *encoder) packetIn13(m *PacketIn) {
	e.U32(m.BufferID)
	e.U16(totalLen(m))
	e.U8(e.Reason(m.Reason))
	e.U8(m.Table)
	e.U64(m.Cookie)
	e.putMatch(&m.Metadata)
	e.Zero(2)
	e.Bytes(m.Data)
}

func (d *decoder) packetInNX() *PacketIn {
	m := &PacketIn{BufferID: d.U32(), TotalLen: int(d.U16()), Reason: PacketInReason(d.U8()), Table: d.U8(), Cookie: d.U64()}
	n := int(d.U16())
	d.Skip(6)
	m.Metadata = d.entries(n, n, nil, true)
	d.Skip(2)
	m.Data = d.Rest()
	return m
}

func (e *encoder) packetInNX(m *PacketIn) {
	e.U32(m.BufferID)
	e.U16(totalLen(m))
	e.U8(e.Reason(m.Reason))
	e.U8(m.Table)
	e.U64(m.Cookie)
	at := e.Len()
	e.Zero(8)
	e.SetU16(at, e.putNXM(&m.Metadata, oxm.Cookie{}))
	e.Zero(2)
	e.Bytes(m.Data)
}

// Properties of NXT_PACKET_IN2.
const (
	pinPacket = iota
	pinFullLen
	pinBufferID
	pinTable
	pinCookie
	pinReason
	pinMetadata
	pinUserdata
	pinContinuation
)

func (d *decoder) packetInNX2() *PacketIn {
	m := &PacketIn{BufferID: NoBuffer, Cookie: noCookie, TotalLen: -1}
	d.elements(func() {
		typ, p := ofpact.Property(d.Reader, ofp.BPCBadLen)
		switch typ {
		case pinPacket:
			m.Data = p.Rest()
		case pinFullLen:
			m.TotalLen = int(p.U32())
		case pinBufferID:
			m.BufferID = p.U32()
		case pinTable:
			m.Table = p.U8()
		case pinCookie:
			p.Skip(4)
			m.Cookie = p.U64()
		case pinReason:
			m.Reason = PacketInReason(p.U8())
		case pinMetadata:
			m.Metadata = oxm.Decode(p, nil, true)
		case pinUserdata:
			m.Userdata = p.Rest()
		case pinContinuation:
			m.Continuation = p.Rest()
		default:
			if typ&0x8000 == 0 {
				p.Failf(ofp.BPCBadType, "property %d of packet-in", typ)
			}
			p.Skip(p.Len())
		}
		if err := p.Close(); err != nil {
			d.Fail(err)
		}
	})
	if m.TotalLen < 0 {
		m.TotalLen = len(m.Data)
	}
	return m
}

func (e *encoder) packetInNX2(m *PacketIn) {
	put := func(typ uint16, body func()) { ofpact.PutProperty(&e.Writer, typ, body) }
	put(pinPacket, func() { e.Bytes(m.Data) })
	if m.TotalLen != len(m.Data) {
		put(pinFullLen, func() { e.U32(uint32(m.TotalLen)) })
	}
	if m.BufferID != NoBuffer {
		put(pinBufferID, func() { e.U32(m.BufferID) })
	}
	put(pinTable, func() { e.U8(m.Table) })
	if m.Cookie != noCookie {
		put(pinCookie, func() { e.Zero(4); e.U64(m.Cookie) })
	}
	put(pinReason, func() { e.U8(e.Reason(m.Reason)) })
	put(pinMetadata, func() { oxm.Append(&e.Writer, &m.Metadata, oxm.Cookie{}, max(e.Version, ofp.V12)) })
	if len(m.Userdata) > 0 {
		put(pinUserdata, func() { e.Bytes(m.Userdata) })
	}
	if len(m.Continuation) > 0 {
		put(pinContinuation, func() { e.Bytes(m.Continuation) })
	}
}

// actions reads n bytes of actions.
func (d *decoder) actions(n int) action.List {
	if n%8 != 0 || n > d.Len() {
		d.Failf(ofp.BRCBadLen, "actions of %d bytes, %d left", n, d.Len())
		return nil
	}
	s := d.Sub(n, ofp.BACBadLen)
	l := ofpact.DecodeList(s, d.Version)
	if err := s.Close(); err != nil {
		d.Fail(err)
	}
	return l
}

// finishOut checks a packet-out.
func (d *decoder) finishOut(m *PacketOut) *PacketOut {
	if d.Err() != nil {
		return nil
	}
	if m.InPort >= action.PortMax && m.InPort != action.PortLocal && m.InPort != action.PortAny &&
		m.InPort != action.PortController {
		d.Failf(ofp.BRCBadPort, "in_port %#x", uint32(m.InPort))
		return nil
	}
	if m.BufferID == NoBuffer {
		m.Data = d.Rest()
	} else {
		d.Skip(d.Len()) // data is meaningless beside a buffer
	}
	return m
}

func (d *decoder) packetOut10() *PacketOut {
	m := &PacketOut{BufferID: d.U32(), InPort: ofp.PortFrom10(d.U16())}
	m.Actions = d.actions(int(d.U16()))
	return d.finishOut(m)
}

func (e *encoder) packetOut10(m *PacketOut) {
	e.U32(m.BufferID)
	e.U16(ofp.PortTo10(m.InPort))
	e.packetOutTail(m, nil)
}

// packetOutTail writes the length of the actions, what stands between, the actions and the
// data.
func (e *encoder) packetOutTail(m *PacketOut, between func()) {
	at := e.Len()
	e.Zero(2)
	if between != nil {
		between()
	}
	start := e.Len()
	ofpact.AppendList(&e.Writer, m.Actions, nil, e.Version)
	e.SetU16(at, uint16(e.Len()-start))
	e.Bytes(m.Data)
}

func (d *decoder) packetOut13() *PacketOut {
	m := &PacketOut{BufferID: d.U32()}
	m.InPort = d.port32()
	n := int(d.U16())
	d.Skip(6)
	m.Actions = d.actions(n)
	return d.finishOut(m)
}

func (e *encoder) packetOut13(m *PacketOut) {
	e.U32(m.BufferID)
	e.U32(uint32(m.InPort))
	e.packetOutTail(m, func() { e.Zero(6) })
}

func (d *decoder) packetOut15() *PacketOut {
	m := &PacketOut{BufferID: d.U32()}
	n := int(d.U16())
	d.Skip(2)
	m.Metadata = d.match(false)
	if d.Err() == nil {
		var meta flow.Mask
		for f := flow.FieldInPort; f < flow.FieldEthDst; f++ {
			meta.SetAll(f)
		}
		if !meta.Covers(&m.Metadata.Mask) {
			d.Failf(ofp.BRCPipelineFieldsOnly, "a match on the packet")
			return nil
		}
		if !m.Metadata.Exact(flow.FieldInPort) {
			d.Failf(ofp.BRCBadPort, "no in_port")
			return nil
		}
	}
	m.InPort = action.Port(m.Metadata.Key.InPort())
	m.Metadata.Any(flow.FieldInPort)
	m.Actions = d.actions(n)
	return d.finishOut(m)
}

func (e *encoder) packetOut15(m *PacketOut) {
	e.U32(m.BufferID)
	meta := m.Metadata
	meta.SetU64(flow.FieldInPort, uint64(m.InPort))
	e.packetOutTail(m, func() { e.Zero(2); e.putMatch(&meta) })
}

// port32 reads a port number of OpenFlow 1.1 or later.
func (d *decoder) port32() action.Port {
	p, err := ofp.PortFrom11(d.U32())
	if err != nil {
		d.Fail(err)
	}
	return p
}

// port reads a port number as the version has it; padded fills up to n bytes.
func (d *decoder) port(pad10, pad int) (p action.Port) {
	if d.Version == ofp.V10 {
		p = ofp.PortFrom10(d.U16())
		d.Skip(pad10)
		return p
	}
	p = d.port32()
	d.Skip(pad)
	return p
}

func (e *encoder) port(p action.Port, pad10, pad int) {
	if e.Version == ofp.V10 {
		e.U16(ofp.PortTo10(p))
		e.Zero(pad10)
		return
	}
	e.U32(uint32(p))
	e.Zero(pad)
}
