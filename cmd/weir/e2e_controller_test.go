// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Controller row that listens limits the packet-ins of those who come there to its own
// rate; who comes to the bridge's own socket has more of them at the same time.
func TestE2EPacketInRate(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		const rate, burst, sent = 100, 25, 1000 // the least that the schema allows
		h1 := r.host("h1", "10.0.0.1/24")
		r.bridge("br0")
		path := filepath.Join(r.dir, "br0.controller")
		r.vsctl("add-port", "br0", "h1", "--", "set", "interface", "h1", "ofport_request=1", "--", "set", "bridge", "br0", "fail_mode=secure",
			"--", "--id=@c", "create", "controller", `target="punix:`+path+`"`, fmt.Sprintf("controller_rate_limit=%d", rate), fmt.Sprintf("controller_burst_limit=%d", burst),
			"--", "set", "bridge", "br0", "controller=@c")
		r.ofctl("add-flow", "br0", "priority=10,in_port=1,icmp,actions=controller")
		monitor := func(name, target string) func() int {
			ctl := filepath.Join(r.dir, name)
			out, _ := r.background(exec.Command("ovs-ofctl", "monitor", target, "65534", "--unixctl="+ctl))
			r.eventually(5*time.Second, func() error {
				_, err := r.try("ovs-appctl", "-t", ctl, "version")
				return err
			})
			return func() int { return strings.Count(out(), "PACKET_IN") }
		}
		limited, free := monitor("slow.ctl", "unix:"+path), monitor("free.ctl", "br0")
		time.Sleep(200 * time.Millisecond) // for their set_config
		if out, err := h1.Command("ip", "neigh", "replace", "10.0.0.2", "lladdr", "02:00:00:00:00:02", "dev", "eth0", "nud", "permanent").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		start := time.Now()
		h1.Command("ping", "-n", "-q", "-c", fmt.Sprint(sent), "-l", fmt.Sprint(sent), "-W", "1", "10.0.0.2").Run() // nobody answers
		r.eventually(5*time.Second, func() error {
			if n := limited(); n < burst {
				return fmt.Errorf("%d packet-ins where %d may come at once", n, burst)
			}
			return nil
		})
		got, all := limited(), free()
		took := time.Since(start)
		if most := burst + int(rate*took.Seconds()) + 1; got > most {
			t.Errorf("%d packet-ins in %v, at most %d are allowed", got, took, most)
		}
		if all < got {
			t.Errorf("%d packet-ins without a limit, %d with one", all, got)
		}
		t.Logf("%d pings in %v: %d packet-ins with the limit of %d/s, %d without", sent, took, got, rate, all)
	})
}
