// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/firmware/base/stream"
)

// ovsPKI makes sw-*.pem, ctl-*.pem, switchca.pem and controllerca.pem with
// Debian's ovs-pki.
func ovsPKI(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("ovs-pki"); err != nil {
		t.Skipf("ovs-pki is not installed (Debian: openvswitch-common): %v", err)
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"init"}, {"req+sign", "sw", "switch"}, {"req+sign", "ctl", "controller"}} {
		cmd := exec.Command("ovs-pki", append([]string{"--dir=" + dir + "/pki", "--log=" + dir + "/log", "-b"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ovs-pki %v: %v\n%s", args, err, out)
		}
	}
	for _, ca := range []string{"switchca", "controllerca"} {
		b, err := os.ReadFile(filepath.Join(dir, "pki", ca, "cacert.pem"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, ca+".pem"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newKeys(t *testing.T, dir, name, ca string, bootstrap bool) *pki.Keys {
	t.Helper()
	k := pki.New(pki.Options{})
	t.Cleanup(k.Close)
	k.Set(pki.Files{
		PrivateKey: dir + "/" + name + "-privkey.pem", Certificate: dir + "/" + name + "-cert.pem",
		CACert: dir + "/" + ca + ".pem", Bootstrap: bootstrap,
	})
	return k
}

// The stock ovs-ofctl over pssl:, with ovs-pki's certificates.
func TestTLSWithStock(t *testing.T) {
	dir := ovsPKI(t)
	h := &tiny{}
	s, _ := start(t, h, Options{TLS: newKeys(t, dir, "sw", "controllerca", false)})
	l, err := s.Listen(Service, "pssl:0:127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	to := fmt.Sprintf("ssl:127.0.0.1:%d", l.Addr.(*net.TCPAddr).Port)
	out := run(t, "ovs-ofctl", "-p", dir+"/ctl-privkey.pem", "-c", dir+"/ctl-cert.pem", "-C", dir+"/switchca.pem", "-O", "OpenFlow13", "show", to)
	if !strings.Contains(out, "dpid:0000000000000123") {
		t.Errorf("show:\n%s", out)
	}
	// Of another CA: refused.
	bad := exec.Command("ovs-ofctl", "-t", "5", "-p", dir+"/sw-privkey.pem", "-c", dir+"/sw-cert.pem", "-C", dir+"/switchca.pem", "show", to)
	if out, err := bad.CombinedOutput(); err == nil {
		t.Errorf("a certificate of another CA gets in:\n%s", out)
	}
	// Without TLS keys at all it does not listen.
	s2, _ := start(t, h, Options{})
	if _, err := s2.Listen(Service, "pssl:0:127.0.0.1"); err == nil {
		t.Error("pssl: without TLS listens")
	}
}

// The switch connects to a controller over ssl: without its CA: it fetches
// that, drops the connection, and comes again.
func TestTLSController(t *testing.T) {
	dir := ovsPKI(t)
	h := &tiny{conns: make(chan *Conn, 4)}
	s, _ := start(t, h, Options{TLS: newKeys(t, dir, "sw", "fetched", true)})
	// A controller sends its CA if that is in its CA file.
	b1, _ := os.ReadFile(dir + "/switchca.pem")
	b2, _ := os.ReadFile(dir + "/controllerca.pem")
	if err := os.WriteFile(dir+"/both.pem", append(b1, b2...), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := stream.Listen(context.Background(), stream.Addr{Passive: true, TLS: true, Host: "127.0.0.1"}, newKeys(t, dir, "ctl", "both", false).Server())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target := "ssl:" + l.Addr().String()
	ctl, err := s.Connect(target, ControllerOptions{MaxBackoff: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); err == nil { // the bootstrap
		t.Error("the first connection, which is not checked, stays")
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := hello(t, nc, ofp.V13)
	c := <-h.conns
	if c.Name != target || c.Kind != Primary {
		t.Errorf("%s, %v", c.Name, c.Kind)
	}
	p.send(1, &openflow.EchoRequest{Data: []byte("x")})
	if _, ok := p.next().(*openflow.EchoReply); !ok {
		t.Error("no echo over TLS")
	}
	if b, err := os.ReadFile(dir + "/fetched.pem"); err != nil || !strings.Contains(string(b2), string(b)) {
		t.Errorf("the file: %s, %v", b, err)
	}
	ctl.Close()
}

// 2,000 peers that say nothing, on TCP and in TLS handshakes, keep nobody out.
func TestHalfOpen(t *testing.T) {
	dir := ovsPKI(t)
	h := &tiny{}
	s, sock := start(t, h, Options{TLS: newKeys(t, dir, "sw", "controllerca", false)})
	var at []*net.TCPAddr
	for _, target := range []string{"ptcp:0:127.0.0.1", "pssl:0:127.0.0.1"} {
		l, err := s.Listen(Service, target)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, l.Addr.(*net.TCPAddr))
	}
	early := dial(t, sock, ofp.V13)
	early.sync()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range 2000 {
		c, err := net.DialTCP("tcp", nil, at[i%2])
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, c)
		io.WriteString(c, "\x16\x03\x01"[:i%3]) // may be closed already
	}
	early.sync()
	late, err := net.DialTCP("tcp", nil, at[0])
	if err != nil {
		t.Fatal(err)
	}
	hello(t, late, ofp.V13).sync()
	cfg, err := newKeys(t, dir, "ctl", "switchca", false).Client()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := stream.Dial(context.Background(), stream.Addr{TLS: true, Host: "127.0.0.1", Port: at[1].Port}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, nc, ofp.V13).sync()
	if n := len(s.all()); n > 66 { // evicted ones may be on their way out
		t.Errorf("%d connections", n)
	}
}

// Peers on TCP, however well they speak, leave places for those on unix sockets.
func TestPlacesForUnix(t *testing.T) {
	s, sock := start(t, &tiny{}, Options{Conns: 4})
	l, err := s.Listen(Service, "ptcp:0:127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		c, err := net.Dial("tcp", l.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i < 3 {
			hello(t, c, ofp.V13).sync()
			continue
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a fourth is served")
		}
	}
	dial(t, sock, ofp.V13).sync()
}
