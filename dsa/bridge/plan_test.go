// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/dsatest"
)

var (
	update = flag.Bool("update", false, "rewrite testdata/*.plan")
	seed   = flag.Uint64("seed", 0, "of the random configurations; 0: a new one")
	cases  = flag.Int("cases", 400, "random changes of configuration")
)

func access(vid uint16) []bridge.VLAN {
	return []bridge.VLAN{{VID: vid, PVID: true, Untagged: true}}
}

func tagged(vids ...uint16) (vs []bridge.VLAN) {
	for _, v := range vids {
		vs = append(vs, bridge.VLAN{VID: v})
	}
	return vs
}

func member(name string, vs ...bridge.VLAN) bridge.Port {
	return bridge.Port{Name: name, Master: "br0", Up: true, MTU: 1500, Flags: bridge.DefaultFlags(), VLANs: vs}
}

func alone(name string) bridge.Port { return bridge.Port{Name: name, MTU: 1500} }

func br0(self ...bridge.VLAN) bridge.Bridge {
	return bridge.Bridge{Name: "br0", Up: true, VLANFiltering: true, McastSnooping: true, Ageing: 300 * time.Second, VLANs: self}
}

// Plans as a reviewer reads them.
func TestPlans(t *testing.T) {
	empty := bridge.State{Ports: []bridge.Port{alone("p1"), alone("p2"), alone("p3")}}
	two := bridge.State{Bridges: []bridge.Bridge{br0(tagged(10)...)}, Ports: []bridge.Port{member("p1", access(10)...), member("p2", access(10)...), member("p3", tagged(10, 20)...)}}
	with := func(s bridge.State, change func(*bridge.State)) bridge.State {
		c := s.Clone()
		change(&c)
		c.Sort()
		return c
	}
	mac := func(n byte) bridge.MAC { return bridge.MAC{2, 0, 0, 0, 0, n} }
	for _, tc := range []struct {
		name     string
		old, new bridge.State
	}{
		{"first", empty, two},
		{"nothing", two, two},
		{"access-10-to-20", two, with(two, func(s *bridge.State) { s.Ports[0].VLANs = access(20) })},
		{"swap-10-and-20", with(two, func(s *bridge.State) { s.Ports[1].VLANs = access(20) }), with(two, func(s *bridge.State) { s.Ports[0].VLANs = access(20) })},
		{"native-vlan", two, with(two, func(s *bridge.State) {
			s.Ports[0].VLANs = append(access(20), tagged(10)...)
		})},
		{"all-vlans", two, with(two, func(s *bridge.State) {
			s.Ports[2].VLANs = nil
			for v := uint16(1); v <= 4094; v++ {
				s.Ports[2].VLANs = append(s.Ports[2].VLANs, bridge.VLAN{VID: v})
			}
		})},
		{"leave", two, with(two, func(s *bridge.State) { s.Ports[1] = bridge.Port{Name: "p2", Up: true, MTU: 1500} })},
		{"give-up", two, empty},
		{"flags", two, with(two, func(s *bridge.State) {
			s.Ports[0].Flags = bridge.Flags{BcastFlood: true, McastFlood: true, Isolated: true}
			s.Ports[1].MTU = 9000
			s.Bridges[0].Ageing = 10 * time.Second
		})},
		{"fdb-programmed", two, with(two, func(s *bridge.State) {
			for i := range s.Ports {
				s.Ports[i].Flags.Learning, s.Ports[i].Flags.Flood = false, false
			}
			s.FDB = []bridge.FDBEntry{{Bridge: "br0", VID: 10, MAC: mac(1), Port: "p1"}, {Bridge: "br0", VID: 10, MAC: mac(2), Port: "p2", Sticky: true}, {Bridge: "br0", VID: 10, MAC: mac(3), Port: "br0"}}
		})},
		{"new-vlan-with-macs", two, with(two, func(s *bridge.State) {
			s.Ports[0].VLANs = append(access(10), tagged(30)...)
			s.Ports[1].VLANs = append(access(10), tagged(30)...)
			s.FDB = []bridge.FDBEntry{{Bridge: "br0", VID: 30, MAC: mac(1), Port: "p1"}, {Bridge: "br0", VID: 30, MAC: mac(2), Port: "p2"}}
		})},
		{"foreign", with(two, func(s *bridge.State) {
			s.Bridges[0].VLANFiltering, s.Bridges[0].DefaultPVID = false, 1
			s.Ports = append(s.Ports, member("usb0", access(1)...))
			s.Ports[0].VLANs = append(access(1), tagged(10)...)
		}), with(two, func(s *bridge.State) { s.Ports = append(s.Ports, bridge.Port{Name: "usb0", Up: true, MTU: 1500}) })},
		{"leg", two, with(two, func(s *bridge.State) {
			s.Legs = []bridge.Leg{{Inner: "leg0", Outer: "leg0x"}}
			s.Ports = append(s.Ports, member("leg0", tagged(10, 20)...), bridge.Port{Name: "leg0x", Up: true, MTU: 1500})
		})},
		{"lag", two, with(two, func(s *bridge.State) {
			s.LAGs = []bridge.LAG{{Name: "bond0", Mode: bridge.LACP, Hash: "layer2+3"}}
			s.Ports[0] = bridge.Port{Name: "p1", Master: "bond0", Up: true, MTU: 1500}
			s.Ports = append(s.Ports, member("bond0", access(10)...))
		})},
		{"stp-mst", two, with(two, func(s *bridge.State) {
			s.Bridges[0].MST, s.Bridges[0].UserSTP = true, true
			s.Ports[0].STP, s.Ports[1].STP = bridge.STPBlocking, bridge.STPForwarding
			s.Ports[2].MSTs = []bridge.MST{{MSTI: 1, State: bridge.STPBlocking}, {MSTI: 2, State: bridge.STPForwarding}}
		})},
		{"mdb", with(two, func(s *bridge.State) {
			s.MDB = []bridge.MDBEntry{{Bridge: "br0", Port: "p1", VID: 10, Group: "239.1.1.1"}}
		}), with(two, func(s *bridge.State) {
			s.MDB = []bridge.MDBEntry{{Bridge: "br0", Port: "p2", VID: 10, Group: "239.1.1.1"}}
		})},
		{"mirror-police-qdisc", with(two, func(s *bridge.State) {
			s.Mirrors = []bridge.Mirror{{From: "p1", Dir: bridge.Ingress, To: "p3"}}
			s.Polices = []bridge.Police{{Port: "p1", Rate: 1e6, Burst: 1e4}, {Port: "p2", Packets: 100, PBurst: 10}}
		}), with(two, func(s *bridge.State) {
			s.Mirrors = []bridge.Mirror{{From: "p1", Dir: bridge.Ingress, To: "p2"}}
			s.Polices = []bridge.Police{{Port: "p1", Rate: 2e6, Burst: 1e4}}
			s.Qdiscs = []bridge.Qdisc{{Port: "p1", Kind: "tbf", Rate: 1e6, Burst: 4000, Limit: 30000}}
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.new.Check(); err != nil {
				t.Fatal(err)
			}
			got := bridge.Text(bridge.Ops(bridge.Plan(tc.old, tc.new)))
			path := filepath.Join("testdata", tc.name+".plan")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("plan (-want +got):\n%s", d)
			}
			carryOut(t, tc.old, tc.new)
		})
	}
}

func newRand(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

var vids = []uint16{10, 20, 30}

// describe writes a state as the plan that makes it.
func describe(s bridge.State) string {
	empty := bridge.State{}
	for _, p := range s.Ports {
		empty.Ports = append(empty.Ports, alone(p.Name))
	}
	return bridge.Text(bridge.Ops(bridge.Plan(empty, s)))
}

// random returns a configuration that can be wanted: up to two bridges, four
// ports and the CPU, three VLANs, static MACs and groups.
func random(r *rand.Rand) bridge.State {
	var s bridge.State
	s.Bridges = []bridge.Bridge{br0()}
	s.Bridges[0].UserSTP = true
	if r.IntN(3) == 0 {
		b := br0()
		b.Name, b.UserSTP = "br1", true
		s.Bridges = append(s.Bridges, b)
	}
	membership := func() (vs []bridge.VLAN) {
		for _, v := range vids {
			if r.IntN(2) == 0 {
				vs = append(vs, bridge.VLAN{VID: v, Untagged: r.IntN(3) == 0})
			}
		}
		if len(vs) > 0 && r.IntN(3) > 0 {
			i := r.IntN(len(vs))
			vs[i].PVID, vs[i].Untagged = true, r.IntN(4) > 0
		}
		return vs
	}
	for i := range s.Bridges {
		s.Bridges[i].VLANs = membership()
	}
	for i := range 4 {
		p := bridge.Port{Name: fmt.Sprint("p", i), Up: r.IntN(8) > 0, MTU: 1500}
		if r.IntN(6) > 0 {
			p.Master = s.Bridges[r.IntN(len(s.Bridges))].Name
			p.VLANs = membership()
			p.Flags = bridge.DefaultFlags()
			if r.IntN(3) == 0 {
				p.Flags = bridge.Flags{Learning: r.IntN(2) == 0, Flood: r.IntN(2) == 0, McastFlood: r.IntN(2) == 0, BcastFlood: r.IntN(2) == 0, Isolated: r.IntN(2) == 0, Hairpin: r.IntN(8) == 0}
			}
			if p.Up && r.IntN(6) == 0 {
				p.STP = bridge.STPState(2 + r.IntN(4))
			}
		}
		s.Ports = append(s.Ports, p)
	}
	for n := range byte(3) {
		b, v := s.Bridges[r.IntN(len(s.Bridges))], vids[r.IntN(len(vids))]
		var in []string
		if _, ok := bridge.VLANOf(b.VLANs, v); ok {
			in = append(in, b.Name)
		}
		for _, p := range s.Ports {
			if _, ok := bridge.VLANOf(p.VLANs, v); ok && p.Master == b.Name {
				in = append(in, p.Name)
			}
		}
		if len(in) == 0 {
			continue
		}
		if r.IntN(2) == 0 {
			s.FDB = append(s.FDB, bridge.FDBEntry{Bridge: b.Name, VID: v, MAC: bridge.MAC{2, 0, 0, 0, 0, n}, Port: in[r.IntN(len(in))], Sticky: r.IntN(3) == 0})
		}
		if r.IntN(2) == 0 {
			g := fmt.Sprint("239.1.1.", n%2)
			e := bridge.MDBEntry{Bridge: b.Name, VID: v, Group: g, Port: in[r.IntN(len(in))]}
			if !slices.Contains(s.MDB, e) {
				s.MDB = append(s.MDB, e)
			}
		}
	}
	s.Sort()
	return s
}

// watch makes a test of every operation: afterwards no frame is delivered that
// neither state delivers.
func watch(t *testing.T, c *dsatest.Chip, old, new bridge.State) {
	frames := dsatest.Frames(vids, &old, &new)
	type both struct{ a, b map[dsatest.Delivery]bool }
	allowed := make([]both, len(frames))
	for i, f := range frames {
		allowed[i] = both{dsatest.May(&old, f), dsatest.May(&new, f)}
	}
	var done []bridge.Op
	c.After = func(o bridge.Op) {
		done = append(done, o)
		now, _ := c.Read()
		for i, f := range frames {
			for d := range dsatest.May(&now, f) {
				if !allowed[i].a[d] && !allowed[i].b[d] {
					t.Fatalf("%v leaves %s with tag %d, which neither state does, after\n%s\nfrom nothing to old:\n%s\nto new:\n%s", f, d.Port, d.VID, bridge.Text(done), describe(old), describe(new))
				}
			}
		}
	}
}

var ignoreRead = cmp.Options{cmpopts.IgnoreFields(bridge.FDBEntry{}, "Offloaded"), cmpopts.IgnoreFields(bridge.MDBEntry{}, "Offloaded"), cmpopts.EquateEmpty()}

// reached is new as it reads when it is reached: what is not managed stays.
func reached(new, have bridge.State) bridge.State {
	w := new.Clone()
	for i := range w.Ports {
		p := &w.Ports[i]
		h := have.PortByName(p.Name)
		if h == nil {
			continue
		}
		if p.STP == bridge.STPUnmanaged || !p.Up {
			p.STP = h.STP
		}
		for _, m := range h.MSTs {
			if !slices.ContainsFunc(p.MSTs, func(x bridge.MST) bool { return x.MSTI == m.MSTI }) {
				p.MSTs = append(p.MSTs, m)
			}
		}
	}
	w.Sort()
	return w
}

func same(t *testing.T, new bridge.State, c *dsatest.Chip) {
	t.Helper()
	have, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(reached(new, have), have, ignoreRead); d != "" {
		t.Fatalf("the end is not what was wanted (-want +have):\n%s", d)
	}
	if again := bridge.Plan(have, new); len(again) != 0 {
		t.Fatalf("a second plan is not empty:\n%s", bridge.Text(bridge.Ops(again)))
	}
}

// carryOut takes a model from old to new.
func carryOut(t *testing.T, old, new bridge.State) {
	t.Helper()
	c := dsatest.New()
	c.Set(old)
	watch(t, c, old, new)
	for _, s := range bridge.Plan(old, new) {
		if _, err := c.Apply(s.Op); err != nil {
			t.Fatalf("%v\nold\n%s\nplan\n%s", err, describe(old), bridge.Text(bridge.Ops(bridge.Plan(old, new))))
		}
	}
	same(t, new, c)
}

func TestRandomPlans(t *testing.T) {
	r := newRand(t)
	for range *cases {
		carryOut(t, random(r), random(r))
	}
}

// A chip that has no flood and learning flags gets its static MACs all the
// same.
func TestNoGate(t *testing.T) {
	old := bridge.State{Bridges: []bridge.Bridge{br0()}, Ports: []bridge.Port{member("p1", access(10)...), member("p2", access(10)...)}}
	new := old.Clone()
	for i := range new.Ports {
		new.Ports[i].VLANs = tagged(20)
		new.FDB = append(new.FDB, bridge.FDBEntry{Bridge: "br0", VID: 20, MAC: bridge.MAC{2, 0, 0, 0, 0, byte(i)}, Port: new.Ports[i].Name})
	}
	c := dsatest.New()
	c.Set(old)
	c.Cannot = func(o bridge.Op) string {
		if f, ok := o.(bridge.SetFlag); ok && !f.On {
			return "bridge flag offload is not supported"
		}
		return ""
	}
	var s bridge.Syncer
	r, err := s.Sync(c, new, time.Unix(0, 0))
	if err != nil || !r.Done() {
		t.Fatalf("%v, %+v", err, r)
	}
	same(t, new, c)
	// A flag that is wanted is another thing: its port cannot stay.
	new.Ports[0].Flags.Flood = false
	if r, err = s.Sync(c, new, time.Unix(1, 0)); err != nil || !slices.Equal(r.Demote, []string{"p1"}) || len(r.Reasons) != 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	if r, err = s.Sync(c, new.Without(r.Demote...), time.Unix(2, 0)); err != nil || !r.Done() {
		t.Fatalf("%v, %+v", err, r)
	}
	// It is not asked again before its time.
	if r, err = s.Sync(c, new, time.Unix(3, 0)); err != nil || r.Done() {
		t.Fatalf("%v, %+v", err, r)
	}
	calls := c.Calls
	for range 3 {
		if r, err = s.Sync(c, new, time.Unix(3, 0)); err != nil || len(r.Applied) != 0 {
			t.Fatalf("%v, %+v", err, r)
		}
	}
	if c.Calls != calls {
		t.Errorf("%d operations for a port that was refused", c.Calls-calls)
	}
}

// Ports that vanish, limits, overruns, and a port that the kernel bridges in
// software.
func TestDeviceFaults(t *testing.T) {
	want := bridge.State{Bridges: []bridge.Bridge{br0(tagged(10)...)}, Ports: []bridge.Port{member("p1", access(10)...), member("p2", access(20)...), member("p3", access(30)...)}}
	c := dsatest.New("p1", "p2", "p3")
	c.Software["p3"] = true
	c.MaxVLANs = 2
	c.LoseReads = 2
	var s bridge.Syncer
	now := time.Unix(0, 0)
	r, err := s.Sync(c, want, now)
	if err != nil || !r.Again || !slices.Equal(r.Demote, []string{"p3"}) {
		t.Fatalf("a full VLAN table: %v, %+v", err, r)
	}
	want = want.Without("p3")
	if r, err = s.Sync(c, want, now); err != nil || !r.Done() {
		t.Fatalf("without p3: %v, %+v", err, r)
	}
	c.MaxVLANs = 0
	want = bridge.State{Bridges: []bridge.Bridge{br0(tagged(10)...)}, Ports: []bridge.Port{member("p1", access(10)...), member("p2", access(20)...), member("p3", access(30)...)}}
	c.Fault = func(n int, o bridge.Op) dsatest.Fault {
		if _, ok := o.(bridge.AddVLAN); ok && c.Calls > 0 {
			c.Fault = nil
			return dsatest.Fault{Errno: syscall.ENODEV, Vanish: "p2"}
		}
		return dsatest.Fault{}
	}
	if r, err = s.Sync(c, want, now); err != nil || !r.Done() {
		t.Fatalf("p2 vanishes: %v, %+v", err, r)
	}
	reasons := fmt.Sprint(r.Reasons)
	if reasons != "[p2: no such device p3 in br0: Offloading not supported]" {
		t.Errorf("reasons %s", reasons)
	}
	c.LoseReads = 9
	if _, err = s.Sync(c, want, now); err == nil {
		t.Error("a table that cannot be read was believed")
	}
}

// Whatever fails on the way, nothing is delivered that must not be, and when
// it no longer fails the end is reached.
func TestRandomFaults(t *testing.T) {
	r := newRand(t)
	errnos := []syscall.Errno{syscall.EBUSY, syscall.ENOSPC, syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENODEV, syscall.ENOBUFS, syscall.ETIMEDOUT, syscall.EIO}
	now := time.Unix(0, 0)
	for range *cases {
		old, new := random(r), random(r)
		c := dsatest.New()
		c.Set(old)
		watch(t, c, old, new)
		c.Fault = func(_ int, o bridge.Op) dsatest.Fault {
			if r.IntN(6) > 0 {
				return dsatest.Fault{}
			}
			if f, ok := o.(bridge.SetFlag); ok && !f.On { // refused for good, the gate stays open: see TestNoGate
				return dsatest.Fault{Errno: syscall.EBUSY}
			}
			return dsatest.Fault{Errno: errnos[r.IntN(len(errnos))], Late: r.IntN(3) == 0}
		}
		var s bridge.Syncer
		for range 4 {
			now = now.Add(time.Second)
			c.LoseReads = r.IntN(3)
			if _, err := s.Sync(c, new, now); err != nil {
				t.Fatal(err)
			}
		}
		c.Fault = nil
		now = now.Add(bridge.RetryRefused)
		res, err := s.Sync(c, new, now)
		if err != nil || !res.Done() {
			t.Fatalf("without faults: %v, %+v", err, res)
		}
		same(t, new, c)
	}
}
