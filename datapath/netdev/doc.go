// SPDX-License-Identifier: Apache-2.0

// Package netdev is the edge to the kernel's network devices.
//
//   - links.go: which devices there are, what they are like, and word of every
//     change.
//   - internal.go: internal ports, which are pairs of veth devices: the near
//     end has the interface's name and is the user's, the far end is hidden and
//     is the datapath's. What to do (a pure function of wanted and present) is
//     apart from doing it.
//   - raw.go: sockets that send and receive whole frames on a device; batch.go:
//     frames for several of them, sent together.
//
// Nothing is remembered that can be read: every operation looks at what is
// there and does the difference, so that doing it again does nothing, and a
// restarted daemon finds its internal ports, with the addresses and routes that
// the user gave them, as it left them.
//
// # Threads
//
// A Links uses one netlink handle, which is tied to the network namespace of
// the thread that opened it, and may be used by several goroutines.
package netdev
