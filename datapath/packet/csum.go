// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// castagnoli is the table of SCTP's CRC32c (RFC 9260, appendix A).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum adds the 16-bit words of b (a last odd byte is the high half of a word)
// to the folded one's complement sum init and returns the folded sum (RFC 1071).
func Sum(b []byte, init uint16) uint16 {
	var s, c uint64
	s = uint64(init)
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s += c // cannot carry again: s was at most 2^64-2 then
		b = b[8:]
	}
	s = s>>32 + s&0xffffffff
	for len(b) >= 2 {
		s += uint64(be16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return fold(s)
}

// fold adds the 16-bit words of s with end-around carry.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}

// delta returns what a folded sum rises by when words that sum to before are
// replaced by ones that sum to after.
func delta(before, after uint16) uint16 { return fold(uint64(^before) + uint64(after)) }

// adjust applies delta d to a checksum field as it is on the wire (RFC 1624,
// equation 3: HC' = ~(~HC + ~m + m')).
func adjust(hc, d uint16) uint16 { return ^fold(uint64(^hc) + uint64(d)) }

// pseudo returns the folded sum of the pseudo header of d's transport
// header (RFC 793, 3.1; RFC 8200, 8.1), whose length field is n. For ICMP
// it is 0.
func pseudo(d []byte, l *Layers, n int) uint16 {
	switch {
	case l.Proto == ProtoICMP || l.Proto == ProtoIGMP:
		return 0
	case l.Net == NetIPv4:
		s := Sum(d[l.L3+12:l.L3+20], 0)
		return fold(uint64(s) + uint64(l.Proto) + uint64(n))
	case l.Net == NetIPv6:
		s := Sum(d[l.L3+8:l.L3+ip6Len], 0)
		return fold(uint64(s) + uint64(l.Proto) + uint64(n>>16) + uint64(n&0xffff))
	}
	return 0
}

// csumAt returns the offset in the frame of the 16-bit checksum of the
// transport header, 0 if it has none.
func csumAt(l *Layers) int {
	if l.L4 == 0 {
		return 0
	}
	switch l.Proto {
	case ProtoTCP:
		return l.L4 + 16
	case ProtoUDP:
		return l.L4 + 6
	case ProtoICMP, ProtoICMPv6, ProtoIGMP:
		return l.L4 + 2
	}
	return 0
}

// CsumAt returns where the checksum of the transport header is, relative to
// that header: 16 for TCP, 6 for UDP, 2 for ICMP; false if there is none of 16
// bits.
func (l *Layers) CsumAt() (int, bool) {
	at := csumAt(l)
	return at - l.L4, at != 0
}

// LooksPartial reports whether the transport checksum of frame d holds just the
// folded sum of the pseudo header, as a sender leaves it that wants the device
// to finish it. A finished checksum has that value once in 65,536 times;
// finishing it again gives the same packet if it was right.
func LooksPartial(d []byte, l *Layers) bool {
	if l.Frag != 0 || l.Proto != ProtoTCP && l.Proto != ProtoUDP {
		return false
	}
	at := csumAt(l)
	return at != 0 && be16(d[at:]) == pseudo(d, l, l.End-l.L4)
}

// CompleteCsum finishes a partial checksum: the field at start+off holds the
// sum of a pseudo header or 0, the sum runs from start to end. A computed 0
// becomes 0xffff if udp. It reports false, and does nothing, if the field is
// not in the frame.
func CompleteCsum(d []byte, start, off, end int, udp bool) bool {
	if start < 0 || off < 0 || end > len(d) || start+off+2 > end {
		return false
	}
	c := ^Sum(d[start:end], 0)
	if c == 0 && udp {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(d[start+off:], c)
	return true
}

// CompleteSCTP writes the CRC32c of the SCTP packet d[start:end]. It reports
// false if that is shorter than a header.
func CompleteSCTP(d []byte, start, end int) bool {
	if start < 0 || end > len(d) || end-start < sctpLen {
		return false
	}
	p := d[start:end]
	binary.LittleEndian.PutUint32(p[8:], 0)
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, castagnoli))
	return true
}

// L4Valid reports whether the transport checksum of d is right. A UDP checksum
// of 0 is. A packet without a checksum that can be verified (no such header, a
// fragment) counts as right. The sum of a packet under way along a routing
// header cannot be verified either.
func L4Valid(d []byte, l *Layers) bool {
	if l.L4 == 0 || l.Frag != 0 || l.Routed {
		return true
	}
	if l.Proto == ProtoSCTP {
		p := d[l.L4:l.End]
		var zero [4]byte
		c := crc32.Update(crc32.Checksum(p[:8], castagnoli), castagnoli, zero[:])
		c = crc32.Update(c, castagnoli, p[12:])
		return binary.LittleEndian.Uint32(p[8:]) == c
	}
	if l.Proto == ProtoUDP && be16(d[l.L4+6:]) == 0 {
		return true
	}
	return Sum(d[l.L4:l.End], pseudo(d, l, l.End-l.L4)) == 0xffff
}

// IPv4Valid reports whether the checksum of the IPv4 header is right; true if
// there is none.
func IPv4Valid(d []byte, l *Layers) bool {
	if l.Net != NetIPv4 {
		return true
	}
	return Sum(d[l.L3:l.L3+int(d[l.L3]&15)*4], 0) == 0xffff
}

// StartCsum undoes a transport checksum: the field gets the folded sum of the
// pseudo header, as a device that finishes it wants it. It does nothing without
// such a header.
func StartCsum(d []byte, l *Layers) {
	if at := csumAt(l); at != 0 {
		binary.BigEndian.PutUint16(d[at:], pseudo(d, l, l.End-l.L4))
	}
}
