// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/xlate"
)

// gen writes bridges' settings, flows and packets in the languages of ovs-vsctl and
// ovs-ofctl. Values come from small sets, so that packets hit rules and rules
// overlap.
type gen struct {
	*rand.Rand
	v ofp.Version
}

func (g *gen) pick(s ...string) string { return s[g.IntN(len(s))] }

// one is true once in n times.
func (g *gen) one(n int) bool { return g.IntN(n) == 0 }

// kinds of packets and matches.
const (
	kAny = iota
	kARP
	kIP
	kTCP
	kUDP
	kSCTP
	kICMP
	kIP6
	kTCP6
	kUDP6
	kICMP6
	kND
	nKinds
)

var kindWord = [nKinds]string{"", "arp", "ip", "tcp", "udp", "sctp", "icmp", "ipv6", "tcp6", "udp6", "icmp6", "icmp6"}

func isIP4(k int) bool { return k >= kIP && k <= kICMP }
func isIP6(k int) bool { return k >= kIP6 }
func hasPorts(k int) bool {
	return k == kTCP || k == kUDP || k == kSCTP || k == kTCP6 || k == kUDP6
}

func (g *gen) mac() string {
	return g.pick("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:01:02")
}
func (g *gen) ip() string {
	return g.pick("10.0.0.1", "10.0.0.9", "10.0.1.1", "10.1.0.1", "192.168.0.7")
}
func (g *gen) ip6() string { return g.pick("2001:db8::1", "2001:db8::2", "2001:db9::1", "fe80::1") }
func (g *gen) port() string {
	return g.pick("53", "80", "81", "443", "1024", "1025", "32768")
}

// match writes a match and says which kind of packets it names.
func (g *gen) match() (string, int) {
	k := kAny
	var m []string
	add := func(s string) { m = append(m, s) }
	if g.one(2) {
		k = g.IntN(nKinds)
	}
	if k != kAny {
		add(kindWord[k])
	}
	if g.one(4) {
		add("in_port=" + g.pick("1", "2", "3", "8", "9", "LOCAL"))
	}
	if g.one(5) {
		add(g.pick("reg0=0", "reg0=1", "reg0=0x2/0x2", "metadata=1", "metadata=0/0x3", "reg1=0xa000000/0xff000000", "xreg0=0x100000000", "reg2=5", "pkt_mark=0/0x1"))
	}
	if g.one(5) {
		add(g.pick("dl_dst=", "dl_src=") + g.pick(g.mac(), g.mac(), "01:00:00:00:00:00/01:00:00:00:00:00", "02:00:00:00:00:00/ff:ff:ff:ff:ff:00", "00:00:00:00:00:01/00:00:00:00:00:01"))
	}
	if g.one(4) {
		add(g.pick("vlan_tci=0", "dl_vlan=10", "dl_vlan=20", "vlan_tci=0x1000/0x1000", "dl_vlan=10,dl_vlan_pcp=3", "vlan_tci=0x100a/0x100f", "dl_vlan_pcp=5", "vlan_tci=0x1000/0xffff"))
	}
	switch {
	case k == kARP:
		if g.one(2) {
			add(g.pick("arp_op=1", "arp_op=2", "arp_tpa=10.0.0.0/24", "arp_spa="+g.ip(), "arp_sha="+g.mac(), "arp_tha=02:00:00:00:00:00/ff:ff:ff:ff:ff:00"))
		}
	case isIP4(k):
		if g.one(2) {
			add(g.pick("nw_dst=", "nw_src=") + g.pick(g.ip(), g.ip(), "10.0.0.0/16", "10.0.0.0/24", "10.0.0.8/29", "0.0.0.1/0.0.0.1", "192.168.0.0/24"))
		}
	case isIP6(k):
		if g.one(2) {
			add(g.pick("ipv6_dst="+g.ip6(), "ipv6_src="+g.ip6(), "ipv6_dst=2001:db8::/64", "ipv6_src=2001:db8::/31", "ipv6_dst=::1/::1", "ipv6_label=0x12345", "ipv6_label=0x5/0xf"))
		}
	}
	if isIP4(k) || isIP6(k) {
		if g.one(5) {
			add(g.pick("nw_ttl=1", "nw_ttl=64", "nw_tos=184", "nw_ecn=1", "nw_frag=no", "nw_frag=yes", "nw_frag=first", "nw_frag=later", "nw_frag=not_later"))
		}
		if (k == kIP || k == kIP6) && g.one(3) {
			add("nw_proto=" + g.pick("0", "6", "17", "47", "58", "1"))
		}
	}
	switch {
	case hasPorts(k) && g.one(2):
		l4 := strings.TrimSuffix(kindWord[k], "6")
		add(l4 + g.pick("_src", "_dst") + "=" + g.pick(g.port(), g.port(), "0x50/0xfff0", "0x400/0xfc00", "0/0x1"))
	case k == kICMP && g.one(2):
		add(g.pick("icmp_type=8", "icmp_type=0", "icmp_type=8,icmp_code=0"))
	case k == kICMP6 && g.one(2):
		add(g.pick("icmpv6_type=128", "icmpv6_type=135", "icmpv6_type=136,icmpv6_code=0"))
	case k == kND:
		add("icmpv6_code=0")
		if g.one(2) {
			add("icmpv6_type=135," + g.pick("nd_target="+g.ip6(), "nd_sll="+g.mac(), "nd_target=2001:db8::/32"))
		} else {
			add("icmpv6_type=136," + g.pick("nd_target="+g.ip6(), "nd_tll="+g.mac(), "nd_target=2001:db8::/32"))
		}
	}
	if k == kTCP && g.one(4) {
		add("tcp_flags=" + g.pick("+syn", "+syn-ack", "0x2/0x12", "-rst"))
	}
	return strings.Join(m, ","), k
}

// action writes an action that is right for packets of a kind in a table of a bridge.
func (g *gen) action(br, table, k, depth int) string {
	next := strconv.Itoa(table + 1)
	outs := []string{"1", "2", "3", "4", "9", "77"}
	if br == 1 {
		outs = []string{"1", "2", "8", "77"}
	}
	switch g.IntN(27) {
	case 0, 1, 2:
		return "output:" + g.pick(outs...)
	case 3, 4, 5:
		return "NORMAL"
	case 6:
		return g.pick("FLOOD", "ALL", "IN_PORT", "LOCAL")
	case 7:
		return "mod_dl_" + g.pick("src", "dst") + ":" + g.mac()
	case 8, 9:
		return g.netAction(k)
	case 10:
		if g.v >= ofp.V13 && !g.one(20) { // without a tag in the match, popping is for OpenFlow 1.0
			return g.pick("mod_vlan_vid:10", "mod_vlan_vid:20", "push_vlan:0x8100,pop_vlan", "mod_vlan_vid:10,pop_vlan", "mod_vlan_vid:20,mod_vlan_pcp:3")
		}
		return g.pick("mod_vlan_vid:10", "mod_vlan_vid:20", "mod_vlan_pcp:3", "strip_vlan", "pop_vlan")
	case 11:
		return "push_vlan:" + g.pick("0x8100", "0x88a8")
	case 12:
		return "push_vlan:0x8100,set_field:" + g.pick("4106", "4116") + "->vlan_vid"
	case 13:
		if isIP4(k) || isIP6(k) {
			return g.pick("dec_ttl", "dec_ttl", "dec_ttl(1,2)")
		}
		return "load:1->NXM_NX_REG0[]"
	case 14, 15, 16:
		return g.pick("load:1->NXM_NX_REG0[]", "load:2->NXM_NX_REG0[0..3]", "load:3->NXM_OF_IN_PORT[]", "load:5->NXM_OF_ETH_SRC[4..10]",
			"load:0xa->NXM_NX_XXREG0[96..100]", "set_field:5->reg2", "set_field:0x3/0x7->metadata", "load:0x7->NXM_NX_PKT_MARK[]", "load:0->NXM_OF_VLAN_TCI[]",
			"set_field:02:00:00:00:00:00/ff:ff:ff:ff:ff:00->eth_dst", "load:0->NXM_OF_IN_PORT[]", "load:0x9->OXM_OF_METADATA[]",
			// Without a tag the stock switch keeps such bits all the same: of a tag that is not there, so that they never leave.
			"push_vlan:0x8100,load:5->NXM_OF_VLAN_TCI[13..15]")
	case 17, 18:
		return g.pick("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]", "move:NXM_NX_REG0[0..11]->NXM_NX_REG1[4..15]",
			"move:NXM_OF_ETH_SRC[0..7]->NXM_OF_ETH_DST[0..7]", "move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7]", "move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG2[0..11]")
	case 19, 20, 21:
		if table < 4 {
			return g.pick("resubmit(,"+next+")", "resubmit(1,"+next+")", "resubmit(,4)", "resubmit(,"+next+")", "resubmit(77,"+next+")")
		}
		return "note:00.01"
	case 22:
		return g.pick("push:NXM_NX_REG0[]", "pop:NXM_NX_REG2[]", "push:NXM_OF_IN_PORT[],pop:NXM_NX_REG0[0..15]", "push:NXM_OF_ETH_SRC[],push:NXM_OF_ETH_DST[],pop:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[]")
	case 23:
		return g.pick("output:NXM_NX_REG0[]", "output:NXM_NX_REG0[0..7]", "output:NXM_OF_IN_PORT[]")
	case 24:
		if depth < 2 {
			return "clone(" + g.list(br, table, k, 3, depth+1) + ")"
		}
	case 25:
		if g.one(3) {
			return "exit"
		}
	}
	return g.pick("controller", "controller(max_len=128,id=3)", "controller:64", "controller(reason=invalid_ttl)")
}

// netAction writes fields above Ethernet.
func (g *gen) netAction(k int) string {
	switch {
	case k == kARP:
		return g.pick("load:2->NXM_OF_ARP_OP[]", "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]", "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
			"set_field:10.0.0.77->arp_spa", "set_field:"+g.mac()+"->arp_sha", "move:NXM_OF_ARP_TPA[0..7]->NXM_NX_REG0[0..7]")
	case hasPorts(k) && g.one(2):
		l4 := strings.TrimSuffix(kindWord[k], "6")
		if l4 == "sctp" {
			return g.pick("set_field:80->sctp_dst", "set_field:0x1/0x1->sctp_src")
		}
		if k == kTCP && g.one(3) {
			return "move:NXM_OF_TCP_SRC[]->NXM_OF_TCP_DST[]"
		}
		return g.pick("set_field:80->"+l4+"_dst", "mod_tp_src:81", "mod_tp_dst:1024", "set_field:0x1/0x1->"+l4+"_src")
	case k == kICMP && g.one(2):
		return g.pick("set_field:8->icmp_type", "set_field:1->icmp_code")
	case (k == kICMP6) && g.one(2):
		return "set_field:1->icmpv6_code"
	case k == kND && g.one(2):
		return "set_field:fe80::9->nd_target"
	case isIP4(k):
		return g.pick("mod_nw_src:10.0.0.9", "mod_nw_dst:10.0.0.1", "mod_nw_tos:32", "mod_nw_ttl:17", "load:0x64->NXM_OF_IP_DST[0..7]", "move:NXM_OF_IP_SRC[]->NXM_NX_REG1[]",
			"move:NXM_OF_IP_SRC[0..7]->NXM_OF_IP_DST[0..7]", "set_field:10.9.0.0/255.255.0.0->ip_src", "mod_nw_ecn:2", "move:NXM_NX_IP_TTL[]->NXM_NX_REG0[0..7]", "move:NXM_NX_REG0[]->NXM_OF_IP_SRC[]")
	case isIP6(k):
		return g.pick("set_field:2001:db8::9->ipv6_src", "set_field:2001:db9::/ffff:ffff::->ipv6_dst", "mod_nw_ttl:3", "mod_nw_tos:40", "move:NXM_NX_IPV6_SRC[0..31]->NXM_NX_REG1[]",
			"set_field:0x1->ipv6_label", "move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[]")
	}
	return "mod_dl_src:" + g.mac()
}

func (g *gen) list(br, table, k, n, depth int) string {
	var l []string
	for range 1 + g.IntN(n) {
		l = append(l, g.action(br, table, k, depth))
	}
	return strings.Join(l, ",")
}

// set writes actions for an action set.
func (g *gen) set(br, k int) string {
	var l []string
	for range 1 + g.IntN(3) {
		s := g.pick("output:1", "output:2", "NORMAL", "controller", "output:3", "set_field:"+g.mac()+"->eth_dst", "push_vlan:0x8100", "pop_vlan", "set_field:3->reg1", "resubmit(,4)")
		if (isIP4(k) || isIP6(k)) && g.one(4) {
			s = "dec_ttl"
		}
		l = append(l, s)
	}
	return strings.Join(l, ",")
}

// flows writes the flows of a bridge, n of them in tables 0 to 4.
func (g *gen) flows(br, n int) (lines []string) {
	for i := range n {
		table := g.IntN(5)
		m, k := g.match()
		if i < 5 {
			table, m, k = i, "", kAny
		}
		l := fmt.Sprintf("table=%d,priority=%d", table, i)
		if g.one(4) {
			l += fmt.Sprintf(",cookie=%#x", g.IntN(1000))
		}
		if m != "" {
			l += "," + m
		}
		acts := g.list(br, table, k, 4, 0)
		if g.one(20) {
			acts = "drop"
		} else if g.v >= ofp.V13 {
			if g.one(10) {
				acts += ",clear_actions"
			}
			if g.one(5) {
				acts += ",write_actions(" + g.set(br, k) + ")"
			}
			if g.one(8) {
				acts += ",write_metadata:" + g.pick("1", "2/3", "0x8/0xf")
			}
			if g.one(3) && table < 4 {
				acts += fmt.Sprintf(",goto_table:%d", table+1+g.IntN(4-table))
			}
		}
		lines = append(lines, l+",actions="+acts)
	}
	return lines
}

// packet writes a packet that comes into br0.
func (g *gen) packet() string {
	k := g.IntN(nKinds)
	p := []string{"in_port=" + g.pick("1", "2", "3", "4", "LOCAL"), "dl_src=" + g.mac(),
		"dl_dst=" + g.pick(g.mac(), g.mac(), "02:00:00:00:00:05", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:02", "01:00:5e:00:00:01")}
	add := func(s ...string) { p = append(p, s...) }
	if k == kAny {
		if g.one(2) {
			add("dl_type=" + g.pick("0x88cc", "0x1234", "0x05ff"))
		}
	} else {
		add(kindWord[k])
	}
	if g.one(2) {
		add("vlan_tci=" + g.pick("0x100a", "0x700a", "0x1014", "0x1000", "0xb000", "0xb00a"))
	}
	if k == kARP {
		add("arp_op="+g.pick("1", "2"), "arp_spa="+g.ip(), "arp_tpa="+g.ip(), "arp_sha="+g.mac(), "arp_tha="+g.mac())
	}
	if isIP4(k) {
		add("nw_src="+g.ip(), "nw_dst="+g.ip())
	}
	later := false
	if isIP6(k) {
		add("ipv6_src="+g.ip6(), "ipv6_dst="+g.ip6())
		if g.one(4) {
			add("ipv6_label=" + g.pick("0x12345", "0x5"))
		}
	}
	if isIP4(k) || isIP6(k) {
		add("nw_ttl="+g.pick("1", "2", "64", "0"), "nw_tos="+g.pick("0", "184"), "nw_ecn="+g.pick("0", "1"))
		if k == kIP || k == kIP6 {
			add("nw_proto=" + g.pick("0", "47", "50"))
		}
		if g.one(6) {
			f := g.pick("first", "later")
			later = f == "later"
			add("nw_frag=" + f)
		}
	}
	if later {
		return strings.Join(p, ",")
	}
	switch {
	case hasPorts(k):
		l4 := strings.TrimSuffix(kindWord[k], "6")
		add(l4+"_src="+g.port(), l4+"_dst="+g.port())
		if k == kTCP || k == kTCP6 {
			add("tcp_flags=" + g.pick("0x2", "0x12", "0x10", "0x4"))
		}
	case k == kICMP:
		add("icmp_type="+g.pick("0", "8", "3"), "icmp_code="+g.pick("0", "1"))
	case k == kICMP6:
		add("icmpv6_type="+g.pick("128", "135", "1"), "icmpv6_code="+g.pick("0", "1"))
	case k == kND:
		if g.one(2) {
			add("icmpv6_type=135,icmpv6_code=0", "nd_target="+g.ip6(), "nd_sll="+g.mac())
		} else {
			add("icmpv6_type=136,icmpv6_code=0", "nd_target="+g.ip6(), "nd_tll="+g.mac())
		}
	}
	return strings.Join(p, ",")
}

// vlan writes the VLAN configuration of a port.
func (g *gen) vlan(string) (v xlate.VLAN, set []string) {
	if g.one(3) {
		return v, nil
	}
	v.Mode = xlate.VLANMode(g.IntN(4))
	set = append(set, "vlan_mode="+v.Mode.String())
	if v.Mode != xlate.Trunk {
		v.Tag = []uint16{10, 20}[g.IntN(2)]
		set = append(set, fmt.Sprintf("tag=%d", v.Tag))
	}
	if v.Mode != xlate.Access && g.one(2) {
		v.Trunks = xlate.NewVLANSet(10, 30)
		set = append(set, "trunks=10,30")
	}
	if g.one(4) {
		v.PriorityTags = []xlate.PriorityTags{xlate.PriorityIfNonzero, xlate.PriorityAlways}[g.IntN(2)]
		set = append(set, "other_config:priority-tags="+[]string{"", "if-nonzero", "always"}[v.PriorityTags])
	}
	return v, set
}
