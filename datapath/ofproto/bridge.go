// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/classifier"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
)

const (
	// NumTables is the number of tables, the switch's own one included.
	NumTables = 255
	// VisibleTables is the number of tables that controllers see: 0 to 253.
	VisibleTables = 254
	// HiddenTable is the switch's own table.
	HiddenTable = 254
	// MaxRules is the highest number of rules in a table.
	MaxRules = 1_000_000
	// FailOpenPriority is that of the rule that takes over when all controllers
	// are silent: above all that a controller can use.
	FailOpenPriority = 0xf0f0f0
)

// Rule is a flow of a table. Fields change only through methods of its Bridge.
type Rule struct {
	Table       uint8
	IdleTimeout uint16 // seconds; 0: none
	HardTimeout uint16
	Importance  uint16
	Flags       openflow.FlowModFlags
	Cookie      uint64
	// Instr is replaced, never changed, by a modification.
	Instr *action.Instructions

	Created, Modified, Used time.Time
	Packets, Bytes          uint64

	cr     *classifier.Rule[*Rule]
	seq    uint64    // order of addition
	expiry int       // place in Bridge.expirable, -1: has no timeout
	evict  *eviction // place in its table's evictor; nil: none, as of most
	heir   *Rule     // that a bundle put in its place: what it still counts belongs to that, too
}

// Priority returns the rule's priority; above 65,535 it is the switch's own.
func (r *Rule) Priority() int32 { return r.cr.Priority() }

// Match returns the rule's match.
func (r *Rule) Match() flow.Match { return r.cr.Match() }

// Overlaps reports whether some key matches both r and m.
func (r *Rule) Overlaps(m *flow.Match) bool { return r.cr.Overlaps(m) }

// OverlapsKnown reports whether some key that agrees with k under known matches r.
func (r *Rule) OverlapsKnown(k *flow.Key, known *flow.Mask) bool { return r.cr.OverlapsKnown(k, known) }

// TableMiss reports whether r is a table-miss flow entry (OpenFlow 1.3, 5.4):
// priority 0 and any packet.
func (r *Rule) TableMiss() bool { return r.cr.Priority() == 0 && r.cr.CatchAll() }

// Hidden reports whether controllers do not see r.
func (r *Rule) Hidden() bool { return r.cr.Priority() > 0xffff }

type table struct {
	cls classifier.Classifier[*Rule]
	n   int // rules as changes see them
	// noted: since the table was last cleared, a rule may have been in it that something else knows of (timeouts,
	// groups, meters, learners) or that is not to go without a word or at all (OFPFF_SEND_FLOW_REM, hidden ones).
	noted bool
}

// rules calls yield for every rule of version at until it returns false.
func (t *table) rules(at classifier.Version) func(yield func(*Rule) bool) {
	return func(yield func(*Rule) bool) {
		t.cls.All(at, func(r *classifier.Rule[*Rule]) bool { return yield(r.Value) })
	}
}

// usage counts the packets that a table was searched for.
type usage struct{ matched, missed uint64 }

// Bridge is the OpenFlow state of one bridge.
type Bridge struct {
	DatapathID uint64
	Desc       openflow.DescReply
	// MissToController makes a packet that no rule matches a packet-in.
	MissToController bool

	version    classifier.Version // that readers see
	staged     *staged            // nil: no bundle is under way
	committing bool
	tables     [NumTables]*table // made with the first rule
	usage      [NumTables]usage
	ports      map[action.Port]*Port
	groups     map[uint32]*Group // the newest of each number
	ngroups    int               // as changes see them
	buckets    int               // of all groups, as changes see them
	frag       openflow.FragMode
	seq        uint64
	expirable  []*Rule
	shared     [sharedSlots]*action.Instructions // see share
	made       bool                              // Reset has run
	standalone,
	controllers bool
	failOpen *Rule
	meters   map[uint32]*meter
	meterDP  Meters // nil: no meters
	tlv      tlvTable
	learners map[learner]int     // rules, counted once for each learn
	orphans  []learner           // whose flows are to be deleted
	watchers map[uint64]*watcher // connections with flow monitors
	farewell []Update            // to connections that have none any more
	cause    ConnInfo            // the message that makes changes; zero: none
	limits   map[uint8]*limits   // of tables that are not as usual
	counters func(action.Port) (openflow.PortStats, bool)
}

// New returns a bridge without ports and rules. counters returns the counters
// of a port for statistics, false if they are not known; Handle calls it.
func New(counters func(action.Port) (openflow.PortStats, bool)) *Bridge {
	return &Bridge{version: 1, ports: make(map[action.Port]*Port), groups: make(map[uint32]*Group), counters: counters}
}

// Frag returns what happens to IP fragments.
func (b *Bridge) Frag() openflow.FragMode { return b.frag }

// Lookup returns the rule of a table that k matches, or nil, and adds the bits of
// k that this depended on to wc, unless wc is nil. soft are the conjunctive rules that it
// considered (classifier.Lookup).
func (b *Bridge) Lookup(tab uint8, k *flow.Key, wc *flow.Mask) (r *Rule, soft []*Rule) {
	t := b.table(tab)
	if t == nil {
		return nil, nil
	}
	cr, considered := t.cls.Lookup(k, wc, b.version, clauses)
	for _, s := range considered {
		soft = append(soft, s.Value)
	}
	if cr != nil {
		r = cr.Value
	}
	return r, soft
}

// latest returns the version that changes see: that of the bundle under way, if there is one.
func (b *Bridge) latest() classifier.Version {
	if b.staged != nil {
		return b.staged.next
	}
	return b.version
}

func (b *Bridge) table(n uint8) *table {
	if n >= NumTables {
		return nil
	}
	return b.tables[n]
}

func (b *Bridge) makeTable(n uint8) *table {
	t := b.tables[n]
	if t == nil {
		t = new(table)
		b.tables[n] = t
	}
	return t
}

// Rules returns the number of rules in a table, or in all for openflow.TableAll; while a bundle is
// committed, those that there will be.
func (b *Bridge) Rules(tab uint8) (n int) {
	for i, t := range b.tables {
		if t != nil && (tab == openflow.TableAll || int(tab) == i) {
			n += t.n
		}
	}
	return n
}

// All calls yield for every rule, hidden ones too, until it returns false.
func (b *Bridge) All(yield func(*Rule) bool) {
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		more := true
		t.cls.All(b.version, func(r *classifier.Rule[*Rule]) bool {
			more = yield(r.Value)
			return more
		})
		if !more {
			return
		}
	}
}

// Credit counts packets that used r, the latest at the time used (zero: not known).
func (r *Rule) Credit(packets, bytes uint64, used time.Time) {
	for ; r != nil; r = r.heir {
		r.Packets += packets
		r.Bytes += bytes
		if used.After(r.Used) {
			r.Used = used
		}
	}
}

// CreditTable counts packets that a table was searched for.
func (b *Bridge) CreditTable(tab uint8, matched, missed uint64) {
	if tab >= NumTables {
		return
	}
	u := &b.usage[tab]
	u.matched += matched
	u.missed += missed
}

// ChangeKind says what happened to a rule.
type ChangeKind uint8

const (
	RuleAdded ChangeKind = iota
	RuleRemoved
	RuleModified // its instructions
)

// Change is a change of a rule that can change what happens to packets.
type Change struct {
	Kind ChangeKind
	// Conjunctive: a modification made Rule conjunctive or ordinary. It can then win or fulfil where it
	// was not even considered before, like one that was added.
	Conjunctive bool
	Rule        *Rule
	// Was is the Rule that a modification in a bundle has put Rule in the place of; nil: Rule
	// itself was modified.
	Was *Rule
}

// Effects are what a change of a Bridge means for others.
type Effects struct {
	Changes []Change
	// Cleared are tables of which all rules went at once; Changes does not have these.
	Cleared []uint8
	// Fragments: the treatment of IP fragments changed.
	Fragments bool
	// Meters that came or went; rules that named them are in Changes.
	Meters []uint32
	// Ports whose settings changed what happens to packets.
	Ports []action.Port
	// Groups that came, went or changed.
	Groups []uint32
	// PortDown are ports whose device is to be set down (true) or up.
	PortDown map[action.Port]bool
	// Async are *FlowRemoved, *PortStatus and *TableStatus for the controllers.
	Async []openflow.Message
	// Out are packets to execute, already checked.
	Out []*openflow.PacketOut
}

func (e *Effects) changed(k ChangeKind, r *Rule) {
	e.Changes = append(e.Changes, Change{Kind: k, Rule: r})
}

func (b *Bridge) setExpiry(r *Rule) {
	want := r.IdleTimeout != 0 || r.HardTimeout != 0
	if want || r.Flags&openflow.FlagSendFlowRem != 0 || r.Hidden() {
		b.tables[r.Table].noted = true
	}
	switch {
	case want && r.expiry < 0:
		r.expiry = len(b.expirable)
		b.expirable = append(b.expirable, r)
	case !want:
		b.dropExpiry(r)
	}
}

// dropExpiry takes r out of the rules that have a timeout.
func (b *Bridge) dropExpiry(r *Rule) {
	if r.expiry < 0 {
		return
	}
	last := len(b.expirable) - 1
	b.expirable[r.expiry] = b.expirable[last]
	b.expirable[r.expiry].expiry = r.expiry
	b.expirable[last] = nil
	b.expirable = b.expirable[:last]
	r.expiry = -1
}

// insert adds a rule that is not there.
func (b *Bridge) insert(tab uint8, m *flow.Match, prio int32, r *Rule, eff *Effects) {
	b.seq++
	r.Table, r.seq, r.expiry = tab, b.seq, -1
	t := b.makeTable(tab)
	t.n++
	r.cr = t.cls.Insert(m, prio, r, b.staged.from())
	t.cls.SetSoft(r.cr, conjunctive(r.Instr))
	b.attach(r)
	b.vacancy(r, eff)
	b.staged.insertedRule(r)
	eff.changed(RuleAdded, r)
	b.watched(openflow.UpdateAdded, r, nil, nil, 0)
}

// attach enters a rule where changes look for rules; detach takes it out.
func (b *Bridge) attach(r *Rule) {
	b.setExpiry(r)
	b.meterRules(r, true)
	b.ranked(r, false)
	b.linkGroups(r)
}

func (b *Bridge) detach(r *Rule) {
	b.unlinkGroups(r)
	b.dropExpiry(r)
	b.meterRules(r, false)
	b.ranked(r, true)
}

// takeOut removes a rule from its table, of all versions.
func (b *Bridge) takeOut(r *Rule) {
	t := b.tables[r.Table]
	t.n--
	t.cls.Remove(r.cr)
}

// removeAll is remove for many rules, in their order. A table that loses all of
// them is cleared at once, but not in a bundle, nor if it has limits, which follow every rule.
func (b *Bridge) removeAll(rules []*Rule, why openflow.FlowRemovedReason, now time.Time, eff *Effects) {
	if len(rules) == 0 {
		return
	}
	if b.staged != nil {
		for _, r := range rules {
			b.remove(r, why, now, eff)
			b.staged.pace()
		}
		return
	}
	eff.Changes = slices.Grow(eff.Changes, len(rules))
	var n [NumTables]int
	for _, r := range rules {
		n[r.Table]++
	}
	var whole [NumTables]bool
	for i, t := range b.tables {
		whole[i] = t != nil && b.limits[uint8(i)] == nil && n[i] == t.n
	}
	for _, r := range rules {
		if !whole[r.Table] {
			b.takeOut(r)
		}
		b.dismiss(r, why, now, eff)
	}
	for i, t := range b.tables {
		if whole[i] {
			t.clear()
		}
	}
}

// clear takes out all rules, of all versions.
func (t *table) clear() {
	t.cls.Clear()
	t.n, t.noted = 0, false
}

// clearPlain clears the tables that f covers, if it selects all rules, and if there is nothing to do for
// each of them: no work and no garbage per rule.
func (b *Bridge) clearPlain(f *openflow.FlowFilter, eff *Effects) {
	if b.staged != nil || len(b.watchers) > 0 || f.Match.Mask.Map() != 0 || f.CookieMask != 0 || f.OutPort != action.PortAny || f.OutGroup != action.GroupAny {
		return
	}
	for n, t := range b.tables {
		if t != nil && covers(f, n) && t.n > 0 && !t.noted && b.limits[uint8(n)] == nil {
			t.clear()
			eff.Cleared = append(eff.Cleared, uint8(n))
		}
	}
}

// remove takes a rule out and reports it if that was asked for.
func (b *Bridge) remove(r *Rule, why openflow.FlowRemovedReason, now time.Time, eff *Effects) {
	if b.staged != nil {
		b.staged.removeRule(r)
	} else {
		b.takeOut(r)
	}
	b.dismiss(r, why, now, eff)
}

// dismiss is remove without the table.
func (b *Bridge) dismiss(r *Rule, why openflow.FlowRemovedReason, now time.Time, eff *Effects) {
	b.detach(r)
	b.vacancy(r, eff)
	eff.changed(RuleRemoved, r)
	b.watched(openflow.UpdateRemoved, r, r, nil, why)
	if r.Flags&openflow.FlagSendFlowRem == 0 || r.Hidden() {
		return
	}
	eff.Async = append(eff.Async, &openflow.FlowRemoved{
		Match: r.Match(), Cookie: r.Cookie, Priority: uint16(r.Priority()), Reason: why, Table: r.Table,
		Lifetime: lifetime(r.Created, now), IdleTimeout: r.IdleTimeout, HardTimeout: r.HardTimeout,
		Packets: r.Packets, Bytes: r.Bytes,
	})
}

func lifetime(from, to time.Time) openflow.Lifetime {
	d := max(to.Sub(from), 0)
	return openflow.Lifetime{Sec: uint32(d / time.Second), Nsec: uint32(d % time.Second)}
}

// Expire removes the rules whose time is over: the hard timeout counts from the
// last modification, the idle timeout from the last packet (or, without one, from
// the addition; the counters that a replacement keeps include the last packet).
func (b *Bridge) Expire(now time.Time) (eff Effects) {
	var gone []*Rule
	for _, r := range b.expirable {
		if b.expired(r, now) != nil {
			gone = append(gone, r)
		}
	}
	slices.SortFunc(gone, bySeq)
	for _, r := range gone {
		b.remove(r, *b.expired(r, now), now, &eff)
	}
	b.deleteLearned(now, &eff)
	return eff
}

var (
	reasonHard = openflow.RemovedHard
	reasonIdle = openflow.RemovedIdle
)

func (b *Bridge) expired(r *Rule, now time.Time) *openflow.FlowRemovedReason {
	if r.HardTimeout != 0 && !now.Before(r.Modified.Add(time.Duration(r.HardTimeout)*time.Second)) {
		return &reasonHard
	}
	if r.IdleTimeout != 0 && !now.Before(r.Used.Add(time.Duration(r.IdleTimeout)*time.Second)) {
		return &reasonIdle
	}
	return nil
}

// IdleRules reports whether some rule has an idle timeout, so that statistics
// must be fresh before Expire.
func (b *Bridge) IdleRules() bool { return len(b.expirable) > 0 }

func bySeq(x, y *Rule) int {
	if x.Table != y.Table {
		return int(x.Table) - int(y.Table)
	}
	if x.seq < y.seq {
		return -1
	}
	return 1
}

var normal = &action.Instructions{Apply: action.List{action.Output{Port: action.PortNormal}}}

// Reset says which controllers and fail mode the bridge has. At first, and when a
// change of them calls for it (package comment), all rules go and the default one comes.
func (b *Bridge) Reset(controllers, secure bool, now time.Time) (eff Effects) {
	standalone := !secure
	if b.made && b.controllers == controllers && (controllers || b.standalone == standalone) {
		b.standalone = standalone
		return eff
	}
	b.made, b.controllers, b.standalone = true, controllers, standalone
	b.FlushRules(now, &eff)
	return eff
}

// FlushRules removes all rules and groups and adds the default one if the bridge has one.
func (b *Bridge) FlushRules(now time.Time, eff *Effects) {
	f := openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}
	b.clearPlain(&f, eff)
	var all []*Rule
	b.All(func(r *Rule) bool {
		if r != b.failOpen {
			all = append(all, r)
		}
		return true
	})
	slices.SortFunc(all, bySeq)
	for _, r := range all {
		b.remove(r, openflow.RemovedDelete, now, eff)
	}
	b.deleteGroups(now, eff)
	b.deleteLearned(now, eff)
	if !b.controllers && b.standalone {
		b.insert(0, &flow.Match{}, 0, &Rule{Instr: normal, Created: now, Modified: now, Used: now}, eff)
	}
}

// SetFailOpen adds or removes the hidden rule that forwards as a learning
// switch while no controller answers.
func (b *Bridge) SetFailOpen(on bool, now time.Time) (eff Effects) {
	switch {
	case on && b.failOpen == nil:
		b.failOpen = &Rule{Instr: normal, Created: now, Modified: now, Used: now}
		b.insert(0, &flow.Match{}, FailOpenPriority, b.failOpen, &eff)
	case !on && b.failOpen != nil:
		b.remove(b.failOpen, openflow.RemovedDelete, now, &eff)
		b.failOpen = nil
	}
	return eff
}
