// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sync"
)

// maxConsole bounds what is kept of the console, in bytes; the oldest half goes first.
const maxConsole = 4 << 20

// Console is what the board printed.
type Console struct {
	mu    sync.Mutex
	text  []byte
	gone  int           // bytes before text
	wake  chan struct{} // closed and replaced when there is more
	ended bool
}

func newConsole(r io.Reader) *Console {
	c := &Console{wake: make(chan struct{})}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			c.mu.Lock()
			c.text = append(c.text, buf[:n]...)
			if len(c.text) > maxConsole {
				cut := len(c.text) - maxConsole/2
				c.text, c.gone = append([]byte(nil), c.text[cut:]...), c.gone+cut
			}
			c.ended = err != nil
			close(c.wake)
			c.wake = make(chan struct{})
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

// Text returns all that is kept.
func (c *Console) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// Mark returns the place behind the last byte, for Wait.
func (c *Console) Mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone + len(c.text)
}

// Wait waits until re matches behind a mark (0: from the start) and returns the match
// and its groups.
func (c *Console) Wait(ctx context.Context, mark int, re *regexp.Regexp) ([]string, error) {
	for {
		c.mu.Lock()
		from := min(max(mark-c.gone, 0), len(c.text))
		m := re.FindSubmatch(c.text[from:])
		wake, ended := c.wake, c.ended
		c.mu.Unlock()
		if m != nil {
			out := make([]string, len(m))
			for i := range m {
				out[i] = string(m[i])
			}
			return out, nil
		}
		if ended {
			return nil, fmt.Errorf("wait for %q on the console: %w", re, io.ErrUnexpectedEOF)
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %q on the console: %w", re, ctx.Err())
		}
	}
}

// tail returns the last n bytes.
func (c *Console) tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text[max(0, len(c.text)-n):])
}
