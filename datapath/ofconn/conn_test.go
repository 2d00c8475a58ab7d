// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// tiny is a handler: a switch with one port and no flows.
type tiny struct {
	mu     sync.Mutex
	log    []string
	config openflow.Config
	conns  chan *Conn
	block  chan struct{} // Handle of a barrier waits for it, if not nil
}

func (h *tiny) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *tiny) notes() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.log, "\n")
}

func (h *tiny) Connected(c *Conn) {
	h.note("connected %v %v", c.Kind, c.Version())
	if h.conns != nil {
		h.conns <- c
	}
}

func (h *tiny) Disconnected(c *Conn, err error) { h.note("disconnected %v %v", c.Kind, err) }

func (h *tiny) Handle(c *Conn, r *Request) {
	port := openflow.PortDesc{No: 1, Name: "p1", HWAddr: [6]byte{2, 0, 0, 0, 0, 1}, Curr: openflow.Feature10GbFD, CurrSpeed: 1e7}
	switch m := r.Msg.(type) {
	case *openflow.FeaturesRequest:
		f := &openflow.FeaturesReply{DatapathID: 0x123, Tables: 254, Capabilities: openflow.CapFlowStats | openflow.CapPortStats}
		if c.Version() == ofp.V10 {
			f.Ports = []openflow.PortDesc{port}
		}
		c.Reply(r, f)
	case *openflow.PortDescRequest:
		c.Reply(r, &openflow.PortDescReply{Ports: []openflow.PortDesc{port}})
	case *openflow.GetConfigRequest:
		c.Reply(r, &openflow.GetConfigReply{Config: openflow.Config{MissSendLen: c.MissSendLen()}})
	case *openflow.SetConfig:
		h.note("config %+v", m.Config)
	case *openflow.BarrierRequest:
		if h.block != nil {
			<-h.block
		}
		c.Reply(r, &openflow.BarrierReply{})
	case *openflow.FlowMod:
		switch m.Priority {
		case 666:
			panic("a bug")
		case 667:
			panic(tornValue{})
		}
		h.note("flow_mod %v %s actions=%s", m.Command, m.Match.String(), m.Instructions.String())
	case *openflow.PacketOut:
		h.note("packet_out %v %s %d", m.InPort, m.Actions, len(m.Data))
	case *openflow.FlowStatsRequest:
		c.Reply(r, &openflow.FlowStatsReply{Nicira: m.Nicira})
	case *openflow.TableStatsRequest:
		c.Reply(r, &openflow.TableStatsReply{})
	case *openflow.TableFeaturesRequest:
		c.Reply(r, &openflow.TableFeaturesReply{Tables: []openflow.TableFeatures{{Table: 0, Name: "classifier"}}})
	default:
		c.Reply(r, &openflow.Error{Kind: ofp.BRCBadType})
	}
}

// start returns a switch with a mgmt listener, and the path of its socket.
func start(t *testing.T, h Handler, o Options) (*Switch, string) {
	t.Helper()
	before := runtime.NumGoroutine()
	s := New(h, o)
	sock := filepath.Join(t.TempDir(), "br.mgmt")
	if _, err := s.Listen(Service, "punix:"+sock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		for i := 0; runtime.NumGoroutine() > before && i < 200; i++ {
			time.Sleep(5 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before {
			buf := make([]byte, 1<<16)
			t.Errorf("%d goroutines before, %d after:\n%s", before, n, buf[:runtime.Stack(buf, true)])
		}
	})
	return s, sock
}

// peer is the far side.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
	p openflow.Proto
}

func dial(t *testing.T, sock string, v ofp.Version) *peer {
	t.Helper()
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	return hello(t, c, v)
}

// hello negotiates v as the far side.
func hello(t *testing.T, c net.Conn, v ofp.Version) *peer {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	p := &peer{t, c, bufio.NewReader(c), openflow.Proto{Version: v}}
	p.send(1, &openflow.Hello{Versions: ofp.VersionSet(v)})
	if m, _ := p.next().(*openflow.Hello); m == nil || !m.Versions.Has(v) {
		t.Fatalf("hello: %+v", m)
	}
	return p
}

func (p *peer) send(xid uint32, m openflow.Message) {
	p.t.Helper()
	b, err := openflow.Encode(p.p, xid, m)
	if err == nil {
		_, err = p.Write(b)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) raw() ([]byte, error) {
	b := make([]byte, openflow.HeaderLen)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return nil, err
	}
	b = append(b, make([]byte, openflow.ParseHeader(b).Len-openflow.HeaderLen)...)
	_, err := io.ReadFull(p.r, b[openflow.HeaderLen:])
	return b, err
}

func (p *peer) next() openflow.Message {
	p.t.Helper()
	b, err := p.raw()
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := openflow.Decode(b, p.p)
	if err != nil {
		p.t.Fatalf("%x: %v", b, err)
	}
	return m
}

// sync waits until everything sent is handled.
func (p *peer) sync() {
	p.t.Helper()
	p.send(99, &openflow.BarrierRequest{})
	if m, ok := p.next().(*openflow.BarrierReply); !ok {
		p.t.Fatalf("%T instead of a barrier reply", m)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestStock drives a switch with the stock ovs-ofctl.
func TestStock(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{})
	target := "unix:" + sock
	for _, v := range []string{"OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"} {
		run(t, "ovs-ofctl", "-O", v, "probe", target)
		if out := run(t, "ovs-ofctl", "-O", v, "ping", target, "100"); strings.Count(out, "100 bytes from") != 10 {
			t.Errorf("%s ping: %s", v, out)
		}
		out := run(t, "ovs-ofctl", "-O", v, "show", target)
		for _, want := range []string{"dpid:0000000000000123", "n_tables:254", "1(p1): addr:02:00:00:00:00:01", "current:    10GB-FD"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s show lacks %q:\n%s", v, want, out)
			}
		}
		run(t, "ovs-ofctl", "-O", v, "packet-out", target, "in_port=1 packet=00112233445566778899aabb0800 actions=output:2")
		run(t, "ovs-ofctl", "-O", v, "del-flows", target, "tcp,tp_dst=80")
	}
	for _, want := range []string{"connected service OpenFlow10", "connected service OpenFlow13", "packet_out 1 output:2 14", "flow_mod 3 tcp,tp_dst=80 actions=drop"} {
		if !strings.Contains(h.notes(), want) {
			t.Errorf("handler did not see %q:\n%s", want, h.notes())
		}
	}
}

func TestNoCommonVersion(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{Versions: ofp.VersionSet(ofp.V13)})
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t, c, bufio.NewReader(c), openflow.Proto{Version: ofp.V10}}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	p.send(7, &openflow.Hello{Versions: ofp.VersionSet(ofp.V10)})
	p.next()
	e, ok := p.next().(*openflow.Error)
	if !ok || e.Kind != ofp.HFCIncompatible || !strings.Contains(string(e.Data), "no common versions") {
		t.Errorf("%+v", e)
	}
	if _, err := p.raw(); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	if h.notes() != "" {
		t.Errorf("handler saw %s", h.notes())
	}
}

// TestBadMessages: an error with the message, and the connection goes on;
// what has no length ends it.
func TestBadMessages(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{})
	p := dial(t, sock, ofp.V13)
	for _, row := range []struct {
		name string
		msg  []byte
		want ofp.Kind
	}{
		{"unknown type", append([]byte{4, 99, 0, 80, 0, 0, 0, 5}, make([]byte, 72)...), ofp.BRCBadType},
		{"other version", []byte{1, 5, 0, 8, 0, 0, 0, 5}, ofp.BRCBadVersion},
		{"trailing bytes", []byte{4, 5, 0, 9, 0, 0, 0, 5, 1}, ofp.BRCBadLen},
		{"unknown multipart", []byte{4, 18, 0, 16, 0, 0, 0, 5, 0, 99, 0, 0, 0, 0, 0, 0}, ofp.BRCBadStat},
		{"a reply", []byte{4, 21, 0, 8, 0, 0, 0, 5}, ofp.BRCBadType},
	} {
		if _, err := p.Write(row.msg); err != nil {
			t.Fatal(err)
		}
		e, ok := p.next().(*openflow.Error)
		if !ok || e.Kind != row.want || !bytes.Equal(e.Data, row.msg) {
			t.Errorf("%s: %+v, want %v", row.name, e, row.want)
		}
	}
	p.sync()
	p.Write([]byte{4, 5, 0, 7, 0, 0, 0, 5})
	if _, err := p.raw(); err != io.EOF {
		t.Errorf("after a length of 7: %v", err)
	}
}

func packetIn(n int) *openflow.PacketIn {
	p := &openflow.PacketIn{BufferID: openflow.NoBuffer, TotalLen: n, Reason: openflow.ReasonNoMatch, Data: make([]byte, n)}
	p.Metadata.SetU64(flow.FieldInPort, 1)
	return p
}

// TestAsync: a service connection gets packet-ins after a set_config, cut to its length.
func TestAsync(t *testing.T) {
	h := &tiny{}
	s, sock := start(t, h, Options{})
	p := dial(t, sock, ofp.V13)
	p.sync()
	s.SendPacketIn(packetIn(100), 0, 100)
	s.SendAsync(&openflow.PortStatus{Desc: openflow.PortDesc{No: 1}})
	p.sync() // nothing came before
	p.send(2, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 20}})
	p.sync()
	s.SendPacketIn(packetIn(100), 0, 100)
	if m, ok := p.next().(*openflow.PacketIn); !ok || len(m.Data) != 20 || m.TotalLen != 100 {
		t.Errorf("packet-in %+v", m)
	}
	s.SendPacketIn(packetIn(100), 5, 100) // of another controller id
	implicit := packetIn(100)
	implicit.Reason = openflow.ReasonImplicitMiss
	s.SendPacketIn(implicit, 0, 100) // not from OpenFlow 1.3 on
	s.SendAsync(&openflow.FlowRemoved{Reason: openflow.RemovedIdle, Table: 3})
	if m, ok := p.next().(*openflow.FlowRemoved); !ok || m.Table != 3 {
		t.Errorf("flow removed %+v", m)
	}
	// A secondary gets port status alone and may change nothing.
	p.send(3, &openflow.RoleRequest{Role: openflow.RoleSecondary, HasGen: true, GenerationID: 5})
	if m, ok := p.next().(*openflow.RoleReply); !ok || m.Role != openflow.RoleSecondary || m.GenerationID != 5 {
		t.Errorf("role reply %+v", m)
	}
	s.SendPacketIn(packetIn(100), 0, 100)
	s.SendAsync(&openflow.PortStatus{Desc: openflow.PortDesc{No: 1}})
	if m, ok := p.next().(*openflow.PortStatus); !ok {
		t.Errorf("%T instead of a port status", m)
	}
	p.send(4, &openflow.FlowMod{Command: openflow.FlowAdd, BufferID: openflow.NoBuffer})
	if e, ok := p.next().(*openflow.Error); !ok || e.Kind != ofp.BRCIsSecondary {
		t.Errorf("flow_mod of a secondary: %+v", e)
	}
	p.send(5, &openflow.RoleRequest{Role: openflow.RolePrimary, HasGen: true, GenerationID: 4})
	if e, ok := p.next().(*openflow.Error); !ok || e.Kind != ofp.RRFCStale {
		t.Errorf("stale generation: %+v", e)
	}
}

// TestPrimaryMoves: a second primary makes the first a secondary.
func TestPrimaryMoves(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{})
	a, b := dial(t, sock, ofp.V13), dial(t, sock, ofp.V10)
	role := func(p *peer, m *openflow.RoleRequest) openflow.Role {
		p.send(1, m)
		r, ok := p.next().(*openflow.RoleReply)
		if !ok {
			t.Fatal("no role reply")
		}
		return r.Role
	}
	role(a, &openflow.RoleRequest{Role: openflow.RolePrimary})
	if r := role(b, &openflow.RoleRequest{Role: openflow.RolePrimary, Nicira: true}); r != openflow.RolePrimary {
		t.Errorf("b is %v", r)
	}
	if r := role(a, &openflow.RoleRequest{Role: openflow.RoleNoChange}); r != openflow.RoleSecondary {
		t.Errorf("a is %v", r)
	}
}

// TestSlowPeer: one that never reads loses its packet-ins, counted, disturbs
// nobody, and is disconnected after Stall.
func TestSlowPeer(t *testing.T) {
	h := &tiny{conns: make(chan *Conn, 2)}
	s, sock := start(t, h, Options{Queue: 64 << 10, Stall: 300 * time.Millisecond})
	slow := dial(t, sock, ofp.V13)
	sc := <-h.conns
	slow.send(2, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 0xffff}})
	slow.sync()
	fine := dial(t, sock, ofp.V13)
	<-h.conns
	began := time.Now()
	for i := 0; i < 2000; i++ {
		s.SendPacketIn(packetIn(1500), 0, 1500)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("sending took %v", d)
	}
	if n := sc.Counters().AsyncDropped; n < 1000 {
		t.Errorf("%d dropped", n)
	}
	fine.sync()
	for i := 0; !strings.Contains(h.notes(), "takes nothing"); i++ {
		if i == 400 {
			t.Fatalf("the slow peer is still there: %s", h.notes())
		}
		time.Sleep(5 * time.Millisecond)
	}
	fine.sync()
}

// TestBackPressure: replies are not lost however slowly they are read.
func TestBackPressure(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{Queue: 4 << 10})
	p := dial(t, sock, ofp.V13)
	const n = 2000
	data := make([]byte, 1000)
	go func() {
		for i := uint32(0); i < n; i++ {
			b, _ := openflow.Encode(p.p, i, &openflow.EchoRequest{Data: data})
			p.Write(b)
		}
	}()
	for i := uint32(0); i < n; i++ {
		b, err := p.raw()
		if err != nil {
			t.Fatal(err)
		}
		if x := openflow.ParseHeader(b).XID; x != i {
			t.Fatalf("reply %d instead of %d", x, i)
		}
	}
}

func TestPanic(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{})
	a, b := dial(t, sock, ofp.V13), dial(t, sock, ofp.V13)
	a.send(1, &openflow.FlowMod{Priority: 666, BufferID: openflow.NoBuffer})
	if _, err := a.raw(); err != io.EOF {
		t.Errorf("after a panic: %v", err)
	}
	b.sync()
	if !strings.Contains(h.notes(), "disconnected service panic: a bug") {
		t.Errorf("the handler does not know why: %s", h.notes())
	}
}

type tornValue struct{}

func (tornValue) Torn() {}

// A panic behind which nobody can go on ends the process, with the stack on standard
// error and in the log.
func TestPanicTorn(t *testing.T) {
	const child = "WEIR_TEST_PANIC_TORN"
	if os.Getenv(child) != "" {
		_, sock := start(t, &tiny{}, Options{Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
		a := dial(t, sock, ofp.V13)
		a.send(1, &openflow.FlowMod{Priority: 667, BufferID: openflow.NoBuffer})
		a.raw()
		time.Sleep(20 * time.Second)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanicTorn$")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), child+"=1")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || !strings.Contains(stderr.String(), "panic: ") || !strings.Contains(stderr.String(), "(*tiny).Handle") {
		t.Errorf("the process lives: %v\n%s", err, &stderr)
	}
	if !strings.Contains(stdout.String(), "panic in a connection") || !strings.Contains(stdout.String(), "(*tiny).Handle") {
		t.Errorf("no stack in the log: %s", &stdout)
	}
}

// A panic while something is sent to a connection without its asking ends that one alone:
// the packet path goes on, and so do the others.
func TestPanicAsync(t *testing.T) {
	h := &tiny{}
	s, sock := start(t, h, Options{})
	a, b, other := dial(t, sock, ofp.V13), dial(t, sock, ofp.V13), dial(t, sock, ofp.V13)
	for _, p := range []*peer{a, b, other} {
		p.send(1, &openflow.SetConfig{Config: openflow.Config{MissSendLen: 20}})
	}
	a.send(2, &openflow.SetControllerID{ID: 5})
	b.send(2, &openflow.SetControllerID{ID: 6})
	for _, p := range []*peer{a, b, other} {
		p.sync()
	}
	s.SendPacketIn(nil, 5, 100) // the bug: a packet-in that is none, for a alone
	if _, err := a.raw(); err != io.EOF {
		t.Errorf("after a panic: %v", err)
	}
	s.SendPacketIn(packetIn(100), 6, 100)
	if m, ok := b.next().(*openflow.PacketIn); !ok {
		t.Errorf("%T instead of a packet-in", m)
	}
	b.sync()
	other.sync()
	s.SendAsync((*openflow.PortStatus)(nil)) // for all
	for _, p := range []*peer{b, other} {
		if _, err := p.raw(); err != io.EOF {
			t.Errorf("after a panic: %v", err)
		}
	}
	dial(t, sock, ofp.V13).sync() // the switch lives
}

func TestProbe(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{Probe: 50 * time.Millisecond})
	p := dial(t, sock, ofp.V13)
	for i := 0; i < 3; i++ {
		if m, ok := p.next().(*openflow.EchoRequest); !ok {
			t.Fatalf("%T instead of a probe", m)
		}
		p.send(0, &openflow.EchoReply{})
	}
	p.next() // the fourth is not answered
	if _, err := p.raw(); err != io.EOF {
		t.Errorf("a silent peer: %v", err)
	}
}

func TestTooMany(t *testing.T) {
	h := &tiny{}
	_, sock := start(t, h, Options{Conns: 1})
	p := dial(t, sock, ofp.V13)
	p.sync()
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection too many is served")
	}
	p.sync()
}

// TestController: an active connection comes up, is snooped, probes, and comes
// back after the controller went away.
func TestController(t *testing.T) {
	h := &tiny{conns: make(chan *Conn, 4)}
	s, _ := start(t, h, Options{})
	dir := t.TempDir()
	snoop := filepath.Join(dir, "br.snoop")
	if _, err := s.Listen(Snoop, "punix:"+snoop); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target := fmt.Sprintf("tcp:127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port)
	ctl, err := s.Connect(target, ControllerOptions{MaxBackoff: time.Second, Probe: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := hello(t, nc, ofp.V13)
	c := <-h.conns
	if c.Kind != Primary || c.Name != target {
		t.Errorf("%v %s", c.Kind, c.Name)
	}
	for i := 0; !ctl.Status().Connected; i++ {
		if i > 100 {
			t.Fatalf("status %+v", ctl.Status())
		}
		time.Sleep(5 * time.Millisecond)
	}
	listener := dial(t, snoop, ofp.V13)
	for i := 0; ; i++ { // until the snoop is known to the switch
		p.send(50, &openflow.BarrierRequest{})
		for {
			if _, probe := p.next().(*openflow.EchoRequest); !probe {
				break
			}
			p.send(0, &openflow.EchoReply{})
		}
		listener.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		b, err := listener.raw()
		if err == nil {
			if h := openflow.ParseHeader(b); h.XID != 50 && h.Type != 2 {
				t.Errorf("snooped %+v", h)
			}
			break
		}
		if i > 50 {
			t.Fatal("nothing snooped")
		}
	}
	// A primary gets packet-ins by default, 128 bytes of a miss.
	s.SendPacketIn(packetIn(1000), 0, 1000)
	for {
		m := p.next()
		if _, probe := m.(*openflow.EchoRequest); probe {
			p.send(0, &openflow.EchoReply{})
			continue
		}
		if pi, ok := m.(*openflow.PacketIn); !ok || len(pi.Data) != 128 {
			t.Errorf("%T %+v", m, m)
		}
		break
	}
	p.Close()
	nc, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p = hello(t, nc, ofp.V10)
	<-h.conns
	// Silence: probed, then given up.
	if m, ok := p.next().(*openflow.EchoRequest); !ok {
		t.Errorf("%T instead of a probe", m)
	}
	if _, err := p.raw(); err != io.EOF {
		t.Errorf("a silent controller: %v", err)
	}
	ctl.Close()
	if c := ctl.Conn(); c != nil && !strings.Contains(h.notes(), "disconnected primary") {
		t.Errorf("%v", h.notes())
	}
}
