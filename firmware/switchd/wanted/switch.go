// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirswitch/weir/firmware/base/order"
	"github.com/weirswitch/weir/ovsdb"
)

// Kind is a kind of datapath.
type Kind uint8

const (
	BPF  Kind = iota // eBPF on the devices' ingress
	Soft             // Go
)

func (k Kind) String() string {
	if k == Soft {
		return "soft"
	}
	return "bpf"
}

// MAC is an Ethernet address; the zero MAC is none.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// ParseMAC reads six bytes, two hexadecimal digits each, with colons between.
func ParseMAC(s string) (m MAC, ok bool) {
	if len(s) != 17 {
		return MAC{}, false
	}
	for i := range m {
		if i > 0 && s[3*i-1] != ':' {
			return MAC{}, false
		}
		if _, err := hex.Decode(m[i:i+1], []byte(s[3*i:3*i+2])); err != nil {
			return MAC{}, false
		}
	}
	return m, true
}

// universal reports whether m may stand for the bridge: an individual address
// that a maker gave (IEEE 802, 8.2), none that somebody invented.
func (m MAC) universal() bool { return m[0]&3 == 0 && m != MAC{} }

// macFor returns a locally administered address derived from a row: it is the
// same after a reboot.
func macFor(id ovsdb.UUID) MAC {
	m := MAC(id[10:16])
	m[0] = m[0]&^1 | 2
	return m
}

// VLANMode is how a port treats VLAN tags, as in ovs-vswitchd.conf.db(5).
type VLANMode uint8

const (
	Trunk VLANMode = iota
	Access
	NativeTagged
	NativeUntagged
)

var vlanModes = [...]string{"trunk", "access", "native-tagged", "native-untagged"}

func (m VLANMode) String() string { return vlanModes[m] }

// VLAN is the VLAN configuration of a port.
type VLAN struct {
	Mode         VLANMode
	Tag          uint16   // of access and native modes
	Trunks       []uint16 // ascending; nil: all
	PriorityTags string   // other_config:priority-tags: "", "if-nonzero", "always"
}

// Switch is the wanted switch. Slices are in ascending order of names.
type Switch struct {
	ID        ovsdb.UUID
	NextCfg   int64
	MaxIdle   time.Duration // other_config:max-idle; 0: the default
	FlowLimit int           // other_config:flow-limit; 0: the default
	NoChip    bool          // other_config:hw-offload-bridge=false: no bridge is given to a switch chip
	Bridges   []Bridge
	Ignored   []string // names of bridges that cannot be, ascending
}

// Bridge is a wanted bridge.
type Bridge struct {
	ID           ovsdb.UUID
	Name         string
	Kind         Kind
	TypeName     string // of the datapath, in messages: "system", "netdev"
	Secure       bool
	DatapathID   uint64 // 0: from the bridge's MAC address
	HWAddr       MAC    // zero: chosen
	Description  string // other_config:dp-desc
	Serial       string // other_config:dp-sn
	MACAging     time.Duration
	MACTableSize int
	ForwardBPDU  bool
	Protocols    []string // ascending; nil: all
	Controllers  []Controller
	Tables       map[uint8]Table // those that are configured
	Ports        []Port
}

// Table is a wanted OpenFlow table (Flow_Table).
type Table struct {
	Name    string
	Limited bool
	Limit   int
	Evict   bool
	Groups  []string // fields or subfields in the words of the database, ascending
}

// Controller is a wanted OpenFlow controller or listener.
type Controller struct {
	ID         ovsdb.UUID
	Target     string
	Service    bool
	Probe      time.Duration // inactivity probe; 0: none
	MaxBackoff time.Duration
	// Packet-ins: a second (0: any number), at once, waiting (0: the default).
	Rate, Burst, Queue int
	NoAsync            bool // starts with an empty asynchronous configuration
}

// Port is a wanted port.
type Port struct {
	ID         ovsdb.UUID
	Name       string
	VLAN       VLAN
	Interfaces []Interface
	Problem    string // why the port cannot work at all; "": it can
}

// Type is what an interface is.
type Type uint8

const (
	System   Type = iota // a network device that is there or not
	Internal             // a device of ours
	Patch                // a joint to another bridge
	Unknown              // a type that this switch does not have
)

// Interface is a wanted interface.
type Interface struct {
	ID      ovsdb.UUID
	Name    string
	Type    Type
	Local   bool   // the bridge's own port
	Peer    string // of a patch port
	Request uint32 // wanted OpenFlow number; 0: any
	Hint    uint32 // the number it had last; 0: none
	MAC     MAC    // of an internal port; zero: ours
	MTU     int    // 0: as it is
}

// Defaults as in ovs-vswitchd.conf.db(5).
const (
	defaultAging      = 300 * time.Second
	defaultTableSize  = 8192
	defaultProbe      = 5 * time.Second
	defaultMaxBackoff = 8 * time.Second
)

// Types returns the interface types that the switch has, for the column
// iface_types.
func Types() []string { return []string{"internal", "patch", "system"} }

// DatapathTypes returns the values of Bridge:datapath_type that the switch
// knows, for the column datapath_types.
func DatapathTypes() []string { return []string{"netdev", "system"} }

// New turns rows into the wanted switch. It accepts every row that the schema
// allows; a value that cannot be honoured is replaced by its default, and
// what cannot work at all carries a Problem.
func New(r Rows) *Switch {
	s := &Switch{
		ID: r.ID, NextCfg: r.NextCfg,
		MaxIdle:   time.Duration(number(r.OtherConfig, "max-idle", 0, 500, 1<<31-1)) * time.Millisecond,
		FlowLimit: int(number(r.OtherConfig, "flow-limit", 0, 1, 1<<31-1)),
		NoChip:    r.OtherConfig["hw-offload-bridge"] == "false",
	}
	for _, b := range r.Bridges {
		// The name is a part of file names in the run directory: whoever may
		// write to the database must not choose files with it.
		if b.Name == "" || strings.ContainsAny(b.Name, "/\x00") {
			s.Ignored = append(s.Ignored, b.Name)
			continue
		}
		s.Bridges = append(s.Bridges, bridge(b))
	}
	slices.Sort(s.Ignored)
	order.Sort(s.Bridges, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func bridge(r BridgeRow) Bridge {
	b := Bridge{
		ID: r.ID, Name: r.Name, TypeName: r.DatapathType,
		Secure:      r.FailMode == "secure",
		Description: r.OtherConfig["dp-desc"], Serial: r.OtherConfig["dp-sn"],
		// Bounds of other_config:mac-aging-time and mac-table-size as stock keeps them.
		MACAging:     time.Duration(number(r.OtherConfig, "mac-aging-time", int64(defaultAging/time.Second), 15, 3600)) * time.Second,
		MACTableSize: int(number(r.OtherConfig, "mac-table-size", defaultTableSize, 10, 1_000_000)),
		ForwardBPDU:  r.OtherConfig["forward-bpdu"] == "true",
		Protocols:    slices.Sorted(slices.Values(r.Protocols)),
		Tables:       tables(r.Tables),
	}
	if r.DatapathType == "netdev" {
		b.Kind = Soft
	}
	if b.TypeName == "" {
		b.TypeName = "system"
	}
	b.HWAddr, _ = ParseMAC(r.OtherConfig["hwaddr"])
	if b.HWAddr[0]&1 != 0 {
		b.HWAddr = MAC{} // a group address is nobody's own
	}
	b.DatapathID = datapathID(r.OtherConfig["datapath-id"])
	for _, c := range r.Controllers {
		b.Controllers = append(b.Controllers, controller(c))
	}
	order.Sort(b.Controllers, func(a, b Controller) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), a.ID.Compare(b.ID))
	})
	for _, p := range r.Ports {
		b.Ports = append(b.Ports, port(p, r.Name))
	}
	if !slices.ContainsFunc(b.Ports, func(p Port) bool { return p.Name == r.Name }) {
		// Nobody named the bridge's own port: it has one all the same, as stock.
		b.Ports = append(b.Ports, Port{Name: r.Name, Interfaces: []Interface{iface(InterfaceRow{Name: r.Name}, r.Name)}})
	}
	order.Sort(b.Ports, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	return b
}

// datapathID reads exactly 16 hexadecimal digits, with or without 0x before
// them; anything else, and 0, is no id.
func datapathID(s string) uint64 {
	s = strings.TrimPrefix(s, "0x")
	if len(s) != 16 {
		return 0
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

// tables are those that have a number that there is; the schema allows 0 to 254.
func tables(rows map[int64]TableRow) map[uint8]Table {
	if len(rows) == 0 {
		return nil
	}
	ts := make(map[uint8]Table, len(rows))
	for no, r := range rows {
		if no < 0 || no > 253 {
			continue
		}
		t := Table{Name: r.Name, Evict: r.OverflowPolicy == "evict", Groups: slices.Sorted(slices.Values(r.Groups))}
		if r.FlowLimit != nil {
			t.Limited, t.Limit = true, int(min(max(*r.FlowLimit, 0), 1<<31-1))
		}
		ts[uint8(no)] = t
	}
	return ts
}

func controller(r ControllerRow) Controller {
	c := Controller{ID: r.ID, Target: r.Target, Probe: defaultProbe, MaxBackoff: defaultMaxBackoff, NoAsync: r.NoAsync}
	switch r.Type {
	case "service":
		c.Service = true
	case "":
		c.Service = strings.HasPrefix(r.Target, "p") // ptcp:, pssl:, punix:
	}
	if r.InactivityProbe != nil {
		c.Probe = time.Duration(*r.InactivityProbe) * time.Millisecond
		if *r.InactivityProbe > 0 && c.Probe < time.Second {
			c.Probe = time.Second // as stock: whole seconds, one at least
		}
		if *r.InactivityProbe < 0 {
			c.Probe = 0
		}
	}
	if r.MaxBackoff != nil {
		c.MaxBackoff = time.Duration(*r.MaxBackoff) * time.Millisecond
	}
	limit := func(n *int64) int {
		if n == nil {
			return 0
		}
		return int(min(max(*n, 0), 1<<31-1))
	}
	c.Rate, c.Burst, c.Queue = limit(r.RateLimit), limit(r.BurstLimit), limit(r.QueueSize)
	return c
}

func port(r PortRow, bridge string) Port {
	p := Port{ID: r.ID, Name: r.Name}
	p.VLAN, p.Problem = vlan(r)
	for _, i := range r.Interfaces {
		p.Interfaces = append(p.Interfaces, iface(i, bridge))
	}
	order.Sort(p.Interfaces, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	if len(p.Interfaces) > 1 && p.Problem == "" {
		p.Problem = "a port with several interfaces (bond) is not supported yet"
	}
	return p
}

func vlan(r PortRow) (v VLAN, problem string) {
	if r.Tag != nil && *r.Tag >= 0 && *r.Tag <= 4095 {
		v.Tag = uint16(*r.Tag)
	}
	switch r.VLANMode {
	case "trunk":
	case "access":
		v.Mode = Access
	case "native-tagged":
		v.Mode = NativeTagged
	case "native-untagged":
		v.Mode = NativeUntagged
	case "":
		if r.Tag != nil {
			v.Mode = Access
		}
	default:
		return v, "vlan_mode " + r.VLANMode + " is not supported yet"
	}
	if v.Mode == Trunk {
		v.Tag = 0
	}
	if v.Mode != Access {
		for _, t := range r.Trunks {
			if t >= 0 && t <= 4095 {
				v.Trunks = append(v.Trunks, uint16(t))
			}
		}
		// The native VLAN is carried whether trunks name it or not.
		if v.Trunks != nil && v.Mode != Trunk {
			v.Trunks = append(v.Trunks, v.Tag)
		}
		slices.Sort(v.Trunks)
		v.Trunks = slices.Compact(v.Trunks)
	}
	switch tags := r.OtherConfig["priority-tags"]; tags {
	case "always", "if-nonzero":
		v.PriorityTags = tags
	case "true":
		v.PriorityTags = "if-nonzero"
	}
	return v, ""
}

func iface(r InterfaceRow, bridge string) Interface {
	i := Interface{ID: r.ID, Name: r.Name, Local: r.Name == bridge}
	switch r.Type {
	case "", "system":
		i.Type = System
	case "internal":
		i.Type = Internal
	case "patch":
		i.Type, i.Peer = Patch, r.Options["peer"]
	default:
		i.Type = Unknown
	}
	if i.Local {
		i.Type = Internal // whatever the row says, as stock
	}
	i.Request = ofport(r.OfportRequest)
	i.Hint = ofport(r.Ofport)
	if m, ok := ParseMAC(r.MAC); ok && m[0]&1 == 0 {
		i.MAC = m
	}
	if r.MTURequest != nil && *r.MTURequest >= 68 && *r.MTURequest <= 65535 {
		i.MTU = int(*r.MTURequest)
	}
	return i
}

// ofport returns a number that an ordinary port may have, or 0.
func ofport(v *int64) uint32 {
	if v == nil || *v < 1 || *v > MaxOfport {
		return 0
	}
	return uint32(*v)
}

// number returns an integer of a string map within its bounds; def if it is
// not there or not one.
func number(m map[string]string, key string, def, lo, hi int64) int64 {
	s, ok := m[key]
	if !ok {
		return def
	}
	v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return def
	}
	return min(max(v, lo), hi)
}

// String prints the switch, one thing a line, for tests and logs.
func (s *Switch) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "switch next_cfg %d", s.NextCfg)
	if s.NoChip {
		b.WriteString(" no chip")
	}
	b.WriteByte('\n')
	for _, name := range s.Ignored {
		fmt.Fprintf(&b, "bridge %q is ignored\n", name)
	}
	for _, br := range s.Bridges {
		fmt.Fprintf(&b, "bridge %s %s", br.Name, br.Kind)
		if br.Secure {
			b.WriteString(" secure")
		}
		if br.DatapathID != 0 {
			fmt.Fprintf(&b, " dpid %016x", br.DatapathID)
		}
		if br.HWAddr != (MAC{}) {
			fmt.Fprintf(&b, " hwaddr %v", br.HWAddr)
		}
		if br.MACAging != defaultAging || br.MACTableSize != defaultTableSize {
			fmt.Fprintf(&b, " mac %v %d", br.MACAging, br.MACTableSize)
		}
		if br.ForwardBPDU {
			b.WriteString(" forward-bpdu")
		}
		if br.Protocols != nil {
			fmt.Fprintf(&b, " protocols %s", strings.Join(br.Protocols, ","))
		}
		b.WriteByte('\n')
		for _, c := range br.Controllers {
			role := "primary"
			if c.Service {
				role = "service"
			}
			fmt.Fprintf(&b, "  controller %s %s probe %v backoff %v", c.Target, role, c.Probe, c.MaxBackoff)
			if c.Rate != 0 || c.Burst != 0 || c.Queue != 0 {
				fmt.Fprintf(&b, " packet-ins %d/s burst %d queue %d", c.Rate, c.Burst, c.Queue)
			}
			if c.NoAsync {
				b.WriteString(" no-async")
			}
			b.WriteByte('\n')
		}
		for _, no := range slices.Sorted(maps.Keys(br.Tables)) {
			fmt.Fprintf(&b, "  table %d %+v\n", no, br.Tables[no])
		}
		for _, p := range br.Ports {
			fmt.Fprintf(&b, "  port %s %v", p.Name, p.VLAN)
			if p.Problem != "" {
				fmt.Fprintf(&b, " (%s)", p.Problem)
			}
			b.WriteByte('\n')
			for _, i := range p.Interfaces {
				fmt.Fprintf(&b, "    %v\n", i)
			}
		}
	}
	return b.String()
}

func (v VLAN) String() string {
	s := v.Mode.String()
	if v.Mode != Trunk {
		s += fmt.Sprintf(" %d", v.Tag)
	}
	if v.Trunks != nil {
		s += fmt.Sprint(" of ", v.Trunks)
	}
	if v.PriorityTags != "" {
		s += " priority-tags " + v.PriorityTags
	}
	return s
}

func (i Interface) String() string {
	s := i.Name + " " + [...]string{"system", "internal", "patch", "unknown type"}[i.Type]
	if i.Local {
		s += " local"
	}
	if i.Type == Patch {
		s += " to " + i.Peer
	}
	if i.Request != 0 {
		s += fmt.Sprintf(" request %d", i.Request)
	}
	if i.Hint != 0 {
		s += fmt.Sprintf(" hint %d", i.Hint)
	}
	if i.MAC != (MAC{}) {
		s += fmt.Sprintf(" mac %v", i.MAC)
	}
	if i.MTU != 0 {
		s += fmt.Sprintf(" mtu %d", i.MTU)
	}
	return s
}
