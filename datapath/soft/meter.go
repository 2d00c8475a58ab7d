// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"fmt"
	"sync"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/meter"
	"github.com/weirswitch/weir/datapath/packet"
)

// The bounds of meters, those of the stock userspace datapath.
const (
	maxMeters = 1 << 18
	maxBands  = 8
)

// meters are the meters by number. The zero value is ready.
type meters struct {
	mu sync.RWMutex
	m  map[dpif.MeterID]*meter.Meter
}

func (t *meters) get(id dpif.MeterID) *meter.Meter {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.m[id]
}

// checkMeter returns why a meter is not accepted.
func checkMeter(id dpif.MeterID, spec *dpif.MeterSpec) error {
	if id == 0 || id > maxMeters {
		return fmt.Errorf("number is not from 1 to %d: %w", maxMeters, dpif.ErrFull)
	}
	if n := len(spec.Bands); n == 0 || n > maxBands {
		return &dpif.Unsupported{Reason: fmt.Sprintf("a meter has 1 to %d bands, not %d", maxBands, n)}
	}
	for _, b := range spec.Bands {
		if b.Rate == 0 {
			return fmt.Errorf("a band has no rate")
		}
	}
	return nil
}

// MeterSet implements dpif.Datapath.
func (d *Datapath) MeterSet(id dpif.MeterID, spec *dpif.MeterSpec) (err error) {
	defer wrap(&err, "set meter %d", id)
	if err := d.isClosed(); err != nil {
		return err
	}
	if err := checkMeter(id, spec); err != nil {
		return err
	}
	m := meter.New(spec, d.cfg.Now())
	d.meters.mu.Lock()
	defer d.meters.mu.Unlock()
	if d.meters.m == nil {
		d.meters.m = make(map[dpif.MeterID]*meter.Meter)
	}
	d.meters.m[id] = m
	return nil
}

// MeterDel implements dpif.Datapath.
func (d *Datapath) MeterDel(id dpif.MeterID) (s dpif.MeterStats, err error) {
	defer wrap(&err, "delete meter %d", id)
	if err := d.isClosed(); err != nil {
		return s, err
	}
	d.meters.mu.Lock()
	defer d.meters.mu.Unlock()
	m := d.meters.m[id]
	if m == nil {
		return s, dpif.ErrNotExist
	}
	delete(d.meters.m, id)
	return m.Stats(), nil
}

// MeterStats implements dpif.Datapath.
func (d *Datapath) MeterStats(id dpif.MeterID) (s dpif.MeterStats, err error) {
	defer wrap(&err, "statistics of meter %d", id)
	if err := d.isClosed(); err != nil {
		return s, err
	}
	if m := d.meters.get(id); m != nil {
		return m.Stats(), nil
	}
	return s, dpif.ErrNotExist
}

// MeterPass implements dpif.Datapath.
func (d *Datapath) MeterPass(id dpif.MeterID, n int) bool {
	m := d.meters.get(id)
	return m == nil || m.Pass(n, d.cfg.Now())
}

func (w *runner) meter(id dpif.MeterID, f *packet.Frame) bool {
	return w.dp.MeterPass(id, len(f.Data()))
}
