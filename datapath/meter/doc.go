// SPDX-License-Identifier: Apache-2.0

// Package meter is the arithmetic of meters (OpenFlow 1.3, 5.7): token buckets
// that say of each packet whether it may pass.
//
// # Tokens are time
//
// A bucket is kept as the time that its tokens took to flow in. A packet costs
// as long as the rate needs to send it; a burst is a depth in time; what is in
// the bucket is the time since the moment at which it was, or will be, empty:
//
//	level = now - empty    at most depth
//	pass: level >= min(cost, depth), then empty += cost
//
// So a bucket is one number, nothing has to be filled periodically, and no
// division is needed for a packet: Rate holds the cost of a byte (or of a packet) as a
// multiplier of 2^-20 ns. The eBPF datapath computes the same way with the same Rate.
//
// # Semantics
//
//   - The bucket is full when a meter is made or changed, and the counters are 0.
//   - A packet passes if every band lets it; then it costs at every band. One that
//     does not pass costs nothing and counts at the band with the highest rate of those
//     that refused it (OpenFlow 1.3, 5.7.1). The stock userspace datapath charges
//     also bands that would have let a dropped packet pass; with one band, the
//     usual case, there is no difference.
//   - A packet that is larger than the burst (a train of segments, often) passes when the bucket is
//     full and leaves a debt: the rate stays right and nothing is starved. The
//     stock switch would never let it pass.
//   - A burst of 0 means as much as the rate brings in a second, as in the stock switch.
//
// Rates are right to 0.4 % at 4 Tbit/s and to 0.001 % at 10 Gbit/s (the rounding of the
// multiplier); the remainder below a nanosecond is carried.
//
// # Threads
//
// A Meter has a lock and may be used by several goroutines.
package meter
