// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
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
)

const (
	dialTimeout = 8 * time.Second // of one attempt to connect, TLS included
	acceptPause = 100 * time.Millisecond
	maxRemotes  = 64 // further ones are not served
)

// TLS makes the configurations for ssl: and pssl: remotes. Package pki's Keys is
// one.
type TLS interface {
	Client() (*tls.Config, error) // for one connection
	Server() *tls.Config          // for a listener, whatever becomes of the keys
}

// OpenError: a remote could not be opened. It stays, and is tried again.
type OpenError struct {
	Remote string
	Err    error
}

func (e *OpenError) Error() string { return fmt.Sprintf("open remote %s: %v", e.Remote, e.Err) }

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// settings are what a row of table Manager can say about a remote.
type settings struct {
	probe   time.Duration // silence before an echo; 0: never
	backoff time.Duration // the longest between attempts; 0: reconnect's default
	dscp    uint8
}

// remote is one way in: a listener, or a peer that we connect to. All but the
// names is under the server's mutex.
type remote struct {
	s      *Server
	target string
	addr   stream.Addr
	cancel context.CancelFunc
	wake   chan struct{} // try again now
	opened chan struct{} // closed after the first attempt to listen

	set      settings
	gone     bool
	listener net.Listener       // nil: active, or not listening now
	m        *reconnect.Machine // attempts to listen or to connect
	sessions map[*session]bool  // that came this way
	openErr  error              // why it does not listen
	up, down time.Time          // of a listener: when it last had a first, and lost the last, session
	lastErr  error              // of a session that ended
}

// AddRemote starts to serve on a name of package stream, or on those that a
// column of a database has (db:DATABASE,TABLE,COLUMN; see the package's
// comment). Passive ones listen, active ones connect and stay connected. Adding
// one that is there does nothing. An [*OpenError] says that it does not listen
// yet: it is tried again until RemoveRemote. Any other error is final.
func (s *Server) AddRemote(name string) error {
	r, err := s.addRemote(name)
	if r == nil || err != nil {
		return err
	}
	select { // with its first attempt behind it
	case <-r.opened:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.openErr != nil {
		return &OpenError{name, r.openErr}
	}
	return nil
}

// addRemote returns the remote if it is a listener.
func (s *Server) addRemote(name string) (*remote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("add remote: server is closed")
	}
	if s.names[name] {
		return nil, nil
	}
	if strings.HasPrefix(name, "db:") {
		if _, err := s.column(name); err != nil {
			return nil, err
		}
	} else if _, err := stream.Parse(name, stream.OVSDBPort); err != nil {
		return nil, fmt.Errorf("add remote: %w", err)
	}
	s.names[name] = true
	s.columns = s.findColumns()
	s.follow()
	if r := s.remotes[name]; r != nil && r.addr.Passive {
		return r, nil
	}
	return nil, nil
}

// RemoveRemote undoes AddRemote. Its sessions end, as in stock.
func (s *Server) RemoveRemote(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.names[name] {
		return errors.New("no such remote")
	}
	delete(s.names, name)
	s.columns = s.findColumns()
	s.follow()
	return nil
}

// Remotes returns the names that were given to AddRemote, sorted.
func (s *Server) Remotes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.names))
}

// Addr returns where a passive remote listens, nil if there is none of that
// name: with port 0 it tells the port. Those that come from a column count.
func (s *Server) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.remotes[name]; r != nil && r.listener != nil {
		return r.listener.Addr()
	}
	return nil
}

// Retry makes remotes that wait to listen or to connect try at once: what
// kept them from it, such as keys, may have changed.
func (s *Server) Retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.remotes {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// follow makes the remotes what names and columns say.
func (s *Server) follow() {
	want := s.wantRemotes()
	for target, r := range s.remotes {
		if set, ok := want[target]; !ok || set.dscp != r.set.dscp {
			s.dropRemote(r)
		}
	}
	targets := slices.SortedFunc(maps.Keys(want), func(a, b string) int { // what was added counts first
		if s.names[a] != s.names[b] {
			if s.names[a] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, target := range targets {
		r := s.remotes[target]
		if r == nil {
			s.openRemote(target, want[target])
			continue
		}
		if r.set == want[target] {
			continue
		}
		r.set = want[target]
		r.m.SetOptions(reconnect.Options{MaxBackoff: r.set.backoff})
		for ss := range r.sessions {
			ss.armed = true
			ss.nc.SetReadDeadline(time.Now()) // it looks at its probe interval anew
		}
	}
}

// openRemote starts a remote. A name that says nothing has no remote; the row
// that has it shows the error.
func (s *Server) openRemote(target string, set settings) {
	a, err := stream.Parse(target, stream.OVSDBPort)
	if err != nil || s.closed {
		return
	}
	if len(s.remotes) >= maxRemotes {
		s.limitRemotes.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "too many remotes", "refused", target, "max", maxRemotes)
		return
	}
	a.DSCP = set.dscp
	ctx, cancel := context.WithCancel(s.ctx)
	r := &remote{
		s: s, target: target, addr: a, cancel: cancel, set: set,
		wake: make(chan struct{}, 1), opened: make(chan struct{}),
		m:        reconnect.New(s.o.Now(), reconnect.Options{MaxBackoff: set.backoff}), // probes are the sessions'
		sessions: map[*session]bool{},
	}
	s.remotes[target] = r
	s.wg.Add(1)
	if a.Passive {
		go r.listen(ctx)
	} else {
		go r.connect(ctx)
	}
}

func (s *Server) dropRemote(r *remote) {
	delete(s.remotes, r.target)
	r.gone = true
	r.cancel()
	if r.listener != nil {
		r.listener.Close() // waits for nobody who needs our mutex
	}
	for ss := range r.sessions {
		ss.kill("remote removed")
	}
}

// pause waits until the machine wants something, or somebody wakes r.
func (r *remote) pause(ctx context.Context) {
	r.s.mu.Lock()
	d, _ := r.m.Deadline()
	r.s.mu.Unlock()
	t := time.NewTimer(max(d.Sub(r.s.o.Now()), time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-r.wake:
		r.s.mu.Lock()
		r.m.Disable(r.s.o.Now()) // forget the back-off
		r.m.Enable(r.s.o.Now())
		r.s.mu.Unlock()
	}
}

// attempt says whether it is time for one, and tells the machine.
func (r *remote) attempt() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	now := r.s.o.Now()
	if r.m.Run(now) != reconnect.Connect {
		return false
	}
	r.m.ConnectingNow(now)
	return true
}

// listen opens the listener, however long that takes, and accepts.
func (r *remote) listen(ctx context.Context) {
	s := r.s
	defer s.wg.Done()
	told := ""
	for first := true; ctx.Err() == nil; {
		if !r.attempt() {
			r.pause(ctx)
			continue
		}
		var cfg *tls.Config
		if r.addr.TLS && s.o.TLS != nil {
			cfg = s.o.TLS.Server()
		}
		l, err := stream.Listen(ctx, r.addr, cfg)
		s.mu.Lock()
		if err == nil && r.gone {
			l.Close()
			err = net.ErrClosed
		}
		r.openErr = err
		if err == nil {
			r.listener = l
			r.m.ConnectedNow(s.o.Now())
		} else {
			r.m.Disconnected(s.o.Now(), err)
		}
		s.poke()
		s.mu.Unlock()
		if first {
			close(r.opened)
			first = false
		}
		if err == nil {
			r.accept(l)
			return // it is closed only when r is gone
		}
		if ctx.Err() == nil && told != err.Error() {
			told = err.Error()
			s.o.Log.Warn("remote does not listen, will try again", "remote", r.target, "err", err)
		}
	}
	select {
	case <-r.opened:
	default:
		close(r.opened)
	}
}

func (r *remote) accept(l net.Listener) {
	s := r.s
	for {
		nc, err := l.Accept()
		var he *stream.HandshakeError
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.As(err, &he):
			s.limitTLS.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "TLS handshake failed", "remote", r.target, "peer", he.Peer, "err", he.Err)
			s.mu.Lock()
			r.lastErr = err
			s.mu.Unlock()
			continue
		case err != nil: // e.g. no file descriptors left
			s.limitAccept.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "accept failed", "remote", r.target, "err", err)
			select {
			case <-s.ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		peer := r.target
		if a := nc.RemoteAddr(); a != nil && a.Network() != "unix" {
			peer = strings.TrimPrefix(peer[:strings.IndexByte(peer, ':')], "p") + ":" + a.String()
		}
		s.start(nc, peer, r)
	}
}

// connect keeps a connection to a peer.
func (r *remote) connect(ctx context.Context) {
	s := r.s
	defer s.wg.Done()
	close(r.opened)
	for ctx.Err() == nil {
		if !r.attempt() {
			r.pause(ctx)
			continue
		}
		nc, err := r.dial(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.o.Log.Info("connection attempt failed", "remote", r.target, "err", err)
		} else if ss := s.start(nc, r.target, r); ss != nil {
			s.o.Log.Info("connected", "remote", r.target)
			<-ss.done // dropRemote kills it
			err = ss.why
			s.o.Log.Info("disconnected", "remote", r.target, "err", err)
		}
		s.mu.Lock()
		r.m.Disconnected(s.o.Now(), err)
		s.poke()
		s.mu.Unlock()
	}
}

func (r *remote) dial(ctx context.Context) (net.Conn, error) {
	var cfg *tls.Config
	if r.addr.TLS {
		if r.s.o.TLS == nil {
			return nil, stream.ErrNoTLS
		}
		var err error
		if cfg, err = r.s.o.TLS.Client(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return stream.Dial(ctx, r.addr, cfg)
}

// joined and left count the sessions of r.
func (r *remote) joined(ss *session) {
	if len(r.sessions) == 0 {
		r.up = r.s.o.Now()
	}
	r.sessions[ss] = true
	if !r.addr.Passive {
		r.m.ConnectedNow(r.s.o.Now())
	}
	r.s.poke()
}

func (r *remote) left(ss *session) {
	delete(r.sessions, ss)
	if len(r.sessions) == 0 {
		r.down = r.s.o.Now()
	}
	if ss.why != nil {
		r.lastErr = ss.why
	}
	r.s.poke()
}

// portOf returns the TCP port of a listener, 0 if it has none.
func portOf(l net.Listener) int {
	if l == nil {
		return 0
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
