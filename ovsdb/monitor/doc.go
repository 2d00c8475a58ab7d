// SPDX-License-Identifier: Apache-2.0

// Package monitor turns commits into what monitoring clients are told: RFC
// 7047's update, and Open vSwitch's update2 and update3 with conditions and
// differences.
//
// A [Monitor] is one client's subscription. It is made by [Parse] from a
// monitor, monitor_cond or monitor_cond_since request, gives the first
// contents ([Monitor.Initial], [Monitor.Since]), takes commits
// ([Monitor.Record]) and gives messages ([Monitor.Flush]) whenever the
// server can send one.
//
// # Coalescing
//
// Between two flushes a Monitor remembers for each changed row only what the
// client knows of it: the row as of the last flush. The message is made at the
// flush from that and the row as it is then. However many commits pass, a
// client that does not read costs one pointer a row, and gets one message when
// it reads again. [Monitor.Pending] tells how many rows there are, so that the
// server can give up on it.
//
// # Conditions
//
// A row is visible to the client if the condition of its table holds for it
// (any clause; none: always). A change is told by what became visible or
// invisible: a row that starts to match is an insert, one that ceases to
// match a delete. Changing the condition tells the difference at once.
//
// # History
//
// [History] keeps the last commits, bounded in number and bytes, so that a
// client that comes back with the id of the last transaction it saw is told the
// difference only.
//
// Everything is pure; a Monitor and a History belong to one goroutine (or are
// guarded by one mutex), together with their database.
package monitor
