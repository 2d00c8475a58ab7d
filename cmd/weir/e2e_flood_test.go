// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
)

// Controllers that send without an end, or never read what they ask for, stall nobody:
// another's echoes and flows go on beside them, and the daemon's memory stays bounded.
func TestE2EFloodingControllers(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	const many = 100_000
	outs := func(p *ofPeer) []byte {
		return p.encode(0, &openflow.PacketOut{
			BufferID: openflow.NoBuffer, InPort: action.PortController, Data: make([]byte, 60),
			Actions: action.List{action.Output{Port: 1}},
		})
	}
	for _, tt := range []struct {
		name  string
		reads bool
		msg   func(p *ofPeer) []byte
	}{
		{"packet-outs", true, outs},
		{"echo requests", true, func(p *ofPeer) []byte { return p.encode(0, &openflow.EchoRequest{Data: make([]byte, 1000)}) }},
		{"echo requests, never reads", false, func(p *ofPeer) []byte { return p.encode(0, &openflow.EchoRequest{Data: make([]byte, 1000)}) }},
		{"flow stats, never reads", false, func(p *ofPeer) []byte {
			return p.encode(0, &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "netdev")
			if err := r.sw.Up("lo"); err != nil {
				t.Fatal(err)
			}
			r.host("h1", "")
			target, accept := r.ofListen()
			r.bridge("br0")
			r.vsctl("add-port", "br0", "h1", "--", "set", "interface", "h1", "ofport_request=1", "--", "set-controller", "br0", target, "ptcp:6700:127.0.0.1")
			good := accept()
			bad := r.ofDial("tcp", "127.0.0.1:6700")
			const flows = 200
			add := func(n int) {
				good.send(0, &openflow.FlowMod{
					Priority: uint16(n), BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
					Instructions: action.Instructions{Apply: action.List{action.Output{Port: 1}}},
				})
			}
			for n := range flows {
				add(n)
			}
			good.barrier(2)
			before, _ := r.rss()

			batch := bytes.Repeat(tt.msg(bad), 100)
			flood := make(chan int, 1)
			go func() { // until everything is sent, or it is stopped: by the switch or by us
				n := 0
				for ; n < many; n += 100 {
					if _, err := bad.Write(batch); err != nil {
						break
					}
				}
				flood <- n
			}()
			if tt.reads {
				go bad.serve()
			}
			// The other one meanwhile, for as long as the flood lasts but a few seconds.
			const patience = 5 * time.Second // for one echo: a stalled one would wait for ever
			worst, rounds, peak, sent := time.Duration(0), 0, 0, -1
			for start := time.Now(); sent < 0 && time.Since(start) < 4*time.Second || rounds < 10; rounds++ {
				at := time.Now()
				good.send(9, &openflow.EchoRequest{Data: []byte("are you there")})
				good.until(9)
				worst = max(worst, time.Since(at))
				add(flows + rounds%1000)
				good.barrier(10)
				if rounds%20 == 0 {
					now, _ := r.rss()
					peak = max(peak, now)
				}
				select {
				case sent = <-flood:
				default:
				}
			}
			if worst > patience {
				t.Errorf("an echo took %v beside the flood", worst)
			}
			// 1 MiB waits for the peer, a batch of replies and the garbage of all that: far from what was sent.
			if grown := peak - before; grown > 48<<20 {
				t.Errorf("the daemon grew by %d MiB to %d MiB", grown>>20, peak>>20)
			}
			want := fmt.Sprintf("priority=%d", flows+5)
			if out := r.ofctl("-O", "OpenFlow13", "dump-flows", "br0", "--sort"); !strings.Contains(out, want) {
				t.Errorf("the flow %s is not there", want)
			}
			t.Logf("%d messages sent (-1: still at it), %d echoes and flows beside them, the slowest echo %v; %d KiB before, %d KiB at most",
				sent, rounds, worst, before>>10, peak>>10)
			bad.Close()
			good.barrier(11)
		})
	}
}
