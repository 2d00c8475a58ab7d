// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inside runs a program in the switch's namespace, for what goes over TCP.
func (r *rig) inside(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	ns := r.sw.Command(name, args...)
	cmd := exec.CommandContext(ctx, ns.Path, ns.Args[1:]...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+r.dir)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return string(out), nil
}

// put makes to what from is, at one go.
func (r *rig) put(from, to string) {
	r.t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		if err = os.WriteFile(to+".new", b, 0o600); err == nil {
			err = os.Rename(to+".new", to)
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Managers and controllers over TLS, as an operator sets them up: ovs-pki, set-ssl,
// set-manager, set-controller; the CA certificate by bootstrap; new keys; no keys.
func TestE2ETLS(t *testing.T) {
	if *stock {
		t.Skip("stock's database server is started without the remotes that this needs")
	}
	needs(t, "ovs-pki", "openssl")
	r := newRig(t, "netdev")
	if err := r.sw.Up("lo"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"init"}, {"req+sign", "one"}, {"req+sign", "two"}, {"req+sign", "ctl", "controller"}} {
		cmd := exec.Command("ovs-pki", append([]string{"--dir=" + dir + "/pki", "--log=" + dir + "/log", "-b"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ovs-pki %v: %v\n%s", args, err, out)
		}
	}
	key, cert, ca := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "fetched.pem")
	use := func(name string) {
		t.Helper()
		r.put(dir+"/"+name+"-privkey.pem", key)
		r.put(dir+"/"+name+"-cert.pem", cert)
	}
	use("one")
	switchCA, ctlCA := dir+"/pki/switchca/cacert.pem", dir+"/pki/controllerca/cacert.pem"
	peer := []string{"-p", dir + "/ctl-privkey.pem", "-c", dir + "/ctl-cert.pem", "-C", switchCA}

	// The manager listens; we have no CA certificate: fetched, then used. It
	// sends its CA since that is in its CA file.
	a, _ := os.ReadFile(switchCA)
	b, _ := os.ReadFile(ctlCA)
	if err := os.WriteFile(dir+"/both.pem", append(a, b...), 0o644); err != nil {
		t.Fatal(err)
	}
	r.bridge("br0")
	r.vsctl("--", "--bootstrap", "set-ssl", key, cert, ca, "--", "set-manager", "ssl:127.0.0.1:6641")
	peerBoth := append(peer[:4:4], "-C", dir+"/both.pem")
	r.eventually(20*time.Second, func() error { // the connection that fetches ends the first
		out, err := r.inside("ovs-vsctl", append(peerBoth, "-t", "8", "--no-wait", "--db=pssl:6641:127.0.0.1", "list-br")...)
		if err == nil && strings.TrimSpace(out) != "br0" {
			err = fmt.Errorf("list-br says %q", out)
		}
		return err
	})
	if st, err := os.Stat(ca); err != nil || st.Mode() != 0o444 {
		t.Errorf("fetched CA certificate: %v, %v", st, err)
	}

	// We listen, for managers and controllers.
	r.vsctl("--", "set-manager", "pssl:6640:127.0.0.1", "ptcp:6642:127.0.0.1", "--", "set-controller", "br0", "pssl:6653:127.0.0.1")
	r.eventually(5*time.Second, func() error {
		_, err := r.inside("ovsdb-client", append(peer, "list-dbs", "ssl:127.0.0.1:6640")...)
		return err
	})
	r.eventually(5*time.Second, func() error {
		out, err := r.inside("ovs-ofctl", append(peer, "show", "ssl:127.0.0.1:6653")...)
		if err == nil && !strings.Contains(out, "LOCAL(br0)") {
			err = errors.New(out)
		}
		return err
	})
	if out, err := r.inside("ovsdb-client", "list-dbs", "tcp:127.0.0.1:6642"); err != nil {
		t.Errorf("ptcp: %v: %s", err, out)
	}
	if out := r.vsctl("get", "manager", "ptcp:6642:127.0.0.1", "status:bound_port"); strings.Trim(out, "\"\n") != "6642" {
		t.Errorf("bound_port %s", out)
	}

	// New keys are used by new connections.
	subject := func() string {
		out, _ := r.inside("openssl", "s_client", "-connect", "127.0.0.1:6640", "-cert", dir+"/ctl-cert.pem", "-key", dir+"/ctl-privkey.pem")
		_, s, _ := strings.Cut(out, "subject=")
		s, _, _ = strings.Cut(s, "\n")
		return s
	}
	if s := subject(); !strings.Contains(s, "CN = one ") {
		t.Errorf("subject %q", s)
	}
	use("two")
	r.eventually(5*time.Second, func() error {
		if s := subject(); !strings.Contains(s, "CN = two ") {
			return fmt.Errorf("subject %q", s)
		}
		return nil
	})
	// Without keys nobody gets in; plain TCP goes on.
	r.vsctl("del-ssl")
	r.eventually(5*time.Second, func() error {
		if out, err := r.inside("ovsdb-client", append(peer, "-t", "5", "list-dbs", "ssl:127.0.0.1:6640")...); err == nil {
			return fmt.Errorf("TLS without keys: %s", out)
		}
		return nil
	})
	if out, err := r.inside("ovsdb-client", "list-dbs", "tcp:127.0.0.1:6642"); err != nil {
		t.Errorf("ptcp: %v: %s", err, out)
	}
	r.vsctl("del-manager")
	r.eventually(5*time.Second, func() error {
		if out, err := r.inside("ovsdb-client", "-t", "5", "list-dbs", "tcp:127.0.0.1:6642"); err == nil {
			return fmt.Errorf("after del-manager: %s", out)
		}
		return nil
	})
}
