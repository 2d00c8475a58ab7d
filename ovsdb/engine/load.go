// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Loader builds a database from rows that were committed before: the contents
// of a log file. Rows are put and deleted in any order; Finish checks the whole
// once.
type Loader struct {
	db *DB
	ed *edit
}

// NewLoader starts with an empty database.
func NewLoader(s *schema.Schema, o Options) *Loader {
	return &Loader{db: New(s, o), ed: new(edit)}
}

// Row returns a row as it stands, nil if there is none.
func (l *Loader) Row(t *schema.Table, id ovsdb.UUID) *ovsdb.Row {
	e, ok := l.db.tables[t.Index].rows.get(id)
	if !ok {
		return nil
	}
	return e.row
}

// Put adds or replaces a row; it keeps cols, one for each of the table's
// columns, and checks their values.
func (l *Loader) Put(t *schema.Table, id ovsdb.UUID, cols []ovsdb.Datum) error {
	for i, c := range t.Columns {
		if err := c.Type.Check(cols[i]); err != nil {
			return fmt.Errorf("table %s row %s column %s: %w", t.Name, id, c.Name, err)
		}
	}
	ts := &l.db.tables[t.Index]
	row := ovsdb.NewRow(id, ovsdb.NewUUID(l.db.rand), cols)
	ts.rows = ts.rows.set(entry{row, new(meta)}, l.ed)
	return nil
}

// Delete removes a row; it may be absent.
func (l *Loader) Delete(t *schema.Table, id ovsdb.UUID) {
	ts := &l.db.tables[t.Index]
	ts.rows = ts.rows.del(id, l.ed)
}

// Finish counts the references and fills the indexes. What no commit would leave
// but does no harm is put right: references that lead nowhere go, as far as
// their column may lose them, and so do unreferenced rows of non-root tables.
// The notes say, a line each, which strong references went. Finish fails if a
// column cannot lose its references or the values of an index are not unique.
func (l *Loader) Finish() (db *DB, notes []string, err error) {
	db = l.db
	if notes, err = l.dropDangling(); err != nil {
		return nil, notes, err
	}
	for i := range db.tables {
		ts := &db.tables[i]
		ts.rows.walk(func(e entry) bool {
			err = l.count(ts, e)
			return err == nil
		})
		if err != nil {
			return nil, notes, err
		}
	}
	db.publish()
	tx := db.Begin()
	for i := range db.tables {
		if db.schema.Tables[i].IsRoot {
			continue
		}
		db.tables[i].rows.walk(func(e entry) bool {
			if e.meta.strong == 0 {
				tx.queue = append(tx.queue, rowKey{i, e.row.ID})
			}
			return true
		})
	}
	tx.collect(0)
	if err := tx.pruneWeak(); err != nil {
		return nil, notes, err
	}
	if c := tx.build(); len(c.Changes) > 0 {
		tx.apply(c)
	}
	return db, notes, nil
}

// dropDangling removes references, of both kinds, that lead nowhere.
func (l *Loader) dropDangling() (notes []string, err error) {
	db := l.db
	tx := db.Begin()
	for i := range db.tables {
		ts := &db.tables[i]
		for _, c := range slices.Concat(ts.schema.Strong, ts.schema.Weak) {
			ts.rows.walk(func(e entry) bool {
				d := tx.get(ts, e.row.ID).Get(c.Index)
				kept, _ := tx.withoutDangling(c, d, func(*ovsdb.BaseType) bool { return true })
				if kept.Same(d) {
					return true
				}
				where := fmt.Sprintf("table %s row %s column %s", ts.schema.Name, e.row.ID, c.Name)
				if err = c.Type.CheckSize(kept); err != nil {
					err = fmt.Errorf("%s refers to missing rows: %w", where, err)
					return false
				}
				if slices.Contains(ts.schema.Strong, c) {
					notes = append(notes, fmt.Sprintf("%s: %d references to missing rows dropped", where, d.Len()-kept.Len()))
				}
				tx.touch(ts, e.row.ID).cols[c.Index] = kept
				return true
			})
			if err != nil {
				return notes, err
			}
		}
	}
	for _, r := range tx.rows {
		r.ts.rows = r.ts.rows.set(entry{r.cur, r.base.meta}, l.ed)
	}
	return notes, nil
}

// count adds one row's references and index values to the rest.
func (l *Loader) count(ts *tableState, e entry) error {
	db := l.db
	t, id := ts.schema, e.row.ID
	strongRefs(t, id, nil, e.row, func(to *schema.Table, dst ovsdb.UUID, n int) {
		target, _ := db.tables[to.Index].rows.get(dst)
		target.meta.strong += n
	})
	db.linkWeak(&Change{Table: t, ID: id, New: e.row})
	for i, cols := range t.Indexes {
		key := string(appendKey(nil, cols, e.row))
		if other, dup := ts.index[i][key]; dup {
			return ovsdb.Errorf(ovsdb.ErrConstraint, "rows %s and %s of table %s have the same values (%s) for an index", other, id, t.Name, key)
		}
		ts.index[i][key] = id
	}
	return nil
}
