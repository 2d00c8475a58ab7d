// SPDX-License-Identifier: Apache-2.0

// Package query holds the two small languages of RFC 7047, section 5.1:
// conditions ("where") and mutations, parsed against a table's schema and
// evaluated on rows.
//
// Conditions have the extensions of Open vSwitch: true and false as clauses,
// and <, <=, >, >= on optional integers and reals, which are false on an empty
// one. The clauses of a transaction's condition are all to hold (All); those of
// a monitor's condition any (Any).
//
// Parsed conditions and mutations are immutable.
package query
