// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/query"
)

// Version returns the form of the monitor's messages.
func (m *Monitor) Version() Version { return m.version }

// Pending returns how many changed rows wait for the next flush.
func (m *Monitor) Pending() int { return m.pending }

// Initial returns the <table-updates> with the contents of snap: what the
// request is answered with.
func (m *Monitor) Initial(snap *engine.Snapshot) []byte {
	w := writer{v: m.version}
	for _, t := range m.tables {
		if t.sel&Initial == 0 {
			continue
		}
		for r := range snap.Rows(t.Table) {
			w.row(t, nil, r, Initial, t.cond, t.cond)
		}
		w.endTable()
	}
	return w.end()
}

// Record takes note of a commit. The monitor must be told of every commit after
// the snapshot of its Initial or Since.
func (m *Monitor) Record(c *engine.Commit) {
	for i := range c.Changes {
		m.record(&c.Changes[i])
	}
}

func (m *Monitor) record(c *engine.Change) {
	t := m.byIndex[c.Table.Index]
	if t == nil {
		return
	}
	if _, ok := t.pending[c.ID]; ok {
		return
	}
	saw, sees := t.visible(m.version, t.cond, c.Old), t.visible(m.version, t.cond, c.New)
	if !saw && !sees || saw && sees && !t.watches(c.Changed) {
		return
	}
	t.pending[c.ID] = c.Old
	m.pending++
}

// visible says whether a client with the condition has the row.
func (t *table) visible(v Version, cond query.Condition, r *ovsdb.Row) bool {
	return r != nil && (v == V1 || cond.Any(r))
}

// watches says whether one of the columns is monitored.
func (t *table) watches(changed []int) bool {
	for _, c := range t.cols {
		if c.Index == ovsdb.ColVersion || slices.Contains(changed, c.Index) {
			return true
		}
	}
	return false
}

// Flush returns the <table-updates> that bring the client from the last flush
// to snap, which must be the state after the last recorded commit; nil if
// there is nothing to tell.
func (m *Monitor) Flush(snap *engine.Snapshot) []byte {
	if m.pending == 0 {
		return nil
	}
	w := writer{v: m.version}
	for _, t := range m.tables {
		m.flushTable(&w, t, snap)
	}
	m.pending = 0
	if !w.any {
		return nil
	}
	return w.end()
}

func (m *Monitor) flushTable(w *writer, t *table, snap *engine.Snapshot) {
	if len(t.pending) == 0 {
		return
	}
	ids := make([]ovsdb.UUID, 0, len(t.pending))
	for id := range t.pending {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ovsdb.UUID.Compare)
	for _, id := range ids {
		w.row(t, t.pending[id], snap.Row(t.Table, id), 0, t.cond, t.cond)
	}
	w.endTable()
	clear(t.pending)
}

// Change sets new conditions from <monitor-cond-update-requests> and returns
// the message, as Flush does, that brings the client from what it had before
// to what it is to have now. On error nothing has changed. A V1 monitor has
// no conditions: the request is checked and has no effect, as in stock.
func (m *Monitor) Change(requests jsontree.Value, snap *engine.Snapshot) ([]byte, error) {
	conds, err := m.parseConds(requests)
	if err != nil {
		return nil, err
	}
	if m.version == V1 {
		return m.Flush(snap), nil
	}
	w := writer{v: m.version}
	for _, t := range m.tables {
		now, ok := conds[t]
		if !ok || now.Equal(t.cond) {
			m.flushTable(&w, t, snap)
			continue
		}
		for r := range snap.Rows(t.Table) {
			old := r
			if p, ok := t.pending[r.ID]; ok {
				old = p
				delete(t.pending, r.ID)
			}
			w.row(t, old, r, 0, t.cond, now)
		}
		for id, old := range t.pending { // deleted since
			w.row(t, old, nil, 0, t.cond, now)
			delete(t.pending, id)
		}
		w.endTable()
		t.cond = now
	}
	m.pending = 0
	if !w.any {
		return nil, nil
	}
	return w.end(), nil
}

// writer builds <table-updates>: an object from tables to objects from rows to
// what happened to them.
type writer struct {
	v     Version
	b     []byte
	any   bool // something was written
	table bool // the current table was opened
}

func (w *writer) endTable() {
	if w.table {
		w.b = append(w.b, '}')
		w.table = false
	}
}

func (w *writer) end() []byte {
	if !w.any {
		return []byte("{}")
	}
	return append(w.b, '}')
}

// open starts a row's member.
func (w *writer) open(t *table, id ovsdb.UUID) {
	switch {
	case w.table:
		w.b = append(w.b, ',')
	case w.any:
		w.b = append(w.b, ',')
		w.b = jsontree.AppendString(w.b, t.Name)
		w.b = append(w.b, ':', '{')
	default:
		w.b = append(w.b, '{')
		w.b = jsontree.AppendString(w.b, t.Name)
		w.b = append(w.b, ':', '{')
	}
	w.any, w.table = true, true
	w.b = append(w.b, '"')
	w.b = id.Append(w.b)
	w.b = append(w.b, '"', ':', '{')
}

// row tells how a row went from old to new, seen through the conditions of
// then and now. kind is Initial, or 0 to find it out.
func (w *writer) row(t *table, old, new *ovsdb.Row, kind Select, then, now query.Condition) {
	saw, sees := t.visible(w.v, then, old), t.visible(w.v, now, new)
	switch {
	case !saw && !sees:
		return
	case kind == Initial:
	case !saw:
		kind = Insert
	case !sees:
		kind = Delete
	default:
		kind = Modify
		if !slices.ContainsFunc(t.cols, func(c column) bool { return changed(c, old, new) }) {
			return
		}
	}
	if t.sel&kind == 0 {
		return
	}
	id := ovsdb.UUID{}
	if new != nil {
		id = new.ID
	} else {
		id = old.ID
	}
	w.open(t, id)
	if w.v == V1 {
		w.row1(t, old, new, kind)
	} else {
		w.row2(t, old, new, kind)
	}
	w.b = append(w.b, '}')
}

// row1 writes RFC 7047's <row-update>.
func (w *writer) row1(t *table, old, new *ovsdb.Row, kind Select) {
	if kind == Delete || kind == Modify {
		w.b = append(w.b, `"old":`...)
		w.columns(t, old, kind, func(c column) bool { return kind == Delete || changed(c, old, new) }, nil)
	}
	if kind == Modify {
		w.b = append(w.b, ',')
	}
	if kind != Delete {
		w.b = append(w.b, `"new":`...)
		w.columns(t, new, kind, nil, nil)
	}
}

// row2 writes Open vSwitch's <row-update2>: defaults are left out, changes are
// differences, a deleted row is null.
func (w *writer) row2(t *table, old, new *ovsdb.Row, kind Select) {
	notDefault := func(c column) bool { return c.Index < 0 || !new.Get(c.Index).Equal(c.Default) }
	switch kind {
	case Initial:
		w.b = append(w.b, `"initial":`...)
		w.columns(t, new, kind, notDefault, nil)
	case Insert:
		w.b = append(w.b, `"insert":`...)
		w.columns(t, new, kind, notDefault, nil)
	case Delete:
		w.b = append(w.b, `"delete":null`...)
	case Modify:
		w.b = append(w.b, `"modify":`...)
		w.columns(t, new, kind, func(c column) bool { return changed(c, old, new) }, old)
	}
}

func changed(c column, old, new *ovsdb.Row) bool {
	return !old.Get(c.Index).Equal(new.Get(c.Index))
}

// columns writes the columns of r that are selected for kind and that want
// (nil: all) says yes to; with base as differences to it.
func (w *writer) columns(t *table, r *ovsdb.Row, kind Select, want func(column) bool, base *ovsdb.Row) {
	w.b = append(w.b, '{')
	first := true
	for _, c := range t.cols {
		if c.sel&kind == 0 || want != nil && !want(c) {
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.b = jsontree.AppendString(w.b, c.Name)
		w.b = append(w.b, ':')
		if base == nil {
			w.b = r.Get(c.Index).AppendJSON(w.b)
		} else {
			w.b = ovsdb.AppendModify(w.b, &c.Type, base.Get(c.Index), r.Get(c.Index))
		}
	}
	w.b = append(w.b, '}')
}
