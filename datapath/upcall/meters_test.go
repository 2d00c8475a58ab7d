// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"slices"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// meter adds or deletes a meter of packets a second with a burst.
func (l *lab) meter(bridge string, cmd openflow.MeterModCommand, id, rate, burst uint32) ofp.Kind {
	l.t.Helper()
	m := &openflow.MeterMod{Command: cmd, MeterConfig: openflow.MeterConfig{Meter: id, Flags: openflow.MeterPktps | openflow.MeterBurst}}
	if cmd != openflow.MeterDelete {
		m.Bands = []openflow.MeterBand{{Type: 1, Rate: rate, Burst: burst}}
	}
	for _, r := range l.handle(bridge, m) {
		if e, ok := r.(*openflow.Error); ok {
			return e.Kind
		}
	}
	return ofp.NoError
}

func (l *lab) meterStats(bridge string, id uint32, packets, dropped uint64) {
	l.t.Helper()
	r, ok := l.handle(bridge, &openflow.MeterStatsRequest{Meter: id})[0].(*openflow.MeterStatsReply)
	if !ok || len(r.Meters) != 1 || r.Meters[0].Packets != packets || r.Meters[0].Bands[0].Packets != dropped {
		l.t.Fatalf("meter %d: %+v, want %d packets, %d dropped", id, r, packets, dropped)
	}
}

// TestMeters: packets of a flow with a meter, the first one too, pass as the meter lets them;
// a changed meter works at once, a deleted one takes the flow with it.
func TestMeters(t *testing.T) {
	l := newLab(t, Options{})
	f := frame(macB, macA, 0, 1, 2, 3, 4)
	l.meter("br0", openflow.MeterAdd, 9, 1, 2)
	l.flowMod("br0", openflow.FlowMod{Priority: 5, Instructions: action.Instructions{Meter: 9, Apply: action.List{action.Output{Port: 2}}}})
	l.send(11, f, "12")
	l.send(11, f, "12")
	l.send(11, f)
	l.meterStats("br0", 9, 3, 1)
	l.advance(time.Second)
	l.send(11, f, "12")
	l.send(11, f)

	l.meter("br0", openflow.MeterModify, 9, 1, 1)
	l.meterStats("br0", 9, 0, 0)
	l.send(11, f, "12")
	l.send(11, f)

	// Another bridge's meter of the same number is another meter.
	if k := l.meter("br1", openflow.MeterAdd, 9, 1, 1); k != ofp.NoError {
		t.Fatal(k)
	}
	l.meterStats("br1", 9, 0, 0)

	l.meter("br0", openflow.MeterDelete, 9, 0, 0)
	l.flowMod("br0", openflow.FlowMod{Priority: 1, Instructions: apply(action.Output{Port: 3})})
	l.send(11, f, "13")
	if _, err := l.dp.MeterStats(1); err == nil {
		t.Error("the meter is still in the datapath")
	}

	// A packet-out goes through meters as well. The datapath has three.
	for _, id := range []uint32{1, 2} {
		if k := l.meter("br0", openflow.MeterAdd, id, 1, 1); k != ofp.NoError {
			t.Fatal(k)
		}
	}
	if k := l.meter("br0", openflow.MeterAdd, 3, 1, 1); k != ofp.MMFCOutOfMeters {
		t.Errorf("a meter too many: %v", k)
	}
	for range 3 {
		l.handle("br0", &openflow.PacketOut{
			BufferID: openflow.NoBuffer, InPort: action.PortController, Data: f,
			Actions: action.List{action.Meter{ID: 2}, action.Output{Port: 4}},
		})
	}
	if sent := l.dp.take(); len(sent) != 1 {
		t.Errorf("%d of 3 packet-outs passed, want 1", len(sent))
	}
	l.meterStats("br0", 2, 3, 2)

	// A bridge that goes gives its meters back.
	l.cfg.Bridges = l.cfg.Bridges[1:]
	l.applyConfig()
	if n := len(l.dp.meters); n != 1 {
		t.Errorf("%d meters are left, want that of br1", n)
	}
}

// TestControllerMeter: the meter "controller" holds back packet-ins of actions that name no other
// meter, whenever it comes and goes; outputs are not its business.
func TestControllerMeter(t *testing.T) {
	l := newLab(t, Options{})
	f := frame(macB, macA, 0, 1, 2, 3, 4)
	l.flowMod("br0", openflow.FlowMod{Instructions: apply(
		action.Controller{MaxLen: 100}, action.Output{Port: 2}, action.Controller{MaxLen: 100, Meter: 5, ID: 1})})
	pis := func(def, own int) {
		t.Helper()
		l.send(11, f, "12")
		got := [2]int{}
		for _, a := range l.taken() {
			if _, ok := a.Msg.(*openflow.PacketIn); ok {
				got[a.Controller]++
			}
		}
		if got != [2]int{def, own} {
			t.Fatalf("packet-ins %v, want %d, %d", got, def, own)
		}
	}
	pis(1, 1) // by the miss
	pis(1, 1)
	l.meter("br0", openflow.MeterAdd, ofproto.MeterController, 1, 1)
	pis(1, 1)
	pis(0, 1)
	l.meter("br0", openflow.MeterAdd, 5, 1, 2)
	pis(0, 1)
	pis(0, 1)
	pis(0, 0)
	l.meterStats("br0", 5, 3, 1)
	l.meterStats("br0", ofproto.MeterController, 5, 4)
	l.meter("br0", openflow.MeterDelete, ofproto.MeterAll, 0, 0)
	pis(1, 1)

	// The same for a packet that is wholly served in user space.
	l.meter("br0", openflow.MeterAdd, ofproto.MeterController, 1, 1)
	l.flowMod("br0", openflow.FlowMod{Priority: 9, Instructions: apply(action.Controller{MaxLen: 100}, action.Output{Port: 2})})
	l.s.Flush()
	pis(1, 0)
	l.s.Flush()
	pis(0, 0)
}

// TestSlowpathMeter: the meter "slowpath" holds back packets whose actions the datapath cannot do.
func TestSlowpathMeter(t *testing.T) {
	l := newLab(t, Options{})
	l.dp.refuse = func(a dpif.Action) bool { _, ok := a.(dpif.PushVLAN); return ok }
	f := frame(macB, macA, 0, 1, 2, 3, 4)
	l.flowMod("br0", openflow.FlowMod{Instructions: apply(action.PushVLAN{TPID: 0x8100}, action.Output{Port: 2})})
	l.send(11, f, "12")
	l.send(11, f, "12")
	l.meter("br0", openflow.MeterAdd, ofproto.MeterSlowpath, 1, 1)
	l.send(11, f, "12")
	l.send(11, f)
	l.meterStats("br0", ofproto.MeterSlowpath, 2, 1)
	l.meter("br0", openflow.MeterDelete, ofproto.MeterSlowpath, 0, 0)
	l.send(11, f, "12")
}

// TestMeterOutlivesRule: a meter that is deleted holds its packets back until none of its megaflows is
// left, also if that takes workers a while; then its number is free. One that is needed at once is
// taken early.
func TestMeterOutlivesRule(t *testing.T) {
	l := newLab(t, Options{})
	l.meter("br0", openflow.MeterAdd, 9, 1, 2)
	l.flowMod("br0", openflow.FlowMod{Priority: 5, Instructions: action.Instructions{Meter: 9, Apply: action.List{
		action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: 2},
	}}})
	fill := func() {
		for i := range uint32(soon + 100) {
			l.s.Upcalls([]dpif.Upcall{{InPort: 11, Packet: dpif.Packet{Data: frame(macB, macA, 0, i, 2, 3, 4)}}})
		}
		l.dp.take()
	}
	fill()
	l.s.workers.Add(1) // as if Run ran: a change this large is left to it
	l.meter("br0", openflow.MeterDelete, 9, 0, 0)
	if len(l.dp.meters) != 1 || len(l.dp.flows) != soon+100 {
		t.Fatalf("%d meters, %d megaflows before anything is translated anew", len(l.dp.meters), len(l.dp.flows))
	}
	for {
		if done, _ := l.s.work(); !done {
			break
		}
		named := 0
		for _, f := range l.dp.flows {
			if slices.Contains(f.Actions, dpif.Action(dpif.Meter{ID: 1})) {
				named++
			}
		}
		if (named > 0) != (len(l.dp.meters) == 1) {
			t.Fatalf("%d megaflows name the meter, %d meters", named, len(l.dp.meters))
		}
	}
	if len(l.dp.meters) != 0 || l.dp.unmetered != 0 {
		t.Errorf("%d meters are left, %d megaflows were not limited", len(l.dp.meters), l.dp.unmetered)
	}

	// The datapath has three: a fourth takes the place of one that waits.
	for id := range uint32(3) {
		l.meter("br0", openflow.MeterAdd, 1+id, 1, 1)
	}
	l.flowMod("br0", openflow.FlowMod{Priority: 6, Instructions: action.Instructions{Meter: 1, Apply: action.List{
		action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: 3},
	}}})
	l.s.settle(true)
	l.s.Flush()
	fill()
	l.meter("br0", openflow.MeterDelete, 1, 0, 0)
	if k := l.meter("br0", openflow.MeterAdd, 4, 1, 1); k != ofp.NoError {
		t.Errorf("a meter in the place of one that waits: %v", k)
	}
	l.s.workers.Add(-1)
	l.s.settle(true)
	if len(l.dp.meters) != 3 {
		t.Errorf("%d meters, want 3", len(l.dp.meters))
	}
}
