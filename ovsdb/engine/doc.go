// SPDX-License-Identifier: Apache-2.0

// Package engine is the database in memory: a schema's tables, and transactions
// on them with all operations of RFC 7047, section 5.2. It is pure: no files, no
// sockets, no goroutines, no clock.
//
// # How it works
//
// Each table is a persistent trie from UUID to row. Rows are immutable; a commit
// makes new rows and new paths in the tries and leaves the old ones alone.
// A Snapshot is therefore nothing but the roots, valid for ever, readable by any
// goroutine.
//
// A transaction (Txn) is an overlay: the rows it touched, by table and UUID,
// over the tries as they were when it began. Nothing is shared with the database
// before the commit, so that giving up means forgetting the overlay. Operations
// see the overlay; constraints on single values are checked as the operations
// run, everything else at the commit, in this order:
//
//  1. what really changed; nothing: success, no commit;
//  2. strong references: each must lead to a row, and no deleted row may be
//     referred to ("referential integrity violation");
//  3. rows of non-root tables without strong references from other rows are
//     deleted, and then what those alone referred to;
//  4. maxRows ("constraint violation");
//  5. weak references to rows that are gone are removed, which may leave a
//     column too small ("constraint violation");
//  6. indexes are unique ("constraint violation");
//  7. the Log has it (whether on the medium is the owner's to see to before it
//     answers: Outcome.Durable); if not, "I/O error";
//  8. the new roots are published.
//
// None of these scans the database: the number of strong references to a row,
// and the rows that refer to it weakly, are kept with it and changed by the
// difference; indexes are hash tables from values to UUID. The tests do scan it
// after each of many random transactions and compare.
//
// A row that refers to itself does not keep itself alive; two that refer to each
// other do (counts, no cycle collection: as in the stock server).
//
// # Threads
//
// A DB belongs to one goroutine, or is guarded by one mutex. Snapshot may be
// called from anywhere, and what it returns may be read from anywhere.
//
// # Bounds
//
// The size of a request bounds the rows it can make. A reply has a bound of its
// own (Options.MaxReply), because a short request can select a table many times:
// past it the operation fails with "resources exhausted".
package engine
