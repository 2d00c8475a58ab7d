// SPDX-License-Identifier: Apache-2.0

// Package dsatest holds a model of the kernel's bridge with a switch chip
// behind it, to test against: slow and obvious, with the limits and the faults
// that chips have.
//
// A Chip takes the operations of dsa/bridge as the kernel does (what it
// refuses, what it removes along with something else: read in Linux 6.12,
// net/bridge) and says for any frame where it would go, for every table of
// learned MACs that is possible at all: a port that learns may have learned any
// MAC. So a test need not guess what has been learned when.
//
// It is used by one goroutine at a time and touches nothing.
package dsatest

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// Chip is the model.
type Chip struct {
	state   bridge.State
	learned []bridge.MACEntry

	// Limits; 0: none.
	MaxVLANs int // VLANs in the chip's table
	MaxFDB   int // static entries in the chip's table; the kernel takes more, and says which are not in the chip
	// Cannot says why the driver refuses an operation; "": it does not.
	Cannot func(bridge.Op) string
	// Software names ports that the kernel bridges without the chip, and says so
	// only in the note of the acknowledgement.
	Software map[string]bool
	// Confirms says that the chip has addresses behind legs, too, as entries that lead to the CPU.
	Confirms bool
	// Fault is asked before each operation.
	Fault func(n int, o bridge.Op) Fault
	// LoseReads makes that many reads fail as after an overrun.
	LoseReads int

	Applied int             // operations that took effect
	Took    time.Duration   // what operations have taken, see Fault.Slow
	Calls   int             // operations tried
	After   func(bridge.Op) // called after each that took effect
}

// Fault is what goes wrong with an operation.
type Fault struct {
	Errno syscall.Errno // 0: nothing
	// Late says that the operation takes effect and the answer is lost.
	Late bool
	// Vanish names a port that is pulled out before the operation.
	Vanish string
	// Slow is how long the operation takes, whether it fails or not: nobody waits, it is added to Took.
	Slow time.Duration
}

// New returns a chip with these ports, down and in no bridge.
func New(ports ...string) *Chip {
	c := &Chip{Software: map[string]bool{}}
	for _, p := range ports {
		c.Appear(p)
	}
	return c
}

// Appear puts a port into the machine, if it is not there: down and in no bridge.
func (c *Chip) Appear(port string) {
	if c.state.PortByName(port) == nil {
		c.state.Ports = append(c.state.Ports, bridge.Port{Name: port, MTU: 1500})
		c.state.Sort()
	}
}

// Set makes the state what it is, as if somebody had done it by hand.
func (c *Chip) Set(s bridge.State) {
	c.state = s.Clone()
	c.state.Sort()
}

// Vanish takes a port out of the machine.
func (c *Chip) Vanish(port string) {
	c.unlink(port)
	c.state.Ports = slices.DeleteFunc(c.state.Ports, func(p bridge.Port) bool { return p.Name == port })
}

// Learn makes a bridge's table have what the chip has learned on a port.
func (c *Chip) Learn(e bridge.MACEntry) {
	e.Owner, e.Offloaded = bridge.OwnerChip, true
	c.learned = append(slices.DeleteFunc(c.learned, func(x bridge.MACEntry) bool { return x.Bridge == e.Bridge && x.VID == e.VID && x.MAC == e.MAC }), e)
}

// MACs is the MAC table of a bridge as the kernel shows it.
func (c *Chip) MACs(br string) ([]bridge.MACEntry, error) {
	s, err := c.Read()
	if err != nil {
		return nil, err
	}
	var es []bridge.MACEntry
	static := map[bridge.VLANMAC]bool{}
	for _, e := range s.FDB {
		if e.Bridge == br {
			static[bridge.VLANMAC{VID: e.VID, MAC: e.MAC}] = true
			es = append(es, bridge.MACEntry{Bridge: br, Port: e.Port, VID: e.VID, MAC: e.MAC, Owner: bridge.OwnerStatic, Sticky: e.Sticky, Offloaded: e.Offloaded})
		}
	}
	for _, e := range c.learned {
		if e.Bridge == br && !static[bridge.VLANMAC{VID: e.VID, MAC: e.MAC}] && c.inVLAN(br, e.Port, e.VID) {
			es = append(es, e)
		}
	}
	bridge.SortMACs(es)
	return es, nil
}

// Flush forgets what was learned on a port.
func (c *Chip) Flush(port string) error {
	if _, err := c.port(port); err != nil {
		return fmt.Errorf("flush %s: %w", port, err)
	}
	c.learned = slices.DeleteFunc(c.learned, func(e bridge.MACEntry) bool { return e.Port == port })
	return nil
}

// Read is the state as the kernel shows it.
func (c *Chip) Read() (bridge.State, error) {
	if c.LoseReads > 0 {
		c.LoseReads--
		return bridge.State{}, fmt.Errorf("read bridges: %w", syscall.ENOBUFS)
	}
	s := c.state.Clone()
	for i := range s.FDB {
		s.FDB[i].Offloaded = (c.offloads(s.FDB[i].Port) || c.Confirms) && (c.MaxFDB == 0 || i < c.MaxFDB)
	}
	for i := range s.MDB {
		s.MDB[i].Offloaded = c.offloads(s.MDB[i].Port)
	}
	return s, nil
}

func (c *Chip) offloads(port string) bool {
	return !c.Software[port] && !slices.ContainsFunc(c.state.Legs, func(l bridge.Leg) bool { return l.Inner == port })
}

// Apply does one operation.
func (c *Chip) Apply(o bridge.Op) (note string, err error) {
	c.Calls++
	var f Fault
	if c.Fault != nil {
		f = c.Fault(c.Calls, o)
	}
	c.Took += f.Slow
	if f.Vanish != "" {
		c.Vanish(f.Vanish)
	}
	if f.Errno != 0 && !f.Late {
		return "", fmt.Errorf("%v: %w", o, &nlerr.Error{Errno: f.Errno, Text: "injected"})
	}
	if c.Cannot != nil {
		if why := c.Cannot(o); why != "" {
			return "", fmt.Errorf("%v: %w", o, &nlerr.Error{Errno: syscall.EOPNOTSUPP, Text: why})
		}
	}
	if note, err = c.do(o); err != nil {
		return "", fmt.Errorf("%v: %w", o, err)
	}
	c.state.Sort()
	c.Applied++
	if c.After != nil {
		c.After(o)
	}
	if f.Late {
		return "", fmt.Errorf("%v: %w", o, &nlerr.Error{Errno: syscall.ETIMEDOUT, Text: "answer lost"})
	}
	return note, nil
}

func refuse(errno syscall.Errno, text string) error { return &nlerr.Error{Errno: errno, Text: text} }

func (c *Chip) port(name string) (*bridge.Port, error) {
	if p := c.state.PortByName(name); p != nil {
		return p, nil
	}
	return nil, refuse(syscall.ENODEV, "no device "+name)
}

func (c *Chip) bridge(name string) (*bridge.Bridge, error) {
	for i := range c.state.Bridges {
		if c.state.Bridges[i].Name == name {
			return &c.state.Bridges[i], nil
		}
	}
	return nil, refuse(syscall.ENODEV, "no bridge "+name)
}

// member returns a port that is in a bridge: what the operations on bridge
// ports need.
func (c *Chip) member(name string) (*bridge.Port, error) {
	p, err := c.port(name)
	if err != nil {
		return nil, err
	}
	if _, err := c.bridge(p.Master); err != nil {
		return nil, refuse(syscall.EOPNOTSUPP, name+" is in no bridge")
	}
	return p, nil
}

// unlink takes a port out of its bridge with all it had there.
func (c *Chip) unlink(name string) {
	p := c.state.PortByName(name)
	if p == nil {
		return
	}
	*p = bridge.Port{Name: p.Name, Up: p.Up, MTU: p.MTU}
	c.state.FDB = slices.DeleteFunc(c.state.FDB, func(e bridge.FDBEntry) bool { return e.Port == name && e.Bridge != name })
	c.state.MDB = slices.DeleteFunc(c.state.MDB, func(e bridge.MDBEntry) bool { return e.Port == name && e.Bridge != name })
}

func (c *Chip) do(o bridge.Op) (note string, err error) {
	s := &c.state
	switch o := o.(type) {
	case bridge.AddBridge:
		if _, err := c.bridge(o.Name); err == nil {
			return "", refuse(syscall.EEXIST, "")
		}
		s.Bridges = append(s.Bridges, bridge.Bridge{Name: o.Name, VLANFiltering: true, Ageing: o.Ageing, McastSnooping: o.McastSnooping})
	case bridge.AddLAG:
		s.LAGs = append(s.LAGs, o.LAG)
		s.Ports = append(s.Ports, bridge.Port{Name: o.LAG.Name, MTU: 1500})
	case bridge.AddLeg:
		s.Legs = append(s.Legs, o.Leg)
		c.Appear(o.Leg.Inner)
		c.Appear(o.Leg.Outer)
	case bridge.DelLink:
		return "", c.del(o.Name)
	case bridge.SetBridge:
		return "", c.setBridge(o)
	case bridge.SetMaster:
		return c.setMaster(o)
	case bridge.SetUp:
		if b, err := c.bridge(o.Name); err == nil {
			b.Up = o.Up
			return "", nil
		}
		p, err := c.port(o.Name)
		if err != nil {
			return "", err
		}
		p.Up = o.Up
	case bridge.SetMTU:
		p, err := c.port(o.Name)
		if err != nil {
			return "", err
		}
		p.MTU = o.MTU
	case bridge.AddVLAN:
		return "", c.addVLAN(o)
	case bridge.DelVLAN:
		return "", c.delVLAN(o)
	case bridge.SetFlag:
		p, err := c.member(o.Port)
		if err != nil {
			return "", err
		}
		p.Flags.Set(o.Flag, o.On)
	case bridge.SetSTP:
		p, err := c.member(o.Port)
		if err != nil {
			return "", err
		}
		if !p.Up && o.State != bridge.STPDisabled {
			return "", refuse(syscall.ENETDOWN, "the port is down")
		}
		p.STP = o.State
	case bridge.SetMST:
		p, err := c.member(o.Port)
		if err != nil {
			return "", err
		}
		p.MSTs = append(slices.DeleteFunc(p.MSTs, func(m bridge.MST) bool { return m.MSTI == o.MST.MSTI }), o.MST)
	case bridge.SetFDB, bridge.DelFDB, bridge.FlushFDB, bridge.AddMDB, bridge.DelMDB:
		return "", c.entry(o)
	case bridge.SetMirror:
		s.Mirrors = append(slices.DeleteFunc(s.Mirrors, func(m bridge.Mirror) bool { return m.From == o.Mirror.From && m.Dir == o.Mirror.Dir }), o.Mirror)
	case bridge.DelMirror:
		s.Mirrors = slices.DeleteFunc(s.Mirrors, func(m bridge.Mirror) bool { return m.From == o.Mirror.From && m.Dir == o.Mirror.Dir })
	case bridge.SetPolice:
		s.Polices = append(slices.DeleteFunc(s.Polices, func(p bridge.Police) bool { return p.Port == o.Police.Port }), o.Police)
	case bridge.DelPolice:
		s.Polices = slices.DeleteFunc(s.Polices, func(p bridge.Police) bool { return p.Port == o.Port })
	case bridge.SetQdisc:
		s.Qdiscs = append(slices.DeleteFunc(s.Qdiscs, func(q bridge.Qdisc) bool { return q.Port == o.Qdisc.Port }), o.Qdisc)
	case bridge.DelQdisc:
		s.Qdiscs = slices.DeleteFunc(s.Qdiscs, func(q bridge.Qdisc) bool { return q.Port == o.Port })
	default:
		return "", refuse(syscall.EINVAL, fmt.Sprintf("the model does not know %T", o))
	}
	return "", nil
}

func (c *Chip) del(name string) error {
	s := &c.state
	n := len(s.Bridges) + len(s.Ports)
	for _, p := range slices.Clone(s.Ports) {
		if p.Master == name {
			c.unlink(p.Name)
		}
	}
	c.unlink(name)
	for _, l := range s.Legs {
		if l.Inner == name {
			c.Vanish(l.Outer)
		}
	}
	s.Bridges = slices.DeleteFunc(s.Bridges, func(b bridge.Bridge) bool { return b.Name == name })
	s.LAGs = slices.DeleteFunc(s.LAGs, func(l bridge.LAG) bool { return l.Name == name })
	s.Legs = slices.DeleteFunc(s.Legs, func(l bridge.Leg) bool { return l.Inner == name })
	s.Ports = slices.DeleteFunc(s.Ports, func(p bridge.Port) bool { return p.Name == name })
	s.FDB = slices.DeleteFunc(s.FDB, func(e bridge.FDBEntry) bool { return e.Bridge == name })
	s.MDB = slices.DeleteFunc(s.MDB, func(e bridge.MDBEntry) bool { return e.Bridge == name })
	if len(s.Bridges)+len(s.Ports) == n {
		return refuse(syscall.ENODEV, "")
	}
	return nil
}

func (c *Chip) setBridge(o bridge.SetBridge) error {
	b, err := c.bridge(o.Name)
	if err != nil {
		return err
	}
	switch o.Attr {
	case bridge.AttrVLANFiltering:
		b.VLANFiltering = o.Value != 0
	case bridge.AttrDefaultPVID:
		// br_vlan_disable_default_pvid: ports lose the VLAN if it is still their PVID.
		for i := range c.state.Ports {
			p := &c.state.Ports[i]
			if p.Master == b.Name && o.Value == 0 {
				p.VLANs = slices.DeleteFunc(p.VLANs, func(v bridge.VLAN) bool { return v.PVID && v.Untagged && v.VID == b.DefaultPVID })
			}
		}
		if o.Value == 0 {
			b.VLANs = slices.DeleteFunc(b.VLANs, func(v bridge.VLAN) bool { return v.PVID && v.Untagged && v.VID == b.DefaultPVID })
		}
		b.DefaultPVID = uint16(o.Value)
	case bridge.AttrAgeing:
		b.Ageing = time.Duration(o.Value) * 10 * time.Millisecond
	case bridge.AttrMcastSnooping:
		b.McastSnooping = o.Value != 0
	case bridge.AttrUserSTP:
		b.UserSTP = o.Value != 0
	case bridge.AttrMST:
		b.MST = o.Value != 0
	}
	return nil
}

func (c *Chip) setMaster(o bridge.SetMaster) (note string, err error) {
	p, err := c.port(o.Port)
	if err != nil {
		return "", err
	}
	c.unlink(o.Port)
	if o.Master == "" {
		return "", nil
	}
	b, err := c.bridge(o.Master)
	if err != nil {
		if !slices.ContainsFunc(c.state.LAGs, func(l bridge.LAG) bool { return l.Name == o.Master }) {
			return "", err
		}
		if p.Up {
			return "", refuse(syscall.EPERM, "Device can not be enslaved while up")
		}
		p.Master = o.Master
		return "", nil
	}
	p.Master, p.Flags = o.Master, bridge.DefaultFlags()
	if b.DefaultPVID != 0 {
		p.VLANs = []bridge.VLAN{{VID: b.DefaultPVID, PVID: true, Untagged: true}}
	}
	if c.Software[o.Port] {
		return "Offloading not supported", nil
	}
	return "", nil
}

func (c *Chip) vlans(name string, self bool) (*[]bridge.VLAN, error) {
	if self {
		b, err := c.bridge(name)
		if err != nil {
			return nil, err
		}
		return &b.VLANs, nil
	}
	p, err := c.member(name)
	if err != nil {
		return nil, err
	}
	return &p.VLANs, nil
}

func (c *Chip) addVLAN(o bridge.AddVLAN) error {
	vs, err := c.vlans(o.Name, o.Self)
	if err != nil {
		return err
	}
	for vid := o.First; vid <= o.Last; vid++ {
		i := slices.IndexFunc(*vs, func(v bridge.VLAN) bool { return v.VID == vid })
		if i < 0 {
			if c.MaxVLANs > 0 && !c.hasVLAN(vid) && c.countVLANs() >= c.MaxVLANs {
				return refuse(syscall.ENOSPC, "VLAN table full") // what was added stays
			}
			*vs = append(*vs, bridge.VLAN{VID: vid})
			i = len(*vs) - 1
		}
		if o.PVID {
			for j := range *vs {
				(*vs)[j].PVID = false
			}
		}
		(*vs)[i].PVID, (*vs)[i].Untagged = o.PVID, o.Untagged
	}
	return nil
}

func (c *Chip) delVLAN(o bridge.DelVLAN) error {
	vs, err := c.vlans(o.Name, o.Self)
	if err != nil {
		return err
	}
	for vid := o.First; vid <= o.Last; vid++ {
		n := len(*vs)
		*vs = slices.DeleteFunc(*vs, func(v bridge.VLAN) bool { return v.VID == vid })
		if len(*vs) == n {
			return refuse(syscall.ENOENT, "")
		}
	}
	return nil
}

func (c *Chip) hasVLAN(vid uint16) bool {
	for _, p := range c.state.Ports {
		if _, ok := bridge.VLANOf(p.VLANs, vid); ok {
			return true
		}
	}
	for _, b := range c.state.Bridges {
		if _, ok := bridge.VLANOf(b.VLANs, vid); ok {
			return true
		}
	}
	return false
}

func (c *Chip) countVLANs() (n int) {
	for vid := uint16(1); vid < 4095; vid++ {
		if c.hasVLAN(vid) {
			n++
		}
	}
	return n
}

// inVLAN says that the port, or the bridge itself, is a member.
func (c *Chip) inVLAN(br, port string, vid uint16) bool {
	vs, err := c.vlans(port, port == br)
	if err != nil {
		return false
	}
	_, ok := bridge.VLANOf(*vs, vid)
	return ok
}

func (c *Chip) entry(o bridge.Op) error {
	s := &c.state
	switch o := o.(type) {
	case bridge.SetFDB:
		e := o.Entry
		if !c.inVLAN(e.Bridge, e.Port, e.VID) {
			return refuse(syscall.EINVAL, "RTM_NEWNEIGH with unconfigured vlan")
		}
		s.FDB = append(slices.DeleteFunc(s.FDB, func(x bridge.FDBEntry) bool { return x.Bridge == e.Bridge && x.VID == e.VID && x.MAC == e.MAC }), e)
	case bridge.DelFDB:
		e := o.Entry
		if !c.inVLAN(e.Bridge, e.Port, e.VID) {
			return refuse(syscall.EINVAL, "RTM_DELNEIGH with unconfigured vlan")
		}
		n := len(s.FDB)
		s.FDB = slices.DeleteFunc(s.FDB, func(x bridge.FDBEntry) bool {
			return x.Bridge == e.Bridge && x.VID == e.VID && x.MAC == e.MAC && x.Port == e.Port
		})
		if len(s.FDB) == n {
			return refuse(syscall.ENOENT, "")
		}
	case bridge.FlushFDB:
		s.FDB = slices.DeleteFunc(s.FDB, func(x bridge.FDBEntry) bool { return x.Port == o.Port && x.VID == o.VID && x.Bridge == o.Bridge })
	case bridge.AddMDB:
		if slices.Contains(s.MDB, o.Entry) {
			return refuse(syscall.EEXIST, "")
		}
		s.MDB = append(s.MDB, o.Entry)
	case bridge.DelMDB:
		n := len(s.MDB)
		if s.MDB = slices.DeleteFunc(s.MDB, func(x bridge.MDBEntry) bool { return x == o.Entry }); len(s.MDB) == n {
			return refuse(syscall.ENOENT, "")
		}
	}
	return nil
}
