// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// attached says what is on the ingress of a device: programs on tcx, filters on clsact.
func attached(t *testing.T, ifindex int) (tcx, filters, clsacts int) {
	t.Helper()
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		t.Fatal(err)
	}
	q, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: ebpf.AttachTCXIngress})
	if err != nil && !errors.Is(err, ebpf.ErrNotSupported) {
		t.Fatal(err)
	}
	if q != nil {
		tcx = len(q.Programs)
	}
	fs, err := netlink.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	if err == nil {
		filters = len(fs)
	}
	qs, err := netlink.QdiscList(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range qs {
		if q.Type() == "clsact" {
			clsacts++
		}
	}
	return tcx, filters, clsacts
}

// TestAttach: the program is where it should be, and PortDel and Close leave nothing.
func TestAttach(t *testing.T) {
	hooks(t, func(t *testing.T, h Hook) {
		inNS(t)
		d, err := New(Config{Hook: h, MaxFlows: segLen})
		if err != nil {
			t.Fatal(err)
		}
		l := newLab(t, d, "a", 2)
		want := [3]int{1, 0, 0}
		if h == HookClsact {
			want = [3]int{0, 1, 1}
		}
		check := func(i int, want [3]int) {
			t.Helper()
			if a, b, c := attached(t, l.wires[i].near); want != [3]int{a, b, c} {
				t.Errorf("device of port %d: %d on tcx, %d filters, %d clsact, want %v", i+1, a, b, c, want)
			}
		}
		check(0, want)
		check(1, want)
		if err := d.PortDel(1); err != nil {
			t.Fatal(err)
		}
		check(0, [3]int{})
		check(1, want)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		check(1, [3]int{})
		dev, err := netlink.LinkByIndex(l.wires[1].near)
		if err != nil || dev.Attrs().Promisc != 0 {
			t.Errorf("device is still promiscuous: %v", err)
		}
	})
}

// TestAttachLeftover: the filter of a daemon that crashed is replaced, whatever the way of
// attachment now; a filter of somebody else and their clsact stay.
func TestAttachLeftover(t *testing.T) {
	hooks(t, func(t *testing.T, h Hook) {
		inNS(t)
		old := open(t, Config{MaxFlows: segLen})
		w := newWire(t, "k")
		dev, err := netlink.LinkByIndex(w.near)
		if err != nil {
			t.Fatal(err)
		}
		nl, err := netlink.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		defer nl.Close()
		if _, err := attachFilter(nl, dev, old.maps.prog); err != nil {
			t.Fatal(err)
		}
		other := newFilter(w.near, old.maps.prog.FD())
		other.Parent, other.Name = netlink.HANDLE_MIN_EGRESS, "other"
		if err := netlink.FilterAdd(other); err != nil {
			t.Fatal(err)
		}
		d := open(t, Config{Hook: h, MaxFlows: segLen})
		if err := d.PortAdd(1, dpif.PortSpec{Name: "k", Ifindex: w.near}); err != nil {
			t.Fatal(err)
		}
		tcx, filters, clsacts := attached(t, w.near)
		if tcx+filters != 1 || clsacts != 1 {
			t.Errorf("%d on tcx, %d filters, %d clsact", tcx, filters, clsacts)
		}
		if err := d.PortDel(1); err != nil {
			t.Fatal(err)
		}
		if tcx, filters, clsacts := attached(t, w.near); tcx+filters != 0 || clsacts != 1 {
			t.Errorf("after PortDel: %d on tcx, %d filters, %d clsact", tcx, filters, clsacts)
		}
		fs, err := netlink.FilterList(dev, netlink.HANDLE_MIN_EGRESS)
		if err != nil || len(fs) != 1 {
			t.Errorf("the other filter: %v, %v", fs, err)
		}
	})
}

// TestAuto: where the kernel has tcx it is used.
func TestAuto(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	l := newLab(t, d, "o", 1)
	if tcx, filters, _ := attached(t, l.wires[0].near); tcx+filters != 1 {
		t.Errorf("%d on tcx, %d filters", tcx, filters)
	}
}

// TestDeviceGone: a port whose device was removed can be deleted, and counts drops till then; its
// number is free for a new device.
func TestDeviceGone(t *testing.T) {
	hooks(t, func(t *testing.T, h Hook) {
		inNS(t)
		d := open(t, Config{Hook: h, MaxFlows: segLen})
		l := newLab(t, d, "g", 2)
		if err := d.FlowPut(udpFlow(1, 5, udpMask(), dpif.Output{Port: 2})); err != nil {
			t.Fatal(err)
		}
		dev, err := netlink.LinkByIndex(l.wires[1].near)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(dev); err != nil {
			t.Fatal(err)
		}
		f, _ := udp(1, 5)
		eventually(t, "a drop is counted", func() bool {
			l.send(t, 1, f)
			s, err := d.PortStats(2)
			return err == nil && s.TxDropped > 0
		})
		if err := d.PortDel(2); err != nil {
			t.Fatal(err)
		}
		w := newWire(t, "gn")
		if err := d.PortAdd(2, dpif.PortSpec{Name: "gn", Ifindex: w.near}); err != nil {
			t.Fatal(err)
		}
		if s, err := d.PortStats(2); err != nil || s != (dpif.PortStats{}) {
			t.Errorf("a new port has counted: %+v, %v", s, err)
		}
		l.wires[1] = w
		if err := d.FlowPut(sentinelFlow(2)); err != nil {
			t.Fatal(err)
		}
		l.send(t, 1, f)
		l.send(t, 1, sentinel())
		if got := l.recv(t, 2); len(got) != 1 || !bytes.Equal(got[0], f) {
			t.Errorf("the new device got %x", got)
		}
	})
}

// TestLinkState: a device that is set down counts drops, one that is up again sends at once, also before
// the notice of it was read; a frame longer than the MTU is dropped.
func TestLinkState(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	l := newLab(t, d, "s", 2)
	if err := d.FlowPut(udpFlow(1, 5, udpMask(), dpif.Output{Port: 2})); err != nil {
		t.Fatal(err)
	}
	if err := d.FlowPut(sentinelFlow(2)); err != nil {
		t.Fatal(err)
	}
	dev, err := netlink.LinkByIndex(l.wires[1].near)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := udp(1, 5)
	sent := uint64(0)
	stats := func() dpif.PortStats {
		s, err := d.PortStats(2)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := netlink.LinkSetDown(dev); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a drop is counted", func() bool {
		l.send(t, 1, f)
		sent++
		return stats().TxDropped > 0
	})
	eventually(t, "all is counted", func() bool { s := stats(); return s.TxDropped+s.TxPackets == sent })
	if err := netlink.LinkSetUp(dev); err != nil {
		t.Fatal(err)
	}
	waitUp(t, l.wires[1].near)
	waitUp(t, l.wires[1].far)
	l.send(t, 1, f)
	l.send(t, 1, sentinel())
	if got := l.recv(t, 2); len(got) != 1 || !bytes.Equal(got[0], f) {
		t.Errorf("after the device was set up %x came", got)
	}

	if err := netlink.LinkSetMTU(dev, 1000); err != nil {
		t.Fatal(err)
	}
	long := append(f, make([]byte, 1000)...)
	eventually(t, "the MTU is known", func() bool {
		before := stats().TxDropped
		l.send(t, 1, long)
		time.Sleep(2 * time.Millisecond)
		return stats().TxDropped > before
	})
	l.send(t, 1, sentinel())
	l.recv(t, 2)
	l.send(t, 1, long[:1014])
	l.send(t, 1, sentinel())
	if got := l.recv(t, 2); len(got) != 1 || !bytes.Equal(got[0], long[:1014]) {
		t.Errorf("of a frame as long as the MTU %d came", len(got))
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not happen in 5 s: %s", what)
		}
	}
}

// TestMark: a flow can match and set the packet's mark, which upcalls show.
func TestMark(t *testing.T) {
	inNS(t)
	d := open(t, Config{MaxFlows: segLen})
	l := newLab(t, d, "q", 1)
	if err := d.FlowPut(udpFlow(1, 5, udpMask(),
		dpif.Set{Field: flow.FieldPktMark, Value: flow.U128{Lo: 0xabcd}, Mask: flow.U128{Lo: 0xff00}},
		dpif.Userspace{Arg: 3})); err != nil {
		t.Fatal(err)
	}
	got := make(chan dpif.Upcall, 1)
	stop := runUpcalls(t, d, func(u *dpif.Upcall) { got <- *u })
	defer stop()
	f, _ := udp(1, 5)
	l.send(t, 1, f)
	select {
	case u := <-got:
		if u.Mark != 0xab00 || u.Arg != 3 || u.Flow != 1 || u.Reason != dpif.ReasonAction {
			t.Errorf("%+v", u)
		}
	case <-time.After(2 * time.Second):
		t.Error("nothing came")
	}
}
