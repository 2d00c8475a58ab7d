// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// MonitorBacklog is how many bytes of updates may wait for a connection, the stock switch's 128 KiB: above it
// the connection's monitors pause (Bridge.PauseMonitors).
const MonitorBacklog = 128 << 10

const (
	// MaxMonitors is how many flow monitors a connection may have; more: OFPMOFC_UNKNOWN.
	MaxMonitors = 256
	// updatesPart is how many updates go into a message.
	updatesPart = 64
)

// Update is what flow monitors tell a connection.
type Update struct {
	Conn uint64
	Raw  []byte // one or more whole messages
}

// watcher is a connection with flow monitors.
type watcher struct {
	conn     ConnInfo
	monitors map[uint32]*openflow.FlowMonitor
	batch    []openflow.FlowUpdate
	raw      []byte // encoded, to be taken
	abbrev   bool   // batch or raw has an abbreviation since they were taken
	// changed holds, while the monitors pause, the rules that are to be reported when they resume: true if
	// the connection does not know the rule yet. nil: they do not pause.
	changed map[*Rule]bool
}

// flowMonitor adds, modifies and deletes flow monitors of a connection, and begins its updates with the flows
// that there are.
func (b *Bridge) flowMonitor(c ConnInfo, m *openflow.FlowMonitorRequest) error {
	w := b.watchers[c.ID]
	if w == nil {
		w = &watcher{conn: c}
	}
	next := maps.Clone(w.monitors)
	if next == nil {
		next = make(map[uint32]*openflow.FlowMonitor)
	}
	var initial []*openflow.FlowMonitor
	for i := range m.Monitors {
		m := &m.Monitors[i]
		known := next[m.ID] != nil
		switch {
		case m.Command == openflow.MonitorAdd && known:
			return fmt.Errorf("flow monitor %d: %w", m.ID, ofp.MOFCMonitorExists)
		case m.Command != openflow.MonitorAdd && !known:
			return fmt.Errorf("flow monitor %d: %w", m.ID, ofp.MOFCUnknownMonitor)
		case m.Command == openflow.MonitorDelete:
			delete(next, m.ID)
			continue
		case !known && len(next) >= MaxMonitors:
			return fmt.Errorf("flow monitor %d is one too many: %w", m.ID, ofp.MOFCUnknown)
		}
		next[m.ID] = m
		if m.Flags&openflow.MonitorInitial != 0 {
			initial = append(initial, m)
		}
	}
	w.monitors = next
	if len(next) == 0 {
		delete(b.watchers, c.ID)
	} else {
		if b.watchers == nil {
			b.watchers = make(map[uint64]*watcher)
		}
		b.watchers[c.ID] = w
	}
	b.begin(w, c, initial)
	return nil
}

// begin answers a request with the flows that some of initial want.
func (b *Bridge) begin(w *watcher, c ConnInfo, initial []*openflow.FlowMonitor) {
	var rules []*Rule
	seen := make(map[*Rule]openflow.MonitorFlags)
	for _, m := range initial {
		f := openflow.FlowFilter{Match: m.Match, Table: m.Table, OutPort: m.OutPort, OutGroup: m.OutGroup}
		for _, r := range b.pick(&f, b.version, nil) {
			if _, ok := seen[r]; !ok {
				rules = append(rules, r)
			}
			seen[r] |= m.Flags
		}
	}
	rules = inOrder(rules)
	rep := &openflow.FlowMonitorReply{}
	w.flush()
	for {
		n := min(len(rules), updatesPart)
		rep.Updates = rep.Updates[:0]
		for _, r := range rules[:n] {
			rep.Updates = append(rep.Updates, updateOf(r, openflow.UpdateInitial, 0, seen[r]))
		}
		rules = rules[n:]
		rep.More = len(rules) > 0
		w.encode(c.XID, rep)
		if len(rules) == 0 {
			break
		}
	}
	if b.watchers[c.ID] != w { // it has no monitors: but an answer
		b.farewell = append(b.farewell, Update{c.ID, w.raw})
	}
}

// cancelMonitor deletes one flow monitor.
func (b *Bridge) cancelMonitor(c ConnInfo, id uint32) error {
	w := b.watchers[c.ID]
	if w == nil || w.monitors[id] == nil {
		return fmt.Errorf("flow monitor %d: %w", id, ofp.MOFCUnknownMonitor)
	}
	if delete(w.monitors, id); len(w.monitors) == 0 {
		b.farewell = append(b.farewell, w.take())
		delete(b.watchers, c.ID)
	}
	return nil
}

// ForgetConn deletes what the Bridge keeps for a connection, which has ended.
func (b *Bridge) ForgetConn(id uint64) { delete(b.watchers, id) }

func updateOf(r *Rule, ev openflow.FlowUpdateEvent, why openflow.FlowRemovedReason, flags openflow.MonitorFlags) openflow.FlowUpdate {
	u := openflow.FlowUpdate{
		Event: ev, Reason: why, Table: r.Table, Priority: uint16(r.Priority()), IdleTimeout: r.IdleTimeout,
		HardTimeout: r.HardTimeout, Cookie: r.Cookie, Match: r.Match(),
	}
	if flags&openflow.MonitorInstructions != 0 {
		u.HasInstructions, u.Instructions = true, *r.Instr
	}
	return u
}

// flagOf is the flag of the monitors that want an event.
func flagOf(ev openflow.FlowUpdateEvent) openflow.MonitorFlags {
	switch ev {
	case openflow.UpdateAdded:
		return openflow.MonitorAdded
	case openflow.UpdateRemoved:
		return openflow.MonitorRemoved
	}
	return openflow.MonitorModified
}

// wants returns the flags of all monitors that want an event of r, which had the instructions old before (nil:
// none others).
func (w *watcher) wants(r *Rule, old *action.Instructions, ev openflow.FlowUpdateEvent) (flags openflow.MonitorFlags) {
	for _, m := range w.monitors {
		if m.Flags&flagOf(ev) == 0 || m.Table != openflow.TableAll && m.Table != r.Table ||
			m.OutPort != action.PortAny && !outputs(r.Instr, m.OutPort) && (old == nil || !outputs(old, m.OutPort)) ||
			m.OutGroup != action.GroupAny && !groups(r.Instr, m.OutGroup) && (old == nil || !groups(old, m.OutGroup)) {
			continue
		}
		if m.Match.Mask.Map() != 0 {
			rm := r.Match()
			if !rm.Within(&m.Match) {
				continue
			}
		}
		flags |= m.Flags
	}
	return flags
}

// watched reports a change of a rule to the flow monitors. was is the Rule before a modification, which may be r
// itself, old what it did.
func (b *Bridge) watched(ev openflow.FlowUpdateEvent, r, was *Rule, old *action.Instructions, why openflow.FlowRemovedReason) {
	if len(b.watchers) == 0 || r.Hidden() {
		return
	}
	for _, w := range b.watchers {
		flags := w.wants(r, old, ev)
		if flags == 0 {
			continue
		}
		if w.changed != nil && w.skips(ev, r, was) {
			continue
		}
		if w.changed == nil && b.cause.ID == w.conn.ID && flags&openflow.MonitorOwn == 0 {
			if !w.abbrev {
				w.abbrev = true
				w.add(openflow.FlowUpdate{Event: openflow.UpdateAbbrev, XID: b.cause.XID})
			}
			continue
		}
		w.add(updateOf(r, ev, why, flags))
		if w.changed == nil && len(w.raw) > MonitorBacklog {
			w.pause()
		}
	}
}

// skips keeps a change for the time when the monitors resume; false: it is to be reported now.
func (w *watcher) skips(ev openflow.FlowUpdateEvent, r, was *Rule) bool {
	isNew, kept := w.changed[was]
	switch ev {
	case openflow.UpdateRemoved:
		delete(w.changed, was)
		return kept && isNew
	case openflow.UpdateAdded:
		// One that replaces a rule is known already, as far as removals go.
		if was != nil && !kept {
			isNew = false
		} else if was == nil {
			isNew = true
		}
	}
	delete(w.changed, was)
	w.changed[r] = isNew
	return true
}

func (w *watcher) add(u openflow.FlowUpdate) {
	w.batch = append(w.batch, u)
	if len(w.batch) >= updatesPart {
		w.flush()
	}
}

// flush encodes the updates that wait.
func (w *watcher) flush() {
	if len(w.batch) > 0 {
		w.encode(0, &openflow.FlowMonitorReply{Updates: w.batch})
		clear(w.batch)
		w.batch = w.batch[:0]
	}
}

func (w *watcher) encode(xid uint32, m openflow.Message) {
	raw, err := openflow.Encode(openflow.Proto{Version: w.conn.Version}, xid, m)
	if err != nil { // a flow that the version cannot express in one message
		return
	}
	w.raw = append(w.raw, raw...)
}

func (w *watcher) pause() {
	w.flush()
	w.changed = make(map[*Rule]bool)
	w.encode(0, &openflow.FlowMonitorPaused{})
}

func (w *watcher) take() Update {
	w.flush()
	u := Update{w.conn.ID, w.raw}
	w.raw, w.abbrev = nil, false
	return u
}

// Updates takes what flow monitors have to tell: the answers to requests, and updates. Nothing of
// a bundle that is being committed.
func (b *Bridge) Updates() (l []Update) {
	if len(b.watchers) == 0 && len(b.farewell) == 0 || b.staged != nil {
		return nil
	}
	l, b.farewell = b.farewell, nil
	for _, id := range slices.Sorted(maps.Keys(b.watchers)) {
		if u := b.watchers[id].take(); len(u.Raw) > 0 {
			l = append(l, u)
		}
	}
	return l
}

// PauseMonitors stops the updates of a connection that takes them too slowly, but for removals of rules that it
// knows. What changes meanwhile costs a few bytes a rule.
func (b *Bridge) PauseMonitors(conn uint64) {
	if w := b.watchers[conn]; w != nil && w.changed == nil {
		w.pause()
	}
}

// PausedMonitors returns the connections whose updates pause.
func (b *Bridge) PausedMonitors() (conns []uint64) {
	for id, w := range b.watchers {
		if w.changed != nil {
			conns = append(conns, id)
		}
	}
	return conns
}

// ResumeMonitors reports what has changed since the updates of a connection pause, and goes on with them.
func (b *Bridge) ResumeMonitors(conn uint64) {
	w := b.watchers[conn]
	if w == nil || w.changed == nil || b.staged != nil {
		return
	}
	changed := w.changed
	w.changed = nil
	rules := slices.SortedFunc(maps.Keys(changed), func(x, y *Rule) int { return cmp.Compare(x.seq, y.seq) })
	for _, r := range rules {
		ev := openflow.UpdateModified
		if changed[r] {
			ev = openflow.UpdateAdded
		}
		if flags := w.wants(r, nil, ev); flags != 0 {
			w.add(updateOf(r, ev, 0, flags))
		}
	}
	w.flush()
	w.encode(0, &openflow.FlowMonitorResumed{})
}

// keepWatchers returns what puts the watchers back to what they have to tell now.
func (b *Bridge) keepWatchers() (restore func()) {
	if len(b.watchers) == 0 {
		return func() {}
	}
	was := make(map[*watcher]map[*Rule]bool, len(b.watchers))
	for _, w := range b.watchers {
		w.flush()
		was[w] = maps.Clone(w.changed)
	}
	old := make(map[*watcher]int, len(was))
	for w := range was {
		old[w] = len(w.raw)
	}
	return func() {
		for w, changed := range was {
			w.changed, w.raw, w.batch, w.abbrev = changed, w.raw[:old[w]], w.batch[:0], false
		}
	}
}
