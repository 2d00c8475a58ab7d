// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/netlab"
)

// Hosts on access ports reach each other in their VLAN and not across, and
// ovs-vsctl returns at once although it waits for the switch.
func TestE2EAccessPorts(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, h2 := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.host("h3", "10.0.0.3/24")
		start := time.Now()
		r.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type="+r.dp, "--", "add-port", "br0", "h1", "tag=10")
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("ovs-vsctl took %v", d)
		} else {
			t.Logf("ovs-vsctl add-br, add-port: %v", d)
		}
		r.vsctl("add-port", "br0", "h2", "tag=10", "--", "add-port", "br0", "h3", "tag=20")
		r.reaches(h1, "10.0.0.2")
		r.reaches(h2, "10.0.0.1")
		r.separated(h1, "10.0.0.3")
		if got := r.vsctl("list-ports", "br0"); got != "h1\nh2\nh3\n" {
			t.Errorf("list-ports: %q", got)
		}
		show := r.vsctl("show")
		for _, want := range []string{"    Bridge br0\n", "        Port h1\n            tag: 10\n            Interface h1\n", "                type: internal\n"} {
			if !strings.Contains(show, want) {
				t.Errorf("no %q in show:\n%s", want, show)
			}
		}
		// A change of the tag moves the host.
		r.vsctl("set", "port", "h3", "tag=10")
		r.reaches(h1, "10.0.0.3")
		r.vsctl("set", "port", "h3", "tag=20")
		r.separated(h1, "10.0.0.3")
	})
}

func TestE2EStatusColumns(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1 := r.host("h1", "10.0.0.1/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "int0", "--", "set", "interface", "int0", "type=internal", "ofport_request=7")
		link, err := r.sw.Links().LinkByName("h1")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ iface, column, want string }{
			{"h1", "ofport", "1"},
			{"h1", "error", "[]"},
			{"h1", "ifindex", fmt.Sprint(link.Attrs().Index)},
			{"h1", "mac_in_use", link.Attrs().HardwareAddr.String()},
			{"h1", "admin_state", "up"},
			{"h1", "link_state", "up"},
			{"h1", "mtu", "1500"},
			{"h1", "duplex", "full"},
			{"h1", "link_speed", "10000000000"},
			{"int0", "ofport", "7"},
			{"int0", "mtu", "1500"},
			{"br0", "ofport", "65534"},
		} {
			r.eventually(3*time.Second, equals(func() string { return r.get("interface", c.iface, c.column) }, c.want))
		}
		if err := r.sw.Links().LinkSetDown(link); err != nil {
			t.Fatal(err)
		}
		r.eventually(3*time.Second, equals(func() string { return r.get("interface", "h1", "admin_state") }, "down"))
		if err := r.sw.Up("h1"); err != nil {
			t.Fatal(err)
		}
		r.eventually(3*time.Second, equals(func() string { return r.get("interface", "h1", "link_state") }, "up"))
		// The datapath id is the local port's MAC address under two zero bytes.
		id, hw := r.get("bridge", "br0", "datapath_id"), r.get("interface", "br0", "mac_in_use")
		if want := "0000" + strings.ReplaceAll(hw, ":", ""); id != want {
			t.Errorf("datapath_id %s, want %s", id, want)
		}
		r.vsctl("set", "bridge", "br0", "other_config:datapath-id=0123456789abcdef")
		r.eventually(3*time.Second, equals(func() string { return r.get("bridge", "br0", "datapath_id") }, "0123456789abcdef"))
		// The local port is a device that carries the host's own traffic.
		if err := r.sw.Up("br0"); err != nil {
			t.Fatal(err)
		}
		if err := r.sw.Address("br0", "10.0.0.254/24"); err != nil {
			t.Fatal(err)
		}
		r.reaches(h1, "10.0.0.254")
		r.eventually(12*time.Second, func() error {
			if s := r.get("interface", "h1", "statistics"); !regexp.MustCompile(`rx_packets=[1-9]`).MatchString(s) {
				return fmt.Errorf("statistics stay %s", s)
			}
			return nil
		})
		// Statistics are ephemeral: they never reach the medium.
		size := func() int64 {
			st, err := os.Stat(r.dir + "/conf.db")
			if err != nil {
				t.Fatal(err)
			}
			return st.Size()
		}
		before, stats := size(), r.get("interface", "h1", "statistics")
		r.reaches(h1, "10.0.0.254")
		r.eventually(12*time.Second, func() error {
			if r.get("interface", "h1", "statistics") == stats {
				return fmt.Errorf("statistics stay %s", stats)
			}
			return nil
		})
		if after := size(); after != before {
			t.Errorf("the database file grew from %d to %d bytes", before, after)
		}
	})
}

// A fake bridge is a VLAN of its parent with a local port of its own.
func TestE2EFakeBridge(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, h2 := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-br", "lan10", "br0", "10", "--", "add-port", "lan10", "h1", "--", "add-port", "br0", "h2")
		if got := r.vsctl("list-br"); got != "br0\nlan10\n" {
			t.Errorf("list-br: %q", got)
		}
		if err := r.sw.Up("lan10"); err != nil {
			t.Fatal(err)
		}
		if err := r.sw.Address("lan10", "10.0.0.254/24"); err != nil {
			t.Fatal(err)
		}
		r.reaches(h1, "10.0.0.254")
		r.separated(h2, "10.0.0.254")
		r.vsctl("del-br", "lan10")
		if _, err := r.sw.Links().LinkByName("lan10"); err == nil {
			t.Error("the fake bridge's device is there after del-br")
		}
	})
}

// Trunks carry tagged frames of their VLANs; the native VLAN is tagged or not.
func TestE2EVLANModes(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h10, h20 := r.host("h10", "10.0.0.10/24"), r.host("h20", "10.0.0.20/24")
		trunk := r.host("trunk", "10.0.0.200/24") // its kernel speaks untagged, the stations tagged
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h10", "tag=10", "--", "add-port", "br0", "h20", "tag=20", "--", "add-port", "br0", "trunk")
		station := func(vid uint16, addr string) *netlab.Station {
			s, err := trunk.Station("eth0", vid, netip.MustParseAddr(addr))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		s10, s20 := station(10, "10.0.0.11"), station(20, "10.0.0.21")
		a10, a20 := netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.0.0.20")
		in := func(s *netlab.Station, to netip.Addr, want bool) {
			t.Helper()
			wait := 2 * time.Second
			if !want {
				wait = 300 * time.Millisecond
			}
			if err := s.Ping(to, wait); (err == nil) != want {
				t.Errorf("station to %v: %v", to, err)
			}
		}
		in(s10, a10, true)
		in(s20, a20, true)
		in(s10, a20, false)
		r.reaches(h10, "10.0.0.11")
		r.separated(h10, "10.0.0.21")
		r.separated(h20, "10.0.0.200")

		t.Log("trunks=20: VLAN 10 is not carried any more")
		r.vsctl("set", "port", "trunk", "trunks=20")
		in(s10, a10, false)
		in(s20, a20, true)

		t.Log("native-untagged 10, trunks 20: untagged is VLAN 10")
		r.vsctl("set", "port", "trunk", "vlan_mode=native-untagged", "tag=10", "trunks=10,20")
		r.reaches(h10, "10.0.0.200")
		in(s20, a20, true)
		r.separated(h20, "10.0.0.200")

		t.Log("native-tagged 10: what leaves in VLAN 10 is tagged")
		r.vsctl("set", "port", "trunk", "vlan_mode=native-tagged")
		in(s10, a10, true)
		r.separated(h10, "10.0.0.200")
	})
}

func TestE2EDeletePortAndBridge(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2", "--", "add-port", "br0", "int0", "--", "set", "interface", "int0", "type=internal")
		r.reaches(h1, "10.0.0.2")
		if _, err := r.sw.Links().LinkByName("int0"); err != nil {
			t.Errorf("internal port: %v", err)
		}
		r.vsctl("del-port", "h2", "--", "del-port", "int0")
		r.separated(h1, "10.0.0.2")
		if _, err := r.sw.Links().LinkByName("int0"); err == nil {
			t.Error("the internal port's device is there after del-port")
		}
		r.vsctl("add-port", "br0", "h2")
		r.reaches(h1, "10.0.0.2")
		if got := r.get("interface", "h2", "ofport"); got == "2" && !*stock {
			t.Errorf("ofport %s is used again at once", got)
		}
		r.vsctl("del-br", "br0")
		r.separated(h1, "10.0.0.2")
		for _, name := range []string{"h1", "h2"} {
			link, err := r.sw.Links().LinkByName(name)
			if err != nil {
				t.Error(err)
			} else if link.Attrs().Promisc != 0 {
				t.Errorf("%s is promiscuous after del-br", name)
			}
			if filters := r.ingress(name); filters != "" {
				t.Errorf("on the ingress of %s after del-br: %s", name, filters)
			}
		}
		links, err := r.sw.Links().LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			switch name := l.Attrs().Name; name {
			case "lo", "h1", "h2", "ovs-netdev":
			default:
				t.Errorf("link %s is left behind", name)
			}
		}
	})
}

// ingress returns what is attached to the ingress of a device.
func (r *rig) ingress(dev string) string {
	out, _ := r.sw.Command("tc", "filter", "show", "dev", dev, "ingress").CombinedOutput()
	s := strings.TrimSpace(string(out))
	if _, err := exec.LookPath("bpftool"); err == nil {
		out, _ = r.sw.Command("bpftool", "net", "show", "dev", dev).CombinedOutput()
		for _, line := range strings.Split(string(out), "\n") {
			if strings.Contains(line, "ingress") {
				s += line
			}
		}
	}
	return s
}

func TestE2EPatchPorts(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.bridge("br1")
		r.vsctl("add-port", "br0", "h1", "--", "add-port", "br1", "h2")
		r.separated(h1, "10.0.0.2")
		r.vsctl("add-port", "br0", "p0", "--", "set", "interface", "p0", "type=patch", "options:peer=p1")
		if got, want := r.get("interface", "p0", "error"), "No usable peer 'p1' exists in '"+r.dp+"' datapath."; got != want {
			t.Errorf("error of a patch port without peer: %q, want %q", got, want)
		}
		r.vsctl("add-port", "br1", "p1", "--", "set", "interface", "p1", "type=patch", "options:peer=p0")
		r.eventually(3*time.Second, equals(func() string { return r.get("interface", "p0", "error") }, "[]"))
		r.reaches(h1, "10.0.0.2")
		if fdb := r.appctl("fdb/show", "br1"); strings.Count(fdb, "\n") < 3 {
			t.Errorf("br1 learned less than two addresses:\n%s", fdb)
		}
		r.vsctl("del-port", "p1")
		r.separated(h1, "10.0.0.2")
	})
}

// An interface without device has ofport -1 and the error text, works when
// the device appears, and goes the same way when it disappears.
func TestE2EMissingDevice(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1 := r.host("h1", "10.0.0.1/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1")
		out, err := exec.Command("env", "OVS_RUNDIR="+r.dir, "ovs-vsctl", "--timeout=5", "add-port", "br0", "late", "--", "add-port", "br0", "h9").CombinedOutput()
		if want := "Error detected while setting up 'late': could not open network device late (No such device)"; !strings.Contains(string(out), want) {
			t.Errorf("ovs-vsctl printed %q (%v), want %q", out, err, want)
		}
		const text = "could not open network device late (No such device)"
		if got := r.get("interface", "late", "ofport"); got != "-1" {
			t.Errorf("ofport %s, want -1", got)
		}
		if got := r.get("interface", "late", "error"); got != text {
			t.Errorf("error %q, want %q", got, text)
		}
		late := r.host("late", "10.0.0.2/24")
		if *stock {
			r.vsctl("set", "open_vswitch", ".", "external_ids:look=again") // stock looks when it is configured
		}
		r.eventually(3*time.Second, equals(func() string { return r.get("interface", "late", "error") }, "[]"))
		r.reaches(h1, "10.0.0.2")
		no := r.get("interface", "late", "ofport")
		if no == "-1" {
			t.Errorf("ofport %s", no)
		}
		if *stock {
			return // stock 3.1 does not say that a device has gone
		}
		if err := late.Delete("eth0"); err != nil {
			t.Fatal(err)
		}
		r.eventually(3*time.Second, equals(func() string { return r.get("interface", "late", "error") }, text))
		if got := r.get("interface", "late", "ofport"); got != "-1" {
			t.Errorf("ofport %s after the device has gone, want -1", got)
		}
		if err := r.lab.Veth(late, "eth0", r.sw, "late"); err != nil {
			t.Fatal(err)
		}
		if err := late.Address("eth0", "10.0.0.2/24"); err != nil {
			t.Fatal(err)
		}
		r.eventually(3*time.Second, equals(func() string { return r.get("interface", "late", "error") }, "[]"))
		if out, err := h1.Command("ip", "neigh", "flush", "dev", "eth0").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out) // the new device has another MAC address
		}
		r.reaches(h1, "10.0.0.2")
	})
}

// A restart keeps configuration and port numbers; internal ports keep their
// addresses.
func TestE2ERestart(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1 := r.host("h1", "10.0.0.1/24")
		r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "tag=10", "--", "set", "interface", "h1", "ofport_request=5",
			"--", "add-port", "br0", "int0", "tag=10", "--", "set", "interface", "int0", "type=internal")
		r.vsctl("add-port", "br0", "h2", "tag=10")
		if err := r.sw.Up("int0"); err != nil {
			t.Fatal(err)
		}
		if err := r.sw.Address("int0", "10.0.0.250/24"); err != nil {
			t.Fatal(err)
		}
		r.reaches(h1, "10.0.0.2")
		r.reaches(h1, "10.0.0.250")
		columns := func() string {
			return r.vsctl("--columns=name,ofport,type,mac_in_use", "list", "interface") + r.vsctl("--columns=name,tag", "list", "port") +
				r.vsctl("--columns=datapath_id", "list", "bridge") + r.vsctl("show")
		}
		before := columns()
		r.stop()
		for _, f := range []string{"db.sock", "br0.mgmt", "ovs-vswitchd.pid", "ovsdb-server.pid"} {
			if _, err := os.Lstat(r.dir + "/" + f); err == nil && !*stock {
				t.Errorf("%s is there after the daemon's end", f)
			}
		}
		r.start()
		r.eventually(5*time.Second, func() error { _, err := r.try("ovs-vsctl", "--timeout=5", "show"); return err })
		r.eventually(5*time.Second, equals(columns, before))
		r.reaches(h1, "10.0.0.2")
		r.reaches(h1, "10.0.0.250")
	})
}

func TestE2ESecondDaemonIsRefused(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	r := newRig(t, "netdev")
	cmd := r.sw.Command(weirBinary, "switchd", "--rundir", r.dir, "--db", r.dir+"/other.db")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprint(r.pid())) {
		t.Errorf("a second daemon in the run directory: %v, %q; want a refusal that names process %d", err, out, r.pid())
	}
	r.vsctl("show")
}

var operations = regexp.MustCompile(`reconcile_operations +total: (\d+)`)

// A change of the database that means nothing to the switch changes nothing in
// it, and neither does a flood of such changes.
func TestE2EIdempotent(t *testing.T) {
	if *stock {
		t.Skip("about our counters")
	}
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2", "--", "add-port", "br0", "int0", "--", "set", "interface", "int0", "type=internal")
		r.reaches(h1, "10.0.0.2")
		done := func() string {
			m := operations.FindStringSubmatch(r.appctl("coverage/show"))
			if m == nil {
				t.Fatalf("no count of operations in\n%s", r.appctl("coverage/show"))
			}
			return m[1]
		}
		before := done()
		_, missed := r.lookups()
		for i := range 5 {
			r.vsctl("set", "open_vswitch", ".", fmt.Sprintf("external_ids:test=%d", i))
		}
		if after := done(); after != before {
			t.Errorf("operations rose from %s to %s", before, after)
		}
		r.reaches(h1, "10.0.0.2")
		// At most what ARP and a learned address cost: the flows are still there.
		if _, now := r.lookups(); now > missed+4 {
			t.Errorf("%d packets came to user space: were the megaflows flushed?", now-missed)
		}
	})
}

// `weir demo --once` ends well and leaves nothing behind.
func TestE2EDemo(t *testing.T) {
	if *stock {
		t.Skip("about our demo")
	}
	needs(t, "ping")
	before, err := netlab.Left("weir-demo")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"demo", "--once"}, {"demo", "--once", "--soft"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		out, err := exec.CommandContext(ctx, weirBinary, args...).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("weir %v: %v\n%s", args, err, out)
		}
		for _, want := range []string{"access 10", "5 of 5 answered", "not answered, as it must be", "the first of each flow", "Bridge br0"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("weir %v: no %q in\n%s", args, want, out)
			}
		}
	}
	after, err := netlab.Left("weir-demo")
	if err != nil || len(after) != len(before) {
		t.Errorf("namespaces before %v, after %v (%v)", before, after, err)
	}
}

// A device that becomes a port is set up, so that a port works without another
// command; who sets it down afterwards is not overruled.
func TestE2EPortComesUp(t *testing.T) {
	if *stock {
		t.Skip("stock leaves that to the user")
	}
	r := newRig(t, "system")
	r.host("h1", "10.0.0.1/24")
	link := func(state string) {
		t.Helper()
		if out, err := r.sw.Command("ip", "link", "set", "h1", state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	state := func() string { return r.get("interface", "h1", "admin_state") }
	link("down")
	r.bridge("br0")
	r.vsctl("add-port", "br0", "h1")
	r.eventually(3*time.Second, equals(state, "up"))
	link("down")
	r.eventually(3*time.Second, equals(state, "down"))
	r.vsctl("set", "port", "h1", "tag=7")
	if got := state(); got != "down" {
		t.Errorf("admin_state %s after another change, want down", got)
	}
}
