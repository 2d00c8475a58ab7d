// SPDX-License-Identifier: Apache-2.0

// Package boards holds the descriptions of the boards that Weir can be the
// firmware of: one folder a board, with
//
//	board.json     what the board is; the type [Board], embedded in the binary
//	linux.config   its kernel: options laid over allnoconfig
//	linux.recipe   where the kernel's source comes from, read by build-kernel
//	patches/       for that kernel, in order of their names
//	README.md      for a person
//
// build-kernel (a script in this folder) makes the kernel once and keeps it in a
// cache; the same options serve the Makefile, the tests and Buildroot.
//
// A Board is a plain value that [Parse] has checked; what is wrong with a board.json
// is said all at once, each fault with the field's name. The package decides nothing
// about a running machine: [Find] and [Detect] only compare, firmware/boot plans.
package boards
