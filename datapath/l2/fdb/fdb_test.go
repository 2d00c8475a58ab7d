// SPDX-License-Identifier: Apache-2.0

package fdb

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func TestLearn(t *testing.T) {
	tab := New(0, 0)
	learn := func(s float64, vlan uint16, mac uint64, port action.Port, want string) {
		t.Helper()
		stale := tab.Stale(vlan, mac, port)
		ch, changed := tab.Learn(vlan, mac, port, at(s))
		if stale != changed {
			t.Errorf("Stale = %v, Learn changed = %v", stale, changed)
		}
		got := ""
		for _, c := range ch {
			got += fmt.Sprintf("%d/%x %d->%d;", c.VLAN, c.MAC, int32(c.Old), int32(c.New))
		}
		if got != want {
			t.Errorf("learn %d/%x on %d: %q, want %q", vlan, mac, port, got, want)
		}
	}
	learn(0, 10, 0x02_0000_000001, 1, "10/20000000001 -1->1;")
	learn(0, 20, 0x02_0000_000001, 2, "20/20000000001 -1->2;") // another VLAN
	learn(1, 10, 0x02_0000_000001, 1, "")
	learn(2, 10, 0x02_0000_000001, 3, "10/20000000001 1->3;")
	learn(3, 10, 0x01_0000_000001, 3, "") // multicast
	if p, ok := tab.Lookup(10, 0x02_0000_000001); p != 3 || !ok {
		t.Errorf("Lookup = %d, %v", p, ok)
	}
	tab.AddStatic(10, 0x0a, action.PortLocal)
	learn(3, 10, 0x0a, 3, "")
	want := " port  VLAN  MAC                Age\n" +
		"LOCAL    10  00:00:00:00:00:0a  static\n" +
		"    2    20  02:00:00:00:00:01    5\n" +
		"    3    10  02:00:00:00:00:01    3\n"
	name := func(p action.Port) string {
		if p == action.PortLocal {
			return "LOCAL"
		}
		return fmt.Sprint(p)
	}
	if got := tab.Show(name, at(5)); got != want {
		t.Errorf("Show:\n%swant:\n%s", got, want)
	}
	if ch := tab.Expire(at(299.9)); ch != nil {
		t.Errorf("Expire at 299.9 s: %v", ch)
	}
	if ch := tab.Expire(at(300)); len(ch) != 1 || ch[0] != (Change{Key{0x02_0000_000001, 20}, 2, action.PortAny}) {
		t.Errorf("Expire at 300 s: %v", ch)
	}
	if ch := tab.Flush(); len(ch) != 1 || tab.Len() != 1 {
		t.Errorf("Flush: %v", ch)
	}
	if ch := tab.FlushPort(action.PortLocal); len(ch) != 1 || tab.Len() != 0 {
		t.Errorf("FlushPort: %v", ch)
	}
	if got, want := tab.Stats(), (Stats{Learned: 2, Expired: 1, Moved: 1}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

// TestFairness holds that a port that floods addresses loses its own entries.
func TestFairness(t *testing.T) {
	tab := New(100, 0)
	for i := range uint64(10) {
		tab.Learn(0, i, 1, t0)
	}
	for i := range uint64(1000) {
		ch, _ := tab.Learn(0, 0x1000+i, 2, at(float64(i)/1000))
		if i >= 90 {
			if len(ch) != 2 || ch[0].MAC != 0x1000+i-90 || ch[0].New != action.PortAny {
				t.Fatalf("learning %d: %v", i, ch)
			}
		}
	}
	for i := range uint64(10) {
		if _, ok := tab.Lookup(0, i); !ok {
			t.Errorf("the quiet port's address %d has gone", i)
		}
	}
	if tab.Len() != 100 || tab.Stats().Evicted != 910 {
		t.Errorf("%d entries, %+v", tab.Len(), tab.Stats())
	}
	if ch := tab.SetLimits(20, 0, at(1)); len(ch) != 80 {
		t.Errorf("SetLimits drops %d", len(ch))
	}
	for i := range uint64(10) {
		if _, ok := tab.Lookup(0, i); !ok {
			t.Errorf("the quiet port's address %d has gone", i)
		}
	}
}

// TestTwin compares with a list that is scanned.
func TestTwin(t *testing.T) {
	type row struct {
		k    Key
		port action.Port
		seen time.Time
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		tab := New(12, 15*time.Second)
		var rows []row // from the longest unseen on
		find := func(k Key) int {
			for i := range rows {
				if rows[i].k == k {
					return i
				}
			}
			return -1
		}
		now := t0
		for range 3000 {
			now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
			k := Key{uint64(r.IntN(20)), uint16(r.IntN(2))}
			port := action.Port(1 + r.IntN(4))
			if r.IntN(10) == 0 {
				tab.Expire(now)
				for len(rows) > 0 && now.Sub(rows[0].seen) >= 15*time.Second {
					rows = rows[1:]
				}
			}
			i := find(k)
			if i >= 0 {
				rows = append(rows[:i], rows[i+1:]...)
			} else if len(rows) == 12 {
				count := map[action.Port]int{}
				for _, w := range rows {
					count[w.port]++
				}
				worst := action.Port(1)
				for p := action.Port(2); p <= 4; p++ {
					if count[p] > count[worst] {
						worst = p
					}
				}
				for i := range rows {
					if rows[i].port == worst {
						rows = append(rows[:i], rows[i+1:]...)
						break
					}
				}
			}
			rows = append(rows, row{k, port, now})
			tab.Learn(k.VLAN, k.MAC, port, now)
			if tab.Len() != len(rows) {
				t.Fatalf("seed %d: %d entries, want %d", seed, tab.Len(), len(rows))
			}
			for _, w := range rows {
				if p, ok := tab.Lookup(w.k.VLAN, w.k.MAC); !ok || p != w.port {
					t.Fatalf("seed %d: %v on %d, %v; want %d", seed, w.k, p, ok, w.port)
				}
			}
		}
	}
}
