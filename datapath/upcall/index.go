// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/xlate"
)

// megaflow is an installed flow and what it stands on. The first fields do not change
// once the megaflow is in the index; see the package comment for the others' locks.
type megaflow struct {
	id      dpif.FlowID
	mask    *sharedMask
	key     []uint64 // the words of the datapath's key that the mask has
	hash    uint64
	same    *megaflow // next with the same hash
	created int64     // ns since Switch.epoch
	// First packets, which no datapath counted, still to be credited.
	extraPackets, extraBytes atomic.Uint64

	pending atomic.Bool // in the backlog, or taken from it and being translated
	queued  bool        // in the backlog; guarded by index.mu
	fresh   bool        // in backlog.fresh; likewise
	in      [lanes]bool // there is an entry in the lane, which may be of no use any more; likewise
	gone    bool
	flags   uint16
	gen     uint32
	port    action.Port // OpenFlow port of arrival

	mu      sync.Mutex
	out     *outcome
	rare    *rare // nil for most
	deps    []depNode
	packets uint64 // already credited, as the datapath counts
	bytes   uint64
	used    int64 // ns since Switch.epoch
}

// rare is what few megaflows have.
type rare struct {
	slow   string           // why the datapath only hands its packets up; "": it does the actions
	oldPIs []xlate.PacketIn // of generation gen-1: upcalls may still be under way
}

func (m *megaflow) slow() string {
	if m.rare == nil {
		return ""
	}
	return m.rare.slow
}

func (m *megaflow) oldPIs() []xlate.PacketIn {
	if m.rare == nil {
		return nil
	}
	return m.rare.oldPIs
}

func (m *megaflow) setRare(r rare) {
	if r.slow == "" && len(r.oldPIs) == 0 {
		m.rare = nil
	} else {
		m.rare = &r
	}
}

// hit is a search to credit with the megaflow's packets.
type hit struct {
	br    *xlate.Bridge
	rule  *ofproto.Rule
	table uint8
}

// sharedMask is a mask with the number of megaflows that have it.
type sharedMask struct {
	m     flow.Mask
	words uint64
	n     int
}

// expand returns the megaflow's key.
func (m *megaflow) expand() (k flow.Key) {
	for i, w := 0, m.mask.words; w != 0; i, w = i+1, w&(w-1) {
		k[bits.TrailingZeros64(w)] = m.key[i]
	}
	return k
}

// depKey names something that megaflows depend on, other than tables.
type depKey struct {
	br   *xlate.Bridge
	mac  uint64
	port action.Port
	vlan uint16
	kind xlate.DepKind
}

type tableKey struct {
	br    *xlate.Bridge
	table uint8
}

// depList is the list of megaflows with a dependency.
type depList struct {
	head *depNode
	// Where the list is kept, to drop it when it is empty.
	key   depKey
	table tableKey
	rule  *ofproto.Rule
	isDep bool // key counts, else table and rule
}

// depNode is a megaflow's place in a list.
type depNode struct {
	m          *megaflow
	list       *depList
	prev, next *depNode
	changed    uint64 // words of the key that a filter by the packet's key must leave out
}

// index finds megaflows.
type index struct {
	mu       sync.Mutex
	byID     map[dpif.FlowID]*megaflow
	byHash   map[uint64]*megaflow
	masks    map[flow.Mask]*sharedMask
	last     *sharedMask // the last one that was looked for
	outcomes outcomes
	deps     map[depKey]*depList
	tables   map[tableKey]map[*ofproto.Rule]*depList // by rule; nil: missed
	rooms    map[*depList]struct{}                   // those of deps that are for DepRoom
	backlog  backlog
}

func newIndex() *index {
	x := &index{
		byID:     make(map[dpif.FlowID]*megaflow),
		byHash:   make(map[uint64]*megaflow),
		masks:    make(map[flow.Mask]*sharedMask),
		outcomes: newOutcomes(),
		deps:     make(map[depKey]*depList),
		rooms:    make(map[*depList]struct{}),
		tables:   make(map[tableKey]map[*ofproto.Rule]*depList),
	}
	x.backlog.ended.L = &x.mu
	return x
}

func (x *index) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byID)
}

func (x *index) get(id dpif.FlowID) *megaflow {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byID[id]
}

// place is where a megaflow is, or would be.
type place struct {
	mask *sharedMask // nil: no megaflow has it
	hash uint64      // of the key under the mask, different for different masks
}

// maskOf returns the mask that is m, nil if no megaflow has it. x.mu is held.
func (x *index) maskOf(m *flow.Mask) *sharedMask {
	if x.last == nil || x.last.m != *m { // to compare is cheaper than to hash so many bytes
		x.last = x.masks[*m]
	}
	return x.last
}

// find returns the megaflow with exactly this mask and key under it, or nil, and its place.
// x.mu is held.
func (x *index) find(k *flow.Key, m *flow.Mask) (*megaflow, place) {
	sm := x.maskOf(m)
	if sm == nil {
		words := m.Map()
		return nil, place{nil, k.HashUnder(m, words, words)}
	}
	p := place{sm, k.HashUnder(m, sm.words, sm.words)}
next:
	for f := x.byHash[p.hash]; f != nil; f = f.same {
		if f.mask != sm {
			continue
		}
		for i, w := 0, sm.words; w != 0; i, w = i+1, w&(w-1) {
			j := bits.TrailingZeros64(w)
			if k[j]&sm.m[j] != f.key[i] {
				continue next
			}
		}
		return f, p
	}
	return nil, p
}

// add puts a new megaflow in, with its key and mask, at the place that find gave. x.mu is held.
func (x *index) add(f *megaflow, k *flow.Key, m *flow.Mask, p place) {
	sm := p.mask
	if sm == nil {
		sm = &sharedMask{m: *m, words: m.Map()}
		x.masks[*m] = sm
		x.last = sm
	}
	sm.n++
	f.mask = sm
	f.key = make([]uint64, bits.OnesCount64(sm.words))
	for i, w := 0, sm.words; w != 0; i, w = i+1, w&(w-1) {
		j := bits.TrailingZeros64(w)
		f.key[i] = k[j] & sm.m[j]
	}
	f.hash = p.hash
	f.same = x.byHash[f.hash]
	x.byHash[f.hash] = f
	x.byID[f.id] = f
}

// remove takes a megaflow and its dependencies out. x.mu is held.
func (x *index) remove(f *megaflow) {
	x.unlink(f)
	delete(x.byID, f.id)
	if head := x.byHash[f.hash]; head != f {
		for head.same != f {
			head = head.same
		}
		head.same = f.same
	} else if f.same != nil {
		x.byHash[f.hash] = f.same
	} else {
		delete(x.byHash, f.hash)
	}
	if f.mask.n--; f.mask.n == 0 {
		delete(x.masks, f.mask.m)
		x.last = nil
	}
	x.outcomes.drop(f.out)
}

// relink replaces the dependencies of f. x.mu is held.
func (x *index) relink(f *megaflow, r *xlate.Result) {
	x.unlink(f)
	x.link(f, r)
}

// snapshot returns the megaflows that there are.
func (x *index) snapshot() []*megaflow {
	x.mu.Lock()
	defer x.mu.Unlock()
	fs := make([]*megaflow, 0, len(x.byID))
	for _, f := range x.byID {
		fs = append(fs, f)
	}
	return fs
}

// link enters what a translation depended on for f. x.mu is held.
func (x *index) link(f *megaflow, r *xlate.Result) {
	n := len(r.Hits) + len(r.Deps)
	for i := range r.Hits {
		n += len(r.Hits[i].Soft)
	}
	nodes := make([]depNode, 0, n) // lists point into it
	byRule := func(br *xlate.Bridge, table uint8, r *ofproto.Rule) *depList {
		tk := tableKey{br, table}
		t := x.tables[tk]
		if t == nil {
			t = make(map[*ofproto.Rule]*depList)
			x.tables[tk] = t
		}
		l := t[r]
		if l == nil {
			l = &depList{table: tk, rule: r}
			t[r] = l
		}
		return l
	}
	enter := func(l *depList, changed uint64) {
		nodes = append(nodes, depNode{m: f, list: l, next: l.head, changed: changed})
		n := &nodes[len(nodes)-1]
		if l.head != nil {
			l.head.prev = n
		}
		l.head = n
	}
	for i := range r.Hits {
		h := &r.Hits[i]
		search := func(r *ofproto.Rule) {
			l := byRule(h.Bridge, h.Table, r)
			if l.head == nil || l.head.m != f || l.head.changed != h.Changed { // else the same search twice
				enter(l, h.Changed)
			}
		}
		search(h.Rule)
		for _, r := range h.Soft {
			search(r)
		}
	}
	for _, d := range r.Deps {
		if d.Kind == xlate.DepLearned {
			enter(byRule(d.Bridge, uint8(d.Port), d.Rule), 1<<flow.Words-1) // not a search: no filter by the key
			continue
		}
		k := depKey{d.Bridge, d.MAC, d.Port, d.VLAN, d.Kind}
		l := x.deps[k]
		if l == nil {
			l = &depList{key: k, isDep: true}
			x.deps[k] = l
			if k.kind == xlate.DepRoom {
				x.rooms[l] = struct{}{}
			}
		}
		enter(l, 0)
	}
	f.deps = nodes
}

// linked reports whether the dependencies of f are those that link would enter for r, as after most
// translations that yield the same. index.mu is held.
func (m *megaflow) linked(r *xlate.Result) bool {
	i := 0
	is := func(n *depNode, l depList, changed uint64) bool {
		return n.changed == changed && n.list.isDep == l.isDep && n.list.key == l.key && n.list.table == l.table && n.list.rule == l.rule
	}
	next := func(l depList, changed uint64) bool {
		if i == len(m.deps) || !is(&m.deps[i], l, changed) {
			return false
		}
		i++
		return true
	}
	search := func(h *xlate.Hit, r *ofproto.Rule) bool {
		l := depList{table: tableKey{h.Bridge, h.Table}, rule: r}
		if next(l, h.Changed) {
			return true
		}
		for j := range m.deps[:i] {
			if is(&m.deps[j], l, h.Changed) {
				return true // the same search twice
			}
		}
		return false
	}
	for j := range r.Hits {
		h := &r.Hits[j]
		if !search(h, h.Rule) {
			return false
		}
		for _, soft := range h.Soft {
			if !search(h, soft) {
				return false
			}
		}
	}
	for _, d := range r.Deps {
		l, changed := depList{key: depKey{d.Bridge, d.MAC, d.Port, d.VLAN, d.Kind}, isDep: true}, uint64(0)
		if d.Kind == xlate.DepLearned {
			l, changed = depList{table: tableKey{d.Bridge, uint8(d.Port)}, rule: d.Rule}, 1<<flow.Words-1
		}
		if !next(l, changed) {
			return false
		}
	}
	return i == len(m.deps)
}

// unlink takes the dependencies of f out. x.mu is held.
func (x *index) unlink(f *megaflow) {
	for i := range f.deps {
		n := &f.deps[i]
		if n.next != nil {
			n.next.prev = n.prev
		}
		if n.prev != nil {
			n.prev.next = n.next
			continue
		}
		l := n.list
		if l.head = n.next; l.head != nil {
			continue
		}
		if l.isDep {
			delete(x.deps, l.key)
			if l.key.kind == xlate.DepRoom {
				delete(x.rooms, l)
			}
			continue
		}
		t := x.tables[l.table]
		if delete(t, l.rule); len(t) == 0 {
			delete(x.tables, l.table)
		}
	}
	f.deps = nil
}
