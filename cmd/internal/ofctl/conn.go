// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/stream"
)

const defaultPort = stream.OpenFlowPort

// conn is a connection to a switch. It is used by one goroutine.
type conn struct {
	s       *session
	c       net.Conn
	r       *bufio.Reader
	name    string // as in log lines
	version ofp.Version
	cur     oftext.Protocols // the one member that flow_mods are written in
}

// address finds what a switch's name stands for: a connection name, a socket,
// or a bridge whose socket has the suffix.
func (s *session) address(name, suffix string) (stream.Addr, error) {
	if strings.Contains(name, ":") {
		if strings.HasPrefix(name, "p") && stream.IsName(name) || !stream.IsName(name) {
			return stream.Addr{}, fmt.Errorf("connecting to %s (Address family not supported by protocol)", name)
		}
		a, err := stream.Parse(name, defaultPort)
		if err != nil {
			return a, fmt.Errorf("connecting to %s (Address family not supported by protocol)", name)
		}
		if a.Path != "" && !filepath.IsAbs(a.Path) {
			a.Path = filepath.Join(s.env.RunDir(), a.Path)
		}
		return a, nil
	}
	for _, path := range []string{name, filepath.Join(s.env.RunDir(), name+"."+suffix)} {
		if st, err := os.Stat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
			return stream.Addr{Path: path}, nil
		}
	}
	return stream.Addr{}, fmt.Errorf("%s is not a bridge or a socket", name)
}

// open connects to a switch and agrees on a version; anyVersion takes what
// the peer says.
func (s *session) open(name, suffix string, anyVersion bool) (*conn, error) {
	a, err := s.address(name, suffix)
	if err != nil {
		return nil, err
	}
	nc, err := s.plan.tls.Dial(s.ctx, a)
	if err != nil {
		if strings.Contains(name, ":") || s.ctx.Err() != nil {
			return nil, fmt.Errorf("connecting to %s (%s)", name, dbconn.Cause(err))
		}
		return nil, fmt.Errorf("%s: failed to connect to socket (%s)", name, dbconn.Cause(err))
	}
	c := &conn{s: s, c: nc, r: bufio.NewReaderSize(nc, 64<<10), name: a.String()}
	s.conns = append(s.conns, c)
	if err := c.hello(name, anyVersion); err != nil {
		return nil, err
	}
	c.cur = oftext.ProtocolsOf(c.version).Lowest()
	return c, nil
}

func (c *conn) close() { c.c.Close() }

// hello agrees on a version.
func (c *conn) hello(name string, anyVersion bool) error {
	fail := func(err error) error {
		return fmt.Errorf("%s: failed to connect to socket (%s)", name, dbconn.Cause(err))
	}
	own := c.s.plan.versions
	if anyVersion {
		own = openflow.Supported()
	}
	c.version = own.Max()
	b, err := openflow.Encode(openflow.Proto{Version: ofp.V10}, c.s.nextXID(), &openflow.Hello{Versions: own})
	if err != nil {
		return err
	}
	if _, err := c.c.Write(b); err != nil {
		return fail(err)
	}
	raw, err := c.recv()
	if err != nil {
		return fail(err)
	}
	m, err := openflow.Decode(raw, openflow.Proto{Version: ofp.V10})
	h, ok := m.(*openflow.Hello)
	if err != nil || !ok {
		c.s.log("vconn", "WARN", fmt.Sprintf("%s: received message while expecting hello", c.name))
		return fail(errors.New("Protocol error"))
	}
	if anyVersion {
		c.version = openflow.ParseHeader(raw).Version
		if v := (h.Versions & own).Max(); v != 0 {
			c.version = v
		}
		return nil
	}
	if c.version = (own & h.Versions).Max(); c.version == 0 {
		c.s.log("vconn", "WARN", fmt.Sprintf("%s: version negotiation failed (we support %s, peer supports %s)", c.name, versionList(own), versionList(h.Versions)))
		return fail(errors.New("Protocol error"))
	}
	if !openflow.Supported().Has(c.version) {
		return fmt.Errorf("%s: this program does not speak %v", name, c.version)
	}
	return nil
}

// versionList writes a set of versions as in log lines.
func versionList(s ofp.Versions) string {
	var ws []string
	for v := ofp.Version(0); v < 32; v++ {
		if s.Has(v) {
			ws = append(ws, fmt.Sprintf("0x%02x", uint8(v)))
		}
	}
	switch {
	case len(ws) == 1:
		return "version " + ws[0]
	case s == 1<<(s.Max()+1)-2 && len(ws) > 1:
		return "version " + ws[len(ws)-1] + " and earlier"
	}
	return "versions " + strings.Join(ws, ", ")
}

// proto is how messages are written now.
func (c *conn) proto() openflow.Proto {
	return openflow.Proto{Version: c.version, NXM: c.cur&(oftext.NXM|oftext.NXMTID) != 0, TableID: c.cur&(oftext.OF10TID|oftext.NXMTID) != 0}
}

func (c *conn) fail(err error) error {
	if c.s.ctx.Err() != nil {
		return c.s.ctx.Err()
	}
	return err
}

// send writes a message and returns its transaction id.
func (c *conn) send(m openflow.Message) (uint32, error) {
	xid := c.s.nextXID()
	return xid, c.sendAs(xid, m)
}

func (c *conn) sendAs(xid uint32, m openflow.Message) error {
	b, err := openflow.Encode(c.proto(), xid, m)
	if err != nil {
		return err
	}
	return c.write(b)
}

func (c *conn) write(b []byte) error {
	stop := c.untilDone()
	defer stop()
	if _, err := c.c.Write(b); err != nil {
		return c.fail(fmt.Errorf("talking to %s (%s)", c.s.target, dbconn.Cause(err)))
	}
	return nil
}

// untilDone makes reads and writes fail when the session's context ends.
func (c *conn) untilDone() func() bool {
	return context.AfterFunc(c.s.ctx, func() { c.c.SetDeadline(time.Unix(1, 0)) })
}

// recv reads one message.
func (c *conn) recv() ([]byte, error) {
	stop := c.untilDone()
	defer stop()
	head, err := c.r.Peek(openflow.HeaderLen)
	if err != nil {
		return nil, c.fail(err)
	}
	n := openflow.ParseHeader(head).Len
	if n < openflow.HeaderLen {
		return nil, fmt.Errorf("message of length %d: %w", n, errors.New("Protocol error"))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return nil, c.fail(err)
	}
	return b, nil
}

// await reads until the reply to xid; others are dropped, echo requests
// answered.
func (c *conn) await(xid uint32) ([]byte, error) {
	for {
		raw, err := c.recv()
		if err != nil {
			return nil, c.talking(err)
		}
		if h := openflow.ParseHeader(raw); h.XID == xid {
			return raw, nil
		}
		if err := c.answerEcho(raw); err != nil {
			return nil, err
		}
	}
}

func (c *conn) talking(err error) error {
	if c.s.ctx.Err() != nil {
		return c.s.ctx.Err()
	}
	return fmt.Errorf("talking to %s (%s)", c.s.target, dbconn.Cause(err))
}

func (c *conn) answerEcho(raw []byte) error {
	m, err := openflow.Decode(raw, c.proto())
	if q, ok := m.(*openflow.EchoRequest); err == nil && ok {
		return c.sendAs(openflow.ParseHeader(raw).XID, &openflow.EchoReply{Data: q.Data})
	}
	return nil
}

// call sends a request and returns its reply, decoded and raw.
func (c *conn) call(m openflow.Message) (openflow.Message, []byte, error) {
	xid, err := c.send(m)
	if err != nil {
		return nil, nil, err
	}
	raw, err := c.await(xid)
	if err != nil {
		return nil, nil, err
	}
	r, err := openflow.Decode(raw, c.proto())
	if err != nil {
		return nil, raw, fmt.Errorf("%s: received bad reply (%v)", c.s.target, ofp.KindOf(err))
	}
	return r, raw, nil
}

// parts sends a multipart request and hands over each part of the reply.
func (c *conn) parts(m openflow.Message, part func(openflow.Message, []byte) (more bool, err error)) error {
	xid, err := c.send(m)
	if err != nil {
		return err
	}
	for {
		raw, err := c.await(xid)
		if err != nil {
			return err
		}
		r, err := openflow.Decode(raw, c.proto())
		if err != nil {
			r = nil
		}
		if more, err := part(r, raw); err != nil || !more {
			return err
		}
	}
}

// change sends requests that have no reply and reports the first error that the
// switch answers, as its raw message. A barrier after each says that it is done.
func (c *conn) change(ms ...openflow.Message) (refusal []byte, err error) {
	for _, m := range ms {
		if refusal, err = c.changeOne(m); err != nil || refusal != nil {
			return refusal, err
		}
	}
	return nil, nil
}

func (c *conn) changeOne(m openflow.Message) (refusal []byte, err error) {
	xid, err := c.send(m)
	if err != nil {
		return nil, err
	}
	barrier, err := c.send(&openflow.BarrierRequest{})
	if err != nil {
		return nil, err
	}
	for {
		raw, err := c.recv()
		if err != nil {
			return nil, c.talking(err)
		}
		switch openflow.ParseHeader(raw).XID {
		case xid:
			refusal = raw
		case barrier:
			return refusal, nil
		default:
			if err := c.answerEcho(raw); err != nil {
				return nil, err
			}
		}
	}
}

// try switches the connection to format p and reports whether the switch agreed.
func (c *conn) try(p oftext.Protocols) (bool, error) {
	if p == c.cur {
		return true, nil
	}
	if p.Version() != c.version {
		return false, nil
	}
	type step struct {
		to oftext.Protocols
		m  openflow.Message
	}
	var steps []step
	tid := func(q oftext.Protocols) bool { return q&(oftext.OF10TID|oftext.NXMTID) != 0 }
	isNXM := func(q oftext.Protocols) bool { return q&(oftext.NXM|oftext.NXMTID) != 0 }
	if isNXM(p) != isNXM(c.cur) {
		steps = append(steps, step{0, &openflow.SetFlowFormat{NXM: isNXM(p)}})
	}
	if tid(p) != tid(c.cur) {
		steps = append(steps, step{0, &openflow.SetFlowModTableID{On: tid(p)}})
	}
	for _, st := range steps {
		refusal, err := c.change(st.m)
		if err != nil || refusal != nil {
			return false, err
		}
	}
	c.cur = p
	return true, nil
}

// openForFlows connects in one of the formats that can carry the flows.
func (s *session) openForFlows(name string, usable oftext.Protocols) (*conn, error) {
	allowed := s.plan.allowed
	if usable&allowed == 0 {
		return nil, fmt.Errorf("none of the usable flow formats (%s) is among the allowed flow formats (%s)", usable, allowed)
	}
	c, err := s.open(name, "mgmt", false)
	if err != nil {
		return nil, err
	}
	if c.cur&usable&allowed != 0 {
		return c, nil
	}
	for p := oftext.Protocols(1); p <= oftext.OXM15; p <<= 1 {
		if p&usable&allowed == 0 {
			continue
		}
		if ok, err := c.try(p); err != nil || ok {
			return c, err
		}
	}
	return nil, fmt.Errorf("switch does not support any of the usable flow formats (%s)", usable)
}

// forDump switches to the most capable of the formats for reading flows.
func (c *conn) forDump(usable oftext.Protocols) error {
	allowed := c.s.plan.allowed
	for _, p := range []oftext.Protocols{oftext.OXM15, oftext.OXM14, oftext.OXM13, oftext.OXM12, oftext.OF11, oftext.NXM, oftext.OF10} {
		if p&usable&allowed == 0 {
			continue
		}
		if ok, err := c.try(p); err != nil || ok {
			return err
		}
	}
	if usable&allowed != 0 {
		return fmt.Errorf("switch does not support any of the usable flow formats (%s)", usable)
	}
	return fmt.Errorf("none of the usable flow formats (%s) is among the allowed flow formats (%s)", usable, allowed)
}
