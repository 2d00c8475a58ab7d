// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// ofPeer is the far side of an OpenFlow connection: a controller that does exactly
// what the test says, and answers echo requests while it waits for something else.
type ofPeer struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
	p openflow.Proto
}

// ofPeerOn says hello. Every operation must be done by the deadline of a minute.
func ofPeerOn(t *testing.T, nc net.Conn) *ofPeer {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(time.Minute))
	p := &ofPeer{nc, t, bufio.NewReaderSize(nc, 64<<10), openflow.Proto{Version: ofp.V13}}
	p.send(1, &openflow.Hello{Versions: ofp.VersionSet(ofp.V13)})
	if b, err := p.raw(); err != nil || b[1] != 0 {
		t.Fatalf("hello: % x, %v", b, err)
	}
	return p
}

// ofDial connects to a listener of the switch: "unix", a path, or "tcp", an address in
// the switch's namespace.
func (r *rig) ofDial(network, addr string) *ofPeer {
	r.t.Helper()
	var nc net.Conn
	r.eventually(5*time.Second, func() error {
		return r.sw.Do(func() (err error) { nc, err = net.Dial(network, addr); return err })
	})
	return ofPeerOn(r.t, nc)
}

// ofListen waits for the switch on a TCP port of its namespace; accept returns the next
// connection.
func (r *rig) ofListen() (target string, accept func() *ofPeer) {
	r.t.Helper()
	var l net.Listener
	if err := r.sw.Do(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:0"); return err }); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { l.Close() })
	return "tcp:" + l.Addr().String(), func() *ofPeer {
		r.t.Helper()
		l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
		nc, err := l.Accept()
		if err != nil {
			r.t.Fatal(err)
		}
		return ofPeerOn(r.t, nc)
	}
}

func (p *ofPeer) encode(xid uint32, m openflow.Message) []byte {
	p.t.Helper()
	b, err := openflow.Encode(p.p, xid, m)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *ofPeer) send(xid uint32, m openflow.Message) {
	p.t.Helper()
	if _, err := p.Write(p.encode(xid, m)); err != nil {
		p.t.Fatal(err)
	}
}

// raw reads one message.
func (p *ofPeer) raw() ([]byte, error) {
	b := make([]byte, openflow.HeaderLen)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return nil, err
	}
	n := openflow.ParseHeader(b).Len
	if n < openflow.HeaderLen {
		return nil, fmt.Errorf("message of %d bytes", n)
	}
	b = append(b, make([]byte, n-openflow.HeaderLen)...)
	_, err := io.ReadFull(p.r, b[openflow.HeaderLen:])
	return b, err
}

// role asks for a role and returns the request's transaction id.
func (p *ofPeer) role(role openflow.Role) (xid uint32) {
	p.t.Helper()
	p.send(77, &openflow.RoleRequest{Role: role})
	return 77
}

// serve answers echo requests until the connection ends.
func (p *ofPeer) serve() {
	for {
		b, err := p.raw()
		if err != nil {
			return
		}
		if m, err := openflow.Decode(b, p.p); err == nil {
			if m, ok := m.(*openflow.EchoRequest); ok {
				p.Write(p.encode(openflow.ParseHeader(b).XID, &openflow.EchoReply{Data: m.Data}))
			}
		}
	}
}

// until reads to the message with transaction id xid and returns it, and how many
// packet-ins came before; other requests of the switch are answered.
func (p *ofPeer) until(xid uint32) (m openflow.Message, pins int) {
	p.t.Helper()
	for {
		b, err := p.raw()
		if err != nil {
			p.t.Fatalf("waiting for message %d: %v", xid, err)
		}
		m, err := openflow.Decode(b, p.p)
		if err != nil {
			p.t.Fatalf("% x: %v", b, err)
		}
		h := openflow.ParseHeader(b)
		switch m := m.(type) {
		case *openflow.EchoRequest:
			p.send(h.XID, &openflow.EchoReply{Data: m.Data})
		case *openflow.PacketIn:
			pins++
		default:
			if h.XID == xid {
				return m, pins
			}
		}
	}
}

// barrier waits until everything sent is done, and counts the packet-ins that came.
func (p *ofPeer) barrier(xid uint32) (pins int) {
	p.t.Helper()
	p.send(xid, &openflow.BarrierRequest{})
	m, pins := p.until(xid)
	if _, ok := m.(*openflow.BarrierReply); !ok {
		p.t.Fatalf("%T %+v instead of a barrier reply", m, m)
	}
	return pins
}
