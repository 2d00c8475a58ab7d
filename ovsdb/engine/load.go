// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

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

// Finish counts the references and fills the indexes. It fails if a strong
// reference leads nowhere, or values of an index are not unique: then the rows
// were not those of a database. What no commit would leave but does no harm is
// put right: dangling weak references go, unreferenced rows of non-root tables
// go.
func (l *Loader) Finish() (*DB, error) {
	db := l.db
	var err error
	for i := range db.tables {
		ts := &db.tables[i]
		ts.rows.walk(func(e entry) bool {
			err = l.count(ts, e)
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	db.publish()
	tx := db.Begin()
	for i := range db.tables {
		ts := &db.tables[i]
		if len(ts.schema.Weak) == 0 && ts.schema.IsRoot {
			continue
		}
		ts.rows.walk(func(e entry) bool {
			if !ts.schema.IsRoot && e.meta.strong == 0 {
				tx.queue = append(tx.queue, rowKey{i, e.row.ID})
			}
			for _, c := range ts.schema.Weak {
				d := e.row.Get(c.Index)
				if pruned, _ := tx.withoutDangling(c, d); !pruned.Same(d) {
					tx.touch(ts, e.row.ID)
				}
			}
			return true
		})
	}
	tx.collect(0)
	if err := tx.pruneWeak(); err != nil {
		return nil, err
	}
	if c := tx.build(); len(c.Changes) > 0 {
		tx.apply(c)
	}
	return db, nil
}

// count adds one row's references and index values to the rest.
func (l *Loader) count(ts *tableState, e entry) error {
	var err error
	db := l.db
	t, id := ts.schema, e.row.ID
	strongRefs(t, id, nil, e.row, func(to *schema.Table, dst ovsdb.UUID, n int) {
		target, ok := db.tables[to.Index].rows.get(dst)
		if !ok {
			err = ovsdb.Errorf(ovsdb.ErrRefs, "Table %s row %s references nonexistent row %s in table %s.", t.Name, id, dst, to.Name)
			return
		}
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
	return err
}
