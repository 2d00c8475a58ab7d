// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"encoding/binary"
	"net/netip"
)

// The frames of a Station, from the Ethernet header on without FCS. A tag is
// always there on the way out (IEEE 802.1Q, 9.3); on the way in the caller
// has taken it off.
const (
	ethHeader  = 14
	tagHeader  = 4
	arpPacket  = 28 // RFC 826 for Ethernet and IPv4
	ipv4Header = 20
	icmpHeader = 8

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100

	arpRequest = 1
	arpReply   = 2

	icmpEchoReply = 0
	icmpEcho      = 8
)

type mac [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// arp is an ARP packet for IPv4 over Ethernet.
type arp struct {
	op       uint16
	sha, tha mac
	spa, tpa netip.Addr
}

func parseARP(b []byte) (a arp, ok bool) {
	if len(b) < arpPacket ||
		binary.BigEndian.Uint16(b[0:]) != 1 || binary.BigEndian.Uint16(b[2:]) != typeIPv4 ||
		b[4] != 6 || b[5] != 4 {
		return arp{}, false
	}
	a.op = binary.BigEndian.Uint16(b[6:])
	a.sha = mac(b[8:14])
	a.spa = netip.AddrFrom4([4]byte(b[14:18]))
	a.tha = mac(b[18:24])
	a.tpa = netip.AddrFrom4([4]byte(b[24:28]))
	return a, true
}

// frame returns a tagged frame with room for n bytes of payload.
func frame(dst, src mac, vid, ethType uint16, n int) []byte {
	b := make([]byte, ethHeader+tagHeader+n)
	copy(b[0:], dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], typeVLAN)
	binary.BigEndian.PutUint16(b[14:], vid)
	binary.BigEndian.PutUint16(b[16:], ethType)
	return b
}

func (a arp) frame(dst mac, vid uint16) []byte {
	f := frame(dst, a.sha, vid, typeARP, arpPacket)
	b := f[ethHeader+tagHeader:]
	binary.BigEndian.PutUint16(b[0:], 1)
	binary.BigEndian.PutUint16(b[2:], typeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], a.op)
	copy(b[8:], a.sha[:])
	copy(b[14:], a.spa.AsSlice())
	copy(b[18:], a.tha[:])
	copy(b[24:], a.tpa.AsSlice())
	return f
}

// echo is an ICMP echo request or reply (RFC 792).
type echo struct {
	typ      uint8
	src, dst netip.Addr
	id, seq  uint16
	data     []byte
}

func parseEcho(b []byte) (e echo, ok bool) {
	if len(b) < ipv4Header || b[0]>>4 != 4 {
		return echo{}, false
	}
	hl, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hl < ipv4Header || total < hl+icmpHeader || total > len(b) ||
		binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || b[9] != 1 || sum(b[:hl]) != 0 {
		return echo{}, false
	}
	e.src = netip.AddrFrom4([4]byte(b[12:16]))
	e.dst = netip.AddrFrom4([4]byte(b[16:20]))
	b = b[hl:total]
	if b[1] != 0 || sum(b) != 0 {
		return echo{}, false
	}
	e.typ = b[0]
	e.id = binary.BigEndian.Uint16(b[4:])
	e.seq = binary.BigEndian.Uint16(b[6:])
	e.data = b[8:]
	return e, true
}

func (e echo) frame(dst, src mac, vid uint16) []byte {
	n := ipv4Header + icmpHeader + len(e.data)
	f := frame(dst, src, vid, typeIPv4, n)
	b := f[ethHeader+tagHeader:]
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	b[8], b[9] = 64, 1
	copy(b[12:], e.src.AsSlice())
	copy(b[16:], e.dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], sum(b[:ipv4Header]))
	b = b[ipv4Header:]
	b[0] = e.typ
	binary.BigEndian.PutUint16(b[4:], e.id)
	binary.BigEndian.PutUint16(b[6:], e.seq)
	copy(b[8:], e.data)
	binary.BigEndian.PutUint16(b[2:], sum(b))
	return f
}

// sum returns the Internet checksum of b (RFC 1071).
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
