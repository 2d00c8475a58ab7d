// SPDX-License-Identifier: Apache-2.0

// Package dpif is the contract between the part of the switch that decides
// (package xlate, run by package upcall) and a datapath that forwards: soft
// (Go) and bpf (eBPF). This comment is meant to be enough to write another.
//
// # What a datapath is
//
// A set of numbered ports, a set of megaflows, and the rule: a packet that
// arrives on a port is parsed into a key (package packet), with the datapath's
// port number in FieldInPort; if a megaflow matches the key, its actions are
// executed and its counters rise; if none does, the packet goes to user space
// as an Upcall of ReasonMiss and nothing else happens to it. There is no
// default forwarding: a datapath without megaflows forwards nothing.
//
// # Megaflows
//
// A Flow is a key under a mask with actions and an ID that the caller chooses
// (never 0, never used twice while the datapath lives). Flows may overlap, but
// then the caller guarantees that they agree for every packet that matches
// both, so that any order of lookup is right (but for the moment in which it replaces
// them one by one). Key bits outside the mask are
// zero. Only FieldInPort, FieldRecircID, FieldSkbPriority, FieldPktMark,
// FieldDPHash, the conntrack and tunnel fields and the packet's own fields
// occur; which of them a datapath can match is in Features.Match, and a Flow
// that needs more is refused with *Unsupported, never narrowed or widened.
// VLAN: a flow whose mask has any bit of eth_type or of a field of a later
// stage has all bits of vlan_tci's presence exact; the caller sees to that.
//
// FlowPut with an ID that is there replaces the actions at once (no packet sees
// neither or a mixture) and keeps the counters; key and mask must be the same.
// The same key and mask under another ID is refused with ErrExist: two misses
// of one flow must not make two megaflows. FlowDel returns the final counters:
// what a packet counted before the flow disappeared is in them.
//
// # Actions
//
// Executed in order on the packet, whose changes later actions see. An empty
// list drops. Set on a field of a header that the packet does not have is the
// caller's error; a datapath may do anything with the packet but write outside
// that header. Behind PushMPLS a packet has no header but those of Ethernet, VLAN and
// MPLS. A train of segments is cut before a label is pushed and before it is truncated,
// since the headers of its segments could not be found or told any more. Checksums (IPv4 header, TCP, UDP, ICMPv6 pseudo header) follow
// every Set. Output to a port that has gone, or back to a device that is down,
// drops and counts at the port. Output to the port of arrival is done if asked:
// the decision is the caller's. A Flow with an action that the datapath cannot
// do is refused with *Unsupported; the caller then serves these packets with a
// flow whose only action is Userspace, and with Execute.
//
// # Meters
//
// A meter is a set of token buckets under a number that the caller chooses,
// shared by all flows whose actions name it, and by all CPUs: together they let
// pass what the rate says, to 2 % over ten seconds. Package meter has the arithmetic and
// its small print. A packet counts as it is when it comes to the meter; a train of segments
// is one packet with its bytes. A meter may be changed and deleted while flows
// name it; one that is not there lets everything pass. MeterSet refuses an ID above
// Features.MaxMeters with ErrFull, and bands that it cannot do with *Unsupported.
//
// # Large packets
//
// On Linux a packet may be a train of TCP segments (GSO) longer than the MTU,
// and its transport checksum may be unfinished. A datapath forwards such
// packets as they are, counts them as one packet with the bytes that they have,
// and hands them to user space with Packet.GSO set; Execute takes them back the
// same way.
//
// # Threads
//
// All methods may be called from several goroutines. Run delivers upcalls from
// one or more goroutines of the datapath until its context ends; the handler
// must not keep the Upcalls or their packets after it returned, but may change them. While the handler
// runs, further upcalls wait in a bounded queue; at the bound they are dropped
// and counted at the port of arrival (PortStats.UpcallDropped), fairly: a port
// that floods loses its own packets first.
//
// # Errors
//
// *Unsupported (with a reason for the user), ErrExist, ErrNotExist, ErrFull
// (the table bound is reached; nothing changed), ErrClosed, each wrapped with
// the operation and its operands.
package dpif
