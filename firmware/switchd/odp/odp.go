// SPDX-License-Identifier: Apache-2.0

// Package odp prints megaflows in the text that ovs-appctl dpctl/dump-flows
// prints, which people and tests read:
//
//	recirc_id(0),in_port(2),eth(src=...,dst=...),eth_type(0x0800),ipv4(frag=no), packets:7, bytes:686, used:0.4s, actions:3
//
// Only what the megaflow's mask looks at is printed; a field that counts in
// part is printed as value/mask. The package is pure.
package odp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// Types and protocols that say how shared fields are to be read.
const (
	typeARP, typeRARP         = 0x0806, 0x8035
	typeIPv4, typeIPv6        = 0x0800, 0x86dd
	typeMPLS, typeMPLSMcast   = 0x8847, 0x8848
	protoICMP, protoTCP       = 1, 6
	protoUDP, protoICMPv6     = 17, 58
	protoSCTP                 = 132
	ndSolicit, ndAdvertise    = 135, 136
	tpidCTag, vidBits, pcpOfs = 0x8100, 0xfff, 13
)

// Flow prints a megaflow with its counters.
func Flow(m *flow.Match, actions []dpif.Action, s dpif.FlowStats, now time.Time) string {
	used := "never"
	if !s.Used.IsZero() {
		used = fmt.Sprintf("%.3fs", max(now.Sub(s.Used), 0).Seconds())
	}
	flags := ""
	if s.TCPFlags != 0 {
		flags = ", flags:" + tcpFlags(s.TCPFlags)
	}
	return fmt.Sprintf("%s, packets:%d, bytes:%d, used:%s%s, actions:%s", Match(m), s.Packets, s.Bytes, used, flags, Actions(actions))
}

// tcpFlags prints the flags of TCP (RFC 9293, 3.1) a letter each.
func tcpFlags(f uint16) string {
	var b strings.Builder
	for _, x := range []struct {
		bit  uint16
		name byte
	}{{0x02, 'S'}, {0x01, 'F'}, {0x08, 'P'}, {0x04, 'R'}, {0x10, '.'}, {0x20, 'U'}, {0x40, 'E'}, {0x80, 'C'}} {
		if f&x.bit != 0 {
			b.WriteByte(x.name)
		}
	}
	if rest := f &^ 0xff; rest != 0 {
		fmt.Fprintf(&b, "[%x]", rest)
	}
	return b.String()
}

// printer prints attributes with commas between.
type printer struct {
	b strings.Builder
	m *flow.Match
}

// form is how a value is written.
type form uint8

const (
	dec form = iota
	hex
	mac
	ip4
	ip6
)

func (f form) text(v flow.U128) string {
	switch f {
	case hex:
		if v.Lo == 0 {
			return "0" // as C's %#x
		}
		return fmt.Sprintf("%#x", v.Lo)
	case mac:
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", byte(v.Lo>>40), byte(v.Lo>>32), byte(v.Lo>>24), byte(v.Lo>>16), byte(v.Lo>>8), byte(v.Lo))
	case ip4:
		return netip.AddrFrom4([4]byte{byte(v.Lo >> 24), byte(v.Lo >> 16), byte(v.Lo >> 8), byte(v.Lo)}).String()
	case ip6:
		return netip.AddrFrom16(v.Bytes16()).String()
	}
	return fmt.Sprint(v.Lo)
}

// value prints a field as value or value/mask; "" if no bit of it counts.
func (p *printer) value(f flow.Field, as form) string {
	mask := p.m.Mask.Get(f)
	if mask == (flow.U128{}) {
		return ""
	}
	s := as.text(p.m.Key.Get(f))
	if mask != flow.Ones(f.Bits()) {
		if as == dec {
			as = hex
		}
		s += "/" + as.text(mask)
	}
	return s
}

func (p *printer) add(s string) {
	if n := p.b.Len(); n > 0 && p.b.String()[n-1] != '(' {
		p.b.WriteByte(',')
	}
	p.b.WriteString(s)
}

// one prints an attribute of one field: name(value).
func (p *printer) one(name string, f flow.Field, as form) {
	if v := p.value(f, as); v != "" {
		p.add(name + "(" + v + ")")
	}
}

// part is a member of an attribute.
type part struct {
	name string
	f    flow.Field
	as   form
}

// many prints an attribute of several fields: name(a=1,b=2); nothing if none counts.
func (p *printer) many(name string, parts ...part) {
	var list []string
	for _, x := range parts {
		v := p.value(x.f, x.as)
		if v != "" && x.f == flow.FieldIPFrag {
			v = frag(uint8(p.m.Key.U64(x.f)))
		}
		if v != "" {
			list = append(list, x.name+"="+v)
		}
	}
	if list != nil {
		p.add(name + "(" + strings.Join(list, ",") + ")")
	}
}

func frag(v uint8) string {
	switch {
	case v&flow.FragLater != 0:
		return "later"
	case v&flow.FragAny != 0:
		return "first"
	}
	return "no"
}

// Match prints what a megaflow matches, with datapath port numbers.
func Match(m *flow.Match) string {
	p := &printer{m: m}
	p.add("recirc_id(" + hex.text(m.Key.Get(flow.FieldRecircID)) + ")")
	p.one("dp_hash", flow.FieldDPHash, hex)
	p.one("skb_priority", flow.FieldSkbPriority, hex)
	p.one("in_port", flow.FieldInPort, dec)
	p.one("skb_mark", flow.FieldPktMark, hex)
	p.one("ct_state", flow.FieldCTState, hex)
	p.one("ct_zone", flow.FieldCTZone, hex)
	p.one("ct_mark", flow.FieldCTMark, hex)
	p.one("tun_id", flow.FieldTunID, hex)
	p.many("eth", part{"src", flow.FieldEthSrc, mac}, part{"dst", flow.FieldEthDst, mac})
	ends := p.vlans()
	p.payload()
	p.b.WriteString(ends)
	return p.b.String()
}

// vlans prints the VLAN tags and returns the brackets that close behind the
// payload, which they encapsulate.
func (p *printer) vlans() (ends string) {
	for _, t := range []struct{ tci, tpid flow.Field }{{flow.FieldVLANTCI, flow.FieldVLANTPID}, {flow.FieldCVLANTCI, flow.FieldCVLANTPID}} {
		mask, tci := p.m.Mask.Get(t.tci).Lo, p.m.Key.U64(t.tci)
		if mask == 0 || tci&flow.VLANPresent == 0 {
			if mask != 0 && ends == "" {
				p.add("vlan(none)") // a datapath that looks at the tag sees none
			}
			return ends
		}
		tpid := p.m.Key.U64(t.tpid)
		if p.m.Mask.Get(t.tpid).Lo == 0 {
			tpid = tpidCTag
		}
		p.add(fmt.Sprintf("eth_type(%#04x)", tpid))
		var list []string
		if m := mask & vidBits; m != 0 {
			s := fmt.Sprintf("vid=%d", tci&vidBits)
			if m != vidBits {
				s += fmt.Sprintf("/%#x", m)
			}
			list = append(list, s)
		}
		if m := mask >> pcpOfs; m != 0 {
			s := fmt.Sprintf("pcp=%d", tci>>pcpOfs)
			if m != 7 {
				s += fmt.Sprintf("/%#x", m)
			}
			list = append(list, s)
		}
		p.add("vlan(" + strings.Join(list, ",") + ")")
		p.add("encap(")
		ends += ")"
	}
	return ends
}

func (p *printer) payload() {
	k := &p.m.Key
	if p.m.Mask.Get(flow.FieldEthType) == (flow.U128{}) {
		return
	}
	p.add(fmt.Sprintf("eth_type(0x%04x)", k.EthType()))
	switch k.EthType() {
	case typeARP, typeRARP:
		p.many("arp", part{"sip", flow.FieldARPSPA, ip4}, part{"tip", flow.FieldARPTPA, ip4}, part{"op", flow.FieldARPOp, dec},
			part{"sha", flow.FieldARPSHA, mac}, part{"tha", flow.FieldARPTHA, mac})
	case typeIPv4:
		p.many("ipv4", part{"src", flow.FieldIPSrc, ip4}, part{"dst", flow.FieldIPDst, ip4}, part{"proto", flow.FieldIPProto, dec},
			part{"tos", flow.FieldIPTOS, hex}, part{"ttl", flow.FieldIPTTL, dec}, part{"frag", flow.FieldIPFrag, dec})
		p.transport(false)
	case typeIPv6:
		p.many("ipv6", part{"src", flow.FieldIPv6Src, ip6}, part{"dst", flow.FieldIPv6Dst, ip6}, part{"label", flow.FieldIPv6Label, hex},
			part{"proto", flow.FieldIPProto, dec}, part{"tclass", flow.FieldIPTOS, hex}, part{"hlimit", flow.FieldIPTTL, dec}, part{"frag", flow.FieldIPFrag, dec})
		p.transport(true)
	case typeMPLS, typeMPLSMcast:
		p.many("mpls", part{"label", flow.FieldMPLSLabel, dec}, part{"tc", flow.FieldMPLSTC, dec}, part{"ttl", flow.FieldMPLSTTL, dec}, part{"bos", flow.FieldMPLSBOS, dec})
	}
}

func (p *printer) transport(v6 bool) {
	if p.m.Mask.Get(flow.FieldIPProto) == (flow.U128{}) {
		return
	}
	ports := []part{{"src", flow.FieldTPSrc, dec}, {"dst", flow.FieldTPDst, dec}}
	types := []part{{"type", flow.FieldTPSrc, dec}, {"code", flow.FieldTPDst, dec}}
	switch proto := p.m.Key.IPProto(); {
	case proto == protoTCP:
		p.many("tcp", ports...)
		p.one("tcp_flags", flow.FieldTCPFlags, hex)
	case proto == protoUDP:
		p.many("udp", ports...)
	case proto == protoSCTP:
		p.many("sctp", ports...)
	case proto == protoICMP && !v6:
		p.many("icmp", types...)
	case proto == protoICMPv6 && v6:
		p.many("icmpv6", types...)
		if t := p.m.Key.U64(flow.FieldTPSrc); t == ndSolicit || t == ndAdvertise {
			p.many("nd", part{"target", flow.FieldNDTarget, ip6}, part{"sll", flow.FieldNDSLL, mac}, part{"tll", flow.FieldNDTLL, mac})
		}
	}
}

// setNames says in which attribute a set action writes a field.
var setNames = map[flow.Field]struct {
	attr, name string
	as         form
}{
	flow.FieldEthSrc: {"eth", "src", mac}, flow.FieldEthDst: {"eth", "dst", mac},
	flow.FieldIPSrc: {"ipv4", "src", ip4}, flow.FieldIPDst: {"ipv4", "dst", ip4},
	flow.FieldIPv6Src: {"ipv6", "src", ip6}, flow.FieldIPv6Dst: {"ipv6", "dst", ip6},
	flow.FieldIPv6Label: {"ipv6", "label", hex},
	flow.FieldIPTOS:     {"ip", "tos", hex}, flow.FieldIPTTL: {"ip", "ttl", dec},
	flow.FieldTPSrc: {"tp", "src", dec}, flow.FieldTPDst: {"tp", "dst", dec},
	flow.FieldARPSHA: {"arp", "sha", mac}, flow.FieldARPTHA: {"arp", "tha", mac}, flow.FieldARPOp: {"arp", "op", dec},
	flow.FieldPktMark: {"skb", "mark", hex},
}

// Actions prints what a megaflow does; an empty list drops.
func Actions(actions []dpif.Action) string {
	if len(actions) == 0 {
		return "drop"
	}
	list := make([]string, len(actions))
	for i, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			list[i] = fmt.Sprint(uint32(a.Port))
			if a.MaxLen != 0 {
				list[i] = fmt.Sprintf("trunc(%d),%d", a.MaxLen, a.Port)
			}
		case dpif.PushVLAN:
			tpid := ""
			if a.TPID != tpidCTag {
				tpid = fmt.Sprintf("tpid=%#04x,", a.TPID)
			}
			list[i] = fmt.Sprintf("push_vlan(%svid=%d,pcp=%d)", tpid, a.TCI&vidBits, a.TCI>>pcpOfs)
		case dpif.PopVLAN:
			list[i] = "pop_vlan"
		case dpif.PushMPLS:
			list[i] = fmt.Sprintf("push_mpls(label=%d,tc=%d,ttl=%d,bos=%d,eth_type=%#x)", a.LSE>>12, a.LSE>>9&7, a.LSE&0xff, a.LSE>>8&1, a.EthType)
		case dpif.PopMPLS:
			list[i] = fmt.Sprintf("pop_mpls(eth_type=%#x)", a.EthType)
		case dpif.Set:
			list[i] = set(a)
		case dpif.Userspace:
			list[i] = fmt.Sprintf("userspace(%d)", a.Arg)
			if a.Meter != 0 {
				list[i] = fmt.Sprintf("sample(sample=100.0%%,actions(meter(%d),%s))", a.Meter, list[i])
			}
		case dpif.Meter:
			list[i] = fmt.Sprintf("meter(%d)", a.ID)
		default:
			list[i] = fmt.Sprintf("%T%+v", a, a)
		}
	}
	return strings.Join(list, ",")
}

func set(a dpif.Set) string {
	n, ok := setNames[a.Field]
	if !ok {
		n.attr, n.name, n.as = "field", a.Field.String(), hex
		if a.Field.Bits() > 64 {
			n.as = ip6
		}
	}
	v := n.as.text(a.Value)
	if a.Mask != flow.Ones(a.Field.Bits()) {
		as := n.as
		if as == dec {
			as = hex
		}
		v += "/" + as.text(a.Mask)
	}
	return fmt.Sprintf("set(%s(%s=%s))", n.attr, n.name, v)
}
