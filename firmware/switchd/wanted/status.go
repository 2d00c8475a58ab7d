// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"fmt"
	"maps"

	"github.com/weirswitch/weir/ovsdb"
)

// Column is a status column of a row with the value that it should have.
type Column struct {
	Table string
	ID    ovsdb.UUID
	Name  string
	Value ovsdb.Datum
}

// Link is what the status columns of an interface tell about its device,
// beyond Device.
type Link struct {
	Speed      int64 // bit/s; 0: unknown
	FullDuplex bool
	HalfDuplex bool
	Driver     map[string]string // driver_name, driver_version, firmware_version
	Statistics map[string]int64  // in the words of Interface:statistics; nil: leave the column as it is
}

// ControllerStatus is the state of one controller connection.
type ControllerStatus struct {
	ID        ovsdb.UUID
	Connected bool
	Role      string // "other", "master", "slave"; "" when not connected
	State     string // "VOID", "BACKOFF", "CONNECTING", "ACTIVE", "IDLE"
	// Seconds since it last was connected and disconnected; below 0: never.
	SinceConnect, SinceDisconnect int64
	LastError                     string
}

// About is what the daemon tells about itself in the Open_vSwitch row.
type About struct {
	OVSVersion      string
	DBVersion       string
	SystemType      string
	SystemVersion   string
	DatapathVersion string
}

var empty, emptyMap = ovsdb.NewSet(), ovsdb.NewMap()

func str(s string) ovsdb.Datum { return ovsdb.One(ovsdb.Str(s)) }
func num(n int64) ovsdb.Datum  { return ovsdb.One(ovsdb.Int(n)) }

// optional returns the set of s, or the empty set for "".
func optional(s string) ovsdb.Datum {
	if s == "" {
		return empty
	}
	return str(s)
}

func texts(s []string) ovsdb.Datum {
	atoms := make([]ovsdb.Atom, len(s))
	for i, x := range s {
		atoms[i] = ovsdb.Str(x)
	}
	return ovsdb.NewSet(atoms...)
}

func dict(m map[string]string) ovsdb.Datum {
	var pairs []ovsdb.Pair
	for k, v := range m {
		pairs = append(pairs, ovsdb.Pair{K: ovsdb.Str(k), V: ovsdb.Str(v)})
	}
	return ovsdb.NewMap(pairs...)
}

func counts(m map[string]int64) ovsdb.Datum {
	var pairs []ovsdb.Pair
	for k, v := range m {
		pairs = append(pairs, ovsdb.Pair{K: ovsdb.Str(k), V: ovsdb.Int(v)})
	}
	return ovsdb.NewMap(pairs...)
}

func updown(up bool) ovsdb.Datum {
	if up {
		return str("up")
	}
	return str("down")
}

// Status returns the status columns of what the plan has led to: the switch
// with all its bridges and interfaces. links is by interface name. The column
// cur_cfg, which says that the configuration is in effect, is among them.
func Status(s *Switch, p *Plan, links map[string]Link, about About) []Column {
	var c columns
	c.in("Open_vSwitch", s.ID)
	c.set("cur_cfg", num(s.NextCfg))
	c.set("ovs_version", str(about.OVSVersion))
	c.set("db_version", str(about.DBVersion))
	c.set("system_type", optional(about.SystemType))
	c.set("system_version", optional(about.SystemVersion))
	c.set("iface_types", texts(Types()))
	c.set("datapath_types", texts(DatapathTypes()))
	for i := range p.Bridges {
		b := &p.Bridges[i]
		c.in("Bridge", b.ID)
		c.set("datapath_id", str(fmt.Sprintf("%016x", b.DatapathID)))
		c.set("datapath_version", str(about.DatapathVersion))
		status := map[string]string{}
		if b.Fallback != "" {
			status["datapath"] = fmt.Sprintf("%v, not %v: %s", b.Kind, b.Bridge.Kind, b.Fallback)
		}
		c.set("status", dict(status))
		for j := range b.Ports {
			ps := &b.Ports[j]
			c.in("Interface", ps.Iface.ID)
			c.iface(ps, links[ps.Iface.Name])
		}
	}
	return c.list
}

// columns collects columns of one row after the other.
type columns struct {
	table string
	id    ovsdb.UUID
	list  []Column
}

func (c *columns) in(table string, id ovsdb.UUID) { c.table, c.id = table, id }

func (c *columns) set(name string, v ovsdb.Datum) {
	if c.id != (ovsdb.UUID{}) { // a port that no row asked for
		c.list = append(c.list, Column{c.table, c.id, name, v})
	}
}

func (c *columns) iface(ps *PortState, l Link) {
	c.set("error", optional(ps.Error))
	if ps.No == 0 {
		c.set("ofport", num(-1))
		for _, name := range []string{"mac_in_use", "ifindex", "admin_state", "link_state", "link_speed", "duplex", "mtu"} {
			c.set(name, empty)
		}
		c.set("status", emptyMap)
		c.set("statistics", emptyMap)
		return
	}
	c.set("ofport", num(int64(ps.No)))
	if ps.Iface.Type == Patch {
		c.set("mac_in_use", str(PatchMAC(ps.Iface).String()))
		c.set("ifindex", num(0))
		c.set("admin_state", str("up"))
		c.set("link_state", str("up"))
		for _, name := range []string{"link_speed", "duplex", "mtu"} {
			c.set(name, empty)
		}
		c.set("status", emptyMap)
	} else {
		mac := empty
		if ps.Device.MAC != (MAC{}) {
			mac = str(ps.Device.MAC.String())
		}
		c.set("mac_in_use", mac)
		c.set("ifindex", num(int64(ps.Device.Ifindex)))
		c.set("admin_state", updown(ps.Device.Up))
		c.set("link_state", updown(ps.Device.Carrier))
		c.set("mtu", num(int64(ps.Device.MTU)))
		speed, duplex := empty, empty
		if l.Speed > 0 {
			speed = num(l.Speed)
		}
		switch {
		case l.FullDuplex:
			duplex = str("full")
		case l.HalfDuplex:
			duplex = str("half")
		}
		c.set("link_speed", speed)
		c.set("duplex", duplex)
		status := maps.Clone(l.Driver)
		if ps.Chip != nil {
			if status == nil {
				status = map[string]string{}
			}
			// Ours, beyond ovs-vswitchd.conf.db(5): who forwards, and why.
			status["offload_mode"] = "standalone"
			if ps.Chip.Bridged {
				status["offload_mode"] = "bridged"
			}
			if ps.Chip.Reason != "" {
				status["offload_reason"] = ps.Chip.Reason
			}
		}
		c.set("status", dict(status))
	}
	if l.Statistics != nil {
		c.set("statistics", counts(l.Statistics))
	}
}

// PatchMAC returns the address that a patch port shows: it has no device.
func PatchMAC(i *Interface) MAC { return macFor(i.ID) }

// ControllerColumns returns the status columns of a controller.
func ControllerColumns(s ControllerStatus) []Column {
	var c columns
	c.in("Controller", s.ID)
	c.set("is_connected", ovsdb.One(ovsdb.Bool(s.Connected)))
	c.set("role", optional(s.Role))
	status := map[string]string{}
	if s.State != "" {
		status["state"] = s.State
	}
	if s.SinceConnect >= 0 {
		status["sec_since_connect"] = fmt.Sprint(s.SinceConnect)
	}
	if s.SinceDisconnect >= 0 {
		status["sec_since_disconnect"] = fmt.Sprint(s.SinceDisconnect)
	}
	if s.LastError != "" {
		status["last_error"] = s.LastError
	}
	c.set("status", dict(status))
	return c.list
}
