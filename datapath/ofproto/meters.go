// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Meter numbers that are not ordinary (OpenFlow 1.3, A.3.4.4, enum ofp_meter).
const (
	MeterMax        uint32 = 0xffff0000 // the highest ordinary one
	MeterSlowpath   uint32 = 0xfffffffd // packets that the datapath hands up because it cannot do their actions
	MeterController uint32 = 0xfffffffe // packets to controllers by actions that name no other meter
	MeterAll        uint32 = 0xffffffff
)

// bandDrop is the only type of band that there is (OFPMBT_DROP).
const bandDrop = 1

// Meters is the datapath's part of the meters, as a Bridge needs it. Handle calls
// it.
type Meters interface {
	// MeterLimits returns how many meters there can be, and bands of one.
	MeterLimits() (meters, bands int)
	// MeterSet makes a meter (id 0) or changes the one with this number, and
	// returns its number. It fails if there is no place for another.
	MeterSet(id dpif.MeterID, spec *dpif.MeterSpec) (dpif.MeterID, error)
	MeterDel(id dpif.MeterID)
	// MeterStats returns counters since the last MeterSet; false: not known.
	MeterStats(id dpif.MeterID) (dpif.MeterStats, bool)
}

// meter is a meter of the table.
type meter struct {
	cfg   openflow.MeterConfig
	id    dpif.MeterID
	made  time.Time
	rules map[*Rule]struct{} // that name it
}

// Meter returns the datapath's number of a meter, 0 if there is no such meter.
func (b *Bridge) Meter(id uint32) dpif.MeterID {
	if m := b.meters[id]; m != nil {
		return m.id
	}
	return 0
}

// SetMeters says where the meters are; nil: nowhere, and there can be none. It is for the
// start: meters that there are must be gone.
func (b *Bridge) SetMeters(d Meters) { b.meterDP = d }

// meterMessage serves the messages about meters.
func (b *Bridge) meterMessage(m openflow.Message, now time.Time, one func(openflow.Message)) (eff Effects, err error) {
	switch m := m.(type) {
	case *openflow.MeterMod:
		return b.meterMod(m, now)
	case *openflow.MeterFeaturesRequest:
		rep := &openflow.MeterFeaturesReply{}
		if max, bands := b.meterLimits(); max > 0 {
			rep.MaxMeters, rep.MaxBands, rep.BandTypes = uint32(max), uint8(bands), 1<<bandDrop
			rep.Capabilities = uint32(openflow.MeterKbps | openflow.MeterPktps | openflow.MeterBurst | openflow.MeterStat)
		}
		one(rep)
	case *openflow.MeterConfigRequest:
		rep := &openflow.MeterConfigReply{}
		err = b.eachMeter(m.Meter, func(t *meter) {
			c := t.cfg
			c.Bands = slices.Clone(c.Bands)
			rep.Meters = append(rep.Meters, c)
		})
		if err == nil {
			one(rep)
		}
	case *openflow.MeterStatsRequest:
		rep := &openflow.MeterStatsReply{}
		err = b.eachMeter(m.Meter, func(t *meter) {
			s := openflow.MeterStats{Meter: t.cfg.Meter, Flows: uint32(len(t.rules)), Lifetime: lifetime(t.made, now)}
			s.Bands = make([]openflow.BucketStats, len(t.cfg.Bands))
			if st, ok := b.meterDP.MeterStats(t.id); ok {
				s.Packets, s.Bytes = st.Packets, st.Bytes
				for i := range min(len(s.Bands), len(st.Bands)) {
					s.Bands[i] = openflow.BucketStats(st.Bands[i])
				}
			}
			rep.Meters = append(rep.Meters, s)
		})
		if err == nil {
			one(rep)
		}
	}
	return eff, err
}

func (b *Bridge) meterLimits() (meters, bands int) {
	if b.meterDP == nil {
		return 0, 0
	}
	return b.meterDP.MeterLimits()
}

// eachMeter calls f for one meter or, rising, for all.
func (b *Bridge) eachMeter(id uint32, f func(*meter)) error {
	if id != MeterAll {
		m := b.meters[id]
		if m == nil {
			return ofp.MMFCUnknownMeter
		}
		f(m)
		return nil
	}
	for _, id := range b.meterIDs() {
		f(b.meters[id])
	}
	return nil
}

func (b *Bridge) meterIDs() []uint32 {
	ids := make([]uint32, 0, len(b.meters))
	for id := range b.meters {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// meterMod changes the meters (OpenFlow 1.3, A.3.4.4). The order of the checks is the stock
// switch's.
func (b *Bridge) meterMod(m *openflow.MeterMod, now time.Time) (eff Effects, err error) {
	old := b.meters[m.Meter]
	switch m.Command {
	case openflow.MeterDelete:
		ids := []uint32{m.Meter}
		if m.Meter == MeterAll {
			ids = b.meterIDs()
		}
		for _, id := range ids {
			b.dropMeter(id, now, &eff)
		}
		return eff, nil
	case openflow.MeterAdd, openflow.MeterModify:
	default:
		return eff, ofp.MMFCBadCommand
	}
	max, bands := b.meterLimits()
	switch {
	case m.Meter == 0 || m.Meter > MeterMax && m.Meter != MeterSlowpath && m.Meter != MeterController:
		return eff, ofp.MMFCInvalidMeter
	case len(m.Bands) > bands:
		return eff, ofp.MMFCOutOfBands
	case m.Command == openflow.MeterAdd && old != nil:
		return eff, ofp.MMFCMeterExists
	case m.Command == openflow.MeterModify && old == nil:
		return eff, ofp.MMFCUnknownMeter
	case old == nil && len(b.meters) >= max:
		return eff, ofp.MMFCOutOfMeters
	}
	spec, err := meterSpec(&m.MeterConfig)
	if err != nil {
		return eff, err
	}
	was := dpif.MeterID(0)
	if old != nil {
		was = old.id
	}
	id, err := b.meterDP.MeterSet(was, spec)
	if err != nil {
		return eff, ofp.MMFCOutOfMeters
	}
	if old == nil {
		if b.meters == nil {
			b.meters = make(map[uint32]*meter)
		}
		old = &meter{id: id, made: now, rules: make(map[*Rule]struct{})}
		b.meters[m.Meter] = old
		eff.Meters = append(eff.Meters, m.Meter)
	}
	old.cfg = m.MeterConfig
	old.cfg.Bands = slices.Clone(m.Bands)
	for i := range old.cfg.Bands {
		if band := &old.cfg.Bands[i]; band.Burst == 0 {
			band.Burst = band.Rate // and the stock switch shows it
		}
	}
	return eff, nil
}

// meterSpec returns what the datapath is to do, or the error for what it cannot.
func meterSpec(m *openflow.MeterConfig) (*dpif.MeterSpec, error) {
	const unit = openflow.MeterKbps | openflow.MeterPktps
	if m.Flags&unit == 0 || m.Flags&unit == unit {
		return nil, ofp.MMFCBadFlags
	}
	if len(m.Bands) == 0 {
		return nil, ofp.MMFCOutOfBands
	}
	for _, band := range m.Bands {
		if band.Rate == 0 {
			return nil, ofp.MMFCBadRate
		}
	}
	if m.Flags&^(unit|openflow.MeterBurst|openflow.MeterStat) != 0 {
		return nil, ofp.MMFCBadFlags
	}
	spec := &dpif.MeterSpec{PerPacket: m.Flags&openflow.MeterPktps != 0}
	for _, band := range m.Bands {
		if band.Type != bandDrop {
			return nil, ofp.MMFCBadBand
		}
		// As in the stock switch, a burst counts also without OFPMF_BURST.
		spec.Bands = append(spec.Bands, dpif.MeterBand{Rate: band.Rate, Burst: band.Burst})
	}
	return spec, nil
}

// dropMeter deletes a meter, if it is there, and the rules that name it.
func (b *Bridge) dropMeter(id uint32, now time.Time, eff *Effects) {
	m := b.meters[id]
	if m == nil {
		return
	}
	rules := make([]*Rule, 0, len(m.rules))
	for r := range m.rules {
		rules = append(rules, r)
	}
	slices.SortFunc(rules, bySeq)
	for _, r := range rules {
		b.remove(r, openflow.RemovedMeterDelete, now, eff)
	}
	b.deleteLearned(now, eff)
	delete(b.meters, id)
	b.meterDP.MeterDel(m.id)
	eff.Meters = append(eff.Meters, id)
}

// DropMeters deletes all meters and the rules that name them: for a bridge that goes.
func (b *Bridge) DropMeters(now time.Time) (eff Effects) {
	for _, id := range b.meterIDs() {
		b.dropMeter(id, now, &eff)
	}
	return eff
}

// meterRules notes that r names meters, or no longer does.
func (b *Bridge) meterRules(r *Rule, names bool) {
	b.learnRules(r, names)
	if len(b.meters) == 0 {
		return
	}
	note := func(id uint32) {
		if m := b.meters[id]; m == nil {
		} else if names {
			m.rules[r] = struct{}{}
			b.tables[r.Table].noted = true
		} else {
			delete(m.rules, r)
		}
	}
	if r.Instr.Meter != 0 {
		note(r.Instr.Meter)
	}
	anyAction(r.Instr, func(a action.Action) bool {
		if a, ok := a.(action.Meter); ok {
			note(a.ID)
		}
		return false
	})
}

// checkMeters refuses instructions that name a meter that is not there.
func (b *Bridge) checkMeters(in *action.Instructions) error {
	missing := func(id uint32) bool { return id == 0 || id > MeterMax || b.meters[id] == nil }
	if in.Meter != 0 && missing(in.Meter) ||
		anyAction(in, func(a action.Action) bool { m, ok := a.(action.Meter); return ok && missing(m.ID) }) {
		return ofp.MMFCInvalidMeter
	}
	return nil
}
