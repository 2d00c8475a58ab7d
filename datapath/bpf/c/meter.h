// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Meters: package meter says what a bucket is. Here it is shared by CPUs that know no
// atomic operation. Each CPU, and user space, writes its own struct meter_use
// alone; used grows by the cost of each packet that passes, and nothing is ever lost
// from it. The level of the bucket is
//
//	level = now - sum of used - empty
//
// empty being the moment, moved back by all that was used since, at which the bucket was empty. It
// changes only where the bucket runs over: to what makes level equal depth. CPUs that
// do so at once write values that differ by their clocks and by packets under
// way, so it does not matter whose stays: at the next look it is brought to the depth
// again. CPUs that decide at once may each let a packet pass for the same tokens;
// since both add their cost, the next ones wait for that.
//
// A 32-bit machine may read one half of another CPU's used before and one
// behind a carry: then the level is wrong by 4.3 s for one packet. If that made the
// bucket run over, it owes more than it ever can afterwards, and starts anew.

#ifndef WEIR_METER_H
#define WEIR_METER_H

#include "lookup.h"

// meter_pass reports whether a packet of len bytes passes meter no, and counts it.
inline_ int meter_pass(u32 no, u64 len, const struct ctl *ctl)
{
	struct meter *m = seg_lookup(&weir_meters, no);
	u32 slots = ctl->cpus + 1, first = no * slots, i;
	struct meter_use *own, *u;
	u64 cost, units = len, used = 0, now, least;
	s64 level;

	if (!m || !m->cost)
		return 1;
	own = seg_lookup(&weir_muse, first + smp_processor_id());
	if (!own)
		return 1;
	own->packets++;
	own->bytes += len;
	if (m->per_packet)
		units = 1;
	cost = units * m->cost + own->frac;
	for (i = 0; i <= METER_CPUS; i++) {
		if (i >= slots)
			break;
		u = seg_lookup(&weir_muse, first + i);
		if (!u)
			break;
		used += u->used;
	}
	now = ktime();
	level = now - used - m->empty;
	if (level > (s64)m->depth) {
		m->empty = now - used - m->depth;
		level = m->depth;
	} else if (level < -(s64)m->debt) {
		m->empty = now - used;
		level = 0;
	}
	least = cost >> METER_FRAC;
	if (least > m->depth)
		least = m->depth;
	if (level < (s64)least) {
		own->dropped++;
		own->dropped_bytes += len;
		return 0;
	}
	own->used += cost >> METER_FRAC;
	own->frac = cost & ((1 << METER_FRAC) - 1);
	return 1;
}

#endif
