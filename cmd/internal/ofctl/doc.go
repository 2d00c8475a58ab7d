// SPDX-License-Identifier: Apache-2.0

// Package ofctl is ovs-ofctl: it asks and changes an OpenFlow switch, ours or
// the stock one, and prints what it says (ovs-ofctl(8)).
//
// A command line is read by [parse] into a plan (options.go); texts of flows and
// packets become messages, with the set of flow formats that can carry them (flowtext.go, protocols.go);
// both are pure. What talks is conn.go and the commands: each opens a
// connection, sends requests and prints replies with package ofprint.
//
// Texts, errors and exit codes are those of Open vSwitch 3.1; the test runs
// both programs against the same switch. Exit codes: 0 success, 1 an error, 2
// diff-flows found a difference, 142 --timeout passed, 143 and 130 ended by a
// signal.
//
// # Not there yet
//
// Groups, meters, bundles, TLV maps, flow monitors and the connection tracker's
// commands wait for their messages in the codec; so do actions that package
// action does not know. They are refused as unknown.
//
// # Threads
//
// One goroutine. A command's reading ends when its context does.
package ofctl
