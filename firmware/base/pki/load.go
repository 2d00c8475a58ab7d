// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	maxFile  = 1 << 20 // bytes of a file
	maxCerts = 512     // certificates in a file
	maxChain = 8       // CA certificates added to our own chain
)

// readFile reads a file of at most maxFile bytes. What is no plain file (a FIFO
// would block) is refused.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	return b, nil
}

// parseCerts reads the certificates of a PEM text; what is between them and
// blocks of other types are skipped.
func parseCerts(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		if len(list) >= maxCerts {
			return nil, fmt.Errorf("more than %d certificates", maxCerts)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return list, nil
}

// pair is a private key with its certificate, and the bytes it came from.
type pair struct {
	key, cert []byte
	tls       tls.Certificate
}

func parsePair(cert, key []byte) (*pair, error) {
	c, err := tls.X509KeyPair(cert, key) // checks that they belong together
	if err != nil {
		return nil, err
	}
	if len(c.Certificate) > maxCerts {
		return nil, fmt.Errorf("more than %d certificates", maxCerts)
	}
	return &pair{key: key, cert: cert, tls: c}, nil
}

func (p *pair) equal(q *pair) bool {
	return p != nil && q != nil && bytes.Equal(p.key, q.key) && bytes.Equal(p.cert, q.cert)
}

// authority is whom we trust.
type authority struct {
	path  string
	text  []byte
	certs []*x509.Certificate
	pool  *x509.CertPool
	none  bool // everybody
}

func parseAuthority(text []byte) (*authority, error) {
	certs, err := parseCerts(text)
	if err != nil {
		return nil, err
	}
	a := &authority{text: text, certs: certs, pool: x509.NewCertPool()}
	for _, c := range certs {
		a.pool.AddCert(c)
	}
	return a, nil
}

func (a *authority) equal(b *authority) bool {
	return a != nil && b != nil && a.path == b.path && bytes.Equal(a.text, b.text)
}

// verify checks that a chain, the peer's own certificate first, leads to the
// authority at the time now. Names and key usages do not matter.
func (a *authority) verify(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the peer has no certificate")
	}
	o := x509.VerifyOptions{
		Roots: a.pool, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
}

// complete returns the certificate with its issuers, as far as the authority
// has them, behind it.
func complete(c tls.Certificate, a *authority) tls.Certificate {
	if a == nil || len(c.Certificate) == 0 {
		return c
	}
	last, err := x509.ParseCertificate(c.Certificate[len(c.Certificate)-1])
	if err != nil {
		return c
	}
	chain := c.Certificate[:len(c.Certificate):len(c.Certificate)]
	for range maxChain {
		var issuer *x509.Certificate
		for _, ca := range a.certs {
			if bytes.Equal(ca.RawSubject, last.RawIssuer) && !ca.Equal(last) && last.CheckSignatureFrom(ca) == nil {
				issuer = ca
				break
			}
		}
		if issuer == nil || bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		chain, last = append(chain, issuer.Raw), issuer
	}
	c.Certificate = chain
	return c
}

// stamp tells a file from the one that was there before, without reading it.
type stamp struct {
	there        bool
	dev, ino     uint64
	size         int64
	mtime, ctime syscall.Timespec
}

func stampOf(path string) stamp {
	var st syscall.Stat_t
	if path == "" || syscall.Stat(path, &st) != nil {
		return stamp{}
	}
	return stamp{true, uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}
