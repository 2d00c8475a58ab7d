// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// TestSegmentLen holds which length of a packet, or of a train of segments, counts.
func TestSegmentLen(t *testing.T) {
	a := packettest.Addr{Src: 1, Dst: 2}
	tcp := packettest.IPv4(a, 6, append([]byte{0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 16, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, make([]byte, 3000)...), 16)
	udp := packettest.UDP(a, 1, 2, make([]byte, 3000))
	for _, row := range []struct {
		data []byte
		size uint16
		want int
	}{
		{tcp, 0, 3066}, {tcp, 1448, 1514}, {tcp, 2999, 3065}, {tcp, 3000, 3066}, {tcp, 9000, 3066},
		{packettest.Tag(0x8100, 5, tcp), 1448, 1518},
		{tcp[:50], 1448, 50},
		{udp, 0, 3042}, {udp, 1472, 1514}, {packettest.ARP(a, 1), 1448, len(packettest.ARP(a, 1))},
	} {
		var k flow.Key
		var l packet.Layers
		packet.Parse(row.data, &packet.Meta{}, 1, &k, &l)
		if got := segmentLen(&dpif.Packet{Data: row.data, GSO: dpif.GSO{Size: row.size}}, &l); got != row.want {
			t.Errorf("%d bytes in segments of %d: %d, want %d", len(row.data), row.size, got, row.want)
		}
	}
}

// TestStockCheckPktLarger holds that packets of all sizes around the limits of check_pkt_larger leave
// as from the stock switch, which branches in its datapath.
func TestStockCheckPktLarger(t *testing.T) {
	w := newWire(t)
	w.v = "OpenFlow13"
	const t2, t3 = "table=2,reg0=1,actions=output:2", "table=2,reg0=0,actions=output:3"
	a := packettest.Addr{Src: 1, Dst: 2}
	for _, flows := range []string{
		"table=0,actions=check_pkt_larger(100)->reg0[0],resubmit(,2)",
		"table=0,actions=check_pkt_larger(100)->reg0[0],output:4,goto_table:2",
		"table=0,actions=output:4,mod_dl_src:02:00:00:00:00:77,check_pkt_larger(99)->reg0[0],mod_dl_dst:02:00:00:00:00:78,resubmit(,2),output:4",
		"table=0,actions=load:7->NXM_NX_REG1[],resubmit(,1),resubmit(,2),output:4\ntable=1,actions=check_pkt_larger(100)->reg0[0],load:0->NXM_NX_REG1[],resubmit(,2)",
		"table=0,actions=resubmit(,1),move:NXM_NX_REG1[0..7]->NXM_NX_REG0[0..7],resubmit(,2)\ntable=1,actions=check_pkt_larger(100)->reg0[0],load:1->NXM_NX_REG1[]",
		"table=0,actions=resubmit(,1),resubmit(,2),output:4\ntable=1,actions=check_pkt_larger(100)->reg0[0]",
		"table=0,actions=clone(check_pkt_larger(100)->reg0[0],resubmit(,2)),resubmit(,2),output:4",
		"table=0,actions=check_pkt_larger(90)->reg0[0],check_pkt_larger(104)->reg0[1],resubmit(,2)\ntable=2,reg0=3,actions=output:4",
		"table=0,actions=push_vlan:0x8100,check_pkt_larger(100)->reg0[0],resubmit(,2)",
		"table=0,actions=push_vlan:0x8100,output:4,push_vlan:0x8100,check_pkt_larger(100)->reg0[0],strip_vlan,check_pkt_larger(96)->reg0[1],resubmit(,2)\ntable=2,reg0=3,actions=output:4",
		"table=0,actions=check_pkt_larger(100)->reg0[0],push_vlan:0x8100,check_pkt_larger(104)->NXM_OF_VLAN_TCI[3],output:2",
		"table=0,actions=check_pkt_larger(98)->reg0[0],write_actions(output:4),goto_table:2",
		"table=0,actions=write_actions(output:4),goto_table:1\ntable=1,actions=check_pkt_larger(100)->reg0[0],resubmit(,2)",
		"table=0,ip,actions=push_mpls:0x8847,check_pkt_larger(100)->OXM_OF_MPLS_LABEL[0],output:2",
		"table=0,ip,actions=check_pkt_larger(65535)->reg0[0],resubmit(,2)",
		"table=0,ip,actions=check_pkt_larger(0)->reg0[0],resubmit(,2)",
		"table=0,ip,actions=check_pkt_larger(100)->reg0[0],dec_ttl,resubmit(,2)",
	} {
		lines := append(strings.Split(flows, "\n"), t2, t3)
		if kept := w.flows(lines); len(kept) != len(lines)+1 {
			t.Fatalf("%s\nkept only %q", flows, kept)
		}
		sent := 0
		for _, n := range []int{48, 49, 54, 55, 56, 57, 58, 59, 62, 63} { // frames of 90 to 105 bytes, or 94 to 109
			d := packettest.UDP(a, 1000, 53, bytes.Repeat([]byte{0x5a}, n))
			frames := [][]byte{d, packettest.Tag(0x8100, 0x6005, d)}
			if strings.Count(flows, "push_vlan") == 2 && strings.Contains(flows, "strip") {
				frames = frames[:1] // of three tags the stock switch keeps two
			}
			for _, frame := range frames {
				for again := range 2 {
					ours, theirs := w.receive(1, frame)
					if strings.Contains(flows, "write_actions(output:4),goto_table") {
						// Stock 3.1 executes the set once more behind the branch of those that are larger.
						theirs = slices.Compact(theirs)
					}
					sent += len(theirs)
					if !slices.Equal(ours, theirs) {
						t.Errorf("%s\nframe of %d bytes, time %d\nours\n%s\nstock\n%s", flows, len(frame), again, strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
					}
				}
			}
		}
		if sent < 20 {
			t.Errorf("%s\nonly %d packets sent", flows, sent)
		}
	}
}
