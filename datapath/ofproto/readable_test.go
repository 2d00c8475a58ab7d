// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// gapLock is a lock on which somebody waits: he has his turn each time it is given up.
type gapLock struct{ gap func() }

func (l gapLock) Lock()   {}
func (l gapLock) Unlock() { l.gap() }

// TestReadable changes a bridge where the collection of flows gives the lock up: what is found is what is
// there at one moment, each flow once, and the lock is given up often enough.
func TestReadable(t *testing.T) {
	const n, piece = 5000, 1024
	for _, c := range []struct {
		name   string
		change func(b *Bridge, gap int)
		gaps   int // at least
	}{
		{"nothing", func(*Bridge, int) {}, n / piece},
		{"add", func(b *Bridge, gap int) { clearMod(t, b, openflow.FlowAdd, 1, uint64(n+gap)) }, 2},
		{"delete one", func(b *Bridge, gap int) { clearMod(t, b, openflow.FlowDeleteStrict, 0, uint64(gap)) }, 2},
		{"replace", func(b *Bridge, gap int) { // as many as before
			clearMod(t, b, openflow.FlowDeleteStrict, 0, uint64(gap))
			clearMod(t, b, openflow.FlowAdd, 0, uint64(n+gap))
		}, 2},
		{"clear", func(b *Bridge, gap int) {
			if gap == 2 {
				b.FlowMod(&openflow.FlowMod{Command: openflow.FlowDelete, Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}, t0)
			}
		}, 2},
		{"bundle", func(b *Bridge, gap int) {
			if gap != 2 {
				return
			}
			var msgs [][]byte
			for i := range uint64(10) {
				raw, err := openflow.Encode(openflow.Proto{Version: ofp.V14}, 1, &openflow.BundleAdd{Msg: clearFlow(openflow.FlowDeleteStrict, 0, i)})
				if err != nil {
					t.Fatal(err)
				}
				msgs = append(msgs, raw)
			}
			replies, _ := b.Handle(ConnInfo{}, &openflow.Bundle{ID: 1, Proto: openflow.Proto{Version: ofp.V14}, Added: msgs}, t0)
			if k := kind(replies); k != ofp.NoError {
				t.Fatal(k)
			}
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := New(nil)
			for i := range uint64(n) {
				clearMod(t, b, openflow.FlowAdd, uint8(i%2), i)
			}
			f := openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}
			gaps := 0
			// What is there when the lock is given up for the last time is what must have been found.
			want := make(map[*Rule]bool)
			lk := gapLock{func() {
				clear(want)
				b.All(func(r *Rule) bool {
					want[r] = true
					return true
				})
				gaps++
				c.change(b, gaps)
			}}
			rules := b.readable(&f, lk)
			if gaps < c.gaps {
				t.Errorf("the lock was given up %d times, want %d", gaps, c.gaps)
			}
			seen := make(map[*Rule]bool)
			for _, r := range rules {
				if seen[r] || !want[r] {
					t.Fatalf("rule %v is found twice or was not there", r.Match())
				}
				seen[r] = true
			}
			if len(seen) != len(want) {
				t.Errorf("%d rules found, %d there", len(seen), len(want))
			}
		})
	}
}

func clearFlow(cmd openflow.FlowModCommand, tab uint8, src uint64) *openflow.FlowMod {
	m := &openflow.FlowMod{Command: cmd, Table: tab, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
	m.Match.SetU64(flow.FieldEthSrc, src)
	return m
}

func clearMod(t *testing.T, b *Bridge, cmd openflow.FlowModCommand, tab uint8, src uint64) {
	if _, err := b.FlowMod(clearFlow(cmd, tab, src), t0); err != nil {
		t.Fatal(err)
	}
}

// TestInOrder compares with a plain sort: rules as pick finds them and as several find them, with and without
// gaps in the order of addition.
func TestInOrder(t *testing.T) {
	t.Logf("seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 3))
	for range 300 {
		var rules []*Rule
		for tab := range uint8(4) {
			gap := []uint64{1, 3, 1000}[r.IntN(3)]
			for i := range r.IntN(30) {
				rules = append(rules, &Rule{Table: tab, seq: 5 + uint64(i)*gap})
			}
		}
		r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		want := slices.SortedFunc(slices.Values(rules), bySeq)
		grouped := slices.Clone(rules)
		slices.SortStableFunc(grouped, func(a, b *Rule) int { return int(a.Table) - int(b.Table) })
		for _, in := range [][]*Rule{rules, grouped} {
			if got := inOrder(slices.Clone(in)); !slices.Equal(got, want) {
				t.Fatalf("%d rules are not in order", len(rules))
			}
		}
	}
}
