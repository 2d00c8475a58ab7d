// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlattr"
	"github.com/weirswitch/weir/dsa/nlconn"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// Scope is what a Kernel reads, and so what a plan may change.
type Scope struct {
	// Owned says by name which bridges, bonds and legs are ours: those that are
	// not wanted are removed, and members of them that are not wanted leave.
	Owned func(name string) bool
	// Port says which other devices are read, members or not: outer ends of legs among them.
	Port func(name string) bool
	// Traffic says that mirrors, polices and root qdiscs of the ports are read,
	// too. Without, wanted ones cannot be compared: want none.
	Traffic bool
}

// Kernel is the bridge.Device of a network namespace.
type Kernel struct {
	c     *nlconn.Conn
	scope Scope
	names map[string]int
}

var _ bridge.Device = (*Kernel)(nil)

// Open opens the network namespace of the calling thread.
func Open(scope Scope) (*Kernel, error) {
	c, err := nlconn.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &Kernel{c: c, scope: scope, names: map[string]int{}}, nil
}

// Close frees what k holds.
func (k *Kernel) Close() error { return k.c.Close() }

// Read implements bridge.Device.
func (k *Kernel) Read() (bridge.State, error) {
	var s bridge.State
	links, err := k.links()
	if err != nil {
		return s, err
	}
	byName := map[string]*link{}
	k.names = map[string]int{}
	for _, l := range links {
		byName[l.name] = l
		k.names[l.name] = l.index
	}
	in := map[int]bool{} // ports and bridges of the scope
	for _, l := range links {
		m := links[l.master]
		owned := k.scope.Owned(l.name)
		member := m != nil && k.scope.Owned(m.name)
		switch {
		case owned && l.kind == "bridge":
			s.Bridges = append(s.Bridges, l.br)
			in[l.index] = true
			continue
		case owned && l.kind == "bond":
			s.LAGs = append(s.LAGs, lagOf(l))
		case owned && l.kind == "veth":
			peer := links[l.lower]
			if peer == nil || !k.scope.Owned(peer.name) {
				continue
			}
			if isInner(l, peer, links, k.scope) {
				s.Legs = append(s.Legs, bridge.Leg{Inner: l.name, Outer: peer.name})
			} else if !k.scope.Port(l.name) {
				continue
			}
		case !member && !k.scope.Port(l.name):
			continue
		}
		p := bridge.Port{Name: l.name, Up: l.up, MTU: l.mtu}
		if m != nil {
			p.Master = m.name
			if m.kind == "bridge" {
				p.Flags, p.STP = l.flags, l.state
			}
		}
		s.Ports = append(s.Ports, p)
		in[l.index] = true
	}
	if err := k.readVLANs(&s, links); err != nil {
		return s, err
	}
	table, err := k.table(links)
	if err != nil {
		return s, err
	}
	for _, e := range bridge.Static(table) {
		if in[k.names[e.Bridge]] {
			s.FDB = append(s.FDB, e)
		}
	}
	if err := k.readMDB(&s, links); err != nil {
		return s, err
	}
	if k.scope.Traffic {
		if err := k.readTraffic(&s, links); err != nil {
			return s, err
		}
	}
	s.Sort()
	return s, nil
}

// isInner says which end of a pair of veths that are both ours is the inner
// one: the member, or, when neither or both are, the older.
func isInner(l, peer *link, links map[int]*link, scope Scope) bool {
	a, b := links[l.master], links[peer.master]
	inA, inB := a != nil && scope.Owned(a.name), b != nil && scope.Owned(b.name)
	if inA != inB {
		return inA
	}
	return l.index > peer.index // the kernel makes the peer first
}

func lagOf(l *link) bridge.LAG {
	lag := bridge.LAG{Name: l.name}
	for m, n := range bondModes {
		if n == l.mode {
			lag.Mode = m
		}
	}
	for h, n := range bondHashes {
		if n == l.hash {
			lag.Hash = h
		}
	}
	return lag
}

func (k *Kernel) links() (map[int]*link, error) {
	msgs, err := k.c.Dump(unix.RTM_GETLINK, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	links := make(map[int]*link, len(msgs))
	for _, m := range msgs {
		l, err := decodeLink(m.Data)
		if err != nil {
			return nil, err
		}
		links[l.index] = &l
	}
	return links, nil
}

func (k *Kernel) readVLANs(s *bridge.State, links map[int]*link) error {
	var w nlattr.Builder
	w.Raw(ifinfo(unix.AF_BRIDGE, 0, 0, 0))
	w.Uint32(unix.IFLA_EXT_MASK, filterVLANs|filterMST)
	b, err := w.Payload()
	if err != nil {
		return err
	}
	msgs, err := k.c.Dump(unix.RTM_GETLINK, b)
	if err != nil {
		return fmt.Errorf("list VLANs: %w", err)
	}
	for _, m := range msgs {
		index, vs, msts, err := decodeVLANs(m.Data)
		if err != nil {
			return err
		}
		l := links[index]
		if l == nil {
			continue
		}
		if i := slices.IndexFunc(s.Bridges, func(b bridge.Bridge) bool { return b.Name == l.name }); i >= 0 {
			s.Bridges[i].VLANs = append(s.Bridges[i].VLANs, vs...)
		} else if p := s.PortByName(l.name); p != nil && p.Master != "" && p.VLANs == nil {
			p.VLANs, p.MSTs = vs, msts
		}
	}
	return nil
}

// table reads the MAC tables of all bridges.
func (k *Kernel) table(links map[int]*link) ([]bridge.MACEntry, error) {
	msgs, err := k.c.Dump(unix.RTM_GETNEIGH, ndmsg(0, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("list MACs: %w", err)
	}
	var es []bridge.MACEntry
	for _, m := range msgs {
		n, err := decodeNeigh(m.Data)
		if err != nil {
			return nil, err
		}
		if e, ok := entryOf(n, links); ok {
			es = append(es, e)
		}
	}
	bridge.SortMACs(es)
	return es, nil
}

// entryOf places a neighbour; false for those of devices that are no bridge's
// (a NIC's own filter, a DSA port's table read from the chip).
func entryOf(n neighbour, links map[int]*link) (bridge.MACEntry, bool) {
	port := links[n.index]
	br := links[n.master]
	if port != nil && port.kind == "bridge" && br == nil {
		br = port
	}
	if port == nil || br == nil || br.kind != "bridge" || n.flags&ntfSelf != 0 && port != br {
		return bridge.MACEntry{}, false
	}
	return bridge.MACEntry{
		Bridge: br.name, Port: port.name, VID: n.vid, MAC: n.mac, Owner: n.owner(br.index, br.mac),
		Sticky: n.flags&ntfSticky != 0, Offloaded: n.flags&ntfOffloaded != 0,
	}, true
}

func (k *Kernel) readMDB(s *bridge.State, links map[int]*link) error {
	head := make([]byte, brPortMsgLen)
	head[0] = unix.AF_BRIDGE
	msgs, err := k.c.Dump(unix.RTM_GETMDB, head)
	if c := nlerr.Classify(err); c == nlerr.NotSupported {
		return nil // without multicast snooping in the kernel
	} else if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	for _, m := range msgs {
		gs, err := decodeMDB(m.Data)
		if err != nil {
			return err
		}
		for _, g := range gs {
			br, port := links[g.bridge], links[g.port]
			if br == nil || port == nil || !g.static || !k.scope.Owned(br.name) {
				continue
			}
			g.e.Bridge, g.e.Port = br.name, port.name
			s.MDB = append(s.MDB, g.e)
		}
	}
	return nil
}

func (k *Kernel) readTraffic(s *bridge.State, links map[int]*link) error {
	for _, p := range s.Ports {
		i := k.names[p.Name]
		for _, dir := range []bridge.Direction{bridge.Ingress, bridge.Egress} {
			msgs, err := k.c.Dump(unix.RTM_GETTFILTER, tcmsg(i, 0, parentOf(dir), 0))
			switch nlerr.Classify(err) {
			case nlerr.None:
			case nlerr.NotSupported, nlerr.Invalid, nlerr.Absent: // no clsact
				continue
			default:
				return fmt.Errorf("list filters of %s: %w", p.Name, err)
			}
			for _, m := range msgs {
				f, ours, err := decodeFilter(m.Data)
				if err != nil {
					return err
				}
				switch to := links[f.mirror]; {
				case !ours:
				case f.police != nil:
					f.police.Port, f.police.InHW = p.Name, f.inHW
					s.Polices = append(s.Polices, *f.police)
				case to != nil:
					s.Mirrors = append(s.Mirrors, bridge.Mirror{From: p.Name, Dir: dir, To: to.name, InHW: f.inHW})
				}
			}
		}
	}
	msgs, err := k.c.Dump(unix.RTM_GETQDISC, tcmsg(0, 0, 0, 0))
	if err != nil {
		return fmt.Errorf("list qdiscs: %w", err)
	}
	for _, m := range msgs {
		i, q, root, err := decodeQdisc(m.Data)
		if err != nil {
			return err
		}
		if l := links[i]; root && l != nil && s.PortByName(l.name) != nil {
			q.Port = l.name
			s.Qdiscs = append(s.Qdiscs, q)
		}
	}
	return nil
}

// Apply implements bridge.Device.
func (k *Kernel) Apply(o bridge.Op) (note string, err error) {
	reqs, err := encode(o, k.index)
	if err != nil {
		return "", fmt.Errorf("%v: %w", o, err)
	}
	for i, r := range reqs {
		text, err := k.c.Do(r.typ, r.flags, r.payload)
		if err != nil && !(i < len(reqs)-1 && quiet(r.typ, err)) {
			return "", fmt.Errorf("%v: %w", o, err)
		}
		if err == nil && text != "" {
			note = text
		}
	}
	switch o.(type) {
	case bridge.AddBridge, bridge.AddLAG, bridge.AddLeg, bridge.DelLink:
		clear(k.names)
	}
	return note, nil
}

// quiet says that a request that prepares another may fail so: clsact is there,
// the filter to replace is not.
func quiet(typ uint16, err error) bool {
	switch c := nlerr.Classify(err); typ {
	case unix.RTM_NEWQDISC:
		return c == nlerr.Exists
	case unix.RTM_DELTFILTER:
		return c == nlerr.Absent || c == nlerr.Invalid
	}
	return false
}

// index finds a device by name, as it was when last read or by asking.
func (k *Kernel) index(name string) (int, error) {
	if i, ok := k.names[name]; ok {
		return i, nil
	}
	var w nlattr.Builder
	w.Raw(ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	w.String(unix.IFLA_IFNAME, name)
	b, err := w.Payload()
	if err != nil {
		return 0, err
	}
	msgs, err := k.c.Get(unix.RTM_GETLINK, 0, b)
	if err != nil {
		return 0, fmt.Errorf("device %s: %w", name, err)
	}
	for _, m := range msgs {
		l, err := decodeLink(m.Data)
		if err != nil {
			return 0, err
		}
		k.names[name] = l.index
		return l.index, nil
	}
	return 0, fmt.Errorf("device %s: %w", name, error(unix.ENODEV))
}
