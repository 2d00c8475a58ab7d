// SPDX-License-Identifier: Apache-2.0

// Package bpf is the datapath in eBPF: a dpif.Datapath whose forwarding is one
// program on the ingress of each port's device, attached by tcx (Linux 6.6)
// or else by a clsact qdisc and a direct-action filter. It needs no kernel
// module, no BTF, no tunnel device, and no function calls inside BPF.
//
// # What a packet goes through
//
// The program (c/weir.c, and c/parse.h, c/lookup.h) reads the headers into a key
// by the rules of package packet, tries the masks in use one by one (hash of the
// masked key, then the flow's number, then a comparison in full), counts, and
// executes the flow's operations. A packet without flow executes chunk 0 of the
// operations, which hands it to user space. The verdict is always redirect or drop:
// a port's frames never reach the host's own stack.
//
// # Maps
//
// All state that forwards is in maps (c/maps.h), and all of it can be read
// back: a flow's record holds its ID, its key, its mask's number and its
// operations, so that a later daemon can adopt pinned maps. Tables of flows,
// counters and operations are arrays of arrays of 1,024 entries, which grow when they
// must; a flow costs some 64 bytes of hash element, 176 of record and 32 a CPU of
// counters. Flows with the same operations share these, 104 bytes for each 4. Go keeps in
// memory which numbers are in use, and the operations in use. The records of flows that come in a batch
// are written with one system call for each segment of 1,024, each entry of the index, which
// must not be there yet, with one of its own; counters are cleared many at a time, after the grace
// period behind which their numbers are used again.
//
// # Changing a flow while packets run
//
// Array elements are written in 8-byte words, so a record whose only change is
// its act word changes at once: operations are replaced by writing new chunks, then that
// word. The flow's number, and with it its counters, stay. A number or a chunk that
// is no longer in use is given out again only after a grace period, when no program
// can still hold it: writing to an array of maps waits for one. Until then it is
// held; see pool.
//
// # Upcalls
//
// The ring buffer's records are a header and the whole packet as it is now, in one of
// four sizes (256, 2,048, 16,384, 81,920 bytes of packet). Before a record is
// reserved the port pays: what a port has outstanding on one CPU, from the record's
// reservation to the return of the handler, may be Config.UpcallQuota bytes (default
// a quarter of the ring for all CPUs, at which the next packet is dropped and counted), one
// packet more at most. User space raises the mark as it handles packets, so a port that floods
// fills its own share only, and takes turns with the others. No atomic operation is needed. Go
// holds at most as many bytes as the ring; at that bound packets wait in the ring.
//
// # Meters
//
// A meter is one token bucket for all CPUs, without a lock or an atomic operation (locks need BTF, and 32-bit
// JITs know neither): each CPU adds up what it let pass in a counter that only it writes,
// and compares the sum with the time that has gone by (c/meter.h). Nothing that passed is ever lost from the
// sum, so the rate is right over time; CPUs that decide at the same moment may
// let one packet each pass too early. A meter has one band (as in the kernel's own datapath; more are refused), 4,096 meters
// are possible on machines with at most 64 possible CPUs, none on larger ones.
//
// # Cost
//
// In November 2026, on Linux 6.18 and amd64: 3,067 instructions, of which the
// verifier walks 265,000 (its bound is 1,000,000; TestVerifier fails at a third). A packet
// costs 90 ns with one mask and 14 ns more for each mask tried before, without driver and redirect
// (TestCost); a flow 13 us to add and 4 us to delete. Without flows the maps take 6 MB (131,072 flows possible).
//
// Counters are plain additions in per-CPU values: on a 32-bit machine a reader may
// see one half of a counter older than the other for a moment. The scratch that holds a packet's
// key is per CPU as well and is only used between parse and lookup, where no
// other packet can come in between in a softirq; with PREEMPT_RT that rests on the lock
// that softirqs of one CPU share.
//
// # Limits, each refused with dpif.Unsupported or dpif.ErrFull
//
// 32 masks are tried (the tables hold 128), 64 operations a flow (63 actions that are one each), the fields of matchFields
// (key.go), the edits of targets (compile.go): not the ports of SCTP, whose checksum is a CRC, and
// not nd_options_type.
//
// # Threads
//
// All methods take one mutex but Execute, which takes a read lock, and Run, which
// reads the ring and calls the handler in the caller's goroutine without any. One
// goroutine follows the devices' state.
package bpf
