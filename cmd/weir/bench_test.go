// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/bench"
	"github.com/weirswitch/weir/cmd/internal/netlab"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// The comparison with Debian's Open vSwitch: make bench. It is not a test that
// can fail for being slow; it fails where a side does not do what is measured.
var (
	benchTable  = flag.Bool("bench-table", false, "measure Weir beside Debian's Open vSwitch and print a table")
	benchFlows  = flag.Int("bench-flows", 100_000, "OpenFlow flows of the table")
	benchRounds = flag.Int("bench-rounds", 5, "rounds, of which the best counts")
	benchOnly   = flag.String("bench-only", "", "measure only what matches this regular `expression`")
	benchOut    = flag.String("bench-out", "", "`file` to write the table to, besides the test's log")
)

// contest is the sides and what was measured.
type contest struct {
	*testing.T
	rigs   [bench.Sides]*rig
	h1, h2 [bench.Sides]*netlab.Namespace // eth0 of each is the far end of the port
	rows   []*bench.Row
	only   *regexp.Regexp
}

// TestBenchTable measures, in one run and in turns, and prints the table.
func TestBenchTable(t *testing.T) {
	if !*benchTable {
		t.Skip("measures with -bench-table only (make bench)")
	}
	if *stock {
		t.Fatal("-bench-table runs both sides; leave -stock out")
	}
	only, err := regexp.Compile(*benchOnly)
	if err != nil {
		t.Fatal(err)
	}
	c := &contest{T: t, only: only}
	c.sizes()
	c.start()
	c.idle()
	c.database()
	c.flowMods()
	c.slowPath()
	c.print()
}

// start starts the sides with one bridge and eight ports, h1 and h2 with hosts.
func (c *contest) start() {
	for side, kind := range []struct{ dp, tag string }{{"netdev", "w"}, {"system", "b"}, {"netdev", "s"}} {
		r := newRigOf(c.T, kind.dp, bench.Side(side) == bench.Stock, kind.tag)
		c.rigs[side] = r
		c.h1[side], c.h2[side] = r.host("h1", ""), r.host("h2", "")
		args := []string{"set", "Open_vSwitch", ".", "other_config:max-idle=600000", "other_config:flow-limit=200000", "--",
			"add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=" + r.dp, "fail_mode=secure", "--",
			"add-port", "br0", "h1", "--", "set", "interface", "h1", "ofport_request=1", "--",
			"add-port", "br0", "h2", "--", "set", "interface", "h2", "ofport_request=2"}
		for i := range 3 {
			a, b := fmt.Sprintf("p%d", 2*i), fmt.Sprintf("p%d", 2*i+1)
			if err := r.lab.Veth(r.sw, a, r.sw, b); err != nil {
				c.Fatal(err)
			}
			args = append(args, "--", "add-port", "br0", a, "--", "add-port", "br0", b)
		}
		r.vsctl(args...)
		if n := len(strings.Fields(r.vsctl("list-ports", "br0"))); n != 8 {
			c.Fatalf("%d ports, want 8", n)
		}
	}
}

// restart gives the sides new daemons: memory is measured where no other load has been.
func (c *contest) restart() {
	for _, r := range c.rigs {
		r.stop()
		r.start()
		r.eventually(10*time.Second, contains(func() string { s, _ := r.try("ovs-ofctl", "show", "br0"); return s }, "1(h1)", "2(h2)"))
	}
}

// row begins a row, nil if it was not asked for.
func (c *contest) row(what, unit string, b bench.Better, goal float64) *bench.Row {
	if !c.only.MatchString(what) {
		return nil
	}
	r := &bench.Row{What: what, Unit: unit, Better: b, Goal: goal}
	c.rows = append(c.rows, r)
	return r
}

// rounds measures r on sides in turns.
func (c *contest) rounds(r *bench.Row, n int, sides []bench.Side, f func(s bench.Side) (float64, error)) {
	if r == nil {
		return
	}
	for range n {
		for _, s := range sides {
			if r.Why[s] != "" {
				continue // it will be refused the next time too
			}
			runtime.GC() // ours does not fall into the measurement
			v, err := f(s)
			r.Add(s, v, err)
			if err != nil {
				c.Logf("%s: side %d: %v", r.What, s, err)
				if s == bench.Stock {
					c.Errorf("%s: Open vSwitch: %v", r.What, err)
				}
			}
		}
	}
	var b strings.Builder
	for _, s := range sides {
		fmt.Fprintf(&b, "  %s", names[s])
		for _, v := range r.Rounds[s] {
			fmt.Fprintf(&b, " %s", bench.Number(v))
		}
	}
	c.Logf("%s, %s:%s", r.What, r.Unit, b.String())
}

var names = [bench.Sides]string{"Weir", "Weir-eBPF", "OVS"}

var (
	two   = []bench.Side{bench.Weir, bench.Stock}
	three = []bench.Side{bench.Weir, bench.BPF, bench.Stock}
)

// memory returns the resident memory of a side's daemons and of its BPF maps, in kB.
func (c *contest) memory(s bench.Side) (resident, maps float64) {
	r := c.rigs[s]
	for _, p := range r.procs {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
		if err != nil {
			c.Fatal(err)
		}
		m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
		if m == nil {
			c.Fatalf("no VmRSS in %s", b)
		}
		n, _ := strconv.Atoi(string(m[1]))
		resident += float64(n)
	}
	if !r.stock {
		_, n := r.rss()
		maps = float64(n) / 1024
	}
	return resident, maps
}

// heap returns the bytes of Weir's Go heap that the last collection left and what came
// since, in kB.
func (c *contest) heap(s bench.Side) float64 {
	out := c.rigs[s].appctl("memory/show")
	m := regexp.MustCompile(`heap-kB:(\d+)`).FindStringSubmatch(out)
	if m == nil {
		return math.NaN()
	}
	n, _ := strconv.Atoi(m[1])
	return float64(n)
}

// settle waits until daemons have done what a change made them do.
const settle = 3 * time.Second

// idle is the memory of daemons with one bridge and eight ports.
func (c *contest) idle() {
	row := c.row("idle memory, one bridge and eight ports (maps included)", "MB", bench.Lower, 1)
	if row == nil {
		return
	}
	time.Sleep(settle)
	c.rounds(row, 1, three, func(s bench.Side) (float64, error) {
		rss, maps := c.memory(s)
		c.Logf("idle: %s: %.0f kB resident, %.0f kB of maps", names[s], rss, maps)
		return (rss + maps) / 1024, nil
	})
}

// dial connects to a side's bridge.
func (c *contest) dial(s bench.Side, v ofp.Version) *bench.OpenFlow {
	of, err := bench.DialOpenFlow(filepath.Join(c.rigs[s].dir, "br0.mgmt"), v)
	if err != nil {
		c.Fatal(err)
	}
	return of
}

// The rows of flowMods.
const (
	oneByOne   = "flow-mods, a barrier each"
	pipelined  = "flow-mods, pipelined"
	bundle     = "flow-mods, one bundle"
	addFlows   = "ovs-ofctl add-flows"
	dumpAll    = "dump of all flows"
	dumpFlows  = "ovs-ofctl dump-flows"
	deleteAll  = "delete all flows"
	flowMemory = "memory an OpenFlow flow"
)

// flowMods measures the OpenFlow tables: what fills, shows and holds them.
func (c *contest) flowMods() {
	if !slices.ContainsFunc([]string{oneByOne, pipelined, bundle, addFlows, dumpAll, dumpFlows, deleteAll, flowMemory}, c.only.MatchString) {
		return
	}
	c.restart()
	n := *benchFlows
	goal := math.Round(100/0.7) / 100 // 0.7 of the time
	mods, err := bench.FlowMods(ofp.V14, n)
	if err != nil {
		c.Fatal(err)
	}
	text := filepath.Join(c.TempDir(), "flows")
	if err := os.WriteFile(text, bench.FlowText(n), 0o600); err != nil {
		c.Fatal(err)
	}
	var of [bench.Sides]*bench.OpenFlow
	for _, s := range two {
		of[s] = c.dial(s, ofp.V14)
		defer of[s].Close()
	}
	clear := func(s bench.Side) {
		if err := of[s].Clear(); err != nil {
			c.Fatal(err)
		}
	}
	// load runs f on an empty table and looks whether it is full then.
	load := func(s bench.Side, want int, f func() error) (float64, error) {
		clear(s)
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		took := time.Since(start).Seconds()
		if got, _, err := of[s].Dump(); err != nil || got != want {
			return 0, fmt.Errorf("%d flows in the table, want %d: %v", got, want, err)
		}
		return float64(want) / took, nil
	}

	// Memory first, in daemons that have not seen any load.
	if row := c.row(flowMemory, "bytes", bench.Lower, 0.5); row != nil {
		time.Sleep(settle)
		c.rounds(row, 1, two, func(s bench.Side) (float64, error) {
			before, _ := c.memory(s)
			if err := of[s].Pipelined(mods); err != nil {
				return 0, err
			}
			time.Sleep(settle)
			after, _ := c.memory(s)
			if s == bench.Weir {
				c.Logf("memory: Weir's Go heap holds %.0f bytes a flow", c.heap(s)*1024/float64(n))
			}
			return (after - before) * 1024 / float64(n), nil
		})
	}

	c.rounds(c.row(oneByOne, "1/s", bench.Higher, goal), *benchRounds, two, func(s bench.Side) (float64, error) {
		k := n / 5
		return load(s, k, func() error { return of[s].OneByOne(mods[:k]) })
	})
	c.rounds(c.row(pipelined, "1/s", bench.Higher, goal), *benchRounds, two, func(s bench.Side) (float64, error) {
		return load(s, n, func() error { return of[s].Pipelined(mods) })
	})
	c.rounds(c.row(bundle, "1/s", bench.Higher, goal), *benchRounds, two, func(s bench.Side) (float64, error) {
		return load(s, n, func() error { return of[s].Bundle(mods) })
	})
	c.rounds(c.row(addFlows, "1/s", bench.Higher, 0), *benchRounds, two, func(s bench.Side) (float64, error) {
		return load(s, n, func() error {
			_, err := c.rigs[s].try("ovs-ofctl", "-OOpenFlow14", "add-flows", "br0", text)
			return err
		})
	})

	for _, s := range two { // the bundle's connection may have been left in the middle
		of[s].Close()
		of[s] = c.dial(s, ofp.V14)
		if _, err := load(s, n, func() error { return of[s].Pipelined(mods) }); err != nil {
			c.Fatal(err)
		}
	}
	c.rounds(c.row(dumpAll, "ms", bench.Lower, 0.7), *benchRounds, two, func(s bench.Side) (float64, error) {
		start := time.Now()
		got, _, err := of[s].Dump()
		if err == nil && got != n {
			err = fmt.Errorf("%d flows, want %d", got, n)
		}
		return time.Since(start).Seconds() * 1000, err
	})
	c.rounds(c.row(dumpFlows, "ms", bench.Lower, 0), min(2, *benchRounds), two, func(s bench.Side) (float64, error) {
		start := time.Now()
		out, err := c.rigs[s].try("ovs-ofctl", "-OOpenFlow14", "dump-flows", "br0")
		if got := strings.Count(out, "cookie="); err == nil && got != n {
			err = fmt.Errorf("%d flows, want %d", got, n)
		}
		return time.Since(start).Seconds() * 1000, err
	})
	c.rounds(c.row(deleteAll, "ms", bench.Lower, 0.7), *benchRounds, two, func(s bench.Side) (float64, error) {
		if _, err := load(s, n, func() error { return of[s].Pipelined(mods) }); err != nil {
			return 0, err
		}
		start := time.Now()
		err := of[s].Clear()
		return time.Since(start).Seconds() * 1000, err
	})
	for _, s := range two {
		clear(s)
	}
}

// slowPath measures packets of connections that no megaflow is for: a flow copies both
// ports to a register, so that each connection takes a megaflow of its own.
func (c *contest) slowPath() {
	rate := c.row("new connections through the slow path", "1/s", bench.Higher, 1.5)
	mem := c.row("memory a megaflow (maps included)", "bytes", bench.Lower, 0.5)
	if rate == nil && mem == nil {
		return
	}
	c.restart()
	const n, window = 10_000, 64
	var wires [bench.Sides]*bench.Wire
	var before [bench.Sides]float64
	for _, s := range three {
		r, w := c.rigs[s], new(bench.Wire)
		if err := errors.Join(c.h1[s].Do(func() error { return w.OpenIn("eth0") }),
			c.h2[s].Do(func() error { return w.OpenOut("eth0") })); err != nil {
			c.Fatal(err)
		}
		defer w.Close()
		wires[s] = w
		r.ofctl("add-flow", "br0", "priority=10,in_port=1,udp,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],move:NXM_OF_UDP_DST[]->NXM_NX_REG0[16..31],output:2")
		if _, err := w.Run(100, 10); err != nil {
			c.Fatal(err)
		}
		time.Sleep(settle)
		rss, maps := c.memory(s)
		before[s] = rss + maps
	}
	run := func(s bench.Side) (float64, error) {
		_, missed := c.rigs[s].lookups()
		res, err := wires[s].Run(n, window)
		if err != nil {
			return 0, err
		}
		if lost := res.Sent - res.Came; lost > n/100 {
			c.Logf("slow path: %s: %d of %d packets did not come", names[s], lost, n)
		}
		if _, now := c.rigs[s].lookups(); now-missed < n*9/10 {
			return 0, fmt.Errorf("only %d of %d packets took the slow path", now-missed, n)
		}
		return float64(res.Came) / res.Took.Seconds(), nil
	}
	c.rounds(mem, 1, three, func(s bench.Side) (float64, error) {
		if _, err := run(s); err != nil {
			return 0, err
		}
		time.Sleep(settle)
		rss, maps := c.memory(s)
		if s != bench.Stock {
			c.Logf("memory: %s: Go heap %.0f kB, maps %.0f kB", names[s], c.heap(s), maps)
		}
		return (rss + maps - before[s]) * 1024 / n, nil
	})
	c.rounds(rate, 2**benchRounds, three, func(s bench.Side) (float64, error) {
		// Open vSwitch begins with a limit of ten thousand megaflows and raises it slowly.
		c.rigs[s].appctl("revalidator/purge")
		return run(s)
	})
}

// sizes measures what goes to flash.
func (c *contest) sizes() {
	row := c.row("size of daemons, tools and their own libraries", "MB", bench.Lower, 1)
	if row == nil {
		return
	}
	c.rounds(row, 1, two, func(s bench.Side) (float64, error) {
		if s == bench.Weir {
			out := filepath.Join(c.TempDir(), "weir")
			cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, ".")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if b, err := cmd.CombinedOutput(); err != nil {
				return 0, fmt.Errorf("go build: %w: %s", err, b)
			}
			st, err := os.Stat(out)
			if err != nil {
				return 0, err
			}
			return float64(st.Size()) / 1e6, nil
		}
		files := map[string]bool{}
		for _, name := range []string{"ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-client"} {
			path, err := exec.LookPath(name)
			if err != nil {
				return 0, err
			}
			if path, err = filepath.EvalSymlinks(path); err != nil {
				return 0, err
			}
			files[path] = true
			out, err := exec.Command("ldd", path).Output()
			if err != nil {
				return 0, fmt.Errorf("ldd %s: %w", path, err)
			}
			for line := range bytes.Lines(out) {
				f := strings.Fields(string(line))
				// What every image has anyway does not count.
				if len(f) < 3 || regexp.MustCompile(`^(libc|libm|libpthread|libdl|librt|libgcc_s|ld-linux.*)\.so`).MatchString(f[0]) {
					continue
				}
				lib, err := filepath.EvalSymlinks(f[2])
				if err != nil {
					return 0, err
				}
				files[lib] = true
			}
		}
		sum := 0.0
		for f := range files {
			st, err := os.Stat(f)
			if err != nil {
				return 0, err
			}
			sum += float64(st.Size()) / 1e6
		}
		return sum, nil
	})
}

// print writes the table.
func (c *contest) print() {
	var rows []bench.Row
	for _, r := range c.rows {
		rows = append(rows, *r)
	}
	bench.Sort(rows)
	var b bytes.Buffer
	model, version := cpu(), c.rigs[bench.Stock].run("ovs-vswitchd", "--version")
	version, _, _ = strings.Cut(version, "\n")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(&b, "%d CPUs (%s), Linux %s, %s, %s\n\n", runtime.NumCPU(), model, bytes.TrimSpace(kernel), runtime.Version(), version)
	if err := bench.Markdown(&b, rows); err != nil {
		c.Fatal(err)
	}
	fmt.Printf("\n%s\n", b.String())
	if *benchOut != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(*benchOut), 0o755), os.WriteFile(*benchOut, b.Bytes(), 0o644)); err != nil {
			c.Error(err)
		}
	}
}

func cpu() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	if m := regexp.MustCompile(`model name\s*:\s*(.*)`).FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return runtime.GOARCH
}
