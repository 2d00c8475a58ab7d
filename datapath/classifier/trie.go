// SPDX-License-Identifier: Apache-2.0

package classifier

import (
	"math/bits"

	"github.com/weirswitch/weir/datapath/flow"
)

// trie holds prefixes of values of one field, with the number of rules that
// have each. It is a binary tree with compressed paths in an array, so that it
// costs two nodes (64 bytes) a prefix at most and no pointers. Values are aligned to
// the top of 128 bits. Node 0 is the root (length 0), made with the first prefix.
type trie struct {
	nodes []trieNode
	free  int32 // head of the list of free nodes through child[0]; 0: none
}

type trieNode struct {
	key   flow.U128 // the prefix from the root, zeros behind
	child [2]int32  // by the bit behind the prefix; 0: none
	n     int32     // rules with exactly this prefix
	plen  uint8
}

// prefixes is the answer of a trie for a value.
type prefixes struct {
	has   [2]uint64 // bit p-1: some rule has the first p bits of the value as its prefix
	check uint8     // that many leading bits of the value decide this for all lengths
}

// excludes reports whether no rule with a prefix of length p (1 to 128) matches the
// value; then need leading bits of the value suffice to know that.
func (r *prefixes) excludes(p uint8) (need uint8, ok bool) {
	i := p - 1
	if r.has[i/64]>>(i%64)&1 != 0 {
		return 0, false
	}
	// A prefix of length p can only be missed within the first p bits.
	return min(p, r.check), true
}

func (u *trieNode) bitAt(v flow.U128) int { return bitAt(v, u.plen) }

// bitAt returns bit i of v, counted from the top; 0 <= i < 128.
func bitAt(v flow.U128, i uint8) int {
	if i < 64 {
		return int(v.Hi >> (63 - i) & 1)
	}
	return int(v.Lo >> (127 - i) & 1)
}

// common returns the number of leading bits that a and b share.
func common(a, b flow.U128) uint8 {
	if x := a.Hi ^ b.Hi; x != 0 {
		return uint8(bits.LeadingZeros64(x))
	}
	return uint8(64 + bits.LeadingZeros64(a.Lo^b.Lo))
}

// prefixMask returns the mask of the n top bits.
func prefixMask(n uint8) flow.U128 { return flow.Ones(int(n)).Lsh(uint(128 - int(n))) }

func (t *trie) alloc(n trieNode) int32 {
	if i := t.free; i != 0 {
		t.free = t.nodes[i].child[0]
		t.nodes[i] = n
		return i
	}
	t.nodes = append(t.nodes, n)
	return int32(len(t.nodes) - 1)
}

func (t *trie) release(i int32) {
	t.nodes[i] = trieNode{child: [2]int32{t.free, 0}}
	t.free = i
}

// insert adds a prefix of plen (1 to 128) bits of v.
func (t *trie) insert(v flow.U128, plen uint8) {
	if len(t.nodes) == 0 {
		t.nodes = append(t.nodes, trieNode{})
	}
	v = v.And(prefixMask(plen))
	at := int32(0)
	for {
		n := t.nodes[at]
		if n.plen == plen {
			t.nodes[at].n++
			return
		}
		b := n.bitAt(v)
		c := n.child[b]
		if c == 0 {
			i := t.alloc(trieNode{key: v, plen: plen, n: 1})
			t.nodes[at].child[b] = i
			return
		}
		cn := t.nodes[c]
		d := min(common(v, cn.key), plen, cn.plen)
		if d == cn.plen {
			at = c
			continue
		}
		// The paths part, or v ends, inside the edge to c: a node goes in between.
		mid := trieNode{key: v.And(prefixMask(d)), plen: d}
		mid.child[bitAt(cn.key, d)] = c
		if d == plen {
			mid.n = 1
		} else {
			mid.child[bitAt(v, d)] = t.alloc(trieNode{key: v, plen: plen, n: 1})
		}
		i := t.alloc(mid)
		t.nodes[at].child[b] = i
		return
	}
}

// remove takes one prefix that was inserted away.
func (t *trie) remove(v flow.U128, plen uint8) {
	v = v.And(prefixMask(plen))
	var path [129]int32
	depth := 0
	at := int32(0)
	for t.nodes[at].plen != plen {
		path[depth] = at
		depth++
		at = t.nodes[at].child[t.nodes[at].bitAt(v)]
	}
	t.nodes[at].n--
	for at != 0 && t.nodes[at].n == 0 {
		n := t.nodes[at]
		if n.child[0] != 0 && n.child[1] != 0 {
			return
		}
		up := path[depth-1]
		depth--
		t.nodes[up].child[t.nodes[up].bitAt(v)] = n.child[0] | n.child[1]
		t.release(at)
		at = up
	}
}

// lookup finds the prefixes of v.
func (t *trie) lookup(v flow.U128) (r prefixes) {
	if len(t.nodes) == 0 {
		return r
	}
	at := int32(0)
	for {
		n := &t.nodes[at]
		if n.n > 0 && n.plen > 0 {
			r.has[(n.plen-1)/64] |= 1 << ((n.plen - 1) % 64)
		}
		if n.child[0]|n.child[1] == 0 {
			r.check = n.plen
			return r
		}
		c := n.child[n.bitAt(v)]
		if c == 0 {
			r.check = n.plen + 1
			return r
		}
		if d := common(v, t.nodes[c].key); d < t.nodes[c].plen {
			r.check = d + 1
			return r
		}
		at = c
	}
}

// trieFields are the fields that have tries, in the order in which they are asked; destinations come first, as most
// flows depend on them in any case. The last two are the low bytes of the two before
// them, for masks of those alone.
var trieFields = [...]flow.Field{
	flow.FieldIPDst, flow.FieldIPSrc, flow.FieldIPv6Dst, flow.FieldIPv6Src,
	flow.FieldTPSrc, flow.FieldTPDst, flow.FieldICMPType, flow.FieldICMPCode,
}

// The first netTries of them, addresses, have one trie for the whole classifier, because each of the many subtables that
// prefixes make asks for it; the others have one for each subtable, asked where a search in that has failed: ports
// that only other subtables have (of another protocol, often) then do not count.
const (
	numTries  = len(trieFields)
	netTries  = 4
	trieStage = 2 // of addresses
)

// top returns the value of field f in k, aligned to the top of 128 bits.
func top(k *flow.Key, f flow.Field) flow.U128 { return k.Get(f).Lsh(uint(128 - f.Bits())) }

// prefixLen returns the length of the prefix that m has of f: 0 if it has none of its
// bits or bits that are no prefix.
func prefixLen(m *flow.Mask, f flow.Field) uint8 {
	switch f {
	case flow.FieldICMPType:
		if m.Get(flow.FieldTPSrc).Lo>>8 != 0 {
			return 0
		}
	case flow.FieldICMPCode:
		if m.Get(flow.FieldTPDst).Lo>>8 != 0 {
			return 0
		}
	}
	v := m.Get(f).Lsh(uint(128 - f.Bits()))
	n := uint8(bits.LeadingZeros64(^v.Hi))
	if n == 64 {
		n += uint8(bits.LeadingZeros64(^v.Lo))
	}
	if v != prefixMask(n) {
		return 0
	}
	return n
}

// setPrefix makes the n leading bits of f count in m.
func setPrefix(m *flow.Mask, f flow.Field, n uint8) {
	m.Set(f, prefixMask(n).Rsh(uint(128-f.Bits())))
}
