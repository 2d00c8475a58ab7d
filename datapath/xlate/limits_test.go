// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"errors"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
)

// simple is a bridge with ports 1 and 2 and rules that match everything.
func simple(t *testing.T, tables ...action.List) *Bridge {
	t.Helper()
	b := NewBridge("br0", ofproto.New(nil), fdb.New(0, 0))
	for _, no := range []action.Port{1, 2} {
		b.SetPort(&Port{No: no, DP: dpif.Port(no)})
	}
	for i, l := range tables {
		rep, _ := b.OF.Handle(ofproto.ConnInfo{}, &openflow.FlowMod{
			Table: uint8(i), BufferID: openflow.NoBuffer, Instructions: action.Instructions{Apply: l},
		}, t0)
		if len(rep) != 0 {
			t.Fatal(rep[0].(*openflow.Error).Kind)
		}
	}
	return b
}

func times(n int, a action.Action) (l action.List) {
	for range n {
		l = append(l, a)
	}
	return l
}

// TestLimits holds where translations end: the packet is dropped, with all that it did before.
func TestLimits(t *testing.T) {
	to := func(tab uint8) action.Action { return action.Resubmit{InPort: action.PortInPort, Table: tab} }
	out := action.Output{Port: 2}
	// A chain of jumps back to table 0, which each deepen, counted down in reg0.
	down := func(n int) *Bridge {
		b := simple(t, action.List{out})
		for i := 1; i <= n; i++ {
			m := flow.Match{}
			m.SetU64(flow.FieldReg0, uint64(i-1))
			in := action.Instructions{Apply: action.List{action.Load{Dst: flow.FieldReg0.All(), Value: uint64(i)}, to(0)}}
			b.OF.Handle(ofproto.ConnInfo{}, &openflow.FlowMod{Priority: 1, Match: m, BufferID: openflow.NoBuffer, Instructions: in}, t0)
		}
		return b
	}
	for _, c := range []struct {
		name string
		b    *Bridge
		want error
		n    int // outputs
	}{
		{"a loop", simple(t, action.List{out, to(0)}), ErrTooDeep, 0},
		{"64 deep", down(64), nil, 1},
		{"65 deep", down(65), ErrTooDeep, 0},
		{"a loop through output:TABLE", simple(t, action.List{out, action.Output{Port: action.PortTable}}), ErrTooDeep, 0},
		{"3615 forward jumps", simple(t, times(15, to(1)), times(15, to(2)), times(15, to(3)), action.List{out}), nil, 15 * 15 * 15},
		{"4368 forward jumps", simple(t, times(16, to(1)), times(16, to(2)), times(16, to(3)), action.List{}), ErrTooManyResubmits, 0},
		{"too many actions", simple(t, times(15, to(1)), times(15, to(2)), times(15, to(3)), action.List{out, action.PopVLAN{}, out}), ErrTooManyActions, 0},
		{"stack", simple(t, times(15, to(1)), times(15, to(2)), times(15, to(3)), times(5, action.StackPush{Src: flow.FieldXXReg0.All()})), ErrStackFull, 0},
		{"3 labels", simple(t, append(action.List{out}, times(3, action.PushMPLS{EthType: 0x8847})...), action.List{}), nil, 1},
		{"4 labels", simple(t, append(action.List{out}, times(4, action.PushMPLS{EthType: 0x8847})...)), ErrPushLabel, 0},
	} {
		var k flow.Key
		k.SetU64(flow.FieldEthDst, 1)
		r := Translate(&In{Bridge: c.b, InPort: 1, Key: &k})
		if !errors.Is(r.Err, c.want) || len(r.Actions) != c.n {
			t.Errorf("%s: error %v with %d actions, want %v with %d", c.name, r.Err, len(r.Actions), c.want, c.n)
		}
	}
}

// TestPatchLoop holds that two bridges that send to each other end.
func TestPatchLoop(t *testing.T) {
	a := simple(t, action.List{action.Output{Port: 2}, action.Output{Port: 9}})
	b := simple(t, action.List{action.Output{Port: 2}, action.Output{Port: action.PortInPort}})
	pa, pb := &Port{No: 9, Patch: true}, &Port{No: 9, Patch: true}
	a.SetPort(pa)
	b.SetPort(pb)
	pa.Peer, pb.Peer = pb, pa
	var k flow.Key
	if r := Translate(&In{Bridge: a, InPort: 1, Key: &k}); r.Err != nil || len(r.Actions) != 3 {
		t.Errorf("%v %v", r.Actions, r.Err)
	}
	// With IN_PORT on both sides it would go on for ever. The failure is the innermost bridge's;
	// what was sent until then is sent.
	for _, br := range []*Bridge{a, b} {
		br.OF.Handle(ofproto.ConnInfo{}, &openflow.FlowMod{Priority: 1, BufferID: openflow.NoBuffer, Instructions: action.Instructions{
			Apply: action.List{action.Output{Port: 1}, action.Output{Port: action.PortInPort}, action.Output{Port: 9}}}}, t0)
	}
	// Bridge a's port 1 once by IN_PORT; then b, a, b and so on, 63 times with depth.
	if r := Translate(&In{Bridge: a, InPort: 1, Key: &k}); r.Err != nil || len(r.Actions) != 1+MaxDepth {
		t.Errorf("%d actions, %v", len(r.Actions), r.Err)
	}
}

func BenchmarkTranslate(b *testing.B) {
	br := NewBridge("br0", ofproto.New(nil), fdb.New(0, 0))
	br.OF.Reset(false, false, t0)
	for i := 1; i <= 8; i++ {
		br.SetPort(&Port{No: action.Port(i), DP: dpif.Port(i)})
	}
	br.FDB.Learn(0, 2, 2, t0)
	var k flow.Key
	k.SetU64(flow.FieldEthSrc, 4)
	k.SetU64(flow.FieldEthDst, 2)
	k.SetU64(flow.FieldEthType, 0x800)
	b.ReportAllocs()
	for b.Loop() {
		Translate(&In{Bridge: br, InPort: 1, Key: &k})
	}
}
