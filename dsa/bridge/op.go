// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"strings"
	"time"
)

// Op is one operation on the kernel. Its text is the command of iproute2 that
// does the same.
type Op interface {
	fmt.Stringer
	// Device is the netdev that it is about: for reasons and for who is
	// held back when it fails.
	Device() string
}

// The operations. Each is a comparable value.
type (
	// AddBridge makes a bridge that is down, filters VLANs, and has no default
	// PVID.
	AddBridge struct {
		Name          string
		Ageing        time.Duration // 0: the kernel's default
		McastSnooping bool
	}
	// AddLAG makes a bond that is down.
	AddLAG struct{ LAG LAG }
	// AddLeg makes a pair of veth devices that are down.
	AddLeg struct{ Leg Leg }
	// DelLink removes a bridge, a bond or a leg.
	DelLink struct{ Name string }
	// SetBridge changes an attribute of a bridge.
	SetBridge struct {
		Name  string
		Attr  BridgeAttr
		Value uint64 // 0 or 1; AttrAgeing: in 10 ms; AttrDefaultPVID: a VLAN
	}
	// SetMaster makes a port a member, or with no master takes it out.
	SetMaster struct{ Port, Master string }
	// SetUp sets a device up or down.
	SetUp struct {
		Name string
		Up   bool
	}
	// SetMTU sets a device's MTU in bytes.
	SetMTU struct {
		Name string
		MTU  int
	}
	// AddVLAN adds VLANs First to Last to a port, or to the bridge itself, or
	// changes their flags. PVID only with First equal to Last.
	AddVLAN struct {
		Name           string
		First, Last    uint16
		PVID, Untagged bool
		Self           bool // Name is a bridge
	}
	// DelVLAN takes VLANs away.
	DelVLAN struct {
		Name        string
		First, Last uint16
		Self        bool
	}
	// SetFlag sets a bridge port's flag.
	SetFlag struct {
		Port string
		Flag Flag
		On   bool
	}
	// SetSTP sets a bridge port's spanning tree state.
	SetSTP struct {
		Port  string
		State STPState
	}
	// SetMST sets it for one instance.
	SetMST struct {
		Port string
		MST  MST
	}
	// SetFDB adds a static MAC, or moves it here from another port at once.
	SetFDB struct{ Entry FDBEntry }
	// DelFDB removes a static MAC.
	DelFDB struct{ Entry FDBEntry }
	// FlushFDB removes all MACs of a port in a VLAN that it is no longer a
	// member of: one by one the kernel refuses then (net/bridge/br_fdb.c,
	// br_fdb_delete), and on leaving the VLAN it keeps the static ones.
	FlushFDB struct {
		Bridge, Port string
		VID          uint16
	}
	// AddMDB makes a group leave by a port, too.
	AddMDB struct{ Entry MDBEntry }
	// DelMDB ends that.
	DelMDB struct{ Entry MDBEntry }
	// SetMirror begins or replaces a mirror.
	SetMirror struct{ Mirror Mirror }
	// DelMirror ends it.
	DelMirror struct{ Mirror Mirror }
	// SetPolice begins or replaces a limit.
	SetPolice struct{ Police Police }
	// DelPolice ends it.
	DelPolice struct{ Port string }
	// SetQdisc replaces a root queueing discipline.
	SetQdisc struct{ Qdisc Qdisc }
	// DelQdisc gives the kernel's default back.
	DelQdisc struct{ Port string }
)

// BridgeAttr is what SetBridge changes.
type BridgeAttr string

const (
	AttrVLANFiltering BridgeAttr = "vlan_filtering"
	AttrDefaultPVID   BridgeAttr = "vlan_default_pvid"
	AttrAgeing        BridgeAttr = "ageing_time"
	AttrMcastSnooping BridgeAttr = "mcast_snooping"
	AttrUserSTP       BridgeAttr = "stp_state"
	AttrMST           BridgeAttr = "mst_enabled"
)

// Flag names a field of Flags.
type Flag string

const (
	FlagLearning   Flag = "learning"
	FlagFlood      Flag = "flood"
	FlagMcastFlood Flag = "mcast_flood"
	FlagBcastFlood Flag = "bcast_flood"
	FlagIsolated   Flag = "isolated"
	FlagLocked     Flag = "locked"
	FlagHairpin    Flag = "hairpin"
)

// flagList is the order in which flags are changed, and which value of each
// lets less through.
var flagList = [...]struct {
	flag   Flag
	strict bool
}{
	{FlagIsolated, true}, {FlagLocked, true}, {FlagHairpin, false}, {FlagFlood, false}, {FlagMcastFlood, false}, {FlagBcastFlood, false}, {FlagLearning, false},
}

// Get returns the flag's value.
func (f Flags) Get(flag Flag) bool { return *f.field(flag) }

// Set changes the flag.
func (f *Flags) Set(flag Flag, on bool) { *f.field(flag) = on }

func (f *Flags) field(flag Flag) *bool {
	switch flag {
	case FlagLearning:
		return &f.Learning
	case FlagFlood:
		return &f.Flood
	case FlagMcastFlood:
		return &f.McastFlood
	case FlagBcastFlood:
		return &f.BcastFlood
	case FlagIsolated:
		return &f.Isolated
	case FlagLocked:
		return &f.Locked
	case FlagHairpin:
		return &f.Hairpin
	}
	panic("bridge: no flag " + string(flag))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (o AddBridge) String() string {
	s := fmt.Sprintf("ip link add %s type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping %d", o.Name, bit(o.McastSnooping))
	if o.Ageing > 0 {
		s += fmt.Sprintf(" ageing_time %d", o.Ageing/(10*time.Millisecond))
	}
	return s
}

func (o AddLAG) String() string {
	s := fmt.Sprintf("ip link add %s type bond mode %s", o.LAG.Name, o.LAG.Mode)
	if o.LAG.Hash != "" {
		s += " xmit_hash_policy " + o.LAG.Hash
	}
	return s
}
func (o AddLeg) String() string {
	return fmt.Sprintf("ip link add %s type veth peer name %s", o.Leg.Inner, o.Leg.Outer)
}
func (o DelLink) String() string { return "ip link del " + o.Name }
func (o SetBridge) String() string {
	return fmt.Sprintf("ip link set %s type bridge %s %d", o.Name, o.Attr, o.Value)
}

func (o SetMaster) String() string {
	if o.Master == "" {
		return fmt.Sprintf("ip link set %s nomaster", o.Port)
	}
	return fmt.Sprintf("ip link set %s master %s", o.Port, o.Master)
}

func (o SetUp) String() string {
	if o.Up {
		return fmt.Sprintf("ip link set %s up", o.Name)
	}
	return fmt.Sprintf("ip link set %s down", o.Name)
}
func (o SetMTU) String() string { return fmt.Sprintf("ip link set %s mtu %d", o.Name, o.MTU) }
func (o AddVLAN) String() string {
	s := fmt.Sprintf("bridge vlan add dev %s vid %s", o.Name, vids(o.First, o.Last))
	if o.PVID {
		s += " pvid"
	}
	if o.Untagged {
		s += " untagged"
	}
	return s + self(o.Self)
}

func (o DelVLAN) String() string {
	return fmt.Sprintf("bridge vlan del dev %s vid %s%s", o.Name, vids(o.First, o.Last), self(o.Self))
}

func (o SetFlag) String() string {
	return fmt.Sprintf("bridge link set dev %s %s %s", o.Port, o.Flag, onOff(o.On))
}

func (o SetSTP) String() string {
	return fmt.Sprintf("bridge link set dev %s state %s", o.Port, o.State)
}

func (o SetMST) String() string {
	return fmt.Sprintf("bridge mst set dev %s msti %d state %s", o.Port, o.MST.MSTI, o.MST.State)
}

func (o SetFDB) String() string { return "bridge fdb replace " + fdbText(o.Entry) }
func (o DelFDB) String() string { return "bridge fdb del " + fdbText(o.Entry) }
func (o FlushFDB) String() string {
	return fmt.Sprintf("bridge fdb flush dev %s master vlan %d", o.Port, o.VID)
}

func (o AddMDB) String() string { return "bridge mdb add " + mdbText(o.Entry) }
func (o DelMDB) String() string { return "bridge mdb del " + mdbText(o.Entry) }
func (o SetMirror) String() string {
	return fmt.Sprintf("tc filter replace dev %s %s pref %d matchall skip_sw action mirred egress mirror dev %s", o.Mirror.From, o.Mirror.Dir, MirrorPref, o.Mirror.To)
}

func (o DelMirror) String() string {
	return fmt.Sprintf("tc filter del dev %s %s pref %d", o.Mirror.From, o.Mirror.Dir, MirrorPref)
}

func (o SetPolice) String() string {
	p := o.Police
	limit := fmt.Sprintf("rate %dbps burst %d", p.Rate, p.Burst)
	if p.Packets > 0 {
		limit = fmt.Sprintf("pkts_rate %d pkts_burst %d", p.Packets, p.PBurst)
	}
	return fmt.Sprintf("tc filter replace dev %s ingress pref %d matchall skip_sw action police %s conform-exceed drop", p.Port, PolicePref, limit)
}

func (o DelPolice) String() string {
	return fmt.Sprintf("tc filter del dev %s ingress pref %d", o.Port, PolicePref)
}

func (o SetQdisc) String() string {
	q := o.Qdisc
	s := fmt.Sprintf("tc qdisc replace dev %s root %s", q.Port, q.Kind)
	if q.Kind == "tbf" {
		s += fmt.Sprintf(" rate %dbps burst %d limit %d", q.Rate, q.Burst, q.Limit)
	}
	return s
}
func (o DelQdisc) String() string { return fmt.Sprintf("tc qdisc del dev %s root", o.Port) }

func (o AddBridge) Device() string { return o.Name }
func (o AddLAG) Device() string    { return o.LAG.Name }
func (o AddLeg) Device() string    { return o.Leg.Inner }
func (o FlushFDB) Device() string  { return o.Port }
func (o DelLink) Device() string   { return o.Name }
func (o SetBridge) Device() string { return o.Name }
func (o SetMaster) Device() string { return o.Port }
func (o SetUp) Device() string     { return o.Name }
func (o SetMTU) Device() string    { return o.Name }
func (o AddVLAN) Device() string   { return o.Name }
func (o DelVLAN) Device() string   { return o.Name }
func (o SetFlag) Device() string   { return o.Port }
func (o SetSTP) Device() string    { return o.Port }
func (o SetMST) Device() string    { return o.Port }
func (o SetFDB) Device() string    { return o.Entry.Port }
func (o DelFDB) Device() string    { return o.Entry.Port }
func (o AddMDB) Device() string    { return o.Entry.Port }
func (o DelMDB) Device() string    { return o.Entry.Port }
func (o SetMirror) Device() string { return o.Mirror.From }
func (o DelMirror) Device() string { return o.Mirror.From }
func (o SetPolice) Device() string { return o.Police.Port }
func (o DelPolice) Device() string { return o.Port }
func (o SetQdisc) Device() string  { return o.Qdisc.Port }
func (o DelQdisc) Device() string  { return o.Port }

// Preferences of the matchall filters that are ours: below (so before) are
// flower rules' (asic), so a limit and a copy see every frame.
const (
	PolicePref = 1
	MirrorPref = 2
)

func vids(first, last uint16) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

func self(yes bool) string {
	if yes {
		return " self"
	}
	return ""
}

func fdbText(e FDBEntry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v dev %s", e.MAC, e.Port)
	if e.Port == e.Bridge {
		b.WriteString(" self local")
	} else {
		b.WriteString(" master static")
	}
	if e.Sticky {
		b.WriteString(" sticky")
	}
	fmt.Fprintf(&b, " vlan %d", e.VID)
	return b.String()
}

func mdbText(e MDBEntry) string {
	return fmt.Sprintf("dev %s port %s grp %s permanent vid %d", e.Bridge, e.Port, e.Group, e.VID)
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// Text writes ops one a line.
func Text(ops []Op) string {
	var b strings.Builder
	for _, o := range ops {
		b.WriteString(o.String())
		b.WriteByte('\n')
	}
	return b.String()
}
