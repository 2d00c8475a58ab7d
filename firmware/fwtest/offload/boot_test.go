// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"strings"
	"testing"
)

// TestBoot: until a configuration wants them, ports are down in the kernel and in the chip, and nothing passes. It has to
// be the first on its boot.
func TestBoot(t *testing.T) {
	r := newRig(t)
	if r.vsctl("list-br") != "" {
		t.Skip("another test came first")
	}
	halt := r.collect()
	quiet := func(when string) {
		t.Helper()
		for _, l := range strings.Split(strings.TrimSpace(r.sh("ip -o link show | grep -E ' (lan|wan)'")), "\n") {
			if strings.Contains(l, "master") || strings.Contains(l, "UP") {
				t.Errorf("%s: %s", when, l)
			}
		}
		ports, err := r.m.RockerPorts(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ports {
			if p.Enabled {
				t.Errorf("%s: the chip's port %s is on", when, p.Name)
			}
		}
	}
	var sent []uint64
	flood := func() {
		for i, p := range wires[:4] { // virtio-net gives wan's frames no receiver while it is down: they wait
			for _, vid := range []int{0, 1, 10} {
				sent = append(sent, r.send(p, broadcast, source(i, vid), vid))
			}
		}
	}
	quiet("from boot")
	flood()
	r.vsctl("add-br", "br0")
	quiet("with an empty bridge")
	flood()
	n := (&network{ports: map[string]settings{"lan1": {mode: access, tag: 10}, "lan2": {mode: access, tag: 10}}}).on("lan1", "lan2")
	r.configure(n)
	no := r.send("lan1", broadcast, source(0, 0), 0)
	if !r.await(no, n.flood("lan1", 0)) {
		t.Error("a frame does not pass behind the first configuration")
	}
	halt()
	for _, no := range sent {
		if got, _ := r.arrived(no); got != nil {
			t.Errorf("frame %d came at %v before anybody wanted it", no, got)
		}
	}
	for _, p := range r.up() {
		if p != "lan1" && p != "lan2" {
			t.Errorf("%s is up and nobody wants it", p)
		}
	}
}

// up returns the wired ports that are up.
func (r *rig) up() (names []string) {
	r.Helper()
	for _, l := range strings.Split(r.sh("ip -o link show up"), "\n") {
		if f := strings.Fields(l); len(f) > 1 {
			if n := strings.TrimSuffix(f[1], ":"); strings.HasPrefix(n, "lan") || n == "wan" {
				names = append(names, n)
			}
		}
	}
	return names
}
