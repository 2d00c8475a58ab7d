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

// The lanes of the backlog.
const (
	urgent = iota // what changes of at most soon megaflows concern
	bulk          // what larger changes concern
	lanes
)

// fairShare is how many chunks are taken from the urgent lane before one from the other, so that
// many small changes do not keep a large one from its end.
const fairShare = 4

// backlog is the megaflows to translate anew, and the new rules whose dependants are still to be
// looked for. Small changes overtake large ones: what they concern is in a lane of its own, also if it
// is in the other already. In each lane the order is that of the changes, and each megaflow has at
// most one entry, which bounds it. index.mu guards it; it is added to under Switch.mu held for
// writing, and what is taken from it is done under one hold of Switch.mu for reading.
type backlog struct {
	fresh []*megaflow // of the change under way: the lane is not known yet
	lane  [lanes]lane
	turns int // chunks taken from the urgent lane while the other waited

	rules map[tableKey]*newRules
	ended sync.Cond // something has ended

	// The time that changes take: one of them at a time is watched.
	watching bool
	watched  mark // behind its last megaflow; not known while there are new rules
	since    time.Time
	slowest  time.Duration
}

// lane is a list of megaflows, the oldest first.
type lane struct {
	list  []*megaflow
	head  int      // list before this is taken
	added uint64   // entries ever
	taken uint64   // of these, the oldest first
	busy  []uint64 // taken, as of the start of what is under way
}

// mark is a place in each lane: so many entries are before it.
type mark [lanes]uint64

// maxNewRules is how many new rules of a table are looked for one by one; more take all
// megaflows that searched the table, which costs less than the looking.
const maxNewRules = 16

// newRules are rules of a table whose dependants are to be looked for.
type newRules struct {
	rules []*ofproto.Rule
	all   bool
}

// add adds a megaflow, for the change under way.
func (l *backlog) add(f *megaflow) {
	switch {
	case !f.pending.Swap(true):
		f.queued = true
	case !f.queued || f.fresh || f.in[urgent]:
		return // being translated under the lock that the change waited for, or as early as can be
	}
	f.fresh = true
	l.fresh = append(l.fresh, f)
}

// sort ends a change: what it concerns is put into its lane.
func (l *backlog) sort() {
	to := urgent
	if len(l.fresh) > soon {
		to = bulk
	}
	for _, f := range l.fresh {
		if f.fresh = false; f.in[to] {
			continue
		}
		f.in[to] = true
		l.lane[to].list = append(l.lane[to].list, f)
		l.lane[to].added++
	}
	if clear(l.fresh); cap(l.fresh) > 1024 {
		l.fresh = nil
	}
	l.fresh = l.fresh[:0]
}

func (l *backlog) addList(d *depList) {
	if d == nil {
		return
	}
	for n := d.head; n != nil; n = n.next {
		l.add(n.m)
	}
}

// end returns the mark behind all that was added.
func (l *backlog) end() (m mark) {
	for i := range l.lane {
		m[i] = l.lane[i].added
	}
	return m
}

// done reports whether everything before m is done.
func (l *backlog) done(m mark) bool {
	for i := range l.lane {
		a := &l.lane[i]
		if a.taken < m[i] || slices.ContainsFunc(a.busy, func(b uint64) bool { return b < m[i] }) {
			return false
		}
	}
	return true
}

// working reports whether something that was taken is not done.
func (l *backlog) working() bool { return len(l.lane[urgent].busy)+len(l.lane[bulk].busy) > 0 }

// behind estimates what is to be done in the lane, in megaflows to translate.
func (l *backlog) behind(i int) int { return int(l.lane[i].added - l.lane[i].taken) }

// looking estimates what it costs to look for new rules' dependants among total megaflows, in
// megaflows to translate.
func (l *backlog) looking(total int) int {
	if len(l.rules) == 0 {
		return 0
	}
	return 1 + total/16
}

// watch measures how long it takes until what was added up to now is done.
func (l *backlog) watch(now time.Time) {
	if !l.watching && (len(l.rules) > 0 || !l.done(l.end())) {
		l.watching, l.watched, l.since = true, l.end(), now
	}
}

// note takes the time of the change that is watched, if it is done.
func (l *backlog) note(now time.Time) {
	if l.watching && len(l.rules) == 0 && l.done(l.watched) {
		l.slowest = max(l.slowest, now.Sub(l.since))
		l.watching = false
	}
}

// ticket says what was taken: from which lane, and as of where.
type ticket struct {
	lane  int
	start uint64
}

// finish says that what was taken with t is done.
func (l *backlog) finish(t ticket, now time.Time) {
	a := &l.lane[t.lane]
	i := slices.Index(a.busy, t.start)
	a.busy = slices.Delete(a.busy, i, i+1)
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

// room adds the megaflows whose learn has no rule and a limit, which a change of a rule may concern: it
// counts, or it is the rule. x.mu is held.
func (x *index) room(br *xlate.Bridge, c ofproto.Change) {
	for l := range x.rooms {
		k := &l.key
		if k.br == br && k.port == action.Port(c.Rule.Table) && (c.Kind != ofproto.RuleRemoved || k.mac == c.Rule.Cookie) {
			x.backlog.addList(l) // what cookie a modified rule had is not known
		}
	}
}

// users of a rule. x.mu is held.
func (x *index) users(br *xlate.Bridge, r *ofproto.Rule) {
	x.backlog.addList(x.tables[tableKey{br, r.Table}][r])
}

// cleared adds the users of all rules of a table, and the megaflows whose learn has a limit there. x.mu is held.
func (x *index) cleared(br *xlate.Bridge, table uint8) {
	for r, l := range x.tables[tableKey{br, table}] {
		if r != nil {
			x.backlog.addList(l)
		}
	}
	for l := range x.rooms {
		if l.key.br == br && l.key.port == action.Port(table) {
			x.backlog.addList(l)
		}
	}
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
	x.backlog.sort()
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
	x.backlog.sort()
	x.backlog.watched = x.backlog.end()
}

// lookFor adds the megaflows of list l, of the rule old, that r could take packets of.
func (x *index) lookFor(r, old *ofproto.Rule, l *depList) {
	match := r.Match()
	// Who hits r was translated when r was there.
	if old == r {
		return
	}
	if old != nil && old.Conjunctive() {
		// Those in this list may have been searched for with another conj_id than 0, and the outcome
		// of that can be of any priority: whether r and old have packets in common is all that counts.
		match.Mask.Clear(flow.FieldConjID)
		if !old.Overlaps(&match) {
			return
		}
	} else if old != nil && (old.Priority() > r.Priority() || !old.Overlaps(&match)) {
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

// take takes up to chunk megaflows from the backlog. Unless it returns none, finish must be
// called with the ticket. x.mu is held, and Switch.mu until they are done.
func (x *index) take() (fs []*megaflow, t ticket) {
	x.look()
	l := &x.backlog
	fs = make([]*megaflow, 0, chunk)
	for len(fs) == 0 && l.behind(urgent)+l.behind(bulk) > 0 {
		t.lane = urgent
		switch {
		case l.behind(bulk) == 0:
			l.turns = 0
		case l.behind(urgent) == 0 || l.turns == fairShare:
			t.lane, l.turns = bulk, 0
		default:
			l.turns++
		}
		t.start = l.lane[t.lane].taken
		fs = l.lane[t.lane].take(fs, t.lane)
	}
	if len(fs) > 0 {
		l.lane[t.lane].busy = append(l.lane[t.lane].busy, t.start)
	} else {
		l.ended.Broadcast() // what others wait for may have been of no use
	}
	return fs, t
}

// take moves megaflows to fs, up to its capacity, that nobody has taken from the other lane.
func (a *lane) take(fs []*megaflow, which int) []*megaflow {
	for a.head < len(a.list) && len(fs) < cap(fs) {
		f := a.list[a.head]
		a.list[a.head] = nil
		a.head++
		a.taken++
		f.in[which] = false
		if f.queued {
			f.queued = false
			fs = append(fs, f)
		}
	}
	switch left := len(a.list) - a.head; {
	case left == 0 && cap(a.list) > 1024:
		a.list, a.head = nil, 0
	case left <= a.head: // moves each entry once, on average
		copy(a.list, a.list[a.head:])
		clear(a.list[left:])
		a.list, a.head = a.list[:left], 0
	}
	return fs
}
