// SPDX-License-Identifier: Apache-2.0

// Package unixctl serves and calls the control socket of a daemon: what
// ovs-appctl talks to.
//
// The protocol is JSON-RPC 1.0 on a unix socket named
// <rundir>/<daemon>.<pid>.ctl: the method is the command, params is an array
// of strings, and the result or the error is a string that ends with a newline
// unless it is empty. The texts are those of Open vSwitch 3.1, checked against
// its ovsdb-server by this package's test.
//
// Commands are values given by the caller; list-commands and version (and
// help, which stock does not have: it lists too) are added here. A command is
// run with no other at the same time, so its function needs no lock of its own
// against other commands; it must not block for long.
//
// Bounds: [MaxConns] connections, 64 kB a request. A connection beyond the
// bound takes the place of the oldest that has no request under way; if all have
// one, it is closed at once.
package unixctl
