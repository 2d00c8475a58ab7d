// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
)

// FracBits is the number of bits behind the point in Rate.Cost.
const FracBits = 20

// MaxDepth bounds the depth of a bucket: 36 years, so that sums of times do not overflow.
const MaxDepth = time.Duration(1 << 60)

// Rate is a band as the arithmetic needs it.
type Rate struct {
	Cost  uint64        // of a byte or, if the meter counts packets, a packet: ns * 2^FracBits
	Depth time.Duration // of the bucket
}

// RateOf returns the Rate of a band, whose Rate must not be 0.
func RateOf(b dpif.MeterBand, perPacket bool) Rate {
	unit := uint64(8_000_000) // ns that a byte takes at 1 kbit/s
	if perPacket {
		unit = 1_000_000_000
	}
	burst := uint64(b.Burst)
	if burst == 0 {
		burst = uint64(b.Rate)
	}
	rate := uint64(b.Rate)
	return Rate{
		Cost:  max((unit<<FracBits+rate/2)/rate, 1),
		Depth: time.Duration(min(burst*uint64(time.Second)/rate, uint64(MaxDepth))),
	}
}

// bucket is a band in use.
type bucket struct {
	Rate
	empty time.Duration // when the bucket was or will be empty
	frac  uint64        // of the cost so far, below a nanosecond
}

// conforms reports whether a packet that costs cost may pass at now.
func (b *bucket) conforms(cost, now time.Duration) bool {
	if now-b.empty > b.Depth {
		b.empty = now - b.Depth
	}
	return now-b.empty >= min(cost, b.Depth)
}

// Meter is a meter in use.
type Meter struct {
	perPacket bool

	mu      sync.Mutex
	spec    dpif.MeterSpec
	buckets []bucket
	stats   dpif.MeterStats
}

// New returns a meter with full buckets. now is a time on any clock that only goes forward.
func New(spec *dpif.MeterSpec, now time.Duration) *Meter {
	m := &Meter{perPacket: spec.PerPacket, stats: dpif.MeterStats{Bands: make([]dpif.MeterCount, len(spec.Bands))}}
	m.spec = dpif.MeterSpec{PerPacket: spec.PerPacket, Bands: append([]dpif.MeterBand(nil), spec.Bands...)}
	for _, b := range spec.Bands {
		r := RateOf(b, spec.PerPacket)
		m.buckets = append(m.buckets, bucket{Rate: r, empty: now - r.Depth})
	}
	return m
}

// Pass reports whether a packet of n bytes may pass at now, and counts it.
func (m *Meter) Pass(n int, now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Packets++
	m.stats.Bytes += uint64(n)
	units := uint64(n)
	if m.perPacket {
		units = 1
	}
	worst := -1
	for i := range m.buckets {
		b := &m.buckets[i]
		cost := time.Duration((units*b.Cost + b.frac) >> FracBits)
		if !b.conforms(cost, now) && (worst < 0 || m.spec.Bands[i].Rate > m.spec.Bands[worst].Rate) {
			worst = i
		}
	}
	if worst >= 0 {
		m.stats.Bands[worst].Packets++
		m.stats.Bands[worst].Bytes += uint64(n)
		return false
	}
	for i := range m.buckets {
		b := &m.buckets[i]
		c := units*b.Cost + b.frac
		b.empty += time.Duration(c >> FracBits)
		b.frac = c & (1<<FracBits - 1)
	}
	return true
}

// Stats returns the counters since New.
func (m *Meter) Stats() dpif.MeterStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Bands = append([]dpif.MeterCount(nil), s.Bands...)
	return s
}
