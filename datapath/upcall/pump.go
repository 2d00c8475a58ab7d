// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
)

// pumpChunk is how many megaflows are credited in one hold of the write lock.
const pumpChunk = 256

// fullIdle takes the place of Options.MaxIdle while there are as many megaflows as the bound allows,
// or more because it fell.
const fullIdle = 100 * time.Millisecond

// Tick does what is due at now: statistics, idle megaflows, timeouts of rules,
// ageing of addresses. Run calls it every TickInterval.
func (s *Switch) Tick(now time.Time) {
	start := s.opt.Now()
	s.pump(now)
	s.adaptFlowLimit(s.opt.Now().Sub(start))

	s.mu.Lock()
	for _, b := range s.bridges {
		ch := b.x.FDB.Expire(now)
		s.ix.mu.Lock()
		s.moved(b.x, ch)
		s.ix.mu.Unlock()
	}
	s.mu.Unlock()

	s.changes.Lock() // rules do not expire while a bundle is committed
	s.mu.Lock()
	var outs []delivery
	for name, b := range s.bridges {
		eff := b.x.OF.Expire(now)
		s.apply(b, &eff)
		if len(eff.Async) > 0 {
			outs = append(outs, delivery{name, eff})
		}
	}
	s.mu.Unlock()
	s.changes.Unlock()
	s.settle(false)
	s.resumeMonitors()
	s.tell(outs)
}

// pump brings the datapath's counters to rules and MAC tables and deletes megaflows that have
// been idle for too long.
func (s *Switch) pump(now time.Time) {
	type row struct {
		id dpif.FlowID
		st dpif.FlowStats
	}
	rows := make([]row, 0, s.ix.len())
	err := s.dp.FlowDump(func(id dpif.FlowID, st dpif.FlowStats) bool {
		rows = append(rows, row{id, st})
		return true
	})
	if err != nil {
		s.opt.Log.Warn("read megaflow statistics", "err", err)
		return
	}
	idle, limit := time.Duration(s.maxIdle.Load()), int(s.flowLimit.Load())
	if len(rows) >= limit {
		idle = min(idle, fullIdle)
	}
	excess := len(rows) - 2*limit // these go at once
	for len(rows) > 0 {
		n := min(len(rows), pumpChunk)
		s.mu.Lock()
		var led ledger
		for _, r := range rows[:n] {
			f := s.ix.get(r.id)
			if f == nil {
				s.foreign(r.id)
				continue
			}
			if s.credit(f, r.st, now, &led) {
				s.learn(f.out.learn, s.at(f.used))
			}
			if excess > 0 {
				excess--
				s.deleteFlow(f, now, &led)
				s.count.expired.Add(1)
			} else if at := s.since(now); at-f.used >= int64(idle) && at-f.created >= int64(idle) {
				s.deleteFlow(f, now, &led)
				s.count.expired.Add(1)
			}
		}
		led.credit()
		s.mu.Unlock()
		s.owe(led, now)
		rows = rows[n:]
	}
	s.mu.Lock()
	s.lastPump = now
	s.mu.Unlock()
	s.settle(false)
}

// foreign deletes a megaflow that is in the datapath and not ours: of a process
// before. s.mu is held for writing, so none is being installed.
func (s *Switch) foreign(id dpif.FlowID) {
	if _, err := s.dp.FlowDel(id); err == nil {
		s.opt.Log.Debug("deleted a megaflow of before", "id", id)
	}
}
