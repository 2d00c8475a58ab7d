// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
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

// controllerRow makes br0 listen for controllers with these columns of a Controller row,
// and returns the socket.
func (r *rig) controllerRow(columns ...string) (path string) {
	r.t.Helper()
	path = filepath.Join(r.dir, "br0.controller")
	args := append([]string{"--", "--id=@c", "create", "controller", `target="punix:` + path + `"`}, columns...)
	r.vsctl(append(args, "--", "set", "bridge", "br0", "controller=@c")...)
	return path
}

// toController is a packet that goes to the controllers.
func toController(size int) *openflow.PacketOut {
	return &openflow.PacketOut{
		BufferID: openflow.NoBuffer, InPort: action.PortController, Data: make([]byte, size),
		Actions: action.List{action.Output{Port: action.PortController, MaxLen: 0xffff}},
	}
}

// enable_async_messages=false: nothing comes until it is asked for.
func TestE2EAsyncMessagesOff(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		r.bridge("br0")
		for _, on := range []bool{true, false} {
			path := r.controllerRow(fmt.Sprintf("enable_async_messages=%v", on))
			r.eventually(10*time.Second, equals(func() string { return r.vsctl("--bare", "--columns=enable_async_messages", "list", "controller") }, fmt.Sprintln(on)))
			p, witness := r.ofDial("unix", path), r.ofDial("unix", filepath.Join(r.dir, "br0.mgmt"))
			for _, c := range []*ofPeer{p, witness} {
				c.send(3, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 0xffff}})
				c.barrier(4)
			}
			// get has a packet sent to the controllers, and returns how many p gets of it
			// when the witness has it.
			get := func(want int) (n int) {
				witness.send(5, toController(60))
				for seen, i := 0, 0; i < 1000 && (seen == 0 || n < want); i++ {
					seen += witness.barrier(6)
					n += p.barrier(6)
				}
				return n + p.barrier(6)
			}
			p.send(2, &openflow.GetAsyncRequest{})
			m, _ := p.until(2)
			if got, ok := m.(*openflow.GetAsyncReply); !ok || (got.AsyncConfig == openflow.AsyncConfig{}) == on {
				t.Errorf("enabled %v: asynchronous configuration %+v", on, m)
			}
			want := map[bool]int{true: 1}[on]
			if n := get(want); n != want {
				t.Errorf("enabled %v: %d packet-ins", on, n)
			}
			var set openflow.SetAsync
			set.SetPrimary[openflow.AsyncPacketIn] = true
			set.Primary[openflow.AsyncPacketIn] = 1<<openflow.ReasonAction | 1<<openflow.ReasonPacketOut
			p.send(7, &set)
			p.barrier(8)
			if n := get(1); n != 1 {
				t.Errorf("enabled %v: %d packet-ins where they were asked for", on, n)
			}
			p.Close()
			witness.Close()
		}
	})
}

// A controller that reads nothing has controller_queue_size packet-ins waiting, beyond what
// the kernel's socket holds; the others are dropped.
func TestE2EPacketInQueue(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		const sent, size, most = 1200, 1000, 500
		r.bridge("br0")
		got := map[int]int{}
		for _, queue := range []int{1, most} {
			path := r.controllerRow(fmt.Sprintf("controller_queue_size=%d", queue))
			r.eventually(10*time.Second, equals(func() string { return r.vsctl("--bare", "--columns=controller_queue_size", "list", "controller") }, fmt.Sprintln(queue)))
			mute, sender := r.ofDial("unix", path), r.ofDial("unix", filepath.Join(r.dir, "br0.mgmt"))
			mute.send(2, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 0xffff}})
			mute.barrier(3)
			for range sent {
				sender.send(0, toController(size))
			}
			sender.barrier(4)
			got[queue] = mute.barrier(5)
			mute.Close()
			sender.Close()
		}
		t.Logf("%d packet-ins: %d with a queue of 1, %d with one of %d", sent, got[1], got[most], most)
		// What the kernel holds depends on how they are written; a queue of 1 is the least.
		const less, more = 200, 350
		if d := got[most] - got[1]; d < most-less || d > most+more || got[1] < 1 {
			t.Errorf("a queue of %d brings %d more than one of 1, got %v", most, d, got)
		}
	})
}
