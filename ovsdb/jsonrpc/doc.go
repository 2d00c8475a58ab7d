// SPDX-License-Identifier: Apache-2.0

// Package jsonrpc carries JSON-RPC 1.0 messages over a byte stream, as RFC 7047
// (section 4) and Open vSwitch's control sockets (unixctl) use it.
//
// # What
//
// The peers write JSON objects back to back: there is no length, no separator
// and no newline between them, so the receiver finds the end of a message by
// reading its JSON. [Framer] does that one byte at a time, and checks the JSON
// completely while it does it (RFC 8259 syntax, UTF-8, surrogates, NUL);
// [Parse] then sorts an object into a request, notification, reply or error
// reply; the Append functions write them; [Conn] puts the three around a
// net.Conn.
//
// # Why an own scanner
//
// encoding/json decodes from a stream too, but it buffers a whole value of any
// size before it looks at bounds, and it starts over when input comes in small
// pieces. Here the peer may be hostile: every bound (size, depth, number of
// values, length of one string) is checked at the byte that passes it, each
// byte is looked at once however the input is cut, and whitespace between
// messages is dropped as it arrives.
//
// # Invariants
//
//   - However the input is split, the same messages come out.
//   - What a Framer returns is valid JSON with an object at the top, so later
//     code may walk it without checking syntax again (it still never indexes
//     unchecked).
//   - A Framer never holds more than Limits.Size bytes, plus 8 bytes for each
//     level of nesting.
//   - An error is final: the stream has no way to resynchronise, and the
//     connection is to be closed.
//
// # Threads
//
// A Framer belongs to one goroutine. A [Conn] may be read by one goroutine
// and written by another. A [Budget] is shared by many.
package jsonrpc
