// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/fwtest"
)

// loadLoop makes dsa_loop's chip in the place of the board's: it names its ports as that does, lan1 to lan4, and binds to a
// device called eth0.
const loadLoop = "for i in 1 2 3 4; do ip link set lan$i name sw$i || exit 1; done; " +
	"ip link add eth0 type veth peer name eth0x && insmod /lib/modules/tag_none.ko && insmod /lib/modules/dsa_loop.ko && ip link set eth0 up && ip link set eth0x up"

// TestStatus: what is told of a chip is what is so, driven by the stock tools.
//
// The emulated chip has one bridge: the ports of a second one, which the kernel would bridge in software, are
// standalone, with the driver's words, and take no harm from being tried again. It has no counters: none are told.
//
// Of dsa_loop's control plane: what the driver has in its VLAN table is what the configuration says, through
// every change, and what it refuses does not keep it from bridging.
func TestStatus(t *testing.T) {
	m, err := fwtest.Boot(t.Context(), fwtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("end of the console:\n" + m.Tail())
		}
	})
	r := &rig{T: t, ctx: ctx, m: m}
	r.served()
	sh, vsctl := func(command string) string { t.Helper(); return r.sh("%s", command) }, r.vsctl

	noCounters := func(port string) {
		t.Helper()
		stats := vsctl("--timeout=30", "wait-until", "interface", port, "statistics:cpu_rx_packets>=0", "--", "get", "interface", port, "statistics")
		if !strings.Contains(stats, "cpu_rx_packets=") || regexp.MustCompile(`[{ ][rt]x_`).MatchString(stats) {
			t.Errorf("statistics of %s: %s", port, stats)
		}
		vsctl("set-controller", "br0", m.ListenOpenFlow())
		ports, err := m.Ofctl(ctx, "dump-ports", port)
		if err != nil || !regexp.MustCompile(`rx pkts=\?, bytes=\?, drop=\?`).MatchString(ports) {
			t.Errorf("dump-ports: %v\n%s", err, ports)
		}
	}

	vsctl("add-br", "br0", "--", "add-port", "br0", "lan1", "tag=10", "--", "add-port", "br0", "lan2", "tag=10",
		"--", "add-br", "br1", "--", "add-port", "br1", "lan3", "--", "add-port", "br1", "lan4", "--", "set-controller", "br0", m.ListenOpenFlow())
	// Who has just added a port finds it standalone until its bridge's tables have been asked about it.
	sh("timeout 30 sh -c 'until [ $(weir offload show | grep -c -e \": bridged\" -e \"Offloading not supported\") = 4 ]; do sleep 0.1; done' || { weir offload show; false; }")
	for port, want := range map[string]string{
		"lan1": "bridged", "lan2": "bridged",
		"lan3": "Offloading not supported: the chip has one bridge, wchip-b", "lan4": "Offloading not supported: the chip has one bridge, wchip-b",
	} {
		mode := vsctl("get", "interface", port, "status:offload_mode")
		status := vsctl("get", "interface", port, "status")
		if want == "bridged" && (mode != "bridged\n" || strings.Contains(status, "offload_reason")) || want != "bridged" && (mode != "standalone\n" || !strings.Contains(status, want)) {
			t.Errorf("%s, want %s: %s", port, want, status)
		}
	}
	show := sh("weir offload show")
	t.Logf("%s", show)
	if strings.Count(show, ": bridged\n") != 2 || strings.Count(show, "Offloading not supported: the chip has one bridge") != 2 {
		t.Errorf("shown\n%s", show)
	}
	if text := sh("bridge vlan"); strings.Contains(text, "lan3") || !strings.Contains(text, "lan1") {
		t.Errorf("bridge vlan\n%s", text)
	}
	noCounters("lan1")
	// The bridge's own address is behind the leg. The patched driver has it and does not say so; dsa_loop has no
	// table of addresses. Weir cannot tell these apart, and says what it knows.
	talk := "ip link set br0 up && ip addr add 192.0.2.1/24 dev br0 && (ping -c1 -W1 192.0.2.2 >/dev/null; true)"
	unconfirmed := "timeout 30 sh -c 'until weir offload show | grep -q \"the driver has not confirmed 1 of 1 addresses behind the leg\"; do sleep 0.1; done' || { bridge fdb; weir offload show; false; }"
	vsctl("del-br", "br1", "--", "set", "port", "br0", "tag=10")
	sh(talk)
	sh(unconfirmed)
	vsctl("del-br", "br0")

	sh(loadLoop)
	// vlans is what `bridge vlan` shows of the chip's ports, and how many VLANs the driver has.
	vlans := func() (string, int, int) {
		t.Helper()
		var list []struct {
			Ifname string
			VLANs  []struct {
				VLAN, VLANEnd int
				Flags         []string
			}
		}
		if err := json.Unmarshal([]byte(sh("bridge -json vlan")), &list); err != nil {
			t.Fatal(err)
		}
		var lines []string
		all := map[int]bool{}
		for _, p := range list {
			var vs []string
			for _, v := range p.VLANs {
				for vid := v.VLAN; vid <= max(v.VLAN, v.VLANEnd); vid++ {
					all[vid] = true
					vs = append(vs, strings.TrimSpace(fmt.Sprint(vid, " ", strings.ReplaceAll(strings.ToLower(strings.Join(v.Flags, " ")), "egress ", ""))))
				}
			}
			if strings.HasPrefix(p.Ifname, "lan") {
				lines = append(lines, p.Ifname+": "+strings.Join(vs, ", "))
			}
		}
		slices.Sort(lines)
		shown := sh("devlink resource show mdio_bus/fixed-0:1f")
		f := regexp.MustCompile(`name VTU .*occ (\d+)`).FindStringSubmatch(shown)
		if f == nil {
			t.Fatalf("no VTU in\n%s", shown)
		}
		used := 0
		fmt.Sscan(f[1], &used)
		return strings.Join(lines, "\n"), len(slices.Collect(maps.Keys(all))), used
	}
	_, _, empty := vlans() // what the driver has for itself

	vsctl("add-br", "br0", "--", "add-port", "br0", "lan1", "tag=10", "--", "add-port", "br0", "lan2", "tag=20",
		"--", "add-port", "br0", "lan3", "trunks=10,20,30", "--", "add-port", "br0", "lan4", "tag=20", "vlan_mode=native-untagged", "trunks=10,20")
	sh("timeout 30 sh -c 'until [ $(weir offload show | grep -c \": bridged\") = 4 ]; do sleep 0.1; done' || { weir offload show; false; }")
	for _, step := range []struct {
		change []string
		want   string
	}{
		{nil, "lan1: 10 pvid untagged\nlan2: 20 pvid untagged\nlan3: 10, 20, 30\nlan4: 10, 20 pvid untagged"},
		{[]string{"set", "port", "lan1", "tag=40"}, "lan1: 40 pvid untagged\nlan2: 20 pvid untagged\nlan3: 10, 20, 30\nlan4: 10, 20 pvid untagged"},
		{[]string{"clear", "port", "lan1", "tag", "--", "set", "port", "lan1", "trunks=0,30"}, "lan1: 30, 3071 pvid untagged\nlan2: 20 pvid untagged\nlan3: 10, 20, 30\nlan4: 10, 20 pvid untagged"},
		{[]string{"del-port", "lan4", "--", "clear", "port", "lan1", "trunks", "--", "set", "port", "lan1", "tag=10"}, "lan1: 10 pvid untagged\nlan2: 20 pvid untagged\nlan3: 10, 20, 30"},
	} {
		if step.change != nil {
			vsctl(step.change...)
		}
		text, n, used := vlans()
		if text != step.want {
			t.Errorf("after %v\n%s\nwant\n%s", step.change, text, step.want)
		}
		if used-empty != n && used != n {
			t.Errorf("after %v the driver has %d VLANs, %d of them its own; the bridge %d", step.change, used, empty, n)
		}
		t.Logf("%d VLANs in the bridge, %d in the driver (%d before)", n, used, empty)
	}
	// lan4 is gone; the others are bridged, and what the driver cannot do is no reason against it.
	show = sh("weir offload show")
	for _, p := range []string{"lan1", "lan2", "lan3"} {
		if got := vsctl("get", "interface", p, "status:offload_mode"); got != "bridged\n" {
			t.Errorf("%s is %s\n%s", p, got, show)
		}
	}
	if strings.Contains(show, "lan4") || !strings.Contains(show, "kernel bridge wchip-b") {
		t.Errorf("shown\n%s", show)
	}
	t.Logf("%s", show)

	// The driver shows no counters: nothing is made up, and the CPU's share is called that.
	noCounters("lan1")

	vsctl("set", "port", "br0", "tag=10")
	sh(talk)
	sh(unconfirmed)

	// The operator's no goes to the port at once, and all is given back.
	vsctl("set", "open_vswitch", ".", "other_config:hw-offload-bridge=false")
	if text, _, used := vlans(); text != "" || used != empty {
		t.Errorf("given up, and %q is left, %d VLANs", text, used)
	}
}
