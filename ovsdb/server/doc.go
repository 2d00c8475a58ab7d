// SPDX-License-Identifier: Apache-2.0

// Package server serves databases to OVSDB clients: RFC 7047 over JSON-RPC
// with the extensions of Open vSwitch 3.1, on unix and TCP sockets, and to the
// process that it is part of without JSON.
//
// # Order
//
// All work on databases, monitors and locks is done under one mutex, in the
// order in which it came, which is also that of the log. Each session has a goroutine
// that reads, and writes what the transport takes at once when it has acted on all
// requests that have come, and one that writes the rest. What clients rely on:
//
//   - A client is sent the updates of its own transaction before its reply.
//   - A reply to a durable transaction is sent after a sync of the log that began
//     after its commit; others see the commit before. Syncs and compactions run without the
//     mutex, syncs one at a time for each log: transactions that come during one share the next.
//     They go on beside a compaction; only while its tail is written (package journal) they wait. When
//     a log grows too fast for its compaction, transactions are not read until
//     that is done; other requests are, unless they are behind one. A sync that
//     fails is followed by writing the log anew at once; if that fails too,
//     the reply ends with an "I/O error", though the transaction is in effect.
//     Commits that are not durable are synced within a second.
//   - A transaction with an unsatisfied "wait" is tried again after each commit
//     and at its timeout.
//
// # Slow and hostile peers
//
// While something is in a session's send buffer, updates for it are not made,
// but coalesce in its monitors (package monitor); and while more than 64 kB are
// there, its requests are not read. A session that leaves the kernel's socket
// buffer full for [Options.SendTimeout], or whose buffer or pending rows pass
// their bounds, is disconnected. Incoming messages are bounded each
// (jsonrpc.Limits) and together ([Options.InputBytes]). A peer on TCP that
// is silent for [Options.Probe] is sent an echo request, and dropped after
// another such time of silence. A panic in a session ends that session, or the
// process if it left a commit half done.
//
// # Remotes
//
// A remote is a name of package stream, or db:DATABASE,TABLE,COLUMN: all that a
// column names, followed as it changes. The column is a set of names, or refers
// to rows of a table like Manager, of which the columns target, max_backoff,
// inactivity_probe and other_config:dscp are read, as far as it has them, and
// is_connected and status written: at once when somebody comes or goes, every
// 5 s for the seconds in it. status has for a listener bound_port, n_connections
// (above 1) and, unlike stock's, last_error, and its seconds only once somebody
// has come; for a peer that we connect to its state, seconds and last_error;
// and the locks of the oldest session. A remote that cannot be opened is tried
// again, with a back-off of 8 s or max_backoff; pssl: without keys listens and
// refuses handshakes. A remote that goes takes its sessions with it, as in stock.
//
// # Bounds (defaults)
//
// 64 remotes; 64 sessions that came to listeners, a quarter of them on unix sockets
// only. At that bound the oldest that has not sent a message yet gives way, and
// if there is none, the new one is refused. 8 MiB in a send buffer that is not empty, 65,536 pending rows a
// session, 32 MiB of incoming messages, 256 monitors, 256 waiting
// transactions (1 MiB of them) and 256 locks a session.
package server
