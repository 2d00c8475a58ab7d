// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// inNS moves the test's goroutine, on a thread of its own, to a new network
// namespace without a name, which is gone with the last thing in it.
func inNS(t *testing.T) {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	was, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Set(was); err != nil {
			panic(err) // the thread must not run other tests
		}
		was.Close()
		ns.Close()
		runtime.UnlockOSThread()
	})
	// The far ends' stacks shall say nothing of their own.
	for _, f := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/disable_ipv6", []byte("1"), 0); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// wire is a veth pair: near is a port of the datapath, far the host at its end.
type wire struct {
	near, far int // device numbers
	name      string
	sock      *netdev.RawSocket // on far
}

// newWire makes the pair name, name+"h" in the current namespace, both up and
// operational (before, the kernel drops what is sent).
func newWire(t *testing.T, name string) *wire {
	t.Helper()
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "h"})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{name: name}
	for n, p := range map[string]*int{name: &w.near, name + "h": &w.far} {
		l, err := netlink.LinkByName(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		*p = l.Attrs().Index
	}
	waitUp(t, w.near)
	waitUp(t, w.far)
	if w.sock, err = netdev.OpenRaw(w.far, netdev.RawConfig{Receive: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.sock.Close() })
	return w
}

// waitUp waits until a device of the current namespace is operational.
func waitUp(t *testing.T, ifindex int) {
	t.Helper()
	eventually(t, "the device is operational", func() bool {
		l, err := netlink.LinkByIndex(ifindex)
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().OperState == netlink.OperUp
	})
}

// lab is a datapath with ports 1 to n, each the near end of a wire.
type lab struct {
	dp    dpif.Datapath
	wires []*wire // wires[0] is port 1
}

// newLab adds n wires to dp. Their names start with prefix.
func newLab(t *testing.T, dp dpif.Datapath, prefix string, n int) *lab {
	t.Helper()
	l := &lab{dp: dp}
	for i := range n {
		w := newWire(t, fmt.Sprintf("%s%d", prefix, i+1))
		if err := dp.PortAdd(dpif.Port(i+1), dpif.PortSpec{Name: w.name, Ifindex: w.near}); err != nil {
			t.Fatal(err)
		}
		l.wires = append(l.wires, w)
	}
	return l
}

// send sends a frame as the host behind port p.
func (l *lab) send(t *testing.T, p dpif.Port, frame []byte) {
	t.Helper()
	var none netdev.VnetHdr
	if err := l.wires[p-1].sock.Send(frame, &none); err != nil {
		t.Fatalf("send % x to port %d: %v", frame, p, err)
	}
}

// recv returns the frames that the host behind port p gets up to one of type
// sentinelType, which is not returned.
func (l *lab) recv(t *testing.T, p dpif.Port) (frames [][]byte) {
	t.Helper()
	s := l.wires[p-1].sock
	late := time.AfterFunc(10*time.Second, func() { s.Close() })
	defer late.Stop()
	for {
		n, err := s.ReadBatch()
		if err != nil {
			st, _ := l.dp.PortStats(p)
			t.Fatalf("%s: host %d: no sentinel after %d frames: %v; port %+v", l.wires[p-1].name, p, len(frames), err, st)
		}
		for i := range n {
			var f packet.Frame
			var k flow.Key
			if _, err := s.Frame(i, &f, &packet.Meta{}, 2, &k); err != nil {
				t.Fatal(err)
			}
			d := f.Data()
			if len(d) >= 14 && binary.BigEndian.Uint16(d[12:]) == sentinelType {
				return frames
			}
			frames = append(frames, append([]byte(nil), d...))
		}
	}
}

// sentinelType is of frames that end a round. sentinelFlow floods them to all ports.
const sentinelType = 0x9a9b

const sentinelID dpif.FlowID = 1 << 40

func sentinel() []byte {
	b := make([]byte, 60)
	copy(b, []byte{0x02, 0, 0, 0, 0, 0xfe, 0x02, 0, 0, 0, 0, 0xff, sentinelType >> 8, sentinelType & 0xff})
	return b
}

func sentinelFlow(ports int) *dpif.Flow {
	var m flow.Match
	m.SetU64(flow.FieldEthType, sentinelType)
	m.SetU64(flow.FieldVLANTCI, 0)
	f := &dpif.Flow{ID: sentinelID, Key: m.Key, Mask: &m.Mask}
	for p := range ports {
		f.Actions = append(f.Actions, dpif.Output{Port: dpif.Port(p + 1)})
	}
	f.Actions = append(f.Actions, dpif.Userspace{Arg: 0xffff})
	return f
}

func open(t *testing.T, c Config) *Datapath {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// hooks runs a test with each way of attachment that the kernel has.
func hooks(t *testing.T, f func(t *testing.T, h Hook)) {
	for _, h := range []Hook{HookTCX, HookClsact} {
		t.Run(h.String(), func(t *testing.T) {
			if h == HookTCX {
				var u unix.Utsname
				if unix.Uname(&u) != nil || !atLeast(unix.ByteSliceToString(u.Release[:]), 6, 6) {
					t.Skip("tcx needs Linux 6.6")
				}
			}
			f(t, h)
		})
	}
}

func atLeast(release string, major, minor int) bool {
	var a, b int
	fmt.Sscanf(release, "%d.%d", &a, &b)
	return a > major || a == major && b >= minor
}

// runUpcalls hands upcalls to handle until the function that it returns is called.
func runUpcalls(t *testing.T, dp dpif.Datapath, handle func(*dpif.Upcall)) func() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- dp.Run(ctx, dpif.Each(handle)) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}
