// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tlsConfig returns a configuration for both sides.
func tlsConfig(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS12,
	}
}

// listenTLS returns a listener with bounds of its own.
func listenTLS(t *testing.T, cfg *tls.Config, limit int, timeout time.Duration) (*tlsListener, Addr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tl := newTLSListener(l, cfg, limit, timeout)
	t.Cleanup(func() { tl.Close() })
	return tl, Addr{TLS: true, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
}

func TestTLS(t *testing.T) {
	cfg := tlsConfig(t)
	l, err := Listen(context.Background(), mustParse(t, "pssl:0:127.0.0.1"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := Addr{TLS: true, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(c, c)
		c.Close()
	})
	c, err := Dial(context.Background(), a, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, "hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait() // the other side read the end
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
}

// Garbage is told as such and the listener lives on.
func TestTLSGarbage(t *testing.T) {
	cfg := tlsConfig(t)
	l, a := listenTLS(t, cfg, 4, time.Minute)
	for _, junk := range []string{"GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 70000), "\x15\x03\x01\x00\x02\x02\x28", "\x16\x03\x01\x00\x04\x01\xff\xff\xff"} {
		c, err := Dial(context.Background(), Addr{Host: a.Host, Port: a.Port}, nil)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(c, junk)
		go func() { // ends the last one, which waits for more
			time.Sleep(100 * time.Millisecond)
			c.(*net.TCPConn).CloseWrite()
		}()
		nc, err := l.Accept()
		var he *HandshakeError
		if !errors.As(err, &he) || nc != nil || he.Peer != c.LocalAddr().String() {
			t.Errorf("%.20q: %v, %v", junk, nc, err)
		}
		c.Close()
	}
	tlsHello(t, l, a, cfg)
}

// tlsHello checks that an honest peer gets through, and returns who did not.
func tlsHello(t *testing.T, l net.Listener, a Addr, cfg *tls.Config) (failed []error) {
	t.Helper()
	got := make(chan net.Conn, 1)
	go func() {
		for {
			c, err := l.Accept()
			var he *HandshakeError
			if errors.As(err, &he) {
				failed = append(failed, err)
				continue
			}
			got <- c
			return
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := Dial(ctx, a, cfg)
	if err != nil {
		t.Fatalf("an honest peer: %v", err)
	}
	defer c.Close()
	(<-got).Close()
	return failed
}

// Half-open handshakes: bounded in number, the oldest gives way, and in time.
func TestTLSHalfOpen(t *testing.T) {
	cfg := tlsConfig(t)
	l, a := listenTLS(t, cfg, 8, 300*time.Millisecond)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 500 {
		c, err := Dial(context.Background(), Addr{Host: a.Host, Port: a.Port}, nil)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		l.mu.Lock()
		n := len(l.shaking)
		l.mu.Unlock()
		if n > 8 {
			t.Fatalf("%d handshakes at a time", n)
		}
	}
	failed := tlsHello(t, l, a, cfg)
	if !slices.ContainsFunc(failed, func(err error) bool { return errors.Is(err, errEvicted) }) {
		t.Errorf("nobody was told of an eviction: %v", failed)
	}
	end := func(c net.Conn) error {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := c.Read(make([]byte, 1))
		return err
	}
	if err := end(conns[0]); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest: %v", err)
	}
	if err := end(conns[len(conns)-1]); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the last: %v", err)
	}
	if _, err := l.Accept(); err == nil || !strings.Contains(err.Error(), "not done within 300ms") && !errors.Is(err, errEvicted) {
		t.Errorf("told %v", err)
	}
}

// A peer that does not read does not hold up Close, even while a Write and a
// Read that wants to write are stuck.
func TestTLSCloseDoesNotWait(t *testing.T) {
	cfg := tlsConfig(t)
	l, a := listenTLS(t, cfg, 4, time.Minute)
	for _, writing := range []bool{true, false} {
		raw, err := Dial(context.Background(), Addr{Host: a.Host, Port: a.Port}, nil)
		if err != nil {
			t.Fatal(err)
		}
		go tls.Client(raw, cfg).Handshake()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if !writing { // fill the socket, then nobody writes any more
			c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		}
		stuck := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, 64<<20))
			stuck <- err
		}()
		time.Sleep(100 * time.Millisecond)
		if !writing {
			<-stuck
		}
		start := time.Now()
		c.Close()
		if d := time.Since(start); d > time.Second {
			t.Errorf("writing %t: Close took %v", writing, d)
		}
		if writing {
			if err := <-stuck; err == nil {
				t.Error("64 MiB went to a peer that does not read")
			}
		}
		raw.Close()
	}
}

// A panic while a stranger is looked at ends that connection alone.
func TestTLSPanic(t *testing.T) {
	cfg := tlsConfig(t)
	bad := cfg.Clone()
	n := 0
	bad.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if n++; n == 1 {
			panic("on purpose")
		}
		return cfg, nil
	}
	l, a := listenTLS(t, bad, 4, time.Minute)
	if c, err := Dial(context.Background(), a, cfg); err == nil {
		c.Close()
		t.Error("a handshake that panicked succeeds")
	}
	var he *HandshakeError
	if _, err := l.Accept(); !errors.As(err, &he) || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("told %v", err)
	}
	tlsHello(t, l, a, cfg)

	mad := cfg.Clone()
	mad.VerifyConnection = func(tls.ConnectionState) error { panic("on purpose") }
	if c, err := Dial(context.Background(), a, mad); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("dialled %v, %v", c, err)
	}
}

func TestDSCP(t *testing.T) {
	tos := func(c syscall.Conn) (v int) {
		rc, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		rc.Control(func(fd uintptr) { v, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS) })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	l, err := Listen(context.Background(), Addr{Passive: true, Host: "127.0.0.1", DSCP: DefaultDSCP}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(context.Background(), Addr{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, DSCP: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := tos(c.(*net.TCPConn)); got != 40 {
		t.Errorf("dialled with TOS %#x", got)
	}
	if got := tos(s.(*net.TCPConn)); got != 0xc0 {
		t.Errorf("accepted with TOS %#x", got)
	}
}
