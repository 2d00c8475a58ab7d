// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"errors"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/trace"
)

// traceText is a trace in the form of the stock switch, checked against it in package trace.
const traceText = `Flow: udp,in_port=1,vlan_tci=0x0000,dl_src=02:00:00:00:00:0a,dl_dst=02:00:00:00:00:0b,nw_src=10.0.0.1,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=53

bridge("br0")
-------------
 0. udp,in_port=1,tp_dst=53, priority 7, cookie 0x2a
    set_field:10.0.0.9->ip_src
    resubmit(,3)
     3. No match.
            drop
    output:5

    bridge("br1")
    -------------
         0. priority 0
            NORMAL
             -> learned that 02:00:00:00:00:0a is on port to0 in VLAN 0
             -> no learned MAC for destination, flooding
    goto_table:4
 4. priority 0
    output:99
     >> Nonexistent output port

Final flow: udp,in_port=1,vlan_tci=0x0000,dl_src=02:00:00:00:00:0a,dl_dst=02:00:00:00:00:0b,nw_src=10.0.0.9,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=53
Megaflow: recirc_id=0,eth,udp,in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=02:00:00:00:00:0b,nw_frag=no,tp_dst=53
Datapath actions: set(ipv4(src=10.0.0.9)),21,22`

func TestTrace(t *testing.T) {
	l := newLab(t, Options{})
	m, err := flow.ParseMatch("in_port=1,udp,udp_dst=53")
	if err != nil {
		t.Fatal(err)
	}
	in, err := action.Parse("set_field:10.0.0.9->ip_src,resubmit(,3),output:5,goto_table:4")
	if err != nil {
		t.Fatal(err)
	}
	l.flowMod("br0", openflow.FlowMod{Priority: 7, Match: m, NewCookie: 42, Instructions: in})
	l.flowMod("br0", openflow.FlowMod{Table: 4, Instructions: apply(action.Output{Port: 99})})
	text := func(r trace.Request) string {
		t.Helper()
		s, err := l.s.Trace(&r, l.now())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const packet = "in_port=p1,udp,dl_src=02:00:00:00:00:0a,dl_dst=02:00:00:00:00:0b,nw_src=10.0.0.1,udp_dst=53"
	br1 := l.s.bridges["br1"].x
	text(trace.Request{Bridge: "br0", Flow: packet})
	if n := br1.FDB.Len(); n != 0 {
		t.Fatalf("%d addresses learned without -generate", n)
	}
	if got := text(trace.Request{Bridge: "br0", Flow: packet, Generate: true}); got != traceText {
		t.Errorf("got\n%s\nwant\n%s", got, traceText)
	}
	if no, ok := br1.FDB.Lookup(0, macA); !ok || no != 5 {
		t.Errorf("-generate learned port %v, %v", no, ok)
	}
	before := text(trace.Request{Bridge: "br0", Flow: packet})
	dp := text(trace.Request{Flow: "in_port(11),eth(src=02:00:00:00:00:0a,dst=02:00:00:00:00:0b),eth_type(0x0800),ipv4(src=10.0.0.1,proto=17,frag=no),udp(dst=53)"})
	if before != dp {
		t.Errorf("the two syntaxes:\n%s\n%s", before, dp)
	}
	if n := len(l.dp.flows); n != 0 || l.s.Stats().Flows != 0 {
		t.Errorf("a trace installed %d megaflows", n)
	}
	if got := l.taken(); len(got) != 0 {
		t.Errorf("a trace sent %v", got)
	}
	if _, err := l.s.Trace(&trace.Request{Bridge: "br7", Flow: "in_port=1"}, l.now()); !errors.Is(err, ErrNoBridge) {
		t.Errorf("unknown bridge: %v", err)
	}
	if _, err := l.s.Trace(&trace.Request{Flow: "in_port(77)"}, l.now()); !errors.Is(err, dpif.ErrNotExist) {
		t.Errorf("unknown port: %v", err)
	}
	if _, err := l.s.Trace(&trace.Request{Bridge: "br0", Flow: "foo=1"}, l.now()); err == nil {
		t.Error("unknown field taken")
	}
}
