// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"errors"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/xlate"
)

// apply translates anew what depends on changes of a bridge. s.mu is held for
// writing, and was when they were made.
func (s *Switch) apply(b *bridge, eff *ofproto.Effects, now time.Time) {
	if len(eff.Changes) == 0 && len(eff.Ports) == 0 && len(eff.Meters) == 0 && !eff.Fragments {
		return
	}
	var w work
	s.ix.mu.Lock()
	s.affected(&w, b.x, eff)
	s.ix.mu.Unlock()
	s.revalidate(&w, now)
	if slices.Contains(eff.Meters, ofproto.MeterSlowpath) {
		s.slowpathMeter(b)
	}
}

// affected adds the megaflows that could differ. s.ix.mu is held.
func (s *Switch) affected(w *work, br *xlate.Bridge, eff *ofproto.Effects) {
	if eff.Fragments {
		s.ix.all(w)
		return
	}
	for _, c := range eff.Changes {
		if c.Kind == ofproto.RuleAdded {
			s.ix.takenBy(w, br, c.Rule)
		} else {
			s.ix.users(w, br, c.Rule)
		}
	}
	for _, id := range eff.Meters {
		s.ix.dependants(w, depKey{br: br, kind: xlate.DepMeter, port: action.Port(id)})
	}
	for _, no := range eff.Ports {
		s.ix.dependants(w, depKey{br: br, kind: xlate.DepPort, port: no})
		s.ix.dependants(w, depKey{br: br, kind: xlate.DepFlood})
	}
}

// moved adds the megaflows that looked up addresses whose port changed. s.ix.mu is held.
func (s *Switch) moved(w *work, br *xlate.Bridge, ch []fdb.Change) {
	for _, c := range ch {
		s.ix.dependants(w, depKey{br: br, kind: xlate.DepMAC, mac: c.MAC, vlan: c.VLAN})
	}
}

// learn puts addresses into the MAC tables and translates anew what depends on
// changes. s.mu is held for writing.
func (s *Switch) learn(l []xlate.Learn, now time.Time) {
	var w work
	s.ix.mu.Lock()
	s.learnInto(&w, l, now)
	s.ix.mu.Unlock()
	s.revalidate(&w, now)
}

// learnInto learns addresses seen at the time seen, which may be past: what was seen on
// another port since stays there.
func (s *Switch) learnInto(w *work, l []xlate.Learn, seen time.Time) {
	for _, e := range l {
		if e.Bridge.Port(e.Port) == nil || e.Bridge.FDB.SeenSince(e.VLAN, e.MAC, seen) {
			continue
		}
		ch, _ := e.Bridge.FDB.Learn(e.VLAN, e.MAC, e.Port, seen)
		s.moved(w, e.Bridge, ch)
	}
}

// revalidate translates megaflows anew. s.mu is held for writing.
func (s *Switch) revalidate(w *work, now time.Time) {
	for _, f := range w.list {
		if !f.gone {
			s.revalidateOne(f, now)
		}
	}
}

func (s *Switch) revalidateOne(f *megaflow, now time.Time) {
	s.count.revalidated.Add(1)
	k := f.expand()
	p := s.byDP[dpif.Port(k.InPort())]
	if p == nil {
		s.deleteFlow(f, now)
		s.count.deleted.Add(1)
		return
	}
	r := s.translate(p, &k)
	if !f.mask.m.Covers(&r.Mask) {
		s.deleteFlow(f, now)
		s.count.deleted.Add(1)
		return
	}
	samePIs := slices.EqualFunc(f.pis, r.PacketIns, equalPI)
	same := samePIs && slices.Equal(f.actions, r.Actions)
	if same && sameHits(f.hits, r.Hits) {
		// Only dependencies may differ.
		s.ix.mu.Lock()
		s.ix.unlink(f)
		s.ix.link(f, r)
		s.ix.mu.Unlock()
		f.learn, f.err, f.port = r.Learn, r.Err, p.No
		return
	}
	// What it counted until now belongs to the rules that it used until now.
	if st, err := s.dp.FlowStats(f.id); err == nil {
		s.credit(f, st, now)
	}
	if !same {
		s.count.replaced.Add(1)
		f.oldPIs = f.pis
		f.gen = (f.gen + 1) % argGens
	}
	s.set(f, r)
	f.port = p.No
	s.ix.mu.Lock()
	s.ix.unlink(f)
	s.ix.link(f, r)
	s.ix.mu.Unlock()
	if same {
		return
	}
	if err := s.put(f); err != nil {
		s.opt.Log.Debug("replace megaflow", "err", err)
		s.deleteFlow(f, now)
		s.count.deleted.Add(1)
	}
}

func equalPI(a, b xlate.PacketIn) bool {
	return a.Bridge == b.Bridge && a.Rule == b.Rule && a.Table == b.Table && a.Reason == b.Reason &&
		a.MaxLen == b.MaxLen && a.Controller == b.Controller && string(a.Userdata) == string(b.Userdata) && a.Metadata == b.Metadata
}

func sameHits(a []hit, b []xlate.Hit) bool {
	return slices.EqualFunc(a, b, func(x hit, y xlate.Hit) bool {
		return x.br == y.Bridge && x.rule == y.Rule && x.table == y.Table
	})
}

// deleteFlow takes a megaflow out of datapath and index and credits its last packets.
// s.mu is held for writing.
func (s *Switch) deleteFlow(f *megaflow, now time.Time) {
	f.gone = true
	st, err := s.dp.FlowDel(f.id)
	if err != nil {
		if !errors.Is(err, dpif.ErrNotExist) && !errors.Is(err, dpif.ErrClosed) {
			s.opt.Log.Warn("delete megaflow", "id", f.id, "err", err)
		}
		st = dpif.FlowStats{Packets: f.packets, Bytes: f.bytes}
	}
	s.credit(f, st, now)
	s.ix.mu.Lock()
	s.ix.remove(f)
	s.ix.mu.Unlock()
}

// Flush deletes all megaflows.
func (s *Switch) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var w work
	s.ix.mu.Lock()
	s.ix.all(&w)
	s.ix.mu.Unlock()
	now := s.opt.Now()
	for _, f := range w.list {
		s.deleteFlow(f, now)
	}
}

// credit counts what f counted since the last time at its rules and tables. It
// returns whether there was anything. s.mu is held for writing.
func (s *Switch) credit(f *megaflow, st dpif.FlowStats, now time.Time) bool {
	p, b := f.extraPackets.Swap(0), f.extraBytes.Swap(0)
	used := time.Time{}
	if p > 0 {
		used = f.created
	}
	if st.Packets > f.packets {
		p += st.Packets - f.packets
		b += st.Bytes - min(st.Bytes, f.bytes)
		used = st.Used
		if used.IsZero() || used.After(now) {
			used = now
		}
	}
	f.packets, f.bytes = max(f.packets, st.Packets), max(f.bytes, st.Bytes)
	f.flags |= st.TCPFlags
	if used.After(f.used) {
		f.used = used
	}
	if p == 0 {
		return false
	}
	creditHits(f.hits, p, b, f.used)
	return true
}

func creditHits(hits []hit, p, b uint64, used time.Time) {
	for _, h := range hits {
		if h.rule != nil {
			h.rule.Credit(p, b, used)
			h.br.OF.CreditTable(h.table, p, 0)
		} else {
			h.br.OF.CreditTable(h.table, 0, p)
		}
	}
}

// creditOnce counts a packet that no megaflow stands for.
func (s *Switch) creditOnce(r *xlate.Result, n int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range r.Hits {
		creditHits([]hit{{h.Bridge, h.Rule, h.Table}}, 1, uint64(n), now)
	}
}
