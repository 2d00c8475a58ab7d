// SPDX-License-Identifier: Apache-2.0

// Package rtchip carries out on the kernel what package chip has decided: it finds the ports of
// switch chips (dsa/discover) and brings kernel bridges, their legs and MAC tables to what is wanted (dsa/bridge,
// dsa/rtbridge). It decides nothing but how a wanted chip.Bridge is written as a bridge.State.
//
// Bridges and legs whose name begins with chip.NamePrefix are ours. As long as no port of a chip has
// been seen, and none is there, nothing is read or changed.
//
// # Threads
//
// Chips belongs to one goroutine but for Watch, which has sockets of its own, and for Counters. The network
// namespace is that of the thread that opens it, and of the one that calls Watch.
package rtchip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/counters"
	"github.com/weirswitch/weir/dsa/discover"
	"github.com/weirswitch/weir/dsa/rtbridge"
	"github.com/weirswitch/weir/firmware/switchd/chip"
)

// device is the kernel's bridges: *rtbridge.Kernel.
type device interface {
	bridge.Device
	MACs(bridge string) ([]bridge.MACEntry, error)
	Flush(port string) error
	Close() error
}

// finder finds chips: *discover.Reader.
type finder interface {
	Topology() (dsa.Topology, error)
	Close() error
}

// Chips is the chips of a network namespace.
type Chips struct {
	now   func() time.Time
	sysfs string
	dev   device
	sync  bridge.Syncer
	scope map[string]bool // devices that are or were members
	// entries that the kernel has and the chip has not confirmed, since when
	unconfirmed map[bridge.Reason]time.Time
	active      bool // a port of a chip has been seen

	mu      sync.Mutex // of what follows
	reader  finder
	topo    *dsa.Topology // nil: read it
	watched bool          // Watch keeps topo fresh
	// members has the ifindexes of ports that a chip has forwarded for, as far as is known here: what the
	// CPU has counted is not the whole of their traffic.
	members map[int]bool

	counting sync.Mutex // of count
	count    *counters.Reader
}

func newChips(reader finder, now func() time.Time) *Chips {
	return &Chips{
		now: now, reader: reader, scope: map[string]bool{},
		unconfirmed: map[bridge.Reason]time.Time{}, members: map[int]bool{},
	}
}

// reads is the scope of what dev reads.
func (c *Chips) reads() rtbridge.Scope {
	return rtbridge.Scope{
		Owned: func(name string) bool { return strings.HasPrefix(name, chip.NamePrefix) },
		Port:  func(name string) bool { return c.scope[name] },
	}
}

// Open opens the network namespace of the calling thread. sysfs is where sysfs is mounted.
func Open(sysfs string, now func() time.Time) (*Chips, error) {
	reader, err := discover.Open(sysfs)
	if err != nil {
		return nil, err
	}
	c := newChips(reader, now)
	c.sysfs = sysfs
	kernel, err := rtbridge.Open(c.reads())
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	c.dev = kernel
	if c.count, err = counters.Open(); err != nil {
		return nil, errors.Join(err, kernel.Close(), reader.Close())
	}
	return c, nil
}

// Close frees what c holds. Bridges stay as they are.
func (c *Chips) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counting.Lock()
	defer c.counting.Unlock()
	return errors.Join(c.dev.Close(), c.reader.Close(), c.count.Close())
}

// Watch follows the chips' ports and MAC tables until ctx ends: ports is called when some port has come, gone or
// changed, as a member of a bridge too, macs when an address has.
func (c *Chips) Watch(ctx context.Context, ports, macs func()) error {
	r, err := discover.Open(c.sysfs)
	if err != nil {
		return err
	}
	defer r.Close()
	own, err := rtbridge.Open(rtbridge.Scope{Owned: func(string) bool { return false }, Port: func(string) bool { return false }})
	if err != nil {
		return err
	}
	defer own.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 3)
	var wg sync.WaitGroup
	follow := func(f func() error) {
		wg.Go(func() {
			failed <- f()
			cancel()
		})
	}
	follow(func() error {
		return discover.Watch(ctx, r, func(t dsa.Topology, _ []dsa.Change) {
			c.mu.Lock()
			c.topo, c.watched = &t, true
			c.mu.Unlock()
			ports()
		})
	})
	follow(func() error { return rtbridge.WatchPorts(ctx, ports) })
	follow(func() error { return own.WatchMACs(ctx, func(bridge.MACEvent) { macs() }) })
	wg.Wait()
	c.mu.Lock()
	c.topo = nil
	c.watched = false
	c.mu.Unlock()
	return errors.Join(<-failed, <-failed, <-failed)
}

// Ports returns the ports of chips that are there, by device.
func (c *Chips) Ports() (map[string]chip.Port, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topo == nil || !c.watched {
		t, err := c.reader.Topology()
		if err != nil {
			return nil, fmt.Errorf("discover chips: %w", err)
		}
		c.topo = &t
	}
	out := map[string]chip.Port{}
	there := map[int]bool{}
	defer maps.DeleteFunc(c.members, func(index int, _ bool) bool { return !there[index] })
	for _, p := range c.topo.Ports {
		there[p.Index] = true
		if !p.OnChip() {
			continue
		}
		c.active = true
		out[p.Name] = chip.Port{Name: p.Name, Switch: p.Switch, Refused: refuses(&p)}
	}
	return out, nil
}

// refuses says why the driver of a port cannot bridge in the chip; "": nothing is known against it.
func refuses(p *dsa.Port) string {
	switch {
	case p.Caps.Bridge == dsa.No:
		return fmt.Sprintf("driver %s does not bridge in the chip (%s)", p.Driver, p.Caps.Source)
	case p.Caps.VLAN == dsa.No:
		return fmt.Sprintf("driver %s has no VLANs in the chip (%s)", p.Driver, p.Caps.Source)
	}
	return ""
}

// Prepare makes the kernel bridges with their legs. Members stay as they are.
func (c *Chips) Prepare(want []chip.Bridge) error {
	if !c.active {
		return nil
	}
	have, err := c.dev.Read()
	if err != nil {
		return err
	}
	for _, b := range want {
		if !slices.ContainsFunc(have.Bridges, func(h bridge.Bridge) bool { return h.Name == b.Name }) {
			if _, err := c.dev.Apply(bridge.AddBridge{Name: b.Name, Ageing: b.Ageing}); err != nil {
				return err
			}
		}
		leg := bridge.Leg{Inner: b.Inner, Outer: b.Outer}
		if !slices.Contains(have.Legs, leg) {
			if _, err := c.dev.Apply(bridge.AddLeg{Leg: leg}); err != nil {
				return err
			}
		}
	}
	return nil
}

// confirmTime is how long a driver may take to write an entry that the kernel took.
const confirmTime = time.Second

// Apply makes the members and their VLANs, and deletes bridges that are not wanted. Ports that could not
// be had are in refused, and their bridges are without them: also those that the kernel would bridge
// in software, without the chip, which our datapath does better. notes are what else the kernel took and the chip
// did not, by device: also of legs. An error says that not all is done; doing it again soon may help.
func (c *Chips) Apply(want []chip.Bridge) (refused, notes map[string]string, err error) {
	refused, notes = map[string]string{}, map[string]string{}
	if !c.active {
		return refused, notes, nil
	}
	clear(c.scope)
	member, inner := map[string]bool{}, map[string]bool{}
	for _, b := range want {
		inner[b.Inner] = true
		for _, m := range b.Members {
			c.scope[m.Name], member[m.Name] = true, true
		}
		c.scope[b.Outer] = true
	}
	have, err := c.dev.Read()
	if err != nil {
		return refused, notes, err
	}
	c.forwards(&have, member)
	legs := behindLegs(want, &have)
	state := c.state(want, &have, legs)
	var gone []string // taken out of their bridges
	for {
		res, err := c.sync.Sync(&settled{c.dev, legs}, state, c.now())
		if err != nil {
			return refused, notes, err
		}
		clear(notes)
		known := len(gone)
		for _, r := range res.Reasons {
			switch {
			case !r.Software || !member[r.Device]:
				add(notes, r.Device, r.String())
			case !slices.Contains(gone, r.Device):
				add(refused, r.Device, r.String())
				gone = append(gone, r.Device)
			}
		}
		// An address that is refused is not missed: the chip floods. Follower asks for it again.
		forgot := false
		for _, f := range res.Failed {
			if o, ok := f.Op.(bridge.SetFDB); ok {
				legs.forget(o.Entry)
				forgot = true
			}
		}
		if forgot {
			res.Demote = nil // it may be for the address; what is not is failing again
		}
		for _, f := range res.Failed {
			if name := f.Op.Device(); slices.Contains(res.Demote, name) && !slices.Contains(gone, name) {
				add(refused, name, f.Text)
			}
		}
		for _, name := range res.Demote {
			if p := state.PortByName(name); p != nil && p.Master != "" && !slices.Contains(gone, name) {
				gone = append(gone, name)
			}
		}
		// Each round takes members or addresses away, so this ends.
		if forgot || len(gone) > known {
			state = c.state(want, &have, legs).Without(gone...)
			continue
		}
		legs := map[string]int{} // addresses that the chip does not have
		for _, r := range c.late(bridge.NotOffloaded(&res.Have, func(port string) bool { return c.scope[port] || inner[port] })) {
			if inner[r.Device] {
				legs[r.Device]++
			} else {
				add(notes, r.Device, r.String())
			}
		}
		for name, n := range legs {
			all := 0
			for _, e := range res.Have.FDB {
				if e.Port == name {
					all++
				}
			}
			// Of all, a driver may have them and say nothing: rocker does.
			add(notes, name, fmt.Sprintf("the driver has not confirmed %d of %d addresses behind the leg (no NTF_OFFLOADED)", n, all))
		}
		if !res.Done() {
			err = fmt.Errorf("configure kernel bridges: %d operations failed, %d held back", len(res.Failed), len(res.Held))
			if len(res.Failed) > 0 {
				err = fmt.Errorf("%w; first: %s", err, res.Failed[0].Text)
			}
		}
		return refused, notes, err
	}
}

// forwards remembers the ports that a chip forwards for.
func (c *Chips) forwards(have *bridge.State, member map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topo == nil {
		return
	}
	for _, p := range c.topo.Ports {
		h := have.PortByName(p.Name)
		if p.OnChip() && (member[p.Name] || h != nil && strings.HasPrefix(h.Master, chip.NamePrefix)) {
			c.members[p.Index] = true
		}
	}
}

// late picks the reasons that have been true for confirmTime.
func (c *Chips) late(rs []bridge.Reason) (out []bridge.Reason) {
	now := c.now()
	still := make(map[bridge.Reason]bool, len(rs))
	for _, r := range rs {
		still[r] = true
	}
	maps.DeleteFunc(c.unconfirmed, func(r bridge.Reason, _ time.Time) bool { return !still[r] })
	for _, r := range rs {
		if since, known := c.unconfirmed[r]; !known {
			c.unconfirmed[r] = now
		} else if now.Sub(since) >= confirmTime {
			out = append(out, r)
		}
	}
	return out
}

// Counters returns what a chip's port has counted, and false for other devices. What is not known stays so: the
// CPU's share is not the whole. Any goroutine may call it.
func (c *Chips) Counters(name string) (counters.Counters, bool) {
	c.mu.Lock()
	if c.topo == nil {
		if t, err := c.reader.Topology(); err == nil {
			c.topo = &t
		}
	}
	var p dsa.Port
	if c.topo != nil {
		p, _ = c.topo.Port(name)
	}
	bridged := c.members[p.Index]
	c.mu.Unlock()
	if p.Name == "" || !p.OnChip() {
		return counters.Counters{}, false
	}
	c.counting.Lock()
	defer c.counting.Unlock()
	n, err := c.count.Port(p, bridged)
	if err != nil {
		return counters.Counters{Source: err.Error()}, true
	}
	return n, true
}

func add(m map[string]string, name, text string) {
	if m[name] != "" {
		text = m[name] + "; " + text
	}
	m[name] = text
}

// legMACs is the static entries of legs, by the leg's inner end.
type legMACs map[string][]bridge.FDBEntry

// behindLegs returns those that stay: what is there is for SetMAC to change, not for Apply.
func behindLegs(want []chip.Bridge, have *bridge.State) legMACs {
	legs := legMACs{}
	for i := range want {
		b := &want[i]
		legs[b.Inner] = nil
		for _, e := range have.FDB {
			if e.Port == b.Inner && e.Bridge == b.Name && slices.ContainsFunc(b.Leg, func(v chip.VLAN) bool { return v.VID == e.VID }) {
				e.Offloaded = false
				legs[b.Inner] = append(legs[b.Inner], e)
			}
		}
	}
	return legs
}

func (l legMACs) forget(e bridge.FDBEntry) {
	l[e.Port] = slices.DeleteFunc(l[e.Port], func(o bridge.FDBEntry) bool { return o.VID == e.VID && o.MAC == e.MAC })
}

// settled is the kernel as the Syncer sees it: with the entries of legs that were there when Apply began. A host
// that moves from behind the leg to a port of the chip meanwhile takes its entry along; who
// put it back would leave the chip with another port than the kernel.
type settled struct {
	device
	legs legMACs
}

func (d *settled) Read() (bridge.State, error) {
	s, err := d.device.Read()
	if err != nil {
		return s, err
	}
	type key struct {
		port string
		vid  uint16
		mac  bridge.MAC
	}
	there := map[key]bool{}
	keep := map[key]bool{}
	for _, es := range d.legs {
		for _, e := range es {
			keep[key{e.Port, e.VID, e.MAC}] = true
		}
	}
	s.FDB = slices.DeleteFunc(s.FDB, func(e bridge.FDBEntry) bool {
		k := key{e.Port, e.VID, e.MAC}
		_, leg := d.legs[e.Port]
		there[k] = true
		return leg && !keep[k] && s.PortByName(e.Port) != nil
	})
	for inner, es := range d.legs {
		if s.PortByName(inner) == nil {
			continue
		}
		for _, e := range es {
			if !there[key{e.Port, e.VID, e.MAC}] {
				e.Offloaded = true
				s.FDB = append(s.FDB, e)
			}
		}
	}
	s.Sort()
	return s, nil
}

// state writes want as bridge.State, with what is behind legs; what it leaves open is as it is.
func (c *Chips) state(want []chip.Bridge, have *bridge.State, legs legMACs) bridge.State {
	var s bridge.State
	for i := range want {
		b := &want[i]
		s.Bridges = append(s.Bridges, bridge.Bridge{
			Name: b.Name, Up: true, VLANFiltering: true, Ageing: b.Ageing,
			// The VLANs of the bridge itself are those that chips hand to the CPU, where the leg is.
			VLANs: vlans(b.Leg),
		})
		s.Legs = append(s.Legs, bridge.Leg{Inner: b.Inner, Outer: b.Outer})
		s.Ports = append(s.Ports, bridge.Port{
			Name: b.Inner, Master: b.Name, Up: true, MTU: b.MTU, Flags: bridge.DefaultFlags(), VLANs: vlans(b.Leg),
		})
		outer := bridge.Port{Name: b.Outer, MTU: b.MTU, Up: true}
		if p := have.PortByName(b.Outer); p != nil {
			outer.Up = p.Up
		}
		s.Ports = append(s.Ports, outer)
		for _, m := range b.Members {
			p := bridge.Port{Name: m.Name, Master: b.Name, Up: true, Flags: bridge.DefaultFlags(), VLANs: vlans(m.VLANs)}
			if h := have.PortByName(m.Name); h != nil {
				p.Up = h.Up // who sets a device down is not overruled
			}
			s.Ports = append(s.Ports, p)
		}
		s.FDB = append(s.FDB, legs[b.Inner]...)
	}
	s.Sort()
	return s
}

func vlans(vs []chip.VLAN) (out []bridge.VLAN) {
	for _, v := range vs {
		out = append(out, bridge.VLAN{VID: v.VID, PVID: v.PVID, Untagged: v.Untagged})
	}
	return out
}

// MACs returns the MAC table of a kernel bridge.
func (c *Chips) MACs(b *chip.Bridge) ([]chip.KernelMAC, error) {
	table, err := c.dev.MACs(b.Name)
	if err != nil {
		return nil, err
	}
	var out []chip.KernelMAC
	for _, e := range table {
		if e.Owner == bridge.OwnerLocal || e.VID == 0 || e.Port == e.Bridge {
			continue
		}
		out = append(out, chip.KernelMAC{MAC: number(e.MAC), VID: e.VID, Dev: e.Port, Own: e.Owner == bridge.OwnerStatic || e.Port == b.Inner && e.Owner == bridge.OwnerChip})
	}
	return out, nil
}

// SetMAC makes or deletes a static entry.
func (c *Chips) SetMAC(b *chip.Bridge, o chip.FDBOp) error {
	e := bridge.FDBEntry{Bridge: b.Name, VID: o.VID, MAC: macOf(o.MAC), Port: o.Dev}
	if !o.Delete {
		_, err := c.dev.Apply(bridge.SetFDB{Entry: e})
		return err
	}
	if o.Dev != b.Inner {
		// What a chip has learned, drivers let go of only if it is somebody's static entry
		// (net/bridge/br_switchdev.c: added_by_user).
		if _, err := c.dev.Apply(bridge.SetFDB{Entry: e}); err != nil {
			return err
		}
	}
	_, err := c.dev.Apply(bridge.DelFDB{Entry: e})
	return err
}

// Flush makes the members of a bridge forget what they have learned.
func (c *Chips) Flush(b *chip.Bridge) error {
	var errs []error
	for _, m := range b.Members {
		errs = append(errs, c.dev.Flush(m.Name))
	}
	return errors.Join(errs...)
}

func macOf(m uint64) bridge.MAC {
	return bridge.MAC{byte(m >> 40), byte(m >> 32), byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}
}

func number(m bridge.MAC) (n uint64) {
	for _, b := range m {
		n = n<<8 | uint64(b)
	}
	return n
}
