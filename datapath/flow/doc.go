// SPDX-License-Identifier: Apache-2.0

// Package flow is the vocabulary of matching: the flow key (every field of a
// packet and of its metadata that any table may look at), masks over it,
// matches (a key under a mask) and the table of fields.
//
// # Layout
//
// A Key is an array of 64-bit words and nothing else. Each field is a run of
// bits inside one word, or two whole words for the 128-bit fields, and the
// table in fields.go says where. All operations that a switch needs (compare
// under a mask, merge masks, hash, set a field under a mask, move bits) are
// then word operations without a case for each field, and the same layout
// serves classifier, megaflow cache and action translation.
//
// Fields that cannot occur together in one packet share storage, as the
// specifications of the matching languages allow: the ARP opcode lives in
// ip_proto, the ARP protocol addresses in ip_src and ip_dst, ICMP type and
// code in the transport ports, the link-layer addresses of neighbour discovery
// in those of ARP. Prerequisites (eth_type, ip_proto) tell them apart; a match
// on one of them without its prerequisite is refused before it gets here.
//
// Words are grouped in four stages: metadata, Ethernet, network, transport. A
// lookup that goes stage by stage can stop early and then depends only on the
// stages that it looked at, which keeps megaflow masks narrow.
//
// A VLAN tag is held as the 16-bit TCI of the frame with bit 12 (the DEI place)
// set to say "present"; zero is "no tag". The real DEI bit is not kept.
//
// The same Key type is used with OpenFlow port numbers in FieldInPort (tables)
// and with datapath port numbers there (megaflows); package xlate converts.
//
// Everything here is a value; nothing blocks, nothing is shared.
package flow
