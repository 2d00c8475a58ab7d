// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/classifier"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// FlowMod changes the tables (OpenFlow 1.3, 6.4), or refuses with an ofp.Kind and
// changes nothing.
func (b *Bridge) FlowMod(m *openflow.FlowMod, now time.Time) (eff Effects, err error) {
	if m.Table != openflow.TableAll && m.Table >= NumTables {
		return eff, ofp.BRCBadTableId
	}
	if m.Table == HiddenTable {
		return eff, ofp.BRCEperm
	}
	if m.BufferID != openflow.NoBuffer && m.Command < openflow.FlowDelete {
		return eff, ofp.BRCBufferUnknown // this switch buffers no packets
	}
	switch m.Command {
	case openflow.FlowAdd:
		err = b.add(m, now, &eff)
	case openflow.FlowModify, openflow.FlowModifyStrict:
		err = b.modify(m, now, &eff)
	case openflow.FlowDelete, openflow.FlowDeleteStrict:
		f := openflow.FlowFilter{Match: m.Match, Table: m.Table, OutPort: m.OutPort, OutGroup: m.OutGroup, Cookie: m.Cookie, CookieMask: m.CookieMask}
		strict := m.Command == openflow.FlowDeleteStrict
		if !strict {
			b.clearPlain(&f, &eff)
		}
		b.removeAll(b.selected(&f, strict, m.Priority), openflow.RemovedDelete, now, &eff)
	default:
		err = ofp.FMFCBadCommand
	}
	b.deleteLearned(now, &eff)
	return eff, err
}

func (b *Bridge) add(m *openflow.FlowMod, now time.Time, eff *Effects) error {
	tab := m.Table
	if tab == openflow.TableAll {
		tab = 0
	}
	if err := b.check(&m.Instructions, tab); err != nil {
		return err
	}
	prio := int32(m.Priority)
	t := b.makeTable(tab)
	if old := t.cls.Find(&m.Match, prio, b.latest()); old != nil {
		did := old.Value.Instr
		r := b.staged.mutable(old.Value)
		r.Cookie, r.Flags, r.Importance = m.NewCookie, m.Flags, m.Importance
		r.IdleTimeout, r.HardTimeout = m.IdleTimeout, m.HardTimeout
		r.Created, r.Modified = now, now
		if m.Flags&openflow.FlagResetCounts != 0 {
			r.Packets, r.Bytes = 0, 0
		}
		b.setExpiry(r)
		b.ranked(r, false)
		b.instruct(r, old.Value, &m.Instructions, eff)
		b.watched(openflow.UpdateAdded, r, old.Value, did, 0)
		return nil
	}
	if m.Flags&openflow.FlagCheckOverlap != 0 && b.overlaps(t, &m.Match, prio) {
		return ofp.FMFCOverlap
	}
	if !b.makeRoom(b.limits[tab], t, 1, now, eff) {
		return ofp.FMFCTableFull
	}
	b.insert(tab, &m.Match, prio, &Rule{
		IdleTimeout: m.IdleTimeout, HardTimeout: m.HardTimeout, Importance: m.Importance,
		Flags: m.Flags, Cookie: m.NewCookie, Instr: b.share(&m.Instructions),
		Created: now, Modified: now, Used: now,
	}, eff)
	return nil
}

// overlaps reports whether a rule of a table and priority overlaps m.
func (b *Bridge) overlaps(t *table, m *flow.Match, prio int32) (yes bool) {
	b.staged.read(func() { yes = t.cls.Overlap(m, prio, b.latest()) != nil })
	return yes
}

// instruct gives r, which is or stands for was, new instructions.
func (b *Bridge) instruct(r, was *Rule, in *action.Instructions, eff *Effects) {
	b.meterRules(r, false)
	b.unlinkGroups(r)
	r.Instr = b.share(in)
	b.linkGroups(r)
	b.meterRules(r, true)
	ch := Change{Kind: RuleModified, Rule: r, Conjunctive: conjunctive(r.Instr) != was.Conjunctive()}
	b.tables[r.Table].cls.SetSoft(r.cr, conjunctive(r.Instr))
	if was != r {
		ch.Was = was
	}
	eff.Changes = append(eff.Changes, ch)
}

func (b *Bridge) modify(m *openflow.FlowMod, now time.Time, eff *Effects) error {
	f := openflow.FlowFilter{
		Match: m.Match, Table: m.Table, OutPort: action.PortAny, OutGroup: action.GroupAny,
		Cookie: m.Cookie, CookieMask: m.CookieMask,
	}
	rules := b.selected(&f, m.Command == openflow.FlowModifyStrict, m.Priority)
	if len(rules) == 0 {
		if m.ModifyAdds {
			return b.add(m, now, eff)
		}
		return nil
	}
	for _, r := range rules { // all or none
		if err := b.check(&m.Instructions, r.Table); err != nil {
			return err
		}
	}
	for _, was := range rules {
		did, cookie := was.Instr, was.Cookie
		r := b.staged.mutable(was)
		if m.ModifyCookie && m.NewCookie != ^uint64(0) {
			r.Cookie = m.NewCookie
		}
		r.Modified = now
		if m.Flags&openflow.FlagResetCounts != 0 {
			r.Packets, r.Bytes = 0, 0
		}
		b.instruct(r, was, &m.Instructions, eff)
		if len(b.watchers) > 0 && (r.Cookie != cookie || !reflect.DeepEqual(r.Instr, did)) {
			b.watched(openflow.UpdateModified, r, was, did, 0)
		}
		b.staged.pace()
	}
	return nil
}

// selected returns the rules that a modification is for, in the order of tables and additions. Strict:
// only those with exactly the match and priority.
func (b *Bridge) selected(f *openflow.FlowFilter, strict bool, prio uint16) (rules []*Rule) {
	if !strict {
		b.staged.read(func() { rules = inOrder(b.pick(f, b.latest(), nil)) })
		return rules
	}
	for n, t := range b.tables {
		if t == nil || !covers(f, n) {
			continue
		}
		if cr := t.cls.Find(&f.Match, int32(prio), b.latest()); cr != nil && selects(f, cr.Value) {
			rules = append(rules, cr.Value)
		}
	}
	return rules
}

// pick returns the rules of a version that a filter selects, table by table, those of one in no particular order.
// After every so many rules it calls goOn, unless that is nil, and ends if the answer is no.
func (b *Bridge) pick(f *openflow.FlowFilter, at classifier.Version, goOn func() bool) (rules []*Rule) {
	const every = 1024 // some 0.2 ms
	seen := 0
	for n, t := range b.tables {
		if t == nil || !covers(f, n) {
			continue
		}
		if f.Match.Mask.Map() == 0 {
			rules = slices.Grow(rules, t.cls.Len()) // most probably all
		}
		whole := f.CookieMask == 0 && f.OutPort == action.PortAny && f.OutGroup == action.GroupAny
		more := true
		t.cls.Within(&f.Match, at, func(cr *classifier.Rule[*Rule]) bool {
			if whole && cr.Priority() <= 0xffff || selects(f, cr.Value) { // whole: without a look at the Rule
				rules = append(rules, cr.Value)
			}
			seen++
			more = goOn == nil || seen%every != 0 || goOn()
			return more
		})
		if !more {
			break
		}
	}
	return rules
}

// readable is pick of the version that readers see, under lk, which is given up now and then, so that changes and
// who waits behind them need not wait for the whole. Is there a change, all is looked at anew under one hold.
func (b *Bridge) readable(f *openflow.FlowFilter, lk sync.Locker) []*Rule {
	lk.Lock()
	defer lk.Unlock()
	was, changed := b.state(), false
	rules := b.pick(f, b.version, func() bool {
		lk.Unlock()
		runtime.Gosched()
		lk.Lock()
		changed = b.state() != was
		return !changed
	})
	if changed {
		rules = b.pick(f, b.version, nil)
	}
	return rules
}

// state says of which version and after how many changes the tables are.
func (b *Bridge) state() (s struct {
	version classifier.Version
	moves   uint64
}) {
	s.version = b.version
	for _, t := range b.tables {
		if t != nil {
			s.moves += t.cls.Moves()
		}
	}
	return s
}

// covers reports whether a filter is for table n.
func covers(f *openflow.FlowFilter, n int) bool {
	return n == int(f.Table) || f.Table == openflow.TableAll && n != HiddenTable
}

// selects reports whether a filter selects r as far as its match does not matter.
func selects(f *openflow.FlowFilter, r *Rule) bool {
	return (r.Cookie^f.Cookie)&f.CookieMask == 0 && !r.Hidden() &&
		(f.OutPort == action.PortAny || outputs(r.Instr, f.OutPort)) &&
		(f.OutGroup == action.GroupAny || groups(r.Instr, f.OutGroup))
}

// inOrder sorts rules of one version in place by table and addition; in little time if they are as pick returns them.
func inOrder(rules []*Rule) []*Rule {
	type place struct {
		seq uint64
		r   *Rule
	}
	ps := make([]place, 0, len(rules)) // most of the time would go into fetching the rules again
	var slots []*Rule
	for from := 0; from < len(rules); {
		ps = ps[:0]
		tab, lo, hi := rules[from].Table, rules[from].seq, rules[from].seq
		if from > 0 && rules[from-1].Table >= tab { // of several picks
			slices.SortFunc(rules, bySeq)
			return rules
		}
		for _, r := range rules[from:] {
			if r.Table != tab {
				break
			}
			ps = append(ps, place{r.seq, r})
			lo, hi = min(lo, r.seq), max(hi, r.seq)
		}
		to := rules[from : from+len(ps)]
		from += len(ps)
		if n := hi - lo + 1; n <= uint64(4*len(ps)) { // few gaps: no need to compare
			slots = slices.Grow(slots[:0], int(n))[:n]
			clear(slots)
			for _, p := range ps {
				slots[p.seq-lo] = p.r
			}
			i := 0
			for _, r := range slots {
				if r != nil {
					to[i] = r
					i++
				}
			}
			continue
		}
		slices.SortFunc(to, bySeq)
	}
	return rules
}

// walk calls f for every action of l, nested ones too, until it returns true.
func walk(l action.List, f func(action.Action) bool) bool {
	for _, a := range l {
		if f(a) {
			return true
		}
		if c, ok := a.(action.Clone); ok && walk(c.Actions, f) {
			return true
		}
	}
	return false
}

func anyAction(in *action.Instructions, f func(action.Action) bool) bool {
	return walk(in.Apply, f) || walk(in.Write, f)
}

func outputs(in *action.Instructions, port action.Port) bool {
	return anyAction(in, func(a action.Action) bool {
		switch a := a.(type) {
		case action.Output:
			return a.Port == port
		case action.Enqueue:
			return a.Port == port
		case action.OutputTrunc:
			return a.Port == port
		case action.Controller:
			return port == action.PortController
		}
		return false
	})
}

func groups(in *action.Instructions, id uint32) bool {
	return anyAction(in, func(a action.Action) bool {
		g, ok := a.(action.Group)
		return ok && g.ID == id
	})
}

// check refuses instructions that no rule of a table may have.
func (b *Bridge) check(in *action.Instructions, tab uint8) error {
	if err := b.checkMeters(in); err != nil {
		return err
	}
	if err := b.checkList(in.Apply); err != nil {
		return err
	}
	if err := b.checkList(in.Write); err != nil {
		return err
	}
	if in.HasGoto && in.Goto <= tab {
		return ofp.BICBadTableId
	}
	return nil
}

// checkList refuses actions that no list may have.
func (b *Bridge) checkList(l action.List) (err error) {
	walk(l, func(a action.Action) bool {
		switch a := a.(type) {
		case action.Output:
			err = checkOutput(a.Port)
		case action.Enqueue:
			if a.Port >= action.PortMax && a.Port != action.PortInPort && a.Port != action.PortLocal {
				err = ofp.BACBadOutPort
			}
		case action.OutputTrunc:
			err = checkOutput(a.Port)
		case action.OutputReg:
			if !a.Src.Valid() {
				err = ofp.BACBadArgument
			}
		case action.Group:
			if b.group(a.ID) == nil {
				err = ofp.BACBadOutGroup
			}
		case action.SetField:
			if !a.Field.Info().Writable {
				err = ofp.BACBadSetArgument
			}
		case action.Load:
			if !a.Dst.Valid() || !a.Dst.Field.Info().Writable {
				err = ofp.BACBadArgument
			}
		case action.Move:
			if !a.Src.Valid() || !a.Dst.Valid() || !a.Dst.Field.Info().Writable {
				err = ofp.BACBadArgument
			}
		case action.StackPush:
			if !a.Src.Valid() {
				err = ofp.BACBadArgument
			}
		case action.CheckPktLarger:
			if !a.Dst.Valid() || a.Dst.N != 1 || !a.Dst.Field.Info().Writable {
				err = ofp.BACBadArgument
			}
		case action.StackPop:
			if !a.Dst.Valid() || !a.Dst.Field.Info().Writable {
				err = ofp.BACBadArgument
			}
		}
		return err != nil
	})
	return err
}

// maxPort is the first port number that the switch never gives: those of OpenFlow
// 1.0 end there.
const maxPort action.Port = 0xff00

func checkOutput(p action.Port) error {
	switch p {
	case action.PortInPort, action.PortTable, action.PortNormal, action.PortFlood,
		action.PortAll, action.PortController, action.PortLocal:
		return nil
	}
	if p >= maxPort {
		return ofp.BACBadOutPort
	}
	return nil
}

// checkFilter refuses the filter of a statistics request that is for no table.
func checkFilter(f *openflow.FlowFilter) error {
	if f.Table != openflow.TableAll && f.Table >= NumTables {
		return ofp.BRCBadTableId
	}
	return nil
}
