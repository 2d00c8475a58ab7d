// SPDX-License-Identifier: Apache-2.0

// Package jsontree parses one JSON text into a tree of values, strictly and
// with bounds, and prints JSON the way Open vSwitch's programs do.
//
// encoding/json is not used for what arrives from the network because OVSDB
// needs more than it gives: integers keep all 64 bits and a number such as
// 1e3 or 1.0 is an integer (RFC 7047 leaves that open, the stock server
// decides so); a string with a NUL, an unpaired surrogate or bytes that are
// not UTF-8 is refused instead of mended; nesting and the number of values
// have a limit, so that a small text cannot become a large tree.
//
// When an object names a member twice the last one counts, in the place of
// the first. That is what the stock parser does.
//
// Values are immutable and may be read from any goroutine. Strings are copies:
// keeping one does not keep the whole text in memory.
package jsontree
