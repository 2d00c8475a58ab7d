// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// base is what the tests of changes start from.
var base = network{ports: map[string]settings{
	"lan1": {mode: access, tag: 10},
	"lan2": {mode: access, tag: 10},
	"lan3": {mode: access, tag: 20},
	"lan4": {mode: trunk, trunks: []int{0, 10, 20}},
	"wan":  {mode: access, tag: 10},
}}

// shot is a frame that an injector has sent.
type shot struct {
	number uint64
	port   string
	vid    int
	phase  int32
}

// injector sends frames into every wire with every tag for as long as a change takes.
type injector struct {
	r     *rig
	phase atomic.Int32
	mu    sync.Mutex
	shots []shot
	stop  chan struct{}
	done  sync.WaitGroup
}

// pace is between the frames of one wire.
const pace = 400 * time.Microsecond

// inject sends broadcasts, unicasts to addresses that others send from, and unicasts to nobody.
func (r *rig) inject() *injector {
	in := &injector{r: r, stop: make(chan struct{})}
	for i, p := range wires {
		in.done.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-in.stop:
					return
				case <-time.After(pace):
				}
				vid := []int{0, 10, 20}[k%3]
				dst := uint64(broadcast)
				switch k / 3 % 3 {
				case 1:
					dst = source((i+1+k/9%4)%len(wires), vid)
				case 2:
					dst = 0x020b00000000 | uint64(k)
				}
				s := shot{port: p, vid: vid, phase: in.phase.Load()}
				f := frame{dst, source(i, vid), vid, r.next()}
				s.number = f.number
				in.mu.Lock()
				in.shots = append(in.shots, s)
				in.mu.Unlock()
				if r.m.Port(p).Send(f.bytes(60)) != nil {
					return
				}
			}
		})
	}
	return in
}

// halt ends it and returns what was sent.
func (in *injector) halt() []shot {
	close(in.stop)
	in.done.Wait()
	return in.shots
}

// waitShots returns when n more frames have been sent.
func (in *injector) waitShots(n int) {
	count := func() int { in.mu.Lock(); defer in.mu.Unlock(); return len(in.shots) }
	n += count()
	in.r.until("frames to be sent", func() (bool, string) { return count() >= n, "" })
}

// judge checks that frames of phase i came only where allowed[i] lets them, and that of each phase some did.
func (r *rig) judge(shots []shot, allowed [][]*network) {
	r.Helper()
	delivered, sent, wrong := make([]int, len(allowed)), make([]int, len(allowed)), 0
	for _, s := range shots {
		got, _ := r.arrived(s.number)
		sent[s.phase]++
		delivered[s.phase] += len(got)
		for _, e := range got {
			ok := slices.ContainsFunc(allowed[s.phase], func(n *network) bool { return n.flood(s.port, s.vid)[e] })
			if !ok {
				if wrong++; wrong <= 20 {
					r.Errorf("phase %d: a frame from %s with VID %d came at %v", s.phase, s.port, s.vid, e)
				}
			}
		}
	}
	r.Logf("frames by phase: sent %v, delivered %v, wrongly %d", sent, delivered, wrong)
	for i, n := range delivered {
		if n == 0 {
			r.Errorf("nothing came of the %d frames of phase %d", sent[i], i)
		}
	}
}

// TestIsolation: while a port moves between VLANs, no frame comes where neither the old nor the new configuration takes it,
// and none by the old one when ovs-vsctl has returned.
func TestIsolation(t *testing.T) {
	r := newRig(t)
	r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	in := r.inject()
	in.waitShots(300)
	allowed := [][]*network{{n}}
	next := func(to ...*network) {
		allowed = append(allowed, to)
		in.phase.Add(1)
	}
	for _, s := range []settings{{mode: access, tag: 20}, {mode: trunk, trunks: []int{0, 10, 20}}, {mode: access, tag: 10}, {mode: nativeUntagged, tag: 20, trunks: []int{10}}, {mode: access, tag: 10}} {
		to := n.with("lan1", s)
		allowed[len(allowed)-1] = append(allowed[len(allowed)-1], to) // what is under way
		next(n, to)
		in.waitShots(50)
		r.vsctl(append([]string{"set", "port", "lan1"}, s.columns()...)...)
		n = to
		next(n)
		in.waitShots(300)
	}
	shots := in.halt()
	r.fence(n)
	r.judge(shots, allowed)
}

// TestKilledWhileProgramming: the daemon is killed at any moment of a change; no frame goes where neither configuration takes
// it, and the next daemon ends with what is wanted.
func TestKilledWhileProgramming(t *testing.T) {
	r := newRig(t)
	r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	in := r.inject()
	in.waitShots(100)
	both := []*network{n, n.with("lan1", settings{mode: access, tag: 20})}
	var last *network
	for i, after := range []string{"0.004", "0.02"} {
		to := both[(i+1)%2]
		last = to
		pid := strings.TrimSpace(r.sh("cat /var/run/openvswitch/ovs-vswitchd.pid"))
		r.vsctl(append([]string{"--no-wait", "set", "port", "lan1"}, to.ports["lan1"].columns()...)...)
		r.restart("sleep %s; kill -9 %s", after, pid)
		r.ready(to)
		want := fmt.Sprintf("lan1: %d pvid untagged", to.ports["lan1"].tag)
		r.until("the change to be made", func() (bool, string) {
			text := r.sh("weir offload show; bridge vlan show dev lan1")
			return strings.Contains(text, want) && strings.Contains(text, fmt.Sprintf("%d PVID Egress Untagged", to.ports["lan1"].tag)), text
		})
	}
	shots := in.halt()
	r.fence(last)
	r.judge(shots, [][]*network{both})
}

// TestRestart: the daemon is killed while numbered frames go through the chip: none is lost, and the daemon that follows tears
// nothing down.
func TestRestart(t *testing.T) {
	r := newRig(t)
	halt := r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	a, b := source(0, 1), source(1, 1)
	r.teach(n, "lan1", a, 10)
	r.teach(n, "lan2", b, 10)
	before := r.sh("bridge vlan; bridge fdb | grep -v permanent | sort; ip -br link | sort")
	r.sh("(bridge monitor all >/tmp/bridge.log 2>&1 & echo $! >/tmp/bridge.pid; ip monitor link >/tmp/ip.log 2>&1 & echo $! >/tmp/ip.pid); usleep 200000")
	defer r.sh("kill $(cat /tmp/bridge.pid /tmp/ip.pid); true")

	stop := make(chan struct{})
	var sent []uint64
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(pace):
			}
			f := frame{b, a, 0, r.next()}
			sent = append(sent, f.number)
			if r.m.Port("lan1").Send(f.bytes(60)) != nil {
				return
			}
		}
	})
	r.restart("kill -9 $(cat /var/run/openvswitch/ovs-vswitchd.pid)")
	r.vsctl("set", "bridge", "br0", "external_ids:behind=restart") // has been configured again when this returns
	r.ready(n)
	close(stop)
	sending.Wait()
	last := r.send("lan1", b, a, 0)
	if !r.await(last, map[end]bool{{"lan2", 0}: true}) {
		t.Error("the last frame is lost")
	}
	halt()
	lost, twice := 0, 0
	for _, no := range sent {
		got, _ := r.arrived(no)
		switch {
		case len(got) == 0:
			lost++
		case len(got) > 1 || got[0] != end{"lan2", 0}:
			twice++
		}
	}
	t.Logf("%d frames, %d lost, %d elsewhere or twice", len(sent), lost, twice)
	if lost+twice > 0 || len(sent) < 100 {
		t.Errorf("of %d frames %d are lost and %d came elsewhere", len(sent), lost, twice)
	}
	if after := r.sh("bridge vlan; bridge fdb | grep -v permanent | sort; ip -br link | sort"); after != before {
		t.Errorf("behind the restart:\n%s\nbefore:\n%s", after, before)
	}
	// The veths of internal ports and XDP say NEWLINK when programs are attached anew; nothing is deleted.
	if log := r.sh("grep -hE 'Deleted' /tmp/bridge.log /tmp/ip.log; true"); log != "" {
		t.Errorf("the restart deleted:\n%s", log)
	}
}

// TestRule: a rule for one port takes this port alone out of the chip, before ovs-ofctl returns; it forwards by eBPF
// as its settings say, while the others are bridged; without the rule it comes back.
func TestRule(t *testing.T) {
	r := newRig(t)
	r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	r.matrix(n)
	in := r.inject()
	in.waitShots(200)
	in.phase.Add(1)
	r.ofctl("add-flow", "priority=100,in_port=lan3,actions=drop")
	in.phase.Add(1)
	text := r.sh("weir offload show")
	in.waitShots(300)
	shots := in.halt()
	soft := base.on("lan1", "lan2", "lan4")
	mute := soft.with("lan3", settings{mode: access, tag: 20})
	r.fenceFrom(n, "lan1", "lan4", "wan")
	for _, s := range shots {
		if got, _ := r.arrived(s.number); s.phase == 2 && s.port == "lan3" && len(got) > 0 {
			t.Errorf("behind the rule a frame of lan3 with VID %d came at %v", s.vid, got)
		}
	}
	r.judge(shots, [][]*network{{n}, {n, soft}, {mute}})
	if want := "lan3 (bridge br0, chip 5254001235010000): standalone: a rule of table 0 does something else than NORMAL: priority=100 in_port="; !strings.Contains(text, want) {
		t.Errorf("weir offload show has not %q:\n%s", want, text)
	}
	for _, p := range []string{"lan1", "lan2", "lan4"} {
		if !strings.Contains(text, p+" (bridge br0, chip 5254001235010000): bridged") {
			t.Errorf("%s is demoted, too:\n%s", p, text)
		}
	}
	if got := r.vsctl("get", "interface", "lan3", "status:offload_mode", "status:offload_reason"); !strings.HasPrefix(got, "standalone\n") || !strings.Contains(got, "priority=100") {
		t.Errorf("Interface status: %s", got)
	}

	// Rules that let the test's frames be, and keep the port in software.
	r.ofctl("add-flow", "priority=100,in_port=lan3,udp,tp_dst=7,actions=drop")
	r.ofctl("del-flows", "--strict", "priority=100,in_port=lan3")
	r.sh("ovs-appctl fdb/flush br0")
	r.ready(soft)
	r.matrix(soft)

	began := time.Now()
	r.ofctl("del-flows", "udp,in_port=lan3")
	if text := r.sh("weir offload show"); !strings.Contains(text, "lan3 (bridge br0, chip 5254001235010000): standalone: the reason against it is gone for less than 5s") && time.Since(began) < 4*time.Second {
		t.Errorf("it does not hold:\n%s", text)
	}
	r.ready(n)
	t.Logf("in the chip again after %v", time.Since(began).Round(10*time.Millisecond))
	if got := r.vsctl("get", "interface", "lan3", "status:offload_mode"); got != "bridged\n" {
		t.Errorf("Interface status: %s", got)
	}
	r.matrix(n)
}

// restart runs a command that ends the daemon, and returns when the next one serves its database.
func (r *rig) restart(command string, args ...any) {
	r.Helper()
	mark := r.m.Console.Mark()
	r.sh(command, args...)
	if _, err := r.m.Console.Wait(r.ctx, mark, regexp.MustCompile(`switchd is ready`)); err != nil {
		r.Fatal(err)
	}
	r.served()
}

// teach lets an address be learned on a port that takes frames without tag.
func (r *rig) teach(n *network, port string, src uint64, vlan int) {
	r.Helper()
	r.send(port, broadcast, src, 0)
	r.until(macText(src)+" to be learned", func() (bool, string) {
		t := r.fdb()
		return t[host{vlan, macText(src)}] == port, fmt.Sprint(t)
	})
	r.sameFDBs(n)
}
