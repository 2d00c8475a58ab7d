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
// A commit is on the medium after a sync that began after its Append: the owner
// answers a durable transaction only then, and lets many of them share one sync; for
// others it syncs within a second. A crash loses at most a suffix of what was not
// synced and never part of a commit: reading stops at the first record
// that is torn, does not match its hash or cannot be applied; what follows is
// ignored with a warning, and cut off before the next record is written, as the
// stock server does.
//
// An Append that fails (no space, I/O error) leaves the file as it was. A
// compaction writes the present state into a temporary file and syncs it, adds what
// was committed meanwhile and syncs that (the tail), adds the little that came since,
// renames it over the log and has the directory synced: at each moment the name leads to a
// complete file, and what a sync of the old log put on the medium is there in the new one before
// the rename. So a sync waits for no more of a compaction than its tail.
//
// # Bounds
//
// A log is compacted when it has doubled and has 256 KiB (Options.CompactMin). While that goes on it may grow by
// as much as it had when it was last compacted, or by those 256 KiB: then Behind asks the owner
// to take nothing more until the compaction is done. The tail has no more than that either.
//
// # Threads
//
// A Journal belongs to the goroutine of its database, or is under its mutex. It has
// none of its own. The slow parts, syncing and writing a new file, are functions that
// StartSync, StartCompact and StartTail return: they may run elsewhere while the owner appends,
// one at a time, but syncs also beside StartCompact's.
package journal
