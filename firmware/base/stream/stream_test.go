// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Addr
		out  string // "" for in
		err  string
	}{
		{in: "unix:/run/db.sock", want: Addr{Path: "/run/db.sock"}},
		{in: "punix:a:b", want: Addr{Passive: true, Path: "a:b"}},
		{in: "tcp:10.0.0.1:1234", want: Addr{Host: "10.0.0.1", Port: 1234}},
		{in: "tcp:10.0.0.1", want: Addr{Host: "10.0.0.1", Port: 6640}, out: "tcp:10.0.0.1:6640"},
		{in: "tcp:host.example:", want: Addr{Host: "host.example", Port: 6640}, out: "tcp:host.example:6640"},
		{in: "tcp:[::1]:99", want: Addr{Host: "::1", Port: 99}},
		{in: "tcp:[fe80::1%eth0]", want: Addr{Host: "fe80::1%eth0", Port: 6640}, out: "tcp:[fe80::1%eth0]:6640"},
		{in: "ssl:h:1", want: Addr{TLS: true, Host: "h", Port: 1}},
		{in: "ptcp:", want: Addr{Passive: true, Port: 6640}, out: "ptcp:6640"},
		{in: "ptcp:0:127.0.0.1", want: Addr{Passive: true, Host: "127.0.0.1"}},
		{in: "ptcp:7:[::1]", want: Addr{Passive: true, Port: 7, Host: "::1"}},
		{in: "ptcp::127.0.0.1", want: Addr{Passive: true, Port: 6640, Host: "127.0.0.1"}, out: "ptcp:6640:127.0.0.1"},
		{in: "pssl:6632", want: Addr{Passive: true, TLS: true, Port: 6632}},
		{in: "", err: "want unix:"},
		{in: "db.sock", err: "want unix:"},
		{in: "udp:1.2.3.4:5", err: "want unix:"},
		{in: "unix:", err: "no socket path"},
		{in: "tcp:", err: "no host"},
		{in: "tcp::6640", err: "no host"},
		{in: "tcp:h:0", err: "bad port"},
		{in: "tcp:h:65536", err: "bad port"},
		{in: "tcp:h:x", err: "bad port"},
		{in: "tcp:h:-1", err: "bad port"},
		{in: "tcp:::1:99", err: "bad port"},
		{in: "tcp:1::2", err: "bad port"},
		{in: "tcp:[::1", err: "closing bracket"},
		{in: "tcp:[::1]99", err: "after the bracket"},
		{in: "tcp:[10.0.0.1]:5", err: "brackets are for IPv6"},
		{in: "tcp:[nonsense]:5", err: "address"},
		{in: "ptcp:5:::1", err: "bad host"},
	} {
		got, err := Parse(tt.in, OVSDBPort)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, d)
		}
		if tt.out == "" {
			tt.out = tt.in
		}
		if got.String() != tt.out {
			t.Errorf("%q prints as %q", tt.in, got)
		}
	}
}

func mustParse(t *testing.T, s string) Addr {
	t.Helper()
	a, err := Parse(s, OVSDBPort)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// hello checks that a byte gets through.
func hello(t *testing.T, l net.Listener, a Addr) {
	t.Helper()
	go func() {
		for { // a probe of another listener may come first
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, err = io.WriteString(c, "!")
			c.Close()
			if err == nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := Dial(ctx, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(c); err != nil || string(b) != "!" {
		t.Fatalf("read %q, %v", b, err)
	}
}

func TestUnix(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"s.sock", strings.Repeat("d", 100) + "/" + strings.Repeat("s", 70)} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := Listen(ctx, Addr{Passive: true, Path: path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		umask := syscall.Umask(0)
		syscall.Umask(umask)
		if got, want := st.Mode().Perm(), os.FileMode(0o770&^umask); got != want {
			t.Errorf("mode %v, want %v", got, want)
		}
		hello(t, l, Addr{Path: path})
		if l2, err := Listen(ctx, Addr{Passive: true, Path: path}, nil); !errors.Is(err, ErrInUse) {
			t.Errorf("second listener: %v, %v", l2, err)
		}
		hello(t, l, Addr{Path: path}) // the first one is not disturbed
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		l.Close() // must not panic
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("socket left: %v", err)
		}
	}
}

func TestUnixStale(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "s.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close() // as after kill -9: the file is there, nobody answers
	l, err := Listen(ctx, Addr{Passive: true, Path: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hello(t, l, Addr{Path: path})

	// Somebody replaces the file: Close must not remove theirs.
	os.Remove(path)
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if b, err := os.ReadFile(path); err != nil || string(b) != "theirs" {
		t.Errorf("Close took another's file: %q, %v", b, err)
	}
	// Not a socket: never removed.
	if _, err := Listen(ctx, Addr{Passive: true, Path: path}, nil); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("listen on a plain file: %v", err)
	}
}

func TestTCP(t *testing.T) {
	l, err := Listen(context.Background(), mustParse(t, "ptcp:0:127.0.0.1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hello(t, l, Addr{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port})
}

func TestTLSNeedsConfig(t *testing.T) {
	ctx := context.Background()
	if _, err := Dial(ctx, mustParse(t, "ssl:127.0.0.1:1"), nil); !errors.Is(err, ErrNoTLS) {
		t.Errorf("dial: %v", err)
	}
	if _, err := Listen(ctx, mustParse(t, "pssl:0:127.0.0.1"), nil); !errors.Is(err, ErrNoTLS) {
		t.Errorf("listen: %v", err)
	}
	l, err := Listen(ctx, mustParse(t, "pssl:0:127.0.0.1"), &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Listen(ctx, mustParse(t, "tcp:127.0.0.1:1"), nil); err == nil {
		t.Error("listening on an active address")
	}
	if _, err := Dial(ctx, mustParse(t, "ptcp:1:127.0.0.1"), nil); err == nil {
		t.Error("dialling a passive address")
	}
}
