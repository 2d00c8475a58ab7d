// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// From a key to a megaflow. The index maps the 64-bit hash of the masked key to the
// number of a flow; the flow holds its key in full, and that decides. An element
// of a hash map may be given to another key while a program looks at it, so the
// number found may be another flow's: the comparison catches that too.

#ifndef WEIR_LOOKUP_H
#define WEIR_LOOKUP_H

#include "maps.h"

inline_ void *seg_lookup(const void *outer, u32 i)
{
	u32 hi = i >> SEG_SHIFT, lo = i & SEG_MASK;
	void *seg = map_lookup(outer, &hi);

	return seg ? map_lookup(seg, &lo) : 0;
}

#define MIX(h, x)                              \
	do {                                   \
		h = (h ^ (x)) * 0x9e3779b97f4a7c15ULL; \
		h ^= h >> 32;                  \
	} while (0)

inline_ u64 hash(const struct scratch *s, const struct mask *m)
{
	u64 h = m->seed;
	int i;

#pragma unroll
	for (i = 0; i < K_GROUP1; i++)
		MIX(h, s->key[i] & m->word[i]);
	if (m->groups & 2) {
#pragma unroll
		for (i = K_GROUP1; i < K_GROUP2; i++)
			MIX(h, s->key[i] & m->word[i]);
	}
	if (m->groups & 4) {
#pragma unroll
		for (i = K_GROUP2; i < K_WORDS; i++)
			MIX(h, s->key[i] & m->word[i]);
	}
	return h;
}

inline_ u64 differs(const struct scratch *s, const struct mask *m, const struct flow *f)
{
	u64 d = 0;
	int i;

#pragma unroll
	for (i = 0; i < K_WORDS; i++)
		d |= (s->key[i] & m->word[i]) ^ f->key[i];
	return d;
}

// lookup returns the flow that matches s->key and its number, 0 if none does.
inline_ struct flow *lookup(const struct scratch *s, u32 active, u32 *number)
{
	struct order *o = map_lookup(&weir_order, &active);
	struct flow *f;
	struct mask *m;
	u64 h, *v;
	u32 n;
	int i;

	if (!o)
		return 0;
	for (i = 0; i < LOOK_MASKS; i++) {
		n = o->slot[i];
		if (n == 0)
			break;
		n--;
		m = map_lookup(&weir_masks, &n);
		if (!m || !(m->groups & 1))
			continue;
		h = hash(s, m);
		forget(n, h);
		v = map_lookup(&weir_index, &h);
		if (!v)
			continue;
		h = *v;
		*number = h;
		f = seg_lookup(&weir_flows, *number);
		if (f && f->mask == n && !differs(s, m, f))
			return f;
	}
	return 0;
}

#endif
