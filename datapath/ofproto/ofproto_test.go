// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"runtime"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

func ports(names ...string) (d []openflow.PortDesc) {
	for i, n := range names {
		d = append(d, openflow.PortDesc{No: action.Port(i + 1), Name: n, HWAddr: [6]byte{2, 0, 0, 0, 0, byte(i + 1)}})
	}
	return d
}

func kind(replies []openflow.Message) ofp.Kind {
	for _, r := range replies {
		if e, ok := r.(*openflow.Error); ok {
			return e.Kind
		}
	}
	return ofp.NoError
}

// TestRefusals is the table of messages and the errors that they get. Those of ovs-vswitchd 3.1
// were observed over OpenFlow 1.3.
func TestRefusals(t *testing.T) {
	apply := func(a ...action.Action) action.Instructions { return action.Instructions{Apply: a} }
	mod := func(f func(m *openflow.FlowMod)) *openflow.FlowMod {
		m := &openflow.FlowMod{BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny, Instructions: apply(action.Output{Port: 1})}
		f(m)
		return m
	}
	instr := func(in action.Instructions) *openflow.FlowMod {
		return mod(func(m *openflow.FlowMod) { m.Instructions = in })
	}
	out := func(f func(m *openflow.PacketOut)) *openflow.PacketOut {
		m := &openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: action.PortController, Actions: action.List{action.Output{Port: 1}}, Data: make([]byte, 60)}
		f(m)
		return m
	}
	for _, c := range []struct {
		name string
		m    openflow.Message
		want ofp.Kind
	}{
		{"add", mod(func(*openflow.FlowMod) {}), ofp.NoError},
		{"add to all tables is add to 0", mod(func(m *openflow.FlowMod) { m.Table = 0xff }), ofp.NoError},
		{"the switch's own table", mod(func(m *openflow.FlowMod) { m.Table = 254 }), ofp.BRCEperm},
		{"bad command", mod(func(m *openflow.FlowMod) { m.Command = 9 }), ofp.FMFCBadCommand},
		{"buffer", mod(func(m *openflow.FlowMod) { m.BufferID = 3 }), ofp.BRCBufferUnknown},
		{"output to none", instr(apply(action.Output{Port: action.PortAny})), ofp.BACBadOutPort},
		{"output to 0", instr(apply(action.Output{Port: 0})), ofp.NoError},
		{"delete from the switch's own table", mod(func(m *openflow.FlowMod) { m.Table, m.Command = 254, openflow.FlowDelete }), ofp.BRCEperm},
		{"output to 0xff00", instr(apply(action.Output{Port: 0xff00})), ofp.BACBadOutPort},
		{"output to a port that is not there", instr(apply(action.Output{Port: 0xfeff})), ofp.NoError},
		{"output within clone", instr(apply(action.Clone{Actions: action.List{action.Output{Port: action.PortAny}}})), ofp.BACBadOutPort},
		{"output within write", instr(action.Instructions{Write: action.List{action.Output{Port: action.PortAny}}}), ofp.BACBadOutPort},
		{"group", instr(apply(action.Group{ID: 1})), ofp.BACBadOutGroup},
		{"meter", instr(action.Instructions{Meter: 1}), ofp.MMFCInvalidMeter},
		{"meter action", instr(apply(action.Meter{ID: 1})), ofp.MMFCInvalidMeter},
		{"goto back", mod(func(m *openflow.FlowMod) {
			m.Table = 5
			m.Instructions = action.Instructions{HasGoto: true, Goto: 5}
		}), ofp.BICBadTableId},
		{"goto 254", instr(action.Instructions{HasGoto: true, Goto: 254}), ofp.NoError},
		{"set a field that is read only", instr(apply(action.SetField{Field: flow.FieldEthType})), ofp.BACBadSetArgument},
		{"load behind the end", instr(apply(action.Load{Dst: flow.Subfield{Field: flow.FieldReg0, Ofs: 30, N: 4}})), ofp.BACBadArgument},
		{"packet_out", out(func(*openflow.PacketOut) {}), ofp.NoError},
		{"packet_out from port 0", out(func(m *openflow.PacketOut) { m.InPort = 0 }), ofp.NoError},
		{"packet_out with buffer", out(func(m *openflow.PacketOut) { m.BufferID = 1 }), ofp.BRCBufferUnknown},
		{"packet_out from a reserved port", out(func(m *openflow.PacketOut) { m.InPort = action.PortFlood }), ofp.BRCBadPort},
		{"packet_out to a group", out(func(m *openflow.PacketOut) { m.Actions = action.List{action.Group{ID: 1}} }), ofp.BACBadOutGroup},
		{"port_mod of no port", &openflow.PortMod{No: 9}, ofp.PMFCBadPort},
		{"port_mod with another address", &openflow.PortMod{No: 1}, ofp.PMFCBadHwAddr},
		{"table_features set", &openflow.TableFeaturesRequest{Set: true}, ofp.TFFCEperm},
		{"queues of no port", &openflow.QueueStatsRequest{Port: 9, Queue: 0xffffffff}, ofp.QOFCBadPort},
		{"one queue", &openflow.QueueStatsRequest{Port: 1, Queue: 1}, ofp.QOFCBadQueue},
		{"all queues", &openflow.QueueStatsRequest{Port: action.PortAny, Queue: 0xffffffff}, ofp.NoError},
		{"group_mod add", &openflow.GroupMod{}, ofp.NoError},
		{"group_mod with a bad command", &openflow.GroupMod{Command: 9}, ofp.GMFCBadCommand},
		{"group_mod modify", &openflow.GroupMod{Command: openflow.GroupModify}, ofp.GMFCUnknownGroup},
		{"group_mod delete", &openflow.GroupMod{Command: openflow.GroupDelete}, ofp.NoError},
		{"meter_mod delete", &openflow.MeterMod{Command: openflow.MeterDelete}, ofp.NoError},
		{"meter_mod where there are no meters", &openflow.MeterMod{MeterConfig: openflow.MeterConfig{Meter: 1}}, ofp.MMFCOutOfMeters},
		{"one meter", &openflow.MeterConfigRequest{Meter: 1}, ofp.MMFCUnknownMeter},
		{"a connection's message", &openflow.Hello{}, ofp.BRCBadType},
		{"flush a zone", &openflow.CTFlushZone{Zone: 1}, ofp.NoError},
	} {
		b := New(nil)
		b.SetPorts(ports("a", "b"), t0)
		if got := kind(first(b.Handle(ConnInfo{}, c.m, t0))); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func first(r []openflow.Message, _ Effects) []openflow.Message { return r }

// TestDefaultFlow holds when a bridge forwards by itself.
func TestDefaultFlow(t *testing.T) {
	b := New(nil)
	var k flow.Key
	forwards := func() bool {
		r, _ := b.Lookup(0, &k, nil)
		return r != nil && outputs(r.Instr, action.PortNormal)
	}
	b.Reset(false, false, t0)
	if !forwards() || b.Rules(0) != 1 {
		t.Error("a new bridge does not forward")
	}
	del := &openflow.FlowMod{Command: openflow.FlowDelete, Table: 0xff, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
	b.Handle(ConnInfo{}, del, t0)
	if forwards() {
		t.Error("the default flow cannot be deleted")
	}
	if eff := b.Reset(false, false, t0); len(eff.Changes) != 0 || forwards() {
		t.Error("a deleted default flow comes back by itself")
	}
	b.Reset(false, true, t0)
	if forwards() {
		t.Error("forwards in fail mode secure")
	}
	b.Reset(false, false, t0)
	if !forwards() {
		t.Error("does not forward in fail mode standalone")
	}
	b.Reset(true, false, t0)
	if forwards() {
		t.Error("forwards with a controller")
	}
	b.SetFailOpen(true, t0)
	b.Handle(ConnInfo{}, del, t0)
	if !forwards() {
		t.Error("fail-open does not forward")
	}
	rep, _ := b.Handle(ConnInfo{}, &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: 0xff, OutPort: action.PortAny, OutGroup: action.GroupAny}}, t0)
	if n := len(rep[0].(*openflow.FlowStatsReply).Flows); n != 0 {
		t.Errorf("controllers see %d hidden flows", n)
	}
	if eff := b.Reset(true, true, t0); len(eff.Changes) != 0 {
		t.Error("the fail mode of a bridge with controllers changes its flows")
	}
	b.SetFailOpen(false, t0)
	if forwards() {
		t.Error("fail-open stays")
	}
}

// TestPorts follows ports that come, change and go.
func TestPorts(t *testing.T) {
	b := New(nil)
	reasons := func(eff Effects) (s string) {
		for _, a := range eff.Async {
			p := a.(*openflow.PortStatus)
			s += string("+-~"[p.Reason]) + p.Desc.Name
		}
		return s
	}
	if s := reasons(b.SetPorts(ports("a", "b"), t0)); s != "+a+b" {
		t.Error(s)
	}
	if s := reasons(b.SetPorts(ports("a", "b"), t0)); s != "" {
		t.Error(s)
	}
	_, eff := b.Handle(ConnInfo{}, &openflow.PortMod{No: 1, HWAddr: [6]byte{2, 0, 0, 0, 0, 1}, Config: openflow.ConfigNoFlood | openflow.ConfigDown, Mask: ^openflow.PortConfig(0)}, t0)
	if s := reasons(eff); s != "~a" || !eff.PortDown[1] {
		t.Errorf("%s %v", s, eff.PortDown)
	}
	d := ports("a", "c")
	d[0].Config = openflow.ConfigDown
	if s := reasons(b.SetPorts(d, t0)); s != "-b+c" {
		t.Error(s)
	}
	d[0].Config = 0 // set up by somebody else
	b.SetPorts(d, t0)
	if c := b.Port(1).Config; c != openflow.ConfigNoFlood {
		t.Errorf("settings are %x", c)
	}
	rep, _ := b.Handle(ConnInfo{}, &openflow.PortDescRequest{Port: action.PortAny}, t0)
	if p := rep[0].(*openflow.PortDescReply).Ports; len(p) != 2 || p[1].Name != "c" {
		t.Errorf("%+v", p)
	}
	rep, _ = b.Handle(ConnInfo{}, &openflow.PortStatsRequest{Port: 2}, t0.Add(1500*time.Millisecond))
	if p := rep[0].(*openflow.PortStatsReply).Ports; len(p) != 1 || p[0].Duration != (openflow.Lifetime{Sec: 1, Nsec: 5e8}) || p[0].RxPackets != ^uint64(0) {
		t.Errorf("%+v", p)
	}
}

// BenchmarkAdd adds 100,000 rules and says what one costs.
func BenchmarkAdd(b *testing.B) {
	for b.Loop() {
		br := New(nil)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 100_000 {
			m := &openflow.FlowMod{Priority: uint16(i % 10), BufferID: openflow.NoBuffer, Instructions: action.Instructions{Apply: action.List{action.Output{Port: 1}}}}
			m.Match.SetU64(flow.FieldEthType, 0x800)
			m.Match.SetU64(flow.FieldIPDst, uint64(i)*7919)
			br.Handle(ConnInfo{}, m, t0)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/100_000, "B/rule")
		runtime.KeepAlive(br)
	}
}
