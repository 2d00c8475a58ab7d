// SPDX-License-Identifier: Apache-2.0

// Package stream opens the connections that Open vSwitch's tools name with
// strings: unix:PATH, punix:PATH, tcp:HOST[:PORT], ptcp:[PORT][:HOST],
// ssl:HOST[:PORT], pssl:[PORT][:HOST]. A leading p means passive: listen.
//
// [Parse] is pure and gives an [Addr]; [Dial] and [Listen] are the edge. An
// IPv6 address stands in brackets, with its zone where it has one. TLS needs a
// *tls.Config from the caller (package pki makes them); without it ssl: and
// pssl: parse, but do not open ([ErrNoTLS]).
//
// A pssl: listener hands out connections whose handshake is done. Those that
// are not cannot disturb: there are at most 64 handshakes at a time, the next
// takes the place of the oldest, and none takes longer than 10 s. An honest
// peer's takes milliseconds, so thousands of half-open ones do not keep it
// away. Closing a TLS connection never waits for the peer.
//
// A unix socket is created with the permissions of stock Open vSwitch (0770
// less the umask, in force before the name appears). A socket file that is
// left over is replaced only when nobody answers on it; stock takes the name
// away from a living server. Close removes the file only if it is still ours.
//
// Paths too long for a socket address (above 107 bytes) are reached through
// /proc/self/fd.
package stream
