// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/reconnect"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/firmware/base/vlog"
)

// DefaultPort is the port of OpenFlow (OpenFlow 1.3.5, 6.3.3).
const DefaultPort = 6653

// Options of a Switch. Zero values mean the defaults.
type Options struct {
	Versions ofp.Versions                 // allowed; default: all that package openflow speaks
	Probe    time.Duration                // of passive connections; 0: none
	Queue    int                          // bytes that wait for a peer; default 1 MiB
	Stall    time.Duration                // after which a peer that takes nothing is disconnected; default 10 s
	Conns    int                          // passive connections; default 64
	TLS      TLS                          // nil: ssl: and pssl: targets do not open
	Check    func(openflow.Message) error // refuses, with an ofp.Kind, messages that bundles cannot hold; nil: nothing
	Log      *slog.Logger                 // default: slog.Default
	Now      func() time.Time
}

// TLS makes the configurations for ssl: and pssl: targets. Package pki's Keys is
// one.
type TLS interface {
	Client() (*tls.Config, error) // for one connection
	Server() *tls.Config          // for a listener, whatever becomes of the keys
}

func (o Options) withDefaults() Options {
	if o.Versions&openflow.Supported() == 0 {
		o.Versions = openflow.Supported()
	}
	o.Versions &= openflow.Supported()
	if o.Queue == 0 {
		o.Queue = 1 << 20
	}
	if o.Stall == 0 {
		o.Stall = 10 * time.Second
	}
	if o.Conns == 0 {
		o.Conns = 64
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Switch holds the connections of one bridge.
type Switch struct {
	opt     Options
	handler Handler
	log     *slog.Logger
	limit   vlog.Limit

	limitTLS vlog.Limit // handshakes, which strangers make fail
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu         sync.Mutex
	conns      map[*Conn]struct{}
	snoops     int
	accepted   uint64 // connections at listeners, for their names
	added      uint64 // connections ever, for their order
	hasGen     bool
	generation uint64
	closed     bool
}

// New returns a Switch without connections. Close ends it.
func New(h Handler, o Options) *Switch {
	o = o.withDefaults()
	s := &Switch{opt: o, handler: h, log: o.Log, conns: make(map[*Conn]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close closes listeners and connections and waits until all is quiet.
func (s *Switch) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	for _, c := range s.all() {
		c.Close(net.ErrClosed)
	}
	s.wg.Wait()
}

func (s *Switch) all() (cs []*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		cs = append(cs, c)
	}
	return cs
}

// Conns returns the connections whose version is negotiated, snoops excepted.
func (s *Switch) Conns() (cs []*Conn) {
	for _, c := range s.all() {
		if c.Kind != Snoop && c.Version() != 0 {
			cs = append(cs, c)
		}
	}
	return cs
}

// SendAsync offers m to every connection.
func (s *Switch) SendAsync(m openflow.Message) {
	for _, c := range s.Conns() {
		c.SendAsync(m)
	}
}

// SendPacketIn offers p to every connection; see Conn.SendPacketIn.
func (s *Switch) SendPacketIn(p *openflow.PacketIn, id uint16, maxLen int) {
	for _, c := range s.Conns() {
		c.SendPacketIn(p, id, maxLen)
	}
}

// snoop gives b, which is not changed afterwards, to the snoops.
func (s *Switch) snoop(b []byte) {
	s.mu.Lock()
	n := s.snoops
	s.mu.Unlock()
	if n == 0 {
		return
	}
	for _, c := range s.all() {
		if c.Kind == Snoop && c.Version() != 0 {
			c.push(b, true)
		}
	}
}

// add registers c; false if there is no place for it. A quarter of the places is
// for unix sockets. At the bound the oldest that has not said hello yet gives way.
func (s *Switch) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	passive, far := 0, 0
	var mute, farMute *Conn // the oldest
	for o := range s.conns {
		if o.Kind == Primary || o.evicted {
			continue
		}
		older := func(x *Conn) bool { return o.Version() == 0 && (x == nil || o.seq < x.seq) }
		passive++
		if older(mute) {
			mute = o
		}
		if !o.local() {
			far++
			if older(farMute) {
				farMute = o
			}
		}
	}
	farFull := !c.local() && far >= s.opt.Conns-s.opt.Conns/4
	if c.Kind != Primary && (farFull || passive >= s.opt.Conns) {
		if !c.local() {
			mute = farMute // a stranger takes no place of those who are here
		}
		if mute == nil {
			return false
		}
		mute.evicted = true
		mute.Close(errors.New("said no hello, others want its place"))
	}
	s.added++
	c.seq = s.added
	s.conns[c] = struct{}{}
	if c.Kind == Snoop {
		s.snoops++
	}
	return true
}

func (s *Switch) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.Kind == Snoop {
		s.snoops--
	}
}

// run serves nc to its end.
func (s *Switch) run(nc net.Conn, kind Kind, name string, t Terms, connected func(*Conn)) error {
	c := newConn(s, nc, kind, name)
	c.agree(t)
	if !s.add(c) {
		nc.Close()
		return errors.New("too many connections")
	}
	defer s.remove(c)
	return c.run(func() { connected(c) })
}

// Listener accepts connections. Close ends it and the connections made through it.
type Listener struct {
	Addr net.Addr // where it really listens
	l    net.Listener
	stop context.CancelFunc
	done chan struct{}
}

// Close stops listening and ends the connections that came this way.
func (l *Listener) Close() {
	l.stop()
	l.l.Close()
	<-l.done
}

// Listen accepts connections of kind at target: "punix:/run/br0.mgmt",
// "ptcp:6653:127.0.0.1", "pssl:6653". pssl: without keys listens and refuses
// handshakes until there are some.
func (s *Switch) Listen(kind Kind, target string) (*Listener, error) {
	return s.ListenOn(kind, target, Terms{})
}

// ListenOn is Listen with terms for each connection that comes this way.
func (s *Switch) ListenOn(kind Kind, target string, t Terms) (*Listener, error) {
	addr, err := stream.Parse(target, DefaultPort)
	if err == nil && !addr.Passive {
		err = errors.New("not a passive connection")
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", target, err)
	}
	addr.DSCP = stream.DefaultDSCP
	var cfg *tls.Config
	if addr.TLS && s.opt.TLS != nil {
		cfg = s.opt.TLS.Server()
	}
	nl, err := stream.Listen(s.ctx, addr, cfg)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", target, err)
	}
	ctx, stop := context.WithCancel(s.ctx)
	l := &Listener{Addr: nl.Addr(), l: nl, stop: stop, done: make(chan struct{})}
	s.wg.Add(1)
	context.AfterFunc(ctx, func() { nl.Close() })
	go func() {
		defer s.wg.Done()
		defer close(l.done)
		s.accept(ctx, nl, kind, target, t)
	}()
	return l, nil
}

// acceptPause is how long a listener rests after an error (no descriptors left).
const acceptPause = 100 * time.Millisecond

func (s *Switch) accept(ctx context.Context, l net.Listener, kind Kind, target string, t Terms) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return
		}
		var he *stream.HandshakeError
		if errors.As(err, &he) {
			s.limitTLS.Log(s.log, s.opt.Now(), slog.LevelWarn, "TLS handshake failed", "target", target, "peer", he.Peer, "err", he.Err)
			continue
		}
		if err != nil {
			s.limit.Log(s.log, s.opt.Now(), slog.LevelWarn, "accept", "target", target, "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		s.mu.Lock()
		s.accepted++
		name := fmt.Sprintf("%s#%d", target, s.accepted)
		s.mu.Unlock()
		wg.Add(1)
		go func() {
			defer wg.Done()
			stop := context.AfterFunc(ctx, func() { nc.Close() })
			defer stop()
			if err := s.run(nc, kind, name, t, func(*Conn) {}); err != nil && ctx.Err() == nil {
				s.limit.Log(s.log, s.opt.Now(), slog.LevelInfo, "connection ended", "conn", name, "err", err)
			}
		}()
	}
}

// ControllerOptions of an active connection. Zero values mean the defaults.
type ControllerOptions struct {
	MaxBackoff time.Duration // between attempts; default 8 s
	Probe      time.Duration // inactivity probe; 0: none
	Terms      Terms
}

// Controller keeps a connection to a controller.
type Controller struct {
	Target string

	s     *Switch
	addr  stream.Addr
	terms Terms
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	m       *reconnect.Machine
	conn    *Conn
	lastErr error
}

// Connect keeps a primary connection to target ("tcp:10.0.0.1:6653",
// "ssl:10.0.0.1", "unix:/run/c.sock") until Close.
func (s *Switch) Connect(target string, o ControllerOptions) (*Controller, error) {
	addr, err := stream.Parse(target, DefaultPort)
	if err == nil && addr.Passive {
		err = errors.New("not an active connection")
	}
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", target, err)
	}
	addr.DSCP = stream.DefaultDSCP
	ctx, stop := context.WithCancel(s.ctx)
	c := &Controller{
		Target: target, s: s, addr: addr, terms: o.Terms, stop: stop, done: make(chan struct{}),
		m: reconnect.New(s.opt.Now(), reconnect.Options{MaxBackoff: o.MaxBackoff, Probe: o.Probe}),
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer close(c.done)
		c.run(ctx)
	}()
	return c, nil
}

// Close ends the connection and the attempts.
func (c *Controller) Close() {
	c.stop()
	<-c.done
}

// Status returns the state with its times, for the Controller table. As in stock, the
// last error is told also when the connection is there again.
func (c *Controller) Status() reconnect.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.m.Status(c.s.opt.Now())
	st.LastError = c.lastErr
	return st
}

// Conn returns the connection, nil if there is none.
func (c *Controller) Conn() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// run drives the machine: it acts on what the machine says, and sleeps until
// its deadline or until the connection changes.
func (c *Controller) run(ctx context.Context) {
	ended := make(chan error, 1)
	up := make(chan *Conn, 1)
	running := false
	stopConn := context.CancelFunc(func() {})
	defer func() {
		stopConn()
		if running {
			<-ended
		}
	}()
	var seen uint64
	for {
		now := c.s.opt.Now()
		c.mu.Lock()
		if c.conn != nil {
			if n := c.conn.received.Load(); n != seen {
				seen = n
				c.m.Activity(now)
			}
		}
		act := c.m.Run(now)
		conn := c.conn
		if act == reconnect.Connect {
			c.m.ConnectingNow(now)
			seen = 0
		}
		deadline, timed := c.m.Deadline()
		c.mu.Unlock()
		switch act {
		case reconnect.Connect:
			running = true
			cctx, cancel := context.WithCancel(ctx)
			stopConn = cancel
			go func() {
				defer cancel()
				ended <- c.attempt(cctx, up)
			}()
		case reconnect.Probe:
			conn.Send(&openflow.EchoRequest{})
		case reconnect.Disconnect:
			stopConn()
			if running {
				<-ended
				running = false
			}
			select { // it may have come up meanwhile
			case <-up:
			default:
			}
			c.down(fmt.Errorf("no response: %w", syscall.ETIMEDOUT))
			continue
		}
		var timer <-chan time.Time
		if timed {
			// At least a little, so that a clock that stands still does not spin.
			timer = time.After(max(deadline.Sub(now), 10*time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return
		case conn := <-up:
			c.mu.Lock()
			c.conn = conn
			c.m.ConnectedNow(c.s.opt.Now())
			c.mu.Unlock()
		case err := <-ended:
			running = false
			select {
			case <-up:
			default:
			}
			c.down(err)
		case <-timer:
		}
	}
}

// down notes that the connection ended or the attempt failed, for err; nil: the
// controller closed it, which its status calls io.EOF.
func (c *Controller) down(err error) {
	c.mu.Lock()
	c.conn = nil
	c.lastErr = cmp.Or(err, io.EOF)
	c.m.Disconnected(c.s.opt.Now(), c.lastErr)
	c.mu.Unlock()
	if err != nil {
		c.s.limit.Log(c.s.log, c.s.opt.Now(), slog.LevelInfo, "controller", "target", c.Target, "err", err)
	}
}

// attempt connects and serves the connection to its end.
func (c *Controller) attempt(ctx context.Context, up chan<- *Conn) error {
	var cfg *tls.Config
	if c.addr.TLS {
		if c.s.opt.TLS == nil {
			return stream.ErrNoTLS
		}
		var err error
		if cfg, err = c.s.opt.TLS.Client(); err != nil {
			return err
		}
	}
	nc, err := stream.Dial(ctx, c.addr, cfg)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	return c.s.run(nc, Primary, c.Target, c.terms, func(conn *Conn) { up <- conn })
}
