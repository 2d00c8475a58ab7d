// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// push queues b, or writes it at once if nothing waits; asynchronous messages are dropped
// at the bound of the queue. It reports whether b goes out.
func (c *Conn) push(b []byte, async bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if async && c.queued+len(b) > c.sw.opt.Queue {
		c.dropped.Add(1)
		return false
	}
	if c.raw != nil && len(c.queue) == 0 && !c.busy {
		n := len(b)
		b = c.tryWrite(b)
		switch {
		case len(b) == 0:
			c.sent.Add(1)
			if len(c.queue) > 0 || c.closed { // somebody came meanwhile
				c.cond.Broadcast()
			}
			return true
		case len(b) < n && len(c.queue) > 0: // its rest comes before what came meanwhile
			c.queue = slices.Insert(c.queue, 0, item{b: b})
			c.queued += len(b)
			c.cond.Broadcast()
			return true
		}
	}
	c.queue = append(c.queue, item{b: b})
	c.queued += len(b)
	c.cond.Broadcast()
	return true
}

// tryWrite writes what the transport takes of b without waiting and returns the rest.
// c.mu is held; it is given up meanwhile, with c.busy set. A failure is
// left to the writer, who meets it again.
func (c *Conn) tryWrite(b []byte) []byte {
	c.busy = true
	c.mu.Unlock()
	n := 0
	_ = c.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	c.mu.Lock()
	c.busy = false
	return b[max(n, 0):]
}

// writer sends what is queued until the connection is closed and, after a
// close without an error of the transport, what is left.
func (c *Conn) writer() {
	var joined []byte
	for {
		c.mu.Lock()
		for (len(c.queue) == 0 || c.busy) && !c.closed {
			c.cond.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		// Small messages go out together.
		b, n := c.queue[0].b, 1
		if len(c.queue) > 1 && len(b) < writeChunk {
			joined = joined[:0]
			for n = 0; n < len(c.queue) && len(joined)+len(c.queue[n].b) <= writeChunk; n++ {
				joined = append(joined, c.queue[n].b...)
			}
			b = joined
		}
		c.mu.Unlock()
		if err := c.write(b); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("the peer takes nothing for %v", c.sw.opt.Stall)
			}
			c.Close(fmt.Errorf("write: %w", err))
			return
		}
		c.sent.Add(uint64(n))
		c.mu.Lock()
		for _, i := range c.queue[:n] {
			if i.pin {
				c.pinsQueued--
			}
		}
		clear(c.queue[:n])
		c.queue = c.queue[n:]
		c.queued -= len(b)
		c.cond.Broadcast()
		c.mu.Unlock()
	}
}

// writeChunk is how much must go out within Options.Stall.
const writeChunk = 64 << 10

func (c *Conn) write(b []byte) error {
	// A deadline that passes while nothing is written would refuse tryWrite.
	defer c.nc.SetWriteDeadline(time.Time{})
	for len(b) > 0 {
		n := min(len(b), writeChunk)
		c.nc.SetWriteDeadline(time.Now().Add(c.sw.opt.Stall))
		if _, err := c.nc.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// waitRoom blocks until the queue is below its bound.
func (c *Conn) waitRoom() {
	c.mu.Lock()
	for c.queued > c.sw.opt.Queue && !c.closed {
		c.cond.Wait()
	}
	c.mu.Unlock()
}

// drain blocks until everything is sent, so that a last error goes out.
func (c *Conn) drain() {
	c.mu.Lock()
	for (len(c.queue) > 0 || c.busy) && !c.closed {
		c.cond.Wait()
	}
	c.mu.Unlock()
}
