// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
)

// Device is a network device that is there.
type Device struct {
	Name    string
	Ifindex int
	MAC     MAC
	MTU     int
	Up      bool // IFF_UP
	Carrier bool // IFF_LOWER_UP
	// Leg is the device whose frames are the port's: the device itself, or the
	// hidden far end of an internal port.
	Leg   string
	LegIx int
	Ours  bool // an internal port that this daemon made
	Away  bool // an internal port whose near end is in another network namespace: only its leg is here
}

// Attached is a datapath's port, as it was added.
type Attached struct {
	Kind    Kind
	No      dpif.Port
	Leg     string
	Ifindex int
	// SendOnly: frames that arrive on the device are a chip's, see dpif.PortSpec.
	SendOnly bool
}

// ChipPort is what a switch chip does for one of its ports.
type ChipPort struct {
	Bridged bool   // it forwards between this and others that are, see ChipLeg
	Reason  string // why it does not; or, beside Bridged, what it does not do
}

// ChipLeg is where the traffic of a bridge's ports that a chip bridges crosses, see xlate.Leg.
type ChipLeg struct {
	Bridge   string
	Device   string // the datapath's end
	Untagged uint16
}

// Present is what is there.
type Present struct {
	Devices map[string]Device   // by name; the hidden ends of internal ports are not among them
	Open    map[Kind]bool       // datapaths that run
	Ports   map[string]Attached // by the interface's name
	Broken  map[Kind]string     // datapaths that cannot run, with the reason
	Failed  map[string]string   // interfaces whose device or port could not be had in this run, with the error
	Refused map[string]bool     // operations, by their text, that failed in this run and are not asked for again in it
	Chips   map[string]ChipPort // of chips' ports, by interface: what is or is about to be
	Legs    []ChipLeg           // at most one a bridge
}

// Op is an operation that changes what is there. It is one of the types below.
type Op interface{ fmt.Stringer }

type (
	// OpenDatapath starts a datapath.
	OpenDatapath struct{ Kind Kind }
	// CloseDatapath ends it.
	CloseDatapath struct{ Kind Kind }
	// CreateInternal makes the device of an internal port.
	CreateInternal struct {
		Name string
		MAC  MAC
		MTU  int // 0: the kernel's default
	}
	// DeleteInternal deletes it.
	DeleteInternal struct{ Name string }
	// SetMAC and SetMTU change a device.
	SetMAC struct {
		Name string
		MAC  MAC
	}
	SetMTU struct {
		Name string
		MTU  int
	}
	// SetUp sets a device up. That is done once, when it becomes a port: who
	// sets it down afterwards is not overruled.
	SetUp struct{ Name string }
	// AddPort makes a device a port of a datapath.
	AddPort struct {
		Name string // of the interface
		Attached
	}
	// DelPort ends that.
	DelPort struct {
		Name string
		Attached
	}
)

func (o OpenDatapath) String() string   { return "open datapath " + o.Kind.String() }
func (o CloseDatapath) String() string  { return "close datapath " + o.Kind.String() }
func (o CreateInternal) String() string { return fmt.Sprintf("create internal %s %v", o.Name, o.MAC) }
func (o DeleteInternal) String() string { return "delete internal " + o.Name }
func (o SetMAC) String() string         { return fmt.Sprintf("set %s mac %v", o.Name, o.MAC) }
func (o SetMTU) String() string         { return fmt.Sprintf("set %s mtu %d", o.Name, o.MTU) }
func (o SetUp) String() string          { return fmt.Sprintf("set %s up", o.Name) }
func (o AddPort) String() string {
	only := ""
	if o.SendOnly {
		only = ", to send only"
	}
	return fmt.Sprintf("add port %s to %v as %d (%s, ifindex %d%s)", o.Name, o.Kind, o.No, o.Leg, o.Ifindex, only)
}
func (o DelPort) String() string {
	return fmt.Sprintf("delete port %s from %v (%d)", o.Name, o.Kind, o.No)
}

// InterfaceOf returns the name of the interface that cannot work when the
// operation fails, "" if there is none.
func InterfaceOf(o Op) string {
	switch o := o.(type) {
	case CreateInternal:
		return o.Name
	case AddPort:
		return o.Name
	}
	return ""
}

// Plan is the way from what is there to what is wanted.
type Plan struct {
	Before  []Op // done before Bridges are configured; when any was, plan again
	Bridges []BridgeState
	After   []Op // done behind it

	MaxIdle   time.Duration // of megaflows; 0: the default
	FlowLimit int           // 0: the default
}

// BridgeState is a bridge as it can be now.
type BridgeState struct {
	*Bridge
	Kind       Kind   // the datapath that serves it
	Fallback   string // why it is not the one that was asked for; "": it is
	MAC        MAC
	DatapathID uint64
	Ports      []PortState // every interface, in the order of names
	Legs       []LegState
}

// LegState is a leg whose device is there.
type LegState struct {
	ChipLeg
	DP dpif.Port
}

// PortState is an interface as it can be now.
type PortState struct {
	Port   *Port
	Iface  *Interface
	No     uint32 // OpenFlow number; 0: the interface does not work, because of Error
	DP     dpif.Port
	Device Device    // zero for patch ports and where there is none
	Error  string    // may also be set for a patch port that has a number but no peer
	Joined bool      // patch port: the peer is usable
	Chip   *ChipPort // nil: the device is not a chip's port
}

// Bridged reports whether a chip forwards between the port and others that are.
func (p *PortState) Bridged() bool { return p.Chip != nil && p.Chip.Bridged }

// Book holds what must outlive a plan: who has which number.
type Book struct {
	OpenFlow map[string]*Numbers // by bridge
	Datapath map[Kind]*Numbers   // by interface name
}

// maxDatapathPort leaves the numbers at the top to the datapaths' own needs.
const maxDatapathPort = uint32(dpif.MaxPort) - 16

// Make returns the plan for s, given what is there, and keeps the books.
func Make(s *Switch, have *Present, book *Book) *Plan {
	p := &planner{plan: Plan{MaxIdle: s.MaxIdle, FlowLimit: s.FlowLimit}, have: have, wantPorts: map[string]Attached{}, wantInternal: map[string]bool{}, wantKinds: map[Kind]bool{}}
	if book.OpenFlow == nil {
		book.OpenFlow, book.Datapath = map[string]*Numbers{}, map[Kind]*Numbers{}
	}
	for i := range s.Bridges {
		p.bridge(&s.Bridges[i], book)
	}
	p.patches()
	p.datapathPorts(book)
	p.leave()
	for name := range book.OpenFlow {
		if !slices.ContainsFunc(s.Bridges, func(b Bridge) bool { return b.Name == name }) {
			delete(book.OpenFlow, name)
		}
	}
	return &p.plan
}

type planner struct {
	plan         Plan
	have         *Present
	wantPorts    map[string]Attached
	wantInternal map[string]bool
	wantKinds    map[Kind]bool
}

// change asks for an operation that the port can do without.
func (p *planner) change(o Op) {
	if !p.have.Refused[o.String()] {
		p.before(o)
	}
}

func (p *planner) before(o Op) { p.plan.Before = append(p.plan.Before, o) }

func (p *planner) bridge(b *Bridge, book *Book) {
	st := BridgeState{Bridge: b, Kind: b.Kind}
	if why, broken := p.have.Broken[st.Kind]; broken && st.Kind == BPF {
		st.Kind, st.Fallback = Soft, why
	}
	if !p.wantKinds[st.Kind] && !p.have.Open[st.Kind] && p.have.Broken[st.Kind] == "" {
		p.before(OpenDatapath{st.Kind})
	}
	p.wantKinds[st.Kind] = true
	st.MAC = p.bridgeMAC(b)
	if st.DatapathID = b.DatapathID; st.DatapathID == 0 {
		for _, x := range st.MAC {
			st.DatapathID = st.DatapathID<<8 | uint64(x)
		}
	}
	numbers := book.OpenFlow[b.Name]
	if numbers == nil {
		numbers = &Numbers{}
		book.OpenFlow[b.Name] = numbers
	}
	var claims []Claim
	for i := range b.Ports {
		port := &b.Ports[i]
		for j := range port.Interfaces {
			iface := &port.Interfaces[j]
			if !iface.Local {
				claims = append(claims, Claim{iface.Name, iface.Request, iface.Hint})
			}
			ps := PortState{Port: port, Iface: iface}
			if c, ok := p.have.Chips[iface.Name]; ok {
				ps.Chip = &c
			}
			ps.Device, ps.Error = p.device(port, iface, &st)
			st.Ports = append(st.Ports, ps)
		}
	}
	for _, l := range p.have.Legs {
		if d, ok := p.have.Devices[l.Device]; ok && l.Bridge == b.Name && p.have.Failed[l.Device] == "" {
			st.Legs = append(st.Legs, LegState{ChipLeg: l})
			p.wantPorts[l.Device] = Attached{Kind: st.Kind, Leg: d.Leg, Ifindex: d.LegIx}
		}
	}
	given := numbers.Assign(claims, MaxOfport)
	for i := range st.Ports {
		ps := &st.Ports[i]
		switch {
		case ps.Error != "":
		case ps.Iface.Local:
			ps.No = LocalOfport
		default:
			if ps.No = given[ps.Iface.Name]; ps.No == 0 {
				ps.Error = "no OpenFlow port number is free"
			}
		}
	}
	p.plan.Bridges = append(p.plan.Bridges, st)
}

// bridgeMAC chooses as ovs-vswitchd.conf.db(5) says for Bridge other_config:
// hwaddr, else the lowest universally administered address of the ports, else
// one of the bridge's own.
func (p *planner) bridgeMAC(b *Bridge) MAC {
	if b.HWAddr != (MAC{}) {
		return b.HWAddr
	}
	var lowest MAC
	for _, port := range b.Ports {
		for _, i := range port.Interfaces {
			d, ok := p.have.Devices[i.Name]
			if !ok || i.Local || i.Type != System || !d.MAC.universal() {
				continue
			}
			if lowest == (MAC{}) || slices.Compare(d.MAC[:], lowest[:]) < 0 {
				lowest = d.MAC
			}
		}
	}
	if lowest == (MAC{}) {
		return macFor(b.ID)
	}
	return lowest
}

// device finds the device of an interface, or what is in the way; it asks for
// internal devices that are not there.
func (p *planner) device(port *Port, i *Interface, b *BridgeState) (Device, string) {
	broken := func(why string) (Device, string) {
		return Device{}, fmt.Sprintf("could not open network device %s (%s)", i.Name, why)
	}
	d, there := p.have.Devices[i.Name]
	if i.Type == Internal {
		p.wantInternal[i.Name] = true
	}
	switch {
	case port.Problem != "":
		return Device{}, port.Problem
	case p.have.Failed[i.Name] != "":
		return Device{}, p.have.Failed[i.Name]
	case p.have.Broken[b.Kind] != "":
		return Device{}, "datapath " + b.Kind.String() + ": " + p.have.Broken[b.Kind]
	case i.Type == Unknown:
		return broken("Address family not supported by protocol")
	case i.Type == Patch && i.Peer == "":
		return broken("Invalid argument") // options:peer is what a patch port is
	case i.Type == Patch:
		return Device{}, ""
	case i.Type == System && (!there || d.Ours):
		return broken("No such device")
	case i.Type == Internal && there && !d.Ours:
		return broken("File exists")
	}
	mac := i.MAC
	if i.Local {
		mac = b.MAC
	}
	if !there {
		if mac == (MAC{}) {
			mac = macFor(i.ID)
		}
		p.before(CreateInternal{i.Name, mac, i.MTU})
		return broken("No such device") // until it is there, which is before anybody sees this
	}
	if i.Type == Internal && !d.Away && mac != (MAC{}) && d.MAC != mac {
		p.change(SetMAC{i.Name, mac})
	}
	if i.MTU != 0 && !d.Away && d.MTU != i.MTU {
		p.change(SetMTU{i.Name, i.MTU})
	}
	p.wantPorts[i.Name] = Attached{Kind: b.Kind, Leg: d.Leg, Ifindex: d.LegIx, SendOnly: p.have.Chips[i.Name].Bridged}
	return d, ""
}

// patches joins the patch ports that name each other.
func (p *planner) patches() {
	type end struct {
		*PortState
		kind Kind
	}
	ends := map[string]end{}
	for i := range p.plan.Bridges {
		b := &p.plan.Bridges[i]
		for j := range b.Ports {
			if ps := &b.Ports[j]; ps.Iface.Type == Patch && ps.No != 0 {
				ends[ps.Iface.Name] = end{ps, b.Kind}
			}
		}
	}
	for i := range p.plan.Bridges {
		b := &p.plan.Bridges[i]
		for j := range b.Ports {
			ps := &b.Ports[j]
			if ps.Iface.Type != Patch || ps.No == 0 {
				continue
			}
			peer, ok := ends[ps.Iface.Peer]
			if ps.Joined = ok && peer.Iface.Peer == ps.Iface.Name && peer.kind == b.Kind && peer.PortState != ps; !ps.Joined {
				ps.Error = fmt.Sprintf("No usable peer '%s' exists in '%s' datapath.", ps.Iface.Peer, b.TypeName)
			}
		}
	}
}

// datapathPorts gives every device its number in the datapath and adds what is
// not added or has become another device.
func (p *planner) datapathPorts(book *Book) {
	claims := map[Kind][]Claim{}
	for name, a := range p.wantPorts {
		claims[a.Kind] = append(claims[a.Kind], Claim{Name: name})
	}
	// What is still attached keeps its number until it has left.
	for name, a := range p.have.Ports {
		if w, ok := p.wantPorts[name]; !ok || w.Kind != a.Kind {
			claims[a.Kind] = append(claims[a.Kind], Claim{Name: name, Hint: uint32(a.No)})
		}
	}
	given := map[Kind]map[string]uint32{}
	for _, k := range []Kind{BPF, Soft} {
		if book.Datapath[k] == nil {
			book.Datapath[k] = &Numbers{}
		}
		given[k] = book.Datapath[k].Assign(claims[k], maxDatapathPort)
	}
	for _, name := range slices.Sorted(maps.Keys(p.wantPorts)) {
		w := p.wantPorts[name]
		w.No = dpif.Port(given[w.Kind][name])
		p.wantPorts[name] = w
		if !p.have.Open[w.Kind] {
			continue // first see whether that opens: until then all stays where it is
		}
		old, was := p.have.Ports[name]
		attached := was
		if attached && old != w {
			p.before(DelPort{name, old})
			attached = false
		}
		if !attached {
			p.before(AddPort{name, w})
			if d := p.have.Devices[name]; !d.Up && !d.Ours && (!was || old.Ifindex != w.Ifindex) {
				p.before(SetUp{name})
			}
		}
	}
	for i := range p.plan.Bridges {
		for j := range p.plan.Bridges[i].Ports {
			ps := &p.plan.Bridges[i].Ports[j]
			ps.DP = p.wantPorts[ps.Iface.Name].No
		}
		for j := range p.plan.Bridges[i].Legs {
			l := &p.plan.Bridges[i].Legs[j]
			l.DP = p.wantPorts[l.Device].No
		}
	}
}

// leave plans the departure of what no row wants any more.
func (p *planner) leave() {
	for _, name := range slices.Sorted(maps.Keys(p.have.Ports)) {
		if _, wanted := p.wantPorts[name]; !wanted {
			p.plan.After = append(p.plan.After, DelPort{name, p.have.Ports[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.have.Devices)) {
		if p.have.Devices[name].Ours && !p.wantInternal[name] {
			p.plan.After = append(p.plan.After, DeleteInternal{name})
		}
	}
	for _, k := range []Kind{BPF, Soft} {
		if p.have.Open[k] && !p.wantKinds[k] {
			p.plan.After = append(p.plan.After, CloseDatapath{k})
		}
	}
}

// String prints the plan, one thing a line, for tests and logs.
func (p *Plan) String() string {
	var b strings.Builder
	for _, o := range p.Before {
		fmt.Fprintf(&b, "before: %v\n", o)
	}
	for _, br := range p.Bridges {
		fmt.Fprintf(&b, "bridge %s %v id %016x\n", br.Name, br.Kind, br.DatapathID)
		if br.Fallback != "" {
			fmt.Fprintf(&b, "  not %v: %s\n", br.Bridge.Kind, br.Fallback)
		}
		for _, ps := range br.Ports {
			fmt.Fprintf(&b, "  %s %d", ps.Iface.Name, ps.No)
			if ps.DP != 0 {
				fmt.Fprintf(&b, "/%d", ps.DP)
			}
			if ps.Joined {
				fmt.Fprintf(&b, " joined to %s", ps.Iface.Peer)
			}
			if ps.Bridged() {
				b.WriteString(" bridged by a chip")
			}
			if ps.Error != "" {
				fmt.Fprintf(&b, ": %s", ps.Error)
			}
			b.WriteByte('\n')
		}
	}
	for _, br := range p.Bridges {
		for _, l := range br.Legs {
			fmt.Fprintf(&b, "leg %s of %s /%d untagged %d\n", l.Device, l.Bridge, l.DP, l.Untagged)
		}
	}
	for _, o := range p.After {
		fmt.Fprintf(&b, "after: %v\n", o)
	}
	return b.String()
}
