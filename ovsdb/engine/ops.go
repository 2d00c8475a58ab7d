// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/query"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// run runs one operation and appends its result.
func (x *executor) run(b []byte, op jsontree.Value) ([]byte, error) {
	m := &members{x: x, op: op}
	if op.Kind() != jsontree.Object {
		m.fail("Object expected.")
		return b, m.err
	}
	name := m.id("op", false)
	if m.err != nil {
		return b, m.err
	}
	switch name {
	case "insert", "update", "mutate", "delete":
		if x.env.ReadOnly {
			return b, ovsdb.Errorf(ovsdb.ErrNotAllowed, "%s operation not allowed when database server is in read only mode", name)
		}
	}
	switch name {
	case "insert":
		return x.insert(b, m)
	case "select":
		return x.selectRows(b, m)
	case "update":
		return x.update(b, m)
	case "mutate":
		return x.mutate(b, m)
	case "delete":
		return x.delete(b, m)
	case "wait":
		return x.wait(b, m)
	case "commit":
		return x.commit(b, m)
	case "abort":
		return x.abort(b, m)
	case "comment":
		return x.comment(b, m)
	case "assert":
		return x.assert(b, m)
	}
	m.fail("No operation \"%s\"", name)
	return b, m.err
}

// table returns the table that the operation names, nil if there is an error.
func (m *members) table() *schema.Table {
	name := m.id("table", false)
	if m.err != nil {
		return nil
	}
	t := m.x.tx.db.schema.Table(name)
	if t == nil {
		m.fail("No table named %s.", name)
	}
	return t
}

// row decodes a <row>: columns with values. _uuid and _version may be there.
func (x *executor) row(t *schema.Table, v jsontree.Value) ([]Set, error) {
	if v.Kind() != jsontree.Object {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "row must be JSON object")
	}
	out := make([]Set, 0, v.Len())
	for i := range v.Len() {
		name, cv := v.Member(i)
		c := t.Column(name)
		if c == nil {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrColumn, v, "No column %s in table %s.", name, t.Name)
		}
		d, err := ovsdb.DecodeDatum(cv, &c.Type, x)
		if err != nil {
			return nil, err
		}
		out = append(out, Set{c, d})
	}
	return out, nil
}

func (x *executor) insert(b []byte, m *members) ([]byte, error) {
	t := m.table()
	chosen, hasUUID := m.get("uuid", true, jsontree.String)
	name := m.id("uuid-name", true)
	row, _ := m.get("row", false, jsontree.Object)
	if err := m.done("op", "table", "uuid", "uuid-name", "row"); err != nil {
		return b, err
	}
	var id ovsdb.UUID
	if hasUUID {
		var err error
		if id, err = ovsdb.ParseUUID(chosen.Str()); err != nil {
			return b, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, chosen, "bad uuid")
		}
		if !x.tx.free(t, id) {
			return b, duplicateUUID(id)
		}
	}
	if name != "" {
		s := x.symbol(name)
		if s.created {
			return b, ovsdb.SyntaxErrorf(ovsdb.ErrDupName, jsontree.OfString(name),
				"This \"uuid-name\" appeared on an earlier \"insert\" operation.")
		}
		s.created = true
		if hasUUID {
			s.id = id
		} else {
			id = s.id
		}
	}
	if id.IsZero() && !hasUUID {
		id = ovsdb.NewUUID(x.tx.db.rand)
	}
	vals, err := x.row(t, row)
	if err != nil {
		return b, err
	}
	if err := x.tx.insert(t, id, vals); err != nil {
		return b, err
	}
	b = append(b, `{"uuid":`...)
	b = ovsdb.Ref(id).AppendJSON(b)
	return append(b, '}'), nil
}

// columns decodes a list of column names. Without one it is all columns, _uuid
// and _version too.
func (x *executor) columns(t *schema.Table, v jsontree.Value, given bool) ([]*schema.Column, error) {
	if !given {
		return append([]*schema.Column{t.Column("_uuid"), t.Column("_version")}, t.Columns...), nil
	}
	out := make([]*schema.Column, 0, min(v.Len(), len(t.Columns)+2))
	seen := map[*schema.Column]bool{}
	for _, cv := range v.Array() {
		if cv.Kind() != jsontree.String {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "array of distinct column names expected")
		}
		c := t.Column(cv.Str())
		switch {
		case c == nil:
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "%s is not a valid column name", cv.Str())
		case seen[c]:
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "array of distinct column names expected")
		}
		seen[c] = true
		out = append(out, c)
	}
	return out, nil
}

func (x *executor) selectRows(b []byte, m *members) ([]byte, error) {
	t := m.table()
	where, _ := m.get("where", false, jsontree.Array)
	names, given := m.get("columns", true, jsontree.Array)
	if err := m.done("op", "table", "where", "columns"); err != nil {
		return b, err
	}
	cond, err := query.ParseCondition(t, where, x)
	if err != nil {
		return b, err
	}
	cols, err := x.columns(t, names, given)
	if err != nil {
		return b, err
	}
	b = append(b, `{"rows":[`...)
	rows := x.tx.Select(t, cond)
	// Rows that are equal in the columns asked for are answered once, as stock
	// does. With _uuid there are none.
	var seen map[string]bool
	if given && len(rows) > 1 && !slices.Contains(cols, t.Column("_uuid")) {
		seen = make(map[string]bool)
	}
	n := len(b)
	for _, r := range rows {
		start := len(b)
		if start > n {
			b = append(b, ',')
		}
		row := len(b)
		b = appendRow(b, cols, r)
		if seen != nil {
			if seen[string(b[row:])] {
				b = b[:start]
				continue
			}
			seen[string(b[row:])] = true
		}
		if len(b) > x.max {
			return b, ovsdb.Errorf(ovsdb.ErrResources, "the reply would have more than %d bytes", x.max)
		}
	}
	return append(b, `]}`...), nil
}

func appendRow(b []byte, cols []*schema.Column, r *ovsdb.Row) []byte {
	b = append(b, '{')
	for i, c := range cols {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontree.AppendString(b, c.Name)
		b = append(b, ':')
		b = r.Get(c.Index).AppendJSON(b)
	}
	return append(b, '}')
}

func appendCount(b []byte, n int) []byte {
	b = append(b, `{"count":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '}')
}

func (x *executor) update(b []byte, m *members) ([]byte, error) {
	t := m.table()
	where, _ := m.get("where", false, jsontree.Array)
	row, _ := m.get("row", false, jsontree.Object)
	if err := m.done("op", "table", "where", "row"); err != nil {
		return b, err
	}
	vals, err := x.row(t, row)
	if err != nil {
		return b, err
	}
	for _, v := range vals {
		if !v.Column.Mutable {
			return b, ovsdb.SyntaxErrorf(ovsdb.ErrConstraint, m.op,
				"Cannot update immutable column %s in table %s.", v.Column.Name, t.Name)
		}
	}
	cond, err := query.ParseCondition(t, where, x)
	if err != nil {
		return b, err
	}
	rows := x.tx.Select(t, cond)
	for _, r := range rows {
		x.tx.update(&x.tx.db.tables[t.Index], r, vals)
	}
	return appendCount(b, len(rows)), nil
}

func (x *executor) mutate(b []byte, m *members) ([]byte, error) {
	t := m.table()
	where, _ := m.get("where", false, jsontree.Array)
	list, _ := m.get("mutations", false, jsontree.Array)
	if err := m.done("op", "table", "where", "mutations"); err != nil {
		return b, err
	}
	muts, err := query.ParseMutations(t, list, x)
	if err != nil {
		return b, err
	}
	cond, err := query.ParseCondition(t, where, x)
	if err != nil {
		return b, err
	}
	rows := x.tx.Select(t, cond)
	set := make([]Set, 1)
	for _, r := range rows {
		for i := range muts {
			mu := &muts[i]
			cur := x.tx.Row(t, r.ID)
			d, err := mu.Apply(cur.Get(mu.Column.Index))
			if err != nil {
				return b, err
			}
			set[0] = Set{mu.Column, d}
			x.tx.update(&x.tx.db.tables[t.Index], cur, set)
		}
	}
	return appendCount(b, len(rows)), nil
}

func (x *executor) delete(b []byte, m *members) ([]byte, error) {
	t := m.table()
	where, _ := m.get("where", false, jsontree.Array)
	if err := m.done("op", "table", "where"); err != nil {
		return b, err
	}
	cond, err := query.ParseCondition(t, where, x)
	if err != nil {
		return b, err
	}
	rows := x.tx.Select(t, cond)
	for _, r := range rows {
		x.tx.touch(&x.tx.db.tables[t.Index], r.ID).cur = nil
	}
	return appendCount(b, len(rows)), nil
}

func (x *executor) wait(b []byte, m *members) ([]byte, error) {
	t := m.table()
	timeout, hasTimeout := m.get("timeout", true, jsontree.Integer)
	where, _ := m.get("where", false, jsontree.Array)
	names, given := m.get("columns", true, jsontree.Array)
	until, _ := m.get("until", false, jsontree.String)
	rows, _ := m.get("rows", false, jsontree.Array)
	if err := m.done("op", "table", "timeout", "where", "columns", "until", "rows"); err != nil {
		return b, err
	}
	cond, err := query.ParseCondition(t, where, x)
	if err != nil {
		return b, err
	}
	cols, err := x.columns(t, names, given)
	if err != nil {
		return b, err
	}
	if u := until.Str(); u != "==" && u != "!=" {
		return b, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, until, "\"until\" must be \"==\" or \"!=\"")
	}
	want := map[string]bool{}
	for _, rv := range rows.Array() {
		key, err := x.expected(t, rv, cols)
		if err != nil {
			return b, err
		}
		want[key] = true
	}
	if timeout.Float() < 0 {
		return b, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, timeout, "timeout must be nonnegative")
	}
	have := map[string]bool{}
	for _, r := range x.tx.Select(t, cond) {
		have[string(appendKey(nil, cols, r))] = true
	}
	equal := len(want) == len(have)
	for k := range want {
		equal = equal && have[k]
	}
	if equal == (until.Str() == "==") {
		return append(b, "{}"...), nil
	}
	if !hasTimeout {
		return b, pending{}
	}
	deadline := x.req.start.Add(time.Duration(math.Min(timeout.Float()*1e6, math.MaxInt64/2)))
	if x.env.Now.Before(deadline) {
		return b, pending{deadline}
	}
	if waited := x.env.Now.Sub(x.req.start); timeout.Float() > 0 {
		return b, ovsdb.Errorf(ovsdb.ErrTimedOut, "\"where\" clause test failed after %d ms", waited.Milliseconds())
	}
	return b, ovsdb.Errorf(ovsdb.ErrTimedOut, "\"where\" clause test failed")
}

// expected returns the key of a row that "wait" expects; columns that it does
// not mention have their default.
func (x *executor) expected(t *schema.Table, v jsontree.Value, cols []*schema.Column) (string, error) {
	vals, err := x.row(t, v)
	if err != nil {
		return "", err
	}
	var id, version ovsdb.UUID
	data := t.New()
	for _, s := range vals {
		a, _ := s.Value.Scalar()
		switch s.Column.Index {
		case ovsdb.ColUUID:
			id = a.UUID()
		case ovsdb.ColVersion:
			version = a.UUID()
		default:
			data[s.Column.Index] = s.Value
		}
	}
	return string(appendKey(nil, cols, ovsdb.NewRow(id, version, data))), nil
}

func (x *executor) commit(b []byte, m *members) ([]byte, error) {
	durable, _ := m.get("durable", false, jsontree.Bool)
	if err := m.done("op", "durable"); err != nil {
		return b, err
	}
	if durable.Bool() {
		x.tx.Durable()
	}
	return append(b, "{}"...), nil
}

func (x *executor) abort(b []byte, m *members) ([]byte, error) {
	if err := m.done("op"); err != nil {
		return b, err
	}
	return b, ovsdb.Errorf(ovsdb.ErrAborted, "aborted by request")
}

func (x *executor) comment(b []byte, m *members) ([]byte, error) {
	text, _ := m.get("comment", false, jsontree.String)
	if err := m.done("op", "comment"); err != nil {
		return b, err
	}
	x.tx.Comment(text.Str())
	return append(b, "{}"...), nil
}

func (x *executor) assert(b []byte, m *members) ([]byte, error) {
	lock := m.id("lock", false)
	if err := m.done("op", "lock"); err != nil {
		return b, err
	}
	if x.env.HasLock == nil || !x.env.HasLock(lock) {
		return b, ovsdb.Errorf(ovsdb.ErrNotOwner, "Asserted lock %s not held.", lock)
	}
	return append(b, "{}"...), nil
}
