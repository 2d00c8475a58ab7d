// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"net/netip"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

// CTFlush forgets the tracked connections that it matches, all without anything to match (nicira-ext.h,
// struct nx_ct_flush).
type CTFlush struct {
	Proto       uint8 // of IP; 0: any
	Orig, Reply CTTuple
	Zone        uint16
	HasZone     bool
}

// CTTuple are the ends of one direction of a connection; zero values match any.
type CTTuple struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of protocols that have them
	// Of ICMP.
	ID         uint16
	Type, Code uint8
}

func (*CTFlush) message() {}

// Properties of NXT_CT_FLUSH, and those within the two for tuples.
const (
	ctOrig  = 0
	ctReply = 1
	ctZone  = 2

	ctSrc      = 0
	ctDst      = 1
	ctSrcPort  = 2
	ctDstPort  = 3
	ctICMPID   = 4
	ctICMPType = 5
	ctICMPCode = 6
)

// ctFlush reads the message. As in the stock switch, properties that are not known are passed over, and those
// for numbers may be longer than these.
func (d *decoder) ctFlush() *CTFlush {
	d.blocks(8)
	m := &CTFlush{Proto: d.U8()}
	d.Zero(7, ofp.NXBRCMustBeZero)
	var c ctReader
	c.properties(d.Reader, func(typ uint16, p *ofp.Reader) {
		switch typ {
		case ctOrig:
			c.tuple(p, &m.Orig)
		case ctReply:
			c.tuple(p, &m.Reply)
		case ctZone:
			m.Zone, m.HasZone = p.U16(), true
		}
	})
	return m
}

func (m *CTFlush) icmp() bool { return m.Proto == flow.ProtoICMP || m.Proto == flow.ProtoICMPv6 }

// ctReader reads the properties of one message.
type ctReader struct {
	seen netip.Addr // an address, of the family that all have
}

// properties reads those of r.
func (c *ctReader) properties(r *ofp.Reader, read func(typ uint16, p *ofp.Reader)) {
	for r.Len() > 0 {
		typ, p := ofpact.Property(r, ofp.BPCBadLen)
		if typ != experimenterProperty {
			read(typ, p)
		} else if p.Len() < 8 {
			p.Failf(ofp.BPCBadLen, "property of an experimenter with %d bytes", p.Len())
		} else if id := p.U32(); id < 0x10000 {
			p.Failf(ofp.BPCBadExperimenter, "property of experimenter %#x", id)
		}
		p.Skip(p.Len())
		if err := p.Close(); err != nil {
			r.Fail(err)
		}
	}
}

// experimenterProperty is the type of properties that an experimenter defines.
const experimenterProperty = 0xffff

// tuple reads the properties of a tuple, which begin 8 bytes behind the head.
func (c *ctReader) tuple(r *ofp.Reader, t *CTTuple) {
	r.Skip(4)
	c.properties(r, func(typ uint16, p *ofp.Reader) {
		switch {
		case typ == ctSrc:
			c.addr(p, &t.Src)
		case typ == ctDst:
			c.addr(p, &t.Dst)
		case typ == ctSrcPort:
			t.SrcPort = p.U16()
		case typ == ctDstPort:
			t.DstPort = p.U16()
		case typ == ctICMPID:
			t.ID = p.U16()
		case typ == ctICMPType:
			t.Type = p.U8()
		case typ == ctICMPCode:
			t.Code = p.U8()
		}
	})
}

// addr reads an address: of IPv4 as one of IPv6 (RFC 4291, 2.5.5.2).
func (c *ctReader) addr(p *ofp.Reader, a *netip.Addr) {
	b := p.Bytes(16)
	if b == nil {
		return
	}
	*a = netip.AddrFrom16([16]byte(b)).Unmap()
	if c.seen.IsValid() && c.seen.Is4() != a.Is4() {
		p.Failf(ofp.BPCBadValue, "addresses of both families, %v and %v", c.seen, *a)
	}
	c.seen = *a
}

func (e *encoder) ctFlush(m *CTFlush) {
	e.U8(m.Proto)
	e.Zero(7)
	w := &e.Writer
	icmp := m.icmp()
	tuple := func(typ uint16, t *CTTuple) {
		if !icmp && !t.Src.IsValid() && !t.Dst.IsValid() && t.SrcPort == 0 && t.DstPort == 0 {
			return
		}
		addr := func(typ uint16, a netip.Addr) {
			if a.IsValid() {
				b := a.As16()
				ofpact.PutProperty(w, typ, func() { e.Bytes(b[:]) })
			}
		}
		u16 := func(typ, v uint16) {
			if v != 0 || typ == ctICMPID {
				ofpact.PutProperty(w, typ, func() { e.U16(v); e.Zero(2) })
			}
		}
		ofpact.PutProperty(w, typ, func() {
			e.Zero(4)
			addr(ctSrc, t.Src)
			addr(ctDst, t.Dst)
			if !icmp {
				u16(ctSrcPort, t.SrcPort)
				u16(ctDstPort, t.DstPort)
				return
			}
			u16(ctICMPID, t.ID)
			ofpact.PutProperty(w, ctICMPType, func() { e.U8(t.Type) })
			ofpact.PutProperty(w, ctICMPCode, func() { e.U8(t.Code) })
		})
	}
	tuple(ctOrig, &m.Orig)
	tuple(ctReply, &m.Reply)
	if m.HasZone {
		ofpact.PutProperty(w, ctZone, func() { e.U16(m.Zone); e.Zero(2) })
	}
}
