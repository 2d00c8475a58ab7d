// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// writer builds the text of a transaction record.
type writer struct {
	b     []byte
	table *schema.Table // whose object is open; nil: none
}

// newWriter returns a writer that appends to dst.
func newWriter(dst []byte, now time.Time, isDiff bool) *writer {
	b := append(dst, `{"_date":`...)
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	if isDiff {
		b = append(b, `,"_is_diff":true`...)
	}
	return &writer{b: b}
}

// plain reports whether a commit must be written without differences. The stock
// server's reader (3.1) takes what stands for a column that has its default for
// the new value, though its writer writes a difference there too. That is the
// same unless the default is not empty and the column is of many elements.
func plain(c *engine.Commit) bool {
	for i := range c.Changes {
		ch := &c.Changes[i]
		if ch.Old == nil || ch.New == nil {
			continue
		}
		for _, i := range ch.Changed {
			col := ch.Table.Columns[i]
			if col.Type.Min > 0 && col.Type.Max > 1 && !col.Ephemeral && ch.Old.Get(i).Equal(col.Default) {
				return true
			}
		}
	}
	return false
}

// row begins a row's value.
func (w *writer) row(t *schema.Table, id ovsdb.UUID) {
	if w.table != t {
		if w.table != nil {
			w.b = append(w.b, '}')
		}
		w.b = append(w.b, ',')
		w.b = jsontree.AppendString(w.b, t.Name)
		w.b = append(w.b, ":{"...)
		w.table = t
	} else {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = id.Append(w.b)
	w.b = append(w.b, `":`...)
}

func (w *writer) column(first bool, c *schema.Column, d ovsdb.Datum) {
	if !first {
		w.b = append(w.b, ',')
	}
	w.b = jsontree.AppendString(w.b, c.Name)
	w.b = append(w.b, ':')
	w.b = d.AppendExact(w.b)
}

func (w *writer) end(comment string) []byte {
	if w.table != nil {
		w.b = append(w.b, '}')
	}
	if comment != "" {
		w.b = append(w.b, `,"_comment":`...)
		w.b = jsontree.AppendString(w.b, comment)
	}
	return append(w.b, '}')
}

// encode appends the record's text for a commit to dst; it returns nil if nothing of
// it is stored: only ephemeral columns changed.
func encode(dst []byte, c *engine.Commit, now time.Time) []byte {
	isDiff := !plain(c)
	w := newWriter(dst, now, isDiff)
	for i := range c.Changes {
		ch := &c.Changes[i]
		t := ch.Table
		stored := func(i int) bool { return !t.Columns[i].Ephemeral }
		switch {
		case ch.New == nil:
			w.row(t, ch.ID)
			w.b = append(w.b, "null"...)
			continue
		case ch.Old != nil && !slices.ContainsFunc(ch.Changed, stored):
			continue
		}
		w.row(t, ch.ID)
		w.b = append(w.b, '{')
		first := true
		for _, i := range ch.Changed {
			if !stored(i) {
				continue
			}
			col := t.Columns[i]
			d := ch.New.Get(i)
			if ch.Old != nil && isDiff {
				d = ovsdb.ModifyOf(&col.Type, ch.Old.Get(i), d)
			}
			w.column(first, col, d)
			first = false
		}
		w.b = append(w.b, '}')
	}
	if w.table == nil {
		return nil
	}
	return w.end(c.Comment)
}

// encodeAll appends the record's text that makes a whole snapshot to dst; it returns
// nil if that is empty.
func encodeAll(dst []byte, s *engine.Snapshot, now time.Time, comment string) []byte {
	w := newWriter(dst, now, true)
	for _, t := range s.Schema().Tables {
		for r := range s.Rows(t) {
			w.row(t, r.ID)
			w.b = append(w.b, '{')
			first := true
			for i, c := range t.Columns {
				if d := r.Get(i); !c.Ephemeral && !d.Equal(c.Default) {
					w.column(first, c, d)
					first = false
				}
			}
			w.b = append(w.b, '}')
		}
	}
	if w.table == nil {
		return nil
	}
	return w.end(comment)
}

// change is one row of a decoded record.
type change struct {
	table *schema.Table
	id    ovsdb.UUID
	cols  []ovsdb.Datum // nil: delete
}

// decode decodes a transaction record against the rows as they stand. Nothing
// is applied: a record counts as a whole or not at all.
func decode(text []byte, s *schema.Schema, l *engine.Loader) ([]change, error) {
	v, err := jsontree.Parse(text, jsontree.Limits{Values: len(text) + 1})
	if err != nil {
		return nil, err
	}
	if v.Kind() != jsontree.Object {
		return nil, fmt.Errorf("a record must be an object, not %s", v.Kind())
	}
	isDiff, _ := v.Get("_is_diff")
	var out []change
	for i := range v.Len() {
		name, tv := v.Member(i)
		if strings.HasPrefix(name, "_") {
			continue // _date, _comment, _is_diff and what may come
		}
		t := s.Table(name)
		if t == nil {
			return nil, fmt.Errorf("no table named %s", name)
		}
		if tv.Kind() != jsontree.Object {
			return nil, fmt.Errorf("table %s: expected an object, not %s", name, tv.Kind())
		}
		for j := range tv.Len() {
			key, rv := tv.Member(j)
			id, err := ovsdb.ParseUUID(key)
			if err != nil {
				return nil, fmt.Errorf("table %s: %w", name, err)
			}
			c := change{table: t, id: id}
			if rv.Kind() != jsontree.Null {
				if c.cols, err = decodeRow(rv, t, l.Row(t, id), isDiff.Bool()); err != nil {
					return nil, fmt.Errorf("table %s row %s: %w", name, id, err)
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// decodeRow returns a row's columns after a record; old is nil for a new row.
func decodeRow(v jsontree.Value, t *schema.Table, old *ovsdb.Row, isDiff bool) ([]ovsdb.Datum, error) {
	if v.Kind() != jsontree.Object {
		return nil, fmt.Errorf("expected an object or null, not %s", v.Kind())
	}
	cols := t.New()
	if old != nil {
		cols = slices.Clone(old.Cols())
	}
	for i := range v.Len() {
		name, cv := v.Member(i)
		c := t.Column(name)
		if c == nil || c.Index < 0 {
			return nil, fmt.Errorf("no column %s", name)
		}
		typ := c.Type
		diff := isDiff && old != nil && typ.Max > 1
		if diff {
			typ.Min, typ.Max = 0, ovsdb.Unlimited
		}
		d, err := ovsdb.DecodeDatum(cv, &typ, nil)
		if err == nil && diff {
			d, err = ovsdb.Apply(cols[c.Index], d, &c.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		if !c.Ephemeral {
			cols[c.Index] = d
		}
	}
	for i, c := range t.Columns {
		if err := c.Type.Check(cols[i]); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	return cols, nil
}
