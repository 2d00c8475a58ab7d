// SPDX-License-Identifier: Apache-2.0

// Package vsctl is ovs-vsctl: it changes and prints the configuration of a
// switch by talking OVSDB to its database server, ours or the stock one.
//
// The command line is read by [parse] into a plan. Package ctl executes the
// plan on a copy of the database (package replica); this package adds the
// commands that know what a bridge, a port and a controller are, and the edge:
// dial, monitor, transact, wait until the switch has taken the configuration.
//
// The text that it prints, its errors and exit codes are those of Open vSwitch
// 3.1: the test runs both on the same lines against Debian's ovsdb-server.
//
// # The model
//
// A fake bridge is a port with fake_bridge and a tag: a VLAN of its parent that
// looks like a bridge of its own. [model] is the bridges, ports and interfaces
// with the fake ones unfolded; commands find their objects in it and change the
// rows below it.
//
// # Threads
//
// One goroutine works; a second one only reads messages from the connection.
package vsctl
