// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlanChip: a port comes under a chip and leaves it: the datapath gives its device up and takes it back, under
// the same numbers, and the leg is a port of the datapath meanwhile.
func TestPlanChip(t *testing.T) {
	w, book := newWorld(), &Book{}
	w.device("sw1", MAC{2, 1, 2, 3, 4, 5})
	w.device("weir-o1", MAC{2, 1, 2, 3, 4, 6})
	s := New(rows(BridgeRow{ID: id(2), Name: "br0", Ports: []PortRow{portRow("sw1", "")}}))
	settle := func(want ...string) *Plan {
		t.Helper()
		var ops []string
		for range 10 {
			p := Make(s, &w.Present, book)
			if len(p.Before) == 0 {
				for _, o := range p.After {
					ops = append(ops, o.String())
					if err := w.do(o); err != nil {
						t.Fatal(err)
					}
				}
				if d := cmp.Diff(want, ops); d != "" {
					t.Error(d)
				}
				return p
			}
			for _, o := range p.Before {
				ops = append(ops, o.String())
				if err := w.do(o); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Fatal("does not settle")
		return nil
	}
	w.Chips = map[string]ChipPort{"sw1": {Reason: "a rule"}}
	settle("open datapath bpf", "create internal br0 02:00:00:00:00:02",
		"add port br0 to bpf as 2 (leg-br0, ifindex 4)", "add port sw1 to bpf as 1 (sw1, ifindex 1)", "set sw1 up")
	d := w.Devices["sw1"] // somebody sets it down: that is not overruled
	d.Up = false
	w.Devices["sw1"] = d
	w.Chips = map[string]ChipPort{"sw1": {Bridged: true}}
	w.Legs = []ChipLeg{{"br0", "weir-o1", 4094}, {"other", "weir-o2", 4094}}
	p := settle("delete port sw1 from bpf (1)", "add port sw1 to bpf as 1 (sw1, ifindex 1, to send only)",
		"add port weir-o1 to bpf as 3 (weir-o1, ifindex 2)")
	if text := p.String(); !strings.Contains(text, "sw1 1/1 bridged by a chip\n") || !strings.Contains(text, "leg weir-o1 of br0 /3 untagged 4094\n") {
		t.Error(text)
	}
	for _, c := range []struct{ reason, want string }{
		{"", `["map",[["offload_mode","bridged"]]]`},
		{"why", `["map",[["offload_mode","bridged"],["offload_reason","why"]]]`},
	} {
		w.Chips["sw1"] = ChipPort{Bridged: true, Reason: c.reason}
		got := statusText(Status(s, settle(), map[string]Link{}, About{}))
		if !strings.Contains(got, "Interface status "+c.want+"\n") {
			t.Errorf("status lacks %s:\n%s", c.want, got)
		}
	}
	delete(w.Chips, "sw1")
	w.Legs = nil
	settle("delete port sw1 from bpf (1)", "add port sw1 to bpf as 1 (sw1, ifindex 1)", "delete port weir-o1 from bpf (3)")
}
