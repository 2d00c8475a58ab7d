// SPDX-License-Identifier: Apache-2.0

package netdev_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func veth(index int, name string, peer int) netdev.Link {
	return netdev.Link{Index: index, Name: name, Kind: "veth", Peer: peer, MTU: 1500, Up: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)}}
}

// TestPlanInternals: what is there, what is wanted, and the steps between.
func TestPlanInternals(t *testing.T) {
	far := netdev.FarName("br0")
	down := func(l netdev.Link) netdev.Link { l.Up = false; return l }
	elsewhere := func(l netdev.Link) netdev.Link {
		l.PeerElsewhere = true
		l.Alias = "weir internal port br0"
		return l
	}
	for _, c := range []struct {
		name    string
		present []netdev.Link
		wanted  []netdev.Internal
		keep    bool
		want    string
		err     error
	}{
		{"nothing", nil, nil, false, "", nil},
		{
			"new", nil, []netdev.Internal{{Name: "br0", MTU: 1400, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}}}, false, `
create br0, weir-F
quiet far end of br0
set address 02:00:00:00:00:09 of near end of br0
set MTU 1400 of near end of br0
set MTU 1400 of far end of br0
set far end of br0 up`, nil,
		},
		{"adopted", []netdev.Link{down(veth(5, "br0", 6)), veth(6, far, 5)}, []netdev.Internal{{Name: "br0", MTU: 1500}}, false, "", nil},
		{"adopted, without wishes", []netdev.Link{veth(5, "br0", 6), veth(6, far, 5)}, []netdev.Internal{{Name: "br0"}}, false, "", nil},
		{
			"half made", []netdev.Link{veth(5, "br0", 6), down(veth(6, far, 5))}, []netdev.Internal{{Name: "br0"}}, true, `
quiet far end of br0
set far end of br0 up`, nil,
		},
		{
			"other MTU and address", []netdev.Link{veth(5, "br0", 6), veth(6, far, 5)}, []netdev.Internal{{Name: "br0", MTU: 9000, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}}}, false, `
set address 02:00:00:00:00:09 of near end of br0
set MTU 9000 of near end of br0
set MTU 9000 of far end of br0`, nil,
		},
		{"near end in a container", []netdev.Link{elsewhere(veth(6, far, 5))}, []netdev.Internal{{Name: "br0"}}, false, "", nil},
		{"near end in a container, index taken here", []netdev.Link{veth(5, "eth0", 4), elsewhere(veth(6, far, 5))}, []netdev.Internal{{Name: "br0"}}, false, "", nil},
		{
			"renamed", []netdev.Link{veth(5, "other", 6), veth(6, far, 5)}, []netdev.Internal{{Name: "br0"}}, true, `
delete device 6 of br0
create br0, weir-F
quiet far end of br0
set far end of br0 up`, nil,
		},
		{"somebody's device", []netdev.Link{{Index: 5, Name: "br0", Kind: "bridge"}}, []netdev.Internal{{Name: "br0"}}, false, "", unix.EEXIST},
		{"not wanted", []netdev.Link{veth(5, "br0", 6), veth(6, far, 5)}, nil, false, "\ndelete device 6 of br0", nil},
		{"not wanted but kept", []netdev.Link{veth(5, "br0", 6), veth(6, far, 5)}, nil, true, "", nil},
		{"not wanted, in a container", []netdev.Link{elsewhere(veth(6, far, 5))}, nil, false, "\ndelete device 6 of br0", nil},
		{"not ours", []netdev.Link{veth(5, "veth0", 6), veth(6, "weir-abc", 5), {Index: 7, Name: far, Kind: "dummy"}}, nil, false, "", nil},
	} {
		ops, err := netdev.PlanInternals(c.present, c.wanted, c.keep)
		var got strings.Builder
		for _, o := range ops {
			got.WriteString("\n" + strings.ReplaceAll(o.String(), far, "weir-F"))
		}
		if diff := cmp.Diff(c.want, got.String()); diff != "" || !errors.Is(err, c.err) {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

func TestFarName(t *testing.T) {
	seen := map[string]string{}
	for _, n := range []string{"br0", "br1", "a", "123456789012345", "123456789012346"} {
		f := netdev.FarName(n)
		if len(f) != 15 || seen[f] != "" || f != netdev.FarName(n) {
			t.Errorf("FarName(%q) = %q, of %d bytes; also that of %q", n, f, len(f), seen[f])
		}
		seen[f] = n
	}
}

// inNetns moves the test to a network namespace and thread of its own.
func inNetns(t *testing.T) *netdev.Links {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs root: cannot make a network namespace")
		}
		t.Fatal(err)
	}
	l, err := netdev.OpenLinks()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// TestInternal: an internal port is made once, keeps its index and addresses
// over a second start, is silent, and goes.
func TestInternal(t *testing.T) {
	l := inNetns(t)
	mac := net.HardwareAddr{2, 0, 0, 0xaa, 0xbb, 0xcc}
	p, err := l.EnsureInternal(netdev.Internal{Name: "br0", MAC: mac, MTU: 1400})
	if err != nil {
		t.Fatal(err)
	}
	if p.Near.Name != "br0" || p.Near.MAC.String() != mac.String() || p.Near.MTU != 1400 || p.Far.MTU != 1400 || !p.Far.Up || p.Near.Up || p.Elsewhere {
		t.Errorf("made %+v", p)
	}
	if e := l.Ethtool("br0"); e.Driver != "veth" || e.SpeedBps != 10e9 || e.Duplex != "full" {
		t.Errorf("ethtool: %+v", e)
	}
	// The user's part.
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0)
	br0, _ := nl.LinkByName("br0")
	if err := errors.Join(nl.AddrAdd(br0, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 9, 0, 1), Mask: net.CIDRMask(24, 32)}}), nl.LinkSetUp(br0)); err != nil {
		t.Fatal(err)
	}
	q, err := l.EnsureInternal(netdev.Internal{Name: "br0", MAC: mac, MTU: 1400})
	if err != nil || q.Near.Index != p.Near.Index || q.Far.Index != p.Far.Index || !q.Near.Carrier {
		t.Errorf("adopted %+v, was %+v: %v", q, p, err)
	}
	present, err := l.List()
	if err != nil {
		t.Fatal(err)
	}
	if ops, err := netdev.PlanInternals(present, []netdev.Internal{{Name: "br0", MAC: mac, MTU: 1400}}, false); err != nil || len(ops) != 0 {
		t.Errorf("a second run would do %v: %v", ops, err)
	}
	if a, err := nl.AddrList(br0, netlink.FAMILY_V4); err != nil || len(a) != 1 {
		t.Errorf("addresses %v: %v", a, err)
	}
	far, _ := nl.LinkByName(netdev.FarName("br0"))
	if a, err := nl.AddrList(far, netlink.FAMILY_ALL); err != nil || len(a) != 0 {
		t.Errorf("addresses of the far end %v: %v", a, err)
	}
	time.Sleep(1200 * time.Millisecond) // router solicitations and reports come within a second
	if q, _ = l.EnsureInternal(netdev.Internal{Name: "br0"}); q.Far.Stats.TxPackets != 0 {
		t.Errorf("the far end sent %d packets by itself", q.Far.Stats.TxPackets)
	}
	// The near end moves away, as to a container.
	ns := make(chan int)
	go func() {
		runtime.LockOSThread()
		_ = unix.Unshare(unix.CLONE_NEWNET)
		fd, _ := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ns <- fd
	}()
	fd := <-ns
	if err := nl.LinkSetNsFd(br0, fd); err != nil {
		t.Fatal(err)
	}
	q, err = l.EnsureInternal(netdev.Internal{Name: "br0", MTU: 1400})
	if err != nil || !q.Elsewhere || q.Far.Index != p.Far.Index || q.Near.Index != 0 {
		t.Errorf("with the near end elsewhere: %+v: %v", q, err)
	}
	if err := errors.Join(l.DeleteInternal("br0"), l.DeleteInternal("br0")); err != nil {
		t.Error(err)
	}
	unix.Close(fd)
	if ps, err := l.Internals(); err != nil || len(ps) != 0 {
		t.Errorf("left: %+v: %v", ps, err)
	}
	if _, err := l.ByName("br0"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("device that has gone: %v", err)
	}
}

// TestWatch: made, renamed, up, down, gone are all told.
func TestWatch(t *testing.T) {
	l := inNetns(t)
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan netdev.Event, 1000)
	done := make(chan error, 1)
	go func() { done <- l.Watch(ctx, func(e netdev.Event) { events <- e }) }()
	until := func(what string, ok func(netdev.Event) bool) {
		t.Helper()
		for {
			select {
			case e := <-events:
				if ok(e) {
					return
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("no event: %s", what)
			}
		}
	}
	until("first", func(e netdev.Event) bool { return e.Resync })
	a := netlink.NewLinkAttrs()
	a.Name = "w1"
	if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "w2"}); err != nil {
		t.Fatal(err)
	}
	until("made", func(e netdev.Event) bool { return e.Link.Name == "w1" && !e.Gone })
	w1, err := l.ByName("w1")
	if err != nil {
		t.Fatal(err)
	}
	mac := net.HardwareAddr{2, 1, 2, 3, 4, 5}
	if err := errors.Join(l.SetUp(w1.Index, true), l.SetMTU(w1.Index, 1300), l.SetMAC(w1.Index, mac)); err != nil {
		t.Fatal(err)
	}
	until("up, MTU, address", func(e netdev.Event) bool {
		return e.Link.Index == w1.Index && e.Link.Up && e.Link.MTU == 1300 && slices.Equal(e.Link.MAC, mac)
	})
	if err := l.SetUp(w1.Index, false); err != nil {
		t.Fatal(err)
	}
	until("down", func(e netdev.Event) bool { return e.Link.Index == w1.Index && !e.Link.Up })
	d, _ := nl.LinkByName("w1")
	if err := nl.LinkSetName(d, "w9"); err != nil {
		t.Fatal(err)
	}
	until("renamed", func(e netdev.Event) bool { return e.Link.Index == w1.Index && e.Link.Name == "w9" })
	if err := errors.Join(l.Delete(w1.Index), l.Delete(w1.Index)); err != nil {
		t.Fatal(err)
	}
	until("gone", func(e netdev.Event) bool { return e.Link.Index == w1.Index && e.Gone })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Watch: %v", err)
	}
}

// TestRawSocket: a frame with a tag arrives as it was sent, our own are not
// heard.
func TestRawSocket(t *testing.T) {
	l := inNetns(t)
	for _, f := range []string{"all", "default"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/disable_ipv6", []byte("1"), 0)
	}
	p, err := l.EnsureInternal(netdev.Internal{Name: "r0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetUp(p.Near.Index, true); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{p.Near.Name, p.Far.Name} { // before that the kernel drops
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			if d, err := l.ByName(n); err != nil || d.Running {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s does not become operational", n)
			}
		}
	}
	open := func(i int) *netdev.RawSocket {
		s, err := netdev.OpenRaw(i, netdev.RawConfig{Receive: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	a, b := open(p.Near.Index), open(p.Far.Index)
	addr := packettest.Addr{Src: 1, Dst: 2}
	var f packet.Frame
	var k flow.Key
	for _, d := range [][]byte{
		packettest.ARP(addr, 1),
		packettest.Tag(0x8100, 0xf123, packettest.ARP(addr, 1)), // with DEI
		packettest.Tag(0x88a8, 0x0123, packettest.Tag(0x8100, 7, packettest.UDP(addr, 1, 2, nil))),
	} {
		if err := errors.Join(a.Send(d, &netdev.VnetHdr{}), b.Send(packettest.MPLS(addr, 1), &netdev.VnetHdr{})); err != nil {
			t.Fatal(err)
		}
		n, err := b.ReadBatch()
		if err != nil || n != 1 {
			t.Fatalf("%d frames: %v", n, err)
		}
		if ok, err := b.Frame(0, &f, &packet.Meta{}, 2, &k); !ok || err != nil || !slices.Equal(f.Data(), d) || f.GSO() != (dpif.GSO{}) {
			t.Errorf("received %x, sent %x: %v", f.Data(), d, err)
		}
	}
	// A batch for both: each socket's in order, one in the middle is refused, the batch is full in the end.
	mk := func(i int) []byte { return packettest.UDP(addr, uint16(i), 2, []byte{byte(i)}) }
	var batch netdev.RawBatch
	long := make([]byte, 9000) // above the MTU
	count := 0
	for ; ; count++ {
		s, d := a, mk(count)
		if count%4 == 3 {
			s = b
		}
		if count == 5 {
			d = long
		}
		if !batch.Add(s, d, &netdev.VnetHdr{}) {
			break
		}
	}
	if count < 10 || batch.Add(a, nil, &netdev.VnetHdr{}) {
		t.Fatalf("%d frames fit a batch, or an empty one does", count)
	}
	seen := map[int]error{}
	batch.Flush(func(i, n int, err error) {
		if _, twice := seen[i]; twice || i != 5 && n != len(mk(i)) {
			t.Errorf("frame %d of %d bytes is reported twice, or is of another length", i, n)
		}
		seen[i] = err
	})
	for i := range count {
		if err, ok := seen[i]; !ok || (err != nil) != (i == 5) {
			t.Errorf("frame %d of the batch: %v, %v", i, ok, err)
		}
	}
	arrive := func(s *netdev.RawSocket, mine func(i int) bool) {
		var want, got [][]byte
		for i := range count {
			if mine(i) && i != 5 {
				want = append(want, mk(i))
			}
		}
		for len(got) < len(want) {
			n, err := s.ReadBatch()
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if ok, err := s.Frame(i, &f, &packet.Meta{}, 2, &k); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if d := slices.Clone(f.Data()); d[12] == 8 { // MPLS frames of before wait at a
					got = append(got, d)
				}
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	arrive(b, func(i int) bool { return i%4 != 3 })
	arrive(a, func(i int) bool { return i%4 == 3 })
	batch.Flush(func(int, int, error) { t.Error("an empty batch sent something") })
	if !batch.Add(a, mk(1), &netdev.VnetHdr{}) || batch.Add(a, make([]byte, 64<<10+1), &netdev.VnetHdr{}) {
		t.Error("an empty batch has no room, or too much")
	}
	if err := a.Send(nil, &netdev.VnetHdr{}); err == nil {
		t.Error("an empty frame was sent")
	}
	if _, err := netdev.OpenRaw(99999, netdev.RawConfig{}); !errors.Is(err, unix.ENODEV) {
		t.Errorf("socket on no device: %v", err)
	}
}

// TestWatchOverflow: when the kernel dropped events, the watcher is told to
// list again.
func TestWatchOverflow(t *testing.T) {
	l := inNetns(t)
	ctx, cancel := context.WithCancel(t.Context())
	hold, resync := make(chan struct{}), make(chan struct{}, 100)
	done := make(chan error, 1)
	first := true
	go func() {
		done <- l.Watch(ctx, func(e netdev.Event) {
			switch {
			case e.Resync && first:
				first = false
				resync <- struct{}{}
				<-hold
			case e.Resync:
				resync <- struct{}{}
			}
		})
	}()
	<-resync
	lo, err := l.ByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if err := l.SetMTU(lo.Index, 60000+i%2); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	select {
	case <-resync:
	case <-time.After(5 * time.Second):
		t.Error("no resync after lost events")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
