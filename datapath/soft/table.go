// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// entry is a megaflow in the table.
type entry struct {
	id      dpif.FlowID
	sub     *subtable
	key     []uint64 // the words of sub.words
	hash    uint64
	next    *entry // with the same hash in sub
	dead    bool   // deleted; guarded by table.mu
	actions []dpif.Action

	packets, bytes atomic.Uint64
	used           atomic.Int64 // Unix time in nanoseconds
	flags          atomic.Uint32
}

// count adds a packet.
func (e *entry) count(bytes int, now int64, tcpFlags uint16) {
	e.packets.Add(1)
	e.bytes.Add(uint64(bytes))
	e.used.Store(now)
	if f := uint32(tcpFlags); f&^e.flags.Load() != 0 {
		e.flags.Or(f)
	}
}

func (e *entry) stats() dpif.FlowStats {
	s := dpif.FlowStats{Packets: e.packets.Load(), Bytes: e.bytes.Load(), TCPFlags: uint16(e.flags.Load())}
	if u := e.used.Load(); u != 0 {
		s.Used = time.Unix(0, u)
	}
	return s
}

// matches reports whether k matches e.
func (e *entry) matches(k *flow.Key) bool {
	s := e.sub
	for i, w := range s.words {
		if (k[w]&s.mask[w])^e.key[i] != 0 {
			return false
		}
	}
	return true
}

// subtable holds the flows of one mask.
type subtable struct {
	mask  flow.Mask
	wm    uint64 // mask.Map()
	words []uint8
	flows map[uint64]*entry
	n     int
	hits  atomic.Uint64
}

func newSubtable(m *flow.Mask) *subtable {
	s := &subtable{mask: *m, wm: m.Map(), flows: map[uint64]*entry{}}
	for i, w := range m {
		if w != 0 {
			s.words = append(s.words, uint8(i))
		}
	}
	return s
}

// find returns the flow with k's bits.
func (s *subtable) find(k *flow.Key, seed uint64) *entry {
	for e := s.flows[k.HashUnder(&s.mask, s.wm, seed)]; e != nil; e = e.next {
		if e.matches(k) {
			return e
		}
	}
	return nil
}

// table is the set of megaflows.
type table struct {
	maxFlows, maxMasks int
	seed               uint64

	mu    sync.RWMutex
	flows map[dpif.FlowID]*entry
	masks map[flow.Mask]*subtable
	order []*subtable // the most used first
	all   flow.Mask   // all masks merged: what a cache's hash covers
	allWM uint64
}

func newTable(maxFlows, maxMasks int, seed uint64) *table {
	return &table{
		maxFlows: maxFlows, maxMasks: maxMasks, seed: seed,
		flows: map[dpif.FlowID]*entry{}, masks: map[flow.Mask]*subtable{},
	}
}

// cache remembers recent answers for one goroutine. It holds at most cacheSize
// entries, which may be dead ones until their place is needed.
type cache [cacheSize]struct {
	hash  uint64
	entry *entry
}

const cacheSize = 1024

// lookup returns a flow that matches k, or nil. The caller holds mu for
// reading, at least.
func (t *table) lookup(k *flow.Key, c *cache) *entry {
	h := k.HashUnder(&t.all, t.allWM, t.seed)
	slot := &c[h%cacheSize]
	if e := slot.entry; e != nil && slot.hash == h {
		if !e.dead && e.matches(k) {
			e.sub.hits.Add(1)
			return e
		}
		slot.entry = nil
	}
	for _, s := range t.order {
		if e := s.find(k, t.seed); e != nil {
			s.hits.Add(1)
			slot.hash, slot.entry = h, e
			return e
		}
	}
	return nil
}

// put adds a flow or replaces the actions of the one with its ID.
func (t *table) put(f *dpif.Flow) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.putLocked(f)
}

func (t *table) putLocked(f *dpif.Flow) error {
	if e := t.flows[f.ID]; e != nil {
		if e.sub.mask != *f.Mask || !e.matches(&f.Key) {
			return fmt.Errorf("flow %d has another key or mask: %w", f.ID, dpif.ErrExist)
		}
		e.actions = f.Actions
		return nil
	}
	if len(t.flows) >= t.maxFlows {
		return fmt.Errorf("%d flows: %w", len(t.flows), dpif.ErrFull)
	}
	s := t.masks[*f.Mask]
	if s == nil {
		if len(t.order) >= t.maxMasks {
			return fmt.Errorf("%d masks: %w", len(t.order), dpif.ErrFull)
		}
		s = newSubtable(f.Mask)
	}
	if old := s.find(&f.Key, t.seed); old != nil {
		return fmt.Errorf("flow %d has the same key and mask: %w", old.id, dpif.ErrExist)
	}
	e := &entry{id: f.ID, sub: s, hash: f.Key.HashUnder(&s.mask, s.wm, t.seed), actions: f.Actions}
	e.key = make([]uint64, len(s.words))
	for i, w := range s.words {
		e.key[i] = f.Key[w]
	}
	if s.n == 0 {
		t.masks[s.mask] = s
		t.order = append(t.order, s)
		t.merge()
	}
	s.n++
	e.next = s.flows[e.hash]
	s.flows[e.hash] = e
	t.flows[e.id] = e
	return nil
}

// del removes a flow and returns its counters.
func (t *table) del(id dpif.FlowID) (dpif.FlowStats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[id]
	if e == nil {
		return dpif.FlowStats{}, dpif.ErrNotExist
	}
	delete(t.flows, id)
	e.dead = true
	s := e.sub
	head := s.flows[e.hash]
	if head == e {
		head = e.next
	} else {
		p := head
		for p.next != e {
			p = p.next
		}
		p.next = e.next
	}
	if head == nil {
		delete(s.flows, e.hash)
	} else {
		s.flows[e.hash] = head
	}
	if s.n--; s.n == 0 {
		delete(t.masks, s.mask)
		t.order = slices.DeleteFunc(t.order, func(o *subtable) bool { return o == s })
		t.merge()
	}
	return e.stats(), nil
}

// merge sets all.
func (t *table) merge() {
	t.all = flow.Mask{}
	for _, s := range t.order {
		t.all.Merge(&s.mask)
	}
	t.allWM = t.all.Map()
}

func (t *table) stats(id dpif.FlowID) (dpif.FlowStats, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.flows[id]; e != nil {
		return e.stats(), nil
	}
	return dpif.FlowStats{}, dpif.ErrNotExist
}

// ids returns the flows that there are.
func (t *table) ids() []dpif.FlowID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ids := make([]dpif.FlowID, 0, len(t.flows))
	for id := range t.flows {
		ids = append(ids, id)
	}
	return ids
}

// rank puts the subtables in the order of their use since the last rank,
// older use counting half each time.
func (t *table) rank() {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := make(map[*subtable]uint64, len(t.order))
	for _, s := range t.order {
		n[s] = s.hits.Load()
		s.hits.Store(n[s] / 2)
	}
	slices.SortStableFunc(t.order, func(a, b *subtable) int {
		switch {
		case n[a] > n[b]:
			return -1
		case n[a] < n[b]:
			return 1
		}
		return 0
	})
}
