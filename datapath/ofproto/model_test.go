// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

var seed = flag.Uint64("seed", 1, "seed of the random tests")

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// model is the naive twin of the tables: a list of flows, in the words of OpenFlow 1.3, 6.4.
type model []*modelFlow

type modelFlow struct {
	table              uint8
	prio               uint16
	match              flow.Match
	cookie             uint64
	idle, hard         uint16
	flags              openflow.FlowModFlags
	importance         uint16
	out                action.Port
	created, mod, used time.Time
	packets            uint64
}

func (f *modelFlow) String() string {
	return fmt.Sprintf("table %d priority %d match %v cookie %d idle %d hard %d flags %x importance %d output %d age %v modified %v used %v packets %d",
		f.table, f.prio, f.match, f.cookie, f.idle, f.hard, f.flags, f.importance, f.out, f.created.Sub(t0), f.mod.Sub(t0), f.used.Sub(t0), f.packets)
}

func (m *model) selects(f *modelFlow, fm *openflow.FlowMod, strict, outputs bool) bool {
	if fm.Table != 0xff && fm.Table != f.table {
		return false
	}
	if strict {
		if f.prio != fm.Priority || f.match != fm.Match {
			return false
		}
	} else {
		for i := range f.match.Mask { // every constraint of the filter is one of the flow
			if fm.Match.Mask[i]&^f.match.Mask[i] != 0 || (f.match.Key[i]^fm.Match.Key[i])&fm.Match.Mask[i] != 0 {
				return false
			}
		}
	}
	if f.cookie&fm.CookieMask != fm.Cookie&fm.CookieMask {
		return false
	}
	return !outputs || fm.OutPort == action.PortAny || fm.OutPort == f.out
}

func (m *model) do(fm *openflow.FlowMod, now time.Time) (removed []*modelFlow, err error) {
	out := fm.Instructions.Apply[0].(action.Output).Port
	add := func() error {
		table := fm.Table
		if table == 0xff {
			table = 0
		}
		n := &modelFlow{
			table: table, prio: fm.Priority, match: fm.Match, cookie: fm.NewCookie, idle: fm.IdleTimeout, hard: fm.HardTimeout,
			flags: fm.Flags, importance: fm.Importance, out: out, created: now, mod: now, used: now,
		}
		for i, f := range *m {
			if f.table == table && f.prio == n.prio && f.match == n.match {
				n.used = f.used
				if fm.Flags&openflow.FlagResetCounts == 0 {
					n.packets = f.packets
				}
				(*m)[i] = n
				return nil
			}
		}
		if fm.Flags&openflow.FlagCheckOverlap != 0 {
			for _, f := range *m {
				if f.table == table && f.prio == n.prio && f.match.Overlaps(&n.match) {
					return ofp.FMFCOverlap
				}
			}
		}
		*m = append(*m, n)
		return nil
	}
	if fm.Table == 254 {
		return nil, ofp.BRCEperm
	}
	switch fm.Command {
	case openflow.FlowAdd:
		return nil, add()
	case openflow.FlowModify, openflow.FlowModifyStrict:
		some := false
		for _, f := range *m {
			if !m.selects(f, fm, fm.Command == openflow.FlowModifyStrict, false) {
				continue
			}
			some = true
			f.out, f.mod = out, now
			if fm.ModifyCookie && fm.NewCookie != ^uint64(0) {
				f.cookie = fm.NewCookie
			}
			if fm.Flags&openflow.FlagResetCounts != 0 {
				f.packets = 0
			}
		}
		if !some && fm.ModifyAdds {
			return nil, add()
		}
	default:
		*m = slices.DeleteFunc(*m, func(f *modelFlow) bool {
			if !m.selects(f, fm, fm.Command == openflow.FlowDeleteStrict, true) {
				return false
			}
			removed = append(removed, f)
			return true
		})
	}
	return removed, nil
}

// randomMod returns a flow_mod over few values, so that they meet.
func randomMod(r *rand.Rand) *openflow.FlowMod {
	m := &openflow.FlowMod{
		Command: openflow.FlowModCommand(r.IntN(5)), Table: uint8(r.IntN(3)), Priority: uint16(r.IntN(3)),
		NewCookie: uint64(r.IntN(4)), ModifyCookie: r.IntN(2) == 0, ModifyAdds: r.IntN(2) == 0,
		BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
		Importance:   uint16(r.IntN(3)),
		Instructions: action.Instructions{Apply: action.List{action.Output{Port: action.Port(1 + r.IntN(3))}}},
	}
	if r.IntN(8) == 0 {
		m.Table = 0xff
	}
	if r.IntN(40) == 0 {
		m.Table = 254
	}
	if r.IntN(20) == 0 {
		m.NewCookie = ^uint64(0)
	}
	if m.Command != openflow.FlowAdd && r.IntN(3) == 0 {
		m.Cookie, m.CookieMask = uint64(r.IntN(4)), uint64(r.IntN(4))
	}
	if r.IntN(3) == 0 {
		m.OutPort = action.Port(1 + r.IntN(3))
	}
	if r.IntN(3) == 0 {
		m.IdleTimeout = uint16(r.IntN(20))
	}
	if r.IntN(3) == 0 {
		m.HardTimeout = uint16(r.IntN(40))
	}
	for _, f := range []openflow.FlowModFlags{openflow.FlagSendFlowRem, openflow.FlagCheckOverlap, openflow.FlagResetCounts} {
		if r.IntN(3) == 0 {
			m.Flags |= f
		}
	}
	if r.IntN(2) == 0 {
		m.Match.SetU64(flow.FieldInPort, uint64(1+r.IntN(2)))
	}
	if r.IntN(2) == 0 {
		m.Match.SetU64(flow.FieldEthType, 0x800)
		if r.IntN(2) == 0 {
			m.Match.SetMasked(flow.FieldIPDst, flow.U128{Lo: 0x0a000000 | r.Uint64N(2)<<8}, flow.U128{Lo: []uint64{0xff000000, 0xffffff00, 0xffffffff}[r.IntN(3)]})
		}
	}
	return m
}

// TestModel compares sequences of flow_mods, packets and time with the model: tables, errors, what
// is reported, and that the changes told are those made.
func TestModel(t *testing.T) {
	t.Logf("seed %d", *seed)
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		r := rand.New(rand.NewPCG(*seed, uint64(round)))
		b := New(nil)
		b.Reset(true, true, t0)
		var m model
		now := t0
		known := make(map[*Rule]*action.Instructions) // as Effects tell
		follow := func(eff *Effects) {
			maps.DeleteFunc(known, func(r *Rule, _ *action.Instructions) bool { return slices.Contains(eff.Cleared, r.Table) })
			for _, c := range eff.Changes {
				switch c.Kind {
				case RuleAdded:
					if known[c.Rule] != nil {
						t.Fatal("a rule was added twice")
					}
					known[c.Rule] = c.Rule.Instr
				case RuleModified:
					if known[c.Rule] == nil {
						t.Fatal("an unknown rule was modified")
					}
					known[c.Rule] = c.Rule.Instr
				case RuleRemoved:
					if known[c.Rule] == nil {
						t.Fatal("an unknown rule was removed")
					}
					delete(known, c.Rule)
				}
			}
		}
		reported := func(eff *Effects, want []*modelFlow, reason func(*modelFlow) openflow.FlowRemovedReason) {
			t.Helper()
			var got, exp []string
			for _, a := range eff.Async {
				fr := a.(*openflow.FlowRemoved)
				got = append(got, fmt.Sprint(fr.Table, fr.Priority, fr.Match, fr.Cookie, fr.Packets, fr.IdleTimeout, fr.HardTimeout, fr.Lifetime, fr.Reason))
			}
			for _, f := range want {
				if f.flags&openflow.FlagSendFlowRem != 0 {
					exp = append(exp, fmt.Sprint(f.table, f.prio, f.match, f.cookie, f.packets, f.idle, f.hard, lifetime(f.created, now), reason(f)))
				}
			}
			sort.Strings(got)
			sort.Strings(exp)
			if !slices.Equal(got, exp) {
				t.Fatalf("round %d: reported\n%v\nwant\n%v", round, got, exp)
			}
		}
		for range 120 {
			now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
			switch r.IntN(6) {
			case 0: // time passes
				eff := b.Expire(now)
				var gone []*modelFlow
				isHard := func(f *modelFlow) bool {
					return f.hard != 0 && now.Sub(f.mod) >= time.Duration(f.hard)*time.Second
				}
				m = slices.DeleteFunc(m, func(f *modelFlow) bool {
					if isHard(f) || f.idle != 0 && now.Sub(f.used) >= time.Duration(f.idle)*time.Second {
						gone = append(gone, f)
						return true
					}
					return false
				})
				follow(&eff)
				reported(&eff, gone, func(f *modelFlow) openflow.FlowRemovedReason {
					if isHard(f) {
						return openflow.RemovedHard
					}
					return openflow.RemovedIdle
				})
			case 1: // packets
				if len(m) > 0 {
					f := m[r.IntN(len(m))]
					f.packets++
					f.used = now
					b.tables[f.table].cls.Find(&f.match, int32(f.prio), b.version).Value.Credit(1, 0, now)
				}
			default:
				fm := randomMod(r)
				gone, want := m.do(fm, now)
				replies, eff := b.Handle(ConnInfo{}, fm, now)
				var got error
				if len(replies) > 0 {
					got = replies[0].(*openflow.Error).Kind
				}
				if got != want {
					t.Fatalf("round %d: %+v: %v, want %v", round, fm, got, want)
				}
				follow(&eff)
				reported(&eff, gone, func(*modelFlow) openflow.FlowRemovedReason { return openflow.RemovedDelete })
			}
			var have, want []string
			b.All(func(ru *Rule) bool {
				f := &modelFlow{
					table: ru.Table, prio: uint16(ru.Priority()), match: ru.Match(), cookie: ru.Cookie, idle: ru.IdleTimeout, hard: ru.HardTimeout,
					flags: ru.Flags, importance: ru.Importance, out: ru.Instr.Apply[0].(action.Output).Port,
					created: ru.Created, mod: ru.Modified, used: ru.Used, packets: ru.Packets,
				}
				have = append(have, f.String())
				if known[ru] != ru.Instr {
					t.Fatalf("round %d: nobody was told of rule %v", round, f)
				}
				return true
			})
			for _, f := range m {
				want = append(want, f.String())
			}
			sort.Strings(have)
			sort.Strings(want)
			if !slices.Equal(have, want) {
				t.Fatalf("round %d: tables hold\n%v\nwant\n%v", round, have, want)
			}
			if len(known) != len(m) {
				t.Fatalf("round %d: %d rules told, %d there", round, len(known), len(m))
			}
		}
		// Statistics select as deletions do.
		fm := randomMod(r)
		fm.Command = openflow.FlowDelete
		f := openflow.FlowFilter{Match: fm.Match, Table: fm.Table, OutPort: fm.OutPort, OutGroup: fm.OutGroup, Cookie: fm.Cookie, CookieMask: fm.CookieMask}
		rep, _ := b.Handle(ConnInfo{}, &openflow.FlowStatsRequest{FlowFilter: f}, now)
		agg, _ := b.Handle(ConnInfo{}, &openflow.AggregateRequest{FlowFilter: f}, now)
		gone, _ := m.do(fm, now)
		sum := uint64(0)
		for _, g := range gone {
			sum += g.packets
		}
		flows := rep[0].(*openflow.FlowStatsReply).Flows
		if a := agg[0].(*openflow.AggregateReply); len(flows) != len(gone) || int(a.Flows) != len(gone) || a.Packets != sum {
			t.Fatalf("round %d: statistics of %d flows, aggregate %+v, want %d with %d packets", round, len(flows), a, len(gone), sum)
		}
	}
}
