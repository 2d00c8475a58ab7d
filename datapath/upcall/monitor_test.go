// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// listener is a connection that monitors flows.
type listener struct {
	mu     sync.Mutex
	heard  []string
	queued int // what it says that waits
}

func (w *listener) monitor(_ string, conn uint64, raw []byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(raw) > 0 {
		h := openflow.ParseHeader(raw)
		m, err := openflow.Decode(raw[:h.Len], openflow.Proto{Version: ofp.V15})
		raw = raw[h.Len:]
		if err != nil || conn != 7 {
			w.heard = append(w.heard, fmt.Sprint(conn, err))
			continue
		}
		for _, u := range m.(*openflow.FlowMonitorReply).Updates {
			w.heard = append(w.heard, fmt.Sprintf("%d:%d", u.Event, u.Match.Key.InPort()))
		}
	}
	return w.queued
}

func (w *listener) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.heard, " ")
	w.heard = nil
	return s
}

// Flow monitors are told in the order of the changes, whoever makes them; a peer that takes nothing is told of
// removals until it has taken all, and one that has gone of nothing.
func TestFlowMonitors(t *testing.T) {
	w := &listener{}
	l := newLab(t, Options{Monitor: w.monitor})
	ask := func(m openflow.Message) {
		t.Helper()
		for _, r := range l.s.Handle("br0", ofproto.ConnInfo{ID: 7, Version: ofp.V15, XID: 5}, m, l.now()) {
			t.Fatalf("%T is answered %+v", m, r)
		}
	}
	expect := func(want string) {
		t.Helper()
		if got := w.take(); got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	mod := func(cmd openflow.FlowModCommand, port int, out action.Port) {
		m := openflow.FlowMod{Command: cmd, Priority: 9, OutPort: action.PortAny, OutGroup: action.GroupAny, Instructions: apply(action.Output{Port: out})}
		m.Match.SetU64(flow.FieldInPort, uint64(port))
		l.flowMod("br0", m)
	}
	ask(&openflow.FlowMod{Command: openflow.FlowDelete, Table: openflow.TableAll, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny})
	ask(&openflow.FlowMonitorRequest{Monitors: []openflow.FlowMonitor{{
		ID: 1, Flags: openflow.MonitorInitial | openflow.MonitorAdded | openflow.MonitorRemoved | openflow.MonitorModified,
		Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny,
	}}})
	expect("")
	mod(openflow.FlowAdd, 1, 2)
	mod(openflow.FlowModify, 1, 3)
	expect("1:1 3:1")
	w.queued = ofproto.MonitorBacklog + 1
	mod(openflow.FlowAdd, 2, 2)
	expect("1:2 5:0") // paused
	mod(openflow.FlowAdd, 3, 2)
	mod(openflow.FlowDelete, 1, 0)
	l.s.Tick(l.now())
	expect("2:1")
	w.queued = 0
	l.s.Tick(l.now())
	expect("1:3 6:0") // resumed

	// Many at a time: each flow is added before it is removed.
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				mod(openflow.FlowAdd, 100+g, action.Port(i+1))
				mod(openflow.FlowDelete, 100+g, 0)
			}
		})
	}
	wg.Wait()
	there := map[string]bool{}
	all := strings.Fields(w.take())
	for _, h := range all {
		ev, port, _ := strings.Cut(h, ":")
		if (ev == "1") == there[port] {
			t.Fatalf("%s out of order in %v", h, all)
		}
		there[port] = ev == "1"
	}
	if len(all) != 400 {
		t.Errorf("%d updates, want 400", len(all))
	}

	l.s.ForgetConn("br0", 7)
	mod(openflow.FlowAdd, 5, 2)
	expect("")
}
