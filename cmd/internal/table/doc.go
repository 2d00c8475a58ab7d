// SPDX-License-Identifier: Apache-2.0

// Package table prints tables in the formats of Open vSwitch's database tools:
// table, list, html, csv (RFC 4180) and json, with cells in the "string", "bare"
// or "json" notation (ovs-vsctl(8), "Table Formatting Options").
//
// Scripts read this output, so it follows the stock tools to the byte; the
// package's test holds samples that they printed.
//
// A [Table] is a plain value, a [Style] says how to print it, a [Printer]
// remembers whether a blank line is due between two tables. Nothing here knows
// about databases beyond the values in cells. One goroutine at a time.
package table
