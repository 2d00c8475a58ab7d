// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// randomFlow returns a flow for the key of a random packet under one of some
// masks.
func randomFlow(g *packettest.Gen, id dpif.FlowID) *dpif.Flow {
	masks := [][]flow.Field{
		{flow.FieldInPort},
		{flow.FieldInPort, flow.FieldEthType, flow.FieldVLANTCI},
		{flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPProto},
		{flow.FieldInPort, flow.FieldEthDst, flow.FieldEthSrc},
		{flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPDst},
		{flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPv6Dst, flow.FieldTPDst},
		{},
	}
	var m flow.Mask
	for _, f := range masks[g.Rand().IntN(len(masks))] {
		m.SetAll(f)
	}
	if g.Rand().IntN(3) == 0 {
		m.Set(flow.FieldEthDst, flow.U128{Lo: 0xffffff000000 >> g.Rand().IntN(3)})
	}
	k := randomKey(g)
	return &dpif.Flow{ID: id, Mask: &m, Key: k.Apply(&m)}
}

func randomKey(g *packettest.Gen) (k flow.Key) {
	m := g.Meta(3)
	var l packet.Layers
	packet.Parse(g.Next(), &m, 2, &k, &l)
	return k
}

// TestTableTwin compares the table with a list of flows, through puts, deletes
// and ranks: a lookup finds a flow that matches if and only if the list has
// one.
func TestTableTwin(t *testing.T) {
	const seed = 21
	t.Logf("seed %d", seed)
	g := packettest.New(seed)
	tab := newTable(60, 12, seed)
	list := map[dpif.FlowID]*dpif.Flow{}
	count := map[dpif.FlowID]uint64{}
	var c cache
	var nextID dpif.FlowID
	hits := 0
	for range 60000 {
		switch r := g.Rand().IntN(40); {
		case r == 0:
			nextID++
			f := randomFlow(g, nextID)
			var want error
			masks := map[flow.Mask]bool{}
			for _, o := range list {
				masks[*o.Mask] = true
				if *o.Mask == *f.Mask && o.Key == f.Key {
					want = dpif.ErrExist
				}
			}
			if len(list) >= 60 || want == nil && !masks[*f.Mask] && len(masks) >= 12 {
				want = dpif.ErrFull
			}
			if err := tab.put(f); !errors.Is(err, want) {
				t.Fatalf("put: %v, want %v", err, want)
			} else if err == nil {
				list[f.ID] = f
			}
		case r == 1 && len(list) > 0:
			ids := tab.ids()
			slices.Sort(ids)
			id := ids[g.Rand().IntN(len(ids))]
			s, err := tab.del(id)
			if err != nil || s.Packets != count[id] {
				t.Fatalf("delete flow %d: %+v, want %d packets: %v", id, s, count[id], err)
			}
			delete(list, id)
		case r == 2 && g.Rand().IntN(50) == 0:
			tab.rank()
		default:
			k := randomKey(g)
			e := tab.lookup(&k, &c)
			if e == nil {
				for _, f := range list {
					if k.EqualUnder(&f.Key, f.Mask) {
						t.Fatalf("flow %d was not found", f.ID)
					}
				}
				continue
			}
			f := list[e.id]
			if f == nil || !k.EqualUnder(&f.Key, f.Mask) {
				t.Fatalf("found flow %d, which does not match or is gone", e.id)
			}
			e.count(1, 1, 0)
			count[e.id]++
			hits++
		}
		if len(tab.flows) != len(list) {
			t.Fatalf("%d flows, want %d", len(tab.flows), len(list))
		}
	}
	if hits < 10000 {
		t.Errorf("only %d lookups hit", hits)
	}
	for id := range list {
		if _, err := tab.del(id); err != nil {
			t.Error(err)
		}
	}
	if len(tab.order) != 0 || len(tab.masks) != 0 || tab.all != (flow.Mask{}) {
		t.Error("masks are left in an empty table")
	}
}

// TestRank: the subtable that is used most comes first.
func TestRank(t *testing.T) {
	tab := newTable(10, 10, 1)
	for i, f := range []flow.Field{flow.FieldEthDst, flow.FieldEthSrc, flow.FieldEthType} {
		var m flow.Mask
		m.SetAll(f)
		var k flow.Key
		k.SetU64(f, 7)
		if err := tab.put(&dpif.Flow{ID: dpif.FlowID(i + 1), Mask: &m, Key: k}); err != nil {
			t.Fatal(err)
		}
	}
	var c cache
	var k flow.Key
	k.SetU64(flow.FieldEthType, 7)
	for range 10 {
		if e := tab.lookup(&k, &c); e == nil || e.id != 3 {
			t.Fatalf("found %+v", e)
		}
	}
	tab.rank()
	if tab.order[0] != tab.flows[3].sub {
		t.Error("the used mask is not first")
	}
}

// TestConcurrentTable: lookups that count while flows are replaced and deleted;
// no count is lost (run with -race too).
func TestConcurrentTable(t *testing.T) {
	tab := newTable(100, 10, 1)
	var m flow.Mask
	m.SetAll(flow.FieldEthType)
	var k flow.Key
	k.SetU64(flow.FieldEthType, 0x800)
	var counted, final uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var c cache
			n := uint64(0)
			for range 20000 {
				tab.mu.RLock()
				if e := tab.lookup(&k, &c); e != nil {
					e.count(64, 5, 2)
					n++
				}
				tab.mu.RUnlock()
			}
			mu.Lock()
			counted += n
			mu.Unlock()
		})
	}
	for id := dpif.FlowID(1); id < 300; id++ {
		f := &dpif.Flow{ID: id, Key: k, Mask: &m}
		if err := errors.Join(tab.put(f), tab.put(f)); err != nil {
			t.Fatal(err)
		}
		s, err := tab.del(id)
		if err != nil {
			t.Fatal(err)
		}
		final += s.Packets
	}
	if err := tab.put(&dpif.Flow{ID: 999, Key: k, Mask: &m}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	s, _ := tab.del(999)
	if final+s.Packets != counted {
		t.Errorf("%d packets in final counters, %d counted", final+s.Packets, counted)
	}
}

// counter is a sink.
type counter struct{ n, bytes int }

func (c *counter) output(_ dpif.Port, f *packet.Frame)    { c.n++; c.bytes += len(f.Data()) }
func (c *counter) userspace(uint32, *packet.Frame)        { c.n++ }
func (c *counter) meter(dpif.MeterID, *packet.Frame) bool { return true }

// TestNoAllocs: parse, lookup and actions of a packet that hits a flow allocate
// nothing.
func TestNoAllocs(t *testing.T) {
	d := packettest.UDP(packettest.Addr{Src: 1, Dst: 2}, 1, 2, []byte("x"))
	buf := make([]byte, packet.Headroom+len(d))
	var (
		k flow.Key
		f packet.Frame
		c cache
		n counter
	)
	meta := packet.Meta{InPort: 1}
	tab := newTable(10, 10, 1)
	var m flow.Mask
	m.SetAll(flow.FieldInPort)
	m.SetAll(flow.FieldTPDst)
	f.Reset(slices.Clone(d), 0, dpif.GSO{})
	f.Parse(&meta, 1, &k)
	err := tab.put(&dpif.Flow{ID: 1, Key: k.Apply(&m), Mask: &m, Actions: []dpif.Action{
		dpif.Output{Port: 2},
		dpif.Set{Field: flow.FieldIPDst, Value: flow.U128{Lo: 5}, Mask: flow.Ones(32)},
		dpif.PushVLAN{TPID: 0x8100, TCI: 5}, dpif.Output{Port: 3}, dpif.PopVLAN{}, dpif.Userspace{Arg: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a := testing.AllocsPerRun(200, func() {
		copy(buf[packet.Headroom:], d)
		f.Reset(buf, packet.Headroom, dpif.GSO{})
		f.Parse(&meta, 1, &k)
		tab.mu.RLock()
		e := tab.lookup(&k, &c)
		e.count(len(d), 1, 0)
		tab.mu.RUnlock()
		execute(&f, e.actions, &n)
	})
	if a != 0 || n.n != 201*3 {
		t.Errorf("%v allocations per packet, %d outputs", a, n.n)
	}
}

// BenchmarkHit is the work on a packet that hits a flow, but for the system
// calls.
func BenchmarkHit(b *testing.B) {
	for _, bc := range []struct {
		name         string
		flows, masks int
	}{{"1flow", 1, 1}, {"1000flows", 1000, 1}, {"1000flows16masks", 1000, 16}} {
		b.Run(bc.name, func(b *testing.B) {
			tab := newTable(10000, 100, 1)
			frames := make([][]byte, bc.flows)
			meta := packet.Meta{InPort: 1}
			for i := range frames {
				frames[i] = packettest.UDP(packettest.Addr{Src: 1, Dst: 2}, uint16(i), 53, nil)
				var k flow.Key
				var l packet.Layers
				packet.Parse(frames[i], &meta, 1, &k, &l)
				var m flow.Mask
				m.SetAll(flow.FieldInPort)
				m.SetAll(flow.FieldTPSrc)
				m.Set(flow.FieldIPSrc, flow.U128{Lo: uint64(i%bc.masks) << 4})
				if err := tab.put(&dpif.Flow{ID: dpif.FlowID(i + 1), Key: k.Apply(&m), Mask: &m, Actions: []dpif.Action{dpif.Output{Port: 2}}}); err != nil {
					b.Fatal(err)
				}
			}
			var (
				k flow.Key
				f packet.Frame
				c cache
				n counter
			)
			for i := 0; b.Loop(); i++ {
				f.Reset(frames[i%len(frames)], 0, dpif.GSO{})
				f.Parse(&meta, 1, &k)
				tab.mu.RLock()
				e := tab.lookup(&k, &c)
				e.count(64, 1, 0)
				tab.mu.RUnlock()
				execute(&f, e.actions, &n)
			}
		})
	}
}
