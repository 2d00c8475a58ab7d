// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

func flowMod(cmd openflow.FlowModCommand, prio uint16, f func(m *openflow.FlowMod)) *openflow.FlowMod {
	m := &openflow.FlowMod{Command: cmd, Priority: prio, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
	if f != nil {
		f(m)
	}
	return m
}

// victim is the rule that ovs-vswitchd.conf.db(5) says is to go, found by looking at all; more than one if
// they are alike.
func victim(b *Bridge, groups []flow.Subfield) (who []uint16) {
	type group [2]uint64
	in := map[group][]*Rule{}
	b.All(func(r *Rule) bool {
		if r.IdleTimeout == 0 && r.HardTimeout == 0 {
			return true
		}
		var g group
		m := r.Match()
		for i, f := range groups {
			g[i] = f.Get(&m.Key).And(m.Mask.Get(f.Field)).Lo
		}
		in[g] = append(in[g], r)
		return true
	})
	most := 0
	for _, rs := range in {
		most = max(most, len(rs))
	}
	var best *Rule
	better := func(x, y *Rule) int {
		if x.Importance != y.Importance {
			return int(x.Importance) - int(y.Importance)
		}
		return x.expires().Compare(y.expires())
	}
	for _, rs := range in {
		for _, r := range rs {
			if len(rs) < most {
				continue
			}
			switch {
			case best == nil || better(r, best) < 0:
				best, who = r, []uint16{uint16(r.Priority())}
			case better(r, best) == 0:
				who = append(who, uint16(r.Priority()))
			}
		}
	}
	return who
}

// TestEviction adds rules to a table that is full most of the time; packets use them, they expire, change and
// go. Each one evicted must be one that the manual names.
func TestEviction(t *testing.T) {
	const seed = 2
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	groups := []flow.Subfield{{Field: flow.FieldInPort, N: 16}, {Field: flow.FieldEthType, N: 16}}
	b := New(nil)
	now := t0
	evicted, full := 0, 0
	for step := range 20000 {
		now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		if step%2500 == 0 {
			n := r.IntN(3)
			b.SetTables(map[uint8]TableConfig{0: {Limited: true, Limit: 20 + r.IntN(30), Evict: true, Groups: groups[:n]}}, now)
		}
		cfg := b.limits[0].cfg
		if n := b.Rules(0); n > cfg.Limit && victim(b, cfg.Groups) != nil {
			t.Fatalf("step %d: %d rules, at most %d may be there", step, n, cfg.Limit)
		}
		switch r.IntN(10) {
		case 0:
			b.Expire(now)
		case 1:
			b.FlowMod(flowMod(openflow.FlowDelete, 0, func(m *openflow.FlowMod) { m.Match.SetU64(flow.FieldTCPDst, uint64(r.IntN(9))) }), now)
		case 2, 3:
			b.All(func(x *Rule) bool {
				if r.IntN(10) == 0 {
					x.Credit(1, 100, now)
				}
				return true
			})
		case 4:
			b.FlowMod(flowMod(openflow.FlowModifyStrict, uint16(r.IntN(300)), nil), now)
		default:
			m := flowMod(openflow.FlowAdd, uint16(r.IntN(300)), func(m *openflow.FlowMod) {
				m.Importance = uint16(r.IntN(3))
				if r.IntN(6) > 0 {
					m.IdleTimeout = uint16(r.IntN(2) * r.IntN(200))
					m.HardTimeout = uint16(r.IntN(2) * r.IntN(300))
				} else if r.IntN(3) > 0 {
					m.IdleTimeout = 5
				}
				if r.IntN(2) == 0 {
					m.Match.SetU64(flow.FieldInPort, uint64(r.IntN(4)))
				}
				if r.IntN(3) == 0 {
					m.Match.SetU64(flow.FieldEthType, 0x800)
				}
				m.Flags = openflow.FlagSendFlowRem
			})
			want := victim(b, cfg.Groups)
			was := b.Rules(0)
			replaces := b.table(0) != nil && b.table(0).cls.Find(&m.Match, int32(m.Priority), b.version) != nil
			eff, err := b.FlowMod(m, now)
			var gone []uint16
			for _, a := range eff.Async {
				if f, ok := a.(*openflow.FlowRemoved); ok && f.Reason == openflow.RemovedEviction {
					gone = append(gone, f.Priority)
				}
			}
			switch {
			case replaces || was < cfg.Limit:
				if err != nil || len(gone) > 0 {
					t.Fatalf("step %d: there was room, and %v went: %v", step, gone, err)
				}
			case len(want) == 0:
				if err != error(ofp.FMFCTableFull) || len(gone) > 0 {
					t.Fatalf("step %d: nothing can go, and %v went: %v", step, gone, err)
				}
				full++
				b.FlowMod(flowMod(openflow.FlowDelete, 0, nil), now)
			default:
				if err != nil || len(gone) != 1 || !slices.Contains(want, gone[0]) {
					t.Fatalf("step %d: %v went, want one of %v: %v", step, gone, want, err)
				}
				evicted++
			}
		}
	}
	t.Logf("%d rules evicted, %d times full", evicted, full)
	if evicted < 1000 || full == 0 {
		t.Errorf("%d rules evicted, %d times full: the test tests too little", evicted, full)
	}
}

// TestFlowLimit: refusal, the limit that sinks, controllers that ask for eviction, names.
func TestFlowLimit(t *testing.T) {
	b := New(nil)
	add := func(prio, idle uint16) error {
		_, err := b.FlowMod(flowMod(openflow.FlowAdd, prio, func(m *openflow.FlowMod) { m.IdleTimeout = idle }), t0)
		return err
	}
	cfg := func(c TableConfig) Effects { return b.SetTables(map[uint8]TableConfig{0: c}, t0) }
	cfg(TableConfig{Limited: true, Limit: 3, Name: "foo"})
	for i := range uint16(3) {
		if err := add(i, i*10); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(3, 5); err != error(ofp.FMFCTableFull) {
		t.Errorf("a fourth of three: %v", err)
	}
	if err := add(2, 25); err != nil {
		t.Errorf("replacing: %v", err)
	}
	ts := first(b.Handle(ConnInfo{}, &openflow.TableStatsRequest{}, t0))[0].(*openflow.TableStatsReply)
	if s := ts.Tables[0]; s.Name != "foo" || s.MaxEntries != 3 || ts.Tables[1].Name != "" {
		t.Errorf("%+v", s)
	}
	cfg(TableConfig{Limited: true, Limit: 1})
	if n := b.Rules(0); n != 3 {
		t.Errorf("%d rules: a lower limit alone removes nothing", n)
	}
	mod := func(tab uint8, on bool) ofp.Kind {
		return kind(first(b.Handle(ConnInfo{}, &openflow.TableMod{Table: tab, Set: true, Eviction: on}, t0)))
	}
	if k := mod(254, true); k != ofp.TMFCEperm {
		t.Errorf("table_mod of the switch's own table: %v", k)
	}
	mod(openflow.TableAll, true)
	td := first(b.Handle(ConnInfo{}, &openflow.TableDescRequest{}, t0))[0].(*openflow.TableDescReply)
	if len(td.Tables) != VisibleTables || !td.Tables[0].Eviction || !td.Tables[253].Eviction {
		t.Errorf("%+v", td.Tables[0])
	}
	if err := add(4, 0); err != error(ofp.FMFCTableFull) {
		t.Errorf("above the limit with too few to evict: %v", err)
	}
	if n := b.Rules(0); n != 1 {
		t.Errorf("%d rules are left, want the one without timeout", n)
	}
	mod(0, false)
	cfg(TableConfig{Limited: true, Limit: 4})
	for i := range uint16(3) {
		if err := add(10+i, 9); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(20, 9); err != error(ofp.FMFCTableFull) {
		t.Errorf("without eviction: %v", err)
	}
	eff := cfg(TableConfig{Limited: true, Limit: 2, Evict: true})
	if n := b.Rules(0); n != 2 || len(eff.Changes) != 2 {
		t.Errorf("%d rules, %d changes", n, len(eff.Changes))
	}
	b.SetTables(nil, t0)
	for i := range uint16(9) {
		if err := add(100+i, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVacancy follows the events of a table of ten.
func TestVacancy(t *testing.T) {
	b := New(nil)
	b.SetTables(map[uint8]TableConfig{0: {Limited: true, Limit: 10}}, t0)
	b.Handle(ConnInfo{}, &openflow.TableMod{Set: true, Vacancy: true, VacancyDown: 30, VacancyUp: 60}, t0)
	var got []openflow.TableStatusReason
	do := func(m *openflow.FlowMod) {
		eff, err := b.FlowMod(m, t0)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range eff.Async {
			s := a.(*openflow.TableStatus)
			if !s.Desc.Vacancy || s.Desc.VacancyDown != 30 || s.Desc.VacancyUp != 60 || int(s.Desc.Free) != 100-10*b.Rules(0) {
				t.Errorf("%d rules: %+v", b.Rules(0), s.Desc)
			}
			got = append(got, s.Reason)
		}
	}
	events := func(want ...openflow.TableStatusReason) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%d rules: events %v, want %v", b.Rules(0), got, want)
		}
		got = nil
	}
	for i := range uint16(7) {
		do(flowMod(openflow.FlowAdd, i, nil))
	}
	events()
	do(flowMod(openflow.FlowAdd, 7, nil)) // 20 % are free
	events(openflow.TableVacancyDown)
	do(flowMod(openflow.FlowAdd, 8, nil))
	do(flowMod(openflow.FlowDeleteStrict, 8, nil))
	do(flowMod(openflow.FlowDeleteStrict, 7, nil))
	events()
	for _, p := range []uint16{6, 5, 4} {
		do(flowMod(openflow.FlowDeleteStrict, p, nil)) // 60 %
	}
	events()
	do(flowMod(openflow.FlowDeleteStrict, 3, nil))
	events(openflow.TableVacancyUp)
	do(flowMod(openflow.FlowDeleteStrict, 2, nil))
	events()
}

// TestRollbackMeters: what a bundle that is refused did to meters' rules, the order of eviction and vacancy
// is taken back.
func TestRollbackMeters(t *testing.T) {
	b, _ := metered()
	b.SetTables(map[uint8]TableConfig{0: {Limited: true, Limit: 3, Evict: true}}, t0)
	b.Handle(ConnInfo{}, meterMod(openflow.MeterAdd, 1, openflow.MeterKbps, band(5)), t0)
	b.Handle(ConnInfo{}, meterMod(openflow.MeterAdd, 2, openflow.MeterKbps, band(5)), t0)
	add := func(prio uint16, meter uint32, hard uint16) *openflow.FlowMod {
		return flowMod(openflow.FlowAdd, prio, func(m *openflow.FlowMod) { m.Instructions.Meter, m.HardTimeout = meter, hard })
	}
	for _, m := range []*openflow.FlowMod{add(1, 1, 100), add(2, 1, 50), add(3, 2, 70)} {
		if _, err := b.FlowMod(m, t0); err != nil {
			t.Fatal(err)
		}
	}
	proto := openflow.Proto{Version: ofp.V14}
	var msgs [][]byte
	for _, m := range []*openflow.FlowMod{
		add(4, 2, 200), // evicts 2
		add(1, 2, 10),  // replaces, and would go next
		flowMod(openflow.FlowDeleteStrict, 3, nil), //
		add(5, 1, 0), //
		add(6, 9, 0), // refused: no such meter
	} {
		m.Table = 0
		raw, err := openflow.Encode(proto, 1, &openflow.BundleAdd{ID: 1, Msg: m})
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, raw)
	}
	replies, _ := b.Handle(ConnInfo{Version: ofp.V14}, &openflow.Bundle{ID: 1, Proto: proto, Added: msgs}, t0.Add(time.Second))
	if k := kind(replies); k != ofp.MMFCInvalidMeter {
		t.Fatalf("the bundle: %v", k)
	}
	flows := map[uint32]uint32{}
	for _, s := range first(b.Handle(ConnInfo{}, &openflow.MeterStatsRequest{Meter: MeterAll}, t0))[0].(*openflow.MeterStatsReply).Meters {
		flows[s.Meter] = s.Flows
	}
	if b.Rules(0) != 3 || flows[1] != 2 || flows[2] != 1 {
		t.Errorf("%d rules, flows of meters %v", b.Rules(0), flows)
	}
	for _, want := range []uint16{2, 3, 1} {
		r := b.limits[0].evictor.pick()
		if r == nil || uint16(r.Priority()) != want {
			t.Fatalf("next to be evicted: %+v, want priority %d", r, want)
		}
		var eff Effects
		b.remove(r, openflow.RemovedEviction, t0, &eff)
	}
	if len(b.meters[1].rules)+len(b.meters[2].rules) != 0 {
		t.Error("meters still name rules")
	}
}
