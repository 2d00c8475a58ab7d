// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
)

// ErrClosed: the connection is gone.
var ErrClosed = errors.New("connection closed")

// CallError is an error reply of the server: a string or an object.
type CallError struct {
	Method string
	Raw    json.RawMessage
}

func (e *CallError) Error() string { return fmt.Sprintf("%s: server says %s", e.Method, e.Raw) }

// Options of a connection.
type Options struct {
	TLS    *tls.Config                                 // for ssl:
	Limits jsonrpc.Limits                              // zero: 64 MiB a message, for whole databases
	Notify func(method string, params json.RawMessage) // nil: notifications are dropped
}

// Client is a connection to a server.
type Client struct {
	conn *jsonrpc.Conn
	o    Options

	wmu sync.Mutex // one message at a time

	mu    sync.Mutex
	next  uint64
	calls map[string]chan jsonrpc.Message
	err   error // why the connection ended
	done  chan struct{}

	answers chan []byte // to the server's requests; at most 8 wait, more are dropped
	wg      sync.WaitGroup
}

// Dial connects to a name of package stream, e.g. "unix:/run/openvswitch/db.sock".
func Dial(ctx context.Context, name string, o Options) (*Client, error) {
	a, err := stream.Parse(name, stream.OVSDBPort)
	if err != nil {
		return nil, err
	}
	nc, err := stream.Dial(ctx, a, o.TLS)
	if err != nil {
		return nil, err
	}
	return New(nc, o), nil
}

// New makes a client of a connection, which it closes in the end.
func New(nc net.Conn, o Options) *Client {
	if o.Limits == (jsonrpc.Limits{}) {
		o.Limits = jsonrpc.Limits{Size: 64 << 20, Scalar: 16 << 20, Members: 1 << 20, Values: 8 << 20}
	}
	c := &Client{conn: jsonrpc.NewConn(nc, o.Limits, nil), o: o, calls: map[string]chan jsonrpc.Message{}, done: make(chan struct{}), answers: make(chan []byte, 8)}
	c.wg.Add(1)
	go c.read()
	go c.answer()
	return c
}

// Close ends the connection and waits for its goroutines. It must not
// be called from Notify.
func (c *Client) Close() {
	c.conn.Close()
	<-c.done
	c.wg.Wait()
}

// answer writes the answers, so that the reading goroutine never waits for a
// server that itself waits for being read.
func (c *Client) answer() {
	defer c.wg.Done()
	for {
		select {
		case b := <-c.answers:
			c.write(b) // an error shows in the reading goroutine too
		case <-c.done:
			return
		}
	}
}

// Done is closed when the connection has ended; Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Client) read() {
	defer close(c.done)
	for {
		m, err := c.conn.Read()
		if err == nil {
			err = c.take(m)
		}
		if err != nil {
			c.conn.Close()
			c.mu.Lock()
			c.err = fmt.Errorf("%w: %w", ErrClosed, err)
			c.mu.Unlock()
			return
		}
	}
}

func (c *Client) take(m jsonrpc.Message) error {
	switch m.Kind {
	case jsonrpc.Request:
		b := jsonrpc.AppendError(nil, m.ID, []byte(`"unknown method"`))
		if m.Method == "echo" {
			b = jsonrpc.AppendReply(nil, m.ID, m.Params)
		}
		select {
		case c.answers <- b:
		default:
		}
		return nil
	case jsonrpc.Notification:
		if c.o.Notify != nil {
			c.o.Notify(m.Method, m.Params)
		}
		return nil
	}
	c.mu.Lock()
	ch := c.calls[string(m.ID)]
	delete(c.calls, string(m.ID))
	c.mu.Unlock()
	if ch != nil { // else: a call that was given up
		ch <- m
	}
	return nil
}

func (c *Client) write(msg []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.conn.Write(msg)
}

// Notification sends a message that has no answer, e.g. cancel.
func (c *Client) Notification(method string, params any) error {
	p, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return c.write(jsonrpc.AppendNotification(nil, method, p))
}

// Call is a request under way.
type Call struct {
	ID     json.RawMessage
	c      *Client
	method string
	ch     chan jsonrpc.Message
}

// Start sends a request; params must marshal to an array.
func (c *Client) Start(method string, params any) (*Call, error) {
	p, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	c.mu.Lock()
	id := json.RawMessage(strconv.AppendUint(nil, c.next, 10))
	c.next++
	ch := make(chan jsonrpc.Message, 1)
	c.calls[string(id)] = ch
	c.mu.Unlock()
	if err := c.write(jsonrpc.AppendRequest(nil, id, method, p)); err != nil {
		c.forget(id)
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return &Call{id, c, method, ch}, nil
}

func (c *Client) forget(id json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, string(id))
}

// Wait waits for the reply. An error of the server is a *CallError.
func (call *Call) Wait(ctx context.Context) (json.RawMessage, error) {
	var m jsonrpc.Message
	select {
	case m = <-call.ch:
	case <-ctx.Done():
		call.c.forget(call.ID)
		return nil, fmt.Errorf("%s: %w", call.method, ctx.Err())
	case <-call.c.done:
		select { // the reply may have come just before the end
		case m = <-call.ch:
		default:
			call.c.forget(call.ID)
			return nil, fmt.Errorf("%s: %w", call.method, call.c.Err())
		}
	}
	if m.Kind == jsonrpc.ErrorReply {
		return nil, &CallError{call.method, m.Error}
	}
	return m.Result, nil
}

// Call sends a request and waits for its result.
func (c *Client) Call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	call, err := c.Start(method, params)
	if err != nil {
		return nil, err
	}
	return call.Wait(ctx)
}

// Transact runs operations, each of which marshals to an object, and returns
// their results. An operation that failed is a result with an "error" member,
// which [Failed] finds.
func (c *Client) Transact(ctx context.Context, db string, ops ...any) ([]json.RawMessage, error) {
	raw, err := c.Call(ctx, "transact", append([]any{db}, ops...))
	if err != nil {
		return nil, err
	}
	var results []json.RawMessage
	if err := json.Unmarshal(raw, &results); err != nil {
		return nil, fmt.Errorf("transact: %w", err)
	}
	return results, nil
}

// Failed returns the error of a transaction's results, nil if all went well.
func Failed(results []json.RawMessage) error {
	for i, r := range results {
		var e struct{ Error, Details string }
		if json.Unmarshal(r, &e) == nil && e.Error != "" {
			return fmt.Errorf("transact: operation %d: %s: %s", i, e.Error, e.Details)
		}
	}
	return nil
}
