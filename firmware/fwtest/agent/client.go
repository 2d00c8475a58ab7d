// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Result is what a command printed, and its exit status; 128+n if signal n ended it.
type Result struct {
	Out, Err string
	Code     int
}

func (r Result) String() string {
	return fmt.Sprintf("exit status %d\n%s%s", r.Code, r.Out, r.Err)
}

// Client is the outer end. Make it with NewClient.
type Client struct {
	rw    io.ReadWriter
	ready chan struct{} // closed when the agent is there
	ended chan struct{} // closed behind err

	// Apart from mu: replies must be taken while a request waits to be written, or both
	// ends wait for each other.
	writing sync.Mutex

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan<- reply
	err     error
	greeted bool
}

// NewClient speaks to the agent behind rw, which may come later. A goroutine reads rw
// until it ends.
func NewClient(rw io.ReadWriter) *Client {
	c := &Client{rw: rw, ready: make(chan struct{}), ended: make(chan struct{}), waiting: map[uint64]chan<- reply{}}
	go func() {
		err := c.read()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		c.mu.Lock()
		c.err = fmt.Errorf("the agent is gone: %w", err)
		c.mu.Unlock()
		close(c.ended)
	}()
	return c
}

func (c *Client) read() error {
	for {
		var r reply
		if err := readFrame(c.rw, &r); err != nil {
			return err
		}
		c.mu.Lock()
		if r.ID == 0 && !c.greeted {
			c.greeted = true
			close(c.ready)
		}
		if w, ok := c.waiting[r.ID]; ok {
			delete(c.waiting, r.ID)
			w <- r
		}
		c.mu.Unlock()
	}
}

// Run runs a command with the shell inside and returns what came of it. The error is
// about the way there: the agent did not come or went, or ctx ended, in which case the
// command is killed.
func (c *Client) Run(ctx context.Context, command string, stdin []byte) (Result, error) {
	select {
	case <-c.ready:
	case <-c.ended:
		return Result{}, c.failure()
	case <-ctx.Done():
		return Result{}, fmt.Errorf("wait for the agent: %w", ctx.Err())
	}
	got := make(chan reply, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.waiting[id] = got
	c.mu.Unlock()
	if err := c.write(request{ID: id, Command: command, Stdin: stdin}); err != nil {
		return Result{}, fmt.Errorf("run %q: %w", command, err)
	}
	select {
	case r := <-got:
		if r.Failure != "" {
			return Result{}, fmt.Errorf("run %q: %s", command, r.Failure)
		}
		return Result{string(r.Out), string(r.Err), r.Code}, nil
	case <-c.ended:
		return Result{}, fmt.Errorf("run %q: %w", command, c.failure())
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
		go c.write(request{ID: id, Cancel: true}) // the caller does not wait for a guest that hangs
		return Result{}, fmt.Errorf("run %q: %w", command, ctx.Err())
	}
}

func (c *Client) write(q request) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return writeFrame(c.rw, q)
}

func (c *Client) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
