// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirswitch/weir/dsa/bridge"
)

// What is behind the leg becomes static entries on it; what the chip learned
// stays the chip's until the host is known to have moved.
func TestDiffMACs(t *testing.T) {
	mac := func(n byte) bridge.MAC { return bridge.MAC{2, 0, 0, 0, 0, n} }
	entry := func(n byte, port string, o bridge.Owner) bridge.MACEntry {
		return bridge.MACEntry{Bridge: "br0", Port: port, VID: 10, MAC: mac(n), Owner: o}
	}
	table := []bridge.MACEntry{
		entry(1, "leg", bridge.OwnerStatic), // wanted, there
		entry(2, "leg", bridge.OwnerStatic), // no longer wanted
		entry(3, "lan1", bridge.OwnerChip),  // wanted, but the chip has heard it since
		entry(4, "lan1", bridge.OwnerChip),  // wanted, and known to have moved
		entry(5, "leg", bridge.OwnerSoftware),
		entry(6, "br0", bridge.OwnerLocal),
		{Bridge: "br1", Port: "leg1", VID: 10, MAC: mac(2), Owner: bridge.OwnerStatic},
	}
	want := map[bridge.VLANMAC]bool{}
	for _, n := range []byte{1, 3, 4, 5, 6, 7} {
		want[bridge.VLANMAC{VID: 10, MAC: mac(n)}] = true
	}
	take := map[bridge.VLANMAC]bool{{VID: 10, MAC: mac(4)}: true}
	got := bridge.Text(bridge.DiffMACs("br0", "leg", table, want, take))
	const ops = `bridge fdb del 02:00:00:00:00:02 dev leg master static vlan 10
bridge fdb replace 02:00:00:00:00:04 dev leg master static vlan 10
bridge fdb replace 02:00:00:00:00:05 dev leg master static vlan 10
bridge fdb replace 02:00:00:00:00:07 dev leg master static vlan 10
`
	if d := cmp.Diff(ops, got); d != "" {
		t.Error(d)
	}
	if got := len(bridge.Static(table)); got != 3 {
		t.Errorf("%d static entries, want 3", got)
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
