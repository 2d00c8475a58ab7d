// SPDX-License-Identifier: Apache-2.0

package table

import (
	"strings"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// Table is headings, and rows of as many cells.
type Table struct {
	Caption  string
	Headings []string
	Rows     [][]Cell
	// Stamp is printed in front of the caption, as "monitor --timestamp" does.
	Stamp string
}

// Add appends a row.
func (t *Table) Add(cells ...Cell) { t.Rows = append(t.Rows, cells) }

// Cell is the content of one cell. Make it with Text, JSON or Value.
type Cell struct {
	text  string
	json  string
	datum ovsdb.Datum
	kind  cellKind
	none  bool // see Nothing
}

type cellKind uint8

const (
	textCell cellKind = iota
	jsonCell
	datumCell
)

// Text returns a cell of plain text.
func Text(s string) Cell { return Cell{kind: textCell, text: s} }

// JSON returns a cell that holds JSON text, compact.
func JSON(s string) Cell { return Cell{kind: jsonCell, json: s} }

// Nothing returns the cell of a value that is not there: empty, null in JSON.
func Nothing() Cell { return Cell{kind: datumCell, json: "null", none: true} }

// Value returns a cell that holds a database value; t is its column's type.
func Value(d ovsdb.Datum, t *ovsdb.ColumnType) Cell {
	return Cell{kind: datumCell, datum: d, text: Format(d, t), json: string(d.AppendJSON(nil))}
}

// Notation says how a value is printed in a cell.
type Notation uint8

// The notations of -d: String is what ovs-vsctl reads back, Bare has no
// punctuation, JSONData is RFC 7047's.
const (
	String Notation = iota
	Bare
	JSONData
)

// in returns the cell's text in a notation.
func (c Cell) in(n Notation) string {
	switch {
	case c.none:
		return ""
	case c.kind == jsonCell:
		return c.json
	case c.kind == datumCell:
		switch n {
		case Bare:
			return FormatBare(c.datum)
		case JSONData:
			return c.json
		}
	}
	return c.text
}

// asJSON returns the cell as a JSON value.
func (c Cell) asJSON() string {
	if c.kind == textCell {
		return string(jsontree.AppendString(nil, c.text))
	}
	return c.json
}

// Format returns a value in the notation that ovs-vsctl reads, e.g. {a=b, "c
// d"=e} or [1, 2]. Brackets are left out around a value of a column that holds
// one element at most, unless it is empty.
func Format(d ovsdb.Datum, t *ovsdb.ColumnType) string {
	if t.Max == 1 && !t.IsMap() && d.Len() == 1 {
		return d.Key(0).String()
	}
	parts := make([]string, d.Len())
	for i, k := range d.Keys() {
		parts[i] = k.String()
		if d.IsMap() {
			parts[i] += "=" + d.Value(i).String()
		}
	}
	list := strings.Join(parts, ", ")
	if t.IsMap() {
		return "{" + list + "}"
	}
	return "[" + list + "]"
}

// FormatBare returns a value without brackets, quotes and commas.
func FormatBare(d ovsdb.Datum) string {
	parts := make([]string, d.Len())
	for i, k := range d.Keys() {
		parts[i] = BareAtom(k)
		if d.IsMap() {
			parts[i] += "=" + BareAtom(d.Value(i))
		}
	}
	return strings.Join(parts, " ")
}

// BareAtom returns an atom without quotes.
func BareAtom(a ovsdb.Atom) string {
	if a.Type() == ovsdb.String {
		return a.Str()
	}
	return a.String()
}
