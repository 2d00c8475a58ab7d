// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math/rand/v2"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TestTaughtNotSettled looks at the switch when a packet has taught a flow and has given the lock up, and
// has not settled yet (a flow monitor is told then): the megaflow that the flow concerns is not pending,
// but a rule in the backlog will find it. When the packet is done, it is right.
func TestTaughtNotSettled(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	var l *lab
	looked := 0
	l = newLab(t, Options{Monitor: func(string, uint64, []byte) int {
		l.s.ix.mu.Lock()
		rules := len(l.s.ix.backlog.rules)
		l.s.ix.mu.Unlock()
		if rules > 0 {
			looked++
			l.checkNow(r)
		}
		return 0
	}})
	l.add("priority=9,in_port=3 actions=learn(table=1,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])")
	l.add("priority=9,in_port=1 actions=resubmit(,1)")
	l.add("table=1,priority=1 actions=2,4")
	for _, m := range l.s.Handle("br0", ofproto.ConnInfo{ID: 7, Version: ofp.V15}, &openflow.FlowMonitorRequest{Monitors: []openflow.FlowMonitor{{
		ID: 1, Flags: openflow.MonitorAdded, Table: 1, OutPort: action.PortAny, OutGroup: action.GroupAny,
	}}}, l.now()) {
		t.Fatalf("%+v", m)
	}
	// Many, so that the random packets of checkNow meet one that changes.
	for dst := range 4 {
		for _, m := range []uint64{macA, macB, bc} {
			l.send(11, frame(m, macA+uint64(dst), 0, 0x0a000001, 0x0a000001, 1, 80), "12", "14")
		}
	}
	l.send(13, frame(bc, macB, 0, 0x0a000001, 0x0a000001, 1, 80))
	if looked != 1 {
		t.Fatalf("looked %d times behind a lesson", looked)
	}
	l.checkAll(r)
	l.send(11, frame(macB, macA, 0, 0x0a000001, 0x0a000001, 1, 80), "13")
}

// TestOwedSettles serves two packets of one batch that teach the same flow with different actions, so that what
// they owe changes the table once more: nothing may be left to whoever comes next.
func TestOwedSettles(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	l := newLab(t, Options{})
	l.add("priority=9,in_port=3 actions=learn(table=1,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])")
	l.add("priority=9,in_port=4 actions=learn(table=1,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])")
	l.add("priority=9,in_port=1 actions=resubmit(,1)")
	l.add("table=1,priority=1 actions=2,4")
	l.add("table=1,priority=5,dl_dst=02:00:00:00:00:0b actions=2")
	l.send(11, frame(macB, macA, 0, 1, 2, 3, 4), "12")
	p := func() dpif.Packet { return dpif.Packet{Data: frame(bc, macB, 0, 1, 2, 3, 4)} }
	l.s.Upcalls([]dpif.Upcall{{InPort: 13, Packet: p()}, {InPort: 14, Packet: p()}})
	l.checkAll(r)
	l.send(11, frame(macB, macA, 0, 1, 2, 3, 4), "14")
}

// TestPacketInCookie changes a rule's cookie: what it sends controllers has that of the rule as it is, without
// a look at the rule while somebody changes it (TestRace with -race).
func TestPacketInCookie(t *testing.T) {
	l := newLab(t, Options{})
	p := frame(macB, macA, 0, 1, 2, 3, 4)
	for cookie := range uint64(3) {
		l.flowMod("br0", openflow.FlowMod{Priority: 9, NewCookie: cookie, Instructions: apply(action.Output{Port: action.PortController, MaxLen: 99})})
		for range 2 { // a miss the first time
			l.send(11, p)
			if a := l.taken(); len(a) != 1 || a[0].Msg.(*openflow.PacketIn).Cookie != cookie {
				t.Fatalf("cookie %d: %+v", cookie, a)
			}
		}
	}
}
