// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// A bridge in fail mode standalone whose controller does not answer forwards
// nothing at first, and takes over after three inactivity probes.
func TestE2EFailStandalone(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2", "--", "set-controller", "br0", "tcp:127.0.0.1:9",
			"--", "set-fail-mode", "br0", "standalone", "--", "set", "controller", "br0", "inactivity_probe=1000")
		r.separated(h1, "10.0.0.2")
		r.eventually(10*time.Second, func() error { return ping(h1, "10.0.0.2") })
		if out := r.ofctl("dump-flows", "br0"); strings.Contains(out, "n_packets") {
			t.Errorf("the flow that takes over is shown to controllers:\n%s", out)
		}
		if *stock {
			return // it looks at its controllers every 5 s only
		}
		if got := r.get("controller", "br0", "is_connected"); got != "false" {
			t.Errorf("is_connected: %s", got)
		}
		if got := r.get("controller", "br0", "status"); !strings.Contains(got, "state=") || !strings.Contains(got, "Connection refused") {
			t.Errorf("status: %s", got)
		}
		// Without the controller the bridge is a plain switch.
		r.vsctl("del-controller", "br0")
		r.reaches(h1, "10.0.0.2")
		if out := r.ofctl("dump-flows", "br0"); !strings.Contains(out, "actions=NORMAL") {
			t.Errorf("flows without controller:\n%s", out)
		}
	})
}

// kill -9: the next daemon takes over what was left and goes on.
func TestE2EKilled(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h2", "--", "add-port", "br0", "h1")
		r.reaches(h1, "10.0.0.2")
		before := r.vsctl("--columns=name,ofport,mac_in_use", "list", "interface")
		p := r.procs[0]
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		r.procs = nil
		r.start()
		r.eventually(5*time.Second, equals(func() string { return r.vsctl("--columns=name,ofport,mac_in_use", "list", "interface") }, before))
		r.reaches(h1, "10.0.0.2")
		if out := r.ingress("h1"); strings.Count(out, "prog_id")+strings.Count(out, "pref") > 1 {
			t.Errorf("the killed daemon's program is still there: %s", out)
		}
	})
}

// exit --cleanup deletes internal ports, exit leaves them with their addresses.
func TestE2EExit(t *testing.T) {
	if *stock {
		t.Skip("stock leaves its tap devices in both cases here")
	}
	eachDatapath(t, func(t *testing.T, r *rig) {
		r.bridge("br0")
		r.vsctl("add-port", "br0", "int0", "--", "set", "interface", "int0", "type=internal")
		if err := r.sw.Address("int0", "10.0.0.9/24"); err != nil {
			t.Fatal(err)
		}
		end := func(args ...string) {
			t.Helper()
			r.appctl(append([]string{"exit"}, args...)...)
			select {
			case <-r.procs[0].Done():
				if err := r.procs[0].Err(); err != nil {
					t.Errorf("exit %v: %v", args, err)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("exit %v: the daemon still runs after 5 s", args)
			}
			r.procs = nil
			left, err := filepath.Glob(filepath.Join(r.dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range left {
				switch filepath.Ext(f) {
				case ".sock", ".ctl", ".pid", ".mgmt", ".snoop":
					t.Errorf("exit %v left %s", args, filepath.Base(f))
				}
			}
		}
		end()
		link, err := r.sw.Links().LinkByName("int0")
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := r.sw.Links().AddrList(link, netlink.FAMILY_V4)
		if err != nil || len(addrs) != 1 {
			t.Errorf("addresses of the internal port after exit: %v, %v", addrs, err)
		}
		r.start()
		r.eventually(5*time.Second, equals(func() string { return r.get("interface", "int0", "error") }, "[]"))
		end("--cleanup")
		links, err := r.sw.Links().LinkList()
		if err != nil || len(links) != 1 {
			var names []string
			for _, l := range links {
				names = append(names, l.Attrs().Name)
			}
			t.Errorf("links after exit --cleanup: %v, %v; want lo alone", names, err)
		}
	})
}

// An internal port that was moved into a container's namespace stays a port, also
// over a restart.
func TestE2EInternalElsewhere(t *testing.T) {
	if *stock {
		t.Skip("stock closes the tap of a moved port")
	}
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, box := r.host("h1", "10.0.0.1/24"), r.namespace("box")
		r.bridge("br0")
		r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "int0", "--", "set", "interface", "int0", "type=internal")
		if out, err := r.sw.Command("ip", "link", "set", "int0", "netns", box.Name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := box.Address("int0", "10.0.0.2/24"); err != nil {
			t.Fatal(err)
		}
		if err := box.Up("int0"); err != nil {
			t.Fatal(err)
		}
		r.reaches(h1, "10.0.0.2")
		if got := r.get("interface", "int0", "error"); got != "[]" {
			t.Errorf("error: %s", got)
		}
		r.stop()
		r.start()
		r.eventually(5*time.Second, func() error { return ping(h1, "10.0.0.2") })
		r.vsctl("del-port", "int0")
		if _, err := box.Links().LinkByName("int0"); err == nil {
			t.Error("the moved device is there after del-port")
		}
	})
}

// A database that is not one is refused with a clear word, and a directory that
// is not there is made.
func TestE2EStart(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	needs(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.db")
	if err := os.WriteFile(bad, []byte("not a database\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "r")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--rundir", run, "--db", bad}, "bad.db"},
		{[]string{"--rundir", run, "--db", filepath.Join(dir, "x.db"), "--remote", "nonsense"}, "nonsense"},
		{[]string{"--rundir", run, "--db", filepath.Join(dir, "x.db"), "--log-level", "loud"}, "loud"},
		{[]string{"--rundir", run, "spare"}, "spare"},
	} {
		out, err := exec.Command(weirBinary, append([]string{"switchd"}, c.args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %q; want a refusal that names %q", c.args, err, out, c.want)
		}
		if left, _ := filepath.Glob(filepath.Join(run, "*")); len(left) > 0 {
			t.Errorf("%v left %v", c.args, left)
		}
	}
}

// Who may not make a switch is told so before anything is made.
func TestE2EUnprivileged(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	needs(t, "setpriv")
	for _, tt := range []struct{ keep, lacks string }{
		{"-all", "CAP_NET_ADMIN, CAP_SYS_ADMIN"},
		{"-all,+net_admin", ": CAP_SYS_ADMIN"},
		{"-net_admin", ": CAP_NET_ADMIN"},
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // for one that starts
		out, err := exec.CommandContext(ctx, "setpriv", "--inh-caps=-all", "--bounding-set="+tt.keep,
			weirBinary, "switchd", "--rundir", filepath.Join(dir, "run"), "--db", filepath.Join(dir, "db", "conf.db")).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), "root") || !strings.Contains(string(out), tt.lacks+" is missing") {
			t.Errorf("%s: %v, %q; want that %s is missing", tt.keep, err, out, tt.lacks)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("%s: %v was made", tt.keep, left)
		}
	}
}

// Fifty ports in one transaction and out again: fast, and nothing stays.
func TestE2EManyPorts(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	eachDatapath(t, func(t *testing.T, r *rig) {
		const n = 50
		r.bridge("br0")
		open := func() int {
			fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.pid()))
			if err != nil {
				t.Fatal(err)
			}
			return len(fds)
		}
		goroutines := regexp.MustCompile(`goroutines:(\d+)`)
		count := func() string { return goroutines.FindStringSubmatch(r.appctl("memory/show"))[1] }
		cycle := func() time.Duration {
			var add, del []string
			for i := range n {
				name := fmt.Sprintf("m%d", i)
				add = append(add, "--", "add-port", "br0", name, "--", "set", "interface", name, "type=internal")
				del = append(del, "--", "del-port", name)
			}
			start := time.Now()
			r.vsctl(add[1:]...)
			d := time.Since(start)
			if got := strings.Count(r.appctl("dpif/show"), "(internal)"); got != n+1 {
				t.Errorf("%d internal ports, want %d", got, n+1)
			}
			r.vsctl(del[1:]...)
			return d
		}
		cycle()
		time.Sleep(500 * time.Millisecond)
		fds, gos := open(), count()
		d := cycle()
		t.Logf("%d internal ports in %v", n, d)
		if d > 10*time.Second {
			t.Errorf("%d ports took %v", n, d)
		}
		r.eventually(5*time.Second, func() error {
			if f, g := open(), count(); f > fds || g > gos && len(g) >= len(gos) {
				return fmt.Errorf("descriptors %d -> %d, goroutines %s -> %s", fds, f, gos, g)
			}
			return nil
		})
	})
}

// Random reconfiguration under traffic: whatever the order, the switch lives,
// logs no error, and works as configured at the end.
func TestE2EChurn(t *testing.T) {
	if *stock {
		t.Skip("about our daemon")
	}
	r := newRig(t, "system")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
	r.host("h3", "10.0.0.3/24")
	r.bridge("br0")
	r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2")
	traffic, _ := r.background(h1.Command("ping", "-n", "-i", "0.01", "-w", "60", "10.0.0.2"))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	commands := []func() []string{
		func() []string {
			return []string{"--may-exist", "add-port", "br0", pick("h1", "h2", "h3", "nodev", "i0")}
		},
		func() []string {
			return []string{"--if-exists", "del-port", pick("h1", "h2", "h3", "nodev", "i0", "p0", "p1")}
		},
		func() []string {
			return []string{"--if-exists", "set", "port", pick("h1", "h2", "h3"), pick("tag=10", "tag=20", "tag=[]", "vlan_mode=trunk", "vlan_mode=native-tagged", "vlan_mode=[]", "trunks=10,20", "trunks=[]")}
		},
		func() []string {
			return []string{"set", "bridge", "br0", "datapath_type=" + pick("netdev", "system", `""`)}
		},
		func() []string {
			return []string{"--if-exists", "set", "interface", pick("i0", "h3", "p0"), "type=" + pick("internal", `""`, "patch", "geneve"), "options:peer=" + pick("p0", "p1")}
		},
		func() []string {
			return []string{"--may-exist", "add-br", "br1", "--", "--may-exist", "add-port", "br1", pick("p1", "i1")}
		},
		func() []string { return []string{"--if-exists", "del-br", "br1"} },
		func() []string {
			return []string{"set-controller", "br0", pick("tcp:127.0.0.1:1", "ptcp:0:127.0.0.1", "unix:/etc/passwd", "nonsense")}
		},
		func() []string { return []string{"del-controller", "br0"} },
		func() []string { return []string{"set-fail-mode", "br0", pick("secure", "standalone")} },
		func() []string {
			return []string{"set", "bridge", "br0", "protocols=" + pick("OpenFlow10", "OpenFlow13,OpenFlow15", "[]")}
		},
		func() []string {
			return []string{"set", "bridge", "br0", "other_config:hwaddr=02:00:00:00:00:0" + pick("1", "2")}
		},
		func() []string {
			return []string{"--if-exists", "set", "interface", "h3", "ofport_request=" + pick("1", "7", "[]")}
		},
	}
	end := time.Now().Add(8 * time.Second)
	n := 0
	for ; time.Now().Before(end); n++ {
		args := commands[rnd.IntN(len(commands))]()
		if out, err := r.try("ovs-vsctl", append([]string{"--timeout=5"}, args...)...); err != nil &&
			!strings.Contains(err.Error(), "already exists") && !strings.Contains(err.Error(), "is actually a") &&
			!strings.Contains(err.Error(), "but") && !strings.Contains(err.Error(), "cannot create") {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		switch rnd.IntN(4) {
		case 0:
			r.try("ovs-ofctl", "add-flow", "br0", "priority=1,ip,actions=NORMAL")
		case 1:
			r.try("ovs-ofctl", "del-flows", "br0")
		}
	}
	t.Logf("%d commands", n)
	r.vsctl("--if-exists", "del-br", "br1", "--", "del-br", "br0")
	r.bridge("br0")
	r.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2")
	r.eventually(3*time.Second, func() error { return ping(h1, "10.0.0.2") })
	if !strings.Contains(traffic(), "bytes from 10.0.0.2") {
		t.Errorf("no ping ever came through:\n%s", traffic())
	}
	log, err := os.ReadFile(filepath.Join(r.dir, "weir.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "|ERR|") || strings.Contains(line, "|EMER|") || strings.Contains(line, "panic") || strings.Contains(line, "does not settle") {
			t.Errorf("log: %s", line)
		}
	}
}
