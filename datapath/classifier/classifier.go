// SPDX-License-Identifier: Apache-2.0

package classifier

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/weirswitch/weir/datapath/flow"
)

// Classifier is a set of rules with values of type V. The zero Classifier is
// empty and ready.
type Classifier[V any] struct {
	byMask map[flow.Mask]*subtable[V]
	order  []*subtable[V] // by falling max, then rising id
	nextID uint64
	n      int
	moves  uint64 // rules that came or went
	soft   int    // conjunctive rules
	tries  [netTries]trie
}

// Rule is a rule of a classifier. Its match and priority never change.
type Rule[V any] struct {
	Value V
	st    *subtable[V]
	next  *Rule[V] // same hash, priority not higher
	key   []uint64 // the words of the match that the mask has, in order
	prio  int32
	span  Span // versions that have it
	soft  bool // conjunctive, see conj.go
}

// subtable holds the rules with one mask.
type subtable[V any] struct {
	id    uint64
	mask  *flow.Mask
	words uint64    // words of mask that are not zero
	stage [4]uint64 // words, cut at the stages
	last  int       // the last stage that has a word; -1: none
	plen  [numTries]uint8
	ports *[numTries - netTries]trie // nil: not needed

	rules map[uint64]*Rule[V] // by hash of the whole masked key
	index [3]map[uint64]int32 // rules by hash of the masked key up to and with the stage; nil where not needed
	prios map[int32]int32     // rules by priority
	n     int                 // rules
	soft  int                 // conjunctive ones
	heap  []int32             // max-heap of the keys of prios; those with 0 rules go when they reach the top
	max   int32               // highest priority
}

// hashSeed starts the hash of a masked key.
const hashSeed = 0x5745_4952

// Len returns the number of rules of all versions.
func (c *Classifier[V]) Len() int { return c.n }

// Moves counts the rules that came and went, of all versions: an iteration after which it is as it was
// before has seen what there is, even if the caller's lock was given up within it.
func (c *Classifier[V]) Moves() uint64 { return c.moves }

// Priority returns the rule's priority.
func (r *Rule[V]) Priority() int32 { return r.prio }

// Match returns the rule's match.
func (r *Rule[V]) Match() flow.Match {
	m := flow.Match{Mask: *r.st.mask}
	for i, w := 0, r.st.words; w != 0; i, w = i+1, w&(w-1) {
		m.Key[bits.TrailingZeros64(w)] = r.key[i]
	}
	return m
}

// CopyMatch makes m the rule's match.
func (r *Rule[V]) CopyMatch(m *flow.Match) {
	m.Mask = *r.st.mask
	m.Key = flow.Key{}
	for i, w := 0, r.st.words; w != 0; i, w = i+1, w&(w-1) {
		m.Key[bits.TrailingZeros64(w)] = r.key[i]
	}
}

// Mask returns the rule's mask, which must not be changed.
func (r *Rule[V]) Mask() *flow.Mask { return r.st.mask }

// CatchAll reports whether the rule matches every key.
func (r *Rule[V]) CatchAll() bool { return r.st.words == 0 }

// Overlaps reports whether some key matches both r and m.
func (r *Rule[V]) Overlaps(m *flow.Match) bool {
	for i, w := 0, r.st.words; w != 0; i, w = i+1, w&(w-1) {
		j := bits.TrailingZeros64(w)
		if (r.key[i]^m.Key[j])&r.st.mask[j]&m.Mask[j] != 0 {
			return false
		}
	}
	return true
}

// OverlapsKnown reports whether some key that agrees with k in the bits of
// known matches r.
func (r *Rule[V]) OverlapsKnown(k *flow.Key, known *flow.Mask) bool {
	for i, w := 0, r.st.words; w != 0; i, w = i+1, w&(w-1) {
		j := bits.TrailingZeros64(w)
		if (r.key[i]^k[j])&r.st.mask[j]&known[j] != 0 {
			return false
		}
	}
	return true
}

// matches reports whether k matches r.
func (r *Rule[V]) matches(k *flow.Key) bool {
	for i, w := 0, r.st.words; w != 0; i, w = i+1, w&(w-1) {
		j := bits.TrailingZeros64(w)
		if k[j]&r.st.mask[j] != r.key[i] {
			return false
		}
	}
	return true
}

// within reports whether the rule is as narrow as m or narrower; the subtable's
// mask covers m's.
func (r *Rule[V]) within(m *flow.Match) bool {
	for i, w := 0, r.st.words; w != 0; i, w = i+1, w&(w-1) {
		j := bits.TrailingZeros64(w)
		if (r.key[i]^m.Key[j])&m.Mask[j] != 0 {
			return false
		}
	}
	return true
}

func newSubtable[V any](id uint64, m *flow.Mask) *subtable[V] {
	mask := *m
	s := &subtable[V]{
		id: id, mask: &mask, words: mask.Map(), last: -1,
		rules: make(map[uint64]*Rule[V]), prios: make(map[int32]int32),
	}
	from := 0
	for i, end := range flow.StageEnd {
		s.stage[i] = s.words & (1<<end - 1<<from)
		from = end
		if s.stage[i] != 0 {
			s.last = i
		}
	}
	for i := range s.index {
		if s.stage[i] != 0 && i < s.last {
			s.index[i] = make(map[uint64]int32)
		}
	}
	for i, f := range trieFields {
		s.plen[i] = prefixLen(&mask, f)
		if i >= netTries && s.plen[i] != 0 && s.ports == nil {
			s.ports = new([numTries - netTries]trie)
		}
	}
	return s
}

// count changes the number of rules of priority p by d and brings max up to date.
func (s *subtable[V]) count(p, d int32) {
	n, ok := s.prios[p]
	if !ok {
		s.push(p)
	}
	s.prios[p] = n + d
	for len(s.heap) > 0 && s.prios[s.heap[0]] == 0 {
		delete(s.prios, s.heap[0])
		s.pop()
	}
	if len(s.heap) > 0 {
		s.max = s.heap[0]
	}
}

func (s *subtable[V]) push(p int32) {
	s.heap = append(s.heap, p)
	for i := len(s.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if s.heap[up] >= s.heap[i] {
			break
		}
		s.heap[up], s.heap[i] = s.heap[i], s.heap[up]
		i = up
	}
}

func (s *subtable[V]) pop() {
	n := len(s.heap) - 1
	s.heap[0] = s.heap[n]
	s.heap = s.heap[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c+1 < n && s.heap[c+1] > s.heap[c] {
			c++
		}
		if c >= n || s.heap[i] >= s.heap[c] {
			return
		}
		s.heap[i], s.heap[c] = s.heap[c], s.heap[i]
		i = c
	}
}

// reindex changes the stage indexes by d for the masked key k and returns its hash.
func (s *subtable[V]) reindex(k *flow.Key, d int32) uint64 {
	h := uint64(hashSeed)
	for i := 0; i <= s.last; i++ {
		if s.stage[i] == 0 {
			continue
		}
		h = k.HashUnder(s.mask, s.stage[i], h)
		if i < s.last {
			if n := s.index[i][h] + d; n != 0 {
				s.index[i][h] = n
			} else {
				delete(s.index[i], h)
			}
		}
	}
	return h
}

func (s *subtable[V]) hash(k *flow.Key) uint64 {
	h := uint64(hashSeed)
	for _, w := range s.stage {
		if w != 0 {
			h = k.HashUnder(s.mask, w, h)
		}
	}
	return h
}

func byOrder[V any](a, b *subtable[V]) int {
	if c := cmp.Compare(b.max, a.max); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// place puts s, which is not in c.order, there.
func (c *Classifier[V]) place(s *subtable[V]) {
	i, _ := slices.BinarySearchFunc(c.order, s, byOrder[V])
	c.order = slices.Insert(c.order, i, s)
}

// displace takes s, whose max is still the one that it was placed with, out.
func (c *Classifier[V]) displace(s *subtable[V]) {
	if i, ok := slices.BinarySearchFunc(c.order, s, byOrder[V]); ok {
		c.order = slices.Delete(c.order, i, i+1)
	}
}

// Insert adds a rule that is there in version from and later (0: in all). No rule with the
// same match and priority may be there in one of these (Find tells).
func (c *Classifier[V]) Insert(m *flow.Match, prio int32, v V, from Version) *Rule[V] {
	s := c.byMask[m.Mask]
	if s == nil {
		c.nextID++
		s = newSubtable[V](c.nextID, &m.Mask)
	}
	r := &Rule[V]{Value: v, st: s, prio: prio, span: Span{From: from}, key: make([]uint64, bits.OnesCount64(s.words))}
	for i, w := 0, s.words; w != 0; i, w = i+1, w&(w-1) {
		r.key[i] = m.Key[bits.TrailingZeros64(w)]
	}
	c.enter(r, &m.Key)
	return r
}

// Restore puts a rule that Remove took out back, as if it had never left: if nothing
// was inserted meanwhile that is still there, every lookup is as before.
func (c *Classifier[V]) Restore(r *Rule[V]) {
	if s := c.byMask[*r.st.mask]; s != nil {
		r.st = s
	}
	m := r.Match()
	c.enter(r, &m.Key)
}

// enter puts r, with the key k of its match, into its subtable, and that into c if
// it is not there.
func (c *Classifier[V]) enter(r *Rule[V], k *flow.Key) {
	s, prio := r.st, r.prio
	switch {
	case c.byMask[*s.mask] == nil:
		if c.byMask == nil {
			c.byMask = make(map[flow.Mask]*subtable[V])
		}
		c.byMask[*s.mask] = s
		s.max = prio
		s.count(prio, 1)
		c.place(s)
	case prio > s.max:
		c.displace(s)
		s.count(prio, 1)
		c.place(s)
	default:
		s.count(prio, 1)
	}
	h := s.reindex(k, 1)
	head := s.rules[h]
	if head == nil || head.prio < prio {
		r.next = head
		s.rules[h] = r
	} else {
		for head.next != nil && head.next.prio >= prio {
			head = head.next
		}
		r.next, head.next = head.next, r
	}
	for i, f := range trieFields {
		if s.plen[i] != 0 {
			c.trie(s, i).insert(top(k, f), s.plen[i])
		}
	}
	c.n++
	c.moves++
	s.n++
	if r.soft {
		c.soft++
		s.soft++
	}
}

// trie returns the trie of trieFields[i] for rules of s.
func (c *Classifier[V]) trie(s *subtable[V], i int) *trie {
	if i < netTries {
		return &c.tries[i]
	}
	return &s.ports[i-netTries]
}

// Remove takes out a rule that is in c, of all versions.
func (c *Classifier[V]) Remove(r *Rule[V]) {
	s := r.st
	m := r.Match()
	h := s.reindex(&m.Key, -1)
	if head := s.rules[h]; head != r {
		for head.next != r {
			head = head.next
		}
		head.next = r.next
	} else if r.next != nil {
		s.rules[h] = r.next
	} else {
		delete(s.rules, h)
	}
	for i, f := range trieFields {
		if s.plen[i] != 0 {
			c.trie(s, i).remove(top(&m.Key, f), s.plen[i])
		}
	}
	c.n--
	c.moves++
	s.n--
	if r.soft {
		c.soft--
		s.soft--
	}

	if s.prios[r.prio] > 1 || r.prio < s.max {
		s.count(r.prio, -1)
		return
	}
	c.displace(s)
	s.count(r.prio, -1)
	if len(s.rules) == 0 {
		delete(c.byMask, *s.mask)
		return
	}
	c.place(s)
}

// Clear takes out all rules. They still know their matches and priorities.
func (c *Classifier[V]) Clear() { *c = Classifier[V]{nextID: c.nextID, moves: c.moves + 1} }

// Find returns the rule with exactly this match and priority in version at, or nil.
func (c *Classifier[V]) Find(m *flow.Match, prio int32, at Version) *Rule[V] {
	s := c.byMask[m.Mask]
	if s == nil {
		return nil
	}
	for r := s.rules[s.hash(&m.Key)]; r != nil && r.prio >= prio; r = r.next {
		if r.prio == prio && r.In(at) && r.matches(&m.Key) {
			return r
		}
	}
	return nil
}

// better reports whether r wins against best, which may be nil, if both match.
func (r *Rule[V]) better(best *Rule[V]) bool { return best == nil || best.under(r.prio, r.st.id) }

// under reports whether r loses against a rule of priority prio in the subtable with this id.
func (r *Rule[V]) under(prio int32, id uint64) bool {
	return r.prio < prio || r.prio == prio && r.st.id > id
}

// search returns the winner in version at among the ordinary rules, or nil, and adds the bits of k
// that this depended on to wc. Of the rules with one match it sees the first alone: behind a conjunctive rule the
// ordinary ones of lower priority are hidden. It appends the conjunctive rules that it comes to, unless
// the winner so far wins against them, to soft, unless that is nil.
func (c *Classifier[V]) search(k *flow.Key, wc *flow.Mask, at Version, soft *[]*Rule[V]) *Rule[V] {
	var seen [netTries]bool
	var tries [netTries]prefixes
	var best *Rule[V]
next:
	for _, s := range c.order {
		if best != nil && !best.under(s.max, s.id) {
			// Those that follow have a lower max, or the same and a higher id.
			break
		}
		if s.soft == s.n && (soft == nil || best != nil && s.max == best.prio) {
			continue // conjunctive rules that are passed over, or do not count any more
		}
		h := uint64(hashSeed)
		var looked uint64 // words of the stages that were looked at
		for i := 0; i <= s.last; i++ {
			if s.stage[i] == 0 {
				continue
			}
			for t := range netTries {
				if s.plen[t] == 0 || i != trieStage {
					continue
				}
				if !seen[t] {
					seen[t] = true
					tries[t] = c.tries[t].lookup(top(k, trieFields[t]))
				}
				if need, no := tries[t].excludes(s.plen[t]); no {
					setPrefix(wc, trieFields[t], need)
					continue next
				}
			}
			looked |= s.stage[i]
			h = k.HashUnder(s.mask, s.stage[i], h)
			if i == s.last {
				break
			}
			if _, ok := s.index[i][h]; !ok {
				mergeWords(wc, s.mask, looked)
				continue next
			}
		}
		hit := false
		for r := s.rules[h]; r != nil; r = r.next {
			if best != nil && !r.better(best) {
				break
			}
			if !r.In(at) || !r.matches(k) {
				continue
			}
			hit = true
			if !r.soft {
				best = r
				break
			}
			if soft != nil {
				*soft = append(*soft, r)
			}
			break
		}
		if hit || s.ports == nil || !s.excluded(k, wc) {
			mergeWords(wc, s.mask, looked)
		}
	}
	return best
}

// excluded reports whether the transport fields of k alone tell that no rule of s matches, and adds
// the bits that do to wc.
func (s *subtable[V]) excluded(k *flow.Key, wc *flow.Mask) bool {
	for i := range s.ports {
		f, n := trieFields[netTries+i], s.plen[netTries+i]
		if n == 0 {
			continue
		}
		p := s.ports[i].lookup(top(k, f))
		if need, no := p.excludes(n); no {
			setPrefix(wc, f, need)
			return true
		}
	}
	return false
}

// mergeWords adds the words of m that are in words to wc.
func mergeWords(wc, m *flow.Mask, words uint64) {
	for ; words != 0; words &= words - 1 {
		i := bits.TrailingZeros64(words)
		wc[i] |= m[i]
	}
}

// All calls yield for every rule of version at, in no particular order, until it returns
// false. The classifier must not change meanwhile.
func (c *Classifier[V]) All(at Version, yield func(*Rule[V]) bool) {
	for _, s := range c.order {
		if !s.each(at, yield) {
			return
		}
	}
}

func (s *subtable[V]) each(at Version, yield func(*Rule[V]) bool) bool {
	for _, r := range s.rules {
		for ; r != nil; r = r.next {
			if r.In(at) && !yield(r) {
				return false
			}
		}
	}
	return true
}

// Within calls yield for every rule of version at that is as narrow as m or narrower
// (OpenFlow's non-strict match), until it returns false.
func (c *Classifier[V]) Within(m *flow.Match, at Version, yield func(*Rule[V]) bool) {
	for _, s := range c.order {
		if !s.mask.Covers(&m.Mask) {
			continue
		}
		if s.mask.Map() == m.Mask.Map() && *s.mask == m.Mask {
			for r := s.rules[s.hash(&m.Key)]; r != nil; r = r.next {
				if r.In(at) && r.within(m) && !yield(r) {
					return
				}
			}
			continue
		}
		if !s.each(at, func(r *Rule[V]) bool { return !r.within(m) || yield(r) }) {
			return
		}
	}
}

// Overlap returns a rule of version at and priority prio that some key matches that matches m
// too, or nil.
func (c *Classifier[V]) Overlap(m *flow.Match, prio int32, at Version) (found *Rule[V]) {
	for _, s := range c.order {
		if s.max < prio {
			return nil
		}
		if s.prios[prio] == 0 {
			continue
		}
		s.each(at, func(r *Rule[V]) bool {
			if r.prio == prio && r.Overlaps(m) {
				found = r
			}
			return found == nil
		})
		if found != nil {
			return found
		}
	}
	return nil
}
