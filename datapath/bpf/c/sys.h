// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// What of the kernel's interface (include/uapi/linux/bpf.h) the programs use,
// so that the objects depend on no installed header: helper numbers, the
// context of a TC program, a legacy map definition.

#ifndef WEIR_SYS_H
#define WEIR_SYS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define inline_ static __attribute__((always_inline)) inline

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16(x) ((u16)__builtin_bswap16(x))
#else
#define be16(x) ((u16)(x))
#endif

// at_most tells the verifier that a number v from 1 to 2^n is that, mask being 2^n-1.
#define at_most(v, mask)                                       \
	do {                                                   \
		v--;                                           \
		asm volatile("%0 &= %1" : "+r"(v) : "i"(mask)); \
		v++;                                           \
	} while (0)

// forget makes the verifier forget what it knows of the number v, so that ways through
// the program that differ in that only become one. u is any number that it
// does not know.
#define forget(v, u)                                                 \
	do {                                                         \
		u64 v_ = (v);                                        \
		asm volatile("%0 += %1\n%0 -= %1" : "+r"(v_) : "r"((u64)(u))); \
		(v) = v_;                                            \
	} while (0)

// struct __sk_buff, up to gso_size.
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol; // network order
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto; // network order
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4;
	u32 local_ip4;
	u32 remote_ip6[4];
	u32 local_ip6[4];
	u32 remote_port;
	u32 local_port;
	u32 data_meta;
	u64 flow_keys __attribute__((aligned(8)));
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	u64 sk __attribute__((aligned(8)));
	u32 gso_size;
};

// Map types (enum bpf_map_type) and flags.
enum {
	MAP_HASH = 1,
	MAP_ARRAY = 2,
	MAP_PERCPU_ARRAY = 6,
	MAP_ARRAY_OF_MAPS = 12,
	MAP_RINGBUF = 27,
};

#define MAP_NO_PREALLOC 1

struct bpf_map_def {
	u32 type, key_size, value_size, max_entries, map_flags;
};

// Return codes of a TC program (include/uapi/linux/pkt_cls.h).
#define TC_ACT_SHOT 2

// Flags of helpers.
#define F_RECOMPUTE_CSUM 1
#define F_PSEUDO_HDR (1 << 4)
#define F_MARK_MANGLED_0 (1 << 5)

static void *(*map_lookup)(const void *map, const void *key) = (void *)1;
static long (*skb_store)(struct __sk_buff *, u32 off, const void *from, u32 len, u64 flags) = (void *)9;
static long (*l3_csum)(struct __sk_buff *, u32 off, u64 from, u64 to, u64 size) = (void *)10;
static long (*l4_csum)(struct __sk_buff *, u32 off, u64 from, u64 to, u64 flags) = (void *)11;
static u32 (*smp_processor_id)(void) = (void *)8;
static long (*clone_redirect)(struct __sk_buff *, u32 ifindex, u64 flags) = (void *)13;
static long (*vlan_push)(struct __sk_buff *, u16 proto_be, u16 tci) = (void *)18;
static long (*vlan_pop)(struct __sk_buff *) = (void *)19;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*skb_load)(const struct __sk_buff *, u32 off, void *to, u32 len) = (void *)26;
static s64 (*csum_diff)(const void *from, u32 fromlen, const void *to, u32 tolen, u32 seed) = (void *)28;
static void *(*ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*ringbuf_submit)(void *rec, u64 flags) = (void *)132;
static void (*ringbuf_discard)(void *rec, u64 flags) = (void *)133;
static u64 (*ktime)(void) = (void *)5;
static u64 (*ktime_coarse)(void) = (void *)160;

#endif
