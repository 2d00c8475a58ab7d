// SPDX-License-Identifier: Apache-2.0

// Package rtbridge is dsa/bridge's edge to the kernel, over rtnetlink.
//
//   - numbers.go: the numbers of the kernel's headers.
//   - encode.go: an operation as the request that does it.
//   - filter.go: the same for tc.
//   - decode.go: the kernel's dumps as a bridge.State; pure.
//   - kernel.go: Kernel, the bridge.Device.
//   - macs.go: MAC tables and their events, and those of members.
//
// It decides nothing. What it reads is what is in its Scope: bridges, bonds and
// legs that are ours by name, with all their members, and the ports named.
//
// # Threads
//
// A Kernel belongs to the network namespace of the thread that opened it, and
// is for one goroutine. WatchMACs and WatchPorts have sockets of their own.
package rtbridge
