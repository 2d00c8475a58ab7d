// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// heard returns what connection id is told, as text.
func heard(t *testing.T, b *Bridge, id uint64) string {
	t.Helper()
	var l []string
	for _, u := range b.Updates() {
		if u.Conn != id {
			continue
		}
		for raw := u.Raw; len(raw) > 0; {
			h := openflow.ParseHeader(raw)
			m, err := openflow.Decode(raw[:h.Len], openflow.Proto{Version: h.Version})
			if err != nil {
				t.Fatal(err)
			}
			raw = raw[h.Len:]
			rep := m.(*openflow.FlowMonitorReply)
			if h.XID != 0 {
				l = append(l, fmt.Sprintf("reply %d", h.XID))
			}
			for _, u := range rep.Updates {
				s := [...]string{"initial", "added", "removed", "modified", "abbrev", "paused", "resumed"}[u.Event]
				switch {
				case u.Event == openflow.UpdateAbbrev:
					s += fmt.Sprint(" ", u.XID)
				case u.Event < openflow.UpdateAbbrev:
					s += fmt.Sprint(" ", u.Match.Key.InPort())
				}
				l = append(l, s)
			}
		}
	}
	return strings.Join(l, ", ")
}

func flowOf(cmd openflow.FlowModCommand, port int, out action.Port) *openflow.FlowMod {
	m := &openflow.FlowMod{
		Command: cmd, Priority: 1, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
		Instructions: action.Instructions{Apply: action.List{action.Output{Port: out}}},
	}
	m.Match.SetU64(flow.FieldInPort, uint64(port))
	return m
}

func monitorOf(id uint32, cmd openflow.MonitorCommand, flags openflow.MonitorFlags) *openflow.FlowMonitorRequest {
	return &openflow.FlowMonitorRequest{Monitors: []openflow.FlowMonitor{{
		ID: id, Command: cmd, Flags: flags, Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny,
	}}}
}

const everything = openflow.MonitorInitial | openflow.MonitorAdded | openflow.MonitorRemoved | openflow.MonitorModified

// What monitors tell, step by step: pauses, bundles, cancelling.
func TestFlowMonitor(t *testing.T) {
	b := New(nil)
	now := time.Unix(1000, 0)
	me, other := ConnInfo{ID: 1, Version: ofp.V15}, ConnInfo{ID: 2, Version: ofp.V15}
	do := func(c ConnInfo, xid uint32, m openflow.Message, want string) {
		t.Helper()
		c.XID = xid
		replies, _ := b.Handle(c, m, now)
		got := "ok"
		for _, r := range replies {
			if e, bad := r.(*openflow.Error); bad {
				got = e.Kind.String()
			}
		}
		if got != want {
			t.Fatalf("%T: %s, want %s", m, got, want)
		}
	}
	expect := func(want string) {
		t.Helper()
		if got := heard(t, b, 1); got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	do(other, 1, flowOf(openflow.FlowAdd, 1, 2), "ok")
	expect("")
	do(me, 2, monitorOf(5, openflow.MonitorAdd, everything), "ok")
	expect("reply 2, initial 1")
	do(me, 3, monitorOf(5, openflow.MonitorAdd, everything), "OFPMOFC_MONITOR_EXISTS")
	do(me, 4, monitorOf(6, openflow.MonitorModify, everything), "OFPMOFC_UNKNOWN_MONITOR")
	do(me, 5, &openflow.FlowMonitorCancel{ID: 6}, "OFPMOFC_UNKNOWN_MONITOR")
	expect("")
	do(other, 6, flowOf(openflow.FlowAdd, 2, 2), "ok")
	do(me, 7, flowOf(openflow.FlowAdd, 3, 2), "ok")
	do(me, 8, flowOf(openflow.FlowModify, 3, 4), "ok") // one abbreviation in a batch
	expect("added 2, abbrev 7")
	do(me, 9, monitorOf(5, openflow.MonitorModify, everything&^openflow.MonitorInitial|openflow.MonitorOwn), "ok")
	do(me, 10, flowOf(openflow.FlowModify, 3, 5), "ok")
	expect("reply 9, modified 3")

	// A pause: removals of what is known are told, the rest waits and comes in the order of addition.
	b.PauseMonitors(1)
	expect("paused")
	do(other, 11, flowOf(openflow.FlowAdd, 10, 2), "ok")
	do(other, 12, flowOf(openflow.FlowAdd, 11, 2), "ok")
	do(other, 13, flowOf(openflow.FlowModify, 11, 3), "ok")
	do(other, 14, flowOf(openflow.FlowDelete, 10, 0), "ok") // never was
	do(other, 15, flowOf(openflow.FlowModify, 1, 3), "ok")
	do(other, 16, flowOf(openflow.FlowDelete, 2, 0), "ok")
	do(other, 17, flowOf(openflow.FlowModify, 3, 7), "ok")
	do(other, 18, flowOf(openflow.FlowDelete, 3, 0), "ok")
	expect("removed 2, removed 3")
	if p := b.PausedMonitors(); len(p) != 1 || p[0] != 1 {
		t.Fatalf("paused: %v", p)
	}
	b.ResumeMonitors(1)
	expect("modified 1, added 11, resumed")

	// A bundle is told when it is there; one that fails is not, nor does it end a pause or begin one.
	bundle := func(ms ...openflow.Message) *openflow.Bundle {
		bu := &openflow.Bundle{Proto: openflow.Proto{Version: ofp.V15}}
		for i, m := range ms {
			raw, err := openflow.Encode(bu.Proto, uint32(100+i), &openflow.BundleAdd{Msg: m})
			if err != nil {
				t.Fatal(err)
			}
			bu.Added = append(bu.Added, raw)
		}
		return bu
	}
	bad := flowOf(openflow.FlowAdd, 9, 9)
	bad.Instructions.Apply = action.List{action.Group{ID: 77}}
	do(other, 20, flowOf(openflow.FlowAdd, 30, 2), "ok")
	do(other, 21, bundle(flowOf(openflow.FlowAdd, 20, 2), flowOf(openflow.FlowDelete, 1, 0), bad), "OFPBFC_MSG_FAILED")
	expect("added 30")
	do(other, 22, bundle(flowOf(openflow.FlowAdd, 20, 2), flowOf(openflow.FlowModify, 11, 9), flowOf(openflow.FlowDelete, 1, 0)), "ok")
	expect("added 20, modified 11, removed 1")
	b.PauseMonitors(1)
	do(other, 23, flowOf(openflow.FlowAdd, 40, 2), "ok")
	do(other, 24, bundle(flowOf(openflow.FlowDelete, 40, 0), bad), "OFPBFC_MSG_FAILED")
	do(other, 25, bundle(flowOf(openflow.FlowModify, 40, 3), flowOf(openflow.FlowModify, 20, 3)), "ok")
	b.ResumeMonitors(1)
	expect("paused, modified 20, added 40, resumed")

	// Own changes in a bundle: one abbreviation with the id of the first message.
	do(me, 26, monitorOf(5, openflow.MonitorModify, everything&^openflow.MonitorInitial), "ok")
	do(me, 27, bundle(flowOf(openflow.FlowAdd, 50, 2), flowOf(openflow.FlowAdd, 51, 2)), "ok")
	expect("reply 26, abbrev 100")
	do(other, 0, &openflow.FlowMod{
		Command: openflow.FlowDelete, Table: openflow.TableAll, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
	}, "ok")
	expect("removed 11, removed 30, removed 20, removed 40, removed 50, removed 51")
	do(me, 28, monitorOf(5, openflow.MonitorDelete, 0), "ok")
	expect("reply 28")
	do(other, 29, flowOf(openflow.FlowAdd, 60, 2), "ok")
	expect("")
}

// What a change has to tell is bounded: the rest comes when the peer has taken the first part.
func TestFlowMonitorBound(t *testing.T) {
	b := New(nil)
	now := time.Unix(1000, 0)
	b.Handle(ConnInfo{ID: 1, Version: ofp.V15, XID: 1}, monitorOf(1, openflow.MonitorAdd, everything), now)
	heard(t, b, 1)
	const n = 20_000
	for i := range n {
		b.Handle(ConnInfo{ID: 2, Version: ofp.V15}, flowOf(openflow.FlowAdd, i+1, 2), now)
	}
	size := 0
	for _, u := range b.Updates() {
		size += len(u.Raw)
	}
	if size < MonitorBacklog || size > MonitorBacklog+64<<10 {
		t.Errorf("%d bytes before the pause", size)
	}
	b.ResumeMonitors(1)
	got := heard(t, b, 1)
	if c := strings.Count(got, "added"); c == 0 || !strings.HasSuffix(got, fmt.Sprintf("added %d, resumed", n)) || c == n {
		t.Errorf("%d additions after the pause: ...%s", c, got[max(0, len(got)-60):])
	}
}
