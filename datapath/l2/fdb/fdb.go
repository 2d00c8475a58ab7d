// SPDX-License-Identifier: Apache-2.0

package fdb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/firmware/base/order"
)

// Bounds of the configuration, as in ovs-vswitchd.conf.db(5) (Bridge
// other_config:mac-aging-time and mac-table-size).
const (
	DefaultAging = 300 * time.Second
	MinAging     = 15 * time.Second
	MaxAging     = 3600 * time.Second
	DefaultMax   = 8192
	MinMax       = 10
	MaxMax       = 1_000_000
)

// Key names an entry: a VLAN (0: untagged) and an address in the low 48 bits.
type Key struct {
	MAC  uint64
	VLAN uint16
}

// Change says that packets to an address go elsewhere now.
type Change struct {
	Key
	// Old and New are the ports before and after; action.PortAny: no entry.
	Old, New action.Port
}

// entry is a node of two lists, ordered from the longest unseen to the latest: that of
// all entries and that of its port's. Static and held entries are in neither.
type entry struct {
	key        Key
	port       action.Port
	static     bool
	held       bool
	seen       time.Time
	prev, next [2]*entry
}

// list is a ring with a sentinel; which of an entry's links it uses is its index.
type list struct {
	root entry
	n    int
	i    int
}

func (l *list) init(i int) {
	l.i = i
	l.root.prev[i], l.root.next[i] = &l.root, &l.root
}

func (l *list) push(e *entry) {
	last := l.root.prev[l.i]
	e.prev[l.i], e.next[l.i] = last, &l.root
	last.next[l.i], l.root.prev[l.i] = e, e
	l.n++
}

func (l *list) remove(e *entry) {
	e.prev[l.i].next[l.i], e.next[l.i].prev[l.i] = e.next[l.i], e.prev[l.i]
	e.prev[l.i], e.next[l.i] = nil, nil
	l.n--
}

// Stats count since the table was made.
type Stats struct {
	Learned, Expired, Evicted, Moved uint64
}

// Table is a MAC table.
type Table struct {
	entries map[Key]*entry
	all     list // without static and held entries
	ports   map[action.Port]*list
	max     int
	aging   time.Duration
	stats   Stats
}

// New returns an empty table; see SetLimits.
func New(maxEntries int, aging time.Duration) *Table {
	t := &Table{entries: make(map[Key]*entry), ports: make(map[action.Port]*list)}
	t.all.init(0)
	t.limits(maxEntries, aging)
	return t
}

func (t *Table) limits(maxEntries int, aging time.Duration) {
	if maxEntries == 0 {
		maxEntries = DefaultMax
	}
	if aging == 0 {
		aging = DefaultAging
	}
	t.max = min(max(maxEntries, MinMax), MaxMax)
	t.aging = min(max(aging, MinAging), MaxAging)
}

// SetLimits changes the bound and the ageing time (0: the default; values
// outside the bounds are moved to them) and returns what had to go.
func (t *Table) SetLimits(maxEntries int, aging time.Duration, now time.Time) []Change {
	t.limits(maxEntries, aging)
	out := t.Expire(now)
	for len(t.entries) > t.max && t.all.n > 0 {
		out = append(out, t.evict())
	}
	return out
}

// Len returns the number of entries.
func (t *Table) Len() int { return len(t.entries) }

// Multicast reports whether the group bit of a MAC address is set.
func Multicast(mac uint64) bool { return mac>>40&1 != 0 }

// Lookup returns the port behind which mac is in a VLAN. An entry that is past its
// time is there until Expire.
func (t *Table) Lookup(vlan uint16, mac uint64) (action.Port, bool) {
	if e := t.entries[Key{mac, vlan}]; e != nil {
		return e.port, true
	}
	return action.PortAny, false
}

// SeenSince reports whether mac was seen in a VLAN later than at.
func (t *Table) SeenSince(vlan uint16, mac uint64, at time.Time) bool {
	e := t.entries[Key{mac, vlan}]
	return e != nil && e.seen.After(at)
}

// Stale reports whether Learn would do anything but note the time.
func (t *Table) Stale(vlan uint16, mac uint64, port action.Port) bool {
	if Multicast(mac) {
		return false
	}
	e := t.entries[Key{mac, vlan}]
	return e == nil || e.port != port && !e.static
}

// Learn notes that mac was seen on port in a VLAN. It returns false if packets to mac go where
// they went; else the change, with the change of an entry that had to give way, if any,
// before it. Multicast addresses are never learned.
func (t *Table) Learn(vlan uint16, mac uint64, port action.Port, now time.Time) ([]Change, bool) {
	if Multicast(mac) {
		return nil, false
	}
	k := Key{mac, vlan}
	e := t.entries[k]
	switch {
	case e == nil:
		var out []Change
		if len(t.entries) >= t.max {
			if t.all.n == 0 {
				return nil, false // full of static entries
			}
			out = append(out, t.evict())
		}
		t.add(&entry{key: k, port: port, seen: now})
		t.stats.Learned++
		return append(out, Change{k, action.PortAny, port}), true
	case e.static:
		return nil, false
	case e.port == port && e.held:
		e.seen = now
		return nil, false
	case e.port == port:
		e.seen = now
		t.all.remove(e)
		t.all.push(e)
		l := t.ports[port]
		l.remove(e)
		l.push(e)
		return nil, false
	default:
		old := e.port
		t.drop(e)
		e.port, e.seen, e.held = port, now, false
		t.add(e)
		t.stats.Moved++
		return []Change{{k, old, port}}, true
	}
}

// AddStatic makes an entry that does not age; ok is false if the table is full.
func (t *Table) AddStatic(vlan uint16, mac uint64, port action.Port) (ch []Change, ok bool) {
	k := Key{mac, vlan}
	old := action.PortAny
	if e := t.entries[k]; e != nil {
		old = e.port
		t.drop(e)
	} else if len(t.entries) >= t.max {
		if t.all.n == 0 {
			return nil, false
		}
		ch = append(ch, t.evict())
	}
	t.add(&entry{key: k, port: port, static: true})
	if old != port {
		ch = append(ch, Change{k, old, port})
	}
	return ch, true
}

// Hold notes that the chip that bridges port has mac there. Such an entry does not age here and is not
// flushed, for the chip does that and says so (Release); but Learn moves it when mac is seen on another port.
// Hold itself moves what was learned, not static entries. It returns the change if there is one. At the bound
// nothing gives way: packets to mac are then flooded, the chip among others, which knows better.
func (t *Table) Hold(vlan uint16, mac uint64, port action.Port, now time.Time) (Change, bool) {
	if Multicast(mac) {
		return Change{}, false
	}
	k := Key{mac, vlan}
	old := action.PortAny
	switch e := t.entries[k]; {
	case e != nil && e.static:
		return Change{}, false
	case e != nil && e.held && e.port == port:
		e.seen = now
		return Change{}, false
	case e != nil:
		old = e.port
		t.drop(e)
		if old != port {
			t.stats.Moved++
		}
	default:
		if len(t.entries) >= t.max {
			return Change{}, false
		}
		t.stats.Learned++
	}
	t.add(&entry{key: k, port: port, held: true, seen: now})
	return Change{k, old, port}, old != port
}

// Release takes away what Hold has made for port, if it is still there.
func (t *Table) Release(vlan uint16, mac uint64, port action.Port) (Change, bool) {
	e := t.entries[Key{mac, vlan}]
	if e == nil || !e.held || e.port != port {
		return Change{}, false
	}
	t.drop(e)
	return Change{e.key, e.port, action.PortAny}, true
}

// Entry is what the table has for an address.
type Entry struct {
	Key
	Port   action.Port
	Static bool
	Held   bool // by Hold
	Seen   time.Time
}

// All yields every entry, in no order, until yield returns false.
func (t *Table) All(yield func(Entry) bool) {
	for _, e := range t.entries {
		if !yield(Entry{e.key, e.port, e.static, e.held, e.seen}) {
			return
		}
	}
}

// Delete takes an entry away.
func (t *Table) Delete(vlan uint16, mac uint64) (Change, bool) {
	e := t.entries[Key{mac, vlan}]
	if e == nil {
		return Change{}, false
	}
	t.drop(e)
	return Change{e.key, e.port, action.PortAny}, true
}

func (t *Table) add(e *entry) {
	t.entries[e.key] = e
	if e.static || e.held {
		return
	}
	t.all.push(e)
	l := t.ports[e.port]
	if l == nil {
		l = new(list)
		l.init(1)
		t.ports[e.port] = l
	}
	l.push(e)
}

func (t *Table) drop(e *entry) {
	delete(t.entries, e.key)
	if e.static || e.held {
		return
	}
	t.all.remove(e)
	l := t.ports[e.port]
	l.remove(e)
	if l.n == 0 {
		delete(t.ports, e.port)
	}
}

// evict takes out the longest unseen entry of the port that has most; of
// ports with as many, that with the lowest number. There is a learned entry.
func (t *Table) evict() Change {
	var most *list
	var port action.Port
	for p, l := range t.ports {
		if most == nil || l.n > most.n || l.n == most.n && p < port {
			most, port = l, p
		}
	}
	e := most.root.next[1]
	t.drop(e)
	t.stats.Evicted++
	return Change{e.key, e.port, action.PortAny}
}

// Expire takes out what was not seen for the ageing time.
func (t *Table) Expire(now time.Time) (out []Change) {
	for t.all.n > 0 {
		e := t.all.root.next[0]
		if now.Sub(e.seen) < t.aging {
			break
		}
		t.drop(e)
		t.stats.Expired++
		out = append(out, Change{e.key, e.port, action.PortAny})
	}
	return out
}

// Flush takes all learned entries out (ovs-appctl fdb/flush).
func (t *Table) Flush() []Change {
	return t.flush(func(e *entry) bool { return !e.static && !e.held })
}

// FlushPort takes all entries of a port out, static and held ones too: the port has gone.
func (t *Table) FlushPort(port action.Port) []Change {
	return t.flush(func(e *entry) bool { return e.port == port })
}

// FlushPortLearned takes the learned entries of a port out: its VLANs have changed.
func (t *Table) FlushPortLearned(port action.Port) []Change {
	return t.flush(func(e *entry) bool { return e.port == port && !e.static && !e.held })
}

func (t *Table) flush(which func(*entry) bool) (out []Change) {
	for _, e := range t.entries {
		if which(e) {
			out = append(out, Change{e.key, e.port, action.PortAny})
		}
	}
	order.Sort(out, func(a, b Change) int {
		if a.VLAN != b.VLAN {
			return int(a.VLAN) - int(b.VLAN)
		}
		if a.MAC < b.MAC {
			return -1
		}
		return 1
	})
	for _, c := range out {
		t.drop(t.entries[c.Key])
	}
	return out
}

// Show returns the text of ovs-appctl fdb/show: static entries and those of a chip ("chip" in
// place of an age) first, by VLAN and address, then the others from the longest unseen on. port
// names a port.
func (t *Table) Show(port func(action.Port) string, now time.Time) string {
	var b strings.Builder
	b.WriteString(" port  VLAN  MAC                Age\n")
	var static []*entry
	for _, e := range t.entries {
		if e.static || e.held {
			static = append(static, e)
		}
	}
	slices.SortFunc(static, func(a, b *entry) int {
		if a.key.VLAN != b.key.VLAN {
			return int(a.key.VLAN) - int(b.key.VLAN)
		}
		if a.key.MAC < b.key.MAC {
			return -1
		}
		return 1
	})
	for _, e := range static {
		age := "static"
		if e.held {
			age = "chip"
		}
		fmt.Fprintf(&b, "%5s  %4d  %s  %s\n", port(e.port), e.key.VLAN, macText(e.key.MAC), age)
	}
	for e := t.all.root.next[0]; e != &t.all.root; e = e.next[0] {
		fmt.Fprintf(&b, "%5s  %4d  %s  %3d\n", port(e.port), e.key.VLAN, macText(e.key.MAC), int(now.Sub(e.seen)/time.Second))
	}
	return b.String()
}

func macText(m uint64) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m>>40&0xff, m>>32&0xff, m>>24&0xff, m>>16&0xff, m>>8&0xff, m&0xff)
}

// Stats returns the counters.
func (t *Table) Stats() Stats { return t.stats }

// StatsText returns the text of ovs-appctl fdb/stats-show.
func (t *Table) StatsText(bridge string) string {
	static := 0
	for _, e := range t.entries {
		if e.static {
			static++
		}
	}
	return fmt.Sprintf("Statistics for bridge \"%s\":\n"+
		"  Current/maximum MAC entries in the table: %d/%d\n"+
		"  Current static MAC entries in the table : %d\n"+
		"  Total number of learned MAC entries     : %d\n"+
		"  Total number of expired MAC entries     : %d\n"+
		"  Total number of evicted MAC entries     : %d\n"+
		"  Total number of port moved MAC entries  : %d\n",
		bridge, len(t.entries), t.max, static, t.stats.Learned, t.stats.Expired, t.stats.Evicted, t.stats.Moved)
}
