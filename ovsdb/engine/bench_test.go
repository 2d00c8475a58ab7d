// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/internal/twintest"
	"github.com/weirswitch/weir/ovsdb/schema"
)

func twinDB(t testing.TB) *engine.DB {
	t.Helper()
	s, err := schema.Parse(twintest.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(s, engine.Options{})
}

// transact runs operations and fails the test if the request is no request.
func transact(t testing.TB, db *engine.DB, ops string) engine.Outcome {
	t.Helper()
	now := time.Unix(1000, 0)
	if ops != "" {
		ops = "," + ops
	}
	req, err := engine.ParseTransact([]byte(`["twin"`+ops+`]`), now)
	if err != nil {
		t.Fatal(err)
	}
	return db.Transact(req, engine.Env{Now: now})
}

// A small transaction on one of 10,000 rows, found by name, from JSON to reply.
// The goal is 20,000 a second on one core: 50 µs.
func BenchmarkTransactJSON(b *testing.B) {
	db := twinDB(b)
	for i := range 10000 {
		transact(b, db, fmt.Sprintf(`{"op":"insert","table":"named","row":{"name":"row%d","number":%d}}`, i, i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		o := transact(b, db, fmt.Sprintf(`{"op":"mutate","table":"named","where":[["name","==","row%d"]],"mutations":[["number","+=",20000]]}`, i%10000))
		if o.Commit == nil {
			b.Fatalf("%s", o.Reply)
		}
	}
}

// The same without JSON: how the switch writes its status.
func BenchmarkUpdateDirect(b *testing.B) {
	db := twinDB(b)
	t := db.Schema().Table("types")
	tx := db.Begin()
	var ids []ovsdb.UUID
	for range 10000 {
		id, err := tx.Insert(t)
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var i int64
	for b.Loop() {
		i++
		tx := db.Begin()
		if err := tx.Update(t, ids[i%10000], engine.Set{Column: t.Column("i"), Value: ovsdb.One(ovsdb.Int(i))}); err != nil {
			b.Fatal(err)
		}
		if c, err := tx.Commit(); c == nil || err != nil {
			b.Fatal(c, err)
		}
	}
}
