// SPDX-License-Identifier: Apache-2.0

package ofctl_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/ofctl"
	"github.com/weirswitch/weir/cmd/internal/stocktest"
)

// output is a buffer that a test reads while a tool writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// watcher is a tool that prints what comes until it is stopped.
type watcher struct {
	out, err output
	stop     func() int // returns the exit code
}

// watchStock starts the stock tool.
func watchStock(t *testing.T, r *rig, args ...string) *watcher {
	t.Helper()
	w := &watcher{}
	cmd := exec.Command("ovs-ofctl", args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.Environ(), r.dir, &w.out, &w.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.stop = func() int {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		return 128 + int(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	}
	return w
}

// watchOurs starts ours.
func watchOurs(r *rig, args ...string) *watcher {
	w := &watcher{}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	vars := map[string]string{"OVS_RUNDIR": r.RunDir}
	go func() {
		code <- ofctl.Main(ctx, env.Env{
			Name: "ovs-ofctl", Args: args, Stdin: strings.NewReader(""), Stdout: &w.out, Stderr: &w.err,
			Getenv: func(k string) string { return vars[k] }, Now: time.Now,
		})
	}()
	w.stop = func() int { cancel(); return <-code }
	return w
}

// settled waits until both watchers have printed as much, with a mark at the
// end, and returns.
func settled(t *testing.T, mark string, ws ...*watcher) {
	t.Helper()
	for range 500 {
		n := 0
		for _, w := range ws {
			if strings.Contains(w.err.String()+w.out.String(), mark) {
				n++
			}
		}
		if n == len(ws) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, w := range ws {
		t.Errorf("no %q in:\n%s%s", mark, w.out.String(), w.err.String())
	}
	t.FailNow()
}

// packets are what is sent to the controllers.
var packets = []string{
	"50540000000a505400000009080045000028000000004001f7750a0000010a0000020800f7fe0001000200000000000000000000000000000000",
	"50540000000a5054000000098100006408060001080006040001505400000009c0a800010000000000000a000002",
	"50540000000a50540000000986dd6000000000083aff20010db800000000000000000000000120010db80000000000000000000000028000000000010001",
	"50540000000a50540000000986dd6000000000203aff20010db8000000000000000000000001ff0200000000000000000001ff00000287000000000000002001 0db80000000000000000000000020101505400000009",
	"50540000000a505400000009080045000028000000004006f7700a0000010a0000020050005000000001000000025012007800000000",
	"50540000000a50540000000908004500001c000000004011f7700a0000010a0000090035005000080000",
	"50540000000a505400000009080045000024000000004084f7700a0000010a000009003500500000000112345678aabbccdd",
	"50540000000a50540000000908004500001c0001200040110000 0a0000010a0000090035005000080000",
	"50540000000a50540000000908004500001c0001200140110000 0a0000010a0000090035005000080000",
	"50540000000a50540000000988470001f1400800",
	"50540000000a50540000000988cc0102",
	"50540000000a5054000000098100a0648100000508004500001c000000004011f7700a0000010a0000090035005000080000",
	"50540000000a505400000009002600424203000000000080000000000000",
}

// TestMonitor has both tools watch the same switch and compares what they print
// of packets, ports and flows.
func TestMonitor(t *testing.T) {
	r := newRig(t)
	mustFlow := func(args ...string) {
		t.Helper()
		if x := r.stock(t, "", args...); x.Code != 0 {
			t.Fatalf("ovs-ofctl %q: %s", args, x)
		}
	}
	mustFlow("add-flow", "br0", "priority=1,cookie=0x1234,actions=controller")
	mustFlow("add-flow", "br0", "table=2,ip,nw_ttl=1,actions=dec_ttl")
	for _, line := range []string{
		"monitor br0 65534", "-O OpenFlow13 monitor br0 65534", "-O OpenFlow14 monitor br0 20", "-O OpenFlow15 monitor br0 65534",
		"-P standard monitor br0 65534", "-P nxt_packet_in monitor br0 65534", "-P nxt_packet_in2 -O OpenFlow13 monitor br0 65534",
		"-P standard -O OpenFlow13 monitor br0 65534", "-m monitor br0 65534", "--names monitor br0 65534", "monitor br0 100 invalid_ttl",
	} {
		args := words(line)
		a, b := watchStock(t, r, args...), watchOurs(r, args...)
		// Both are there when both have seen a packet.
		hello := "in_port=3,packet=505400000000505400000000fffe,actions=controller"
		for range 500 {
			mustFlow("packet-out", "br0", hello)
			if strings.Contains(a.err.String(), "0xfffe") && strings.Contains(b.err.String(), "0xfffe") {
				break
			}
		}
		from := func(w *watcher) string { // behind the last hello
			x := r.mask(stocktest.Result{Out: w.out.String(), Err: w.err.String()})
			return x.Out + x.Err[max(strings.LastIndex(x.Err, "dl_type=0xfffe"), 0):]
		}
		settled(t, "0xfffe", a, b)
		mustFlow("packet-out", "br0", hello)
		for _, p := range packets {
			mustFlow("packet-out", "br0", "in_port=1,packet="+strings.ReplaceAll(p, " ", "")+",actions=resubmit(,0)")
		}
		mustFlow("-O", "OpenFlow15", "packet-out", "br0", "in_port=2,reg0=5,tun_id=3,metadata=7,packet="+packets[0]+",actions=load:9->NXM_NX_REG1[],controller(userdata=01.02.03,max_len=30)")
		mustFlow("packet-out", "br0", "in_port=2,packet="+packets[0]+",actions=mod_nw_ttl:1,dec_ttl")
		mustFlow("mod-port", "br0", "p2", "no-flood")
		mustFlow("mod-port", "br0", "p2", "flood")
		mustFlow("add-flow", "br0", "send_flow_rem,in_port=5,hard_timeout=50,idle_timeout=9,cookie=7,table=3,priority=9,actions=1")
		mustFlow("del-flows", "br0", "in_port=5")
		mustFlow("packet-out", "br0", "in_port=3,packet=505400000000505400000000fffd,actions=controller")
		settled(t, "0xfffd", a, b)
		codeA, codeB := a.stop(), b.stop()
		if codeA != codeB {
			t.Errorf("%s: exit %d, stock %d", line, codeB, codeA)
		}
		if x, y := from(a), from(b); x != y {
			t.Errorf("ovs-ofctl %s\n%s", line, difference(x, y))
		} else if n := strings.Count(x, "\n"); n < 20 {
			t.Errorf("ovs-ofctl %s printed %d lines only:\n%s", line, n, x)
		}
	}
}
