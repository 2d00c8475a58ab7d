// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/query"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// ErrStale is the error of a Txn whose database has changed since Begin.
var ErrStale = errors.New("the database has changed since the transaction began")

// Txn is a transaction in the making: an overlay over the database. It is what
// operations in JSON run on, and the direct way for callers in the process.
// Values are checked as they are set; the rest at Commit. A Txn that is not
// committed needs no end.
type Txn struct {
	db      *DB
	base    ovsdb.UUID // db.id at Begin
	rows    []*txnRow  // in the order they were touched; some replaced, see current
	byTable []*overlay // by schema.Table.Index; nil: not touched
	comment []byte
	durable bool

	targets map[rowKey]*target // strong reference counts in change; see commit.go
	queue   []rowKey           // candidates for garbage collection
}

// overlay is what a transaction did to one table.
type overlay struct {
	rows map[ovsdb.UUID]*txnRow
	// keys finds touched rows by index values, as ts.index does for the rest:
	// candidates only, for a row that changed again stays under its old key.
	keys   []map[string][]*txnRow
	listed map[listing]struct{}
}

// listing says that overlay.keys[index][key] has the row.
type listing struct {
	index int
	key   string
	row   *txnRow
}

// txnRow is a row that the transaction touched.
type txnRow struct {
	ts   *tableState
	id   ovsdb.UUID
	base entry // zero if inserted
	cols []ovsdb.Datum
	cur  *ovsdb.Row // over cols; nil once deleted
}

// Begin starts a transaction.
func (db *DB) Begin() *Txn {
	return &Txn{db: db, base: db.id, byTable: make([]*overlay, len(db.tables))}
}

// Set is the value of a column, for Insert and Update.
type Set struct {
	Column *schema.Column
	Value  ovsdb.Datum
}

// Comment adds a line to the commit's comment.
func (tx *Txn) Comment(s string) {
	if len(tx.comment) > 0 {
		tx.comment = append(tx.comment, '\n')
	}
	tx.comment = append(tx.comment, s...)
}

// Durable makes the commit durable.
func (tx *Txn) Durable() { tx.durable = true }

// Schema returns the database's schema.
func (tx *Txn) Schema() *schema.Schema { return tx.db.schema }

// All returns all rows of a table as the transaction sees them.
func (tx *Txn) All(t *schema.Table) []*ovsdb.Row { return tx.Select(t, query.Condition{}) }

// Row returns a row as the transaction sees it, nil if there is none. It is
// valid until the row's next change.
func (tx *Txn) Row(t *schema.Table, id ovsdb.UUID) *ovsdb.Row {
	return tx.get(&tx.db.tables[t.Index], id)
}

func (tx *Txn) get(ts *tableState, id ovsdb.UUID) *ovsdb.Row {
	if r := tx.over(ts.schema).rows[id]; r != nil {
		return r.cur
	}
	if e, ok := ts.rows.get(id); ok {
		return e.row
	}
	return nil
}

// over returns what the transaction did to a table; not to be changed.
func (tx *Txn) over(t *schema.Table) *overlay {
	if o := tx.byTable[t.Index]; o != nil {
		return o
	}
	return new(overlay) // stays on the stack
}

// touch brings an existing row into the overlay, ready to change.
func (tx *Txn) touch(ts *tableState, id ovsdb.UUID) *txnRow {
	if r := tx.over(ts.schema).rows[id]; r != nil {
		return r
	}
	e, ok := ts.rows.get(id)
	if !ok {
		return nil
	}
	r := &txnRow{ts: ts, id: id, base: e, cols: slices.Clone(e.row.Cols())}
	r.cur = ovsdb.NewRow(id, ovsdb.NewUUID(tx.db.rand), r.cols)
	tx.add(r)
	return r
}

func (tx *Txn) add(r *txnRow) {
	i := r.ts.schema.Index
	o := tx.byTable[i]
	if o == nil {
		o = &overlay{rows: map[ovsdb.UUID]*txnRow{}}
		tx.byTable[i] = o
		if n := len(r.ts.index); n > 0 {
			o.listed = map[listing]struct{}{}
			o.keys = make([]map[string][]*txnRow, n)
			for i := range o.keys {
				o.keys[i] = map[string][]*txnRow{}
			}
		}
	}
	o.rows[r.id] = r
	tx.rows = append(tx.rows, r)
	tx.rekey(r)
}

// current reports whether r stands for its row: not if the row was inserted,
// deleted and inserted again.
func (tx *Txn) current(r *txnRow) bool { return tx.over(r.ts.schema).rows[r.id] == r }

// rekey lists a touched row under the present values of its indexes.
func (tx *Txn) rekey(r *txnRow) {
	o := tx.over(r.ts.schema)
	for i, cols := range r.ts.schema.Indexes {
		key := string(appendKey(nil, cols, r.cur))
		l := listing{i, key, r}
		if _, ok := o.listed[l]; !ok {
			o.listed[l] = struct{}{}
			o.keys[i][key] = append(o.keys[i][key], r)
		}
	}
}

// Insert adds a row with the given columns, defaults for the rest, and a new
// UUID. The error is an *ovsdb.Error.
func (tx *Txn) Insert(t *schema.Table, vals ...Set) (ovsdb.UUID, error) {
	id := ovsdb.NewUUID(tx.db.rand)
	return id, tx.insert(t, id, vals)
}

// InsertAs is Insert with a UUID of the caller's choice. One that the table has,
// or had when the transaction began, is refused.
func (tx *Txn) InsertAs(t *schema.Table, id ovsdb.UUID, vals ...Set) error {
	if !tx.free(t, id) {
		return duplicateUUID(id)
	}
	return tx.insert(t, id, vals)
}

// free reports whether a UUID may be inserted.
func (tx *Txn) free(t *schema.Table, id ovsdb.UUID) bool {
	if r := tx.over(t).rows[id]; r != nil {
		return r.cur == nil && r.base.row == nil
	}
	_, ok := tx.db.tables[t.Index].rows.get(id)
	return !ok
}

func duplicateUUID(id ovsdb.UUID) *ovsdb.Error {
	return &ovsdb.Error{
		Name:    ovsdb.ErrDupUUID,
		Details: "This UUID would duplicate a UUID already present within the table or deleted within the same transaction.",
		Syntax:  `"` + id.String() + `"`,
	}
}

func (tx *Txn) insert(t *schema.Table, id ovsdb.UUID, vals []Set) error {
	r := &txnRow{ts: &tx.db.tables[t.Index], id: id, cols: t.New()}
	for _, v := range vals {
		if v.Column.Index < 0 {
			continue // _uuid and _version are given by the database
		}
		r.cols[v.Column.Index] = v.Value
	}
	for i, c := range t.Columns {
		if err := c.Type.Check(r.cols[i]); err != nil {
			return err
		}
	}
	r.cur = ovsdb.NewRow(id, ovsdb.NewUUID(tx.db.rand), r.cols)
	tx.add(r)
	return nil
}

// Update sets columns of a row. The error is an *ovsdb.Error, or says that the
// row is not there.
func (tx *Txn) Update(t *schema.Table, id ovsdb.UUID, vals ...Set) error {
	ts := &tx.db.tables[t.Index]
	old := tx.get(ts, id)
	if old == nil {
		return fmt.Errorf("update %s row %s: no such row", t.Name, id)
	}
	for _, v := range vals {
		if !v.Column.Mutable {
			return ovsdb.Errorf(ovsdb.ErrConstraint, "Cannot update immutable column %s in table %s.", v.Column.Name, t.Name)
		}
		if err := v.Column.Type.Check(v.Value); err != nil {
			return err
		}
	}
	tx.update(ts, old, vals)
	return nil
}

// update sets columns to values already checked.
func (tx *Txn) update(ts *tableState, old *ovsdb.Row, vals []Set) {
	var r *txnRow
	indexed := false
	for _, v := range vals {
		if old.Get(v.Column.Index).Equal(v.Value) {
			continue
		}
		if r == nil {
			r = tx.touch(ts, old.ID)
		}
		r.cols[v.Column.Index] = v.Value
		indexed = indexed || isIndexed(ts.schema, v.Column)
	}
	if indexed {
		tx.rekey(r)
	}
}

func isIndexed(t *schema.Table, c *schema.Column) bool {
	return slices.ContainsFunc(t.Indexes, func(cols []*schema.Column) bool { return slices.Contains(cols, c) })
}

// Delete removes a row. The error says that it is not there.
func (tx *Txn) Delete(t *schema.Table, id ovsdb.UUID) error {
	ts := &tx.db.tables[t.Index]
	if tx.get(ts, id) == nil {
		return fmt.Errorf("delete %s row %s: no such row", t.Name, id)
	}
	tx.touch(ts, id).cur = nil
	return nil
}

// Select returns the rows that the transaction sees and the condition holds
// for. They are valid until their next change.
func (tx *Txn) Select(t *schema.Table, where query.Condition) []*ovsdb.Row {
	ts := &tx.db.tables[t.Index]
	o := tx.over(t)
	var out []*ovsdb.Row
	try := func(row *ovsdb.Row) {
		if row != nil && where.All(row) {
			out = append(out, row)
		}
	}
	// By UUID, by an index, or by looking at every row.
	for _, cl := range where.Clauses() {
		if cl.Function == query.Equal && cl.Column.Index == ovsdb.ColUUID {
			a, _ := cl.Value.Scalar()
			try(tx.get(ts, a.UUID()))
			return out
		}
		if cl.Function == query.False {
			return nil
		}
	}
	for i, cols := range t.Indexes {
		key, ok := lookupKey(cols, where)
		if !ok {
			continue
		}
		if id, ok := ts.index[i][key]; ok && o.rows[id] == nil {
			try(tx.get(ts, id))
		}
		if o.rows != nil {
			for _, r := range o.keys[i][key] {
				if o.rows[r.id] == r {
					try(r.cur)
				}
			}
		}
		return out
	}
	ts.rows.walk(func(e entry) bool {
		if len(o.rows) > 0 {
			if r := o.rows[e.row.ID]; r != nil {
				try(r.cur)
				return true
			}
		}
		try(e.row)
		return true
	})
	if len(o.rows) > 0 {
		for _, r := range tx.rows {
			if r.ts == ts && r.base.row == nil && tx.current(r) {
				try(r.cur)
			}
		}
	}
	return out
}

// lookupKey returns the index key that a condition asks for, if it says "==" of
// every column of the index.
func lookupKey(cols []*schema.Column, where query.Condition) (string, bool) {
	var b []byte
next:
	for _, c := range cols {
		for _, cl := range where.Clauses() {
			if cl.Function == query.Equal && cl.Column == c {
				b = cl.Value.AppendExact(b)
				b = append(b, ',')
				continue next
			}
		}
		return "", false
	}
	return string(b), true
}
