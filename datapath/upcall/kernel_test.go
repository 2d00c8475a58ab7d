// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/soft"
)

// TestKernel runs a Switch over the Go datapath and real devices, in a network namespace
// of its own: hosts that are learned, 2,000 packets without a further upcall, counters in flow
// statistics, a packet-in and a packet-out.
func TestKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("needs devices")
	}
	runtime.LockOSThread() // never unlocked: the thread, and with it the namespace, ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs root: cannot make a network namespace")
		}
		t.Fatal(err)
	}
	for _, f := range []string{"all", "default"} { // the devices' own stacks are to be silent
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	dp := soft.New(soft.Config{MaxVLANs: 2})
	defer dp.Close()
	async := make(chan Async, 100)
	s := New(dp, Options{MaxVLANs: 2, Async: func(a Async) { async <- a }})
	cfg := BridgeConfig{Name: "br0"}
	var hosts [3]*netdev.RawSocket
	in := make(chan string, 10000)
	for i := range hosts {
		p, h := fmt.Sprintf("p%d", i+1), fmt.Sprintf("h%d", i+1)
		if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: p}, PeerName: h}); err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{p, h} {
			l, err := nl.LinkByName(n)
			if err != nil {
				t.Fatal(err)
			}
			if err := nl.LinkSetUp(l); err != nil {
				t.Fatal(err)
			}
		}
		lp, err := nl.LinkByName(p)
		if err != nil {
			t.Fatal(err)
		}
		lh, err := nl.LinkByName(h)
		if err != nil {
			t.Fatal(err)
		}
		for range 500 { // a queue drops until its link is operational
			if l, err := nl.LinkByName(h); err == nil && l.Attrs().OperState == netlink.OperUp {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		if err := dp.PortAdd(dpif.Port(i+1), dpif.PortSpec{Name: p, Ifindex: lp.Attrs().Index}); err != nil {
			t.Fatal(err)
		}
		cfg.Ports = append(cfg.Ports, PortConfig{No: action.Port(i + 1), Name: p, DP: dpif.Port(i + 1)})
		sock, err := netdev.OpenRaw(lh.Attrs().Index, netdev.RawConfig{Receive: true, Promisc: true, RcvBuf: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		hosts[i] = sock
		go func() {
			var f packet.Frame
			var k flow.Key
			for {
				n, err := sock.ReadBatch()
				if err != nil {
					return
				}
				for j := range n {
					if _, err := sock.Frame(j, &f, &packet.Meta{}, 2, &k); err == nil && k.EthSrc()>>8 == macA>>8 {
						in <- fmt.Sprintf("h%d %x>%x tag %x", i+1, k.EthSrc()&0xff, k.EthDst()&0xff, k.VLANTCI())
					}
				}
			}
		}()
	}
	if err := s.Apply(Config{Bridges: []BridgeConfig{cfg}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for range hosts {
		if st, ok := (<-async).Msg.(*openflow.PortStatus); !ok || st.Reason != openflow.PortAdded {
			t.Fatal("a port was not announced")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	send := func(host int, frame []byte) {
		t.Helper()
		if err := hosts[host-1].Send(frame, &netdev.VnetHdr{}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		left := make(map[string]int)
		for _, w := range want {
			left[w]++
		}
		for range want {
			select {
			case got := <-in:
				if left[got]--; left[got] < 0 {
					t.Fatalf("got %s, want %v", got, want)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("nothing came, want %v; %+v", left, s.Stats())
			}
		}
		select {
		case got := <-in:
			t.Fatalf("got %s too", got)
		case <-time.After(20 * time.Millisecond):
		}
	}
	ab, ba := frame(macB, macA, 0, 1, 2, 3, 4), frame(macA, macB, 0, 2, 1, 4, 3)
	send(1, ab)
	expect("h2 a>b tag 0", "h3 a>b tag 0")
	send(2, ba)
	expect("h1 b>a tag 0")
	send(1, ab)
	expect("h2 a>b tag 0")
	before := s.Stats().Misses
	for range 20 {
		var want []string
		for range 100 {
			send(1, ab)
			want = append(want, "h2 a>b tag 0")
		}
		expect(want...)
	}
	if n := s.Stats().Misses - before; n != 0 {
		t.Errorf("%d upcalls for packets of a known flow", n)
	}
	time.Sleep(2 * freshFor)
	all := openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}
	rep := s.Handle("br0", conn, &openflow.FlowStatsRequest{FlowFilter: all}, time.Now())
	f := rep[0].(*openflow.FlowStatsReply).Flows[0]
	if want := uint64(2003); f.Packets != want || f.Bytes != want*uint64(len(ab)) {
		t.Errorf("%d packets and %d bytes counted, want %d and %d", f.Packets, f.Bytes, want, want*uint64(len(ab)))
	}

	// One rule: a tag, a port, the controllers.
	mod := &openflow.FlowMod{Priority: 9, BufferID: openflow.NoBuffer, Instructions: apply(
		action.SetVLANVID{VID: 7, PushIfNone: true}, action.Output{Port: action.PortController, MaxLen: 64}, action.Output{Port: 3})}
	mod.Match.SetU64(flow.FieldInPort, 1)
	if r := s.Handle("br0", conn, mod, time.Now()); len(r) != 0 {
		t.Fatal(r[0])
	}
	for range 3 {
		send(1, ab)
		expect("h3 a>b tag 1007")
		select {
		case a := <-async:
			if pi, ok := a.Msg.(*openflow.PacketIn); ok && pi.TotalLen != len(ab)+4 {
				t.Errorf("packet-in of %d bytes", pi.TotalLen)
			} else if !ok {
				t.Errorf("%T", a.Msg)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no packet-in")
		}
	}
	out := &openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: action.PortController, Actions: action.List{action.Output{Port: action.PortFlood}}, Data: ab}
	if r := s.Handle("br0", conn, out, time.Now()); len(r) != 0 {
		t.Fatal(r[0])
	}
	expect("h1 a>b tag 0", "h2 a>b tag 0", "h3 a>b tag 0")
}
