// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"hash/maphash"
	"slices"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/xlate"
)

// outcome is what a translation yielded: what is done with packets, and what is to be
// credited and learned. It never changes; megaflows with equal ones share it.
type outcome struct {
	actions []dpif.Action
	pis     []xlate.PacketIn
	hits    []hit
	groups  []xlate.GroupHit
	learn   []xlate.Learn
	effects *effects // nil: none
	err     error

	hash uint64
	next *outcome // with the same hash
	n    int      // megaflows that have it; guarded by index.mu
}

// is reports whether r yields o again.
func (o *outcome) is(r *xlate.Result) bool {
	return o.does(r) && sameHits(o.hits, r.Hits) && slices.Equal(o.groups, r.Groups) && slices.Equal(o.learn, r.Learn) && o.effects.is(r) && sameErr(o.err, r.Err)
}

// does reports whether r does the same with packets.
func (o *outcome) does(r *xlate.Result) bool {
	return slices.Equal(o.actions, r.Actions) && slices.EqualFunc(o.pis, r.PacketIns, equalPI)
}

func sameErr(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

// outcomes are those in use. Those with packet-ins, of which each has its own metadata,
// are not looked for.
type outcomes struct {
	seed   maphash.Seed
	byHash map[uint64]*outcome
	last   *outcome // the last that was found or made; nil if it has gone
}

func newOutcomes() outcomes {
	return outcomes{seed: maphash.MakeSeed(), byHash: make(map[uint64]*outcome)}
}

// get returns the outcome of r, and counts one megaflow more for it. index.mu is held.
func (t *outcomes) get(r *xlate.Result) *outcome {
	h := uint64(0)
	mix := func(v uint64) { h = (h ^ v) * 0x9e3779b97f4a7c15; h ^= h >> 29 }
	if len(r.PacketIns) == 0 {
		if o := t.last; o != nil && o.is(r) {
			o.n++
			return o
		}
		for _, a := range r.Actions {
			mix(maphash.Comparable(t.seed, a))
		}
		for i := range r.Hits {
			mix(maphash.Comparable(t.seed, r.Hits[i].Rule))
		}
		for _, l := range r.Learn {
			mix(l.MAC<<16 | uint64(l.VLAN))
		}
		for _, f := range r.Flows {
			mix(f.Flow.Hash())
		}
		for o := t.byHash[h]; o != nil; o = o.next {
			if o.is(r) {
				t.last = o
				o.n++
				return o
			}
		}
	}
	// r's slices are the translator's.
	o := &outcome{
		actions: keep(r.Actions), pis: keep(r.PacketIns), groups: keep(r.Groups), learn: keep(r.Learn),
		effects: effectsOf(r), err: r.Err, hash: h, n: 1,
	}
	if len(r.Hits) > 0 {
		o.hits = make([]hit, len(r.Hits))
		for i, h := range r.Hits {
			o.hits[i] = hit{h.Bridge, h.Rule, h.Table}
		}
	}
	if len(o.pis) == 0 {
		o.next = t.byHash[h]
		t.byHash[h] = o
		t.last = o
	}
	return o
}

// keep returns a copy of s, as small as can be; nil of an empty one.
func keep[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return append(make([]T, 0, len(s)), s...)
}

// drop counts one megaflow less. index.mu is held.
func (t *outcomes) drop(o *outcome) {
	if o.n--; o.n > 0 || len(o.pis) > 0 {
		return
	}
	if t.last == o {
		t.last = nil
	}
	head := t.byHash[o.hash]
	if head != o {
		for head.next != o {
			head = head.next
		}
		head.next = o.next
	} else if o.next != nil {
		t.byHash[o.hash] = o.next
	} else {
		delete(t.byHash, o.hash)
	}
}
