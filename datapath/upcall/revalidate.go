// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/xlate"
)

// apply adds to the backlog what depends on changes of a bridge. s.mu is held for
// writing, and was when they were made.
func (s *Switch) apply(b *bridge, eff *ofproto.Effects) {
	s.monitored(b)
	if len(eff.Changes) == 0 && len(eff.Cleared) == 0 && len(eff.Ports) == 0 && len(eff.Groups) == 0 && len(eff.Meters) == 0 && !eff.Fragments {
		return
	}
	s.ix.mu.Lock()
	s.affected(b.x, eff)
	s.ix.mu.Unlock()
	if slices.Contains(eff.Meters, ofproto.MeterSlowpath) {
		s.slowpathMeter(b)
	}
}

// affected adds the megaflows that could differ. s.ix.mu is held.
func (s *Switch) affected(br *xlate.Bridge, eff *ofproto.Effects) {
	if len(eff.Changes) > 0 || len(eff.Cleared) > 0 || eff.Fragments || len(eff.Ports) > 0 {
		tell(s.tablesChanged)
	}
	if len(s.ix.byID) == 0 {
		return
	}
	if eff.Fragments {
		s.ix.all()
		return
	}
	s.changed(br, eff.Changes)
	for _, table := range eff.Cleared {
		s.ix.cleared(br, table)
	}
	for _, id := range eff.Groups {
		s.ix.dependants(depKey{br: br, kind: xlate.DepGroup, port: action.Port(id)})
	}
	for _, id := range eff.Meters {
		s.ix.dependants(depKey{br: br, kind: xlate.DepMeter, port: action.Port(id)})
	}
	for _, no := range eff.Ports {
		s.ix.dependants(depKey{br: br, kind: xlate.DepPort, port: no})
		s.ix.dependants(depKey{br: br, kind: xlate.DepFlood})
	}
}

// changed adds the megaflows that could differ after changes of rules. s.ix.mu is held.
func (s *Switch) changed(br *xlate.Bridge, changes []ofproto.Change) {
	for _, c := range changes {
		if c.Kind == ofproto.RuleAdded || c.Conjunctive {
			s.ix.takenBy(br, c.Rule)
		}
		switch {
		case c.Kind == ofproto.RuleAdded:
		case c.Was != nil:
			s.ix.users(br, c.Was)
		default:
			s.ix.users(br, c.Rule)
		}
		s.ix.room(br, c)
	}
}

// changeChunk is how many changes of rules of a bundle are looked at in one hold of the locks.
const changeChunk = 256

// commit commits a bundle while translations go on: they see the tables as they were until all of
// it is there. s.changes is held, and no other lock.
func (s *Switch) commit(b *bridge, c ofproto.ConnInfo, m *openflow.Bundle, now time.Time) ([]openflow.Message, ofproto.Effects) {
	return b.x.OF.Commit(c, m, now, &s.mu, func(eff *ofproto.Effects) {
		for part := range slices.Chunk(eff.Changes, changeChunk) {
			s.mu.Lock()
			s.ix.mu.Lock()
			if len(s.ix.byID) > 0 {
				s.changed(b.x, part)
			}
			s.ix.mu.Unlock()
			s.mu.Unlock()
		}
		if len(eff.Changes) > 0 {
			tell(s.tablesChanged)
		}
		rest := *eff
		rest.Changes = nil
		s.mu.Lock()
		s.apply(b, &rest)
		s.mu.Unlock()
	})
}

// moved adds the megaflows that looked up addresses whose port changed. s.ix.mu is held.
func (s *Switch) moved(br *xlate.Bridge, ch []fdb.Change) {
	if len(ch) > 0 {
		tell(s.macsMoved)
	}
	for _, c := range ch {
		s.ix.dependants(depKey{br: br, kind: xlate.DepMAC, mac: c.MAC, vlan: c.VLAN})
	}
}

// learn puts addresses into the MAC tables that were seen at the time seen, which may be
// past: what was seen on another port since stays there. What depends on a change is added
// to the backlog. It reports whether anything changed. s.mu is held for writing.
func (s *Switch) learn(l []xlate.Learn, seen time.Time) (changed bool) {
	for _, e := range l {
		if e.Bridge.Port(e.Port) == nil || e.Bridge.FDB.SeenSince(e.VLAN, e.MAC, seen) {
			continue
		}
		if ch, _ := e.Bridge.FDB.Learn(e.VLAN, e.MAC, e.Port, seen); len(ch) > 0 {
			s.ix.mu.Lock()
			s.moved(e.Bridge, ch)
			s.ix.mu.Unlock()
			changed = true
		}
	}
	return changed
}

// soon is how many megaflows a change has translated anew before it returns,
// in any case; more are left to the goroutines of Run while these run.
const soon = 256

// settle works off the backlog. Unless wait is set, that may go on behind its return: what is left
// of large changes always, and of a small one if it takes long to say what it concerns. No
// lock is held.
func (s *Switch) settle(wait bool) {
	s.buryMeters() // those that are new to it get a mark, at least
	defer s.buryMeters()
	s.mu.RLock()
	s.ix.mu.Lock()
	l := &s.ix.backlog
	l.sort()
	if l.looking(len(s.ix.byID)) == 0 && l.done(l.end()) {
		s.ix.mu.Unlock()
		s.mu.RUnlock()
		return
	}
	l.watch(s.opt.Now())
	helped := s.workers.Load() > 0
	later := helped && !wait && l.looking(len(s.ix.byID)) > soon
	if !later {
		s.ix.look()
	}
	m, n := l.end(), l.behind(urgent)+l.behind(bulk)
	if helped && !wait { // up to the small changes, and what is under way
		m[bulk] = l.lane[bulk].taken
		later = later || l.behind(urgent) > soon
	}
	s.ix.mu.Unlock()
	s.mu.RUnlock()
	if later || n > soon {
		s.wakeWorkers()
	}
	if later {
		return
	}
	for !s.isDone(m) {
		done, learned := s.work()
		if learned { // what packets before the change taught
			s.mu.RLock()
			s.ix.mu.Lock()
			l.sort()
			s.ix.look()
			if !helped || wait {
				m = l.end()
			}
			s.ix.mu.Unlock()
			s.mu.RUnlock()
		}
		if done {
			continue
		}
		s.ix.mu.Lock()
		if !l.done(m) && l.working() {
			l.ended.Wait()
		}
		s.ix.mu.Unlock()
	}
}

func (s *Switch) isDone(m mark) bool {
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	return s.ix.backlog.done(m)
}

func (s *Switch) wakeWorkers() {
	for range cap(s.wake) {
		select {
		case s.wake <- struct{}{}:
		default:
			return
		}
	}
}

// revalidate works off the backlog whenever there is one, until ctx ends.
func (s *Switch) revalidate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for ctx.Err() == nil {
			if done, _ := s.work(); !done {
				break
			}
			runtime.Gosched() // upcalls first
		}
	}
}

// work translates a chunk of the backlog anew; done is false if there was nothing, and learned
// whether that made the backlog longer. No lock is held.
func (s *Switch) work() (done, learned bool) {
	now := s.opt.Now()
	var led ledger
	b := s.batches.Get().(*batch)
	defer s.batches.Put(b)
	s.mu.RLock()
	s.ix.mu.Lock()
	fs, t := s.ix.take()
	s.ix.mu.Unlock()
	for _, f := range fs {
		if !f.gone {
			s.revalidateOne(b, f, now, &led)
		}
		f.pending.Store(false)
	}
	s.mu.RUnlock()
	if len(fs) == 0 {
		return false, false
	}
	if len(led) > 0 {
		s.mu.Lock()
		led.credit()
		s.mu.Unlock()
	}
	now = s.opt.Now()
	s.ix.mu.Lock()
	s.ix.backlog.finish(t, now)
	s.ix.mu.Unlock()
	s.buryMeters()
	return true, s.owe(led, now)
}

// revalidateOne translates f anew, with the memory of b. s.mu is held for reading, and f was taken from the backlog.
func (s *Switch) revalidateOne(b *batch, f *megaflow, now time.Time, led *ledger) {
	s.count.revalidated.Add(1)
	k := f.expand()
	p := s.byDP[dpif.Port(k.InPort())]
	if p == nil {
		s.deleteFlow(f, now, led)
		s.count.deleted.Add(1)
		return
	}
	r := &b.misses[0].res
	b.tr.Translate(s.input(p, &k), r)
	if !f.mask.m.Covers(&r.Mask) {
		s.deleteFlow(f, now, led)
		s.count.deleted.Add(1)
		return
	}
	if f.out.is(r) {
		// Only dependencies may differ.
		s.ix.mu.Lock()
		f.port = p.No
		if !f.linked(r) {
			s.ix.relink(f, r)
		}
		s.ix.mu.Unlock()
		return
	}
	// What it counted until now belongs to the rules that it used until now.
	if st, err := s.dp.FlowStats(f.id); err == nil {
		s.credit(f, st, now, led)
	}
	same := f.out.does(r)
	s.ix.mu.Lock()
	was := f.out
	f.mu.Lock()
	f.out = s.ix.outcomes.get(r)
	f.port = p.No
	if !same {
		s.count.replaced.Add(1)
		f.setRare(rare{slow: f.slow(), oldPIs: was.pis})
		f.gen = (f.gen + 1) % argGens
	}
	f.mu.Unlock()
	s.ix.outcomes.drop(was)
	s.ix.relink(f, r)
	s.ix.mu.Unlock()
	if same {
		return
	}
	if err := s.put(f); err != nil {
		s.opt.Log.Debug("replace megaflow", "err", err)
		s.deleteFlow(f, now, led)
		s.count.deleted.Add(1)
	}
}

func equalPI(a, b xlate.PacketIn) bool {
	return a.Bridge == b.Bridge && a.Cookie == b.Cookie && a.Table == b.Table && a.Reason == b.Reason &&
		a.MaxLen == b.MaxLen && a.Controller == b.Controller && string(a.Userdata) == string(b.Userdata) && a.Metadata == b.Metadata &&
		a.Resume.Equal(b.Resume)
}

func sameHits(a []hit, b []xlate.Hit) bool {
	return slices.EqualFunc(a, b, func(x hit, y xlate.Hit) bool {
		return x.br == y.Bridge && x.rule == y.Rule && x.table == y.Table
	})
}

// deleteFlow takes a megaflow out of datapath and index and credits its last packets.
// s.mu is held for writing, or for reading by who has taken f from the backlog.
func (s *Switch) deleteFlow(f *megaflow, now time.Time, led *ledger) {
	f.gone = true
	// Under one hold, so that nobody finds it who could not use it any more.
	s.ix.mu.Lock()
	st, err := s.dp.FlowDel(f.id)
	s.ix.remove(f)
	s.ix.mu.Unlock()
	if err != nil {
		if !errors.Is(err, dpif.ErrNotExist) && !errors.Is(err, dpif.ErrClosed) {
			s.opt.Log.Warn("delete megaflow", "id", f.id, "err", err)
		}
		st = dpif.FlowStats{Packets: f.packets, Bytes: f.bytes}
	}
	s.credit(f, st, now, led)
}

// Flush deletes all megaflows that there are now.
func (s *Switch) Flush() {
	now := s.opt.Now()
	fs := s.ix.snapshot()
	taught := false
	for len(fs) > 0 {
		n := min(len(fs), chunk)
		var led ledger
		s.mu.Lock()
		for _, f := range fs[:n] {
			if !f.gone {
				s.deleteFlow(f, now, &led)
			}
		}
		led.credit()
		s.mu.Unlock()
		taught = s.owe(led, now) || taught
		fs = fs[n:]
	}
	if taught {
		s.settle(false)
	}
}

// ledger is what is to be credited to rules, tables and groups, which takes Switch.mu for writing.
type ledger []entry

type entry struct {
	hits           []hit
	groups         []xlate.GroupHit
	packets, bytes uint64
	used           time.Time
	effects        *effects // nil: none
	fin            bool     // a connection has ended
}

func (l ledger) credit() {
	for i := range l {
		e := &l[i]
		for _, h := range e.hits {
			if h.rule != nil {
				h.rule.Credit(e.packets, e.bytes, e.used)
				h.br.OF.CreditTable(h.table, e.packets, 0)
			} else {
				h.br.OF.CreditTable(h.table, 0, e.packets)
			}
		}
		for _, g := range e.groups {
			g.Credit(e.packets, e.bytes)
		}
	}
}

// credit enters what f counted since the last time for its rules and tables. It
// returns whether there was anything. s.mu is held as for deleteFlow.
func (s *Switch) credit(f *megaflow, st dpif.FlowStats, now time.Time, led *ledger) bool {
	p, b := f.extraPackets.Swap(0), f.extraBytes.Swap(0)
	used := int64(0)
	if p > 0 {
		used = f.created
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if st.Packets > f.packets {
		p += st.Packets - f.packets
		b += st.Bytes - min(st.Bytes, f.bytes)
		if used = s.since(now); !st.Used.IsZero() {
			used = min(used, s.since(st.Used))
		}
	}
	f.packets, f.bytes = max(f.packets, st.Packets), max(f.bytes, st.Bytes)
	f.flags |= st.TCPFlags
	f.used = max(f.used, used)
	if p == 0 {
		return false
	}
	*led = append(*led, entry{f.out.hits, f.out.groups, p, b, s.at(f.used), f.out.effects, f.flags&(tcpFin|tcpRst) != 0})
	return true
}

// since and at turn times into what megaflows hold and back.
func (s *Switch) since(t time.Time) int64 { return int64(t.Sub(s.epoch)) }
func (s *Switch) at(ns int64) time.Time   { return s.epoch.Add(time.Duration(ns)) }

// creditOnce counts a packet that no megaflow stands for. s.mu is held for writing.
func (s *Switch) creditOnce(r *xlate.Result, n int, now time.Time) {
	one := entry{packets: 1, bytes: uint64(n), used: now}
	for _, h := range r.Hits {
		e := one
		e.hits = []hit{{h.Bridge, h.Rule, h.Table}}
		ledger{e}.credit()
	}
	one.groups = r.Groups
	ledger{one}.credit()
}
