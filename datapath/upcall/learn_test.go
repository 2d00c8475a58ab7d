// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	pt "github.com/weirswitch/weir/datapath/packet/packettest"
	"github.com/weirswitch/weir/datapath/xlate"
)

// randomLearn returns a learn to table 1 or 2.
func randomLearn(r *rand.Rand) action.Learn {
	a := action.Learn{
		Table: uint8(1 + r.IntN(2)), Priority: uint16(r.IntN(5)), Cookie: uint64(r.IntN(3)), Limit: uint32(max(0, r.IntN(6)-3)),
		HardTimeout: uint16(r.IntN(2) * 5), IdleTimeout: uint16(r.IntN(2) * 9), DeleteLearned: r.IntN(4) == 0,
	}
	all := func(f flow.Field) flow.Subfield { return f.All() }
	if r.IntN(2) == 0 {
		a.Result = flow.Subfield{Field: flow.FieldReg0, Ofs: 0, N: 1}
	}
	for range 1 + r.IntN(3) {
		a.Specs = append(a.Specs, []action.LearnSpec{
			{Src: all(flow.FieldEthSrc), Dst: all(flow.FieldEthDst)},
			{Src: all(flow.FieldEthDst), Dst: all(flow.FieldEthDst)},
			{Src: all(flow.FieldVLANTCI), Dst: all(flow.FieldVLANTCI)},
			{Src: all(flow.FieldReg0), Dst: all(flow.FieldReg0)},
			{Value: flow.U128{Lo: 1}, Dst: flow.Subfield{Field: flow.FieldInPort, N: 16}},
			{Kind: action.LearnLoad, Value: flow.U128{Lo: 1}, Dst: all(flow.FieldReg0)},
			{Kind: action.LearnOutput, Src: flow.Subfield{Field: flow.FieldInPort, N: 16}},
			{Kind: action.LearnOutput, Src: all(flow.FieldReg0)},
		}[r.IntN(8)])
	}
	return a
}

// add adds a flow written as ovs-ofctl has it.
func (l *lab) add(f string) {
	l.t.Helper()
	m := openflow.FlowMod{Priority: 0x8000}
	match, acts, _ := strings.Cut(f, "actions=")
	for _, w := range flow.SplitWords(match) {
		k, v, has := strings.Cut(w, "=")
		switch k {
		case "table":
			fmt.Sscan(v, &m.Table)
		case "priority":
			fmt.Sscan(v, &m.Priority)
		default:
			if err := m.Match.ParseField(k, v, has); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	var err error
	if m.Instructions, err = action.Parse(acts); err != nil {
		l.t.Fatal(err)
	}
	l.flowMod("br0", m)
}

// flows returns the flows of a table of br0, with their packets.
func (l *lab) flows(table uint8) (fs []string) {
	l.t.Helper()
	m := &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: table, OutPort: action.PortAny, OutGroup: action.GroupAny}}
	for _, r := range l.handle("br0", m) {
		for _, f := range r.(*openflow.FlowStatsReply).Flows {
			if f.Priority == 0 {
				continue // that of a bridge without controllers
			}
			fs = append(fs, fmt.Sprintf("%v n=%d idle=%d hard=%d %v", &f.Match, f.Packets, f.IdleTimeout, f.HardTimeout, &f.Instructions))
		}
	}
	return fs
}

func (l *lab) wantFlows(table uint8, want ...string) {
	l.t.Helper()
	if got := l.flows(table); !slices.Equal(got, want) {
		l.t.Fatalf("table %d has\n%s\nwant\n%s", table, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wait moves the clock in steps of half a second, as Run does.
func (l *lab) wait(d time.Duration) {
	for ; d > 0; d -= TickInterval {
		l.advance(TickInterval)
		l.s.Tick(l.now())
	}
}

// TestLearnSwitch is a learning switch made of two tables: the first packet floods, teaches, and does
// not see what it taught; the answer goes to the port alone; more packets keep what they teach, though
// no table is asked; without packets it ends.
func TestLearnSwitch(t *testing.T) {
	l := newLab(t, Options{})
	l.add("table=0 actions=learn(table=1,hard_timeout=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]),resubmit(,1),resubmit(,2)")
	l.add("table=2,reg0=0 actions=output:1,output:2,output:3")
	l.add("table=2,priority=1 actions=output:NXM_NX_REG0[]")
	a, b := frame(macA, macB, 0, 0, 0, 1, 2), frame(macB, macA, 0, 0, 0, 1, 2) // dst, src
	toA := "dl_dst=02:00:00:00:00:0a n=%d idle=0 hard=5 load:0x1->NXM_NX_REG0[0..15]"
	toB := "dl_dst=02:00:00:00:00:0b n=%d idle=0 hard=5 load:0x2->NXM_NX_REG0[0..15]"

	l.send(11, b, "12", "13")
	l.wantFlows(1, fmt.Sprintf(toA, 0))
	l.send(12, a, "11")
	l.wantFlows(1, fmt.Sprintf(toA, 1), fmt.Sprintf(toB, 0))
	misses := l.s.Stats().Misses
	for range 8 {
		l.send(11, b, "12")
		l.send(12, a, "11")
		l.wait(time.Second)
	}
	if n := l.s.Stats().Misses; n != misses {
		t.Errorf("%d packets missed that megaflows are for", n-misses)
	}
	l.wantFlows(1, fmt.Sprintf(toA, 9), fmt.Sprintf(toB, 8))
	l.send(11, b, "12")
	l.wait(4 * time.Second)
	l.wantFlows(1, fmt.Sprintf(toA, 9)) // b has been silent for 5 s
	l.wait(2 * time.Second)
	l.wantFlows(1)
	l.send(11, b, "12", "13") // the megaflow floods again, without having been asked
	l.wantFlows(1)
	l.wait(TickInterval)
	l.wantFlows(1, fmt.Sprintf(toA, 0)) // and teaches when it is counted
	if n := l.s.Stats().Misses; n != misses {
		t.Errorf("%d packets missed", n-misses)
	}

	// Who moves is learned at the new port.
	l.send(13, b, "11", "12")
	l.send(12, a, "13")
}

// TestLearnIdle: packets that teach do not keep an idle flow that nobody uses, but it comes back.
func TestLearnIdle(t *testing.T) {
	l := newLab(t, Options{})
	l.add("udp actions=learn(table=1,idle_timeout=3,eth_type=0x800,NXM_OF_IP_SRC[]),output:2")
	p := frame(macA, macB, 0, 0x0a000001, 0x0a010001, 1, 80)
	want := "ip,nw_src=10.0.0.1 n=0 idle=3 hard=0 drop"
	l.send(11, p, "12")
	l.wantFlows(1, want)
	l.wait(2 * time.Second)
	l.send(11, p, "12")
	l.wait(1500 * time.Millisecond)
	l.wantFlows(1)
	l.send(11, p, "12")
	l.wait(TickInterval)
	l.wantFlows(1, want)
}

// TestLearnLimit: of the cookie there are two flows at the most; result_dst says so, and
// follows when there is room, or no more, without a packet that asks.
func TestLearnLimit(t *testing.T) {
	l := newLab(t, Options{})
	l.add("udp actions=learn(table=1,limit=2,cookie=5,result_dst=reg1[0],eth_type=0x800,nw_proto=17,NXM_OF_UDP_DST[]),resubmit(,2)")
	l.add("table=2,reg1=1 actions=output:2")
	l.add("table=2,reg1=0 actions=output:3")
	p := func(port uint16) []byte { return frame(macA, macB, 0, 0x0a000001, 0x0a010001, 1, port) }
	for range 2 {
		l.send(11, p(1), "12")
		l.send(11, p(2), "12")
		l.send(11, p(3), "13")
		l.send(11, p(4), "13")
	}
	line := func(n int) string { return fmt.Sprintf("udp,tp_dst=%d n=0 idle=0 hard=0 drop", n) }
	l.wantFlows(1, line(1), line(2))
	misses := l.s.Stats().Misses
	del := openflow.FlowMod{Command: openflow.FlowDelete, Table: 1}
	del.Match.SetU64(flow.FieldEthType, flow.EthTypeIPv4)
	del.Match.SetU64(flow.FieldIPProto, flow.ProtoUDP)
	del.Match.SetU64(flow.FieldUDPDst, 1)
	l.flowMod("br0", del)
	l.send(11, p(3), "12") // there is room, for whoever comes first
	l.wait(TickInterval)
	l.wantFlows(1, line(2), line(3))
	l.send(11, p(4), "13")
	l.send(11, p(1), "13")
	l.send(11, p(2), "12")
	l.send(11, p(3), "12")
	if n := l.s.Stats().Misses; n != misses {
		t.Errorf("%d packets missed that megaflows are for", n-misses)
	}
}

// TestClear: what a table held that is cleared at once does nothing any more, and there is room
// for those that a limit had kept out.
func TestClear(t *testing.T) {
	l := newLab(t, Options{})
	l.add("udp actions=learn(table=1,limit=1,cookie=5,result_dst=reg1[0],eth_type=0x800,nw_proto=17,NXM_OF_UDP_DST[]),resubmit(,2)")
	l.add("table=2,reg1=1 actions=output:2")
	l.add("table=2,reg1=0 actions=resubmit(,3)")
	l.add("table=3 actions=output:3")
	p := func(port uint16) []byte { return frame(macA, macB, 0, 0x0a000001, 0x0a010001, 1, port) }
	for range 2 {
		l.send(11, p(1), "12")
		l.send(11, p(2), "13")
	}
	misses := l.s.Stats().Misses
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowDelete, Table: 1})
	l.wantFlows(1)
	l.send(11, p(2), "12") // there is room, for whoever comes first
	l.wait(TickInterval)
	l.wantFlows(1, "udp,tp_dst=2 n=0 idle=0 hard=0 drop")
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowDelete, Table: 3})
	l.send(11, p(1))
	l.send(11, p(2), "12")
	l.flowMod("br0", openflow.FlowMod{Command: openflow.FlowDelete, Table: openflow.TableAll})
	l.send(11, p(1))
	l.send(11, p(2))
	if n := l.s.Stats().Misses; n != misses {
		t.Errorf("%d packets missed that megaflows are for", n-misses)
	}
}

// TestLinked holds what linked says against the dependencies themselves, of each megaflow for
// the translations of all.
func TestLinked(t *testing.T) {
	l := newLab(t, Options{})
	t.Logf("seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 7))
	l.add("priority=9,in_port=4,udp actions=learn(table=1,limit=2,cookie=5,result_dst=reg1[0],eth_type=0x800,nw_proto=17,NXM_OF_UDP_DST[]),resubmit(,2)")
	l.add("priority=8,in_port=3 actions=resubmit(,2),resubmit(,2),output:5")
	l.add("priority=7 actions=NORMAL,resubmit(,2)")
	l.add("table=2,priority=5,ip,nw_src=10.0.0.1 actions=conjunction(3,1/2)")
	l.add("table=2,priority=5,ip,nw_dst=10.1.0.1 actions=conjunction(3,2/2)")
	l.add("table=2,priority=5,conj_id=3,ip actions=output:2")
	l.add("table=2,priority=1,reg1=1 actions=output:1")
	l.add("table=2 actions=output:3")
	for range 300 {
		l.dp.receive(l.s, dpif.Port(11+r.IntN(4)), randomFrame(r))
	}
	l.wait(TickInterval)
	l.s.ix.mu.Lock()
	defer l.s.ix.mu.Unlock()
	type dep struct {
		list    *depList
		changed uint64
	}
	type linked struct {
		f    *megaflow
		res  *xlate.Result
		deps map[dep]bool
	}
	var all []linked
	for _, f := range l.s.ix.byID {
		k := f.expand()
		x := linked{f, xlate.Translate(l.s.input(l.s.byDP[dpif.Port(k.InPort())], &k)), make(map[dep]bool)}
		l.s.ix.relink(f, x.res)
		for i := range f.deps {
			x.deps[dep{f.deps[i].list, f.deps[i].changed}] = true
		}
		all = append(all, x)
	}
	same, other := 0, 0
	for i := range all {
		for j := range all {
			switch is := all[i].f.linked(all[j].res); {
			case i == j && !is:
				t.Fatalf("megaflow %d does not depend on what it was linked for", all[i].f.id)
			case is && !maps.Equal(all[i].deps, all[j].deps):
				t.Fatalf("megaflow %d depends on %v, said to be as %v", all[i].f.id, all[i].deps, all[j].deps)
			case is:
				same++
			default:
				other++
			}
		}
	}
	t.Logf("%d megaflows, %d times the same, %d times other dependencies", len(all), same, other)
	if same <= len(all) || other == 0 {
		t.Error("all are the same, or none")
	}
}

// TestDeleteLearned: what was learned goes with the last flow that taught it, also when a
// bundle takes that away, but not if the bundle is taken back.
func TestDeleteLearned(t *testing.T) {
	l := newLab(t, Options{})
	learn := "learn(table=1,cookie=9,delete_learned,NXM_OF_ETH_SRC[])"
	l.add("table=0,in_port=1 actions=" + learn)
	l.add("table=0,in_port=2 actions=clone(" + learn + ")")
	l.send(11, frame(macA, macB, 0, 0, 0, 1, 2))
	want := "dl_src=02:00:00:00:00:0b n=0 idle=0 hard=0 drop"
	l.wantFlows(1, want)
	del := func(port uint64) *openflow.FlowMod {
		m := &openflow.FlowMod{Command: openflow.FlowDelete, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
		m.Match.SetU64(flow.FieldInPort, port)
		return m
	}
	l.handle("br0", del(1))
	l.wantFlows(1, want)
	bad := &openflow.FlowMod{BufferID: openflow.NoBuffer, Instructions: apply(action.Group{ID: 77})}
	if rs := l.handle("br0", bundleOf(t, del(2), bad)); len(rs) != 2 {
		t.Fatalf("the bundle is not refused: %v", rs)
	}
	l.wantFlows(1, want)
	l.add("table=3 actions=drop") // nothing is left over of the bundle
	l.wantFlows(1, want)
	l.commit(del(2))
	l.wantFlows(1)
}

// TestFinTimeout: a packet with FIN shortens the timeouts, whether it misses or not.
func TestFinTimeout(t *testing.T) {
	l := newLab(t, Options{})
	l.add("tcp,in_port=1 actions=fin_timeout(idle_timeout=5,hard_timeout=7),output:2")
	tcp := func(flags byte) []byte { return pt.TCP(pt.Addr{Src: 1, Dst: 2}, 1000, 80, flags, nil) }
	line := func(idle, hard, n int) string {
		return fmt.Sprintf("tcp,in_port=1 n=%d idle=%d hard=%d fin_timeout(idle_timeout=5,hard_timeout=7),output:2", n, idle, hard)
	}
	l.send(11, tcp(0x02), "12")
	l.wait(TickInterval)
	l.wantFlows(0, line(0, 0, 1))
	l.send(11, tcp(0x11), "12")
	l.wait(TickInterval)
	l.wantFlows(0, line(5, 7, 2))
	l.wait(6 * time.Second)
	l.wantFlows(0)
	l.add("tcp,in_port=1 actions=fin_timeout(idle_timeout=5,hard_timeout=7),output:2")
	l.s.Flush()
	l.send(11, tcp(0x14), "12")
	l.wait(TickInterval)
	l.wantFlows(0, line(5, 7, 1))
}

// TestLearnBatch: packets that are served together teach one after the other.
func TestLearnBatch(t *testing.T) {
	l := newLab(t, Options{})
	l.add("table=0 actions=learn(table=1,limit=2,cookie=1,result_dst=reg0[0],NXM_OF_ETH_SRC[]),resubmit(,2)")
	l.add("table=2,reg0=1 actions=output:2")
	l.add("table=2,reg0=0 actions=output:3")
	var us []dpif.Upcall
	for i := range uint64(4) {
		us = append(us, dpif.Upcall{InPort: 11, Packet: dpif.Packet{Data: frame(macA, 0x020000000000+i, 0, 0, 0, 1, 2)}})
	}
	l.s.Upcalls(us)
	var got []string
	for _, s := range l.dp.take() {
		got = append(got, strings.SplitN(s, ":", 2)[0])
	}
	if want := []string{"12", "12", "13", "13"}; !slices.Equal(got, want) {
		t.Errorf("the packets leave on %v, want %v", got, want)
	}
	if n := len(l.flows(1)); n != 2 {
		t.Errorf("%d flows learned, want 2", n)
	}
	for i := range uint64(4) {
		l.send(11, frame(macA, 0x020000000000+i, 0, 0, 0, 1, 2), []string{"12", "12", "13", "13"}[i])
	}
}
