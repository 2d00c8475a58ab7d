// SPDX-License-Identifier: Apache-2.0

package initd

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/weirswitch/weir/firmware/supervise"
)

// Bounds of the log: lines that wait for a slow console, and what is kept in memory.
const (
	consoleQueue = 256
	ringLines    = 1000
	ringBytes    = 128 << 10
)

// logger gives each line to the ring, the kernel's log and the console. The console may
// be a serial line of 11 kB a second: lines that do not fit its queue are counted and
// left out there, so that no service waits for it.
type logger struct {
	ring    *supervise.Ring
	console chan string
	done    chan struct{}

	mu      sync.Mutex
	kmsg    io.Writer // nil until /dev is there
	dropped int
	closed  bool
}

func newLogger(console io.Writer) *logger {
	l := &logger{ring: supervise.NewRing(ringLines, ringBytes), console: make(chan string, consoleQueue), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.console {
			io.WriteString(console, line+"\n")
		}
	}()
	return l
}

// line logs one line of a program, "" being init itself.
func (l *logger) line(program, text string) {
	if program == "" {
		program = "init"
	}
	line := program + ": " + text
	l.ring.Add(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kmsg != nil {
		// Level debug (7): in dmesg, not a second time on the console. A record is one
		// write; the kernel takes at most 1 KiB (LOG_LINE_MAX).
		fmt.Fprintf(l.kmsg, "<7>weir %.900s\n", line)
	}
	if l.closed {
		return
	}
	if l.dropped > 0 {
		line = fmt.Sprintf("init: the console was too slow for %d lines: see ovs-appctl -t /run/weir/init.ctl log\n%s", l.dropped, line)
	}
	select {
	case l.console <- line:
		l.dropped = 0
	default:
		l.dropped++
	}
}

func (l *logger) printf(format string, args ...any) { l.line("", fmt.Sprintf(format, args...)) }

func (l *logger) setKmsg(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kmsg = w
}

// flush closes the console's queue and waits until it is printed, two seconds at most.
func (l *logger) flush() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.console)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-time.After(2 * time.Second):
	}
}
