// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
)

func TestAdapt(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		limit, most, flows int
		took               time.Duration
		want               int
	}{
		{200_000, 200_000, 100_000, 400 * ms, 200_000}, // at the top
		{100_000, 200_000, 90_000, 400 * ms, 112_500},  // room: 90,000 in 0.4 s
		{100_000, 200_000, 50_000, 900 * ms, 100_000},  // 55,555 would take a second: no more
		{100_000, 200_000, 90_000, 1100 * ms, 100_000}, // neither
		{100_000, 200_000, 90_000, 1400 * ms, 75_000},
		{100_000, 200_000, 90_000, 4000 * ms, 25_000},
		{1200, 200_000, 1200, 9000 * ms, 1000}, // the floor
		{1000, 200_000, 10, 0, 2000},
		{1000, 200_000, 2000, 999 * ms, 2000}, // few flows say nothing
		{10, 10, 10, 5000 * ms, 10},           // below the floor, as configured
		{199_500, 200_000, 190_000, 100 * ms, 200_000},
	} {
		if got := adapt(c.limit, c.most, c.flows, c.took); got != c.want {
			t.Errorf("limit %d of %d, %d flows, round of %v: %d, want %d", c.limit, c.most, c.flows, c.took, got, c.want)
		}
	}
}

// slowDP takes a while for a dump, by the test's clock.
type slowDP struct {
	*listDP
	dump func()
}

func (d *slowDP) FlowDump(yield func(dpif.FlowID, dpif.FlowStats) bool) error {
	d.dump()
	return d.listDP.FlowDump(yield)
}

// TestFlowLimit lets rounds take long: the bound falls, megaflows above twice the bound go at once,
// others above it when they were idle for 100 ms; it grows again when rounds are short, to what
// is configured.
func TestFlowLimit(t *testing.T) {
	l := newLab(t, Options{FlowLimit: 8000})
	var slow time.Duration
	l.s.dp = &slowDP{l.dp, func() { l.advance(slow) }}
	l.flowMod("br0", openflow.FlowMod{Instructions: apply(
		action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: 2})})
	n := uint32(0)
	fill := func(want int) {
		t.Helper()
		for l.s.ix.len() < want {
			n++
			l.s.Upcalls([]dpif.Upcall{{InPort: 11, Packet: dpif.Packet{Data: frame(macB, macA, 0, n, 2, 3, 4)}}})
			if n > 20_000 {
				t.Fatalf("%+v", l.s.Stats())
			}
		}
	}
	check := func(what string, limit, flows int) {
		t.Helper()
		if st := l.s.Stats(); st.FlowLimit != limit || st.Flows != flows {
			t.Errorf("%s: limit %d, %d flows; want %d and %d", what, st.FlowLimit, st.Flows, limit, flows)
		}
	}
	fill(3000)
	l.s.Tick(l.now())
	check("a short round", 8000, 3000)
	slow = 8 * time.Second
	l.s.Tick(l.now())
	check("a round of 8 s", 1000, 3000)
	slow = 0
	l.clock.Store(int64(time.Millisecond)) // nothing is idle by this clock
	l.s.Tick(l.now())
	check("above twice the bound", 2000, 2000)
	l.advance(98 * time.Millisecond)
	l.s.Tick(l.now())
	check("at the bound, not idle", 3000, 2000)
	l.applyConfig()
	check("applied again", 3000, 2000)
	for range 5 {
		l.s.Tick(l.now())
	}
	check("short rounds", 8000, 2000)
	slow = 1500 * time.Millisecond
	l.s.Tick(l.now().Add(-slow))
	check("a round of 1.5 s", 6000, 2000)
	slow = 0
	for range 3 {
		l.clock.Store(int64(2 * time.Millisecond))
		l.s.Tick(l.now())
	}
	fill(8000)
	l.advance(50 * time.Millisecond)
	l.s.Tick(l.now())
	check("full", 8000, 8000)
	l.advance(60 * time.Millisecond)
	l.s.Tick(l.now())
	check("full and idle for 110 ms", 8000, 0)
}

// TestFlowLimitFor: the bound follows the memory, and neither the configuration nor the datapath lift it.
func TestFlowLimitFor(t *testing.T) {
	for _, c := range []struct {
		memory int64
		want   int
	}{
		{1 << 20, 1024}, {24 << 20, 8192}, {64 << 20, 21845}, {256 << 20, 87381}, {585 << 20, 199_680}, {586 << 20, 200_000},
		{math.MaxInt64, 200_000}, // GOMEMLIMIT=off
	} {
		if got := FlowLimitFor(c.memory); got != c.want {
			t.Errorf("%d bytes: %d megaflows, want %d", c.memory, got, c.want)
		}
	}
	for _, c := range []struct{ machine, datapath, configured, want int }{
		{0, 0, 0, 200_000}, {0, 0, 1 << 20, 200_000}, {8192, 0, 0, 8192}, {8192, 0, 200_000, 8192}, {8192, 0, 77, 77},
		{8192, 5000, 0, 5000}, {8192, 5000, 6000, 5000}, {1 << 20, 0, 0, 200_000},
	} {
		s := New(&listDP{maxFlows: c.datapath}, Options{FlowLimit: c.machine})
		if err := s.Apply(Config{FlowLimit: c.configured}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats().FlowLimit; got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
