// SPDX-License-Identifier: Apache-2.0

package ofctl_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/ofctl"
	"github.com/weirswitch/weir/cmd/internal/stocktest"
)

// rig is a stock switch of its own: database server, ovs-vswitchd with devices
// that touch no kernel (--enable-dummy), bridge br0 with four ports.
type rig struct {
	*stocktest.Server
	dir string // where both tools run
}

func newRig(t testing.TB) *rig {
	t.Helper()
	stocktest.Need(t, "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl")
	s := stocktest.Start(t)
	r := &rig{Server: s, dir: t.TempDir()}
	if out := s.Stock(t, "", "ovs-vsctl", "--no-wait", "init"); out.Code != 0 {
		t.Fatalf("init: %s", out)
	}
	cmd := exec.Command("ovs-vswitchd", "unix:"+s.Socket, "--no-chdir", "-vconsole:off", "-vsyslog:off",
		"--pidfile="+filepath.Join(s.RunDir, "ovs-vswitchd.pid"), "--enable-dummy=override", "--disable-system")
	cmd.Env = s.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	// One after the other: so the ports of all rigs have the same addresses.
	for _, line := range []string{
		"add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure other_config:hwaddr=aa:55:aa:55:00:00 other_config:datapath-id=00000000000000ff" +
			" protocols=[OpenFlow10,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15]",
		"add-port br0 p1 -- set interface p1 type=dummy ofport_request=1",
		"add-port br0 p2 -- set interface p2 type=dummy ofport_request=2",
		"add-port br0 a-long-port-name -- set interface a-long-port-name type=dummy ofport_request=7",
		"add-port br0 7 -- set interface 7 type=dummy ofport_request=12",
		"-- --id=@t create Flow_Table name=main -- set bridge br0 flow_tables:5=@t",
	} {
		if out := s.Stock(t, "", "ovs-vsctl", append([]string{"-t", "10"}, strings.Fields(line)...)...); out.Code != 0 {
			t.Fatalf("ovs-vsctl %s: %s", line, out)
		}
	}
	return r
}

var masks = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`(?m)^[^\n]*\|INFO\|[^\n]* is deprecated in [^\n]*\n`), ""}, // of actions in replies
	// What stock's decoder says while it prints a message that is refused.
	{regexp.MustCompile(`(?m)^[^\n]*\|WARN\|(Duplicate bucket id|ntr selection method|tlv table) ?[^\n]*\n`), ""},
	{regexp.MustCompile(`xid=(0x)?[0-9a-f]+`), "xid=X"},
	{regexp.MustCompile(`duration[=:]?[0-9.]+s`), "duration=T"},
	{regexp.MustCompile(`hard_age=[0-9]+, `), ""}, // there or not as the second turns
	{regexp.MustCompile(`idle_age=[0-9]+`), "idle_age=T"},
	{regexp.MustCompile(`time=[0-9.]+ ms`), "time=T"},
	{regexp.MustCompile(`\((Protocol error|Broken pipe|Connection reset by peer)\)`), "(closed)"}, // who is first
	{regexp.MustCompile(`Finished in .*`), "Finished"},
	{regexp.MustCompile(`(?m)^([0-9a-f]{8}  [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2}) [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2}-`), "$1 x x x x-"},
}

func (r *rig) mask(x stocktest.Result) stocktest.Result {
	x = r.Mask(x)
	for _, m := range masks {
		x.Out, x.Err = m.re.ReplaceAllString(x.Out, m.to), m.re.ReplaceAllString(x.Err, m.to)
	}
	x.Out, x.Err = strings.ReplaceAll(x.Out, r.dir, "DIR"), strings.ReplaceAll(x.Err, r.dir, "DIR")
	return x
}

// words splits a line as a shell does with single quotes only.
func words(line string) (ws []string) {
	quoted, word, any := false, "", false
	for _, c := range line {
		switch {
		case c == '\'':
			quoted, any = !quoted, true
		case c == ' ' && !quoted:
			if any {
				ws = append(ws, word)
			}
			word, any = "", false
		default:
			word, any = word+string(c), true
		}
	}
	if any {
		ws = append(ws, word)
	}
	return ws
}

// stock runs the stock tool in dir.
func (r *rig) stock(t testing.TB, stdin string, args ...string) stocktest.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ovs-ofctl", args...)
	cmd.Env, cmd.Dir = r.Environ(), r.dir
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	x := stocktest.Result{Out: out.String(), Err: errs.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		x.Code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			x.Code = 128 + int(ws.Signal())
		}
	} else if err != nil {
		t.Fatalf("ovs-ofctl %q: %v", args, err)
	}
	return x
}

// pair is two switches that get the same commands, one from the stock tool, the
// other from ours.
type pair struct {
	stock, ours *rig
	lines, bad  int
}

func newPair(t testing.TB) *pair {
	p := &pair{stock: newRig(t), ours: newRig(t)}
	t.Chdir(p.ours.dir) // our tool runs in this process
	return p
}

// file puts a file where both tools run.
func (p *pair) file(t testing.TB, name, text string) {
	for _, r := range []*rig{p.stock, p.ours} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a line with both tools and compares; sorted compares lines of stdout in
// any order.
func (p *pair) run(t *testing.T, line, stdin string) {
	t.Helper()
	args := words(line)
	sorted := slices.ContainsFunc(args, func(a string) bool { return unordered[a] })
	want := p.stock.mask(p.stock.stock(t, stdin, args...))
	got := p.ours.mask(p.ours.Ours(ofctl.Main, stdin, "ovs-ofctl", args...))
	if sorted {
		want.Out, got.Out = stocktest.Blocks(want.Out, "\n"), stocktest.Blocks(got.Out, "\n")
	}
	p.lines++
	if want != got {
		p.bad++
		t.Errorf("ovs-ofctl %s: exit %d, stock %d\n%s%s", line, got.Code, want.Code,
			difference(want.Out, got.Out), difference(want.Err, got.Err))
	}
}

// unordered are the commands whose lines come in the order of the switch's hash tables.
var unordered = map[string]bool{
	"diff-flows": true, "dump-groups": true, "dump-group-stats": true, "dump-meters": true, "dump-meter": true, "meter-stats": true, "dump-tlv-map": true,
}

// difference shows what lies between the first and the last line that differ.
func difference(want, got string) string {
	if want == got {
		return ""
	}
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	m := 0
	for m < len(a)-n && m < len(b)-n && a[len(a)-1-m] == b[len(b)-1-m] {
		m++
	}
	a, b = a[n:len(a)-m], b[n:len(b)-m]
	if len(a) == len(b) { // line by line
		var x, y []string
		for i := range a {
			if a[i] != b[i] {
				x, y = append(x, a[i]), append(y, b[i])
			}
		}
		a, b = x, y
	}
	return "-" + strings.Join(a[:min(len(a), 12)], "\n-") + "\n+" + strings.Join(b[:min(len(b), 12)], "\n+") + "\n"
}

// same compares the flows, groups and meters of the two switches by the stock tool.
func (p *pair) same(t *testing.T, line string) {
	t.Helper()
	dump := func(r *rig) string {
		all := ""
		for _, c := range []string{"dump-flows", "dump-groups", "dump-meters"} {
			x := r.mask(r.stock(t, "", "-O", "OpenFlow15", c, "br0"))
			all += stocktest.Blocks(x.Out, "\n") + x.Err
		}
		return all
	}
	if a, b := dump(p.stock), dump(p.ours); a != b {
		t.Fatalf("after %q the switches differ\n%s", line, difference(a, b))
	}
}

// TestLines runs the lines of testdata/lines.txt, TestGroupLines those of groups.txt.
func TestLines(t *testing.T)      { testLines(t, "lines.txt") }
func TestGroupLines(t *testing.T) { testLines(t, "groups.txt") }

func testLines(t *testing.T, file string) {
	p := newPair(t)
	b, err := os.ReadFile(filepath.Join(origin, "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var name, text string
	for l := range strings.Lines(string(b)) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case name != "" && strings.HasPrefix(l, "\t"):
			text += l[1:] + "\n"
			continue
		case name != "":
			p.file(t, name, text)
			name, text = "", ""
		}
		switch {
		case l == "" || l[0] == '#':
		case strings.HasPrefix(l, "file "):
			name = l[len("file "):]
		default:
			line, stdin, _ := strings.Cut(l, " <<< ")
			stdin = strings.ReplaceAll(stdin, "\\n", "\n")
			p.run(t, line, stdin)
			if writes.MatchString(line) {
				p.same(t, line)
			}
		}
	}
	t.Logf("%d lines, %d differ", p.lines, p.bad)
}

// TestFlowTexts has each flow of oftext/testdata/flows.txt parsed by both tools.
func TestFlowTexts(t *testing.T) {
	stocktest.Need(t, "ovs-ofctl")
	r := &rig{Server: &stocktest.Server{RunDir: t.TempDir()}, dir: t.TempDir()}
	p := &pair{stock: r, ours: r}
	b, err := os.ReadFile(filepath.Join(origin, "oftext", "testdata", "flows.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSuffix(l, "\n"); l != "" && l[0] != '#' {
			p.run(t, "parse-flow '"+l+"'", "")
		}
	}
	t.Logf("%d lines, %d differ", p.lines, p.bad)
}

var writes = regexp.MustCompile(`\b(add|mod|del|replace|insert|remove)-(flow|group|meter|bucket)|bundle`)

// origin is the folder of this package: tests change theirs.
var origin = func() string {
	d, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return d
}()
