// SPDX-License-Identifier: Apache-2.0

package engine

import (
	crand "crypto/rand"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync/atomic"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Log takes commits before they become visible. An error makes the transaction
// fail with "I/O error" and the database stay as it was.
type Log interface {
	Append(c *Commit) error
}

// Options of a database. The zero value is a database in memory only.
type Options struct {
	// Rand is the source of UUIDs; nil: a generator seeded from the system.
	Rand io.Reader
	// Log may be nil.
	Log Log
	// MaxReply bounds a transaction's reply in bytes; 0: DefaultMaxReply.
	MaxReply int
}

// DefaultMaxReply is the largest reply to one transaction, in bytes.
const DefaultMaxReply = 32 << 20

// DB is a database: see the package's comment for how it works and for threads.
type DB struct {
	schema   *schema.Schema
	rand     io.Reader
	log      Log
	maxReply int

	tables []tableState // by schema.Table.Index
	id     ovsdb.UUID   // of the last commit
	torn   bool         // a commit is in the log and only in part in what is above
	snap   atomic.Pointer[Snapshot]
}

// tableState is a table's rows and indexes.
type tableState struct {
	schema *schema.Table
	rows   trie
	// index finds the row with given values of each of the schema's indexes.
	index []map[string]ovsdb.UUID
}

// meta is what the engine keeps with a row; all versions of the row share it.
// Only the DB's goroutine looks at it.
type meta struct {
	strong int            // strong references from other rows
	weak   map[rowKey]int // rows that refer to this one weakly, and how often
}

// rowKey names a row.
type rowKey struct {
	table int
	id    ovsdb.UUID
}

// New returns an empty database.
func New(s *schema.Schema, o Options) *DB {
	if o.Rand == nil {
		var seed [32]byte
		if _, err := crand.Read(seed[:]); err != nil {
			panic(fmt.Sprintf("read system randomness: %v", err)) // never, says its documentation
		}
		o.Rand = rand.NewChaCha8(seed)
	}
	if o.MaxReply == 0 {
		o.MaxReply = DefaultMaxReply
	}
	db := &DB{schema: s, rand: o.Rand, log: o.Log, maxReply: o.MaxReply, tables: make([]tableState, len(s.Tables))}
	for i, t := range s.Tables {
		ts := &db.tables[i]
		ts.schema = t
		for range t.Indexes {
			ts.index = append(ts.index, map[string]ovsdb.UUID{})
		}
	}
	db.id = ovsdb.NewUUID(db.rand)
	db.publish()
	return db
}

// Schema returns the database's schema.
func (db *DB) Schema() *schema.Schema { return db.schema }

// SetLog sets or replaces the Log.
func (db *DB) SetLog(l Log) { db.log = l }

// Torn says that a panic came between the log and the end of a commit: the database must
// not be used any more, but be read from its log again.
func (db *DB) Torn() bool { return db.torn }

// Snapshot returns the database as of the last commit. Any goroutine may call it.
func (db *DB) Snapshot() *Snapshot { return db.snap.Load() }

func (db *DB) publish() *Snapshot {
	s := db.snapshotOf(db.id)
	for i := range db.tables {
		s.rows[i] = db.tables[i].rows
	}
	db.snap.Store(s)
	return s
}

func (db *DB) snapshotOf(id ovsdb.UUID) *Snapshot {
	return &Snapshot{schema: db.schema, id: id, rows: make([]trie, len(db.tables))}
}

// Snapshot is the contents of a database at one moment: immutable, for any
// goroutine.
type Snapshot struct {
	schema *schema.Schema
	id     ovsdb.UUID
	rows   []trie
}

// Schema returns the database's schema.
func (s *Snapshot) Schema() *schema.Schema { return s.schema }

// ID names the commit that made this state; a new database has a random one.
func (s *Snapshot) ID() ovsdb.UUID { return s.id }

// Row returns a row, nil if there is none of that UUID.
func (s *Snapshot) Row(t *schema.Table, id ovsdb.UUID) *ovsdb.Row {
	e, ok := s.rows[t.Index].get(id)
	if !ok {
		return nil
	}
	return e.row
}

// Rows walks a table's rows in the order of their UUIDs.
func (s *Snapshot) Rows(t *schema.Table) iter.Seq[*ovsdb.Row] {
	return func(yield func(*ovsdb.Row) bool) {
		s.rows[t.Index].walk(func(e entry) bool { return yield(e.row) })
	}
}

// SameTable reports whether a table is the same in both, by a cheap test that may
// miss it.
func (s *Snapshot) SameTable(o *Snapshot, t *schema.Table) bool {
	return s.schema == o.schema && s.rows[t.Index] == o.rows[t.Index]
}

// Len returns the number of rows of a table.
func (s *Snapshot) Len(t *schema.Table) int { return s.rows[t.Index].n }

// Commit is a transaction that changed something.
type Commit struct {
	ID      ovsdb.UUID
	Changes []Change // by table, then UUID; each row once
	Comment string   // of "comment" operations, joined with newlines
	Durable bool     // to be on the medium before the reply

	Before, After *Snapshot
}

// Change is what a commit did to one row.
type Change struct {
	Table    *schema.Table
	ID       ovsdb.UUID
	Old, New *ovsdb.Row // nil: inserted or deleted
	// Changed holds the indexes of the columns that differ, ascending, without
	// _version; of an insert those that are not the default, of a delete nil.
	Changed []int
}

// appendKey appends an index key: the values of the columns, self-delimiting.
func appendKey(b []byte, cols []*schema.Column, row *ovsdb.Row) []byte {
	for _, c := range cols {
		b = row.Get(c.Index).AppendExact(b)
		b = append(b, ',')
	}
	return b
}
