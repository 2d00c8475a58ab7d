// SPDX-License-Identifier: Apache-2.0

// Package counters reads how much traffic a chip's port has seen, or says that
// it is unknown. What the CPU saw of it is never given out as the whole: for
// most DSA drivers the netdev's own counters are just that.
//
//   - counters.go: Counters and where each driver has them; pure.
//   - read.go: the edge: ethtool's standard groups over generic netlink, its
//     driver-named ones by ioctl (they have no netlink form), and rtnetlink.
//
// The order: a port that is alone, or whose driver merges the chip's counters
// into the netdev's, has those; else the standard group eth-mac; else the
// driver's names, from a table with its source; else all are unknown (rocker:
// QEMU implements no port statistics).
package counters
