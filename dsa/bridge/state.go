// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/firmware/base/order"
)

// State is bridges, their members and what hangs on them: wanted, or as the
// kernel has it. Everything is named, as ifindexes change.
type State struct {
	Bridges []Bridge
	LAGs    []LAG
	Legs    []Leg
	Ports   []Port // members, and ports of the scope that are in no bridge
	FDB     []FDBEntry
	MDB     []MDBEntry
	Mirrors []Mirror
	Polices []Police
	Qdiscs  []Qdisc
}

// Bridge is a kernel bridge. A wanted one filters VLANs and has no default
// PVID: then a port that joins forwards nothing until a VLAN is added to it.
type Bridge struct {
	Name          string
	Up            bool
	VLANFiltering bool
	DefaultPVID   uint16
	Ageing        time.Duration // of learned MACs, in steps of 10 ms; 0: leave as it is
	McastSnooping bool
	// UserSTP lets port states be set from user space, and leaves a port that
	// gets a carrier blocking. Without it the kernel makes every port forward
	// that is not disabled (net/bridge/br_stp.c, br_port_state_selection). The
	// kernel grants it if /sbin/bridge-stp says so, in the first network
	// namespace only; otherwise it runs its own spanning tree, and reads false.
	UserSTP bool
	MST     bool   // VLANs have their own spanning tree states; only to be set before VLANs are
	VLANs   []VLAN // of the bridge itself: what the chip hands to its CPU port
}

// VLAN is a port's membership in a VLAN.
type VLAN struct {
	VID      uint16 // 1-4094
	PVID     bool   // untagged frames that come in belong to it; one VLAN of a port has it
	Untagged bool   // frames leave without tag
}

// LAG is a bond: its members are the Ports with it as Master, and it is itself
// a Port, by name.
type LAG struct {
	Name string
	Mode LAGMode
	Hash string // transmit hash policy: "layer2", "layer2+3", "layer3+4"; "" leaves it
}

// Leg is a pair of veth devices, which joins a bridge to our datapath. Inner
// is the member: it is among the Ports, too. Outer is the datapath's, and down
// until it takes it. Its key is Inner.
type Leg struct{ Inner, Outer string }

// LAGMode is a bonding mode (linux/if_bonding.h).
type LAGMode string

const (
	ActiveBackup LAGMode = "active-backup"
	BalanceXOR   LAGMode = "balance-xor"
	LACP         LAGMode = "802.3ad"
)

// Port is a netdev that is, or may be, a member of a bridge or LAG.
type Port struct {
	Name   string
	Master string // bridge or LAG; "": standalone
	Up     bool
	MTU    int // bytes; 0: leave as it is
	Flags  Flags
	STP    STPState
	VLANs  []VLAN
	// MSTs are spanning tree states of instances, by MSTI 1-4094.
	MSTs []MST
}

// Flags are a bridge port's that a driver gets to see (net/bridge/br_switchdev.c
// BR_PORT_FLAGS_HW_OFFLOAD).
type Flags struct {
	Learning   bool
	Flood      bool // unknown unicast leaves by it
	McastFlood bool
	BcastFlood bool
	Isolated   bool // reaches only ports that are not isolated
	Locked     bool // takes frames only of MACs in the FDB
	Hairpin    bool // frames may leave by the port that they came by
}

// DefaultFlags are those of a port that has just joined a bridge.
func DefaultFlags() Flags {
	return Flags{Learning: true, Flood: true, McastFlood: true, BcastFlood: true}
}

// STPState is a bridge port's state (linux/if_bridge.h BR_STATE_*) plus one.
type STPState uint8

const (
	STPUnmanaged STPState = iota // leave it to the kernel: forwarding while there is a carrier
	STPDisabled
	STPBlocking
	STPListening
	STPLearning
	STPForwarding
)

func (s STPState) String() string {
	if int(s) < len(stpNames) {
		return stpNames[s]
	}
	return fmt.Sprintf("state%d", uint8(s))
}

var stpNames = [...]string{"unmanaged", "disabled", "blocking", "listening", "learning", "forwarding"}

// MST is a port's spanning tree state in one instance.
type MST struct {
	MSTI  uint16
	State STPState
}

// FDBEntry is a static MAC. Its key is bridge, VLAN and MAC.
type FDBEntry struct {
	Bridge string
	VID    uint16
	MAC    MAC
	Port   string // a member, or the bridge itself: the CPU
	Sticky bool   // the MAC may not be learned elsewhere (NTF_STICKY)
	// Offloaded says that the driver confirmed it (NTF_OFFLOADED). Of a wanted
	// entry it means nothing.
	Offloaded bool
}

// MAC is an Ethernet address.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MDBEntry says that a group leaves by a port. Its key is all of it but
// Offloaded.
type MDBEntry struct {
	Bridge    string
	Port      string // a member, or the bridge itself
	VID       uint16
	Group     string // IPv4 or IPv6 address in canonical text, or a MAC for layer 2
	Offloaded bool   // MDB_FLAGS_OFFLOAD
}

// Direction is of frames, as the port sees them.
type Direction string

const (
	Ingress Direction = "ingress"
	Egress  Direction = "egress"
)

// Mirror copies a port's frames to another port. Its key is From and Dir: a
// chip has one mirror of a port and direction.
type Mirror struct {
	From string
	Dir  Direction
	To   string
	InHW bool // read back: TCA_CLS_FLAGS_IN_HW
}

// Police limits what a port takes; what is above is dropped. Exactly one of
// Rate and Packets is not 0. Its key is Port.
type Police struct {
	Port    string
	Rate    uint64 // bytes a second
	Burst   uint32 // bytes
	Packets uint64 // packets a second
	PBurst  uint64 // packets
	InHW    bool
}

// Qdisc is a root queueing discipline without classes. Its key is Port.
type Qdisc struct {
	Port      string
	Kind      string // "tbf", "fq_codel", "pfifo", ...; options but tbf's are the kernel's defaults
	Rate      uint64 // tbf: bytes a second
	Burst     uint32 // tbf: bytes
	Limit     uint32 // tbf: bytes that wait
	Offloaded bool   // TCA_HW_OFFLOAD
}

// VLANOf returns the membership of vid.
func VLANOf(vs []VLAN, vid uint16) (VLAN, bool) {
	for _, v := range vs {
		if v.VID == vid {
			return v, true
		}
	}
	return VLAN{}, false
}

func (s *State) bridge(name string) *Bridge {
	for i := range s.Bridges {
		if s.Bridges[i].Name == name {
			return &s.Bridges[i]
		}
	}
	return nil
}

func (s *State) leg(inner string) bool {
	return slices.ContainsFunc(s.Legs, func(l Leg) bool { return l.Inner == inner })
}

func (s *State) lag(name string) *LAG {
	for i := range s.LAGs {
		if s.LAGs[i].Name == name {
			return &s.LAGs[i]
		}
	}
	return nil
}

// PortByName returns the port, nil if there is none.
func (s *State) PortByName(name string) *Port {
	for i := range s.Ports {
		if s.Ports[i].Name == name {
			return &s.Ports[i]
		}
	}
	return nil
}

// Clone returns a copy that shares nothing with s.
func (s State) Clone() State {
	c := State{
		Bridges: slices.Clone(s.Bridges), LAGs: slices.Clone(s.LAGs), Legs: slices.Clone(s.Legs), Ports: slices.Clone(s.Ports), FDB: slices.Clone(s.FDB),
		MDB: slices.Clone(s.MDB), Mirrors: slices.Clone(s.Mirrors), Polices: slices.Clone(s.Polices), Qdiscs: slices.Clone(s.Qdiscs),
	}
	for i := range c.Bridges {
		c.Bridges[i].VLANs = slices.Clone(c.Bridges[i].VLANs)
	}
	for i := range c.Ports {
		c.Ports[i].VLANs = slices.Clone(c.Ports[i].VLANs)
		c.Ports[i].MSTs = slices.Clone(c.Ports[i].MSTs)
	}
	return c
}

// Sort brings s into one order, so that equal states are equal values.
func (s *State) Sort() {
	order.Sort(s.Bridges, func(a, b Bridge) int { return strings.Compare(a.Name, b.Name) })
	order.Sort(s.LAGs, func(a, b LAG) int { return strings.Compare(a.Name, b.Name) })
	order.Sort(s.Legs, func(a, b Leg) int { return strings.Compare(a.Inner, b.Inner) })
	order.Sort(s.Ports, func(a, b Port) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.Bridges {
		sortVLANs(s.Bridges[i].VLANs)
	}
	for i := range s.Ports {
		sortVLANs(s.Ports[i].VLANs)
		order.Sort(s.Ports[i].MSTs, func(a, b MST) int { return cmp.Compare(a.MSTI, b.MSTI) })
	}
	order.Sort(s.FDB, func(a, b FDBEntry) int {
		return cmp.Or(strings.Compare(a.Bridge, b.Bridge), cmp.Compare(a.VID, b.VID), slices.Compare(a.MAC[:], b.MAC[:]))
	})
	order.Sort(s.MDB, func(a, b MDBEntry) int {
		return cmp.Or(strings.Compare(a.Bridge, b.Bridge), cmp.Compare(a.VID, b.VID), strings.Compare(a.Group, b.Group), strings.Compare(a.Port, b.Port))
	})
	order.Sort(s.Mirrors, func(a, b Mirror) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(string(a.Dir), string(b.Dir)))
	})
	order.Sort(s.Polices, func(a, b Police) int { return strings.Compare(a.Port, b.Port) })
	order.Sort(s.Qdiscs, func(a, b Qdisc) int { return strings.Compare(a.Port, b.Port) })
}

func sortVLANs(vs []VLAN) {
	order.Sort(vs, func(a, b VLAN) int { return cmp.Compare(a.VID, b.VID) })
}

// Check says what keeps s from being wanted. Plan relies on it.
func (s *State) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	once := func(what, name string) {
		if name == "" || seen[what+name] {
			bad("%s %q is there twice, or has no name", what, name)
		}
		seen[what+name] = true
	}
	for _, b := range s.Bridges {
		once("device ", b.Name)
		if !b.VLANFiltering || b.DefaultPVID != 0 {
			bad("bridge %s must filter VLANs and have no default PVID", b.Name)
		}
		checkVLANs(b.Name, b.VLANs, bad)
	}
	for _, l := range s.LAGs {
		once("LAG ", l.Name)
		if s.PortByName(l.Name) == nil {
			bad("LAG %s is not among the ports", l.Name)
		}
	}
	for _, l := range s.Legs {
		once("leg ", l.Inner)
		if s.PortByName(l.Inner) == nil || l.Outer == "" || l.Outer == l.Inner {
			bad("leg %s to %q: the inner end is to be a port, the outer one to have a name", l.Inner, l.Outer)
		}
	}
	for _, p := range s.Ports {
		once("device ", p.Name)
		inBridge := s.bridge(p.Master) != nil
		if p.Master != "" && !inBridge && s.lag(p.Master) == nil {
			bad("port %s: there is no bridge or LAG %s", p.Name, p.Master)
		}
		if len(p.VLANs) > 0 && !inBridge {
			bad("port %s has VLANs and is in no bridge", p.Name)
		}
		checkVLANs(p.Name, p.VLANs, bad)
		if b := s.bridge(p.Master); p.STP > STPDisabled && (b == nil || !b.UserSTP) {
			bad("port %s cannot be kept %v: its bridge has no UserSTP", p.Name, p.STP)
		}
	}
	for _, e := range s.FDB {
		once("FDB entry ", fmt.Sprint(e.Bridge, e.VID, e.MAC))
		if e.MAC[0]&1 != 0 || e.MAC == (MAC{}) {
			bad("FDB entry %v of bridge %s is no unicast address", e.MAC, e.Bridge)
		}
		if !s.inVLAN(e.Bridge, e.Port, e.VID) {
			bad("FDB entry %v: %s is not in VLAN %d of bridge %s", e.MAC, e.Port, e.VID, e.Bridge)
		}
	}
	for _, e := range s.MDB {
		once("MDB entry ", fmt.Sprint(e.Bridge, e.VID, e.Group, e.Port))
		if !s.inVLAN(e.Bridge, e.Port, e.VID) {
			bad("MDB entry %s: %s is not in VLAN %d of bridge %s", e.Group, e.Port, e.VID, e.Bridge)
		}
	}
	for _, m := range s.Mirrors {
		once("mirror ", m.From+" "+string(m.Dir))
		if m.To == m.From || m.To == "" || (m.Dir != Ingress && m.Dir != Egress) {
			bad("mirror of %s %s to %q", m.From, m.Dir, m.To)
		}
	}
	for _, p := range s.Polices {
		once("police ", p.Port)
		if (p.Rate == 0) == (p.Packets == 0) {
			bad("police of %s wants either bytes or packets", p.Port)
		}
	}
	for _, q := range s.Qdiscs {
		once("qdisc ", q.Port)
	}
	return errors.Join(errs...)
}

func checkVLANs(name string, vs []VLAN, bad func(string, ...any)) {
	pvids := 0
	have := map[uint16]bool{}
	for _, v := range vs {
		if v.VID < 1 || v.VID > 4094 || have[v.VID] {
			bad("%s: VLAN %d is out of 1-4094 or there twice", name, v.VID)
		}
		have[v.VID] = true
		if v.PVID {
			pvids++
		}
	}
	if pvids > 1 {
		bad("%s has %d PVIDs", name, pvids)
	}
}

func (s *State) inVLAN(bridge, port string, vid uint16) bool {
	if b := s.bridge(bridge); b != nil && port == bridge {
		_, ok := VLANOf(b.VLANs, vid)
		return ok
	}
	p := s.PortByName(port)
	if p == nil || p.Master != bridge {
		return false
	}
	_, ok := VLANOf(p.VLANs, vid)
	return ok
}

// Without returns s with these ports taken out of their bridges, to stand
// alone: what is wanted of them there is dropped.
func (s State) Without(ports ...string) State {
	c := s.Clone()
	out := func(name string) bool { return slices.Contains(ports, name) }
	for i := range c.Ports {
		if p := &c.Ports[i]; out(p.Name) {
			p.Master, p.VLANs, p.MSTs, p.STP, p.Flags = "", nil, nil, STPUnmanaged, Flags{}
		}
	}
	c.FDB = slices.DeleteFunc(c.FDB, func(e FDBEntry) bool { return out(e.Port) })
	c.MDB = slices.DeleteFunc(c.MDB, func(e MDBEntry) bool { return out(e.Port) })
	c.Mirrors = slices.DeleteFunc(c.Mirrors, func(m Mirror) bool { return out(m.From) || out(m.To) })
	c.Polices = slices.DeleteFunc(c.Polices, func(p Police) bool { return out(p.Port) })
	return c
}
