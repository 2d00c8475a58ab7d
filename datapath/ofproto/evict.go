// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"container/heap"
	"encoding/binary"
	"time"

	"github.com/weirswitch/weir/datapath/flow"
)

// evictor finds the rule of a table that is to go for another: in the largest group of
// rules that have a timeout, of the lowest importance, the one that expires first
// (ovs-vswitchd.conf.db(5), Flow_Table).
//
// Rules are in a heap for each group, groups in a heap by size and then by their first rule. A
// rule's moment of expiry only moves back while nobody looks (packets use it), so what a heap is ordered by
// is a lower bound: pick brings the first rule up to date and looks again until
// it stays the first. So the answer is exact without a walk over the table.
type evictor struct {
	fields []flow.Subfield
	groups map[string]*evictGroup
	heap   groupHeap
	buf    []byte
}

type evictGroup struct {
	key   string
	rules ruleHeap
	index int
}

// eviction is a rule's place in an evictor.
type eviction struct {
	group *evictGroup
	index int
	at    time.Time // as the heap knows it
}

func newEvictor(fields []flow.Subfield) *evictor {
	return &evictor{fields: fields, groups: make(map[string]*evictGroup)}
}

// expires is when r expires if no packet comes; only for one that has a timeout.
func (r *Rule) expires() (at time.Time) {
	if r.HardTimeout != 0 {
		at = r.Modified.Add(time.Duration(r.HardTimeout) * time.Second)
	}
	if r.IdleTimeout != 0 {
		if idle := r.Used.Add(time.Duration(r.IdleTimeout) * time.Second); at.IsZero() || idle.Before(at) {
			at = idle
		}
	}
	return at
}

// add takes a rule in, if it can be evicted.
func (e *evictor) add(r *Rule) {
	if r.IdleTimeout == 0 && r.HardTimeout == 0 || r.Hidden() {
		return
	}
	m := r.Match()
	e.buf = e.buf[:0]
	for _, f := range e.fields {
		v := m.Mask.Get(f.Field).And(m.Key.Get(f.Field)).And(f.Mask())
		e.buf = binary.BigEndian.AppendUint64(e.buf, v.Hi)
		e.buf = binary.BigEndian.AppendUint64(e.buf, v.Lo)
	}
	g := e.groups[string(e.buf)]
	if g == nil {
		g = &evictGroup{key: string(e.buf)}
		e.groups[g.key] = g
		heap.Push(&e.heap, g)
	}
	r.evict = &eviction{group: g, at: r.expires()}
	heap.Push(&g.rules, r)
	heap.Fix(&e.heap, g.index)
}

// remove takes a rule out, if it is in.
func (e *evictor) remove(r *Rule) {
	if r.evict == nil {
		return
	}
	g := r.evict.group
	if e.groups[g.key] != g {
		return
	}
	heap.Remove(&g.rules, r.evict.index)
	r.evict = nil
	if len(g.rules) == 0 {
		heap.Remove(&e.heap, g.index)
		delete(e.groups, g.key)
		return
	}
	heap.Fix(&e.heap, g.index)
}

// pick returns the rule to evict, or nil.
func (e *evictor) pick() *Rule {
	for len(e.heap) > 0 {
		g := e.heap[0]
		r := g.rules[0]
		now := r.expires()
		if now.Equal(r.evict.at) {
			return r
		}
		r.evict.at = now
		heap.Fix(&g.rules, 0)
		heap.Fix(&e.heap, 0)
	}
	return nil
}

func evictLess(a, b *Rule) bool {
	if a.Importance != b.Importance {
		return a.Importance < b.Importance
	}
	if !a.evict.at.Equal(b.evict.at) {
		return a.evict.at.Before(b.evict.at)
	}
	return a.seq < b.seq
}

// ruleHeap has the next to go first.
type ruleHeap []*Rule

func (h ruleHeap) Len() int           { return len(h) }
func (h ruleHeap) Less(i, j int) bool { return evictLess(h[i], h[j]) }
func (h ruleHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].evict.index, h[j].evict.index = i, j
}
func (h *ruleHeap) Push(x any) {
	r := x.(*Rule)
	r.evict.index = len(*h)
	*h = append(*h, r)
}
func (h *ruleHeap) Pop() any {
	o := *h
	n := len(o) - 1
	r := o[n]
	o[n] = nil
	*h = o[:n]
	return r
}

// groupHeap has the largest group first, of several the one with the next to go.
type groupHeap []*evictGroup

func (h groupHeap) Len() int { return len(h) }
func (h groupHeap) Less(i, j int) bool {
	a, b := h[i].rules, h[j].rules
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return len(a) > 0 && evictLess(a[0], b[0])
}
func (h groupHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *groupHeap) Push(x any) {
	g := x.(*evictGroup)
	g.index = len(*h)
	*h = append(*h, g)
}
func (h *groupHeap) Pop() any {
	o := *h
	n := len(o) - 1
	g := o[n]
	o[n] = nil
	*h = o[:n]
	return g
}
