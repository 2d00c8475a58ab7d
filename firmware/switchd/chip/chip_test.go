// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/xlate"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// input is a switch with one bridge whose ports are of a chip, unless their name begins with x.
func input(ports ...wanted.Port) Input {
	b := wanted.Bridge{ID: ovsdb.UUID{1, 2, 3, 4}, Name: "br0", MACAging: 300 * time.Second, Ports: ports}
	in := Input{
		Switch: &wanted.Switch{Bridges: []wanted.Bridge{b}}, Ports: map[string]Port{}, MTU: map[string]int{},
		Usable:    func(string) bool { return true },
		NotNormal: func(_, _ string) string { return "" },
	}
	for i := range ports {
		n := ports[i].Name
		in.MTU[n] = 1500
		if !strings.HasPrefix(n, "x") {
			in.Ports[n] = Port{Name: n, Switch: "sw1"}
		}
	}
	return in
}

func port(name string, v wanted.VLAN) wanted.Port {
	return wanted.Port{Name: name, VLAN: v, Interfaces: []wanted.Interface{{Name: name}}}
}

func TestAssign(t *testing.T) {
	in := input(
		port("a", wanted.VLAN{}),
		port("b", wanted.VLAN{Mode: wanted.Access, Tag: 10}),
		port("c", wanted.VLAN{Mode: wanted.NativeUntagged, Tag: 20, Trunks: []uint16{10, 20, 30}}),
		port("d", wanted.VLAN{Mode: wanted.NativeTagged, Tag: 20}),
		port("e", wanted.VLAN{Mode: wanted.Access, Tag: 10, PriorityTags: "always"}),
		port("f", wanted.VLAN{Trunks: []uint16{0, 4094}}),
		port("x", wanted.VLAN{Mode: wanted.Access, Tag: 99}),
	)
	in.MTU["c"] = 9000
	in.NotNormal = func(_, iface string) string {
		if iface == "d" {
			return "because"
		}
		return ""
	}
	a, again := Assign(in, new(Holds), t0)
	want := `port a of br0, chip sw1: bridged
port b of br0, chip sw1: bridged
port c of br0, chip sw1: bridged
port d of br0, chip sw1: standalone (because)
port e of br0, chip sw1: standalone (other_config:priority-tags is beyond the chip)
port f of br0, chip sw1: bridged
bridge wchip-b01020304 for br0, leg wchip-i01020304-wchip-o01020304, untagged 3071, ageing 5m0s, mtu 9000
  a: 10, 20, 30, 99, 3071 pvid untagged, 4094
  b: 10 pvid untagged
  c: 10, 20 pvid untagged, 30
  f: 3071 pvid untagged, 4094
  wchip-i01020304: 10, 20, 30, 99, 3071, 4094
  note: trunks of all VLANs have on the chip those that a row of the bridge names: 10,20,30,99,4094
`
	if a.String() != want || !again.IsZero() {
		t.Errorf("again %v,\n%swant\n%s", again, a, want)
	}
	in.Switch.Bridges[0].ForwardBPDU = true
	if a, _ := Assign(in, new(Holds), t0); len(a.Bridges) != 0 || a.Ports[0].Reason != "other_config:forward-bpdu is beyond the chip" {
		t.Errorf("forward-bpdu: %s", a)
	}
	in.Switch.Bridges[0].ForwardBPDU = false
	in.Switch.NoChip = true
	if a, _ := Assign(in, new(Holds), t0); len(a.Bridges) != 0 || a.Ports[0].Reason == "" {
		t.Errorf("off:\n%v", a)
	}
}

// TestHold: a port that becomes unfit leaves at once and comes back after the hold time; one that starts unfit
// does not wait.
func TestHold(t *testing.T) {
	why := "first"
	in := input(port("a", wanted.VLAN{}))
	in.NotNormal = func(_, _ string) string { return why }
	var h Holds
	step := func(s float64, reason string, want Mode, next float64) {
		t.Helper()
		why = reason
		now := t0.Add(time.Duration(s * float64(time.Second)))
		a, again := Assign(in, &h, now)
		if a.Ports[0].Mode != want {
			t.Errorf("at %v s, %q: %v", s, reason, a)
		}
		if (next == 0) != again.IsZero() || next != 0 && !again.Equal(t0.Add(time.Duration(next*float64(time.Second)))) {
			t.Errorf("at %v s: again %v", s, again)
		}
	}
	step(0, "first", Standalone, 0)
	step(1, "", Bridged, 0)
	step(2, "rule", Standalone, 0)
	step(3, "", Standalone, 7)
	step(4, "rule", Standalone, 0)
	step(5, "", Standalone, 9)
	step(8.9, "", Standalone, 9)
	step(9, "", Bridged, 0)
	step(10, "rule", Standalone, 0)
	in.Ports = nil // the port goes, and is another when it comes back
	Assign(in, &h, t0.Add(11*time.Second))
	if len(h.bridged)+len(h.unfit) != 0 {
		t.Errorf("remembers what has gone: %+v", h)
	}
}

// TestMembership compares with what translation does: whatever is delivered on a chip's port with its VLANs is what
// NORMAL would have delivered, for the VLANs that the chip has.
func TestMembership(t *testing.T) {
	const seed = 20261123
	r := rand.New(rand.NewPCG(seed, 2))
	vs := []uint16{0, 10, 20, 30}
	modes := map[wanted.VLANMode]xlate.VLANMode{
		wanted.Trunk: xlate.Trunk, wanted.Access: xlate.Access,
		wanted.NativeTagged: xlate.NativeTagged, wanted.NativeUntagged: xlate.NativeUntagged,
	}
	for round := range 5000 {
		random := func(name string) wanted.Port {
			v := wanted.VLAN{Mode: wanted.VLANMode(r.IntN(4))}
			if v.Mode != wanted.Trunk {
				v.Tag = vs[1+r.IntN(3)]
			}
			if v.Mode != wanted.Access && r.IntN(2) == 0 {
				v.Trunks = []uint16{vs[r.IntN(2)], vs[2+r.IntN(2)]}
			}
			return port(name, v)
		}
		a, b := random("a"), random("b")
		as, _ := Assign(input(a, b, port("x", wanted.VLAN{Trunks: []uint16{10, 20, 30}})), new(Holds), t0)
		k := as.Bridges[0]
		for _, wire := range vs {
			// The kernel's bridge (net/bridge/br_vlan.c): the PVID for no tag, membership on both sides.
			got := "nothing"
			vid := wire
			for _, m := range k.Members[0].VLANs {
				if wire == 0 && m.PVID {
					vid = m.VID
				}
			}
			in, out := has(k.Members[0], vid), has(k.Members[1], vid)
			if in != nil && out != nil {
				got = fmt.Sprint(vid)
				if out.Untagged {
					got = "0"
				}
			}
			want := "nothing"
			if got1 := normal(t, modes, a.VLAN, b.VLAN, wire); got1 != "" {
				want = got1
			}
			own := a.VLAN.Mode == wanted.Access && wire == a.VLAN.Tag // see doc.go
			if got != want && !own {
				t.Fatalf("seed %d, round %d: %v to %v with VID %d: %s, want %s\n%v", seed, round, a.VLAN, b.VLAN, wire, got, want, as)
			}
		}
	}
}

func has(m Member, vid uint16) *VLAN {
	for i := range m.VLANs {
		if m.VLANs[i].VID == vid {
			return &m.VLANs[i]
		}
	}
	return nil
}

// normal is the VID with which NORMAL sends a frame from one port to the other; "": it does not.
func normal(t *testing.T, modes map[wanted.VLANMode]xlate.VLANMode, from, to wanted.VLAN, wire uint16) string {
	conv := func(v wanted.VLAN) xlate.VLAN {
		x := xlate.VLAN{Mode: modes[v.Mode], Tag: v.Tag}
		if v.Trunks != nil {
			x.Trunks = xlate.NewVLANSet(v.Trunks...)
		}
		return x
	}
	b := xlate.NewBridge("br0", ofproto.New(nil), fdb.New(0, 0))
	b.OF.Reset(false, false, t0)
	b.SetPort(&xlate.Port{No: 1, DP: 1, VLAN: conv(from)})
	b.SetPort(&xlate.Port{No: 2, DP: 2, VLAN: conv(to)})
	var k flow.Key
	k.SetU64(flow.FieldEthDst, 0x020000000001)
	k.SetU64(flow.FieldEthType, 0x88b5)
	if wire != 0 {
		k.SetU64(flow.FieldVLANTPID, 0x8100)
		k.SetU64(flow.FieldVLANTCI, uint64(wire)|0x1000)
	}
	vid, out := wire, ""
	for _, a := range xlate.Translate(&xlate.In{Bridge: b, InPort: 1, Key: &k}).Actions {
		switch a := a.(type) {
		case dpif.Output:
			out = fmt.Sprint(vid)
		case dpif.PushVLAN:
			vid = a.TCI & 0xfff
		case dpif.PopVLAN:
			vid = 0
		case dpif.Set:
			vid = uint16(a.Value.Lo & 0xfff)
		default:
			t.Fatalf("action %T", a)
		}
	}
	return out
}
