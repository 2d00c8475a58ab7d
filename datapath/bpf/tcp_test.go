// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// station is a host with a network namespace of its own.
type station struct {
	addr string
	ns   netns.NsHandle
}

// in runs f on a thread in the station's namespace.
func (s *station) in(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		err := netns.Set(s.ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// newStation makes a host behind port no of d, with default offloads.
func newStation(t *testing.T, d *Datapath, no int) *station {
	t.Helper()
	s := &station{addr: fmt.Sprintf("10.0.0.%d", no)}
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	name := fmt.Sprintf("st%d", no)
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "h"}); err != nil {
		t.Fatal(err)
	}
	near, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	far, err := netlink.LinkByName(name + "h")
	if err != nil {
		t.Fatal(err)
	}
	if s.ns, err = netns.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ns.Close() })
	if err := netns.Set(here); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		netlink.LinkSetNsFd(far, int(s.ns)),
		netlink.LinkSetUp(near),
		d.PortAdd(dpif.Port(no), dpif.PortSpec{Name: name, Ifindex: near.Attrs().Index}), // before the host says anything
		s.in(func() error {
			h, err := netlink.NewHandle()
			if err != nil {
				return err
			}
			defer h.Close()
			l, err := h.LinkByName(name + "h")
			if err != nil {
				return err
			}
			lo, err := h.LinkByName("lo")
			if err != nil {
				return err
			}
			p := netip.PrefixFrom(netip.MustParseAddr(s.addr), 24)
			return errors.Join(
				h.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(24, 32)}}),
				h.LinkSetUp(lo), h.LinkSetUp(l))
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	waitUp(t, near.Attrs().Index) // with a veth device its far end is too
	return s
}

// counters returns the stack's counters that are not zero and speak of loss or wrong checksums.
func (s *station) counters(t *testing.T) map[string]string {
	t.Helper()
	bad := map[string]string{}
	err := s.in(func() error {
		for _, file := range []string{"snmp", "netstat"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			lines := strings.Split(string(b), "\n")
			for i := 0; i+1 < len(lines); i += 2 {
				names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
				for j := 1; j < len(names) && j < len(values); j++ {
					switch n := names[0] + names[j]; n {
					case "Tcp:InErrs", "Tcp:InCsumErrors", "Tcp:AttemptFails", "Tcp:RetransSegs", "Ip:InHdrErrors", "Ip:InDiscards",
						"TcpExt:TCPSynRetrans", "TcpExt:TCPTimeouts", "IpExt:InCsumErrors":
						if values[j] != "0" {
							bad[n] = values[j]
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bad
}

// device returns how many packets the station's device received and sent.
func (s *station) device(t *testing.T) (rx, tx uint64) {
	t.Helper()
	err := s.in(func() error {
		h, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer h.Close()
		ls, err := h.LinkList()
		for _, l := range ls {
			if l.Type() == "veth" {
				rx, tx = l.Attrs().Statistics.RxPackets, l.Attrs().Statistics.TxPackets
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rx, tx
}

// TestTCP: over veth devices with default offloads (GSO trains, unfinished checksums), through two
// ports, 200 short connections and an iperf3 run see no SYN again and no wrong checksum. The first packet of
// each kind goes through user space.
func TestTCP(t *testing.T) {
	hooks(t, func(t *testing.T, h Hook) {
		inNS(t)
		d := open(t, Config{Hook: h})
		a, b := newStation(t, d, 1), newStation(t, d, 2)
		id := dpif.FlowID(0)
		stop := runUpcalls(t, d, func(u *dpif.Upcall) {
			// By destination address as a learning switch would, the other port being the only one.
			id++
			var m flow.Mask
			m.SetAll(flow.FieldInPort)
			m.SetAll(flow.FieldEthDst)
			var k flow.Key
			k.SetU64(flow.FieldInPort, uint64(u.InPort))
			var mac uint64
			for _, c := range u.Packet.Data[:6] {
				mac = mac<<8 | uint64(c)
			}
			k.SetU64(flow.FieldEthDst, mac)
			as := []dpif.Action{dpif.Output{Port: 3 - u.InPort}}
			err := d.FlowPut(&dpif.Flow{ID: id, Key: k, Mask: &m, Actions: as})
			if err != nil && !errors.Is(err, dpif.ErrExist) {
				t.Error(err)
			}
			if err := d.Execute(u.InPort, u.Packet, as); err != nil {
				t.Error(err)
			}
		})
		defer stop()
		shortConnections(t, a, b, 200)
		for _, s := range []*station{a, b} {
			if bad := s.counters(t); len(bad) > 0 {
				t.Errorf("%s after short connections: %v", s.addr, bad)
			}
		}
		if _, err := exec.LookPath("iperf3"); err != nil {
			t.Log("iperf3 is not installed")
			return
		}
		iperf(t, a, b)
		for _, s := range []*station{a, b} {
			bad := s.counters(t)
			if n := bad["Tcp:RetransSegs"]; n != "" {
				t.Logf("%s: %s segments sent again (not SYN)", s.addr, n)
			}
			delete(bad, "Tcp:RetransSegs")
			if len(bad) > 0 {
				t.Errorf("%s after iperf3: %v", s.addr, bad)
			}
		}
		var rx dpif.PortStats
		for p := dpif.Port(1); p <= 2; p++ {
			s, err := d.PortStats(p)
			if err != nil || s.UpcallDropped != 0 || s.TxDropped != 0 {
				t.Errorf("port %d: %+v, %v", p, s, err)
			}
			if s.RxBytes > rx.RxBytes {
				rx = s
			}
			// No packet was lost on the way. The stacks may still be talking.
			eventually(t, fmt.Sprintf("port %d and its host have counted the same", p), func() bool {
				s, err := d.PortStats(p)
				rxHost, txHost := []*station{a, b}[p-1].device(t)
				return err == nil && s.RxPackets == txHost && s.TxPackets == rxHost
			})
		}
		t.Logf("%d packets of %d bytes on average, %d upcalls", rx.RxPackets, rx.RxBytes/max(rx.RxPackets, 1), rx.UpcallPackets)
		if rx.RxBytes/max(rx.RxPackets, 1) < 3000 {
			t.Error("no GSO trains: the test does not test")
		}
	})
}

func shortConnections(t *testing.T, a, b *station, n int) {
	t.Helper()
	var ln net.Listener
	if err := b.in(func() (err error) { ln, err = net.Listen("tcp4", b.addr+":80"); return err }); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	defer func() { ln.Close(); <-served }()
	want := bytes.Repeat([]byte("weir"), 500)
	err := a.in(func() error {
		for range n {
			c, err := net.DialTimeout("tcp4", b.addr+":80", 5*time.Second)
			if err != nil {
				return err
			}
			c.SetDeadline(time.Now().Add(5 * time.Second))
			c.Write(want)
			c.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(c)
			c.Close()
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("%d bytes came back: %w", len(got), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// iperf runs iperf3 for a second from a to b and logs the rate.
func iperf(t *testing.T, a, b *station) {
	t.Helper()
	server := exec.Command("iperf3", "-s", "-1", "--forceflush")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.in(server.Start); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(20*time.Second, func() { server.Process.Kill() })
	defer kill.Stop()
	sc := bufio.NewScanner(out)
	for sc.Scan() && !strings.Contains(sc.Text(), "listening") {
	}
	client := exec.Command("iperf3", "-c", b.addr, "-t", "1", "-J")
	var res bytes.Buffer
	client.Stdout = &res
	if err := a.in(client.Run); err != nil {
		t.Errorf("iperf3: %v: %s", err, res.String())
		server.Process.Kill()
	}
	for sc.Scan() {
	}
	server.Wait()
	var r struct {
		End struct {
			Sum struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(res.Bytes(), &r); err != nil || r.End.Sum.Bits == 0 {
		t.Errorf("iperf3: no rate: %v", err)
	}
	t.Logf("iperf3: %.1f Gbit/s", r.End.Sum.Bits/1e9)
}
