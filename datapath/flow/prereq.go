// SPDX-License-Identifier: Apache-2.0

package flow

// Prereq is a condition on a match under which a field exists in the packets
// that match (OpenFlow 1.3, 7.2.3.8; ovs-fields(7), "Prerequisites").
type Prereq uint8

// The prerequisites.
const (
	PrereqNone Prereq = iota
	PrereqVLAN        // a VLAN tag
	PrereqIPv4        // eth_type=0x800
	PrereqIPv6        // eth_type=0x86dd
	PrereqIP          // one of the two
	PrereqARP         // eth_type=0x806 or 0x8035
	PrereqMPLS        // eth_type=0x8847 or 0x8848
	PrereqTCP         // and below: one of the IPs, with nw_proto; for ports not a later fragment
	PrereqUDP
	PrereqSCTP
	PrereqTransport // TCP, UDP or SCTP
	PrereqICMPv4
	PrereqICMPv6
	PrereqND        // neighbour solicitation or advertisement
	PrereqNDSolicit // ICMPv6 type 135, code 0 or any
	PrereqNDAdvert  // ICMPv6 type 136, code 0 or any
	PrereqCT        // a tracked, valid connection (see ctValid) of one of the IPs
)

// Ethernet types and IP protocols that prerequisites name.
const (
	EthTypeIPv4  = 0x0800
	EthTypeARP   = 0x0806
	EthTypeRARP  = 0x8035
	EthTypeVLAN  = 0x8100
	EthTypeIPv6  = 0x86dd
	EthTypeMPLS  = 0x8847
	EthTypeMPLSM = 0x8848

	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132

	ICMPv6NDSolicit = 135
	ICMPv6NDAdvert  = 136
)

var prereqs = [NumFields]Prereq{
	FieldVLANPCP:       PrereqVLAN,
	FieldMPLSLabel:     PrereqMPLS,
	FieldMPLSTC:        PrereqMPLS,
	FieldMPLSBOS:       PrereqMPLS,
	FieldMPLSTTL:       PrereqMPLS,
	FieldMPLS0:         PrereqMPLS,
	FieldMPLS1:         PrereqMPLS,
	FieldMPLS2:         PrereqMPLS,
	FieldIPSrc:         PrereqIPv4,
	FieldIPDst:         PrereqIPv4,
	FieldARPSPA:        PrereqARP,
	FieldARPTPA:        PrereqARP,
	FieldARPOp:         PrereqARP,
	FieldARPSHA:        PrereqARP,
	FieldARPTHA:        PrereqARP,
	FieldIPv6Src:       PrereqIPv6,
	FieldIPv6Dst:       PrereqIPv6,
	FieldIPv6Label:     PrereqIPv6,
	FieldIPProto:       PrereqIP,
	FieldIPTOS:         PrereqIP,
	FieldIPDSCP:        PrereqIP,
	FieldIPECN:         PrereqIP,
	FieldIPTTL:         PrereqIP,
	FieldIPFrag:        PrereqIP,
	FieldNDSLL:         PrereqNDSolicit,
	FieldNDTLL:         PrereqNDAdvert,
	FieldNDTarget:      PrereqND,
	FieldNDReserved:    PrereqND,
	FieldNDOptionsType: PrereqND,
	FieldTPSrc:         PrereqTransport,
	FieldTPDst:         PrereqTransport,
	FieldTCPSrc:        PrereqTCP,
	FieldTCPDst:        PrereqTCP,
	FieldTCPFlags:      PrereqTCP,
	FieldUDPSrc:        PrereqUDP,
	FieldUDPDst:        PrereqUDP,
	FieldSCTPSrc:       PrereqSCTP,
	FieldSCTPDst:       PrereqSCTP,
	FieldICMPType:      PrereqICMPv4,
	FieldICMPCode:      PrereqICMPv4,
	FieldICMPv6Type:    PrereqICMPv6,
	FieldICMPv6Code:    PrereqICMPv6,
	FieldCTNwProto:     PrereqCT,
	FieldCTNwSrc:       PrereqCT,
	FieldCTNwDst:       PrereqCT,
	FieldCTIPv6Src:     PrereqCT,
	FieldCTIPv6Dst:     PrereqCT,
	FieldCTTPSrc:       PrereqCT,
	FieldCTTPDst:       PrereqCT,
}

// Prereq returns the condition under which f exists.
func (f Field) Prereq() Prereq {
	if f >= NumFields {
		return PrereqNone
	}
	return prereqs[f]
}

// Exact reports whether every bit of f counts in m.
func (m *Match) Exact(f Field) bool { return m.Mask.Get(f) == Ones(f.Bits()) }

func (m *Match) exactly(f Field, v uint64) bool { return m.Exact(f) && m.Key.U64(f) == v }

// Met reports whether every packet that matches m meets p.
func (p Prereq) Met(m *Match) bool {
	ip4 := m.exactly(FieldEthType, EthTypeIPv4)
	ip6 := m.exactly(FieldEthType, EthTypeIPv6)
	// Of a later fragment, which has no transport header, the stock switch takes ICMP's
	// type and code to be there all the same; they are 0 in its key.
	icmp := func(n uint64) bool { return (ip4 || ip6) && m.exactly(FieldIPProto, n) }
	proto := func(n uint64) bool { return icmp(n) && m.Key.U64(FieldIPFrag)&FragLater == 0 }
	icmp6 := func(typ uint64) bool {
		return ip6 && icmp(ProtoICMPv6) && m.exactly(FieldICMPv6Type, typ) && m.Key.U64(FieldICMPv6Code) == 0
	}
	switch p {
	case PrereqNone:
		return true
	case PrereqVLAN:
		return m.Key.VLANTCI()&VLANPresent != 0
	case PrereqIPv4:
		return ip4
	case PrereqIPv6:
		return ip6
	case PrereqIP:
		return ip4 || ip6
	case PrereqARP:
		return m.exactly(FieldEthType, EthTypeARP) || m.exactly(FieldEthType, EthTypeRARP)
	case PrereqMPLS:
		return m.exactly(FieldEthType, EthTypeMPLS) || m.exactly(FieldEthType, EthTypeMPLSM)
	case PrereqTCP:
		return proto(ProtoTCP)
	case PrereqUDP:
		return proto(ProtoUDP)
	case PrereqSCTP:
		return proto(ProtoSCTP)
	case PrereqTransport:
		return proto(ProtoTCP) || proto(ProtoUDP) || proto(ProtoSCTP)
	case PrereqICMPv4:
		return ip4 && icmp(ProtoICMP)
	case PrereqICMPv6:
		return ip6 && icmp(ProtoICMPv6)
	case PrereqND:
		return icmp6(ICMPv6NDSolicit) || icmp6(ICMPv6NDAdvert)
	case PrereqNDSolicit:
		return icmp6(ICMPv6NDSolicit)
	case PrereqNDAdvert:
		return icmp6(ICMPv6NDAdvert)
	case PrereqCT:
		return m.ctValid() && (ip4 || ip6)
	}
	return false
}

// ctValid reports whether every packet that matches m belongs to a connection:
// a bit of ct_state says so that only those have, or tracked and not invalid.
func (m *Match) ctValid() bool {
	s, mask := m.Key.U64(FieldCTState), m.Mask.Get(FieldCTState).Lo
	return s&(CTNew|CTEstablished|CTRelated|CTReply|CTSNAT|CTDNAT) != 0 ||
		s&CTTracked != 0 && mask&CTInvalid != 0 && s&CTInvalid == 0
}

// Has reports whether f exists in every packet that matches m. For the
// fields of a connection's tuple the family of addresses counts too.
func (m *Match) Has(f Field) bool {
	if !f.Prereq().Met(m) {
		return false
	}
	switch f {
	case FieldCTNwSrc, FieldCTNwDst:
		return m.Key.EthType() == EthTypeIPv4
	case FieldCTIPv6Src, FieldCTIPv6Dst:
		return m.Key.EthType() == EthTypeIPv6
	}
	return true
}

// Bits of FieldCTState (ovs-fields(7), ct_state).
const (
	CTNew         = 1 << 0
	CTEstablished = 1 << 1
	CTRelated     = 1 << 2
	CTReply       = 1 << 3
	CTInvalid     = 1 << 4
	CTTracked     = 1 << 5
	CTSNAT        = 1 << 6
	CTDNAT        = 1 << 7
)
