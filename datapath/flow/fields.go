// SPDX-License-Identifier: Apache-2.0

package flow

// Field names one field of a Key. The zero Field is no field.
type Field uint8

// The fields. The names are those of the OpenFlow and Open vSwitch matching
// languages; Info gives the bits, the place in the Key and the properties.
const (
	FieldNone Field = iota

	// Metadata stage.
	FieldInPort
	FieldRecircID
	FieldMetadata
	FieldReg0
	FieldReg1
	FieldReg2
	FieldReg3
	FieldReg4
	FieldReg5
	FieldReg6
	FieldReg7
	FieldReg8
	FieldReg9
	FieldReg10
	FieldReg11
	FieldReg12
	FieldReg13
	FieldReg14
	FieldReg15
	FieldXReg0
	FieldXReg1
	FieldXReg2
	FieldXReg3
	FieldXReg4
	FieldXReg5
	FieldXReg6
	FieldXReg7
	FieldXXReg0
	FieldXXReg1
	FieldXXReg2
	FieldXXReg3
	FieldPktMark
	FieldDPHash
	FieldSkbPriority
	FieldConjID
	FieldCTState
	FieldCTMark
	FieldCTLabel
	FieldActsetOutput
	FieldCTZone
	FieldCTNwProto
	FieldTunID
	FieldTunSrc
	FieldTunDst
	FieldTunIPv6Src
	FieldTunIPv6Dst
	FieldTunTOS
	FieldTunTTL
	FieldTunFlags
	FieldTunGBPID
	FieldTunGBPFlags

	// Ethernet stage.
	FieldEthDst
	FieldEthType
	FieldEthSrc
	FieldVLANTCI
	FieldVLANVID // 13 bits: the present bit and the 12 of the VID, as OXM has it
	FieldDLVLAN  // the 12 bits of the VID alone
	FieldVLANPCP
	FieldVLANTPID
	FieldCVLANTCI
	FieldCVLANTPID
	FieldMPLS0 // a whole label stack entry
	FieldMPLSLabel
	FieldMPLSTC
	FieldMPLSBOS
	FieldMPLSTTL
	FieldMPLS1
	FieldMPLS2
	FieldPacketType

	// Network stage.
	FieldIPSrc
	FieldIPDst
	FieldARPSPA // = ip_src
	FieldARPTPA // = ip_dst
	FieldIPv6Src
	FieldIPv6Dst
	FieldIPv6Label
	FieldIPProto
	FieldARPOp // = ip_proto
	FieldIPTOS // the whole byte
	FieldIPDSCP
	FieldIPECN
	FieldIPTTL
	FieldIPFrag
	FieldARPSHA
	FieldARPTHA
	FieldNDSLL // = arp_sha
	FieldNDTLL // = arp_tha
	FieldNDTarget
	FieldNDOptionsType

	// Transport stage.
	FieldTPSrc // TCP, UDP or SCTP source port, ICMP type
	FieldTPDst // TCP, UDP or SCTP destination port, ICMP code
	// The same bits by the names of one protocol: actions name these, so that
	// their wire form is known without the flow's match.
	FieldTCPSrc
	FieldTCPDst
	FieldUDPSrc
	FieldUDPDst
	FieldSCTPSrc
	FieldSCTPDst
	FieldICMPType
	FieldICMPCode
	FieldICMPv6Type
	FieldICMPv6Code
	FieldTCPFlags
	FieldNDReserved
	FieldCTNwSrc
	FieldCTNwDst
	FieldCTIPv6Src
	FieldCTIPv6Dst
	FieldCTTPSrc
	FieldCTTPDst

	NumFields
)

// Words is the length of a Key in 64-bit words.
const Words = 46

// Ends of the lookup stages, as word indexes: stage i covers the words from
// the end of the one before (0 for the first) up to StageEnd[i], exclusive. Addresses in
// ARP and neighbour discovery are of the last, as in Open vSwitch: most packets are ruled out by
// their protocol before.
var StageEnd = [4]int{23, 28, 34, Words}

// Info describes a field: its name as in ovs-fields(7) and where it lives.
type Info struct {
	Name  string
	Word  uint8 // first word; a 128-bit field holds its high half here, its low half in the next word
	Shift uint8 // of the least significant bit in that word
	Bits  uint8 // 1 to 64, or 128
	// Writable says whether set_field, load and move may write it.
	Writable bool
}

// fields is indexed by Field.
var fields = [NumFields]Info{
	FieldInPort:       {"in_port", 0, 32, 32, true},
	FieldRecircID:     {"recirc_id", 0, 0, 32, false},
	FieldMetadata:     {"metadata", 1, 0, 64, true},
	FieldReg0:         {"reg0", 2, 32, 32, true},
	FieldReg1:         {"reg1", 2, 0, 32, true},
	FieldReg2:         {"reg2", 3, 32, 32, true},
	FieldReg3:         {"reg3", 3, 0, 32, true},
	FieldReg4:         {"reg4", 4, 32, 32, true},
	FieldReg5:         {"reg5", 4, 0, 32, true},
	FieldReg6:         {"reg6", 5, 32, 32, true},
	FieldReg7:         {"reg7", 5, 0, 32, true},
	FieldReg8:         {"reg8", 6, 32, 32, true},
	FieldReg9:         {"reg9", 6, 0, 32, true},
	FieldReg10:        {"reg10", 7, 32, 32, true},
	FieldReg11:        {"reg11", 7, 0, 32, true},
	FieldReg12:        {"reg12", 8, 32, 32, true},
	FieldReg13:        {"reg13", 8, 0, 32, true},
	FieldReg14:        {"reg14", 9, 32, 32, true},
	FieldReg15:        {"reg15", 9, 0, 32, true},
	FieldXReg0:        {"xreg0", 2, 0, 64, true},
	FieldXReg1:        {"xreg1", 3, 0, 64, true},
	FieldXReg2:        {"xreg2", 4, 0, 64, true},
	FieldXReg3:        {"xreg3", 5, 0, 64, true},
	FieldXReg4:        {"xreg4", 6, 0, 64, true},
	FieldXReg5:        {"xreg5", 7, 0, 64, true},
	FieldXReg6:        {"xreg6", 8, 0, 64, true},
	FieldXReg7:        {"xreg7", 9, 0, 64, true},
	FieldXXReg0:       {"xxreg0", 2, 0, 128, true},
	FieldXXReg1:       {"xxreg1", 4, 0, 128, true},
	FieldXXReg2:       {"xxreg2", 6, 0, 128, true},
	FieldXXReg3:       {"xxreg3", 8, 0, 128, true},
	FieldPktMark:      {"pkt_mark", 10, 32, 32, true},
	FieldDPHash:       {"dp_hash", 10, 0, 32, false},
	FieldSkbPriority:  {"skb_priority", 11, 32, 32, false},
	FieldConjID:       {"conj_id", 11, 0, 32, false},
	FieldCTState:      {"ct_state", 12, 32, 32, false},
	FieldCTMark:       {"ct_mark", 12, 0, 32, true},
	FieldCTLabel:      {"ct_label", 13, 0, 128, true},
	FieldActsetOutput: {"actset_output", 15, 32, 32, false},
	FieldCTZone:       {"ct_zone", 15, 16, 16, false},
	FieldCTNwProto:    {"ct_nw_proto", 15, 8, 8, false},
	FieldTunID:        {"tun_id", 16, 0, 64, true},
	FieldTunSrc:       {"tun_src", 17, 32, 32, true},
	FieldTunDst:       {"tun_dst", 17, 0, 32, true},
	FieldTunIPv6Src:   {"tun_ipv6_src", 18, 0, 128, true},
	FieldTunIPv6Dst:   {"tun_ipv6_dst", 20, 0, 128, true},
	FieldTunTOS:       {"tun_tos", 22, 56, 8, false},
	FieldTunTTL:       {"tun_ttl", 22, 48, 8, false},
	FieldTunFlags:     {"tun_flags", 22, 32, 16, true},
	FieldTunGBPID:     {"tun_gbp_id", 22, 16, 16, true},
	FieldTunGBPFlags:  {"tun_gbp_flags", 22, 8, 8, true},

	FieldEthDst:     {"eth_dst", 23, 16, 48, true},
	FieldEthType:    {"eth_type", 23, 0, 16, false},
	FieldEthSrc:     {"eth_src", 24, 16, 48, true},
	FieldVLANTCI:    {"vlan_tci", 24, 0, 16, true},
	FieldVLANVID:    {"vlan_vid", 24, 0, 13, true},
	FieldDLVLAN:     {"dl_vlan", 24, 0, 12, true},
	FieldVLANPCP:    {"vlan_pcp", 24, 13, 3, true},
	FieldVLANTPID:   {"vlan_tpid", 25, 48, 16, false},
	FieldCVLANTCI:   {"cvlan_tci", 25, 32, 16, false},
	FieldCVLANTPID:  {"cvlan_tpid", 25, 16, 16, false},
	FieldMPLS0:      {"mpls0", 26, 32, 32, false},
	FieldMPLSLabel:  {"mpls_label", 26, 44, 20, true},
	FieldMPLSTC:     {"mpls_tc", 26, 41, 3, true},
	FieldMPLSBOS:    {"mpls_bos", 26, 40, 1, false},
	FieldMPLSTTL:    {"mpls_ttl", 26, 32, 8, true},
	FieldMPLS1:      {"mpls1", 26, 0, 32, false},
	FieldMPLS2:      {"mpls2", 27, 32, 32, false},
	FieldPacketType: {"packet_type", 27, 0, 32, false},

	FieldIPSrc:         {"ip_src", 28, 32, 32, true},
	FieldIPDst:         {"ip_dst", 28, 0, 32, true},
	FieldARPSPA:        {"arp_spa", 28, 32, 32, true},
	FieldARPTPA:        {"arp_tpa", 28, 0, 32, true},
	FieldIPv6Src:       {"ipv6_src", 29, 0, 128, true},
	FieldIPv6Dst:       {"ipv6_dst", 31, 0, 128, true},
	FieldIPv6Label:     {"ipv6_label", 33, 32, 20, true},
	FieldIPProto:       {"nw_proto", 33, 24, 8, false},
	FieldARPOp:         {"arp_op", 33, 24, 8, true},
	FieldIPTOS:         {"nw_tos", 33, 16, 8, true},
	FieldIPDSCP:        {"ip_dscp", 33, 18, 6, true},
	FieldIPECN:         {"nw_ecn", 33, 16, 2, true},
	FieldIPTTL:         {"nw_ttl", 33, 8, 8, true},
	FieldIPFrag:        {"ip_frag", 33, 0, 8, false},
	FieldARPSHA:        {"arp_sha", 34, 16, 48, true},
	FieldARPTHA:        {"arp_tha", 35, 16, 48, true},
	FieldNDSLL:         {"nd_sll", 34, 16, 48, true},
	FieldNDTLL:         {"nd_tll", 35, 16, 48, true},
	FieldNDTarget:      {"nd_target", 36, 0, 128, true},
	FieldNDOptionsType: {"nd_options_type", 34, 0, 8, true},

	FieldTPSrc:      {"tp_src", 38, 48, 16, true},
	FieldTPDst:      {"tp_dst", 38, 32, 16, true},
	FieldTCPSrc:     {"tcp_src", 38, 48, 16, true},
	FieldTCPDst:     {"tcp_dst", 38, 32, 16, true},
	FieldUDPSrc:     {"udp_src", 38, 48, 16, true},
	FieldUDPDst:     {"udp_dst", 38, 32, 16, true},
	FieldSCTPSrc:    {"sctp_src", 38, 48, 16, true},
	FieldSCTPDst:    {"sctp_dst", 38, 32, 16, true},
	FieldICMPType:   {"icmp_type", 38, 48, 8, true},
	FieldICMPCode:   {"icmp_code", 38, 32, 8, true},
	FieldICMPv6Type: {"icmpv6_type", 38, 48, 8, true},
	FieldICMPv6Code: {"icmpv6_code", 38, 32, 8, true},
	FieldTCPFlags:   {"tcp_flags", 38, 16, 12, false},
	FieldNDReserved: {"nd_reserved", 39, 32, 32, true},
	FieldCTNwSrc:    {"ct_nw_src", 40, 32, 32, false},
	FieldCTNwDst:    {"ct_nw_dst", 40, 0, 32, false},
	FieldCTIPv6Src:  {"ct_ipv6_src", 41, 0, 128, false},
	FieldCTIPv6Dst:  {"ct_ipv6_dst", 43, 0, 128, false},
	FieldCTTPSrc:    {"ct_tp_src", 45, 48, 16, false},
	FieldCTTPDst:    {"ct_tp_dst", 45, 32, 16, false},
}

// Info returns the description of f; that of FieldNone, and of a number that
// is no field, has Bits 0.
func (f Field) Info() Info {
	if f >= NumFields {
		return Info{}
	}
	return fields[f]
}

// Bits returns the width of f in bits.
func (f Field) Bits() int { return int(f.Info().Bits) }

func (f Field) String() string {
	if n := f.Info().Name; n != "" {
		return n
	}
	return "none"
}

// Values of FieldIPFrag: a bit set.
const (
	FragAny   = 1 // any fragment
	FragLater = 2 // a fragment with offset other than zero; FragAny is set too
)

// VLANPresent is the bit of a TCI in a Key that says that there is a tag.
const VLANPresent = 0x1000

// Bits of FieldTunFlags.
const (
	TunDF   = 1 << 0 // not a wire value: outer "don't fragment"
	TunCSum = 1 << 1 // checksum over the tunnel header
	TunKey  = 1 << 2 // a key is present
	TunOAM  = 1 << 3
)
