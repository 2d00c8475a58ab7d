// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"fmt"
	"slices"
	"strings"
)

// vlanMode are the values of Port vlan_mode.
type vlanMode string

const (
	access         vlanMode = "access"
	trunk          vlanMode = "trunk"
	nativeTagged   vlanMode = "native-tagged"
	nativeUntagged vlanMode = "native-untagged"
)

// settings are those of a port that have to do with VLANs.
type settings struct {
	mode   vlanMode
	tag    int
	trunks []int // nil: all
}

// columns are the arguments of `ovs-vsctl set port NAME` for them.
func (s settings) columns() []string {
	out := []string{"vlan_mode=" + string(s.mode), "tag=[]", "trunks=[]"}
	if s.mode != trunk {
		out[1] = fmt.Sprintf("tag=%d", s.tag)
	}
	if s.trunks != nil {
		out[2] = "trunks=[" + strings.Trim(strings.ReplaceAll(fmt.Sprint(s.trunks), " ", ","), "[]") + "]"
	}
	return out
}

// network is the ports of one bridge. Those in chip are bridged by it.
type network struct {
	ports map[string]settings
	chip  map[string]bool
}

// in returns the VLAN of a frame that arrives with a VID (0: none) and whether the port takes it.
func (n *network) in(port string, vid int) (int, bool) {
	s := n.ports[port]
	switch s.mode {
	case access:
		// A chip takes the tag of the port's own VLAN too (package chip).
		return s.tag, vid == 0 || n.chip[port] && vid == s.tag
	case nativeTagged, nativeUntagged:
		if vid == 0 {
			vid = s.tag
		}
		return vid, vid == s.tag || n.trunks(port, vid)
	}
	return vid, n.trunks(port, vid)
}

// trunks reports whether a port's trunks have a VLAN. On a chip a trunk of all has those that some row names.
func (n *network) trunks(port string, vlan int) bool {
	if t := n.ports[port].trunks; t != nil {
		return slices.Contains(t, vlan)
	}
	return !n.chip[port] || vlan == 0 || n.named(vlan)
}

func (n *network) named(vlan int) bool {
	for _, s := range n.ports {
		if s.mode != trunk && s.tag == vlan || slices.Contains(s.trunks, vlan) {
			return true
		}
	}
	return false
}

// out returns the VID (0: none) with which a frame of a VLAN leaves, and whether it does.
func (n *network) out(port string, vlan int) (int, bool) {
	s := n.ports[port]
	switch s.mode {
	case access:
		return 0, vlan == s.tag
	case nativeTagged:
		return vlan, vlan == s.tag || vlan != 0 && n.trunks(port, vlan)
	case nativeUntagged:
		if vlan == s.tag {
			return 0, true
		}
		return vlan, vlan != 0 && n.trunks(port, vlan)
	}
	return vlan, n.trunks(port, vlan)
}

// end is a frame that left: by which port and with which VID.
type end struct {
	port string
	vid  int
}

func (e end) String() string { return fmt.Sprintf("%s:%d", e.port, e.vid) }

// flood returns where a broadcast goes.
func (n *network) flood(port string, vid int) map[end]bool {
	ends := map[end]bool{}
	vlan, ok := n.in(port, vid)
	if !ok {
		return ends
	}
	// Between a chip's port and another one the leg carries the VLANs of the chip's ports.
	for p := range n.ports {
		if v, ok := n.out(p, vlan); ok && p != port && (n.chip[p] == n.chip[port] || n.leg(vlan)) {
			ends[end{p, v}] = true
		}
	}
	return ends
}

// leg reports whether a port of the chip is in a VLAN.
func (n *network) leg(vlan int) bool {
	for p := range n.chip {
		if _, ok := n.out(p, vlan); n.chip[p] && ok {
			return true
		}
	}
	return false
}

// with returns n with one port's settings changed.
func (n *network) with(port string, s settings) *network {
	c := &network{ports: map[string]settings{}, chip: n.chip}
	for p, o := range n.ports {
		c.ports[p] = o
	}
	c.ports[port] = s
	return c
}

// on returns n with other ports in the chip.
func (n *network) on(chip ...string) *network {
	c := &network{ports: n.ports, chip: map[string]bool{}}
	for _, p := range chip {
		c.chip[p] = true
	}
	return c
}

func text(ends map[end]bool) string {
	var s []string
	for e := range ends {
		s = append(s, e.String())
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}
