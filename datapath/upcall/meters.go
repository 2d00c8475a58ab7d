// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"sync"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/ofproto"
)

// meters gives the bridges of a Switch meters of its datapath, whose numbers they share:
// an ofproto.Meters.
type meters struct {
	dp dpif.Datapath

	mu   sync.Mutex
	next dpif.MeterID // numbers from here on were never given out
	free []dpif.MeterID
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
	if err := m.dp.MeterSet(id, spec); err != nil {
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
	if _, err := m.dp.MeterDel(id); err != nil {
		return // of a datapath that is closed, all have gone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, id)
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
