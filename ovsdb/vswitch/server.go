// SPDX-License-Identifier: Apache-2.0

package vswitch

import (
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// NewServerDB returns an empty _Server database. It is held in memory only.
func NewServerDB(o engine.Options) *engine.DB { return engine.New(ServerSchema(), o) }

// SetDatabase writes the row of table Database for a standalone database that is
// served: connected, its own leader, with the schema as clients get it.
func SetDatabase(tx *engine.Txn, s *schema.Schema) error {
	vals := Values{
		"name": s.Name, "model": "standalone", "connected": true, "leader": true,
		"schema": string(s.AppendJSON(nil)),
	}
	t := tx.Schema().Table("Database")
	name := t.Column("name")
	for _, r := range tx.All(t) {
		if r.Get(name.Index).Equal(ovsdb.One(ovsdb.Str(s.Name))) {
			_, err := Set(tx, "Database", r.ID, vals)
			return err
		}
	}
	_, err := Insert(tx, "Database", vals)
	return err
}

// RemoveDatabase removes the row of a database that is no longer served.
func RemoveDatabase(tx *engine.Txn, dbName string) error {
	t := tx.Schema().Table("Database")
	name := t.Column("name")
	for _, r := range tx.All(t) {
		if r.Get(name.Index).Equal(ovsdb.One(ovsdb.Str(dbName))) {
			return tx.Delete(t, r.ID)
		}
	}
	return nil
}
