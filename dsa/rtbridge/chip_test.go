// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/dsa/bridge"
)

// TestChip runs on the ports of a real or emulated chip, which WEIR_CHIP names
// ("lan1,lan2,lan3"); firmware/fwtest does so. WEIR_CHIP_KIND says what is to
// be expected: "rocker" confirms static MACs, "dsa_loop" takes VLANs and
// nothing else.
func TestChip(t *testing.T) {
	names := strings.Split(os.Getenv("WEIR_CHIP"), ",")
	if len(names) < 2 {
		t.Skip("WEIR_CHIP names no ports of a chip (firmware/fwtest does)")
	}
	k, err := Open(Scope{Owned: func(n string) bool { return strings.HasPrefix(n, "wb-") }, Port: func(n string) bool { return slices.Contains(names, n) }, Traffic: true})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	rocker := os.Getenv("WEIR_CHIP_KIND") == "rocker"
	want := bridge.State{Bridges: []bridge.Bridge{{Name: "wb-0", Up: true, VLANFiltering: true}}}
	for _, n := range names {
		want.Ports = append(want.Ports, bridge.Port{Name: n, Master: "wb-0", Up: true, Flags: bridge.DefaultFlags(), VLANs: []bridge.VLAN{{VID: 10, PVID: true, Untagged: true}, {VID: 20}}})
	}
	mac := bridge.MAC{2, 0, 0, 0, 0, 7}
	want.FDB = []bridge.FDBEntry{{Bridge: "wb-0", VID: 20, MAC: mac, Port: names[0]}}
	var s bridge.Syncer
	r := sync(t, &s, k, want)
	t.Logf("applied\n%sreasons %v", bridge.Text(r.Applied), r.Reasons)

	// Drivers write MACs some time after the kernel took them.
	onChip := func(port string) bool { return slices.Contains(names, port) }
	var rest []bridge.Reason
	for range 100 {
		have, err := k.Read()
		if err != nil {
			t.Fatal(err)
		}
		if rest = bridge.NotOffloaded(&have, onChip); len(rest) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("not in the chip: %v", rest)
	if rocker != (len(rest) == 0) {
		t.Errorf("static MACs that the chip does not have: %v", rest)
	}

	// What the driver refuses is said in its words, and named as the port's.
	flagged := want.Clone()
	flagged.Ports[0].Flags.Learning = false
	r, err = s.Sync(k, flagged, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("learning off: failed %v, demote %q", r.Failed, r.Demote)
	if refused := len(r.Failed) == 1 && slices.Equal(r.Demote, names[:1]); refused == rocker {
		t.Errorf("learning off: %+v", r.Failed)
	}
	if !rocker {
		// Without the port the rest goes on.
		if r, err = s.Sync(k, flagged.Without(r.Demote...), time.Now()); err != nil || !r.Done() {
			t.Errorf("after demotion: %v, %+v", err, r)
		}
	}

	// A mirror has no place in either chip.
	mirrored := want.Clone()
	mirrored.Mirrors = []bridge.Mirror{{From: names[0], Dir: bridge.Ingress, To: names[1]}}
	if r, err = s.Sync(k, mirrored, time.Now()); err != nil || len(r.Failed) != 1 || r.Failed[0].Text == "" {
		t.Errorf("mirror: %v, %+v", err, r.Failed)
	} else {
		t.Logf("mirror: %v", r.Failed[0])
	}

	// All back.
	var none bridge.State
	for _, n := range names {
		none.Ports = append(none.Ports, bridge.Port{Name: n})
	}
	s = bridge.Syncer{}
	sync(t, &s, k, none)
}
