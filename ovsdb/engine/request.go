// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strconv"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// Request is a "transact" request. It may be tried several times, while it
// waits.
type Request struct {
	Database string
	ops      []jsontree.Value
	start    time.Time
}

// ParseTransact parses the params of a "transact" request: the database's name,
// then operations. now is when the request came: timeouts of "wait" run from
// there. The operations themselves are looked at only when they run, as their
// errors are part of the result. The error is an *ovsdb.Error or a
// *jsontree.SyntaxError.
func ParseTransact(params []byte, now time.Time) (*Request, error) {
	v, err := jsontree.Parse(params, jsontree.Limits{})
	if err != nil {
		return nil, err
	}
	return NewRequest(v, now)
}

// NewRequest is ParseTransact for params that are parsed already.
func NewRequest(params jsontree.Value, now time.Time) (*Request, error) {
	arr := params.Array()
	if len(arr) == 0 || arr[0].Kind() != jsontree.String {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, params, "transact request params must begin with <db-name>")
	}
	return &Request{Database: arr[0].Str(), ops: arr[1:], start: now}, nil
}

// Env is what a transaction depends on besides the database.
type Env struct {
	Now time.Time
	// HasLock says whether the client owns a lock, for "assert"; nil: none.
	HasLock func(name string) bool
	// ReadOnly refuses the operations that change something.
	ReadOnly bool
}

// Outcome is what became of a request.
type Outcome struct {
	// Reply is the "result" of the reply, a JSON array: one object for each
	// operation up to the first that failed, that one's error, null for the
	// rest, and an error at the end if the commit failed. nil while Pending.
	Reply []byte
	// Commit is nil if nothing changed or Pending.
	Commit *Commit
	// Durable: the reply must wait for a sync of the log; also when nothing changed, for
	// what the request found may be there only since a moment ago.
	Durable bool
	// Pending: a "wait" is not satisfied yet. Nothing has been done. Try again
	// after the next commit, and at the Deadline.
	Pending  bool
	Deadline time.Time // zero: none
}

// pending is the error of a "wait" that is to be tried again.
type pending struct{ deadline time.Time }

func (pending) Error() string { return "waiting" }

// Transact tries a request: it runs the operations in order and commits.
func (db *DB) Transact(req *Request, env Env) Outcome {
	x := &executor{tx: db.Begin(), env: env, req: req, max: db.maxReply}
	x.predefine()
	b := []byte{'['}
	for i, op := range req.ops {
		if i > 0 {
			b = append(b, ',')
		}
		n := len(b)
		x.n = i
		var err error
		if b, err = x.run(b, op); err == nil {
			continue
		}
		var p pending
		if errors.As(err, &p) {
			return Outcome{Pending: true, Deadline: p.deadline}
		}
		b = asError(err).AppendJSON(b[:n])
		for range req.ops[i+1:] {
			b = append(b, ",null"...)
		}
		return Outcome{Reply: append(b, ']')}
	}
	c, err := x.tx.Commit()
	if err != nil {
		if len(req.ops) > 0 {
			b = append(b, ',')
		}
		b = asError(err).AppendJSON(b)
	}
	return Outcome{Reply: append(b, ']'), Commit: c, Durable: x.tx.durable && err == nil}
}

// asError makes any error one of the protocol.
func asError(err error) *ovsdb.Error {
	var e *ovsdb.Error
	if errors.As(err, &e) {
		return e
	}
	return ovsdb.Errorf("internal error", "%v", err)
}

// executor runs the operations of one request.
type executor struct {
	tx      *Txn
	env     Env
	req     *Request
	n       int // index of the operation
	max     int // bound of the reply
	symbols map[string]*symbol
}

// symbol is a name for a row that an insert of the request makes or will make.
type symbol struct {
	id      ovsdb.UUID
	created bool
}

// Resolve makes executor an ovsdb.Names.
func (x *executor) Resolve(name string) ovsdb.UUID { return x.symbol(name).id }

func (x *executor) symbol(name string) *symbol {
	s := x.symbols[name]
	if s == nil {
		s = &symbol{id: ovsdb.NewUUID(x.tx.db.rand)}
		if x.symbols == nil {
			x.symbols = map[string]*symbol{}
		}
		x.symbols[name] = s
	}
	return s
}

// predefine gives the names of inserts with a chosen UUID that UUID, so that
// references before the insert mean it too.
func (x *executor) predefine() {
	for _, op := range x.req.ops {
		name, ok := op.Get("uuid-name")
		if !ok || name.Kind() != jsontree.String {
			continue
		}
		text, ok := op.Get("uuid")
		if !ok || x.symbols[name.Str()] != nil {
			continue
		}
		if id, err := ovsdb.ParseUUID(text.Str()); err == nil {
			x.symbol(name.Str()).id = id
		}
	}
}

// members reads the members of an operation; the first error sticks.
type members struct {
	x    *executor
	op   jsontree.Value
	used int
	err  error
}

func (m *members) fail(format string, args ...any) {
	if m.err != nil {
		return
	}
	e := ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, m.op, format, args...)
	e.Details = "Parsing ovsdb operation " + strconv.Itoa(m.x.n+1) + " of " + strconv.Itoa(len(m.x.req.ops)) + " failed: " + e.Details
	if m.op.Kind() != jsontree.Object {
		e.Syntax = ""
	}
	m.err = e
}

// get returns a member of one of the kinds; the zero Value and false if it is
// absent, which is an error unless it is optional.
func (m *members) get(name string, optional bool, kinds ...jsontree.Kind) (jsontree.Value, bool) {
	v, ok := m.op.Get(name)
	if !ok {
		if !optional {
			m.fail("Required '%s' member is missing.", name)
		}
		return v, false
	}
	m.used++
	for _, k := range kinds {
		if v.Kind() == k {
			return v, true
		}
	}
	m.fail("Type mismatch for member '%s'.", name)
	return jsontree.Value{}, false
}

// id returns a member that is an <id>, "" if it is absent and optional.
func (m *members) id(name string, optional bool) string {
	v, ok := m.get(name, optional, jsontree.String)
	if ok && !ovsdb.IsID(v.Str()) {
		m.fail("Type mismatch for member '%s'.", name)
	}
	return v.Str()
}

// done checks that no member is left over.
func (m *members) done(known ...string) error {
	if m.err == nil && m.used < m.op.Len() {
	next:
		for i := range m.op.Len() {
			key, _ := m.op.Member(i)
			for _, k := range known {
				if k == key {
					continue next
				}
			}
			m.fail("Member '%s' is present but not allowed here.", key)
		}
	}
	return m.err
}
