// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/xlate"
)

// batch is the memory for upcalls that are served together: none of it is kept by anything else.
type batch struct {
	tr     xlate.Translator
	misses [dpif.MaxBatch]miss
	n      int // misses
	// For those of them that are installed: what the datapath is told.
	flows []dpif.Flow
	added []*miss
	errs  []error
	xs    []dpif.Execution
}

// miss is a packet for which the datapath has no megaflow.
type miss struct {
	key   flow.Key
	p     *xlate.Port
	res   xlate.Result
	bytes int
	f     *megaflow // that stands for the packet; nil: none
	again bool      // learn first, then translate
	// first, if the packet may have taught a flow, is what is done with it, by the tables as they were
	// before; res is then for its megaflow, which does not count it.
	first *xlate.Result
	drop  bool // its port has gone
}

// Upcalls serves packets that the datapath handed up, dpif.MaxBatch at most. It is what Run
// gives to the datapath; tests call it.
//
// All are translated and installed under one hold of Switch.mu (those that teach an address under
// another, for writing), brought into the datapath by one call, and executed by one.
func (s *Switch) Upcalls(us []dpif.Upcall) {
	now := s.opt.Now()
	b := s.batches.Get().(*batch)
	defer s.batches.Put(b)
	b.n = 0
	var of [dpif.MaxBatch]*miss // by upcall; nil: none
	for i := range us {
		if us[i].Reason == dpif.ReasonMiss {
			of[i] = s.parse(b, &us[i])
		}
	}
	if b.n > 0 {
		s.serve(b, now)
	}
	b.xs = b.xs[:0]
	for i := range us {
		u, m := &us[i], of[i]
		switch {
		case u.Reason == dpif.ReasonAction:
			s.count.actions.Add(1)
			b.xs = s.fromAction(b.xs, u)
		case m != nil && !m.drop:
			r := m.result()
			b.xs = s.execution(b.xs, u.InPort, u.Packet, u.Mark, r.Actions, r.PacketIns)
		}
	}
	s.execute(b.xs)
	clear(b.xs)
}

// parse makes a miss of u; nil if that cannot be.
func (s *Switch) parse(b *batch, u *dpif.Upcall) *miss {
	s.count.misses.Add(1)
	m := &b.misses[b.n]
	var l packet.Layers
	if !packet.Parse(u.Packet.Data, &packet.Meta{InPort: uint32(u.InPort), Recirc: u.Recirc, Mark: u.Mark}, s.opt.MaxVLANs, &m.key, &l) {
		s.count.malformed.Add(1)
		return nil
	}
	m.bytes, m.f, m.again, m.drop, m.first = len(u.Packet.Data), nil, false, false, nil
	b.n++
	return m
}

// serve translates and installs the misses of b. No lock is held.
func (s *Switch) serve(b *batch, now time.Time) {
	ms := b.misses[:b.n]
	again := false
	var outs []delivery
	s.mu.RLock()
	for i := range ms {
		m := &ms[i]
		if !s.translateMiss(b, m) {
			continue
		}
		if m.again = stale(&m.res); m.again {
			again = true
		}
	}
	s.install(b, now, false)
	s.mu.RUnlock()
	if again {
		s.mu.Lock()
		for i := range ms {
			if m := &ms[i]; m.again {
				s.learn(m.res.Learn, now)
			}
		}
		taught := false
		for i := range ms {
			if m := &ms[i]; m.again && s.translateMiss(b, m) && s.learnFlows(m.res.Flows, now, now, &outs) {
				taught = true
			}
		}
		for i := range ms {
			if m := &ms[i]; taught && m.again {
				r := m.res
				m.first, m.res = &r, xlate.Result{}
				s.translateMiss(b, m)
			}
		}
		s.install(b, now, true)
		s.mu.Unlock()
		s.tell(outs)
		s.settle(false)
	}
	locked := false
	var led ledger
	for i := range ms {
		m := &ms[i]
		if m.drop {
			continue
		}
		if m.res.Err != nil {
			s.count.tooLong.Add(1)
		}
		if m.f != nil && m.first == nil {
			if len(m.res.Fins) > 0 {
				m.f.mu.Lock()
				m.f.flags |= uint16(m.key.U64(flow.FieldTCPFlags))
				m.f.mu.Unlock()
			}
			continue
		}
		if !locked {
			locked = true
			s.mu.Lock()
		}
		s.creditOnce(m.result(), m.bytes, now)
		led = owed(led, m.result(), &m.key, now)
	}
	if locked {
		s.mu.Unlock()
	}
	if s.owe(led, now) {
		s.settle(false)
	}
}

// result is what is done with the packet.
func (m *miss) result() *xlate.Result {
	if m.first != nil {
		return m.first
	}
	return &m.res
}

// translateMiss translates m; false if its port has gone. s.mu is held.
func (s *Switch) translateMiss(b *batch, m *miss) bool {
	if m.p = s.byDP[dpif.Port(m.key.InPort())]; m.p == nil {
		m.drop, m.again = true, false
		s.count.noPort.Add(1)
		return false
	}
	b.tr.Translate(s.input(m.p, &m.key), &m.res)
	return true
}

// install makes megaflows of the misses whose again is as given, and counts their packets. One that is
// not installed has no megaflow then. s.mu is held.
func (s *Switch) install(b *batch, now time.Time, again bool) {
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	b.flows, b.added = b.flows[:0], b.added[:0]
	for i := range b.misses[:b.n] {
		if m := &b.misses[i]; m.again == again && !m.drop {
			s.enter(b, m, now)
		}
	}
	for len(b.errs) < len(b.flows) {
		b.errs = append(b.errs, nil)
	}
	errs := b.errs[:len(b.flows)]
	if len(b.flows) > 0 {
		s.dp.FlowPuts(b.flows, errs)
	}
	for i, err := range errs {
		m := b.added[i]
		if err != nil {
			err = s.putSlow(m.f, &b.flows[i], err)
		}
		if err != nil {
			m.f.gone = true
			s.ix.remove(m.f)
			s.count.notInstalled.Add(1)
			s.opt.Log.Debug("install megaflow", "err", err)
			continue
		}
		s.ix.link(m.f, &m.res)
		s.count.installed.Add(1)
	}
	clear(b.flows)
	clear(b.added)
	clear(errs)
	for i := range b.misses[:b.n] {
		m := &b.misses[i]
		if m.again != again || m.f == nil {
			continue
		}
		if m.f.gone { // its own, or that of a miss before it, was not taken
			m.f = nil
			continue
		}
		if m.first == nil {
			m.f.extraPackets.Add(1)
			m.f.extraBytes.Add(uint64(m.bytes))
		}
	}
}

// enter finds the megaflow for m, or makes one, to be brought into the datapath. s.mu and
// index.mu are held.
func (s *Switch) enter(b *batch, m *miss, now time.Time) {
	f, at := s.ix.find(&m.key, &m.res.Mask)
	if f != nil {
		s.count.duplicates.Add(1)
		if !f.pending.Load() { // else it may stand for other rules than these
			m.f = f
		}
		return
	}
	if int64(len(s.ix.byID)) >= s.flowLimit.Load() {
		s.count.atLimit.Add(1)
		s.count.notInstalled.Add(1)
		return
	}
	f = &megaflow{id: dpif.FlowID(s.nextID.Add(1)), created: s.since(now), used: s.since(now), port: m.p.No}
	f.out = s.ix.outcomes.get(&m.res)
	s.ix.add(f, &m.key, &m.res.Mask, at)
	m.f = f
	b.flows = append(b.flows, s.flowOf(f))
	b.added = append(b.added, m)
}
