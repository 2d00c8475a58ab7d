// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"fmt"
	"strconv"
	"strings"
)

// protocols are the words that stand for an Ethernet type and IP protocol, in
// the order in which String looks for one.
var protocols = []struct {
	name  string
	eth   uint64
	proto uint64
	hasIP bool
}{
	{"icmp", EthTypeIPv4, ProtoICMP, true},
	{"tcp", EthTypeIPv4, ProtoTCP, true},
	{"udp", EthTypeIPv4, ProtoUDP, true},
	{"sctp", EthTypeIPv4, ProtoSCTP, true},
	{"icmp6", EthTypeIPv6, ProtoICMPv6, true},
	{"tcp6", EthTypeIPv6, ProtoTCP, true},
	{"udp6", EthTypeIPv6, ProtoUDP, true},
	{"sctp6", EthTypeIPv6, ProtoSCTP, true},
	{"ip", EthTypeIPv4, 0, false},
	{"ipv6", EthTypeIPv6, 0, false},
	{"ipv4", EthTypeIPv4, 0, false},
	{"ip6", EthTypeIPv6, 0, false},
	{"icmpv6", EthTypeIPv6, ProtoICMPv6, true},
	{"arp", EthTypeARP, 0, false},
	{"rarp", EthTypeRARP, 0, false},
	{"mpls", EthTypeMPLS, 0, false},
	{"mplsm", EthTypeMPLSM, 0, false},
}

// printer collects fields with commas between.
type printer struct {
	m     *Match
	ports PortNames
	b     strings.Builder
}

func (p *printer) word(s string) {
	if p.b.Len() > 0 {
		p.b.WriteByte(',')
	}
	p.b.WriteString(s)
}

// field writes f under name if any bit of it counts.
func (p *printer) field(name string, f Field) {
	if m := p.m.Mask.Get(f); !m.IsZero() {
		v := p.m.Key.Get(f)
		if textOf(f).format == fmtPort && m == Ones(f.Bits()) {
			p.word(name + "=" + p.ports.Name(uint32(v.Lo)))
			return
		}
		p.word(name + "=" + FormatValue(f, v, m))
	}
}

// number is field in decimal if exact, else in hexadecimal with the mask.
func (p *printer) number(name string, f Field) {
	m := p.m.Mask.Get(f)
	switch {
	case m.IsZero():
	case m == Ones(f.Bits()):
		p.word(name + "=" + strconv.FormatUint(p.m.Key.U64(f), 10))
	default:
		p.word(fmt.Sprintf("%s=0x%x/0x%x", name, p.m.Key.U64(f), m.Lo)) // zero too with its 0x
	}
}

// String writes m as ovs-ofctl(8) does: "tcp,in_port=1,dl_vlan=10". A match of
// everything is the empty string. Addresses and ports whose prerequisites are not matched (no codec
// or parser yields such a match, ParseField can) are written as those of IPv4.
func (m *Match) String() string { return m.Text(nil) }

// Text is String with names in the place of port numbers.
func (m *Match) Text(ports PortNames) string {
	p := &printer{m: m, ports: ports}
	p.field("pkt_mark", FieldPktMark)
	p.field("recirc_id", FieldRecircID)
	p.field("dp_hash", FieldDPHash)
	p.number("conj_id", FieldConjID)
	p.field("skb_priority", FieldSkbPriority)
	p.field("actset_output", FieldActsetOutput)
	p.field("ct_state", FieldCTState)
	p.number("ct_zone", FieldCTZone)
	p.field("ct_mark", FieldCTMark)
	p.field("ct_label", FieldCTLabel)
	if PrereqCT.Met(m) {
		p.field("ct_nw_src", FieldCTNwSrc)
		p.field("ct_ipv6_src", FieldCTIPv6Src)
		p.field("ct_nw_dst", FieldCTNwDst)
		p.field("ct_ipv6_dst", FieldCTIPv6Dst)
		p.field("ct_nw_proto", FieldCTNwProto)
		p.number("ct_tp_src", FieldCTTPSrc)
		p.number("ct_tp_dst", FieldCTTPDst)
	}
	p.field("packet_type", FieldPacketType)
	skipType, skipProto := p.protocol()
	for f := FieldReg0; f <= FieldReg15; f++ {
		p.field(f.String(), f)
	}
	p.tunnel()
	p.field("metadata", FieldMetadata)
	p.field("in_port", FieldInPort)
	p.vlan()
	p.field("dl_src", FieldEthSrc)
	p.field("dl_dst", FieldEthDst)
	if !skipType && m.Exact(FieldEthType) {
		p.word(fmt.Sprintf("dl_type=0x%04x", m.Key.EthType()))
	}
	p.network(skipProto)
	p.transport()
	return p.b.String()
}

// protocol writes the word for the Ethernet type and IP protocol.
func (p *printer) protocol() (skipType, skipProto bool) {
	if !p.m.Exact(FieldEthType) {
		return false, false
	}
	for _, w := range protocols {
		if w.eth != uint64(p.m.Key.EthType()) || w.hasIP && !p.m.exactly(FieldIPProto, w.proto) {
			continue
		}
		p.word(w.name)
		return true, w.hasIP
	}
	return false, false
}

func (p *printer) tunnel() {
	p.field("tun_id", FieldTunID)
	p.field("tun_src", FieldTunSrc)
	p.field("tun_dst", FieldTunDst)
	p.field("tun_ipv6_src", FieldTunIPv6Src)
	p.field("tun_ipv6_dst", FieldTunIPv6Dst)
	p.number("tun_gbp_id", FieldTunGBPID)
	p.field("tun_gbp_flags", FieldTunGBPFlags)
	p.number("tun_tos", FieldTunTOS)
	p.number("tun_ttl", FieldTunTTL)
	p.field("tun_flags", FieldTunFlags)
}

func (p *printer) vlan() {
	p.tag("", uint16(p.m.Mask.Get(FieldVLANTCI).Lo), p.m.Key.VLANTCI())
	p.tag("1", uint16(p.m.Mask.Get(FieldCVLANTCI).Lo), uint16(p.m.Key.U64(FieldCVLANTCI)))
}

// tag writes one VLAN tag; index is "" for the outer one, "1" for the next.
func (p *printer) tag(index string, mask, tci uint16) {
	if mask == 0 {
		return
	}
	vid, pcp := mask&0xfff, mask>>13
	if tci&VLANPresent != 0 && (vid == 0 || vid == 0xfff) && (pcp == 0 || pcp == 7) && (vid != 0 || pcp != 0) {
		if vid != 0 {
			p.word(fmt.Sprintf("dl_vlan%s=%d", index, tci&0xfff))
		}
		if pcp != 0 {
			p.word(fmt.Sprintf("dl_vlan_pcp%s=%d", index, tci>>13))
		}
		return
	}
	if mask == 0xffff {
		p.word(fmt.Sprintf("vlan_tci%s=0x%04x", index, tci))
		return
	}
	p.word(fmt.Sprintf("vlan_tci%s=0x%04x/0x%04x", index, tci, mask))
}

func (p *printer) network(skipProto bool) {
	m := p.m
	arp := PrereqARP.Met(m)
	switch {
	case PrereqIPv6.Met(m):
		p.field("ipv6_src", FieldIPv6Src)
		p.field("ipv6_dst", FieldIPv6Dst)
		if m := m.Mask.Get(FieldIPv6Label); m == Ones(20) {
			p.word(fmt.Sprintf("ipv6_label=0x%05x", p.m.Key.U64(FieldIPv6Label)))
		} else if !m.IsZero() {
			p.word(fmt.Sprintf("ipv6_label=0x%05x/0x%05x", p.m.Key.U64(FieldIPv6Label), m.Lo))
		}
	case arp:
		p.field("arp_spa", FieldARPSPA)
		p.field("arp_tpa", FieldARPTPA)
	default:
		p.field("nw_src", FieldIPSrc)
		p.field("nw_dst", FieldIPDst)
	}
	if arp {
		p.field("arp_op", FieldARPOp)
		p.field("arp_sha", FieldARPSHA)
		p.field("arp_tha", FieldARPTHA)
	} else if !skipProto {
		p.number("nw_proto", FieldIPProto)
	}
	if m.Mask.Get(FieldIPDSCP) == Ones(6) {
		p.word(fmt.Sprintf("nw_tos=%d", m.Key.U64(FieldIPTOS)&0xfc))
	}
	if m.Exact(FieldIPECN) {
		p.number("nw_ecn", FieldIPECN)
	}
	p.number("nw_ttl", FieldIPTTL)
	p.number("mpls_label", FieldMPLSLabel)
	p.number("mpls_tc", FieldMPLSTC)
	p.number("mpls_ttl", FieldMPLSTTL)
	p.number("mpls_bos", FieldMPLSBOS)
	p.field("nw_frag", FieldIPFrag)
}

func (p *printer) transport() {
	m := p.m
	switch {
	case PrereqICMPv4.Met(m):
		p.number("icmp_type", FieldICMPType)
		p.number("icmp_code", FieldICMPCode)
	case PrereqICMPv6.Met(m):
		p.number("icmp_type", FieldICMPv6Type)
		p.number("icmp_code", FieldICMPv6Code)
		p.field("nd_target", FieldNDTarget)
		p.field("nd_sll", FieldNDSLL)
		p.field("nd_tll", FieldNDTLL)
		p.field("nd_reserved", FieldNDReserved)
		p.number("nd_options_type", FieldNDOptionsType)
	default:
		p.number("tp_src", FieldTPSrc)
		p.number("tp_dst", FieldTPDst)
		if PrereqTCP.Met(m) {
			p.field("tcp_flags", FieldTCPFlags)
		}
	}
}

// ParseMatch reads a match as ovs-ofctl(8) writes it: fields, with or without a
// value, separated by commas or blanks. Fields whose prerequisites are not matched have no effect,
// as there.
func ParseMatch(s string) (Match, error) {
	var m Match
	for _, w := range SplitWords(s) {
		name, value, hasValue := strings.Cut(w, "=")
		if err := m.ParseField(name, value, hasValue); err != nil {
			return Match{}, fmt.Errorf("match %q: %w", s, err)
		}
	}
	m.Normalize()
	return m, nil
}

// ErrField is the error of ParseField for a name that is no field of a match.
type ErrField struct{ Name string }

func (e *ErrField) Error() string { return fmt.Sprintf("field %q is not known", e.Name) }

// ParseField adds one field to m, without regard to prerequisites; hasValue
// tells "tcp" from "tcp=".
func (m *Match) ParseField(name, value string, hasValue bool) error {
	if !hasValue {
		for _, w := range protocols {
			if w.name == name {
				m.SetU64(FieldEthType, w.eth)
				if w.hasIP {
					m.SetU64(FieldIPProto, w.proto)
				}
				return nil
			}
		}
		if name == "eth" {
			m.SetU64(FieldPacketType, 0)
			return nil
		}
		return &ErrField{name}
	}
	switch name {
	case "dl_vlan", "dl_vlan_pcp", "vlan_pcp":
		if value == "*" || value == "" {
			return nil
		}
		return m.parseVLAN(name, value)
	}
	f, ok := FieldByName(name)
	if !ok {
		return &ErrField{name}
	}
	if value == "*" || value == "" || value == "ANY" && f != FieldInPort {
		return nil
	}
	v, mask, err := ParseValue(f, value)
	if err != nil {
		return fmt.Errorf("%s=%s: %w", name, value, err)
	}
	if !mask.IsZero() && mask != Ones(f.Bits()) && f != FieldIPTOS && !textOf(f).maskable {
		return fmt.Errorf("%s=%s: %w", name, value, Textf("%s: invalid mask for field %s", value, textName(f)))
	}
	if f == FieldIPTOS {
		if mask != Ones(8) {
			return fmt.Errorf("%s=%s: %w", name, value, Textf("%s: invalid mask for field %s", value, textName(f)))
		}
		v.Lo &= 0xfc // the two bits of ECN are not part of it
		mask.Lo &= 0xfc
	}
	switch f { // in a match that is not for ICMP it is a port
	case FieldICMPType, FieldICMPv6Type:
		f, mask = FieldTPSrc, Ones(16)
	case FieldICMPCode, FieldICMPv6Code:
		f, mask = FieldTPDst, Ones(16)
	}
	// What the match said of the field before is forgotten.
	if f == FieldIPTOS {
		m.Any(FieldIPDSCP)
	} else {
		m.Any(f)
	}
	m.SetMasked(f, v, mask)
	return nil
}

// parseVLAN reads the two fields that stand for a part of the TCI and the
// presence of a tag. Bits too many are dropped, as the stock tools do.
func (m *Match) parseVLAN(name, value string) error {
	size := 1
	if name == "dl_vlan" {
		size = 2
	}
	v, mask, err := parseSized(value, size, name)
	if err == nil && mask != Ones(8*size) {
		err = Textf("%s: invalid mask for field %s", value, name)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s=%s: %w", name, value, err)
	case size == 1:
		m.SetMasked(FieldVLANTCI, U128{Lo: v.Lo&7<<13 | VLANPresent}, U128{Lo: 7<<13 | VLANPresent})
	case v.Lo == 0xffff:
		m.SetU64(FieldVLANTCI, 0) // no tag
	default:
		m.SetU64(FieldVLANVID, v.Lo&0xfff|VLANPresent)
	}
	return nil
}

// SplitWords splits a text at commas and blanks that are not in parentheses.
func SplitWords(s string) (ws []string) {
	depth, start := 0, 0
	flush := func(end int) {
		if w := s[start:end]; w != "" {
			ws = append(ws, w)
		}
		start = end + 1
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',', ' ', '\t', '\n', '\r':
			if depth <= 0 {
				flush(i)
			}
		}
	}
	flush(len(s))
	return ws
}

// dependents are the fields that have prerequisites, those that others depend
// on first; one field for each run of bits and prerequisite.
var dependents = func() (fs []Field) {
	for f := FieldNone + 1; f < NumFields; f++ {
		if prereqs[f] != PrereqNone {
			fs = append(fs, f)
		}
	}
	return fs
}()

// Normalize makes every bit count no more whose field, under each of its names,
// lacks its prerequisites.
func (m *Match) Normalize() {
	for {
		var keep Mask
		for _, f := range dependents {
			if m.Has(f) {
				keep.SetAll(f)
			}
		}
		changed := false
		for _, f := range dependents {
			if drop := m.Mask.Get(f).AndNot(keep.Get(f)); !drop.IsZero() {
				if f == FieldVLANPCP {
					continue // part of the TCI, which stands by itself
				}
				put((*[Words]uint64)(&m.Mask), f, U128{}, drop)
				put((*[Words]uint64)(&m.Key), f, U128{}, drop)
				changed = true
			}
		}
		if !changed {
			return
		}
	}
}
