// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"sync"
	"sync/atomic"

	"github.com/weirswitch/weir/datapath/ofproto"
)

// monitors is what flow monitors have to tell, in the order of the changes: it comes in under
// Switch.mu, and goes out under telling.
type monitors struct {
	telling sync.Mutex // before Switch.mu
	some    atomic.Bool
	outbox  []told // guarded by Switch.mu
}

type told struct {
	bridge string
	ofproto.Update
}

// monitored puts what flow monitors have to tell of a bridge into the outbox. s.mu is held for writing.
func (s *Switch) monitored(b *bridge) {
	for _, u := range b.x.OF.Updates() {
		s.mon.outbox = append(s.mon.outbox, told{b.x.Name, u})
		s.mon.some.Store(true)
	}
}

// tellMonitors empties the outbox. Who takes too little gets no more (ofproto.MonitorBacklog). No lock is held.
func (s *Switch) tellMonitors() {
	for s.mon.some.Load() {
		s.mon.telling.Lock()
		s.mu.Lock()
		out := s.mon.outbox
		s.mon.outbox = nil
		s.mon.some.Store(false)
		s.mu.Unlock()
		var late []told
		for _, t := range out {
			if s.opt.Monitor != nil && s.opt.Monitor(t.bridge, t.Conn, t.Raw) > ofproto.MonitorBacklog {
				late = append(late, t)
			}
		}
		if len(late) > 0 {
			s.mu.Lock()
			for _, t := range late {
				if b := s.bridges[t.bridge]; b != nil {
					b.x.OF.PauseMonitors(t.Conn)
					s.monitored(b)
				}
			}
			s.mu.Unlock()
		}
		s.mon.telling.Unlock()
	}
}

// resumeMonitors goes on with the updates of those who have taken everything. No lock is held.
func (s *Switch) resumeMonitors() {
	if s.opt.Monitor == nil {
		return
	}
	s.tellMonitors() // what is in the outbox waits, too
	var paused []told
	s.mu.RLock()
	for name, b := range s.bridges {
		for _, c := range b.x.OF.PausedMonitors() {
			paused = append(paused, told{name, ofproto.Update{Conn: c}})
		}
	}
	s.mu.RUnlock()
	for _, t := range paused {
		if s.opt.Monitor(t.bridge, t.Conn, nil) > 0 {
			continue
		}
		s.changes.Lock() // not in the middle of a bundle
		s.mu.Lock()
		if b := s.bridges[t.bridge]; b != nil {
			b.x.OF.ResumeMonitors(t.Conn)
			s.monitored(b)
		}
		s.mu.Unlock()
		s.changes.Unlock()
	}
	s.tellMonitors()
}

// ForgetConn deletes what a bridge keeps for a connection, which has ended.
func (s *Switch) ForgetConn(bridge string, conn uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.bridges[bridge]; b != nil {
		b.x.OF.ForgetConn(conn)
	}
}
