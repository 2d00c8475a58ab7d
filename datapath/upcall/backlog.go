// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/xlate"
)

// backlog is the megaflows to translate anew, each at most once, in the order in which
// they were added, and the new rules whose dependants are still to be looked for. It is
// bounded by the number of megaflows. index.mu guards it; it is added to under Switch.mu held for
// writing, and what is taken from it is done under one hold of Switch.mu for reading.
type backlog struct {
	list  []*megaflow
	head  int    // list before this is taken
	added uint64 // entries ever
	taken uint64 // of these, the oldest first

	rules map[tableKey]*newRules
	busy  []uint64  // taken, as of the start of what is under way
	ended sync.Cond // something has ended

	// The time that changes take: one of them at a time is watched.
	watching bool
	watched  uint64 // added behind its last megaflow; not known while there are new rules
	since    time.Time
	slowest  time.Duration
}

// maxNewRules is how many new rules of a table are looked for one by one; more take all
// megaflows that searched the table, which costs less than the looking.
const maxNewRules = 16

// newRules are rules of a table whose dependants are to be looked for.
type newRules struct {
	rules []*ofproto.Rule
	all   bool
}

// add adds a megaflow.
func (l *backlog) add(f *megaflow) {
	if !f.pending.Swap(true) {
		l.list = append(l.list, f)
		l.added++
	}
}

func (l *backlog) addList(d *depList) {
	if d == nil {
		return
	}
	for n := d.head; n != nil; n = n.next {
		l.add(n.m)
	}
}

// done reports whether everything that was added before seq is done.
func (l *backlog) done(seq uint64) bool {
	if l.taken < seq {
		return false
	}
	for _, b := range l.busy {
		if b < seq {
			return false
		}
	}
	return true
}

// behind estimates what is to be done, in megaflows to translate, of total ones.
func (l *backlog) behind(total int) int {
	n := int(l.added - l.taken)
	if len(l.rules) > 0 {
		n += 1 + total/16 // a look is so much cheaper
	}
	return n
}

// watch measures how long it takes until what was added up to now is done.
func (l *backlog) watch(now time.Time) {
	if !l.watching && (len(l.rules) > 0 || !l.done(l.added)) {
		l.watching, l.watched, l.since = true, l.added, now
	}
}

// note takes the time of the change that is watched, if it is done.
func (l *backlog) note(now time.Time) {
	if l.watching && len(l.rules) == 0 && l.done(l.watched) {
		l.slowest = max(l.slowest, now.Sub(l.since))
		l.watching = false
	}
}

// end says that what began with taken == start is done.
func (l *backlog) end(start uint64, now time.Time) {
	i := slices.Index(l.busy, start)
	l.busy = slices.Delete(l.busy, i, i+1)
	l.note(now)
	l.ended.Broadcast()
}

// slowestSince returns the longest time that a change took to be done, of those that
// were watched since the last call, and of one that is not done yet.
func (l *backlog) slowestSince(now time.Time) time.Duration {
	l.note(now)
	d := l.slowest
	if l.watching {
		d = max(d, now.Sub(l.since))
	}
	l.slowest = 0
	return d
}

// dependants of something that is not a table. x.mu is held.
func (x *index) dependants(k depKey) { x.backlog.addList(x.deps[k]) }

// room adds the megaflows that depend on how many rules of the table of a change have a
// cookie. Those are few, except while learning is at its limit. x.mu is held.
func (x *index) room(br *xlate.Bridge, c ofproto.Change) {
	if x.rooms == 0 {
		return
	}
	if c.Kind != ofproto.RuleModified {
		x.dependants(depKey{br: br, kind: xlate.DepRoom, port: action.Port(c.Rule.Table), mac: c.Rule.Cookie})
		return
	}
	for k, l := range x.deps { // the cookie that it had before is not known
		if k.kind == xlate.DepRoom && k.br == br && k.port == action.Port(c.Rule.Table) {
			x.backlog.addList(l)
		}
	}
}

// users of a rule. x.mu is held.
func (x *index) users(br *xlate.Bridge, r *ofproto.Rule) {
	x.backlog.addList(x.tables[tableKey{br, r.Table}][r])
}

// takenBy adds the megaflows that a new rule could take packets of, later. x.mu is held.
func (x *index) takenBy(br *xlate.Bridge, r *ofproto.Rule) {
	tk := tableKey{br, r.Table}
	if len(x.tables[tk]) == 0 {
		return
	}
	l := &x.backlog
	n := l.rules[tk]
	if n == nil {
		if l.rules == nil {
			l.rules = make(map[tableKey]*newRules)
		}
		n = &newRules{}
		l.rules[tk] = n
	}
	if n.all {
		return
	}
	if n.rules = append(n.rules, r); len(n.rules) > maxNewRules {
		n.rules, n.all = nil, true
	}
}

// look moves on from new rules to their dependants. x.mu is held, and Switch.mu.
func (x *index) look() {
	if len(x.backlog.rules) == 0 {
		return
	}
	for tk, n := range x.backlog.rules {
		for old, l := range x.tables[tk] {
			if n.all {
				x.backlog.addList(l)
				continue
			}
			for _, r := range n.rules {
				x.lookFor(r, old, l)
			}
		}
	}
	clear(x.backlog.rules)
	x.backlog.watched = x.backlog.added
}

// lookFor adds the megaflows of list l, of the rule old, that r could take packets of.
func (x *index) lookFor(r, old *ofproto.Rule, l *depList) {
	match := r.Match()
	// Who hits r was translated when r was there.
	if old == r || old != nil && (old.Priority() > r.Priority() || !old.Overlaps(&match)) {
		return
	}
	start := xlate.Constant()
	words := match.Mask.Map() &^ 1 // word 0 has in_port, which is the datapath's in our keys
next:
	for n := l.head; n != nil; n = n.next {
		f := n.m
		if f.pending.Load() {
			continue
		}
		for w := words & f.mask.words &^ n.changed; w != 0; w &= w - 1 {
			j := bits.TrailingZeros64(w)
			k := f.key[bits.OnesCount64(f.mask.words&(1<<j-1))]
			if (k^match.Key[j])&match.Mask[j]&f.mask.m[j] != 0 {
				continue next
			}
		}
		// The key as the search saw it, where it was the packet's.
		k := f.expand()
		k.SetU64(flow.FieldInPort, uint64(f.port))
		k.SetU64(flow.FieldActsetOutput, uint64(action.PortUnset))
		known := f.mask.m
		known.Merge(&start)
		for c := n.changed; c != 0; c &= c - 1 {
			known[bits.TrailingZeros64(c)] = 0
		}
		if r.OverlapsKnown(&k, &known) {
			x.backlog.add(f)
		}
	}
}

// all adds every megaflow. x.mu is held.
func (x *index) all() {
	for _, f := range x.byID {
		x.backlog.add(f)
	}
}

// chunk is how many megaflows are translated in one hold of Switch.mu: at some 5 us each, for
// less than a millisecond, in which nothing can change.
const chunk = 64

// take takes up to chunk megaflows from the backlog. Unless it returns none, end must be
// called with start. x.mu is held, and Switch.mu until they are done.
func (x *index) take() (fs []*megaflow, start uint64) {
	x.look()
	l := &x.backlog
	start = l.taken
	n := min(len(l.list)-l.head, chunk)
	fs = append(make([]*megaflow, 0, chunk), l.list[l.head:l.head+n]...)
	clear(l.list[l.head : l.head+n])
	l.head += n
	l.taken += uint64(n)
	if l.head == len(l.list) {
		if l.head = 0; cap(l.list) > 1024 {
			l.list = nil
		} else {
			l.list = l.list[:0]
		}
	}
	if n > 0 {
		l.busy = append(l.busy, start)
	}
	return fs, start
}
