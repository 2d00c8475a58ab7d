// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/firmware/base/reconnect"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/ovsdb/engine"
)

// dialTimeout bounds one attempt to connect.
const dialTimeout = 8 * time.Second

// remote is one way in: a listener, or a peer that we connect to.
type remote struct {
	listener net.Listener // nil: active
	cancel   context.CancelFunc
}

// AddRemote starts to serve on a name of package stream: passive ones listen,
// active ones connect and stay connected. Adding one that is there does
// nothing. db: remotes are refused for now.
func (s *Server) AddRemote(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("add remote: server is closed")
	}
	if s.remotes[name] != nil {
		return nil
	}
	if strings.HasPrefix(name, "db:") {
		return fmt.Errorf("add remote %s: remotes from the database are not supported yet", name)
	}
	a, err := stream.Parse(name, stream.OVSDBPort)
	if err != nil {
		return fmt.Errorf("add remote: %w", err)
	}
	if a.TLS && s.o.TLS == nil {
		return fmt.Errorf("add remote %s: %w", name, stream.ErrNoTLS)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r := &remote{cancel: cancel}
	if a.Passive {
		if r.listener, err = stream.Listen(ctx, a, s.o.TLS); err != nil {
			cancel()
			return fmt.Errorf("add remote: %w", err)
		}
	}
	s.remotes[name] = r
	s.wg.Add(1)
	if a.Passive {
		go s.accept(r.listener, name)
	} else {
		go s.connect(ctx, a, name)
	}
	return nil
}

// RemoveRemote undoes AddRemote. Sessions that a listener accepted live on, as
// in stock; the session of an active remote ends.
func (s *Server) RemoveRemote(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeRemote(name)
}

func (s *Server) removeRemote(name string) error {
	r := s.remotes[name]
	if r == nil {
		return errors.New("no such remote")
	}
	delete(s.remotes, name)
	r.cancel()
	if r.listener != nil {
		return r.listener.Close()
	}
	return nil
}

// Remotes returns the names of the remotes, sorted.
func (s *Server) Remotes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.remotes))
}

// Addr returns the address of a passive remote, nil if there is none of that
// name: with port 0 it tells the port.
func (s *Server) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.remotes[name]; r != nil && r.listener != nil {
		return r.listener.Addr()
	}
	return nil
}

func (s *Server) accept(l net.Listener, name string) {
	defer s.wg.Done()
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // e.g. no file descriptors left
			s.limitAccept.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "accept failed", "remote", name, "err", err)
			select {
			case <-s.ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		peer := name
		if a := nc.RemoteAddr(); a != nil && a.Network() != "unix" {
			peer = "tcp:" + a.String()
		}
		s.start(nc, peer)
	}
}

// connect keeps a connection to a peer.
func (s *Server) connect(ctx context.Context, a stream.Addr, name string) {
	defer s.wg.Done()
	m := reconnect.New(s.o.Now(), reconnect.Options{}) // probes are the session's
	for {
		if m.Run(s.o.Now()) != reconnect.Connect {
			d, _ := m.Deadline()
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(d.Sub(s.o.Now()), time.Millisecond)):
			}
			continue
		}
		m.ConnectingNow(s.o.Now())
		dctx, cancel := context.WithTimeout(ctx, dialTimeout)
		nc, err := stream.Dial(dctx, a, s.o.TLS)
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.o.Log.Info("connection attempt failed", "remote", name, "err", err)
			m.Disconnected(s.o.Now(), err)
			continue
		}
		m.ConnectedNow(s.o.Now())
		if ss := s.start(nc, name); ss != nil {
			select {
			case <-ss.gone:
			case <-ctx.Done():
				s.mu.Lock()
				ss.kill("remote removed")
				s.mu.Unlock()
				return
			}
		}
		m.Disconnected(s.o.Now(), nil)
	}
}

// Commands returns the control commands of the database server.
func (s *Server) Commands() []unixctl.Command {
	none := func(err error) (string, error) { return "", err }
	return []unixctl.Command{
		{Name: "ovsdb-server/compact", Max: 1, Run: func(a []string) (string, error) {
			if len(a) == 0 {
				return none(s.Compact(""))
			}
			return none(s.Compact(a[0]))
		}},
		{Name: "ovsdb-server/add-remote", Usage: "REMOTE", Min: 1, Max: 1, Run: func(a []string) (string, error) { return none(s.AddRemote(a[0])) }},
		{Name: "ovsdb-server/remove-remote", Usage: "REMOTE", Min: 1, Max: 1, Run: func(a []string) (string, error) { return none(s.RemoveRemote(a[0])) }},
		{Name: "ovsdb-server/list-remotes", Run: func([]string) (string, error) { return strings.Join(s.Remotes(), "\n"), nil }},
		{Name: "ovsdb-server/list-dbs", Run: func([]string) (string, error) { return strings.Join(s.Databases(), "\n"), nil }},
		{Name: "ovsdb-server/reconnect", Run: func([]string) (string, error) { s.Reconnect(); return "", nil }},
		{Name: "ovsdb-server/sync-status", Run: func([]string) (string, error) { return "state: active", nil }},
		{Name: "memory/show", Run: func([]string) (string, error) { return s.memory(), nil }},
	}
}

// memory returns what memory/show prints: counts, not bytes.
func (s *Server) memory() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	cells, monitors, triggers, backlog := 0, 0, 0, 0
	for _, d := range s.dbs {
		cells += countCells(d.Snapshot())
		triggers += len(d.triggers)
	}
	for ss := range s.sessions {
		monitors += len(ss.subs)
		backlog += ss.backlog()
	}
	return fmt.Sprintf("backlog:%d cells:%d input:%d monitors:%d sessions:%d triggers:%d",
		backlog, cells, s.budget.Used(), monitors, len(s.sessions), triggers)
}

func countCells(snap *engine.Snapshot) (n int) {
	for _, t := range snap.Schema().Tables {
		n += snap.Len(t) * len(t.Columns)
	}
	return n
}
