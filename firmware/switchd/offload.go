// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/dsa/counters"
	"github.com/weirswitch/weir/firmware/switchd/chip"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// chips is the switch chips as the reconciler needs them.
type chips interface {
	// Ports returns the ports of chips that are there, by device.
	Ports() (map[string]chip.Port, error)
	// Prepare makes the kernel bridges with their legs. Members stay as they are.
	Prepare(want []chip.Bridge) error
	// Apply makes the members and their VLANs, and deletes bridges of this daemon that are not wanted. What
	// could not be had is by interface, as are the things that the kernel took and the chip did not, those of a leg
	// by its inner end. An error says
	// that not all is done.
	Apply(want []chip.Bridge) (refused, notes map[string]string, err error)
	// MACs returns the MAC table of a kernel bridge.
	MACs(b *chip.Bridge) ([]chip.KernelMAC, error)
	// SetMAC does one operation on it.
	SetMAC(b *chip.Bridge, o chip.FDBOp) error
	// Flush makes the members of a bridge forget what they have learned.
	Flush(b *chip.Bridge) error
	// Counters returns what a chip's port has counted, and false for other devices. Any goroutine may call it.
	Counters(iface string) (counters.Counters, bool)
}

// offload is what the reconciler knows about chips.
type offload struct {
	chips  chips // nil: none can be had
	holds  chip.Holds
	now    chip.Assignment
	macs   map[string]*chip.Follower // by OpenFlow bridge
	failed map[string]refusal        // by interface
	notes  map[string]string         // by interface, or inner end of a leg: what is not in the chip
	again  <-chan time.Time          // when a hold ends
	late   <-chan time.Time          // when what did not work is tried again
	wait   time.Duration             // how long that was the last time; 0: all worked
	broken string                    // why chips cannot be looked for; "": they can
	asked  map[string]bool           // interfaces that the tables did not know in this run; true: nor before, so ask again soon
	// known is what there was when chips could last be looked for; nil: never.
	known map[string]chip.Port
	// unready is why not all kernel bridges could be made.
	unready error
}

// refusal is a port that the kernel would not let into a bridge, or not into the chip.
type refusal struct {
	why  string
	when time.Time
	wait time.Duration // how long it is left alone
	over bool          // it is being tried again
}

// A port that was refused is left alone for retryRefused, and each further time twice as long, up to the
// maximum: for each try its traffic stops for a moment. After as long without a refusal, that is forgotten.
const (
	retryRefused    = time.Minute
	maxRetryRefused = time.Hour
)

// What did not work is tried again after retrySoon, and then after twice as long each time, until the
// statistics' run does it anyway.
const retrySoon = 250 * time.Millisecond

// assign decides what chips do, and makes what that needs before any port changes hands. What the plan
// has to know is put into have.
func (r *reconciler) assign(s *wanted.Switch, have *wanted.Present, now time.Time) {
	o := &r.offload
	if o.chips == nil {
		return
	}
	defer func() { o.tell(have) }()
	o.again = nil
	ports, err := o.chips.Ports()
	if err != nil {
		r.failed("look for switch chips", err)
		o.broken = reason(err)
		if o.known == nil {
			return // all stays as it was before the start
		}
		ports = maps.Clone(o.known) // the tables may have changed, whatever else is the matter
	} else {
		o.broken, o.known = "", maps.Clone(ports)
	}
	r.chipPorts.Store(len(ports) > 0)
	r.mayBridge(ports)
	mtu := map[string]int{}
	devices, err := r.devs.Devices(r.claimed)
	if err != nil {
		return // the run will say so
	}
	for name, d := range devices {
		mtu[name] = d.MTU
	}
	for name, f := range o.failed {
		if _, there := devices[name]; !there || now.Sub(f.when) >= 2*f.wait {
			delete(o.failed, name)
		} else if f.over = now.Sub(f.when) >= f.wait; f.over {
			o.failed[name] = f
		} else if p, ok := ports[name]; ok && p.Refused == "" {
			p.Refused = f.why
			ports[name] = p
		}
	}
	before := o.asked
	o.asked = map[string]bool{}
	verdicts := map[string]map[string]string{}
	next, again := chip.Assign(chip.Input{
		Switch: s, Ports: ports, MTU: mtu,
		Usable: func(iface string) bool { _, ok := devices[iface]; return ok },
		NotNormal: func(bridge, iface string) string {
			v, ok := verdicts[bridge]
			if !ok {
				v = r.notNormal(s, bridge)
				verdicts[bridge] = v
			}
			why, known := v[iface]
			if !known {
				if why = v[""]; why == unasked {
					_, twice := before[iface]
					o.asked[iface] = !twice
				}
			}
			return why
		},
	}, &o.holds, now)
	if !again.IsZero() {
		o.again = time.After(again.Sub(now))
	}
	o.now = next
	o.unready = nil
	if o.unready = o.chips.Prepare(next.Bridges); o.unready != nil {
		r.failed("make kernel bridges for switch chips", o.unready)
		if devices, err = r.devs.Devices(r.claimed); err != nil {
			return // the run will say so
		}
		for _, b := range next.Bridges {
			if _, ok := devices[b.Outer]; !ok {
				o.giveUp(b.Outer, "its kernel bridge cannot be made: "+reason(o.unready))
			}
		}
	}
}

// giveUp leaves the ports to our datapath that a chip cannot bridge because their leg is not to be had: what they
// send to others would be lost, the local port's among it. It returns which.
func (o *offload) giveUp(leg, why string) (ports []string) {
	i := slices.IndexFunc(o.now.Bridges, func(b chip.Bridge) bool { return b.Outer == leg })
	if i < 0 {
		return nil
	}
	for j := range o.now.Ports {
		if p := &o.now.Ports[j]; p.Mode == chip.Bridged && p.Bridge == o.now.Bridges[i].Of {
			p.Mode, p.Reason = chip.Standalone, why
			ports = append(ports, p.Iface)
		}
	}
	o.now.Bridges = slices.Delete(o.now.Bridges, i, i+1)
	return ports
}

// legless gives a bridge's chip ports back when its leg could not become a port of the datapath.
func (r *reconciler) legless(have *wanted.Present, device string, now time.Time) {
	ports := r.offload.giveUp(device, have.Failed[device])
	for _, name := range ports {
		r.offload.refuse(name, have.Failed[device], now)
	}
	if len(ports) > 0 {
		r.offload.tell(have)
	}
}

// tell puts into have what the plan has to know of chips.
func (o *offload) tell(have *wanted.Present) {
	have.Chips, have.Legs = map[string]wanted.ChipPort{}, nil
	for _, p := range o.now.Ports {
		have.Chips[p.Iface] = wanted.ChipPort{Bridged: p.Mode == chip.Bridged, Reason: cmp.Or(p.Reason, o.notes[p.Iface])}
	}
	for _, b := range o.now.Bridges {
		have.Legs = append(have.Legs, wanted.ChipLeg{Bridge: b.Of, Device: b.Outer, Untagged: b.Untagged})
	}
}

// underChips returns the interfaces that the last run has left to a chip.
func (r *reconciler) underChips() map[string]bool {
	m := map[string]bool{}
	for i := range r.plan.Bridges {
		for j := range r.plan.Bridges[i].Ports {
			if ps := &r.plan.Bridges[i].Ports[j]; ps.Bridged() {
				m[ps.Iface.Name] = true
			}
		}
	}
	return m
}

// joins reports whether a plan gives a chip ports that were not among those.
func (r *reconciler) joins(plan *wanted.Plan, was map[string]bool) bool {
	for i := range plan.Bridges {
		for j := range plan.Bridges[i].Ports {
			if ps := &plan.Bridges[i].Ports[j]; ps.Bridged() && !was[ps.Iface.Name] {
				return true
			}
		}
	}
	return false
}

// mayBridge makes barriers wait for the run that begins, about ports that it may let a chip have: the
// tables can change when they have been asked.
func (r *reconciler) mayBridge(ports map[string]chip.Port) {
	may := map[string][]action.Port{}
	for i := range r.plan.Bridges {
		b := &r.plan.Bridges[i]
		for j := range b.Ports {
			ps := &b.Ports[j]
			if _, ok := ports[ps.Iface.Name]; ps.No != 0 && (ok || ps.Bridged()) {
				may[b.Name] = append(may[b.Name], action.Port(ps.No))
			}
		}
	}
	r.bridged.Store(&may)
}

// unasked is the reason against a port that a bridge's tables could not be asked about, for it is new there.
const unasked = "its bridge's tables have not been asked yet"

// notNormal asks the tables of a bridge, by interface; under "" is the answer for one that they do not know yet.
func (r *reconciler) notNormal(s *wanted.Switch, bridge string) map[string]string {
	out := map[string]string{}
	for i := range s.Bridges {
		if b := &s.Bridges[i]; b.Name == bridge && (b.Secure || slices.ContainsFunc(b.Controllers, func(c wanted.Controller) bool { return !c.Service })) {
			out[""] = "its controllers have not said yet what to do with it"
		}
	}
	b, t, err := r.bridgeState(bridge)
	if err != nil {
		return out
	}
	why, err := t.sw.NotNormal(bridge)
	if err != nil {
		return out
	}
	out[""] = cmp.Or(out[""], unasked)
	for _, ps := range b.Ports {
		if w, ok := why[action.Port(ps.No)]; ok && ps.No != 0 {
			out[ps.Iface.Name] = w
		}
	}
	return out
}

// bridgeChips brings the kernel bridges to what assign has decided, when the datapaths have given up what is not theirs.
// It reports whether a port was refused, so that the run is to be done again, and whether one is to be asked for when
// its bridge knows it.
func (r *reconciler) bridgeChips(plan *wanted.Plan, now time.Time) (again, unasked bool) {
	o := &r.offload
	if o.chips == nil || o.known == nil {
		return false, false
	}
	refused, notes, err := o.chips.Apply(o.now.Bridges)
	bridged := map[string][]action.Port{}
	for i := range plan.Bridges {
		for _, ps := range plan.Bridges[i].Ports {
			unasked = unasked || ps.No != 0 && o.asked[ps.Iface.Name]
			if ps.Bridged() && ps.No != 0 {
				bridged[plan.Bridges[i].Name] = append(bridged[plan.Bridges[i].Name], action.Port(ps.No))
			}
		}
	}
	if err == nil { // else members may be there still that the plan has not: barriers wait for these, too
		r.bridged.Store(&bridged)
	}
	o.late = nil
	if err == nil {
		err = o.unready
	}
	if err != nil {
		r.failed("configure kernel bridges for switch chips", err)
		o.wait = min(max(2*o.wait, retrySoon), statsInterval)
		o.late = time.After(o.wait)
	} else {
		o.wait = 0
	}
	o.notes = notes
	for name, why := range refused {
		r.failed("let the chip bridge "+name, fmt.Errorf("%s", why))
		again = o.refuse(name, why, now) || again
	}
	for name := range o.macs {
		if !slices.ContainsFunc(o.now.Bridges, func(b chip.Bridge) bool { return b.Of == name }) {
			delete(o.macs, name)
		}
	}
	return again, unasked
}

// refuse leaves a port alone for some time. It reports whether that is new.
func (o *offload) refuse(name, why string, now time.Time) bool {
	if o.failed == nil {
		o.failed = map[string]refusal{}
	}
	f, known := o.failed[name]
	switch {
	case !known:
		o.failed[name] = refusal{why: why, when: now, wait: retryRefused}
	case f.over:
		o.failed[name] = refusal{why: why, when: now, wait: min(2*f.wait, maxRetryRefused)}
	}
	return !known || f.over
}

// followMACs keeps the MAC tables of chips and bridges the same.
func (r *reconciler) followMACs() {
	o := &r.offload
	for i := range o.now.Bridges {
		k := &o.now.Bridges[i]
		b, t, err := r.bridgeState(k.Of)
		if err != nil {
			continue
		}
		kernel, err := o.chips.MACs(k)
		if err != nil {
			r.failed("read the MAC table of "+k.Name, err)
			continue
		}
		ours, err := t.sw.MACs(k.Of)
		if err != nil {
			continue
		}
		ours = withInternal(ours, b)
		ports := map[string]action.Port{}
		for j := range b.Ports {
			if ps := &b.Ports[j]; ps.No != 0 && ps.Bridged() {
				ports[ps.Iface.Name] = action.Port(ps.No)
			}
		}
		f := o.macs[k.Of]
		if f == nil {
			f = new(chip.Follower)
			if o.macs == nil {
				o.macs = map[string]*chip.Follower{}
			}
			o.macs[k.Of] = f
		}
		gone, has, ops := f.Round(k, ports, kernel, ours)
		if len(gone)+len(has) > 0 {
			if err := t.sw.HoldMACs(k.Of, gone, has, r.cfg.Now()); err != nil {
				r.failed("note the chip's MAC table", err)
			}
		}
		for _, op := range ops {
			if err := o.chips.SetMAC(k, op); err != nil {
				r.failed(op.String(), err)
			}
		}
	}
}

// withInternal adds the addresses of a bridge's internal ports to its MAC table, the local port's among them, so that
// the kernel's bridge knows them on the leg, heard or not. For it may have the very same address as a member's
// own, which is what the local port's is by default (wanted.Make), and would keep for itself what is for it.
func withInternal(es []fdb.Entry, b *wanted.BridgeState) []fdb.Entry {
	for i := range b.Ports {
		ps := &b.Ports[i]
		if ps.No == 0 || ps.Iface.Type != wanted.Internal || ps.Device.Away {
			continue
		}
		e := fdb.Entry{Port: action.Port(ps.No), Static: true}
		if ps.Iface.Local {
			e.Port = action.PortLocal
		}
		for _, x := range ps.Device.MAC {
			e.MAC = e.MAC<<8 | uint64(x)
		}
		if ps.Port.VLAN.Mode != wanted.Trunk {
			e.VLAN = ps.Port.VLAN.Tag
		}
		if !slices.ContainsFunc(es, func(o fdb.Entry) bool { return o.Key == e.Key }) {
			es = append(es, e)
		}
	}
	return es
}

// flushMACs makes the chips under a bridge forget ("": under all).
func (r *reconciler) flushMACs(bridge string) {
	if r.offload.chips == nil {
		return
	}
	for i := range r.offload.now.Bridges {
		if k := &r.offload.now.Bridges[i]; bridge == "" || k.Of == bridge {
			if err := r.offload.chips.Flush(k); err != nil {
				r.failed("flush "+k.Name, err)
			}
		}
	}
}

// macsDelay is how long a move of an address may wait for others, which one round then serves.
const macsDelay = 10 * time.Millisecond

// verdictDelay is the same for changes of rules: a controller sends thousands.
const verdictDelay = 20 * time.Millisecond

// heed tells the reconciler, until ctx ends, when a tier's tables or addresses change what chips are to do.
func (r *reconciler) heed(ctx context.Context, t *tier) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.sw.MACsMoved():
			r.Moved()
		case <-t.sw.TablesChanged():
			if !r.chipPorts.Load() {
				continue // a run asks the tables anew when there is one
			}
			select {
			case <-time.After(verdictDelay):
				r.Kick()
			case <-ctx.Done():
				return
			}
		}
	}
}

// barrierWait bounds how long a controller's barrier waits for the chips.
const barrierWait = 2 * time.Second

// barrier returns when no chip forwards any more what a rule of the bridge has been added for.
func (r *reconciler) barrier(t *tier, bridge string) {
	ports := r.bridged.Load()
	if ports == nil || len((*ports)[bridge]) == 0 {
		return
	}
	why, err := t.sw.NotNormal(bridge)
	if err != nil || !slices.ContainsFunc((*ports)[bridge], func(no action.Port) bool { return why[no] != "" }) {
		return
	}
	done := make(chan struct{})
	late := time.NewTimer(barrierWait)
	defer late.Stop()
	select {
	case r.asked <- func() { defer close(done); r.reconcile(false) }:
	case <-late.C:
		return
	}
	select {
	case <-done:
	case <-late.C:
	}
}

// Moved makes a round of followMACs soon: somebody's MAC table has changed. It never blocks; any goroutine may call it.
func (r *reconciler) Moved() {
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// offloadShow is weir/offload-show: who forwards what arrives on each port of a chip, and why.
func (r *reconciler) offloadShow([]string) (string, error) {
	o := &r.offload
	var b strings.Builder
	switch {
	case o.chips == nil:
		return "switch chips are not looked for\n", nil
	case o.broken != "":
		fmt.Fprintf(&b, "switch chips cannot be looked for: %s\n", o.broken)
	case len(o.now.Ports) == 0:
		b.WriteString("no port of a switch chip is a port of a bridge\n")
	}
	for _, p := range o.now.Ports {
		fmt.Fprintf(&b, "%s (bridge %s, chip %s): %v", p.Iface, p.Bridge, p.Switch, p.Mode)
		if why := cmp.Or(p.Reason, o.notes[p.Iface]); why != "" {
			fmt.Fprintf(&b, ": %s", why)
		}
		b.WriteByte('\n')
	}
	for i := range o.now.Bridges {
		k := &o.now.Bridges[i]
		fmt.Fprintf(&b, "kernel bridge %s of %s: leg %s, VID %d for frames without VLAN\n", k.Name, k.Of, k.Outer, k.Untagged)
		for _, m := range k.Members {
			fmt.Fprintf(&b, "  %s:", m.Name)
			for j, v := range m.VLANs {
				if j > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, " %v", v)
			}
			b.WriteByte('\n')
		}
		if k.Note != "" {
			fmt.Fprintf(&b, "  %s\n", k.Note)
		}
		if note := o.notes[k.Inner]; note != "" {
			fmt.Fprintf(&b, "  %s\n", note)
		}
		held := 0
		if _, t, err := r.bridgeState(k.Of); err == nil {
			if es, err := t.sw.MACs(k.Of); err == nil {
				held = len(es) - len(slices.DeleteFunc(es, func(e fdb.Entry) bool { return e.Held }))
			}
		}
		fmt.Fprintf(&b, "  %d addresses learned by the chip\n", held)
	}
	return b.String(), nil
}
