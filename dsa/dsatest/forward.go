// SPDX-License-Identifier: Apache-2.0

package dsatest

import (
	"fmt"
	"slices"

	"github.com/weirswitch/weir/dsa/bridge"
)

// Frame is what arrives at a port.
type Frame struct {
	Port  string
	VID   uint16 // of its tag; 0: it has none
	Dst   bridge.MAC
	Group string // of a multicast frame, as in the MDB; "": Dst says what it is
}

func (f Frame) String() string {
	tag := "untagged"
	if f.VID != 0 {
		tag = fmt.Sprintf("tagged %d", f.VID)
	}
	return fmt.Sprintf("%s into %s for %v %s", tag, f.Port, f.Dst, f.Group)
}

// Delivery is a frame that leaves.
type Delivery struct {
	Port string // a bridge's name: the CPU
	VID  uint16 // of its tag; 0: it has none
}

// May returns where the frame can go by s, whatever has been learned.
func May(s *bridge.State, f Frame) map[Delivery]bool {
	out := map[Delivery]bool{}
	in := s.PortByName(f.Port)
	if in == nil || !in.Up || !passes(in) {
		return out
	}
	br := bridgeOf(s, in.Master)
	if br == nil || !br.Up {
		return out
	}
	vid := f.VID
	if !br.VLANFiltering {
		vid = 0
	} else if vid == 0 {
		for _, v := range in.VLANs {
			if v.PVID {
				vid = v.VID
			}
		}
		if vid == 0 {
			return out
		}
	} else if _, ok := bridge.VLANOf(in.VLANs, vid); !ok {
		return out
	}
	kind := kindOf(f)
	static, isStatic := "", false
	grouped := false
	for _, e := range s.FDB {
		if e.Bridge == br.Name && e.VID == vid && e.MAC == f.Dst && kind == unicast {
			static, isStatic = e.Port, true
		}
	}
	for _, e := range s.MDB {
		grouped = grouped || e.Bridge == br.Name && e.VID == vid && e.Group == f.Group && kind == multicast
	}
	for _, p := range s.Ports {
		if p.Master != br.Name || p.Name == f.Port && !p.Flags.Hairpin || !p.Up || !passes(&p) || in.Flags.Isolated && p.Flags.Isolated {
			continue
		}
		var ok bool
		switch {
		case isStatic:
			ok = p.Name == static
		case grouped:
			ok = inGroup(s, br.Name, p.Name, vid, f.Group)
		case kind == unicast:
			ok = p.Flags.Flood || p.Flags.Learning
		case kind == multicast:
			ok = p.Flags.McastFlood
		default:
			ok = p.Flags.BcastFlood
		}
		if ok {
			deliver(out, br, p.Name, p.VLANs, vid, f.VID)
		}
	}
	if isStatic && static != br.Name || grouped && !inGroup(s, br.Name, br.Name, vid, f.Group) {
		return out
	}
	deliver(out, br, br.Name, br.VLANs, vid, f.VID)
	return out
}

func deliver(out map[Delivery]bool, br *bridge.Bridge, port string, vs []bridge.VLAN, vid, tag uint16) {
	if !br.VLANFiltering {
		out[Delivery{port, tag}] = true
		return
	}
	v, ok := bridge.VLANOf(vs, vid)
	switch {
	case !ok:
	case v.Untagged:
		out[Delivery{port, 0}] = true
	default:
		out[Delivery{port, vid}] = true
	}
}

func passes(p *bridge.Port) bool {
	return p.STP == bridge.STPUnmanaged || p.STP == bridge.STPForwarding
}

func inGroup(s *bridge.State, br, port string, vid uint16, group string) bool {
	for _, e := range s.MDB {
		if e.Bridge == br && e.VID == vid && e.Group == group && e.Port == port {
			return true
		}
	}
	return false
}

func bridgeOf(s *bridge.State, name string) *bridge.Bridge {
	for i := range s.Bridges {
		if s.Bridges[i].Name == name {
			return &s.Bridges[i]
		}
	}
	return nil
}

type frameKind uint8

const (
	unicast frameKind = iota
	multicast
	broadcast
)

func kindOf(f Frame) frameKind {
	switch {
	case f.Group != "":
		return multicast
	case f.Dst == bridge.MAC{255, 255, 255, 255, 255, 255}:
		return broadcast
	case f.Dst[0]&1 != 0:
		return multicast
	}
	return unicast
}

// Frames returns every kind of frame that could tell s from other states: into
// each port, without tag and with each VLAN of vids, for each MAC and group of
// the states and for ones that no state knows.
func Frames(vids []uint16, states ...*bridge.State) []Frame {
	ports, groups := []string{}, []string{"239.255.9.9"}
	macs := []bridge.MAC{{2, 0xee}, {255, 255, 255, 255, 255, 255}}
	for _, s := range states {
		for _, p := range s.Ports {
			ports = append(ports, p.Name)
		}
		for _, e := range s.FDB {
			macs = append(macs, e.MAC)
		}
		for _, e := range s.MDB {
			groups = append(groups, e.Group)
		}
	}
	slices.Sort(ports)
	slices.Sort(groups)
	slices.SortFunc(macs, func(a, b bridge.MAC) int { return slices.Compare(a[:], b[:]) })
	var fs []Frame
	for _, p := range slices.Compact(ports) {
		for _, vid := range append([]uint16{0}, vids...) {
			for _, m := range slices.Compact(macs) {
				fs = append(fs, Frame{Port: p, VID: vid, Dst: m})
			}
			for _, g := range slices.Compact(groups) {
				fs = append(fs, Frame{Port: p, VID: vid, Dst: bridge.MAC{1, 0, 0x5e}, Group: g})
			}
		}
	}
	return fs
}
