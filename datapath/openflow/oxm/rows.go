// SPDX-License-Identifier: Apache-2.0

package oxm

import (
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Classes of entries.
const (
	nxmOF           = 0x0000
	nxmNX           = 0x0001
	ericOF          = 0x1000
	oxmBasic        = 0x8000
	oxmPktReg       = 0x8001
	oxmExperimenter = 0xffff

	onf = 0x4f4e4600
)

// portForm says how an entry writes a port number.
type portForm uint8

const (
	noPort portForm = iota
	port16          // 16 bits, reserved numbers from 0xff00 on
	port32
)

// row is one kind of entry. Numbers, sizes and whether there may be a mask are
// from ovs-fields(7); the NXM and OXM rows of a field stand together.
type row struct {
	name     string // as in ovs-fields(7)
	class    uint16
	num      uint8
	field    flow.Field
	bytes    uint8 // of the value on the wire
	maskable bool
	since    ofp.Version // V10: NXM; else the version from which on it is written
	exp      uint32      // experimenter
	port     portForm
	ofs      uint8  // of the bits in the field; 0 unless the wire has fewer bits
	bits     uint8  // of the field that the wire has; 0: all
	valid    uint64 // bits of the value that may be set; 0: all of the field
}

var rows = []row{
	{name: "NXM_NX_DP_HASH", class: nxmNX, num: 35, field: flow.FieldDPHash, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_RECIRC_ID", class: nxmNX, num: 36, field: flow.FieldRecircID, bytes: 4, maskable: false, since: ofp.V10},
	{name: "NXM_NX_CONJ_ID", class: nxmNX, num: 37, field: flow.FieldConjID, bytes: 4, maskable: false, since: ofp.V10},
	{name: "OXM_OF_PACKET_TYPE", class: oxmBasic, num: 44, field: flow.FieldPacketType, bytes: 4, maskable: false, since: ofp.V15},
	{name: "NXM_OF_IN_PORT", class: nxmOF, num: 0, field: flow.FieldInPort, bytes: 2, maskable: false, since: ofp.V10, port: port16},
	{name: "OXM_OF_IN_PORT", class: oxmBasic, num: 0, field: flow.FieldInPort, bytes: 4, maskable: false, since: ofp.V12, port: port32},
	{name: "ONFOXM_ET_ACTSET_OUTPUT", class: oxmExperimenter, num: 43, field: flow.FieldActsetOutput, bytes: 4, maskable: false, since: ofp.V13, exp: onf, port: port32},
	{name: "OXM_OF_ACTSET_OUTPUT", class: oxmBasic, num: 43, field: flow.FieldActsetOutput, bytes: 4, maskable: false, since: ofp.V15, port: port32},
	{name: "NXM_OF_ETH_SRC", class: nxmOF, num: 2, field: flow.FieldEthSrc, bytes: 6, maskable: true, since: ofp.V10},
	{name: "OXM_OF_ETH_SRC", class: oxmBasic, num: 4, field: flow.FieldEthSrc, bytes: 6, maskable: true, since: ofp.V12},
	{name: "NXM_OF_ETH_DST", class: nxmOF, num: 1, field: flow.FieldEthDst, bytes: 6, maskable: true, since: ofp.V10},
	{name: "OXM_OF_ETH_DST", class: oxmBasic, num: 3, field: flow.FieldEthDst, bytes: 6, maskable: true, since: ofp.V12},
	{name: "NXM_OF_ETH_TYPE", class: nxmOF, num: 3, field: flow.FieldEthType, bytes: 2, maskable: false, since: ofp.V10},
	{name: "OXM_OF_ETH_TYPE", class: oxmBasic, num: 5, field: flow.FieldEthType, bytes: 2, maskable: false, since: ofp.V12},
	{name: "NXM_OF_VLAN_TCI", class: nxmOF, num: 4, field: flow.FieldVLANTCI, bytes: 2, maskable: true, since: ofp.V10},
	{name: "OXM_OF_VLAN_VID", class: oxmBasic, num: 6, field: flow.FieldVLANVID, bytes: 2, maskable: true, since: ofp.V12},
	{name: "OXM_OF_VLAN_PCP", class: oxmBasic, num: 7, field: flow.FieldVLANPCP, bytes: 1, maskable: false, since: ofp.V12},
	{name: "OXM_OF_MPLS_LABEL", class: oxmBasic, num: 34, field: flow.FieldMPLSLabel, bytes: 4, maskable: false, since: ofp.V12},
	{name: "OXM_OF_MPLS_TC", class: oxmBasic, num: 35, field: flow.FieldMPLSTC, bytes: 1, maskable: false, since: ofp.V12},
	{name: "OXM_OF_MPLS_BOS", class: oxmBasic, num: 36, field: flow.FieldMPLSBOS, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_NX_MPLS_TTL", class: nxmNX, num: 30, field: flow.FieldMPLSTTL, bytes: 1, maskable: false, since: ofp.V10},
	{name: "NXM_OF_IP_SRC", class: nxmOF, num: 7, field: flow.FieldIPSrc, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV4_SRC", class: oxmBasic, num: 11, field: flow.FieldIPSrc, bytes: 4, maskable: true, since: ofp.V12},
	{name: "NXM_OF_IP_DST", class: nxmOF, num: 8, field: flow.FieldIPDst, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV4_DST", class: oxmBasic, num: 12, field: flow.FieldIPDst, bytes: 4, maskable: true, since: ofp.V12},
	{name: "NXM_NX_IPV6_SRC", class: nxmNX, num: 19, field: flow.FieldIPv6Src, bytes: 16, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV6_SRC", class: oxmBasic, num: 26, field: flow.FieldIPv6Src, bytes: 16, maskable: true, since: ofp.V12},
	{name: "NXM_NX_IPV6_DST", class: nxmNX, num: 20, field: flow.FieldIPv6Dst, bytes: 16, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV6_DST", class: oxmBasic, num: 27, field: flow.FieldIPv6Dst, bytes: 16, maskable: true, since: ofp.V12},
	{name: "NXM_NX_IPV6_LABEL", class: nxmNX, num: 27, field: flow.FieldIPv6Label, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV6_FLABEL", class: oxmBasic, num: 28, field: flow.FieldIPv6Label, bytes: 4, maskable: true, since: ofp.V12},
	{name: "NXM_NX_IP_FRAG", class: nxmNX, num: 26, field: flow.FieldIPFrag, bytes: 1, maskable: true, since: ofp.V10, bits: 2},
	{name: "NXM_OF_IP_TOS", class: nxmOF, num: 5, field: flow.FieldIPTOS, bytes: 1, maskable: false, since: ofp.V10, valid: 0xfc},
	{name: "OXM_OF_IP_DSCP", class: oxmBasic, num: 8, field: flow.FieldIPDSCP, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_NX_IP_ECN", class: nxmNX, num: 28, field: flow.FieldIPECN, bytes: 1, maskable: false, since: ofp.V10},
	{name: "OXM_OF_IP_ECN", class: oxmBasic, num: 9, field: flow.FieldIPECN, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_NX_IP_TTL", class: nxmNX, num: 29, field: flow.FieldIPTTL, bytes: 1, maskable: false, since: ofp.V10},
	{name: "NXM_OF_IP_PROTO", class: nxmOF, num: 6, field: flow.FieldIPProto, bytes: 1, maskable: false, since: ofp.V10},
	{name: "OXM_OF_IP_PROTO", class: oxmBasic, num: 10, field: flow.FieldIPProto, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_OF_TCP_SRC", class: nxmOF, num: 9, field: flow.FieldTCPSrc, bytes: 2, maskable: true, since: ofp.V10},
	{name: "OXM_OF_TCP_SRC", class: oxmBasic, num: 13, field: flow.FieldTCPSrc, bytes: 2, maskable: true, since: ofp.V12},
	{name: "NXM_OF_TCP_DST", class: nxmOF, num: 10, field: flow.FieldTCPDst, bytes: 2, maskable: true, since: ofp.V10},
	{name: "OXM_OF_TCP_DST", class: oxmBasic, num: 14, field: flow.FieldTCPDst, bytes: 2, maskable: true, since: ofp.V12},
	{name: "NXM_NX_TCP_FLAGS", class: nxmNX, num: 34, field: flow.FieldTCPFlags, bytes: 2, maskable: true, since: ofp.V10},
	{name: "ONFOXM_ET_TCP_FLAGS", class: oxmExperimenter, num: 42, field: flow.FieldTCPFlags, bytes: 2, maskable: true, since: ofp.V13, exp: onf},
	{name: "OXM_OF_TCP_FLAGS", class: oxmBasic, num: 42, field: flow.FieldTCPFlags, bytes: 2, maskable: true, since: ofp.V15},
	{name: "NXM_OF_UDP_SRC", class: nxmOF, num: 11, field: flow.FieldUDPSrc, bytes: 2, maskable: true, since: ofp.V10},
	{name: "OXM_OF_UDP_SRC", class: oxmBasic, num: 15, field: flow.FieldUDPSrc, bytes: 2, maskable: true, since: ofp.V12},
	{name: "NXM_OF_UDP_DST", class: nxmOF, num: 12, field: flow.FieldUDPDst, bytes: 2, maskable: true, since: ofp.V10},
	{name: "OXM_OF_UDP_DST", class: oxmBasic, num: 16, field: flow.FieldUDPDst, bytes: 2, maskable: true, since: ofp.V12},
	{name: "OXM_OF_SCTP_SRC", class: oxmBasic, num: 17, field: flow.FieldSCTPSrc, bytes: 2, maskable: true, since: ofp.V12},
	{name: "OXM_OF_SCTP_DST", class: oxmBasic, num: 18, field: flow.FieldSCTPDst, bytes: 2, maskable: true, since: ofp.V12},
	{name: "NXM_OF_ICMP_TYPE", class: nxmOF, num: 13, field: flow.FieldICMPType, bytes: 1, maskable: false, since: ofp.V10},
	{name: "OXM_OF_ICMPV4_TYPE", class: oxmBasic, num: 19, field: flow.FieldICMPType, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_OF_ICMP_CODE", class: nxmOF, num: 14, field: flow.FieldICMPCode, bytes: 1, maskable: false, since: ofp.V10},
	{name: "OXM_OF_ICMPV4_CODE", class: oxmBasic, num: 20, field: flow.FieldICMPCode, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_NX_ICMPV6_TYPE", class: nxmNX, num: 21, field: flow.FieldICMPv6Type, bytes: 1, maskable: false, since: ofp.V10},
	{name: "OXM_OF_ICMPV6_TYPE", class: oxmBasic, num: 29, field: flow.FieldICMPv6Type, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_NX_ICMPV6_CODE", class: nxmNX, num: 22, field: flow.FieldICMPv6Code, bytes: 1, maskable: false, since: ofp.V10},
	{name: "OXM_OF_ICMPV6_CODE", class: oxmBasic, num: 30, field: flow.FieldICMPv6Code, bytes: 1, maskable: false, since: ofp.V12},
	{name: "NXM_NX_ND_TARGET", class: nxmNX, num: 23, field: flow.FieldNDTarget, bytes: 16, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV6_ND_TARGET", class: oxmBasic, num: 31, field: flow.FieldNDTarget, bytes: 16, maskable: true, since: ofp.V12},
	{name: "NXM_NX_ND_SLL", class: nxmNX, num: 24, field: flow.FieldNDSLL, bytes: 6, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV6_ND_SLL", class: oxmBasic, num: 32, field: flow.FieldNDSLL, bytes: 6, maskable: true, since: ofp.V12},
	{name: "NXM_NX_ND_TLL", class: nxmNX, num: 25, field: flow.FieldNDTLL, bytes: 6, maskable: true, since: ofp.V10},
	{name: "OXM_OF_IPV6_ND_TLL", class: oxmBasic, num: 33, field: flow.FieldNDTLL, bytes: 6, maskable: true, since: ofp.V12},
	{name: "ERICOXM_OF_ICMPV6_ND_RESERVED", class: ericOF, num: 1, field: flow.FieldNDReserved, bytes: 4, maskable: false, since: ofp.V10},
	{name: "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", class: ericOF, num: 2, field: flow.FieldNDOptionsType, bytes: 1, maskable: false, since: ofp.V10},
	{name: "NXM_OF_ARP_OP", class: nxmOF, num: 15, field: flow.FieldARPOp, bytes: 2, maskable: false, since: ofp.V10},
	{name: "OXM_OF_ARP_OP", class: oxmBasic, num: 21, field: flow.FieldARPOp, bytes: 2, maskable: false, since: ofp.V12},
	{name: "NXM_OF_ARP_SPA", class: nxmOF, num: 16, field: flow.FieldARPSPA, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_ARP_SPA", class: oxmBasic, num: 22, field: flow.FieldARPSPA, bytes: 4, maskable: true, since: ofp.V12},
	{name: "NXM_OF_ARP_TPA", class: nxmOF, num: 17, field: flow.FieldARPTPA, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_ARP_TPA", class: oxmBasic, num: 23, field: flow.FieldARPTPA, bytes: 4, maskable: true, since: ofp.V12},
	{name: "NXM_NX_ARP_SHA", class: nxmNX, num: 17, field: flow.FieldARPSHA, bytes: 6, maskable: true, since: ofp.V10},
	{name: "OXM_OF_ARP_SHA", class: oxmBasic, num: 24, field: flow.FieldARPSHA, bytes: 6, maskable: true, since: ofp.V12},
	{name: "NXM_NX_ARP_THA", class: nxmNX, num: 18, field: flow.FieldARPTHA, bytes: 6, maskable: true, since: ofp.V10},
	{name: "OXM_OF_ARP_THA", class: oxmBasic, num: 25, field: flow.FieldARPTHA, bytes: 6, maskable: true, since: ofp.V12},
	{name: "NXM_NX_TUN_ID", class: nxmNX, num: 16, field: flow.FieldTunID, bytes: 8, maskable: true, since: ofp.V10},
	{name: "OXM_OF_TUNNEL_ID", class: oxmBasic, num: 38, field: flow.FieldTunID, bytes: 8, maskable: true, since: ofp.V12},
	{name: "NXM_NX_TUN_IPV4_SRC", class: nxmNX, num: 31, field: flow.FieldTunSrc, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_TUN_IPV4_DST", class: nxmNX, num: 32, field: flow.FieldTunDst, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_TUN_IPV6_SRC", class: nxmNX, num: 109, field: flow.FieldTunIPv6Src, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_TUN_IPV6_DST", class: nxmNX, num: 110, field: flow.FieldTunIPv6Dst, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_TUN_GBP_ID", class: nxmNX, num: 38, field: flow.FieldTunGBPID, bytes: 2, maskable: true, since: ofp.V10},
	{name: "NXM_NX_TUN_GBP_FLAGS", class: nxmNX, num: 39, field: flow.FieldTunGBPFlags, bytes: 1, maskable: true, since: ofp.V10},
	{name: "NXM_NX_TUN_FLAGS", class: nxmNX, num: 104, field: flow.FieldTunFlags, bytes: 2, maskable: true, since: ofp.V10, ofs: 3, bits: 1},
	{name: "NXM_NX_REG0", class: nxmNX, num: 0, field: flow.FieldReg0, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG1", class: nxmNX, num: 1, field: flow.FieldReg1, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG2", class: nxmNX, num: 2, field: flow.FieldReg2, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG3", class: nxmNX, num: 3, field: flow.FieldReg3, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG4", class: nxmNX, num: 4, field: flow.FieldReg4, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG5", class: nxmNX, num: 5, field: flow.FieldReg5, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG6", class: nxmNX, num: 6, field: flow.FieldReg6, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG7", class: nxmNX, num: 7, field: flow.FieldReg7, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG8", class: nxmNX, num: 8, field: flow.FieldReg8, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG9", class: nxmNX, num: 9, field: flow.FieldReg9, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG10", class: nxmNX, num: 10, field: flow.FieldReg10, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG11", class: nxmNX, num: 11, field: flow.FieldReg11, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG12", class: nxmNX, num: 12, field: flow.FieldReg12, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG13", class: nxmNX, num: 13, field: flow.FieldReg13, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG14", class: nxmNX, num: 14, field: flow.FieldReg14, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_REG15", class: nxmNX, num: 15, field: flow.FieldReg15, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_PKT_REG0", class: oxmPktReg, num: 0, field: flow.FieldXReg0, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG1", class: oxmPktReg, num: 1, field: flow.FieldXReg1, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG2", class: oxmPktReg, num: 2, field: flow.FieldXReg2, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG3", class: oxmPktReg, num: 3, field: flow.FieldXReg3, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG4", class: oxmPktReg, num: 4, field: flow.FieldXReg4, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG5", class: oxmPktReg, num: 5, field: flow.FieldXReg5, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG6", class: oxmPktReg, num: 6, field: flow.FieldXReg6, bytes: 8, maskable: true, since: ofp.V13},
	{name: "OXM_OF_PKT_REG7", class: oxmPktReg, num: 7, field: flow.FieldXReg7, bytes: 8, maskable: true, since: ofp.V13},
	{name: "NXM_NX_XXREG0", class: nxmNX, num: 111, field: flow.FieldXXReg0, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_XXREG1", class: nxmNX, num: 112, field: flow.FieldXXReg1, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_XXREG2", class: nxmNX, num: 113, field: flow.FieldXXReg2, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_XXREG3", class: nxmNX, num: 114, field: flow.FieldXXReg3, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_PKT_MARK", class: nxmNX, num: 33, field: flow.FieldPktMark, bytes: 4, maskable: true, since: ofp.V10},
	{name: "OXM_OF_METADATA", class: oxmBasic, num: 2, field: flow.FieldMetadata, bytes: 8, maskable: true, since: ofp.V12},
	{name: "NXM_NX_CT_STATE", class: nxmNX, num: 105, field: flow.FieldCTState, bytes: 4, maskable: true, since: ofp.V10, valid: 0xff},
	{name: "NXM_NX_CT_ZONE", class: nxmNX, num: 106, field: flow.FieldCTZone, bytes: 2, maskable: false, since: ofp.V10},
	{name: "NXM_NX_CT_MARK", class: nxmNX, num: 107, field: flow.FieldCTMark, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_LABEL", class: nxmNX, num: 108, field: flow.FieldCTLabel, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_NW_PROTO", class: nxmNX, num: 119, field: flow.FieldCTNwProto, bytes: 1, maskable: false, since: ofp.V10},
	{name: "NXM_NX_CT_NW_SRC", class: nxmNX, num: 120, field: flow.FieldCTNwSrc, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_NW_DST", class: nxmNX, num: 121, field: flow.FieldCTNwDst, bytes: 4, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_IPV6_SRC", class: nxmNX, num: 122, field: flow.FieldCTIPv6Src, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_IPV6_DST", class: nxmNX, num: 123, field: flow.FieldCTIPv6Dst, bytes: 16, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_TP_SRC", class: nxmNX, num: 124, field: flow.FieldCTTPSrc, bytes: 2, maskable: true, since: ofp.V10},
	{name: "NXM_NX_CT_TP_DST", class: nxmNX, num: 125, field: flow.FieldCTTPDst, bytes: 2, maskable: true, since: ofp.V10},
}
