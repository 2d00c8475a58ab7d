// SPDX-License-Identifier: Apache-2.0

// Package appctl is ovs-appctl: it sends one command to a running daemon, ours
// or a stock one, over its control socket and prints the answer
// (ovs-appctl(8)).
//
// Exit codes: 0 success, 1 the daemon could not be asked, 2 it answered with an
// error, 142 --timeout passed. Texts are those of Open vSwitch 3.1; the test
// compares them. One goroutine.
package appctl
