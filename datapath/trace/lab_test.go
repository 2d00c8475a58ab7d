// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofconn"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/xlate"
	"github.com/weirswitch/weir/firmware/base/unixctl"
)

// lab is Debian's ovs-vswitchd and our pipeline with the same two bridges. The stock
// switch runs in a directory of its own with dummy devices over its userspace
// datapath: no network namespace, no device and no privilege is needed.
//
//	br0: p1..p4, LOCAL, pa (9) ---- pb (8), q1, q2, LOCAL: br1
type lab struct {
	t    testing.TB
	dir  string
	ctl  string // ovs-vswitchd's control socket
	ours [2]*ourBridge
	dp   map[string]dpif.Port
}

var portsOf = [2][]struct {
	name string
	no   action.Port
}{
	{{"p1", 1}, {"p2", 2}, {"p3", 3}, {"p4", 4}, {"pa", 9}, {"br0", action.PortLocal}},
	{{"q1", 1}, {"q2", 2}, {"pb", 8}, {"br1", action.PortLocal}},
}

func newLab(t testing.TB) *lab {
	for _, p := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("the stock switch is not installed (Debian: openvswitch-switch): %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "wt") // short: the names of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lab{t: t, dir: dir, ctl: dir + "/vs.ctl"}
	l.run("ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	l.daemon("ovsdb-server", dir+"/conf.db", "--remote=punix:"+dir+"/db.sock", "--unixctl="+dir+"/db.ctl")
	l.wait(dir + "/db.sock")
	l.daemon("ovs-vswitchd", "unix:"+dir+"/db.sock", "--enable-dummy=override", "--disable-system", "--unixctl="+l.ctl)
	l.wait(l.ctl)
	for i, ports := range portsOf {
		br := fmt.Sprintf("br%d", i)
		args := []string{"add-br", br, "--", "set", "bridge", br, "datapath-type=dummy", "fail-mode=secure"}
		for _, p := range ports {
			if p.no == action.PortLocal {
				continue
			}
			args = append(args, "--", "add-port", br, p.name, "--", "set", "interface", p.name, fmt.Sprintf("ofport_request=%d", p.no))
			switch p.name {
			case "pa":
				args = append(args, "type=patch", "options:peer=pb")
			case "pb":
				args = append(args, "type=patch", "options:peer=pa")
			default:
				args = append(args, "type=dummy")
			}
		}
		l.vsctl(args...)
	}
	l.dp = l.portNumbers()
	for i := range l.ours {
		l.ours[i] = newBridge(t, l, i)
	}
	l.join()
	return l
}

func (l *lab) env() []string { return append(os.Environ(), "OVS_RUNDIR="+l.dir, "OVS_LOGDIR="+l.dir) }

func (l *lab) daemon(name string, args ...string) {
	c := exec.Command(name, append(args, "-vconsole:off", "-vsyslog:off")...)
	c.Env = l.env()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
}

func (l *lab) wait(path string) {
	for range 1000 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Fatalf("%s does not appear", path)
}

// try runs a program; its error is what it printed.
func (l *lab) try(name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Env = l.env()
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return nil
}

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if err := l.try(name, args...); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) vsctl(args ...string) {
	l.t.Helper()
	l.run("ovs-vsctl", append([]string{"--db=unix:" + l.dir + "/db.sock", "--timeout=20"}, args...)...)
}

func (l *lab) call(command string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return unixctl.Call(ctx, l.ctl, command, args...)
}

// appctl asks the stock switch.
func (l *lab) appctl(command string, args ...string) string {
	l.t.Helper()
	s, err := l.call(command, args...)
	if err != nil {
		l.t.Fatalf("%s %q: %v", command, args, err)
	}
	return s
}

var portLine = regexp.MustCompile(`(?m)^\s+(\S+) \d+/(\d+):`)

func (l *lab) portNumbers() map[string]dpif.Port {
	m := make(map[string]dpif.Port)
	for range 200 {
		for _, w := range portLine.FindAllStringSubmatch(l.appctl("dpif/show"), -1) {
			n, _ := strconv.Atoi(w[2])
			m[w[1]] = dpif.Port(n)
		}
		if len(m) == 8 {
			return m
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Fatalf("ports are missing: %v\n%s", m, l.appctl("dpif/show"))
	return nil
}

// ourBridge is one of our bridges with an OpenFlow socket.
type ourBridge struct {
	mu sync.Mutex
	of *ofproto.Bridge
	x  *xlate.Bridge
}

// now is the time of our bridges: nothing in the test depends on it.
var now = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func newBridge(t testing.TB, l *lab, i int) *ourBridge {
	b := &ourBridge{of: ofproto.New(nil)}
	b.x = xlate.NewBridge(fmt.Sprintf("br%d", i), b.of, fdb.New(0, 0))
	var descs []openflow.PortDesc
	for _, p := range portsOf[i] {
		b.x.SetPort(&xlate.Port{No: p.no, Name: p.name, DP: l.dp[p.name], Patch: p.name[0] == 'p' && p.name[1] > '9'})
		descs = append(descs, openflow.PortDesc{No: p.no, Name: p.name})
	}
	b.of.SetPorts(descs, now)
	b.of.Reset(false, true, now)
	sw := ofconn.New(b, ofconn.Options{})
	t.Cleanup(sw.Close)
	if _, err := sw.Listen(ofconn.Service, "punix:"+filepath.Join(l.dir, fmt.Sprintf("our%d.mgmt", i))); err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *lab) join() {
	pa, pb := l.ours[0].x.Port(9), l.ours[1].x.Port(8)
	pa.Peer, pb.Peer = pb, pa
}

func (b *ourBridge) Connected(*ofconn.Conn)           {}
func (b *ourBridge) Disconnected(*ofconn.Conn, error) {}
func (b *ourBridge) Handle(c *ofconn.Conn, r *ofconn.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	replies, _ := b.of.Handle(ofproto.ConnInfo{ID: uint64(c.ID()), Version: c.Version()}, r.Msg, now)
	c.Reply(r, replies...)
}

// trace asks both switches what happens to a packet that comes into br0.
func (l *lab) trace(text string, packet ...string) (ours, theirs string, r *xlate.Result, err error) {
	args := append([]string{"br0", text}, packet...)
	if theirs, err = l.call("ofproto/trace", args...); err != nil {
		return "", "", nil, err
	}
	ours, r = l.our(args)
	return ours, theirs, r, nil
}

func (l *lab) our(args []string) (string, *xlate.Result) {
	l.t.Helper()
	req, err := ParseRequest(args)
	if err != nil {
		l.t.Fatal(err)
	}
	k, err := req.Key(l.ours[0].x.PortNamed, 1)
	if err != nil {
		l.t.Fatalf("%v: %v", args, err)
	}
	for _, b := range l.ours { // what OpenFlow did is done, but another goroutine did it
		b.mu.Lock()
		defer b.mu.Unlock()
	}
	in := &xlate.In{Bridge: l.ours[0].x, InPort: action.Port(k.InPort()), Key: k, Trace: true, NoLearn: true,
		Priority: func(queue uint32) uint32 { return queue }} // as the stock switch's dummy datapath
	r := xlate.Translate(in)
	return Text(in, r), r
}

// refused finds the priority in the dump of a refused flow_mod, of OpenFlow 1.1 or
// later or the Nicira extension.
var refused = regexp.MustCompile(`OFPT_ERROR[^|]*\n(?:[^|]*\|.*\n)?00000010  .*([0-9a-f]{2}) ([0-9a-f]{2}) \|`)

var badLine = regexp.MustCompile(`flows:(\d+): `)

// flows gives both switches the same flows of a bridge by ovs-ofctl with options, which refuses
// some; it returns those that remain.
func (l *lab) flows(br int, lines []string, options ...string) []string {
	l.t.Helper()
	file := l.dir + "/flows"
	stock, our := fmt.Sprintf("unix:%s/br%d.mgmt", l.dir, br), fmt.Sprintf("unix:%s/our%d.mgmt", l.dir, br)
	l.run("ovs-ofctl", "del-flows", stock)
	l.run("ovs-ofctl", "del-flows", our)
	ofctl := func(target string) error {
		return l.try("ovs-ofctl", append(append([]string{}, options...), "add-flows", target, file)...)
	}
	for {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			l.t.Fatal(err)
		}
		err := ofctl(stock)
		if err == nil {
			break
		}
		if m := refused.FindStringSubmatch(err.Error()); m != nil {
			// The switch itself refuses; the priority, which no two flows share, is in the message.
			n, _ := strconv.ParseUint(m[1]+m[2], 16, 16)
			before := len(lines)
			lines = slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return strings.Contains(s, fmt.Sprintf(",priority=%d,", n)) })
			if len(lines) == before {
				l.t.Fatal(err)
			}
			continue
		}
		m := badLine.FindStringSubmatch(err.Error())
		if m == nil {
			// All lines must go with one flow format; some only go with OpenFlow 1.0, which
			// does not say that a tag must be there that is to be popped, some only with OXM.
			n := len(lines)
			lines = slices.DeleteFunc(slices.Clone(lines), func(s string) bool {
				return l.try("ovs-ofctl", append(append([]string{}, options...), "parse-flow", s)...) != nil
			})
			if len(lines) == n {
				l.t.Fatal(err)
			}
			continue
		}
		n, _ := strconv.Atoi(m[1])
		lines = append(lines[:n-1:n-1], lines[n:]...)
	}
	if err := ofctl(our); err != nil {
		l.t.Fatalf("we refuse what the stock switch takes: %v\n%s", err, strings.Join(lines, "\n"))
	}
	return lines
}

// vlans configures all ports of both switches.
func (l *lab) vlans(pick func(port string) (xlate.VLAN, []string)) {
	l.t.Helper()
	var args []string
	for i, ports := range portsOf {
		for _, p := range ports {
			v, set := pick(p.name)
			args = append(args, "--", "clear", "port", p.name, "tag", "trunks", "vlan_mode", "other_config")
			if len(set) > 0 {
				args = append(append(args, "--", "set", "port", p.name), set...)
			}
			l.ours[i].x.Port(p.no).VLAN = v
		}
	}
	l.vsctl(args[1:]...)
}

// versions are those that ovs-ofctl and we speak, by its option.
var versions = map[string]ofp.Version{"OpenFlow10": ofp.V10, "OpenFlow13": ofp.V13, "OpenFlow14": ofp.V14, "OpenFlow15": ofp.V15}
