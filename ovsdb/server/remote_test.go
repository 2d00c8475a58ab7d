// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/client"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

const managers = "db:Open_vSwitch,Open_vSwitch,manager_options"

// tool runs a stock program against the fixture's database.
func (f *fixture) tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := f.tryTool(t, program, args...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s\nour log:\n%s", program, args, err, out, f.log)
	}
	return out
}

func (f *fixture) tryTool(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed: %v", program, err)
	}
	ctx, cancel := context.WithTimeout(f.ctx, 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+f.dir)
	cmd.Dir = f.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// manager returns the Manager row of a target as it is now.
func (f *fixture) manager(t *testing.T, target string) *vswitch.Manager {
	t.Helper()
	r, err := vswitch.NewReader(vswitch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Read(f.Snapshot("Open_vSwitch")).Manager.All() {
		if m.Target == target {
			return m
		}
	}
	return nil
}

// managerUntil waits up to 5 s for a Manager row that ok likes.
func (f *fixture) managerUntil(t *testing.T, target string, ok func(*vswitch.Manager) bool) *vswitch.Manager {
	t.Helper()
	var m *vswitch.Manager
	for range 500 {
		if m = f.manager(t, target); m != nil && ok(m) {
			return m
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("manager %s: %+v\nlog:\n%s", target, m, f.log)
	return nil
}

// keysOf returns the keys of a status map without the seconds.
func keysOf(m map[string]string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(k string) bool { return strings.HasPrefix(k, "sec_") })
}

func TestManagers(t *testing.T) {
	f := serve(t, Options{})
	if err := f.AddRemote(managers); err != nil {
		t.Fatal(err)
	}
	vsctl := func(args ...string) {
		t.Helper()
		f.tool(t, "ovs-vsctl", append([]string{"--no-wait"}, args...)...)
	}
	// A listener, on a port of the kernel's choice that the status tells.
	const passive = "ptcp:0:127.0.0.1"
	vsctl("init", "--", "set-manager", passive)
	m := f.managerUntil(t, passive, func(m *vswitch.Manager) bool { return m.Status["bound_port"] != "" })
	if m.IsConnected || !cmp.Equal(keysOf(m.Status), []string{"bound_port"}) {
		t.Errorf("nobody came: %+v", m)
	}
	to := "tcp:127.0.0.1:" + m.Status["bound_port"]
	if out := f.tool(t, "ovsdb-client", "list-dbs", to); !strings.Contains(out, "Open_vSwitch") {
		t.Errorf("list-dbs: %s", out)
	}
	var cs []*client.Client
	for i, method := range []string{"lock", "steal", "lock"} {
		c, err := client.Dial(f.ctx, to, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Call(f.ctx, method, []string{"L"}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := c.Call(f.ctx, "lock", []string{"own"}); err != nil {
				t.Fatal(err)
			}
		}
		cs = append(cs, c)
	}
	m = f.managerUntil(t, passive, func(m *vswitch.Manager) bool { return m.Status["n_connections"] == "3" && m.Status["locks_lost"] != "" })
	if !m.IsConnected || m.Status["locks_held"] != "own" || m.Status["locks_lost"] != "L" || m.Status["sec_since_connect"] != "0" {
		t.Errorf("three came: %+v", m)
	}
	for _, c := range cs[1:] {
		c.Close()
	}
	m = f.managerUntil(t, passive, func(m *vswitch.Manager) bool { return m.Status["n_connections"] == "" })
	if !m.IsConnected {
		t.Errorf("one is left: %+v", m)
	}
	// The row goes: the listener and its sessions go.
	vsctl("del-manager")
	select {
	case <-cs[0].Done():
	case <-f.ctx.Done():
		t.Error("the session of a removed manager lives on")
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(to, "tcp:")); err == nil {
		t.Error("the listener of a removed manager lives on")
	}

	// A name that says nothing, one that is not ours to listen on, one that answers later.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	active, far := "tcp:"+addr, "ptcp:0:192.0.2.1"
	vsctl("set-manager", "foo:bar", far, active)
	m = f.managerUntil(t, "foo:bar", func(m *vswitch.Manager) bool { return m.Status["state"] == "VOID" })
	if !strings.Contains(m.Status["last_error"], "foo:bar") {
		t.Errorf("foo:bar: %+v", m)
	}
	m = f.managerUntil(t, far, func(m *vswitch.Manager) bool { return m.Status["last_error"] != "" })
	if !strings.Contains(m.Status["last_error"], "cannot assign requested address") || m.Status["state"] != "BACKOFF" {
		t.Errorf("%s: %+v", far, m)
	}
	m = f.managerUntil(t, active, func(m *vswitch.Manager) bool { return m.Status["last_error"] != "" })
	if !strings.Contains(m.Status["last_error"], "connection refused") || m.Status["state"] != "BACKOFF" || m.IsConnected {
		t.Errorf("%s: %+v", active, m)
	}
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(nc, client.Options{})
	defer c.Close()
	if _, err := c.Call(f.ctx, "echo", []int{1}); err != nil {
		t.Error(err)
	}
	m = f.managerUntil(t, active, func(m *vswitch.Manager) bool { return m.IsConnected })
	if m.Status["state"] != "ACTIVE" || m.Status["last_error"] != "" {
		t.Errorf("connected: %+v", m)
	}
	// A change of the probe interval reaches the session that is there.
	vsctl("set", "manager", active, "inactivity_probe=1000")
	vsctl("set-manager", "punix:"+f.dir+"/m.sock")
	select {
	case <-c.Done():
	case <-f.ctx.Done():
		t.Error("the session of a removed active manager lives on")
	}
	f.managerUntil(t, "punix:"+f.dir+"/m.sock", func(m *vswitch.Manager) bool { return true })
	eventuallyTrue(t, "m.sock", func() bool { _, err := os.Stat(f.dir + "/m.sock"); return err == nil })
	f.tool(t, "ovsdb-client", "list-dbs", "unix:"+f.dir+"/m.sock")
	if err := f.RemoveRemote(managers); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.dir + "/m.sock"); err == nil {
		t.Error("remotes of a column that is not followed any more live on")
	}
}

func eventuallyTrue(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("timeout: %s", what)
}

// A session that is there learns a new probe interval, also from "never".
func TestProbeChanges(t *testing.T) {
	f := serve(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target := "tcp:" + l.Addr().String()
	if _, err := f.Update("Open_vSwitch", func(tx *engine.Txn) error {
		root, err := vswitch.EnsureRoot(tx)
		if err != nil {
			return err
		}
		id, err := vswitch.Insert(tx, "Manager", vswitch.Values{"target": target, "inactivity_probe": 0, "other_config": map[string]string{"dscp": "10"}})
		if err == nil {
			_, err = vswitch.Set(tx, "Open_vSwitch", root, vswitch.Values{"manager_options": id})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.AddRemote(managers); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	f.managerUntil(t, target, func(m *vswitch.Manager) bool { return m.IsConnected })
	f.mu.Lock()
	set := f.remotes[target].set
	f.mu.Unlock()
	if set != (settings{dscp: 10}) {
		t.Errorf("settings %+v", set)
	}
	nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := nc.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("probed with %d bytes, %v, though the interval is 0", n, err)
	}
	id := f.manager(t, target).UUID
	if _, err := f.Update("Open_vSwitch", func(tx *engine.Txn) error {
		_, err := vswitch.Set(tx, "Manager", id, vswitch.Values{"inactivity_probe": 1, "max_backoff": 2500})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	nc.SetReadDeadline(start.Add(10 * time.Second))
	b := make([]byte, 100)
	n, err := nc.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), `"echo"`) {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if d := time.Since(start); d < 900*time.Millisecond { // the least that can be set is 1 s
		t.Errorf("probed after %v", d)
	}
	if _, err := io.ReadAll(nc); err != nil { // not answered: dropped after another second
		t.Error(err)
	}
	m := f.managerUntil(t, target, func(m *vswitch.Manager) bool { return m.Status["last_error"] != "" })
	if !strings.Contains(m.Status["last_error"], errSilent.Error()) {
		t.Errorf("status %v", m.Status)
	}
}

func TestColumnNames(t *testing.T) {
	f := serve(t, Options{})
	for name, want := range map[string]string{ // as stock's ovsdb-server 3.1 says
		"db:Open_vSwitch,Foo,bar":              `"db:Open_vSwitch,Foo,bar": no table named Foo`,
		"db:Nope,Foo,bar":                      `"db:Nope,Foo,bar": no database named Nope`,
		"db:Open_vSwitch,Bridge":               `"db:Open_vSwitch,Bridge": invalid syntax`,
		"db:Open_vSwitch,Bridge,nocol":         `"db:Open_vSwitch,Bridge,nocol": table "Bridge" has no column "nocol"`,
		"db:Open_vSwitch,Open_vSwitch,cur_cfg": `"db:Open_vSwitch,Open_vSwitch,cur_cfg": column "cur_cfg" is no set of strings and refers to no table`,
		"db:":                                  `"db:": invalid syntax`,
	} {
		if err := f.AddRemote(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := f.Remotes(); len(got) != 1 {
		t.Errorf("remotes %q", got)
	}
	// A set of strings.
	if err := f.AddRemote("db:Open_vSwitch,Bridge,fail_mode"); err != nil {
		t.Error(err)
	}
}

// A remote that cannot be opened is tried again.
func TestRemoteRetried(t *testing.T) {
	f := serve(t, Options{})
	path := filepath.Join(f.dir, "late", "s.sock")
	err := f.AddRemote("punix:" + path)
	var oe *OpenError
	if !errors.As(err, &oe) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no folder: %v", err)
	}
	if got := f.Remotes(); !slices.Contains(got, "punix:"+path) {
		t.Errorf("remotes %q", got)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f.Retry()
	eventuallyTrue(t, "the socket", func() bool { _, err := os.Stat(path); return err == nil })
}

// ovsPKI makes keys with Debian's ovs-pki: sw-*.pem and ctl-*.pem, switchca.pem and
// controllerca.pem.
func ovsPKI(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("ovs-pki"); err != nil {
		t.Skipf("ovs-pki is not installed (Debian: openvswitch-common): %v", err)
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"init"}, {"req+sign", "sw", "switch"}, {"req+sign", "ctl", "controller"}} {
		cmd := exec.Command("ovs-pki", append([]string{"--dir=" + dir + "/pki", "--log=" + dir + "/log", "-b"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ovs-pki %v: %v\n%s", args, err, out)
		}
	}
	for _, ca := range []string{"switchca", "controllerca"} {
		b, err := os.ReadFile(filepath.Join(dir, "pki", ca, "cacert.pem"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, ca+".pem"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func keyFiles(dir, name, ca string) pki.Files {
	return pki.Files{PrivateKey: dir + "/" + name + "-privkey.pem", Certificate: dir + "/" + name + "-cert.pem", CACert: dir + "/" + ca + ".pem"}
}

func newKeys(t *testing.T, f pki.Files) *pki.Keys {
	t.Helper()
	k := pki.New(pki.Options{})
	t.Cleanup(k.Close)
	k.Set(f)
	return k
}

// Stock clients with ovs-pki's certificates against our pssl:, and a stock
// server-side peer (ovsdb-client's passive form) against our ssl:.
func TestTLSWithStock(t *testing.T) {
	dir := ovsPKI(t)
	keys := newKeys(t, keyFiles(dir, "sw", "controllerca"))
	f := serve(t, Options{TLS: keys})
	if err := f.AddRemote("pssl:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	to := fmt.Sprintf("ssl:127.0.0.1:%d", f.Addr("pssl:0:127.0.0.1").(*net.TCPAddr).Port)
	own := []string{"-p", dir + "/ctl-privkey.pem", "-c", dir + "/ctl-cert.pem"}
	ca := []string{"-C", dir + "/switchca.pem"}
	if out := f.tool(t, "ovsdb-client", append(append(own, ca...), "list-dbs", to)...); !strings.Contains(out, "Open_vSwitch") {
		t.Errorf("list-dbs: %s", out)
	}
	f.tool(t, "ovs-vsctl", append(append(own, ca...), "--db="+to, "--no-wait", "add-br", "br-tls")...)
	if out := f.tool(t, "ovs-vsctl", append(append(own, ca...), "--db="+to, "list-br")...); out != "br-tls\n" {
		t.Errorf("list-br: %q", out)
	}
	// python3-openvswitch.
	py := `
import sys, ovs.stream, ovs.jsonrpc, os
to, key, cert, ca = sys.argv[1:]
ovs.stream.Stream.ssl_set_private_key_file(key)
ovs.stream.Stream.ssl_set_certificate_file(cert)
ovs.stream.Stream.ssl_set_ca_cert_file(ca)
err, s = ovs.stream.Stream.open_block(ovs.stream.Stream.open(to))
assert not err, os.strerror(err)
rpc = ovs.jsonrpc.Connection(s)
err, reply = rpc.transact_block(ovs.jsonrpc.Message.create_request("list_dbs", []))
assert not err, os.strerror(err)
print(reply.result)
`
	if _, err := os.Stat("/usr/lib/python3/dist-packages/ovs"); err != nil {
		t.Logf("python3-openvswitch is not installed: %v", err)
	} else if out := f.tool(t, "/usr/bin/python3", "-c", py, to, dir+"/ctl-privkey.pem", dir+"/ctl-cert.pem", dir+"/switchca.pem"); !strings.Contains(out, "'Open_vSwitch'") {
		t.Errorf("python: %s", out)
	}
	// Of another CA, and plain TCP.
	if out, err := f.tryTool(t, "ovsdb-client", append([]string{"-p", dir + "/sw-privkey.pem", "-c", dir + "/sw-cert.pem", "-t", "5"}, append(ca, "list-dbs", to)...)...); err == nil {
		t.Errorf("a certificate of another CA gets in: %s", out)
	}
	if out, err := f.tryTool(t, "ovsdb-client", "-t", "5", "list-dbs", strings.Replace(to, "ssl:", "tcp:", 1)); err == nil {
		t.Errorf("no TLS gets in: %s", out)
	}
	if !strings.Contains(f.log.String(), "TLS handshake failed") {
		t.Errorf("log:\n%s", f.log)
	}
	// The client bootstraps from us: our chain has our CA if that is one of those we trust.
	b1, _ := os.ReadFile(dir + "/switchca.pem")
	b2, _ := os.ReadFile(dir + "/controllerca.pem")
	if err := os.WriteFile(dir+"/both.pem", append(b1, b2...), 0o644); err != nil {
		t.Fatal(err)
	}
	keys.Set(keyFiles(dir, "sw", "both"))
	boot := append(own, "--bootstrap-ca-cert="+dir+"/booted.pem", "-t", "10")
	f.tryTool(t, "ovsdb-client", append(boot, "list-dbs", to)...) // ends with the bootstrap
	f.tool(t, "ovsdb-client", append(boot, "list-dbs", to)...)

	// We connect: to a stock program that listens.
	if err := f.AddRemote(managers); err != nil {
		t.Fatal(err)
	}
	keys.Set(keyFiles(dir, "sw", "controllerca"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	f.tool(t, "ovs-vsctl", "--no-wait", "set-manager", "ssl:127.0.0.1:"+port)
	out := f.tool(t, "ovs-vsctl", append(append(own, ca...), "-t", "12", "--db=pssl:"+port+":127.0.0.1", "list-br")...)
	if out != "br-tls\n" {
		t.Errorf("list-br over a connection that we made: %q", out)
	}
}

// Without keys a pssl: remote listens and refuses; keys that come later are
// used at once.
func TestKeysComeLater(t *testing.T) {
	dir := ovsPKI(t)
	k := newKeys(t, pki.Files{})
	f := serve(t, Options{TLS: k})
	if err := f.AddRemote("pssl:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	peer := newKeys(t, keyFiles(dir, "ctl", "switchca"))
	cfg, err := peer.Client()
	if err != nil {
		t.Fatal(err)
	}
	a := stream.Addr{TLS: true, Host: "127.0.0.1", Port: f.Addr("pssl:0:127.0.0.1").(*net.TCPAddr).Port}
	if nc, err := stream.Dial(f.ctx, a, cfg); err == nil {
		nc.Close()
		t.Error("a handshake without keys")
	}
	l, err := stream.Listen(f.ctx, stream.Addr{Passive: true, TLS: true, Host: "127.0.0.1"}, peer.Server())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := f.AddRemote("ssl:" + l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // it failed once
	k.Set(keyFiles(dir, "sw", "controllerca"))
	f.Retry()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc2, err := stream.Dial(f.ctx, a, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(nc2, client.Options{})
	defer c.Close()
	if _, err := c.Call(f.ctx, "echo", []int{1}); err != nil {
		t.Error(err)
	}
}

// Thousands of peers that say nothing, on TCP and in the middle of TLS
// handshakes, do not keep others out.
func TestHalfOpen(t *testing.T) {
	dir := ovsPKI(t)
	f := serve(t, Options{TLS: newKeys(t, keyFiles(dir, "sw", "controllerca"))})
	for _, name := range []string{"pssl:0:127.0.0.1", "ptcp:0:127.0.0.1"} {
		if err := f.AddRemote(name); err != nil {
			t.Fatal(err)
		}
	}
	local := f.dial(t)
	local.call(t, f.ctx, "transact", insertRoot(1))
	tcp := f.Addr("ptcp:0:127.0.0.1").(*net.TCPAddr)
	ssl := f.Addr("pssl:0:127.0.0.1").(*net.TCPAddr)
	early, err := client.Dial(f.ctx, "tcp:"+tcp.String(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if _, err := early.Call(f.ctx, "echo", []int{1}); err != nil {
		t.Fatal(err)
	}
	hello := "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" // the head of a ClientHello
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	var worst time.Duration
	for i := range 2000 {
		a := tcp
		if i%2 == 0 {
			a = ssl
		}
		c, err := net.DialTCP("tcp", nil, a)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, c)
		io.WriteString(c, hello[:i%len(hello)]) // may be closed already
		if i%100 == 0 {
			start := time.Now()
			local.call(t, f.ctx, "echo", "[]")
			worst = max(worst, time.Since(start))
		}
	}
	if n := strings.Count(f.memory(), "sessions:"); n != 1 {
		t.Fatal(f.memory())
	}
	_, after, _ := strings.Cut(f.memory(), "sessions:")
	n, _ := strconv.Atoi(strings.Fields(after)[0])
	if n > 64 {
		t.Errorf("%d sessions", n)
	}
	cfg, err := newKeys(t, keyFiles(dir, "ctl", "switchca")).Client()
	if err != nil {
		t.Fatal(err)
	}
	for to, cfg := range map[string]*tls.Config{"tcp:" + tcp.String(): nil, "ssl:" + ssl.String(): cfg} {
		start := time.Now()
		c, err := client.Dial(f.ctx, to, client.Options{TLS: cfg})
		if err != nil {
			t.Fatalf("%s beside 2,000 half-open connections: %v", to, err)
		}
		if _, err := c.Call(f.ctx, "list_dbs", []int{}); err != nil {
			t.Errorf("%s beside 2,000 half-open connections: %v", to, err)
		}
		t.Logf("%s served after %v", to, time.Since(start))
		c.Close()
	}
	if _, err := early.Call(f.ctx, "echo", []int{1}); err != nil {
		t.Errorf("one that was there before: %v", err)
	}
	t.Logf("%d sessions, slowest echo %v", n, worst)
}

// Peers on TCP, however well they speak, leave places for those on unix sockets.
func TestPlacesForUnix(t *testing.T) {
	f := serve(t, Options{MaxSessions: 4})
	if err := f.AddRemote("ptcp:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	to := "tcp:" + f.Addr("ptcp:0:127.0.0.1").String()
	for i := range 4 {
		c, err := client.Dial(f.ctx, to, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Call(f.ctx, "echo", []int{1}); (err == nil) != (i < 3) {
			t.Errorf("session %d: %v", i, err)
		}
	}
	f.dial(t).call(t, f.ctx, "echo", "[]")
}

// More targets than the bound: the first are served, in order, the others say
// why not, and when there is room again they are.
func TestTooManyRemotes(t *testing.T) {
	f := serve(t, Options{})
	if err := f.AddRemote(managers); err != nil {
		t.Fatal(err)
	}
	var ids []ovsdb.UUID
	set := func(n int) {
		t.Helper()
		if _, err := f.Update("Open_vSwitch", func(tx *engine.Txn) error {
			root, err := vswitch.EnsureRoot(tx)
			for i := len(ids); err == nil && i < n; i++ {
				var id ovsdb.UUID
				id, err = vswitch.Insert(tx, "Manager", vswitch.Values{"target": fmt.Sprintf("ptcp:0:127.0.1.%d", i+100)})
				ids = append(ids, id)
			}
			if err == nil {
				_, err = vswitch.Set(tx, "Open_vSwitch", root, vswitch.Values{"manager_options": ids[:n]})
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	set(maxRemotes + 6)
	m := f.managerUntil(t, fmt.Sprintf("ptcp:0:127.0.1.%d", 100+maxRemotes+5), func(m *vswitch.Manager) bool { return m.Status["last_error"] != "" })
	if m.Status["last_error"] != "too many remotes" || m.Status["state"] != "VOID" {
		t.Errorf("status %v", m.Status)
	}
	f.managerUntil(t, "ptcp:0:127.0.1.100", func(m *vswitch.Manager) bool { return m.Status["bound_port"] != "" })
	f.mu.Lock()
	n := len(f.remotes)
	f.mu.Unlock()
	if n != maxRemotes {
		t.Errorf("%d remotes", n)
	}
	f.dial(t).call(t, f.ctx, "echo", "[]") // what was added by hand counts first
	last := ids[maxRemotes+5]
	ids = ids[:0]
	if _, err := f.Update("Open_vSwitch", func(tx *engine.Txn) error {
		root, err := vswitch.EnsureRoot(tx)
		if err == nil {
			_, err = vswitch.Set(tx, "Open_vSwitch", root, vswitch.Values{"manager_options": last})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m = f.managerUntil(t, fmt.Sprintf("ptcp:0:127.0.1.%d", 100+maxRemotes+5), func(m *vswitch.Manager) bool { return m.Status["bound_port"] != "" })
	if m.Status["last_error"] != "" || m.Status["state"] != "" {
		t.Errorf("status %v", m.Status)
	}
}
