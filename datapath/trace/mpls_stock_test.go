// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/hex"
	"strings"
	"testing"
)

// labelActions are actions on MPLS and IP packets none of which makes the stock switch recirculate: its
// trace ends there, ours only where it must (package upcall compares what leaves).
var labelActions = []string{
	"pop_mpls:0x8847,output:2,output:3", "pop_mpls:0x0800,output:2", "pop_mpls:0x0800,controller",
	"push_mpls:0x8847,output:1,push_mpls:0x8848,output:2", "push_mpls:0x8848,push_mpls:0x8847,push_mpls:0x8847,output:2",
	"push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,output:2",
	"set_mpls_ttl:9,dec_mpls_ttl,output:2", "set_mpls_ttl:1,dec_mpls_ttl,output:2", "dec_mpls_ttl,output:2",
	"set_field:3->mpls_label,output:2,pop_mpls:0x8847,output:3,push_mpls:0x8847,output:2",
	"load:5->OXM_OF_MPLS_TC[],output:2", "move:OXM_OF_MPLS_LABEL[0..11]->NXM_NX_REG0[0..11],output:2",
	"output(port=2,max_len=20),output:3,output(port=3,max_len=50)", "output(port=1,max_len=20),output(port=IN_PORT,max_len=50),output(port=77,max_len=50)",
	"set_queue:2,output:2,pop_queue,output:3,enqueue:2:5,set_queue:9",
}

// TestLabels compares the texts of traces where there are labels, truncated outputs and queues.
func TestLabels(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	l := newLab(t)
	const ip = "45b8002900010000401100000a0000010a000009" + "03e8003500150000aabbccddeeff00112233445566"
	stacks := []string{"0000a140", "0000a0400000b141", "0000a0410000b0410000c142", "0000a0400000b0410000c0420000d143"}
	n := 0
	for _, acts := range labelActions {
		for _, m := range []string{"", "mpls,"} {
			lines := l.flows(0, []string{"table=0,priority=1," + m + "actions=" + acts})
			if len(lines) == 0 {
				continue
			}
			for _, s := range append(stacks, "") {
				packet := eth + "8847" + s + ip
				if s == "" {
					packet = eth + "0800" + ip
				}
				if _, err := hex.DecodeString(packet); err != nil {
					t.Fatal(err)
				}
				ours, theirs, _, err := l.trace("in_port=1", packet)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(theirs, "recirc(") {
					t.Fatalf("%s: the stock switch recirculates\n%s", acts, theirs)
				}
				if a, b := canonical(ours), canonical(theirs); a != b {
					t.Errorf("%s, packet %s\n%s\nours\n%s\nstock\n%s", acts, packet, firstDiff(a, b), ours, theirs)
				}
				n++
			}
		}
	}
	t.Logf("%d traces equal", n)
	if n < 100 {
		t.Error("too few")
	}
}
