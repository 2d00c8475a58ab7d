// SPDX-License-Identifier: Apache-2.0

// Package ovsdbclient is ovsdb-client: it prints and changes what a database
// server holds, by the protocol of RFC 7047, without knowing any schema
// (ovsdb-client(1)).
//
// A command line becomes a plan (pure), commands talk to the server over one
// connection (package dbconn), and results become tables (package table). The
// text is that of Open vSwitch 3.1; where stock prints rows or columns in the
// order of a hash table, here they are in the order of names or as the server
// sent them.
//
// One goroutine works; reading is done in it.
package ovsdbclient
