// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// twoHosts is a switch with a bridge, br0, whose OpenFlow tables are empty,
// and hosts at ports 1 and 2.
func (r *rig) twoHosts() {
	r.t.Helper()
	r.bridge("br0")
	r.vsctl("set-fail-mode", "br0", "secure", "--", "add-port", "br0", "h1", "--", "add-port", "br0", "h2")
}

var packetCount = regexp.MustCompile(`n_packets=(\d+)`)

// packets returns the counter of the only flow that ovs-ofctl dump-flows
// prints for a match.
func (r *rig) packets(version, match string) int {
	r.t.Helper()
	out := r.ofctl("-O", version, "dump-flows", "br0", match)
	m := packetCount.FindAllStringSubmatch(out, -1)
	if len(m) != 1 {
		r.t.Fatalf("dump-flows %s: %d flows, want 1:\n%s", match, len(m), out)
	}
	n, _ := strconv.Atoi(m[0][1])
	return n
}

// Flows by hand, in both versions: show, add, counters, modify, delete.
func TestE2EFlows(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.twoHosts()
		for _, v := range []string{"OpenFlow10", "OpenFlow13"} {
			of := func(args ...string) string { t.Helper(); return r.ofctl(append([]string{"-O", v}, args...)...) }
			show := of("show", "br0")
			if v == "OpenFlow10" {
				for _, want := range []string{" 1(h1): addr:", " 2(h2): addr:", " LOCAL(br0): addr:", "n_tables:254, n_buffers:0", "OFPT_GET_CONFIG_REPLY"} {
					if !strings.Contains(show, want) {
						t.Errorf("%s show: no %q in\n%s", v, want, show)
					}
				}
			}
			if out := of("dump-flows", "br0"); strings.Contains(out, "n_packets") {
				t.Errorf("%s: a secure bridge has flows:\n%s", v, out)
			}
			r.separated(h1, "10.0.0.2")
			of("add-flow", "br0", "cookie=0x11,priority=10,in_port=h1,actions=output:h2")
			of("add-flow", "br0", "cookie=0x12,priority=10,in_port=2,icmp,nw_src=10.0.0.0/8,actions=1")
			of("add-flow", "br0", "cookie=0x13,priority=5,arp,actions=FLOOD")
			r.reaches(h1, "10.0.0.2")
			r.eventually(3*time.Second, func() error {
				if n := r.packets(v, "icmp,in_port=2"); n < 1 {
					return fmt.Errorf("%s: the ICMP flow counts %d packets", v, n)
				}
				return nil
			})
			of("mod-flows", "br0", "icmp,in_port=2,nw_src=10.0.0.0/8,actions=drop")
			r.separated(h1, "10.0.0.2")
			if n := r.packets(v, "icmp,in_port=2"); n < 1 {
				t.Errorf("%s: the counter is %d after mod-flows", v, n)
			}
			of("--strict", "del-flows", "br0", "priority=10,icmp,in_port=2,nw_src=10.0.0.0/8")
			of("del-flows", "br0", "cookie=0x13/-1")
			if out := of("dump-flows", "br0"); strings.Count(out, "n_packets") != 1 || !strings.Contains(out, "cookie=0x11,") {
				t.Errorf("%s: after two deletions:\n%s", v, out)
			}
			of("del-flows", "br0")
			for _, c := range []string{"dump-ports", "dump-tables", "dump-desc", "dump-aggregate", "dump-ports-desc"} {
				if out := of(c, "br0"); len(out) < 40 {
					t.Errorf("%s %s: %q", v, c, out)
				}
			}
		}
		// Port counters are those of the devices, errors included.
		ports := r.ofctl("-O", "OpenFlow13", "dump-ports", "br0", "h1")
		if m := regexp.MustCompile(`rx pkts=(\d+), bytes=(\d+), drop=\d+, errs=\d+`).FindStringSubmatch(ports); m == nil || m[1] == "0" || m[2] == "0" {
			t.Errorf("dump-ports:\n%s", ports)
		}
		// Rewrites and several tables.
		r.ofctl("-O", "OpenFlow13", "add-flow", "br0", "table=0,in_port=1,actions=push_vlan:0x8100,set_field:4196->vlan_vid,write_metadata:7,goto_table:3")
		r.ofctl("-O", "OpenFlow13", "add-flow", "br0", "table=3,metadata=7,dl_vlan=100,actions=pop_vlan,resubmit(,9)")
		r.ofctl("-O", "OpenFlow13", "add-flow", "br0", "table=9,actions=output:2")
		r.ofctl("add-flow", "br0", "in_port=2,actions=1")
		r.reaches(h1, "10.0.0.2")
		if out, err := r.try("ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "in_port=2,actions=group:77"); err == nil {
			t.Errorf("a flow with an unknown group is taken: %s", out)
		} else if !strings.Contains(err.Error(), "OFPBAC_BAD_OUT_GROUP") {
			t.Errorf("unknown group: %v, want OFPBAC_BAD_OUT_GROUP", err)
		}
	})
}

// A packet-out leaves at the port, what the switch sends to the controller
// arrives at a monitor, and flows end after their idle time.
func TestE2EPacketInOut(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, h2 := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.twoHosts()
		monitor, _ := r.background(exec.Command("ovs-ofctl", "-O", "OpenFlow13", "monitor", "br0", "65534", "--unixctl="+filepath.Join(r.dir, "m.ctl")))
		r.eventually(3*time.Second, func() error {
			_, err := r.try("ovs-appctl", "-t", filepath.Join(r.dir, "m.ctl"), "version")
			return err
		})

		r.ofctl("add-flow", "br0", "cookie=0xabc,in_port=1,icmp,actions=controller")
		r.ofctl("add-flow", "br0", "priority=1,arp,actions=NORMAL")
		time.Sleep(200 * time.Millisecond)
		r.separated(h1, "10.0.0.2")
		r.eventually(3*time.Second, contains(monitor, "_PACKET_IN", "(OF1.3)", "cookie=0xabc", "in_port=1", "(via action)", "icmp,", "nw_dst=10.0.0.2"))

		if _, err := h2.Links().LinkByName("eth0"); err != nil {
			t.Fatal(err)
		}
		received := func() uint64 {
			l, err := h2.Links().LinkByName("eth0")
			if err != nil {
				t.Fatal(err)
			}
			return l.Attrs().Statistics.RxPackets
		}
		for _, v := range []string{"OpenFlow10", "OpenFlow13"} {
			before := received()
			r.ofctl("-O", v, "packet-out", "br0", "in_port=controller,packet=ffffffffffff0200000000010800450000140000000040000000c0a80001c0a80002,actions=output:2")
			r.eventually(2*time.Second, func() error {
				if received() == before {
					return fmt.Errorf("%s: the packet-out did not arrive", v)
				}
				return nil
			})
		}
		r.ofctl("-O", "OpenFlow13", "add-flow", "br0", "cookie=0xdead,idle_timeout=1,send_flow_rem,udp,actions=drop")
		r.eventually(5*time.Second, contains(monitor, "OFPT_FLOW_REMOVED (OF1.3)", "reason=idle", "cookie:0xdead"))
		r.ofctl("-O", "OpenFlow13", "add-flow", "br0", "cookie=0xbeef,hard_timeout=1,send_flow_rem,tcp,actions=drop")
		r.eventually(5*time.Second, contains(monitor, "reason=hard", "cookie:0xbeef"))
		r.ofctl("add-flow", "br0", "cookie=0xfeed,send_flow_rem,sctp,actions=drop")
		r.ofctl("del-flows", "br0", "sctp")
		r.eventually(2*time.Second, contains(monitor, "reason=delete", "cookie:0xfeed"))
		r.vsctl("add-port", "br0", "int3", "--", "set", "interface", "int3", "type=internal")
		r.eventually(2*time.Second, contains(monitor, "OFPT_PORT_STATUS (OF1.3)", "ADD:", "int3"))
	})
}

func TestE2EAppctl(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "tag=10", "--", "add-port", "br0", "h2", "tag=10")
		r.reaches(h1, "10.0.0.2")
		link, err := h1.Links().LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		mac := link.Attrs().HardwareAddr.String()
		r.eventually(3*time.Second, contains(func() string { return r.appctl("fdb/show", "br0") }, " port  VLAN  MAC                Age\n    ", "  10  "+mac))
		if out := r.appctl("fdb/flush", "br0"); out != "table successfully flushed\n" {
			t.Errorf("fdb/flush: %q", out)
		}
		if out := r.appctl("fdb/show", "br0"); strings.Contains(out, mac) && !*stock {
			t.Errorf("fdb/show after fdb/flush:\n%s", out)
		}
		for cmd, want := range map[string]string{
			"version":                               "ovs-vswitchd (",
			"list-commands":                         "  fdb/show                bridge\n",
			"ofproto/list":                          "br0\n",
			"dpif/show":                             "    h1 1/",
			"fdb/stats-show br0":                    "Statistics for bridge \"br0\":",
			"upcall/show":                           "  flows         : (current ",
			"coverage/show":                         "Event coverage",
			"memory/show":                           ":",
			"vlog/list":                             "console",
			"bridge/dump-flows br0":                 "priority=0,actions=NORMAL",
			"vlog/set bridge:dbg":                   "",
			"dpctl/show":                            "lookups: hit:",
			"dpctl/dump-flows":                      "in_port(",
			"dpif/dump-flows br0":                   "in_port(",
			"-t ovsdb-server version":               "ovsdb-server (",
			"-t ovsdb-server list-commands":         "exit",
			"-t ovsdb-server ovsdb-server/list-dbs": "Open_vSwitch",
			"-t ovsdb-server ovsdb-server/list-remotes": "punix:",
		} {
			if *stock && strings.HasPrefix(cmd, "coverage") {
				continue // nothing to show that soon
			}
			if strings.HasSuffix(cmd, "dump-flows") || cmd == "dpif/dump-flows br0" {
				r.reaches(h1, "10.0.0.2")
			}
			if out := r.appctl(strings.Fields(cmd)...); !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", cmd, want, out)
			}
		}
		_, err = r.try("ovs-appctl", "no/such")
		if want := `"no/such" is not a valid command`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("unknown command: %v, want %q", err, want)
		}
		if _, err = r.try("ovs-appctl", "fdb/show", "nobr"); err == nil || !strings.Contains(err.Error(), "no such bridge") {
			t.Errorf("fdb/show of no bridge: %v", err)
		}
		r.appctl("exit")
		select {
		case <-r.procs[len(r.procs)-1].Done():
		case <-time.After(5 * time.Second):
			t.Error("the daemon runs 5 s after ovs-appctl exit")
		}
	})
}

func TestE2EDatabaseClient(t *testing.T) {
	r := newRig(t, "netdev")
	r.bridge("br0")
	if out := r.run("ovsdb-client", "list-dbs"); out != "Open_vSwitch\n_Server\n" && out != "_Server\nOpen_vSwitch\n" {
		t.Errorf("list-dbs: %q", out)
	}
	if out := r.run("ovsdb-client", "dump", "Open_vSwitch", "Bridge", "name", "datapath_type"); !strings.Contains(out, "netdev        br0") {
		t.Errorf("dump: %s", out)
	}
	if out := r.run("ovsdb-client", "get-schema-version", "Open_vSwitch"); out != "8.3.1\n" {
		t.Errorf("schema version: %q", out)
	}
	monitor, _ := r.background(exec.Command("ovsdb-client", "monitor", "unix:"+filepath.Join(r.dir, "db.sock"), "Open_vSwitch", "Bridge", "name"))
	r.eventually(3*time.Second, contains(monitor, "initial br0"))
	r.bridge("br1")
	r.eventually(3*time.Second, contains(monitor, "insert br1"))
	r.vsctl("del-br", "br0")
	r.eventually(3*time.Second, contains(monitor, "delete br0"))
}

// os-ken drives the switch: the first packets go through the controller, the
// ones behind them through the flows that it installed.
func TestE2ELearningController(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		const python = "/usr/bin/python3" // Debian's, which has Debian's modules
		if err := exec.Command(python, "-c", "import os_ken").Run(); err != nil {
			t.Skipf("needs python3-os-ken: %v", err)
		}
		app, err := filepath.Abs("testdata/learning_switch.py")
		if err != nil {
			t.Fatal(err)
		}
		h1, h2 := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.twoHosts()
		const port = "16653"
		out, _ := r.background(r.sw.Command(python, "-m", "os_ken.cmd.manager", "--ofp-tcp-listen-port", port, "--noverbose", app))
		r.vsctl("set-controller", "br0", "tcp:127.0.0.1:"+port)
		r.eventually(20*time.Second, func() error {
			if !strings.Contains(out(), "switch "+r.get("bridge", "br0", "datapath_id")) {
				return fmt.Errorf("the controller has not seen the switch:\n%s", out())
			}
			return nil
		})
		r.eventually(8*time.Second, equals(func() string { return r.get("controller", "br0", "is_connected") }, "true"))
		if show := r.vsctl("show"); !strings.Contains(show, "Controller \"tcp:127.0.0.1:"+port+"\"\n            is_connected: true") {
			t.Errorf("show:\n%s", show)
		}
		r.reaches(h1, "10.0.0.2")
		r.reaches(h2, "10.0.0.1")
		flows := r.ofctl("-O", "OpenFlow13", "dump-flows", "br0")
		if strings.Count(flows, "priority=1,in_port=") != 2 || !strings.Contains(flows, "CONTROLLER:65535") {
			t.Errorf("the controller's flows:\n%s", flows)
		}
		// With its flows in place the controller is not asked any more.
		miss := r.packets("OpenFlow13", "table=0,in_port=1")
		for range 3 {
			r.reaches(h1, "10.0.0.2")
		}
		r.eventually(3*time.Second, func() error {
			if n := r.packets("OpenFlow13", "table=0,in_port=1"); n < miss+3 {
				return fmt.Errorf("flow of port 1: %d packets, want %d more than %d", n, 3, miss)
			}
			return nil
		})
		r.vsctl("del-controller", "br0")
		r.eventually(3*time.Second, func() error {
			if strings.Contains(r.vsctl("show"), "Controller") {
				return fmt.Errorf("the controller is shown after del-controller")
			}
			return nil
		})
	})
}

// A bridge that listens for controllers takes ovs-ofctl on TCP.
func TestE2EPassiveController(t *testing.T) {
	r := newRig(t, "netdev")
	r.bridge("br0")
	r.vsctl("set-controller", "br0", "ptcp:16654:127.0.0.1")
	r.eventually(5*time.Second, func() error {
		out, err := r.sw.Command("ovs-ofctl", "show", "tcp:127.0.0.1:16654").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	door := filepath.Join(r.dir, "br0.controller")
	r.vsctl("set-controller", "br0", "punix:"+door)
	r.eventually(5*time.Second, func() error { _, err := r.try("ovs-ofctl", "show", "unix:"+door); return err })
	// A file elsewhere is not for a writer of the database to choose.
	other := filepath.Join(r.dir, "other.sock")
	r.vsctl("set-controller", "br0", "punix:"+other)
	if _, err := os.Lstat(other); err == nil {
		t.Error("a controller row made a socket under a name of its choice")
	}
	if _, err := os.Lstat(door); err == nil {
		t.Error("the socket of the former controller row is still there")
	}
	if got := r.get("controller", "br0", "status"); !*stock && !strings.Contains(got, "not allowed") {
		t.Errorf("the controller's status does not say why: %s", got)
	}
}
