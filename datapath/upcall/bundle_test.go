// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/xlate"
)

// bundleOf makes a bundle of modifications.
func bundleOf(t testing.TB, ms ...openflow.Message) *openflow.Bundle {
	t.Helper()
	b := &openflow.Bundle{ID: 1, Proto: openflow.Proto{Version: ofp.V15}}
	for _, m := range ms {
		raw, err := openflow.Encode(b.Proto, 1, &openflow.BundleAdd{Msg: m})
		if err != nil {
			t.Fatal(err)
		}
		b.Added = append(b.Added, raw)
	}
	return b
}

// commit makes them one bundle, which must not be refused.
func (l *lab) commit(ms ...openflow.Message) {
	l.t.Helper()
	rs := l.handle("br0", bundleOf(l.t, ms...))
	if e, ok := rs[0].(*openflow.Error); ok {
		l.t.Fatalf("bundle refused: %v", e.Kind)
	}
}

func add(table uint8, prio uint16, m flow.Match, in action.Instructions) *openflow.FlowMod {
	return &openflow.FlowMod{
		Table: table, Priority: prio, Match: m, Instructions: in,
		BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
	}
}

// execDP keeps what was executed last, for each packet by its IPv4 source.
type execDP struct {
	nullDP
	outs []atomic.Uint64 // a set of ports, by source
}

func (d *execDP) Execute(_ dpif.Port, p dpif.Packet, l []dpif.Action) error {
	set := uint64(0)
	for _, a := range l {
		if o, ok := a.(dpif.Output); ok {
			set |= 1 << o.Port
		}
	}
	d.outs[int(p.Data[28])<<8|int(p.Data[29])].Store(set)
	return nil
}

func (d *execDP) FlowPuts(fs []dpif.Flow, errs []error) {
	for i := range fs {
		errs[i] = d.FlowPut(&fs[i])
	}
}

func (d *execDP) Executes(xs []dpif.Execution) {
	for i := range xs {
		xs[i].Err = d.Execute(xs[i].In, xs[i].Packet, xs[i].Actions)
	}
}

// swap is one side of TestSwap: rules for n sources in two tables, which send to one port at each stage, and the
// group that the last stage sends to.
func swap(n int, port action.Port, table1 uint16, first bool) (ms []openflow.Message) {
	cmd := openflow.GroupModify
	if first {
		cmd = openflow.GroupAdd
	} else { // all rules of table 0 are others, those of table 1 are replaced
		del := add(0, 0, flow.Match{}, action.Instructions{})
		del.Command = openflow.FlowDelete
		ms = append(ms, del)
	}
	for i := range n {
		a := source(i)
		if !first {
			a.SetU64(flow.FieldIPProto, 17)
		}
		ms = append(ms, add(0, uint16(port), a, action.Instructions{Apply: action.List{action.Output{Port: port}}, HasGoto: true, Goto: 1}))
	}
	ms = append(ms, &openflow.GroupMod{Command: cmd, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: 1, Buckets: []openflow.Bucket{
		{Actions: action.List{action.Output{Port: port}}, WatchPort: action.PortAny, WatchGroup: action.GroupAny},
	}}})
	for i := range n {
		ms = append(ms, add(1, table1, source(i), apply(action.Output{Port: port}, action.Group{ID: 1})))
	}
	return ms
}

// TestSwap commits a bundle that swaps 20,000 rules and a group, there and back, and refused once, while packets are
// translated and flows are dumped: each sees the one state or the other. How long a packet waits is
// logged. (Run with -race too.)
func TestSwap(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 2000
	}
	l := newLab(t, Options{})
	dp := &execDP{outs: make([]atomic.Uint64, 1<<16)}
	dp.n, dp.now = make(map[dpif.FlowID]bool), l.now
	l.s = New(dp, Options{Now: l.now, MaxVLANs: 2})
	l.applyConfig()
	l.commit(swap(n, 2, 7, true)...)
	const oldOut, newOut = 1 << 12, 1 << 13

	var wg sync.WaitGroup
	var packets, dumps, waits atomic.Int64
	var state atomic.Uint64 // what packets must do: one, or while a bundle is committed either
	state.Store(oldOut)
	stop := make(chan struct{})
	sources := make(chan int, 64)
	for w := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(*seed, uint64(w)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := 2*r.IntN(n/2) + w // nobody else's
				data := frame(macB, macA, 0, 0x0a000000+uint32(i), 2, 3, 4)
				before := state.Load()
				start := time.Now()
				l.s.Upcalls([]dpif.Upcall{{InPort: 11, Packet: dpif.Packet{Data: data}}})
				took := int64(time.Since(start))
				after := state.Load()
				for old := waits.Load(); took > old && !waits.CompareAndSwap(old, took); old = waits.Load() {
				}
				packets.Add(1)
				switch got := dp.outs[i].Load(); {
				case got != oldOut && got != newOut:
					t.Errorf("a packet leaves on %b: neither state", got)
					return
				case (before|after)&got == 0:
					t.Errorf("a packet leaves on %b, between %b and %b", got, before, after)
					return
				}
				if packets.Load()%64 == 0 {
					select {
					case sources <- i:
					default:
					}
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			count := make(map[string]int)
			req := &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}}
			if err := l.s.FlowStats("br0", req, l.now(), func(p *openflow.FlowStatsReply) {
				for i := range p.Flows {
					count[fmt.Sprintf("%d %v", p.Flows[i].Table, p.Flows[i].Instructions.Apply)]++
				}
			}); err != nil {
				t.Error(err)
				return
			}
			dumps.Add(1)
			for _, c := range count {
				if len(count) != 3 && len(count) != 2 || c != n && c != 1 {
					t.Errorf("a dump has %v", count)
					return
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for packets.Load() < int64(n/4) && !t.Failed() {
		runtime.Gosched()
	}
	bad := swap(n, 3, 7, false)
	bad = append(bad, add(0, 1, flow.Match{}, apply(action.Group{ID: 99})))
	for i, m := range [][]openflow.Message{bad, swap(n, 3, 7, false), append(swap(n, 2, 7, false), add(0, 1, flow.Match{}, apply()))} {
		b := bundleOf(t, m...)
		waits.Store(0)
		was := packets.Load()
		want := []uint64{oldOut, newOut, oldOut}[i]
		state.Store(state.Load() | want)
		start := time.Now()
		rs := l.handle("br0", b)
		took := time.Since(start)
		state.Store(want)
		if _, refused := rs[0].(*openflow.Error); refused != (i == 0) {
			t.Fatalf("bundle %d: %v", i, rs)
		}
		t.Logf("bundle %d of %d messages took %v; meanwhile %d packets, the slowest after %v", i, len(m), took, packets.Load()-was, time.Duration(waits.Load()))
		if i > 0 && n == 10_000 && packets.Load() == was {
			t.Error("no packet came through")
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d packets, %d dumps", packets.Load(), dumps.Load())

	// And all megaflows are of the last state.
	l.s.settle(true)
	res := make(map[string]int)
	for _, f := range l.s.ix.snapshot() {
		res[fmt.Sprint(f.out.actions)]++
	}
	if len(res) != 1 || l.s.Stats().Flows == 0 {
		t.Errorf("megaflows do %v", res)
	}
}

// TestHeir holds that what a rule counted, counts while a bundle puts another in its place, and what megaflows
// bring later, is not lost.
func TestHeir(t *testing.T) {
	l := newLab(t, Options{})
	p := frame(macB, macA, 0, 1, 2, 3, 4)
	mod := func(port action.Port, flags openflow.FlowModFlags) *openflow.FlowMod {
		m := add(0, 5, flow.Match{}, apply(action.Output{Port: port}))
		m.Flags, m.NewCookie = flags, uint64(port)
		return m
	}
	stats := func() openflow.FlowStats {
		l.advance(time.Second)
		rs := l.handle("br0", &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Match: flow.Match{}, OutPort: action.PortAny, OutGroup: action.GroupAny, Cookie: 0, CookieMask: 0}})
		for _, f := range rs[0].(*openflow.FlowStatsReply).Flows {
			if f.Priority == 5 {
				return f
			}
		}
		t.Fatal("the rule is gone")
		return openflow.FlowStats{}
	}
	l.flowMod("br0", *mod(2, 0))
	for range 3 {
		l.send(11, p, "12")
	}
	l.commit(mod(3, 0))
	for range 2 {
		l.send(11, p, "13")
	}
	l.commit(mod(4, 0), mod(3, 0), mod(4, 0)) // the copy itself is changed, too
	l.send(11, p, "14")
	if f := stats(); f.Packets != 6 || f.Cookie != 4 {
		t.Errorf("%d packets, cookie %d; want 6 and 4", f.Packets, f.Cookie)
	}
	l.commit(mod(2, openflow.FlagResetCounts))
	l.send(11, p, "12")
	if f := stats(); f.Packets != 1 {
		t.Errorf("%d packets after a reset, want 1", f.Packets)
	}
	// Removed and added again in one bundle it is another rule.
	del := add(0, 0, flow.Match{}, action.Instructions{})
	del.Command = openflow.FlowDelete
	l.commit(del, mod(3, 0))
	l.send(11, p, "13")
	if f := stats(); f.Packets != 1 {
		t.Errorf("%d packets of a new rule, want 1", f.Packets)
	}
}

// conjMod is a random part of a conjunction: a rule that fulfils clauses, or what is done then.
func conjMod(r *rand.Rand) openflow.FlowMod {
	m := randomMod(r) // its command, cookie and actions
	m.Table, m.Instructions.HasGoto, m.Instructions.Goto = uint8(r.IntN(4)/3), false, 0
	if m.Command == openflow.FlowDelete && r.IntN(3) > 0 {
		m.Command = openflow.FlowAdd
	}
	m.Match = flow.Match{}
	some := []func(){
		func() { m.Match.SetU64(flow.FieldInPort, 1+r.Uint64N(2)) },
		func() { m.Match.SetU64(flow.FieldEthDst, []uint64{macA, macB}[r.IntN(2)]) },
		func() {
			m.Match.SetU64(flow.FieldEthType, 0x800)
			m.Match.SetMasked(flow.FieldIPSrc, flow.U128{Lo: 0x0a000001}, flow.U128{Lo: []uint64{0xffffffff, 0xff000000}[r.IntN(2)]})
		},
		func() {
			m.Match.SetU64(flow.FieldEthType, 0x800)
			m.Match.SetU64(flow.FieldIPDst, []uint64{0x0a000001, 0x0a010001}[r.IntN(2)])
		},
		func() {
			m.Match.SetU64(flow.FieldEthType, 0x800)
			m.Match.SetU64(flow.FieldIPProto, 17)
			m.Match.SetU64(flow.FieldTPDst, []uint64{80, 443}[r.IntN(2)])
		},
		func() {},
	}
	some[r.IntN(len(some))]()
	if r.IntN(3) == 0 {
		m.Priority = uint16(r.IntN(6))
		m.Match.SetU64(flow.FieldConjID, uint64(1+r.IntN(2)))
		return m
	}
	m.Priority = uint16(3 + r.IntN(3))
	m.Instructions = action.Instructions{}
	for range 1 + r.IntN(3) {
		m.Instructions.Apply = append(m.Instructions.Apply, action.Conjunction{ID: uint32(1 + r.IntN(2)), Clause: uint8(r.IntN(2)), Clauses: 2})
	}
	return m
}

// conjunctions is how many megaflows the outcome of which is from a conjunction there are.
func (l *lab) conjunctions() (n int) {
	for _, f := range l.s.ix.snapshot() {
		if slices.ContainsFunc(f.out.hits, func(h hit) bool {
			if h.rule == nil {
				return false
			}
			m := h.rule.Match()
			return m.Mask.Get(flow.FieldConjID).Lo != 0
		}) {
			n++
		}
	}
	return n
}

// TestConjunctionMasks holds that a megaflow looks at conj_id never, and at the clauses' fields.
func TestConjunctionMasks(t *testing.T) {
	l := newLab(t, Options{})
	conj := func(id uint32, clause uint8, f flow.Field, v uint64) {
		var m flow.Match
		m.SetU64(flow.FieldEthType, 0x800)
		m.SetU64(f, v)
		l.flowMod("br0", *add(0, 10, m, apply(action.Conjunction{ID: id, Clause: clause, Clauses: 2})))
	}
	conj(7, 0, flow.FieldIPSrc, 1)
	conj(7, 1, flow.FieldIPDst, 2)
	var m flow.Match
	m.SetU64(flow.FieldConjID, 7)
	l.flowMod("br0", *add(0, 1, m, apply(action.Output{Port: 2})))
	l.flowMod("br0", *add(0, 0, flow.Match{}, apply(action.Output{Port: 3})))
	l.send(11, frame(macB, macA, 0, 1, 2, 3, 4), "12")
	l.send(11, frame(macB, macA, 0, 1, 3, 3, 4), "13")
	l.send(11, frame(macB, macA, 0, 1, 2, 3, 9), "12")
	if st := l.s.Stats(); st.Misses != 2 {
		t.Errorf("%d misses, want 2: a megaflow looks at more than the clauses do", st.Misses)
	}
	for _, f := range l.s.ix.snapshot() {
		if !f.mask.m.Get(flow.FieldConjID).IsZero() {
			t.Error("a megaflow looks at conj_id")
		}
	}
	var k flow.Key
	var ly packet.Layers
	packet.Parse(frame(macB, macA, 0, 1, 2, 3, 4), &packet.Meta{InPort: 11}, 2, &k, &ly)
	r := xlate.Translate(&xlate.In{Bridge: l.s.bridges["br0"].x, InPort: 1, Key: &k})
	if len(r.Hits) != 1 || len(r.Hits[0].Soft) != 2 {
		t.Errorf("searches %+v", r.Hits)
	}
	// Rules of clauses count nothing.
	l.advance(time.Second)
	rs := l.handle("br0", &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{OutPort: action.PortAny, OutGroup: action.GroupAny}})
	for _, f := range rs[0].(*openflow.FlowStatsReply).Flows {
		want := uint64(0)
		switch f.Priority {
		case 1:
			want = 2
		case 0:
			if f.Instructions.Apply[0] == (action.Output{Port: 3}) {
				want = 1
			}
		}
		if f.Packets != want {
			t.Errorf("%v priority %d: %d packets, want %d", f.Match, f.Priority, f.Packets, want)
		}
	}
}

// TestNoStaleConjunctions is TestNoStale with little but conjunctions.
func TestNoStaleConjunctions(t *testing.T) {
	t.Logf("seed %d", *seed)
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	conj, ended := 0, 0
	for round := range rounds {
		r := rand.New(rand.NewPCG(*seed, uint64(5000+round)))
		l := newLab(t, Options{})
		for id := range uint32(4) {
			l.groupMod(openflow.GroupAdd, id, openflow.GroupTypeAll)
		}
		for range 60 {
			for range 6 {
				l.dp.receive(l.s, dpif.Port(11+r.IntN(2)), randomFrame(r))
			}
			l.dp.take()
			was := l.conjunctions()
			switch r.IntN(8) {
			case 0:
				l.bundle(r, conjMod)
			case 1:
				m := randomMod(r)
				m.Table, m.Instructions.HasGoto = 0, false
				l.flowMod("br0", m)
			default:
				l.flowMod("br0", conjMod(r))
			}
			l.checkAll(r)
			now := l.conjunctions()
			conj += now
			if now < was {
				ended++
			}
			if l.dp.clash != "" {
				t.Fatalf("round %d: overlapping megaflows disagree: %s", round, l.dp.clash)
			}
		}
		l.s.Flush()
		if x := l.s.ix; len(x.deps)+len(x.tables) != 0 {
			t.Fatalf("the index is not empty after Flush: %d %d", len(x.deps), len(x.tables))
		}
	}
	t.Logf("%d times a megaflow of a conjunction was held against it, %d changes took such away", conj, ended)
	if conj < rounds || ended == 0 {
		t.Error("too few to mean anything")
	}
}

// TestLearnWhileCommitting lets a packet teach a flow while a bundle is being committed: the packet is forwarded, and the flow
// is in its table when the next commit is answered.
func TestLearnWhileCommitting(t *testing.T) {
	l := newLab(t, Options{})
	learn := action.Learn{Table: 1, Priority: 9, Cookie: 77, Specs: []action.LearnSpec{
		{Kind: action.LearnMatch, Src: flow.Subfield{Field: flow.FieldEthSrc, N: 48}, Dst: flow.Subfield{Field: flow.FieldEthDst, N: 48}},
	}}
	l.flowMod("br0", *add(0, 5, flow.Match{}, apply(learn, action.Output{Port: 2})))
	of := l.s.bridges["br0"].x.OF
	l.s.changes.Lock()
	if rs, _ := of.Commit(conn, bundleOf(t, add(0, 6, source(1), apply(action.Output{Port: 3}))), l.now(), &l.s.mu, func(*ofproto.Effects) {
		l.send(11, frame(macB, macA, 0, 1, 2, 3, 4), "12")
		if of.Rules(1) != 0 {
			t.Error("a flow was learned while the tables were the bundle's")
		}
	}); len(rs) != 1 {
		t.Fatal(rs)
	}
	l.s.changes.Unlock()
	l.commit(add(0, 7, source(2), apply(action.Output{Port: 3})))
	if of.Rules(1) != 1 || len(l.s.postponed) != 0 {
		t.Errorf("%d flows learned, %d postponed", of.Rules(1), len(l.s.postponed))
	}
}
