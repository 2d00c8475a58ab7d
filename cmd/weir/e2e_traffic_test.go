// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/netlab"
)

// After the first packet of each flow, the packets behind it do not come to
// user space: the miss counter stands still.
func TestE2EKnownFlowsMakeNoUpcall(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, h2 := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "tag=10", "--", "add-port", "br0", "h2", "tag=10")
		r.reaches(h1, "10.0.0.2")
		const flows, packets = 10, 100_000
		// A socket with a receiver, so that no ICMP error comes back.
		var sink net.PacketConn
		if err := h2.Do(func() (err error) { sink, err = net.ListenPacket("udp4", "10.0.0.2:9"); return err }); err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		arrived := make(chan int, 1)
		go func() {
			n, buf := 0, make([]byte, 2048)
			for {
				if _, _, err := sink.ReadFrom(buf); err != nil {
					arrived <- n
					return
				}
				n++
			}
		}()
		var senders []net.Conn
		if err := h1.Do(func() error {
			for range flows {
				c, err := net.Dial("udp4", "10.0.0.2:9")
				if err != nil {
					return err
				}
				senders = append(senders, c)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 64)
		send := func(rounds int) {
			for i := range rounds {
				for _, c := range senders {
					if _, err := c.Write(payload); err != nil {
						t.Fatal(err)
					}
				}
				if i%20 == 19 {
					time.Sleep(2 * time.Millisecond) // 100,000 packets a second at most
				}
			}
		}
		// Both hosts know each other before the count begins: no ARP in between.
		neigh := func(n *netlab.Namespace, addr string) {
			t.Helper()
			out, err := n.Command("ip", "neigh", "show", addr).Output()
			f := strings.Fields(string(out))
			if err != nil || len(f) < 5 {
				t.Fatalf("neighbour %s: %q, %v", addr, out, err)
			}
			if out, err := n.Command("ip", "neigh", "replace", addr, "lladdr", f[4], "dev", "eth0", "nud", "permanent").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		neigh(h1, "10.0.0.2")
		neigh(h2, "10.0.0.1")
		time.Sleep(time.Second) // what ping and ARP left settles
		send(1)
		time.Sleep(300 * time.Millisecond)
		hit0, missed0 := r.lookups()
		send(packets / flows)
		var hit, missed int
		r.eventually(5*time.Second, func() error {
			if hit, missed = r.lookups(); hit-hit0 < packets*9/10 {
				return fmt.Errorf("hit rose by %d, want about %d", hit-hit0, packets)
			}
			return nil
		})
		sink.Close()
		n := <-arrived
		t.Logf("%d packets sent, %d arrived; hit rose by %d, missed by %d", packets+flows, n, hit-hit0, missed-missed0)
		if missed != missed0 {
			t.Errorf("%d packets of known flows came to user space", missed-missed0)
		}
		if n < packets/2 && !*stock { // stock's userspace datapath forwards them with half a checksum
			t.Errorf("only %d of %d packets arrived", n, packets+flows)
		}
	})
}

// nstat returns kernel counters of a namespace.
func nstat(t *testing.T, n *netlab.Namespace) map[string]int {
	t.Helper()
	out, err := n.Command("nstat", "-a", "-s", "-z", "-j").Output()
	if err != nil {
		t.Fatalf("nstat in %s: %v", n.Name, err)
	}
	var doc struct{ Kernel map[string]int }
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatalf("nstat in %s: %v: %s", n.Name, err, out)
	}
	return doc.Kernel
}

// A thousand TCP connections and a bulk transfer with the default offloads
// of veth: no SYN is sent twice, no checksum is wrong.
func TestE2ETCP(t *testing.T) {
	if *stock {
		t.Skip("the stock userspace datapath does not take veth's partial checksums")
	}
	eachDatapath(t, func(t *testing.T, r *rig) {
		needs(t, "nstat", "iperf3")
		h1, h2 := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "tag=10", "--", "add-port", "br0", "h2", "tag=10")
		r.reaches(h1, "10.0.0.2")
		var l net.Listener
		if err := h2.Do(func() (err error) { l, err = net.Listen("tcp4", "10.0.0.2:7"); return err }); err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); io.Copy(c, c) }()
			}
		}()
		start := time.Now()
		if err := h1.Do(func() error {
			msg := []byte(strings.Repeat("weir", 50))
			for i := range 1000 {
				c, err := net.DialTimeout("tcp4", "10.0.0.2:7", 5*time.Second)
				if err != nil {
					return fmt.Errorf("connection %d: %w", i, err)
				}
				c.SetDeadline(time.Now().Add(5 * time.Second))
				got := make([]byte, len(msg))
				if _, err := c.Write(msg); err != nil {
					return fmt.Errorf("connection %d: %w", i, err)
				}
				if _, err := io.ReadFull(c, got); err != nil || string(got) != string(msg) {
					return fmt.Errorf("connection %d: read %q, %w", i, got, err)
				}
				c.Close()
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		t.Logf("1000 connections in %v", time.Since(start))
		server, err := netlab.Start(h2.Command("iperf3", "-s", "-1"))
		if err != nil {
			t.Fatal(err)
		}
		defer server.Stop(time.Second)
		r.eventually(3*time.Second, func() error {
			out, err := h2.Command("ss", "-ltnH", "sport = :5201").CombinedOutput()
			if len(out) == 0 {
				return fmt.Errorf("iperf3 does not listen: %v", err)
			}
			return nil
		})
		out, err := h1.Command("iperf3", "-c", "10.0.0.2", "-t", "2", "-J").Output()
		if err != nil {
			t.Fatalf("iperf3: %v: %s", err, out)
		}
		var result struct {
			End struct {
				Sent struct {
					Bps         float64 `json:"bits_per_second"`
					Retransmits int
				} `json:"sum_sent"`
			}
		}
		if err := json.Unmarshal(out, &result); err != nil {
			t.Fatal(err)
		}
		t.Logf("iperf3: %.2f Gbit/s, %d retransmitted segments", result.End.Sent.Bps/1e9, result.End.Sent.Retransmits)
		for _, n := range []*netlab.Namespace{h1, h2} {
			k := nstat(t, n)
			for _, c := range []string{"TcpExtTCPSynRetrans", "TcpInCsumErrors", "UdpInCsumErrors", "IcmpInCsumErrors", "TcpInErrs", "TcpAttemptFails"} {
				if v, ok := k[c]; !ok || v != 0 {
					t.Errorf("%s: %s is %d (known: %v)", n.Name, c, v, ok)
				}
			}
		}
	})
}

// The idle daemon with one bridge and eight ports: memory is printed, and must
// stay below what ovsdb-server and ovs-vswitchd hold together.
func TestE2EIdleMemory(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		r.bridge("br0")
		args := []string{"--"}
		for i := range 8 {
			name := fmt.Sprintf("p%d", i)
			r.host(name, "")
			args = append(args, "add-port", "br0", name, "--")
		}
		r.vsctl(args[1 : len(args)-1]...)
		time.Sleep(2 * time.Second)
		resident, maps := r.rss()
		total := float64(resident+maps) / (1 << 20)
		t.Logf("idle, one bridge, eight ports, %s: %.1f MB resident, %.1f MB in BPF maps, %.1f MB together",
			r.dp, float64(resident)/(1<<20), float64(maps)/(1<<20), total)
		// The goal is 24 MB; the bound of the test leaves room for the noise of the collector.
		if total > 40 && !*stock {
			t.Errorf("%.1f MB", total)
		}
	})
}

// Garbage at every door: the switch goes on forwarding and does not grow.
func TestE2EBadInput(t *testing.T) {
	r := newRig(t, "netdev")
	h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
	r.bridge("br0")
	r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2", "--", "set-controller", "br0", "ptcp:16655:127.0.0.1", "--", "set-fail-mode", "br0", "secure")
	r.ofctl("add-flow", "br0", "actions=NORMAL")
	r.reaches(h1, "10.0.0.2")
	dial := func(network, addr string) net.Conn {
		t.Helper()
		var c net.Conn
		r.eventually(3*time.Second, func() error {
			return r.sw.Do(func() (err error) { c, err = net.DialTimeout(network, addr, time.Second); return err })
		})
		return c
	}
	doors := map[string]func() net.Conn{
		"db.sock":         func() net.Conn { return dial("unix", r.dir+"/db.sock") },
		"br0.mgmt":        func() net.Conn { return dial("unix", r.dir+"/br0.mgmt") },
		"ptcp controller": func() net.Conn { return dial("tcp4", "127.0.0.1:16655") },
	}
	garbage := map[string]string{
		"zeros":                   strings.Repeat("\x00", 4096),
		"text":                    strings.Repeat("GET / HTTP/1.1\r\n\r\n", 100),
		"deep JSON":               strings.Repeat("[", 100_000),
		"deep objects":            strings.Repeat(`{"a":`, 50_000),
		"unknown method":          `{"method":"frobnicate","params":[],"id":1}`,
		"odd transact":            `{"method":"transact","params":["Open_vSwitch",{"op":17},[],null],"id":{"a":1}}`,
		"half a message":          `{"method":"transact","params":["Open_vSw`,
		"OpenFlow length 0":       "\x04\x00\x00\x00\x00\x00\x00\x01",
		"OpenFlow length 7":       "\x04\x00\x00\x07\x00\x00\x00\x01",
		"OpenFlow hello, garbage": "\x04\x00\x00\x08\x00\x00\x00\x01\x04\x0e\x00\x20" + strings.Repeat("\xff", 28),
		"OpenFlow short flow_mod": "\x01\x00\x00\x08\x00\x00\x00\x01\x01\x0e\x00\x09\x00\x00\x00\x02\x00",
		"OpenFlow unknown type":   "\x01\x00\x00\x08\x00\x00\x00\x01\x01\xfe\x00\x08\x00\x00\x00\x02",
		"OpenFlow version 99":     "\x63\x00\x00\x08\x00\x00\x00\x01",
		"half a header":           "\x04\x00",
	}
	attack := func() {
		for door, open := range doors {
			for kind, bytes := range garbage {
				c := open()
				c.SetDeadline(time.Now().Add(100 * time.Millisecond))
				c.Write([]byte(bytes))
				io.Copy(io.Discard, io.LimitReader(c, 1<<20))
				if err := c.Close(); err != nil {
					t.Logf("%s, %s: %v", door, kind, err)
				}
			}
		}
	}
	attack() // buffers and pools have their size now
	before, _ := r.rss()
	var open []net.Conn
	for _, door := range doors { // half-open: connected, and silent
		for range 10 {
			open = append(open, door())
		}
	}
	for range 2 {
		attack()
	}
	r.reaches(h1, "10.0.0.2")
	if _, err := r.try("ovs-vsctl", "--timeout=5", "show"); err != nil {
		t.Error(err)
	}
	if _, err := r.try("ovs-ofctl", "dump-flows", "br0"); err != nil {
		t.Error(err)
	}
	for _, c := range open {
		c.Close()
	}
	r.eventually(5*time.Second, func() error {
		if after, _ := r.rss(); after > before+16<<20 {
			return fmt.Errorf("resident memory grew from %d to %d kB", before>>10, after>>10)
		}
		return nil
	})
	// Thousands of lines would be an attack of their own.
	out, err := exec.Command("wc", "-c", r.dir+"/weir.log").Output()
	if err != nil {
		t.Fatal(err)
	}
	var size int
	fmt.Sscan(string(out), &size)
	if size > 256<<10 && !*stock {
		t.Errorf("the log has %d bytes", size)
	}
}
