// SPDX-License-Identifier: Apache-2.0

// Package replica is the client's half of an OVSDB database, as ovs-vsctl uses
// it: a copy of the columns that the commands need, kept up by monitor updates,
// and a transaction that the commands build against the copy.
//
// # What
//
// A [Needs] says which columns of which tables are wanted; it becomes the
// parameters of monitor_cond. A [DB] takes the replies ("update2" notation). A
// [Txn] lays changes over the DB: a command reads its own writes and those of
// the commands before it. [Txn.Request] then turns the difference into the
// operations of one "transact".
//
// # Why it is written this way
//
// Two ovs-vsctl may run at once. What a decision depended on is recorded by
// [Row.Verify] and goes into the request as "wait" operations with timeout 0: if
// another client was faster the server refuses the whole, and the commands run
// again on the new contents. A change of one key of a map, or of one element of
// a set, goes out as "mutate", so that two clients that set different keys do
// not disturb each other. These are the operations that stock's ovs-vsctl
// sends (watched with -vjsonrpc:dbg).
//
// # Invariants
//
//   - A Txn never changes its DB, and the DB must not change while the Txn lives.
//   - A row that the Txn inserts has a provisional UUID until the reply names
//     the real one; in the request it is a named-uuid.
//   - Columns that no Need mentions read as their default and are never sent.
//
// # Threads
//
// None: pure values for one goroutine.
package replica
