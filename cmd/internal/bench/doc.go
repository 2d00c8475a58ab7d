// SPDX-License-Identifier: Apache-2.0

// Package bench holds what `make bench` needs besides the daemons that it
// measures: the load (flows, packets), a client for OpenFlow that costs next to
// nothing, a pair of raw sockets that count what comes through a switch, and
// the table with the results.
//
// The runner is TestBenchTable in cmd/weir: it starts Weir and Debian's Open
// vSwitch beside each other, gives both the same bytes, in turns, and keeps the
// best of the rounds of each. The best, because all that disturbs a measurement on a shared
// machine makes it worse.
//
// table.go and load.go are pure; openflow.go and wire.go talk. Nothing here is used by
// the switch.
package bench
