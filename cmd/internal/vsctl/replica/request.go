// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Request is a transaction ready to send.
type Request struct {
	Params  []byte             // of "transact": [database, operation...]
	Inserts map[int]ovsdb.UUID // provisional UUIDs by the index of their insert in the results
	// Increment is the index of the "select" that tells the new value of the
	// counter that was asked for, -1 if there is none.
	Increment int
	Ops       int // number of operations: the results are at most one more
}

// Counter names an integer column of a row that a transaction counts up if it
// changes anything.
type Counter struct {
	Row    *Row
	Column *schema.Column
}

// Request returns the operations that make the changes, nil if there is nothing
// to change. comment goes into the database's log; count may be nil.
func (x *Txn) Request(comment string, count *Counter) *Request {
	e := &encoder{txn: x, req: &Request{Inserts: make(map[int]ovsdb.UUID), Increment: -1}}
	e.b = jsontree.AppendString([]byte{'['}, x.db.Schema.Name)
	for _, r := range x.touched {
		for _, c := range r.Table.Columns {
			if s := r.state[c.Index]; s != nil && s.verify {
				e.wait(r, c)
			}
		}
	}
	changes := false
	for _, r := range x.touched {
		changes = e.row(r) || changes
	}
	if !changes {
		return nil
	}
	if count != nil {
		e.increment(count)
	}
	if comment != "" {
		e.op(`{"op":"comment","comment":`)
		e.b = jsontree.AppendString(e.b, comment)
		e.b = append(e.b, '}')
	}
	e.req.Params = append(e.b, ']')
	return e.req
}

type encoder struct {
	txn *Txn
	req *Request
	b   []byte
}

// op begins an operation with the text up to its first value.
func (e *encoder) op(text string) {
	e.b = append(e.b, ',')
	e.b = append(e.b, text...)
	e.req.Ops++
}

// where appends table and condition.
func (e *encoder) where(r *Row) {
	e.b = jsontree.AppendString(e.b, r.Table.Name)
	e.b = append(e.b, `,"where":[["_uuid","==",["uuid","`...)
	e.b = r.ID.Append(e.b)
	e.b = append(e.b, `"]]]`...)
}

func (e *encoder) wait(r *Row, c *schema.Column) {
	e.op(`{"op":"wait","timeout":0,"until":"==","table":`)
	e.where(r)
	e.b = append(e.b, `,"columns":[`...)
	e.b = jsontree.AppendString(e.b, c.Name)
	e.b = append(e.b, `],"rows":[{`...)
	e.b = jsontree.AppendString(e.b, c.Name)
	e.b = append(e.b, ':')
	e.b = r.base[c.Index].AppendJSON(e.b)
	e.b = append(e.b, "}]}"...)
}

// row appends the operations of one row and reports whether there were any.
func (e *encoder) row(r *Row) bool {
	switch {
	case r.deleted:
		if r.Inserted() || !r.Table.IsRoot {
			return false
		}
		e.op(`{"op":"delete","table":`)
		e.where(r)
		e.b = append(e.b, '}')
		return true
	case r.Inserted():
		e.insert(r)
		return true
	}
	var whole []*schema.Column
	for _, c := range r.Table.Columns {
		if r.state[c.Index] != nil && !r.base[c.Index].Equal(r.cols[c.Index]) {
			whole = append(whole, c)
		}
	}
	if len(whole) > 0 {
		e.op(`{"op":"update","table":`)
		e.where(r)
		e.b = append(e.b, `,"row":`...)
		e.columns(r, whole)
		e.b = append(e.b, '}')
	}
	return e.mutate(r) || len(whole) > 0
}

// mutate appends the changes of single keys and elements.
func (e *encoder) mutate(r *Row) bool {
	n := 0
	mutation := func(c *schema.Column, how string, value func()) {
		if n++; n == 1 {
			e.op(`{"op":"mutate","table":`)
			e.where(r)
			e.b = append(e.b, `,"mutations":[`...)
		} else {
			e.b = append(e.b, ',')
		}
		e.b = append(e.b, '[')
		e.b = jsontree.AppendString(e.b, c.Name)
		e.b = append(e.b, `,"`...)
		e.b = append(e.b, how...)
		e.b = append(e.b, `",`...)
		value()
		e.b = append(e.b, ']')
	}
	for _, c := range r.Table.Columns {
		s := r.state[c.Index]
		if s == nil {
			continue
		}
		var old []ovsdb.Atom
		var set []ovsdb.Pair
		for _, p := range s.keys {
			v, ok := r.cols[c.Index].Lookup(p.K)
			if ok && v == p.V {
				continue
			}
			if ok {
				old = append(old, p.K)
			}
			set = append(set, p)
		}
		if len(old) > 0 {
			mutation(c, "delete", func() { e.set(ovsdb.NewSet(old...).Keys()) })
		}
		if len(set) > 0 {
			mutation(c, "insert", func() { e.datum(ovsdb.NewMap(set...)) })
		}
		if len(s.added) > 0 {
			mutation(c, "insert", func() { e.set(ovsdb.NewSet(s.added...).Keys()) })
		}
	}
	if n > 0 {
		e.b = append(e.b, "]}"...)
	}
	return n > 0
}

func (e *encoder) insert(r *Row) {
	e.req.Inserts[e.req.Ops] = r.ID
	e.op(`{"op":"insert","table":`)
	e.b = jsontree.AppendString(e.b, r.Table.Name)
	if r.explicit {
		e.b = append(e.b, `,"uuid":"`...)
		e.b = r.ID.Append(e.b)
		e.b = append(e.b, '"')
	} else {
		e.b = append(e.b, `,"uuid-name":"`...)
		e.b = append(e.b, name(r.ID)...)
		e.b = append(e.b, '"')
	}
	e.b = append(e.b, `,"row":`...)
	var cols []*schema.Column
	for _, c := range r.Table.Columns {
		if !r.cols[c.Index].Equal(c.Default) {
			cols = append(cols, c)
		}
	}
	e.columns(r, cols)
	e.b = append(e.b, '}')
}

func (e *encoder) columns(r *Row, cols []*schema.Column) {
	e.b = append(e.b, '{')
	for i, c := range cols {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = jsontree.AppendString(e.b, c.Name)
		e.b = append(e.b, ':')
		e.datum(r.cols[c.Index])
	}
	e.b = append(e.b, '}')
}

func (e *encoder) increment(n *Counter) {
	e.op(`{"op":"mutate","table":`)
	e.where(n.Row)
	e.b = append(e.b, `,"mutations":[[`...)
	e.b = jsontree.AppendString(e.b, n.Column.Name)
	e.b = append(e.b, `,"+=",1]]}`...)
	e.req.Increment = e.req.Ops
	e.op(`{"op":"select","table":`)
	e.where(n.Row)
	e.b = append(e.b, `,"columns":[`...)
	e.b = jsontree.AppendString(e.b, n.Column.Name)
	e.b = append(e.b, "]}"...)
}

// datum is Datum.AppendJSON with references to new rows as named-uuids.
func (e *encoder) datum(d ovsdb.Datum) {
	switch {
	case d.IsMap():
		e.b = append(e.b, `["map",[`...)
		for i, k := range d.Keys() {
			if i > 0 {
				e.b = append(e.b, ',')
			}
			e.b = append(e.b, '[')
			e.atom(k)
			e.b = append(e.b, ',')
			e.atom(d.Value(i))
			e.b = append(e.b, ']')
		}
		e.b = append(e.b, "]]"...)
	case d.Len() == 1:
		e.atom(d.Key(0))
	default:
		e.set(d.Keys())
	}
}

// set appends ["set", ...] also where a bare atom would do.
func (e *encoder) set(atoms []ovsdb.Atom) {
	e.b = append(e.b, `["set",[`...)
	for i, a := range atoms {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.atom(a)
	}
	e.b = append(e.b, "]]"...)
}

func (e *encoder) atom(a ovsdb.Atom) {
	if a.Type() == ovsdb.UUIDType {
		if r := e.txn.rows[a.UUID()]; r != nil && r.Inserted() && !r.explicit {
			e.b = append(e.b, `["named-uuid","`...)
			e.b = append(e.b, name(r.ID)...)
			e.b = append(e.b, `"]`...)
			return
		}
	}
	e.b = a.AppendJSON(e.b)
}

// name is the <id> that stands for a new row.
func name(u ovsdb.UUID) string { return "row" + strings.ReplaceAll(u.String(), "-", "_") }

// Result is the server's answer to a Request.
type Result struct {
	Again bool   // another client was faster: build the transaction anew
	Err   string // the first error, as the JSON text that stock prints; "" if all went well
	UUIDs map[ovsdb.UUID]ovsdb.UUID
	Count int64 // the counter's new value
}

// Result reads the reply to the request.
func (q *Request) Result(v jsontree.Value) (Result, error) {
	res := Result{UUIDs: make(map[ovsdb.UUID]ovsdb.UUID)}
	if v.Kind() != jsontree.Array || v.Len() < q.Ops {
		return res, fmt.Errorf("reply to transact: expected an array of %d results", q.Ops)
	}
	for i, r := range v.Array() {
		if e, ok := r.Get("error"); ok {
			if e.Str() == ovsdb.ErrTimedOut {
				res.Again = true
				return res, nil
			}
			res.Err = string(r.AppendJSON(nil))
			return res, nil
		}
		if id, ok := q.Inserts[i]; ok {
			u, _ := r.Get("uuid")
			pair := u.Array()
			if len(pair) != 2 {
				return res, fmt.Errorf("reply to insert: no uuid")
			}
			real, err := ovsdb.ParseUUID(pair[1].Str())
			if err != nil {
				return res, fmt.Errorf("reply to insert: %w", err)
			}
			res.UUIDs[id] = real
		}
		if i == q.Increment {
			rows, _ := r.Get("rows")
			if rows.Len() == 1 && rows.Kind() == jsontree.Array && rows.Array()[0].Len() == 1 {
				_, n := rows.Array()[0].Member(0)
				res.Count = n.Int()
			}
		}
	}
	return res, nil
}
