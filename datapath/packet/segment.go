// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// TCP flags that the segments of a train do not share (RFC 9293, 3.1; RFC 3168,
// 6.1.2).
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// ErrSegment is why a frame cannot be cut into segments.
var ErrSegment = errors.New("neither an unfragmented TCP nor an unfragmented UDP packet")

// Segment cuts the train into the packets that it stands for, with all
// checksums finished, and gives each to emit, in order; the slice is valid
// until emit returns. A frame that is no train goes to emit as it is, with its
// checksum finished. The frame must have been parsed. IPv4 identifications
// count up from the train's.
func (f *Frame) Segment(emit func([]byte)) error {
	l, d, size := &f.layers, f.Data(), int(f.gso.Size)
	if size == 0 {
		f.FinishCsum()
		emit(d)
		return nil
	}
	hdr := l.L4
	switch {
	case l.L4 == 0 || l.Frag != 0:
		return fmt.Errorf("segment %d bytes: %w", len(d), ErrSegment)
	case l.Proto == ProtoTCP:
		hdr += int(d[l.L4+12]>>4) * 4
	case l.Proto == ProtoUDP:
		hdr += udpLen
	default:
		return fmt.Errorf("segment %d bytes: %w", len(d), ErrSegment)
	}
	payload := d[hdr:l.End]
	out := make([]byte, hdr+min(size, len(payload)))
	for i := 0; i == 0 || i*size < len(payload); i++ {
		part := payload[i*size : min((i+1)*size, len(payload))]
		b := out[:hdr+len(part)]
		copy(b, d[:hdr])
		copy(b[hdr:], part)
		last := (i+1)*size >= len(payload)
		f.fixSegment(b, i, size, last)
		emit(b)
	}
	return nil
}

// Split is Segment with frames, which are parsed as f is and can be changed.
func (f *Frame) Split(emit func(*Frame)) error {
	l := f.layers
	return f.Segment(func(b []byte) {
		s := Frame{buf: make([]byte, Headroom+len(b)), start: Headroom, layers: l}
		copy(s.buf[Headroom:], b)
		if f.gso.Size != 0 {
			s.layers.End = len(b)
		}
		emit(&s)
	})
}

// fixSegment makes b, which has the headers of the train, its segment number i.
func (f *Frame) fixSegment(b []byte, i, size int, last bool) {
	l := f.layers
	l.End = len(b)
	be := binary.BigEndian
	if l.Net == NetIPv4 {
		p := b[l.L3:l.L4]
		was := Sum(p[2:6], 0)
		be.PutUint16(p[2:], uint16(len(b)-l.L3))
		be.PutUint16(p[4:], be.Uint16(p[4:])+uint16(i))
		be.PutUint16(p[10:], adjust(be.Uint16(p[10:]), delta(was, Sum(p[2:6], 0))))
	} else {
		be.PutUint16(b[l.L3+4:], uint16(len(b)-l.L3-ip6Len))
	}
	t := b[l.L4:]
	if l.Proto == ProtoTCP {
		be.PutUint32(t[4:], be.Uint32(t[4:])+uint32(i*size))
		if !last {
			t[13] &^= tcpFIN | tcpPSH
		}
		if i > 0 {
			t[13] &^= tcpCWR
		}
	} else {
		be.PutUint16(t[4:], uint16(len(t)))
		if be.Uint16(t[6:]) == 0 && !f.gso.NeedsCsum {
			return
		}
	}
	at := csumAt(&l)
	be.PutUint16(b[at:], f.pseudoSum(b, &l))
	CompleteCsum(b, l.L4, at-l.L4, len(b), l.Proto == ProtoUDP)
}

// pseudoSum is the sum of the pseudo header of segment b. The destination of a
// packet with a routing header is not in its IP header, but the train's
// partial checksum knows it.
func (f *Frame) pseudoSum(b []byte, l *Layers) uint16 {
	n := len(b) - l.L4
	if !l.Routed || !f.gso.NeedsCsum {
		return pseudo(b, l, n)
	}
	train := f.layers.End - f.layers.L4
	s := be16(f.Data()[csumAt(&f.layers):])
	s = fold(uint64(s) + uint64(delta(uint16(train), uint16(n))))
	return s
}
