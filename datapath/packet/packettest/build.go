// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"encoding/binary"

	"github.com/weirswitch/weir/datapath/packet"
)

// Addr are the hosts of a plain packet: host n has the addresses
// 02:00:00:00:00:n, 10.0.0.n and fd80::n.
type Addr struct{ Src, Dst byte }

// Eth returns a frame without tags.
func Eth(a Addr, typ uint16, payload []byte) []byte {
	b := []byte{2, 0, 0, 0, 0, a.Dst, 2, 0, 0, 0, 0, a.Src}
	return append(binary.BigEndian.AppendUint16(b, typ), payload...)
}

// Tag returns frame with a tag outermost.
func Tag(tpid, tci uint16, frame []byte) []byte {
	b := append([]byte{}, frame[:12]...)
	b = binary.BigEndian.AppendUint16(b, tpid)
	b = binary.BigEndian.AppendUint16(b, tci)
	return append(b, frame[12:]...)
}

// ARP returns a request (op 1) or a reply (op 2).
func ARP(a Addr, op byte) []byte {
	return Eth(a, packet.TypeARP, []byte{
		0, 1, 8, 0, 6, 4, 0, op, 2, 0, 0, 0, 0, a.Src, 10, 0, 0, a.Src, 2, 0, 0, 0, 0, a.Dst, 10, 0, 0, a.Dst,
	})
}

// IPv4 returns a packet whose transport checksum, at sum of l4 (or none if
// negative), is computed.
func IPv4(a Addr, proto byte, l4 []byte, sum int) []byte {
	h := make([]byte, 20, 20+len(l4))
	h[0], h[8], h[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(l4)))
	copy(h[12:], []byte{10, 0, 0, a.Src, 10, 0, 0, a.Dst})
	binary.BigEndian.PutUint16(h[10:], ^packet.Sum(h, 0))
	l4 = append([]byte{}, l4...)
	if sum >= 0 {
		var init uint16
		if proto != packet.ProtoICMP {
			ph := append(append([]byte{}, h[12:20]...), 0, proto, byte(len(l4)>>8), byte(len(l4)))
			init = packet.Sum(ph, 0)
		}
		binary.BigEndian.PutUint16(l4[sum:], init)
		packet.CompleteCsum(l4, 0, sum, len(l4), proto == packet.ProtoUDP)
	}
	return Eth(a, packet.TypeIPv4, append(h, l4...))
}

// IPv6 is IPv4 for IPv6.
func IPv6(a Addr, proto byte, l4 []byte, sum int) []byte {
	h := make([]byte, 40, 40+len(l4))
	h[0], h[6], h[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(l4)))
	h[8], h[9], h[23], h[24], h[25], h[39] = 0xfd, 0x80, a.Src, 0xfd, 0x80, a.Dst
	l4 = append([]byte{}, l4...)
	if sum >= 0 {
		ph := append(append([]byte{}, h[8:40]...), 0, proto, byte(len(l4)>>8), byte(len(l4)))
		binary.BigEndian.PutUint16(l4[sum:], packet.Sum(ph, 0))
		packet.CompleteCsum(l4, 0, sum, len(l4), proto == packet.ProtoUDP)
	}
	return Eth(a, packet.TypeIPv6, append(h, l4...))
}

// TCPHeader returns a TCP packet without checksum.
func TCPHeader(src, dst uint16, flags byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, payload...)
}

// UDPHeader returns a UDP packet without checksum.
func UDPHeader(src, dst uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// TCP returns a TCP packet over IPv4.
func TCP(a Addr, src, dst uint16, flags byte, payload []byte) []byte {
	return IPv4(a, packet.ProtoTCP, TCPHeader(src, dst, flags, payload), 16)
}

// UDP returns a UDP packet over IPv4.
func UDP(a Addr, src, dst uint16, payload []byte) []byte {
	return IPv4(a, packet.ProtoUDP, UDPHeader(src, dst, payload), 6)
}

// ICMP returns an ICMP packet with 8 bytes of header.
func ICMP(a Addr, typ, code byte) []byte {
	return IPv4(a, packet.ProtoICMP, []byte{typ, code, 0, 0, 0, 1, 0, 2, 'p', 'i', 'n', 'g'}, 2)
}

// ND returns a neighbour solicitation (135) with a source link-layer address,
// or an advertisement (136) with a target one.
func ND(a Addr, typ byte) []byte {
	b := append([]byte{typ, 0, 0, 0, 0, 0, 0, 0}, 0xfd, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a.Dst)
	b = append(b, typ-134, 1, 2, 0, 0, 0, 0, a.Src)
	return IPv6(a, packet.ProtoICMPv6, b, 2)
}

// SCTP returns an SCTP packet over IPv4.
func SCTP(a Addr, src, dst uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = append(b, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 4)
	packet.CompleteSCTP(b, 0, len(b))
	return IPv4(a, packet.ProtoSCTP, b, -1)
}

// MPLS returns a packet with labels, of which the last has the bottom of stack
// bit.
func MPLS(a Addr, labels ...uint32) []byte {
	var b []byte
	for i, v := range labels {
		lse := v<<12 | 64
		if i == len(labels)-1 {
			lse |= 0x100
		}
		b = binary.BigEndian.AppendUint32(b, lse)
	}
	return Eth(a, packet.TypeMPLS, append(b, "payload"...))
}
