// SPDX-License-Identifier: Apache-2.0

// Package dbconn is the connection of a command line tool to a database
// server: one goroutine that calls, and reads notifications when it has nothing
// to call. It decides nothing; errors end the tool.
//
// A server is trusted here with more memory than a client is by a server: a
// dump of a big database is one message.
package dbconn

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
)

// limits of a message from the server.
var limits = jsonrpc.Limits{Size: 1 << 30, Scalar: 64 << 20, Members: 1 << 24, Values: 1 << 26}

// Conn is a connection. It is used by one goroutine.
type Conn struct {
	c    *jsonrpc.Conn
	nc   net.Conn
	id   int
	news []jsonrpc.Message // that came while a reply was awaited
}

// Dial connects to a server by its connection name, e.g. "unix:/run/db.sock".
// A relative unix path is relative to rundir. A passive name waits for the
// server to connect.
func Dial(ctx context.Context, rundir, name string, files Files) (*Conn, error) {
	a, err := stream.Parse(name, 6640)
	if err != nil {
		return nil, err
	}
	if a.Path != "" && !filepath.IsAbs(a.Path) {
		a.Path = filepath.Join(rundir, a.Path)
	}
	if a.Passive {
		var cfg *tls.Config
		if a.TLS {
			if cfg, err = files.server(); err != nil {
				return nil, err
			}
		}
		l, err := stream.Listen(ctx, a, cfg)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		defer context.AfterFunc(ctx, func() { l.Close() })()
		nc, err := l.Accept()
		if err != nil {
			return nil, fmt.Errorf("accept on %s: %w", name, err)
		}
		return newConn(nc), nil
	}
	nc, err := files.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return newConn(nc), nil
}

func newConn(nc net.Conn) *Conn { return &Conn{c: jsonrpc.NewConn(nc, limits, nil), nc: nc} }

// Close closes the connection.
func (c *Conn) Close() { c.c.Close() }

// Call sends a request and waits for its answer. failure is the error that the
// server replied with, nil if result is valid.
func (c *Conn) Call(ctx context.Context, method string, params []byte) (result, failure json.RawMessage, err error) {
	c.id++
	id := strconv.Itoa(c.id)
	if err := c.c.Write(jsonrpc.AppendRequest(nil, json.RawMessage(id), method, params)); err != nil {
		return nil, nil, err
	}
	for {
		m, err := c.read(ctx)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case m.Kind == jsonrpc.Notification || m.Kind == jsonrpc.Request:
			c.news = append(c.news, m)
		case string(m.ID) != id:
		case m.Kind == jsonrpc.ErrorReply:
			return nil, m.Error, nil
		default:
			return m.Result, nil, nil
		}
	}
}

// Next waits for the next notification.
func (c *Conn) Next(ctx context.Context) (jsonrpc.Message, error) {
	for len(c.news) == 0 {
		m, err := c.read(ctx)
		if err != nil {
			return m, err
		}
		if m.Kind == jsonrpc.Notification {
			c.news = append(c.news, m)
		}
	}
	m := c.news[0]
	c.news = c.news[1:]
	return m, nil
}

// Pending reports whether Next would return at once.
func (c *Conn) Pending() bool { return len(c.news) > 0 }

// read reads a message and answers echo requests.
func (c *Conn) read(ctx context.Context) (jsonrpc.Message, error) {
	stop := context.AfterFunc(ctx, func() { c.nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		m, err := c.c.Read()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return m, err
		}
		if m.Kind == jsonrpc.Request && m.Method == "echo" {
			if err := c.c.Write(jsonrpc.AppendReply(nil, m.ID, m.Params)); err != nil {
				return m, err
			}
			continue
		}
		return m, nil
	}
}

// Cause returns the text of an error's cause as C's strerror has it, e.g. "No
// such file or directory", "End of file".
func Cause(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "End of file"
	case errors.As(err, &errno):
		s := errno.Error()
		return strings.ToUpper(s[:1]) + s[1:]
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	}
	return err.Error()
}
