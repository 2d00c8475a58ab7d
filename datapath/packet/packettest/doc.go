// SPDX-License-Identifier: Apache-2.0

// Package packettest generates frames for tests that compare two readers of
// packets: plausible ones from small pools of values, so that flows hit, and
// hostile ones: cut off, with lengths that lie, odd fragments, long chains
// of headers, bytes changed at random. The same seed gives the same frames.
//
// build.go has plain packets with right checksums, for tests that say what they
// send. A Gen belongs to one goroutine; nothing here is for product code.
package packettest
