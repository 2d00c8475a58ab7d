// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/xlate"
)

// TestLegs: ports come under a chip and leave it, and the chip says what it has learned; the megaflows follow.
func TestLegs(t *testing.T) {
	l := newLab(t, Options{})
	br := &l.cfg.Bridges[0]
	const a, b = 0x02000000000a, 0x02000000000b
	fr := frame(b, a, 0, 1, 2, 3, 4)
	moved := func() bool {
		select {
		case <-l.s.MACsMoved():
			return true
		default:
			return false
		}
	}
	l.send(11, fr, "12", "13", "14", "21", "22")
	if !moved() {
		t.Error("learning is not told")
	}

	// Ports 3 and 4 are a chip's now, behind the leg with datapath port 50.
	br.Legs = []xlate.Leg{{No: MinLeg, Name: "leg", DP: 50, Untagged: 4094}}
	br.Ports[2].Leg, br.Ports[3].Leg = MinLeg, MinLeg
	l.applyConfig()
	l.send(11, fr, "12", "50", "21", "22")
	l.send(50, frame(a, b, 4094, 1, 2, 3, 4), "11") // nothing learned: still flooded
	l.send(11, fr, "12", "50", "21", "22")

	mac := []ChipMAC{{fdb.Key{MAC: b}, 3}, {fdb.Key{MAC: 7}, 1}, {fdb.Key{MAC: 8}, 99}}
	if err := l.s.HoldMACs("br0", nil, mac, l.now()); err != nil {
		t.Fatal(err)
	}
	if !moved() {
		t.Error("what the chip learned is not told")
	}
	l.send(11, fr, "50")
	l.send(50, frame(b, a, 4094, 1, 2, 3, 4)) // the chip has it already
	es, err := l.s.MACs("br0")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range es {
		if e.Held {
			n++
		}
		if e.MAC == 7 || e.MAC == 8 {
			t.Errorf("holds %+v", e)
		}
	}
	if n != 1 {
		t.Errorf("%d addresses of the chip: %+v", n, es)
	}

	// The host behind port 3 moves to port 2, then the chip loses what it has no longer.
	l.send(12, frame(a, b, 0, 1, 2, 3, 4), "11")
	l.send(11, fr, "12")
	if err := l.s.HoldMACs("br0", mac[:1], nil, l.now()); err != nil {
		t.Fatal(err)
	}
	l.send(11, fr, "12")

	// Under no chip any more.
	br.Legs = nil
	br.Ports[2].Leg, br.Ports[3].Leg = 0, 0
	l.applyConfig()
	l.send(11, frame(0xffffffffffff, a, 0, 1, 2, 3, 4), "12", "13", "14", "21", "22")
	if err := l.s.HoldMACs("br0", nil, mac, l.now()); err != nil {
		t.Fatal(err)
	}
	if p, ok := l.s.bridges["br0"].x.FDB.Lookup(0, 7); ok {
		t.Errorf("holds an address on port %v without a chip", p)
	}
	if err := l.s.HoldMACs("br9", nil, nil, l.now()); err == nil {
		t.Error("a bridge that is not there")
	}
	for _, bad := range [][]xlate.Leg{{{No: 5, DP: 50}}, {{No: MinLeg, DP: 11}}, {{No: MinLeg, DP: 50}, {No: MinLeg, DP: 51}}} {
		c := Config{Bridges: []BridgeConfig{{Name: "br0", Ports: l.cfg.Bridges[0].Ports, Legs: bad}}}
		if err := l.s.Apply(c, l.now()); err == nil {
			t.Errorf("legs %+v accepted", bad)
		}
	}
	c := Config{Bridges: []BridgeConfig{{Name: "br0", Ports: []PortConfig{{No: 1, Name: "p1", DP: 11, Leg: MinLeg}}}}}
	if err := l.s.Apply(c, l.now()); err == nil {
		t.Error("a leg that is not there accepted")
	}
}

// TestTablesChanged: whoever asks what a chip may do hears when to ask again.
func TestTablesChanged(t *testing.T) {
	l := newLab(t, Options{})
	changed := func() bool {
		select {
		case <-l.s.TablesChanged():
			return true
		default:
			return false
		}
	}
	changed()
	say := func(want1, want2 bool) {
		t.Helper()
		why, err := l.s.NotNormal("br0")
		if err != nil || (why[1] == "") != want1 || (why[2] == "") != want2 {
			t.Errorf("%q, %v", why, err)
		}
	}
	say(true, true)
	m := openflow.FlowMod{Priority: 5, Instructions: action.Instructions{Apply: action.List{action.Output{Port: 1}}}}
	m.Match.SetU64(flow.FieldInPort, 2)
	l.flowMod("br0", m)
	if !changed() {
		t.Error("a new rule is not told")
	}
	say(true, false)
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowDelete, Match: m.Match})
	if !changed() {
		t.Error("a rule that goes is not told")
	}
	say(true, true)
	if _, err := l.s.NotNormal("br9"); err == nil {
		t.Error("a bridge that is not there")
	}
}
