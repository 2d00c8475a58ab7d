// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlattr"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// These tests run on the kernel that is there, and what it lacks is said. That
// of the boards has everything: firmware/fwtest runs them there.

var all = Scope{Owned: func(n string) bool { return strings.HasPrefix(n, "w") }, Port: func(n string) bool { return strings.HasPrefix(n, "p") }}

func open(t *testing.T, s Scope) *Kernel {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread dies with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	k, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func apply(t *testing.T, k *Kernel, ops ...bridge.Op) {
	t.Helper()
	for _, o := range ops {
		if _, err := k.Apply(o); err != nil {
			t.Fatal(err)
		}
	}
}

// ports makes pairs of veths p0/x0, p1/x1 ..., all up.
func ports(t *testing.T, k *Kernel, n int) {
	t.Helper()
	for i := range n {
		p, x := fmt.Sprint("p", i), fmt.Sprint("x", i)
		apply(t, k, bridge.AddLeg{Leg: bridge.Leg{Inner: p, Outer: x}}, bridge.SetUp{Name: x, Up: true})
	}
}

// lacks says that this kernel cannot do an operation at all.
func lacks(t *testing.T, k *Kernel, o bridge.Op) {
	t.Helper()
	if _, err := k.Apply(o); nlerr.Classify(err) == nlerr.NotSupported || errors.Is(err, unix.ENOENT) {
		t.Skipf("this kernel cannot: %v (the board's can: firmware/fwtest)", err)
	}
}

func needVLANs(t *testing.T, k *Kernel) {
	t.Helper()
	lacks(t, k, bridge.AddBridge{Name: "w9"})
	apply(t, k, bridge.DelLink{Name: "w9"})
}

func sync(t *testing.T, s *bridge.Syncer, k *Kernel, want bridge.State) *bridge.Result {
	t.Helper()
	want.Sort()
	r, err := s.Sync(k, want, time.Now())
	if err != nil || !r.Done() {
		t.Fatalf("sync: %v\napplied\n%sfailed %v\nheld %v\nto do\n%s", err, bridge.Text(r.Applied), r.Failed, r.Held, bridge.Text(bridge.Ops(bridge.Plan(r.Have, want))))
	}
	again, err := s.Sync(k, want, time.Now())
	if err != nil || len(again.Applied) != 0 {
		t.Fatalf("a second run: %v\n%s", err, bridge.Text(again.Applied))
	}
	return r
}

// Links, masters, flags, legs.
func TestLinks(t *testing.T) {
	k := open(t, all)
	needVLANs(t, k)
	ports(t, k, 2)
	var s bridge.Syncer
	want := bridge.State{
		Bridges: []bridge.Bridge{{Name: "w0", Up: true, VLANFiltering: true, Ageing: 77 * time.Second}},
		Legs:    []bridge.Leg{{Inner: "wi", Outer: "wo"}},
		Ports: []bridge.Port{
			{Name: "p0", Master: "w0", Up: true, MTU: 1600, Flags: bridge.Flags{Learning: true, McastFlood: true, Isolated: true, Hairpin: true}},
			{Name: "p1", Up: true},
			{Name: "wi", Master: "w0", Up: true, Flags: bridge.DefaultFlags()},
		},
	}
	r := sync(t, &s, k, want)
	p := r.Have.PortByName("p0")
	if p == nil || p.MTU != 1600 || !p.Flags.Isolated || p.Flags.Flood || p.Flags.BcastFlood || !p.Flags.Hairpin {
		t.Errorf("p0 is %+v", p)
	}
	if len(r.Have.Legs) != 1 || r.Have.Legs[0] != want.Legs[0] || r.Have.Bridges[0].Ageing != 77*time.Second {
		t.Errorf("read %+v", r.Have)
	}
	sync(t, &s, k, bridge.State{Ports: []bridge.Port{{Name: "p0"}, {Name: "p1"}}})
}

// Refusals come classified and with the kernel's words.
func TestRefusals(t *testing.T) {
	k := open(t, all)
	ports(t, k, 1)
	for _, tc := range []struct {
		op    bridge.Op
		class nlerr.Class
	}{
		{bridge.SetMaster{Port: "p7", Master: "w0"}, nlerr.Gone},
		{bridge.SetMTU{Name: "p0", MTU: 70000}, nlerr.Invalid},
		{bridge.AddLeg{Leg: bridge.Leg{Inner: "p0", Outer: "y"}}, nlerr.Exists},
		{bridge.SetMirror{Mirror: bridge.Mirror{From: "p0", To: "p9"}}, nlerr.Gone},
		{bridge.AddLAG{LAG: bridge.LAG{Name: "w1", Mode: "no such"}}, nlerr.Invalid},
	} {
		_, err := k.Apply(tc.op)
		if nlerr.Classify(err) != tc.class || !strings.Contains(err.Error(), tc.op.String()) {
			t.Errorf("%v: %v is %v, want %v", tc.op, err, nlerr.Classify(err), tc.class)
		}
	}
	var e *nlerr.Error
	if _, err := k.Apply(bridge.SetMTU{Name: "p0", MTU: 70000}); !errors.As(err, &e) || e.Text == "" {
		t.Errorf("no words of the kernel in %v", err)
	}
}

// Random configurations on the real bridge: each is reached, read back equal,
// and a second run does nothing. What the model of dsatest allows, the kernel
// takes.
func TestRandomKernel(t *testing.T) {
	k := open(t, all)
	needVLANs(t, k)
	ports(t, k, 4)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var s bridge.Syncer
	for range 40 {
		want := random(r)
		if err := want.Check(); err != nil {
			t.Fatal(err)
		}
		sync(t, &s, k, want)
	}
	sync(t, &s, k, bridge.State{})
}

func random(r *rand.Rand) bridge.State {
	s := bridge.State{Bridges: []bridge.Bridge{{Name: "w0", Up: true, VLANFiltering: true, McastSnooping: true}, {Name: "w1", Up: true, VLANFiltering: true, McastSnooping: true}}}
	vids := []uint16{1, 10, 11, 12, 4094}
	membership := func() (vs []bridge.VLAN) {
		for _, v := range vids {
			if r.IntN(2) == 0 {
				vs = append(vs, bridge.VLAN{VID: v, Untagged: r.IntN(2) == 0})
			}
		}
		if len(vs) > 0 {
			vs[r.IntN(len(vs))].PVID = r.IntN(2) == 0
		}
		return vs
	}
	for i := range s.Bridges {
		s.Bridges[i].VLANs = membership()
	}
	for i := range 4 {
		p := bridge.Port{Name: fmt.Sprint("p", i), Up: true}
		if m := r.IntN(3); m < 2 {
			p.Master, p.VLANs, p.Flags = s.Bridges[m].Name, membership(), bridge.DefaultFlags()
			if r.IntN(2) == 0 {
				p.Flags = bridge.Flags{Learning: r.IntN(2) == 0, Flood: r.IntN(2) == 0, McastFlood: r.IntN(2) == 0, BcastFlood: r.IntN(2) == 0, Isolated: r.IntN(2) == 0, Locked: r.IntN(2) == 0, Hairpin: r.IntN(2) == 0}
			}
			if len(p.VLANs) > 0 && r.IntN(2) == 0 {
				v := p.VLANs[r.IntN(len(p.VLANs))].VID
				mac := bridge.MAC{2, 0, 0, 0, 0, byte(r.IntN(3))}
				if !slices.ContainsFunc(s.FDB, func(e bridge.FDBEntry) bool { return e.Bridge == p.Master && e.VID == v && e.MAC == mac }) {
					s.FDB = append(s.FDB, bridge.FDBEntry{Bridge: p.Master, VID: v, MAC: mac, Port: p.Name, Sticky: r.IntN(2) == 0})
				}
				s.MDB = append(s.MDB, bridge.MDBEntry{Bridge: p.Master, VID: v, Port: p.Name, Group: []string{"239.1.1.1", "ff15::7", "01:80:c2:00:01:00"}[r.IntN(3)]})
			}
		}
		s.Ports = append(s.Ports, p)
	}
	for _, b := range s.Bridges {
		if len(b.VLANs) > 0 && r.IntN(2) == 0 {
			s.FDB = append(s.FDB, bridge.FDBEntry{Bridge: b.Name, VID: b.VLANs[0].VID, MAC: bridge.MAC{2, 9}, Port: b.Name})
		}
	}
	s.Sort()
	return s
}

// A foreign bridge as ip makes it by default is taken over, and what another
// program does to it is undone.
func TestForeign(t *testing.T) {
	k := open(t, all)
	needVLANs(t, k)
	ports(t, k, 2)
	apply(t, k, bridge.AddBridge{Name: "w0"}, bridge.SetBridge{Name: "w0", Attr: bridge.AttrDefaultPVID, Value: 1},
		bridge.SetMaster{Port: "p0", Master: "w0"}, bridge.SetBridge{Name: "w0", Attr: bridge.AttrVLANFiltering, Value: 0})
	want := bridge.State{
		Bridges: []bridge.Bridge{{Name: "w0", Up: true, VLANFiltering: true}},
		Ports:   []bridge.Port{{Name: "p0", Master: "w0", Up: true, Flags: bridge.DefaultFlags(), VLANs: []bridge.VLAN{{VID: 7, PVID: true, Untagged: true}}}, {Name: "p1"}},
	}
	var s bridge.Syncer
	sync(t, &s, k, want)
	apply(t, k, bridge.AddVLAN{Name: "p0", First: 100, Last: 200}, bridge.SetMaster{Port: "p1", Master: "w0"}, bridge.SetFlag{Port: "p0", Flag: bridge.FlagLearning})
	r := sync(t, &s, k, want)
	if len(r.Applied) != 3 {
		t.Errorf("mended by\n%s", bridge.Text(r.Applied))
	}
}

// All 4094 VLANs come and go in few operations.
func TestAllVLANs(t *testing.T) {
	k := open(t, all)
	needVLANs(t, k)
	ports(t, k, 1)
	want := bridge.State{
		Bridges: []bridge.Bridge{{Name: "w0", Up: true, VLANFiltering: true}},
		Ports:   []bridge.Port{{Name: "p0", Master: "w0", Up: true, Flags: bridge.DefaultFlags()}},
	}
	for v := uint16(1); v <= 4094; v++ {
		want.Ports[0].VLANs = append(want.Ports[0].VLANs, bridge.VLAN{VID: v})
	}
	var s bridge.Syncer
	if r := sync(t, &s, k, want); len(r.Applied) > 6 {
		t.Errorf("%d operations:\n%s", len(r.Applied), bridge.Text(r.Applied))
	}
	want.Ports[0].VLANs = want.Ports[0].VLANs[9:10]
	sync(t, &s, k, want)
}

// A LAG, spanning tree states of instances, and qdiscs.
func TestLAGAndMST(t *testing.T) {
	k := open(t, Scope{Owned: all.Owned, Port: all.Port, Traffic: true})
	needVLANs(t, k)
	ports(t, k, 3)
	lacks(t, k, bridge.AddLAG{LAG: bridge.LAG{Name: "w8", Mode: bridge.LACP}})
	apply(t, k, bridge.DelLink{Name: "w8"})
	want := bridge.State{
		Bridges: []bridge.Bridge{{Name: "w0", Up: true, VLANFiltering: true, MST: true}},
		LAGs:    []bridge.LAG{{Name: "w1", Mode: bridge.BalanceXOR, Hash: "layer2+3"}},
		Ports: []bridge.Port{
			{Name: "p0", Master: "w1", Up: true},
			{Name: "w1", Master: "w0", Up: true, Flags: bridge.DefaultFlags(), VLANs: []bridge.VLAN{{VID: 5}}},
			{Name: "p1", Master: "w0", Up: true, Flags: bridge.DefaultFlags(), VLANs: []bridge.VLAN{{VID: 5}}},
			{Name: "p2", Up: true},
		},
		Qdiscs: []bridge.Qdisc{{Port: "p2", Kind: "tbf", Rate: 125000, Burst: 5000, Limit: 20000}},
	}
	var s bridge.Syncer
	sync(t, &s, k, want)
	want.Qdiscs, want.LAGs = nil, nil
	want.Ports = []bridge.Port{{Name: "p0"}, {Name: "p1", Master: "w0", Up: true, Flags: bridge.DefaultFlags(), STP: bridge.STPDisabled}, {Name: "p2"}}
	sync(t, &s, k, want)
}

// matchall without a chip: the kernel has nobody to take a rule with skip_sw,
// and says so.
func TestFiltersRefused(t *testing.T) {
	k := open(t, Scope{Owned: all.Owned, Port: all.Port, Traffic: true})
	ports(t, k, 2)
	for _, o := range []bridge.Op{
		bridge.SetMirror{Mirror: bridge.Mirror{From: "p0", Dir: bridge.Ingress, To: "p1"}},
		bridge.SetPolice{Police: bridge.Police{Port: "p0", Rate: 125000, Burst: 5000}},
		bridge.SetPolice{Police: bridge.Police{Port: "p0", Packets: 100, PBurst: 10}},
	} {
		if _, err := k.Apply(o); err == nil {
			t.Errorf("%v was taken by a veth", o)
		}
	}
	if s, err := k.Read(); err != nil || len(s.Mirrors)+len(s.Polices) != 0 {
		t.Errorf("read %+v, %v", s, err)
	}
}

// What we write for tc is what the kernel understands and shows: the same
// requests without skip_sw are taken by the software, and read back equal.
func TestFiltersInSoftware(t *testing.T) {
	k := open(t, Scope{Owned: all.Owned, Port: all.Port, Traffic: true})
	ports(t, k, 2)
	var flags nlattr.Builder
	flags.Uint32(matchallFlags, skipSW)
	skip, _ := flags.Payload()
	send := func(o bridge.Op) {
		t.Helper()
		rs, err := encode(o, k.index)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			if at := bytes.Index(r.payload, skip); at >= 0 {
				clear(r.payload[at+4 : at+8])
			}
			if _, err := k.c.Do(r.typ, r.flags, r.payload); err != nil && !(i < len(rs)-1 && quiet(r.typ, err)) {
				if nlerr.Classify(err) == nlerr.Absent || nlerr.Classify(err) == nlerr.NotSupported {
					t.Skipf("this kernel cannot: %v: %v (the board's can: firmware/fwtest)", o, err)
				}
				t.Fatalf("%v: %v", o, err)
			}
		}
	}
	want := bridge.State{
		Mirrors: []bridge.Mirror{{From: "p0", Dir: bridge.Egress, To: "p1"}, {From: "p0", Dir: bridge.Ingress, To: "p1"}},
		Polices: []bridge.Police{{Port: "p0", Rate: 125000, Burst: 5000}, {Port: "p1", Packets: 100, PBurst: 10}},
		Qdiscs:  []bridge.Qdisc{{Port: "p1", Kind: "tbf", Rate: 125000, Burst: 5000, Limit: 20000}},
	}
	for range 2 { // the second time each is replaced
		for _, m := range want.Mirrors {
			send(bridge.SetMirror{Mirror: m})
		}
		for _, p := range want.Polices {
			send(bridge.SetPolice{Police: p})
		}
		send(bridge.SetQdisc{Qdisc: want.Qdiscs[0]})
		have, err := k.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(have.Mirrors, want.Mirrors) || !slices.Equal(have.Polices, want.Polices) || !slices.Equal(have.Qdiscs, want.Qdiscs) {
			t.Errorf("read %+v\n%+v\n%+v", have.Mirrors, have.Polices, have.Qdiscs)
		}
	}
	for _, o := range []bridge.Op{bridge.DelMirror{Mirror: want.Mirrors[0]}, bridge.DelMirror{Mirror: want.Mirrors[1]}, bridge.DelPolice{Port: "p0"}, bridge.DelPolice{Port: "p1"}, bridge.DelQdisc{Port: "p1"}} {
		apply(t, k, o)
	}
	if have, err := k.Read(); err != nil || len(have.Mirrors)+len(have.Polices)+len(have.Qdiscs) != 0 {
		t.Errorf("left: %+v, %v", have, err)
	}
}

// The table and its events, for static MACs and for one that a frame taught.
func TestMACs(t *testing.T) {
	k := open(t, all)
	needVLANs(t, k)
	ports(t, k, 2)
	want := bridge.State{
		Bridges: []bridge.Bridge{{Name: "w0", Up: true, VLANFiltering: true}},
		Ports: []bridge.Port{
			{Name: "p0", Master: "w0", Up: true, Flags: bridge.DefaultFlags(), VLANs: []bridge.VLAN{{VID: 7, PVID: true, Untagged: true}}},
			{Name: "p1", Master: "w0", Up: true, Flags: bridge.DefaultFlags(), VLANs: []bridge.VLAN{{VID: 7, PVID: true, Untagged: true}}},
		},
	}
	var s bridge.Syncer
	sync(t, &s, k, want)
	watcher, err := Open(all)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	mac := bridge.MAC{2, 0, 0, 0, 0, 1}
	entry := bridge.FDBEntry{Bridge: "w0", VID: 7, MAC: mac, Port: "p0"}
	var seen []string
	err = watcher.WatchMACs(ctx, func(e bridge.MACEvent) {
		switch {
		case e.Resync:
			apply(t, k, bridge.SetFDB{Entry: entry})
		case e.Entry.MAC != mac:
		case !e.Gone && len(seen) == 0:
			seen = append(seen, fmt.Sprint("new ", e.Entry))
			moved := entry
			moved.Port = "p1"
			apply(t, k, bridge.SetFDB{Entry: moved})
		case !e.Gone && e.Entry.Port == "p1" && len(seen) == 1:
			seen = append(seen, fmt.Sprint("new ", e.Entry))
			entry.Port = "p1"
			apply(t, k, bridge.DelFDB{Entry: entry})
		case e.Gone:
			seen = append(seen, fmt.Sprint("gone ", e.Entry))
			cancel()
		}
	})
	const text = "{w0 %s 7 02:00:00:00:00:01 static false false}"
	if want := []string{"new " + fmt.Sprintf(text, "p0"), "new " + fmt.Sprintf(text, "p1"), "gone " + fmt.Sprintf(text, "p1")}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("events %q, %v", seen, err)
	}
	table, err := k.MACs("w0")
	if err != nil || len(bridge.Static(table)) != 0 || !slices.ContainsFunc(table, func(e bridge.MACEntry) bool { return e.Owner == bridge.OwnerLocal }) {
		t.Errorf("table %+v, %v", table, err)
	}
	if err := k.Flush("p0"); err != nil {
		t.Error(err)
	}
}

// FuzzDecode: no decoder panics on any message, and what it gives is in bounds.
func FuzzDecode(f *testing.F) {
	for _, o := range []bridge.Op{
		bridge.AddBridge{Name: "br0", Ageing: time.Second}, bridge.AddVLAN{Name: "p", First: 1, Last: 4094}, bridge.SetFDB{Entry: bridge.FDBEntry{Port: "p", VID: 7}},
		bridge.AddMDB{Entry: bridge.MDBEntry{Bridge: "b", Port: "p", Group: "239.1.1.1"}}, bridge.SetPolice{Police: bridge.Police{Port: "p", Rate: 1000, Burst: 1000}},
		bridge.SetMirror{Mirror: bridge.Mirror{From: "p", To: "q"}}, bridge.SetQdisc{Qdisc: bridge.Qdisc{Port: "p", Kind: "tbf", Rate: 1000, Burst: 1000}},
	} {
		rs, err := encode(o, func(string) (int, error) { return 3, nil })
		if err != nil {
			f.Fatal(err)
		}
		for _, r := range rs {
			f.Add(r.payload)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decodeLink(b)
		_, vs, _, err := decodeVLANs(b)
		if err == nil && len(vs) > 4094*(len(b)/8+1) {
			t.Fatalf("%d VLANs in %d bytes", len(vs), len(b))
		}
		for _, v := range vs {
			if v.VID < 1 || v.VID > 4094 {
				t.Fatalf("VLAN %d", v.VID)
			}
		}
		_, _ = decodeNeigh(b)
		_, _ = decodeMDB(b)
		_, _, _ = decodeFilter(b)
		_, _, _, _ = decodeQdisc(b)
	})
}
