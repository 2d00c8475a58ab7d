// SPDX-License-Identifier: Apache-2.0

// Package ofconn carries OpenFlow between a bridge and its controllers: the
// edge around package openflow.
//
// # Picture
//
//	Switch (one a bridge)
//	  listeners:   <bridge>.mgmt, ptcp:, pssl:, punix:  -> service connections
//	               <bridge>.snoop                       -> snoops
//	  controllers: tcp:, ssl:, unix:                    -> primary connections
//	  Conn: one goroutine reads, one writes; a bounded queue between Send and
//	        the writer
//
// A Conn negotiates the version, answers echoes, probes a silent peer, keeps
// what belongs to the connection alone (flow format, packet-in format, role,
// asynchronous configuration, miss_send_len) and hands every other request to
// the Handler, which the consumer writes. It keeps bundles (package bundle) and hands them over as one
// *openflow.Bundle when they are committed. Messages that cannot be read are answered with the
// error of their Kind and the message.
//
// # Who gets what
//
// As in Open vSwitch: primary connections get asynchronous messages from the
// start; a service connection only after a set_config with a miss_send_len
// other than zero. A controller in the role secondary is refused modifications and gets
// port status alone. SendPacketIn, SendAsync and Conn's Wants apply this.
//
// # Bounds
//
// Each Conn queues at most Options.Queue bytes (1 MiB). Asynchronous messages
// beyond that are dropped and counted, and so are packet-ins beyond PacketInLimits.Queue, or, with a rate limit,
// those that find PacketInLimits.Burst waiting: then those of the port of which most wait. Replies are never dropped; instead the Conn reads no further request
// until the queue is below the bound again, so a peer holds at most the bound and the
// replies to one request. A peer that takes nothing for Options.Stall (10 s)
// is disconnected. A Switch has at most Options.Conns passive connections (64), a quarter of them on
// unix sockets only; at that bound the oldest that has not said hello gives way, and if all have, the new one is closed
// at once. A TLS handshake counts among the 64 of its listener until it is
// done (package stream). One line a second is logged for each Switch.
//
// # Threads
//
// All methods may be called from any goroutine. Handler.Handle is called from
// the reading goroutine of its Conn, one request after the other; different
// Conns call at the same time. Send, SendAsync and Reply never block. A panic in a
// Handler, or while something is sent, ends that connection alone, and is logged with its stack; the
// Handler says by the panic's value when nobody can go on (Handler), which ends the process.
//
// # Requests in parts
//
// Multipart requests whose parts come one by one (flag "more") are put together for one second behind the
// last part, up to 4 MiB and 64 requests a connection, then OFPBRC_MULTIPART_BUFFER_OVERFLOW. Only table features may
// have more than one body, as in the stock switch.
package ofconn
