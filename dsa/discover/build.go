// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/dsa"
)

// Build computes the topology that r tells of. What cannot be decoded is left
// out and reported; the rest is there all the same.
func Build(r *Record) (dsa.Topology, error) {
	var errs []error
	report := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	links := map[int]*link{}
	ethernet := map[int]bool{}
	for _, m := range r.Links {
		l, eth, err := decodeLink(m, r.Order)
		report(err)
		if err == nil && l.Index > 0 {
			links[l.Index], ethernet[l.Index] = &l, eth
		}
	}
	chips, err := chipsOf(r)
	report(err)
	for _, m := range r.Devs {
		i, native, err := decodeXDP(m, r.Order)
		report(err)
		if l := links[i]; l != nil && err == nil {
			l.XDP = dsa.No
			if native {
				l.XDP = dsa.Yes
			}
		}
	}
	onChip := map[int]devlinkPort{}
	for _, c := range chips {
		for _, p := range c.ports {
			if p.ifindex != 0 {
				onChip[p.ifindex] = p
			}
		}
	}
	var t dsa.Topology
	switches := map[string]*dsa.Switch{}
	for _, i := range slices.Sorted(maps.Keys(links)) {
		l := links[i]
		if !ethernet[i] {
			continue
		}
		place(l, links, onChip, r.Facts)
		t.Ports = append(t.Ports, l.Port)
		if !l.OnChip() {
			continue
		}
		s := switches[l.Switch]
		if s == nil {
			s = &dsa.Switch{ID: l.Switch, Kind: l.Kind}
			switches[l.Switch] = s
		}
		if c := chips[l.Chip]; c != nil && !c.placed {
			c.placed = true
			if c.Driver == "" {
				c.Driver = l.Driver
			}
			s.Chips = append(s.Chips, c.Chip)
		}
	}
	for _, s := range switches {
		t.Switches = append(t.Switches, *s)
	}
	t.Sort()
	return t, errors.Join(errs...)
}

// place finds out where in the hardware l is.
func place(l *link, links map[int]*link, onChip map[int]devlinkPort, facts map[string]string) {
	l.HWTC = facts[l.Name+"/hw-tc-offload"] == "on"
	l.Driver = facts[l.Name+"/device/driver"]
	if m := links[l.master]; m != nil {
		l.Master = m.Name
	}
	switch {
	case l.LinkKind == "dsa":
		l.Kind = dsa.KindDSA
		if c := links[l.lower]; c != nil {
			l.Conduit, l.Tagging = c.Name, facts[c.Name+"/dsa/tagging"]
		}
	case l.Switch != "" && l.LinkKind == "": // a bridge, bond or VLAN shows its members' id
		l.Kind = dsa.KindSwitchdev
	default:
		l.Switch = ""
	}
	if tagging, ok := facts[l.Name+"/dsa/tagging"]; ok {
		l.IsConduit, l.Tagging = true, tagging
	}
	if p, ok := onChip[l.Index]; ok {
		l.Chip, l.Number, l.Flavour = p.chip, p.Number, p.Flavour
	} else if l.OnChip() {
		l.Flavour = dsa.FlavourPhysical
		l.Number = numberOf(l.PhysName)
	}
	if l.OnChip() {
		l.Caps = dsa.Driver(l.Driver)
	} else {
		l.Caps = dsa.PlainCapabilities()
	}
}

// numberOf reads the port's number in a name that devlink or a driver made:
// "p3", "sw1p3" (rocker), "p3s1" is a part of port 3 after a split.
func numberOf(physName string) int {
	i := strings.LastIndexByte(physName, 'p')
	if i < 0 {
		return dsa.NoNumber
	}
	digits := physName[i+1:]
	if j := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); j >= 0 {
		digits = digits[:j]
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return dsa.NoNumber
	}
	return int(n)
}

type chip struct {
	dsa.Chip
	ports  []devlinkPort
	placed bool
}

func chipsOf(r *Record) (map[string]*chip, error) {
	var errs []error
	chips := map[string]*chip{}
	get := func(handle string) *chip {
		c := chips[handle]
		if c == nil {
			c = &chip{Chip: dsa.Chip{Handle: handle}}
			chips[handle] = c
		}
		return c
	}
	for i, m := range r.Ports {
		p, err := decodeDevlinkPort(m, r.Order)
		if err != nil {
			errs = append(errs, fmt.Errorf("devlink port message %d: %w", i, err))
			continue
		}
		c := get(p.chip)
		c.ports = append(c.ports, p)
		c.Ports = append(c.Ports, p.ChipPort)
	}
	for _, m := range r.Infos {
		handle, driver, versions, err := decodeInfo(m, r.Order)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c := get(handle)
		c.Driver, c.Versions = driver, versions
	}
	for _, m := range r.Resources {
		handle, rs, err := decodeResources(m, r.Order)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c := get(handle)
		c.Resources = append(c.Resources, rs...)
	}
	return chips, errors.Join(errs...)
}
