// SPDX-License-Identifier: Apache-2.0

package flow

import "strings"

// format is how the value of a field is written (ovs-fields(7), "Format").
type format uint8

const (
	fmtDec format = iota + 1
	fmtHex
	fmtEth
	fmtIPv4
	fmtIPv6
	fmtPort
	fmtFrag
	fmtTCPFlags
	fmtCTState
	fmtTunFlags
	fmtPacketType
)

// text is what the texts need to know about a field beyond Info.
type text struct {
	format   format
	maskable bool
	nxm      string // name as in actions: NXM if there is one, else OXM
	aliases  []string
}

// texts is indexed by Field; a field without format has no text.
var texts = [NumFields]text{
	FieldInPort:        {fmtPort, false, "NXM_OF_IN_PORT", []string{"in_port_oxm", "OXM_OF_IN_PORT"}},
	FieldRecircID:      {fmtHex, false, "NXM_NX_RECIRC_ID", nil},
	FieldMetadata:      {fmtHex, true, "OXM_OF_METADATA", nil},
	FieldPktMark:       {fmtHex, true, "NXM_NX_PKT_MARK", nil},
	FieldDPHash:        {fmtHex, true, "NXM_NX_DP_HASH", nil},
	FieldSkbPriority:   {fmtHex, true, "", nil},
	FieldConjID:        {fmtDec, false, "NXM_NX_CONJ_ID", nil},
	FieldCTState:       {fmtCTState, true, "NXM_NX_CT_STATE", nil},
	FieldCTMark:        {fmtHex, true, "NXM_NX_CT_MARK", nil},
	FieldCTLabel:       {fmtHex, true, "NXM_NX_CT_LABEL", nil},
	FieldActsetOutput:  {fmtPort, false, "ONFOXM_ET_ACTSET_OUTPUT", []string{"OXM_OF_ACTSET_OUTPUT"}},
	FieldCTZone:        {fmtHex, false, "NXM_NX_CT_ZONE", nil},
	FieldCTNwProto:     {fmtDec, false, "NXM_NX_CT_NW_PROTO", nil},
	FieldTunID:         {fmtHex, true, "NXM_NX_TUN_ID", []string{"tunnel_id", "OXM_OF_TUNNEL_ID"}},
	FieldTunSrc:        {fmtIPv4, true, "NXM_NX_TUN_IPV4_SRC", nil},
	FieldTunDst:        {fmtIPv4, true, "NXM_NX_TUN_IPV4_DST", nil},
	FieldTunIPv6Src:    {fmtIPv6, true, "NXM_NX_TUN_IPV6_SRC", nil},
	FieldTunIPv6Dst:    {fmtIPv6, true, "NXM_NX_TUN_IPV6_DST", nil},
	FieldTunTOS:        {fmtDec, true, "", nil},
	FieldTunTTL:        {fmtDec, true, "", nil},
	FieldTunFlags:      {fmtTunFlags, true, "NXM_NX_TUN_FLAGS", nil},
	FieldTunGBPID:      {fmtDec, true, "NXM_NX_TUN_GBP_ID", nil},
	FieldTunGBPFlags:   {fmtHex, true, "NXM_NX_TUN_GBP_FLAGS", nil},
	FieldEthDst:        {fmtEth, true, "NXM_OF_ETH_DST", []string{"dl_dst", "OXM_OF_ETH_DST"}},
	FieldEthSrc:        {fmtEth, true, "NXM_OF_ETH_SRC", []string{"dl_src", "OXM_OF_ETH_SRC"}},
	FieldEthType:       {fmtHex, false, "NXM_OF_ETH_TYPE", []string{"dl_type", "OXM_OF_ETH_TYPE"}},
	FieldVLANTCI:       {fmtHex, true, "NXM_OF_VLAN_TCI", nil},
	FieldVLANVID:       {fmtDec, true, "OXM_OF_VLAN_VID", nil},
	FieldDLVLAN:        {fmtDec, false, "", nil},
	FieldVLANPCP:       {fmtDec, false, "OXM_OF_VLAN_PCP", []string{"dl_vlan_pcp"}},
	FieldVLANTPID:      {fmtHex, false, "", nil},
	FieldCVLANTCI:      {fmtHex, true, "", nil},
	FieldCVLANTPID:     {fmtHex, false, "", nil},
	FieldMPLSLabel:     {fmtDec, false, "OXM_OF_MPLS_LABEL", nil},
	FieldMPLSTC:        {fmtDec, false, "OXM_OF_MPLS_TC", nil},
	FieldMPLSBOS:       {fmtDec, false, "OXM_OF_MPLS_BOS", nil},
	FieldMPLSTTL:       {fmtDec, false, "NXM_NX_MPLS_TTL", nil},
	FieldPacketType:    {fmtPacketType, false, "OXM_OF_PACKET_TYPE", nil},
	FieldIPSrc:         {fmtIPv4, true, "NXM_OF_IP_SRC", []string{"nw_src", "OXM_OF_IPV4_SRC"}},
	FieldIPDst:         {fmtIPv4, true, "NXM_OF_IP_DST", []string{"nw_dst", "OXM_OF_IPV4_DST"}},
	FieldARPSPA:        {fmtIPv4, true, "NXM_OF_ARP_SPA", []string{"OXM_OF_ARP_SPA"}},
	FieldARPTPA:        {fmtIPv4, true, "NXM_OF_ARP_TPA", []string{"OXM_OF_ARP_TPA"}},
	FieldIPv6Src:       {fmtIPv6, true, "NXM_NX_IPV6_SRC", []string{"OXM_OF_IPV6_SRC"}},
	FieldIPv6Dst:       {fmtIPv6, true, "NXM_NX_IPV6_DST", []string{"OXM_OF_IPV6_DST"}},
	FieldIPv6Label:     {fmtHex, true, "NXM_NX_IPV6_LABEL", []string{"OXM_OF_IPV6_FLABEL"}},
	FieldIPProto:       {fmtDec, false, "NXM_OF_IP_PROTO", []string{"ip_proto", "OXM_OF_IP_PROTO"}},
	FieldARPOp:         {fmtDec, false, "NXM_OF_ARP_OP", []string{"OXM_OF_ARP_OP"}},
	FieldIPTOS:         {fmtDec, false, "NXM_OF_IP_TOS", nil},
	FieldIPDSCP:        {fmtDec, false, "OXM_OF_IP_DSCP", nil},
	FieldIPECN:         {fmtDec, false, "NXM_NX_IP_ECN", []string{"ip_ecn", "OXM_OF_IP_ECN"}},
	FieldIPTTL:         {fmtDec, false, "NXM_NX_IP_TTL", nil},
	FieldIPFrag:        {fmtFrag, true, "NXM_NX_IP_FRAG", []string{"nw_frag"}},
	FieldARPSHA:        {fmtEth, true, "NXM_NX_ARP_SHA", []string{"OXM_OF_ARP_SHA"}},
	FieldARPTHA:        {fmtEth, true, "NXM_NX_ARP_THA", []string{"OXM_OF_ARP_THA"}},
	FieldNDSLL:         {fmtEth, true, "NXM_NX_ND_SLL", []string{"OXM_OF_IPV6_ND_SLL"}},
	FieldNDTLL:         {fmtEth, true, "NXM_NX_ND_TLL", []string{"OXM_OF_IPV6_ND_TLL"}},
	FieldNDTarget:      {fmtIPv6, true, "NXM_NX_ND_TARGET", []string{"OXM_OF_IPV6_ND_TARGET"}},
	FieldNDReserved:    {fmtDec, false, "ERICOXM_OF_ICMPV6_ND_RESERVED", nil},
	FieldNDOptionsType: {fmtDec, false, "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", nil},
	FieldTPSrc:         {fmtDec, true, "NXM_OF_TCP_SRC", nil},
	FieldTPDst:         {fmtDec, true, "NXM_OF_TCP_DST", nil},
	FieldTCPSrc:        {fmtDec, true, "NXM_OF_TCP_SRC", []string{"OXM_OF_TCP_SRC"}},
	FieldTCPDst:        {fmtDec, true, "NXM_OF_TCP_DST", []string{"OXM_OF_TCP_DST"}},
	FieldUDPSrc:        {fmtDec, true, "NXM_OF_UDP_SRC", []string{"OXM_OF_UDP_SRC"}},
	FieldUDPDst:        {fmtDec, true, "NXM_OF_UDP_DST", []string{"OXM_OF_UDP_DST"}},
	FieldSCTPSrc:       {fmtDec, true, "OXM_OF_SCTP_SRC", nil},
	FieldSCTPDst:       {fmtDec, true, "OXM_OF_SCTP_DST", nil},
	FieldICMPType:      {fmtDec, false, "NXM_OF_ICMP_TYPE", []string{"OXM_OF_ICMPV4_TYPE"}},
	FieldICMPCode:      {fmtDec, false, "NXM_OF_ICMP_CODE", []string{"OXM_OF_ICMPV4_CODE"}},
	FieldICMPv6Type:    {fmtDec, false, "NXM_NX_ICMPV6_TYPE", []string{"OXM_OF_ICMPV6_TYPE"}},
	FieldICMPv6Code:    {fmtDec, false, "NXM_NX_ICMPV6_CODE", []string{"OXM_OF_ICMPV6_CODE"}},
	FieldTCPFlags:      {fmtTCPFlags, true, "NXM_NX_TCP_FLAGS", []string{"ONFOXM_ET_TCP_FLAGS", "OXM_OF_TCP_FLAGS"}},
	FieldCTNwSrc:       {fmtIPv4, true, "NXM_NX_CT_NW_SRC", nil},
	FieldCTNwDst:       {fmtIPv4, true, "NXM_NX_CT_NW_DST", nil},
	FieldCTIPv6Src:     {fmtIPv6, true, "NXM_NX_CT_IPV6_SRC", nil},
	FieldCTIPv6Dst:     {fmtIPv6, true, "NXM_NX_CT_IPV6_DST", nil},
	FieldCTTPSrc:       {fmtDec, true, "NXM_NX_CT_TP_SRC", nil},
	FieldCTTPDst:       {fmtDec, true, "NXM_NX_CT_TP_DST", nil},
}

// textOf returns the text properties of f, registers among them.
func textOf(f Field) text {
	if f >= NumFields {
		return text{}
	}
	switch {
	case f >= FieldReg0 && f <= FieldReg15:
		return text{fmtHex, true, "NXM_NX_" + strings.ToUpper(f.String()), nil}
	case f >= FieldXReg0 && f <= FieldXReg7:
		return text{fmtHex, true, "OXM_OF_PKT_REG" + f.String()[len("xreg"):], nil}
	case f >= FieldXXReg0 && f <= FieldXXReg3:
		return text{fmtHex, true, "NXM_NX_" + strings.ToUpper(f.String()), nil}
	}
	return texts[f]
}

// byName holds every name that a field has in matches and in actions, in lower case.
var byName = func() map[string]Field {
	t := make(map[string]Field)
	for f := FieldNone + 1; f < NumFields; f++ {
		x := textOf(f)
		if x.format == 0 {
			continue
		}
		t[f.String()] = f
		for _, a := range x.aliases {
			t[strings.ToLower(a)] = f
		}
	}
	// A name that two fields share is that of the more specific one.
	for f := FieldNone + 1; f < NumFields; f++ {
		if x := textOf(f); x.nxm != "" {
			t[strings.ToLower(x.nxm)] = f
		}
	}
	return t
}()

// FieldByName returns the field that an OpenFlow text names: "tcp_dst",
// "dl_src", "NXM_NX_REG0", "OXM_OF_ETH_DST"; upper and lower case are alike.
func FieldByName(name string) (f Field, ok bool) {
	f, ok = byName[strings.ToLower(name)]
	return f, ok
}

// NXMName returns the name of f as the stock switch prints it in load and move
// actions: "NXM_NX_REG0", "OXM_OF_METADATA"; "" if it has none.
func (f Field) NXMName() string { return textOf(f).nxm }

// Maskable reports whether a part of f can be matched (ovs-fields(7), "Maskable").
func (f Field) Maskable() bool { return textOf(f).maskable }
