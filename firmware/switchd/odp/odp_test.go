// SPDX-License-Identifier: Apache-2.0

package odp

import (
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// The forms are those of Debian's ovs-appctl dpctl/dump-flows, watched on a
// stock switch, but for packet_type, which says nothing here, vlan(none), and
// ip(), tp() and userspace() of our own set actions.
func TestFlow(t *testing.T) {
	now := time.Unix(1000, 0)
	match := func(f func(m *flow.Match)) *flow.Match {
		m := &flow.Match{}
		m.SetU64(flow.FieldInPort, 2)
		m.SetU64(flow.FieldRecircID, 0)
		f(m)
		return m
	}
	for _, c := range []struct {
		m       *flow.Match
		actions []dpif.Action
		stats   dpif.FlowStats
		want    string
	}{
		{match(func(m *flow.Match) {}), nil, dpif.FlowStats{},
			"recirc_id(0),in_port(2), packets:0, bytes:0, used:never, actions:drop"},
		{match(func(m *flow.Match) {
			m.SetU64(flow.FieldEthSrc, 0xe23304638845)
			m.SetU64(flow.FieldEthDst, 0x333300000016)
			m.SetU64(flow.FieldEthType, 0x86dd)
			m.SetU64(flow.FieldIPFrag, 0)
		}), []dpif.Action{dpif.Output{Port: 3}}, dpif.FlowStats{Packets: 7, Bytes: 630, Used: now.Add(-1500 * time.Millisecond)},
			"recirc_id(0),in_port(2),eth(src=e2:33:04:63:88:45,dst=33:33:00:00:00:16),eth_type(0x86dd),ipv6(frag=no), packets:7, bytes:630, used:1.500s, actions:3"},
		{match(func(m *flow.Match) {
			m.SetU64(flow.FieldVLANTCI, flow.VLANPresent|10)
			m.SetU64(flow.FieldEthType, 0x0800)
			m.SetMasked(flow.FieldIPDst, flow.U128{Lo: 0x0a000000}, flow.U128{Lo: 0xff000000})
			m.SetU64(flow.FieldIPProto, 6)
			m.SetMasked(flow.FieldTPDst, flow.U128{Lo: 80}, flow.U128{Lo: 0xfff0})
			m.SetU64(flow.FieldIPFrag, 0)
		}), []dpif.Action{dpif.PopVLAN{}, dpif.PushVLAN{TPID: 0x8100, TCI: flow.VLANPresent | 20}, dpif.Output{Port: 1}, dpif.Output{Port: 4}},
			dpif.FlowStats{TCPFlags: 0x1a, Packets: 1, Bytes: 60, Used: now},
			"recirc_id(0),in_port(2),eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,proto=6,frag=no),tcp(dst=80/0xfff0)), packets:1, bytes:60, used:0.000s, flags:SP., actions:pop_vlan,push_vlan(vid=20,pcp=0),1,4"},
		{match(func(m *flow.Match) {
			m.SetU64(flow.FieldVLANTCI, 0)
			m.SetU64(flow.FieldEthType, 0x0806)
			m.SetU64(flow.FieldARPOp, 1)
			m.SetU64(flow.FieldARPTPA, 0x0a000001)
		}), []dpif.Action{dpif.Set{Field: flow.FieldEthDst, Value: flow.U128{Lo: 0x020000000001}, Mask: flow.Ones(48)},
			dpif.Set{Field: flow.FieldIPTTL, Value: flow.U128{Lo: 63}, Mask: flow.Ones(8)}, dpif.Userspace{Arg: 3}}, dpif.FlowStats{},
			"recirc_id(0),in_port(2),vlan(none),eth_type(0x0806),arp(tip=10.0.0.1,op=1), packets:0, bytes:0, used:never, actions:set(eth(dst=02:00:00:00:00:01)),set(ip(ttl=63)),userspace(3)"},
		{match(func(m *flow.Match) {
			m.SetU64(flow.FieldEthType, 0x86dd)
			m.SetU64(flow.FieldIPProto, 58)
			m.SetU64(flow.FieldTPSrc, 135)
			m.SetU64(flow.FieldTPDst, 0)
			m.Set(flow.FieldNDTarget, flow.U128{Hi: 0xfe80 << 48, Lo: 1})
			m.SetU64(flow.FieldIPFrag, flow.FragAny)
		}), nil, dpif.FlowStats{},
			"recirc_id(0),in_port(2),eth_type(0x86dd),ipv6(proto=58,frag=first),icmpv6(type=135,code=0),nd(target=fe80::1), packets:0, bytes:0, used:never, actions:drop"},
	} {
		if got := Flow(c.m, c.actions, c.stats, now); got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}
