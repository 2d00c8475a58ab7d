// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The layouts that the programs share with user space (../layout.go has the
// Go twin of each) and the maps. Integers are in host order. Sizes that are 1
// here are set by the loader.

#ifndef WEIR_MAPS_H
#define WEIR_MAPS_H

#include "sys.h"

// Words of the key: some of the 64-bit words of a flow.Key of package flow, in
// three groups; a mask that looks at none of a group's words skips the group.
enum {
	// Group 0, always looked at.
	K_PORT,  // in_port:32 recirc_id:32
	K_META,  // pkt_mark:32 0:32
	K_DST,   // eth_dst:48 eth_type:16
	K_SRC,   // eth_src:48 vlan_tci:16 (bit 12: there is a tag)
	K_VLAN,  // vlan_tpid:16 cvlan_tci:16 cvlan_tpid:16 0:16
	K_IP4,   // ip_src:32 ip_dst:32, ARP's protocol addresses
	K_IP,    // 0:12 ipv6_label:20 proto:8 tos:8 ttl:8 frag:8
	K_TP,    // tp_src:16 tp_dst:16 tcp_flags:16 0:16
	// Group 1: IPv6 addresses.
	K_SRC6H, K_SRC6L, K_DST6H, K_DST6L,
	// Group 2: MPLS, ARP, neighbour discovery.
	K_MPLS0, // mpls0:32 mpls1:32
	K_MPLS2, // mpls2:32 0:32
	K_SHA,   // arp_sha or nd_sll:48 0:8 nd_options_type:8
	K_THA,   // arp_tha or nd_tll:48 0:16
	K_NDTH, K_NDTL,
	K_NDR,   // nd_reserved:32 0:32
	K_WORDS,
};

#define K_GROUP1 K_SRC6H
#define K_GROUP2 K_MPLS0

#define FRAG_ANY 1
#define FRAG_LATER 2
#define VLAN_PRESENT 0x1000

// Bounds.
#define MAX_MASKS 128 // masks that the order can name
#define LOOK_MASKS 32 // masks that a lookup tries
#define SEG_SHIFT 10
#define SEG_MASK 1023
#define CHUNK_OPS 4
#define MAX_OPS 64
#define IPV6_MAX_EXT 6
#define ND_MAX_OPTIONS 8
#define METER_CPUS 64  // with meters
#define METER_FRAC 20  // bits behind the point in the cost of a byte

struct mask {
	u64 word[K_WORDS];
	u64 seed; // of the hash; different for each mask
	u32 groups; // bit 0: in use; bits 1 and 2: the group has bits
	u32 pad;
};

// The masks to try, in order: numbers of masks plus 1; 0 ends the list, a
// mask that is not in use is stepped over. Of the two lists one is active.
struct order {
	u32 slot[MAX_MASKS];
};

struct ctl {
	u32 active;    // order list in force, 0 or 1
	u32 max_vlans; // 1 or 2
	u32 cpus;      // of quota's index
	u32 quota;     // bytes of upcalls outstanding for one port and CPU
};

struct flow {
	u64 key[K_WORDS]; // masked
	u64 id;
	u32 act;  // first chunk of the actions
	u32 mask; // number of the mask
};

struct flow_stats {
	u64 packets, bytes;
	u64 used; // CLOCK_MONOTONIC, ns
	u64 flags;
};

// An operation. Actions are compiled to these (../compile.go).
struct op {
	u8 code;
	u8 base; // B_*: header that off counts from
	u8 len;  // bytes written, 1 to 8
	u8 csum; // C_*
	u16 off;
	u16 need; // P_*: skipped if the packet lacks one of these
	u64 val;  // OP_SET: bytes in memory order
	u64 mask;
};

// OP_METER and OP_MUPCALL, which name a meter in mask, are first in their chunk.
enum { OP_END, OP_OUT, OP_LAST, OP_PUSH, OP_POP, OP_TCI, OP_SET, OP_MARK, OP_UPCALL, OP_SKIP, OP_METER, OP_MUPCALL };
enum { B_L2, B_MPLS, B_L3, B_L4, B_SLL, B_TLL };
enum {
	C_IP = 1,      // the IPv4 header's checksum covers it
	C_PSEUDO = 2,  // the pseudo header of the transport's does
	C_L4 = 4,      // the transport's checksum does
	C_ROUTED = 8,  // not C_PSEUDO if a routing header has segments left
	C_BARE = 16,   // no checksum in the packet makes up for the change
};

// What a packet has.
enum {
	P_MPLS = 1, P_ARP = 2, P_IP4 = 4, P_IP6 = 8, P_TCP = 16, P_UDP = 32,
	P_ICMP = 64, P_ICMP6 = 128, P_ND = 256, P_SLL = 512, P_TLL = 1024,
	P_ROUTED = 2048, P_SCTP = 4096, P_VLAN = 8192,
};

struct chunk {
	u32 next; // chunk behind this; 0: none
	u32 pad;
	struct op op[CHUNK_OPS];
};

struct dev { // by ifindex
	u32 port;
	u32 slot;
};

struct port { // by port number
	u32 ifindex; // 0: no such port
	u16 slot;
	u16 up; // the device is known to be up
	u32 mtu;
	u32 pad;
};

struct port_stats { // by slot, per CPU
	u64 rx_packets, rx_bytes;
	u64 tx_packets, tx_bytes, tx_dropped;
	u64 upcalls, upcall_dropped;
	u64 malformed;
	u64 charged; // bytes of upcalls ever; compare quota
};

struct upcall {
	u64 flow;
	u32 port, slot;
	u32 cpu, reason;
	u32 arg, recirc;
	u32 mark;
	u32 len;  // of the data behind this header
	u32 gso_size, gso_segs;
	u32 vlan; // 0, or TPID:16 TCI:16 of the tag that is not in the data
	u32 charge; // bytes to give back
	u64 ktime;
};

// A meter (see meter.h). User space writes all; programs write empty.
struct meter {
	u64 cost;  // of a byte or a packet, ns << METER_FRAC; 0: there is no such meter
	u64 depth; // of the bucket, ns
	u64 empty; // see meter.h
	u64 debt;  // more than can be owed, ns
	u64 per_packet;
};

// What one CPU, or user space, did at a meter. Only that CPU writes it.
struct meter_use {
	u64 used; // cost of what passed, ns
	u64 frac; // the rest of that, below a nanosecond
	u64 packets, bytes;
	u64 dropped, dropped_bytes;
	u64 pad[2];
};

#define WIN 256     // bytes of the packet that are looked at in one go
#define WIN_PAD 40  // the longest header read

struct scratch {
	u64 key[K_WORDS];
	u64 cur, end, len, wbase; // offsets in the frame
	u64 has;                  // P_*
	u64 l3, l4, mpls, sll, tll;
	u64 proto;
	u8 win[WIN + WIN_PAD];
};

#define MAP(name, t, k, v, n, f) \
	struct bpf_map_def SEC("maps") name = {t, k, v, n, f}

MAP(weir_ctl, MAP_ARRAY, 4, sizeof(struct ctl), 1, 0);
MAP(weir_order, MAP_ARRAY, 4, sizeof(struct order), 2, 0);
MAP(weir_masks, MAP_ARRAY, 4, sizeof(struct mask), MAX_MASKS, 0);
MAP(weir_index, MAP_HASH, 8, 8, 1, MAP_NO_PREALLOC); // hash of the masked key -> number of the flow
MAP(weir_flows, MAP_ARRAY_OF_MAPS, 4, 4, 1, 0);      // number >> SEG_SHIFT -> array of struct flow
MAP(weir_fstats, MAP_ARRAY_OF_MAPS, 4, 4, 1, 0);     // the same, per-CPU array of struct flow_stats
MAP(weir_acts, MAP_ARRAY_OF_MAPS, 4, 4, 1, 0);       // array of struct chunk
MAP(weir_meters, MAP_ARRAY_OF_MAPS, 4, 4, 1, 0);     // array of struct meter
MAP(weir_muse, MAP_ARRAY_OF_MAPS, 4, 4, 1, 0);       // meter * (cpus + 1) + CPU, the last for user space -> struct meter_use
MAP(weir_devs, MAP_HASH, 4, sizeof(struct dev), 1, MAP_NO_PREALLOC);
MAP(weir_ports, MAP_ARRAY, 4, sizeof(struct port), 1, 0);
MAP(weir_pstats, MAP_PERCPU_ARRAY, 4, sizeof(struct port_stats), 1, 0);
MAP(weir_quota, MAP_ARRAY, 4, 8, 1, 0); // slot * cpus + cpu -> bytes of upcalls that may have been charged
MAP(weir_upcalls, MAP_RINGBUF, 0, 0, 4096, 0);
MAP(weir_scratch, MAP_PERCPU_ARRAY, 4, sizeof(struct scratch), 1, 0);

#endif
