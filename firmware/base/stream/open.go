// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrInUse: somebody answers on the unix socket that was to be created.
var ErrInUse = errors.New("another server is listening there")

// maxSunPath is what fits sun_path with its NUL (unix(7): 108 bytes).
const maxSunPath = 107

// sockMode is the mode of a socket file before the umask, as stock's.
const sockMode = 0o770

// Dial connects. cfg is used for ssl: only and may be nil otherwise.
func Dial(ctx context.Context, a Addr, cfg *tls.Config) (net.Conn, error) {
	if a.Passive {
		return nil, fmt.Errorf("dial %s: a passive address", a)
	}
	if a.TLS && cfg == nil {
		return nil, fmt.Errorf("dial %s: %w", a, ErrNoTLS)
	}
	d := net.Dialer{KeepAlive: -1, Control: a.control} // probes are the protocol's
	if a.Path != "" {
		var c net.Conn
		err := withShortPath(a.Path, func(p string) (err error) {
			c, err = d.DialContext(ctx, "unix", p)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", a, err)
		}
		return c, nil
	}
	c, err := d.DialContext(ctx, "tcp", a.hostPort())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	if !a.TLS {
		return c, nil
	}
	tc := newTLSConn(c, func(c net.Conn) *tls.Conn { return tls.Client(c, cfg) })
	if err := tc.handshake(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	return tc, nil
}

// Listen listens. cfg is used for pssl: only and may be nil otherwise; its
// GetConfigForClient can give each connection the keys of the moment. A
// pssl: listener does the handshakes, at most 64 at a time and each within
// 10 s, and Accept returns connections that are through with it. For one that
// fails Accept returns a [*HandshakeError] (unless too many wait to be told),
// and the next call goes on.
func Listen(ctx context.Context, a Addr, cfg *tls.Config) (net.Listener, error) {
	if !a.Passive {
		return nil, fmt.Errorf("listen %s: an active address", a)
	}
	if a.TLS && cfg == nil {
		return nil, fmt.Errorf("listen %s: %w", a, ErrNoTLS)
	}
	if a.Path != "" {
		l, err := listenUnix(ctx, a.Path)
		if err != nil {
			return nil, fmt.Errorf("listen %s: %w", a, err)
		}
		return l, nil
	}
	lc := net.ListenConfig{KeepAlive: -1, Control: a.control}
	l, err := lc.Listen(ctx, "tcp", a.hostPort())
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	if a.TLS {
		l = newTLSListener(l, cfg, maxHandshakes, handshakeTimeout)
	}
	return l, nil
}

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	l, err := bindUnix(ctx, path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
		l, err = bindUnix(ctx, path)
	}
	return l, err
}

func bindUnix(ctx context.Context, path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Linux gives the new file the mode of the socket's own inode, less
		// the umask: there is no moment with wider permissions.
		var err error
		if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), sockMode) }); cerr != nil {
			return cerr
		}
		return err
	}}
	var l net.Listener
	err := withShortPath(path, func(p string) (err error) {
		l, err = lc.Listen(ctx, "unix", p)
		return err
	})
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	st, err := os.Lstat(path)
	if err != nil {
		ul.Close()
		return nil, err
	}
	return &unixListener{UnixListener: ul, path: path, made: st}, nil
}

// removeStale removes a socket file on which nobody listens.
func removeStale(ctx context.Context, path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := Dial(ctx, Addr{Path: path}, nil)
	if err == nil {
		c.Close()
		return ErrInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w (%w)", ErrInUse, err) // e.g. its queue is full
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// withShortPath calls f with a name of the same file that fits sun_path.
func withShortPath(path string, f func(string) error) error {
	if len(path) <= maxSunPath {
		return f(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

type unixListener struct {
	*net.UnixListener
	path string
	made fs.FileInfo
	once sync.Once
}

func (l *unixListener) Close() error {
	l.once.Do(func() {
		if st, err := os.Lstat(l.path); err == nil && os.SameFile(st, l.made) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// control marks the packets of a TCP socket with a.DSCP; connections that a
// listener accepts inherit it.
func (a Addr) control(network, _ string, c syscall.RawConn) error {
	if a.DSCP == 0 || a.Path != "" {
		return nil
	}
	var err error
	cerr := c.Control(func(fd uintptr) {
		tos := int(a.DSCP) << 2 // RFC 2474, section 3: the upper six bits
		if network == "tcp6" {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, tos)
		}
		// A socket that serves both takes both.
		if e4 := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS, tos); network != "tcp6" {
			err = e4
		}
	})
	return errors.Join(cerr, err)
}
