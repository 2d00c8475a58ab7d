// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirswitch/weir/firmware/base/order"
)

// Step is an operation with what Syncer has to know of it.
type Step struct {
	Op     Op
	Bridge string // on which it acts; "" if on none
	// Gives says that it lets more frames through, or others than before, so it
	// is not done when one that Holds has failed on its bridge.
	Gives, Holds bool
	// Soft says that it closes the gate, which not every driver has: refused, it
	// is left out, and a MAC that is not written yet may be flooded, inside its
	// VLAN, for the time of a few operations.
	Soft bool
}

// Plan returns the operations that bring old to new, in the order that keeps
// the package's promise. old is what Read gave for the same scope; new has
// passed Check. Equal states give no operations.
func Plan(old, new State) []Step {
	p := &planner{old: old, new: new, cares: map[vlan]care{}}
	p.create()
	p.addLegs()
	p.restrict()
	p.release()
	p.shrink()
	p.entriesEarly()
	p.releaseLate()
	p.join()
	p.retag()
	p.grow()
	p.entriesLate()
	p.expand()
	return coalesce(p.steps)
}

// Ops returns the operations alone.
func Ops(steps []Step) []Op {
	ops := make([]Op, len(steps))
	for i, s := range steps {
		ops[i] = s.Op
	}
	return ops
}

type planner struct {
	old, new State
	steps    []Step
	cares    map[vlan]care
	gated    map[string]bool
}

// take appends what lets less through, give what lets more through, hold what
// changes where frames go, on which what follows relies.
func (p *planner) take(bridge string, op Op) {
	p.steps = append(p.steps, Step{Op: op, Bridge: bridge, Holds: true})
}

func (p *planner) hold(bridge string, op Op) {
	p.steps = append(p.steps, Step{Op: op, Bridge: bridge, Gives: true, Holds: true})
}

func (p *planner) give(bridge string, op Op) {
	p.steps = append(p.steps, Step{Op: op, Bridge: bridge, Gives: true})
}

// member is a port of the new state with what it was.
type member struct {
	now Port
	was Port // as the plan finds it after release: a port that changes its master has lost what it had there
	// stays says that it keeps its master.
	stays bool
	// known says that the old state has it.
	known bool
}

// members are the new ports in an order: LAGs behind the others, since a LAG
// joins with the members that it has.
func (p *planner) members() []member {
	var ms []member
	for _, now := range p.new.Ports {
		m := member{now: now, was: Port{Name: now.Name, Flags: DefaultFlags()}}
		if o := p.old.PortByName(now.Name); o != nil {
			m.known = true
			if m.stays = o.Master == now.Master && !p.reset(now.Master); m.stays {
				m.was = *o
			} else {
				m.was.Up, m.was.MTU = o.Up, o.MTU
			}
		}
		ms = append(ms, m)
	}
	order.Stable(ms, func(a, b member) int {
		return cmp.Compare(bit(p.new.lag(a.now.Name) != nil), bit(p.new.lag(b.now.Name) != nil))
	})
	return ms
}

// reset says that a bridge was somebody else's: it did not filter VLANs, or
// gives new members one. Its memberships mean something else then, so all its
// ports leave and come back.
func (p *planner) reset(bridge string) bool {
	o := p.old.bridge(bridge)
	return o != nil && (!o.VLANFiltering || o.DefaultPVID != 0)
}

// selfVLANs are the bridge's own in the old state, as they are when its
// default PVID is gone (net/bridge/br_vlan.c, br_vlan_disable_default_pvid).
func (p *planner) selfVLANs(name string) []VLAN {
	o := p.old.bridge(name)
	if o == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(o.VLANs), func(v VLAN) bool {
		return v.VID == o.DefaultPVID && v.PVID && v.Untagged
	})
}

// inBridge says that the port's new master is a bridge: then it has flags,
// VLANs and a spanning tree state.
func (p *planner) inBridge(m member) bool { return p.new.bridge(m.now.Master) != nil }

func (p *planner) create() {
	for _, b := range p.new.Bridges {
		if p.old.bridge(b.Name) == nil {
			p.take(b.Name, AddBridge{Name: b.Name, Ageing: b.Ageing, McastSnooping: b.McastSnooping})
		}
	}
	for _, l := range p.new.LAGs {
		if p.old.lag(l.Name) == nil {
			p.take("", AddLAG{LAG: l})
		}
	}
}

// legs are made before and removed after all else.
func (p *planner) addLegs() {
	for _, l := range p.new.Legs {
		if !p.old.leg(l.Inner) {
			p.take("", AddLeg{Leg: l})
		}
	}
}

// restrict does what can only end deliveries.
func (p *planner) restrict() {
	for _, o := range p.old.Bridges {
		// Its ports leave one after the other, so it forwards nothing first.
		if o.Up && (p.new.bridge(o.Name) == nil || p.reset(o.Name)) {
			p.take(o.Name, SetUp{Name: o.Name, Up: false})
		}
	}
	for _, m := range p.members() {
		if m.known && m.was.Up && !m.now.Up {
			p.take(m.now.Master, SetUp{Name: m.now.Name, Up: false})
		}
	}
	for _, m := range p.members() {
		if m.stays && p.inBridge(m) {
			if !p.relinks(m.now.Name) {
				p.lessState(m)
			}
			p.lessFlags(m)
		}
	}
	for _, o := range p.old.Mirrors {
		if !slices.ContainsFunc(p.new.Mirrors, func(n Mirror) bool { return sameMirror(o, n) }) {
			p.take("", DelMirror{Mirror: Mirror{From: o.From, Dir: o.Dir, To: o.To}})
		}
	}
	for _, n := range p.new.Polices {
		if !slices.ContainsFunc(p.old.Polices, func(o Police) bool { n.InHW = o.InHW; return o == n }) {
			n.InHW = false
			p.take("", SetPolice{Police: n})
		}
	}
}

func sameMirror(a, b Mirror) bool { return a.From == b.From && a.Dir == b.Dir && a.To == b.To }

// lessState sets spanning tree states that let less through.
func (p *planner) lessState(m member) {
	if m.now.Up && m.now.STP != STPUnmanaged && m.now.STP != m.was.STP && m.now.STP != STPForwarding {
		p.take(m.now.Master, SetSTP{Port: m.now.Name, State: m.now.STP})
	}
	for _, s := range m.now.MSTs {
		if s.State != STPForwarding && !slices.Contains(m.was.MSTs, s) {
			p.take(m.now.Master, SetMST{Port: m.now.Name, MST: s})
		}
	}
}

// lessFlags sets flags that differ, to the value that lets less through.
func (p *planner) lessFlags(m member) {
	gate := p.gates()[m.now.Name]
	for _, f := range flagList {
		now, was := m.now.Flags.Get(f.flag), m.was.Flags.Get(f.flag)
		if gate && (f.flag == FlagFlood || f.flag == FlagMcastFlood || f.flag == FlagLearning) {
			now = false
		}
		if now != was && now == f.strict {
			p.take(m.now.Master, SetFlag{Port: m.now.Name, Flag: f.flag, On: now})
			if m.now.Flags.Get(f.flag) == was {
				s := &p.steps[len(p.steps)-1]
				s.Soft, s.Holds = true, false
			}
		}
	}
}

// release takes ports out of where they are no longer wanted; what is behind
// that, VLANs, flags and entries of the port, the kernel removes with it. With
// its static entries their frames would be flooded to the others: so a port
// that has some loses its VLANs first, and leaves when the others are what they
// will be (releaseLate).
func (p *planner) release() {
	for _, o := range p.old.Ports {
		switch {
		case !p.leaves(o):
		case p.lingers(o):
			for _, v := range o.VLANs {
				p.take(o.Master, DelVLAN{Name: o.Name, First: v.VID, Last: v.VID})
			}
		case p.old.bridge(o.Master) != nil && (p.new.bridge(o.Master) == nil || p.reset(o.Master)):
			p.hold(o.Master, SetMaster{Port: o.Name}) // only if the bridge got down
		default:
			p.take(o.Master, SetMaster{Port: o.Name})
		}
	}
	for _, b := range p.new.Bridges {
		o := p.old.bridge(b.Name)
		if o == nil {
			continue
		}
		if !o.VLANFiltering {
			p.take(b.Name, SetBridge{Name: b.Name, Attr: AttrVLANFiltering, Value: 1})
		}
		if o.DefaultPVID != 0 {
			p.take(b.Name, SetBridge{Name: b.Name, Attr: AttrDefaultPVID, Value: 0})
		}
	}
	for _, o := range p.old.LAGs {
		if p.new.lag(o.Name) == nil {
			p.take("", DelLink{Name: o.Name})
		}
	}
	for _, o := range p.old.Legs {
		if !p.new.leg(o.Inner) {
			p.take("", DelLink{Name: o.Inner})
		}
	}
	for _, o := range p.old.Bridges {
		if p.new.bridge(o.Name) == nil {
			p.hold(o.Name, DelLink{Name: o.Name})
		}
	}
}

// leaves says that the port is taken out of its bridge or LAG.
func (p *planner) leaves(o Port) bool {
	n := p.new.PortByName(o.Name)
	return o.Master != "" && (n == nil || n.Master != o.Master || p.reset(o.Master))
}

// lingers says that a port that leaves has static entries in a bridge that
// stays.
func (p *planner) lingers(o Port) bool {
	return p.new.bridge(o.Master) != nil && !p.reset(o.Master) &&
		(slices.ContainsFunc(p.old.FDB, func(e FDBEntry) bool { return e.Port == o.Name }) ||
			slices.ContainsFunc(p.old.MDB, func(e MDBEntry) bool { return e.Port == o.Name }))
}

func (p *planner) releaseLate() {
	for _, o := range p.old.Ports {
		if p.leaves(o) && p.lingers(o) {
			p.hold(o.Master, SetMaster{Port: o.Name})
		}
	}
}

// shrink takes VLANs and PVIDs away.
func (p *planner) shrink() {
	for _, m := range p.members() {
		if m.stays && p.inBridge(m) {
			p.lessVLANs(m.now.Master, m.now.Name, m.was.VLANs, m.now.VLANs, false)
		}
	}
	for _, b := range p.new.Bridges {
		p.lessVLANs(b.Name, b.Name, p.selfVLANs(b.Name), b.VLANs, true)
	}
}

func (p *planner) lessVLANs(bridge, name string, was, now []VLAN, self bool) {
	for _, v := range was {
		n, _ := VLANOf(now, v.VID)
		switch {
		case !p.keeps(bridge, name, v.VID):
			p.take(bridge, DelVLAN{Name: name, First: v.VID, Last: v.VID, Self: self})
		case v.PVID && !n.PVID:
			p.take(bridge, AddVLAN{Name: name, First: v.VID, Last: v.VID, Untagged: v.Untagged, Self: self})
		}
	}
}

// join makes ports members. Bridge attributes that must be set while there
// are no VLANs come before.
func (p *planner) join() {
	for _, b := range p.new.Bridges {
		o := p.old.bridge(b.Name)
		if o == nil {
			o = &Bridge{Ageing: b.Ageing, McastSnooping: b.McastSnooping}
		}
		if b.Up && (p.old.bridge(b.Name) == nil || p.reset(b.Name)) {
			// It has no members. A bridge that gets up later makes them forward.
			p.take(b.Name, SetUp{Name: b.Name, Up: true})
		}
		if o.UserSTP != b.UserSTP {
			p.take(b.Name, SetBridge{Name: b.Name, Attr: AttrUserSTP, Value: bit(b.UserSTP)})
		}
		if o.MST != b.MST {
			p.take(b.Name, SetBridge{Name: b.Name, Attr: AttrMST, Value: bit(b.MST)})
		}
		if b.Ageing != 0 && o.Ageing != b.Ageing {
			p.take(b.Name, SetBridge{Name: b.Name, Attr: AttrAgeing, Value: uint64(b.Ageing / (10 * time.Millisecond))})
		}
		if o.McastSnooping != b.McastSnooping {
			p.take(b.Name, SetBridge{Name: b.Name, Attr: AttrMcastSnooping, Value: bit(b.McastSnooping)})
		}
	}
	for _, m := range p.members() {
		if m.now.MTU != 0 && m.now.MTU != m.was.MTU {
			p.take(m.now.Master, SetMTU{Name: m.now.Name, MTU: m.now.MTU})
		}
		if m.stays && p.relinks(m.now.Name) {
			p.give(m.now.Master, SetUp{Name: m.now.Name, Up: true})
			p.lessState(m)
		}
		if m.stays && m.known || m.now.Master == "" {
			continue
		}
		inLAG := p.new.lag(m.now.Master) != nil
		if inLAG && m.was.Up && m.now.Up { // a bond takes only members that are down
			p.take("", SetUp{Name: m.now.Name, Up: false})
		}
		p.take(m.now.Master, SetMaster{Port: m.now.Name, Master: m.now.Master})
		if p.inBridge(m) {
			if !m.was.Up && p.holdsBack(m.now) {
				p.give(m.now.Master, SetUp{Name: m.now.Name, Up: true})
			}
			p.lessState(m)
			p.lessFlags(m)
		}
	}
}

// holdsBack says that a port is to be up and not to forward. The kernel takes
// that state only of a port that is up, and makes one that gets up forward: so
// it gets up while it is in no VLAN.
func (p *planner) holdsBack(now Port) bool {
	return now.Up && now.STP != STPUnmanaged && now.STP != STPForwarding
}

// relinks says that a port that stays in its bridge gets up for that.
func (p *planner) relinks(name string) bool {
	o, n := p.old.PortByName(name), p.new.PortByName(name)
	return o != nil && n != nil && !o.Up && o.Master == n.Master && !p.reset(n.Master) && p.new.bridge(n.Master) != nil && p.holdsBack(*n)
}

// retag changes how frames of VLANs leave that a port keeps. No frame that
// the change of ingress rules concerns is forwarded at this point.
func (p *planner) retag() {
	for _, m := range p.members() {
		if m.stays && p.inBridge(m) {
			p.retagVLANs(m.now.Master, m.now.Name, m.was.VLANs, m.now.VLANs, false)
		}
	}
	for _, b := range p.new.Bridges {
		p.retagVLANs(b.Name, b.Name, p.selfVLANs(b.Name), b.VLANs, true)
	}
}

func (p *planner) retagVLANs(bridge, name string, was, now []VLAN, self bool) {
	for _, v := range was {
		if n, _ := VLANOf(now, v.VID); p.keeps(bridge, name, v.VID) && n.Untagged != v.Untagged {
			// It has the PVID by now only if it had and keeps it.
			p.hold(bridge, AddVLAN{Name: name, First: v.VID, Last: v.VID, PVID: v.PVID && n.PVID, Untagged: n.Untagged, Self: self})
		}
	}
}

// grow adds VLANs and PVIDs to ports; to the bridge itself entriesLate does.
func (p *planner) grow() {
	for _, m := range p.members() {
		if p.inBridge(m) {
			p.moreVLANs(m.now.Master, m.now.Name, m.was.VLANs, m.now.VLANs, false)
		}
	}
}

func (p *planner) moreVLANs(bridge, name string, was, now []VLAN, self bool) {
	for _, v := range now {
		o, _ := VLANOf(was, v.VID)
		if !p.keeps(bridge, name, v.VID) || v.PVID && !o.PVID {
			p.give(bridge, AddVLAN{Name: name, First: v.VID, Last: v.VID, PVID: v.PVID, Untagged: v.Untagged, Self: self})
		}
	}
}

// expand does what can only begin deliveries.
func (p *planner) expand() {
	for _, b := range p.new.Bridges {
		o := p.old.bridge(b.Name)
		if o != nil && !p.reset(b.Name) && o.Up != b.Up {
			p.give(b.Name, SetUp{Name: b.Name, Up: b.Up})
		}
	}
	for _, m := range p.members() {
		if p.inBridge(m) {
			p.moreFlags(m)
		}
	}
	for _, m := range p.members() {
		downForLAG := p.new.lag(m.now.Master) != nil && !m.stays
		if m.now.Up && (!m.was.Up && !(p.inBridge(m) && p.holdsBack(m.now)) || downForLAG) {
			p.give(m.now.Master, SetUp{Name: m.now.Name, Up: true})
		}
		if !p.inBridge(m) {
			continue
		}
		if m.now.Up && m.now.STP == STPForwarding && m.now.STP != m.was.STP {
			p.give(m.now.Master, SetSTP{Port: m.now.Name, State: m.now.STP})
		}
		for _, s := range m.now.MSTs {
			if s.State == STPForwarding && !slices.Contains(m.was.MSTs, s) {
				p.give(m.now.Master, SetMST{Port: m.now.Name, MST: s})
			}
		}
	}
	for _, o := range p.old.Polices {
		if !slices.ContainsFunc(p.new.Polices, func(n Police) bool { return n.Port == o.Port }) {
			p.give("", DelPolice{Port: o.Port})
		}
	}
	for _, n := range p.new.Mirrors {
		if !slices.ContainsFunc(p.old.Mirrors, func(o Mirror) bool { return sameMirror(o, n) }) {
			p.give("", SetMirror{Mirror: Mirror{From: n.From, Dir: n.Dir, To: n.To}})
		}
	}
	p.qdiscs()
}

// moreFlags sets the flags that lets more through, those that the gate closed
// too.
func (p *planner) moreFlags(m member) {
	gate := p.gates()[m.now.Name]
	for i := len(flagList) - 1; i >= 0; i-- {
		f := flagList[i]
		now, was := m.now.Flags.Get(f.flag), m.was.Flags.Get(f.flag)
		closed := gate && (f.flag == FlagFlood || f.flag == FlagMcastFlood || f.flag == FlagLearning)
		if (now != was || closed) && now != f.strict {
			p.give(m.now.Master, SetFlag{Port: m.now.Name, Flag: f.flag, On: now})
		}
	}
}

func (p *planner) qdiscs() {
	for _, o := range p.old.Qdiscs {
		if !slices.ContainsFunc(p.new.Qdiscs, func(n Qdisc) bool { return n.Port == o.Port }) {
			p.take("", DelQdisc{Port: o.Port})
		}
	}
	for _, n := range p.new.Qdiscs {
		n.Offloaded = false
		if !slices.ContainsFunc(p.old.Qdiscs, func(o Qdisc) bool { o.Offloaded = false; return o == n }) {
			p.take("", SetQdisc{Qdisc: n})
		}
	}
}

// coalesce makes runs of VLANs that are added or taken away alike one
// operation. They lie in the same phase, whose order is free.
func coalesce(steps []Step) []Step {
	out := steps[:0:0]
	for _, s := range steps {
		if n := len(out); n > 0 {
			last := &out[n-1]
			switch a := last.Op.(type) {
			case AddVLAN:
				if b, ok := s.Op.(AddVLAN); ok && last.Gives == s.Gives && last.Holds == s.Holds && b.First == a.Last+1 && a.Name == b.Name && a.Untagged == b.Untagged && !a.PVID && !b.PVID && a.Self == b.Self {
					a.Last = b.Last
					last.Op = a
					continue
				}
			case DelVLAN:
				if b, ok := s.Op.(DelVLAN); ok && b.First == a.Last+1 && a.Name == b.Name && a.Self == b.Self {
					a.Last = b.Last
					last.Op = a
					continue
				}
			}
		}
		out = append(out, s)
	}
	return out
}
