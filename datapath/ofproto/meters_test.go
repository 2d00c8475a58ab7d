// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// meterBoard is a Meters of eight places that keeps what it is told.
type meterBoard struct {
	specs map[dpif.MeterID]dpif.MeterSpec
	sets  int
	full  bool
}

func (b *meterBoard) MeterLimits() (int, int) { return 8, 3 }

func (b *meterBoard) MeterSet(id dpif.MeterID, s *dpif.MeterSpec) (dpif.MeterID, error) {
	if b.full {
		return 0, errors.New("no place")
	}
	if id == 0 {
		b.sets++
		id = dpif.MeterID(100 + b.sets)
	}
	b.specs[id] = *s
	return id, nil
}

func (b *meterBoard) MeterDel(id dpif.MeterID) { delete(b.specs, id) }

func (b *meterBoard) MeterStats(id dpif.MeterID) (dpif.MeterStats, bool) {
	s, ok := b.specs[id]
	return dpif.MeterStats{
		MeterCount: dpif.MeterCount{Packets: uint64(id), Bytes: 2}, Bands: make([]dpif.MeterCount, len(s.Bands)),
	}, ok
}

func metered() (*Bridge, *meterBoard) {
	b, board := New(nil), &meterBoard{specs: map[dpif.MeterID]dpif.MeterSpec{}}
	b.SetMeters(board)
	return b, board
}

func band(rate uint32) openflow.MeterBand { return openflow.MeterBand{Type: 1, Rate: rate} }

func meterMod(cmd openflow.MeterModCommand, id uint32, flags openflow.MeterFlags, bands ...openflow.MeterBand) *openflow.MeterMod {
	return &openflow.MeterMod{Command: cmd, MeterConfig: openflow.MeterConfig{Meter: id, Flags: flags, Bands: bands}}
}

// TestMeterErrors: the errors of ovs-vswitchd 3.1, observed with messages sent by hand. Meter
// 1 is there.
func TestMeterErrors(t *testing.T) {
	const add, mod, del = openflow.MeterAdd, openflow.MeterModify, openflow.MeterDelete
	const kbps = openflow.MeterKbps
	remark := openflow.MeterBand{Type: 2, Rate: 1}
	for _, c := range []struct {
		m    *openflow.MeterMod
		want ofp.Kind
	}{
		{meterMod(add, 2, kbps, band(1)), ofp.NoError},
		{meterMod(add, 1, kbps, band(1)), ofp.MMFCMeterExists},
		{meterMod(add, 1, 0x11, band(1)), ofp.MMFCMeterExists},
		{meterMod(add, 1, kbps), ofp.MMFCMeterExists},
		{meterMod(add, 1, kbps, band(0)), ofp.MMFCMeterExists},
		{meterMod(add, 1, kbps, band(1), band(1), band(1), band(1)), ofp.MMFCOutOfBands},
		{meterMod(mod, 9, kbps, band(1), band(1), band(1), band(1)), ofp.MMFCOutOfBands},
		{meterMod(add, 2, 0, band(1)), ofp.MMFCBadFlags},
		{meterMod(add, 2, 0), ofp.MMFCBadFlags},
		{meterMod(add, 2, 0, band(0)), ofp.MMFCBadFlags},
		{meterMod(add, 2, 0x10, band(1)), ofp.MMFCBadFlags},
		{meterMod(add, 2, 0x11, band(1)), ofp.MMFCBadFlags},
		{meterMod(add, 2, 0x11, remark), ofp.MMFCBadFlags},
		{meterMod(add, 2, 0x11), ofp.MMFCOutOfBands},
		{meterMod(add, 2, 0x11, band(0)), ofp.MMFCBadRate},
		{meterMod(add, 2, kbps), ofp.MMFCOutOfBands},
		{meterMod(add, 2, kbps, band(1), band(2), band(3)), ofp.NoError},
		{meterMod(add, 2, kbps, band(0)), ofp.MMFCBadRate},
		{meterMod(add, 2, kbps, remark, band(0)), ofp.MMFCBadRate},
		{meterMod(add, 2, kbps, remark), ofp.MMFCBadBand},
		{meterMod(add, 0, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(add, 0, kbps, band(1), band(1), band(1), band(1)), ofp.MMFCInvalidMeter},
		{meterMod(mod, 0, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(add, MeterMax, kbps, band(1)), ofp.NoError},
		{meterMod(add, MeterMax+1, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(mod, MeterMax+1, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(add, 0xfffffffc, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(add, MeterSlowpath, kbps, band(1)), ofp.NoError},
		{meterMod(add, MeterController, kbps, band(1)), ofp.NoError},
		{meterMod(mod, MeterController, kbps, band(1)), ofp.MMFCUnknownMeter},
		{meterMod(add, MeterAll, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(mod, MeterAll, kbps, band(1)), ofp.MMFCInvalidMeter},
		{meterMod(mod, 9, kbps, remark), ofp.MMFCUnknownMeter},
		{meterMod(mod, 1, kbps, band(0)), ofp.MMFCBadRate},
		{meterMod(mod, 1, kbps), ofp.MMFCOutOfBands},
		{meterMod(mod, 1, 0x11, band(1)), ofp.MMFCBadFlags},
		{meterMod(mod, 1, openflow.MeterPktps, band(1)), ofp.NoError},
		{meterMod(del, 0, 0), ofp.NoError},
		{meterMod(del, 1, 0), ofp.NoError},
		{meterMod(del, 9, 0), ofp.NoError},
		{meterMod(del, MeterMax+1, 0), ofp.NoError},
		{meterMod(del, MeterAll, 0), ofp.NoError},
		{meterMod(3, 1, kbps, band(1)), ofp.MMFCBadCommand},
	} {
		b, board := metered()
		if k := kind(first(b.Handle(ConnInfo{}, meterMod(add, 1, kbps, band(7)), t0))); k != ofp.NoError {
			t.Fatal(k)
		}
		before := fmt.Sprint(board.specs)
		if k := kind(first(b.Handle(ConnInfo{}, c.m, t0))); k != c.want {
			t.Errorf("%+v: %v, want %v", c.m, k, c.want)
		}
		if after := fmt.Sprint(board.specs); c.want != ofp.NoError && after != before {
			t.Errorf("%+v: refused, but %s became %s", c.m, before, after)
		}
	}
}

// TestMeterRules: rules need their meters and go with them; all of it as one would keep it in a
// plain list.
func TestMeterRules(t *testing.T) {
	const seed = 8
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b, board := metered()
	type flow struct {
		meter  uint32
		action bool
	}
	meters := map[uint32]openflow.MeterConfig{}
	made := map[uint32]time.Time{}
	flows := map[uint16]flow{}
	now := t0
	for step := range 4000 {
		now = now.Add(time.Second)
		id := uint32(1 + r.IntN(10))
		if r.IntN(6) == 0 {
			id = MeterController
		}
		var m openflow.Message
		want := ofp.NoError
		var gone []uint16
		switch r.IntN(8) {
		case 0:
			mm := meterMod(openflow.MeterAdd, id, openflow.MeterPktps|openflow.MeterBurst, openflow.MeterBand{Type: 1, Rate: 1 + r.Uint32N(9), Burst: 1 + r.Uint32N(9)})
			if _, ok := meters[id]; ok {
				want = ofp.MMFCMeterExists
			} else if len(meters) == 8 {
				want = ofp.MMFCOutOfMeters
			} else if board.full = r.IntN(5) == 0; board.full {
				want = ofp.MMFCOutOfMeters
			} else {
				meters[id], made[id] = mm.MeterConfig, now
			}
			m = mm
		case 1:
			mm := meterMod(openflow.MeterModify, id, openflow.MeterKbps, openflow.MeterBand{Type: 1, Rate: 1 + r.Uint32N(9), Burst: 4}, openflow.MeterBand{Type: 1, Rate: 3, Burst: 1})
			if _, ok := meters[id]; ok {
				meters[id] = mm.MeterConfig
			} else {
				want = ofp.MMFCUnknownMeter
			}
			m = mm
		case 2:
			if r.IntN(20) == 0 {
				id = MeterAll
			}
			m = meterMod(openflow.MeterDelete, id, 0)
			for mid := range meters {
				if id != MeterAll && id != mid {
					continue
				}
				delete(meters, mid)
				for p, f := range flows {
					if f.meter == mid {
						gone = append(gone, p)
						delete(flows, p)
					}
				}
			}
		case 3:
			p := uint16(r.IntN(30))
			delete(flows, p)
			m = &openflow.FlowMod{Command: openflow.FlowDeleteStrict, Priority: p, OutPort: action.PortAny, OutGroup: action.GroupAny, BufferID: openflow.NoBuffer}
		default:
			f := flow{meter: uint32(r.IntN(12)), action: r.IntN(2) == 0}
			fm := &openflow.FlowMod{Priority: uint16(r.IntN(30)), BufferID: openflow.NoBuffer, Flags: openflow.FlagSendFlowRem}
			if f.action && f.meter != 0 {
				fm.Instructions.Apply = action.List{action.Output{Port: 1}, action.Clone{Actions: action.List{action.Meter{ID: f.meter}}}}
			} else {
				fm.Instructions.Meter = f.meter
			}
			if _, ok := meters[f.meter]; !ok && f.meter != 0 {
				want = ofp.MMFCInvalidMeter
			} else {
				flows[fm.Priority] = f
			}
			m = fm
		}
		replies, eff := b.Handle(ConnInfo{}, m, now)
		board.full = false
		if k := kind(replies); k != want {
			t.Fatalf("step %d: %+v: %v, want %v", step, m, k, want)
		}
		var removed []uint16
		for _, a := range eff.Async {
			if f, ok := a.(*openflow.FlowRemoved); ok && f.Reason == openflow.RemovedMeterDelete {
				removed = append(removed, f.Priority)
			}
		}
		slices.Sort(gone)
		slices.Sort(removed)
		if !slices.Equal(gone, removed) {
			t.Fatalf("step %d: %+v removed %v, want %v", step, m, removed, gone)
		}
		if n := b.Rules(0); n != len(flows) {
			t.Fatalf("step %d: %d rules, want %d", step, n, len(flows))
		}
		if len(board.specs) != len(meters) {
			t.Fatalf("step %d: the datapath has %d meters, want %d", step, len(board.specs), len(meters))
		}
		cfg := first(b.Handle(ConnInfo{}, &openflow.MeterConfigRequest{Meter: MeterAll}, now))[0].(*openflow.MeterConfigReply)
		stats := first(b.Handle(ConnInfo{}, &openflow.MeterStatsRequest{Meter: MeterAll}, now))[0].(*openflow.MeterStatsReply)
		if len(cfg.Meters) != len(meters) || len(stats.Meters) != len(meters) {
			t.Fatalf("step %d: %d and %d meters listed, want %d", step, len(cfg.Meters), len(stats.Meters), len(meters))
		}
		for i, c := range cfg.Meters {
			if fmt.Sprint(c) != fmt.Sprint(meters[c.Meter]) {
				t.Fatalf("step %d: %+v, want %+v", step, c, meters[c.Meter])
			}
			n := 0
			for _, f := range flows {
				if f.meter == c.Meter {
					n++
				}
			}
			s := stats.Meters[i]
			if s.Meter != c.Meter || int(s.Flows) != n || s.Lifetime.Sec != uint32(now.Sub(made[c.Meter])/time.Second) ||
				s.Packets != uint64(b.Meter(c.Meter)) || len(s.Bands) != len(c.Bands) {
				t.Fatalf("step %d: %+v, want %d flows, made %v ago", step, s, n, now.Sub(made[c.Meter]))
			}
			spec := board.specs[b.Meter(c.Meter)]
			if spec.PerPacket != (c.Flags&openflow.MeterPktps != 0) || spec.Bands[0].Rate != c.Bands[0].Rate || spec.Bands[0].Burst != c.Bands[0].Burst {
				t.Fatalf("step %d: the datapath has %+v, want %+v", step, spec, c)
			}
		}
	}
	b.DropMeters(now)
	if len(board.specs) != 0 {
		t.Errorf("%d meters are left", len(board.specs))
	}
}
