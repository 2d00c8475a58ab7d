// SPDX-License-Identifier: Apache-2.0

// Package soft is the datapath in Go: for kernels without BPF, for
// datapath_type=netdev, and as the twin that the eBPF datapath is compared
// with.
//
// # Pure core
//
//   - table.go: the megaflows. Flows with the same mask share a subtable: a
//     hash map from the words of the key that the mask looks at. A lookup tries
//     the subtables, the most used first, and behind a small cache of recent
//     answers. Any hit is right, because the contract (package dpif) lets flows
//     overlap only where they agree; so the cache stores no keys and verifies
//     by the flow's own mask.
//   - exec.go: the actions of a flow on a frame, in order; outputs leave
//     through an interface. Those of packets that arrive leave at once, so that a packet to many
//     ports is never copied; those of Executes are copied and leave together, with one
//     system call for each port.
//   - queue.go: packets for user space, bounded for each port and together,
//     handed out fairly, in batches.
//
// # Edge
//
// port.go: each port has an AF_PACKET socket (netdev.RawSocket) and one
// goroutine that reads it and does everything up to the sending. GSO trains and
// unfinished checksums pass as they are. Nothing is allocated for a packet that
// hits a flow, unless it has a VLAN tag pushed more often than the headroom
// allows.
//
// The kernel's own stack sees the frames of a port too, as with Open vSwitch's
// userspace datapath: a packet socket gets a copy. Config.Isolate (default)
// therefore puts a program of two instructions behind the socket that drops the
// frame (tcx, Linux 6.6); it vanishes with the datapath, even a killed one.
// Where the kernel has no tcx, a port's device must have no address and no
// bridge; PortAdd works all the same and Isolated says so. The far leg of an
// internal port has no address anyway.
//
// Trains of segments inside of a tunnel (GSO of VXLAN and the like, sent by
// this host) cannot be described to a packet socket; they are dropped and count
// as malformed: turn the tunnel device's offloads off. A packet socket sends at
// most the MTU and one 0x8100 tag: frames of full size with two tags, or an
// outer 0x88a8, need a larger MTU.
//
// # Bounds
//
// MaxFlows flows (then ErrFull), MaxMasks different masks (ErrFull), for each
// port 64 packets and 1 MiB of upcalls, 16 MiB of upcalls together, 4 MiB of
// frames waiting in the kernel each way. Frames lost in the kernel count as
// UpcallDropped, since nobody knows what they would have been.
//
// # Threads
//
// Lookups hold the table's lock for reading, and count under it, so that
// FlowDel's final counters are final. Changes hold it for writing. No lock is
// held while actions run: they may go on for a moment after FlowDel or FlowPut
// returned. A packet that was looked up before FlowPut returned runs wholly
// with the old actions.
package soft
