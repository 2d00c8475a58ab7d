// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"slices"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TestClear deletes all rules of a table of plain ones, which goes at once, and of one where
// another is among them, which has to be told of, or taken from where it is listed.
func TestClear(t *testing.T) {
	all := &openflow.FlowMod{
		Command: openflow.FlowDelete, Table: openflow.TableAll, BufferID: openflow.NoBuffer,
		OutPort: action.PortAny, OutGroup: action.GroupAny,
	}
	for _, c := range []struct {
		name  string
		other func(m *openflow.FlowMod)
		plain bool
		told  int // flow_removed
	}{
		{"plain", func(*openflow.FlowMod) {}, true, 0},
		{"cookie", func(m *openflow.FlowMod) { m.NewCookie = 5 }, true, 0},
		{"flow_removed", func(m *openflow.FlowMod) { m.Flags = openflow.FlagSendFlowRem }, false, 1},
		{"idle", func(m *openflow.FlowMod) { m.IdleTimeout = 5 }, false, 0},
		{"hard", func(m *openflow.FlowMod) { m.HardTimeout = 5 }, false, 0},
		{"group", func(m *openflow.FlowMod) { m.Instructions.Apply = action.List{action.Group{ID: 7}} }, false, 0},
		{"learn", func(m *openflow.FlowMod) {
			m.Instructions.Apply = action.List{action.Learn{Table: 3, Cookie: 9, DeleteLearned: true}}
		}, false, 0},
	} {
		for _, how := range []string{"added", "replaced", "modified", "bundle"} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				b := New(nil)
				if _, err := b.GroupMod(&openflow.GroupMod{Command: openflow.GroupAdd, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: 7}}, t0); err != nil {
					t.Fatal(err)
				}
				mod := func(tab uint8, port uint64) *openflow.FlowMod {
					m := &openflow.FlowMod{Table: tab, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
					m.Match.SetU64(flow.FieldInPort, port)
					return m
				}
				do := func(m openflow.Message) Effects {
					replies, eff := b.Handle(ConnInfo{}, m, t0)
					if k := kind(replies); k != ofp.NoError {
						t.Fatalf("%+v: %v", m, k)
					}
					return eff
				}
				fill := func() {
					for i := range uint64(5) {
						do(mod(1, i))
						do(mod(2, i))
					}
				}
				fill()
				m := mod(1, 9)
				c.other(m)
				switch how {
				case "replaced":
					do(mod(1, 9))
				case "modified":
					m = mod(1, 3)
					c.other(m)
					if m.Flags != 0 || m.IdleTimeout != 0 || m.HardTimeout != 0 {
						t.Skip("a modification does not change these")
					}
					m.Command = openflow.FlowModifyStrict
				}
				if how == "bundle" {
					raw, err := openflow.Encode(openflow.Proto{Version: ofp.V14}, 1, &openflow.BundleAdd{Msg: m})
					if err != nil {
						t.Fatal(err)
					}
					do(&openflow.Bundle{ID: 1, Proto: openflow.Proto{Version: ofp.V14}, Added: [][]byte{raw}})
				} else {
					do(m)
				}
				n := b.Rules(1)
				eff := do(all)
				want := []uint8{2}
				if c.plain {
					want, n = []uint8{1, 2}, 0
				}
				if !slices.Equal(eff.Cleared, want) || len(eff.Changes) != n || len(eff.Async) != c.told {
					t.Errorf("cleared %v, %d changes, %d told; want %v, %d, %d", eff.Cleared, len(eff.Changes), len(eff.Async), want, n, c.told)
				}
				if n := b.Rules(openflow.TableAll); n != 0 || len(b.expirable) != 0 || len(b.groups[7].rules) != 0 || len(b.learners) != 0 {
					t.Errorf("%d rules are left, %d with timeouts, %d of the group, %d learners", n, len(b.expirable), len(b.groups[7].rules), len(b.learners))
				}
				b.All(func(r *Rule) bool {
					t.Errorf("rule %v is left", r.Match())
					return true
				})
				fill() // and what was among them is forgotten
				if eff := do(all); len(eff.Cleared) != 2 || len(eff.Changes) != 0 {
					t.Errorf("the second time: cleared %v, %d changes", eff.Cleared, len(eff.Changes))
				}
			})
		}
	}
}

// TestClearFailOpen: the switch's own rule stays.
func TestClearFailOpen(t *testing.T) {
	b := New(nil)
	b.SetFailOpen(true, t0)
	for _, tab := range []uint8{0, openflow.TableAll} {
		m := &openflow.FlowMod{BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
		if _, err := b.FlowMod(m, t0); err != nil {
			t.Fatal(err)
		}
		m.Command, m.Table = openflow.FlowDelete, tab
		if _, err := b.FlowMod(m, t0); err != nil {
			t.Fatal(err)
		}
		if r, _ := b.Lookup(0, &flow.Key{}, nil); b.Rules(0) != 1 || r == nil || r != b.failOpen {
			t.Errorf("table %d: %d rules are left, %v wins", tab, b.Rules(0), r)
		}
	}
	b.SetFailOpen(false, t0)
	if b.Rules(0) != 0 {
		t.Errorf("%d rules are left", b.Rules(0))
	}
}

func BenchmarkDeleteAll(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		br := New(nil)
		m := &openflow.FlowMod{BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny, Instructions: action.Instructions{Apply: action.List{action.Output{Port: 1}}}}
		for i := range uint64(100_000) {
			m.Match.SetU64(flow.FieldEthDst, i)
			if _, err := br.FlowMod(m, t0); err != nil {
				b.Fatal(err)
			}
		}
		m.Command, m.Table, m.Match = openflow.FlowDelete, openflow.TableAll, flow.Match{}
		b.StartTimer()
		if _, err := br.FlowMod(m, t0); err != nil {
			b.Fatal(err)
		}
	}
}
