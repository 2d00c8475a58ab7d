// SPDX-License-Identifier: Apache-2.0

// Package image packs the initramfs that a board boots: one static binary under many
// names, folders to mount on, kernel modules. Nothing of Open vSwitch's is in it; the
// tools that one knows by those names are ours.
//
//	Base(weir) + Modules(dir) [+ Programs(...) in test images] --Pack--> cpio, newc
//
// # Invariants
//
// The same files make the same bytes, whoever packs, where, when: entries are sorted by
// path and have no owner, time or inode of the machine that packs. A path that is given
// twice, or lies under something that is no folder, is an error, not a surprise.
//
// The archive is the kernel's (Documentation/driver-api/early-userspace/
// buffer-format.rst), written by u-root's package cpio.
package image
