// SPDX-License-Identifier: Apache-2.0

// Package ctl is the part of ovs-vsctl that knows no Open vSwitch: commands
// joined by "--" into one transaction, and the database commands list, find,
// get, set, add, remove, clear, create, destroy, wait-until and comment, which
// work on the tables of any schema (ovs-vsctl(8), "Database Commands").
//
// # How a line is executed
//
//	Split   the arguments become [Call]s of known [Command]s, counts and options checked
//	Need    each command says which columns it reads; names are resolved against the schema
//	Run     each command reads and changes a [replica.Txn] and writes its own output
//
// The three are pure. The caller owns the connection: it fetches the columns of
// the second step, sends what the third has built, and starts the third again
// when another client was faster or a command returned [ErrAgain].
//
// Errors are texts for people, and scripts compare them: they are stock's.
//
// One goroutine at a time.
package ctl
