// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
)

// TestReusedNumbers: a flow that gets the number of one that had counted begins at zero.
func TestReusedNumbers(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	l := newLab(t, d, "n", 2)
	m := udpMask()
	next := dpif.FlowID(1)
	for round := range 3 {
		first := next
		fs := make([]dpif.Flow, segLen-1) // and that of the sentinel
		for i := range fs {
			fs[i] = *udpFlow(next, uint16(1+i), m, dpif.Output{Port: 2})
			next++
		}
		errs := make([]error, len(fs))
		d.FlowPuts(fs, errs)
		for i, err := range errs {
			if err != nil {
				t.Fatalf("round %d, flow %d: %v", round, i, err)
			}
		}
		if round == 0 {
			if err := d.FlowPut(sentinelFlow(2)); err != nil {
				t.Fatal(err)
			}
		}
		err := d.FlowDump(func(id dpif.FlowID, s dpif.FlowStats) bool {
			if id >= first && id < next && (s.Packets != 0 || s.Bytes != 0 || !s.Used.IsZero()) {
				t.Errorf("round %d: new flow %d has counted %+v", round, id, s)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(fs) {
			f, _ := udp(1, uint16(1+i))
			l.send(t, 1, f)
		}
		l.send(t, 1, sentinel())
		if n := len(l.recv(t, 2)); n != len(fs) {
			t.Fatalf("round %d: %d packets came, want %d", round, n, len(fs))
		}
		for i := range fs {
			if s, err := d.FlowDel(fs[i].ID); err != nil || s.Packets != 1 {
				t.Fatalf("round %d: deleted flow %d: %+v, %v", round, i, s, err)
			}
		}
	}
	if n := d.flows.flows.inUse(); n != 1 {
		t.Errorf("%d numbers in use, want that of the sentinel", n)
	}
}
