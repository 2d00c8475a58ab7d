// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Needs is the set of columns that the commands read.
type Needs struct {
	cols map[*schema.Table]map[*schema.Column]bool
}

// Table asks for the rows of a table, be it without any column.
func (n *Needs) Table(t *schema.Table) {
	if n.cols == nil {
		n.cols = make(map[*schema.Table]map[*schema.Column]bool)
	}
	if t != nil && n.cols[t] == nil {
		n.cols[t] = make(map[*schema.Column]bool)
	}
}

// Column asks for a column. Built-in columns come with the row; nil is ignored.
// A reference column asks for the rows of the tables that it refers to as well.
func (n *Needs) Column(t *schema.Table, c *schema.Column) {
	n.Table(t)
	if t == nil || c == nil || c.Index < 0 {
		return
	}
	n.cols[t][c] = true
	n.Table(c.KeyTable)
	n.Table(c.ValueTable)
}

// All asks for every column of a table.
func (n *Needs) All(t *schema.Table) {
	for _, c := range t.Columns {
		n.Column(t, c)
	}
}

// Monitor returns the parameters of "monitor_cond" for a database.
func (n *Needs) Monitor(db, id string) []byte {
	var tables []*schema.Table
	for t := range n.cols {
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b *schema.Table) int { return a.Index - b.Index })
	b := jsontree.AppendString([]byte{'['}, db)
	b = append(b, ',')
	b = jsontree.AppendString(b, id)
	b = append(b, ",{"...)
	for i, t := range tables {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontree.AppendString(b, t.Name)
		b = append(b, `:[{"columns":[`...)
		first := true
		for _, c := range t.Columns {
			if !n.cols[t][c] {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = jsontree.AppendString(b, c.Name)
		}
		b = append(b, "]}]"...)
	}
	return append(b, "}]"...)
}

// DB is the copy of a database's contents.
type DB struct {
	Schema *schema.Schema
	tables []map[ovsdb.UUID][]ovsdb.Datum // by schema.Table.Index, then by Column.Index
}

// New returns an empty copy.
func New(s *schema.Schema) *DB {
	db := &DB{Schema: s, tables: make([]map[ovsdb.UUID][]ovsdb.Datum, len(s.Tables))}
	for i := range db.tables {
		db.tables[i] = make(map[ovsdb.UUID][]ovsdb.Datum)
	}
	return db
}

// Len returns the number of rows of a table.
func (db *DB) Len(t *schema.Table) int { return len(db.tables[t.Index]) }

// Update applies <table-updates2>: the result of monitor_cond or the second
// parameter of an "update2" notification (ovsdb-server(7), section 4.1.14). On
// an error the copy is of no use any more.
func (db *DB) Update(v jsontree.Value) error {
	if v.Kind() != jsontree.Object {
		return fmt.Errorf("table updates: expected an object, got %s", v.Kind())
	}
	for i := range v.Len() {
		name, rows := v.Member(i)
		t := db.Schema.Table(name)
		if t == nil {
			return fmt.Errorf("table updates: unknown table %q", name)
		}
		if rows.Kind() != jsontree.Object {
			return fmt.Errorf("update of table %s: expected an object, got %s", name, rows.Kind())
		}
		for j := range rows.Len() {
			text, u := rows.Member(j)
			id, err := ovsdb.ParseUUID(text)
			if err != nil {
				return fmt.Errorf("update of table %s: %w", name, err)
			}
			if err := db.row(t, id, u); err != nil {
				return fmt.Errorf("update of table %s row %s: %w", name, id, err)
			}
		}
	}
	return nil
}

func (db *DB) row(t *schema.Table, id ovsdb.UUID, u jsontree.Value) error {
	if u.Kind() != jsontree.Object || u.Len() != 1 {
		return fmt.Errorf("expected an object of one member")
	}
	rows := db.tables[t.Index]
	kind, cols := u.Member(0)
	old, known := rows[id]
	switch kind {
	case "initial", "insert":
		old = t.New()
	case "delete":
		delete(rows, id)
		return nil
	case "modify":
		if !known {
			return fmt.Errorf("modifies a row that is not there")
		}
	default:
		return fmt.Errorf("unknown kind of update %q", kind)
	}
	if cols.Kind() != jsontree.Object {
		return fmt.Errorf("%s: expected an object, got %s", kind, cols.Kind())
	}
	row := slices.Clone(old)
	for i := range cols.Len() {
		name, v := cols.Member(i)
		c := t.Column(name)
		if c == nil || c.Index < 0 {
			continue
		}
		// The server has checked the values; a difference need not fit the type.
		typ := c.Type
		if kind == "modify" {
			typ.Min, typ.Max = 0, ovsdb.Unlimited
		}
		d, err := ovsdb.DecodeDatum(v, &typ, nil)
		if err == nil && kind == "modify" {
			d, err = ovsdb.Apply(old[c.Index], d, &c.Type)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		row[c.Index] = d
	}
	rows[id] = row
	return nil
}
