// SPDX-License-Identifier: Apache-2.0

// Package journal keeps a database in a log file in the format of Open vSwitch's
// standalone databases (ovsdb(5)), so that ovsdb-tool and ovsdb-server read what
// Weir wrote and the other way round.
//
// # The file
//
//	OVSDB JSON <length> <SHA-1 in hex>\n
//	<JSON text>\n
//
// record after record; length and hash are of the text with its newline. The
// first record is the schema. Each further one is a transaction:
//
//	{"_date": <ms since 1970>, "_comment": <text>, "_is_diff": true,
//	 "<table>": {"<uuid>": {"<column>": <value>, ...}, "<uuid>": null, ...}, ...}
//
// null deletes a row. With _is_diff the columns of a row that is there already
// hold differences (ovsdb.ModifyOf); without it, as Open vSwitch wrote before
// 2.15, new values. Ephemeral columns are not stored.
//
// # What is promised
//
// A commit with Durable is on the medium when Append returns. Others are there
// after the next Sync, which the owner calls within a second. A crash loses at
// most a suffix of those and never part of one: reading stops at the first record
// that is torn, does not match its hash or cannot be applied; what follows is
// ignored with a warning, and cut off before the next record is written, as the
// stock server does.
//
// An Append that fails (no space, I/O error) leaves the file as it was. Compact
// writes the present state into a temporary file, syncs it, renames it over the
// log and syncs the directory: at each moment the name leads to a complete file.
//
// # Threads
//
// A Journal belongs to the goroutine of its database. It has none of its own.
package journal
