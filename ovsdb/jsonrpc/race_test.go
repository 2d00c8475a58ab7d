// SPDX-License-Identifier: Apache-2.0

//go:build race

package jsonrpc

// The race detector makes everything several times slower.
const slowdown = 10
