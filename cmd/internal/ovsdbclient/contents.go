// SPDX-License-Identifier: Apache-2.0

package ovsdbclient

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/firmware/base/order"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// maxFile bounds what restore reads, in bytes.
const maxFile = 1 << 30

// selection is the columns of a table that are asked for.
type selection struct {
	table   *schema.Table
	columns []*schema.Column
}

// read asks for all rows of the tables in one transaction: rows[i] belong to
// sel[i].
func (s *session) read(sel []selection) (rows [][][]ovsdb.Datum, err error) {
	params := "[" + quote(s.db)
	for _, x := range sel {
		var names []string
		for _, c := range x.columns {
			names = append(names, quote(c.Name))
		}
		params += `,{"op":"select","table":` + quote(x.table.Name) + `,"where":[],"columns":[` + strings.Join(names, ",") + `]}`
	}
	v, err := s.call("transact", params+"]")
	if err != nil {
		return nil, err
	}
	results := v.Array()
	for i, x := range sel {
		if i >= len(results) {
			return nil, fmt.Errorf("reply to transact has %d results, expected %d", len(results), len(sel))
		}
		list, ok := results[i].Get("rows")
		if !ok || list.Kind() != jsontree.Array {
			return nil, fmt.Errorf("%s table reply is not an object with a \"rows\" member array: %s", x.table.Name, results[i].AppendJSON(nil))
		}
		var out [][]ovsdb.Datum
		for _, r := range list.Array() {
			row := make([]ovsdb.Datum, len(x.columns))
			for j, c := range x.columns {
				v, ok := r.Get(c.Name)
				if !ok {
					return nil, fmt.Errorf("%s table reply lacks column %s", x.table.Name, c.Name)
				}
				if row[j], err = ovsdb.DecodeDatum(v, &c.Type, nil); err != nil {
					return nil, fmt.Errorf("%s table reply, column %s: %w", x.table.Name, c.Name, err)
				}
			}
			out = append(out, row)
		}
		rows = append(rows, out)
	}
	return rows, nil
}

func byName(a, b *schema.Column) int { return strings.Compare(a.Name, b.Name) }

func dump(s *session) error {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	var sel []selection
	for _, t := range sch.Tables {
		sel = append(sel, selection{t, append([]*schema.Column{t.Column("_uuid")}, t.Columns...)})
	}
	if len(s.args) > 0 {
		t := sch.Table(s.args[0])
		if t == nil {
			return fmt.Errorf("No table \"%s\" found.", s.args[0])
		}
		cols := append([]*schema.Column{t.Column("_uuid")}, t.Columns...)
		if len(s.args) > 1 {
			cols = nil
		}
		for _, name := range s.args[1:] {
			c := t.Column(name)
			if c == nil {
				return fmt.Errorf("Table \"%s\" has no column %s.", t.Name, name)
			}
			cols = append(cols, c)
		}
		sel = []selection{{t, cols}}
	}
	for i := range sel {
		order.Sort(sel[i].columns, byName)
	}
	data, err := s.read(sel)
	if err != nil {
		return err
	}
	p := table.NewPrinter(s.env.Stdout, s.style)
	for i, x := range sel {
		t := &table.Table{Caption: x.table.Name + " table"}
		for _, c := range x.columns {
			t.Headings = append(t.Headings, c.Name)
		}
		sortRows(x.columns, data[i])
		for _, r := range data[i] {
			cells := make([]table.Cell, len(r))
			for j, d := range r {
				cells[j] = table.Value(d, &x.columns[j].Type)
			}
			t.Add(cells...)
		}
		if err := p.Print(t); err != nil {
			return err
		}
	}
	return nil
}

// sortRows sorts by the columns from left to right, those that hold UUIDs last:
// they are chance.
func sortRows(cols []*schema.Column, rows [][]ovsdb.Datum) {
	ranks := make([]int, 0, len(cols))
	var last []int
	for j, c := range cols {
		if c.Type.Key.Type == ovsdb.UUIDType || c.Type.IsMap() && c.Type.Value.Type == ovsdb.UUIDType {
			last = append(last, j)
		} else {
			ranks = append(ranks, j)
		}
	}
	ranks = append(ranks, last...)
	order.Sort(rows, func(a, b []ovsdb.Datum) int {
		for _, j := range ranks {
			if c := a[j].Compare(b[j]); c != 0 {
				return c
			}
		}
		return 0
	})
}

// kept returns _uuid and the columns that live in the database's file.
func kept(t *schema.Table) []*schema.Column {
	cols := []*schema.Column{t.Column("_uuid")}
	for _, c := range t.Columns {
		if !c.Ephemeral {
			cols = append(cols, c)
		}
	}
	return cols
}

// record returns a record of a database file: ovsdb(5), "Standalone Format".
func record(json []byte) string {
	json = append(json, '\n')
	return fmt.Sprintf("OVSDB JSON %d %x\n%s", len(json), sha1.Sum(json), json)
}

func backup(s *session) error {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	var sel []selection
	for _, t := range sch.Tables {
		sel = append(sel, selection{t, kept(t)})
	}
	data, err := s.read(sel)
	if err != nil {
		return err
	}
	b := fmt.Appendf(nil, `{"_date":%d,"_comment":"produced by \"ovsdb-client backup\""`, s.env.Now().UnixMilli())
	for i, x := range sel {
		if len(data[i]) == 0 {
			continue
		}
		b = append(b, ',')
		b = jsontree.AppendString(b, x.table.Name)
		for j, r := range data[i] {
			sep := byte(',')
			if j == 0 {
				b = append(b, ':')
				sep = '{'
			}
			b = append(b, sep)
			id, _ := r[0].Scalar()
			b = jsontree.AppendString(b, id.UUID().String())
			b = append(b, ":{"...)
			for k, c := range x.columns[1:] {
				if k > 0 {
					b = append(b, ',')
				}
				b = jsontree.AppendString(b, c.Name)
				b = append(b, ':')
				b = r[k+1].AppendJSON(b)
			}
			b = append(b, '}')
		}
		b = append(b, '}')
	}
	b = append(b, '}')
	if _, err := io.WriteString(s.env.Stdout, record(sch.AppendJSON(nil))+record(b)); err != nil {
		return errors.New("write to stdout failed")
	}
	return nil
}

// restore replaces all rows by those of the file on stdin.
func restore(s *session) error {
	raw, err := io.ReadAll(io.LimitReader(s.env.Stdin, maxFile))
	if err != nil {
		return fmt.Errorf("read stdin: %w", err)
	}
	have, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	sch, rows, err := readFile(raw)
	if err != nil {
		return fmt.Errorf("ovsdb error: /dev/stdin: %w", err)
	}
	if !s.force && string(sch.AppendJSON(nil)) != string(have.AppendJSON(nil)) {
		return fmt.Errorf("backup schema has version \"%s\" but database schema has version \"%s\" "+
			"(schemas differ; use --force to override differences)", sch.Version, have.Version)
	}
	params := "[" + quote(s.db)
	for _, t := range have.Tables {
		params += `,{"op":"delete","table":` + quote(t.Name) + `,"where":[]}`
	}
	text := []byte(params)
	for i, t := range sch.Tables {
		for _, id := range rows[i].order {
			text = appendInsert(text, t, id, rows[i].rows[id], rows)
		}
	}
	text = append(text, `,{"op":"comment","comment":"ovsdb-client restore"}]`...)
	v, err := s.call("transact", string(text))
	if err != nil {
		return err
	}
	for _, r := range v.Array() {
		if _, bad := r.Get("error"); bad {
			return fmt.Errorf("transaction failed: %s", r.AppendJSON(nil))
		}
	}
	return nil
}

func appendInsert(b []byte, t *schema.Table, id ovsdb.UUID, row []ovsdb.Datum, all []contents) []byte {
	b = append(b, `,{"op":"insert","table":`...)
	b = jsontree.AppendString(b, t.Name)
	b = append(b, `,"uuid-name":"`...)
	b = append(b, rowName(id)...)
	b = append(b, `","row":{`...)
	first := true
	for _, c := range t.Columns {
		if row[c.Index].Equal(c.Default) || c.Ephemeral {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = jsontree.AppendString(b, c.Name)
		b = append(b, ':')
		b = appendNamed(b, row[c.Index], all)
	}
	return append(b, "}}"...)
}

func rowName(u ovsdb.UUID) string { return "row" + strings.ReplaceAll(u.String(), "-", "_") }

// appendNamed is Datum.AppendJSON with named-uuids for references to rows of
// the file.
func appendNamed(b []byte, d ovsdb.Datum, all []contents) []byte {
	atom := func(a ovsdb.Atom) {
		if a.Type() == ovsdb.UUIDType {
			for _, t := range all {
				if _, ok := t.rows[a.UUID()]; ok {
					b = append(b, `["named-uuid","`+rowName(a.UUID())+`"]`...)
					return
				}
			}
		}
		b = a.AppendJSON(b)
	}
	kind := "set"
	if d.IsMap() {
		kind = "map"
	}
	b = append(b, `["`+kind+`",[`...)
	for i, k := range d.Keys() {
		if i > 0 {
			b = append(b, ',')
		}
		if !d.IsMap() {
			atom(k)
			continue
		}
		b = append(b, '[')
		atom(k)
		b = append(b, ',')
		atom(d.Value(i))
		b = append(b, ']')
	}
	return append(b, "]]"...)
}
