// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// maxVLANs is the number of tags that the datapath under test parses.
const maxVLANs = 2

// patience is how long the suite waits for what must come.
const patience = 5 * time.Second

// quiet is how long it waits for what must not come.
const quiet = 40 * time.Millisecond

// lab is a datapath in a network namespace of its own. Its methods are called
// on the test's goroutine, whose thread is in that namespace.
type lab struct {
	*testing.T
	dp      dpif.Datapath
	nl      *netlink.Handle
	hosts   map[dpif.Port]*host
	upcalls chan dpif.Upcall
	onUp    atomic.Pointer[func(*dpif.Upcall)] // in place of filling upcalls
}

// host is the far end of a port's veth pair.
type host struct {
	no   dpif.Port
	link netlink.Link // nil once it has moved
	sock *netdev.RawSocket
	in   chan []byte
}

// enterNetns moves the calling goroutine to a new network namespace and thread
// for good.
func enterNetns(t testing.TB) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs root: cannot make a network namespace")
		}
		t.Fatalf("unshare: %v", err)
	}
	for _, f := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("disable IPv6: %v", err)
		}
	}
}

func newLab(t *testing.T, open func(t *testing.T) dpif.Datapath) *lab {
	enterNetns(t)
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, nl: nl, hosts: map[dpif.Port]*host{}, upcalls: make(chan dpif.Upcall, 4096)}
	t.Cleanup(nl.Close)
	l.dp = open(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.dp.Run(ctx, dpif.Each(l.handle)) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end with its context")
		}
		if err := l.dp.Close(); err != nil && !errors.Is(err, dpif.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		for _, h := range l.hosts {
			if h.sock != nil {
				h.sock.Close()
			}
		}
	})
	return l
}

func (l *lab) handle(u *dpif.Upcall) {
	if f := l.onUp.Load(); f != nil {
		(*f)(u)
		return
	}
	l.keep(u)
}

// keep puts a copy of u into upcalls.
func (l *lab) keep(u *dpif.Upcall) {
	c := *u
	c.Packet.Data = bytes.Clone(u.Packet.Data)
	select {
	case l.upcalls <- c:
	default:
	}
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (l *lab) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// pair makes two veth devices that are up.
func (l *lab) pair(a, b string) (netlink.Link, netlink.Link) {
	l.Helper()
	l.ok(l.nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a}, PeerName: b}))
	la := must(l.nl.LinkByName(a))(l)
	lb := must(l.nl.LinkByName(b))(l)
	l.ok(l.nl.LinkSetUp(la))
	l.ok(l.nl.LinkSetUp(lb))
	l.running(l.nl, a)
	l.running(l.nl, b)
	return la, lb
}

// running waits until the kernel sends on a device: for a moment after it got
// its carrier its queue still drops everything (net/core/link_watch.c).
func (l *lab) running(nl *netlink.Handle, name string) {
	l.Helper()
	l.eventually(name+" is operational", func() bool {
		d, err := nl.LinkByName(name)
		return err == nil && d.Attrs().OperState == netlink.OperUp
	})
}

// portPair makes a veth pair whose first end is port no, without a socket on
// the other.
func (l *lab) portPair(no dpif.Port) netlink.Link {
	l.Helper()
	p, h := l.pair(fmt.Sprintf("p%d", no), fmt.Sprintf("h%d", no))
	l.ok(l.dp.PortAdd(no, dpif.PortSpec{Name: p.Attrs().Name, Ifindex: p.Attrs().Index}))
	return h
}

// addPort makes a port with a host.
func (l *lab) addPort(no dpif.Port) *host {
	l.Helper()
	h := &host{no: no, link: l.portPair(no), in: make(chan []byte, 8192)}
	h.sock = must(netdev.OpenRaw(h.link.Attrs().Index, netdev.RawConfig{Receive: true, Promisc: true, RcvBuf: 32 << 20}))(l)
	l.hosts[no] = h
	go h.read()
	return h
}

// read puts what comes into h.in until the socket is closed.
func (h *host) read() {
	var f packet.Frame
	var k flow.Key
	for {
		n, err := h.sock.ReadBatch()
		if err != nil {
			return
		}
		for i := range n {
			if _, err := h.sock.Frame(i, &f, &packet.Meta{}, maxVLANs, &k); err != nil {
				continue
			}
			f.FinishCsum()
			select {
			case h.in <- bytes.Clone(f.Data()):
			default:
			}
		}
	}
}

// send sends a frame from host no to its port.
func (l *lab) send(no dpif.Port, frame []byte) {
	l.Helper()
	if err := l.hosts[no].sock.Send(frame, &netdev.VnetHdr{}); err != nil {
		l.Fatalf("send %d bytes to port %d: %v", len(frame), no, err)
	}
}

// expect waits for a frame at host no and compares.
func (l *lab) expect(no dpif.Port, want []byte) {
	l.Helper()
	select {
	case got := <-l.hosts[no].in:
		if !bytes.Equal(got, want) {
			l.Fatalf("port %d sent\n%x, want\n%x", no, got, want)
		}
	case <-time.After(patience):
		l.Fatalf("port %d sent nothing, want %x", no, want)
	}
}

// expectNothing waits a moment and fails if any host or the handler got
// something.
func (l *lab) expectNothing() {
	l.Helper()
	time.Sleep(quiet)
	for no, h := range l.hosts {
		select {
		case f := <-h.in:
			l.Fatalf("port %d sent %x, want nothing", no, f)
		default:
		}
	}
	select {
	case u := <-l.upcalls:
		l.Fatalf("upcall %+v, want none", u)
	default:
	}
}

// upcall waits for an upcall.
func (l *lab) upcall() dpif.Upcall {
	l.Helper()
	select {
	case u := <-l.upcalls:
		return u
	case <-time.After(patience):
		l.Fatal("no upcall came")
		panic("unreachable")
	}
}

// eventually waits until f is true.
func (l *lab) eventually(what string, f func() bool) {
	l.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("it did not happen in %v: %s", patience, what)
		}
	}
}

// match returns a flow for in_port in with further fields of the key that frame
// has.
func (l *lab) match(id dpif.FlowID, in dpif.Port, frame []byte, fields ...flow.Field) *dpif.Flow {
	l.Helper()
	var k flow.Key
	var ly packet.Layers
	if !packet.Parse(frame, &packet.Meta{InPort: uint32(in)}, maxVLANs, &k, &ly) {
		l.Fatalf("malformed frame %x", frame)
	}
	var m flow.Mask
	m.SetAll(flow.FieldInPort)
	for _, f := range fields {
		m.SetAll(f)
	}
	return &dpif.Flow{ID: id, Key: k.Apply(&m), Mask: &m}
}

// put installs a flow.
func (l *lab) put(f *dpif.Flow, actions ...dpif.Action) {
	l.Helper()
	f.Actions = actions
	l.ok(l.dp.FlowPut(f))
}

// putOrSkip installs a flow unless the datapath cannot do it.
func (l *lab) putOrSkip(what string, f *dpif.Flow, actions ...dpif.Action) bool {
	l.Helper()
	f.Actions = actions
	err := l.dp.FlowPut(f)
	var u *dpif.Unsupported
	if errors.As(err, &u) {
		l.Logf("%s: %v", what, err)
		return false
	}
	l.ok(err)
	return true
}

func output(no dpif.Port) dpif.Action { return dpif.Output{Port: no} }
