// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"io"
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Txn is a set of changes over a DB.
type Txn struct {
	db   *DB
	rand io.Reader // for provisional UUIDs
	rows map[ovsdb.UUID]*Row
	// order of the rows' first use, for a request that does not depend on the
	// order of a Go map
	touched []*Row
	sorted  map[*schema.Table][]ovsdb.UUID
	gen     uint64
}

// Generation changes with every change of a reference, a name, a tag or the
// set of rows: what a reader may have derived from them is stale then.
func (x *Txn) Generation() uint64 { return x.gen }

// Begin starts a transaction. rand yields the provisional UUIDs.
func Begin(db *DB, rand io.Reader) *Txn {
	return &Txn{db: db, rand: rand, rows: make(map[ovsdb.UUID]*Row), sorted: make(map[*schema.Table][]ovsdb.UUID)}
}

// Schema returns the database's schema.
func (x *Txn) Schema() *schema.Schema { return x.db.Schema }

// Row is a row as the transaction sees it.
type Row struct {
	Table *schema.Table
	ID    ovsdb.UUID // provisional if Inserted

	txn      *Txn
	base     []ovsdb.Datum // before the transaction; nil if Inserted
	cols     []ovsdb.Datum // now
	state    map[int]*colState
	deleted  bool
	explicit bool // the UUID was chosen by the user and is to be kept
}

// colState is what happened to a column.
type colState struct {
	verify bool
	whole  bool         // set as a whole, so nothing of the old value counts
	keys   []ovsdb.Pair // keys of a map to set, see SetKey
	added  []ovsdb.Atom // elements to add to a set, see AddElement
}

// Inserted reports whether the transaction made the row.
func (r *Row) Inserted() bool { return r.base == nil }

// Deleted reports whether the transaction deleted the row.
func (r *Row) Deleted() bool { return r.deleted }

// Get returns the value of a column.
func (r *Row) Get(c *schema.Column) ovsdb.Datum {
	if c.Index == ovsdb.ColUUID {
		return ovsdb.One(ovsdb.Ref(r.ID))
	}
	if c.Index < 0 {
		return ovsdb.Datum{}
	}
	return r.cols[c.Index]
}

// Col returns the value of a column by name, for code that knows the schema;
// the empty set if the database has no such column.
func (r *Row) Col(name string) ovsdb.Datum {
	c := r.Table.Column(name)
	if c == nil {
		return ovsdb.Datum{}
	}
	return r.Get(c)
}

// Str returns the first string of a column, "" if it is empty.
func (r *Row) Str(name string) string {
	d := r.Col(name)
	if d.Len() == 0 {
		return ""
	}
	return d.Key(0).Str()
}

func (r *Row) at(c *schema.Column) *colState {
	s := r.state[c.Index]
	if s == nil {
		s = &colState{}
		if r.state == nil {
			r.state = make(map[int]*colState)
		}
		r.state[c.Index] = s
	}
	return s
}

// Verify makes the transaction depend on the value that the column had before
// it. It does nothing for a new row, and nothing for a column that was set as a
// whole already.
func (r *Row) Verify(c *schema.Column) {
	if r.Inserted() || c == nil || c.Index < 0 {
		return
	}
	if s := r.at(c); !s.whole {
		s.verify = true
	}
}

// Set sets a column.
func (r *Row) Set(c *schema.Column, d ovsdb.Datum) {
	if c == nil || r.deleted {
		return
	}
	s := r.at(c)
	if r.cols[c.Index].Equal(d) {
		return
	}
	s.whole = true
	r.txn.touch(c)
	r.cols[c.Index] = d
}

// touch notes the change of a column that objects are found by: all but maps
// of texts and the like.
func (x *Txn) touch(c *schema.Column) {
	if t := &c.Type; t.Value == nil && (t.Key.RefTable != "" || !c.Mutable || t.Max == 1) {
		x.gen++
	}
}

// SetName is Set by the column's name.
func (r *Row) SetName(name string, d ovsdb.Datum) { r.Set(r.Table.Column(name), d) }

// SetKey sets the value of one key of a map when the transaction is done, after
// all that Set does to the column: other clients may change other keys at the
// same time. Get does not see it.
func (r *Row) SetKey(c *schema.Column, k, v ovsdb.Atom) {
	s := r.at(c)
	s.keys = append(s.keys, ovsdb.Pair{K: k, V: v})
}

// AddElement adds one element to a set in the manner of SetKey.
func (r *Row) AddElement(c *schema.Column, a ovsdb.Atom) {
	s := r.at(c)
	s.added = append(s.added, a)
}

// Delete deletes the row. Of a table whose rows live by reference only, nothing
// is sent: the row goes when its last reference does.
func (r *Row) Delete() {
	r.deleted = true
	r.txn.gen++
	delete(r.txn.sorted, r.Table)
}

// Keep makes the server use ID as the new row's UUID.
func (r *Row) Keep() { r.explicit = true }

// Row returns a row, nil if it does not exist or was deleted.
func (x *Txn) Row(t *schema.Table, id ovsdb.UUID) *Row {
	if r := x.rows[id]; r != nil {
		if r.deleted || r.Table != t {
			return nil
		}
		return r
	}
	base, ok := x.db.tables[t.Index][id]
	if !ok {
		return nil
	}
	r := &Row{Table: t, ID: id, txn: x, base: base, cols: slices.Clone(base)}
	x.rows[id] = r
	x.touched = append(x.touched, r)
	return r
}

// Refs returns the rows of t that a column refers to, in the order of their
// UUIDs, without those that are not there.
func (x *Txn) Refs(t *schema.Table, d ovsdb.Datum) []*Row {
	var rows []*Row
	for _, a := range d.Keys() {
		if r := x.Row(t, a.UUID()); r != nil {
			rows = append(rows, r)
		}
	}
	return rows
}

// Rows returns the rows of a table in the order of their UUIDs.
func (x *Txn) Rows(t *schema.Table) []*Row {
	ids, ok := x.sorted[t]
	if !ok {
		for id := range x.db.tables[t.Index] {
			ids = append(ids, id)
		}
		for _, r := range x.touched {
			if r.Table == t && r.Inserted() {
				ids = append(ids, r.ID)
			}
		}
		slices.SortFunc(ids, ovsdb.UUID.Compare)
		x.sorted[t] = ids
	}
	rows := make([]*Row, 0, len(ids))
	for _, id := range ids {
		if r := x.Row(t, id); r != nil {
			rows = append(rows, r)
		}
	}
	return rows
}

// Insert makes a row with default values and a provisional UUID.
func (x *Txn) Insert(t *schema.Table) *Row { return x.InsertAs(t, x.NewUUID()) }

// NewUUID returns a provisional UUID for InsertAs.
func (x *Txn) NewUUID() ovsdb.UUID { return ovsdb.NewUUID(x.rand) }

// InsertAs makes a row with default values under a UUID from NewUUID.
func (x *Txn) InsertAs(t *schema.Table, id ovsdb.UUID) *Row {
	r := &Row{Table: t, ID: id, txn: x, cols: t.New()}
	x.rows[id] = r
	x.touched = append(x.touched, r)
	x.gen++
	delete(x.sorted, t)
	return r
}
