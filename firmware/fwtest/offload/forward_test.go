// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var matrices = []struct {
	name string
	net  network
}{
	{"A", network{ports: map[string]settings{
		"lan1": {mode: access, tag: 10},
		"lan2": {mode: nativeTagged, tag: 10, trunks: []int{20}},
		"lan3": {mode: trunk, trunks: []int{10, 20, 30}},
		"lan4": {mode: nativeUntagged, tag: 20, trunks: []int{10}},
		"wan":  {mode: access, tag: 20},
	}}},
	{"B", network{ports: map[string]settings{
		"lan1": {mode: trunk},
		"lan2": {mode: trunk, trunks: []int{0, 10, 30}},
		"lan3": {mode: nativeUntagged, tag: 30},
		"lan4": {mode: access, tag: 0},
		"wan":  {mode: trunk},
	}}},
}

// TestMatrix: a frame of every port and tag comes out where it belongs and nowhere else; ports that the chip bridges do
// as those in software do, but for the two differences that the model has.
func TestMatrix(t *testing.T) {
	r := newRig(t)
	r.collect()
	for _, c := range matrices {
		r.Run(c.name, func(t *testing.T) {
			r := *r
			r.T = t
			r.vsctl("set", "Open_vSwitch", ".", "other_config:hw-offload-bridge=true")
			n := c.net.on(chipPorts...)
			r.configure(n)
			bridged := r.matrix(n)
			r.sameFDBs(n)

			r.vsctl("set", "Open_vSwitch", ".", "other_config:hw-offload-bridge=false")
			n = c.net.on()
			r.ready(n)
			soft := r.matrix(n)
			r.vsctl("remove", "Open_vSwitch", ".", "other_config", "hw-offload-bridge")

			var differ []string
			for i := range bridged {
				if bridged[i] != soft[i] {
					differ = append(differ, "chip:     "+bridged[i]+"\nsoftware: "+soft[i])
				}
			}
			t.Logf("%d frames; the chip differs in %d:\n%s", len(bridged), len(differ), strings.Join(differ, "\n"))
		})
	}
}

// source is the address of frames from the i-th wire with a VID.
func source(i, vid int) uint64 { return 0x020a00000000 | uint64(i)<<16 | uint64(vid) }

// matrix sends what there is to send, and returns a line for each.
func (r *rig) matrix(n *network) (lines []string) {
	r.Helper()
	type sent struct {
		what   string
		number uint64
		ends   map[end]bool
	}
	var all []sent
	vids := []int{0, 10, 20, 30, 50}
	learned := map[host]string{}
	macs := map[host]uint64{}
	for i, p := range wires {
		for _, vid := range vids {
			vlan, ok := n.in(p, vid)
			src := source(i, vid)
			if ok && (!n.chip[p] || n.leg(vlan)) {
				learned[host{vlan, macText(src)}] = p
				macs[host{vlan, macText(src)}] = src
			}
			all = append(all, sent{fmt.Sprintf("%s:%d broadcast", p, vid), r.send(p, broadcast, src, vid), n.flood(p, vid)})
		}
	}
	r.until("all addresses to be learned", func() (bool, string) {
		table := r.fdb()
		for h, p := range learned {
			if table[h] != p {
				return false, fmt.Sprintf("%v is at %q, not %q: %v", h, table[h], p, table)
			}
		}
		return true, ""
	})
	if len(n.chip) > 0 {
		r.sameFDBs(n)
	}
	for i, p := range wires {
		for _, vid := range vids {
			vlan, ok := n.in(p, vid)
			for h, at := range learned {
				if !ok || h.vlan != vlan {
					continue
				}
				ends := n.flood(p, vid)
				for e := range ends {
					if e.port != at {
						delete(ends, e)
					}
				}
				what := fmt.Sprintf("%s:%d to %s", p, vid, h.mac)
				all = append(all, sent{what, r.send(p, macs[h], source(i, vid), vid), ends})
			}
		}
	}
	for _, s := range all {
		if !r.await(s.number, s.ends) {
			got, _ := r.arrived(s.number)
			r.Errorf("%s: came at %v, not at %s", s.what, got, text(s.ends))
		}
	}
	r.fence(n)
	for _, s := range all {
		got, _ := r.arrived(s.number)
		ends := map[end]bool{}
		for _, e := range got {
			ends[e] = true
		}
		if len(got) != len(ends) || text(ends) != text(s.ends) {
			r.Errorf("%s: came at %v, not at %s", s.what, got, text(s.ends))
		}
		if strings.Contains(s.what, "broadcast") {
			lines = append(lines, s.what+" -> "+text(ends))
		}
	}
	slices.Sort(lines)
	return lines
}
