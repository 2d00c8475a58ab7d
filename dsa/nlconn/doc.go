// SPDX-License-Identifier: Apache-2.0

// Package nlconn holds a conversation with the kernel over netlink, as
// programming a switch chip needs it and the libraries do not give it:
//
//   - the kernel's words (extended acknowledgement, NLMSGERR_ATTR_MSG) are kept
//     on success too: "Offloading not supported" comes with error 0, and is the
//     only sign that a port was bridged in software;
//   - every request has a time limit, and an answer that comes after it is
//     recognised by its number and thrown away;
//   - errors say what they mean for a program of a chip (dsa/nlerr): not supported,
//     full, gone, busy;
//   - a receiver of events is told of their loss (ENOBUFS), never silently cut.
//
// It costs 10 kB of the binary; github.com/mdlayher/genetlink, which does
// nearly the same, costs 127 kB (amd64, 2026-11).
//
// # Threads
//
// A Conn belongs to the network namespace of the thread that dials it. Its
// requests may come from several goroutines and are carried out one after the
// other.
package nlconn
