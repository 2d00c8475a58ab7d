// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// A connection without asynchronous messages begins with an empty configuration, in
// either role, and gets what it then asks for.
func TestNoAsync(t *testing.T) {
	h := &tiny{}
	s, _ := start(t, h, Options{})
	sock := filepath.Join(t.TempDir(), "br.controller")
	if _, err := s.ListenOn(Service, "punix:"+sock, Terms{NoAsync: true}); err != nil {
		t.Fatal(err)
	}
	p := dial(t, sock, ofp.V13)
	p.send(1, &openflow.GetAsyncRequest{})
	if m, ok := p.next().(*openflow.GetAsyncReply); !ok || m.AsyncConfig != (openflow.AsyncConfig{}) {
		t.Errorf("asynchronous configuration %+v, want an empty one", m)
	}
	p.send(2, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 20}})
	p.sync()
	s.SendPacketIn(packetIn(100), 0, 100)
	s.SendAsync(&openflow.PortStatus{Desc: openflow.PortDesc{No: 1}})
	p.sync() // nothing came before
	var set openflow.SetAsync
	set.SetPrimary[openflow.AsyncPortStatus] = true
	set.Primary[openflow.AsyncPortStatus] = 1 << openflow.PortAdded
	p.send(3, &set)
	p.sync()
	s.SendPacketIn(packetIn(100), 0, 100)
	s.SendAsync(&openflow.PortStatus{Desc: openflow.PortDesc{No: 1}})
	if m, ok := p.next().(*openflow.PortStatus); !ok {
		t.Errorf("%T instead of the port status asked for", m)
	}
}

// What goes out at once still does when the deadline of the writer's last write is over.
func TestInlineAfterWriter(t *testing.T) {
	const stall = 200 * time.Millisecond
	h := &tiny{conns: make(chan *Conn, 1)}
	s, sock := start(t, h, Options{Stall: stall})
	p := dial(t, sock, ofp.V13)
	c := <-h.conns
	p.send(2, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 20}})
	p.sync()
	s.SendPacketIn(packetIn(100), 0, 100) // goes by the writer
	if m, ok := p.next().(*openflow.PacketIn); !ok {
		t.Fatalf("%T instead of a packet-in", m)
	}
	c.drain()
	time.Sleep(stall + stall/4)
	b, err := openflow.Encode(c.Proto(), 7, &openflow.EchoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	rest := c.tryWrite(b)
	c.mu.Unlock()
	if len(rest) > 0 {
		t.Fatalf("%d of %d bytes are left to the writer, though the peer takes everything", len(rest), len(b))
	}
	if m, ok := p.next().(*openflow.EchoRequest); !ok {
		t.Errorf("%T instead of the message", m)
	}
}
