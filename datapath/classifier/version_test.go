// SPDX-License-Identifier: Apache-2.0

package classifier

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirswitch/weir/datapath/flow"
)

// entry is a rule of the twin: its value, its versions and, if it is conjunctive, its clauses.
type entry struct {
	m       flow.Match
	prio    int32
	in      [2]bool // the version that readers see; the next
	clauses []Clause
	r       *Rule[*entry]
}

func clausesOf(e *entry, yield func(Clause)) {
	for _, c := range e.clauses {
		yield(c)
	}
}

// book is the slow twin of a classifier with versions and conjunctions.
type book []*entry

// ordinary returns the ordinary rules of the highest priority that match k.
func (l book) ordinary(k *flow.Key, next int) (w []*entry) {
	for _, e := range l {
		if !e.in[next] || e.clauses != nil || !e.m.Matches(k) {
			continue
		}
		if len(w) > 0 && e.prio > w[0].prio {
			w = w[:0]
		}
		if len(w) == 0 || e.prio == w[0].prio {
			w = append(w, e)
		}
	}
	return w
}

// winners is ovs-fields(7), "Conjunctive Match Fields", word by word (and what Lookup says of the stock switch).
func (l book) winners(k *flow.Key, next int) []*entry {
	hard := l.ordinary(k, next)
	var soft []*entry
	for _, e := range l {
		if e.in[next] && e.clauses != nil && e.m.Matches(k) && (len(hard) == 0 || e.prio > hard[0].prio) {
			soft = append(soft, e)
		}
	}
	slices.SortFunc(soft, func(a, b *entry) int { return cmp.Compare(b.prio, a.prio) })
	for len(soft) > 0 {
		n := 0
		for n < len(soft) && soft[n].prio == soft[0].prio {
			n++
		}
		for id := range uint32(maxID) {
			for of := uint8(2); of <= 4; of++ {
				all := true
				for c := range of {
					all = all && slices.ContainsFunc(soft[:n], func(e *entry) bool { return slices.Contains(e.clauses, Clause{id, c, of}) })
				}
				if !all {
					continue
				}
				with := *k
				with.SetU64(flow.FieldConjID, uint64(id))
				open := slices.DeleteFunc(slices.Clone(l), func(e *entry) bool { // hidden by a conjunctive one
					return slices.ContainsFunc(l, func(o *entry) bool {
						return o.in[next] && o.clauses != nil && o.prio > e.prio && o.m == e.m
					})
				})
				if w := open.ordinary(&with, next); len(w) > 0 {
					return w
				}
			}
		}
		soft = soft[n:]
	}
	return hard
}

const maxID = 4

// TestVersions compares with the twin at the version that readers see and at the next, while the next
// is made, published or given up; with conjunctions, and without.
func TestVersions(t *testing.T) {
	t.Logf("seed %d", *seed)
	rounds := 80
	if testing.Short() {
		rounds = 20
	}
	conj, differ := 0, 0
	for round := range rounds {
		g := gen{rand.New(rand.NewPCG(*seed, uint64(1000+round)))}
		var c Classifier[*entry]
		var l book
		now := Version(1)
		if round%4 == 0 {
			now = ^Version(0) - 3 // it wraps
		}
		for range 12 { // bundles
			next := now.Next()
			var retired, born []*entry
			for range g.IntN(60) {
				var seen []*entry
				for _, e := range l {
					if e.in[1] {
						seen = append(seen, e)
					}
				}
				switch op := g.IntN(5); {
				case op == 0 && len(seen) > 0:
					e := seen[g.IntN(len(seen))]
					e.in[1] = false
					if e.in[0] {
						e.r.Retire(next)
						retired = append(retired, e)
					} else {
						c.Remove(e.r)
						l = slices.DeleteFunc(l, func(o *entry) bool { return o == e })
						born = slices.DeleteFunc(born, func(o *entry) bool { return o == e })
					}
				default:
					e := &entry{m: g.match(), prio: int32(g.IntN(6)), in: [2]bool{false, true}}
					if len(seen) > 0 && g.IntN(3) == 0 {
						e.m = seen[g.IntN(len(seen))].m
					}
					switch {
					case round%2 == 0:
					case g.IntN(2) == 0: // conjunctive
						for range 1 + g.IntN(3) {
							of := uint8(2 + g.IntN(8)/6)
							e.clauses = append(e.clauses, Clause{g.Uint32N(maxID), uint8(g.IntN(int(of))), of})
						}
					case g.IntN(2) == 0:
						e.m.SetU64(flow.FieldConjID, g.Uint64N(maxID))
					}
					if c.Find(&e.m, e.prio, next) != nil {
						continue
					}
					e.r = c.Insert(&e.m, e.prio, e, next)
					c.SetSoft(e.r, e.clauses != nil)
					l = append(l, e)
					born = append(born, e)
				}
				if g.IntN(4) == 0 {
					a, b := checkVersions(t, g, &c, l, [2]Version{now, next})
					conj, differ = conj+a, differ+b
				}
			}
			if g.IntN(3) == 0 { // given up
				for _, e := range born {
					c.Remove(e.r)
				}
				l = slices.DeleteFunc(l, func(e *entry) bool { return !e.in[0] })
				for _, e := range retired {
					e.r.Retire(0)
				}
				for _, e := range l {
					e.in[1] = true
				}
			} else {
				now = next
				for i, e := range retired {
					if i == len(retired)/2 {
						checkVersions(t, g, &c, l, [2]Version{now.prev(), now}) // half swept; of the old only what is not
					}
					c.Remove(e.r)
					e.in[0] = false
				}
				l = slices.DeleteFunc(l, func(e *entry) bool { return !e.in[1] })
				for _, e := range l {
					e.r.Settle()
					e.in[0] = true
				}
			}
			checkVersions(t, g, &c, l, [2]Version{now, now})
			if c.Len() != len(l) {
				t.Fatalf("round %d: Len = %d, want %d", round, c.Len(), len(l))
			}
		}
		for _, e := range l {
			c.Remove(e.r)
		}
		if c.n != 0 || c.soft != 0 || len(c.order) != 0 {
			t.Fatalf("round %d: empty classifier has %d rules, %d conjunctive, %d subtables", round, c.n, c.soft, len(c.order))
		}
	}
	t.Logf("%d lookups ended in a conjunction, %d differed between versions", conj, differ)
	if conj < 100 || differ < 100 {
		t.Error("too few to mean anything")
	}
}

func (v Version) prev() Version {
	if v--; v == 0 {
		v--
	}
	return v
}

// checkVersions compares lookups of random keys at two versions. It returns how many ended in a
// conjunction and how many differed.
func checkVersions(t *testing.T, g gen, c *Classifier[*entry], l book, at [2]Version) (conj, differ int) {
	t.Helper()
	for range 6 {
		k := g.key()
		var win [2]*entry
		for i := range at {
			var wc flow.Mask
			got, soft := c.Lookup(&k, &wc, at[i], clausesOf)
			if want := l.winners(&k, i); !oneOfEntries(got, want) {
				t.Fatalf("seed %d: at %d of %d: Lookup = %+v, want one of %+v", *seed, at[i], at, got, want)
			}
			if got != nil {
				win[i] = got.Value
				if got.Value.m.Mask.Get(flow.FieldConjID).Lo != 0 && got.Value.m.Key.U64(flow.FieldConjID) != 0 {
					conj++
					if len(soft) == 0 {
						t.Fatal("a conjunction without rules that were considered")
					}
				}
			}
			for range 3 { // a key that agrees in what was looked at
				o := g.key()
				if g.IntN(2) == 0 {
					for i := range o {
						o[i] = k[i] ^ 1<<g.IntN(64)&^wc[i]
					}
				}
				for i := range o {
					o[i] = o[i]&^wc[i] | k[i]&wc[i]
				}
				o.SetU64(flow.FieldConjID, 0)
				if r, _ := c.Lookup(&o, nil, at[i], clausesOf); r != got {
					t.Fatalf("seed %d: a key that agrees under the mask has another winner", *seed)
				}
				if !oneOfEntries(got, l.winners(&o, i)) {
					t.Fatalf("seed %d: a key that agrees under the mask has another winner in the twin", *seed)
				}
			}
		}
		if win[0] != win[1] {
			differ++
		}
	}
	for i := range at {
		n := 0
		c.All(at[i], func(r *Rule[*entry]) bool {
			if !r.Value.in[i] {
				t.Fatal("All yields a rule of another version")
			}
			n++
			return true
		})
		for _, e := range l {
			if e.in[i] {
				n--
				if c.Find(&e.m, e.prio, at[i]) != e.r {
					t.Fatal("Find does not find a rule of its version")
				}
			}
		}
		if n != 0 {
			t.Fatalf("All yields %d rules too many", n)
		}
	}
	return conj, differ
}

func oneOfEntries(r *Rule[*entry], set []*entry) bool {
	if r == nil {
		return len(set) == 0
	}
	return slices.Contains(set, r.Value)
}
