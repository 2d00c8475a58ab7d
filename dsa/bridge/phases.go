// SPDX-License-Identifier: Apache-2.0

package bridge

import "slices"

// vlan is a VLAN of a bridge.
type vlan struct {
	bridge string
	vid    uint16
}

// care is what a VLAN needs because static MACs or groups of it change
// together with its members.
type care uint8

const (
	// careNone: entries are written before the VLAN grows, and removed after it
	// has shrunk; each of these only narrows or only widens.
	careNone care = iota
	// careGate: an entry comes whose port comes with it. Until it is written
	// its frames would be flooded, so no member floods or learns meanwhile, and
	// the CPU comes last.
	careGate
	// careDrain: an entry moves to a port that comes with it, or entries change
	// while frames of the VLAN get or lose their tag. Any order would show some
	// frame to somebody, so the VLAN is emptied and filled again.
	careDrain
)

// careOf finds out which VLANs need care.
func (p *planner) careOf(v vlan) care {
	if c, ok := p.cares[v]; ok {
		return c
	}
	c := p.findCare(v)
	p.cares[v] = c
	return c
}

func (p *planner) findCare(v vlan) care {
	changes, gate, toCPU := false, false, false
	for _, e := range p.new.FDB {
		if (vlan{e.Bridge, e.VID}) != v {
			continue
		}
		o, stays := p.oldFDB(e)
		comes := p.comes(e.Bridge, e.Port, e.VID)
		if stays && sameFDB(o, e) && !comes {
			continue
		}
		changes = true
		if comes {
			if o.Port != "" {
				return careDrain
			}
			gate = true
		}
		toCPU = toCPU || e.Port == e.Bridge && o.Port != ""
	}
	for _, o := range p.old.FDB {
		if (vlan{o.Bridge, o.VID}) == v && !p.wantsFDB(o) {
			changes = true
		}
	}
	for _, e := range p.new.MDB {
		if (vlan{e.Bridge, e.VID}) != v || p.hasMDB(e) {
			continue
		}
		changes = true
		if p.comes(e.Bridge, e.Port, e.VID) {
			if slices.ContainsFunc(p.old.MDB, func(o MDBEntry) bool { return o.Bridge == e.Bridge && o.VID == e.VID && o.Group == e.Group }) {
				return careDrain
			}
			gate = true
		}
	}
	for _, o := range p.old.MDB {
		if (vlan{o.Bridge, o.VID}) == v && !containsMDB(p.new.MDB, o) {
			changes = true
		}
	}
	if changes && p.retags(v) || gate && toCPU { // with a gate the CPU comes too late to take a MAC over
		return careDrain
	}
	if gate {
		return careGate
	}
	return careNone
}

// retags says that the frames of a VLAN get or lose their tag at a port that
// is in it before and after.
func (p *planner) retags(v vlan) bool {
	flips := func(was, now []VLAN) bool {
		a, had := VLANOf(was, v.vid)
		b, has := VLANOf(now, v.vid)
		return had && has && a.Untagged != b.Untagged
	}
	for _, n := range p.new.Ports {
		if o := p.old.PortByName(n.Name); n.Master == v.bridge && o != nil && o.Master == v.bridge && flips(o.VLANs, n.VLANs) {
			return true
		}
	}
	b := p.new.bridge(v.bridge)
	return b != nil && flips(p.selfVLANs(v.bridge), b.VLANs)
}

// comes says that the port, or the bridge itself, is a member of the VLAN in
// the new state and was none.
func (p *planner) comes(bridge, port string, vid uint16) bool {
	return p.new.inVLAN(bridge, port, vid) && !p.both(bridge, port, vid)
}

// both says that it is a member before and after, in the same bridge.
func (p *planner) both(bridge, port string, vid uint16) bool {
	if !p.new.inVLAN(bridge, port, vid) {
		return false
	}
	if port == bridge {
		_, was := VLANOf(p.selfVLANs(bridge), vid)
		return was
	}
	return p.old.inVLAN(bridge, port, vid) && !p.reset(bridge) && !p.relinks(port)
}

// keeps says that it stays a member all the time.
func (p *planner) keeps(bridge, port string, vid uint16) bool {
	c := p.careOf(vlan{bridge, vid})
	return p.both(bridge, port, vid) && c != careDrain && (c == careNone || port != bridge)
}

// gates returns the ports that neither flood nor learn until the end.
func (p *planner) gates() map[string]bool {
	if p.gated == nil {
		p.gated = map[string]bool{}
		for _, n := range p.new.Ports {
			o := p.old.PortByName(n.Name)
			if o == nil || !o.Up {
				continue // it gets up last
			}
			for _, v := range n.VLANs {
				if p.careOf(vlan{n.Master, v.VID}) != careNone {
					p.gated[n.Name] = true
				}
			}
		}
	}
	return p.gated
}

// stays says that the port is a member of the bridge all the time, and so has
// its entries; the bridge itself has unless it is new.
func (p *planner) stays(bridge, port string) bool {
	if port == bridge {
		return p.old.bridge(bridge) != nil && p.new.bridge(bridge) != nil
	}
	o, n := p.old.PortByName(port), p.new.PortByName(port)
	return o != nil && n != nil && o.Master == bridge && n.Master == bridge && !p.reset(bridge)
}

// oldFDB is the entry's predecessor, if its port stays to keep it.
func (p *planner) oldFDB(e FDBEntry) (FDBEntry, bool) {
	for _, o := range p.old.FDB {
		if o.Bridge == e.Bridge && o.VID == e.VID && o.MAC == e.MAC {
			return o, p.stays(o.Bridge, o.Port)
		}
	}
	return FDBEntry{}, false
}

func sameFDB(a, b FDBEntry) bool {
	a.Offloaded, b.Offloaded = false, false
	return a == b
}

// wantsFDB says that the new state has a static entry for the same MAC.
func (p *planner) wantsFDB(o FDBEntry) bool {
	return slices.ContainsFunc(p.new.FDB, func(n FDBEntry) bool { return n.Bridge == o.Bridge && n.VID == o.VID && n.MAC == o.MAC })
}

// setFDB says that the entry has to be written.
func (p *planner) setFDB(e FDBEntry) bool {
	o, had := p.oldFDB(e)
	// Where the port leaves the VLAN for a while, entriesEarly may flush what it has there.
	return !had || !sameFDB(o, e) || !p.keeps(e.Bridge, e.Port, e.VID)
}

func containsMDB(es []MDBEntry, e MDBEntry) bool {
	return slices.ContainsFunc(es, func(x MDBEntry) bool {
		x.Offloaded, e.Offloaded = false, false
		return x == e
	})
}

func (p *planner) hasMDB(e MDBEntry) bool {
	return containsMDB(p.old.MDB, e) && p.stays(e.Bridge, e.Port)
}

// entriesEarly writes static entries of ports that stay in the VLAN, which
// narrows where frames go, then removes what is no longer wanted, which by now
// widens it to new members only.
func (p *planner) entriesEarly() {
	p.entries(func(bridge, port string, vid uint16) bool { return p.keeps(bridge, port, vid) })
	for _, o := range p.old.FDB {
		if !p.stays(o.Bridge, o.Port) {
			continue // it went with its port
		}
		var op Op
		switch drained := p.careOf(vlan{o.Bridge, o.VID}) == careDrain; {
		case drained, !p.wantsFDB(o) && !p.keeps(o.Bridge, o.Port, o.VID):
			op = FlushFDB{Bridge: o.Bridge, Port: o.Port, VID: o.VID}
		case !p.wantsFDB(o):
			o.Offloaded = false
			op = DelFDB{Entry: o}
		default:
			continue
		}
		if s := (Step{Op: op, Bridge: o.Bridge, Gives: true, Holds: true}); !slices.Contains(p.steps, s) {
			p.steps = append(p.steps, s)
		}
	}
	for _, o := range p.old.MDB {
		if p.stays(o.Bridge, o.Port) && !containsMDB(p.new.MDB, o) {
			o.Offloaded = false
			p.hold(o.Bridge, DelMDB{Entry: o})
		}
	}
}

// entriesLate writes those of ports that have just become members, then lets
// the CPU into its VLANs and writes the CPU's.
func (p *planner) entriesLate() {
	p.entries(func(bridge, port string, vid uint16) bool { return port != bridge && !p.keeps(bridge, port, vid) })
	for _, b := range p.new.Bridges {
		p.moreVLANs(b.Name, b.Name, p.selfVLANs(b.Name), b.VLANs, true)
	}
	p.entries(func(bridge, port string, vid uint16) bool { return port == bridge && !p.keeps(bridge, port, vid) })
}

func (p *planner) entries(when func(bridge, port string, vid uint16) bool) {
	for _, e := range p.new.FDB {
		if p.setFDB(e) && when(e.Bridge, e.Port, e.VID) {
			e.Offloaded = false
			p.hold(e.Bridge, SetFDB{Entry: e})
		}
	}
	for _, e := range p.new.MDB {
		if !p.hasMDB(e) && when(e.Bridge, e.Port, e.VID) {
			e.Offloaded = false
			p.hold(e.Bridge, AddMDB{Entry: e})
		}
	}
}
