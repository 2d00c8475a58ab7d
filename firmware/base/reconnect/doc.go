// SPDX-License-Identifier: Apache-2.0

// Package reconnect decides when a client connects, probes and gives up: the
// part of an active connection that is worth testing without a network.
//
// A [Machine] is told what happened and what time it is, and [Machine.Run] says
// what to do next. It does nothing itself. Timing is that of Open vSwitch's
// managers and controllers:
//
//   - The first attempt is at once. After a failure the machine waits 1 s, then
//     2 s, 4 s, up to the maximum back-off (8 s); a connection that lived longer
//     than the back-off brings it back to nothing.
//   - An attempt may take as long as the back-off, but at least 1 s.
//   - A connection on which nothing was received for the probe interval (5 s;
//     0: never) is probed (echo); after another interval of silence it is
//     given up.
//
// A Machine belongs to one goroutine.
package reconnect
