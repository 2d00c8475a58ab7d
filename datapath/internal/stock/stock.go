// SPDX-License-Identifier: Apache-2.0

// Package stock runs Debian's Open vSwitch with dummy devices, for tests that compare
// ours with it: database server and switch in a directory of the test's own, ended with
// the test by their process. A test is skipped, with the reason, where a program is
// not installed.
package stock

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Switch is a running stock switch.
type Switch struct {
	t   testing.TB
	Dir string // its run directory
}

// Start starts a switch without bridges.
func Start(t testing.TB) *Switch {
	t.Helper()
	for _, p := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("the stock switch is not installed (Debian: openvswitch-switch): %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "xs") // short: the names of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Switch{t, dir}
	s.Run("ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	s.daemon("ovsdb-server", dir+"/conf.db", "--remote=punix:"+dir+"/db.sock", "--unixctl="+dir+"/db.ctl")
	s.wait(dir + "/db.sock")
	s.daemon("ovs-vswitchd", "unix:"+dir+"/db.sock", "--enable-dummy=override", "--disable-system", "--unixctl="+dir+"/vs.ctl")
	s.wait(dir + "/vs.ctl")
	return s
}

func (s *Switch) env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+s.Dir, "OVS_LOGDIR="+s.Dir)
}

func (s *Switch) daemon(name string, args ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, name, append(args, "-vconsole:off")...)
	c.Env = s.env()
	if err := c.Start(); err != nil {
		cancel()
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); c.Wait() })
}

func (s *Switch) wait(path string) {
	for range 500 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%s does not appear", path)
}

// Try runs a program in the switch's environment.
func (s *Switch) Try(name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Env = s.env()
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out), err
}

// Run is Try for a program that must succeed.
func (s *Switch) Run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.Try(name, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// Vsctl runs ovs-vsctl.
func (s *Switch) Vsctl(args ...string) {
	s.t.Helper()
	s.Run("ovs-vsctl", append([]string{"--db=unix:" + s.Dir + "/db.sock", "--timeout=10"}, args...)...)
}

// Appctl runs ovs-appctl against the switch.
func (s *Switch) Appctl(args ...string) string {
	s.t.Helper()
	return s.Run("ovs-appctl", append([]string{"-t", s.Dir + "/vs.ctl"}, args...)...)
}

// Bridge adds a bridge in fail mode secure with dummy ports p1 to pn, whose OpenFlow
// numbers are 1 to n.
func (s *Switch) Bridge(name string, n int) {
	s.t.Helper()
	s.Vsctl("add-br", name, "--", "set", "bridge", name, "datapath-type=dummy", "fail-mode=secure")
	for i := 1; i <= n; i++ {
		p := fmt.Sprintf("p%d", i)
		s.Vsctl("add-port", name, p, "--", "set", "interface", p, "type=dummy", fmt.Sprintf("ofport_request=%d", i))
	}
}

// Conn is an OpenFlow connection to a bridge.
type Conn struct {
	t     testing.TB
	nc    net.Conn
	Proto openflow.Proto
	xid   uint32
}

// Dial opens an OpenFlow connection to a bridge's own socket.
func (s *Switch) Dial(bridge string, v ofp.Version) *Conn {
	s.t.Helper()
	return Dial(s.t, s.Dir+"/"+bridge+".mgmt", v)
}

// Dial opens an OpenFlow connection to a socket.
func Dial(t testing.TB, path string, v ofp.Version) *Conn {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &Conn{t: t, nc: nc, Proto: openflow.Proto{Version: v}, xid: 100}
	c.Send(&openflow.Hello{Versions: ofp.VersionSet(v)})
	if b := c.read(); openflow.ParseHeader(b).Type != 0 {
		t.Fatalf("no hello: %x", b)
	}
	return c
}

// Send writes m and returns its transaction id.
func (c *Conn) Send(m openflow.Message) uint32 {
	c.t.Helper()
	c.xid++
	b, err := openflow.Encode(c.Proto, c.xid, m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Write(b)
	return c.xid
}

// Write writes raw bytes.
func (c *Conn) Write(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Conn) read() []byte {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, openflow.HeaderLen)
	_, err := io.ReadFull(c.nc, b)
	if err == nil {
		b = append(b, make([]byte, max(0, openflow.ParseHeader(b).Len-openflow.HeaderLen))...)
		_, err = io.ReadFull(c.nc, b[openflow.HeaderLen:])
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// Reply is a message received.
type Reply struct {
	XID uint32
	Msg openflow.Message
	Raw []byte
}

// Barrier sends a barrier request and returns what came before its reply.
func (c *Conn) Barrier() (rs []Reply) {
	c.t.Helper()
	xid := c.Send(&openflow.BarrierRequest{})
	for {
		r := c.Next()
		if _, ok := r.Msg.(*openflow.BarrierReply); ok && r.XID == xid {
			return rs
		}
		rs = append(rs, r)
	}
}

// Next returns the next message, echo requests excepted, which it answers.
func (c *Conn) Next() Reply {
	c.t.Helper()
	for {
		b := c.read()
		m, err := openflow.Decode(b, c.Proto)
		if err != nil {
			c.t.Fatalf("%x: %v", b, err)
		}
		h := openflow.ParseHeader(b)
		if e, ok := m.(*openflow.EchoRequest); ok {
			out, _ := openflow.Encode(c.Proto, h.XID, &openflow.EchoReply{Data: e.Data})
			c.Write(out)
			continue
		}
		return Reply{h.XID, m, b}
	}
}

// Ask sends m and a barrier and returns the replies.
func (c *Conn) Ask(m openflow.Message) (ms []openflow.Message) {
	c.t.Helper()
	c.Send(m)
	for _, r := range c.Barrier() {
		ms = append(ms, r.Msg)
	}
	return ms
}
