// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// HeaderLen is the length of the header of every message:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------+---------------+-------------------------------+
//	|    version    |     type      |     length, of all, >= 8      |
//	+---------------+---------------+-------------------------------+
//	|                        transaction id                         |
//	+---------------------------------------------------------------+
const HeaderLen = 8

// MaxLen is the length of the longest message.
const MaxLen = 0xffff

// Proto says how a connection writes.
type Proto struct {
	Version ofp.Version
	// NXM writes flow messages of OpenFlow 1.0 with NXM matches
	// (SetFlowFormat).
	NXM bool
	// TableID makes the upper byte of an OpenFlow 1.0 flow_mod's command the
	// table (SetFlowModTableID).
	TableID bool
	// PacketIn is the format of packet-ins. OpenFlow 1.0 has NXT where flow
	// metadata matters.
	PacketIn PacketInFormat
}

// Header is the head of a message.
type Header struct {
	Version ofp.Version
	Type    uint8
	Len     int
	XID     uint32
}

// ParseHeader reads the header of b, which has at least HeaderLen bytes (else
// it returns zeros). It checks nothing.
func ParseHeader(b []byte) Header {
	if len(b) < HeaderLen {
		return Header{}
	}
	return Header{ofp.Version(b[0]), b[1], int(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[4:])}
}

// Message types that Decode itself must know.
const (
	typeHello        = 0
	typeExperimenter = 4
)

// Decode reads one message, which is all of b, in p. The error wraps the
// ofp.Kind that the peer is to be told. A hello is read in any version.
func Decode(b []byte, p Proto) (Message, error) {
	h := ParseHeader(b)
	if len(b) < HeaderLen || h.Len != len(b) {
		return nil, fmt.Errorf("message of %d bytes with length %d: %w", len(b), h.Len, ofp.BRCBadLen)
	}
	r := ofp.NewReader(b[HeaderLen:], ofp.BRCBadLen)
	if h.Type == typeHello {
		m := readHello(r, h.Version)
		return m, r.Close()
	}
	if h.Version != p.Version || layoutOf(h.Version) == nil {
		return nil, fmt.Errorf("message of version %#x: %w", uint8(h.Version), ofp.BRCBadVersion)
	}
	d := &decoder{Reader: r, Proto: p, xid: h.XID, inner: Decode}
	m := d.message(h.Type)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("%v message of type %d: %w", h.Version, h.Type, err)
	}
	return m, nil
}

// PartKind says what a multipart request asks for.
type PartKind struct {
	Type            uint16
	Vendor, Subtype uint32 // of an experimenter's
}

// Part describes a message of a multipart request (OpenFlow 1.3 and later).
type Part struct {
	Kind PartKind
	More bool // others follow, with the same transaction id
	Body int  // bytes behind the headers
}

// ParsePart reads the headers of a multipart request; false: b is none, or is cut off.
// Whether the type is known is for Decode to say, which takes each part for a whole message.
func ParsePart(b []byte) (p Part, ok bool) {
	const fixed = HeaderLen + 8
	h := ParseHeader(b)
	l := layoutOf(h.Version)
	if l == nil || h.Version < ofp.V13 || h.Type != l.statsRequest || len(b) < fixed {
		return p, false
	}
	r := ofp.NewReader(b[HeaderLen:], ofp.BRCBadLen)
	p.Kind.Type = r.U16()
	p.More = r.U16()&1 != 0
	r.Skip(4)
	if p.Kind.Type == 0xffff {
		p.Kind.Vendor, p.Kind.Subtype = r.U32(), r.U32()
	}
	p.Body = r.Len()
	return p, r.Err() == nil
}

// decoder is a Reader that knows how the connection writes.
type decoder struct {
	*ofp.Reader
	Proto
	xid uint32 // of the message
	// inner is Decode, for a message in a bundle.
	inner func([]byte, Proto) (Message, error)
}

// message reads the body of a message of type typ.
func (d *decoder) message(typ uint8) Message {
	l := layoutOf(d.Version)
	switch typ {
	case typeExperimenter:
		if d.Len() < 8 {
			d.Failf(ofp.BRCBadLen, "experimenter message of %d bytes", d.Len())
			return nil
		}
		vendor := d.U32()
		sub := d.U32()
		switch vendor {
		case nicira:
			return d.row(l.niciraIn[sub], ofp.BRCBadSubtype, sub)
		case onf:
			return d.row(l.onfIn[sub], ofp.BRCBadSubtype, sub)
		}
		d.Failf(ofp.BRCBadVendor, "experimenter %#x", vendor)
		return nil
	case l.statsRequest:
		return d.multipart(l.requestIn, l.nxRequestIn, l.onfRequestIn)
	case l.statsReply:
		return d.multipart(l.replyIn, l.nxReplyIn, l.onfReplyIn)
	}
	return d.row(l.in[uint32(typ)], ofp.BRCBadType, uint32(typ))
}

func (d *decoder) row(r *row, unknown ofp.Kind, n uint32) Message {
	if r == nil {
		d.Failf(unknown, "type %d", n)
		return nil
	}
	return r.read(d)
}

// multipart reads the rest of a multipart message:
//
//	+-------------------------------+-------------------------------+
//	|             type              |    flags: 1: more follow      |
//	+-------------------------------+-------------------------------+
//	| 4 bytes of padding, not in OpenFlow 1.0                       |
//	+---------------------------------------------------------------+
//	| vendor and subtype if type is 0xffff, in 1.0 4 of padding     |
func (d *decoder) multipart(std, nx, fo map[uint32]*row) Message {
	typ, flags := d.U16(), d.U16()
	if d.Version > ofp.V10 {
		d.Skip(4)
	}
	if d.Err() != nil {
		return nil
	}
	var m Message
	if typ == 0xffff {
		vendor := d.U32()
		if d.Err() == nil && vendor != nicira && (vendor != onf || len(fo) == 0) {
			d.Failf(ofp.BRCBadVendor, "experimenter %#x", vendor)
			return nil
		}
		if vendor == onf {
			nx = fo
		}
		sub := d.U32()
		if d.Version == ofp.V10 {
			d.Skip(4)
		}
		if d.Err() != nil {
			return nil
		}
		m = d.row(nx[sub], ofp.BRCBadSubtype, sub)
	} else {
		m = d.row(std[uint32(typ)], ofp.BRCBadStat, uint32(typ))
	}
	if d.Err() == nil && flags&1 != 0 {
		if more := moreOf(m); more != nil {
			*more = true
		}
	}
	return m
}

// encoder is a Writer that knows how the connection writes.
type encoder struct {
	ofp.Writer
	Proto
	xid   uint32
	start int // of the message being written
	err   error
	// inner is Encode, for a message in a bundle.
	inner func(Proto, uint32, Message) ([]byte, error)
	// head of the multipart message being written, to repeat in the next part.
	head []byte
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Encode writes m with transaction id xid in p. What exceeds one message is
// split into several. A message that the version does not have is an error.
func Encode(p Proto, xid uint32, m Message) ([]byte, error) {
	l := layoutOf(p.Version)
	if l == nil {
		return nil, fmt.Errorf("encode %T: unknown version %v", m, p.Version)
	}
	e := &encoder{Proto: p, xid: xid, inner: Encode}
	r := l.out[reflect.TypeOf(m)]
	for _, alt := range l.nxOut[reflect.TypeOf(m)] {
		if r == nil || alt.use(p, m) {
			r = alt
			break
		}
	}
	if r == nil {
		return nil, fmt.Errorf("encode %T: %v has no such message", m, p.Version)
	}
	if f, ok := m.(*FlowStatsReply); ok {
		e.B = make([]byte, 0, 64+len(f.Flows)*flowStatsRoom)
	}
	r.begin(e, l)
	r.write(e, m)
	if more := moreOf(m); more != nil && *more {
		e.B[e.start+10] |= 0
		e.B[e.start+11] |= 1
	}
	e.finish()
	if e.err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, e.err)
	}
	return e.B, nil
}

// flowStatsRoom is about what a flow takes in a FlowStatsReply, in bytes.
const flowStatsRoom = 128

// header begins a message.
func (e *encoder) header(typ uint8) {
	e.start = e.Len()
	e.U8(uint8(e.Version))
	e.U8(typ)
	e.U16(0)
	e.U32(e.xid)
}

// finish ends the message that was begun.
func (e *encoder) finish() {
	n := e.Len() - e.start
	if n > MaxLen {
		e.fail(fmt.Errorf("%d bytes do not fit into a message", n))
		return
	}
	e.SetU16(e.start+2, uint16(n))
}

// element writes one element of a list reply; where the message becomes too
// long, the element starts the next part.
func (e *encoder) element(body func()) {
	at := e.Len()
	body()
	if e.Len()-e.start <= MaxLen {
		return
	}
	el := append([]byte(nil), e.B[at:]...)
	e.B = e.B[:at]
	e.B[e.start+11] |= 1 // more follow
	e.finish()
	e.start = e.Len()
	e.Bytes(e.head)
	e.Bytes(el)
}

// whole8 refuses a rest that is not a multiple of 8 bytes, whatever is in it.
func (d *decoder) whole8() {
	if n := d.Len(); n%8 != 0 {
		d.Failf(ofp.BRCBadLen, "%d bytes of elements", n)
	}
}

// elements reads elements until the end, each by read, which must consume
// something or fail.
func (d *decoder) elements(read func()) {
	for d.Len() > 0 {
		n := d.Len()
		read()
		if d.Err() != nil {
			return
		}
		if d.Len() == n {
			d.Failf(ofp.BRCBadLen, "empty element")
		}
	}
}

// sub returns a decoder of the next n bytes; its error must be handed back by join.
func (d *decoder) sub(n int) *decoder {
	return d.with(d.Reader.Sub(n, ofp.BRCBadLen))
}

// with returns a decoder of r.
func (d *decoder) with(r *ofp.Reader) *decoder { return &decoder{r, d.Proto, d.xid, d.inner} }

// join ends a sub decoder.
func (d *decoder) join(s *decoder) {
	if err := s.Close(); err != nil {
		d.Fail(err)
	}
}
