// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/query"
	"github.com/weirswitch/weir/ovsdb/schema"
)

const testSchema = `{"name":"T","version":"1.0.0","tables":{
 "A":{"isRoot":true,"columns":{
   "name":{"type":"string"},
   "n":{"type":{"key":"integer","min":0,"max":1}},
   "set":{"type":{"key":"integer","min":0,"max":"unlimited"}},
   "map":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}},
 "B":{"isRoot":true,"columns":{"flag":{"type":"boolean"},"r":{"type":"real"}}}}}`

func open(t testing.TB) *engine.DB {
	t.Helper()
	s, err := schema.Parse([]byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(s, engine.Options{})
}

func tree(t testing.TB, s string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(s), jsontree.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func parse(t testing.TB, v Version, db *engine.DB, s string) *Monitor {
	t.Helper()
	m, err := Parse(v, db.Schema(), tree(t, s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return m
}

// replica is a client: it knows what the messages told it and checks that each
// makes sense.
type replica struct {
	schema *schema.Schema
	rows   map[string]map[string]map[string]ovsdb.Datum // table, uuid, column
}

func (r *replica) apply(updates []byte, version Version) error {
	v, err := jsontree.Parse(updates, jsontree.Limits{})
	if err != nil {
		return fmt.Errorf("not JSON: %s: %w", updates, err)
	}
	for i := range v.Len() {
		name, rows := v.Member(i)
		tbl := r.rows[name]
		if tbl == nil {
			tbl = map[string]map[string]ovsdb.Datum{}
			r.rows[name] = tbl
		}
		if rows.Len() == 0 {
			return fmt.Errorf("empty table %s", name)
		}
		for j := range rows.Len() {
			id, u := rows.Member(j)
			if err := r.applyRow(r.schema.Table(name), tbl, id, u, version); err != nil {
				return fmt.Errorf("%s %s: %w in %s", name, id, err, updates)
			}
		}
	}
	return nil
}

func (r *replica) cols(t *schema.Table, v jsontree.Value, into map[string]ovsdb.Datum, diff bool) error {
	for i := range v.Len() {
		name, val := v.Member(i)
		c := t.Column(name)
		typ := c.Type
		if diff { // a difference may have fewer or more elements than a value
			typ.Min = 0
			if typ.Max > 1 {
				typ.Max = ovsdb.Unlimited
			}
		}
		d, err := ovsdb.DecodeDatum(val, &typ, nil)
		if err != nil {
			return err
		}
		if diff && c.Type.Max != 1 {
			if d, err = ovsdb.Apply(into[name], d, &c.Type); err != nil {
				return err
			}
		}
		if diff && d.Equal(into[name]) {
			return fmt.Errorf("%s is told to change and does not", name)
		}
		into[name] = d
	}
	return nil
}

func (r *replica) applyRow(t *schema.Table, tbl map[string]map[string]ovsdb.Datum, id string, u jsontree.Value, version Version) error {
	have := tbl[id]
	if version == V1 {
		_, hasOld := u.Get("old")
		n, hasNew := u.Get("new")
		if hasOld != (have != nil) {
			return errors.New("old where the client has no row, or the reverse")
		}
		delete(tbl, id)
		if hasNew {
			tbl[id] = map[string]ovsdb.Datum{}
			return r.cols(t, n, tbl[id], false)
		}
		return nil
	}
	kind, v := u.Member(0)
	if u.Len() != 1 || (kind == "initial" || kind == "insert") != (have == nil) {
		return fmt.Errorf("%s, client has %v", kind, have)
	}
	switch kind {
	case "initial", "insert":
		row := map[string]ovsdb.Datum{}
		for _, c := range t.Columns {
			row[c.Name] = c.Default
		}
		tbl[id] = row
		return r.cols(t, v, row, false)
	case "delete":
		delete(tbl, id)
		return nil
	case "modify":
		return r.cols(t, v, have, true)
	}
	return fmt.Errorf("unknown kind %s", kind)
}

// want is the slow twin: the visible part of the database, computed afresh.
func (r *replica) check(m *Monitor, snap *engine.Snapshot) error {
	for _, t := range m.tables {
		n := 0
		for row := range snap.Rows(t.Table) {
			if m.version != V1 && !t.cond.Any(row) {
				continue
			}
			n++
			have := r.rows[t.Name][row.ID.String()]
			for _, c := range t.cols {
				if c.Index >= 0 && !row.Get(c.Index).Equal(have[c.Name]) {
					return fmt.Errorf("%s %s.%s is %v, client has %v", t.Name, row.ID, c.Name, row.Get(c.Index), have[c.Name])
				}
			}
		}
		if n != len(r.rows[t.Name]) {
			return fmt.Errorf("%s: %d rows visible, client has %d", t.Name, n, len(r.rows[t.Name]))
		}
	}
	return nil
}

// step commits a random transaction.
func step(t *testing.T, rnd *rand.Rand, db *engine.DB) *engine.Commit {
	a, b := db.Schema().Table("A"), db.Schema().Table("B")
	tx := db.Begin()
	randA := func() []engine.Set {
		sets := []engine.Set{
			{Column: a.Column("name"), Value: ovsdb.One(ovsdb.Str(fmt.Sprint("x", rnd.IntN(4))))},
			{Column: a.Column("n"), Value: ovsdb.NewSet(ovsdb.Int(int64(rnd.IntN(5))))},
			{Column: a.Column("set"), Value: ovsdb.NewSet(ovsdb.Int(int64(rnd.IntN(4))), ovsdb.Int(int64(10+rnd.IntN(4))))},
			{Column: a.Column("map"), Value: ovsdb.NewMap(ovsdb.Pair{K: ovsdb.Str(fmt.Sprint("k", rnd.IntN(3))), V: ovsdb.Str(fmt.Sprint(rnd.IntN(3)))})},
		}
		rnd.Shuffle(len(sets), func(i, j int) { sets[i], sets[j] = sets[j], sets[i] })
		return sets[:rnd.IntN(len(sets)+1)]
	}
	for range 1 + rnd.IntN(3) {
		rows := tx.Select(a, query.Condition{})
		var err error
		switch k := rnd.IntN(6); {
		case k < 2 || len(rows) == 0:
			_, err = tx.Insert(a, randA()...)
		case k < 4:
			err = tx.Update(a, rows[rnd.IntN(len(rows))].ID, randA()...)
		case k == 4 && len(rows) > 3:
			err = tx.Delete(a, rows[rnd.IntN(len(rows))].ID)
		default:
			_, err = tx.Insert(b, engine.Set{Column: b.Column("r"), Value: ovsdb.One(ovsdb.RealOf(float64(rnd.IntN(100)) / 4))})
			if bs := tx.Select(b, query.Condition{}); err == nil && len(bs) > 3 {
				err = tx.Delete(b, bs[0].ID)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := tx.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var requests = []string{
	`{"A":{},"B":{}}`,
	`{"A":{"columns":["name","set","map"]}}`,
	`{"A":[{"columns":["name"]},{"columns":["n"]}]}`,
}

var conds = []string{
	`{"A":[{"where":[["name","==","x1"]]}]}`,
	`{"A":[{"where":[["n",">",2],["set","includes",["set",[1]]]]}]}`,
	`{"A":[{"where":[false]}]}`,
	`{"A":[{"where":[]}]}`,
	`{"A":[{"where":[["map","includes",["map",[["k1","1"]]]]]}]}`,
}

// A client that applies the messages has the visible part of the database,
// however the flushes fall, whatever happens to the conditions, and also when
// it goes away and comes back.
func TestReplica(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 7))
	for _, version := range []Version{V1, V2, V3} {
		for _, req := range requests {
			db := open(t)
			for range 10 {
				step(t, rnd, db)
			}
			var hist History
			m := parse(t, version, db, req)
			r := &replica{db.Schema(), map[string]map[string]map[string]ovsdb.Datum{}}
			must := func(err error, what string) {
				t.Helper()
				if err != nil {
					t.Fatalf("V%d %s: %s: %v", version, req, what, err)
				}
			}
			must(r.apply(m.Initial(db.Snapshot()), version), "initial")
			must(r.check(m, db.Snapshot()), "initial")
			for i := range 600 {
				if c := step(t, rnd, db); c != nil {
					m.Record(c)
					hist.Add(c)
				}
				if version != V1 && rnd.IntN(20) == 0 {
					u, err := m.Change(tree(t, conds[rnd.IntN(len(conds))]), db.Snapshot())
					must(err, "change")
					if u != nil {
						must(r.apply(u, version), "change")
					}
					must(r.check(m, db.Snapshot()), "change")
				}
				if rnd.IntN(4) == 0 {
					if u := m.Flush(db.Snapshot()); u != nil {
						must(r.apply(u, version), "flush")
					}
					if m.Pending() != 0 {
						t.Fatal("pending after a flush")
					}
					must(r.check(m, db.Snapshot()), fmt.Sprint("flush ", i))
				}
				if version == V3 && rnd.IntN(40) == 0 {
					if u := m.Flush(db.Snapshot()); u != nil {
						must(r.apply(u, version), "flush")
					}
					last := db.Snapshot().ID()
					n := rnd.IntN(150)
					for range n {
						if c := step(t, rnd, db); c != nil {
							hist.Add(c)
						}
					}
					// Comes back with the same conditions.
					back := parse(t, version, db, req)
					for j, tb := range back.tables {
						tb.cond = m.tables[j].cond
					}
					m = back
					u, found := m.Since(&hist, last, db.Snapshot())
					if !found {
						if n <= 50 {
							t.Fatalf("%d commits ago is forgotten", n)
						}
						u = m.Initial(db.Snapshot())
						r.rows = map[string]map[string]map[string]ovsdb.Datum{}
					}
					must(r.apply(u, version), "since")
					must(r.check(m, db.Snapshot()), "since")
				}
			}
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	db := open(t)
	h := History{MaxCommits: 5, MaxBytes: 1 << 20}
	small := History{MaxBytes: 2000}
	first := db.Snapshot().ID()
	for range 50 {
		if c := step(t, rnd, db); c != nil {
			h.Add(c)
			small.Add(c)
		}
	}
	if len(h.past) != 5 {
		t.Errorf("%d commits kept, want 5", len(h.past))
	}
	if small.bytes > 2000 || len(small.past) == 0 || len(small.past) > 10 {
		t.Errorf("%d commits of %d bytes kept", len(small.past), small.bytes)
	}
	if _, found := parse(t, V3, db, `{"A":{}}`).Since(&h, first, db.Snapshot()); found {
		t.Error("found what is forgotten")
	}
}

// Selects, by hand (RFC 7047 section 4.1.5 and 4.1.6).
func TestSelect(t *testing.T) {
	db := open(t)
	a := db.Schema().Table("A")
	name := func(s string) engine.Set {
		return engine.Set{Column: a.Column("name"), Value: ovsdb.One(ovsdb.Str(s))}
	}
	n := func(i int64) engine.Set {
		return engine.Set{Column: a.Column("n"), Value: ovsdb.One(ovsdb.Int(i))}
	}
	id, err := ovsdb.ParseUUID("00000000-0000-4000-8000-000000000001")
	if err != nil {
		t.Fatal(err)
	}
	ms := map[Version]*Monitor{}
	for _, v := range []Version{V1, V2} {
		ms[v] = parse(t, v, db, `{"A":[{"columns":["name"],"select":{"modify":false}},{"columns":["n"],"select":{"insert":false,"delete":false}}]}`)
	}
	row := `{"A":{"00000000-0000-4000-8000-000000000001":`
	for _, st := range []struct {
		do     func(tx *engine.Txn) error
		v1, v2 string
	}{
		{func(tx *engine.Txn) error { return tx.InsertAs(a, id, name("x"), n(1)) },
			row + `{"new":{"name":"x"}}}}`, row + `{"insert":{"name":"x"}}}}`},
		{func(tx *engine.Txn) error { return tx.Update(a, id, n(2)) },
			row + `{"old":{"n":1},"new":{"n":2}}}}`, row + `{"modify":{"n":2}}}}`},
		{func(tx *engine.Txn) error { return tx.Update(a, id, name("y")) },
			row + `{"old":{},"new":{"n":2}}}}`, row + `{"modify":{}}}}`},
		{func(tx *engine.Txn) error {
			return tx.Update(a, id, engine.Set{Column: a.Column("set"), Value: ovsdb.One(ovsdb.Int(1))})
		}, "", ""},
		{func(tx *engine.Txn) error { return tx.Delete(a, id) },
			row + `{"old":{"name":"y"}}}}`, row + `{"delete":null}}}`},
	} {
		tx := db.Begin()
		if err := st.do(tx); err != nil {
			t.Fatal(err)
		}
		c, err := tx.Commit()
		if err != nil {
			t.Fatal(err)
		}
		for v, m := range ms {
			m.Record(c)
			want := st.v1
			if v == V2 {
				want = st.v2
			}
			if got := string(m.Flush(db.Snapshot())); got != want {
				t.Errorf("V%d:\n got %s\nwant %s", v, got, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(append([]string{`{"A":5}`, `{"A":[{"select":{"initial":false},"where":[["name","==","x"]]}]}`, `[]`, `{"Z":{}}`, `{"A":{"columns":["_uuid","_version"]}}`}, requests...), conds...) {
		f.Add(s)
	}
	db := open(f)
	a := db.Schema().Table("A")
	for i := range 3 {
		tx := db.Begin()
		if _, err := tx.Insert(a, engine.Set{Column: a.Column("n"), Value: ovsdb.One(ovsdb.Int(int64(i)))}); err != nil {
			f.Fatal(err)
		}
		if _, err := tx.Commit(); err != nil {
			f.Fatal(err)
		}
	}
	// Property: any JSON is refused with a protocol error or gives a monitor
	// whose contents are JSON of known tables; the same holds for a change.
	f.Fuzz(func(t *testing.T, s string) {
		v, err := jsontree.Parse([]byte(s), jsontree.Limits{})
		if err != nil {
			return
		}
		for _, version := range []Version{V1, V2, V3} {
			m, err := Parse(version, db.Schema(), v)
			if err != nil {
				var pe *ovsdb.Error
				if !errors.As(err, &pe) || !json.Valid(pe.AppendJSON(nil)) {
					t.Fatalf("error %v", err)
				}
				m = parse(t, version, db, `{"A":{}}`)
			}
			var contents map[string]map[string]map[string]json.RawMessage
			if err := json.Unmarshal(m.Initial(db.Snapshot()), &contents); err != nil {
				t.Fatal(err)
			}
			for name := range contents {
				if !strings.Contains("A B", name) {
					t.Fatalf("table %q", name)
				}
			}
			if u, err := m.Change(v, db.Snapshot()); err == nil && u != nil && !json.Valid(u) {
				t.Fatalf("change: %s", u)
			}
		}
	})
}
