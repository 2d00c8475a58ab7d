// SPDX-License-Identifier: Apache-2.0

package ovsdbclient

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// contents is the rows of one table of a database file.
type contents struct {
	rows  map[ovsdb.UUID][]ovsdb.Datum // by schema.Column.Index
	order []ovsdb.UUID
}

var errFile = errors.New("cannot identify file type")

// nextRecord cuts a record off a database file (ovsdb(5)).
func nextRecord(raw []byte) (v jsontree.Value, rest []byte, err error) {
	head, rest, ok := bytes.Cut(raw, []byte{'\n'})
	var n int
	var sum string
	if _, err := fmt.Sscanf(string(head), "OVSDB JSON %d %40s", &n, &sum); !ok || err != nil || n < 0 {
		return v, nil, errFile
	}
	if n > len(rest) {
		return v, nil, fmt.Errorf("record of %d bytes is cut off after %d", n, len(rest))
	}
	body := rest[:n]
	if fmt.Sprintf("%x", sha1.Sum(body)) != sum {
		return v, nil, fmt.Errorf("record of %d bytes has another checksum than %s", n, sum)
	}
	v, err = jsontree.Parse(body, bigTree)
	return v, rest[n:], err
}

// readFile reads a database file to its end. contents are by schema.Table.Index.
func readFile(raw []byte) (*schema.Schema, []contents, error) {
	v, raw, err := nextRecord(raw)
	if err != nil {
		return nil, nil, err
	}
	sch, err := schema.FromValue(v)
	if err != nil {
		return nil, nil, fmt.Errorf("schema: %w", err)
	}
	all := make([]contents, len(sch.Tables))
	for i := range all {
		all[i].rows = make(map[ovsdb.UUID][]ovsdb.Datum)
	}
	for len(raw) > 0 {
		if v, raw, err = nextRecord(raw); err != nil {
			return nil, nil, err
		}
		if err := apply(sch, all, v); err != nil {
			return nil, nil, err
		}
	}
	for i := range all {
		order := all[i].order[:0]
		seen := make(map[ovsdb.UUID]bool)
		for _, id := range all[i].order { // twice if deleted and made anew
			if all[i].rows[id] != nil && !seen[id] {
				order = append(order, id)
				seen[id] = true
			}
		}
		all[i].order = order
	}
	return sch, all, nil
}

// apply applies a transaction record.
func apply(sch *schema.Schema, all []contents, v jsontree.Value) error {
	if v.Kind() != jsontree.Object {
		return fmt.Errorf("transaction record is no object")
	}
	d, _ := v.Get("_is_diff")
	for i := range v.Len() {
		name, rows := v.Member(i)
		if name == "" || name[0] == '_' {
			continue
		}
		t := sch.Table(name)
		if t == nil || rows.Kind() != jsontree.Object {
			return fmt.Errorf("transaction record: bad table %q", name)
		}
		for j := range rows.Len() {
			text, cols := rows.Member(j)
			id, err := ovsdb.ParseUUID(text)
			if err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
			if err := all[t.Index].change(t, id, cols, d.Bool()); err != nil {
				return fmt.Errorf("table %s row %s: %w", name, id, err)
			}
		}
	}
	return nil
}

func (x *contents) change(t *schema.Table, id ovsdb.UUID, cols jsontree.Value, diff bool) error {
	if cols.Kind() == jsontree.Null {
		delete(x.rows, id)
		return nil
	}
	if cols.Kind() != jsontree.Object {
		return fmt.Errorf("row is no object")
	}
	row := x.rows[id]
	old := row != nil
	if !old {
		row = t.New()
		x.order = append(x.order, id)
	}
	for i := range cols.Len() {
		name, v := cols.Member(i)
		c := t.Column(name)
		if c == nil || c.Index < 0 {
			return fmt.Errorf("unknown column %q", name)
		}
		typ := c.Type
		if diff && old {
			typ.Min, typ.Max = 0, ovsdb.Unlimited
		}
		d, err := ovsdb.DecodeDatum(v, &typ, nil)
		if err == nil && diff && old {
			d, err = ovsdb.Apply(row[c.Index], d, &c.Type)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		row[c.Index] = d
	}
	x.rows[id] = row
	return nil
}
