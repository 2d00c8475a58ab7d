// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/bpf"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/soft"
	"github.com/weirswitch/weir/datapath/xlate"
)

// scale is a Switch that runs over a real datapath with three real devices, and holds many
// megaflows: from port 1, a source address each, to 100 hosts behind port 2.
type scale struct {
	t     testing.TB
	dp    dpif.Datapath
	s     *Switch
	hosts [3]*netdev.RawSocket
	got   chan string // "h2 00000007": the host and the packet's IPv4 source
	n     int

	perFlow float64 // bytes of Go's heap a megaflow, the datapath's own too
}

const scaleHosts = 100

func hostMAC(i int) uint64 { return 0x020000001000 + uint64(i%scaleHosts) }

// scaleFrame is packet i from port 1; probes are those that hosts look for.
func scaleFrame(i int, sport uint16) []byte {
	return frame(hostMAC(i), macA, 0, 0x0a000000+uint32(i), 2, sport, 4)
}

const probe = 9

func newScale(t testing.TB, kind string, n int) *scale {
	if testing.Short() {
		t.Skip("needs devices and time")
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
	l := &scale{t: t, got: make(chan string, 10000)}
	switch kind {
	case "soft":
		l.dp = soft.New(soft.Config{MaxVLANs: 2})
	case "bpf":
		dp, err := bpf.New(bpf.Config{MaxVLANs: 2})
		if errors.Is(err, unix.EPERM) {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
		l.dp = dp
	}
	// By this clock rounds are short, so that the bound of megaflows stays on a busy machine.
	start := time.Now()
	slow := func() time.Time { return start.Add(time.Since(start) / 50) }
	l.s = New(l.dp, Options{MaxVLANs: 2, MaxIdle: time.Hour, Now: slow, Async: func(Async) {}})
	cfg := BridgeConfig{Name: "br0"}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	index := func(name string) int {
		l, err := nl.LinkByName(name)
		if err == nil {
			err = nl.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().Index
	}
	for i := range l.hosts {
		p, h := fmt.Sprintf("p%d", i+1), fmt.Sprintf("h%d", i+1)
		if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: p}, PeerName: h}); err != nil {
			t.Fatal(err)
		}
		ip, ih := index(p), index(h)
		for range 500 { // a queue drops until its link is operational
			if l, err := nl.LinkByName(h); err == nil && l.Attrs().OperState == netlink.OperUp {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		if err := l.dp.PortAdd(dpif.Port(i+1), dpif.PortSpec{Name: p, Ifindex: ip}); err != nil {
			t.Fatal(err)
		}
		cfg.Ports = append(cfg.Ports, PortConfig{No: action.Port(i + 1), Name: p, DP: dpif.Port(i + 1)})
		sock, err := netdev.OpenRaw(ih, netdev.RawConfig{Receive: true, Promisc: true, RcvBuf: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		l.hosts[i] = sock
	}
	if err := l.s.Apply(Config{Bridges: []BridgeConfig{cfg}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	// The address is looked at, so that each makes a megaflow.
	l.mod(10, flow.Match{}, action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: action.PortNormal})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, h := range l.hosts {
			h.Close()
		}
		if err := l.dp.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range scaleHosts {
		l.s.Upcalls([]dpif.Upcall{{InPort: 2, Packet: dpif.Packet{Data: frame(macA, hostMAC(i), 0, 1, 2, 3, 4)}}})
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l.fill(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	l.perFlow = float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / float64(n)
	return l
}

// fill makes megaflows until there are n of port 1.
func (l *scale) fill(n int) {
	for ; l.n < n; l.n++ {
		l.s.Upcalls([]dpif.Upcall{{InPort: 1, Packet: dpif.Packet{Data: scaleFrame(l.n, 3)}}})
	}
}

// listen delivers to got the probes that the hosts receive.
func (l *scale) listen() {
	for i, sock := range l.hosts {
		go func() {
			var f packet.Frame
			var k flow.Key
			for {
				n, err := sock.ReadBatch()
				if err != nil {
					return
				}
				for j := range n {
					if _, err := sock.Frame(j, &f, &packet.Meta{}, 2, &k); err == nil && k.EthSrc() == macA && k.U64(flow.FieldTPSrc) == probe {
						l.got <- fmt.Sprintf("h%d %08x", i+1, k.U64(flow.FieldIPSrc))
					}
				}
			}
		}()
	}
}

func (l *scale) mod(prio uint16, m flow.Match, acts ...action.Action) {
	l.t.Helper()
	mod := &openflow.FlowMod{Priority: prio, Match: m, BufferID: openflow.NoBuffer, Instructions: apply(acts...)}
	if r := l.s.Handle("br0", conn, mod, time.Now()); len(r) != 0 {
		l.t.Fatal(r[0])
	}
}

func (l *scale) barrier() {
	l.t.Helper()
	if r := l.s.Handle("br0", conn, &openflow.BarrierRequest{}, time.Now()); len(r) != 1 {
		l.t.Fatal(r)
	}
}

func source(i int) (m flow.Match) {
	m.SetU64(flow.FieldEthType, 0x800)
	m.SetU64(flow.FieldIPSrc, 0x0a000000+uint64(i))
	return m
}

func ip() (m flow.Match) {
	m.SetU64(flow.FieldEthType, 0x800)
	return m
}

// expect sends packet i of each and holds that it leaves at the host that want says, and
// that no packet needed an upcall.
func (l *scale) expect(want func(i int) int, is ...int) {
	l.t.Helper()
	misses := l.s.Stats().Misses
	for _, i := range is {
		if err := l.hosts[0].Send(scaleFrame(i, probe), &netdev.VnetHdr{}); err != nil {
			l.t.Fatal(err)
		}
		select {
		case got := <-l.got:
			if w := fmt.Sprintf("h%d %08x", want(i), 0x0a000000+i); got != w {
				l.t.Fatalf("packet %d: got %s, want %s", i, got, w)
			}
		case <-time.After(5 * time.Second):
			l.t.Fatalf("packet %d did not come: %+v", i, l.s.Stats())
		}
	}
	if n := l.s.Stats().Misses - misses; n != 0 {
		l.t.Fatalf("%d upcalls for packets of known flows", n)
	}
}

// same holds that datapath and index have the same n megaflows or more, that each of port 1 does
// what want says, and that a fresh translation says so too.
func (l *scale) same(n, rules int, want func(i int) int) {
	l.t.Helper()
	in := make(map[dpif.FlowID]bool)
	if err := l.dp.FlowDump(func(id dpif.FlowID, _ dpif.FlowStats) bool { in[id] = true; return true }); err != nil {
		l.t.Fatal(err)
	}
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	fs := l.s.ix.snapshot()
	if len(fs) < n || len(fs) != len(in) {
		l.t.Fatalf("%d megaflows in the index, %d in the datapath, want %d", len(fs), len(in), n)
	}
	outs := make(map[*outcome]bool)
	for _, f := range fs {
		k := f.expand()
		if f.pending.Load() || !in[f.id] {
			l.t.Fatalf("megaflow %d: pending %v, in the datapath %v", f.id, f.pending.Load(), in[f.id])
		}
		outs[f.out] = true
		if f.id%8 == 0 || k.InPort() != 1 {
			if r := xlate.Translate(l.s.input(l.s.byDP[dpif.Port(k.InPort())], &k)); !f.out.is(r) {
				l.t.Fatalf("megaflow %d is stale: %v, should be %v", f.id, f.out.actions, r.Actions)
			}
		}
		if k.InPort() == 1 {
			i := int(k.U64(flow.FieldIPSrc) - 0x0a000000)
			if !slices.Equal(f.out.actions, []dpif.Action{dpif.Output{Port: dpif.Port(want(i))}}) {
				l.t.Fatalf("megaflow of packet %d does %v", i, f.out.actions)
			}
		}
	}
	if len(outs) > 2*scaleHosts+rules {
		l.t.Errorf("%d megaflows have %d different outcomes", len(fs), len(outs))
	}
}

// TestScale changes rules and addresses with 100,000 megaflows in a real datapath, and counts
// what is translated; packets on the wire see that it is true.
func TestScale(t *testing.T) {
	for _, kind := range []string{"soft", "bpf"} {
		t.Run(kind, func(t *testing.T) {
			const n = 100_000
			l := newScale(t, kind, n)
			l.listen()
			reval := func(what string, want uint64, do func()) {
				t.Helper()
				before := l.s.Stats()
				do()
				l.barrier()
				after := l.s.Stats()
				if got := after.Revalidated - before.Revalidated; got != want {
					t.Errorf("%s: %d megaflows translated anew, want %d", what, got, want)
				}
				if after.Deleted != before.Deleted || after.NotInstalled != before.NotInstalled {
					t.Errorf("%s: megaflows were lost: %+v", what, after)
				}
			}
			sample := []int{0, 7, 77, 107, 12345, 50007, 99907, n - 1}
			to := func(i int) int { return 2 }
			l.same(n, 20, to)
			l.expect(to, sample...)

			reval("a rule for one", 1, func() { l.mod(50, source(77), action.Output{Port: 3}) })
			to = func(i int) int {
				if i == 77 {
					return 3
				}
				return 2
			}
			l.same(n, 20, to)
			l.expect(to, sample...)

			// Host 7 moves to port 3: a real packet says so.
			reval("a host that moves", n/scaleHosts, func() {
				if err := l.hosts[2].Send(frame(macA, hostMAC(7), 0, 1, 2, 3, 4), &netdev.VnetHdr{}); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
					l.s.mu.RLock()
					port, _ := l.s.bridges["br0"].x.FDB.Lookup(0, hostMAC(7))
					l.s.mu.RUnlock()
					if port == 3 {
						break
					} else if time.Now().After(end) {
						t.Fatal("host 7 was not learned")
					}
				}
			})
			to = func(i int) int {
				if i%scaleHosts == 7 || i == 77 {
					return 3
				}
				return 2
			}
			l.same(n, 20, to)
			l.expect(to, sample...)

			// Everything changes while new flows come.
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var came atomic.Int64
			wg.Go(func() {
				for ; l.n < n+20_000; came.Add(1) {
					select {
					case <-stop:
						return
					default:
						l.fill(l.n + 1)
					}
				}
			})
			l.mod(100, ip(), action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: 3})
			l.barrier()
			close(stop)
			wg.Wait()
			to = func(int) int { return 3 }
			l.same(l.n, 20, to)
			l.expect(to, append(sample, l.n-1)...)
			t.Logf("%d new flows meanwhile", came.Load())

			// A burst of rules is looked for together. The rule for one is of a lower priority.
			before := l.s.Stats().Revalidated
			for i := range 2000 {
				l.mod(200, source(10*i), action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, action.Output{Port: 2})
			}
			l.barrier()
			to = func(i int) int {
				if i%10 == 0 && i < 20000 {
					return 2
				}
				return 3
			}
			l.same(l.n, 2020, to)
			l.expect(to, sample...)
			t.Logf("2,000 rules: %d megaflows translated anew", l.s.Stats().Revalidated-before)

			// First packets and hits, at the rules that they used.
			sent := uint64(l.n + 5*len(sample) + 1)
			l.s.Tick(time.Now())
			rep := l.s.Handle("br0", conn, &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{
				Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}}, time.Now())
			var counted, others uint64
			for _, r := range rep {
				for _, f := range r.(*openflow.FlowStatsReply).Flows {
					counted += f.Packets
				}
			}
			others = scaleHosts + 1 // from ports 2 and 3
			if counted != sent+others {
				t.Errorf("%d packets are counted at rules, want %d", counted, sent+others)
			}
			l.s.Flush()
			if x := l.s.ix; len(x.byID)+len(x.byHash)+len(x.masks)+len(x.deps)+len(x.tables)+len(x.outcomes.byHash) != 0 {
				t.Error("the index is not empty after Flush")
			}
		})
	}
}

// BenchmarkScale measures, with 100,000 megaflows in a real datapath and 1,000 new flows a second
// coming: the time from a change to the answer of a barrier behind it (p50, p99, worst),
// for a rule that concerns one megaflow, a host with 1,000 that moves, and a rule that concerns all;
// and the longest that a new flow waits meanwhile. The three kinds take turns.
func BenchmarkScale(b *testing.B) {
	for _, kind := range []string{"soft", "bpf"} {
		b.Run(kind, func(b *testing.B) {
			const n = 100_000
			l := newScale(b, kind, n)
			var wait [3]atomic.Int64 // longest of a new flow, by what goes on
			var doing atomic.Int32
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				t := time.NewTicker(time.Millisecond)
				defer t.Stop()
				p := frame(hostMAC(1), macA, 0, 0, 2, 3, 4)
				for i := uint32(0); ; i++ {
					select {
					case <-stop:
						return
					case <-t.C:
					}
					binary.BigEndian.PutUint32(p[26:], 0x0b000000+i%10000)
					start, what := time.Now(), doing.Load()
					l.s.Upcalls([]dpif.Upcall{{InPort: 1, Packet: dpif.Packet{Data: slices.Clone(p)}}})
					wait[what].Store(max(wait[what].Load(), int64(time.Since(start))))
				}
			})
			var took [3][]time.Duration
			for i := 0; b.Loop(); i++ {
				for what, times := range []int{20, 10, 1} {
					for j := range times {
						doing.Store(int32(what))
						start := time.Now()
						out := action.Output{Port: action.Port(2 + i%2)}
						switch what {
						case 0:
							l.mod(150, source(1000*i+j), action.Output{Port: 3})
						case 1:
							port := dpif.Port(2 + (i+1)%2)
							l.s.Upcalls([]dpif.Upcall{{InPort: port, Packet: dpif.Packet{Data: frame(macA, hostMAC(20+j), 0, 1, 2, 3, 4)}}})
						case 2:
							m := ip()
							m.SetU64(flow.FieldEthSrc, macA)
							if i%2 == 0 {
								l.mod(100, m, action.Move{Src: flow.FieldIPSrc.All(), Dst: flow.FieldReg0.All()}, out)
							} else {
								del := &openflow.FlowMod{Command: openflow.FlowDeleteStrict, Priority: 100, Match: m, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
								l.s.Handle("br0", conn, del, time.Now())
							}
						}
						l.barrier()
						took[what] = append(took[what], time.Since(start))
					}
				}
			}
			close(stop)
			wg.Wait()
			for what, name := range []string{"rule", "move", "all"} {
				d := took[what]
				slices.Sort(d)
				ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
				b.ReportMetric(ms(d[len(d)/2]), name+"-p50-ms")
				b.ReportMetric(ms(d[(len(d)*99+99)/100-1]), name+"-p99-ms")
				b.ReportMetric(ms(time.Duration(wait[what].Load())), name+"-upcall-ms")
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(l.perFlow, "B/flow")
			st := l.s.Stats()
			b.ReportMetric(float64(st.Revalidated)/float64(b.N), "revalidated/op")
			if st.Flows < n {
				b.Errorf("%+v", st)
			}
		})
	}
}
