// SPDX-License-Identifier: Apache-2.0

package soft_test

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
	"github.com/weirswitch/weir/datapath/soft"
)

// wires moves the test into a namespace with veth pairs p1-h1 to pn-hn.
func wires(t *testing.T, n int) (nl *netlink.Handle, ports, hosts []netlink.Link) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs root: cannot make a network namespace")
		}
		t.Fatal(err)
	}
	for _, f := range []string{"all", "default"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/disable_ipv6", []byte("1"), 0)
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nl.Close)
	for i := range n {
		p, h := "p"+string(rune('1'+i)), "h"+string(rune('1'+i))
		a := netlink.NewLinkAttrs()
		a.Name = p
		if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: h}); err != nil {
			t.Fatal(err)
		}
		lp, _ := nl.LinkByName(p)
		lh, _ := nl.LinkByName(h)
		if err := errors.Join(nl.LinkSetUp(lp), nl.LinkSetUp(lh)); err != nil {
			t.Fatal(err)
		}
		ports, hosts = append(ports, lp), append(hosts, lh)
		running(t, nl, p)
		running(t, nl, h)
	}
	return nl, ports, hosts
}

// running waits until the kernel sends on a device, a moment after its carrier
// came.
func running(t *testing.T, nl *netlink.Handle, name string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if d, err := nl.LinkByName(name); err == nil && d.Attrs().OperState == netlink.OperUp {
			return
		}
	}
	t.Fatalf("%s does not become operational", name)
}

func open(t *testing.T, cfg soft.Config, ports ...netlink.Link) *soft.Datapath {
	t.Helper()
	d := soft.New(cfg)
	t.Cleanup(func() { _ = d.Close() })
	for i, p := range ports {
		if err := d.PortAdd(dpif.Port(i+1), dpif.PortSpec{Name: p.Attrs().Name, Ifindex: p.Attrs().Index}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func raw(t *testing.T, l netlink.Link) *netdev.RawSocket {
	t.Helper()
	s, err := netdev.OpenRaw(l.Attrs().Index, netdev.RawConfig{Receive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestIsolation: with the guard the kernel's stack does not answer for a port's
// address, without it it does; after the port is deleted it does again.
func TestIsolation(t *testing.T) {
	for _, isolate := range []bool{true, false} {
		func() {
			nl, ports, hosts := wires(t, 1)
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 0, 0, 2), Mask: net.CIDRMask(24, 32)}}
			if err := nl.AddrAdd(ports[0], addr); err != nil {
				t.Fatal(err)
			}
			d := open(t, soft.Config{NoIsolate: !isolate}, ports...)
			if isolate && !d.Isolated(1) {
				t.Skip("the kernel has no tcx (Linux 6.6)")
			}
			h := raw(t, hosts[0])
			answers := make(chan struct{}, 100)
			go func() {
				for {
					n, err := h.ReadBatch()
					if err != nil {
						return
					}
					for range n {
						answers <- struct{}{}
					}
				}
			}()
			question := packettest.ARP(packettest.Addr{Src: 1, Dst: 2}, 1)
			copy(question, "\xff\xff\xff\xff\xff\xff")
			answered := func() bool {
				if err := h.Send(question, &netdev.VnetHdr{}); err != nil {
					t.Fatal(err)
				}
				select {
				case <-answers:
					return true
				case <-time.After(100 * time.Millisecond):
					return false
				}
			}
			if got := answered(); got == isolate {
				t.Errorf("isolate %v: answered %v", isolate, got)
			}
			if err := d.PortDel(1); err != nil {
				t.Fatal(err)
			}
			if !answered() {
				t.Errorf("isolate %v: no answer when the port is deleted", isolate)
			}
		}()
	}
}

// TestForwardAllocs: packets that hit a flow go from socket to socket without
// allocation.
func TestForwardAllocs(t *testing.T) {
	_, ports, hosts := wires(t, 2)
	d := open(t, soft.Config{}, ports...)
	frame := packettest.UDP(packettest.Addr{Src: 1, Dst: 2}, 1, 2, []byte("x"))
	var k flow.Key
	var m flow.Mask
	var l packet.Layers
	packet.Parse(frame, &packet.Meta{InPort: 1}, 1, &k, &l)
	m.SetAll(flow.FieldInPort)
	m.SetAll(flow.FieldEthDst)
	err := d.FlowPut(&dpif.Flow{ID: 1, Key: k.Apply(&m), Mask: &m, Actions: []dpif.Action{
		dpif.Set{Field: flow.FieldIPTTL, Value: flow.U128{Lo: 3}, Mask: flow.Ones(8)},
		dpif.PushVLAN{TPID: 0x8100, TCI: 5 | flow.VLANPresent}, dpif.Output{Port: 2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := raw(t, hosts[0])
	const n = 5000
	send := func(want uint64) {
		for i := range n {
			if err := h.Send(frame, &netdev.VnetHdr{}); err != nil {
				t.Fatal(err)
			}
			if i%500 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			s, err := d.PortStats(2)
			if err != nil {
				t.Fatal(err)
			}
			if s.TxPackets == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%+v, want %d packets", s, want)
			}
		}
	}
	send(n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send(2 * n)
	runtime.ReadMemStats(&after)
	if a := after.Mallocs - before.Mallocs; a > n/10 { // the test's own, and the runtime's
		t.Errorf("%d allocations for %d packets", a, n)
	} else {
		t.Logf("%d allocations for %d packets, all but the polling of this test's", a, n)
	}
}
