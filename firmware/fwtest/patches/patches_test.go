// SPDX-License-Identifier: Apache-2.0

package patches

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/fwtest"
)

func TestPatches(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	m, err := fwtest.Boot(ctx, fwtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer func() {
		if t.Failed() {
			t.Log("end of the console:\n" + m.Tail())
		}
	}()
	r := &rig{T: t, ctx: ctx, m: m}
	r.sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
	for _, p := range ports {
		r.sh("echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6; ip link set %s down nomaster", p, p)
	}

	r.run("VLANs", (*rig).vlans)
	r.run("flood flags", (*rig).floodFlags)
	r.run("addresses", (*rig).addresses)
	r.run("port states", (*rig).portStates)
	r.run("one bridge", (*rig).oneBridge)
	r.run("standalone", (*rig).standalone)
	r.run("flower", (*rig).flower)
	r.run("flower and bridge", (*rig).flowerAndBridge)

	for _, bad := range []string{"BUG:", "WARNING:", "Oops", "rocker: probe of"} {
		if text := r.sh("dmesg"); strings.Contains(text, bad) {
			r.Errorf("the kernel's log has %q:\n%s", bad, text)
		}
	}
}

// bridge makes a bridge of the chip's ports: lan1 and lan2 access ports of VLAN 10,
// lan3 a trunk of 10 and 20, lan4 an access port of 20. It returns what undoes it and
// checks that nothing stays in the chip.
func (r *rig) bridge() func() {
	r.Helper()
	before := r.tables()
	undo := r.join()
	return func() {
		r.Helper()
		undo()
		r.clean(before)
	}
}

// join is bridge without the check.
func (r *rig) join() func() {
	r.Helper()
	r.sh("ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0 && ip link set br0 up")
	for _, p := range ports {
		r.sh("ip link set %s master br0 && ip link set %s up", p, p)
	}
	r.sh(`bridge vlan add vid 10 dev lan1 pvid untagged && bridge vlan add vid 10 dev lan2 pvid untagged &&
		bridge vlan add vid 10 dev lan3 && bridge vlan add vid 20 dev lan3 && bridge vlan add vid 20 dev lan4 pvid untagged`)
	for i, p := range ports {
		r.state(p, uint32(i+1), 3)
	}
	return func() {
		r.Helper()
		for _, p := range ports {
			r.sh("ip link set %s nomaster && ip link set %s down", p, p)
		}
		r.sh("ip link del br0")
	}
}

// state waits until a port is in a state (3: forwarding) and the chip has heard of it:
// the kernel tells it later. A port that does not forward has an entry that drops.
func (r *rig) state(port string, number uint32, state int) {
	r.Helper()
	r.until(fmt.Sprintf("%s to be in state %d", port, state), func() (bool, string) {
		now := strings.TrimSpace(r.sh("cat /sys/class/net/%s/brport/state", port))
		if now != fmt.Sprint(state) {
			return false, "it is in " + now
		}
		blocked := slices.ContainsFunc(r.flows(), func(f fwtest.RockerFlow) bool {
			return f.Key.Table == 60 && f.Key.Priority == 0x20000000 && *f.Key.InPort == number
		})
		return blocked == (state != 3), fmt.Sprintf("blocked in the chip: %v", blocked)
	})
}

// up brings standalone ports up and waits until the chip lets frames in.
func (r *rig) up(names ...string) {
	r.Helper()
	for _, p := range names {
		r.sh("ip link set %s up", p)
		r.until(p+" to be up", func() (bool, string) {
			now := strings.TrimSpace(r.sh("cat /sys/class/net/%s/operstate", p))
			return now == "up", now
		})
	}
}

// teach lets a port say an address and waits until the chip knows it.
func (r *rig) teach(in string, port uint32, f frame, mac string, vlan uint16) {
	r.Helper()
	if err := r.m.Port(in).Send(f); err != nil {
		r.Fatal(err)
	}
	r.learned(mac, vlan, group(vlan, port))
}

func (r *rig) vlans() {
	defer r.bridge()()
	f := eth(broadcast, macA, untested)
	r.inject("broadcast", "lan1", f, want{"lan2": {f}, "lan3": {f.tag(10, 0)}}, 1)
	r.learned(macA, 10, group(10, 1))
	f = eth(macA, macB, untested)
	r.inject("to a learned address", "lan2", f, all(f, "lan1"), 0)
	r.learned(macB, 10, group(10, 2))
	f = eth(macA, macC, untested)
	r.inject("from the trunk", "lan3", f.tag(10, 0), all(f, "lan1"), 0)
	r.learned(macC, 10, group(10, 3))
	f = eth(macC, macA, untested)
	r.inject("to the trunk", "lan1", f, all(f.tag(10, 0), "lan3"), 0)
	f = eth(broadcast, macC, untested)
	r.inject("broadcast in another VLAN", "lan3", f.tag(20, 0), all(f, "lan4"), 1)
	r.inject("no tag, no PVID", "lan3", f, nil, 0)
	r.inject("a VLAN that the port is not in", "lan3", f.tag(30, 0), nil, 0)
	r.inject("a VLAN of the driver's own", "lan3", f.tag(3840, 0), nil, 0)
	for what, f := range map[string]frame{
		"IPv6 multicast": eth("33:33:00:00:00:01", macA, 0x86dd, make([]byte, 60)...),
		"IPv4 multicast": eth("01:00:5e:00:00:fb", macA, 0x0800, ipv4(17, 0)...),
	} {
		r.inject(what, "lan1", f, want{"lan2": {f}, "lan3": {f.tag(10, 0)}}, 1)
	}
	f = eth(linkLocal, macA, untested)
	r.inject("link-local", "lan1", f, nil, 1)
	r.inject("link-local, no PVID", "lan3", f, nil, 1)

	f = eth(macA, macC, untested)
	r.inject("with a priority, by the CPU", "lan3", f.tag(10, 5), all(f, "lan1"), 1)
	f = eth(macB, macA, untested)
	r.inject("priority tag without VLAN, by the CPU", "lan1", f.tag(0, 3), all(f, "lan2"), 1)

	r.sh("bridge vlan add vid 30 dev lan3 pvid && bridge vlan add vid 30 dev lan4")
	f = eth(broadcast, macC, untested)
	r.inject("PVID, native tagged", "lan3", f, all(f.tag(30, 0), "lan4"), 1)
	r.learned(macC, 30, group(30, 3))
	f = eth(macC, macD, untested)
	r.inject("to it", "lan4", f.tag(30, 0), all(f.tag(30, 0), "lan3"), 0)
	r.sh("bridge vlan add vid 30 dev lan3 pvid untagged")
	r.inject("PVID, native untagged", "lan4", f.tag(30, 0), all(f, "lan3"), 0)
	r.sh("bridge vlan add vid 30 dev lan3")
	f = eth(broadcast, macC, untested)
	r.inject("PVID taken away", "lan3", f, nil, 0)
	r.sh("bridge vlan del vid 30 dev lan3 && bridge vlan del vid 30 dev lan4")
	r.inject("VLAN taken away", "lan3", f.tag(30, 0), nil, 0)

	r.sh("ip link set br0 type bridge vlan_filtering 0 && ip link set br0 type bridge vlan_filtering 1")
	f = eth(macB, macA, untested)
	r.inject("filtering off and on", "lan1", f, all(f, "lan2"), 0)
	r.refused("", "bridge vlan add vid 3900 dev lan1")
}

func (r *rig) floodFlags() {
	defer r.bridge()()
	for _, k := range []struct{ flag, to string }{
		{"flood", unknown}, {"mcast_flood", "33:33:00:00:00:42"}, {"bcast_flood", broadcast},
	} {
		r.sh("bridge link set dev lan2 %s off", k.flag)
		for _, to := range []string{unknown, "33:33:00:00:00:42", broadcast} {
			f := eth(to, macA, untested)
			w := all(f.tag(10, 0), "lan3")
			if to != k.to {
				w["lan2"] = []frame{f}
			}
			r.inject(k.flag+" off, to "+to, "lan1", f, w, 1)
		}
		r.sh("bridge link set dev lan2 %s on", k.flag)
	}
	r.refused("bridge flag offload is not supported", "bridge link set dev lan2 isolated on")

	r.sh("bridge link set dev lan2 learning off")
	f := eth(broadcast, macD, untested)
	r.inject("learning off", "lan2", f, want{"lan1": {f}, "lan3": {f.tag(10, 0)}}, 1)
	f = eth(macD, macA, untested)
	r.inject("to an address not learned", "lan1", f, want{"lan2": {f}, "lan3": {f.tag(10, 0)}}, 1)
	r.sh("bridge link set dev lan2 learning on")
}

// Addresses that move, and that are behind a port of the bridge that is not the chip's.
func (r *rig) addresses() {
	defer r.bridge()()
	f := eth(broadcast, macA, untested)
	r.teach("lan1", 1, f, macA, 10)
	to := eth(macA, macC, untested)
	r.inject("before the move", "lan3", to.tag(10, 0), all(to, "lan1"), 0)
	if err := r.m.Port("lan2").Send(f); err != nil {
		r.Fatal(err)
	}
	r.learned(macA, 10, group(10, 2))
	r.inject("after the move", "lan3", to.tag(10, 0), all(to, "lan2"), 0)

	r.sh("bridge fdb add %s dev lan2 vlan 10 master static", macB)
	r.learned(macB, 10, group(10, 2))
	if out := r.sh("bridge fdb show br br0"); !strings.Contains(out, macB+" dev lan2 vlan 10 offload master br0 static") {
		r.Errorf("the static entry is not marked as offloaded:\n%s", out)
	}
	to = eth(macB, macC, untested)
	r.inject("to a static entry", "lan3", to.tag(10, 0), all(to, "lan2"), 0)
	r.sh("bridge fdb del %s dev lan2 vlan 10 master", macB)

	r.sh("ip link add leg type veth peer name far && ip link set far up && ip link set leg up master br0 && bridge vlan add vid 10 dev leg")
	r.sh("bridge fdb add %s dev leg vlan 10 master static", macD)
	r.learned(macD, 10, cpuGroup)
	to = eth(macD, macC, untested)
	r.inject("behind the leg", "lan3", to.tag(10, 0), nil, 1)
	r.sh("bridge fdb del %s dev leg vlan 10 master", macD)
	r.until("the entry to go", func() (bool, string) {
		for _, s := range r.tables() {
			if strings.HasSuffix(s, "to "+macD) {
				return false, s
			}
		}
		return true, ""
	})
	r.inject("no longer behind the leg", "lan3", to.tag(10, 0), all(to, "lan1", "lan2"), 1)
	r.sh("ip link del leg")
}

func (r *rig) portStates() {
	defer r.bridge()()
	r.teach("lan2", 2, eth(broadcast, macB, untested), macB, 10)
	r.teach("lan3", 3, eth(broadcast, macC, untested).tag(10, 0), macC, 10)
	f := eth(broadcast, macB, untested)
	// The kernel leaves the states to user space where this program says so.
	r.sh(`mkdir -p /sbin && printf '#!/bin/sh\nexit 0\n' >/sbin/bridge-stp && busybox chmod 755 /sbin/bridge-stp && ip link set br0 type bridge stp_state 1`)
	for i := range ports {
		r.sh("bridge link set dev %s state 3", ports[i])
		r.state(ports[i], uint32(i+1), 3)
	}
	for _, state := range []int{4, 1, 2} { // blocking, listening, learning
		r.sh("bridge link set dev lan2 state %d", state)
		r.state("lan2", 2, state)
		r.inject(fmt.Sprintf("into a port in state %d", state), "lan2", f, nil, 0)
		g := eth(broadcast, macC, untested)
		r.inject(fmt.Sprintf("out of a port in state %d", state), "lan3", g.tag(10, 0), all(g, "lan1"), 1)
		r.inject(fmt.Sprintf("link-local in state %d", state), "lan2", eth(linkLocal, macB, untested), nil, 1)
	}
	r.sh("bridge link set dev lan2 state 3")
	r.state("lan2", 2, 3)
	r.inject("forwarding again", "lan2", f, want{"lan1": {f}, "lan3": {f.tag(10, 0)}}, 1)
	r.sh("ip link set lan2 down")
	f = eth(broadcast, macA, untested)
	r.inject("others, with a port down", "lan1", f, all(f.tag(10, 0), "lan3"), 1)
	r.sh("ip link set lan2 up")
}

func (r *rig) oneBridge() {
	defer r.bridge()()
	r.sh("ip link set lan4 nomaster && ip link add br1 type bridge vlan_filtering 1 && ip link set br1 up")
	res, err := r.m.Run(r.ctx, "ip link set lan4 master br1")
	if err != nil {
		r.Fatal(err)
	}
	if res.Code != 0 || !strings.Contains(res.Out+res.Err, "the chip has one bridge, br0") {
		r.Errorf("a port of a second bridge: %v", res)
	}
	f := eth(broadcast, macD, untested)
	r.until("the second bridge to get frames", func() (bool, string) { return len(r.catchAll(4)) == 2, "no catch-all" })
	r.inject("into a second bridge", "lan4", f, nil, 1)
	r.sh("ip link del br1")
}

// catchAll are the entries that send all that a port receives to the CPU.
func (r *rig) catchAll(port uint32) []fwtest.RockerFlow {
	r.Helper()
	var out []fwtest.RockerFlow
	for _, f := range r.flows() {
		if f.Key.Table == 60 && (f.Key.Priority == 4 || f.Key.Priority == 5) && *f.Key.InPort == port {
			out = append(out, f)
		}
	}
	return out
}

func (r *rig) standalone() {
	r.up("lan1")
	defer r.sh("ip link set lan1 down")
	before := r.tables()
	f := eth(unknown, macA, untested)
	r.inject("not for us", "lan1", f, nil, 0)
	r.sh("ip link set lan1 promisc on")
	r.until("the catch-all", func() (bool, string) { return len(r.catchAll(1)) == 2, "not there" })
	r.inject("promiscuous", "lan1", f, nil, 1)
	r.inject("promiscuous, tagged", "lan1", f.tag(77, 3), nil, 1)
	r.inject("promiscuous, IPv6", "lan1", eth(unknown, macA, 0x86dd, make([]byte, 60)...), nil, 1)
	r.inject("promiscuous, a VLAN of the driver's own", "lan1", f.tag(3840, 0), nil, 0)
	r.sh("ip link set lan1 promisc off")
	r.clean(before)
}

// ipv4 is a header with a protocol and a TOS byte, and 26 bytes.
func ipv4(proto, tos byte) []byte {
	h := []byte{0x45, tos, 0, 46, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	return append(h, make([]byte, 26)...)
}

func (r *rig) flower() {
	for _, p := range ports {
		r.sh("tc qdisc add dev %s clsact", p)
	}
	r.up(ports...)
	defer func() {
		for _, p := range ports {
			r.sh("tc qdisc del dev %s clsact && ip link set %s down", p, p)
		}
	}()
	before := r.tables()
	rule := func(pref int, spec string) {
		r.Helper()
		r.sh("tc filter add dev lan1 ingress pref %d %s", pref, spec)
	}
	clear := func() {
		r.Helper()
		r.sh("tc filter del dev lan1 ingress")
		r.clean(before)
	}
	const redirect = " action mirred egress redirect dev lan2"

	type check struct {
		what string
		f    frame
		out  want
		cpu  int
	}
	f := eth(macB, macA, untested)
	bc := eth(broadcast, macA, untested)
	rewritten := eth("02:00:00:00:00:52", "02:00:00:00:00:51", untested)
	udp, tcp := eth(macB, macA, 0x0800, ipv4(17, 0xb8)...), eth(macB, macA, 0x0800, ipv4(6, 0xb8)...)
	for _, k := range []struct {
		what   string
		rules  []string
		checks []check
	}{
		{"redirect", []string{"protocol all flower skip_sw dst_mac " + macB + redirect}, []check{
			{"untagged", f, all(f, "lan2"), 0},
			{"tagged", f.tag(55, 6), all(f.tag(55, 6), "lan2"), 0},
			{"others", bc, nil, 0},
		}},
		{"masked address", []string{"protocol all flower skip_sw dst_mac 02:00:00:00:00:08/ff:ff:ff:ff:ff:f8" + redirect}, []check{
			{"in", f, all(f, "lan2"), 0},
			{"out", eth("02:00:00:00:00:01", macA, untested), nil, 0},
		}},
		{"priorities", []string{
			"protocol all flower skip_sw dst_mac " + macB + " src_mac " + macC + " action drop",
			"protocol all flower skip_sw dst_mac " + macB + redirect,
		}, []check{
			{"the better one drops", eth(macB, macC, untested), nil, 0},
			{"the other redirects", f, all(f, "lan2"), 0},
		}},
		{"several outputs", []string{"protocol all flower skip_sw action mirred egress mirror dev lan2 action mirred egress mirror dev lan3 action mirred egress redirect dev lan4"}, []check{
			{"untagged", bc, all(bc, "lan2", "lan3", "lan4"), 0},
			{"tagged", bc.tag(9, 1), all(bc.tag(9, 1), "lan2", "lan3", "lan4"), 0},
		}},
		{"trap", []string{"protocol all flower skip_sw dst_mac " + macB + " action trap"}, []check{
			{"untagged", f, nil, 1}, {"tagged", f.tag(9, 0), nil, 1}, {"others", eth(macD, macA, untested), nil, 0},
		}},
		{"push", []string{"protocol 0x88b5 flower skip_sw action vlan push id 100 priority 3" + redirect}, []check{
			{"untagged", f, all(f.tag(100, 3), "lan2"), 0}, {"tagged", f.tag(5, 0), nil, 0},
		}},
		{"pop", []string{"protocol 802.1Q flower skip_sw vlan_id 100 action vlan pop" + redirect}, []check{
			{"its VLAN", f.tag(100, 2), all(f, "lan2"), 0}, {"another", f.tag(101, 0), nil, 0}, {"untagged", f, nil, 0},
		}},
		{"VLAN and priority", []string{"protocol 802.1Q flower skip_sw vlan_id 100 vlan_prio 5" + redirect}, []check{
			{"5", f.tag(100, 5), all(f.tag(100, 5), "lan2"), 0}, {"4", f.tag(100, 4), nil, 0},
		}},
		{"VLAN and type behind it", []string{"protocol 802.1Q flower skip_sw vlan_id 100 vlan_ethtype 0x88b5" + redirect}, []check{
			{"it", f.tag(100, 0), all(f.tag(100, 0), "lan2"), 0}, {"another type", eth(macB, macA, 0x88b6).tag(100, 0), nil, 0},
		}},
		{"set addresses", []string{"protocol all flower skip_sw dst_mac " + macB + " action pedit ex munge eth src set 02:00:00:00:00:51 munge eth dst set 02:00:00:00:00:52 pipe" + redirect}, []check{
			{"untagged", f, all(rewritten, "lan2"), 0}, {"tagged", f.tag(8, 0), all(rewritten.tag(8, 0), "lan2"), 0},
		}},
		{"IPv4 protocol and TOS", []string{"protocol ip flower skip_sw ip_proto udp ip_tos 0xb8/0xfc" + redirect}, []check{
			{"it", udp, all(udp, "lan2"), 0}, {"another protocol", tcp, nil, 0},
			{"another TOS", eth(macB, macA, 0x0800, ipv4(17, 0x20)...), nil, 0}, {"tagged", udp.tag(3, 0), nil, 0},
		}},
	} {
		r.run(k.what, func(r *rig) {
			for i, spec := range k.rules {
				rule(10+i, spec)
			}
			if out := r.sh("tc -s filter show dev lan1 ingress"); strings.Count(out, "in_hw in_hw_count 1") != len(k.rules) {
				r.Errorf("not in hardware:\n%s", out)
			} else if !strings.Contains(out, "used_hw_stats disabled") {
				r.Errorf("counters that the chip does not have:\n%s", out)
			}
			for _, c := range k.checks {
				r.inject(k.what+", "+c.what, "lan1", c.f, c.out, c.cpu)
			}
			clear()
		})
	}

	for spec, words := range map[string]string{
		"protocol ip flower skip_sw dst_ip 10.0.0.1 action drop":                                          "Unsupported match key",
		"protocol ip flower skip_sw ip_proto tcp dst_port 80 action drop":                                 "Unsupported match key",
		"protocol ip flower skip_sw ip_proto icmp type 8 action drop":                                     "Unsupported match key",
		"protocol arp flower skip_sw arp_tip 10.0.0.1 action drop":                                        "Unsupported match key",
		"protocol ip flower skip_sw ip_ttl 1 action drop":                                                 "Unsupported match key ip_ttl",
		"protocol ip flower skip_sw ip_flags frag action drop":                                            "Unsupported match on control.flags",
		"protocol ipv6 flower skip_sw ip_proto tcp action drop":                                           "only of IPv4",
		"protocol 802.1Q flower skip_sw action drop":                                                      "only an exact VLAN ID",
		"protocol 802.1ad flower skip_sw vlan_id 5 action drop":                                           "only 802.1Q tags",
		"protocol 802.1Q flower skip_sw vlan_id 5 action vlan modify id 6" + redirect:                     "Unsupported VLAN modify",
		"protocol all flower skip_sw action vlan push id 3" + redirect:                                    "Unsupported VLAN push",
		"protocol all flower skip_sw action mirred egress redirect dev lo":                                "not a port of the chip",
		"protocol all flower skip_sw action mirred egress redirect dev lan1":                              "port of arrival",
		"protocol all flower skip_sw action mirred egress mirror dev lan2":                                "must end in drop, trap or redirect",
		"protocol all flower skip_sw action pass":                                                         "Unsupported action pass",
		"protocol all flower skip_sw action police rate 1mbit burst 10k drop":                             "the chip has no meters",
		"protocol all flower skip_sw action skbedit priority 3" + redirect:                                "Unsupported action",
		"protocol all flower skip_sw action pedit ex munge ip ttl set 5 pipe" + redirect:                  "",
		"protocol ip flower skip_sw action pedit ex munge ip ttl set 5 pipe" + redirect:                   "only Ethernet addresses",
		"protocol ip flower skip_sw action drop hw_stats immediate":                                       "the chip has no counters",
		"protocol all chain 1 flower skip_sw action drop":                                                 "only offload of chain 0",
		"protocol all matchall skip_sw action drop":                                                       "only flower",
		"protocol 802.1Q flower skip_sw vlan_id 3900 action drop":                                         "from 1 to 3839",
		"protocol all flower skip_sw action pedit ex munge eth dst set 00:00:00:00:00:00 pipe" + redirect: "not zero",
	} {
		r.refused(words, "tc filter add dev lan1 ingress pref 7 %s", spec)
	}
	clear()

	const parameters = "/sys/module/rocker/parameters"
	r.sh("echo 3 >%s/flower_rules", parameters)
	for i := range 3 {
		rule(100+i, fmt.Sprintf("protocol all flower skip_sw dst_mac 02:00:00:00:01:%02x action drop", i))
	}
	r.refused("The rule table is full: 3 rules", "tc filter add dev lan2 ingress pref 103 protocol all flower skip_sw action drop")
	clear()
	r.sh("echo 64 >%s/flower_rules && echo 0 >%s/flower", parameters, parameters)
	r.refused("Flower offload is turned off", "tc filter add dev lan1 ingress pref 1 protocol all flower skip_sw action drop")
	rule(1, "protocol all flower action drop")
	if out := r.sh("tc filter show dev lan1 ingress"); !strings.Contains(out, "not_in_hw") {
		r.Errorf("a rule without skip_sw should stay in software:\n%s", out)
	}
	clear()
	r.sh("echo 1 >%s/flower", parameters)
}

// Rules stay what they are while a port joins a bridge, gets a PVID and leaves again.
func (r *rig) flowerAndBridge() {
	before := r.tables()
	r.up("lan1", "lan2")
	r.sh("tc qdisc add dev lan1 clsact")
	r.sh("tc filter add dev lan1 ingress pref 10 protocol 0x88b6 flower skip_sw action mirred egress redirect dev lan2")
	r.sh("tc filter add dev lan1 ingress pref 11 protocol all flower skip_sw src_mac %s action drop", macD)
	matched, dropped := eth(macC, macA, 0x88b6), eth(broadcast, macD, untested)
	r.inject("standalone, redirect", "lan1", matched, all(matched, "lan2"), 0)
	r.inject("standalone, drop", "lan1", dropped, nil, 0)

	undo := r.join()
	r.teach("lan3", 3, eth(broadcast, macC, untested).tag(10, 0), macC, 10)
	r.inject("bridged, redirect", "lan1", matched, all(matched, "lan2"), 0)
	r.inject("bridged, drop", "lan1", dropped, nil, 0)
	f := eth(macC, macA, untested)
	r.inject("bridged, no rule", "lan1", f, all(f.tag(10, 0), "lan3"), 0)
	r.refused("port with a PVID", "tc filter add dev lan1 ingress pref 12 protocol 0x88b7 flower skip_sw action vlan push id 100 action mirred egress redirect dev lan2")
	r.refused("port with a PVID", "tc filter add dev lan1 ingress pref 12 protocol 802.1Q flower skip_sw vlan_id 10 action drop")
	r.sh("bridge vlan add vid 20 dev lan1 pvid untagged")
	r.inject("another PVID, redirect", "lan1", matched, all(matched, "lan2"), 0)
	r.inject("another PVID, drop", "lan1", dropped, nil, 0)
	r.sh("bridge vlan del vid 20 dev lan1")

	// A rule that needs a port without PVID, and a PVID that comes after it.
	r.sh("tc qdisc add dev lan3 clsact && tc filter add dev lan3 ingress pref 1 protocol 0x88b7 flower skip_sw action vlan push id 100 action mirred egress redirect dev lan2")
	f = eth(macB, macC, 0x88b7)
	r.inject("push, bridged without PVID", "lan3", f, all(f.tag(100, 0), "lan2"), 0)
	r.refused("", "bridge vlan add vid 10 dev lan3 pvid untagged")
	r.sh("tc qdisc del dev lan3 clsact")

	undo()
	r.up("lan1", "lan2")
	r.inject("standalone again, redirect", "lan1", matched, all(matched, "lan2"), 0)
	r.inject("standalone again, drop tagged", "lan1", dropped.tag(7, 0), nil, 0)
	r.sh("tc qdisc del dev lan1 clsact && ip link set lan1 down && ip link set lan2 down")
	r.clean(before)
}
