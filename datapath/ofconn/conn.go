// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Kind says what a connection is for.
type Kind uint8

// The kinds.
const (
	Primary Kind = iota // a controller that the configuration names
	Service             // somebody who came to a listener
	Snoop               // a listener to the primary connections
)

func (k Kind) String() string { return [...]string{"primary", "service", "snoop"}[k] }

// Request is one message from a peer.
type Request struct {
	XID uint32
	Msg openflow.Message
	// Raw is the whole message; it belongs to the Conn and changes after Handle.
	Raw []byte
}

// Handler is what the consumer of connections writes. A panic in it ends its connection,
// unless the value has a method Torn(): then what is behind the Handler is not whole any
// more, and the panic ends the process.
type Handler interface {
	// Connected is called once the version is negotiated, before any Handle.
	Connected(c *Conn)
	// Handle is called for each request that Conn does not answer itself.
	// Replies go out by c.Reply.
	Handle(c *Conn, r *Request)
	// Disconnected is called once after Connected; err is why, nil if the peer closed.
	Disconnected(c *Conn, err error)
}

// Counters of a connection.
type Counters struct {
	Received, Sent uint64 // messages
	AsyncDropped   uint64 // at the bound of the queue
	Errors         uint64 // error messages sent
}

// Conn is one OpenFlow connection.
type Conn struct {
	Name string // of the peer, for people: "tcp:10.0.0.1:6653", "br0<->unix#3"
	Kind Kind

	sw    *Switch
	nc    net.Conn
	raw   syscall.RawConn // of nc; nil for TLS
	log   *slog.Logger
	since time.Time

	seq     uint64 // the order in which they came; these two are under the Switch's mutex
	evicted bool

	mu      sync.Mutex
	cond    *sync.Cond // the queue or closed changed
	proto   openflow.Proto
	queue   []item
	queued  int  // bytes
	busy    bool // a push is writing, outside of mu
	closed  bool
	err     error
	role    openflow.Role
	async   openflow.AsyncConfig
	missLen uint16
	id      uint16
	// Packet-ins: those in queue, and those that the limits hold back (nil: no rate limit).
	limits     PacketInLimits
	noAsync    bool
	pinsQueued int
	pins       *pinSched
	pinTimer   bool // servePins will be called
	bundles    bundles
	parts      parts // the reader's

	received, sent, dropped, errs atomic.Uint64
}

// item is a message in the queue.
type item struct {
	b   []byte
	pin bool // a packet-in
}

func newConn(s *Switch, nc net.Conn, kind Kind, name string) *Conn {
	c := &Conn{Name: name, Kind: kind, sw: s, nc: nc, log: s.log.With("conn", name), since: s.opt.Now(), role: openflow.RoleEqual}
	c.cond = sync.NewCond(&c.mu)
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.agree(Terms{})
	if kind == Primary {
		c.missLen = defaultMissLen
	}
	return c
}

// agree sets the terms; the connection is not running yet.
func (c *Conn) agree(t Terms) {
	c.noAsync, c.limits = t.NoAsync, t.PacketIns.withDefaults()
	if c.limits.Rate > 0 {
		c.pins = newPinSched(c.limits)
	}
}

// local says whether the peer is on this machine, on a unix socket.
func (c *Conn) local() bool {
	_, ok := c.nc.(*net.UnixConn)
	return ok
}

// Version returns the negotiated version.
func (c *Conn) Version() ofp.Version { return c.Proto().Version }

// Proto returns how the connection writes.
func (c *Conn) Proto() openflow.Proto {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proto
}

// Role returns the role of the controller.
func (c *Conn) Role() openflow.Role {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.role
}

// MissSendLen returns the bytes that a packet-in for a table miss may have.
func (c *Conn) MissSendLen() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missLen
}

// ID returns the id that controller actions name.
func (c *Conn) ID() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Since returns when the connection was made.
func (c *Conn) Since() time.Time { return c.since }

// Counters returns the counters.
func (c *Conn) Counters() Counters {
	return Counters{c.received.Load(), c.sent.Load(), c.dropped.Load(), c.errs.Load()}
}

// Close ends the connection for the reason err.
func (c *Conn) Close(err error) {
	c.mu.Lock()
	if !c.closed {
		c.closed, c.err = true, err
		c.cond.Broadcast()
	}
	c.mu.Unlock()
	c.nc.Close()
}

// Reply sends ms as the answer to r. An *openflow.Error without Data gets the
// request, as the stock switch does (at least 64 bytes are due: OpenFlow 1.3.5, 7.4.4), or the message that
// it names in Of and whose transaction id it then has.
func (c *Conn) Reply(r *Request, ms ...openflow.Message) {
	for _, m := range ms {
		xid := r.XID
		if e, ok := m.(*openflow.Error); ok {
			c.errs.Add(1)
			raw := r.Raw
			if e.Of != nil {
				raw, xid = e.Of, openflow.ParseHeader(e.Of).XID
			}
			if e.Data == nil {
				e = &openflow.Error{Kind: e.Kind, Numbers: e.Numbers, Data: append([]byte(nil), raw...)}
				m = e
			}
		}
		c.send(xid, m, false)
	}
}

// Send sends m with transaction id 0, whatever the queue holds.
func (c *Conn) Send(m openflow.Message) { c.send(0, m, false) }

// SendRaw sends whole messages that were encoded for the connection, whatever the queue holds, and returns the
// bytes that wait for the peer then. Without messages it only says so.
func (c *Conn) SendRaw(b []byte) (queued int) {
	if len(b) > 0 {
		if c.Kind == Primary {
			c.sw.snoop(b)
		}
		c.push(b, false)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued
}

// send encodes m and queues it; async messages are dropped at the bound.
func (c *Conn) send(xid uint32, m openflow.Message, async bool) bool {
	b, err := openflow.Encode(c.Proto(), xid, m)
	if err != nil {
		c.sw.limit.Log(c.log, c.sw.opt.Now(), slog.LevelWarn, "message not sent", "err", err)
		return false
	}
	if c.Kind == Primary {
		c.sw.snoop(b)
	}
	return c.push(b, async)
}

// framer cuts the stream into messages; it survives read deadlines.
type framer struct {
	nc   net.Conn
	buf  []byte
	from int  // where the next message begins
	n    int  // end of what is in buf
	got  int  // bytes received so far
	full bool // the last read filled buf
}

// Sizes of a framer's buffer, in bytes: at first, and once the peer sends much.
const (
	frameSmall = 4 << 10
	frameLarge = 64 << 10
)

// next returns the next message, valid until the next call. After a deadline
// it can be called again.
func (f *framer) next() ([]byte, error) {
	for {
		need := openflow.HeaderLen
		if f.n-f.from >= openflow.HeaderLen {
			need = openflow.ParseHeader(f.buf[f.from:f.n]).Len
			if need < openflow.HeaderLen {
				return nil, fmt.Errorf("message with length %d", need)
			}
			if f.n-f.from >= need {
				b := f.buf[f.from : f.from+need]
				f.from += need
				return b, nil
			}
		}
		if f.from > 0 {
			f.n = copy(f.buf, f.buf[f.from:f.n])
			f.from = 0
		}
		want := max(need, frameSmall, len(f.buf))
		if f.full {
			want = frameLarge // there is more where that came from
		}
		if len(f.buf) < want {
			f.buf = append(make([]byte, 0, want), f.buf[:f.n]...)[:want]
		}
		n, err := f.nc.Read(f.buf[f.n:])
		f.n += n
		f.got += n
		f.full = f.n == len(f.buf)
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// run serves the connection until it ends and returns why; connected is called
// when the version is negotiated.
func (c *Conn) run(connected func()) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.contain()
		c.writer()
	}()
	defer func() {
		c.Close(err)
		<-done
		err = c.reason(err)
	}()
	return c.talk(connected)
}

// talk is run with a writer.
func (c *Conn) talk(connected func()) (err error) {
	defer c.contain()
	f := &framer{nc: c.nc}
	if err := c.negotiate(f); err != nil {
		return err
	}
	connected()
	if c.Kind == Snoop {
		return c.discard()
	}
	c.sw.handler.Connected(c)
	defer c.bundles.stop()
	defer func() { c.sw.handler.Disconnected(c, c.reason(err)) }()
	return c.serve(f)
}

// contain, deferred, ends the connection alone when there is a panic, unless its value
// has a method Torn (Handler): that goes on.
func (c *Conn) contain() {
	p := recover()
	if p == nil {
		return
	}
	c.log.Error("panic in a connection", "panic", p, "stack", string(debug.Stack()))
	if _, ok := p.(interface{ Torn() }); ok {
		panic(p)
	}
	c.Close(fmt.Errorf("panic: %v", p))
}

// reason closes c for err and returns why it really closed: nil if the peer or we
// ended it in peace.
func (c *Conn) reason(err error) error {
	c.Close(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.err, io.EOF) || errors.Is(c.err, net.ErrClosed) {
		return nil
	}
	return c.err
}

// negotiate exchanges hello messages (OpenFlow 1.3.5, 6.3.1).
func (c *Conn) negotiate(f *framer) error {
	ours := c.sw.opt.Versions
	hello, err := openflow.Encode(openflow.Proto{Version: ours.Max()}, 1, &openflow.Hello{Versions: ours})
	if err != nil {
		return err
	}
	c.push(hello, false)
	c.nc.SetReadDeadline(time.Now().Add(c.sw.opt.Stall))
	b, err := f.next()
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	m, err := openflow.Decode(b, openflow.Proto{})
	h, ok := m.(*openflow.Hello)
	if err != nil || !ok {
		return fmt.Errorf("the first message is no hello: % x", b[:openflow.HeaderLen])
	}
	v := (h.Versions & ours).Max()
	c.mu.Lock()
	c.proto.Version = v
	if v == 0 {
		c.proto.Version = min(ours.Max(), openflow.ParseHeader(b).Version)
		if !openflow.Supported().Has(c.proto.Version) {
			c.proto.Version = ours.Max()
		}
	}
	if !c.noAsync {
		c.async = defaultAsync(c.proto.Version)
	}
	c.mu.Unlock()
	if v == 0 {
		text := fmt.Sprintf("We support %s, you support %s, no common versions.", versionsText(ours), versionsText(h.Versions))
		c.send(openflow.ParseHeader(b).XID, &openflow.Error{Kind: ofp.HFCIncompatible, Data: []byte(text)}, false)
		c.drain()
		return errors.New("no common version: " + text)
	}
	return nil
}

func versionsText(vs ofp.Versions) string {
	if max := vs.Max(); vs == 1<<max {
		return fmt.Sprintf("version 0x%02x", uint8(max))
	}
	s := "versions"
	for v := ofp.Version(0); v < 32; v++ {
		if vs.Has(v) {
			s += fmt.Sprintf(" 0x%02x", uint8(v))
		}
	}
	return s
}

// serve reads requests until the connection ends.
func (c *Conn) serve(f *framer) error {
	defer c.contain() // before anybody is told
	probed := false
	for {
		c.waitRoom()
		var deadline time.Time
		if c.sw.opt.Probe > 0 && c.Kind != Primary { // a Controller probes by itself
			deadline = time.Now().Add(c.sw.opt.Probe)
		}
		if t := c.parts.deadline(); !t.IsZero() && (deadline.IsZero() || t.Before(deadline)) {
			deadline = t
		}
		c.nc.SetReadDeadline(deadline)
		before := f.got
		b, err := f.next()
		if old := c.parts.expired(time.Now()); len(old) > 0 {
			for _, first := range old {
				c.Reply(&Request{}, &openflow.Error{Kind: ofp.BRCMultipartRequestTimeout, Of: first})
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if probed && f.got == before {
				return fmt.Errorf("no response to inactivity probe after %v", c.sw.opt.Probe)
			}
			probed = true
			c.Send(&openflow.EchoRequest{})
			continue
		}
		if err != nil {
			return err
		}
		probed = false
		c.received.Add(1)
		if c.Kind == Primary {
			c.sw.snoop(append([]byte(nil), b...))
		}
		c.dispatch(b)
	}
}

// dispatch puts requests in parts together and serves what is complete.
func (c *Conn) dispatch(b []byte) {
	r := &Request{XID: openflow.ParseHeader(b).XID, Raw: b}
	pieces, err := c.parts.add(b, c.Proto(), time.Now())
	if err != nil {
		c.Reply(r, &openflow.Error{Kind: ofp.KindOf(err)})
		return
	}
	if len(pieces) == 0 {
		return
	}
	r.Raw = pieces[0]
	if len(pieces) > 1 {
		// Only the features of tables come in several bodies, each of which is right by itself.
		for _, p := range pieces[1:] {
			m, err := openflow.Decode(p, c.Proto())
			if _, ok := m.(*openflow.TableFeaturesRequest); err == nil && !ok {
				err = ofp.BRCBadStat
			}
			if err != nil {
				c.Reply(r, &openflow.Error{Kind: ofp.KindOf(err)})
				return
			}
		}
	}
	c.serveOne(r)
}

// serveOne decodes one message and sees it answered.
func (c *Conn) serveOne(r *Request) {
	m, err := openflow.Decode(r.Raw, c.Proto())
	if err != nil {
		if k := openflow.FromSwitch(r.Raw); k != ofp.NoError && openflow.ParseHeader(r.Raw).Version == c.Version() {
			err = k
		}
		c.sw.limit.Log(c.log, c.sw.opt.Now(), slog.LevelInfo, "message refused", "err", err)
		c.Reply(r, &openflow.Error{Kind: ofp.KindOf(err)})
		return
	}
	r.Msg = m
	if k := c.refuse(m); k != ofp.NoError {
		c.Reply(r, &openflow.Error{Kind: k})
		return
	}
	reply, done := c.own(r)
	switch {
	case reply != nil:
		c.Reply(r, reply)
	case !done && !c.bundled(r):
		c.sw.handler.Handle(c, r)
	}
}

// discard reads and forgets, for snoops.
func (c *Conn) discard() error {
	c.nc.SetReadDeadline(time.Time{})
	_, err := io.Copy(io.Discard, c.nc)
	if err == nil {
		err = io.EOF
	}
	return err
}
