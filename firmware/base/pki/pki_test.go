// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirswitch/weir/firmware/base/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ovsPKI makes a PKI with Debian's ovs-pki and the named switch and
// controller certificates. The folder has switchca.pem and controllerca.pem.
func ovsPKI(t *testing.T, switches, controllers []string) string {
	t.Helper()
	if _, err := exec.LookPath("ovs-pki"); err != nil {
		t.Skipf("ovs-pki is not installed (Debian: openvswitch-common): %v", err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("ovs-pki", append([]string{"--dir=" + dir + "/pki", "--log=" + dir + "/log", "-b"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			log, _ := os.ReadFile(dir + "/log")
			t.Fatalf("ovs-pki %v: %v\n%s%s", args, err, out, log)
		}
	}
	run("init")
	for _, n := range switches {
		run("req+sign", n, "switch")
	}
	for _, n := range controllers {
		run("req+sign", n, "controller")
	}
	for _, ca := range []string{"switchca", "controllerca"} {
		copyFile(t, filepath.Join(dir, "pki", ca, "cacert.pem"), filepath.Join(dir, ca+".pem"))
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	tmp := to + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, to); err != nil {
		t.Fatal(err)
	}
}

func files(dir, name, ca string) Files {
	return Files{PrivateKey: dir + "/" + name + "-privkey.pem", Certificate: dir + "/" + name + "-cert.pem", CACert: dir + "/" + ca + ".pem"}
}

// logText collects the log.
type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func keys(t *testing.T, f Files) (*Keys, *logText) {
	t.Helper()
	l := &logText{}
	k := New(Options{Log: slog.New(slog.NewTextHandler(l, nil))})
	t.Cleanup(k.Close)
	k.Set(f)
	return k, l
}

// meet makes a connection from c to s, says a word over it, and returns what
// each side thinks of it.
func meet(t *testing.T, c, s *Keys) (cerr, serr error) {
	t.Helper()
	cc, err := c.Client()
	if err != nil {
		return err, nil
	}
	return meetConfig(t, cc, s.Server())
}

func meetConfig(t *testing.T, cc, sc *tls.Config) (cerr, serr error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, err := stream.Listen(ctx, stream.Addr{Passive: true, TLS: true, Host: "127.0.0.1"}, sc)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(nc, "word")
			nc.Close()
		}
		done <- err
	}()
	nc, cerr := stream.Dial(ctx, stream.Addr{TLS: true, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, cc)
	if cerr == nil {
		var b []byte
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		if b, cerr = io.ReadAll(nc); cerr == nil && string(b) != "word" {
			cerr = fmt.Errorf("read %q", b)
		}
		nc.Close()
	}
	serr = <-done
	l.Close()
	return cerr, serr
}

func mustMeet(t *testing.T, c, s *Keys) {
	t.Helper()
	if cerr, serr := meet(t, c, s); cerr != nil || serr != nil {
		t.Fatalf("client: %v; server: %v", cerr, serr)
	}
}

func leafName(t *testing.T, k *Keys) string {
	t.Helper()
	own, _, err := k.state(false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return c.Subject.CommonName
}

func TestMutual(t *testing.T) {
	dir := ovsPKI(t, []string{"sw"}, []string{"ctl"})
	sw, _ := keys(t, files(dir, "sw", "controllerca"))
	ctl, _ := keys(t, files(dir, "ctl", "switchca"))
	mustMeet(t, sw, ctl)
	mustMeet(t, ctl, sw)

	// ovs-pki's name is none for a host: this test tests what it says.
	own, _, err := sw.state(false)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(leaf.DNSNames) != 1 || !strings.Contains(leaf.DNSNames[0], " id:") || leaf.VerifyHostname("sw") == nil || leaf.VerifyHostname("127.0.0.1") == nil {
		t.Errorf("names of an ovs-pki certificate: %q", leaf.DNSNames)
	}

	// Signed by another CA: refused by both sides.
	bad, _ := keys(t, files(dir, "sw", "switchca")) // it trusts switches only, and is one
	if cerr, _ := meet(t, bad, ctl); cerr == nil {
		t.Error("a client trusts a server of another CA")
	}
	other, _ := keys(t, files(dir, "ctl", "controllerca"))
	other.Set(Files{PrivateKey: dir + "/ctl-privkey.pem", Certificate: dir + "/ctl-cert.pem", CACert: NoCA})
	if _, serr := meet(t, other, ctl); serr == nil {
		t.Error("a server trusts a client of another CA")
	}
	// No certificate: refused.
	if _, serr := meetConfig(t, &tls.Config{InsecureSkipVerify: true}, ctl.Server()); serr == nil || !strings.Contains(serr.Error(), "certificate") {
		t.Errorf("no certificate: %v", serr)
	}
	// TLS 1.2 is enough, 1.1 is refused.
	twelve, err := sw.Client()
	if err != nil {
		t.Fatal(err)
	}
	twelve.MaxVersion = tls.VersionTLS12
	if cerr, serr := meetConfig(t, twelve, ctl.Server()); cerr != nil || serr != nil {
		t.Errorf("TLS 1.2: %v, %v", cerr, serr)
	}
	old, err := sw.Client()
	if err != nil {
		t.Fatal(err)
	}
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, serr := meetConfig(t, old, ctl.Server()); serr == nil {
		t.Error("TLS 1.1 accepted")
	}
	// Out of its time, by the clock that we are given.
	late := New(Options{Now: func() time.Time { return time.Now().AddDate(50, 0, 0) }})
	t.Cleanup(late.Close)
	late.Set(files(dir, "ctl", "switchca"))
	if _, serr := meet(t, sw, late); serr == nil || !strings.Contains(serr.Error(), "expired") {
		t.Errorf("in 50 years: %v", serr)
	}
}

func TestNotConfigured(t *testing.T) {
	dir := ovsPKI(t, []string{"sw", "sw2"}, nil)
	f := files(dir, "sw", "switchca")
	missing := f
	missing.CACert = dir + "/none.pem"
	swapped := f
	swapped.PrivateKey = dir + "/sw2-privkey.pem"
	junk := f
	junk.CACert = dir + "/sw-privkey.pem"
	fifo := f
	fifo.Certificate = dir // not a regular file
	for _, tt := range []struct {
		f    Files
		want error
		text string
	}{
		{Files{}, ErrNoKey, ""},
		{Files{PrivateKey: f.PrivateKey, CACert: f.CACert}, ErrNoCert, ""},
		{Files{Certificate: f.Certificate, CACert: f.CACert}, ErrNoKey, ""},
		{Files{PrivateKey: f.PrivateKey, Certificate: f.Certificate}, ErrNoCA, ""},
		{missing, ErrNoCA, "none.pem"},
		{swapped, ErrNoKey, "does not match"},
		{junk, ErrNoCA, "no certificate in it"},
		{fifo, ErrNoKey, "not a regular file"},
	} {
		k, _ := keys(t, tt.f)
		_, err := k.Client()
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%+v: %v, want %v (%s)", tt.f, err, tt.want, tt.text)
		}
		if _, err := k.server(); !errors.Is(err, tt.want) {
			t.Errorf("%+v: server: %v", tt.f, err)
		}
	}
	// Dropping the names drops the keys.
	k, _ := keys(t, f)
	mustMeet(t, k, k)
	k.Set(Files{})
	if _, err := k.Client(); !errors.Is(err, ErrNoKey) {
		t.Errorf("after Set(nothing): %v", err)
	}
}

func TestBootstrap(t *testing.T) {
	dir := ovsPKI(t, []string{"sw"}, []string{"ctl", "rogue"})
	server, _ := keys(t, files(dir, "ctl", "switchca"))
	f := files(dir, "sw", "fetched")
	f.Bootstrap = true
	k, log := keys(t, f)
	if _, err := k.server(); !errors.Is(err, ErrNoCA) {
		t.Errorf("a listener before the CA is there: %v", err)
	}

	// ctl's CA is not in its CA file, so it does not send it: stock fails here too.
	if err, _ := meet(t, k, server); err == nil || errors.Is(err, ErrBootstrapped) || !strings.Contains(err.Error(), "not self-signed") {
		t.Errorf("bootstrap without a CA in the chain: %v", err)
	}
	if _, err := os.Lstat(f.CACert); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file was made: %v", err)
	}

	// With both CAs in its file it does.
	both := dir + "/both.pem"
	a, _ := os.ReadFile(dir + "/switchca.pem")
	b, _ := os.ReadFile(dir + "/controllerca.pem")
	if err := os.WriteFile(both, append(a, b...), 0o600); err != nil {
		t.Fatal(err)
	}
	sf := files(dir, "ctl", "both")
	server.Set(sf)
	if err, _ := meet(t, k, server); !errors.Is(err, ErrBootstrapped) {
		t.Fatalf("bootstrap: %v", err)
	}
	st, err := os.Stat(f.CACert)
	if err != nil || st.Mode() != 0o444 {
		t.Fatalf("file: %v, %v", st, err)
	}
	got, _ := os.ReadFile(f.CACert)
	block, _ := pem.Decode(b)
	if p, rest := pem.Decode(got); p == nil || string(p.Bytes) != string(block.Bytes) || len(rest) != 0 {
		t.Errorf("the file has\n%s", got)
	}
	if !strings.Contains(log.String(), "sha256=") {
		t.Errorf("no fingerprint in the log:\n%s", log)
	}
	mustMeet(t, k, server) // and now checked:
	if err, _ := meet(t, k, k); err == nil {
		t.Error("after the bootstrap another CA is trusted")
	}
	if left, _ := filepath.Glob(dir + "/.weir-ca-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	// A file that is there is not written over.
	if err := writeNew(f.CACert, []byte("x")); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	// Another file name: fetched again, the old CA does not stand in for it.
	f.CACert = dir + "/fetched2.pem"
	k.Set(f)
	if err, _ := meet(t, k, server); !errors.Is(err, ErrBootstrapped) {
		t.Errorf("bootstrap into another file: %v", err)
	}
	// A chain that is not right under its last certificate is not pinned.
	f.CACert = dir + "/fetched3.pem"
	k.Set(f)
	own, _, err := server.state(false)
	if err != nil {
		t.Fatal(err)
	}
	swca, _ := pem.Decode(a)
	own.Certificate = [][]byte{own.Certificate[0], swca.Bytes}
	cc, err := k.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err, _ := meetConfig(t, cc, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert}); err == nil || errors.Is(err, ErrBootstrapped) {
		t.Errorf("a wrong chain: %v", err)
	}
	if _, err := os.Lstat(f.CACert); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pinned a wrong chain: %v", err)
	}
}

// On a file system without links the file is written in place, with the same
// promises but for a crash in the middle.
func TestWriteInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := writeInPlace(path, []byte("text")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o444 {
		t.Errorf("%v, %v", st, err)
	}
	if err := writeInPlace(path, []byte("other")); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
}

// Many connections at once: one file, all dropped.
func TestBootstrapRace(t *testing.T) {
	dir := ovsPKI(t, []string{"sw"}, nil)
	server, _ := keys(t, files(dir, "sw", "switchca"))
	f := files(dir, "sw", "fetched")
	f.Bootstrap = true
	k, _ := keys(t, f)
	var cfgs []*tls.Config
	for range 8 {
		c, err := k.Client()
		if err != nil {
			t.Fatal(err)
		}
		cfgs = append(cfgs, c)
	}
	var wg sync.WaitGroup
	for _, c := range cfgs {
		wg.Go(func() {
			if err, _ := meetConfig(t, c, server.Server()); !errors.Is(err, ErrBootstrapped) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mustMeet(t, k, server)
}

// waitFor waits up to 5 s.
func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("timeout: %s", what)
}

func TestRotation(t *testing.T) {
	dir := ovsPKI(t, []string{"one", "two"}, nil)
	live := filepath.Join(dir, "live")
	if err := os.Mkdir(live, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		t.Helper()
		copyFile(t, dir+"/"+name+"-privkey.pem", live+"/key.pem")
		copyFile(t, dir+"/"+name+"-cert.pem", live+"/cert.pem")
	}
	put("one")
	f := Files{PrivateKey: live + "/key.pem", Certificate: live + "/cert.pem", CACert: dir + "/switchca.pem"}
	log := &logText{}
	changed := make(chan struct{}, 100)
	k := New(Options{Log: slog.New(slog.NewTextHandler(log, nil)), Changed: func() { changed <- struct{}{} }})
	t.Cleanup(k.Close)
	k.Set(f)
	<-changed
	if n := leafName(t, k); !strings.HasPrefix(n, "one ") {
		t.Fatalf("first: %s", n)
	}
	waitFor(t, "the watch", func() bool { return len(k.kick) == 0 })

	put("two")
	<-changed
	if n := leafName(t, k); !strings.HasPrefix(n, "two ") {
		t.Errorf("after the rotation: %s", n)
	}
	mustMeet(t, k, k)

	// A key that does not belong to the certificate, then junk: the old pair stays.
	copyFile(t, dir+"/one-privkey.pem", live+"/key.pem")
	waitFor(t, "the log", func() bool { return strings.Contains(log.String(), "cannot be used") })
	if err := os.WriteFile(live+"/cert.pem", []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the log", func() bool { return strings.Contains(log.String(), "failed to find any PEM data") })
	if n := leafName(t, k); !strings.HasPrefix(n, "two ") || k.Err() == nil {
		t.Errorf("with a broken pair: %s, %v", n, k.Err())
	}
	mustMeet(t, k, k)
	os.Remove(live + "/cert.pem")
	waitFor(t, "the log", func() bool { return strings.Contains(log.String(), "no such file") })
	put("one")
	<-changed
	if n := leafName(t, k); !strings.HasPrefix(n, "one ") || k.Err() != nil {
		t.Errorf("repaired: %s, %v", n, k.Err())
	}
}

// A folder that comes later, and one that is replaced, are found by looking.
func TestFolderComesLater(t *testing.T) {
	dir := ovsPKI(t, []string{"one", "two"}, nil)
	live := filepath.Join(dir, "live")
	k := newKeys(Options{}, 50*time.Millisecond)
	t.Cleanup(k.Close)
	k.Set(Files{PrivateKey: live + "/key.pem", Certificate: live + "/cert.pem", CACert: dir + "/switchca.pem"})
	if _, err := k.Client(); !errors.Is(err, ErrNoKey) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for _, name := range []string{"one", "two"} {
		fresh := filepath.Join(dir, "fresh-"+name)
		if err := os.Mkdir(fresh, 0o755); err != nil {
			t.Fatal(err)
		}
		copyFile(t, dir+"/"+name+"-privkey.pem", fresh+"/key.pem")
		copyFile(t, dir+"/"+name+"-cert.pem", fresh+"/cert.pem")
		os.Rename(live, dir+"/old")
		if err := os.Rename(fresh, live); err != nil {
			t.Fatal(err)
		}
		waitFor(t, name, func() bool {
			_, err := k.Client()
			return err == nil && strings.HasPrefix(leafName(t, k), name+" ")
		})
	}
}

// The way of Kubernetes' secrets: files are links through one that is switched.
func TestRotationBySymlink(t *testing.T) {
	dir := ovsPKI(t, []string{"one", "two"}, nil)
	live := filepath.Join(dir, "live")
	for _, n := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(live, ".."+n), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"privkey", "cert"} {
			copyFile(t, dir+"/"+n+"-"+s+".pem", filepath.Join(live, ".."+n, s))
		}
	}
	link := func(to, name string) {
		t.Helper()
		os.Remove(live + "/tmp")
		if err := errors.Join(os.Symlink(to, live+"/tmp"), os.Rename(live+"/tmp", live+"/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..one", "..data")
	link("..data/privkey", "key.pem")
	link("..data/cert", "cert.pem")
	k, _ := keys(t, Files{PrivateKey: live + "/key.pem", Certificate: live + "/cert.pem", CACert: dir + "/switchca.pem"})
	if n := leafName(t, k); !strings.HasPrefix(n, "one ") {
		t.Fatal(n)
	}
	waitFor(t, "the watch", func() bool { return len(k.kick) == 0 })
	link("..two", "..data")
	waitFor(t, "the switch", func() bool { return strings.HasPrefix(leafName(t, k), "two ") })
}

// FuzzCerts: whatever the files hold, reading them gives an error or something
// that can be used, and never more than the bound.
func FuzzCerts(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("text\n-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(2e9, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, pub, key)
	if err != nil {
		f.Fatal(err)
	}
	der8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	f.Add(append(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der8})...))
	f.Add(append(cert, cert...))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAuthority(text)
		if (a == nil) == (err == nil) {
			t.Fatalf("authority %v, error %v", a, err)
		}
		if a != nil {
			if len(a.certs) == 0 || len(a.certs) > maxCerts {
				t.Fatalf("%d certificates", len(a.certs))
			}
			a.verify(a.certs, time.Unix(1.7e9, 0))
			rootOf(a.certs)
			complete(tls.Certificate{Certificate: [][]byte{a.certs[0].Raw}}, a)
		}
		if p, err := parsePair(text, text); (p == nil) == (err == nil) {
			t.Fatalf("pair %v, error %v", p, err)
		}
	})
}
