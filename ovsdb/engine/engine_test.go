// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/internal/twintest"
	"github.com/weirswitch/weir/ovsdb/query"
)

func mustCommit(t testing.TB, db *engine.DB, ops string) *engine.Commit {
	t.Helper()
	o := transact(t, db, ops)
	if o.Commit == nil {
		t.Fatalf("%s: %s", ops, o.Reply)
	}
	return o.Commit
}

// describe prints a commit's changes.
func describe(c *engine.Commit) string {
	var b strings.Builder
	for _, ch := range c.Changes {
		kind := "modify"
		if ch.Old == nil {
			kind = "insert"
		} else if ch.New == nil {
			kind = "delete"
		}
		fmt.Fprintf(&b, "%s %s", kind, ch.Table.Name)
		for _, i := range ch.Changed {
			col := ch.Table.Columns[i]
			fmt.Fprintf(&b, " %s=%s", col.Name, ch.New.Get(i))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestCommit(t *testing.T) {
	db := twinDB(t)
	empty := db.Snapshot()
	c := mustCommit(t, db, `{"op":"insert","table":"root","uuid-name":"r","row":{"name":"r","kids":["named-uuid","n"],"weak":["named-uuid","n"]}},
	  {"op":"insert","table":"node","uuid-name":"n","row":{"name":"n"}},
	  {"op":"insert","table":"node","row":{"name":"unreferenced"}},
	  {"op":"insert","table":"types","row":{"i":5,"s":"","eph":"e"}},
	  {"op":"comment","comment":"one"},{"op":"comment","comment":"two"},{"op":"commit","durable":true}`)
	n := c.Changes[0].ID
	want := fmt.Sprintf("insert node name=\"n\"\ninsert root kids=%s name=\"r\" weak=%s\ninsert types eph=\"e\" i=5\n", ovsdb.One(ovsdb.Ref(n)), ovsdb.One(ovsdb.Ref(n)))
	if got := describe(c); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if c.Comment != "one\ntwo" || !c.Durable || c.Before != empty || c.After != db.Snapshot() || c.ID != c.After.ID() || c.ID == empty.ID() {
		t.Errorf("commit %+v", c)
	}
	old := c.Changes[2].New
	// A change shares what did not change, and the version goes up.
	c = mustCommit(t, db, `{"op":"update","table":"types","where":[],"row":{"i":6,"eph":"e"}}`)
	if got := describe(c); got != "modify types i=6\n" || c.Comment != "" || c.Durable {
		t.Errorf("got %s %+v", got, c)
	}
	ch := c.Changes[0]
	if ch.Old != old || ch.New.Version == old.Version || ch.New.ID != old.ID {
		t.Error("old row, version or UUID")
	}
	for i := range ch.New.NumCols() {
		if !slices.Contains(ch.Changed, i) && !ch.New.Get(i).Same(ch.Old.Get(i)) {
			t.Errorf("column %d is not shared", i)
		}
	}
	// Deleting the last reference deletes the row, and the weak reference of
	// the same row goes with it.
	c = mustCommit(t, db, `{"op":"update","table":"root","where":[],"row":{"kids":["set",[]]}}`)
	if got := describe(c); got != "delete node\nmodify root kids=[\"set\",[]] weak=[\"set\",[]]\n" {
		t.Errorf("got %s", got)
	}
	if empty.Len(db.Schema().Table("types")) != 0 || c.Before.Row(db.Schema().Table("node"), n) == nil || c.After.Row(db.Schema().Table("node"), n) != nil {
		t.Error("a snapshot changed")
	}
	// Nothing changed: no commit, also if something did and was undone.
	id := db.Snapshot().ID()
	for _, ops := range []string{``, `{"op":"commit","durable":true}`, `{"op":"comment","comment":"x"}`, `{"op":"update","table":"types","where":[],"row":{"i":6}}`,
		`{"op":"mutate","table":"types","where":[],"mutations":[["i","+=",1],["i","-=",1]]}`, `{"op":"insert","table":"node","row":{}}`,
		`{"op":"insert","table":"few","row":{}},{"op":"delete","table":"few","where":[]}`} {
		if o := transact(t, db, ops); o.Commit != nil || strings.Contains(string(o.Reply), "error") || db.Snapshot().ID() != id {
			t.Errorf("%s: %s %v", ops, o.Reply, o.Commit)
		}
	}
}

func TestWait(t *testing.T) {
	db := twinDB(t)
	start := time.Unix(1000, 0)
	wait := func(timeout string) *engine.Request {
		req, err := engine.ParseTransact([]byte(`["twin",{"op":"insert","table":"types","row":{}},{"op":"wait","table":"few","where":[["n","==",1]],"columns":["n"],"until":"==","rows":[{"n":1}]`+timeout+`}]`), start)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	for _, tt := range []struct {
		timeout  string
		deadline time.Time
	}{{``, time.Time{}}, {`,"timeout":250`, start.Add(250 * time.Millisecond)}} {
		req := wait(tt.timeout)
		id := db.Snapshot().ID()
		o := db.Transact(req, engine.Env{Now: start})
		if !o.Pending || !o.Deadline.Equal(tt.deadline) || o.Commit != nil || o.Reply != nil || db.Snapshot().ID() != id {
			t.Fatalf("%+v", o)
		}
		if o = db.Transact(req, engine.Env{Now: start.Add(249 * time.Millisecond)}); !o.Pending {
			t.Fatalf("%s", o.Reply)
		}
		// Satisfied by another transaction.
		mustCommit(t, db, `{"op":"insert","table":"few","row":{"n":1}}`)
		if o = db.Transact(req, engine.Env{Now: start.Add(249 * time.Millisecond)}); o.Pending || o.Commit == nil || !strings.HasSuffix(string(o.Reply), `,{}]`) {
			t.Fatalf("%+v %s", o, o.Reply)
		}
		mustCommit(t, db, `{"op":"delete","table":"few","where":[]}`)
	}
	o := db.Transact(wait(`,"timeout":250`), engine.Env{Now: start.Add(250 * time.Millisecond)})
	if o.Pending || !strings.Contains(string(o.Reply), `"error":"timed out"`) {
		t.Fatalf("%+v %s", o, o.Reply)
	}
	if o := db.Transact(wait(`,"timeout":9223372036854775807`), engine.Env{Now: start}); !o.Pending || o.Deadline.Before(start) {
		t.Fatalf("%+v", o)
	}
}

func TestEnv(t *testing.T) {
	db := twinDB(t)
	do := func(ops string, env engine.Env) string {
		req, err := engine.ParseTransact([]byte(`["twin",`+ops+`]`), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return string(db.Transact(req, env).Reply)
	}
	lock := engine.Env{HasLock: func(name string) bool { return name == "mine" }}
	if got := do(`{"op":"assert","lock":"mine"}`, lock); got != `[{}]` {
		t.Errorf("own lock: %s", got)
	}
	if got := do(`{"op":"assert","lock":"other"}`, lock); !strings.Contains(got, `"not owner"`) {
		t.Errorf("another's lock: %s", got)
	}
	for _, op := range []string{`"insert","row":{}`, `"update","where":[],"row":{}`, `"mutate","where":[],"mutations":[]`, `"delete","where":[]`} {
		if got := do(`{"table":"few","op":`+op+`}`, engine.Env{ReadOnly: true}); !strings.Contains(got, `"not allowed"`) {
			t.Errorf("%s on a read-only connection: %s", op, got)
		}
	}
	if got := do(`{"op":"select","table":"few","where":[]}`, engine.Env{ReadOnly: true}); got != `[{"rows":[]}]` {
		t.Errorf("select on a read-only connection: %s", got)
	}
}

func TestParseTransact(t *testing.T) {
	for in, want := range map[string]string{`[]`: "must begin with <db-name>", `[7]`: "must begin with <db-name>", `{}`: "must begin with <db-name>", `[`: "JSON syntax error", `["a"]x`: "trailing garbage"} {
		if _, err := engine.ParseTransact([]byte(in), time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
	req, err := engine.ParseTransact([]byte(`["twin",7]`), time.Time{})
	if err != nil || req.Database != "twin" {
		t.Errorf("%v %v", req, err)
	}
}

// failLog fails when told so.
type failLog struct {
	err  error
	last *engine.Commit
}

func (l *failLog) Append(c *engine.Commit) error {
	l.last = c
	return l.err
}

func TestLog(t *testing.T) {
	db := twinDB(t)
	l := &failLog{}
	db.SetLog(l)
	c := mustCommit(t, db, `{"op":"insert","table":"named","row":{"name":"a"}}`)
	if l.last != c {
		t.Error("another commit in the log")
	}
	l.err = errors.New("the disk is gone")
	id := db.Snapshot().ID()
	o := transact(t, db, `{"op":"insert","table":"root","row":{"kids":["named-uuid","n"]}},{"op":"insert","table":"node","row":{},"uuid-name":"n"},{"op":"update","table":"named","where":[],"row":{"name":"b"}}`)
	if !strings.Contains(string(o.Reply), `{"details":"the disk is gone","error":"I/O error"}]`) || o.Commit != nil || db.Snapshot().ID() != id {
		t.Errorf("%s", o.Reply)
	}
	if err := db.Check(); err != nil {
		t.Error(err)
	}
	l.err = nil
	// The index still has "a" and has not got "b".
	if got := string(transact(t, db, `{"op":"select","table":"named","where":[["name","==","b"]],"columns":["name"]},{"op":"select","table":"named","where":[["name","==","a"]],"columns":["name"]}`).Reply); got != `[{"rows":[]},{"rows":[{"name":"a"}]}]` {
		t.Errorf("%s", got)
	}
}

func TestDirect(t *testing.T) {
	db := twinDB(t)
	s := db.Schema()
	few, root, node := s.Table("few"), s.Table("root"), s.Table("node")
	n := few.Column("n")
	one := func(i int64) engine.Set { return engine.Set{Column: n, Value: ovsdb.One(ovsdb.Int(i))} }

	tx := db.Begin()
	id, err := tx.Insert(few, one(1))
	if err != nil {
		t.Fatal(err)
	}
	if got := tx.Row(few, id).Get(n.Index).String(); got != "1" || db.Snapshot().Len(few) != 0 {
		t.Errorf("in the transaction: %s", got)
	}
	stale := db.Begin()
	if c, err := tx.Commit(); err != nil || len(c.Changes) != 1 {
		t.Fatal(c, err)
	}
	if _, err := stale.Insert(few, one(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := stale.Commit(); !errors.Is(err, engine.ErrStale) {
		t.Errorf("a transaction that began before: %v", err)
	}
	tx = db.Begin()
	if err := tx.InsertAs(few, id, one(3)); err == nil {
		t.Error("a UUID twice")
	}
	if err := tx.Update(few, ovsdb.UUID{1}, one(3)); err == nil {
		t.Error("update of no row")
	}
	if err := tx.Delete(few, ovsdb.UUID{1}); err == nil {
		t.Error("delete of no row")
	}
	if err := tx.Update(few, id, engine.Set{Column: n, Value: ovsdb.One(ovsdb.Str("x"))}); err == nil {
		t.Error("a string in an integer column")
	}
	if err := tx.Update(s.Table("types"), id, engine.Set{Column: s.Table("types").Column("imm"), Value: ovsdb.One(ovsdb.Int(1))}); err == nil {
		t.Error("update of an immutable column")
	}
	if err := tx.Update(few, id, one(4)); err != nil {
		t.Error(err)
	}
	if rows := tx.Select(few, query.Where(query.Clause{Function: query.Equal, Column: n, Value: ovsdb.One(ovsdb.Int(4))})); len(rows) != 1 || rows[0].ID != id {
		t.Errorf("select: %v", rows)
	}
	if err := tx.Delete(few, id); err != nil {
		t.Error(err)
	}
	if tx.Row(few, id) != nil || len(tx.All(few)) != 0 {
		t.Error("a deleted row is there")
	}
	kid, err := tx.Insert(node)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Insert(root, engine.Set{Column: root.Column("kids"), Value: ovsdb.NewSet(ovsdb.Ref(kid), ovsdb.Ref(ovsdb.UUID{9}))}); err != nil {
		t.Fatal(err)
	}
	_, err = tx.Commit()
	var e *ovsdb.Error
	if !errors.As(err, &e) || e.Name != ovsdb.ErrRefs {
		t.Errorf("a dangling reference: %v", err)
	}
	if db.Snapshot().Len(few) != 1 {
		t.Error("the failed transaction did something")
	}
}

// What the stock server gets wrong: the map of weak keys and strong values loses
// a pair and with it the value's last reference; a row's UUID in another table.
func TestBetterThanStock(t *testing.T) {
	db := twinDB(t)
	c := mustCommit(t, db, `{"op":"insert","table":"root","row":{"mixed":["map",[[["named-uuid","a"],["named-uuid","b"]]]],"kids":["named-uuid","a"],"weak":["named-uuid","b"]}},
	  {"op":"insert","table":"node","uuid-name":"a","row":{}},{"op":"insert","table":"node","uuid-name":"b","row":{"next":["named-uuid","c"]}},{"op":"insert","table":"node","uuid-name":"c","row":{}}`)
	if len(c.Changes) != 4 {
		t.Fatalf("%s", describe(c))
	}
	mustCommit(t, db, `{"op":"update","table":"root","where":[],"row":{"kids":["set",[]]}}`)
	if n := db.Snapshot().Len(db.Schema().Table("node")); n != 0 {
		t.Errorf("%d nodes left", n)
	}
	if err := db.Check(); err != nil {
		t.Error(err)
	}
	o := transact(t, db, `{"op":"insert","table":"root","uuid-name":"x","row":{"kids":["named-uuid","x"]}}`)
	if !strings.Contains(string(o.Reply), ovsdb.ErrRefs) {
		t.Errorf("%s", o.Reply)
	}
	// A name whose insert has a chosen UUID, used before it.
	o = transact(t, db, `{"op":"insert","table":"root","row":{"kids":["named-uuid","k"]}},{"op":"insert","table":"node","uuid-name":"k","uuid":"00000000-0000-4000-8000-000000000007","row":{}}`)
	if o.Commit == nil {
		t.Errorf("%s", o.Reply)
	}
	for _, m := range []string{`["si","*=",0]`, `["sr","/=",1e300]`} {
		mustCommit(t, db, `{"op":"insert","table":"types","row":{"si":["set",[1,2]],"sr":["set",[1e-300,2e-300]]}}`)
		if o := transact(t, db, `{"op":"mutate","table":"types","where":[],"mutations":[`+m+`]}`); !strings.Contains(string(o.Reply), `"constraint violation"`) {
			t.Errorf("%s: %s", m, o.Reply)
		}
		mustCommit(t, db, `{"op":"delete","table":"types","where":[]}`)
	}
	if o := transact(t, db, `{"op":"insert","table":"few","row":{"n":-9223372036854775808}},{"op":"mutate","table":"few","where":[],"mutations":[["n","/=",-1]]}`); !strings.Contains(string(o.Reply), `"range error"`) {
		t.Errorf("%s", o.Reply)
	}
}

func TestMaxReply(t *testing.T) {
	db := engine.New(twinDB(t).Schema(), engine.Options{MaxReply: 10000})
	for i := range 50 {
		mustCommit(t, db, fmt.Sprintf(`{"op":"insert","table":"named","row":{"name":"%d","number":%d}}`, i, i))
	}
	const all = `{"op":"select","table":"named","where":[]}`
	if o := transact(t, db, all); len(o.Reply) < 5000 || strings.Contains(string(o.Reply), "error") {
		t.Fatalf("%s", o.Reply)
	}
	o := transact(t, db, strings.Repeat(all+",", 1000)+all)
	if !strings.Contains(string(o.Reply), `"resources exhausted"`) || len(o.Reply) > 25000 {
		t.Errorf("%d bytes", len(o.Reply))
	}
}

// Transactions that would take long if anything were compared each with each.
func TestLarge(t *testing.T) {
	db := twinDB(t)
	var ops []string
	const n = 5000
	for i := range n {
		ops = append(ops, fmt.Sprintf(`{"op":"insert","table":"named","uuid-name":"u%d","row":{"name":"same","number":%d}},
		{"op":"update","table":"named","where":[["_uuid","==",["named-uuid","u%d"]]],"row":{"name":"n%d"}},{"op":"select","table":"named","where":[["name","==","n%d"]],"columns":["number"]}`, i, i, i, i, i))
	}
	start := time.Now()
	o := transact(t, db, strings.Join(ops, ","))
	if o.Commit == nil || len(o.Commit.Changes) != n || !strings.Contains(string(o.Reply), fmt.Sprintf(`{"rows":[{"number":%d}]}]`, n-1)) {
		t.Fatalf("%.200s", o.Reply)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	if err := db.Check(); err != nil {
		t.Error(err)
	}
}

// Random transactions with everything that the comparison with stock leaves out,
// and without the stock server: after each one the full check.
func TestRandom(t *testing.T) {
	seed := randomSeed(t)
	g, names := twintest.NewGenerator(seed), twintest.NewNames()
	r := rand.New(rand.NewPCG(seed, 1))
	db := twinDB(t)
	n, commits := 1500, 0
	if testing.Short() {
		n = 500
	}
	for range n {
		g.Rows, g.Nodes = names.Len(), liveNodes(db, names)
		ops := g.Transaction()
		if r.IntN(3) == 0 {
			ops += fmt.Sprintf(`,{"op":"mutate","table":"root","where":[],"mutations":[["mixed","insert",["map",[[%s,%s]]]]]}`, g.Ref(), g.Ref())
		}
		before := db.Snapshot()
		o := transact(t, db, names.Fill(ops))
		if o.Commit == nil && db.Snapshot() != before {
			t.Fatalf("%s: no commit but a change", ops)
		}
		if o.Commit != nil {
			commits++
		}
		if o.Reply != nil {
			var result any
			if err := json.Unmarshal(o.Reply, &result); err != nil {
				t.Fatalf("%s: %v", o.Reply, err)
			}
			names.Learn(result)
		}
		if err := db.Check(); err != nil {
			t.Fatalf("%s: %v", ops, err)
		}
		if err := compareLoaded(db); err != nil {
			t.Fatalf("%s: %v", ops, err)
		}
	}
	t.Logf("%d of %d transactions changed something", commits, n)
	if commits < n/6 {
		t.Error("too few to mean something")
	}
}

// compareLoaded loads the database's rows into another and compares.
func compareLoaded(db *engine.DB) error {
	l := engine.NewLoader(db.Schema(), engine.Options{})
	snap := db.Snapshot()
	for _, t := range db.Schema().Tables {
		for r := range snap.Rows(t) {
			if err := l.Put(t, r.ID, slices.Clone(r.Cols())); err != nil {
				return err
			}
		}
	}
	other, notes, err := l.Finish()
	if err != nil || notes != nil {
		return fmt.Errorf("load: %v %v", err, notes)
	}
	for _, t := range db.Schema().Tables {
		if a, b := snap.Len(t), other.Snapshot().Len(t); a != b {
			return fmt.Errorf("table %s: %d rows, loaded %d", t.Name, a, b)
		}
	}
	return other.Check()
}

// What no commit leaves behind is put right or refused when rows are loaded.
func TestLoad(t *testing.T) {
	s := twinDB(t).Schema()
	root, node, needy, strict := s.Table("root"), s.Table("node"), s.Table("needy"), s.Table("strict")
	a, b, c := ovsdb.UUID{1}, ovsdb.UUID{2}, ovsdb.UUID{3}
	l := engine.NewLoader(s, engine.Options{})
	put := func(id ovsdb.UUID, table string, sets ...engine.Set) {
		t.Helper()
		cols := s.Table(table).New()
		for _, x := range sets {
			cols[x.Column.Index] = x.Value
		}
		if err := l.Put(s.Table(table), id, cols); err != nil {
			t.Fatal(err)
		}
	}
	put(a, "root", engine.Set{Column: root.Column("kids"), Value: ovsdb.NewSet(ovsdb.Ref(b), ovsdb.Ref(c))},
		engine.Set{Column: root.Column("weak"), Value: ovsdb.NewSet(ovsdb.Ref(c), ovsdb.Ref(ovsdb.UUID{4}), ovsdb.Ref(b))})
	put(b, "node")
	put(ovsdb.UUID{4}, "node") // unreferenced
	db, notes, err := l.Finish()
	if err != nil || len(notes) != 1 {
		t.Fatal(notes, err)
	}
	if err := db.Check(); err != nil {
		t.Error(err)
	}
	if r := db.Snapshot().Row(root, a); r.Get(root.Column("kids").Index).Len() != 1 || r.Get(root.Column("weak").Index).Len() != 1 || db.Snapshot().Len(node) != 1 {
		t.Error("not put right")
	}
	for _, table := range []string{needy.Name, strict.Name} {
		l = engine.NewLoader(s, engine.Options{})
		put(a, table, engine.Set{Column: s.Table(table).Column("must"), Value: ovsdb.One(ovsdb.Ref(c))})
		if _, _, err := l.Finish(); err == nil {
			t.Errorf("%s: a reference that may not be missing is", table)
		}
	}
}

func FuzzTransact(f *testing.F) {
	g := twintest.NewGenerator(9)
	g.Rows, g.Nodes = 5, []int{0, 1, 2, 3, 4}
	for range 40 {
		f.Add([]byte(`["twin",` + twintest.NewNames().Fill(g.Transaction()) + `]`))
	}
	f.Add([]byte(`["twin",{"op":"wait","table":"few","where":[],"columns":["n"],"until":"==","rows":[{"n":1}],"timeout":5}]`))
	s := twinDB(f).Schema()
	// Properties: no panic; the reply is JSON, with a result for each operation
	// and one more if the commit failed; a request without commit changes
	// nothing; the database stays consistent.
	f.Fuzz(func(t *testing.T, params []byte) {
		db := engine.New(s, engine.Options{})
		mustCommit(t, db, `{"op":"insert","table":"root","row":{"kids":["named-uuid","a"],"weak1":["named-uuid","b"]}},{"op":"insert","table":"node","uuid-name":"a","row":{"next":["named-uuid","b"]}},
		 {"op":"insert","table":"node","uuid-name":"b","row":{"peer":["named-uuid","a"]}},{"op":"insert","table":"types","row":{"si":["set",[1,2]],"mss":["map",[["a","b"]]]}},{"op":"insert","table":"named","row":{"name":"x"}}`)
		now := time.Unix(5, 0)
		req, err := engine.ParseTransact(params, now)
		if err != nil {
			return
		}
		before := db.Snapshot()
		o := db.Transact(req, engine.Env{Now: now})
		if o.Pending {
			if db.Snapshot() != before || o.Reply != nil || o.Commit != nil {
				t.Fatalf("pending and done: %+v", o)
			}
			return
		}
		var reply []any
		if err := json.Unmarshal(o.Reply, &reply); err != nil {
			t.Fatalf("%v: %s", err, o.Reply)
		}
		var ops []any
		if err := json.Unmarshal(params, &ops); err == nil && len(reply) != len(ops)-1 && len(reply) != len(ops) {
			t.Fatalf("%d results for %d operations", len(reply), len(ops)-1)
		}
		if (o.Commit == nil) != (db.Snapshot() == before) {
			t.Fatal("commit without change or change without commit")
		}
		if err := db.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
