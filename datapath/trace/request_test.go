// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
)

func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		args   string
		want   Request
		failed string
	}{
		{args: "br0 in_port=1", want: Request{Bridge: "br0", Flow: "in_port=1"}},
		{args: "br0 in_port=1 -generate", want: Request{Bridge: "br0", Flow: "in_port=1", Generate: true}},
		{args: "br0 in_port=1 --names", want: Request{Bridge: "br0", Flow: "in_port=1"}},
		{args: "in_port(1),eth()", want: Request{Flow: "in_port(1),eth()"}},
		{args: "ovs-system in_port(1)", want: Request{Datapath: "ovs-system", Flow: "in_port(1)"}},
		{args: "br0 in_port=1 0200000000020200000000010806", want: Request{Bridge: "br0", Flow: "in_port=1", Generate: true,
			Packet: []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6}}},
		{args: "br0", failed: "syntax error at br0 (or the bridge name was omitted)"},
		{args: "in_port=1", failed: "syntax error at in_port=1 (or the bridge name was omitted)"},
		{args: "br0 in_port=1 ffff", failed: "Packet data too short for Ethernet"},
		{args: "br0 in_port=1 fff", failed: "Trailing garbage in packet data"},
		{args: "br0 in_port=1 --consistent", failed: "--consistent: unknown option"},
		{args: "", failed: "syntax error: 0 arguments"},
	} {
		r, err := ParseRequest(strings.Fields(c.args))
		switch {
		case c.failed != "":
			if err == nil || err.Error() != c.failed {
				t.Errorf("%q: error %v, want %s", c.args, err, c.failed)
			}
		case err != nil:
			t.Errorf("%q: %v", c.args, err)
		case r.Bridge != c.want.Bridge || r.Datapath != c.want.Datapath || r.Flow != c.want.Flow || r.Generate != c.want.Generate || string(r.Packet) != string(c.want.Packet):
			t.Errorf("%q: got %+v, want %+v", c.args, r, c.want)
		}
	}
}

func noPort(string) (action.Port, bool) { return 0, false }

// TestKeys reads packets in both syntaxes.
func TestKeys(t *testing.T) {
	for _, c := range []struct{ flow, want string }{
		{"in_port=p7,tcp,tcp_dst=80", "tcp,in_port=7,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=0.0.0.0,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=80,tcp_flags=0"},
		{"dl_vlan=10", "in_port=ANY,dl_vlan=10,dl_vlan_pcp=0,vlan_tci1=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x0000"},
		{"vlan_tci=0x000a", "in_port=ANY,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x0000"},
		{"tcp_dst=80,in_port=3", "in_port=3,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x0000"},
	} {
		r := &Request{Bridge: "br0", Flow: c.flow}
		k, err := r.Key(func(name string) (action.Port, bool) { return 7, name == "p7" }, 1)
		if err != nil {
			t.Errorf("%s: %v", c.flow, err)
		} else if got := FlowText(k); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.flow, got, c.want)
		}
	}
	port := func(name string) (uint32, bool) { return 7, name == "7" || name == "eth7" }
	for _, c := range []struct{ flow, want string }{
		{"recirc_id(0),in_port(eth7),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0xb8,ttl=64,frag=no),tcp(src=1,dst=80),tcp_flags(syn)",
			"tcp,in_port=7,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=184,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=1,tp_dst=80,tcp_flags=syn"},
		{"in_port(7),eth_type(0x8100),vlan(vid=10,pcp=3),encap(eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1/0xff))",
			"arp,in_port=7,dl_vlan=10,dl_vlan_pcp=3,vlan_tci1=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_op=1,arp_sha=00:00:00:00:00:00,arp_tha=00:00:00:00:00:00"},
		{"in_port(7),ct_state(0/0),eth()", "in_port=7,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x05ff"},
	} {
		r := &Request{Flow: c.flow}
		k, err := r.DatapathKey(port, 1)
		if err != nil {
			t.Errorf("%s: %v", c.flow, err)
		} else if got := FlowText(k); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.flow, got, c.want)
		}
	}
	for _, bad := range []string{"in_port(8)", "eth(src=1)", "vlan(vid=4096)", "vlan(x=1)", "ipv4(frag=maybe)", "nonsense(1)", "eth", "eth(src=02:00:00:00:00:01",
		"encap(encap(encap(eth())))", "tcp(src=70000)"} {
		r := &Request{Flow: bad}
		if k, err := r.DatapathKey(port, 1); err == nil {
			t.Errorf("%s: taken as %s", bad, FlowText(k))
		}
	}
}

// FuzzKey: no flow text makes a parser panic, and what it takes prints as a text that it takes
// for the same packet again (in the OpenFlow syntax; but for fields that the text does not show).
func FuzzKey(f *testing.F) {
	f.Add("in_port=1,tcp,dl_vlan=10,nw_src=10.0.0.1,tcp_dst=80", []byte(nil))
	f.Add("icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=fe80::1,nd_sll=02:00:00:00:00:01", []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x81\x00\x00\x0a\x08\x06"))
	f.Add("in_port(1),eth(src=02:00:00:00:00:01),eth_type(0x8100),vlan(vid=1),encap(eth_type(0x800),ipv4(src=1.2.3.4,frag=later))", []byte(nil))
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		if len(data) < 14 {
			data = nil
		}
		dp := &Request{Flow: text, Packet: data}
		if k, err := dp.DatapathKey(func(string) (uint32, bool) { return 1, true }, 2); err == nil {
			FlowText(k)
		}
		r := &Request{Bridge: "br0", Flow: text, Packet: data}
		k, err := r.Key(noPort, 2)
		if err != nil {
			return
		}
		var all flow.Mask
		for i := range all {
			all[i] = ^uint64(0)
		}
		MegaflowText(action.Port(k.InPort()), k, &all)
		s := readable(k)
		if strings.Contains(s, "vlan1=") || strings.Contains(s, "mpls") || strings.Contains(s, "dl_type=0x0000") || strings.Contains(s, "nw_frag=0x") {
			return // the text has more than the language
		}
		again, err := (&Request{Bridge: "br0", Flow: s}).Key(noPort, 2)
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", text, s, err)
		}
		if x, y := readable(k), readable(again); x != y {
			t.Fatalf("%q prints as\n%s\nand then as\n%s", text, x, y)
		}
	})
}
