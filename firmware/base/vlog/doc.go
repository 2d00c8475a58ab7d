// SPDX-License-Identifier: Apache-2.0

// Package vlog prints log/slog records in Open vSwitch's form
//
//	2026-01-01T00:00:00.000Z|00001|module|LEVEL|message key=value
//
// with a level for each module and destination that can be changed while the
// program runs (vlog/set, vlog/list, vlog/reopen, vlog/close in stock's syntax
// and texts). Destinations are the console (without milliseconds, as stock)
// and a file; the syslog column of vlog/list is kept, but nothing is sent there
// yet.
//
// There is no global: a [Set] belongs to the program's main, which hands out a
// *slog.Logger to each part with [Set.Logger]. A record's module is that of its
// logger, or the attribute "module" given by With, or a group opened on a
// logger without module.
//
// Levels: slog's Error, Warn, Info and Debug print as ERR, WARN, INFO, DBG;
// [LevelEmer] prints as EMER.
//
// [Limit] keeps one place in the code to one line a second.
//
// Threads: everything here may be used by many goroutines at once. A record is
// one write. A write that fails is dropped: logging never stops the program.
package vlog
