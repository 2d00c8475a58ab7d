// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"

	"github.com/weirswitch/weir/datapath/flow"
)

// Bounds of the parser; doc.go says what happens at them.
const (
	MaxIPv6Ext   = 6 // the most that RFC 8200, section 4.1 recommends to send
	MaxNDOptions = 8
	MaxMPLS      = 3

	// DefaultMaxVLANs is the number of VLAN tags that are parsed unless
	// configured otherwise, as in Open vSwitch.
	DefaultMaxVLANs = 1
)

// Ethernet types (IEEE 802 numbers).
const (
	TypeIPv4  = 0x0800
	TypeARP   = 0x0806
	TypeRARP  = 0x8035
	TypeVLAN  = 0x8100
	TypeQinQ  = 0x88a8
	TypeIPv6  = 0x86dd
	TypeMPLS  = 0x8847
	TypeMPLSM = 0x8848

	minType = 0x600 // smaller values are 802.3 lengths
)

// IP protocol numbers (IANA).
const (
	ProtoHopByHop = 0
	ProtoICMP     = 1
	ProtoIGMP     = 2
	ProtoTCP      = 6
	ProtoUDP      = 17
	ProtoRouting  = 43
	ProtoFragment = 44
	ProtoAH       = 51
	ProtoICMPv6   = 58
	ProtoDstOpts  = 60
	ProtoSCTP     = 132
)

// Lengths of headers without options, in bytes.
const (
	ethLen  = 14
	vlanLen = 4
	lseLen  = 4
	ip4Len  = 20
	ip6Len  = 40
	arpLen  = 28
	tcpLen  = 20
	udpLen  = 8
	sctpLen = 12
	icmpLen = 8
	ndLen   = 24 // ICMPv6 header and target
)

// Neighbour discovery (RFC 4861, 4.3, 4.4, 4.6.1).
const (
	ndSolicit   = 135
	ndAdvert    = 136
	ndOptSource = 1
	ndOptTarget = 2
)

// Meta is what is known of a packet besides its bytes.
type Meta struct {
	InPort      uint32 // the datapath's number of the port
	Recirc      uint32
	Mark        uint32
	SkbPriority uint32
	DPHash      uint32
}

// NetKind says which network header a frame has.
type NetKind uint8

const (
	NetNone NetKind = iota
	NetMPLS
	NetARP // or RARP
	NetIPv4
	NetIPv6
)

// Layers says where the headers are that a parse found, as byte offsets from
// the start of the frame. An offset of 0 is "none".
type Layers struct {
	Type int // of the two bytes of eth_type
	L3   int // of the header that Net names
	L4   int // of the transport header that Proto names
	End  int // where the IP payload ends, 0 without an IP header
	SLL  int // of the address in a neighbour discovery option
	TLL  int

	Net    NetKind
	Proto  uint8 // meaningful if L4 is not 0
	Frag   uint8 // as in FieldIPFrag
	VLANs  uint8 // tags taken
	MPLS   uint8 // label stack entries taken
	Routed bool  // an IPv6 routing header with segments left was stepped over
	ND     bool  // the ND fields were parsed
}

// Parse reads the frame d into k and l, both overwritten, as doc.go states.
// maxVLANs is 1 or 2. It reports false, and gives zero values, for a frame of
// less than 14 bytes.
func Parse(d []byte, m *Meta, maxVLANs int, k *flow.Key, l *Layers) bool {
	*k = flow.Key{}
	*l = Layers{}
	if len(d) < ethLen {
		return false
	}
	k.SetU64(flow.FieldInPort, uint64(m.InPort))
	if m.Recirc|m.Mark|m.SkbPriority|m.DPHash != 0 {
		k.SetU64(flow.FieldRecircID, uint64(m.Recirc))
		k.SetU64(flow.FieldPktMark, uint64(m.Mark))
		k.SetU64(flow.FieldSkbPriority, uint64(m.SkbPriority))
		k.SetU64(flow.FieldDPHash, uint64(m.DPHash))
	}
	k.SetU64(flow.FieldEthDst, mac(d))
	k.SetU64(flow.FieldEthSrc, mac(d[6:]))

	typ, at := parseVLANs(d, maxVLANs, k, l)
	if typ < minType {
		if s := d[at:]; len(s) >= 8 && s[0] == 0xaa && s[1] == 0xaa && s[2] == 3 &&
			s[3]|s[4]|s[5] == 0 && be16(s[6:]) >= minType {
			typ, at = be16(s[6:]), at+8
		} else {
			typ = flow.EthTypeNone
		}
	}
	l.Type = at - 2
	k.SetU64(flow.FieldEthType, uint64(typ))

	parseNet(d, typ, at, k, l)
	return true
}

// parseNet reads what follows an eth_type of typ at at.
func parseNet(d []byte, typ uint16, at int, k *flow.Key, l *Layers) {
	switch typ {
	case TypeIPv4:
		parseIPv4(d, at, k, l)
	case TypeIPv6:
		parseIPv6(d, at, k, l)
	case TypeARP, TypeRARP:
		parseARP(d, at, k, l)
	case TypeMPLS, TypeMPLSM:
		parseMPLS(d, at, k, l)
	}
}

// parseVLANs takes the tags and returns the type behind them and the offset
// behind that type.
func parseVLANs(d []byte, maxVLANs int, k *flow.Key, l *Layers) (typ uint16, at int) {
	typ, at = be16(d[12:]), ethLen
	for isVLAN(typ) && int(l.VLANs) < maxVLANs && l.VLANs < 2 && len(d)-at >= vlanLen {
		tci := uint64(be16(d[at:]) | flow.VLANPresent)
		if l.VLANs == 0 {
			k.SetU64(flow.FieldVLANTPID, uint64(typ))
			k.SetU64(flow.FieldVLANTCI, tci)
		} else {
			k.SetU64(flow.FieldCVLANTPID, uint64(typ))
			k.SetU64(flow.FieldCVLANTCI, tci)
		}
		l.VLANs++
		typ, at = be16(d[at+2:]), at+vlanLen
	}
	return typ, at
}

func isVLAN(typ uint16) bool { return typ == TypeVLAN || typ == TypeQinQ }

func parseMPLS(d []byte, at int, k *flow.Key, l *Layers) {
	for n := 0; n < MaxMPLS && len(d)-at >= 4; n++ {
		lse := be32(d[at:])
		switch n {
		case 0:
			l.Net, l.L3 = NetMPLS, at
			k.SetU64(flow.FieldMPLS0, uint64(lse))
		case 1:
			k.SetU64(flow.FieldMPLS1, uint64(lse))
		case 2:
			k.SetU64(flow.FieldMPLS2, uint64(lse))
		}
		l.MPLS++
		at += 4
		if lse&0x100 != 0 {
			return
		}
	}
}

// parseARP reads an ARP or RARP packet (RFC 826, RFC 903):
//
//	0 htype 2 ptype 4 hlen 5 plen 6 op 8 sha 14 spa 18 tha 24 tpa 28
func parseARP(d []byte, at int, k *flow.Key, l *Layers) {
	if len(d)-at < arpLen {
		return
	}
	p := d[at : at+arpLen]
	if be32(p) != 1<<16|TypeIPv4 || p[4] != 6 || p[5] != 4 {
		return
	}
	l.Net, l.L3 = NetARP, at
	if op := be16(p[6:]); op <= 255 {
		k.SetU64(flow.FieldARPOp, uint64(op))
	}
	k.SetU64(flow.FieldARPSHA, mac(p[8:]))
	k.SetU64(flow.FieldARPSPA, uint64(be32(p[14:])))
	k.SetU64(flow.FieldARPTHA, mac(p[18:]))
	k.SetU64(flow.FieldARPTPA, uint64(be32(p[24:])))
}

// parseIPv4 reads an IPv4 header (RFC 791, 3.1):
//
//	0 version, IHL 1 TOS 2 total length 4 id 6 flags, offset 8 TTL 9 protocol
//	10 checksum 12 source 16 destination 20 options
func parseIPv4(d []byte, at int, k *flow.Key, l *Layers) {
	if len(d)-at < ip4Len {
		return
	}
	p := d[at:]
	ihl, total := int(p[0]&15)*4, int(be16(p[2:]))
	if ihl < ip4Len || total < ihl || total > len(p) {
		return
	}
	l.Net, l.L3, l.End = NetIPv4, at, at+total
	k.SetU64(flow.FieldIPSrc, uint64(be32(p[12:])))
	k.SetU64(flow.FieldIPDst, uint64(be32(p[16:])))
	k.SetU64(flow.FieldIPTOS, uint64(p[1]))
	k.SetU64(flow.FieldIPTTL, uint64(p[8]))
	k.SetU64(flow.FieldIPProto, uint64(p[9]))
	if off := be16(p[6:]); off&0x3fff != 0 {
		l.Frag = flow.FragAny
		if off&0x1fff != 0 {
			l.Frag |= flow.FragLater
		}
		k.SetU64(flow.FieldIPFrag, uint64(l.Frag))
		if l.Frag&flow.FragLater != 0 {
			return
		}
	}
	parseL4(d[:l.End], at+ihl, p[9], k, l)
}

// parseIPv6 reads an IPv6 header (RFC 8200, 3) and its extension headers:
//
//	0 version, traffic class, flow label 4 payload length 6 next header
//	7 hop limit 8 source 24 destination
func parseIPv6(d []byte, at int, k *flow.Key, l *Layers) {
	if len(d)-at < ip6Len {
		return
	}
	p := d[at:]
	plen := int(be16(p[4:]))
	if plen > len(p)-ip6Len {
		return
	}
	l.Net, l.L3, l.End = NetIPv6, at, at+ip6Len+plen
	first := be32(p)
	k.Set(flow.FieldIPv6Src, u128(p[8:]))
	k.Set(flow.FieldIPv6Dst, u128(p[24:]))
	k.SetU64(flow.FieldIPv6Label, uint64(first&0xfffff))
	k.SetU64(flow.FieldIPTOS, uint64(first>>20&0xff))
	k.SetU64(flow.FieldIPTTL, uint64(p[7]))
	proto, at, ok := stepIPv6(d[:l.End], at+ip6Len, p[6], l)
	k.SetU64(flow.FieldIPProto, uint64(proto))
	k.SetU64(flow.FieldIPFrag, uint64(l.Frag))
	if ok {
		parseL4(d[:l.End], at, proto, k, l)
	}
}

// stepIPv6 steps over extension headers from at on, the first of which has
// type proto. It returns the type and the offset of the first header that it
// did not step over, and whether that is a payload.
func stepIPv6(d []byte, at int, proto uint8, l *Layers) (uint8, int, bool) {
	for n := 0; ; n++ {
		switch proto {
		case ProtoHopByHop, ProtoRouting, ProtoDstOpts, ProtoAH, ProtoFragment:
		default:
			return proto, at, true
		}
		if n == MaxIPv6Ext || len(d)-at < 8 {
			return proto, at, false
		}
		h := d[at:]
		size := (int(h[1]) + 1) * 8
		switch proto {
		case ProtoFragment:
			size = 8
			if off := be16(h[2:]); off&0xfff9 != 0 {
				l.Frag = flow.FragAny
				if off&0xfff8 != 0 {
					l.Frag |= flow.FragLater
					return ProtoFragment, at, false
				}
			}
		case ProtoAH:
			size = (int(h[1]) + 2) * 4
		}
		if size > len(h) {
			return proto, at, false
		}
		if proto == ProtoRouting && h[3] != 0 {
			l.Routed = true
		}
		proto, at = h[0], at+size
	}
}

// parseL4 reads the transport header at at; d ends where the IP payload ends.
func parseL4(d []byte, at int, proto uint8, k *flow.Key, l *Layers) {
	p := d[at:]
	need := icmpLen
	switch proto {
	case ProtoTCP:
		need = tcpLen
	case ProtoUDP:
		need = udpLen
	case ProtoSCTP:
		need = sctpLen
	case ProtoIGMP:
	case ProtoICMP:
		if l.Net != NetIPv4 {
			return
		}
	case ProtoICMPv6:
		if l.Net != NetIPv6 {
			return
		}
	default:
		return
	}
	if len(p) < need {
		return
	}
	switch proto {
	case ProtoTCP:
		if doff := int(p[12]>>4) * 4; doff < tcpLen || doff > len(p) {
			return
		}
		k.SetU64(flow.FieldTCPFlags, uint64(be16(p[12:])&0xfff))
		fallthrough
	case ProtoUDP, ProtoSCTP:
		k.SetU64(flow.FieldTPSrc, uint64(be16(p)))
		k.SetU64(flow.FieldTPDst, uint64(be16(p[2:])))
	default:
		k.SetU64(flow.FieldTPSrc, uint64(p[0]))
		k.SetU64(flow.FieldTPDst, uint64(p[1]))
		if proto == ProtoICMPv6 && (p[0] == ndSolicit || p[0] == ndAdvert) && p[1] == 0 {
			parseND(p, at, k, l)
		}
	}
	l.L4, l.Proto = at, proto
}

// parseND reads a neighbour solicitation or advertisement, p, which lies at at
// in the frame.
func parseND(p []byte, at int, k *flow.Key, l *Layers) {
	if len(p) < ndLen {
		return
	}
	var sll, tll, first int
	for o, n := ndLen, 0; len(p)-o >= 8; n++ {
		typ, size := p[o], int(p[o+1])*8
		if n == MaxNDOptions {
			return
		}
		if size == 0 || size > len(p)-o {
			break
		}
		if size == 8 && (typ == ndOptSource || typ == ndOptTarget) {
			seen := &sll
			if typ == ndOptTarget {
				seen = &tll
			}
			if *seen != 0 {
				return
			}
			*seen = o + 2
			if first == 0 {
				first = o
			}
		}
		o += size
	}
	l.ND = true
	k.SetU64(flow.FieldNDReserved, uint64(be32(p[4:])))
	k.Set(flow.FieldNDTarget, u128(p[8:]))
	if first != 0 {
		k.SetU64(flow.FieldNDOptionsType, uint64(p[first]))
	}
	if sll != 0 {
		l.SLL = at + sll
		k.SetU64(flow.FieldNDSLL, mac(p[sll:]))
	}
	if tll != 0 {
		l.TLL = at + tll
		k.SetU64(flow.FieldNDTLL, mac(p[tll:]))
	}
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// mac returns the first 6 bytes of b, in the low 48 bits.
func mac(b []byte) uint64 {
	_ = b[5]
	return uint64(be16(b))<<32 | uint64(be32(b[2:]))
}

func u128(b []byte) flow.U128 {
	return flow.U128{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}
