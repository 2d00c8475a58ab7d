// SPDX-License-Identifier: Apache-2.0

package unixctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirswitch/weir/ovsdb/jsonrpc"
)

// MaxConns is how many connections a server serves at once. One more takes the
// place of the oldest that waits for nothing, and is refused if there is none.
const MaxConns = 32

// warnInterval is the least time between two log lines that peers can provoke.
const warnInterval = time.Second

// replyTimeout is how long a client may take to read its answer.
const replyTimeout = 10 * time.Second

// Limits bounds a request.
var limits = jsonrpc.Limits{Size: 64 << 10, Depth: 8}

// Command is one command of a daemon.
type Command struct {
	Name  string // e.g. "vlog/set"
	Usage string // the arguments, as list-commands shows them
	Min   int    // fewest arguments
	Max   int    // most arguments; negative: any number
	// Run does the work. The result is text for the user, an error is told
	// to him as it is. args has between Min and Max elements.
	Run func(args []string) (string, error)
	// After, if not nil, runs when the reply has been written: where a
	// command ends the daemon, the client still hears "done".
	After func()
}

// Path returns the socket's usual place.
func Path(rundir, daemon string, pid int) string {
	return filepath.Join(rundir, fmt.Sprintf("%s.%d.ctl", daemon, pid))
}

// Server answers commands.
type Server struct {
	log     *slog.Logger
	version string

	mu      sync.Mutex // all below but run, which lets only one command run
	cmds    map[string]Command
	run     sync.Mutex
	conns   map[net.Conn]*peer
	lastSeq uint64 // of conns
	warned  time.Time
	done    bool
	wg      sync.WaitGroup
}

// peer is what the server knows of a connection.
type peer struct {
	seq  uint64 // the order in which they came
	busy bool   // with a request, until its answer is written
}

// NewServer returns a server with these commands. version is the answer to the
// command of that name, e.g. "ovs-vswitchd (Open vSwitch) 3.1.0".
func NewServer(version string, log *slog.Logger, cmds ...Command) *Server {
	s := &Server{log: log, version: version, cmds: map[string]Command{}, conns: map[net.Conn]*peer{}}
	list := func([]string) (string, error) { return s.list(), nil }
	s.Add(Command{Name: "list-commands", Run: list}, Command{Name: "help", Run: list},
		Command{Name: "version", Run: func([]string) (string, error) { return s.version, nil }})
	s.Add(cmds...)
	return s
}

// Add adds commands; one with the name of an earlier one replaces it.
func (s *Server) Add(cmds ...Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cmds {
		s.cmds[c.Name] = c
	}
}

func (s *Server) list() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("The available commands are:\n")
	for _, name := range slices.Sorted(maps.Keys(s.cmds)) {
		if name == "help" {
			continue // as if it were stock's list
		}
		fmt.Fprintf(&b, "  %-23s %s\n", name, s.cmds[name].Usage)
	}
	return b.String()
}

// Serve accepts connections until the listener closes or [Server.Close].
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			done := s.done
			s.mu.Unlock()
			if done || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("unixctl: accept: %w", err)
		}
		s.mu.Lock()
		ok, warn := s.room(time.Now())
		if ok {
			s.lastSeq++
			s.conns[c] = &peer{seq: s.lastSeq}
			s.wg.Add(1)
		}
		s.mu.Unlock()
		if warn {
			s.log.Warn("too many control connections", "max", MaxConns, "refused", !ok)
		}
		if !ok {
			c.Close()
			continue
		}
		go s.session(c)
	}
}

// room says whether there is a place for one more connection, after making one
// if it can, and whether the log is to be told. s.mu is held.
func (s *Server) room(now time.Time) (ok, warn bool) {
	if s.done || len(s.conns) < MaxConns {
		return !s.done, false
	}
	if now.Sub(s.warned) >= warnInterval {
		s.warned, warn = now, true
	}
	var oldest net.Conn
	for c, p := range s.conns {
		if !p.busy && (oldest == nil || p.seq < s.conns[oldest].seq) {
			oldest = c
		}
	}
	if oldest == nil {
		return false, warn
	}
	delete(s.conns, oldest)
	oldest.Close() // its goroutine ends
	return true, warn
}

// busy marks a connection; false if it has lost its place.
func (s *Server) busy(nc net.Conn, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.conns[nc]
	if p == nil {
		return false
	}
	p.busy = busy
	return true
}

// Close ends all connections and waits for them. The listener is the caller's.
// It must not be called from within a command; use After.
func (s *Server) Close() {
	s.mu.Lock()
	s.done = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) session(nc net.Conn) {
	c := jsonrpc.NewConn(nc, limits, nil)
	var after func()
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("control session panicked", "panic", r, "stack", string(debug.Stack()))
		}
		c.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
		s.wg.Done()
		if after != nil {
			after()
		}
	}()
	for {
		m, err := c.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.log.Debug("control connection closed", "err", err)
			}
			return
		}
		if m.Kind != jsonrpc.Request {
			return // as stock
		}
		if !s.busy(nc, true) {
			return
		}
		text, cmd, err := s.call(m)
		nc.SetWriteDeadline(time.Now().Add(replyTimeout))
		if err != nil {
			err = c.Write(jsonrpc.AppendError(nil, m.ID, quote(err.Error())))
		} else {
			err = c.Write(jsonrpc.AppendReply(nil, m.ID, quote(text)))
		}
		if cmd.After != nil {
			after = cmd.After
			return
		}
		if err != nil {
			return
		}
		s.busy(nc, false)
	}
}

// quote makes a JSON string that ends with a newline, unless it is empty.
func quote(s string) json.RawMessage {
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return jsonrpc.AppendString(nil, strings.ToValidUTF8(s, "\uFFFD"))
}

func (s *Server) call(m jsonrpc.Message) (string, Command, error) {
	raw, err := m.Args()
	if err != nil {
		return "", Command{}, err
	}
	s.mu.Lock()
	cmd, ok := s.cmds[m.Method]
	s.mu.Unlock()
	var none Command
	switch {
	case !ok:
		return "", none, fmt.Errorf("%q is not a valid command (use \"list-commands\" to see a list of valid commands)", m.Method)
	case len(raw) < cmd.Min:
		return "", none, fmt.Errorf("%q command requires at least %d arguments", m.Method, cmd.Min)
	case cmd.Max >= 0 && len(raw) > cmd.Max:
		return "", none, fmt.Errorf("%q command takes at most %d arguments", m.Method, cmd.Max)
	}
	args := make([]string, len(raw))
	for i, r := range raw {
		if err := json.Unmarshal(r, &args[i]); err != nil || r[0] != '"' {
			return "", none, fmt.Errorf("%q command has non-string argument", m.Method)
		}
	}
	s.run.Lock()
	defer s.run.Unlock()
	text, err := cmd.Run(args)
	if err != nil {
		return "", none, err // an exit that failed is no exit
	}
	return text, cmd, nil
}
