// SPDX-License-Identifier: Apache-2.0

package classifier

import (
	"cmp"
	"slices"

	"github.com/weirswitch/weir/datapath/flow"
)

// Clause is one membership of a conjunctive rule (ovs-fields(7), "Conjunctive Match Fields"): the
// packets that it matches fulfil clause N (0 to Of-1) of the Of clauses (2 to 64) of ID.
type Clause struct {
	ID    uint32
	N, Of uint8
}

// Clauses calls yield for every membership of a conjunctive rule.
type Clauses[V any] func(v V, yield func(Clause))

// SetSoft makes r, which is in c, conjunctive or ordinary.
func (c *Classifier[V]) SetSoft(r *Rule[V], soft bool) {
	if r.soft == soft {
		return
	}
	r.soft = soft
	n := 1
	if !soft {
		n = -1
	}
	c.soft += n
	r.st.soft += n
}

// Soft reports whether r is conjunctive.
func (r *Rule[V]) Soft() bool { return r.soft }

// Lookup returns the rule that wins for k in version at, or nil, and adds the bits of k that this
// depended on to wc, unless wc is nil. of tells what conjunctive rules stand for; nil: there are
// none.
//
// Conjunctive rules never win. Those that match count as long as their priority is above that
// of the best ordinary rule, the highest priority first: if they fulfil all clauses of an ID, the
// ordinary rule wins that a search finds with conj_id set to it. Of several such IDs the
// lowest comes first. (As in the stock switch, 3.1, that search does not see an ordinary rule if a conjunctive one with
// the same match is above it.) If none is fulfilled, or the search finds nothing, it is as if the
// rules of that priority were not there.
//
// soft are the conjunctive rules that were considered. A change of one of them can change
// the winner; so can, if there are any, each rule that comes and overlaps k except
// for its conj_id.
func (c *Classifier[V]) Lookup(k *flow.Key, wc *flow.Mask, at Version, of Clauses[V]) (best *Rule[V], soft []*Rule[V]) {
	var scratch flow.Mask
	if wc == nil {
		wc = &scratch
	}
	if c.soft == 0 {
		return c.search(k, wc, at, nil), nil
	}
	best = c.search(k, wc, at, &soft)
	left := soft
	for {
		left = slices.DeleteFunc(slices.Clone(left), func(r *Rule[V]) bool { return best != nil && r.prio <= best.prio })
		if len(left) == 0 {
			return best, soft
		}
		prio := slices.MaxFunc(left, func(a, b *Rule[V]) int { return cmp.Compare(a.prio, b.prio) }).prio
		for _, id := range fulfilled(left, prio, of) {
			with := *k
			with.SetU64(flow.FieldConjID, uint64(id))
			if r := c.search(&with, wc, at, nil); r != nil {
				return r, soft
			}
		}
		// Behind those of this priority may be others with the same match.
		for i := 0; i < len(left); {
			r := left[i]
			if r.prio == prio {
				for r = r.next; r != nil && !(r.In(at) && r.matches(k)); {
					r = r.next
				}
				switch {
				case r != nil && r.soft:
					left[i] = r
					soft = append(soft, r)
				default:
					if r != nil && r.better(best) {
						best = r
					}
					left = slices.Delete(left, i, i+1)
					continue
				}
			}
			i++
		}
	}
}

// fulfilled returns the IDs of which the rules of priority prio fulfil all clauses, rising.
func fulfilled[V any](rules []*Rule[V], prio int32, of Clauses[V]) (ids []uint32) {
	type conj struct {
		id uint32
		of uint8
	}
	var have map[conj]uint64 // clauses
	for _, r := range rules {
		if r.prio != prio {
			continue
		}
		of(r.Value, func(c Clause) {
			if have == nil {
				have = make(map[conj]uint64)
			}
			k := conj{c.ID, c.Of}
			was := have[k]
			have[k] = was | 1<<c.N
			if full := ^uint64(0) >> (64 - c.Of); was != full && have[k] == full {
				ids = append(ids, c.ID)
			}
		})
	}
	slices.Sort(ids)
	return ids
}
