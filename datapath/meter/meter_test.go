// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
)

func spec(perPacket bool, bands ...dpif.MeterBand) *dpif.MeterSpec {
	return &dpif.MeterSpec{PerPacket: perPacket, Bands: bands}
}

// TestPass is a script of packets with the decisions that follow from the package comment.
func TestPass(t *testing.T) {
	type step struct {
		at   time.Duration
		size int
		pass bool
	}
	ms := time.Millisecond
	for _, c := range []struct {
		name  string
		spec  *dpif.MeterSpec
		steps []step
		drops []uint64 // packets, by band
	}{
		{"packets", spec(true, dpif.MeterBand{Rate: 10, Burst: 2}), []step{
			{0, 60, true}, {0, 1500, true}, {0, 60, false}, {99 * ms, 60, false}, {100 * ms, 60, true}, {100 * ms, 60, false},
			{10000 * ms, 60, true}, {10000 * ms, 60, true}, {10000 * ms, 60, false},
		}, []uint64{4}},
		{"no burst: a second's worth", spec(true, dpif.MeterBand{Rate: 3}), []step{
			{0, 60, true}, {0, 60, true}, {0, 60, true}, {0, 60, false}, {334 * ms, 60, true}, {334 * ms, 60, false},
		}, []uint64{2}},
		{"bits", spec(false, dpif.MeterBand{Rate: 8, Burst: 8}), []step{ // 1,000 bytes a second
			{0, 600, true}, {0, 401, false}, {0, 400, true}, {99 * ms, 100, false}, {100 * ms, 100, true},
		}, []uint64{2}},
		{"larger than the burst", spec(false, dpif.MeterBand{Rate: 8, Burst: 8}), []step{
			{0, 3000, true}, {0, 1, false}, {2000 * ms, 1, false}, {2001 * ms, 1, true}, {2900 * ms, 3000, false}, {3001 * ms, 3000, true},
		}, []uint64{3}},
		{"two bands", spec(true, dpif.MeterBand{Rate: 1, Burst: 4}, dpif.MeterBand{Rate: 100, Burst: 2}), []step{
			{0, 60, true}, {0, 60, true}, {0, 60, false}, // the second
			{20 * ms, 60, true}, {20 * ms, 60, true}, // both empty
			{20 * ms, 60, false}, // both; the faster counts
			{60 * ms, 60, false}, // the first
			{2000 * ms, 60, true}, {2000 * ms, 60, true}, {2000 * ms, 60, false},
		}, []uint64{1, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := 17 * time.Hour
			m := New(c.spec, start)
			var bytes, n uint64
			for i, s := range c.steps {
				if got := m.Pass(s.size, start+s.at); got != s.pass {
					t.Fatalf("step %d: %v", i, got)
				}
				n++
				bytes += uint64(s.size)
			}
			st := m.Stats()
			if st.Packets != n || st.Bytes != bytes {
				t.Errorf("%d packets, %d bytes counted, want %d, %d", st.Packets, st.Bytes, n, bytes)
			}
			var drops []uint64
			for _, b := range st.Bands {
				drops = append(drops, b.Packets)
			}
			if !slices.Equal(drops, c.drops) {
				t.Errorf("drops %v, want %v", drops, c.drops)
			}
		})
	}
}

// TestRate offers three times the rate for ten seconds of injected time and checks what passes.
func TestRate(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		perPacket := r.IntN(2) == 0
		b := dpif.MeterBand{Rate: uint32(math.Exp(r.Float64()*math.Log(40_000_000))) + 1, Burst: uint32(r.IntN(3)) * 1000}
		size := 60 + r.IntN(1455)
		unit := 1.0
		if !perPacket {
			unit = float64(size) * 8 / 1000
		}
		perSecond := float64(b.Rate) / unit
		const d = 10 * time.Second
		n := int(perSecond * 3 * d.Seconds())
		if n > 300_000 {
			continue
		}
		m := New(spec(perPacket, b), 0)
		passed := 0
		for i := range n {
			if m.Pass(size, time.Duration(float64(d)*float64(i)/float64(n))) {
				passed++
			}
		}
		burst := float64(b.Burst)
		if burst == 0 {
			burst = float64(b.Rate)
		}
		want := min((burst+float64(b.Rate)*d.Seconds())/unit, float64(n))
		if diff := math.Abs(float64(passed) - want); diff > want/200+2 {
			t.Errorf("%+v, packets %v, %d bytes: %d passed, want %.0f", b, perPacket, size, passed, want)
		}
	}
}

// twin is the obvious bucket: tokens in millionths of a bit (or thousand-millionths of a
// packet), filled by the time that went by.
type twin struct {
	spec   dpif.MeterBand
	per    int64 // tokens of a byte or packet
	level  int64
	last   time.Duration
	packet bool
}

func newTwin(b dpif.MeterBand, perPacket bool) *twin {
	w := &twin{spec: b, per: 8_000_000, packet: perPacket}
	if perPacket {
		w.per = 1_000_000_000
	}
	w.level = w.max()
	return w
}

func (w *twin) max() int64 {
	if w.spec.Burst == 0 {
		return int64(w.spec.Rate) * 1_000_000_000
	}
	return int64(w.spec.Burst) * 1_000_000_000
}

func (w *twin) pass(n int, now time.Duration) bool {
	w.level = min(w.level+int64(now-w.last)*int64(w.spec.Rate), w.max())
	w.last = now
	cost := w.per * int64(n)
	if w.packet {
		cost = w.per
	}
	if w.level < min(cost, w.max()) {
		return false
	}
	w.level -= cost
	return true
}

// TestTwin compares with the obvious bucket on random packets: they may differ
// only by the rounding.
func TestTwin(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		b := dpif.MeterBand{Rate: 1 + uint32(r.IntN(20_000)), Burst: uint32(r.IntN(2000))}
		perPacket := r.IntN(2) == 0
		m, w := New(spec(perPacket, b), 0), newTwin(b, perPacket)
		now := time.Duration(0)
		var got, want int
		for range 3000 {
			n := 14 + r.IntN(9000)
			now += time.Duration(r.ExpFloat64() * 1e9 / float64(b.Rate) * float64(r.IntN(20)))
			if m.Pass(n, now) {
				got++
			}
			if w.pass(n, now) {
				want++
			}
		}
		if d := got - want; d < -3 || d > 3 {
			t.Errorf("%+v, packets %v: %d passed, the twin passes %d", b, perPacket, got, want)
		}
	}
}

// TestExtremes: nothing overflows where rates and bursts are the largest and smallest.
func TestExtremes(t *testing.T) {
	for _, b := range []dpif.MeterBand{
		{Rate: 1, Burst: math.MaxUint32}, {Rate: math.MaxUint32, Burst: 1}, {Rate: math.MaxUint32}, {Rate: 1}, {Rate: 1, Burst: 1},
		{Rate: math.MaxUint32, Burst: math.MaxUint32},
	} {
		for _, perPacket := range []bool{false, true} {
			start := 300 * 24 * time.Hour
			m := New(spec(perPacket, b), start)
			if !m.Pass(81920, start) {
				t.Errorf("%+v: the first packet does not pass", b)
			}
			for i := range 10_000 {
				m.Pass(81920, start+time.Duration(i))
			}
			// What is owed is at most one packet, and is paid after some time.
			if later := start + 10*365*24*time.Hour; !m.Pass(60, later) {
				t.Errorf("%+v: nothing passes ten years later", b)
			}
		}
	}
}
