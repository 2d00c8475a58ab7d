// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/xlate"
)

// effects is what packets of a megaflow do to the tables.
type effects struct {
	flows []xlate.FlowLearn
	fins  []xlate.Fin
}

func effectsOf(r *xlate.Result) *effects {
	if len(r.Flows) == 0 && len(r.Fins) == 0 {
		return nil
	}
	return &effects{keep(r.Flows), keep(r.Fins)}
}

// owed appends to l what a packet with key k, which no megaflow stands for, does to the tables.
func owed(l ledger, r *xlate.Result, k *flow.Key, now time.Time) ledger {
	if e := effectsOf(r); e != nil {
		l = append(l, entry{used: now, effects: e, fin: ends(k)})
	}
	return l
}

// ends reports whether a packet ends a connection.
func ends(k *flow.Key) bool { return k.U64(flow.FieldTCPFlags)&(tcpFin|tcpRst) != 0 }

// is reports whether r has these effects; e may be nil.
func (e *effects) is(r *xlate.Result) bool {
	if e == nil {
		return len(r.Flows) == 0 && len(r.Fins) == 0
	}
	return slices.EqualFunc(e.flows, r.Flows, xlate.FlowLearn.Equal) && slices.Equal(e.fins, r.Fins)
}

// TCP flags that end a connection.
const tcpFin, tcpRst = 1 << 0, 1 << 2

// staleFlows reports whether learning would change a table. s.mu is held.
func staleFlows(l []xlate.FlowLearn) bool {
	return slices.ContainsFunc(l, func(f xlate.FlowLearn) bool { return f.Bridge.OF.Stale(f.Flow) })
}

// known returns the bridge of x, nil if it is gone. s.mu is held.
func (s *Switch) known(x *xlate.Bridge) *bridge {
	if b := s.bridges[x.Name]; b != nil && b.x == x {
		return b
	}
	return nil
}

// learnFlows brings flows into the tables that were seen at the time seen. It reports whether
// a table changed; what others are to be told is appended to outs. The tables are locked for changes.
func (s *Switch) learnFlows(l []xlate.FlowLearn, seen, now time.Time, outs *[]delivery) (changed bool) {
	for _, f := range l {
		b := s.known(f.Bridge)
		if b == nil {
			continue
		}
		if b.x.OF.Committing() {
			s.postpone(entry{used: seen, effects: &effects{flows: []xlate.FlowLearn{f}}})
			continue
		}
		eff, err := b.x.OF.Learn(f.Flow, seen, now)
		if err != nil {
			s.count.notLearned.Add(1)
			s.opt.Log.Debug("learn flow", "bridge", b.x.Name, "flow", f.Flow, "err", err)
			continue
		}
		changed = s.report(b, &eff, outs) || changed
	}
	return changed
}

// maxPostponed bounds what packets do to tables while a bundle is committed; above it they do not.
const maxPostponed = 4096

// postpone keeps what packets do to the tables of a bridge until its bundle is committed. s.mu is
// held for writing.
func (s *Switch) postpone(e entry) {
	if len(s.postponed) >= maxPostponed {
		s.count.notLearned.Add(1)
		return
	}
	s.postponed = append(s.postponed, e)
}

// report is apply for a change that no message asked for; it reports whether there was one.
func (s *Switch) report(b *bridge, eff *ofproto.Effects, outs *[]delivery) bool {
	s.apply(b, eff)
	if len(eff.Async) > 0 {
		*outs = append(*outs, delivery{b.x.Name, *eff})
	}
	return len(eff.Changes)+len(eff.Cleared) > 0
}

// owe does what packets that were credited do to the tables, and reports whether rules changed. No lock
// is held.
func (s *Switch) owe(l ledger, now time.Time) (changed bool) {
	l = slices.DeleteFunc(slices.Clone(l), func(e entry) bool { return e.effects == nil })
	for part := range slices.Chunk(l, chunk) {
		var outs []delivery
		s.mu.Lock()
		for i := range part {
			e := &part[i]
			changed = s.learnFlows(e.effects.flows, e.used, now, &outs) || changed
			if e.fin {
				for _, f := range e.effects.fins {
					if f.Bridge.OF.Committing() {
						s.postpone(entry{used: e.used, effects: &effects{fins: []xlate.Fin{f}}, fin: true})
						continue
					}
					f.Bridge.OF.ShortenTimeouts(f.Rule, f.Idle, f.Hard)
				}
			}
		}
		s.mu.Unlock()
		s.tell(outs)
	}
	return changed
}

// tell hands out what changes that no message asked for mean for others. No lock is held.
func (s *Switch) tell(outs []delivery) {
	s.tellMonitors()
	for i := range outs {
		s.deliver(outs[i].bridge, &outs[i].eff)
	}
}
