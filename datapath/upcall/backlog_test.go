// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
)

// change adds what a change concerns to the backlog.
func (l *backlog) change(fs []*megaflow) {
	for _, f := range fs {
		l.add(f)
	}
	l.sort()
}

func megaflows(n int) []*megaflow {
	fs := make([]*megaflow, n)
	for i := range fs {
		fs[i] = &megaflow{id: dpif.FlowID(i + 1)}
	}
	return fs
}

// translated is what work does with what it took.
func (x *index) translated(fs []*megaflow, t ticket) {
	for _, f := range fs {
		f.pending.Store(false)
	}
	if len(fs) > 0 {
		x.backlog.finish(t, time.Time{})
	}
}

// TestSmallChangesFirst: what a small change concerns is translated before the rest of a large
// one, once, and many small ones leave the large one its share.
func TestSmallChangesFirst(t *testing.T) {
	x := newIndex()
	l := &x.backlog
	const n = 10_000
	all := megaflows(n)
	l.change(all)
	fs, tk := x.take()
	if len(fs) != chunk || tk.lane != bulk || fs[0] != all[0] {
		t.Fatalf("%d megaflows of lane %d", len(fs), tk.lane)
	}
	x.translated(fs, tk)

	small := all[n-3:]
	l.change(small)
	m := l.end()
	m[bulk] = l.lane[bulk].taken
	if fs, tk = x.take(); len(fs) != 3 || fs[0] != small[0] || tk.lane != urgent {
		t.Fatalf("%d megaflows of lane %d behind a small change", len(fs), tk.lane)
	}
	if l.done(m) {
		t.Error("the small change is done while it is being translated")
	}
	x.translated(fs, tk)
	if !l.done(m) || l.done(l.end()) {
		t.Error("the small change is not done, or the large one is")
	}

	// With small changes without end, the large one takes a turn in fairShare+1.
	took, turns, times := 0, 0, map[*megaflow]int{}
	for l.behind(bulk) > 0 {
		l.change(small)
		fs, tk := x.take()
		if turns++; tk.lane == bulk {
			took++
			for _, f := range fs {
				times[f]++
			}
		}
		x.translated(fs, tk)
		if turns > n {
			t.Fatal("the large change does not come to its end")
		}
	}
	if took*(fairShare+1) < turns-fairShare || took*(fairShare+1) > turns+fairShare {
		t.Errorf("%d of %d chunks are of the large change", took, turns)
	}
	for _, f := range all[chunk : n-3] {
		if times[f] != 1 {
			t.Fatalf("megaflow %d was taken %d times", f.id, times[f])
		}
	}
}

// TestBacklogModel makes changes and takes at random, by two workers, and compares with a set: each
// megaflow that was concerned is taken afterwards, and not by two at a time; the lists stay bounded.
func TestBacklogModel(t *testing.T) {
	const seed, n = 7, 2000
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	x := newIndex()
	l := &x.backlog
	all := megaflows(n)
	waits := map[*megaflow]bool{}
	type taken struct {
		fs []*megaflow
		t  ticket
	}
	for range 20_000 {
		switch r.IntN(4) {
		case 0: // nothing is being translated while a change is made
			k := 1 + r.IntN(5)
			if r.IntN(10) == 0 {
				k = soon + 1 + r.IntN(n-soon-1)
			}
			at := r.IntN(n - k + 1)
			l.change(all[at : at+k])
			l.change(all[at : at+1])
			for _, f := range all[at : at+k] {
				waits[f] = true
			}
		default:
			end := l.end()
			var at []taken
			owned := map[*megaflow]bool{}
			for range 1 + r.IntN(2) {
				fs, tk := x.take()
				for _, f := range fs {
					if owned[f] || !waits[f] {
						t.Fatalf("megaflow %d was taken twice, or for nothing", f.id)
					}
					owned[f] = true
					delete(waits, f)
				}
				at = append(at, taken{fs, tk})
			}
			for _, a := range at {
				x.translated(a.fs, a.t)
			}
			if l.done(end) != (len(waits) == 0) {
				t.Fatalf("done: %v, %d wait", l.done(end), len(waits))
			}
		}
		if len(l.lane[urgent].list) > 2*n || len(l.lane[bulk].list) > 2*n || l.working() || len(l.fresh) != 0 {
			t.Fatalf("%d and %d entries for %d megaflows", len(l.lane[urgent].list), len(l.lane[bulk].list), n)
		}
	}
	for _, f := range all {
		if f.pending.Load() != waits[f] {
			t.Fatalf("megaflow %d: pending %v, concerned %v", f.id, f.pending.Load(), waits[f])
		}
	}
}
