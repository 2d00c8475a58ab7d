// SPDX-License-Identifier: Apache-2.0

package jsonrpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// Budget bounds the bytes of incoming messages that many connections hold
// together. A nil *Budget has no bound.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget returns a budget of max bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Used returns the bytes held now.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

func (b *Budget) add(n int) bool {
	return b == nil || b.used.Add(int64(n)) <= b.max
}

// readSize is what one read asks for. It is also what an idle connection costs.
const readSize = 8 << 10

// Conn reads and writes messages on a connection.
type Conn struct {
	nc     net.Conn
	framer *Framer
	budget *Budget
	held   int // bytes taken from the budget
	buf    []byte
	rest   []byte // part of buf not consumed yet
	got    int64  // bytes read so far
}

// NewConn wraps nc. budget may be nil.
func NewConn(nc net.Conn, l Limits, budget *Budget) *Conn {
	return &Conn{nc: nc, framer: NewFramer(l), budget: budget, buf: make([]byte, readSize)}
}

// Net returns the connection below, for deadlines and addresses.
func (c *Conn) Net() net.Conn { return c.nc }

// Received returns how many bytes were read: what tells a slow peer from a
// silent one. It belongs to the goroutine that reads.
func (c *Conn) Received() int64 { return c.got }

// Partial says whether the connection is in the middle of a message.
func (c *Conn) Partial() bool { return c.framer.Buffered() > 0 }

// Next returns the next message if it has come already; ok says so. Everything
// else is as with Read.
func (c *Conn) Next() (m Message, ok bool, err error) {
	c.hold(c.framer.Buffered())
	for len(c.rest) > 0 {
		raw, n, err := c.framer.Next(c.rest)
		c.rest = c.rest[n:]
		if err != nil {
			return m, false, err
		}
		if raw != nil {
			if !c.hold(len(raw)) {
				return m, false, c.overBudget()
			}
			m, err = Parse(raw)
			return m, err == nil, err
		}
	}
	return m, false, nil
}

// Read waits for the next message. It returns io.EOF when the peer closed
// between messages, io.ErrUnexpectedEOF when it closed inside one; errors that
// wrap [ErrSyntax], [ErrTooBig] or [ErrMessage] are the peer's fault. After an
// error other than a timeout the connection is of no use. The bytes of the
// message count against the budget until the next Read or Close.
func (c *Conn) Read() (Message, error) {
	for {
		if m, ok, err := c.Next(); ok || err != nil {
			return m, err
		}
		if !c.hold(c.framer.Buffered()) {
			return Message{}, c.overBudget()
		}
		n, err := c.nc.Read(c.buf)
		c.rest = c.buf[:n]
		c.got += int64(n)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) && c.Partial() {
				err = io.ErrUnexpectedEOF
			}
			return Message{}, err
		}
	}
}

func (c *Conn) overBudget() error {
	return fmt.Errorf("%w: messages of all connections together above %d bytes", ErrTooBig, c.budget.max)
}

// hold sets what this connection takes from the budget.
func (c *Conn) hold(n int) bool {
	d := n - c.held
	c.held = n
	return c.budget.add(d) || d <= 0
}

// Write writes one encoded message. It may be called while another goroutine
// is in Read.
func (c *Conn) Write(msg []byte) error {
	_, err := c.nc.Write(msg)
	return err
}

// Close closes the connection below. Read and Write return errors from then on.
func (c *Conn) Close() error { return c.nc.Close() }

// Release gives the budget back. The goroutine that reads calls it when it is
// done with the connection.
func (c *Conn) Release() { c.hold(0) }
