// SPDX-License-Identifier: Apache-2.0

package classifier

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/weirswitch/weir/datapath/flow"
)

var seed = flag.Uint64("seed", 1, "seed of the random tests")

// linear is the slow, obvious twin: a list.
type linear []*Rule[int]

// winners returns the rules of the highest priority that match k.
func (l linear) winners(k *flow.Key) (w []*Rule[int]) {
	for _, r := range l {
		m := r.Match()
		if !m.Matches(k) {
			continue
		}
		if len(w) > 0 && r.prio < w[0].prio {
			continue
		}
		if len(w) > 0 && r.prio > w[0].prio {
			w = w[:0]
		}
		w = append(w, r)
	}
	return w
}

// gen makes keys and matches from few values, so that they meet often.
type gen struct{ *rand.Rand }

func (g gen) pick(v ...uint64) uint64 { return v[g.IntN(len(v))] }

func (g gen) v4() uint64 {
	return g.pick(0x0a000000, 0x0a000100, 0x0a010000, 0xc0a80000) | g.Uint64N(4)
}

func (g gen) v6() flow.U128 {
	return flow.U128{Hi: g.pick(0x20010db800000000, 0x20010db800010000, 0xfe80000000000000), Lo: g.Uint64N(3)}
}

func (g gen) key() (k flow.Key) {
	k.SetU64(flow.FieldInPort, 1+g.Uint64N(3))
	k.SetU64(flow.FieldMetadata, g.Uint64N(3))
	k.SetU64(flow.FieldReg0, g.Uint64N(2))
	k.SetU64(flow.FieldEthDst, g.Uint64N(4))
	k.SetU64(flow.FieldEthSrc, g.Uint64N(4))
	k.SetU64(flow.FieldVLANTCI, g.pick(0, 0x100a, 0x300a, 0x1014))
	if g.IntN(3) == 0 {
		k.SetU64(flow.FieldEthType, 0x86dd)
		k.Set(flow.FieldIPv6Src, g.v6())
		k.Set(flow.FieldIPv6Dst, g.v6())
	} else {
		k.SetU64(flow.FieldEthType, g.pick(0x800, 0x800, 0x806))
		k.SetU64(flow.FieldIPSrc, g.v4())
		k.SetU64(flow.FieldIPDst, g.v4())
	}
	k.SetU64(flow.FieldIPProto, g.pick(6, 17, 1))
	k.SetU64(flow.FieldTPSrc, g.pick(0, 80, 81, 1024, 65535))
	k.SetU64(flow.FieldTPDst, g.pick(0, 80, 443, 8080))
	return k
}

func (g gen) match() (m flow.Match) {
	k := g.key()
	set := func(f flow.Field, p int) {
		if g.IntN(10) >= p {
			return
		}
		n := f.Bits()
		mask := flow.Ones(n)
		switch g.IntN(6) {
		case 0:
			mask = flow.Ones(n).Lsh(uint(g.IntN(n))).And(flow.Ones(n)) // a prefix
		case 1:
			mask = flow.U128{Hi: g.Uint64(), Lo: g.Uint64()}.And(flow.Ones(n))
		}
		m.SetMasked(f, k.Get(f), mask)
	}
	set(flow.FieldInPort, 3)
	set(flow.FieldMetadata, 2)
	set(flow.FieldReg0, 1)
	set(flow.FieldEthDst, 2)
	set(flow.FieldEthSrc, 1)
	set(flow.FieldVLANTCI, 2)
	if g.IntN(2) == 0 {
		m.SetU64(flow.FieldEthType, k.U64(flow.FieldEthType))
		set(flow.FieldIPSrc, 3)
		set(flow.FieldIPDst, 3)
		set(flow.FieldIPv6Src, 3)
		set(flow.FieldIPv6Dst, 3)
		if g.IntN(2) == 0 {
			m.SetU64(flow.FieldIPProto, k.U64(flow.FieldIPProto))
			set(flow.FieldTPSrc, 4)
			set(flow.FieldTPDst, 4)
		}
	}
	return m
}

// TestOracle compares with the linear search while rules come and go, and
// holds that keys that agree under the mask of a lookup have the same winner.
func TestOracle(t *testing.T) {
	t.Logf("seed %d", *seed)
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		g := gen{rand.New(rand.NewPCG(*seed, uint64(round)))}
		var c Classifier[int]
		var l linear
		size := 1 + g.IntN(120)
		for step := range 400 {
			if len(l) < size && g.IntN(3) > 0 {
				m, prio := g.match(), int32(g.IntN(6))
				if r := c.Find(&m, prio, 1); r == nil {
					l = append(l, c.Insert(&m, prio, step, 0))
				} else if r.Match() != m || r.Priority() != prio {
					t.Fatalf("round %d: Find found another rule", round)
				}
			} else if len(l) > 0 {
				i := g.IntN(len(l))
				m := l[i].Match()
				if c.Find(&m, l[i].prio, 1) != l[i] {
					t.Fatalf("round %d: Find lost a rule", round)
				}
				c.Remove(l[i])
				if c.Find(&m, l[i].prio, 1) != nil {
					t.Fatalf("round %d: Find found a removed rule", round)
				}
				l = append(l[:i], l[i+1:]...)
			}
			if c.Len() != len(l) {
				t.Fatalf("round %d: Len = %d, want %d", round, c.Len(), len(l))
			}
			for range 4 {
				checkLookup(t, g, &c, l)
			}
		}
		checkSets(t, g, &c, l)
		for _, r := range l {
			c.Remove(r)
		}
		for i := range c.tries {
			tr := &c.tries[i]
			if len(tr.nodes) > 0 && tr.nodes[0].child != [2]int32{} {
				t.Fatalf("round %d: trie %v not empty", round, trieFields[i])
			}
		}
		if len(c.order) != 0 || len(c.byMask) != 0 || c.n != 0 {
			t.Fatalf("round %d: empty classifier has subtables", round)
		}
	}
}

func checkLookup(t *testing.T, g gen, c *Classifier[int], l linear) {
	t.Helper()
	k := g.key()
	var wc flow.Mask
	got, _ := c.Lookup(&k, &wc, 1, nil)
	want := l.winners(&k)
	if !oneOf(got, want) {
		t.Fatalf("Lookup = %v, want one of %d winners", got, len(want))
	}
	for range 3 {
		// Another key that agrees in what was looked at: near k, or random elsewhere.
		o := g.key()
		if g.IntN(2) == 0 {
			for i := range o {
				o[i] = k[i] ^ 1<<g.IntN(64)&^wc[i]
			}
		}
		for i := range o {
			o[i] = o[i]&^wc[i] | k[i]&wc[i]
		}
		if o, _ := c.Lookup(&o, nil, 1, nil); o != got {
			t.Fatal("a key that agrees under the mask has another winner")
		}
		if !oneOf(got, l.winners(&o)) {
			t.Fatalf("a key that agrees under the mask has another linear winner")
		}
	}
}

func oneOf(r *Rule[int], set []*Rule[int]) bool {
	if r == nil {
		return len(set) == 0
	}
	for _, s := range set {
		if s == r {
			return true
		}
	}
	return false
}

// checkSets compares Within, Overlap and All with the list.
func checkSets(t *testing.T, g gen, c *Classifier[int], l linear) {
	t.Helper()
	for i := range 60 {
		m := g.match()
		if i%3 == 0 && len(l) > 0 {
			m = l[g.IntN(len(l))].Match()
		}
		want := make(map[*Rule[int]]bool)
		overlap := make(map[int32]bool)
		for _, r := range l {
			rm := r.Match()
			if rm.Within(&m) {
				want[r] = true
			}
			if rm.Overlaps(&m) {
				overlap[r.prio] = true
			}
			if rm.Overlaps(&m) != r.Overlaps(&m) {
				t.Fatal("Rule.Overlaps differs from Match.Overlaps")
			}
		}
		c.Within(&m, 1, func(r *Rule[int]) bool {
			if !want[r] {
				t.Fatal("Within yields a rule that is not within, or one twice")
			}
			delete(want, r)
			return true
		})
		if len(want) != 0 {
			t.Fatalf("Within leaves %d rules out", len(want))
		}
		for p := range int32(6) {
			r := c.Overlap(&m, p, 1)
			if (r != nil) != overlap[p] || r != nil && r.prio != p {
				t.Fatalf("Overlap(%d) = %v, want %v", p, r, overlap[p])
			}
		}
	}
	n := 0
	c.All(1, func(*Rule[int]) bool { n++; return true })
	if n != len(l) {
		t.Fatalf("All yields %d rules, want %d", n, len(l))
	}
}

// TestTrie compares with a list of prefixes: what is excluded, and that the stated
// number of bits suffices.
func TestTrie(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := gen{rand.New(rand.NewPCG(*seed, 99))}
	for range 200 {
		var tr trie
		type prefix struct {
			v flow.U128
			n uint8
		}
		var list []prefix
		value := func() flow.U128 {
			v := flow.U128{Hi: g.Uint64N(16) << 60, Lo: g.Uint64N(2)}
			if g.IntN(4) == 0 {
				v.Hi |= 1 << g.IntN(60)
			}
			return v
		}
		for range 60 {
			if len(list) > 0 && g.IntN(3) == 0 {
				i := g.IntN(len(list))
				tr.remove(list[i].v, list[i].n)
				list = append(list[:i], list[i+1:]...)
			} else {
				p := prefix{value(), uint8(1 + g.IntN(128))}
				if g.IntN(2) == 0 {
					p.n = uint8(1 + g.IntN(6))
				}
				tr.insert(p.v, p.n)
				list = append(list, p)
			}
			v := value()
			r := tr.lookup(v)
			for p := uint8(1); p <= 128; p++ {
				match, first := false, uint8(0) // first: bits needed to tell v from all prefixes of length p
				for _, q := range list {
					if q.n != p {
						continue
					}
					d := common(v, q.v)
					match = match || d >= p
					first = max(first, d+1)
				}
				need, no := r.excludes(p)
				if no == match && len(list) > 0 {
					t.Fatalf("length %d: excluded %v, matches %v", p, no, match)
				}
				if no && (need < first || need > p) {
					t.Fatalf("length %d: %d bits said, %d needed", p, need, first)
				}
			}
		}
	}
}

// TestNarrow holds that lookups depend on no more than expected in the cases that
// the techniques are for.
func TestNarrow(t *testing.T) {
	var c Classifier[int]
	add := func(prio int32, set func(m *flow.Match)) {
		var m flow.Match
		set(&m)
		c.Insert(&m, prio, 0, 0)
	}
	add(10, func(m *flow.Match) { // 10.1.0.0/16
		m.SetU64(flow.FieldEthType, 0x800)
		m.SetMasked(flow.FieldIPDst, flow.U128{Lo: 0x0a010000}, flow.U128{Lo: 0xffff0000})
	})
	add(10, func(m *flow.Match) { // tcp dst 80
		m.SetU64(flow.FieldEthType, 0x800)
		m.SetU64(flow.FieldIPProto, 6)
		m.SetU64(flow.FieldTPDst, 80)
	})
	add(0, func(m *flow.Match) {})
	var k flow.Key
	k.SetU64(flow.FieldEthType, 0x806)
	var wc, want flow.Mask
	c.Lookup(&k, &wc, 1, nil)
	want.SetAll(flow.FieldEthType)
	if wc != want {
		t.Errorf("ARP: mask %v, want eth_type only", wc)
	}
	k.SetU64(flow.FieldEthType, 0x800)
	k.SetU64(flow.FieldIPDst, 0x8a010203) // differs in the first bit
	k.SetU64(flow.FieldIPProto, 17)
	wc = flow.Mask{}
	c.Lookup(&k, &wc, 1, nil)
	want.Set(flow.FieldIPDst, flow.U128{Lo: 1 << 31})
	want.SetAll(flow.FieldIPProto)
	if wc != want {
		t.Errorf("UDP: mask %v, want eth_type, one bit of ip_dst, nw_proto", wc)
	}
	k.SetU64(flow.FieldIPProto, 6)
	k.SetU64(flow.FieldTPDst, 0x8050)
	wc = flow.Mask{}
	c.Lookup(&k, &wc, 1, nil)
	want.Set(flow.FieldTPDst, flow.U128{Lo: 0x8000})
	want.Clear(flow.FieldIPProto) // the tries alone rule both out
	want.Clear(flow.FieldEthType)
	if wc != want {
		t.Errorf("TCP: mask %v, want one bit each of ip_dst and tp_dst", wc)
	}
}

func BenchmarkLookup(b *testing.B) {
	g := gen{rand.New(rand.NewPCG(1, 1))}
	var c Classifier[int]
	for range 100000 {
		var m flow.Match
		m.SetU64(flow.FieldEthType, 0x800)
		m.SetU64(flow.FieldIPDst, uint64(g.Uint32()))
		if g.IntN(2) == 0 {
			m.SetU64(flow.FieldInPort, uint64(g.IntN(100)))
		}
		c.Insert(&m, int32(g.IntN(1000)), 0, 0)
	}
	k := g.key()
	b.ReportAllocs()
	for b.Loop() {
		var wc flow.Mask
		c.Lookup(&k, &wc, 1, nil)
	}
}
