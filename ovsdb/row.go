// SPDX-License-Identifier: Apache-2.0

package ovsdb

// Indexes of the two columns that every row has without the schema naming them.
const (
	ColUUID    = -1 // "_uuid"
	ColVersion = -2 // "_version": changes with every change of the row
)

// Row is an immutable row of a table.
type Row struct {
	ID, Version UUID
	cols        []Datum // by schema.Column.Index
}

// NewRow returns a row of the given columns, which it keeps: the caller must
// not change them afterwards.
func NewRow(id, version UUID, cols []Datum) *Row {
	return &Row{ID: id, Version: version, cols: cols}
}

// Get returns the value of a column by its schema.Column.Index, also ColUUID
// and ColVersion.
func (r *Row) Get(col int) Datum {
	switch col {
	case ColUUID:
		return One(Ref(r.ID))
	case ColVersion:
		return One(Ref(r.Version))
	}
	return r.cols[col]
}

// NumCols returns the number of columns without _uuid and _version.
func (r *Row) NumCols() int { return len(r.cols) }

// Cols returns the columns in schema order. The caller must not change them.
func (r *Row) Cols() []Datum { return r.cols }
