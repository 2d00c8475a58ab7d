// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// view is what readers see of a bridge: rules, groups, ports, and what lookups find.
func view(b *Bridge, keys []flow.Key) string {
	var l []string
	b.All(func(r *Rule) bool {
		l = append(l, fmt.Sprintf("%v %d cookie %d idle %d %v %v", r.Match(), r.Priority(), r.Cookie, r.IdleTimeout, r.Modified, r.Instr))
		return true
	})
	sort.Strings(l)
	for _, id := range slices.Sorted(maps.Keys(b.groups)) {
		if g := b.Group(id); g != nil {
			s := fmt.Sprintf("group %d type %d %v:", id, g.Type, g.Modified)
			for _, bk := range g.Buckets {
				s += fmt.Sprintf(" %+v", bk.Bucket)
			}
			l = append(l, s)
		}
	}
	for _, n := range b.PortNumbers() {
		l = append(l, fmt.Sprintf("port %+v", *b.ports[n]))
	}
	for i := range keys {
		r, _ := b.Lookup(0, &keys[i], nil)
		if r == nil {
			l = append(l, "miss")
		} else {
			l = append(l, fmt.Sprintf("priority %d", r.Priority())) // which of equal ones is open
		}
	}
	return strings.Join(l, "\n")
}

// spy is a lock that says when readers are let in, and how long they were not.
type spy struct {
	free    func()
	since   time.Time
	longest time.Duration
	long    int // holds of more than a millisecond
	holds   int
}

func (s *spy) Lock() { s.since = time.Now() }

func (s *spy) Unlock() {
	d := time.Since(s.since)
	s.longest = max(s.longest, d)
	if d > time.Millisecond {
		s.long++
	}
	s.holds++
	if s.free != nil {
		s.free()
	}
}

// TestCommitView commits random bundles with flows, groups, ports and conjunctions, of which some are refused, and holds that
// whenever readers are let in they see what was there before, or, once it is published, all of what a twin has that does
// the same modifications one by one; and at the end nothing else is left.
func TestCommitView(t *testing.T) {
	t.Logf("seed %d", *seed)
	conn := ConnInfo{Version: ofp.V15}
	proto := openflow.Proto{Version: ofp.V15}
	var keys []flow.Key
	for i := range 24 {
		var k flow.Key
		k.SetU64(flow.FieldInPort, uint64(i%3))
		k.SetU64(flow.FieldEthType, 0x800)
		k.SetU64(flow.FieldEthDst, uint64(i/6))
		k.SetU64(flow.FieldIPDst, uint64(10+i%2)<<24)
		keys = append(keys, k)
	}
	mod := func(r *rand.Rand) openflow.Message {
		m := bundleMod(r)
		fm, ok := m.(*openflow.FlowMod)
		switch {
		case !ok || len(fm.Instructions.Apply) == 0:
		case r.IntN(3) == 0:
			fm.Instructions.Apply = action.List{action.Conjunction{ID: 1 + r.Uint32N(2), Clause: uint8(r.IntN(2)), Clauses: 2}}
		case r.IntN(4) == 0:
			fm.Match.SetU64(flow.FieldConjID, 1+r.Uint64N(2))
		}
		return m
	}
	looks, refused, after := 0, 0, 0
	rounds := uint64(40)
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		r := rand.New(rand.NewPCG(*seed, 7000+round))
		b, twin := New(nil), New(nil)
		if round%3 == 0 {
			b.version = ^b.version + 1 - 5 // it wraps
		}
		for _, x := range []*Bridge{b, twin} {
			x.SetPorts(ports("a", "b", "c"), t0)
		}
		now := t0
		for range 12 {
			now = now.Add(time.Second)
			var raws [][]byte
			bad := false
			before := view(b, keys)
			trial := []openflow.Message{}
			for range 1 + r.IntN(40) {
				m := mod(r)
				raw, err := openflow.Encode(proto, 1, &openflow.BundleAdd{Msg: m})
				if err != nil {
					t.Fatal(err)
				}
				got, err := openflow.Decode(raw, proto)
				if err != nil {
					continue
				}
				m = got.(*openflow.BundleAdd).Msg
				// What would be refused is left out, but for one in some bundles.
				if e := kind(first(twin.Handle(conn, m, now))); e != ofp.NoError {
					if r.IntN(40) > 0 {
						continue
					}
					bad = true
				}
				trial = append(trial, m)
				raws = append(raws, raw)
			}
			want := view(twin, keys)
			published := false
			lk := &spy{}
			lk.free = func() {
				looks++
				switch got := view(b, keys); {
				case published && got != want:
					t.Fatalf("seed %d round %d: after publication readers see\n%s\nwant\n%s", *seed, round, got, want)
				case !published && got != before && got != want:
					t.Fatalf("seed %d round %d: readers see\n%s\nbefore\n%s", *seed, round, got, before)
				}
			}
			replies, _ := b.Commit(conn, &openflow.Bundle{ID: 1, Proto: proto, Added: raws}, now, lk, func(*Effects) {
				published = true
				after++
				if got := view(b, keys); got != want {
					t.Fatalf("seed %d round %d: published is\n%s\nwant\n%s", *seed, round, got, want)
				}
			})
			if isBad := kind(replies) != ofp.NoError; isBad != bad || published == bad {
				t.Fatalf("seed %d round %d: refused %v, want %v", *seed, round, kind(replies), bad)
			}
			if bad {
				refused++
				if got := view(b, keys); got != before {
					t.Fatalf("seed %d round %d: after a refusal\n%s\nbefore\n%s", *seed, round, got, before)
				}
				break // the twin has gone on
			}
			// Nothing is left of what was: a bridge that did all one by one is the same inside.
			for tab, tb := range b.tables {
				if tb != nil && (tb.n != tb.cls.Len() || twin.tables[tab] == nil && tb.n > 0 || twin.tables[tab] != nil && tb.n != twin.tables[tab].n) {
					t.Fatalf("seed %d round %d: table %d has %d rules, the classifier %d", *seed, round, tab, tb.n, tb.cls.Len())
				}
			}
			for id, g := range b.groups {
				if g.older != nil || g.span.From != 0 || g.span.Until != 0 {
					t.Fatalf("group %d is not settled", id)
				}
			}
			if len(b.groups) != b.ngroups || b.buckets != twin.buckets || len(b.expirable) != len(twin.expirable) || b.staged != nil || b.Committing() {
				t.Fatalf("seed %d round %d: %d groups, counted %d; %d buckets, twin %d; %d and %d with timeouts", *seed, round,
					len(b.groups), b.ngroups, b.buckets, twin.buckets, len(b.expirable), len(twin.expirable))
			}
			if x, y := describe(b), describe(twin); x != y {
				t.Fatalf("seed %d round %d: the bundle\n%s\none by one\n%s", *seed, round, x, y)
			}
		}
	}
	t.Logf("readers let in %d times in %d bundles, %d refused", looks, after+refused, refused)
	if looks < 500 || refused == 0 {
		t.Error("too few to mean anything")
	}
}

// TestCommitHold measures how long a bundle of 100,000 flows keeps readers out at the longest.
func TestCommitHold(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	proto := openflow.Proto{Version: ofp.V15}
	add := func(i int, out action.Port) []byte {
		m := &openflow.FlowMod{Priority: 5, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
			Instructions: action.Instructions{Apply: action.List{action.Output{Port: out}}}}
		m.Match.SetU64(flow.FieldEthType, 0x800)
		m.Match.SetU64(flow.FieldIPDst, uint64(i))
		raw, err := openflow.Encode(proto, 1, &openflow.BundleAdd{Msg: m})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	del, err := openflow.Encode(proto, 1, &openflow.BundleAdd{Msg: &openflow.FlowMod{Command: openflow.FlowDelete, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}})
	if err != nil {
		t.Fatal(err)
	}
	b := New(nil)
	for _, c := range []struct {
		name string
		del  bool
		out  action.Port
	}{{"add", false, 1}, {"replace", false, 2}, {"delete and add", true, 3}} {
		var raws [][]byte
		if c.del {
			raws = append(raws, del)
		}
		for i := range 100_000 {
			raws = append(raws, add(i, c.out))
		}
		lk := &spy{}
		start := time.Now()
		replies, _ := b.Commit(ConnInfo{Version: ofp.V15}, &openflow.Bundle{Proto: proto, Added: raws}, t0, lk, nil)
		if kind(replies) != ofp.NoError || b.Rules(0) != 100_000 || lk.holds < 100_000/piece {
			t.Fatalf("%s: %v, %d rules, %d holds", c.name, kind(replies), b.Rules(0), lk.holds)
		}
		t.Logf("%s: %v in %d holds, %d above a millisecond, the longest %v", c.name, time.Since(start).Round(time.Millisecond), lk.holds, lk.long, lk.longest)
	}
}
