// SPDX-License-Identifier: Apache-2.0

// Package vswitch is the Open_vSwitch database for a switch written in Go: the
// schema (8.3.1, as in Open vSwitch 3.1), its tables as typed rows, and the way
// back for status columns. Further it has the _Server database, by which clients
// learn what a server serves.
//
// Reading: a Reader turns snapshots of the database into Views. Rows that did not
// change since the last View are the same pointers, so that a Reader may look at
// each commit: that costs what changed, and comparing pointers tells what did.
//
// Writing: Set and the like work on an engine.Txn with Go values. There is no
// JSON on that path, columns that already have the value are not written, and
// ephemeral columns, most of the statistics and status, never reach the log file.
//
// A View and its rows are immutable: callers must not change the maps and slices
// in them. A Reader belongs to one goroutine, a View to anybody.
package vswitch
