// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"github.com/weirswitch/weir/ovsdb"
)

// Schema is a database schema, RFC 7047 <database-schema>.
type Schema struct {
	Name    string
	Version string   // "x.y.z", or "" if absent
	Cksum   string   // free text; Open vSwitch puts "<crc> <bytes>" there
	Tables  []*Table // sorted by name

	byName map[string]*Table
}

// Table returns the table of that name, nil if there is none.
func (s *Schema) Table(name string) *Table { return s.byName[name] }

// Table is a <table-schema>.
type Table struct {
	Name    string
	Index   int       // in Schema.Tables
	Columns []*Column // sorted by name, without _uuid and _version
	MaxRows int       // ovsdb.Unlimited if absent
	// IsRoot: rows live without a strong reference to them. In a schema where
	// no table says isRoot, every table is root.
	IsRoot  bool
	Indexes [][]*Column // the values of each set of columns are unique

	Strong []*Column // columns that hold strong references
	Weak   []*Column // columns that hold weak references

	byName   map[string]*Column
	saysRoot bool // isRoot was given
}

// Column returns the column of that name, also "_uuid" and "_version"; nil if
// there is none.
func (t *Table) Column(name string) *Column { return t.byName[name] }

// Column is a <column-schema>.
type Column struct {
	Name      string
	Index     int // in Table.Columns; ovsdb.ColUUID and ovsdb.ColVersion for the two built-in ones
	Type      ovsdb.ColumnType
	Mutable   bool // false: set by insert only
	Ephemeral bool // not kept over a restart

	Default ovsdb.Datum // of an insert that does not mention the column

	KeyTable, ValueTable *Table // what the key or value refers to, or nil
}

// New returns the values of a new row: each column's default.
func (t *Table) New() []ovsdb.Datum {
	cols := make([]ovsdb.Datum, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = c.Default
	}
	return cols
}
