// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/netlab"
)

// The end-to-end tests start a whole switch in a network namespace, hosts in
// others, and drive it with Debian's Open vSwitch tools. With -stock the same
// tests run against Debian's own daemons: that is how one sees that a test is
// right (go test ./cmd/weir -run E2E -args -stock).

var stock = flag.Bool("stock", false, "run the end-to-end tests against Debian's ovsdb-server and ovs-vswitchd")

var race = flag.Bool("race-daemon", false, "build the daemon under test with the race detector (needs a C compiler)")

const labPrefix = "weire2e"

var weirBinary string // built once

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "weirbin")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		weirBinary = filepath.Join(dir, "weir")
		if !*stock && !testing.Short() {
			build := exec.Command("go", "build", "-o", weirBinary, ".")
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if *race {
				build = exec.Command("go", "build", "-race", "-o", weirBinary, ".")
			}
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
				return 1
			}
		}
		code := m.Run()
		// Whatever a lab of this process left behind is a failure.
		left, err := netlab.Left(fmt.Sprintf("%s-%d", labPrefix, os.Getpid()))
		if err != nil || len(left) > 0 {
			fmt.Fprintf(os.Stderr, "namespaces left behind: %v (%v)\n", left, err)
			return 1
		}
		return code
	}())
}

// needs skips the test where it cannot run, with the reason.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests are left out with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	for _, p := range append([]string{"ip"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
}

// rig is a switch under test with its lab.
type rig struct {
	t     *testing.T
	lab   *netlab.Lab
	sw    *netlab.Namespace
	dir   string // run directory and database
	procs []*netlab.Process
	dp    string // datapath_type of bridges: "netdev" or "system"
	stock bool   // Debian's daemons
}

// eachDatapath runs f with a started switch once for each kind of datapath
// that the daemon under test has.
func eachDatapath(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	kinds := []string{"system", "netdev"}
	if *stock {
		kinds = []string{"netdev"} // the kernel's module is not to be had
	}
	for _, dp := range kinds {
		t.Run(dp, func(t *testing.T) { f(t, newRig(t, dp)) })
	}
}

// newRig starts a switch. It and its lab end with the test.
func newRig(t *testing.T, dp string) *rig {
	t.Helper()
	return newRigOf(t, dp, *stock, "")
}

// newRigOf is newRig for a side; with different tags several live at a time.
func newRigOf(t *testing.T, dp string, stock bool, tag string) *rig {
	t.Helper()
	needs(t, "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-client", "ping")
	r := &rig{t: t, dp: dp, stock: stock}
	var err error
	if r.dir, err = os.MkdirTemp("", "we2e"); err != nil {
		t.Fatal(err)
	}
	if r.lab, err = netlab.New(fmt.Sprintf("%s-%d%s", labPrefix, os.Getpid(), tag)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			r.log()
		}
		if err := r.lab.Close(); err != nil {
			t.Error(err)
		}
		os.RemoveAll(r.dir)
	})
	r.sw = r.namespace("sw")
	r.start()
	return r
}

func (r *rig) namespace(name string) *netlab.Namespace {
	r.t.Helper()
	n, err := r.lab.Namespace(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// start starts the daemon, or the daemons.
func (r *rig) start() {
	r.t.Helper()
	db := filepath.Join(r.dir, "conf.db")
	if r.stock {
		if _, err := os.Stat(db); err != nil {
			r.run("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema")
		}
		r.spawn("ovsdb-server", db, "--remote=punix:"+filepath.Join(r.dir, "db.sock"), "--pidfile", "--log-file="+filepath.Join(r.dir, "db.log"))
		r.eventually(5*time.Second, func() error { _, err := r.try("ovsdb-client", "list-dbs"); return err })
		r.spawn("ovs-vswitchd", "unix:"+filepath.Join(r.dir, "db.sock"), "--pidfile", "--disable-system", "--log-file="+filepath.Join(r.dir, "weir.log"))
	} else {
		r.spawn(weirBinary, "switchd", "--rundir", r.dir, "--db", db, "--log-file", filepath.Join(r.dir, "weir.log"))
	}
	r.eventually(10*time.Second, func() error { _, err := r.try("ovs-appctl", "version"); return err })
	r.eventually(5*time.Second, func() error { _, err := r.try("ovsdb-client", "list-dbs"); return err })
}

func (r *rig) spawn(name string, args ...string) *netlab.Process {
	r.t.Helper()
	cmd := r.sw.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+r.dir, "OVS_DBDIR="+r.dir, "OVN_RUNDIR="+r.dir, "GORACE=halt_on_error=1")
	out, err := os.OpenFile(filepath.Join(r.dir, filepath.Base(name)+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	p, err := netlab.Start(cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	r.procs = append(r.procs, p)
	return p
}

// stop ends the daemons, the last started first.
func (r *rig) stop() {
	r.t.Helper()
	for i := len(r.procs) - 1; i >= 0; i-- {
		if err := r.procs[i].Stop(10 * time.Second); err != nil {
			r.t.Errorf("daemon: %v", err)
		}
	}
	r.procs = nil
}

// pid returns the id of the daemon (of the switch, if there are two).
func (r *rig) pid() int { return r.procs[len(r.procs)-1].Pid() }

// log prints the ends of the daemon's logs, after a failure.
func (r *rig) log() {
	files, _ := filepath.Glob(filepath.Join(r.dir, "*.log"))
	outs, _ := filepath.Glob(filepath.Join(r.dir, "*.out"))
	if !r.stock { // stock says the same in both
		files = append(files, outs...)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if len(b) > 3000 {
			b = b[len(b)-3000:]
		}
		if len(b) > 0 {
			r.t.Logf("%s:\n%s", filepath.Base(f), b)
		}
	}
}

// try runs a stock tool against the switch and returns its standard output.
func (r *rig) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+r.dir, "OVS_DBDIR="+r.dir, "OVS_LOGDIR="+r.dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, errs.String(), out.String())
	}
	return out.String(), nil
}

// run is try that must not fail.
func (r *rig) run(name string, args ...string) string {
	r.t.Helper()
	out, err := r.try(name, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) vsctl(args ...string) string  { r.t.Helper(); return r.run("ovs-vsctl", args...) }
func (r *rig) ofctl(args ...string) string  { r.t.Helper(); return r.run("ovs-ofctl", args...) }
func (r *rig) appctl(args ...string) string { r.t.Helper(); return r.run("ovs-appctl", args...) }

// get returns one column, without the line end and the quotes.
func (r *rig) get(table, record, column string) string {
	r.t.Helper()
	return strings.Trim(strings.TrimSpace(r.vsctl("get", table, record, column)), `"`)
}

// bridge makes a bridge with the datapath under test.
func (r *rig) bridge(name string) {
	r.t.Helper()
	r.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type="+r.dp)
}

// host makes a namespace with one link, eth0 with an address, whose other end
// is in the switch's namespace, named as the host.
func (r *rig) host(name, cidr string) *netlab.Namespace {
	r.t.Helper()
	n := r.namespace(name)
	if err := r.lab.Veth(n, "eth0", r.sw, name); err != nil {
		r.t.Fatal(err)
	}
	if cidr != "" {
		if err := n.Address("eth0", cidr); err != nil {
			r.t.Fatal(err)
		}
	}
	return n
}

// ping reports whether addr answers within a second or two.
func ping(n *netlab.Namespace, addr string) error {
	out, err := n.Command("ping", "-n", "-q", "-c", "1", "-W", "1", addr).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ping %s from %s: %w: %s", addr, n.Name, err, out)
	}
	return nil
}

// reaches and separated are ping with the expectation.
func (r *rig) reaches(n *netlab.Namespace, addr string) {
	r.t.Helper()
	if err := ping(n, addr); err != nil {
		// One repetition: the very first packet may meet a port that is not up.
		if err := ping(n, addr); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) separated(n *netlab.Namespace, addr string) {
	r.t.Helper()
	if ping(n, addr) == nil {
		r.t.Errorf("%s reaches %s and must not", n.Name, addr)
	}
}

// eventually repeats f until it succeeds, and fails after timeout.
func (r *rig) eventually(timeout time.Duration, f func() error) {
	r.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return
		}
		for _, p := range r.procs {
			select {
			case <-p.Done():
				r.t.Fatalf("the daemon has ended: %v; waiting for: %v", p.Err(), err)
			default:
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("after %v: %v", timeout, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// equals is a condition for eventually.
func equals(got func() string, want string) func() error {
	return func() error {
		if g := got(); g != want {
			return fmt.Errorf("got %q, want %q", g, want)
		}
		return nil
	}
}

// contains is a condition for eventually.
func contains(got func() string, parts ...string) func() error {
	return func() error {
		g := got()
		for _, p := range parts {
			if !strings.Contains(g, p) {
				return fmt.Errorf("no %q in:\n%s", p, g)
			}
		}
		return nil
	}
}

var hitMissed = regexp.MustCompile(`hit:(\d+) missed:(\d+)`)

// lookups returns the datapath's counts of packets that a megaflow matched
// and that none did, from ovs-appctl dpif/show.
func (r *rig) lookups() (hit, missed int) {
	r.t.Helper()
	out := r.appctl("dpif/show")
	m := hitMissed.FindStringSubmatch(out)
	if m == nil {
		r.t.Fatalf("no hit and missed in dpif/show:\n%s", out)
	}
	hit, _ = strconv.Atoi(m[1])
	missed, _ = strconv.Atoi(m[2])
	return hit, missed
}

// rss returns the daemon's resident memory and the memory of its BPF maps.
func (r *rig) rss() (resident, maps int) {
	r.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", r.pid())
	smaps, err := os.ReadFile(proc + "smaps")
	if err != nil {
		r.t.Fatal(err)
	}
	// Pages of BPF maps that are mapped (the upcall ring) count with the maps.
	mapped := false
	for line := range strings.Lines(string(smaps)) {
		f := strings.Fields(line)
		if strings.Contains(f[0], "-") && !strings.HasSuffix(f[0], ":") {
			mapped = strings.HasSuffix(strings.TrimSpace(line), "bpf-map")
		} else if f[0] == "Rss:" && !mapped {
			n, _ := strconv.Atoi(f[1])
			resident += n
		}
	}
	if resident == 0 {
		r.t.Fatalf("no resident pages in %ssmaps", proc)
	}
	seen := map[string]bool{}
	infos, _ := filepath.Glob(proc + "fdinfo/*")
	for _, f := range infos {
		b, _ := os.ReadFile(f)
		lock := regexp.MustCompile(`(?m)^memlock:\s+(\d+)$`).FindSubmatch(b)
		id := regexp.MustCompile(`(?m)^map_id:\s+(\d+)$`).FindSubmatch(b)
		if lock == nil || id == nil || seen[string(id[1])] {
			continue
		}
		seen[string(id[1])] = true
		n, _ := strconv.Atoi(string(lock[1]))
		maps += n
	}
	return resident << 10, maps
}

// background runs a stock tool until the test ends; its output goes to a file
// that the returned function reads.
func (r *rig) background(cmd *exec.Cmd) (output func() string, p *netlab.Process) {
	r.t.Helper()
	f, err := os.CreateTemp(r.dir, "bg")
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+r.dir, "OVS_DBDIR="+r.dir, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = f, f
	if p, err = netlab.Start(cmd); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		var exit *exec.ExitError
		if err := p.Stop(5 * time.Second); err != nil && !errors.As(err, &exit) {
			r.t.Error(err)
		}
	})
	return func() string { b, _ := os.ReadFile(f.Name()); return string(b) }, p
}
