// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"slices"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
)

// VLANMode is how a port takes part in VLANs (ovs-vswitchd.conf.db(5), Port vlan_mode).
type VLANMode uint8

const (
	Trunk VLANMode = iota
	Access
	NativeTagged
	NativeUntagged
)

func (m VLANMode) String() string {
	return [...]string{"trunk", "access", "native-tagged", "native-untagged"}[m]
}

// PriorityTags says when a frame that leaves without VLAN keeps a tag with VID 0
// for its priority (Port other_config:priority-tags). As the stock switch does it: on a port
// that takes the VLAN's tag away, Always is IfNonzero.
type PriorityTags uint8

const (
	PriorityNever PriorityTags = iota
	PriorityIfNonzero
	PriorityAlways
)

// VLANSet is a set of VLAN identifiers, 0 to 4095.
type VLANSet [64]uint64

// NewVLANSet returns a set of vids; values above 4095 are left out.
func NewVLANSet(vids ...uint16) *VLANSet {
	s := new(VLANSet)
	for _, v := range vids {
		if v < 4096 {
			s[v/64] |= 1 << (v % 64)
		}
	}
	return s
}

// Has reports whether vid is in s; a nil set has all.
func (s *VLANSet) Has(vid uint16) bool {
	return s == nil || vid < 4096 && s[vid/64]>>(vid%64)&1 != 0
}

func (s *VLANSet) equal(o *VLANSet) bool {
	if s == nil || o == nil {
		return s == o
	}
	return *s == *o
}

// VLAN is the VLAN configuration of a port. The zero value is a trunk of all VLANs.
type VLAN struct {
	Mode         VLANMode
	Tag          uint16   // Access and Native*: 0 to 4095
	Trunks       *VLANSet // not Access; nil: all. Tag is a member of its own accord.
	PriorityTags PriorityTags
}

// Equal reports whether v and o mean the same.
func (v VLAN) Equal(o VLAN) bool {
	return v.Mode == o.Mode && v.Tag == o.Tag && v.PriorityTags == o.PriorityTags && v.Trunks.equal(o.Trunks)
}

// carries reports whether frames of VLAN vid leave through the port.
func (v *VLAN) carries(vid uint16) bool {
	switch v.Mode {
	case Access:
		return vid == v.Tag
	case NativeTagged, NativeUntagged:
		// Frames of VLAN 0 would leave untagged and come back as the native VLAN's.
		if vid == v.Tag || vid == 0 {
			return vid == v.Tag
		}
	}
	return v.Trunks.Has(vid)
}

// classify returns the VLAN of a frame that arrives with VID vid (0: no tag, or a
// priority tag), and whether the port takes it.
func (v *VLAN) classify(vid uint16) (uint16, bool) {
	switch v.Mode {
	case Access:
		return v.Tag, vid == 0
	case NativeTagged, NativeUntagged:
		if vid == 0 || vid == v.Tag {
			return v.Tag, true
		}
	}
	return vid, v.Trunks.Has(vid)
}

// Port is a port of a Bridge as translation needs it. Its settings made by controllers are in
// package ofproto.
type Port struct {
	Bridge *Bridge
	No     action.Port
	Name   string
	DP     dpif.Port // unless Peer is set
	Patch  bool
	Peer   *Port // the other end of a patch port; nil while it has none
	VLAN   VLAN
	Bundle string // ports with the same, which is not empty, are one logical port
	Leg    *Leg   // the chip that bridges this port; nil: none does
}

// Leg is where the traffic between the ports that a chip bridges (a kernel bridge
// that is offloaded) and all others crosses: a member of that bridge on one side, a port of the
// datapath on this. It is not a port of the OpenFlow switch. What NORMAL sends to ports of the
// chip goes through the leg once, and the chip's tables say to which; what comes from it has
// been to those that it is for already.
//
// Frames on the leg always have a tag. An output to one port (not by NORMAL) passes the leg by:
// the device of a bridged port sends on this port alone.
type Leg struct {
	No       action.Port // where its packets come from, for translation: not of a port
	Name     string
	DP       dpif.Port
	Untagged uint16 // the VID on the leg of what has VLAN 0 here; frames of that VLAN do not cross
}

// Bridge is a bridge as translation needs it.
type Bridge struct {
	Name        string
	OF          *ofproto.Bridge
	FDB         *fdb.Table
	ForwardBPDU bool

	ports map[action.Port]*Port
	order []action.Port // rising
	legs  []*Leg
}

// NewBridge returns a bridge without ports.
func NewBridge(name string, of *ofproto.Bridge, table *fdb.Table) *Bridge {
	return &Bridge{Name: name, OF: of, FDB: table, ports: make(map[action.Port]*Port)}
}

// Port returns a port, or nil.
func (b *Bridge) Port(no action.Port) *Port { return b.ports[no] }

// PortNamed finds a port by its name.
func (b *Bridge) PortNamed(name string) (action.Port, bool) {
	for _, no := range b.order {
		if b.ports[no].Name == name {
			return no, true
		}
	}
	return 0, false
}

// Ports returns the numbers of the ports, rising. The slice must not be changed.
func (b *Bridge) Ports() []action.Port { return b.order }

// SetPort adds p or replaces the port with its number.
func (b *Bridge) SetPort(p *Port) {
	if b.ports[p.No] == nil {
		i, _ := slices.BinarySearch(b.order, p.No)
		b.order = slices.Insert(b.order, i, p.No)
	}
	p.Bridge = b
	b.ports[p.No] = p
}

// RemovePort takes a port out.
func (b *Bridge) RemovePort(no action.Port) {
	if i, ok := slices.BinarySearch(b.order, no); ok {
		b.order = slices.Delete(b.order, i, i+1)
		delete(b.ports, no)
	}
}

// Legs returns the legs. The slice must not be changed.
func (b *Bridge) Legs() []*Leg { return b.legs }

// SetLegs replaces the legs; ports must not point to others.
func (b *Bridge) SetLegs(l []*Leg) { b.legs = l }

// leg returns the leg whose packets come from no, or nil.
func (b *Bridge) leg(no action.Port) *Leg {
	for _, l := range b.legs {
		if l.No == no {
			return l
		}
	}
	return nil
}
