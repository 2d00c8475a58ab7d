// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"errors"
	"slices"
	"sync"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/ofproto"
)

// meters gives the bridges of a Switch meters of its datapath, whose numbers they share:
// an ofproto.Meters.
//
// A meter that is deleted stays in the datapath until no megaflow names it any more, since one
// that is not there lets everything pass: the packets of a rule that goes with its meter
// (OpenFlow 1.3, A.3.4.4) stay limited until they are treated by another. (The stock switch deletes it a moment
// after the rule; in between its megaflows are not limited, or by another meter that gets its number.)
type meters struct {
	dp dpif.Datapath

	mu    sync.Mutex
	next  dpif.MeterID // numbers from here on were never given out
	free  []dpif.MeterID
	dying []dying
}

// dying is a meter that is deleted as soon as the backlog is done up to until.
type dying struct {
	id    dpif.MeterID
	known bool // until is
	until mark
}

var _ ofproto.Meters = (*meters)(nil)

// MeterLimits implements ofproto.Meters.
func (m *meters) MeterLimits() (int, int) {
	f := m.dp.Features()
	return f.MaxMeters, f.MaxBands
}

// MeterSet implements ofproto.Meters. The lowest numbers are given out first, since tables grow by them.
func (m *meters) MeterSet(id dpif.MeterID, spec *dpif.MeterSpec) (dpif.MeterID, error) {
	if id != 0 {
		return id, m.dp.MeterSet(id, spec)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := len(m.free) == 0
	if fresh {
		id = m.next + 1
	} else {
		id = m.free[len(m.free)-1]
	}
	err := m.dp.MeterSet(id, spec)
	if errors.Is(err, dpif.ErrFull) && len(m.dying) > 0 {
		// A new meter is worth more than the rest of an old one's time.
		if m.bury(func(*dying) bool { return true }); len(m.free) > 0 {
			fresh, id = false, m.free[len(m.free)-1]
			err = m.dp.MeterSet(id, spec)
		}
	}
	if err != nil {
		return 0, err
	}
	if fresh {
		m.next = id
	} else {
		m.free = m.free[:len(m.free)-1]
	}
	return id, nil
}

// MeterDel implements ofproto.Meters.
func (m *meters) MeterDel(id dpif.MeterID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dying = append(m.dying, dying{id: id})
}

// bury deletes the meters that are dying and for which ready says so. mu is held.
func (m *meters) bury(ready func(*dying) bool) {
	m.dying = slices.DeleteFunc(m.dying, func(d dying) bool {
		if !ready(&d) {
			return false
		}
		if _, err := m.dp.MeterDel(d.id); err == nil { // of a datapath that is closed, all have gone
			m.free = append(m.free, d.id)
		}
		return true
	})
}

// buryMeters deletes the meters that no megaflow names any more. No lock is held.
func (s *Switch) buryMeters() {
	m := s.meters
	m.mu.Lock()
	n := len(m.dying)
	m.mu.Unlock()
	if n == 0 {
		return
	}
	// Whoever deleted one has let go of the lock, so what concerns it is in the backlog.
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	l := &s.ix.backlog
	l.sort()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.dying {
		if d := &m.dying[i]; !d.known {
			d.known, d.until = true, l.end()
		}
	}
	m.bury(func(d *dying) bool { return l.done(d.until) })
}

// MeterStats implements ofproto.Meters.
func (m *meters) MeterStats(id dpif.MeterID) (dpif.MeterStats, bool) {
	s, err := m.dp.MeterStats(id)
	return s, err == nil
}

// slowpathMeter puts the meter "slowpath" of a bridge in front of packets that its megaflows
// hand up because the datapath cannot do their actions. s.mu is held for writing.
func (s *Switch) slowpathMeter(b *bridge) {
	var slow []*megaflow
	s.ix.mu.Lock()
	for _, f := range s.ix.byID {
		if f.slow() != "" {
			slow = append(slow, f)
		}
	}
	s.ix.mu.Unlock()
	for _, f := range slow {
		k := f.expand()
		if p := s.byDP[dpif.Port(k.InPort())]; p == nil || p.Bridge != b.x {
			continue
		}
		if err := s.put(f); err != nil {
			s.opt.Log.Debug("replace megaflow", "err", err)
		}
	}
}
