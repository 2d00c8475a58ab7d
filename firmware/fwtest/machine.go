// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/firmware/fwtest/agent"
	"github.com/weirswitch/weir/firmware/image"
)

// DefaultBoard is the board of an Options that names none.
const DefaultBoard = "qemu-x86_64-rocker"

// bootWait bounds a boot: seconds where the processor is ours, more where it is shared.
const bootWait = 3 * time.Minute

// Ports on which the guest may be asked to listen; each is forwarded from 127.0.0.1.
const (
	ovsdbPort    = 6640
	openflowPort = 6653
)

// Options say what to boot. The zero value boots DefaultBoard as this tree makes it.
type Options struct {
	Board    string
	Kernel   string       // folder as boards/build-kernel makes it; "": $WEIR_KERNEL, else the board's, built or from the cache
	Cmdline  string       // more kernel parameters
	Programs []string     // more of this machine's programs for the image
	Files    []image.File // more files for the image
	Args     []string     // more of QEMU's arguments
	Forward  []int        // more guest TCP ports to reach from 127.0.0.1
	// Detect leaves weir.board= out: init has to find out.
	Detect bool
	// Reboots lets the guest restart in the same QEMU. Else a reboot ends QEMU.
	Reboots bool
}

// Machine is a board that runs.
type Machine struct {
	Board   *boards.Board
	QMP     *QMP
	Console *Console
	Ready   time.Duration // from the kernel's start until switchd answered, by the guest's clock
	Took    time.Duration // from QEMU's start until then, by ours

	agent  *agent.Client
	keys   net.Conn // what a person types at the console
	ports  map[string]*Port
	tcp    map[int]string // guest port -> "127.0.0.1:N"
	dir    string
	stderr bytes.Buffer // whole when ended is closed
	kill   context.CancelFunc
	ended  chan struct{}
	exit   error // of QEMU, when ended is closed
	conns  []net.Conn
	closed sync.Once
}

// Boot builds what the board needs, boots it and returns when its switch answers. The
// machine lives until ctx ends or Close is called.
func Boot(ctx context.Context, o Options) (*Machine, error) {
	if o.Board == "" {
		o.Board = DefaultBoard
	}
	b, err := boards.Load(o.Board)
	if err != nil {
		return nil, err
	}
	if err := NeedEmulator(b); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-vm-")
	if err != nil {
		return nil, err
	}
	m := &Machine{Board: b, dir: dir, ports: map[string]*Port{}, tcp: map[int]string{}, ended: make(chan struct{})}
	life, kill := context.WithCancel(ctx)
	m.kill = kill
	if err := m.start(life, o); err != nil {
		select { // an emulator that refuses closes its sockets before it has ended
		case <-m.ended:
		case <-time.After(time.Second):
		}
		err = m.explain(err)
		m.Close()
		return nil, err
	}
	return m, nil
}

// start is Boot behind the checks.
func (m *Machine) start(ctx context.Context, o Options) error {
	kernel, initrd, err := m.build(ctx, o)
	if err != nil {
		return err
	}
	l, err := m.listen()
	if err != nil {
		return err
	}
	defer l.close()
	began := time.Now()
	if err := m.exec(ctx, m.args(o, kernel, initrd)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootWait)
	defer cancel()
	if err := m.accept(ctx, l); err != nil {
		return err
	}
	if err := m.forwards(ctx, o); err != nil {
		return err
	}
	found, err := m.Console.Wait(ctx, 0, regexp.MustCompile(`switchd is ready: process (\d+), ([\d.]+) s`))
	if err != nil {
		return err
	}
	s, err := strconv.ParseFloat(found[2], 64)
	if err != nil {
		return fmt.Errorf("time of boot: %w", err)
	}
	m.Ready, m.Took = time.Duration(s*float64(time.Second)), time.Since(began)
	if r, err := m.Run(ctx, "true"); err != nil || r.Code != 0 {
		return fmt.Errorf("the agent: %v, %w", r, err)
	}
	return nil
}

// build makes the kernel and the image.
func (m *Machine) build(ctx context.Context, o Options) (kernel, initrd string, err error) {
	tree, err := Tree(ctx)
	if err != nil {
		return "", "", err
	}
	at, err := kernelFolder(ctx, tree, m.Board.Name, o.Kernel)
	if err != nil {
		return "", "", err
	}
	weir, err := Binary(ctx, tree, m.dir, m.Board, true)
	if err != nil {
		return "", "", err
	}
	files := image.Base(weir, image.Links())
	mods, err := image.Modules(filepath.Join(at, "modules"))
	if err != nil {
		return "", "", err
	}
	test, err := TestFiles(append(Programs(), o.Programs...))
	if err != nil {
		return "", "", err
	}
	files = slices.Concat(files, mods, test, o.Files)
	initrd = filepath.Join(m.dir, "initramfs")
	return filepath.Join(at, "image"), initrd, writeImage(initrd, files, image.None)
}

// wired are the ports with a wire that a test holds.
func (m *Machine) wired() []boards.Port {
	return m.Board.PortsOf(boards.Lan, boards.Wan, boards.Conduit)
}

// args are QEMU's arguments.
func (m *Machine) args(o Options, kernel, initrd string) []string {
	params := []string{
		"console=" + m.Board.Console, "quiet", "panic=-1",
		"weir.ip=10.0.2.15/24,10.0.2.2", "weir.remote=ptcp:" + strconv.Itoa(ovsdbPort), "weir.agent=/dev/vport0p1",
	}
	if !o.Detect {
		params = append(params, "weir.board="+m.Board.Name)
	}
	if o.Cmdline != "" {
		params = append(params, o.Cmdline)
	}
	sock := func(name string) string { return filepath.Join(m.dir, name) }
	args := append([]string{"-nodefaults", "-no-user-config", "-display", "none"}, m.Board.Emulation.Args...)
	args = append(args, "-kernel", kernel, "-initrd", initrd, "-append", strings.Join(params, " "))
	for _, c := range []string{"console", "agent", "qmp"} {
		args = append(args, "-chardev", "socket,id="+c+",path="+sock(c))
	}
	args = append(args, "-serial", "chardev:console", "-mon", "chardev=qmp,mode=control",
		// A second serial line would do, at a fiftieth of the speed.
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=weir.agent")
	for _, p := range m.wired() {
		args = append(args, "-netdev", fmt.Sprintf("stream,id=%s,server=off,addr.type=unix,addr.path=%s", p.Name, sock("port."+p.Name)))
	}
	for _, p := range m.Board.PortsOf(boards.Mgmt) {
		user := "user,ipv6=off,id=" + p.Name
		for _, port := range m.forwarded(o) {
			user += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:0-:%d", port)
		}
		args = append(args, "-netdev", user)
	}
	if !o.Reboots {
		args = append(args, "-no-reboot")
	}
	return append(args, o.Args...)
}

func (m *Machine) forwarded(o Options) []int {
	return append([]int{ovsdbPort, openflowPort}, o.Forward...)
}

// listeners are the sockets that QEMU connects to.
type listeners map[string]net.Listener

func (m *Machine) listen() (listeners, error) {
	l := listeners{}
	names := []string{"console", "agent", "qmp"}
	for _, p := range m.wired() {
		names = append(names, "port."+p.Name)
	}
	for _, n := range names {
		s, err := net.Listen("unix", filepath.Join(m.dir, n))
		if err != nil {
			l.close()
			return nil, fmt.Errorf("socket for the emulator: %w", err)
		}
		l[n] = s
	}
	return l, nil
}

func (l listeners) close() {
	for _, s := range l {
		s.Close()
	}
}

// exec starts QEMU and sees to its end.
func (m *Machine) exec(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, m.Board.Emulation.Program, args...)
	cmd.Stdout, cmd.Stderr = &m.stderr, &m.stderr
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the parent in dieWithParent is this thread
		err := cmd.Start()
		started <- err
		if err == nil {
			m.exit = cmd.Wait()
			close(m.ended)
		}
	}()
	if err := <-started; err != nil {
		close(m.ended)
		return fmt.Errorf("start %s: %w", m.Board.Emulation.Program, err)
	}
	return nil
}

// accept takes QEMU's connections.
func (m *Machine) accept(ctx context.Context, l listeners) error {
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	go func() {
		select {
		case <-m.ended:
			l.close()
		case <-ctx.Done():
		}
	}()
	for name, s := range l {
		c, err := s.Accept()
		if err != nil {
			return fmt.Errorf("the emulator does not connect %s: %w", name, errors.Join(ctx.Err(), err))
		}
		m.conns = append(m.conns, c)
		switch port, isPort := strings.CutPrefix(name, "port."); {
		case isPort:
			m.ports[port] = newPort(port, c)
		case name == "console":
			m.Console = newConsole(c)
			m.keys = c
		case name == "agent":
			m.agent = agent.NewClient(c)
		default:
			if m.QMP, err = newQMP(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// forwards asks QEMU which TCP ports of ours lead to the guest's. A line of its table is
//
//	TCP[HOST_FORWARD]  13  127.0.0.1 41033  10.0.2.15  6640  0  0
func (m *Machine) forwards(ctx context.Context, o Options) error {
	text, err := m.QMP.HMP(ctx, "info usernet")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != "TCP[HOST_FORWARD]" {
			continue
		}
		guest, err := strconv.Atoi(f[5])
		if err != nil {
			return fmt.Errorf("info usernet: %q: %w", line, err)
		}
		m.tcp[guest] = net.JoinHostPort(f[2], f[3])
	}
	for _, p := range m.forwarded(o) {
		if m.tcp[p] == "" {
			return fmt.Errorf("the emulator forwards no port to the guest's %d:\n%s", p, text)
		}
	}
	return nil
}

// explain adds what QEMU and the board said last to an error.
func (m *Machine) explain(err error) error {
	said := ""
	select {
	case <-m.ended:
		said = fmt.Sprintf("\n--- the emulator ended (%v)\n%s", m.exit, m.stderr.String())
	default:
	}
	if m.Console != nil {
		said += "\n--- end of the console\n" + m.Console.tail(6000)
	}
	return fmt.Errorf("board %s: %w%s", m.Board.Name, err, said)
}

// Close kills QEMU if it runs and removes what the machine needed.
func (m *Machine) Close() {
	m.closed.Do(func() {
		m.kill()
		if m.conns != nil || m.exit != nil {
			<-m.ended
		}
		for _, c := range m.conns {
			c.Close()
		}
		os.RemoveAll(m.dir)
	})
}

// Wait waits until QEMU has ended by itself and returns its exit: nil for status 0.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.ended:
		return m.exit
	case <-ctx.Done():
		return m.explain(fmt.Errorf("wait for the emulator's end: %w", ctx.Err()))
	}
}

// Port returns the wire of the port called name ("lan1"); it panics if the board has
// none.
func (m *Machine) Port(name string) *Port {
	p := m.ports[name]
	if p == nil {
		panic(fmt.Sprintf("board %s has no wired port %q", m.Board.Name, name))
	}
	return p
}

// Run runs a command inside, by sh as root.
func (m *Machine) Run(ctx context.Context, command string) (agent.Result, error) {
	return m.RunInput(ctx, command, nil)
}

// RunInput is Run with standard input.
func (m *Machine) RunInput(ctx context.Context, command string, stdin []byte) (agent.Result, error) {
	r, err := m.agent.Run(ctx, command, stdin)
	if err != nil {
		err = m.explain(err)
	}
	return r, err
}

// Output is Run for a command that must succeed; it returns what that prints.
func (m *Machine) Output(ctx context.Context, command string) (string, error) {
	r, err := m.Run(ctx, command)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("board %s: %s: %s", m.Board.Name, command, r)
	}
	return r.Out, err
}

// Type types at the console; a line ends with "\r".
func (m *Machine) Type(text string) error {
	_, err := m.keys.Write([]byte(text))
	return err
}

// Tail returns the end of the console, for a test that failed.
func (m *Machine) Tail() string { return m.Console.tail(6000) }

// TCP returns the address, on this machine, that leads to a forwarded TCP port inside.
func (m *Machine) TCP(port int) string { return m.tcp[port] }

// OVSDB returns the remote of the database server for stock tools: "tcp:127.0.0.1:N".
func (m *Machine) OVSDB() string { return "tcp:" + m.tcp[ovsdbPort] }

// OpenFlow returns the remote of the one bridge whose controller is ListenOpenFlow.
func (m *Machine) OpenFlow() string { return "tcp:" + m.tcp[openflowPort] }

// ListenOpenFlow is the target for set-controller that makes a bridge listen where
// OpenFlow leads to.
func (m *Machine) ListenOpenFlow() string { return fmt.Sprintf("ptcp:%d", openflowPort) }

// Vsctl runs stock ovs-vsctl outside against the board.
func (m *Machine) Vsctl(ctx context.Context, args ...string) (string, error) {
	return m.stock(ctx, "ovs-vsctl", append([]string{"--db=" + m.OVSDB(), "--timeout=30"}, args...))
}

// Ofctl runs stock ovs-ofctl outside against the board: command, then the arguments
// behind the switch's name.
func (m *Machine) Ofctl(ctx context.Context, command string, args ...string) (string, error) {
	var options []string
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		options, args = append(options, args[0]), args[1:]
	}
	all := append([]string{"--timeout=30"}, options...)
	return m.stock(ctx, "ovs-ofctl", append(append(all, command, m.OpenFlow()), args...))
}

func (m *Machine) stock(ctx context.Context, program string, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), m.explain(fmt.Errorf("%s %s: %w: %s%s", program, strings.Join(args, " "), err, errs.String(), out.String()))
	}
	return out.String(), nil
}
