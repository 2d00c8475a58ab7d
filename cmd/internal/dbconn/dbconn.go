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
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
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

// Files are the files of the options -p, -c and -C.
type Files struct{ Key, Cert, CA string }

// Config returns the TLS configuration, nil if no file is given. As in Open
// vSwitch the peer's certificate must be signed by the CA, whatever name it
// bears; CA "none" takes any certificate.
func (f Files) Config() (*tls.Config, error) {
	if f == (Files{}) {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("load key pair %s, %s: %w", f.Cert, f.Key, err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	if f.CA == "none" {
		return cfg, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA certificate %s: no certificate in it", f.CA)
	}
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s.PeerCertificates, pool) }
	return cfg, nil
}

// verifyChain checks that a chain leads to the pool, not what name it is for.
func verifyChain(chain []*x509.Certificate, pool *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("peer sent no certificate")
	}
	o := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
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
	var cfg *tls.Config
	if a.TLS {
		if cfg, err = files.Config(); err != nil {
			return nil, err
		}
	}
	if a.Passive {
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
	nc, err := stream.Dial(ctx, a, cfg)
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
