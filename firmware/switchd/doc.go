// SPDX-License-Identifier: Apache-2.0

// Package switchd is the daemon: the database server, the reconciler that makes
// the switch what the database says, the OpenFlow connections and the control
// sockets, in one process.
//
//	database --commit--> reconcile: wanted.New -> wanted.Make -> operations
//	kernel  --link----->            -> bridges configured -> status columns
//	every 5 s ---------->
//
// # How it works
//
// One goroutine, the reconciler, owns what there is: datapaths, ports, numbers.
// Whatever happens (a commit, a device that comes or goes, a controller that
// connects, five seconds that pass) makes it do the same thing: read the
// database's snapshot and the kernel's devices, let package wanted say what is
// missing, do it, and write the status columns that differ. Doing it twice does
// nothing the second time. Commands of ovs-appctl that look at its state run in
// it, between two runs; one that panics answers with that, unless it changes something
// (fdb/flush, revalidator/purge, ofproto/trace -generate): then the daemon ends.
//
// # Panics
//
// A panic in a session of OVSDB, OpenFlow or ovs-appctl ends that session alone, if what
// it worked on is whole. One that left a commit, the flow tables or the reconciler's state half way
// (upcall.Torn, for instance), and one in a goroutine of the switch's own, ends the daemon: the
// stack goes into the log and to standard error, the exit status is 2, and whoever
// started the daemon starts it again, from the database as it was committed. With `weir init` that is package
// supervise, within a second; elsewhere it is procd or systemd.
// A daemon that goes on with half a table would forward wrongly, or wait for a lock for ever.
//
// The column cur_cfg is written with the status columns in one transaction, when the
// configuration is in effect: ovs-vsctl waits for it.
//
// # Switch chips
//
// Before each run package chip decides what chips forward by themselves, and rtchip does it, once the datapaths
// have given the ports up (offload.go). What did not work is tried again soon. Where a chip forwards, its ports'
// counters are the chip's or unknown, with the CPU's share beside them under names of its own (chipstats.go):
// a driver that shows none (rocker) leaves statistics:rx_packets out, and OpenFlow's port statistics have all ones.
//
// # Managers and keys
//
// The database server listens on db.sock and follows the Manager table, unless
// --remote says otherwise; table SSL, or --private-key and its like, name the
// files of the keys that managers and controllers alike are met with (remotes.go,
// package pki). What does not open is tried again: the switch goes on without it.
//
// # Threads
//
// Besides the reconciler: the database server's, the datapaths' (each tier runs
// upcalls on its own), one goroutine a connection. They reach a bridge through a
// pointer to its tier, which the reconciler replaces atomically.
//
// # At the end
//
// SIGTERM and `ovs-appctl exit` take the datapaths down and leave internal
// ports, whose addresses survive; `exit --cleanup` deletes these too. The
// sockets and pid files go in any case.
package switchd
