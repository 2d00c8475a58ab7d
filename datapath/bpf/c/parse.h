// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// From a frame to a key: the rules of ../../packet/doc.go, to the letter. The
// packet is read through a window of WIN bytes in the scratch, which ctx_load
// of the hook fills; nothing else here knows the hook.
//
// Everything that a branch leaves behind is kept in the scratch, a map value, and not
// in registers or on the stack: the verifier does not track the contents of a map
// value, so that all ways through the parser are one state at its end.

#ifndef WEIR_PARSE_H
#define WEIR_PARSE_H

#include "maps.h"

// need returns n bytes at the offset off of the frame, 0 if they go behind
// s->end. n is a constant, at most WIN_PAD.
inline_ const u8 *need(void *ctx, struct scratch *s, u64 off, u64 n)
{
	u64 rel, l;

	if (off + n > s->end)
		return 0;
	rel = off - s->wbase;
	if (rel > WIN - n) { // also if off is in front of the window
		l = s->len - off;
		if (l > WIN)
			l = WIN;
		at_most(l, WIN - 1);
		if (ctx_load(ctx, off, s->win, l))
			return 0;
		s->wbase = off;
		rel = 0;
	}
	asm volatile("%0 &= 255" : "+r"(rel)); // for the verifier; changes nothing
	return s->win + rel;
}

// advance adds n to s->cur.
#define advance(s, n) ((s)->cur += (n))

// A value that the verifier takes for any.
inline_ u64 any(u64 v)
{
	asm volatile("" : "+r"(v));
	return v;
}

inline_ u64 ld16(const u8 *p) { return (u64)p[0] << 8 | p[1]; }
inline_ u64 ld32(const u8 *p) { return ld16(p) << 16 | ld16(p + 2); }
inline_ u64 ld48(const u8 *p) { return ld32(p) << 16 | ld16(p + 4); }
inline_ u64 ld64(const u8 *p) { return ld32(p) << 32 | ld32(p + 4); }

inline_ void parse_mpls(void *ctx, struct scratch *s)
{
	const u8 *p;
	u64 e, i;

	s->mpls = s->cur;
	for (i = 0; i < 3; i++) {
		p = need(ctx, s, s->cur, 4);
		if (!p)
			return;
		s->has |= P_MPLS;
		e = ld32(p);
		if (i == 0)
			s->key[K_MPLS0] = e << 32;
		else if (i == 1)
			s->key[K_MPLS0] |= e;
		else
			s->key[K_MPLS2] = e << 32;
		if (e & 0x100)
			return;
		advance(s, 4);
	}
}

inline_ void parse_arp(void *ctx, struct scratch *s)
{
	const u8 *p = need(ctx, s, s->cur, 28);
	u64 op;

	if (!p || ld64(p) >> 16 != 0x000108000604ULL)
		return;
	op = ld16(p + 6);
	if (op > 255)
		op = 0;
	s->key[K_IP] = op << 24;
	s->key[K_IP4] = ld32(p + 14) << 32 | ld32(p + 24);
	s->key[K_SHA] = ld48(p + 8) << 16;
	s->key[K_THA] = ld48(p + 18) << 16;
	s->l3 = s->cur;
	s->has |= P_ARP;
}

// parse_nd reads a neighbour discovery message whose 24 bytes are there.
inline_ void parse_nd(void *ctx, struct scratch *s)
{
	const u8 *p = need(ctx, s, s->cur, 24);
	u64 i, l, t;

	if (!p)
		return;
	s->key[K_NDR] = ld32(p + 4) << 32;
	s->key[K_NDTH] = ld64(p + 8);
	s->key[K_NDTL] = ld64(p + 16);
	s->has |= P_ND;
	advance(s, 24);
	for (i = 0; i <= ND_MAX_OPTIONS; i++) {
		if (s->cur + 8 > s->end)
			return;
		p = need(ctx, s, s->cur, 8);
		if (!p || i == ND_MAX_OPTIONS)
			break;
		t = p[0];
		l = (u64)p[1] * 8;
		if (l == 0 || s->cur + l > s->end)
			return;
		if (l == 8 && t == 1) {
			if (s->has & P_SLL)
				break;
			s->has |= P_SLL;
			s->sll = s->cur + 2;
			s->key[K_SHA] |= ld48(p + 2) << 16;
			if (!(s->has & P_TLL))
				s->key[K_SHA] |= 1;
		} else if (l == 8 && t == 2) {
			if (s->has & P_TLL)
				break;
			s->has |= P_TLL;
			s->tll = s->cur + 2;
			s->key[K_THA] = ld48(p + 2) << 16;
			if (!(s->has & P_SLL))
				s->key[K_SHA] |= 2;
		}
		advance(s, l);
	}
	// Ambiguous.
	s->key[K_NDR] = s->key[K_NDTH] = s->key[K_NDTL] = 0;
	s->key[K_SHA] = s->key[K_THA] = 0;
	s->has &= ~(u64)(P_ND | P_SLL | P_TLL);
}

inline_ void parse_l4(void *ctx, struct scratch *s)
{
	u64 proto = s->proto, v6 = s->has & P_IP6, off;
	const u8 *p;

	if (proto == 6) {
		p = need(ctx, s, s->cur, 20);
		if (!p)
			return;
		off = (p[12] >> 4) * 4;
		if (off < 20 || s->cur + off > s->end)
			return;
		s->key[K_TP] = ld32(p) << 32 | (ld16(p + 12) & 0xfff) << 16;
		s->has |= P_TCP;
	} else if (proto == 17) {
		p = need(ctx, s, s->cur, 8);
		if (!p)
			return;
		s->key[K_TP] = ld32(p) << 32;
		s->has |= P_UDP;
	} else if (proto == 132) {
		p = need(ctx, s, s->cur, 12);
		if (!p)
			return;
		s->key[K_TP] = ld32(p) << 32;
		s->has |= P_SCTP;
	} else if (proto == 2 || proto == (v6 ? 58 : 1)) {
		p = need(ctx, s, s->cur, 8);
		if (!p)
			return;
		s->key[K_TP] = (u64)p[0] << 48 | (u64)p[1] << 32;
		if (proto == 1)
			s->has |= P_ICMP;
		if (proto == 58)
			s->has |= P_ICMP6;
	} else {
		return;
	}
	s->l4 = s->cur;
	if (v6 && proto == 58 && (p[0] == 135 || p[0] == 136) && p[1] == 0)
		parse_nd(ctx, s);
}

inline_ void parse_ip4(void *ctx, struct scratch *s)
{
	const u8 *p = need(ctx, s, s->cur, 20);
	u64 ihl, tot, off, frag = 0;

	if (!p)
		return;
	ihl = (p[0] & 15) * 4;
	tot = ld16(p + 2);
	if (ihl < 20 || tot < ihl || s->cur + tot > s->end)
		return;
	s->end = s->cur + tot;
	s->l3 = s->cur;
	s->has |= P_IP4;
	off = ld16(p + 6);
	if (off & 0x3fff)
		frag = FRAG_ANY;
	if (off & 0x1fff)
		frag |= FRAG_LATER;
	s->proto = p[9];
	s->key[K_IP4] = ld64(p + 12);
	s->key[K_IP] = (u64)p[9] << 24 | (u64)p[1] << 16 | (u64)p[8] << 8 | frag;
	if (frag & FRAG_LATER)
		return;
	advance(s, ihl);
	parse_l4(ctx, s);
}

inline_ void parse_ip6(void *ctx, struct scratch *s)
{
	const u8 *p = need(ctx, s, s->cur, 40);
	u64 t, l, i, v;

	if (!p)
		return;
	l = 40 + ld16(p + 4);
	if (s->cur + l > s->end)
		return;
	s->end = s->cur + l;
	s->l3 = s->cur;
	s->has |= P_IP6;
	v = ld32(p);
	s->key[K_IP] = (v & 0xfffff) << 32 | (v >> 20 & 0xff) << 16 | (u64)p[7] << 8;
	s->key[K_SRC6H] = ld64(p + 8);
	s->key[K_SRC6L] = ld64(p + 16);
	s->key[K_DST6H] = ld64(p + 24);
	s->key[K_DST6L] = ld64(p + 32);
	s->proto = p[6];
	advance(s, 40);
	for (i = 0; i <= IPV6_MAX_EXT; i++) {
		t = s->proto;
		if (t != 0 && t != 43 && t != 60 && t != 51 && t != 44) {
			s->key[K_IP] |= t << 24;
			parse_l4(ctx, s);
			return;
		}
		p = need(ctx, s, s->cur, 8);
		if (!p || i == IPV6_MAX_EXT)
			break;
		if (t == 44)
			l = 8;
		else if (t == 51)
			l = ((u64)p[1] + 2) * 4;
		else
			l = ((u64)p[1] + 1) * 8;
		if (s->cur + l > s->end)
			break;
		if (t == 44) {
			v = ld16(p + 2);
			if (v & 0xfff9)
				s->key[K_IP] |= FRAG_ANY;
			if (v & 0xfff8) {
				s->key[K_IP] |= FRAG_LATER;
				break;
			}
		}
		if (t == 43 && p[3])
			s->has |= P_ROUTED;
		s->proto = p[0];
		advance(s, l);
	}
	s->key[K_IP] |= s->proto << 24;
}

// parse fills s->key but the first two words, and where the headers are. A tag that
// is not in the frame is tag: TPID:16 TCI:16, 0 if there is none. It returns
// the number of tags taken, less than 0 if the frame is malformed.
inline_ s64 parse(void *ctx, struct scratch *s, u64 len, u64 tag, u64 max_vlans)
{
	const u8 *p;
	u64 type, l = len > WIN ? WIN : len, i;
	s64 tags = 0;

	if (len < 14)
		return -1;
	at_most(l, WIN - 1);
	if (ctx_load(ctx, 0, s->win, l))
		return -1;
	for (i = 0; i < K_WORDS; i++)
		s->key[i] = 0;
	s->wbase = 0;
	s->len = s->end = len;
	s->has = s->l3 = s->l4 = s->mpls = s->sll = s->tll = s->proto = 0;
	s->key[K_DST] = ld48(s->win) << 16;
	s->key[K_SRC] = ld48(s->win + 6) << 16;
	s->cur = 12;
	if (tag) {
		s->key[K_VLAN] = tag >> 16 << 48;
		s->key[K_SRC] |= (tag & 0xffff) | VLAN_PRESENT;
		tags = 1;
	}
	for (i = 0; i < 2; i++) {
		if (tags >= (s64)max_vlans)
			break;
		p = need(ctx, s, s->cur, 6);
		if (!p)
			break;
		type = ld16(p);
		if (type != 0x8100 && type != 0x88a8)
			break;
		if (tags == 0) {
			s->key[K_VLAN] = type << 48;
			s->key[K_SRC] |= ld16(p + 2) | VLAN_PRESENT;
		} else {
			s->key[K_VLAN] |= (ld16(p + 2) | VLAN_PRESENT) << 32 | type << 16;
		}
		tags++;
		advance(s, 4);
	}
	p = need(ctx, s, s->cur, 2);
	if (!p)
		return -1; // cannot be: 14 bytes, and 6 of each tag, are there
	type = ld16(p);
	advance(s, 2);
	if (type < 0x600) {
		p = need(ctx, s, s->cur, 8);
		type = 0x5ff;
		if (p && ld48(p) == 0xaaaa03000000ULL && ld16(p + 6) >= 0x600) {
			type = ld16(p + 6);
			advance(s, 8);
		}
	}
	s->key[K_DST] |= type;
	if (type == 0x0800)
		parse_ip4(ctx, s);
	else if (type == 0x86dd)
		parse_ip6(ctx, s);
	else if (type == 0x0806 || type == 0x8035)
		parse_arp(ctx, s);
	else if (type == 0x8847 || type == 0x8848)
		parse_mpls(ctx, s);
	return tags;
}

#endif
