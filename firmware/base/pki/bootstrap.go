// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrBootstrapped ends the connection that brought the CA certificate: the next
// one is checked with it.
var ErrBootstrapped = errors.New("CA certificate bootstrapped from the peer, connect again")

// bootstrap takes the CA certificate from a peer's chain. It always returns an
// error: nothing may pass over a connection that was not checked.
func (k *Keys) bootstrap(chain []*x509.Certificate) error {
	ca, err := rootOf(chain)
	if err == nil {
		a := &authority{pool: x509.NewCertPool()}
		a.pool.AddCert(ca)
		err = a.verify(chain, k.o.Now()) // else no later connection could succeed
	}
	if err != nil {
		return fmt.Errorf("bootstrap CA certificate: %w", err)
	}
	k.mu.Lock()
	path := k.files.CACert
	k.mu.Unlock()
	if path == "" || path == NoCA {
		return errors.New("bootstrap CA certificate: the file is not wanted any more")
	}
	err = writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	switch {
	case errors.Is(err, fs.ErrExist): // another connection was faster
	case err != nil:
		return fmt.Errorf("bootstrap CA certificate: %w", err)
	default:
		k.o.Log.Info("bootstrapped CA certificate", "file", path, "subject", ca.Subject.CommonName,
			"sha256", fmt.Sprintf("%x", sha256.Sum256(ca.Raw)))
	}
	k.Reload()
	return ErrBootstrapped
}

// rootOf returns the last certificate of a chain, which must be self-signed.
func rootOf(chain []*x509.Certificate) (*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("the peer has no certificate")
	}
	last := chain[len(chain)-1]
	if !bytes.Equal(last.RawIssuer, last.RawSubject) || last.CheckSignature(last.SignatureAlgorithm, last.RawTBSCertificate, last.Signature) != nil {
		return nil, fmt.Errorf("the last certificate of the peer's chain (%s) is not self-signed", last.Subject.CommonName)
	}
	return last, nil
}

// writeNew makes a file of mode 0444 that appears with all its contents. One
// that is there stays as it is (fs.ErrExist).
func writeNew(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".weir-ca-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err = f.Write(text); err == nil {
		if err = f.Chmod(0o444); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		return err
	}
	if err = os.Link(f.Name(), path); errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		return writeInPlace(path, text) // the file system has no links
	} else if err != nil {
		return err
	}
	if d, derr := os.Open(dir); derr == nil {
		d.Sync() // best effort: without it the file is fetched again
		d.Close()
	}
	return nil
}

func writeInPlace(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}
