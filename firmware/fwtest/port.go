// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Bounds of a Port.
const (
	MaxPending = 1 << 16          // frames received and not taken
	maxFrame   = 68 << 10         // bytes: QEMU's NET_BUFSIZE
	sendWait   = 10 * time.Second // for a guest that does not read
)

// Port is the other end of a board's wire.
type Port struct {
	Name string

	sending sync.Mutex
	conn    net.Conn

	mu       sync.Mutex
	pending  [][]byte
	received uint64
	dropped  uint64
	err      error
	wake     chan struct{} // closed when frames have come or the wire has ended; nil: nobody waits
}

func newPort(name string, conn net.Conn) *Port {
	p := &Port{Name: name, conn: conn}
	go func() {
		err := p.read()
		p.mu.Lock()
		p.err = fmt.Errorf("port %s: the wire ended: %w", name, err)
		p.tell()
		p.mu.Unlock()
	}()
	return p
}

// tell wakes those who wait. p.mu is held.
func (p *Port) tell() {
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}

func (p *Port) read() error {
	r := bufio.NewReaderSize(p.conn, 1<<17)
	for {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(n[:])
		if size > maxFrame {
			return fmt.Errorf("frame of %d bytes, the bound is %d", size, maxFrame)
		}
		f := make([]byte, size)
		if _, err := io.ReadFull(r, f); err != nil {
			return err
		}
		p.mu.Lock()
		p.received++
		if len(p.pending) < MaxPending {
			p.pending = append(p.pending, f)
		} else {
			p.dropped++
		}
		p.tell()
		p.mu.Unlock()
	}
}

// Send puts frames on the wire, in order, without FCS. It does not pad.
func (p *Port) Send(frames ...[]byte) error {
	var buf []byte
	for _, f := range frames {
		if len(f) > maxFrame {
			return fmt.Errorf("port %s: send a frame of %d bytes, the bound is %d", p.Name, len(f), maxFrame)
		}
		buf = append(binary.BigEndian.AppendUint32(buf, uint32(len(f))), f...)
	}
	p.sending.Lock()
	defer p.sending.Unlock()
	p.conn.SetWriteDeadline(time.Now().Add(sendWait))
	if _, err := p.conn.Write(buf); err != nil {
		return fmt.Errorf("port %s: send %d frames: %w", p.Name, len(frames), err)
	}
	return nil
}

// Until takes frames until one fits, and returns it and those before it. To show that
// nothing came, send a frame that must come behind, and look at what came before it:
// a wire keeps the order.
func (p *Port) Until(ctx context.Context, fits func([]byte) bool) (before [][]byte, hit []byte, err error) {
	for {
		p.mu.Lock()
		for i, f := range p.pending {
			if fits(f) {
				before = append(before, p.pending[:i]...)
				p.pending = p.pending[i+1:]
				p.mu.Unlock()
				return before, f, nil
			}
		}
		before = append(before, p.pending...)
		p.pending = nil
		if p.wake == nil {
			p.wake = make(chan struct{})
		}
		wake, err := p.wake, p.err
		p.mu.Unlock()
		if err != nil {
			return before, nil, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return before, nil, fmt.Errorf("port %s: wait for a frame, %d others came: %w", p.Name, len(before), ctx.Err())
		}
	}
}

// Expect waits for a frame that fits; others are dropped.
func (p *Port) Expect(ctx context.Context, fits func([]byte) bool) ([]byte, error) {
	_, f, err := p.Until(ctx, fits)
	return f, err
}

// Count takes n frames that fit and drops others; it returns how many came before ctx
// ended.
func (p *Port) Count(ctx context.Context, n int, fits func([]byte) bool) (int, error) {
	for i := range n {
		if _, err := p.Expect(ctx, fits); err != nil {
			return i, fmt.Errorf("%d of %d: %w", i, n, err)
		}
	}
	return n, nil
}

// Take takes all frames that have come.
func (p *Port) Take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.pending
	p.pending = nil
	return out
}

// Received returns how many frames came in all, and how many of them found MaxPending
// waiting and were dropped.
func (p *Port) Received() (frames, dropped uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.received, p.dropped
}
