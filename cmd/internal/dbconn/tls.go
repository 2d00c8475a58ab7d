// SPDX-License-Identifier: Apache-2.0

package dbconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/firmware/base/stream"
)

// Files are the files of the options -p, -c and -C; whom they make trusted says package pki.
type Files struct {
	Key, Cert, CA string
	// Bootstrap is --bootstrap-ca-cert: CA is made of what the first peer sends if it is not there.
	Bootstrap bool
}

// with calls f with the keys in the files as they are now.
func (f Files) with(use func(*pki.Keys) error) error {
	k := pki.New(pki.Options{})
	defer k.Close()
	k.Set(pki.Files{PrivateKey: f.Key, Certificate: f.Cert, CACert: f.CA, Bootstrap: f.Bootstrap})
	err := use(k)
	if why := k.Err(); err != nil && why != nil && !errors.Is(err, pki.ErrBootstrapped) {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// server returns the configuration of a listener.
func (f Files) server() (cfg *tls.Config, err error) {
	err = f.with(func(k *pki.Keys) error {
		if _, err := k.Client(); err != nil { // which says what is missing
			return err
		}
		cfg = k.Server()
		return nil
	})
	return cfg, err
}

// Dial connects to a, with TLS if it says so. The connection that brings the CA certificate is
// followed by one that is checked with it.
func (f Files) Dial(ctx context.Context, a stream.Addr) (net.Conn, error) {
	if !a.TLS {
		return stream.Dial(ctx, a, nil)
	}
	var c net.Conn
	once := func(k *pki.Keys) error {
		cfg, err := k.Client()
		if err != nil {
			return err
		}
		c, err = stream.Dial(ctx, a, cfg)
		return err
	}
	err := f.with(once)
	if errors.Is(err, pki.ErrBootstrapped) {
		err = f.with(once)
	}
	return c, err
}
