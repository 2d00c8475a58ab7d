// SPDX-License-Identifier: Apache-2.0

// Package patches has no code. Its tests check what our kernel patches of the board
// qemu-x86_64-rocker (boards/qemu-x86_64-rocker/patches) promise, with the kernel's own
// tools inside the machine and frames outside, on one boot: which ports a frame leaves
// by and how it is tagged, how many frames the guest's CPU saw of it, what tc refuses
// and with which words, and that nothing stays in the chip's tables.
//
// A frame that must not come is waited for as follows: the chip's first table counts
// every frame that a port receives, and QEMU has written all that follows from a frame
// before it answers a question on that count. So the absence is looked at when the count
// is there, and a moment later; a slow machine makes a check weaker, never fail.
package patches
