// SPDX-License-Identifier: Apache-2.0

// Package ovsdb holds the values of the Open vSwitch Database Management
// Protocol (RFC 7047) and their JSON notation: UUIDs, atoms, sets and maps of
// atoms ("datums"), rows, the types that constrain them, and the protocol's
// errors.
//
// Everything here is an immutable value. A Datum is one pointer, and a row is a
// slice of them, so that a changed row shares with its predecessor all columns
// that did not change: comparing them costs a pointer comparison, and a
// snapshot costs nothing. The atoms of a set, and the keys of a map, are always
// sorted and unique.
//
// Decoding takes what the network sent and refuses what RFC 7047, section 5.1
// or the column's type does not allow, with the error that the stock server
// gives. Encoding prints as the stock server does: a set of exactly one element
// as the bare atom, reals with 15 digits.
//
// The packages below: jsontree (JSON), schema, query (conditions and
// mutations), engine (the database in memory and its transactions), journal
// (the log file), vswitch (the Open_vSwitch schema and typed rows); and for the
// wire jsonrpc, monitor, server, client.
package ovsdb
