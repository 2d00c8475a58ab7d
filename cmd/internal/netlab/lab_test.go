// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two stations on the ends of a veth pair reach each other in their VLAN and
// not across, and nothing is left when the lab is closed.
func TestStations(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	l, err := New("weirlabtest")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if left, err := Left(l.Prefix()); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}()
	a, err := l.Namespace("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Namespace("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Veth(a, "eth0", b, "eth0"); err != nil {
		t.Fatal(err)
	}
	station := func(n *Namespace, vid uint16, addr string) *Station {
		t.Helper()
		s, err := n.Station("eth0", vid, netip.MustParseAddr(addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s10 := station(a, 10, "10.9.0.1")
	station(b, 10, "10.9.0.2")
	station(b, 20, "10.9.0.3")
	if err := s10.Ping(netip.MustParseAddr("10.9.0.2"), 2*time.Second); err != nil {
		t.Error(err)
	}
	if err := s10.Ping(netip.MustParseAddr("10.9.0.3"), 300*time.Millisecond); err == nil {
		t.Error("a station in VLAN 10 reached one in VLAN 20")
	}
}

func TestCommandRunsInside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	l, err := New("weirlabtest")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n, err := l.Namespace("c")
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.Command("ip", "-o", "link").CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "lo:") {
		t.Errorf("links in a new namespace: %q, %v; want lo alone", out, err)
	}
	p, err := Start(n.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// Sweep removes what dead labs left, and nothing else.
func TestSweep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("weirsweep-%d-x", gone.Process.Pid)
	alive := fmt.Sprintf("weirsweep-%d-x", os.Getpid())
	odd := "weirsweep-x-y"
	for _, n := range []string{dead, alive, odd} {
		if err := ip("netns", "add", n); err != nil {
			t.Fatal(err)
		}
	}
	Sweep("weirsweep")
	left, err := Left("weirsweep")
	if err != nil || len(left) != 2 || slices.Contains(left, dead) {
		t.Errorf("left after Sweep: %v, %v", left, err)
	}
	for _, n := range left {
		if err := ip("netns", "del", n); err != nil {
			t.Error(err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	m := mac{2, 0, 0, 0, 0, 1}
	x, y := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	f.Add(arp{op: arpRequest, sha: m, spa: x, tpa: y}.frame(broadcast, 1)[tagHeader:])
	f.Add(echo{typ: icmpEcho, src: x, dst: y, data: []byte("abc")}.frame(m, m, 1)[tagHeader:])
	f.Fuzz(func(t *testing.T, b []byte) {
		// Property: what parses, prints to a frame that parses to the same.
		if a, ok := parseARP(b); ok {
			if again, ok := parseARP(a.frame(broadcast, 1)[ethHeader+tagHeader:]); !ok || again != a {
				t.Errorf("%+v became %+v", a, again)
			}
		}
		if e, ok := parseEcho(b); ok {
			again, ok := parseEcho(e.frame(m, m, 1)[ethHeader+tagHeader:])
			if !ok || again.typ != e.typ || again.src != e.src || again.dst != e.dst ||
				again.id != e.id || again.seq != e.seq || string(again.data) != string(e.data) {
				t.Errorf("%+v became %+v", e, again)
			}
		}
	})
}
