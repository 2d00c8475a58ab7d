// SPDX-License-Identifier: Apache-2.0

package initd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/version"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/firmware/boot"
	"github.com/weirswitch/weir/firmware/boot/apply"
	"github.com/weirswitch/weir/firmware/supervise"
)

// An ending is what init was told to do with the machine.
type ending struct {
	word string // for the log
	cmd  int    // of reboot(2)
}

var (
	powerOff = ending{"power off", unix.LINUX_REBOOT_CMD_POWER_OFF}
	restart  = ending{"reboot", unix.LINUX_REBOOT_CMD_RESTART}
)

// initd is process 1.
type initd struct {
	e      env.Env
	log    *logger
	m      *apply.Machine
	super  *supervise.Supervisor
	ending chan ending

	mu   sync.Mutex
	done []string // the steps and what came of each
}

// run is the life of process 1.
func run(e env.Env) {
	d := &initd{e: e, log: newLogger(e.Stdout), ending: make(chan ending, 1)}
	d.log.printf("Weir %s", version.Weir)
	sigs := make(chan os.Signal, 8)
	signal.Notify(sigs, unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR)
	go func() {
		for s := range sigs {
			what := powerOff
			if s == unix.SIGTERM || s == unix.SIGINT {
				what = restart
			}
			d.end(what, "signal "+s.String())
		}
	}()
	reaper := supervise.NewReaper()
	d.super = supervise.New(supervise.Options{Reaper: reaper, Log: d.log.line, Now: e.Now, Started: d.started})
	d.boot()
	what := <-d.ending
	d.shutdown(what)
	for { // reboot failed: process 1 must not end
		time.Sleep(time.Hour)
	}
}

// end asks for the end of the machine; the first who asks decides how.
func (d *initd) end(what ending, why string) {
	select {
	case d.ending <- what:
		d.log.printf("%s: %s", what.word, why)
	default:
	}
}

// boot does the steps, stage by stage, and starts the services.
func (d *initd) boot() {
	m, err := apply.New()
	if err != nil { // a kernel without network: mounts work all the same
		d.log.printf("%v", err)
		m = &apply.Machine{Sys: "/sys", Modules: "/lib/modules"}
	}
	d.m = m
	d.do(boot.Early())
	if k, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		d.log.setKmsg(k)
	}
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		d.log.printf("Ctrl-Alt-Del restarts at once: %v", err)
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		d.log.printf("no kernel command line: %v", err)
	}
	o, faults := boot.ParseCmdline(string(cmdline))
	for _, err := range faults {
		d.log.printf("%v", err)
	}
	board := d.board(o)
	d.do(boot.Load(board, o))
	d.do(boot.Network(board, o, d.devices(board)))
	d.watchPowerButton()
	if err := d.serveControl(); err != nil {
		d.log.printf("no control socket: %v", err)
	}
	for _, s := range boot.Services(o) {
		if _, err := os.Stat(s.Args[0]); err != nil {
			d.log.printf("service %s: %v", s.Name, err)
			continue
		}
		spec := supervise.Spec{Name: s.Name, Args: s.Args, Env: environ()}
		if s.Console {
			spec.TTY = consoleTTY(d.m.Sys)
			spec.Grace = time.Second // an interactive shell ignores SIGTERM
			spec.Env = append(spec.Env, "PS1=weir# ", "TERM=vt100")
		}
		d.super.Add(spec)
	}
}

// environ is what every service gets.
func environ() []string {
	return []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "LANG=C.UTF-8"}
}

// do does steps; one that fails is said, and the next follows.
func (d *initd) do(steps []boot.Step) {
	for _, s := range steps {
		text := s.String()
		if w, ok := s.(boot.Warn); ok {
			d.log.printf("%s", w)
		} else if err := d.m.Do(s); err != nil {
			d.log.printf("failed: %v", err)
			text = "failed: " + err.Error()
		}
		d.mu.Lock()
		d.done = append(d.done, text)
		d.mu.Unlock()
	}
}

// board returns the board that the command line names, else the one that is detected,
// else nil.
func (d *initd) board(o boot.Options) *boards.Board {
	if o.Board != "" {
		b, err := boards.Load(o.Board)
		if err == nil {
			d.log.printf("board %s (%s), by the command line", b.Name, b.Title)
			return b
		}
		d.log.printf("%v", err)
	}
	all, err := boards.All()
	if err != nil {
		d.log.printf("%v", err)
		return nil
	}
	id := d.m.Identity()
	b := boards.Detect(all, id)
	if b == nil {
		d.log.printf("board unknown: compatible %q, DMI %q; name it with weir.board=", id.Compatible, id.DMI)
		return nil
	}
	d.log.printf("board %s (%s), detected", b.Name, b.Title)
	return b
}

// devicesWait bounds the time that drivers have to bring the board's ports.
const devicesWait = 3 * time.Second

// devices waits until each of the board's ports has a device, or devicesWait is over.
func (d *initd) devices(board *boards.Board) []boards.Device {
	for deadline := time.Now().Add(devicesWait); ; time.Sleep(50 * time.Millisecond) {
		devs, err := d.m.Devices()
		if err != nil {
			d.log.printf("%v", err)
			return nil
		}
		if board == nil || boot.Complete(board, devs) || time.Now().After(deadline) {
			return devs
		}
	}
}

// started waits, beside the supervisor, until the switch answers, and says so.
func (d *initd) started(name string, pid int) {
	if name != "switchd" {
		return
	}
	go func() {
		for {
			if unix.Kill(pid, 0) != nil {
				return // it ended; the next start has its own watch
			}
			c, err := net.Dial("unix", filepath.Join(boot.RunDir, "db.sock"))
			if err == nil {
				c.Close()
				d.log.printf("switchd is ready: process %d, %s s after the kernel's start", pid, uptime())
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

// uptime is the time since the kernel started, in seconds, as it says it.
func uptime() string {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "?"
	}
	s, _, _ := strings.Cut(string(text), " ")
	return s
}

// consoleTTY returns the device behind /dev/console, which itself cannot be a
// controlling terminal: the last word of the list of active consoles.
func consoleTTY(sys string) string {
	text, err := os.ReadFile(filepath.Join(sys, "class/tty/console/active"))
	if words := strings.Fields(string(text)); err == nil && len(words) > 0 {
		return "/dev/" + words[len(words)-1]
	}
	return "/dev/console"
}

// serveControl listens on the control socket for the rest of init's life.
func (d *initd) serveControl() error {
	l, err := stream.Listen(context.Background(), stream.Addr{Passive: true, Path: boot.InitCtl}, nil)
	if err != nil {
		return err
	}
	end := func(what ending) unixctl.Command {
		name := strings.ReplaceAll(what.word, " ", "")
		return unixctl.Command{Name: name, Run: func([]string) (string, error) { return "", nil },
			After: func() { d.end(what, "asked for at the control socket") }}
	}
	s := unixctl.NewServer("weir-init "+version.Weir, slog.New(slog.DiscardHandler),
		end(powerOff), end(restart),
		unixctl.Command{Name: "services", Run: func([]string) (string, error) { return d.services(), nil }},
		unixctl.Command{Name: "plan", Run: func([]string) (string, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return strings.Join(d.done, "\n") + "\n", nil
		}},
		unixctl.Command{Name: "log", Usage: "[N]", Max: 1, Run: func(args []string) (string, error) {
			n := 100
			if len(args) > 0 {
				var err error
				if n, err = strconv.Atoi(args[0]); err != nil || n < 0 {
					return "", fmt.Errorf("log: %q is no number of lines", args[0])
				}
			}
			lines, dropped := d.log.ring.Last(n)
			if dropped > 0 {
				lines = append([]string{fmt.Sprintf("(%d older lines are gone)", dropped)}, lines...)
			}
			return strings.Join(lines, "\n") + "\n", nil
		}})
	go s.Serve(l)
	return nil
}

// services is the table of what runs.
func (d *initd) services() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %6s %6s %10s  %s\n", "NAME", "PID", "STARTS", "SINCE", "ENDED LAST")
	for _, s := range d.super.Status() {
		pid, last := "-", "never"
		if s.PID != 0 {
			pid = strconv.Itoa(s.PID)
		}
		if s.LastEnd != "" {
			last = s.LastEnd
		}
		fmt.Fprintf(&b, "%-10s %6s %6d %9.1fs  %s\n", s.Name, pid, s.Starts, d.e.Now().Sub(s.Since).Seconds(), last)
	}
	return b.String()
}

// shutdown ends everything, then the machine.
func (d *initd) shutdown(what ending) {
	d.super.Stop()
	// What is left belongs to nobody: a shell's jobs, a test's programs.
	if unix.Kill(-1, syscall.SIGTERM) == nil {
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if errors.Is(unix.Kill(-1, 0), unix.ESRCH) {
				break
			}
		}
		unix.Kill(-1, syscall.SIGKILL)
	}
	unix.Sync()
	d.log.printf("all services have ended: %s", what.word)
	d.log.flush()
	if err := unix.Reboot(what.cmd); err != nil {
		fmt.Fprintf(d.e.Stdout, "init: %s: %v\n", what.word, err)
	}
}
