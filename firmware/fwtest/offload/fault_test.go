// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestOthersWrite: another program changes the bridge; what is wanted is there again within 2 s.
func TestOthersWrite(t *testing.T) {
	r := newRig(t)
	n := base.on(chipPorts...)
	r.configure(n)
	all := func() string {
		return r.sh("for d in lan1 lan2 lan3 lan4 wchip-b wchip-i; do bridge vlan show dev $(ls /sys/class/net | grep $d); done; ip -o link show | grep -o 'lan.: .*master [^ ]*' | sed 's/<.*>.*master//'; ip -d link show lan1 | grep -o 'learning o[nf]*\\|flood o[nf]*'")
	}
	want := all()
	for _, c := range []string{
		"bridge vlan del vid 10 dev lan1",
		"bridge vlan add vid 20 dev lan1",
		"bridge vlan add vid 10 dev lan1 pvid",
		"bridge vlan del vid 10 dev $(ls /sys/class/net | grep wchip-b) self",
		"bridge vlan del vid 20 dev $(ls /sys/class/net | grep wchip-i)",
		"ip link set lan2 nomaster",
		"bridge link set dev lan1 learning off",
		"ip link del $(ls /sys/class/net | grep wchip-b)",
		"ip link del $(ls /sys/class/net | grep wchip-i)",
	} {
		var took time.Duration
		var now string
		for range 4 { // a slow machine
			r.sh("%s", c)
			took = r.until("what is wanted", func() (bool, string) {
				now = all()
				return now == want, fmt.Sprintf("behind %q:\n%s\nwant\n%s", c, now, want)
			})
			if took <= 2*time.Second {
				break
			}
		}
		t.Logf("%s: undone after %v", c, took.Round(time.Millisecond))
		if took > 2*time.Second {
			t.Errorf("%s is undone after %v, four times", c, took)
		}
	}
	r.ready(n)
	r.collect()
	r.matrix(n)
}

// TestCable: a port whose cable is out for a while forwards again when it is back.
func TestCable(t *testing.T) {
	r := newRig(t)
	r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	for _, up := range []bool{false, true} {
		if err := r.m.SetLink(r.ctx, "lan1", up); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "0\n", true: "1\n"}[up]
		r.until("the kernel to see the cable", func() (bool, string) {
			now := r.sh("cat /sys/class/net/lan1/carrier")
			return now == want, now
		})
	}
	r.ready(n)
	r.matrix(n)
}

// TestChipVanishes: the driver lets go of the chip, and finds it again: the software ports go on meanwhile, and all is as before
// then, on devices that are new.
func TestChipVanishes(t *testing.T) {
	r := newRig(t)
	halt := r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	r.sh("echo 0000:00:04.0 >/sys/bus/pci/drivers/rocker/unbind")
	r.until("the daemon to see that the ports have gone", func() (bool, string) {
		text := r.sh("weir offload show")
		return strings.Contains(text, "no port of a switch chip"), text
	})
	if got := r.vsctl("get", "interface", "lan1", "error"); !strings.Contains(got, "No such device") && !strings.Contains(got, "no such device") {
		t.Errorf("Interface error of a port that has gone: %s", got)
	}
	r.sh("ip addr add 192.0.2.1/24 dev br0; ip link set br0 up")
	r.vsctl("set", "port", "br0", "tag=10")
	halt()
	wan := r.m.Port("wan")
	if err := wan.Send(arp(0x020c00000077, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := wan.Expect(r.ctx, func(b []byte) bool { _, typ, _ := header(b); return typ == 0x0806 && hw(b) == 0x020c00000077 }); err != nil {
		t.Error(err)
	}
	r.vsctl("remove", "port", "br0", "tag", "10")
	r.sh("echo 0000:00:04.0 >/sys/bus/pci/drivers/rocker/bind")
	r.sh(`for d in /sys/class/net/*; do p=$(cat $d/phys_port_name 2>/dev/null) && case $p in sw1p*) ip link set ${d##*/} down; ip link set ${d##*/} name lan${p#sw1p};; esac; done; true`)
	r.collect()
	r.ready(n)
	r.matrix(n)
}
