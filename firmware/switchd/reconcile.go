// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/query"
)

// store is the database as the reconciler needs it.
type store interface {
	// Snapshot returns the last committed state.
	Snapshot() *engine.Snapshot
	// Update commits what f does to a transaction, which nobody comes between;
	// f must not call the store.
	Update(f func(*engine.Txn) error) error
}

// kernel is the network devices as the reconciler needs them.
type kernel interface {
	// Devices returns what is there, by name, without the hidden ends of
	// internal ports. Of these, only those that are claimed are ours.
	Devices(claimed map[string]bool) (map[string]wanted.Device, error)
	// Refresh makes the next Devices read all counters.
	Refresh()
	// Link tells more about a device, as of the last Devices.
	Link(d wanted.Device) wanted.Link
	// counters returns the counters of a device now; any goroutine may ask.
	counters(name string) (openflow.PortStats, bool)
	CreateInternal(name string, mac wanted.MAC, mtu int) error
	DeleteInternal(name string) error
	SetMAC(name string, mac wanted.MAC) error
	SetMTU(name string, mtu int) error
	SetUp(name string, up bool) error
}

// reconciler makes the switch what the database says. All its fields belong to
// the goroutine of run.
type reconciler struct {
	cfg   Config
	log   *slog.Logger
	db    store
	devs  kernel
	about wanted.About
	open  func(wanted.Kind) (*tier, error)

	tiers    map[wanted.Kind]*tier
	broken   map[wanted.Kind]string
	brokenAt time.Time // of the last failure
	attached map[string]wanted.Attached
	claimed  map[string]bool // names of internal ports that a row has wanted since the start
	book     wanted.Book
	bridges  *bridges // OpenFlow connections; see connections.go
	plan     *wanted.Plan
	told     map[string]string // by operation: the error that the log has

	offload offload                                  // what switch chips do; see offload.go
	bridged atomic.Pointer[map[string][]action.Port] // by bridge: ports that a chip has, or may get in this run; for any goroutine
	// chipPorts is set while some device is a chip's port; for any goroutine.
	chipPorts atomic.Bool

	runs, ops, failures uint64 // for coverage/show
	kick, nudge, moved  chan struct{}
	asked               chan func()
}

func newReconciler(cfg Config, db store, devs kernel, about wanted.About, b *bridges, open func(wanted.Kind) (*tier, error)) *reconciler {
	return &reconciler{
		cfg: cfg, log: cfg.Log.Logger("bridge"), db: db, devs: devs, about: about, open: open, bridges: b,
		tiers: map[wanted.Kind]*tier{}, broken: map[wanted.Kind]string{}, attached: map[string]wanted.Attached{},
		claimed: map[string]bool{},
		plan:    &wanted.Plan{}, told: map[string]string{},
		kick: make(chan struct{}, 1), nudge: make(chan struct{}, 1), moved: make(chan struct{}, 1), asked: make(chan func()),
	}
}

// Kick makes a run soon. It never blocks; any goroutine may call it.
func (r *reconciler) Kick() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Nudge makes a run within lazyDelay, for what comes in bursts: devices. It never
// blocks; any goroutine may call it.
func (r *reconciler) Nudge() {
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// lazyDelay is how long a change of devices may wait for others, which one run
// then serves.
const lazyDelay = 50 * time.Millisecond

// do runs f in the reconciler's goroutine, between two runs, and waits for it.
func (r *reconciler) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.asked <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-ctx.Done():
		return errors.New("the switch is about to end")
	}
}

// run reconciles until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	defer r.falling()
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	r.Kick()
	kick := r.kick
	var rested <-chan time.Time // when kicks are served again; nil: they are
	var late <-chan time.Time   // when a nudge is to be served; nil: there is none
	var macs <-chan time.Time   // the same for addresses that have moved
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-r.asked:
			f()
			continue
		case <-r.nudge:
			if late == nil {
				late = time.After(lazyDelay)
			}
			continue
		case <-rested:
			kick, rested = r.kick, nil
			continue
		case <-r.moved:
			if macs == nil {
				macs = time.After(macsDelay)
			}
			continue
		case <-macs:
			macs = nil
			r.followMACs()
			continue
		case <-r.offload.again:
			r.reconcile(false)
		case <-r.offload.late:
			r.reconcile(false)
		case <-late:
			r.reconcile(false)
		case <-kick:
			r.reconcile(false)
			kick, rested = nil, time.After(restTime)
		case <-tick.C:
			r.reconcile(true)
		}
		late = nil // the run has seen what the nudge was for
	}
}

// restTime is between two runs that changes ask for. Who writes a column thousands
// of times a second gets the database for it, not a run for each.
const restTime = 5 * time.Millisecond

// retryBroken is how long a datapath that did not open is left alone.
const retryBroken = time.Minute

// settleTime is how long after the opening of a datapath its garbage is given
// back to the kernel.
const settleTime = time.Second

// maxRounds bounds the plans of one run: datapaths are opened, then devices
// made, then ports added; each failure costs one more.
const maxRounds = 64

// reconcile is one run. With statistics, these columns are written too.
func (r *reconciler) reconcile(statistics bool) {
	r.runs++
	now := r.cfg.Now()
	snap := r.db.Snapshot()
	s := wanted.New(readRows(snap))
	if s.ID.IsZero() {
		r.createRoot()
		return // the commit brings us back
	}
	for _, name := range s.Ignored {
		r.failed("bridge "+name, errors.New("the name is not allowed: it is a part of file names"))
	}
	r.claim(s)
	if now.Sub(r.brokenAt) >= retryBroken {
		clear(r.broken)
	}
	have := &wanted.Present{Broken: r.broken, Ports: r.attached, Failed: map[string]string{}, Refused: map[string]bool{}}
	var plan *wanted.Plan
	if statistics {
		r.devs.Refresh()
	}
	r.assign(s, have, now)
	for range maxRounds {
		devices, err := r.devs.Devices(r.claimed)
		if err != nil {
			r.failed("list devices", err)
			return
		}
		have.Devices, have.Open = devices, map[wanted.Kind]bool{}
		for k := range r.tiers {
			have.Open[k] = true
		}
		if plan = wanted.Make(s, have, &r.book); len(plan.Before) == 0 {
			break
		}
		for _, o := range plan.Before {
			err := r.perform(o)
			if err == nil {
				continue
			}
			if open, ok := o.(wanted.OpenDatapath); ok {
				r.broken[open.Kind], r.brokenAt = reason(err), now
			} else if name := wanted.InterfaceOf(o); name != "" {
				have.Failed[name] = fmt.Sprintf("could not open network device %s (%s)", name, reason(err))
				r.legless(have, name, now)
			} else {
				have.Refused[o.String()] = true
			}
		}
	}
	if len(plan.Before) > 0 {
		r.failed("plan", fmt.Errorf("does not settle; still to do: %v", plan.Before))
	}
	links := map[string]wanted.Link{}
	for i := range plan.Bridges {
		for j := range plan.Bridges[i].Ports {
			if ps := &plan.Bridges[i].Ports[j]; ps.No != 0 && ps.Iface.Type != wanted.Patch {
				l := r.devs.Link(ps.Device)
				if statistics && ps.Chip != nil {
					l.Statistics = r.chipStatistics(ps.Iface.Name, l.Statistics)
				}
				links[ps.Iface.Name] = l
			}
		}
	}
	if was := r.underChips(); r.joins(plan, was) {
		// Before the kernel has a port: else what it floods comes back by the leg, and leaves by that port again.
		r.configure(plan, links, was, now)
	}
	refused, unasked := r.bridgeChips(plan, now)
	if refused {
		// Without these ports, and before anybody is told that all is done. Each time there are fewer.
		r.reconcile(statistics)
		return
	}
	if unasked {
		r.Kick()
	}
	r.configure(plan, links, nil, now)
	for _, o := range plan.After {
		_ = r.perform(o) // it is in the log, and the next run tries again
	}
	r.bridges.set(plan, r.tiers, now)
	r.plan = plan
	r.followMACs()
	r.writeStatus(s, plan, links, statistics, now)
}

// claim takes the names of wanted internal ports for ours, until their devices
// are deleted.
func (r *reconciler) claim(s *wanted.Switch) {
	for _, b := range s.Bridges {
		for _, p := range b.Ports {
			for _, i := range p.Interfaces {
				if i.Type == wanted.Internal {
					r.claimed[i.Name] = true
				}
			}
		}
	}
}

// configure gives every tier its bridges.
// Interfaces in under are taken for ports of a chip even if the plan does not say so.
func (r *reconciler) configure(plan *wanted.Plan, links map[string]wanted.Link, under map[string]bool, now time.Time) {
	all := configs(plan, links, under, r.bridges.controls(plan, now), r.about.OVSVersion)
	for _, k := range slices.Sorted(maps.Keys(r.tiers)) {
		if err := r.tiers[k].sw.Apply(all[k], now); err != nil {
			r.failed(fmt.Sprintf("configure the %v datapath", k), err)
		}
	}
}

// perform does one operation and logs it.
func (r *reconciler) perform(o wanted.Op) (err error) {
	r.ops++
	switch o := o.(type) {
	case wanted.OpenDatapath:
		var t *tier
		if t, err = r.open(o.Kind); err == nil {
			r.tiers[o.Kind] = t
			if r.offload.chips != nil {
				go r.heed(t.running, t)
			}
			// Loading programs and schemas takes memory that is not needed again.
			time.AfterFunc(settleTime, debug.FreeOSMemory)
		}
	case wanted.CloseDatapath:
		if t := r.tiers[o.Kind]; t != nil {
			delete(r.tiers, o.Kind)
			// Its ports have gone with it, also those that would not leave.
			maps.DeleteFunc(r.attached, func(_ string, a wanted.Attached) bool { return a.Kind == o.Kind })
			err = t.close()
		}
	case wanted.CreateInternal:
		err = r.devs.CreateInternal(o.Name, o.MAC, o.MTU)
	case wanted.DeleteInternal:
		if err = r.devs.DeleteInternal(o.Name); err == nil {
			delete(r.claimed, o.Name)
		}
	case wanted.SetMAC:
		err = r.devs.SetMAC(o.Name, o.MAC)
	case wanted.SetMTU:
		err = r.devs.SetMTU(o.Name, o.MTU)
	case wanted.SetUp:
		err = r.devs.SetUp(o.Name, true)
	case wanted.AddPort:
		if err = r.tiers[o.Kind].dp.PortAdd(o.No, dpif.PortSpec{Name: o.Leg, Ifindex: o.Ifindex, SendOnly: o.SendOnly}); err == nil {
			r.attached[o.Name] = o.Attached
		}
	case wanted.DelPort:
		t := r.tiers[o.Kind]
		t.remember(o.No)
		if err = t.dp.PortDel(o.No); err == nil || errors.Is(err, dpif.ErrNotExist) {
			delete(r.attached, o.Name)
			err = nil
		}
	default:
		err = fmt.Errorf("unknown operation %T", o)
	}
	if err != nil {
		r.failed(o.String(), err)
		return err
	}
	delete(r.told, o.String())
	r.log.Info(o.String())
	return nil
}

// maxTold bounds the memory of what the log has been told.
const maxTold = 4096

// failed logs an error, once for as long as it stays the same.
func (r *reconciler) failed(what string, err error) {
	r.failures++
	if r.told[what] == err.Error() {
		return
	}
	if len(r.told) >= maxTold {
		clear(r.told)
	}
	r.told[what] = err.Error()
	r.log.Warn(what, "err", err)
}

// reason returns the innermost error's text, for a column: what the kernel
// said, without our own path to it.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// createRoot makes the one row of the table Open_vSwitch, as `ovs-vsctl init`
// does, in a database that is new.
func (r *reconciler) createRoot() {
	t := r.db.Snapshot().Schema().Table("Open_vSwitch")
	err := r.db.Update(func(tx *engine.Txn) error {
		if len(tx.Select(t, query.Condition{})) > 0 {
			return nil
		}
		_, err := tx.Insert(t)
		return err
	})
	if err != nil {
		r.failed("create the Open_vSwitch row", err)
	}
}

// writeStatus writes the status columns that differ from what they should be.
func (r *reconciler) writeStatus(s *wanted.Switch, plan *wanted.Plan, links map[string]wanted.Link, statistics bool, now time.Time) {
	if !statistics {
		for name, l := range links {
			l.Statistics = nil
			links[name] = l
		}
	}
	columns := wanted.Status(s, plan, links, r.about)
	for _, c := range r.bridges.status(now) {
		columns = append(columns, wanted.ControllerColumns(c)...)
	}
	if err := r.writeColumns(columns); err != nil {
		r.failed("write status", err)
	}
}

// writeColumns writes columns that differ. Rows that have gone meanwhile are
// left out.
func (r *reconciler) writeColumns(columns []wanted.Column) error {
	snap := r.db.Snapshot()
	sch := snap.Schema()
	same := true
	for _, c := range columns {
		t := sch.Table(c.Table)
		if row := snap.Row(t, c.ID); row != nil && !row.Get(t.Column(c.Name).Index).Equal(c.Value) {
			same = false
			break
		}
	}
	if same {
		return nil
	}
	return r.db.Update(func(tx *engine.Txn) error {
		for _, c := range columns {
			t := sch.Table(c.Table)
			col := t.Column(c.Name)
			if row := tx.Row(t, c.ID); row == nil || row.Get(col.Index).Equal(c.Value) {
				continue
			}
			if err := tx.Update(t, c.ID, engine.Set{Column: col, Value: c.Value}); err != nil {
				return fmt.Errorf("%s %s: %w", c.Table, c.Name, err)
			}
		}
		return nil
	})
}

// close takes down what runs: datapaths and, if asked, internal devices.
func (r *reconciler) close(cleanup bool) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(r.tiers)) {
		errs = append(errs, r.tiers[k].close())
		delete(r.tiers, k)
	}
	if cleanup && r.offload.chips != nil {
		_, _, err := r.offload.chips.Apply(nil)
		errs = append(errs, err)
	}
	if cleanup {
		devices, err := r.devs.Devices(r.claimed)
		errs = append(errs, err)
		for _, name := range slices.Sorted(maps.Keys(devices)) {
			if devices[name].Ours {
				errs = append(errs, r.devs.DeleteInternal(name))
			}
		}
	}
	return errors.Join(errs...)
}
