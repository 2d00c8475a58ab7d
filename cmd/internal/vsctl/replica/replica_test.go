// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

const testSchema = `{"name":"T","version":"1.0.0","tables":{
 "Root":{"isRoot":true,"columns":{"kids":{"type":{"key":{"type":"uuid","refTable":"Kid"},"min":0,"max":"unlimited"}},"n":{"type":"integer"}}},
 "Kid":{"columns":{"name":{"type":"string","mutable":false},"tags":{"type":{"key":"integer","min":0,"max":"unlimited"}},
  "opts":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}}}}`

func parse(t testing.TB, s string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(s), jsontree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testDB(t testing.TB) *replica.DB {
	t.Helper()
	s, err := schema.Parse([]byte(testSchema))
	if err != nil {
		t.Fatal(err)
	}
	db := replica.New(s)
	if err := db.Update(parse(t, `{"Root":{"00000000-0000-0000-0000-000000000001":{"initial":{"kids":["uuid","00000000-0000-0000-0000-000000000002"]}}},
	 "Kid":{"00000000-0000-0000-0000-000000000002":{"initial":{"name":"k","tags":["set",[1,2]],"opts":["map",[["a","b"]]]}}}}`)); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestRequest: what changes become on the wire.
func TestRequest(t *testing.T) {
	db := testDB(t)
	roots, kids := db.Schema.Table("Root"), db.Schema.Table("Kid")
	kid := `"table":"Kid","where":[["_uuid","==",["uuid","00000000-0000-0000-0000-000000000002"]]]`
	root := `"table":"Root","where":[["_uuid","==",["uuid","00000000-0000-0000-0000-000000000001"]]]`
	for _, c := range []struct {
		name string
		do   func(x *replica.Txn, root, kid *replica.Row)
		want string // "" if there is nothing to send
	}{
		{"nothing", func(*replica.Txn, *replica.Row, *replica.Row) {}, ""},
		{"verified only", func(_ *replica.Txn, r, _ *replica.Row) { r.Verify(roots.Column("n")) }, ""},
		{"same value", func(_ *replica.Txn, r, _ *replica.Row) { r.SetName("n", ovsdb.One(ovsdb.Int(0))) }, ""},
		{"there and back", func(_ *replica.Txn, r, _ *replica.Row) {
			r.SetName("n", ovsdb.One(ovsdb.Int(1)))
			r.SetName("n", ovsdb.One(ovsdb.Int(0)))
		}, ""},
		{"set", func(_ *replica.Txn, r, _ *replica.Row) { r.SetName("n", ovsdb.One(ovsdb.Int(5))) },
			`{"op":"update",` + root + `,"row":{"n":5}}`},
		{"verify and set", func(_ *replica.Txn, r, _ *replica.Row) {
			r.Verify(roots.Column("n"))
			r.SetName("n", ovsdb.One(ovsdb.Int(5)))
		}, `{"op":"wait","timeout":0,"until":"==",` + root + `,"columns":["n"],"rows":[{"n":0}]},{"op":"update",` + root + `,"row":{"n":5}}`},
		{"set key", func(_ *replica.Txn, _, k *replica.Row) { k.SetKey(kids.Column("opts"), ovsdb.Str("c"), ovsdb.Str("d")) },
			`{"op":"mutate",` + kid + `,"mutations":[["opts","insert",["map",[["c","d"]]]]]}`},
		{"replace key", func(_ *replica.Txn, _, k *replica.Row) { k.SetKey(kids.Column("opts"), ovsdb.Str("a"), ovsdb.Str("d")) },
			`{"op":"mutate",` + kid + `,"mutations":[["opts","delete",["set",["a"]]],["opts","insert",["map",[["a","d"]]]]]}`},
		{"same key", func(_ *replica.Txn, _, k *replica.Row) { k.SetKey(kids.Column("opts"), ovsdb.Str("a"), ovsdb.Str("b")) }, ""},
		{"add", func(_ *replica.Txn, _, k *replica.Row) { k.AddElement(kids.Column("tags"), ovsdb.Int(3)) },
			`{"op":"mutate",` + kid + `,"mutations":[["tags","insert",["set",[3]]]]}`},
		{"delete by reference", func(_ *replica.Txn, _, k *replica.Row) { k.Delete() }, ""},
		{"delete root", func(_ *replica.Txn, r, _ *replica.Row) { r.Delete() }, `{"op":"delete",` + root + `}`},
		{"insert", func(x *replica.Txn, r, _ *replica.Row) {
			n := x.Insert(kids)
			n.SetName("name", ovsdb.One(ovsdb.Str("new")))
			r.SetName("kids", r.Col("kids").Union(ovsdb.One(ovsdb.Ref(n.ID))))
			if got := len(x.Rows(kids)); got != 2 {
				t.Errorf("%d rows after insert", got)
			}
		}, `{"op":"update",` + root + `,"row":{"kids":["set",[["uuid","00000000-0000-0000-0000-000000000002"],["named-uuid","row07070707_0707_4707_8707_070707070707"]]]}},` +
			`{"op":"insert","table":"Kid","uuid-name":"row07070707_0707_4707_8707_070707070707","row":{"name":"new"}}`},
	} {
		x := replica.Begin(db, bytes.NewReader(bytes.Repeat([]byte{7}, 16)))
		c.do(x, x.Rows(roots)[0], x.Rows(kids)[0])
		want := ""
		if c.want != "" {
			want = `["T",` + c.want + `,{"op":"comment","comment":"c"}]`
		}
		got := ""
		if q := x.Request("c", nil); q != nil {
			got = string(q.Params)
			if n := parse(t, got).Len() - 1; n != q.Ops {
				t.Errorf("%s: %d operations, Ops says %d", c.name, n, q.Ops)
			}
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
}

func TestResult(t *testing.T) {
	db := testDB(t)
	roots := db.Schema.Table("Root")
	x := replica.Begin(db, bytes.NewReader(bytes.Repeat([]byte{7}, 16)))
	r := x.Rows(roots)[0]
	n := x.Insert(db.Schema.Table("Kid"))
	r.SetName("kids", ovsdb.One(ovsdb.Ref(n.ID)))
	q := x.Request("", &replica.Counter{Row: r, Column: roots.Column("n")})
	ok := `[{"count":1},{"uuid":["uuid","00000000-0000-0000-0000-000000000009"]},{"count":1},{"rows":[{"n":8}]}]`
	res, err := q.Result(parse(t, ok))
	if err != nil || res.Count != 8 || res.UUIDs[n.ID].String() != "00000000-0000-0000-0000-000000000009" {
		t.Errorf("result %+v, %v", res, err)
	}
	if res, err := q.Result(parse(t, `[{"error":"timed out"},null,null,null]`)); err != nil || !res.Again {
		t.Errorf("overtaken: %+v, %v", res, err)
	}
	if res, err := q.Result(parse(t, `[{"count":1},{"uuid":["uuid","00000000-0000-0000-0000-000000000009"]},{"count":1},{"rows":[]},{"error":"x","details":"d"}]`)); err != nil ||
		res.Err != `{"details":"d","error":"x"}` {
		t.Errorf("error: %+v, %v", res, err)
	}
	for _, bad := range []string{`{}`, `[]`, `[{},{"uuid":3},{},{}]`, `[{},{"uuid":["uuid","x"]},{},{}]`} {
		if _, err := q.Result(parse(t, bad)); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
}

func TestUpdate(t *testing.T) {
	db := testDB(t)
	id := "00000000-0000-0000-0000-000000000002"
	if err := db.Update(parse(t, `{"Kid":{"`+id+`":{"modify":{"tags":["set",[2,3]],"opts":["map",[["a","c"],["x","y"]]]}}}}`)); err != nil {
		t.Fatal(err)
	}
	r := replica.Begin(db, nil).Rows(db.Schema.Table("Kid"))[0]
	if got := r.Col("tags").String() + r.Col("opts").String(); got != `["set",[1,3]]["map",[["a","c"],["x","y"]]]` {
		t.Errorf("after modify: %s", got)
	}
	for _, bad := range []string{`3`, `{"Foo":{}}`, `{"Kid":3}`, `{"Kid":{"x":{}}}`, `{"Kid":{"` + id + `":{}}}`, `{"Kid":{"` + id + `":{"foo":{}}}}`,
		`{"Kid":{"` + id + `":{"insert":3}}}`, `{"Kid":{"` + id + `":{"insert":{"tags":"x"}}}}`, `{"Kid":{"00000000-0000-0000-0000-000000000077":{"modify":{}}}}`} {
		if err := db.Update(parse(t, bad)); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
	if err := db.Update(parse(t, `{"Kid":{"`+id+`":{"delete":null}}}`)); err != nil || db.Len(db.Schema.Table("Kid")) != 0 {
		t.Errorf("delete: %v", err)
	}
}

// FuzzUpdate: whatever a server sends, the copy takes it or refuses it, and can
// be read and written back afterwards.
func FuzzUpdate(f *testing.F) {
	for _, s := range []string{`{"Kid":{"00000000-0000-0000-0000-000000000002":{"modify":{"tags":["set",[2,3]]}}}}`, `{"Root":{"00000000-0000-0000-0000-000000000001":{"delete":null}}}`,
		`{"Kid":{"00000000-0000-0000-0000-000000000003":{"insert":{"opts":["map",[["a","b"]]]}}}}`, `[]`, `{"Kid":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := jsontree.Parse([]byte(s), jsontree.Limits{})
		if err != nil {
			return
		}
		db := testDB(t)
		db.Update(v)
		x := replica.Begin(db, strings.NewReader(strings.Repeat("x", 64)))
		for _, tab := range db.Schema.Tables {
			for _, r := range x.Rows(tab) {
				for _, c := range tab.Columns {
					if err := c.Type.CheckSize(r.Get(c)); err != nil {
						t.Fatalf("%s: %v", c.Name, err)
					}
					r.Verify(c)
				}
			}
		}
		x.Insert(db.Schema.Table("Root"))
		parse(t, string(x.Request("c", nil).Params))
	})
}
