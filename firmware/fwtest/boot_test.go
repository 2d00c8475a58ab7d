// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// boot boots a machine for one test; the context's time is a bound for one that hangs.
func boot(t *testing.T, o Options) (context.Context, *Machine) {
	t.Helper()
	m, err := Boot(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("end of the console:\n" + m.Tail())
		}
	})
	return ctx, m
}

func output(t *testing.T, ctx context.Context, m *Machine, command string) string {
	t.Helper()
	out, err := m.Output(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func vsctl(t *testing.T, ctx context.Context, m *Machine, args ...string) string {
	t.Helper()
	out, err := m.Vsctl(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// One boot, from the first step to power off.
func TestBoard(t *testing.T) {
	ctx, m := boot(t, Options{})
	t.Logf("switchd ready %s after the kernel's start, %s after QEMU's", m.Ready, m.Took.Round(10*time.Millisecond))

	t.Run("steps", func(t *testing.T) {
		plan := output(t, ctx, m, "ovs-appctl -t /run/weir/init.ctl plan")
		for _, bad := range []string{"failed:", "warning:"} {
			if strings.Contains(plan, bad) {
				t.Errorf("a step of the boot has %q:\n%s", bad, plan)
			}
		}
		for _, want := range []string{"hostname " + DefaultBoard, "link lan1 down", "address 10.0.2.15/24 on mgmt"} {
			if !strings.Contains(plan, want+"\n") {
				t.Errorf("no step %q:\n%s", want, plan)
			}
		}
		if got := output(t, ctx, m, "hostname"); got != DefaultBoard+"\n" {
			t.Errorf("host name %q", got)
		}
		if got := output(t, ctx, m, "dmesg"); !strings.Contains(got, "weir init: ") {
			t.Errorf("nothing of init in the kernel's log:\n%s", got)
		}
	})

	// What switches is down until somebody configures it, and is what the board says.
	t.Run("ports", func(t *testing.T) {
		var links []struct {
			Name     string `json:"ifname"`
			Flags    []string
			PhysPort string `json:"phys_port_name"`
		}
		if err := json.Unmarshal([]byte(output(t, ctx, m, "ip -json -d link")), &links); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, l := range links {
			for _, p := range m.Board.Ports {
				if p.Name != l.Name {
					continue
				}
				seen++
				if up := slices.Contains(l.Flags, "UP"); up != (p.Role == "mgmt") {
					t.Errorf("port %s of role %s: up is %v", p.Name, p.Role, up)
				}
				if l.PhysPort != p.Match.PhysPortName {
					t.Errorf("port %s is the device with phys_port_name %q, want %q", p.Name, l.PhysPort, p.Match.PhysPortName)
				}
			}
		}
		if seen != len(m.Board.Ports) {
			t.Errorf("%d of the board's %d ports are there: %v", seen, len(m.Board.Ports), links)
		}
		ports, err := m.RockerPorts(ctx)
		if err != nil || len(ports) != 4 {
			t.Errorf("the chip's ports: %+v, %v", ports, err)
		}
	})

	t.Run("commands", func(t *testing.T) { testCommands(t, ctx, m) })

	// Stock tools outside drive the switch; a broadcast crosses it.
	t.Run("managed", func(t *testing.T) { testManaged(t, ctx, m) })

	t.Run("supervised", func(t *testing.T) {
		mark := m.Console.Mark()
		before := output(t, ctx, m, "cat /var/run/openvswitch/ovs-vswitchd.pid")
		output(t, ctx, m, "kill -9 "+before)
		said, err := m.Console.Wait(ctx, mark, regexp.MustCompile(`switchd ended after \S+: (signal: \w+); starting it again in (\w+)\r`))
		if err != nil {
			t.Fatal(err)
		}
		wait, err := time.ParseDuration(said[2])
		if err != nil || wait > time.Second || said[1] != "signal: killed" {
			t.Errorf("%s: %v", said[0], err)
		}
		if _, err := m.Console.Wait(ctx, mark, regexp.MustCompile(`switchd is ready`)); err != nil {
			t.Fatal(err)
		}
		after := output(t, ctx, m, "cat /var/run/openvswitch/ovs-vswitchd.pid")
		if before == after {
			t.Errorf("still process %s", after)
		}
		log := output(t, ctx, m, "dmesg | grep -e 'switchd ended' -e 'switchd is ready' | tail -2")
		t.Logf("by the kernel's clock:\n%s", log)
		if got := vsctl(t, ctx, m, "list-br"); got != "br0\n" {
			t.Errorf("bridges behind the restart: %q", got)
		}
		if got := output(t, ctx, m, "ovs-appctl -t /run/weir/init.ctl services"); !regexp.MustCompile(`switchd +\d+ +2 .* signal: killed`).MatchString(got) {
			t.Errorf("services:\n%s", got)
		}
	})

	// Orphans come to process 1, which leaves no zombie.
	t.Run("reaped", func(t *testing.T) {
		out := output(t, ctx, m, "for i in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; true")
		if out != "" {
			t.Errorf("zombies: %s", out)
		}
	})

	t.Run("cable", func(t *testing.T) {
		output(t, ctx, m, "ip link set lan4 up")
		for _, up := range []bool{false, true} {
			if err := m.SetLink(ctx, "lan4", up); err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{false: "0", true: "1"}[up]
			output(t, ctx, m, "timeout 60 sh -c 'until grep -q "+want+" /sys/class/net/lan4/carrier; do sleep 0.05; done'")
		}
	})

	t.Run("power button", func(t *testing.T) {
		if err := m.PressPower(ctx); err != nil {
			t.Fatal(err)
		}
		ev, err := m.QMP.Event(ctx, "SHUTDOWN")
		if err != nil || !strings.Contains(string(ev.Data), "guest-shutdown") {
			t.Fatalf("%s, %v", ev.Data, err)
		}
		if err := m.Wait(ctx); err != nil {
			t.Fatalf("the emulator ended with %v", err)
		}
		text := m.Console.Text()
		for _, want := range []string{"init: power off: power button", "init: switchd ended: exit status 0", "init: all services have ended: power off"} {
			if !strings.Contains(text, want) {
				t.Errorf("the console does not say %q", want)
			}
		}
	})
}

func testCommands(t *testing.T, ctx context.Context, m *Machine) {
	for _, c := range []struct {
		command, stdin, out, err string
		code                     int
	}{
		{"true", "", "", "", 0},
		{"echo a; echo b >&2; exit 3", "", "a\n", "b\n", 3},
		{"kill -9 $$", "", "", "", 137},
		{"rev() { cat; }; rev", "from outside", "from outside", "", 0},
		{"no-such-program", "", "", "/bin/sh: 1: no-such-program: not found\n", 127},
		{"yes | head -c 300000 | wc -c", "", "300000\n", "", 0},
	} {
		r, err := m.RunInput(ctx, c.command, []byte(c.stdin))
		if err != nil || r.Out != c.out || r.Err != c.err || r.Code != c.code {
			t.Errorf("%s: %v, %v", c.command, r, err)
		}
	}
	big := bytes.Repeat([]byte("0123456789abcde\n"), 20000)
	if r, err := m.RunInput(ctx, "cat", big); err != nil || r.Out != string(big) {
		t.Errorf("320 kB there and back: %d bytes, %v", len(r.Out), err)
	}
	// A command that hangs keeps no other waiting, and ends with its context.
	short, cancel := context.WithCancel(ctx)
	hung := make(chan error)
	go func() {
		_, err := m.Run(short, "echo $$ >/tmp/hung; sleep 1000")
		hung <- err
	}()
	output(t, ctx, m, "until [ -s /tmp/hung ]; do sleep 0.02; done")
	cancel()
	if err := <-hung; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled command: %v", err)
	}
	output(t, ctx, m, "while kill -0 $(cat /tmp/hung) 2>/dev/null; do sleep 0.02; done")
}

// arp is an ARP request from a station of its own: chips give it to the processor.
func arp(station byte) []byte {
	f := make([]byte, 60)
	copy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00")
	f[11] = station
	copy(f[12:], "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00")
	f[27] = station
	copy(f[28:], []byte{192, 0, 2, station})
	copy(f[38:], []byte{192, 0, 2, 254})
	return f
}

func equal(want []byte) func([]byte) bool {
	return func(f []byte) bool { return bytes.Equal(f, want) }
}

func testManaged(t *testing.T, ctx context.Context, m *Machine) {
	vsctl(t, ctx, m, "--", "add-br", "br0", "--", "set-controller", "br0", m.ListenOpenFlow(), "--", "set-fail-mode", "br0", "secure",
		"--", "add-port", "br0", "lan1", "--", "add-port", "br0", "lan2", "--", "add-port", "br0", "lan3")
	output(t, ctx, m, "for p in lan1 lan2 lan3; do ip link set $p up; done")
	if said, err := m.Console.Wait(ctx, 0, regexp.MustCompile(`open datapath (.*?)\r`)); err != nil || said[1] != "bpf" {
		t.Errorf("the board's kernel runs no eBPF datapath: %q, %v", said, err)
	}
	ofctl := func(command string, args ...string) string {
		t.Helper()
		var out string
		var err error
		for range 100 { // the bridge listens behind ovs-vsctl's answer
			if out, err = m.Ofctl(ctx, command, args...); err == nil {
				return out
			}
			output(t, ctx, m, "sleep 0.1")
		}
		t.Fatal(err)
		return ""
	}
	if got := ofctl("show"); !strings.Contains(got, "(lan1)") || !strings.Contains(got, "(lan3)") {
		t.Fatalf("ovs-ofctl show:\n%s", got)
	}
	ofctl("add-flow", "in_port=lan1,arp,actions=output:lan2")
	if got := ofctl("dump-flows"); !strings.Contains(got, "arp,in_port=1 actions=output:2") {
		t.Errorf("ovs-ofctl dump-flows:\n%s", got)
	}
	one, two := arp(1), arp(2)
	if err := m.Port("lan1").Send(one); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Port("lan2").Expect(ctx, equal(one)); err != nil {
		t.Fatal(err)
	}
	// Now the other way, and behind it, in order, to lan3: nothing came there before.
	ofctl("add-flow", "in_port=lan2,arp,actions=output:lan1,output:lan3")
	if err := m.Port("lan2").Send(two); err != nil {
		t.Fatal(err)
	}
	before, _, err := m.Port("lan3").Until(ctx, equal(two))
	if err != nil || len(before) > 0 {
		t.Errorf("lan3 saw %x, %v", before, err)
	}
	if _, err := m.Port("lan1").Expect(ctx, equal(two)); err != nil {
		t.Error(err)
	}
	if in, dropped := m.Port("lan3").Received(); in != 1 || dropped != 0 {
		t.Errorf("lan3: %d frames, %d dropped", in, dropped)
	}
}

// A person's way: a shell on the console; a restart in the same QEMU; and QEMU goes with
// its context.
func TestConsoleShellAndReboot(t *testing.T) {
	ctx, m := boot(t, Options{Cmdline: "weir.shell=/bin/sh weir.hostname=wall-e weir.nonsense=1 weir.modules=nandsim,no-such", Reboots: true, Detect: true})
	if text := m.Console.Text(); !strings.Contains(text, "board "+DefaultBoard) || !strings.Contains(text, "detected") {
		t.Errorf("the board was not detected by DMI:\n%s", text)
	}
	if !strings.Contains(m.Console.Text(), "weir.nonsense=1: unknown parameter") {
		t.Error("an unknown parameter goes unsaid")
	}
	// A module comes with what it depends on; one that is not there is said.
	if got := output(t, ctx, m, "lsmod"); !strings.Contains(got, "\nnandsim ") || !strings.Contains(got, "\nnand ") {
		t.Errorf("modules:\n%s", got)
	}
	if !strings.Contains(m.Console.Text(), "failed: module no-such: no-such.ko is not in /lib/modules") {
		t.Error("a missing module goes unsaid")
	}
	if _, err := m.Console.Wait(ctx, 0, regexp.MustCompile(`weir# `)); err != nil {
		t.Fatal(err)
	}
	mark := m.Console.Mark()
	if err := m.Type("echo I am $(hostname) $((6*7))\r"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Console.Wait(ctx, mark, regexp.MustCompile(`I am wall-e 42\r`)); err != nil {
		t.Fatal(err)
	}
	mark = m.Console.Mark()
	if err := m.Type("reboot\r"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"all services have ended: reboot", "init: Weir ", "switchd is ready"} {
		if _, err := m.Console.Wait(ctx, mark, regexp.MustCompile(regexp.QuoteMeta(want))); err != nil {
			t.Fatal(err)
		}
	}
	m.kill()
	if err := m.Wait(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("QEMU behind the end of its context: %v", err)
	}
	m.Close()
	if _, err := os.Stat(m.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", m.dir, err)
	}
}

// A machine that cannot boot says why, with what it said last.
func TestBootFails(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{Board: "toaster"}, []string{`no board "toaster"`}},
		{Options{Args: []string{"-device", "flux-capacitor"}}, []string{"the emulator", "flux-capacitor"}},
		{Options{Cmdline: "rdinit=/bin/false"}, []string{"wait for", "console", "Kernel panic"}},
	} {
		t.Run(fmt.Sprint(c.want[0]), func(t *testing.T) {
			m, err := Boot(t.Context(), c.o)
			if err == nil {
				m.Close()
				t.Fatal("it booted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q: %v", w, err)
				}
			}
		})
	}
}
