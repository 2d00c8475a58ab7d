// SPDX-License-Identifier: Apache-2.0

// Package packet reads a frame into a flow key and changes its headers. It is
// the meaning that every datapath gives to a packet: package soft runs this
// code, package bpf does the same in C, and a test compares the two. The rules
// below are therefore exact, and cover what no honest sender sends.
//
// # Outcome of a parse
//
// A frame shorter than 14 bytes is malformed: Parse reports false, the datapath
// drops and counts it. Every other frame has a key. Parsing goes from the
// outside in and stops at the first header that is missing, cut off or
// contradicts itself; the fields of that header and of all behind it are zero,
// those before it keep their values. Nothing is ever read behind the end that
// an outer header states (padding is not payload), nor behind the frame. "Has n
// bytes" below means: n bytes up to that end.
//
// Metadata: in_port, recirc_id, pkt_mark, skb_priority and dp_hash come from
// the caller; packet_type is 0 (Ethernet).
//
// # Ethernet and VLAN
//
//  1. eth_dst and eth_src: bytes 0-5 and 6-11. The type follows at 12.
//  2. While the type at the cursor is 0x8100 or 0x88a8 (no other), fewer than
//     MaxVLANs tags were taken (1 or 2; see below), and the frame has 6 bytes
//     from that type on (type, TCI and the type behind it), the tag is taken:
//     vlan_tpid and vlan_tci for the first, cvlan_tpid and cvlan_tci for the
//     second; the TCI has bit 12 set (flow.VLANPresent) in place of DEI. Else
//     the tag is not taken and its TPID is the eth_type, with nothing parsed
//     behind it.
//  3. A type of 0x600 and more is eth_type. A smaller one is an 802.3 length,
//     whose value is not used: if the next 8 bytes are there and are aa aa 03
//     00 00 00 and a type of 0x600 or more (LLC and SNAP with organisation 0),
//     that type is eth_type and its payload follows; else eth_type is
//     flow.EthTypeNone. A VLAN TPID in SNAP is an eth_type, not a tag.
//
// MaxVLANs is 1 unless configured (Open vSwitch's other_config:vlan-limit,
// whose default is 1 too): of a double tagged packet eth_type is then the inner
// TPID. A tag that the NIC or the kernel stripped is put back before parsing.
//
// # MPLS (0x8847, 0x8848)
//
// Entries of 4 bytes go to mpls0, mpls1, mpls2 until one has the bottom of
// stack bit, three are read, or fewer than 4 bytes are left. Nothing behind is
// parsed.
//
// # ARP and RARP (0x0806, 0x8035)
//
// With 28 bytes, hardware type 1, protocol type 0x0800, lengths 6 and 4: arp_op
// is the opcode, 0 if it is above 255; arp_spa, arp_tpa, arp_sha, arp_tha. Else
// all are zero. Bytes behind the 28 are padding.
//
// # IPv4 (0x0800)
//
// The header is valid if there are 20 bytes, IHL*4 is at least 20, the total
// length is at least IHL*4, and the frame holds the total length. The version
// and the checksum are not looked at. If it is not valid all network and
// transport fields are zero. Else ip_src, ip_dst, nw_tos, nw_ttl, ip_proto;
// ip_frag is FragAny if MF is set or the offset is not 0, and FragLater too if
// the offset is not 0. The end is the total length. Options are skipped unread.
// A later fragment has no transport header.
//
// # IPv6 (0x86dd)
//
// The header is valid if there are 40 bytes and the frame holds 40 + payload
// length; the version is not looked at. If it is not valid all network and
// transport fields are zero. Else ipv6_src, ipv6_dst, ipv6_label, nw_tos,
// nw_ttl. The end is 40 + payload length: a payload length of 0 (jumbogram)
// leaves no payload.
//
// Extension headers: hop-by-hop (0), routing (43), destination (60), AH (51),
// fragment (44), in any order, MaxIPv6Ext (6) of them at most. ip_proto is the
// type of the first header that is not stepped over, so 0 is a real value. A
// header of one of these types is stepped over if there are 8 bytes and its
// whole length (fragment: 8; AH: (len+2)*4, at least 8; others: (len+1)*8). If
// it is cut off, or is the seventh, the chain ends there: ip_proto is its type,
// there is no transport header. Fragment: ip_frag is FragAny if the offset or
// the M flag is not 0 (the reserved bits do not count); if the offset is not 0,
// ip_frag is FragAny|FragLater, ip_proto is 44 and the chain ends there.
//
// # Transport, behind IPv4 or IPv6, not in later fragments
//
//   - TCP (6): with 20 bytes, and a data offset of 20 bytes or more that is
//     within the end: tp_src, tp_dst, tcp_flags (12 bits, reserved bits
//     included). Else zero.
//   - UDP (17): with 8 bytes: tp_src, tp_dst. The UDP length is not looked at.
//   - SCTP (132): with 12 bytes: tp_src, tp_dst.
//   - IGMP (2) with 8 bytes, ICMP (1, behind IPv4 only) with 8 bytes: type in
//     tp_src, code in tp_dst.
//   - ICMPv6 (58, behind IPv6 only) with 8 bytes: type in tp_src, code in
//     tp_dst. Type 135 and 136 with code 0 and 24 bytes are neighbour
//     discovery: nd_reserved is bytes 4-7, nd_target bytes 8-23, then options
//     while 8 bytes are left. An option of type 1 (source) or 2 (target) and
//     length 1 gives nd_sll or nd_tll; nd_options_type is the type of the first
//     such; other options are skipped. An option of length 0, or that goes
//     behind the end, ends the list. If type 1 or type 2 with length 1 comes
//     twice, or 8 bytes are left behind MaxNDOptions (8) options, the message
//     is ambiguous and all five nd fields are zero (type and code stay).
//
// # Where stock Open vSwitch differs
//
// Its user space parser (3.1) gives the same keys (oracle_test.go compares)
// but: with a broken IPv6 extension chain nw_tos, nw_ttl, ipv6_label and
// ip_proto are 0 there; ICMP behind IPv6 and ICMPv6 behind IPv4 have tp_src and
// tp_dst there; it takes any number of extension headers and ND options;
// reserved bits of a fragment header make a fragment there; an all-zero
// link-layer address option does not count as seen.
//
// # Edits
//
// A Frame is a frame with its key's layers found. Set writes the bits of a
// value under a mask to a field; of a header that was not parsed (the rules
// above) nothing is written. Checksums are updated incrementally (RFC 1624,
// equation 3), so a wrong checksum stays as wrong as it was and a fragment's
// stays right:
//
//   - IPv4 header: any change of tos, ttl, src, dst.
//   - TCP, UDP, ICMPv6: a change of an IP address (pseudo header) in an
//     unfragmented packet or first fragment; not for ipv6_dst if a routing
//     header with segments left was stepped over, since the pseudo header holds
//     the last destination then. TCP, UDP: ports. ICMP and ICMPv6: type, code,
//     ND fields, ND options.
//   - A UDP checksum of 0 stays 0; a computed 0 is written as 0xffff.
//   - SCTP: the CRC32c is changed by the difference of the CRCs before and
//     after; in a first fragment, where that cannot be known, the ports are not
//     written.
//   - With NeedsCsum (the field holds the folded, not inverted sum of the
//     pseudo header) addresses change the field the other way round and nothing
//     else changes it.
//
// tp_src and tp_dst are ports, or the type and code of ICMP and ICMPv6 (their
// low 8 bits); tcp_src, icmpv6_type and so on are the same in packets of that
// protocol and nothing in others. IGMP's are not written.
//
// Lengths that do not match the packet (a UDP length that is wrong) are not
// repaired. The present bit of vlan_tci is not written; the real DEI of a tag
// stays as it is in Set, and PushVLAN writes DEI 0. On an untagged frame
// setting a VLAN field, and PopVLAN, do nothing. PushVLAN puts the new tag
// outermost whatever is there and however many; PopVLAN removes an outermost
// 0x8100 or 0x88a8 tag that was parsed. After a push or pop the offsets of the
// headers move but no header becomes known that was not: behind the pop of one
// of two tags with MaxVLANs 1 the packet has no network header until it is
// parsed again. PushMPLS puts an entry behind the type of the innermost tag that was parsed; of
// what follows nothing is known then until PopMPLS, which parses it. arp_op is 16 bits on the wire: Set takes the low 8 as in the
// key and writes the high ones as 0.
//
// # Bounds, threads
//
// Nothing here allocates, but PushVLAN and PushMPLS on a frame without headroom, Segment and Split.
// Frames of up to 65,535 + 22 bytes are expected, longer ones are parsed all
// the same. Functions are pure; a Frame belongs to one goroutine.
package packet
