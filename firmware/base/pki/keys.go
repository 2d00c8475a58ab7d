// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Why a configuration cannot be made, in stock's words.
var (
	ErrNoKey  = errors.New("Private key must be configured to use SSL")
	ErrNoCert = errors.New("Certificate must be configured to use SSL")
	ErrNoCA   = errors.New("CA certificate must be configured to use SSL")
)

// NoCA as [Files.CACert] trusts everybody.
const NoCA = "none"

// Files says where the keys are: paths of PEM files, "" where there is none.
type Files struct {
	PrivateKey  string
	Certificate string // may have a chain behind the certificate
	CACert      string // certificates that peers' chains must lead to, or "none"
	Bootstrap   bool   // take CACert from the first peer if the file is not there
}

// Options of Keys.
type Options struct {
	Log     *slog.Logger     // nil: slog.DiscardHandler
	Now     func() time.Time // for certificates' validity; nil: time.Now
	Changed func()           // called when other keys were taken over; may be nil; must not call Keys.Close
}

// Keys are the keys of the process, as they are in the files now.
type Keys struct {
	o Options

	reading sync.Mutex // held while files are read, so that Set and the watcher take turns

	mu     sync.Mutex // guards all below
	files  Files
	pair   *pair      // the last that was right; nil: none
	ca     *authority // likewise
	err    [2]error   // why the files are not what is in use: pair, CA
	stamps [3]stamp

	kick chan struct{} // the folders may be others
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

// New returns Keys without files.
func New(o Options) *Keys { return newKeys(o, pollInterval) }

func newKeys(o Options, poll time.Duration) *Keys {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keys{o: o, kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	w, err := fsnotify.NewWatcher()
	go k.watch(w, err, poll)
	return k
}

// Close ends the watching; what the Keys hold can still be used.
func (k *Keys) Close() {
	k.once.Do(func() { close(k.stop) })
	<-k.done
}

// Files returns what Set set.
func (k *Keys) Files() Files {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.files
}

// Set says which files to use from now on, and reads them. A name that is empty
// drops what was there; a file that cannot be used leaves what was there, and
// [Keys.Err] tells why.
func (k *Keys) Set(f Files) {
	k.reading.Lock()
	k.mu.Lock()
	same := f == k.files
	k.files = f
	k.mu.Unlock()
	changed := !same && k.read()
	k.reading.Unlock()
	select {
	case k.kick <- struct{}{}:
	default:
	}
	if changed && k.o.Changed != nil {
		k.o.Changed()
	}
}

// Reload reads the files again. The watcher does that by itself.
func (k *Keys) Reload() {
	k.reading.Lock()
	changed := k.read()
	k.reading.Unlock()
	if changed && k.o.Changed != nil {
		k.o.Changed()
	}
}

// refresh reads the files if they look different.
func (k *Keys) refresh() {
	k.mu.Lock()
	same := k.stamps == stamps(k.files)
	k.mu.Unlock()
	if !same {
		k.Reload()
	}
}

func stamps(f Files) [3]stamp {
	s := [3]stamp{stampOf(f.PrivateKey), stampOf(f.Certificate)}
	if f.CACert != NoCA {
		s[2] = stampOf(f.CACert)
	}
	return s
}

// read reads the files and takes over what is right in them. It reports whether
// anything that is in use changed. The caller holds k.reading.
func (k *Keys) read() bool {
	k.mu.Lock()
	f, oldPair, oldCA := k.files, k.pair, k.ca
	k.mu.Unlock()
	seen := stamps(f) // before reading: what changes meanwhile is read again
	p, perr := readPair(f)
	a, aerr := readAuthority(f)
	if perr != nil {
		p = oldPair
	}
	if aerr != nil {
		a = oldCA
		if f.Bootstrap && errors.Is(aerr, fs.ErrNotExist) && oldCA != nil && oldCA.path != f.CACert {
			a = nil // another file, which is to be fetched
		}
	}

	k.mu.Lock()
	k.stamps = seen
	news := [2]error{perr, aerr}
	for i, err := range news {
		if text(err) == text(k.err[i]) {
			news[i] = nil
		}
	}
	k.err = [2]error{perr, aerr}
	newPair := p != oldPair && !p.equal(oldPair)
	newCA := a != oldCA && !a.equal(oldCA)
	if newPair {
		k.pair = p
	}
	if newCA {
		k.ca = a
	}
	k.mu.Unlock()

	what := [2]string{"private key and certificate", "CA certificate"}
	kept := [2]bool{oldPair != nil, oldCA != nil}
	for i, err := range news {
		if err == nil || i == 1 && f.Bootstrap && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		k.o.Log.Warn(what[i]+" cannot be used", "err", err, "old_kept", kept[i])
	}
	if newPair && p != nil {
		k.o.Log.Info("using certificate", "file", f.Certificate, "subject", p.tls.Leaf.Subject.CommonName, "until", p.tls.Leaf.NotAfter)
		if now := k.o.Now(); now.After(p.tls.Leaf.NotAfter) || now.Before(p.tls.Leaf.NotBefore) {
			k.o.Log.Warn("certificate is not valid now", "from", p.tls.Leaf.NotBefore, "until", p.tls.Leaf.NotAfter)
		}
	}
	if newCA && a != nil && a.none {
		k.o.Log.Warn("peer certificates are not checked (this is a security risk)")
	}
	return newPair || newCA
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// readPair returns nil without an error if no files are named.
func readPair(f Files) (*pair, error) {
	switch {
	case f.PrivateKey == "" && f.Certificate == "":
		return nil, nil
	case f.PrivateKey == "":
		return nil, ErrNoKey
	case f.Certificate == "":
		return nil, ErrNoCert
	}
	key, err := readFile(f.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	cert, err := readFile(f.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	p, err := parsePair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("private key %s, certificate %s: %w", f.PrivateKey, f.Certificate, err)
	}
	return p, nil
}

// readAuthority returns nil without an error if no file is named.
func readAuthority(f Files) (*authority, error) {
	switch f.CACert {
	case "":
		return nil, nil
	case NoCA:
		return &authority{path: NoCA, none: true}, nil
	}
	text, err := readFile(f.CACert)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	a, err := parseAuthority(text)
	if err != nil {
		return nil, fmt.Errorf("CA certificate %s: %w", f.CACert, err)
	}
	a.path = f.CACert
	return a, nil
}

// Err tells what is wrong with the files, nil if nothing is, though what
// is in use may be older and right.
func (k *Keys) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Join(k.err[0], k.err[1])
}

// state returns what is in use, or why TLS cannot be used. ca is nil if it is to
// be had from the peer.
func (k *Keys) state(mayBootstrap bool) (own tls.Certificate, ca *authority, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cause := func(err, why error) error {
		if why == nil || errors.Is(why, err) {
			return err
		}
		return fmt.Errorf("%w: %w", err, why)
	}
	if k.pair == nil {
		if k.files.PrivateKey != "" && k.files.Certificate == "" {
			return own, nil, ErrNoCert
		}
		return own, nil, cause(ErrNoKey, k.err[0])
	}
	if k.ca == nil && !(mayBootstrap && k.files.Bootstrap && errors.Is(k.err[1], fs.ErrNotExist)) {
		return own, nil, cause(ErrNoCA, k.err[1])
	}
	return complete(k.pair.tls, k.ca), k.ca, nil
}

// Client returns a configuration for one connection that we make.
func (k *Keys) Client() (*tls.Config, error) {
	own, ca, err := k.state(true)
	if err != nil {
		return nil, err
	}
	c := k.config()
	// Not Certificates: we show ours even if the peer's hint names other CAs.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	c.InsecureSkipVerify = true // VerifyConnection checks the chain; names mean nothing here
	switch {
	case ca == nil:
		c.VerifyConnection = func(s tls.ConnectionState) error { return k.bootstrap(s.PeerCertificates) }
	case !ca.none:
		c.VerifyConnection = func(s tls.ConnectionState) error { return ca.verify(s.PeerCertificates, k.o.Now()) }
	}
	return c, nil
}

// Server returns a configuration for a listener. Each handshake uses the keys
// that there are then; without any it fails.
func (k *Keys) Server() *tls.Config {
	c := k.config()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.server() }
	return c
}

func (k *Keys) server() (*tls.Config, error) {
	own, ca, err := k.state(false)
	if err != nil {
		return nil, err
	}
	c := k.config()
	c.Certificates = []tls.Certificate{own}
	if !ca.none {
		c.ClientAuth = tls.RequireAnyClientCert // and VerifyConnection checks it
		c.ClientCAs = ca.pool                   // the hint to the client
		c.VerifyConnection = func(s tls.ConnectionState) error { return ca.verify(s.PeerCertificates, k.o.Now()) }
	}
	return c, nil
}

func (k *Keys) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true, Time: k.o.Now}
}

// folders returns the folders of the files.
func (f Files) folders() map[string]bool {
	dirs := map[string]bool{}
	for _, p := range []string{f.PrivateKey, f.Certificate, f.CACert} {
		if p != "" && p != NoCA {
			dirs[filepath.Dir(p)] = true
		}
	}
	return dirs
}
