// SPDX-License-Identifier: Apache-2.0

package dsa

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/weirswitch/weir/firmware/base/order"
)

// Kind says by which of the kernel's models a netdev is a port of a chip.
type Kind string

const (
	KindPlain     Kind = "plain"     // no port of a switch: every frame meets the CPU
	KindSwitchdev Kind = "switchdev" // a port of a chip with its own driver (rocker, prestera, mlxsw)
	KindDSA       Kind = "dsa"       // a user port behind a conduit
)

// Flavour is a devlink port's (enum devlink_port_flavour, linux/devlink.h).
type Flavour string

const (
	FlavourPhysical Flavour = "physical"
	FlavourCPU      Flavour = "cpu" // towards the conduit
	FlavourDSA      Flavour = "dsa" // towards another chip of the tree
	FlavourVirtual  Flavour = "virtual"
	FlavourUnused   Flavour = "unused"
	FlavourOther    Flavour = "other" // of a virtualised NIC
)

// NoNumber is the number of a port whose number nobody says.
const NoNumber = -1

// Topology is what there is, in the order that the package's comment states.
type Topology struct {
	Switches []Switch `json:"switches"`
	Ports    []Port   `json:"ports"`
}

// Switch is one domain of hardware forwarding.
type Switch struct {
	ID    string `json:"id"` // phys_switch_id in hex, "00000000" for the first DSA tree
	Kind  Kind   `json:"kind"`
	Chips []Chip `json:"chips,omitempty"` // none where the driver has no devlink (rocker)
}

// Chip is a devlink instance.
type Chip struct {
	Handle    string            `json:"handle"` // "mdio_bus/fixed-0:1f": bus and device
	Driver    string            `json:"driver,omitempty"`
	Versions  map[string]string `json:"versions,omitempty"` // of devlink dev info, fixed and running
	Ports     []ChipPort        `json:"ports"`
	Resources []Resource        `json:"resources,omitempty"`
}

// ChipPort is a port as devlink sees it, those without netdev included.
type ChipPort struct {
	Index   uint32  `json:"index"`
	Number  int     `json:"number"`
	Flavour Flavour `json:"flavour"`
	Netdev  string  `json:"netdev,omitempty"`
}

// Resource is a table of a chip and how full it is.
type Resource struct {
	Name string  `json:"name"`           // "VTU", "ATU"
	Size uint64  `json:"size"`           // entries
	Used *uint64 `json:"used,omitempty"` // entries; nil: the driver does not say
}

// Port is an Ethernet netdev.
type Port struct {
	Index    int     `json:"ifindex"`
	Name     string  `json:"name"`
	Kind     Kind    `json:"kind"`
	Switch   string  `json:"switch,omitempty"`         // Switch.ID
	PhysName string  `json:"phys_port_name,omitempty"` // "p2", "sw1p2"
	Number   int     `json:"number"`                   // in the chip, or NoNumber
	Flavour  Flavour `json:"flavour,omitempty"`
	Chip     string  `json:"chip,omitempty"`    // Chip.Handle
	Conduit  string  `json:"conduit,omitempty"` // name of the netdev behind the CPU port
	Tagging  string  `json:"tagging,omitempty"` // of a DSA port its conduit's, of a conduit its own: "edsa", "mtk", "none"
	// IsConduit says that chips hang behind this netdev.
	IsConduit bool   `json:"is_conduit,omitempty"`
	Driver    string `json:"driver,omitempty"` // of the chip for a chip port: "mv88e6085", "rocker"
	LinkKind  string `json:"link_kind,omitempty"`
	MAC       string `json:"mac,omitempty"`
	Master    string `json:"master,omitempty"` // bridge or LAG
	Up        bool   `json:"up"`
	Carrier   bool   `json:"carrier"`
	MTU       int    `json:"mtu"` // bytes of payload, as are the next two
	MinMTU    int    `json:"min_mtu,omitempty"`
	MaxMTU    int    `json:"max_mtu,omitempty"` // 0: no bound known
	// HWTC is the feature hw-tc-offload. For a DSA port it is always on and
	// says nothing (net/dsa/user.c).
	HWTC bool         `json:"hw_tc_offload"`
	XDP  Support      `json:"xdp_native"`
	Caps Capabilities `json:"capabilities"`
}

// OnChip says that the port is one of a switch chip.
func (p Port) OnChip() bool { return p.Kind != KindPlain }

// Port returns the port of that name.
func (t Topology) Port(name string) (Port, bool) {
	for _, p := range t.Ports {
		if p.Name == name {
			return p, true
		}
	}
	return Port{}, false
}

// Sort brings t into the order that the package promises.
func (t *Topology) Sort() {
	order.Sort(t.Switches, func(a, b Switch) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range t.Switches {
		order.Sort(s.Chips, func(a, b Chip) int { return cmp.Compare(a.Handle, b.Handle) })
		for _, c := range s.Chips {
			order.Sort(c.Ports, func(a, b ChipPort) int { return cmp.Compare(a.Index, b.Index) })
		}
	}
	order.Sort(t.Ports, func(a, b Port) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)), strings.Compare(a.Switch, b.Switch), strings.Compare(a.Chip, b.Chip),
			cmp.Compare(a.Number, b.Number), strings.Compare(a.Name, b.Name), cmp.Compare(a.Index, b.Index))
	})
}

// rank puts the ports of chips before the others.
func rank(p Port) int {
	if p.OnChip() {
		return 0
	}
	return 1
}

// ChangeKind is what happened to a port.
type ChangeKind string

const (
	PortAdded   ChangeKind = "added"
	PortRemoved ChangeKind = "removed"
	PortChanged ChangeKind = "changed" // any field; a rename too
)

// Change is one difference between two topologies.
type Change struct {
	Kind ChangeKind
	Old  Port // of PortRemoved and PortChanged
	New  Port // of PortAdded and PortChanged
}

// Diff returns what happened between two topologies, removals first. A port
// is the same one while its ifindex is: a netdev that was taken out and put
// back is removed and added.
func Diff(old, now Topology) []Change {
	was := make(map[int]Port, len(old.Ports))
	for _, p := range old.Ports {
		was[p.Index] = p
	}
	var gone, rest []Change
	is := make(map[int]bool, len(now.Ports))
	for _, p := range now.Ports {
		is[p.Index] = true
		switch o, known := was[p.Index]; {
		case !known:
			rest = append(rest, Change{Kind: PortAdded, New: p})
		case o != p:
			rest = append(rest, Change{Kind: PortChanged, Old: o, New: p})
		}
	}
	for _, p := range old.Ports {
		if !is[p.Index] {
			gone = append(gone, Change{Kind: PortRemoved, Old: p})
		}
	}
	return append(gone, rest...)
}

// Fields says in words what differs: "carrier=true", "name=lan1"; for a port
// that came or went its switch and number.
func (c Change) Fields() []string {
	p := c.New
	if c.Kind == PortRemoved {
		p = c.Old
	}
	if c.Kind != PortChanged {
		f := []string{"kind=" + string(p.Kind)}
		if p.OnChip() {
			f = append(f, "switch="+p.Switch, fmt.Sprintf("number=%d", p.Number))
		}
		return f
	}
	var f []string
	add := func(differs bool, name string, value any) {
		if differs {
			f = append(f, fmt.Sprintf("%s=%v", name, value))
		}
	}
	o := c.Old
	add(o.Name != p.Name, "name", p.Name)
	add(o.Kind != p.Kind, "kind", p.Kind)
	add(o.Switch != p.Switch, "switch", p.Switch)
	add(o.Number != p.Number, "number", p.Number)
	add(o.Conduit != p.Conduit, "conduit", p.Conduit)
	add(o.Tagging != p.Tagging, "tagging", p.Tagging)
	add(o.Master != p.Master, "master", p.Master)
	add(o.Up != p.Up, "up", p.Up)
	add(o.Carrier != p.Carrier, "carrier", p.Carrier)
	add(o.MTU != p.MTU, "mtu", p.MTU)
	add(o.MAC != p.MAC, "mac", p.MAC)
	add(o.HWTC != p.HWTC, "hw-tc-offload", p.HWTC)
	if len(f) == 0 {
		f = []string{"other"}
	}
	return f
}
