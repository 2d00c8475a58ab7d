// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/firmware/base/order"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// Mode is who forwards the frames of a chip's port.
type Mode uint8

const (
	Standalone Mode = iota // our datapath
	Bridged                // the chip
)

func (m Mode) String() string {
	if m == Bridged {
		return "bridged"
	}
	return "standalone"
}

// HoldTime is how long a port that had to leave its chip's bridge stays away at least after
// the reason has gone.
const HoldTime = 5 * time.Second

// Port is what there is of a chip's port.
type Port struct {
	Name   string // of the network device
	Switch string // which chip (phys_switch_id)
	// Refused says why the port cannot be bridged whatever is wanted; "": it can.
	Refused string
}

// State is a port's mode and why it is that.
type State struct {
	Iface, Bridge, Switch string
	Mode                  Mode
	Reason                string // why not Bridged; "": it is
}

// VLAN is the membership of a port of a kernel bridge in a VLAN.
type VLAN struct {
	VID      uint16 // 1 to 4094
	PVID     bool   // that of frames that arrive without tag
	Untagged bool   // frames leave without tag
}

// Member is a port of a kernel bridge.
type Member struct {
	Name  string
	VLANs []VLAN // ascending
}

// Bridge is a kernel bridge that chips follow.
type Bridge struct {
	Of       string // the OpenFlow bridge
	Name     string // of the kernel's device
	Inner    string // the leg's end that is a member
	Outer    string // the leg's end that is the datapath's
	Untagged uint16 // VID of what has VLAN 0
	Ageing   time.Duration
	MTU      int      // of the leg: the largest of the members
	Members  []Member // ascending by name, the inner end not among them
	Leg      []VLAN   // of the inner end
	Note     string   // what the chip is not given, "": nothing
}

// Assignment is what chips are to do.
type Assignment struct {
	Ports   []State // ascending by interface
	Bridges []Bridge
}

// Input is what Assign decides from.
type Input struct {
	Switch *wanted.Switch
	Ports  map[string]Port // of chips, by device
	MTU    map[string]int  // of devices
	// Usable reports whether an interface has its device; others are left out.
	Usable func(iface string) bool
	// NotNormal says why the tables of a bridge do not leave what arrives on an interface to
	// NORMAL; "": they do.
	NotNormal func(bridge, iface string) string
}

// Holds remembers which ports left the chip, and when they were last unfit.
type Holds struct {
	bridged map[string]bool
	unfit   map[string]time.Time
}

// Assign decides, and notes in h what it decided. It returns when to ask again because a hold ends; zero: no need to.
func Assign(in Input, h *Holds, now time.Time) (a Assignment, again time.Time) {
	if h.bridged == nil {
		h.bridged, h.unfit = map[string]bool{}, map[string]time.Time{}
	}
	seen := map[string]bool{}
	for i := range in.Switch.Bridges {
		b := &in.Switch.Bridges[i]
		var fit []*wanted.Port
		for j := range b.Ports {
			p := &b.Ports[j]
			for _, iface := range p.Interfaces {
				c, ok := in.Ports[iface.Name]
				if !ok || iface.Type != wanted.System || !in.Usable(iface.Name) || seen[iface.Name] {
					continue
				}
				seen[iface.Name] = true
				why := unfit(&in, b, p, c)
				st := State{Iface: iface.Name, Bridge: b.Name, Switch: c.Switch}
				switch since, held := h.unfit[iface.Name]; {
				case why != "":
					if h.bridged[iface.Name] || held {
						h.unfit[iface.Name] = now
					}
					st.Reason = why
				case held && now.Sub(since) < HoldTime:
					st.Reason = fmt.Sprintf("the reason against it is gone for less than %v", HoldTime)
					if end := since.Add(HoldTime); again.IsZero() || end.Before(again) {
						again = end
					}
				default:
					delete(h.unfit, iface.Name)
					st.Mode = Bridged
					fit = append(fit, p)
				}
				h.bridged[iface.Name] = st.Mode == Bridged
				a.Ports = append(a.Ports, st)
			}
		}
		if len(fit) > 0 {
			a.Bridges = append(a.Bridges, bridge(&in, b, fit))
		}
	}
	for name := range h.bridged {
		if !seen[name] {
			delete(h.bridged, name)
			delete(h.unfit, name)
		}
	}
	order.Sort(a.Ports, func(x, y State) int { return strings.Compare(x.Iface, y.Iface) })
	return a, again
}

// unfit says why a chip cannot have a port.
func unfit(in *Input, b *wanted.Bridge, p *wanted.Port, c Port) string {
	switch {
	case in.Switch.NoChip:
		return "other_config:hw-offload-bridge is false"
	case c.Refused != "":
		return c.Refused
	case b.ForwardBPDU: // a kernel bridge takes what is for bridges for itself
		return "other_config:forward-bpdu is beyond the chip"
	case p.Problem != "":
		return p.Problem
	case len(p.Interfaces) > 1:
		return "it is a part of a bond"
	case p.VLAN.PriorityTags != "":
		return "other_config:priority-tags is beyond the chip"
	}
	return in.NotNormal(b.Name, c.Name)
}

// bridge describes the kernel bridge for ports of b.
func bridge(in *Input, b *wanted.Bridge, ports []*wanted.Port) Bridge {
	named, u := vids(b)
	hash := hex.EncodeToString(b.ID[:4])
	k := Bridge{
		Of: b.Name, Name: NamePrefix + "b" + hash, Inner: NamePrefix + "i" + hash, Outer: NamePrefix + "o" + hash,
		Untagged: u, Ageing: b.MACAging,
	}
	all := map[uint16]bool{}
	for _, p := range ports {
		m := Member{Name: p.Interfaces[0].Name, VLANs: membership(p.VLAN, named, u)}
		for _, v := range m.VLANs {
			all[v.VID] = true
		}
		k.MTU = max(k.MTU, in.MTU[m.Name])
		k.Members = append(k.Members, m)
		if p.VLAN.Mode != wanted.Access && p.VLAN.Trunks == nil {
			k.Note = "trunks of all VLANs have on the chip those that a row of the bridge names: " + ranges(named)
			if len(named) == 0 {
				k.Note = "trunks of all VLANs have on the chip frames without tag alone: no row of the bridge names a VLAN"
			}
		}
	}
	for vid := range all {
		k.Leg = append(k.Leg, VLAN{VID: vid})
	}
	order.Sort(k.Leg, func(x, y VLAN) int { return int(x.VID) - int(y.VID) })
	order.Sort(k.Members, func(x, y Member) int { return strings.Compare(x.Name, y.Name) })
	return k
}

// NamePrefix begins the names of the devices that belong to this package's bridges and to nobody else.
const NamePrefix = "wchip-"

// maxUntagged is the highest VID that may stand for VLAN 0. Above are those that drivers keep for themselves:
// rocker from 3840 (rocker_ofdpa.c), net/dsa/tag_8021q.c from 3072, ocelot from 4000.
const maxUntagged = 3071

// vids returns the VIDs that rows of a bridge name, ascending, and one that none does.
func vids(b *wanted.Bridge) (named []uint16, free uint16) {
	set := map[uint16]bool{}
	for _, p := range b.Ports {
		if p.VLAN.Mode != wanted.Trunk {
			set[p.VLAN.Tag] = true
		}
		for _, v := range p.VLAN.Trunks {
			set[v] = true
		}
	}
	delete(set, 0)
	delete(set, 4095) // reserved (IEEE 802.1Q, table 9-2): no bridge forwards it
	for v := range set {
		named = append(named, v)
	}
	slices.Sort(named)
	for free = maxUntagged; free > 1 && set[free]; free-- {
	}
	return named, free
}

// membership turns a port's VLAN settings into those of a kernel bridge. u stands for VLAN 0.
func membership(v wanted.VLAN, named []uint16, u uint16) (out []VLAN) {
	native := v.Tag // of frames without tag
	trunks := v.Trunks
	if trunks == nil {
		trunks = append([]uint16{0}, named...)
	}
	var has []uint16
	switch v.Mode {
	case wanted.Access:
		has = []uint16{v.Tag}
	case wanted.Trunk:
		native = 0
		has = trunks
	default:
		for _, t := range trunks {
			if t != 0 { // would leave without tag and come back as the native VLAN's
				has = append(has, t)
			}
		}
		has = append(has, v.Tag)
	}
	slices.Sort(has)
	for _, vid := range slices.Compact(has) {
		m := VLAN{VID: vid, PVID: vid == native}
		m.Untagged = m.PVID && (v.Mode != wanted.NativeTagged || vid == 0)
		switch {
		case vid == 0:
			m.VID = u
		case vid == u || vid > 4094:
			continue
		}
		out = append(out, m)
	}
	order.Sort(out, func(x, y VLAN) int { return int(x.VID) - int(y.VID) })
	return out
}

// ranges prints ascending numbers as "1-3,5".
func ranges(n []uint16) string {
	var b strings.Builder
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, n[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", n[j])
		}
		i = j + 1
	}
	return b.String()
}

func (v VLAN) String() string {
	s := fmt.Sprint(v.VID)
	if v.PVID {
		s += " pvid"
	}
	if v.Untagged {
		s += " untagged"
	}
	return s
}

// String prints the assignment, one thing a line.
func (a Assignment) String() string {
	var b strings.Builder
	for _, p := range a.Ports {
		fmt.Fprintf(&b, "port %s of %s, chip %s: %v", p.Iface, p.Bridge, p.Switch, p.Mode)
		if p.Reason != "" {
			fmt.Fprintf(&b, " (%s)", p.Reason)
		}
		b.WriteByte('\n')
	}
	for _, k := range a.Bridges {
		fmt.Fprintf(&b, "bridge %s for %s, leg %s-%s, untagged %d, ageing %v, mtu %d\n", k.Name, k.Of, k.Inner, k.Outer, k.Untagged, k.Ageing, k.MTU)
		for _, m := range append(slices.Clone(k.Members), Member{k.Inner, k.Leg}) {
			fmt.Fprintf(&b, "  %s:", m.Name)
			for i, v := range m.VLANs {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, " %v", v)
			}
			b.WriteByte('\n')
		}
		if k.Note != "" {
			fmt.Fprintf(&b, "  note: %s\n", k.Note)
		}
	}
	return b.String()
}
