// SPDX-License-Identifier: Apache-2.0

package rtchip

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/dsatest"
	"github.com/weirswitch/weir/firmware/switchd/chip"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb"
)

var (
	seed  = flag.Uint64("seed", 0, "of random tests; 0: a new one each time")
	cases = flag.Int("cases", 150, "of each random test")
)

func newRand(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// scoped is the model behind what a Chips looks at of the kernel.
type scoped struct {
	*dsatest.Chip
	c *Chips
}

func (s scoped) Close() error { return nil }

func (s scoped) Read() (bridge.State, error) {
	all, err := s.Chip.Read()
	scope := s.c.reads()
	all.Ports = slices.DeleteFunc(all.Ports, func(p bridge.Port) bool {
		return !scope.Owned(p.Name) && !scope.Owned(p.Master) && !scope.Port(p.Name)
	})
	return all, err
}

// finding finds the model's ports, as those of a chip.
type finding struct{ *dsatest.Chip }

func (f finding) Close() error { return nil }

func (f finding) Topology() (dsa.Topology, error) {
	var t dsa.Topology
	lost := f.LoseReads
	f.LoseReads = 0
	s, err := f.Read()
	f.LoseReads = lost
	for i, p := range s.Ports {
		if strings.HasPrefix(p.Name, "p") {
			t.Ports = append(t.Ports, dsa.Port{Index: i + 1, Name: p.Name, Kind: dsa.KindDSA, Switch: "s", Caps: dsa.Driver("mv88e6085")})
		}
	}
	return t, err
}

// machine is a model of a chip with the daemon that drives it.
type machine struct {
	t    *testing.T
	chip *dsatest.Chip
	c    *Chips
	base time.Time

	delivered int // frames that watch has seen leave
}

func newMachine(t *testing.T, ports ...string) *machine {
	m := &machine{t: t, chip: dsatest.New(ports...), base: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	m.start()
	return m
}

func (m *machine) now() time.Time { return m.base.Add(m.chip.Took) }

// plug puts the ports in, and sets them up, as the reconciler does: the model's and the kernel's are down at first.
func (m *machine) plug() {
	for p := range 4 {
		m.chip.Appear(fmt.Sprint("p", p))
	}
	s := m.state()
	for i := range s.Ports {
		s.Ports[i].Up = s.Ports[i].Up || strings.HasPrefix(s.Ports[i].Name, "p")
	}
	m.chip.Set(s)
}

// start makes a daemon that knows nothing.
func (m *machine) start() {
	m.c = newChips(finding{m.chip}, m.now)
	m.c.dev = scoped{m.chip, m.c}
}

// killed is thrown out of the middle of an operation.
type killed struct{}

// round does what the reconciler does in a run, for a configuration.
func (m *machine) round(want []chip.Bridge) (refused, notes map[string]string, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			err = fmt.Errorf("killed")
			m.start()
		}
	}()
	if _, err := m.c.Ports(); err != nil {
		return nil, nil, err
	}
	if err := m.c.Prepare(want); err != nil {
		return nil, nil, err
	}
	return m.c.Apply(want)
}

// state is the whole of the model.
func (m *machine) state() bridge.State {
	lost := m.chip.LoseReads
	m.chip.LoseReads = 0
	s, err := m.chip.Read()
	m.chip.LoseReads = lost
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// reached says what is not as wanted.
func (m *machine) reached(want []chip.Bridge) string {
	have, err := m.c.dev.Read()
	if err != nil {
		return err.Error()
	}
	w := m.c.state(want, &have, behindLegs(want, &have))
	return bridge.Text(bridge.Ops(bridge.Plan(have, w)))
}

// configuration is a random one of two bridges with four ports.
func configuration(r *rand.Rand) []chip.Bridge {
	s := &wanted.Switch{Bridges: []wanted.Bridge{
		{ID: ovsdb.UUID{1}, Name: "br0", MACAging: 300 * time.Second}, {ID: ovsdb.UUID{2}, Name: "br1", MACAging: 60 * time.Second},
	}}
	vs := []uint16{10, 20, 30}
	in := chip.Input{
		Switch: s, Ports: map[string]chip.Port{}, MTU: map[string]int{},
		Usable:    func(string) bool { return true },
		NotNormal: func(_, _ string) string { return "" },
	}
	for i := range 4 {
		name := fmt.Sprint("p", i)
		in.Ports[name], in.MTU[name] = chip.Port{Name: name, Switch: "s"}, 1500
		if r.IntN(6) == 0 {
			continue
		}
		v := wanted.VLAN{Mode: wanted.VLANMode(r.IntN(4))}
		if v.Mode != wanted.Trunk {
			v.Tag = vs[r.IntN(3)]
		}
		if v.Mode != wanted.Access && r.IntN(2) == 0 {
			v.Trunks = []uint16{vs[r.IntN(2)], vs[2]}
		}
		b := &s.Bridges[r.IntN(5)/4]
		b.Ports = append(b.Ports, wanted.Port{Name: name, VLAN: v, Interfaces: []wanted.Interface{{Name: name}}})
	}
	a, _ := chip.Assign(in, new(chip.Holds), time.Time{})
	return a.Bridges
}

// watch makes a test of every operation: afterwards no frame can be delivered that neither configuration
// delivers. MAC tables are left out of that: what a chip does not know it floods, within the VLAN.
func (m *machine) watch(r *rand.Rand, a, b []chip.Bridge) {
	bare := func(want []chip.Bridge) bridge.State {
		s := m.c.state(want, &bridge.State{}, nil)
		s.FDB = nil
		return s
	}
	old, new := bare(a), bare(b)
	frames := dsatest.Frames([]uint16{10, 20, 30, 3071}, &old, &new)
	r.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
	frames = frames[:min(len(frames), 60)]
	type both struct{ a, b map[dsatest.Delivery]bool }
	allowed := make([]both, len(frames))
	for i, f := range frames {
		allowed[i] = both{dsatest.May(&old, f), dsatest.May(&new, f)}
	}
	var done []bridge.Op
	m.chip.After = func(o bridge.Op) {
		done = append(done, o)
		now := m.state()
		for i, f := range frames {
			for d := range dsatest.May(&now, f) {
				m.delivered++
				if !allowed[i].a[d] && !allowed[i].b[d] {
					m.t.Fatalf("%v leaves %s with tag %d, which neither configuration does, after\n%s\nold %+v\nnew %+v", f, d.Port, d.VID, bridge.Text(done), a, b)
				}
			}
		}
	}
}

// hand makes a change by hand, as another program would, that lets nothing through.
func (m *machine) hand(r *rand.Rand) {
	s := m.state()
	after := m.chip.After
	m.chip.After = nil
	fault := m.chip.Fault
	m.chip.Fault = nil
	defer func() { m.chip.After, m.chip.Fault = after, fault }()
	var op bridge.Op
	p := s.Ports[r.IntN(len(s.Ports))]
	switch r.IntN(5) {
	case 0:
		op = bridge.SetMaster{Port: p.Name}
	case 1:
		if len(s.Bridges) > 0 {
			op = bridge.DelLink{Name: s.Bridges[r.IntN(len(s.Bridges))].Name}
		}
	case 2:
		if len(s.FDB) > 0 {
			op = bridge.DelFDB{Entry: s.FDB[r.IntN(len(s.FDB))]}
		}
	default:
		if len(p.VLANs) > 0 && p.Master != "" {
			v := p.VLANs[r.IntN(len(p.VLANs))].VID
			op = bridge.DelVLAN{Name: p.Name, First: v, Last: v}
		}
	}
	if op == nil {
		return
	}
	_, _ = m.chip.Apply(op) // there may be nothing of the kind
}

// addresses does what followMACs does: an address behind the leg comes or goes.
func (m *machine) addresses(r *rand.Rand, want []chip.Bridge) {
	defer func() {
		if _, ok := recover().(killed); ok {
			m.start()
		}
	}()
	if len(want) == 0 {
		return
	}
	b := &want[r.IntN(len(want))]
	o := chip.FDBOp{Dev: b.Inner, MAC: uint64(2 + 2*r.IntN(3)), VID: b.Leg[r.IntN(len(b.Leg))].VID, Delete: r.IntN(3) == 0}
	_ = m.c.SetMAC(b, o) // may be refused: the bridge may not be there
}

// TestFaults: whatever goes wrong on the way from one configuration to another, no operation makes a frame
// pass that neither lets pass; and when it goes wrong no more, the other is reached: within 2 s, unless the kernel has said
// that it is of no use to ask again.
func TestFaults(t *testing.T) {
	transient := []syscall.Errno{syscall.EBUSY, syscall.ENOBUFS, syscall.ETIMEDOUT, syscall.ENODEV, syscall.ENOSPC}
	final := append(slices.Clone(transient), syscall.EOPNOTSUPP, syscall.EINVAL, syscall.EIO)
	for _, tc := range []struct {
		name   string
		errnos []syscall.Errno
		within time.Duration
	}{{"transient", transient, 2 * time.Second}, {"final", final, bridge.RetryRefused + 7*time.Second}} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRand(t)
			kills, vanished, hands, delivered, slowest := 0, 0, 0, 0, time.Duration(0)
			for n := range *cases {
				m := newMachine(t, "p0", "p1", "p2", "p3")
				m.plug()
				a, b := configuration(r), configuration(r)
				if _, _, err := m.round(a); err != nil || m.reached(a) != "" {
					t.Fatalf("case %d, without a fault: %v\n%s", n, err, m.reached(a))
				}
				m.watch(r, a, b)
				m.chip.Fault = func(_ int, o bridge.Op) (f dsatest.Fault) {
					f.Slow = time.Duration(r.IntN(20)) * time.Millisecond
					switch r.IntN(24) {
					case 0:
						kills++
						panic(killed{})
					case 1:
						f.Vanish = fmt.Sprint("p", r.IntN(4))
						vanished++
					case 2:
						m.hand(r)
						hands++
					case 3, 4, 5:
						if s, ok := o.(bridge.SetFlag); ok && !s.On { // refused for good, the gate stays open: see dsa/bridge
							f.Errno = syscall.EBUSY
							break
						}
						f.Errno, f.Late = tc.errnos[r.IntN(len(tc.errnos))], r.IntN(3) == 0
					}
					return f
				}
				for range 6 {
					m.chip.LoseReads = r.IntN(3)
					_, _, _ = m.round(b)
					m.addresses(r, b)
					m.plug()
				}
				m.chip.LoseReads = 0
				m.chip.Fault = func(int, bridge.Op) dsatest.Fault { return dsatest.Fault{Slow: 5 * time.Millisecond} }
				start := m.now()
				var refused map[string]string
				var err error
				wait := 250 * time.Millisecond
				for m.now().Sub(start) <= tc.within {
					if refused, _, err = m.round(b); err == nil && len(refused) == 0 && m.reached(b) == "" {
						break
					}
					m.base = m.base.Add(wait)
					wait = min(2*wait, 5*time.Second)
				}
				if took := m.now().Sub(start); err != nil || len(refused) > 0 || m.reached(b) != "" || took > tc.within {
					t.Fatalf("case %d is not there after %v: %v, refused %v\n%s", n, took, err, refused, m.reached(b))
				} else {
					slowest = max(slowest, took)
					delivered += m.delivered
				}
			}
			t.Logf("%d cases: %d kills, %d ports pulled out, %d changes by others, %d frames passed on the way; slowest %v", *cases, kills, vanished, hands, delivered, slowest)
			if kills == 0 || vanished == 0 || hands == 0 || delivered == 0 {
				t.Error("not all was tried")
			}
		})
	}
}

// TestSoftwareBridging: a port that the kernel takes without the chip leaves again, with the kernel's words.
func TestSoftwareBridging(t *testing.T) {
	m := newMachine(t, "p0", "p1", "p2")
	m.chip.Software["p1"] = true
	want := []chip.Bridge{{Of: "br0", Name: chip.NamePrefix + "b", Inner: chip.NamePrefix + "i", Outer: chip.NamePrefix + "o", Ageing: time.Minute, MTU: 1500, Leg: []chip.VLAN{{VID: 10}}}}
	for _, p := range []string{"p0", "p1", "p2"} {
		want[0].Members = append(want[0].Members, chip.Member{Name: p, VLANs: []chip.VLAN{{VID: 10, PVID: true, Untagged: true}}})
	}
	refused, notes, err := m.round(want)
	if err != nil || len(refused) != 1 || refused["p1"] != "p1 in wchip-b: Offloading not supported" || len(notes) != 0 {
		t.Errorf("refused %v, notes %v, %v", refused, notes, err)
	}
	s := m.state()
	if s.PortByName("p1").Master != "" || s.PortByName("p2").Master == "" {
		t.Errorf("masters %+v", s.Ports)
	}

	// A table that is full refuses the port that is too much.
	m.chip.MaxVLANs = 1
	want[0].Members[2].VLANs = []chip.VLAN{{VID: 20}}
	want[0].Members = slices.Delete(want[0].Members, 1, 2)
	want[0].Leg = append(want[0].Leg, chip.VLAN{VID: 20})
	refused, _, err = m.round(want)
	if s = m.state(); !strings.Contains(refused["p2"], "VLAN table full") || s.PortByName("p0").Master == "" {
		t.Errorf("refused %v, %v", refused, err)
	}
}

// TestLate: a note of what the chip has not confirmed comes when it had time to.
func TestLate(t *testing.T) {
	m := newMachine(t, "p0", "p1")
	m.chip.Confirms = true
	m.chip.MaxFDB = 1
	want := []chip.Bridge{{Of: "br0", Name: chip.NamePrefix + "b", Inner: chip.NamePrefix + "i", Outer: chip.NamePrefix + "o", Ageing: time.Minute, MTU: 1500, Leg: []chip.VLAN{{VID: 10}}}}
	for _, p := range []string{"p0", "p1"} {
		want[0].Members = append(want[0].Members, chip.Member{Name: p, VLANs: []chip.VLAN{{VID: 10, PVID: true, Untagged: true}}})
	}
	look := func() string {
		t.Helper()
		refused, notes, err := m.round(want)
		if err != nil || len(refused) > 0 {
			t.Errorf("refused %v, %v", refused, err)
		}
		return fmt.Sprint(notes)
	}
	if got := look(); got != "map[]" {
		t.Errorf("without addresses %s", got)
	}
	for i := range uint64(3) {
		if err := m.c.SetMAC(&want[0], chip.FDBOp{Dev: want[0].Inner, MAC: 2 + 2*i, VID: 10}); err != nil {
			t.Fatal(err)
		}
	}
	if got := look(); got != "map[]" {
		t.Errorf("at once %s", got)
	}
	m.base = m.base.Add(confirmTime)
	if got := look(); got != "map[wchip-i:the driver has not confirmed 2 of 3 addresses behind the leg (no NTF_OFFLOADED)]" {
		t.Errorf("later %s", got)
	}
	m.chip.MaxFDB = 3
	if got := look(); got != "map[]" || len(m.c.unconfirmed) != 0 {
		t.Errorf("confirmed %s", got)
	}
}
