// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirswitch/weir/ovsdb"
)

func id(n int) (u ovsdb.UUID) {
	binary.BigEndian.PutUint32(u[12:], uint32(n))
	return u
}

func ptr(n int64) *int64 { return &n }

// port returns a port with one interface of its name.
func portRow(name, typ string, change ...func(*PortRow)) PortRow {
	h := 0
	for _, c := range name {
		h = h*31 + int(c)
	}
	p := PortRow{ID: id(h), Name: name, Interfaces: []InterfaceRow{{ID: id(h + 1), Name: name, Type: typ}}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func with(f func(*InterfaceRow)) func(*PortRow) {
	return func(p *PortRow) { f(&p.Interfaces[0]) }
}

func rows(bridges ...BridgeRow) Rows { return Rows{ID: id(1), NextCfg: 4, Bridges: bridges} }

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name string
		rows Rows
		want string
	}{
		{"nothing", Rows{}, "switch next_cfg 0\n"},
		{"one bridge", rows(BridgeRow{ID: id(2), Name: "br0", Ports: []PortRow{portRow("br0", "internal")}}), `
switch next_cfg 4
bridge br0 bpf
  port br0 trunk
    br0 internal local
`},
		{"a bridge without its own port gets it", rows(BridgeRow{ID: id(2), Name: "br0", DatapathType: "netdev"}), `
switch next_cfg 4
bridge br0 soft
  port br0 trunk
    br0 internal local
`},
		{"names that would be paths", rows(BridgeRow{ID: id(2), Name: "../br0"}, BridgeRow{ID: id(3)}, BridgeRow{ID: id(4), Name: "ok"}), `
switch next_cfg 4
bridge "" is ignored
bridge "../br0" is ignored
bridge ok bpf
  port ok trunk
    ok internal local
`},
		{"columns of a bridge", rows(BridgeRow{ID: id(2), Name: "b", FailMode: "secure", Protocols: []string{"OpenFlow13", "OpenFlow10"},
			OtherConfig: map[string]string{"datapath-id": "0x00000000000000ff", "hwaddr": "02:00:00:00:00:01", "mac-aging-time": "1", "mac-table-size": "x", "forward-bpdu": "true"},
			Controllers: []ControllerRow{{Target: "tcp:10.0.0.1"}, {Target: "ptcp:6653", InactivityProbe: ptr(0), MaxBackoff: ptr(2000)}, {Target: "unix:/x", InactivityProbe: ptr(500),
				RateLimit: ptr(1000), BurstLimit: ptr(30), QueueSize: ptr(7), NoAsync: true}},
			Tables: map[int64]TableRow{0: {Name: "in", FlowLimit: ptr(9), OverflowPolicy: "evict", Groups: []string{"NXM_OF_IN_PORT[]"}}, 3: {}, 254: {}}}), `
switch next_cfg 4
bridge b bpf secure dpid 00000000000000ff hwaddr 02:00:00:00:00:01 mac 15s 8192 forward-bpdu protocols OpenFlow10,OpenFlow13
  controller ptcp:6653 service probe 0s backoff 2s
  controller tcp:10.0.0.1 primary probe 5s backoff 8s
  controller unix:/x primary probe 1s backoff 8s packet-ins 1000/s burst 30 queue 7 no-async
  table 0 {Name:in Limited:true Limit:9 Evict:true Groups:[NXM_OF_IN_PORT[]]}
  table 3 {Name: Limited:false Limit:0 Evict:false Groups:[]}
  port b trunk
    b internal local
`},
		{"VLAN modes", rows(BridgeRow{ID: id(2), Name: "b", Ports: []PortRow{
			portRow("a1", "", func(p *PortRow) { p.Tag = ptr(10) }),
			portRow("a2", "", func(p *PortRow) { p.Tag = ptr(10); p.Trunks = []int64{1, 2} }),
			portRow("a3", "", func(p *PortRow) { p.VLANMode = "access" }),
			portRow("t1", "", func(p *PortRow) { p.Trunks = []int64{20, 10, 20} }),
			portRow("t2", "", func(p *PortRow) { p.VLANMode, p.Tag = "trunk", ptr(5) }),
			portRow("t3", "", func(p *PortRow) {
				p.VLANMode, p.Tag, p.Trunks = "native-tagged", ptr(5), []int64{7}
				p.OtherConfig = map[string]string{"priority-tags": "always"}
			}),
			portRow("t4", "", func(p *PortRow) { p.VLANMode, p.Tag = "native-untagged", ptr(5) }),
			portRow("t5", "", func(p *PortRow) { p.VLANMode = "dot1q-tunnel" }),
		}}), `
switch next_cfg 4
bridge b bpf
  port a1 access 10
    a1 system
  port a2 access 10
    a2 system
  port a3 access 0
    a3 system
  port b trunk
    b internal local
  port t1 trunk of [10 20]
    t1 system
  port t2 trunk
    t2 system
  port t3 native-tagged 5 of [5 7] priority-tags always
    t3 system
  port t4 native-untagged 5
    t4 system
  port t5 trunk (vlan_mode dot1q-tunnel is not supported yet)
    t5 system
`},
		{"interfaces", rows(BridgeRow{ID: id(2), Name: "b", Ports: []PortRow{
			portRow("b", "system", with(func(i *InterfaceRow) { i.OfportRequest = ptr(3) })),
			portRow("i", "internal", with(func(i *InterfaceRow) { i.MAC = "02:00:00:00:00:09"; i.MTURequest = ptr(9000) })),
			portRow("g", "geneve"),
			portRow("p", "patch", with(func(i *InterfaceRow) { i.Options = map[string]string{"peer": "q"}; i.Ofport = ptr(-1) })),
			portRow("s", "system", with(func(i *InterfaceRow) {
				i.MAC, i.Ofport, i.OfportRequest = "01:00:00:00:00:00", ptr(8), ptr(9)
			})),
			{ID: id(70), Name: "bond", Interfaces: []InterfaceRow{{ID: id(72), Name: "x2"}, {ID: id(71), Name: "x1"}}},
		}}), `
switch next_cfg 4
bridge b bpf
  port b trunk
    b internal local request 3
  port bond trunk (a port with several interfaces (bond) is not supported yet)
    x1 system
    x2 system
  port g trunk
    g unknown type
  port i trunk
    i internal mac 02:00:00:00:00:09 mtu 9000
  port p trunk
    p patch to q
  port s trunk
    s system request 9 hint 8
`},
	} {
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), New(c.rows).String()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestNumbers(t *testing.T) {
	var n Numbers
	for i, c := range []struct {
		claims []Claim
		want   string
	}{
		{[]Claim{{"b", 0, 0}, {"a", 0, 0}}, "map[a:1 b:2]"},
		{[]Claim{{"a", 0, 0}, {"b", 0, 0}}, "map[a:1 b:2]"},
		{[]Claim{{"a", 0, 0}, {"b", 0, 0}, {"c", 7, 0}, {"d", 0, 5}}, "map[a:1 b:2 c:7 d:5]"},
		{[]Claim{{"b", 0, 0}, {"c", 0, 0}, {"e", 0, 0}}, "map[b:2 c:7 e:3]"},                  // 1 and 5 are not used again at once
		{[]Claim{{"b", 7, 0}, {"c", 0, 0}, {"e", 4, 0}}, "map[b:2 c:7 e:4]"},                  // 7 is taken, 4 is not
		{[]Claim{{"f", 0, 0}, {"g", 0, 2}, {"h", 1, 0}}, "map[f:6 g:2 h:1]"},                  // 2 and 1 were asked for
		{[]Claim{{"f", 0, 0}, {"g", 0, 2}, {"h", 1, 0}, {"i", 0, 0}}, "map[f:6 g:2 h:1 i:8]"}, // the bound is 8
		{[]Claim{{"j", 0, 0}, {"k", 0, 0}, {"l", 0, 0}}, "map[j:5 k:3 l:7]"},                  // used up: longest unused first
		{[]Claim{{"j", 9, 0}, {"k", 0, 0}, {"l", 5, 0}}, "map[j:5 k:3 l:7]"},                  // above the bound, and taken
	} {
		if got := fmt.Sprint(n.Assign(c.claims, 8)); got != c.want {
			t.Errorf("step %d: %s, want %s", i, got, c.want)
		}
	}
	var all []Claim
	for i := range 10 {
		all = append(all, Claim{Name: fmt.Sprint(i)})
	}
	if got := len(n.Assign(all, 8)); got != 8 {
		t.Errorf("%d of 8 numbers given to 10", got)
	}
}

// world is a model of what is there; do does to it what an operation says.
type world struct {
	Present
	ifindex int
	ops     int
}

func newWorld() *world {
	return &world{Present: Present{Devices: map[string]Device{}, Open: map[Kind]bool{}, Ports: map[string]Attached{},
		Broken: map[Kind]string{}, Failed: map[string]string{}, Refused: map[string]bool{}}}
}

func (w *world) device(name string, mac MAC) {
	w.ifindex++
	w.Devices[name] = Device{Name: name, Ifindex: w.ifindex, MAC: mac, MTU: 1500, Up: w.ifindex%2 == 0, Leg: name, LegIx: w.ifindex}
}

func (w *world) do(o Op) error {
	w.ops++
	switch o := o.(type) {
	case OpenDatapath:
		if w.Open[o.Kind] {
			return fmt.Errorf("%v: is open", o)
		}
		w.Open[o.Kind] = true
	case CloseDatapath:
		for name, a := range w.Ports {
			if a.Kind == o.Kind {
				return fmt.Errorf("%v: %s is still a port", o, name)
			}
		}
		delete(w.Open, o.Kind)
	case CreateInternal:
		if _, ok := w.Devices[o.Name]; ok {
			return fmt.Errorf("%v: exists", o)
		}
		w.device(o.Name, o.MAC)
		d := w.Devices[o.Name]
		w.ifindex++
		d.Ours, d.Leg, d.LegIx = true, "leg-"+o.Name, w.ifindex
		w.Devices[o.Name] = d
	case DeleteInternal:
		if d := w.Devices[o.Name]; !d.Ours {
			return fmt.Errorf("%v: not ours", o)
		}
		delete(w.Devices, o.Name)
	case SetMAC:
		d := w.Devices[o.Name]
		d.MAC = o.MAC
		w.Devices[o.Name] = d
	case SetMTU:
		d := w.Devices[o.Name]
		d.MTU = o.MTU
		w.Devices[o.Name] = d
	case SetUp:
		if _, ok := w.Ports[o.Name]; !ok || w.Devices[o.Name].Up || w.Devices[o.Name].Ours {
			return fmt.Errorf("%v: device %+v", o, w.Devices[o.Name])
		}
		d := w.Devices[o.Name]
		d.Up = true
		w.Devices[o.Name] = d
	case AddPort:
		d, ok := w.Devices[o.Name]
		if !ok || d.LegIx != o.Ifindex || d.Leg != o.Leg || !w.Open[o.Kind] || o.No == 0 {
			return fmt.Errorf("%v: device %+v", o, d)
		}
		for name, a := range w.Ports {
			if name == o.Name || a.Kind == o.Kind && a.No == o.No {
				return fmt.Errorf("%v: taken by %s %+v", o, name, a)
			}
		}
		w.Ports[o.Name] = o.Attached
	case DelPort:
		if w.Ports[o.Name] != o.Attached {
			return fmt.Errorf("%v: it is %+v", o, w.Ports[o.Name])
		}
		delete(w.Ports, o.Name)
	}
	return nil
}

// settle runs plans as the reconciler does and returns the last one and the
// operations as text.
func (w *world) settle(s *Switch, book *Book) (p *Plan, ops string, err error) {
	for range 6 {
		p = Make(s, &w.Present, book)
		if len(p.Before) == 0 {
			break
		}
		for _, o := range p.Before {
			ops += fmt.Sprintln(o)
			if err := w.do(o); err != nil {
				return p, ops, err
			}
		}
	}
	if len(p.Before) != 0 {
		return p, ops, fmt.Errorf("does not settle:\n%v", p)
	}
	for _, o := range p.After {
		ops += fmt.Sprintln(o)
		if err := w.do(o); err != nil {
			return p, ops, err
		}
	}
	return p, ops, nil
}

func TestPlan(t *testing.T) {
	w, book := newWorld(), &Book{}
	w.device("eth0", MAC{0x00, 1, 2, 3, 4, 5})
	w.device("eth1", MAC{0x00, 1, 2, 3, 4, 4})
	w.device("foreign", MAC{0x00, 0, 0, 0, 0, 1})
	w.device("int1", MAC{0x02, 0, 0, 0, 0, 9}) // somebody else's
	br0 := BridgeRow{ID: id(0x01020304), Name: "br0", Ports: []PortRow{portRow("br0", "internal"), portRow("eth0", "")}}
	br1 := BridgeRow{ID: id(3), Name: "br1", DatapathType: "netdev", Ports: []PortRow{portRow("eth1", "")}}
	for _, step := range []struct {
		name string
		do   func()
		ops  string
		plan string
	}{
		{"start", func() {}, `
open datapath bpf
create internal br0 00:01:02:03:04:05
add port br0 to bpf as 2 (leg-br0, ifindex 6)
add port eth0 to bpf as 1 (eth0, ifindex 1)
set eth0 up
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
`},
		{"nothing new", func() {}, "", `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
`},
		{"a missing device, an internal port whose name is taken, a patch without peer, an unknown type", func() {
			br0.Ports = append(br0.Ports, portRow("late", ""), portRow("int1", "internal"), portRow("gre0", "gre"),
				portRow("p0", "patch", with(func(i *InterfaceRow) { i.Options = map[string]string{"peer": "p1"} })), portRow("p9", "patch"))
		}, "", `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  gre0 0: could not open network device gre0 (Address family not supported by protocol)
  int1 0: could not open network device int1 (File exists)
  late 0: could not open network device late (No such device)
  p0 5: No usable peer 'p1' exists in 'system' datapath.
  p9 0: could not open network device p9 (Invalid argument)
`},
		{"the device comes, the type of the foreign name becomes system", func() {
			w.device("late", MAC{2, 0, 0, 0, 0, 1})
			br0.Ports[3].Interfaces[0].Type = "system"
		}, `
add port int1 to bpf as 3 (int1, ifindex 4)
add port late to bpf as 4 (late, ifindex 7)
set late up
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  gre0 0: could not open network device gre0 (Address family not supported by protocol)
  int1 3/3
  late 4/4
  p0 5: No usable peer 'p1' exists in 'system' datapath.
  p9 0: could not open network device p9 (Invalid argument)
`},
		{"the device is another one, of the same name", func() {
			w.device("late", MAC{2, 0, 0, 0, 0, 1})
			br0.Ports = br0.Ports[:3]
		}, `
delete port late from bpf (4)
add port late to bpf as 4 (late, ifindex 8)
delete port int1 from bpf (3)
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  late 4/4
after: delete port int1 from bpf (3)
`},
		{"the device goes: the number is kept for it", func() { delete(w.Devices, "late") }, `
delete port late from bpf (4)
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  late 0: could not open network device late (No such device)
after: delete port late from bpf (4)
`},
		{"it comes back", func() { w.device("late", MAC{2, 0, 0, 0, 0, 1}) }, `
add port late to bpf as 5 (late, ifindex 9)
set late up
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  late 4/5
`},
		{"a second bridge in the other datapath", func() {}, `
open datapath soft
create internal br1 00:01:02:03:04:04
add port br1 to soft as 2 (leg-br1, ifindex 11)
add port eth1 to soft as 1 (eth1, ifindex 2)
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  late 4/5
bridge br1 soft id 0000000102030404
  br1 65534/2
  eth1 1/1
`},
		{"patch ports need the same datapath", func() {
			br0.Ports = append(br0.Ports, portRow("p0", "patch", with(func(i *InterfaceRow) { i.Options = map[string]string{"peer": "p1"} })))
			br1.Ports = append(br1.Ports, portRow("p1", "patch", with(func(i *InterfaceRow) { i.Options = map[string]string{"peer": "p0"} })))
		}, "", `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  late 4/5
  p0 7: No usable peer 'p1' exists in 'system' datapath.
bridge br1 soft id 0000000102030404
  br1 65534/2
  eth1 1/1
  p1 2: No usable peer 'p0' exists in 'netdev' datapath.
`},
		{"the bridge changes its datapath, ports and all", func() { br1.DatapathType = "" }, `
delete port br1 from soft (2)
add port br1 to bpf as 6 (leg-br1, ifindex 11)
delete port eth1 from soft (1)
add port eth1 to bpf as 7 (eth1, ifindex 2)
close datapath soft
`, `
bridge br0 bpf id 0000000102030405
  br0 65534/2
  eth0 1/1
  late 4/5
  p0 7 joined to p1
bridge br1 bpf id 0000000102030404
  br1 65534/6
  eth1 1/7
  p1 2 joined to p0
after: close datapath soft
`},
		{"the end", func() { br0.Name = "" }, `
delete port br0 from bpf (2)
delete port br1 from bpf (6)
delete port eth0 from bpf (1)
delete port eth1 from bpf (7)
delete port late from bpf (5)
delete internal br0
delete internal br1
close datapath bpf
`, ``},
	} {
		step.do()
		list := []BridgeRow{br0}
		if strings.Contains(step.plan, "bridge br1") {
			list = append(list, br1)
		}
		if br0.Name == "" {
			list = nil
		}
		p, ops, err := w.settle(New(rows(list...)), book)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(step.ops, "\n"), ops); diff != "" {
			t.Errorf("%s: operations (-want +got)\n%s", step.name, diff)
		}
		if step.plan != "" {
			if diff := cmp.Diff(strings.TrimPrefix(step.plan, "\n"), p.String()); diff != "" {
				t.Errorf("%s: plan (-want +got)\n%s", step.name, diff)
			}
		}
		if _, ops, err := w.settle(New(rows(list...)), book); ops != "" || err != nil {
			t.Errorf("%s: the second run is not idle: %v\n%s", step.name, err, ops)
		}
	}
	if _, ok := w.Devices["foreign"]; !ok || len(w.Ports) > 0 {
		t.Errorf("at the end: %+v", w.Present)
	}
}

// BPF that cannot be loaded: the Go datapath serves, and says why.
func TestPlanFallback(t *testing.T) {
	w, book := newWorld(), &Book{}
	w.Broken[BPF] = "bpf(2): operation not permitted"
	s := New(rows(BridgeRow{ID: id(0x01020304), Name: "br0"}))
	p, _, err := w.settle(s, book)
	if err != nil {
		t.Fatal(err)
	}
	const want = "bridge br0 soft id 0000020001020304\n  not bpf: bpf(2): operation not permitted\n  br0 65534/1\n"
	if diff := cmp.Diff(want, strings.ReplaceAll(p.String(), fmt.Sprintf("%016x", p.Bridges[0].DatapathID), "0000020001020304")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	text := statusText(Status(s, p, nil, About{}))
	if !strings.Contains(text, `Bridge status ["map",[["datapath","soft, not bpf: bpf(2): operation not permitted"]]]`) {
		t.Errorf("the bridge's status does not say why:\n%s", text)
	}
}

// Whatever happens to rows and devices, plans settle, can be done, touch no
// foreign device, keep numbers unique and stable, and the second run is idle.
func TestPlanRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("WEIR_TEST_SEED"); s != "" {
		fmt.Sscan(s, &seed)
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		w, book := newWorld(), &Book{}
		names := []string{"e0", "e1", "e2", "i0", "i1", "p0", "p1", "b0", "b1"}
		last := map[string]uint32{} // bridge/interface -> number while it stays
		for range 12 {
			switch name := names[r.IntN(len(names))]; r.IntN(3) {
			case 0:
				if !w.Devices[name].Ours {
					w.device(name, MAC{byte(r.IntN(2)) * 2, 0, 0, 0, 1, byte(r.IntN(255) + 1)})
				}
			case 1:
				delete(w.Devices, name) // also an internal one: somebody deleted it
			}
			var list []BridgeRow
			used := map[string]bool{}
			for _, b := range []string{"b0", "b1"} {
				if r.IntN(4) == 0 {
					continue
				}
				row := BridgeRow{ID: id(r.IntN(3) + 1), Name: b, DatapathType: []string{"", "netdev"}[r.IntN(2)]}
				for _, n := range names[:7] {
					if r.IntN(2) == 0 || used[n] {
						continue
					}
					used[n] = true
					row.Ports = append(row.Ports, portRow(n, []string{"", "internal", "patch", "vxlan"}[r.IntN(4)], with(func(i *InterfaceRow) {
						if r.IntN(3) == 0 {
							i.OfportRequest = ptr(int64(r.IntN(5)))
						}
						if r.IntN(3) == 0 {
							i.Ofport = ptr(int64(r.IntN(5) - 1))
						}
						i.Options = map[string]string{"peer": names[5+r.IntN(2)]}
					})))
				}
				list = append(list, row)
			}
			delete(w.Broken, BPF)
			if r.IntN(5) == 0 && !w.Open[BPF] {
				w.Broken[BPF] = "no"
			}
			s := New(rows(list...))
			before := map[string]bool{}
			for n, d := range w.Devices {
				before[n] = !d.Ours
			}
			p, ops, err := w.settle(s, book)
			if err != nil {
				t.Fatalf("%v\n%v%s", err, s, ops)
			}
			for n, foreign := range before {
				if _, there := w.Devices[n]; foreign && !there {
					t.Fatalf("foreign device %s was deleted:\n%v%s", n, s, ops)
				}
			}
			now := map[string]uint32{}
			for _, b := range p.Bridges {
				seen := map[uint32]string{}
				for _, ps := range b.Ports {
					if ps.No == 0 {
						continue
					}
					if o := seen[ps.No]; o != "" {
						t.Fatalf("%s and %s have number %d\n%v", o, ps.Iface.Name, ps.No, p)
					}
					seen[ps.No] = ps.Iface.Name
					key := b.Name + "/" + ps.Iface.Name
					now[key] = ps.No
					if old := last[key]; old != 0 && old != ps.No && ps.Iface.Request != ps.No {
						t.Fatalf("%s changed its number from %d to %d\n%v%v", key, old, ps.No, s, p)
					}
					if a, ok := w.Ports[ps.Iface.Name]; ps.Iface.Type != Patch && (!ok || a.No != ps.DP || a.Kind != b.Kind) {
						t.Fatalf("%s is configured and not there: %+v\n%v", key, a, p)
					}
				}
			}
			last = now
			again, ops, err := w.settle(s, book)
			if err != nil || ops != "" {
				t.Fatalf("the second run is not idle: %v\n%s", err, ops)
			}
			p.After = nil
			if again.String() != p.String() {
				t.Fatalf("the second run gives another plan:\n%v%v", p, again)
			}
		}
	}
}
