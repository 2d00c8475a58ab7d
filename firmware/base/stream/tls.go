// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxHandshakes    = 64 // at a time, of one listener
	handshakeTimeout = 10 * time.Second
	acceptPause      = 100 * time.Millisecond // after an error, e.g. no descriptors left
)

// HandshakeError is what Accept returns for a peer that does not speak TLS, or
// not with a certificate that is trusted. The listener lives on.
type HandshakeError struct {
	Peer string // address
	Err  error
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("TLS handshake with %s: %v", e.Peer, e.Err)
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// errEvicted: a handshake was the oldest of too many.
var errEvicted = errors.New("too many handshakes at a time, this one was the oldest")

// tlsListener does handshakes beside Accept.
type tlsListener struct {
	net.Listener
	cfg     *tls.Config
	max     int
	timeout time.Duration
	ready   chan net.Conn
	fails   chan error // at most 16 wait; more are dropped
	done    chan struct{}
	once    sync.Once
	err     error          // of Close
	loop    sync.WaitGroup // the goroutine that accepts

	mu      sync.Mutex
	shaking []*handshake // the oldest first; at most max
}

type handshake struct {
	nc   net.Conn
	stop context.CancelCauseFunc
}

func newTLSListener(l net.Listener, cfg *tls.Config, limit int, timeout time.Duration) *tlsListener {
	t := &tlsListener{Listener: l, cfg: cfg, max: limit, timeout: timeout, ready: make(chan net.Conn), fails: make(chan error, 16), done: make(chan struct{})}
	t.loop.Add(1)
	go t.accept()
	return t
}

// Accept returns the next connection that is through with its handshake, or a
// *HandshakeError, or an error of the listener.
func (t *tlsListener) Accept() (net.Conn, error) {
	select {
	case nc := <-t.ready:
		return nc, nil
	case err := <-t.fails:
		return nil, err
	case <-t.done:
		return nil, fmt.Errorf("accept on %s: %w", t.Addr(), net.ErrClosed)
	}
}

// Close stops listening and cuts the handshakes. It does not wait for these: a
// slow CPU may be in the middle of a signature, and callers hold mutexes.
func (t *tlsListener) Close() error {
	t.once.Do(func() {
		close(t.done)
		t.err = t.Listener.Close()
		t.mu.Lock()
		for _, h := range t.shaking {
			h.end(net.ErrClosed)
		}
		t.mu.Unlock()
	})
	t.loop.Wait()
	return t.err
}

func (h *handshake) end(why error) {
	h.stop(why)
	h.nc.Close()
}

func (t *tlsListener) accept() {
	defer t.loop.Done()
	for {
		nc, err := t.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.fail(err)
			select {
			case <-t.done:
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		ctx, stop := context.WithCancelCause(context.Background())
		h := &handshake{nc, stop}
		t.mu.Lock()
		if len(t.shaking) >= t.max {
			t.shaking[0].end(errEvicted)
			t.shaking = slices.Delete(t.shaking, 0, 1)
		}
		t.shaking = append(t.shaking, h)
		t.mu.Unlock()
		select {
		case <-t.done: // after Close went over the list
			h.end(net.ErrClosed)
		default:
		}
		go t.shake(ctx, h)
	}
}

// fail tells Accept of an error.
func (t *tlsListener) fail(err error) {
	select {
	case t.fails <- err:
	default:
	}
}

func (t *tlsListener) shake(ctx context.Context, h *handshake) {
	defer t.forget(h)
	defer h.stop(nil)
	tctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	c := newTLSConn(h.nc, func(c net.Conn) *tls.Conn { return tls.Server(c, t.cfg) })
	err := c.handshake(tctx)
	if err == nil { // it keeps its place until Accept takes it
		select {
		case t.ready <- c:
			return
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	h.nc.Close()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, net.ErrClosed):
		return
	case cause != nil:
		err = cause
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("not done within %v", t.timeout)
	}
	t.fail(&HandshakeError{h.nc.RemoteAddr().String(), err})
}

// forget takes h off the list, if it is there still.
func (t *tlsListener) forget(h *handshake) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shaking = slices.DeleteFunc(t.shaking, func(x *handshake) bool { return x == h })
}

// tlsConn is a TLS connection whose Close never waits. That of tls.Conn sends
// an alert: it waits for the mutex that a blocked Write (also one that Read
// makes, for a key update) holds, and then up to 5 s for room in the socket, and
// the callers hold mutexes of their own.
type tlsConn struct {
	*tls.Conn
	raw *rawConn
}

func newTLSConn(nc net.Conn, wrap func(net.Conn) *tls.Conn) *tlsConn {
	raw := &rawConn{Conn: nc}
	return &tlsConn{wrap(raw), raw}
}

// handshake does the handshake. It reads what a stranger says through much code,
// so a panic in it ends this connection alone.
func (c *tlsConn) handshake(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the TLS handshake: %v\n%s", p, debug.Stack())
		}
	}()
	return c.HandshakeContext(ctx)
}

func (c *tlsConn) Close() error {
	c.raw.closing.Store(true)
	// Whoever is blocked in Write wakes. A Write that saw closing unset has its
	// deadline set before this one.
	c.raw.Conn.SetWriteDeadline(time.Unix(1, 0))
	err := c.Conn.Close()
	if errors.Is(err, syscall.EAGAIN) {
		err = nil // no room for the alert
	}
	return err
}

// rawConn is what TLS records go through. While it is closing it writes what
// there is room for at once.
type rawConn struct {
	net.Conn
	closing atomic.Bool
}

func (c *rawConn) Write(b []byte) (int, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !c.closing.Load() || !ok {
		return c.Conn.Write(b)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	cerr := rc.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true // never wait
	})
	if n < len(b) && err == nil {
		err = syscall.EAGAIN
	}
	return max(n, 0), errors.Join(cerr, err)
}
