// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxLine bounds a line of a program's output, in bytes.
const MaxLine = 4096

// Spec is a program to keep running.
type Spec struct {
	Name  string
	Args  []string      // the program's path first
	Env   []string      // NAME=VALUE
	Grace time.Duration // between SIGTERM and SIGKILL; 0: 10 s
	// TTY, if given, is the program's terminal: its three streams, in a session of its
	// own that the terminal controls. Else its output goes to the log.
	TTY string
}

// Status is what a program is doing.
type Status struct {
	Name    string
	PID     int // 0: not running
	Starts  int
	Since   time.Time // of the start, or of the end if PID is 0
	LastEnd string    // how it ended last: "exit status 1", "signal: killed"; "": never
}

// Options are what a Supervisor needs from outside.
type Options struct {
	Reaper *Reaper
	Log    func(program, line string) // program "" is the supervisor itself
	Now    func() time.Time
	// Started is called behind each start, if not nil; it must not block for long.
	Started func(name string, pid int)
}

// Supervisor keeps programs running. Make it with New.
type Supervisor struct {
	o Options

	mu       sync.Mutex
	programs []*program
	stopping bool
}

type program struct {
	spec Spec
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	status Status
}

// New returns a Supervisor of no program.
func New(o Options) *Supervisor { return &Supervisor{o: o} }

// Add starts a program and keeps it running. Behind Stop it does nothing.
func (s *Supervisor) Add(spec Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{spec: spec, stop: cancel, done: make(chan struct{}), status: Status{Name: spec.Name, Since: s.o.Now()}}
	s.programs = append(s.programs, p)
	go s.keep(ctx, p)
}

// Status returns the programs in the order in which they were added.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Status
	for _, p := range s.programs {
		p.mu.Lock()
		out = append(out, p.status)
		p.mu.Unlock()
	}
	return out
}

// Signal sends a signal to a program that runs.
func (s *Supervisor) Signal(name string, sig syscall.Signal) error {
	for _, st := range s.Status() {
		if st.Name == name && st.PID != 0 {
			return syscall.Kill(st.PID, sig)
		}
	}
	return fmt.Errorf("signal %s: %w", name, os.ErrProcessDone)
}

// Stop ends the programs, the last added first, and returns when none is left.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	s.stopping = true
	programs := slices.Clone(s.programs)
	s.mu.Unlock()
	for _, p := range slices.Backward(programs) {
		p.stop()
		<-p.done
	}
}

// keep is the life of a program: start, wait, wait before the next start.
func (s *Supervisor) keep(ctx context.Context, p *program) {
	defer close(p.done)
	var back Backoff
	for ctx.Err() == nil {
		began := s.o.Now()
		how := s.once(ctx, p)
		ended := s.o.Now()
		p.mu.Lock()
		p.status.PID, p.status.Since, p.status.LastEnd = 0, ended, how
		p.mu.Unlock()
		if ctx.Err() != nil {
			s.o.Log("", fmt.Sprintf("%s ended: %s", p.spec.Name, how))
			return
		}
		wait := back.Next(ended.Sub(began))
		s.o.Log("", fmt.Sprintf("%s ended after %s: %s; starting it again in %s",
			p.spec.Name, ended.Sub(began).Round(time.Millisecond), how, wait))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// once runs the program until it ends, or ends it when ctx does, and says how it ended.
func (s *Supervisor) once(ctx context.Context, p *program) string {
	cmd := exec.Command(p.spec.Args[0], p.spec.Args[1:]...)
	cmd.Env = p.spec.Env
	logged, err := s.streams(cmd, p.spec)
	if err != nil {
		return err.Error()
	}
	end, err := s.o.Reaper.Start(cmd)
	closeAll(cmd.Stdin, cmd.Stdout)
	if err != nil {
		logged()
		return err.Error()
	}
	pid := cmd.Process.Pid
	p.mu.Lock()
	p.status.PID, p.status.Since = pid, s.o.Now()
	p.status.Starts++
	p.mu.Unlock()
	if s.o.Started != nil {
		s.o.Started(p.spec.Name, pid)
	}
	var ws unix.WaitStatus
	select {
	case ws = <-end:
	case <-ctx.Done():
		ws = terminate(pid, end, p.spec.Grace)
	}
	// What the program started and left goes with it; so its pipe ends too.
	unix.Kill(-pid, unix.SIGKILL)
	logged()
	return describe(ws)
}

// terminate ends a process politely, then not.
func terminate(pid int, end <-chan unix.WaitStatus, grace time.Duration) unix.WaitStatus {
	if grace == 0 {
		grace = 10 * time.Second
	}
	unix.Kill(pid, unix.SIGTERM)
	select {
	case ws := <-end:
		return ws
	case <-time.After(grace):
	}
	unix.Kill(-pid, unix.SIGKILL)
	return <-end
}

// drain is how long output is waited for behind a program's end. It ends at once unless
// somebody outside the process group holds the pipe.
const drain = 2 * time.Second

// streams gives cmd its streams and its process group or session. The function that it
// returns waits until all output is logged.
func (s *Supervisor) streams(cmd *exec.Cmd, spec Spec) (logged func(), err error) {
	if spec.TTY != "" {
		tty, err := os.OpenFile(spec.TTY, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return nil, err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		return func() {}, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.lines(r, spec.Name)
	}()
	return func() {
		r.SetReadDeadline(time.Now().Add(drain))
		<-done
		r.Close()
	}, nil
}

// lines logs what comes from r line by line.
func (s *Supervisor) lines(r io.Reader, name string) {
	b := bufio.NewReaderSize(r, MaxLine)
	for {
		line, err := b.ReadSlice('\n')
		if err == nil {
			line = line[:len(line)-1]
		}
		if err == nil || len(line) > 0 {
			s.o.Log(name, string(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func closeAll(files ...any) {
	for _, f := range files {
		if f, ok := f.(*os.File); ok {
			f.Close()
		}
	}
}

func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "signal: " + ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}
