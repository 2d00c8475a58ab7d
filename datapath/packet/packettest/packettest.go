// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/weirswitch/weir/datapath/packet"
)

// Gen generates frames. It is for one goroutine.
type Gen struct {
	r *rand.Rand
	// Hostile is the share of frames, in percent, that are damaged on purpose.
	Hostile int
	// MaxPayload is the largest transport payload in bytes.
	MaxPayload int
	// MinLen pads shorter frames with random bytes.
	MinLen int
}

// New returns a generator with the usual shares: a fifth hostile, payloads up to
// 100 bytes.
func New(seed uint64) *Gen {
	return &Gen{r: rand.New(rand.NewPCG(seed, 0x77656972)), Hostile: 20, MaxPayload: 100}
}

// Rand gives access to the generator's source of randomness.
func (g *Gen) Rand() *rand.Rand { return g.r }

func (g *Gen) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *Gen, s ...T) T { return s[g.r.IntN(len(s))] }

func (g *Gen) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.r.Uint32())
	}
	return b
}

// Next returns a frame of 14 bytes or more.
func (g *Gen) Next() []byte {
	b := g.frame()
	if g.chance(g.Hostile) {
		b = g.damage(b)
	}
	for len(b) < g.MinLen {
		b = append(b, byte(g.r.Uint32()))
	}
	return b
}

// Meta returns metadata as a datapath might have: a port from 1 to ports, and
// now and then a mark.
func (g *Gen) Meta(ports int) packet.Meta {
	m := packet.Meta{InPort: uint32(1 + g.r.IntN(ports))}
	if g.chance(10) {
		m.Mark = g.r.Uint32()
	}
	return m
}

// damage changes a frame so that something in it is not true any more.
func (g *Gen) damage(b []byte) []byte {
	switch g.r.IntN(4) {
	case 0: // cut off
		return b[:14+g.r.IntN(len(b)-13)]
	case 1: // a byte behind the addresses
		if len(b) > 12 {
			b[12+g.r.IntN(len(b)-12)] = byte(g.r.Uint32())
		}
	case 2: // a byte of the headers to an edge value
		n := min(len(b), 74) - 12
		b[12+g.r.IntN(n)] = pick[byte](g, 0, 1, 0x7f, 0x80, 0xff)
	case 3: // padding or trailing bytes
		b = append(b, g.bytes(1+g.r.IntN(64))...)
	}
	return b
}

func (g *Gen) mac() []byte {
	m := []byte{0x02, 0, 0, 0, 0, byte(1 + g.r.IntN(4))}
	if g.chance(10) {
		copy(m, pick(g, []byte("\xff\xff\xff\xff\xff\xff"), []byte("\x01\x00\x5e\x00\x00\x01"), []byte("\x33\x33\x00\x00\x00\x01"), []byte("\x01\x80\xc2\x00\x00\x00")))
	}
	return m
}

func (g *Gen) frame() []byte {
	b := append(g.mac(), g.mac()...)
	b[6] &^= 1
	be := binary.BigEndian
	for n := pick(g, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3); n > 0; n-- {
		b = be.AppendUint16(b, pick[uint16](g, packet.TypeVLAN, packet.TypeVLAN, packet.TypeQinQ))
		b = be.AppendUint16(b, pick[uint16](g, 0, 10, 20, 4095)|uint16(g.r.IntN(16))<<12)
	}
	typ, p := g.network()
	if g.chance(5) { // 802.3 with LLC and SNAP
		h := []byte{0xaa, 0xaa, 3, 0, 0, 0}
		if g.chance(20) {
			h[g.r.IntN(6)]++
		}
		p = append(be.AppendUint16(h, typ), p...)
		typ = uint16(min(len(p), 1500))
	}
	return append(be.AppendUint16(b, typ), p...)
}

// network returns an Ethernet type and its payload.
func (g *Gen) network() (uint16, []byte) {
	switch n := g.r.IntN(100); {
	case n < 45:
		return packet.TypeIPv4, g.ipv4()
	case n < 80:
		return packet.TypeIPv6, g.ipv6()
	case n < 88:
		return pick[uint16](g, packet.TypeARP, packet.TypeARP, packet.TypeARP, packet.TypeRARP), g.arp()
	case n < 94:
		return pick[uint16](g, packet.TypeMPLS, packet.TypeMPLSM), g.mpls()
	case n < 97:
		return uint16(g.r.IntN(0x600)), g.bytes(g.r.IntN(50))
	}
	return uint16(g.r.Uint32()), g.bytes(g.r.IntN(50))
}

func (g *Gen) arp() []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(1 + g.r.IntN(4))}
	if g.chance(5) {
		b[6] = 1
	}
	if g.chance(5) {
		b[g.r.IntN(6)]++
	}
	b = append(append(b, g.mac()...), g.ip4()...)
	b = append(append(b, g.mac()...), g.ip4()...)
	if g.chance(50) {
		b = append(b, make([]byte, 18)...)
	}
	return b
}

func (g *Gen) mpls() []byte {
	var b []byte
	for n := 1 + g.r.IntN(5); n > 0; n-- {
		lse := g.r.Uint32() &^ 0x100
		if n == 1 && g.chance(90) {
			lse |= 0x100
		}
		b = binary.BigEndian.AppendUint32(b, lse)
	}
	return append(b, g.bytes(g.r.IntN(30))...)
}

func (g *Gen) ip4() []byte { return []byte{10, 0, 0, byte(1 + g.r.IntN(4))} }

func (g *Gen) ip6() []byte {
	a := make([]byte, 16)
	a[0], a[1], a[15] = pick[byte](g, 0xfd, 0xfe, 0x20), 0x80, byte(1+g.r.IntN(4))
	return a
}

func (g *Gen) tos() byte { return pick[byte](g, 0, 0, 0x10, 0xb8, 0x03, 0xff) }
func (g *Gen) ttl() byte { return pick[byte](g, 0, 1, 2, 64, 255) }

func (g *Gen) ipv4() []byte {
	be := binary.BigEndian
	var opts []byte
	if g.chance(15) {
		opts = g.bytes(4 * (1 + g.r.IntN(10)))
	}
	src, dst := g.ip4(), g.ip4()
	proto, l4 := g.transport(false, src, dst)
	b := make([]byte, 20, 60+len(l4))
	b[0] = 0x40 | byte(5+len(opts)/4)
	b[1] = g.tos()
	be.PutUint16(b[2:], uint16(20+len(opts)+len(l4)))
	be.PutUint16(b[4:], uint16(g.r.Uint32()))
	be.PutUint16(b[6:], pick[uint16](g, 0, 0, 0x4000, 0x4000, 0x4000, 0x2000, 0x2001, 0x0008, 0x8000, 0x1fff))
	b[8], b[9] = g.ttl(), proto
	copy(b[12:], src)
	copy(b[16:], dst)
	b = append(b, opts...)
	be.PutUint16(b[10:], ^packet.Sum(b, 0))
	return append(b, l4...)
}

func (g *Gen) ipv6() []byte {
	be := binary.BigEndian
	src, dst := g.ip6(), g.ip6()
	proto, l4 := g.transport(true, src, dst)
	first, ext := g.extensions(proto)
	b := make([]byte, 8, 100+len(l4))
	be.PutUint32(b, 6<<28|uint32(g.tos())<<20|pick[uint32](g, 0, 0x12345, 0xfffff))
	be.PutUint16(b[4:], uint16(len(ext)+len(l4)))
	b[6], b[7] = first, g.ttl()
	b = append(append(b, src...), dst...)
	return append(append(b, ext...), l4...)
}

// extensions returns a chain of IPv6 extension headers in front of proto.
func (g *Gen) extensions(proto byte) (first byte, chain []byte) {
	n := 0
	if g.chance(35) {
		n = pick(g, 1, 1, 1, 2, 3, 6, 7, 8)
	}
	next := proto
	for ; n > 0; n-- {
		typ := pick[byte](g, 0, 43, 60, 51, 44, 60)
		var h []byte
		switch typ {
		case 44:
			h = make([]byte, 8)
			h[0] = next
			binary.BigEndian.PutUint16(h[2:], pick[uint16](g, 0, 1, 8, 9, 0xfff8))
			binary.BigEndian.PutUint32(h[4:], g.r.Uint32())
		case 51:
			l := g.r.IntN(4)
			h = g.bytes((l + 2) * 4)
			h[0], h[1] = next, byte(l)
			if len(h) < 8 {
				h = append(h, 0)
			}
		default:
			l := pick(g, 0, 0, 1, 2)
			h = g.bytes((l + 1) * 8)
			h[0], h[1] = next, byte(l)
			h[3] = pick[byte](g, 0, 0, 1)
		}
		chain = append(h, chain...)
		next = typ
	}
	return next, chain
}

// transport returns a protocol number and its packet with a right checksum
// (most of the time).
func (g *Gen) transport(v6 bool, src, dst []byte) (byte, []byte) {
	proto := pick[byte](g, 6, 6, 6, 17, 17, 17, 1, 58, 132, 2, 0, 47, 255)
	if proto == 1 && v6 && g.chance(90) {
		proto = 58
	} else if proto == 58 && !v6 && g.chance(90) {
		proto = 1
	}
	payload := g.bytes(g.r.IntN(g.MaxPayload + 1))
	be := binary.BigEndian
	var b []byte
	sum := -1
	port := func() uint16 { return pick[uint16](g, 53, 80, 443, 1000, 40000, 0, 65535) }
	switch proto {
	case 6:
		b = make([]byte, 20)
		be.PutUint16(b, port())
		be.PutUint16(b[2:], port())
		be.PutUint32(b[4:], g.r.Uint32())
		opts := 0
		if g.chance(30) {
			opts = g.r.IntN(11)
		}
		be.PutUint16(b[12:], uint16(5+opts)<<12|pick[uint16](g, 2, 0x10, 0x18, 0x11, 0x14, 0xfff))
		b = append(b, g.bytes(opts*4)...)
		sum = 16
	case 17:
		b = make([]byte, 8)
		be.PutUint16(b, port())
		be.PutUint16(b[2:], port())
		be.PutUint16(b[4:], uint16(8+len(payload)))
		sum = 6
	case 132:
		b = make([]byte, 12)
		be.PutUint16(b, port())
		be.PutUint16(b[2:], port())
		b = append(b, payload...)
		packet.CompleteSCTP(b, 0, len(b))
		return proto, b
	case 1, 2:
		b = []byte{pick[byte](g, 0, 8, 3, 0x11, 0x16), byte(g.r.IntN(3)), 0, 0, 0, 0, 0, 0}
		sum = 2
	case 58:
		b = g.icmp6()
		sum = 2
		if b[0] >= 135 && g.chance(80) {
			payload = nil
		}
	}
	b = append(b, payload...)
	if sum < 0 {
		return proto, b
	}
	var init uint16
	if proto != 1 && proto != 2 {
		ph := append(append([]byte{}, src...), dst...)
		ph = be.AppendUint32(ph, uint32(len(b)))
		ph = append(ph, 0, proto)
		init = packet.Sum(ph, 0)
	}
	if proto == 17 && g.chance(15) {
		return proto, b // no checksum
	}
	be.PutUint16(b[sum:], init)
	packet.CompleteCsum(b, 0, sum, len(b), proto == 17)
	return proto, b
}

func (g *Gen) icmp6() []byte {
	typ := pick[byte](g, 128, 129, 133, 135, 135, 136, 136)
	b := []byte{typ, 0, 0, 0, byte(g.r.IntN(8)) << 5, 0, 0, 0}
	if g.chance(10) {
		b[1] = 1
	}
	if typ < 135 {
		return b
	}
	b = append(b, g.ip6()...)
	n := pick(g, 0, 1, 1, 1, 2, 2, 3, 9)
	typ = pick[byte](g, 1, 2)
	for ; n > 0; n-- {
		o := append([]byte{typ, 1}, g.mac()...)
		if g.chance(10) {
			o = append(o, g.bytes(8)...)
			o[1] = 2
		}
		if g.chance(3) {
			o[1] = pick[byte](g, 0, 3, 255)
		}
		b = append(b, o...)
		typ = pick[byte](g, 3-min(typ, 2), 5, 5, 14)
	}
	return b
}
