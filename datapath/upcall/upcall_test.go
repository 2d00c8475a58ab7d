// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/xlate"
)

var seed = flag.Uint64("seed", 1, "seed of the random tests")

var conn = ofproto.ConnInfo{}

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// lab is a Switch over a listDP, with a clock that the test moves.
type lab struct {
	t     testing.TB
	s     *Switch
	dp    *listDP
	clock atomic.Int64
	mu    sync.Mutex
	async []Async
	cfg   Config
}

func (l *lab) now() time.Time          { return t0.Add(time.Duration(l.clock.Load())) }
func (l *lab) advance(d time.Duration) { l.clock.Add(int64(d)) }

// newLab makes bridge br0 with ports 1 to 4 (datapath ports 11 to 14) and a patch port 5 to
// br1, which has ports 1 and 2 (21 and 22).
func newLab(t testing.TB, o Options) *lab {
	l := &lab{t: t}
	l.dp = &listDP{now: l.now}
	o.Now = l.now
	o.MaxVLANs = 2
	o.Async = func(a Async) {
		l.mu.Lock()
		l.async = append(l.async, a)
		l.mu.Unlock()
	}
	l.s = New(l.dp, o)
	br0, br1 := BridgeConfig{Name: "br0"}, BridgeConfig{Name: "br1"}
	for i := 1; i <= 4; i++ {
		br0.Ports = append(br0.Ports, PortConfig{No: action.Port(i), Name: fmt.Sprintf("p%d", i), DP: dpif.Port(10 + i)})
	}
	for i := 1; i <= 2; i++ {
		br1.Ports = append(br1.Ports, PortConfig{No: action.Port(i), Name: fmt.Sprintf("q%d", i), DP: dpif.Port(20 + i)})
	}
	br0.Ports = append(br0.Ports, PortConfig{No: 5, Name: "to1", Peer: "to0"})
	br1.Ports = append(br1.Ports, PortConfig{No: 5, Name: "to0", Peer: "to1"})
	l.cfg = Config{Bridges: []BridgeConfig{br0, br1}}
	l.applyConfig()
	l.taken()
	return l
}

func (l *lab) applyConfig() {
	l.t.Helper()
	c := Config{}
	for _, b := range l.cfg.Bridges {
		b.Ports = slices.Clone(b.Ports)
		c.Bridges = append(c.Bridges, b)
	}
	if err := l.s.Apply(c, l.now()); err != nil {
		l.t.Fatal(err)
	}
}

// taken returns the messages for controllers since the last time.
func (l *lab) taken() []Async {
	for {
		a, ok := l.s.pins.get()
		if !ok {
			break
		}
		l.s.opt.Async(a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.async
	l.async = nil
	return a
}

func (l *lab) handle(bridge string, m openflow.Message) []openflow.Message {
	return l.s.Handle(bridge, conn, m, l.now())
}

func (l *lab) flowMod(bridge string, m openflow.FlowMod) {
	l.t.Helper()
	m.BufferID, m.OutPort, m.OutGroup = openflow.NoBuffer, action.PortAny, action.GroupAny
	for _, r := range l.handle(bridge, &m) {
		if e, ok := r.(*openflow.Error); ok {
			l.t.Fatalf("flow_mod refused: %v", e.Kind)
		}
	}
}

func apply(l ...action.Action) action.Instructions { return action.Instructions{Apply: l} }

const (
	macA = 0x02000000000a
	macB = 0x02000000000b
	bc   = 0xffffffffffff
)

func (l *lab) send(port dpif.Port, data []byte, want ...string) {
	l.t.Helper()
	l.dp.receive(l.s, port, slices.Clone(data))
	var got []string
	for _, s := range l.dp.take() {
		got = append(got, strings.SplitN(s, ":", 2)[0])
	}
	if !slices.Equal(got, want) {
		l.t.Fatalf("packet on %d leaves on %v, want %v", port, got, want)
	}
	if l.dp.clash != "" {
		l.t.Fatal(l.dp.clash)
	}
}

// TestLearning follows two hosts: flood, learn, one megaflow each, no more upcalls;
// a host that moves; an address that ages.
func TestLearning(t *testing.T) {
	l := newLab(t, Options{})
	ab, ba := frame(macB, macA, 0, 1, 2, 3, 4), frame(macA, macB, 0, 2, 1, 4, 3)
	l.send(11, ab, "12", "13", "14", "21", "22")
	l.send(12, ba, "11") // learning B takes A's megaflow out of flooding
	l.send(11, ab, "12")
	misses := l.s.Stats().Misses
	for range 100 {
		l.send(11, ab, "12")
		l.send(12, ba, "11")
	}
	if st := l.s.Stats(); st.Misses != misses || misses > 3 {
		t.Fatalf("%d misses, then %d", misses, st.Misses)
	}
	want := " port  VLAN  MAC                Age\n    1     0  02:00:00:00:00:0a    0\n    2     0  02:00:00:00:00:0b    0\n"
	if got, _ := l.s.FDBShow("br0", l.now()); got != want {
		t.Errorf("FDBShow:\n%s", got)
	}
	l.advance(time.Second)
	l.send(13, ba, "11") // B moves
	l.send(11, ab, "13")
	l.s.Tick(l.now()) // the packets that B sent before must not move it back
	l.send(11, ab, "13")

	// Traffic keeps an address; without it it goes after 300 s.
	for range 20 {
		l.advance(29 * time.Second)
		l.send(13, frame(bc, macB, 0, 9, 9, 9, 9), "11", "12", "14", "21", "22")
		l.s.Tick(l.now())
	}
	l.send(11, ab, "13")
	l.advance(301 * time.Second)
	l.s.Tick(l.now())
	l.send(11, ab, "12", "13", "14", "21", "22")
	if err := l.s.FDBFlush("br0"); err != nil {
		t.Fatal(err)
	}
	if got, _ := l.s.FDBShow("br0", l.now()); strings.Count(got, "\n") != 1 {
		t.Errorf("after flush:\n%s", got)
	}
}

// TestCounters holds that rules count every packet once, first packets and those of deleted
// and replaced megaflows included.
func TestCounters(t *testing.T) {
	l := newLab(t, Options{})
	var m1 flow.Match
	m1.SetU64(flow.FieldInPort, 1)
	l.flowMod("br0", openflow.FlowMod{Priority: 10, Match: m1, NewCookie: 1, Flags: openflow.FlagSendFlowRem, IdleTimeout: 30, Instructions: apply(action.Output{Port: 2})})
	p := frame(macB, macA, 0, 1, 2, 3, 4)
	stats := func() (n, b uint64) {
		rep := l.handle("br0", &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, Match: m1, OutPort: action.PortAny, OutGroup: action.GroupAny}})
		f := rep[0].(*openflow.FlowStatsReply).Flows
		if len(f) != 1 {
			t.Fatalf("%d flows", len(f))
		}
		return f[0].Packets, f[0].Bytes
	}
	for range 10 {
		l.send(11, p, "12")
	}
	l.advance(time.Second)
	if n, b := stats(); n != 10 || b != uint64(10*len(p)) {
		t.Fatalf("%d packets, %d bytes", n, b)
	}
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowModify, Table: openflow.TableAll, Match: m1, Instructions: apply(action.Output{Port: 3})})
	for range 5 {
		l.send(11, p, "13")
	}
	l.advance(time.Second)
	if n, _ := stats(); n != 15 {
		t.Fatalf("%d packets after modify", n)
	}
	// A rule above takes the packets over; they are the other rule's then.
	m2 := m1
	m2.SetU64(flow.FieldEthType, 0x800)
	l.flowMod("br0", openflow.FlowMod{Priority: 20, Match: m2, Instructions: apply(action.Output{Port: 4})})
	for range 7 {
		l.send(11, p, "14")
	}
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowDeleteStrict, Priority: 20, Match: m2})
	for range 3 {
		l.send(11, p, "13")
	}
	l.advance(time.Second)
	if n, _ := stats(); n != 18 {
		t.Fatalf("%d packets after another rule came and went", n)
	}
	if rep := l.handle("br0", &openflow.TableStatsRequest{})[0].(*openflow.TableStatsReply); rep.Tables[0].Matched != 25 {
		t.Errorf("table 0 matched %d", rep.Tables[0].Matched)
	}

	// The idle timeout counts from the last packet.
	l.taken()
	for range 10 {
		l.advance(9 * time.Second)
		l.send(11, p, "13")
		l.s.Tick(l.now())
	}
	if a := l.taken(); len(a) != 0 {
		t.Fatalf("%d messages while there is traffic", len(a))
	}
	for range 32 {
		l.advance(time.Second)
		l.s.Tick(l.now())
	}
	a := l.taken()
	if len(a) != 1 {
		t.Fatalf("%d messages, want one flow_removed", len(a))
	}
	fr := a[0].Msg.(*openflow.FlowRemoved)
	if fr.Packets != 28 || fr.Reason != openflow.RemovedIdle || fr.Cookie != 1 {
		t.Errorf("flow_removed %+v", fr)
	}
	if n := l.s.Stats().Flows; n != 0 {
		t.Errorf("%d megaflows are left", n)
	}
}

// TestPacketIn holds that a controller's share of a megaflow does not take the
// others out of the datapath, and what is in the message.
func TestPacketIn(t *testing.T) {
	l := newLab(t, Options{})
	var m flow.Match
	m.SetU64(flow.FieldInPort, 1)
	l.flowMod("br0", openflow.FlowMod{Priority: 10, Match: m, NewCookie: 77, Instructions: apply(
		action.Output{Port: 2},
		action.Load{Dst: flow.FieldReg3.All(), Value: 5},
		action.PushVLAN{TPID: 0x8100}, action.SetVLANVID{VID: 9},
		action.Output{Port: action.PortController, MaxLen: 100},
		action.Output{Port: 3})})
	p := frame(macB, macA, 0, 1, 2, 3, 4)
	for i := range 3 {
		l.send(11, p, "12", "13")
		a := l.taken()
		if len(a) != 1 {
			t.Fatalf("packet %d: %d messages", i, len(a))
		}
		pi := a[0].Msg.(*openflow.PacketIn)
		want := frame(macB, macA, 9, 1, 2, 3, 4)
		if a[0].MaxLen != 100 || pi.Cookie != 77 || pi.Reason != openflow.ReasonAction || pi.TotalLen != len(want) ||
			string(pi.Data) != string(want) || pi.Metadata.Key.InPort() != 1 || pi.Metadata.Key.U64(flow.FieldReg3) != 5 {
			t.Fatalf("packet %d: %+v", i, pi)
		}
	}
	if st := l.s.Stats(); st.Misses != 1 || st.Actions != 2 {
		t.Errorf("%+v", st)
	}
	// Upcalls of the generation before are still understood.
	l.s.mu.RLock()
	var f *megaflow
	for _, f = range l.s.ix.byID {
	}
	arg := uint32(f.gen<<argBits) | 0
	l.s.mu.RUnlock()
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowModify, Table: openflow.TableAll, Match: m, Instructions: apply(action.Controller{MaxLen: 7, ID: 3})})
	l.s.Upcalls([]dpif.Upcall{{InPort: 11, Reason: dpif.ReasonAction, Flow: f.id, Arg: arg, Packet: dpif.Packet{Data: p}}})
	l.send(11, p)
	a := l.taken()
	if len(a) != 2 || a[0].MaxLen != 100 || a[1].MaxLen != 7 || a[1].Controller != 3 {
		t.Fatalf("%+v", a)
	}

	// One port that floods does not take the place of another's packets.
	for range 1000 {
		l.s.Upcalls([]dpif.Upcall{{InPort: 11, Reason: dpif.ReasonAction, Flow: f.id, Arg: f.gen << argBits, Packet: dpif.Packet{Data: p}}})
	}
	l.s.Upcalls([]dpif.Upcall{{InPort: 12, Reason: dpif.ReasonAction, Flow: f.id, Arg: f.gen << argBits, Packet: dpif.Packet{Data: p[:20]}}})
	a = l.taken()
	if len(a) != packetInsPerPort+1 || a[1].Msg.(*openflow.PacketIn).TotalLen != 20 || l.s.Stats().PacketInDrops != 1000-packetInsPerPort {
		t.Errorf("%d messages, %+v", len(a), l.s.Stats())
	}
}

// TestUnsupported holds that what the datapath refuses is served all the same.
func TestUnsupported(t *testing.T) {
	l := newLab(t, Options{})
	l.dp.refuse = func(a dpif.Action) bool { _, ok := a.(dpif.PushVLAN); return ok }
	var m flow.Match
	m.SetU64(flow.FieldInPort, 1)
	l.flowMod("br0", openflow.FlowMod{Priority: 10, Match: m, Instructions: apply(action.PushVLAN{TPID: 0x8100}, action.Output{Port: 2})})
	p := frame(macB, macA, 0, 1, 2, 3, 4)
	for range 5 {
		l.send(11, p, "12")
	}
	n := 0
	l.s.Megaflows(func(f Megaflow) bool {
		n++
		if f.Slow == "" || len(f.Actions) != 2 {
			t.Errorf("%+v", f)
		}
		return true
	})
	if st := l.s.Stats(); n != 1 || st.Misses != 1 || st.Actions != 4 {
		t.Errorf("%d flows, %+v", n, st)
	}
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowModify, Table: openflow.TableAll, Match: m, Instructions: apply(action.Output{Port: 3})})
	l.send(11, p, "13")
	l.s.Megaflows(func(f Megaflow) bool {
		if f.Slow != "" {
			t.Errorf("still slow: %+v", f)
		}
		return true
	})
}

// TestBounds holds that at the flow limit packets are still forwarded and counted.
func TestBounds(t *testing.T) {
	l := newLab(t, Options{FlowLimit: 10})
	var m flow.Match
	l.flowMod("br0", openflow.FlowMod{Priority: 10, Match: m, Instructions: apply(action.Output{Port: 2})})
	m.SetU64(flow.FieldEthType, 0x800)
	m.SetU64(flow.FieldIPProto, 17)
	m.SetU64(flow.FieldTPDst, 9999)
	l.flowMod("br0", openflow.FlowMod{Priority: 20, Match: m, Instructions: apply()})
	m.SetU64(flow.FieldTPDst, 1)
	l.flowMod("br0", openflow.FlowMod{Priority: 20, Match: m, Instructions: apply(action.Output{Port: 3})})
	m.Any(flow.FieldTPDst)
	for i := range 40 { // ports that make narrow megaflows
		m.SetU64(flow.FieldTPSrc, uint64(i))
		l.flowMod("br0", openflow.FlowMod{Priority: 30, Match: m, Instructions: apply(action.Output{Port: 4})})
	}
	for i := range 40 {
		l.send(11, frame(macB, macA, 0, 1, 2, uint16(i), 5), "14")
	}
	if st := l.s.Stats(); st.Flows != 10 || st.AtLimit != 30 {
		t.Fatalf("%+v", st)
	}
	rep := l.handle("br0", &openflow.AggregateRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: 4, OutGroup: action.GroupAny}})
	l.advance(time.Second)
	rep = l.handle("br0", &openflow.AggregateRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: 4, OutGroup: action.GroupAny}})
	if a := rep[0].(*openflow.AggregateReply); a.Packets != 40 || a.Flows != 40 {
		t.Errorf("%+v", a)
	}
	l.s.Tick(l.now())
	if st := l.s.Stats(); st.Flows != 0 {
		t.Errorf("a full table with 1 s idle time keeps %d flows", st.Flows)
	}
}

// TestApply changes the configuration under traffic.
func TestApply(t *testing.T) {
	l := newLab(t, Options{})
	ab := frame(macB, macA, 0, 1, 2, 3, 4)
	l.send(11, ab, "12", "13", "14", "21", "22")
	puts := l.dp.puts
	l.applyConfig()
	if l.dp.puts != puts || len(l.taken()) != 0 || l.s.Stats().Revalidated != 0 {
		t.Errorf("applying the same configuration again did something")
	}
	br0 := &l.cfg.Bridges[0]
	br0.Ports[0].VLAN = xlate.VLAN{Mode: xlate.Access, Tag: 10}
	br0.Ports[1].VLAN = xlate.VLAN{Mode: xlate.Access, Tag: 10}
	br0.Ports[2].VLAN = xlate.VLAN{Mode: xlate.Access, Tag: 20}
	br0.Ports[4].VLAN = xlate.VLAN{Trunks: xlate.NewVLANSet(20)}
	l.applyConfig()
	l.send(11, ab, "12", "14")
	l.dp.take()
	br0.Ports = slices.Delete(br0.Ports, 3, 4)
	l.applyConfig()
	l.send(11, ab, "12")
	a := l.taken()
	if len(a) != 1 || a[0].Msg.(*openflow.PortStatus).Reason != openflow.PortDeleted {
		t.Errorf("%+v", a)
	}
	br0.Ports = append(br0.Ports, PortConfig{No: 7, Name: "p7", DP: 14, VLAN: xlate.VLAN{Mode: xlate.Access, Tag: 10}})
	l.applyConfig()
	l.send(11, ab, "12", "14")
	l.cfg.Bridges = l.cfg.Bridges[1:]
	l.applyConfig()
	l.send(11, ab)
	l.send(21, ab, "22") // the patch port has no peer any more
	if l.s.Stats().NoPort != 1 {
		t.Errorf("%+v", l.s.Stats())
	}
}

// checkAll holds that nothing waits to be translated anew, and what checkNow does. Nothing else uses the Switch.
func (l *lab) checkAll(r *rand.Rand) {
	l.t.Helper()
	l.s.ix.mu.Lock()
	b := &l.s.ix.backlog
	rules, n := len(b.rules), len(b.fresh)+b.behind(urgent)+b.behind(bulk)
	l.s.ix.mu.Unlock()
	if rules+n > 0 {
		l.t.Fatalf("%d megaflows and the new rules of %d tables wait, and nobody works them off", n, rules)
	}
	l.checkNow(r)
}

// checkNow holds that every megaflow that neither is in the backlog nor would be found by a rule there is
// what a fresh translation of random packets in it says, and that the datapath has exactly
// those of the index.
func (l *lab) checkNow(r *rand.Rand) {
	l.t.Helper()
	l.s.mu.Lock() // nothing is being installed
	defer l.s.mu.Unlock()
	// Who has taught a flow gives s.mu up before it settles; the flow's dependants are not pending until
	// somebody looks.
	l.s.ix.mu.Lock()
	l.s.ix.look()
	l.s.ix.mu.Unlock()
	l.dp.mu.Lock()
	defer l.dp.mu.Unlock()
	if len(l.dp.flows) != len(l.s.ix.byID) {
		l.t.Fatalf("%d megaflows in the datapath, %d in the index", len(l.dp.flows), len(l.s.ix.byID))
	}
	for range 300 {
		port, p := dpif.Port(11+r.IntN(4)), randomFrame(r)
		var k flow.Key
		var ly packet.Layers
		packet.Parse(p, &packet.Meta{InPort: uint32(port)}, 2, &k, &ly)
		var want []string
		for _, df := range l.dp.flows {
			if !k.EqualUnder(&df.Key, df.Mask) {
				continue
			}
			f := l.s.ix.byID[df.ID]
			if f == nil {
				l.t.Fatalf("megaflow %d is not in the index", df.ID)
			}
			if f.pending.Load() {
				continue // nobody has been told that it is up to date
			}
			if want == nil {
				res := xlate.Translate(l.s.input(l.s.byDP[port], &k))
				want = perform(p, res.Actions, res.PacketIns)
			}
			if got := perform(p, f.out.actions, f.out.pis); !slices.Equal(got, want) {
				l.t.Fatalf("megaflow %d is stale: %v does\n%v, should\n%v", f.id, f.out.actions, got, want)
			}
			if !slices.Equal(withoutArgs(df.Actions), withoutArgs(f.out.actions)) {
				l.t.Fatalf("megaflow %d has other actions in the datapath", f.id)
			}
		}
	}
}

func randomFrame(r *rand.Rand) []byte {
	pick := func(v ...uint64) uint64 { return v[r.IntN(len(v))] }
	return frame(pick(macA, macB, 0x02000000000c, bc), pick(macA, macB, 0x02000000000c), uint16(pick(0, 0, 10, 0xa014)),
		uint32(pick(0x0a000001, 0x0a000002, 0x0b000001)), uint32(pick(0x0a000001, 0x0a010001)), uint16(pick(1, 80)), uint16(pick(80, 443, 9)))
}

func perform(p []byte, actions []dpif.Action, pis []xlate.PacketIn) (out []string) {
	sent := (&listDP{now: time.Now}).run(p, actions, func(arg uint32, data []byte) {
		pi := pis[arg]
		out = append(out, fmt.Sprintf("pi %s %d %d %x", pi.Bridge.Name, pi.Table, pi.Reason, data))
	})
	for _, s := range sent {
		out = append(out, s.String())
	}
	return out
}

// randomMod returns a random flow_mod over few matches and actions.
func randomMod(r *rand.Rand) openflow.FlowMod {
	pick := func(v ...uint64) uint64 { return v[r.IntN(len(v))] }
	m := openflow.FlowMod{
		Command: openflow.FlowModCommand(pick(0, 0, 0, 1, 2, 3, 4, 4)), Table: uint8(r.IntN(3)),
		Priority: uint16(r.IntN(5)), NewCookie: uint64(r.IntN(3)),
	}
	some := func(f flow.Field, v ...uint64) {
		if r.IntN(4) == 0 {
			mask := flow.Ones(f.Bits())
			if r.IntN(3) == 0 {
				mask = mask.AndNot(flow.Ones(r.IntN(f.Bits())))
			}
			m.Match.SetMasked(f, flow.U128{Lo: pick(v...)}, mask)
		}
	}
	some(flow.FieldInPort, 1, 2, 5)
	some(flow.FieldReg0, 0, 1)
	some(flow.FieldEthDst, macA, macB, bc)
	some(flow.FieldVLANTCI, 0, 0x100a)
	if r.IntN(2) == 0 {
		m.Match.SetU64(flow.FieldEthType, 0x800)
		some(flow.FieldIPSrc, 0x0a000001, 0x0b000001)
		some(flow.FieldIPDst, 0x0a000001, 0x0a010001)
		if r.IntN(2) == 0 {
			m.Match.SetU64(flow.FieldIPProto, 17)
			some(flow.FieldTPDst, 80, 443)
		}
	}
	for range r.IntN(4) {
		switch r.IntN(11) {
		case 9, 10:
			m.Instructions.Apply = append(m.Instructions.Apply, randomLearn(r))
		case 0, 1:
			m.Instructions.Apply = append(m.Instructions.Apply, action.Output{Port: action.Port(1 + r.IntN(5))})
		case 2, 3:
			m.Instructions.Apply = append(m.Instructions.Apply, action.Output{Port: action.PortNormal})
		case 4:
			m.Instructions.Apply = append(m.Instructions.Apply, action.SetField{Field: flow.FieldReg0, Value: flow.U128{Lo: 1}, Mask: flow.Ones(32)})
		case 5:
			m.Instructions.Apply = append(m.Instructions.Apply, action.SetField{Field: flow.FieldIPDst, Value: flow.U128{Lo: 0x0a000001}, Mask: flow.Ones(32)})
		case 6:
			m.Instructions.Apply = append(m.Instructions.Apply, action.Resubmit{InPort: action.PortInPort, Table: uint8(1 + r.IntN(2))})
		case 7:
			m.Instructions.Apply = append(m.Instructions.Apply, action.SetVLANVID{VID: 10, PushIfNone: true})
		case 8:
			m.Instructions.Apply = append(m.Instructions.Apply, action.Output{Port: action.PortController, MaxLen: 0xffff})
		}
	}
	if m.Table < 2 && r.IntN(3) == 0 {
		m.Instructions.HasGoto, m.Instructions.Goto = true, m.Table+1
	}
	return m
}

// TestNoStale mixes packets with changes of everything and holds after each that no
// megaflow is stale and every packet goes where a fresh translation sends it.
func TestNoStale(t *testing.T) {
	t.Logf("seed %d", *seed)
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	var flows, reval, replaced, deleted uint64
	conj := 0
	for round := range rounds {
		r := rand.New(rand.NewPCG(*seed, uint64(round)))
		l := newLab(t, Options{})
		for id := range uint32(4) {
			l.groupMod(openflow.GroupAdd, id, openflow.GroupTypeAll)
		}
		for range 60 {
			for range 10 {
				l.dp.receive(l.s, dpif.Port(11+r.IntN(4)), randomFrame(r))
			}
			l.dp.take()
			mod := randomMod
			if round%2 == 1 && r.IntN(2) == 0 {
				mod = conjMod
			}
			switch r.IntN(11) {
			case 0, 1, 2, 3:
				l.flowMod([]string{"br0", "br0", "br1"}[r.IntN(3)], mod(r))
			case 8:
				l.flowMod("br0", grouped(r))
			case 9:
				l.groupMod(openflow.GroupModify, r.Uint32N(4), openflow.GroupType(r.IntN(4)), randomBuckets(r)...)
			case 10:
				if r.IntN(2) == 0 {
					p := &l.cfg.Bridges[0].Ports[r.IntN(4)]
					p.LinkDown = !p.LinkDown
					l.applyConfig()
					break
				}
				l.bundle(r, mod)
			case 4:
				p := &l.cfg.Bridges[0].Ports[r.IntN(4)]
				p.VLAN = xlate.VLAN{Mode: xlate.VLANMode(r.IntN(4)), Tag: uint16(10 * r.IntN(3))}
				l.applyConfig()
			case 5:
				l.handle("br0", &openflow.PortMod{No: action.Port(1 + r.IntN(5)), Config: openflow.PortConfig(r.Uint32()), Mask: openflow.ConfigNoFlood | openflow.ConfigNoFwd | openflow.ConfigNoRecv})
			case 6:
				l.advance(time.Duration(r.IntN(8)) * time.Second)
				l.s.Tick(l.now())
			case 7:
				switch r.IntN(3) {
				case 0:
					l.s.FDBFlush("br0")
				case 1:
					l.handle("br0", &openflow.SetConfig{Config: openflow.Config{Frag: openflow.FragMode(r.IntN(2))}})
				case 2:
					l.cfg.Bridges[0].MissToController = !l.cfg.Bridges[0].MissToController
					l.applyConfig()
				}
			}
			l.checkAll(r)
			conj += l.conjunctions()
			if l.dp.clash != "" {
				t.Fatalf("round %d: overlapping megaflows disagree: %s", round, l.dp.clash)
			}
		}
		st := l.s.Stats()
		flows, reval, replaced, deleted = flows+st.Installed, reval+st.Revalidated, replaced+st.Replaced, deleted+st.Deleted
		l.s.Flush()
		if x := l.s.ix; len(x.byID)+len(x.byHash)+len(x.masks)+len(x.deps)+len(x.tables) != 0 || len(l.dp.flows) != 0 {
			t.Fatalf("the index is not empty after Flush: %d %d %d %d %d", len(x.byID), len(x.byHash), len(x.masks), len(x.deps), len(x.tables))
		}
	}
	t.Logf("%d megaflows installed, %d revalidated, %d replaced, %d deleted; %d times one of a conjunction was held against it",
		flows, reval, replaced, deleted, conj)
	if conj == 0 {
		t.Error("no conjunction was matched")
	}
}

// TestRace lets packets and changes run at the same time; afterwards nothing may be stale.
// (Run with -race too.)
func TestRace(t *testing.T) {
	l := newLab(t, Options{})
	var wg sync.WaitGroup
	var packets atomic.Int64
	stop := make(chan struct{})
	for i := range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(*seed, uint64(i)))
			for {
				select {
				case <-stop:
					return
				default:
					l.dp.receive(l.s, dpif.Port(11+r.IntN(4)), randomFrame(r))
					packets.Add(1)
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(*seed, 100))
	for i := 0; i < 400 || l.s.Stats().Installed < 100 && i < 10_000; i++ {
		for packets.Load() < int64(20*i) {
			runtime.Gosched()
		}
		l.flowMod("br0", randomMod(r))
		if i%20 == 0 {
			l.advance(3 * time.Second)
			l.s.Tick(l.now())
			l.s.Megaflows(func(Megaflow) bool { return true })
			l.s.FDBFlush("br0")
			l.taken()
			l.dp.take()
			l.checkNow(r)
		}
	}
	close(stop)
	wg.Wait()
	l.checkAll(r)
	if l.s.Stats().Installed < 100 {
		t.Errorf("only %d megaflows", l.s.Stats().Installed)
	}
}

// TestPacketOut sends packets of a controller.
func TestPacketOut(t *testing.T) {
	l := newLab(t, Options{})
	p := frame(bc, macA, 0, 1, 2, 3, 4)
	out := func(in action.Port, want string, acts ...action.Action) {
		t.Helper()
		if e := l.handle("br0", &openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: in, Actions: acts, Data: p}); len(e) != 0 {
			t.Fatalf("refused: %v", e[0].(*openflow.Error).Kind)
		}
		var got []string
		for _, s := range l.dp.take() {
			got = append(got, strings.SplitN(s, ":", 2)[0])
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("from %d: leaves on %q, want %q", in, g, want)
		}
	}
	out(action.PortController, "12", action.Output{Port: 2})
	out(action.PortController, "11 12 13 14 21 22", action.Output{Port: action.PortFlood})
	out(2, "11 13 14 21 22", action.Output{Port: action.PortNormal})
	out(2, "", action.Output{Port: 2})
	out(2, "12", action.Output{Port: action.PortInPort})
	out(2, "11 13 14 21 22", action.Output{Port: action.PortTable})
	if got, _ := l.s.FDBShow("br0", l.now()); !strings.Contains(got, "    2     0  02:00:00:00:00:0a    0\n") {
		t.Errorf("a packet_out with in_port was not learned:\n%s", got)
	}
	l.taken()
	out(action.PortController, "13", action.Output{Port: action.PortController, MaxLen: 50}, action.Output{Port: 3})
	if a := l.taken(); len(a) != 1 || a[0].Msg.(*openflow.PacketIn).Reason != openflow.ReasonPacketOut {
		t.Errorf("%+v", a)
	}
	if e := l.handle("br0", &openflow.PacketOut{BufferID: 5, InPort: 1, Data: p}); len(e) != 1 {
		t.Error("a buffer that is not there was taken")
	}
}

// TestMissOpenFlow10 makes table misses packet-ins while a controller speaks OpenFlow 1.0.
func TestMissOpenFlow10(t *testing.T) {
	l := newLab(t, Options{})
	l.cfg.Bridges[0].Secure = true
	l.applyConfig()
	p := frame(bc, macA, 0, 1, 2, 3, 4)
	l.send(11, p)
	if len(l.taken()) != 0 {
		t.Error("packet-in without a controller")
	}
	l.cfg.Bridges[0].MissToController = true
	l.applyConfig()
	for range 2 {
		l.send(11, p)
		if a := l.taken(); len(a) != 1 || a[0].Msg.(*openflow.PacketIn).Reason != openflow.ReasonImplicitMiss || a[0].Msg.(*openflow.PacketIn).Cookie != ^uint64(0) {
			t.Errorf("%+v", a)
		}
	}
}

// BenchmarkOneRule changes one rule with 100,000 megaflows in place.
func BenchmarkOneRule(b *testing.B) {
	l, _ := manyFlows(b, 100_000)
	var m flow.Match
	m.SetU64(flow.FieldEthType, 0x800)
	m.SetU64(flow.FieldIPProto, 17)
	m.SetU64(flow.FieldIPSrc, 77)
	for i := 0; b.Loop(); i++ {
		l.flowMod("br0", openflow.FlowMod{Priority: 50, Match: m, Instructions: apply(action.Output{Port: action.Port(2 + i%2)})})
	}
	b.ReportMetric(float64(l.s.Stats().Revalidated)/float64(b.N), "revalidated/op")
}

// manyFlows makes a lab with n megaflows that differ in their source address.
func manyFlows(t testing.TB, n int) (*lab, *nullDP) {
	l := newLab(t, Options{})
	dp := &nullDP{n: make(map[dpif.FlowID]bool)}
	dp.now = l.now
	l.s.dp = dp
	var m flow.Match
	m.SetU64(flow.FieldEthType, 0x800)
	l.flowMod("br0", openflow.FlowMod{Priority: 10, Match: m, Instructions: action.Instructions{HasGoto: true, Goto: 1}})
	l.flowMod("br0", openflow.FlowMod{Table: 1, Priority: 1, Instructions: apply(
		action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: 2})})
	k := 0
	for i := 1; l.s.ix.len() < n; i++ {
		l.s.Upcalls([]dpif.Upcall{{InPort: 11, Packet: dpif.Packet{Data: frame(macB, macA, 0, uint32(i), 2, uint16(i), 4)}}})
		if k++; k > 5*n {
			t.Fatalf("only %d megaflows of %d packets", l.s.ix.len(), k)
		}
	}
	return l, dp
}

// BenchmarkAll translates 100,000 megaflows anew, and says what one costs in memory.
func BenchmarkAll(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, dp := manyFlows(b, 100_000)
	dp.n = nil // the datapath's own memory does not count
	runtime.GC()
	runtime.ReadMemStats(&after)
	mode := openflow.FragNormal
	for b.Loop() {
		mode ^= openflow.FragNXMatch
		l.handle("br0", &openflow.SetConfig{Config: openflow.Config{Frag: mode}})
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/100_000, "B/flow")
	b.ReportMetric(float64(l.s.Stats().Revalidated)/float64(b.N), "revalidated/op")
}

// TestRewrittenKeys adds rules that match only what actions have made of the key: the filter
// of dependants by the packet's own key must not hide them.
func TestRewrittenKeys(t *testing.T) {
	ip := func(dst uint64) (m flow.Match) {
		m.SetU64(flow.FieldEthType, 0x800)
		m.SetU64(flow.FieldIPDst, dst)
		return m
	}
	set := func(f flow.Field, v uint64) action.Action {
		return action.SetField{Field: f, Value: flow.U128{Lo: v}, Mask: flow.Ones(f.Bits())}
	}
	in := func(port uint64) (m flow.Match) {
		m.SetU64(flow.FieldInPort, port)
		return m
	}
	reg := func(v uint64) (m flow.Match) {
		m.SetU64(flow.FieldReg0, v)
		return m
	}
	to1 := action.Resubmit{InPort: action.PortInPort, Table: 1}
	for _, c := range []struct {
		name   string
		first  action.List // of the rule for ip_dst 2
		bridge string      // of the rule that comes later
		table  uint8
		match  flow.Match
		takes  bool
	}{
		{"a field that was set", action.List{set(flow.FieldIPDst, 1), to1}, "br0", 1, ip(1), true},
		{"the field as it was", action.List{set(flow.FieldIPDst, 1), to1}, "br0", 1, ip(2), false},
		{"a field that was not set", action.List{to1}, "br0", 1, ip(2), true},
		{"another value of it", action.List{to1}, "br0", 1, ip(1), false},
		{"a register", action.List{set(flow.FieldReg0, 7), to1}, "br0", 1, reg(7), true},
		{"a register that is 0", action.List{to1}, "br0", 1, reg(0), true},
		{"a register that is not 7", action.List{to1}, "br0", 1, reg(7), false},
		{"in_port of a resubmit", action.List{action.Resubmit{InPort: 3, Table: 1}}, "br0", 1, in(3), true},
		{"in_port itself", action.List{to1}, "br0", 1, in(1), true},
		{"in_port behind a patch port", action.List{set(flow.FieldReg0, 7), action.Output{Port: 5}}, "br1", 0, in(5), true},
		{"a register behind a patch port", action.List{set(flow.FieldReg0, 7), action.Output{Port: 5}}, "br1", 0, reg(0), true},
		{"a field behind a patch port", action.List{set(flow.FieldIPDst, 1), action.Output{Port: 5}}, "br1", 0, ip(1), true},
	} {
		l := newLab(t, Options{})
		l.flowMod("br0", openflow.FlowMod{Priority: 9, Match: ip(2), Instructions: apply(c.first...)})
		l.flowMod("br0", openflow.FlowMod{Table: 1, Instructions: apply(action.Output{Port: 2})})
		l.flowMod("br1", openflow.FlowMod{Instructions: apply(action.Output{Port: 2})})
		p := frame(macB, macA, 0, 1, 2, 3, 4)
		old, now := "12", "13"
		if c.bridge == "br1" {
			old, now = "22", "21"
		}
		l.send(11, p, old)
		port := action.Port(3)
		if c.bridge == "br1" {
			port = 1
		}
		before := l.s.Stats().Revalidated
		l.flowMod(c.bridge, openflow.FlowMod{Table: c.table, Priority: 5, Match: c.match, Instructions: apply(action.Output{Port: port})})
		if !c.takes {
			now = old
		}
		t.Log(c.name)
		l.send(11, p, now)
		if n := l.s.Stats().Revalidated - before; c.name == "another value of it" && n != 0 {
			t.Errorf("%d megaflows were translated for nothing", n)
		}
	}
}
