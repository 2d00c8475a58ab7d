// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weirswitch/weir/firmware/base/order"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// target is a row whose number of strong references the transaction changes.
type target struct {
	ts   *tableState
	id   ovsdb.UUID
	n    int // references, the transaction's changes included
	meta *meta
}

// Commit checks the transaction against the schema and publishes it. It returns
// nil if nothing changed. The error is an *ovsdb.Error, or ErrStale; then the
// database is as it was. The Txn is used up.
func (tx *Txn) Commit() (*Commit, error) {
	if tx.base != tx.db.id {
		return nil, ErrStale
	}
	if !tx.changed() {
		return nil, nil
	}
	if err := tx.checkStrong(); err != nil {
		return nil, err
	}
	tx.collect(0)
	if err := tx.checkMaxRows(); err != nil {
		return nil, err
	}
	if err := tx.pruneWeak(); err != nil {
		return nil, err
	}
	if err := tx.checkIndexes(); err != nil {
		return nil, err
	}
	c := tx.build()
	if len(c.Changes) == 0 {
		return nil, nil
	}
	if tx.db.log != nil {
		if err := tx.db.log.Append(c); err != nil {
			return nil, ovsdb.Errorf(ovsdb.ErrIO, "%v", err)
		}
	}
	tx.apply(c)
	return c, nil
}

// differs reports whether the row is not what it was before the transaction.
func (r *txnRow) differs() bool {
	switch {
	case r.base.row == nil || r.cur == nil:
		return r.base.row != nil || r.cur != nil
	}
	return !slices.EqualFunc(r.base.row.Cols(), r.cols, ovsdb.Datum.Equal)
}

func (tx *Txn) changed() bool {
	return slices.ContainsFunc(tx.rows, func(r *txnRow) bool { return tx.current(r) && r.differs() })
}

// refs calls f for each reference to another row by which two values of a
// column differ: +1 for one that new has more, -1 for one that old had. pick
// says which kind of reference counts.
func refs(c *schema.Column, old, new ovsdb.Datum, pick func(*ovsdb.BaseType) bool, f func(to *schema.Table, id ovsdb.UUID, n int)) {
	if old.Same(new) {
		return
	}
	key := c.KeyTable != nil && pick(&c.Type.Key)
	val := c.ValueTable != nil && pick(c.Type.Value)
	ovsdb.Merge(old, new, func(i, j int) {
		if key && i < 0 {
			f(c.KeyTable, new.Key(j).UUID(), +1)
		}
		if key && j < 0 {
			f(c.KeyTable, old.Key(i).UUID(), -1)
		}
		if !val || i >= 0 && j >= 0 && old.Value(i) == new.Value(j) {
			return
		}
		if j >= 0 {
			f(c.ValueTable, new.Value(j).UUID(), +1)
		}
		if i >= 0 {
			f(c.ValueTable, old.Value(i).UUID(), -1)
		}
	})
}

// column returns a column of a row that may be nil, which has none.
func column(row *ovsdb.Row, c *schema.Column) ovsdb.Datum {
	if row == nil {
		if c.Type.IsMap() {
			return ovsdb.NewMap()
		}
		return ovsdb.Datum{}
	}
	return row.Get(c.Index)
}

// strongRefs calls f for the strong references by which two versions of a row
// differ; those of a row to itself do not count.
func strongRefs(t *schema.Table, id ovsdb.UUID, old, new *ovsdb.Row, f func(to *schema.Table, id ovsdb.UUID, n int)) {
	for _, c := range t.Strong {
		refs(c, column(old, c), column(new, c), (*ovsdb.BaseType).IsStrong, func(to *schema.Table, dst ovsdb.UUID, n int) {
			if to != t || dst != id {
				f(to, dst, n)
			}
		})
	}
}

func (tx *Txn) target(t *schema.Table, id ovsdb.UUID) *target {
	key := rowKey{t.Index, id}
	if g := tx.targets[key]; g != nil {
		return g
	}
	g := &target{ts: &tx.db.tables[t.Index], id: id}
	if e, ok := g.ts.rows.get(id); ok {
		g.meta = e.meta
		g.n = e.meta.strong
	}
	if tx.targets == nil {
		tx.targets = map[rowKey]*target{}
	}
	tx.targets[key] = g
	return g
}

// checkStrong counts the strong references that the transaction adds and
// removes, and refuses those that lead nowhere.
func (tx *Txn) checkStrong() error {
	var err error
	for _, r := range tx.rows {
		if !tx.current(r) {
			continue
		}
		if !r.ts.schema.IsRoot && r.base.row == nil && r.cur != nil {
			tx.queue = append(tx.queue, rowKey{r.ts.schema.Index, r.id})
		}
		if r.cur == nil && r.base.row != nil {
			tx.target(r.ts.schema, r.id)
		}
		strongRefs(r.ts.schema, r.id, r.base.row, r.cur, func(to *schema.Table, id ovsdb.UUID, n int) {
			g := tx.target(to, id)
			g.n += n
			if n < 0 {
				tx.queue = append(tx.queue, rowKey{to.Index, id})
			} else if err == nil && tx.get(g.ts, id) == nil {
				err = ovsdb.Errorf(ovsdb.ErrRefs, "Table %s row %s references nonexistent row %s in table %s.",
					r.ts.schema.Name, r.id, id, to.Name)
			}
		})
	}
	if err != nil {
		return err
	}
	for _, r := range tx.rows {
		if r.cur != nil || r.base.row == nil || !tx.current(r) {
			continue
		}
		if g := tx.target(r.ts.schema, r.id); g.n > 0 {
			return ovsdb.Errorf(ovsdb.ErrRefs, "cannot delete %s row %s because of %d remaining reference(s)",
				r.ts.schema.Name, r.id, g.n)
		}
	}
	return nil
}

// collect deletes queued rows from the given position on that are in non-root
// tables and unreferenced, and what those alone referred to.
func (tx *Txn) collect(from int) {
	for i := from; i < len(tx.queue); i++ {
		k := tx.queue[i]
		ts := &tx.db.tables[k.table]
		if ts.schema.IsRoot || tx.get(ts, k.id) == nil || tx.target(ts.schema, k.id).n > 0 {
			continue
		}
		r := tx.touch(ts, k.id)
		gone := r.cur
		r.cur = nil
		strongRefs(ts.schema, k.id, gone, nil, func(to *schema.Table, id ovsdb.UUID, n int) {
			tx.target(to, id).n += n
			tx.queue = append(tx.queue, rowKey{to.Index, id})
		})
	}
}

func (tx *Txn) checkMaxRows() error {
	for i, o := range tx.byTable {
		ts := &tx.db.tables[i]
		if o == nil || ts.schema.MaxRows == ovsdb.Unlimited {
			continue
		}
		n := ts.rows.n
		for _, r := range o.rows {
			if r.cur != nil {
				n++
			}
			if r.base.row != nil {
				n--
			}
		}
		if n > ts.rows.n && n > ts.schema.MaxRows {
			return ovsdb.Errorf(ovsdb.ErrConstraint,
				"transaction causes %q table to contain %d rows, greater than the schema-defined limit of %d row(s)",
				ts.schema.Name, n, ts.schema.MaxRows)
		}
	}
	return nil
}

// pruneWeak removes weak references to rows that are not there: those that the
// transaction set, and those to rows that it deleted. Removing a map's pair can
// take a strong reference with it, and so leave a row to collect, and so on.
func (tx *Txn) pruneWeak() error {
	for {
		deletes := false
		for _, r := range tx.rows { // as of now: touching appends
			if r.cur != nil || !tx.current(r) {
				continue
			}
			deletes = true
			if r.base.row == nil {
				continue
			}
			for k := range r.base.meta.weak {
				if ts := &tx.db.tables[k.table]; tx.get(ts, k.id) != nil {
					tx.touch(ts, k.id)
				}
			}
		}
		queued := len(tx.queue)
		for _, r := range tx.rows {
			if r.cur == nil || !tx.current(r) {
				continue
			}
			if err := tx.pruneRow(r, deletes); err != nil {
				return err
			}
		}
		if queued == len(tx.queue) {
			return nil
		}
		tx.collect(queued)
	}
}

// pruneRow removes the row's weak references to rows that are not there.
// Without deletes only what the transaction set can lead nowhere.
func (tx *Txn) pruneRow(r *txnRow, deletes bool) error {
	for _, c := range r.ts.schema.Weak {
		old := r.cols[c.Index]
		if !deletes && r.base.row != nil && r.base.row.Get(c.Index).Same(old) {
			continue
		}
		new, zero := tx.withoutDangling(c, old, (*ovsdb.BaseType).IsWeak)
		if new.Same(old) {
			continue
		}
		if err := c.Type.CheckSize(new); err != nil {
			what := fmt.Sprintf("Deletion of %d weak reference(s) to deleted (or never-existing) rows", old.Len()-new.Len())
			if zero && r.base.row == nil {
				what = "Deletion of the all-zeros UUID (probably the default of this column)"
			}
			return ovsdb.Errorf(ovsdb.ErrConstraint,
				"%s from column %q in %q row %s caused this column to become empty, but constraints on this column disallow an empty column.",
				what, c.Name, r.ts.schema.Name, r.id)
		}
		refs(c, old, new, (*ovsdb.BaseType).IsStrong, func(to *schema.Table, id ovsdb.UUID, n int) {
			if to != r.ts.schema || id != r.id {
				tx.target(to, id).n += n
				tx.queue = append(tx.queue, rowKey{to.Index, id})
			}
		})
		r.cols[c.Index] = new
		if isIndexed(r.ts.schema, c) {
			tx.rekey(r)
		}
	}
	return nil
}

// withoutDangling returns the datum without elements or pairs whose reference
// leads nowhere, and whether one of those was all zeros. pick says which kind of
// reference counts.
func (tx *Txn) withoutDangling(c *schema.Column, d ovsdb.Datum, pick func(*ovsdb.BaseType) bool) (ovsdb.Datum, bool) {
	dangling := func(to *schema.Table, b *ovsdb.BaseType, a ovsdb.Atom) bool {
		return to != nil && pick(b) && tx.get(&tx.db.tables[to.Index], a.UUID()) == nil
	}
	var drop []ovsdb.Atom
	zero := false
	for i := range d.Len() {
		k := d.Key(i)
		if dangling(c.KeyTable, &c.Type.Key, k) {
			zero = zero || k.UUID().IsZero()
			drop = append(drop, k)
		} else if c.Type.IsMap() && dangling(c.ValueTable, c.Type.Value, d.Value(i)) {
			zero = zero || d.Value(i).UUID().IsZero()
			drop = append(drop, k)
		}
	}
	if drop == nil {
		return d, false
	}
	return d.Minus(ovsdb.NewSet(drop...)), zero
}

func (tx *Txn) checkIndexes() error {
	for t, o := range tx.byTable {
		ts := &tx.db.tables[t]
		if o == nil || len(ts.index) == 0 {
			continue
		}
		for i, cols := range ts.schema.Indexes {
			if err := tx.checkIndex(ts, o, i, cols); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *Txn) checkIndex(ts *tableState, o *overlay, i int, cols []*schema.Column) error {
	seen := make(map[string]*txnRow, len(o.rows))
	for _, r := range tx.rows {
		if r.ts != ts || r.cur == nil || !tx.current(r) {
			continue
		}
		key := string(appendKey(nil, cols, r.cur))
		other, dup := ovsdb.UUID{}, false
		if x := seen[key]; x != nil {
			other, dup = x.id, true
		} else if id, ok := ts.index[i][key]; ok && o.rows[id] == nil {
			other, dup = id, true
		}
		if dup {
			names, vals := "", ""
			for j, c := range cols {
				if j > 0 {
					names += " and "
					vals += ", "
				}
				names += `"` + c.Name + `"`
				vals += r.cur.Get(c.Index).String()
			}
			return ovsdb.Errorf(ovsdb.ErrConstraint,
				"Transaction causes multiple rows in %q table to have identical values (%s) for index on column %s.  First row has UUID %s, second row has UUID %s.",
				ts.schema.Name, vals, names, other, r.id)
		}
		seen[key] = r
	}
	return nil
}

// build makes the commit: its changes and the state after it.
func (tx *Txn) build() *Commit {
	db := tx.db
	c := &Commit{ID: ovsdb.NewUUID(db.rand), Comment: string(tx.comment), Durable: tx.durable, Before: db.snap.Load()}
	c.After = db.snapshotOf(c.ID)
	copy(c.After.rows, c.Before.rows)
	ed := new(edit)
	for _, r := range tx.rows {
		if !tx.current(r) || !r.differs() {
			continue
		}
		t := r.ts.schema
		c.Changes = append(c.Changes, Change{Table: t, ID: r.id, Old: r.base.row, New: r.cur, Changed: changedColumns(t, r)})
		rows := &c.After.rows[t.Index]
		if r.cur == nil {
			*rows = rows.del(r.id, ed)
			continue
		}
		m := r.base.meta
		if m == nil {
			m = new(meta)
		}
		*rows = rows.set(entry{r.cur, m}, ed)
	}
	order.Sort(c.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Table.Index, b.Table.Index), a.ID.Compare(b.ID))
	})
	return c
}

func changedColumns(t *schema.Table, r *txnRow) []int {
	if r.cur == nil {
		return nil
	}
	var out []int
	for i, col := range t.Columns {
		old := col.Default
		if r.base.row != nil {
			old = r.base.row.Get(i)
		}
		if !old.Equal(r.cols[i]) {
			out = append(out, i)
		} else {
			r.cols[i] = old // share what is equal
		}
	}
	return out
}

// apply publishes the commit; nothing can fail from here on.
func (tx *Txn) apply(c *Commit) {
	db := tx.db
	db.torn = true // until all is done
	for i := range db.tables {
		db.tables[i].rows = c.After.rows[i]
	}
	for i := range c.Changes {
		db.unindex(&c.Changes[i])
	}
	for i := range c.Changes {
		db.index(&c.Changes[i])
	}
	for _, g := range tx.targets {
		if e, ok := g.ts.rows.get(g.id); ok {
			e.meta.strong = g.n
		}
	}
	for i := range c.Changes {
		db.linkWeak(&c.Changes[i])
	}
	db.id = c.ID
	db.snap.Store(c.After)
	db.torn = false
}

// unindex forgets the old values of the row's indexes, index enters the new.
func (db *DB) unindex(ch *Change) {
	ts := &db.tables[ch.Table.Index]
	for i, cols := range ch.Table.Indexes {
		if ch.Old != nil {
			delete(ts.index[i], string(appendKey(nil, cols, ch.Old)))
		}
	}
}

func (db *DB) index(ch *Change) {
	ts := &db.tables[ch.Table.Index]
	for i, cols := range ch.Table.Indexes {
		if ch.New != nil {
			ts.index[i][string(appendKey(nil, cols, ch.New))] = ch.ID
		}
	}
}

// linkWeak keeps, with each row, who refers to it weakly.
func (db *DB) linkWeak(ch *Change) {
	src := rowKey{ch.Table.Index, ch.ID}
	for _, c := range ch.Table.Weak {
		refs(c, column(ch.Old, c), column(ch.New, c), (*ovsdb.BaseType).IsWeak, func(to *schema.Table, id ovsdb.UUID, n int) {
			e, ok := db.tables[to.Index].rows.get(id)
			if !ok {
				return // deleted by the same commit
			}
			if e.meta.weak == nil {
				e.meta.weak = map[rowKey]int{}
			}
			if e.meta.weak[src] += n; e.meta.weak[src] == 0 {
				delete(e.meta.weak, src)
			}
		})
	}
}
