// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirswitch/weir/dsa/bridge"
)

func TestStatic(t *testing.T) {
	entry := func(n byte, vid uint16, o bridge.Owner) bridge.MACEntry {
		return bridge.MACEntry{Bridge: "br0", Port: "leg", VID: vid, MAC: bridge.MAC{2, 0, 0, 0, 0, n}, Owner: o, Sticky: n == 1}
	}
	got := bridge.Static([]bridge.MACEntry{
		entry(1, 10, bridge.OwnerStatic), entry(2, 10, bridge.OwnerChip), entry(3, 10, bridge.OwnerSoftware),
		entry(4, 10, bridge.OwnerLocal), entry(5, 0, bridge.OwnerStatic),
	})
	want := []bridge.FDBEntry{{Bridge: "br0", VID: 10, MAC: bridge.MAC{2, 0, 0, 0, 0, 1}, Port: "leg", Sticky: true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCheck(t *testing.T) {
	good := bridge.State{Bridges: []bridge.Bridge{br0(tagged(10)...)}, Ports: []bridge.Port{member("p1", access(10)...)}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*bridge.State){
		"default PVID":        func(s *bridge.State) { s.Bridges[0].DefaultPVID = 1 },
		"no filtering":        func(s *bridge.State) { s.Bridges[0].VLANFiltering = false },
		"VLAN 4095":           func(s *bridge.State) { s.Ports[0].VLANs[0].VID = 4095 },
		"two PVIDs":           func(s *bridge.State) { s.Ports[0].VLANs = append(access(10), access(20)...) },
		"a VLAN twice":        func(s *bridge.State) { s.Ports[0].VLANs = tagged(10, 10) },
		"no such bridge":      func(s *bridge.State) { s.Ports[0].Master = "br7" },
		"two of a name":       func(s *bridge.State) { s.Ports = append(s.Ports, s.Ports[0]) },
		"STP without UserSTP": func(s *bridge.State) { s.Ports[0].STP = bridge.STPBlocking },
		"a group as MAC": func(s *bridge.State) {
			s.FDB = []bridge.FDBEntry{{Bridge: "br0", VID: 10, MAC: bridge.MAC{1}, Port: "p1"}}
		},
		"a MAC outside its VLAN": func(s *bridge.State) {
			s.FDB = []bridge.FDBEntry{{Bridge: "br0", VID: 20, MAC: bridge.MAC{2}, Port: "p1"}}
		},
		"police of nothing": func(s *bridge.State) { s.Polices = []bridge.Police{{Port: "p1"}} },
		"mirror to itself":  func(s *bridge.State) { s.Mirrors = []bridge.Mirror{{From: "p1", Dir: bridge.Ingress, To: "p1"}} },
		"leg without port":  func(s *bridge.State) { s.Legs = []bridge.Leg{{Inner: "a", Outer: "b"}} },
	} {
		s := good.Clone()
		change(&s)
		if s.Check() == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
