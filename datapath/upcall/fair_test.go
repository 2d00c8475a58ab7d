// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math/rand/v2"
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
)

// TestFairBounds: packets that are as long as can be are bounded by their bytes, those of a quiet port are
// there all the same, and the accounts are right.
func TestFairBounds(t *testing.T) {
	const seed, ports, longest = 5, 100, 81920
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f := newFair()
	for range 64 {
		f.put(1, Async{MaxLen: 1}, 65536)
	}
	if n := len(f.ports[1].list); n != packetInBytes/65536 || f.drops.Load() != uint64(64-n) {
		t.Errorf("%d trains of 64 KiB wait, %d dropped", n, f.drops.Load())
	}
	put, got := 64, 0
	last := map[dpif.Port]uint16{}
	met := false
	for i := range 50_000 {
		if p := dpif.Port(r.IntN(ports)); r.IntN(5) > 0 != (i/5000%2 == 1) {
			f.put(p, Async{MaxLen: uint16(i), Controller: uint16(p)}, 1+r.IntN(longest))
			put++
		} else if a, ok := f.get(); ok {
			if a.MaxLen <= last[dpif.Port(a.Controller)] && a.MaxLen > 1 && a.Controller > 1 {
				t.Fatalf("port %d: message %d behind %d", a.Controller, a.MaxLen, last[dpif.Port(a.Controller)])
			}
			last[dpif.Port(a.Controller)] = a.MaxLen
			got++
		}
		sum := 0
		for p, q := range f.ports {
			if len(q.list) == 0 || len(q.list) > packetInsPerPort || q.bytes > max(packetInBytes, longest) {
				t.Fatalf("port %d: %d messages, %d bytes", p, len(q.list), q.bytes)
			}
			sum += q.bytes
		}
		if sum != f.bytes || sum > packetInsBytes || len(f.turn) != len(f.ports) {
			t.Fatalf("%d bytes, %d counted; %d ports, %d in turn", sum, f.bytes, len(f.ports), len(f.turn))
		}
		met = met || sum > packetInsBytes-longest
	}
	if !met {
		t.Error("the bound of all ports was never met")
	}
	for {
		if _, ok := f.get(); !ok {
			break
		}
		got++
	}
	if put != got+int(f.drops.Load()) || f.bytes != 0 {
		t.Errorf("%d put, %d got, %d dropped, %d bytes left", put, got, f.drops.Load(), f.bytes)
	}
	// Each port's share is there when others flood.
	for range 100 {
		for p := range dpif.Port(ports) {
			f.put(p, Async{}, 60_000)
		}
	}
	f.put(ports, Async{Controller: 99}, 60)
	if q := f.ports[ports]; q == nil || len(q.list) != 1 {
		t.Error("a quiet port's message was dropped")
	}
}
