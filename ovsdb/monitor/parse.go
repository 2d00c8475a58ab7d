// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"slices"

	"github.com/weirswitch/weir/firmware/base/order"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/query"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Version is the form of a monitor's messages.
type Version int

const (
	V1 Version = 1 + iota // monitor: update
	V2                    // monitor_cond: update2
	V3                    // monitor_cond_since: update3
)

// Select says which changes of a column or table a client wants.
type Select uint8

// The kinds of change (RFC 7047 section 4.1.5).
const (
	Initial Select = 1 << iota
	Insert
	Delete
	Modify
	all = Initial | Insert | Delete | Modify
)

// member names of <select>, in the order in which they are looked at.
var selectNames = []struct {
	name string
	bit  Select
}{{"initial", Initial}, {"insert", Insert}, {"delete", Delete}, {"modify", Modify}}

type column struct {
	*schema.Column
	sel Select
}

type table struct {
	*schema.Table
	cols    []column // by name, as the messages show them
	sel     Select   // of any column
	cond    query.Condition
	pending map[ovsdb.UUID]*ovsdb.Row // as the client knows them; nil: not at all
}

// Monitor is one subscription.
type Monitor struct {
	version Version
	schema  *schema.Schema
	tables  []*table // by name
	byIndex []*table // by schema.Table.Index; nil: not monitored
	pending int
}

// Parse reads <monitor-requests> or <monitor-cond-requests>: an object from
// table names to a request or an array of requests. The error is an
// *ovsdb.Error with stock's texts.
func Parse(v Version, s *schema.Schema, requests jsontree.Value) (*Monitor, error) {
	if requests.Kind() != jsontree.Object {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, requests, "monitor-requests must be object")
	}
	m := &Monitor{version: v, schema: s, byIndex: make([]*table, len(s.Tables))}
	for i := range requests.Len() {
		name, value := requests.Member(i)
		st := s.Table(name)
		if st == nil {
			return nil, ovsdb.Errorf(ovsdb.ErrSyntax, "no table named %s", name)
		}
		t := &table{Table: st, pending: map[ovsdb.UUID]*ovsdb.Row{}}
		reqs := []jsontree.Value{value}
		if value.Kind() == jsontree.Array {
			reqs = value.Array()
		}
		var clauses []query.Clause
		for _, r := range reqs {
			c, err := t.parse(v, r)
			if err != nil {
				return nil, err
			}
			clauses = append(clauses, c...)
		}
		t.cond = query.Where(clauses...)
		order.Sort(t.cols, func(a, b column) int {
			switch {
			case a.Name < b.Name:
				return -1
			case a.Name > b.Name:
				return 1
			}
			return 0
		})
		m.tables = append(m.tables, t)
		m.byIndex[st.Index] = t
	}
	slices.SortFunc(m.tables, func(a, b *table) int { return a.Index - b.Index })
	return m, nil
}

// members checks an object against the members that it may have.
func members(where string, v jsontree.Value, kinds map[string]jsontree.Kind) error {
	if v.Kind() != jsontree.Object {
		return ovsdb.Errorf(ovsdb.ErrSyntax, "Parsing %s failed: Object expected.", where)
	}
	for i := range v.Len() {
		name, value := v.Member(i)
		k, ok := kinds[name]
		if !ok {
			return ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "Parsing %s failed: Member '%s' is present but not allowed here.", where, name)
		}
		if value.Kind() != k {
			return ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "Parsing %s failed: Type mismatch for member '%s'.", where, name)
		}
	}
	return nil
}

// parse adds one <monitor-request> to the table.
func (t *table) parse(v Version, r jsontree.Value) ([]query.Clause, error) {
	kinds := map[string]jsontree.Kind{"columns": jsontree.Array, "select": jsontree.Object}
	if v != V1 {
		kinds["where"] = jsontree.Array
	}
	where := "table " + t.Name
	if err := members(where, r, kinds); err != nil {
		return nil, err
	}
	sel := all
	if s, ok := r.Get("select"); ok {
		if err := members(where+" select", s, map[string]jsontree.Kind{
			"initial": jsontree.Bool, "insert": jsontree.Bool, "delete": jsontree.Bool, "modify": jsontree.Bool}); err != nil {
			return nil, err
		}
		for _, n := range selectNames {
			if b, ok := s.Get(n.name); ok && !b.Bool() {
				sel &^= n.bit
			}
		}
	}
	t.sel |= sel
	cols, ok := r.Get("columns")
	if !ok { // all, and _version
		for _, c := range append(slices.Clone(t.Columns), t.Column("_version")) {
			if !t.add(c, sel) {
				return nil, ovsdb.Errorf(ovsdb.ErrSyntax, "column %s mentioned more than once", c.Name)
			}
		}
	}
	for _, e := range cols.Array() {
		if e.Kind() != jsontree.String {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, cols, "array of column names expected")
		}
		c := t.Column(e.Str())
		if c == nil {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, cols, "%s is not a valid column name", e.Str())
		}
		if !t.add(c, sel) {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, cols, "column %s mentioned more than once", c.Name)
		}
	}
	w, ok := r.Get("where")
	if !ok {
		return nil, nil
	}
	cond, err := query.ParseCondition(t.Table, w, nil)
	if err != nil {
		return nil, err
	}
	return cond.Clauses(), nil
}

// add adds a column, unless it is there.
func (t *table) add(c *schema.Column, sel Select) bool {
	if slices.ContainsFunc(t.cols, func(h column) bool { return h.Name == c.Name }) {
		return false
	}
	t.cols = append(t.cols, column{c, sel})
	return true
}

// parseConds reads <monitor-cond-update-requests>: for each table an array of
// objects with "where". Of several the last counts, as in stock.
func (m *Monitor) parseConds(requests jsontree.Value) (map[*table]query.Condition, error) {
	if requests.Kind() != jsontree.Object {
		return nil, ovsdb.Errorf(ovsdb.ErrSyntax, "monitor-cond-change-requests must be object")
	}
	out := map[*table]query.Condition{}
	for i := range requests.Len() {
		name, value := requests.Member(i)
		st := m.schema.Table(name)
		if st == nil {
			return nil, ovsdb.Errorf(ovsdb.ErrSyntax, "no table named %s", name)
		}
		t := m.byIndex[st.Index]
		if t == nil {
			return nil, ovsdb.Errorf(ovsdb.ErrSyntax, "no table named %s in monitor session", name)
		}
		if value.Kind() != jsontree.Array {
			return nil, ovsdb.Errorf(ovsdb.ErrSyntax, "table %s no monitor-cond-change JSON array", name)
		}
		for _, r := range value.Array() {
			if err := members("table "+name, r, map[string]jsontree.Kind{"where": jsontree.Array, "columns": jsontree.Array}); err != nil {
				return nil, err
			}
			if _, ok := r.Get("columns"); ok {
				return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, r, "changing columns is unsupported")
			}
			w, ok := r.Get("where")
			if !ok {
				continue
			}
			c, err := query.ParseCondition(st, w, nil)
			if err != nil {
				return nil, err
			}
			out[t] = c
		}
	}
	return out, nil
}
