// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
)

// TestPool compares the pool with sets.
func TestPool(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	p := pool{size: 10}
	out, held := map[uint32]bool{}, map[uint32]bool{}
	for range 10000 {
		switch r.IntN(6) {
		case 0:
			p.release()
			clear(held)
		case 1:
			if p.size < 30 && r.IntN(50) == 0 {
				p.size += 5
			}
		case 2, 3:
			for i := range out {
				p.put(i)
				held[i] = true
				delete(out, i)
				break
			}
		default:
			i, ok := p.get()
			if ok == (len(out)+len(held) == int(p.size)) || ok && (out[i] || held[i] || i >= p.size) {
				t.Fatalf("got %d, %v; out %v, held %v, size %d", i, ok, out, held, p.size)
			}
			if ok {
				out[i] = true
			}
		}
		if p.inUse() != len(out) {
			t.Fatalf("%d in use, want %d", p.inUse(), len(out))
		}
	}
}

// maskLog is the maps of masks, as the program sees them.
type maskLog struct {
	masks    [maxMasks]cMask
	order    [2]cOrder
	active   uint32
	unsafe   [2]bool // a program may still read this list
	barriers int
	err      error
}

func (l *maskLog) putMask(n uint32, m *cMask) error { l.masks[n] = *m; return l.err }
func (l *maskLog) putActive(list uint32) error {
	l.unsafe[l.active], l.active = true, list
	l.unsafe[list] = true
	return l.err
}
func (l *maskLog) barrier() error {
	l.unsafe[l.active^1] = false
	l.barriers++
	return nil
}
func (l *maskLog) putOrder(list uint32, o *cOrder) error {
	old := l.order[list]
	l.order[list] = *o
	if list == l.active {
		// A program that reads half old, half new must lose no mask.
		for i, s := range old.Slot {
			if s != 0 && s != o.Slot[i] {
				return errors.New("list in force was rewritten")
			}
		}
	} else if l.unsafe[list] {
		return errors.New("list that programs may read was rewritten")
	}
	return l.err
}

// tried returns the masks that a lookup tries.
func (l *maskLog) tried() (ms []cKey) {
	for _, s := range l.order[l.active].Slot[:lookMasks] {
		if s == 0 {
			break
		}
		if m := l.masks[s-1]; m.Groups&groupInUse != 0 {
			ms = append(ms, m.Word)
		}
	}
	return ms
}

// TestMasks adds and removes masks at random: a lookup always tries exactly
// those in use, each once.
func TestMasks(t *testing.T) {
	seed := twinSeed(t)
	r := rand.New(rand.NewPCG(seed, 5))
	l := &maskLog{}
	ms := newMasks(l, r)
	use := map[cKey]int{}
	numbers := map[cKey]uint32{}
	word := func() (k cKey) {
		k[r.IntN(keyWords)] = 1 + r.Uint64N(3)
		return k
	}
	full := 0
	for range 20000 {
		k := word()
		if use[k] > 0 && r.IntN(2) == 0 || len(use) > 30 && use[k] > 0 {
			if err := ms.put(numbers[k]); err != nil {
				t.Fatal(err)
			}
			if use[k]--; use[k] == 0 {
				delete(use, k)
			}
		} else {
			n, err := ms.get(k)
			switch {
			case errors.Is(err, dpif.ErrFull):
				if use[k] > 0 || len(use) < lookMasks {
					t.Fatalf("full with %d masks", len(use))
				}
				full++
			case err != nil:
				t.Fatal(err)
			default:
				use[k]++
				numbers[k] = n
				if ms.mask(n).Word != k {
					t.Fatal("number of another mask")
				}
			}
		}
		if r.IntN(50) == 0 {
			var hits [maxMasks]uint64
			for i := range hits {
				hits[i] = ms.counted[i] + r.Uint64N(1000)
			}
			if err := ms.rank(&hits); err != nil {
				t.Fatal(err)
			}
		}
		tried := l.tried()
		if len(tried) != len(use) {
			t.Fatalf("%d masks tried, %d in use", len(tried), len(use))
		}
		for i, k := range tried {
			if use[k] == 0 || slices.Contains(tried[:i], k) {
				t.Fatalf("mask %v tried, in use %d", k, use[k])
			}
		}
	}
	if full == 0 || l.barriers == 0 {
		t.Errorf("%d times full, %d barriers: the test does not test", full, l.barriers)
	}
}

// TestRank: the mask that is used most is tried first.
func TestRank(t *testing.T) {
	l := &maskLog{}
	ms := newMasks(l, rand.New(rand.NewPCG(1, 5)))
	var keys []cKey
	for i := range uint64(5) {
		k := cKey{i + 1}
		keys = append(keys, k)
		if _, err := ms.get(k); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		packets [5]uint64 // in all
		want    [5]int
	}{
		{[5]uint64{9, 9, 9, 9, 10}, [5]int{0, 1, 2, 3, 4}}, // not worth it
		{[5]uint64{9, 9, 9, 19, 110}, [5]int{4, 3, 0, 1, 2}},
		{[5]uint64{9, 9, 1009, 19, 110}, [5]int{2, 4, 3, 0, 1}},
		{[5]uint64{0, 0, 0, 0, 0}, [5]int{2, 4, 3, 0, 1}}, // flows were deleted
	} {
		var hits [maxMasks]uint64
		copy(hits[:], c.packets[:])
		if err := ms.rank(&hits); err != nil {
			t.Fatal(err)
		}
		for j, k := range l.tried() {
			if k != keys[c.want[j]] {
				t.Errorf("step %d: place %d has mask %v", i, j, k[0]-1)
			}
		}
	}
}

// TestKeyWords: each bit that can be matched is in one word of the C key.
func TestKeyWords(t *testing.T) {
	can := matchable()
	var seen flow.Mask
	for _, n := range keyWord {
		if seen[n] != 0 {
			t.Errorf("word %d is twice in the C key", n)
		}
		seen[n] = ^uint64(0)
	}
	can.Clear(flow.FieldPacketType) // always 0; its word holds mpls2
	if !seen.Covers(&can) {
		t.Error("some field is not in the C key")
	}
}

// udp returns a frame of 60 bytes from port 1 of the lab with UDP port dst, and its key.
func udp(in, dst uint16) ([]byte, flow.Key) {
	f := make([]byte, 60)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 26})
	binary.BigEndian.PutUint16(f[36:], dst)
	binary.BigEndian.PutUint16(f[24:], ^packet.Sum(f[14:34], 0))
	var k flow.Key
	var l packet.Layers
	packet.Parse(f, &packet.Meta{InPort: uint32(in)}, 1, &k, &l)
	return f, k
}

func udpMask() *flow.Mask {
	var m flow.Mask
	for _, f := range []flow.Field{flow.FieldInPort, flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPProto, flow.FieldTPDst} {
		m.SetAll(f)
	}
	return &m
}

func udpFlow(id dpif.FlowID, dst uint16, m *flow.Mask, as ...dpif.Action) *dpif.Flow {
	_, k := udp(1, dst)
	return &dpif.Flow{ID: id, Key: k.Apply(m), Mask: m, Actions: as}
}

// TestFlowTable fills a table of 3 segments to its bound, empties it, and fills it
// again and again; flows are looked up by packets all the time.
func TestFlowTable(t *testing.T) {
	inNS(t)
	const size = 3 * segLen
	d := open(t, Config{MaxFlows: size})
	l := newLab(t, d, "f", 2)
	m := udpMask()
	id := dpif.FlowID(0)
	hit := func(dst uint16, want dpif.FlowID) {
		t.Helper()
		f, _ := udp(1, dst)
		before, err := d.FlowStats(want)
		if err != nil {
			t.Fatal(err)
		}
		l.send(t, 1, f)
		for range 1000 {
			after, err := d.FlowStats(want)
			if err != nil {
				t.Fatal(err)
			}
			if after.Packets == before.Packets+1 && after.Bytes == before.Bytes+60 && time.Since(after.Used) < time.Minute {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("flow %d was not hit by port %d", want, dst)
	}
	long := []dpif.Action{ // three chunks
		dpif.Set{Field: flow.FieldIPTTL, Value: flow.U128{Lo: 7}, Mask: flow.Ones(8)},
		dpif.Set{Field: flow.FieldIPTOS, Value: flow.U128{Lo: 4}, Mask: flow.Ones(8)},
		dpif.Set{Field: flow.FieldEthSrc, Value: flow.U128{Lo: 4}, Mask: flow.Ones(48)},
		dpif.Set{Field: flow.FieldEthDst, Value: flow.U128{Lo: 5}, Mask: flow.Ones(48)},
		dpif.Output{Port: 2}, dpif.Output{Port: 2}, dpif.Output{Port: 2},
	}
	for round := range 3 {
		first := id + 1
		for n := range size {
			id++
			as := []dpif.Action{dpif.Output{Port: 2}}
			if n%3 == 0 {
				as = long
			}
			if err := d.FlowPut(udpFlow(id, uint16(n), m, as...)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if n%500 == 0 {
				hit(uint16(n), id)
			}
		}
		if err := d.FlowPut(udpFlow(id+1, 60000, m)); !errors.Is(err, dpif.ErrFull) {
			t.Fatalf("a flow too many: %v", err)
		}
		if err := d.FlowPut(udpFlow(id, uint16(size-1), m, long...)); err != nil {
			t.Fatalf("replacement in a full table: %v", err)
		}
		seen := map[dpif.FlowID]bool{}
		if err := d.FlowDump(func(id dpif.FlowID, _ dpif.FlowStats) bool { seen[id] = true; return true }); err != nil || len(seen) != size {
			t.Fatalf("%d flows in the dump: %v", len(seen), err)
		}
		for n := range size {
			want := uint64(0)
			if n%500 == 0 {
				want = 1
			}
			if s, err := d.FlowDel(first + dpif.FlowID(n)); err != nil || s.Packets != want {
				t.Fatalf("flow %d: %+v, %v", first+dpif.FlowID(n), s, err)
			}
		}
		if u := d.flows.chunks.inUse(); u != 1 { // that for misses
			t.Fatalf("%d chunks in use in an empty table", u)
		}
		if u := d.flows.flows.inUse(); u != 0 {
			t.Fatalf("%d numbers in use in an empty table", u)
		}
	}
}

// TestSameMatch: a second flow with the same key and mask is refused, and the
// first is still there.
func TestSameMatch(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	m := udpMask()
	if err := d.FlowPut(udpFlow(1, 5, m)); err != nil {
		t.Fatal(err)
	}
	if err := d.FlowPut(udpFlow(2, 5, m)); !errors.Is(err, dpif.ErrExist) {
		t.Error(err)
	}
	if err := d.FlowPut(udpFlow(1, 6, m)); !errors.Is(err, dpif.ErrExist) {
		t.Errorf("another key: %v", err)
	}
	if _, err := d.FlowStats(1); err != nil {
		t.Error(err)
	}
	if _, err := d.FlowDel(1); err != nil {
		t.Error(err)
	}
	if err := d.FlowPut(udpFlow(2, 5, m)); err != nil {
		t.Error(err)
	}
}

// TestReplace replaces the actions of a flow all the time while packets run: each packet
// must come out, and by one list of actions alone.
func TestReplace(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	l := newLab(t, d, "y", 3)
	m := udpMask()
	list := func(v uint64, out dpif.Port) (as []dpif.Action) {
		for _, f := range []flow.Field{
			flow.FieldEthSrc, flow.FieldIPTOS, flow.FieldIPTTL, flow.FieldIPSrc, flow.FieldUDPSrc, flow.FieldIPDst, flow.FieldUDPDst,
		} {
			as = append(as, dpif.Set{Field: f, Value: flow.U128{Lo: v}, Mask: flow.Ones(f.Bits())})
		}
		return append(as, dpif.Output{Port: out})
	}
	put := func(v uint64, out dpif.Port) error { return d.FlowPut(udpFlow(1, 5, m, list(v, out)...)) }
	if err := put(1, 2); err != nil {
		t.Fatal(err)
	}
	if err := d.FlowPut(sentinelFlow(3)); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	replaced := make(chan error, 1)
	changes := 0
	go func() {
		for i := uint64(0); !stop.Load(); i++ {
			if err := put(1+i%40, 2+dpif.Port(i%2)); err != nil {
				replaced <- err
				return
			}
			changes++
		}
		replaced <- nil
	}()
	f, _ := udp(1, 5)
	const packets, batch = 40_000, 500
	got := 0
	for range packets / batch {
		for range batch {
			l.send(t, 1, f)
		}
		l.send(t, 1, sentinel())
		l.recv(t, 1)
		for p := dpif.Port(2); p <= 3; p++ {
			for _, g := range l.recv(t, p) {
				var k flow.Key
				var lay packet.Layers
				packet.Parse(g, &packet.Meta{}, 1, &k, &lay)
				v := k.U64(flow.FieldIPTTL)
				want := dpif.Port(2 + (v-1)%2)
				if k.U64(flow.FieldEthSrc) != v || k.U64(flow.FieldIPTOS) != v || k.U64(flow.FieldIPSrc) != v || k.U64(flow.FieldIPDst) != v ||
					k.U64(flow.FieldTPSrc) != v || k.U64(flow.FieldTPDst) != v || want != p || !packet.IPv4Valid(g, &lay) {
					t.Fatalf("port %d: actions mixed: %x", p, g)
				}
				got++
			}
		}
	}
	stop.Store(true)
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	s, err := d.FlowStats(1)
	if err != nil || s.Packets != packets || got != packets {
		t.Errorf("%d of %d packets came out, %d counted: %v", got, packets, s.Packets, err)
	}
	if changes < 100 { // a slow machine makes fewer
		t.Errorf("only %d changes: the test does not test", changes)
	}
	t.Logf("%d packets, %d changes", got, changes)
}

// TestManyMasks: as many masks as there may be are all looked at, one more is
// refused, and places are used again.
func TestManyMasks(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	l := newLab(t, d, "m", 2)
	id := dpif.FlowID(0)
	for round := range 4 {
		var ids []dpif.FlowID
		for i := range lookMasks {
			m := *udpMask()
			m.Set(flow.FieldIPSrc, flow.U128{Lo: uint64(1+i) << (4 * round)})
			id++
			ids = append(ids, id)
			if err := d.FlowPut(udpFlow(id, uint16(100+i), &m, dpif.Output{Port: 2})); err != nil {
				t.Fatal(err)
			}
		}
		m := *udpMask()
		m.SetAll(flow.FieldEthDst)
		if err := d.FlowPut(udpFlow(id+1, 7, &m)); !errors.Is(err, dpif.ErrFull) {
			t.Fatalf("a mask too many: %v", err)
		}
		for i := range lookMasks {
			f, _ := udp(1, uint16(100+i))
			l.send(t, 1, f)
		}
		for i, id := range ids {
			for n := 0; ; n++ {
				if s, err := d.FlowStats(id); err != nil || n == 1000 {
					t.Fatalf("round %d, mask %d: %+v, %v", round, i, s, err)
				} else if s.Packets == 1 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if _, err := d.FlowDel(id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestUnsupported: what cannot be done is refused with a reason.
func TestUnsupported(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	m := udpMask()
	reg := *m
	reg.SetAll(flow.FieldReg3)
	var many []dpif.Action
	for range maxActions + 1 {
		many = append(many, dpif.PopVLAN{})
	}
	for i, f := range []*dpif.Flow{
		udpFlow(1, 1, &reg),
		udpFlow(1, 1, m, many...),
		udpFlow(1, 1, m, dpif.PushVLAN{TPID: 0x9100, TCI: 0x1001}),
		udpFlow(1, 1, m, dpif.Set{Field: flow.FieldSCTPDst, Mask: flow.Ones(16)}),
		udpFlow(1, 1, m, dpif.Set{Field: flow.FieldReg0, Mask: flow.Ones(32)}),
		udpFlow(1, 1, m, dpif.Output{Port: 70000}),
	} {
		var no *dpif.Unsupported
		if err := d.FlowPut(f); !errors.As(err, &no) || no.Reason == "" {
			t.Errorf("flow %d: %v", i, err)
		} else {
			t.Log(err)
		}
	}
	if err := d.PortAdd(1, dpif.PortSpec{Name: "none", Ifindex: 4711}); err == nil {
		t.Error("a port without device")
	}
}
