// SPDX-License-Identifier: Apache-2.0

// Package boards will hold the descriptions of boards that Weir can be the
// firmware of: one folder a board with board.json, the kernel configuration
// and patches, and the Board type that validates them. No board is described
// yet.
package boards
