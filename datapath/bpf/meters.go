// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/meter"
)

// maxMeters is the highest number of a meter.
const maxMeters = 4096

// meterTable is the table of meters in the maps. Numbers of meters are indexes.
// What a CPU has counted stays in the maps when a meter goes or changes; base is
// what it was then.
type meterTable struct {
	m     *maps
	slots int // of a meter: one a CPU, one for user space

	mu   sync.Mutex
	base map[dpif.MeterID]cMeterUse // the meters that there are
}

func newMeterTable(m *maps) *meterTable {
	return &meterTable{m: m, slots: m.lim.cpus + 1, base: make(map[dpif.MeterID]cMeterUse)}
}

func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail with this clock
	return ts.Nano()
}

// sum adds up what all CPUs and user space did at a meter; own is the part of user space.
func (t *meterTable) sum(id dpif.MeterID) (all, own cMeterUse, err error) {
	for i := range t.slots {
		own = cMeterUse{}
		if err = t.m.muse.get(uint32(int(id)*t.slots+i), &own); err != nil {
			return all, own, fmt.Errorf("read counters: %w", err)
		}
		all.Used += own.Used
		all.Packets += own.Packets
		all.Bytes += own.Bytes
		all.Dropped += own.Dropped
		all.DroppedBytes += own.DroppedBytes
	}
	return all, own, nil
}

func (t *meterTable) set(id dpif.MeterID, spec *dpif.MeterSpec) error {
	if t.m.lim.meters == 0 {
		return &dpif.Unsupported{Reason: fmt.Sprintf("meters in the BPF program work with at most %d possible CPUs, and this machine has %d", meterCPUs, t.m.lim.cpus)}
	}
	if id == 0 || int(id) > t.m.lim.meters {
		return fmt.Errorf("number is not from 1 to %d: %w", t.m.lim.meters, dpif.ErrFull)
	}
	if len(spec.Bands) != 1 {
		return &dpif.Unsupported{Reason: fmt.Sprintf("a meter has 1 band in the BPF program, not %d", len(spec.Bands))}
	}
	if spec.Bands[0].Rate == 0 {
		return fmt.Errorf("a band has no rate")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.m.meters.len() <= uint32(id) {
		if err := t.m.meters.grow(); err != nil {
			return err
		}
	}
	for t.m.muse.len() < uint32((int(id)+1)*t.slots) {
		if err := t.m.muse.grow(); err != nil {
			return err
		}
	}
	all, _, err := t.sum(id)
	if err != nil {
		return err
	}
	r := meter.RateOf(spec.Bands[0], spec.PerPacket)
	units := uint64(maxUpcall) // of the largest packet
	c := cMeter{Cost: r.Cost, Depth: uint64(r.Depth)}
	if spec.PerPacket {
		c.PerPacket, units = 1, 1
	}
	c.Empty = uint64(monotonic()) - all.Used - c.Depth
	// One packet a CPU can be owed, each at most the largest, and the rounding.
	c.Debt = min(uint64(t.slots)*(units*r.Cost>>meter.FracBits+1), uint64(meter.MaxDepth))
	if err := t.m.meters.put(uint32(id), &c); err != nil {
		return fmt.Errorf("write meter: %w", err)
	}
	t.base[id] = all
	return nil
}

func (t *meterTable) stats(id dpif.MeterID) (s dpif.MeterStats, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	base, ok := t.base[id]
	if !ok {
		return s, dpif.ErrNotExist
	}
	all, _, err := t.sum(id)
	if err != nil {
		return s, err
	}
	return dpif.MeterStats{
		MeterCount: dpif.MeterCount{Packets: all.Packets - base.Packets, Bytes: all.Bytes - base.Bytes},
		Bands:      []dpif.MeterCount{{Packets: all.Dropped - base.Dropped, Bytes: all.DroppedBytes - base.DroppedBytes}},
	}, nil
}

func (t *meterTable) del(id dpif.MeterID) (s dpif.MeterStats, err error) {
	if s, err = t.stats(id); err != nil {
		return s, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.base, id)
	if err := t.m.meters.put(uint32(id), &cMeter{}); err != nil {
		return s, fmt.Errorf("write meter: %w", err)
	}
	return s, nil
}

// pass is meter_pass of c/meter.h for packets in user space, which has a slot of its own.
func (t *meterTable) pass(id dpif.MeterID, n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.base[id]; !ok {
		return true
	}
	var m cMeter
	all, own, err := t.sum(id)
	if err != nil || t.m.meters.get(uint32(id), &m) != nil || m.Cost == 0 {
		return true
	}
	own.Packets++
	own.Bytes += uint64(n)
	units := uint64(n)
	if m.PerPacket != 0 {
		units = 1
	}
	cost := units*m.Cost + own.Frac
	now := uint64(monotonic())
	level, was := int64(now-all.Used-m.Empty), m.Empty
	if level > int64(m.Depth) {
		level, m.Empty = int64(m.Depth), now-all.Used-m.Depth
	} else if level < -int64(m.Debt) {
		level, m.Empty = 0, now-all.Used
	}
	ok := level >= int64(min(cost>>meter.FracBits, m.Depth))
	if ok {
		own.Used += cost >> meter.FracBits
		own.Frac = cost & (1<<meter.FracBits - 1)
	} else {
		own.Dropped++
		own.DroppedBytes += uint64(n)
	}
	if m.Empty != was {
		_ = t.m.meters.put(uint32(id), &m) // as with the next: the map is there
	}
	_ = t.m.muse.put(uint32(int(id)*t.slots+t.slots-1), &own)
	return ok
}

// MeterSet implements dpif.Datapath.
func (d *Datapath) MeterSet(id dpif.MeterID, spec *dpif.MeterSpec) error {
	err := d.ifOpen(func() error { return d.meters.set(id, spec) })
	if err != nil {
		err = fmt.Errorf("set meter %d: %w", id, err)
	}
	return err
}

// MeterDel implements dpif.Datapath.
func (d *Datapath) MeterDel(id dpif.MeterID) (s dpif.MeterStats, err error) {
	if err = d.ifOpen(func() (err error) { s, err = d.meters.del(id); return err }); err != nil {
		err = fmt.Errorf("delete meter %d: %w", id, err)
	}
	return s, err
}

// MeterStats implements dpif.Datapath.
func (d *Datapath) MeterStats(id dpif.MeterID) (s dpif.MeterStats, err error) {
	if err = d.ifOpen(func() (err error) { s, err = d.meters.stats(id); return err }); err != nil {
		err = fmt.Errorf("statistics of meter %d: %w", id, err)
	}
	return s, err
}

// MeterPass implements dpif.Datapath.
func (d *Datapath) MeterPass(id dpif.MeterID, n int) (pass bool) {
	pass = true
	_ = d.ifOpen(func() error { pass = d.meters.pass(id, n); return nil })
	return pass
}

// ifOpen calls f unless the datapath is closed.
func (d *Datapath) ifOpen(f func() error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return dpif.ErrClosed
	}
	return f()
}
