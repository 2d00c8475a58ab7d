// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The datapath on TC: parse, look up, execute. See ../doc.go for the whole.

#include "sys.h"

#define ctx_load(ctx, off, to, len) skb_load(ctx, off, to, len)

#include "maps.h"
#include "parse.h"
#include "lookup.h"
#include "meter.h"

// Classes of upcall records, by the longest data. The last holds an IP packet
// of 65,535 bytes behind an Ethernet header and two tags; less CLASS2 it is
// a power of two, for the verifier.
#define CLASS0 256
#define CLASS1 2048
#define CLASS2 16384
#define CLASS3 81920

struct pkt { // what execution needs to know of the packet
	u64 has;
	u64 l3, l4, mpls, sll, tll;
	u64 tags; // VLAN tags that were parsed or pushed
	u32 slot, port;
};

inline_ struct port_stats *port_stats(u32 slot)
{
	return map_lookup(&weir_pstats, &slot);
}

inline_ u64 wire_len(struct __sk_buff *skb)
{
	u64 n = skb->len;

	if (skb->vlan_present)
		n += 4;
	return n;
}

// moved brings the offsets up to date after the frame grew from len bytes in front
// of the network header.
inline_ void moved(struct __sk_buff *skb, struct pkt *p, u64 len)
{
	u64 d = (u64)skb->len - len;

	p->l3 += d;
	p->l4 += d;
	p->mpls += d;
	p->sll += d;
	p->tll += d;
}

inline_ long push_vlan(struct __sk_buff *skb, struct pkt *p, u64 tpid, u64 tci)
{
	u64 len = skb->len;
	long err = vlan_push(skb, be16(tpid), tci);

	moved(skb, p, len);
	return err;
}

inline_ long pop_vlan(struct __sk_buff *skb, struct pkt *p)
{
	u64 len = skb->len;
	long err = vlan_pop(skb);

	// The kernel takes the next tag out of the frame, and fails, the outer one
	// already gone, if what looks like one is cut off.
	if (err && !skb->vlan_present)
		err = 0;
	moved(skb, p, len);
	return err;
}

inline_ long set_tci(struct __sk_buff *skb, struct pkt *p, u64 val, u64 mask)
{
	u64 tci, tpid;
	u8 t[4];

	if (skb->vlan_present) {
		tci = skb->vlan_tci & 0xffff;
		tpid = be16(skb->vlan_proto);
	} else {
		if (skb_load(skb, 12, t, 4))
			return 0;
		tpid = ld16(t);
		tci = ld16(t + 2);
	}
	val = (tci & ~mask) | (val & mask);
	if (val == tci)
		return 0;
	if (pop_vlan(skb, p))
		return -1;
	return push_vlan(skb, p, tpid, val);
}

// set writes bytes of a header and brings checksums up to date. The helpers
// leave an unfinished checksum (CHECKSUM_PARTIAL) alone but for its pseudo
// header, and keep skb->csum right if the NIC summed the packet
// (CHECKSUM_COMPLETE): a change that a checksum in the packet makes up for does not
// alter that sum, so such bytes are stored without F_RECOMPUTE_CSUM; the helper for
// the pseudo header subtracts the change once, right for IPv4 where the
// header's checksum takes it up, so IPv6 addresses are stored with that flag.
inline_ long set(struct __sk_buff *skb, struct pkt *p, const struct op *op)
{
	u64 base, off, len, new, old = 0, l4off = 0, mangled = 0;
	u32 csum = op->csum;
	u16 none = 0;
	s64 d;

	switch (op->base) {
	case B_L2: base = 0; break;
	case B_MPLS: base = p->mpls; break;
	case B_L3: base = p->l3; break;
	case B_L4: base = p->l4; break;
	case B_SLL: base = p->sll; break;
	default: base = p->tll; break;
	}
	off = base + op->off;
	len = op->len;
	at_most(len, 7);
	if (skb_load(skb, off, &old, len))
		return -1;
	new = (old & ~op->mask) | op->val;
	if (new == old)
		return 0;
	if ((csum & C_ROUTED) && (p->has & P_ROUTED))
		csum &= ~C_PSEUDO;
	if (csum & (C_PSEUDO | C_L4)) {
		if (p->has & P_TCP) {
			l4off = 16;
		} else if (p->has & P_UDP) {
			mangled = F_MARK_MANGLED_0;
			l4off = 6;
			if (skb_load(skb, p->l4 + 6, &none, 2))
				return -1;
			if (!none) { // stays so, and makes up for nothing
				l4off = 0;
				csum |= csum & C_L4 ? C_BARE : 0;
			}
		} else if ((p->has & P_ICMP6) || ((p->has & P_ICMP) && (csum & C_L4))) {
			l4off = 2;
		}
	}
	d = csum_diff(&old, 8, &new, 8, 0);
	if (skb_store(skb, off, &new, len, csum & C_BARE ? F_RECOMPUTE_CSUM : 0))
		return -1;
	if (csum & C_IP && l3_csum(skb, p->l3 + 10, 0, d, 0))
		return -1;
	if (!l4off)
		return 0;
	if (csum & C_PSEUDO)
		mangled |= F_PSEUDO_HDR;
	return l4_csum(skb, p->l4 + l4off, 0, d, mangled);
}

// output returns 0 if the packet has to be dropped.
inline_ long output(struct __sk_buff *skb, u32 no, int last)
{
	struct port *to = map_lookup(&weir_ports, &no);
	struct port_stats *st;
	u64 len = wire_len(skb);
	long err = 1;
	u32 slot = 0;

	if (to)
		slot = to->slot;
	st = port_stats(slot);
	if (!st)
		return 0;
	if (to && to->ifindex && (skb->len - 14 <= to->mtu || skb->gso_size)) {
		// Of the fate of a redirect nothing is learnt, so where the device
		// is not known to be up a clone has to find out.
		if (!to->up)
			last = 0;
		if (last)
			err = 0;
		else
			err = clone_redirect(skb, to->ifindex, 0);
	}
	// NET_XMIT_CN of a device that is up: this packet is on its way, another was
	// dropped; of one that is down: this was.
	if (err && (err != 2 || !to->up)) {
		st->tx_dropped++;
		return 0;
	}
	st->tx_packets++;
	st->tx_bytes += len;
	if (last && to)
		return redirect(to->ifindex, 0);
	return 0;
}

#define EMIT(CLASS)                                                           \
	do {                                                                   \
		struct upcall *u = ringbuf_reserve(&weir_upcalls, sizeof(*u) + CLASS, 0); \
		if (!u)                                                        \
			goto drop;                                             \
		u->flow = id;                                                  \
		u->port = p->port;                                             \
		u->slot = p->slot;                                             \
		u->cpu = cpu;                                                  \
		u->reason = arg >> 32;                                         \
		u->arg = arg;                                                  \
		u->recirc = 0;                                                 \
		u->mark = skb->mark;                                           \
		u->len = len;                                                  \
		u->gso_size = skb->gso_size;                                   \
		u->gso_segs = skb->gso_segs;                                   \
		u->vlan = vlan;                                                \
		u->charge = sizeof(*u) + CLASS;                                \
		u->ktime = ktime_coarse();                                     \
		if (skb_load(skb, 0, u + 1, len)) {                            \
			ringbuf_discard(u, 0);                                 \
			goto drop;                                             \
		}                                                              \
		st->charged += sizeof(*u) + CLASS;                             \
		ringbuf_submit(u, 0);                                          \
	} while (0)

// upcall hands the packet to user space, if the port has not more there than
// its share.
inline_ void upcall(struct __sk_buff *skb, const struct pkt *p, const struct ctl *ctl, u64 id, u64 arg)
{
	struct port_stats *st = port_stats(p->slot);
	u64 len = skb->len, vlan = 0, *quota;
	u32 cpu = smp_processor_id(), q;

	if (!st)
		return;
	q = p->slot * ctl->cpus + cpu;
	quota = map_lookup(&weir_quota, &q);
	if (!quota || (s64)(*quota - st->charged) <= 0)
		goto drop;
	if (skb->vlan_present)
		vlan = (u64)be16(skb->vlan_proto) << 16 | (skb->vlan_tci & 0xffff);
	if (len == 0 || len > CLASS3)
		goto drop;
	if (len <= CLASS0) {
		at_most(len, CLASS0 - 1);
		EMIT(CLASS0);
	} else if (len <= CLASS1) {
		at_most(len, CLASS1 - 1);
		EMIT(CLASS1);
	} else if (len <= CLASS2) {
		at_most(len, CLASS2 - 1);
		EMIT(CLASS2);
	} else {
		len -= CLASS2;
		at_most(len, CLASS3 - CLASS2 - 1);
		len += CLASS2;
		EMIT(CLASS3);
	}
	st->upcalls++;
	return;
drop:
	st->upcall_dropped++;
}

// execute runs the operations from chunk on and returns the program's return code.
inline_ long execute(struct __sk_buff *skb, struct pkt *p, const struct ctl *ctl, u64 id, u32 chunk)
{
	struct chunk *c = 0;
	struct op *op;
	u64 len;
	int i;

	for (i = 0; i < MAX_OPS; i++) {
		len = skb->len;
		forget(p->has, len);
		forget(p->l3, len);
		forget(p->l4, len);
		forget(p->mpls, len);
		forget(p->sll, len);
		forget(p->tll, len);
		forget(p->tags, len);
		if (i % CHUNK_OPS == 0) {
			if (i && !chunk)
				return TC_ACT_SHOT;
			c = seg_lookup(&weir_acts, chunk);
			if (!c)
				return TC_ACT_SHOT;
			chunk = c->next;
		}
		op = &c->op[i % CHUNK_OPS];
		if ((p->has & op->need) != op->need)
			continue;
		if (i % CHUNK_OPS == 0 && op->code >= OP_METER &&
		    !meter_pass(op->mask, wire_len(skb), ctl)) {
			if (op->code == OP_METER)
				return TC_ACT_SHOT;
			continue;
		}
		switch (op->code) {
		case OP_OUT:
			output(skb, op->val, 0);
			break;
		case OP_LAST:
			len = output(skb, op->val, 1);
			return len ? len : TC_ACT_SHOT;
		case OP_PUSH:
			if (push_vlan(skb, p, op->val >> 16, op->val & 0xffff))
				return TC_ACT_SHOT;
			p->tags++;
			break;
		case OP_POP:
			if (!p->tags)
				break;
			if (pop_vlan(skb, p))
				return TC_ACT_SHOT;
			p->tags--;
			break;
		case OP_TCI:
			if (p->tags && set_tci(skb, p, op->val, op->mask))
				return TC_ACT_SHOT;
			break;
		case OP_SET:
			if (set(skb, p, op))
				return TC_ACT_SHOT;
			break;
		case OP_MARK:
			skb->mark = (skb->mark & ~(u32)op->mask) | (u32)op->val;
			break;
		case OP_SKIP:
		case OP_METER:
			break;
		case OP_UPCALL:
		case OP_MUPCALL:
			upcall(skb, p, ctl, id, op->val);
			break;
		default:
			return TC_ACT_SHOT;
		}
	}
	return TC_ACT_SHOT;
}

SEC("classifier")
int weir_tc(struct __sk_buff *skb)
{
	u32 zero = 0, ifindex = skb->ifindex, number = 0, chunk = 0;
	struct scratch *s = map_lookup(&weir_scratch, &zero);
	struct ctl *ctl = map_lookup(&weir_ctl, &zero);
	struct dev *dev = map_lookup(&weir_devs, &ifindex);
	struct port_stats *st;
	struct flow_stats *fs;
	struct flow *f;
	struct pkt p = {};
	u64 tag = 0, len = wire_len(skb), id = 0;
	s64 tags;

	if (!s || !ctl || !dev)
		return TC_ACT_SHOT;
	st = port_stats(dev->slot);
	if (!st)
		return TC_ACT_SHOT;
	if (skb->vlan_present)
		tag = (u64)be16(skb->vlan_proto) << 16 | (skb->vlan_tci & 0xffff);
	tags = parse(skb, s, skb->len, tag, ctl->max_vlans);
	if (tags < 0) {
		st->malformed++;
		return TC_ACT_SHOT;
	}
	st->rx_packets++;
	st->rx_bytes += len;
	s->key[K_PORT] = (u64)dev->port << 32;
	s->key[K_META] = (u64)skb->mark << 32;
	p.has = s->has;
	p.l3 = s->l3;
	p.l4 = s->l4;
	p.mpls = s->mpls;
	p.sll = s->sll;
	p.tll = s->tll;
	p.tags = tags;
	p.port = dev->port;
	p.slot = dev->slot;
	f = lookup(s, ctl->active, &number);
	if (f) {
		id = f->id;
		chunk = f->act;
		fs = seg_lookup(&weir_fstats, number);
		if (fs) {
			fs->packets++;
			fs->bytes += len;
			fs->used = ktime_coarse();
			fs->flags |= s->key[K_TP] >> 16 & 0xfff;
		}
	}
	return execute(skb, &p, ctl, id, chunk);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
