// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/xlate"
)

// group is a header as the datapath of Open vSwitch sets it: at once.
type group struct {
	name  string
	parts []part
}

type part struct {
	name  string
	field flow.Field
	hex   bool
}

// groupsOf returns the headers of a packet that actions can write, in the order in
// which the fields of each are written.
func groupsOf(k *flow.Key) []group {
	gs := []group{
		{"eth", []part{{"src", flow.FieldEthSrc, false}, {"dst", flow.FieldEthDst, false}}},
		{"mpls", []part{{"label", flow.FieldMPLSLabel, false}, {"tc", flow.FieldMPLSTC, false}, {"ttl", flow.FieldMPLSTTL, false}}},
	}
	switch k.EthType() {
	case flow.EthTypeIPv4:
		gs = append(gs, group{"ipv4", []part{
			{"src", flow.FieldIPSrc, false}, {"dst", flow.FieldIPDst, false},
			{"tos", flow.FieldIPTOS, true}, {"ttl", flow.FieldIPTTL, false}}})
	case flow.EthTypeIPv6:
		gs = append(gs, group{"ipv6", []part{
			{"src", flow.FieldIPv6Src, false}, {"dst", flow.FieldIPv6Dst, false}, {"label", flow.FieldIPv6Label, true},
			{"tclass", flow.FieldIPTOS, true}, {"hlimit", flow.FieldIPTTL, false}}})
	case flow.EthTypeARP, flow.EthTypeRARP:
		return append(gs, group{"arp", []part{
			{"sip", flow.FieldARPSPA, false}, {"tip", flow.FieldARPTPA, false}, {"op", flow.FieldARPOp, false},
			{"sha", flow.FieldARPSHA, false}, {"tha", flow.FieldARPTHA, false}}})
	default:
		return gs
	}
	v6 := k.EthType() == flow.EthTypeIPv6
	ports := func(name string) group {
		return group{name, []part{{"src", flow.FieldTPSrc, false}, {"dst", flow.FieldTPDst, false}}}
	}
	switch p := k.IPProto(); {
	case p == flow.ProtoTCP:
		gs = append(gs, ports("tcp"))
	case p == flow.ProtoUDP:
		gs = append(gs, ports("udp"))
	case p == flow.ProtoSCTP:
		gs = append(gs, ports("sctp"))
	case p == flow.ProtoICMP && !v6:
		gs = append(gs, group{"icmp", []part{{"type", flow.FieldICMPType, false}, {"code", flow.FieldICMPCode, false}}})
	case p == flow.ProtoICMPv6 && v6:
		gs = append(gs,
			group{"nd", []part{{"target", flow.FieldNDTarget, false}, {"sll", flow.FieldNDSLL, false}, {"tll", flow.FieldNDTLL, false}}},
			group{"icmpv6", []part{{"type", flow.FieldICMPv6Type, false}, {"code", flow.FieldICMPv6Code, false}}})
	}
	return gs
}

// Actions writes the datapath actions of a packet's megaflow in the datapath syntax
// of ovs-dpctl(8): fields of a header that are set one after the other stand
// in one set. An empty list is "drop".
func Actions(k *flow.Key, l []dpif.Action, pis []xlate.PacketIn) string {
	if len(l) == 0 {
		return "drop"
	}
	groups := groupsOf(k)
	var ws []string
	for i := 0; i < len(l); i++ {
		switch a := l[i].(type) {
		case dpif.Output:
			if a.MaxLen != 0 {
				ws = append(ws, fmt.Sprintf("trunc(%d)", a.MaxLen))
			}
			ws = append(ws, fmt.Sprint(uint32(a.Port)))
		case dpif.PushVLAN:
			tpid := ""
			if a.TPID != flow.EthTypeVLAN {
				tpid = fmt.Sprintf("tpid=%#04x,", a.TPID)
			}
			ws = append(ws, fmt.Sprintf("push_vlan(%svid=%d,pcp=%d)", tpid, a.TCI&0xfff, a.TCI>>13))
		case dpif.PopVLAN:
			ws = append(ws, "pop_vlan")
		case dpif.PushMPLS:
			ws = append(ws, fmt.Sprintf("push_mpls(label=%d,tc=%d,ttl=%d,bos=%d,eth_type=%#x)", a.LSE>>12, a.LSE>>9&7, a.LSE&0xff, a.LSE>>8&1, a.EthType))
		case dpif.PopMPLS:
			ws = append(ws, fmt.Sprintf("pop_mpls(eth_type=%#x)", a.EthType))
		case dpif.Userspace:
			u := userspace(a.Arg, pis)
			if a.Meter != 0 {
				u = fmt.Sprintf("sample(sample=100.0%%,actions(meter(%d),%s))", a.Meter, u)
			}
			ws = append(ws, u)
		case dpif.Meter:
			ws = append(ws, fmt.Sprintf("meter(%d)", a.ID))
		case dpif.Set:
			j := i + 1
			for j < len(l) {
				if _, ok := l[j].(dpif.Set); !ok {
					break
				}
				j++
			}
			ws = append(ws, sets(groups, l[i:j])...)
			i = j - 1
		default:
			ws = append(ws, fmt.Sprintf("%T%+v", a, a))
		}
	}
	return strings.Join(ws, ",")
}

// sets writes a run of Set actions, all dpif.Set.
func sets(groups []group, run []dpif.Action) (ws []string) {
	done := make([]bool, len(run))
	for _, g := range groups {
		var parts []string
		for _, p := range g.parts {
			for i, a := range run {
				if s := a.(dpif.Set); !done[i] && same(s.Field, p.field) {
					done[i] = true
					parts = append(parts, p.name+"="+value(p, s))
				}
			}
		}
		if parts != nil {
			ws = append(ws, "set("+g.name+"("+strings.Join(parts, ",")+"))")
		}
	}
	for i, a := range run {
		if done[i] {
			continue
		}
		s := a.(dpif.Set)
		switch s.Field {
		case flow.FieldPktMark:
			ws = append(ws, "set(skb_mark("+value(part{"", s.Field, true}, s)+"))")
		case flow.FieldSkbPriority:
			ws = append(ws, "set(skb_priority("+value(part{"", s.Field, true}, s)+"))")
		default:
			ws = append(ws, "set("+s.Field.String()+"("+flow.FormatValue(s.Field, s.Value, s.Mask)+"))")
		}
	}
	return ws
}

// same reports whether two names are of the same bits.
func same(a, b flow.Field) bool {
	x, y := a.Info(), b.Info()
	return x.Word == y.Word && x.Shift == y.Shift && x.Bits == y.Bits
}

func value(p part, s dpif.Set) string {
	all := flow.Ones(s.Field.Bits())
	if p.hex {
		v := fmt.Sprintf("%#x", s.Value.Lo)
		if s.Value.Lo == 0 {
			v = "0"
		}
		if s.Mask.And(all) != all {
			v += fmt.Sprintf("/%#x", s.Mask.Lo)
		}
		return v
	}
	return flow.FormatValue(p.field, s.Value, s.Mask.And(all))
}

// userspace writes the action that hands a packet to the controllers.
func userspace(arg uint32, pis []xlate.PacketIn) string {
	if int(arg) >= len(pis) {
		return fmt.Sprintf("userspace(pid=0,userdata(%08x))", arg)
	}
	p := &pis[arg]
	if p.Resume != nil {
		return fmt.Sprintf("recirc(%#x)", arg+1)
	}
	c := "0"
	if p.Cookie != 0 && p.Cookie != ^uint64(0) {
		c = fmt.Sprintf("%#x", p.Cookie)
	}
	return fmt.Sprintf("userspace(pid=0,controller(reason=%d,dont_send=0,continuation=0,recirc_id=0,rule_cookie=%s,controller_id=%d,max_len=%d))",
		p.Reason, c, p.Controller, p.MaxLen)
}
