// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
)

func addRule(t *testing.T, b *Bridge, table uint8, prio uint16, m flow.Match, in action.Instructions) {
	t.Helper()
	rep, _ := b.Handle(ConnInfo{}, &openflow.FlowMod{Table: table, Priority: prio, Match: m, Instructions: in,
		BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}, time.Time{})
	if len(rep) != 0 {
		t.Fatal(rep[0].(*openflow.Error).Kind)
	}
}

var toNormal = action.Instructions{Apply: action.List{action.Output{Port: action.PortNormal}}}

// TestNotNormal is the table of reasons.
func TestNotNormal(t *testing.T) {
	b := New(nil)
	b.SetPorts(ports("a", "b"), time.Time{})
	say := func(in action.Port, want string) {
		t.Helper()
		if got := b.NotNormal(in); got != want {
			t.Errorf("port %d: %q, want %q", in, got, want)
		}
	}
	say(1, "table 0 is empty")
	b.Reset(false, false, time.Time{})
	say(1, "")
	var m flow.Match
	m.SetU64(flow.FieldInPort, 2)
	addRule(t, b, 0, 5, m, action.Instructions{})
	say(1, "")
	say(2, "a rule of table 0 does something else than NORMAL: priority=5 in_port=2")
	addRule(t, b, 0, 7, m, toNormal)
	say(2, "")
	addRule(t, b, 0, 9, flow.Match{}, action.Instructions{Goto: 3, HasGoto: true})
	say(2, "table 3 is empty")
	addRule(t, b, 3, 9, m, toNormal)
	say(2, "")
	say(1, "table 3 has no rule for all packets of the port")
	var tcp flow.Match
	tcp.SetU64(flow.FieldEthType, 0x800)
	tcp.SetU64(flow.FieldIPProto, 6)
	addRule(t, b, 3, 9, tcp, action.Instructions{}) // as high as the rule for all
	say(2, "a rule of table 3 does something else than NORMAL: priority=9 tcp")
	b.Handle(ConnInfo{}, &openflow.PortMod{No: 2, HWAddr: [6]byte{2, 0, 0, 0, 0, 2}, Mask: openflow.ConfigNoRecv, Config: openflow.ConfigNoRecv}, time.Time{})
	if b.NotNormal(2) == "" {
		t.Error("NO_RECV is not seen")
	}
}

// TestNotNormalWide: many rules that lead to the same table do not make it be looked at as often.
func TestNotNormalWide(t *testing.T) {
	b := New(nil)
	const tables = 60 // by each of 3 rules a table: 3^60 ways
	for table := uint8(0); table <= tables; table++ {
		in := action.Instructions{Goto: table + 1, HasGoto: true}
		if table == tables {
			in = toNormal
		}
		addRule(t, b, table, 0, flow.Match{}, in)
		for _, typ := range []uint64{0x800, 0x806} {
			var m flow.Match
			m.SetU64(flow.FieldEthType, typ)
			addRule(t, b, table, 5, m, in)
		}
	}
	if why := b.NotNormal(1); why != "" {
		t.Error(why)
	}
}

// TestNotNormalIdle: a rule that lives by its packets has to see them.
func TestNotNormalIdle(t *testing.T) {
	b := New(nil)
	b.Handle(ConnInfo{}, &openflow.FlowMod{Instructions: toNormal, IdleTimeout: 60,
		BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}, time.Time{})
	if why, want := b.NotNormal(1), "a rule of table 0 has an idle timeout, which what a chip forwards does not feed: priority=0 "; why != want {
		t.Errorf("%q, want %q", why, want)
	}
}

// TestNotNormalTwin: where the tables are said to leave a port to NORMAL, they do so for whatever packet.
func TestNotNormalTwin(t *testing.T) {
	const seed = 20261123
	r := rand.New(rand.NewPCG(seed, 1))
	yes, no := 0, 0
	for round := range 4000 {
		b := New(nil)
		for range 1 + r.IntN(6) {
			var m flow.Match
			if r.IntN(2) == 0 {
				m.SetU64(flow.FieldInPort, uint64(1+r.IntN(2)))
			}
			if r.IntN(4) == 0 {
				m.SetU64(flow.FieldEthDst, uint64(r.IntN(2)))
			}
			in := toNormal
			switch r.IntN(6) {
			case 0:
				in = action.Instructions{Apply: action.List{action.Output{Port: 1}}}
			case 1, 2:
				in = action.Instructions{Goto: 1, HasGoto: true}
			}
			table := uint8(r.IntN(2))
			if table == 1 && in.HasGoto {
				in = toNormal
			}
			addRule(t, b, table, uint16(r.IntN(3)), m, in)
		}
		for port := uint64(1); port <= 2; port++ {
			all := true
			for dst := range uint64(3) {
				var k flow.Key
				var wc flow.Mask
				k.SetU64(flow.FieldInPort, port)
				k.SetU64(flow.FieldEthDst, dst)
				rule, _ := b.Lookup(0, &k, &wc)
				if rule != nil && rule.Instr.HasGoto {
					rule, _ = b.Lookup(1, &k, &wc)
				}
				all = all && rule != nil && len(rule.Instr.Apply) == 1 && rule.Instr.Apply[0] == toNormal.Apply[0]
			}
			why := b.NotNormal(action.Port(port))
			if why == "" {
				yes++
				if !all {
					t.Fatalf("seed %d, round %d: port %d is said to be NORMAL's", seed, round, port)
				}
			} else if all {
				no++ // cautious: a rule that cannot win
			}
		}
	}
	if yes < 200 || no > yes {
		t.Errorf("%d are NORMAL's, %d more would be", yes, no)
	}
	t.Logf("%d are NORMAL's, %d more would be", yes, no)
}
