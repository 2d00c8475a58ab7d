// SPDX-License-Identifier: Apache-2.0

package vsctl_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/stocktest"
	"github.com/weirswitch/weir/cmd/internal/vsctl"
)

// pair is two databases that get the same commands, one from the stock tool
// and one from ours.
type pair struct {
	stock, ours *stocktest.Server
}

func newPair(t *testing.T) *pair {
	stocktest.Need(t, "ovs-vsctl")
	p := &pair{stocktest.Start(t), stocktest.Start(t)}
	p.both(t, []string{"--no-wait", "init"})
	return p
}

var reading = []string{"list", "find", "get", "show", "wait-until", "comment", "list-br", "br-exists", "br-to-vlan", "br-to-parent",
	"br-get-external-id", "list-ports", "port-to-br", "list-ifaces", "iface-to-br", "get-controller", "get-fail-mode", "get-manager",
	"get-ssl", "get-aa-mapping", "list-dp-cap", "list-zone-tp"}

// reads reports whether a line changes nothing.
func reads(args []string) bool {
	next := true
	for i, a := range args {
		switch {
		case a == "--":
			next = true
		case next && !strings.HasPrefix(a, "-") && (i == 0 || !slices.Contains([]string{"-f", "-d", "-t"}, args[i-1])):
			if !slices.Contains(reading, a) {
				return false
			}
			next = false
		}
	}
	return true
}

// sorted brings the rows that list and find print into one order: stock's is
// that of a hash table.
func sorted(args []string, out string) string {
	if !slices.Contains(args, "list") && !slices.Contains(args, "find") {
		return out
	}
	for _, a := range args {
		if a == "json" || a == "--format=json" {
			return stocktest.Blocks(strings.NewReplacer("[[", "\n", "]]", "\n", "],[", "\n").Replace(out), "\n")
		}
		if a == "html" || a == "--format=html" {
			return stocktest.Blocks(strings.TrimSuffix(out, "</table>\n")+"\n", "  <tr>\n")
		}
		if a == "table" || a == "csv" || strings.HasPrefix(a, "--format=") {
			return stocktest.Blocks(out, "\n")
		}
	}
	if slices.Contains(args, "--") {
		return stocktest.Blocks(out, "\n")
	}
	return stocktest.Blocks(out, "\n\n")
}

// both runs a line with both tools and compares what they print. A line that
// only reads is run on the same database, so that UUIDs must agree as well.
func (p *pair) both(t *testing.T, args []string) {
	t.Helper()
	on := p.ours
	if reads(args) {
		on = p.stock
	}
	want := p.stock.Stock(t, "", "ovs-vsctl", args...)
	got := on.Ours(vsctl.Main, "", "ovs-vsctl", args...)
	if on == p.stock {
		want.Out, got.Out = sorted(args, want.Out), sorted(args, got.Out)
		want.Err, got.Err = p.stock.Mask(want).Err, p.stock.Mask(got).Err
	} else {
		want, got = p.stock.Mask(want), p.ours.Mask(got)
		want.Out, got.Out = sorted(args, want.Out), sorted(args, got.Out)
	}
	if want != got {
		t.Errorf("ovs-vsctl %q\n--- stock: %s\n--- ours: %s", args, want, got)
	}
}

func (p *pair) sameContents(t *testing.T, after string) bool {
	t.Helper()
	want, got := p.stock.Dump(t), p.ours.Dump(t)
	if want == got {
		return true
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	own := func(l string) string { row, _, _ := strings.Cut(l, " -> "); return row }
	for _, l := range w {
		if !slices.Contains(g, l) {
			t.Errorf("after %s: only stock has %s", after, own(l))
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			t.Errorf("after %s: only ours has %s", after, own(l))
		}
	}
	return false
}

// words splits a line of the table as a shell does, with ' and " only.
func words(line string) []string {
	var out []string
	var b strings.Builder
	in, quote := false, rune(0)
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(c)
		case c == '\'':
			in, quote = true, c
		case c == ' ':
			if in {
				out = append(out, b.String())
			}
			b.Reset()
			in = false
		default:
			in = true
			b.WriteRune(c)
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// TestStockLines runs the lines of testdata/lines.txt through both tools.
func TestStockLines(t *testing.T) {
	p := newPair(t)
	f, err := os.Open("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, start := 0, time.Now()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		args := append([]string{"--no-wait"}, words(line)...)
		p.both(t, args)
		if !reads(args) && !p.sameContents(t, line) {
			t.Fatal("the databases differ: the rest would only repeat that")
		}
	}
	t.Logf("%d lines in %v", n, time.Since(start))
}

// TestStockGenerated runs random lines through both tools.
func TestStockGenerated(t *testing.T) {
	seed := uint64(1)
	if s := os.Getenv("WEIR_SEED"); s != "" {
		fmt.Sscan(s, &seed)
	}
	t.Logf("seed %d (WEIR_SEED=n sets another)", seed)
	p := newPair(t)
	g := &generator{rand.New(rand.NewPCG(seed, 1))}
	n := 400
	if testing.Short() {
		n = 100
	}
	for i := range n {
		args := g.line()
		p.both(t, args)
		if t.Failed() {
			t.FailNow()
		}
		if i%10 == 9 && !p.sameContents(t, fmt.Sprintf("line %d %q", i, args)) {
			t.FailNow()
		}
	}
}

type generator struct{ *rand.Rand }

func (g *generator) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g *generator) bridge() string {
	return g.pick("br0", "br0", "br1", "br2", "fake1", "fake2", "nope")
}
func (g *generator) port() string {
	return g.pick("p0", "p1", "p2", "p3", "p4", "bond0", "br0", "e1", "fake1")
}
func (g *generator) key() string { return g.pick("a", "b", "c", "\"x y\"", "hwaddr", "stp-priority") }
func (g *generator) value() string {
	return g.pick("1", "2", "true", "abc", "\"x, y\"", "a-b.c", "00:11:22:33:44:55", "\"q\\\"r\"", "x=y", "@a", "[]", "")
}

func (g *generator) line() []string {
	args := []string{"--no-wait"}
	for i := range 1 + g.IntN(3) {
		if i > 0 {
			args = append(args, "--")
		}
		args = append(args, g.command()...)
	}
	return args
}

func (g *generator) command() []string {
	maybe := func(opt string, words ...string) []string {
		if g.IntN(2) == 0 {
			return append([]string{opt}, words...)
		}
		return words
	}
	tag := g.pick("1", "5", "5", "9", "4095", "4096", "x")
	record := []string{"bridge", g.bridge()}
	column := g.pick("other_config", "external_ids", "flood_vlans", "fail_mode", "stp_enable", "datapath_type", "name", "protocols", "fl", "o")
	switch g.IntN(4) {
	case 0:
		record = []string{"port", g.port()}
		column = g.pick("tag", "trunks", "other_config", "vlan_mode", "bond_mode", "interfaces", "lacp", "name", "statistics", "tr")
	case 1:
		record = []string{"interface", g.port()}
		column = g.pick("options", "type", "external_ids", "ofport_request", "mtu_request", "mac", "name", "lldp", "ofport")
	}
	switch g.IntN(24) {
	case 0, 1:
		return maybe("--may-exist", "add-br", g.bridge())
	case 2:
		return maybe("--may-exist", "add-br", g.pick("fake1", "fake2"), g.pick("br0", "br1", "fake2"), tag)
	case 3:
		return maybe("--if-exists", "del-br", g.bridge())
	case 4, 5, 6:
		return maybe("--may-exist", "add-port", g.bridge(), g.port(), "tag="+tag)
	case 7:
		return maybe("--may-exist", "add-port", g.bridge(), g.port())
	case 8:
		return maybe("--may-exist", "add-bond", g.bridge(), "bond0", g.pick("e1", "p1"), g.pick("e2", "e3"))
	case 9:
		return maybe("--if-exists", maybe("--with-iface", "del-port", g.port())...)
	case 10:
		return maybe("--if-exists", "del-port", g.bridge(), g.port())
	case 11:
		return []string{g.pick("list-ports", "list-ifaces", "br-to-vlan", "br-to-parent", "br-get-external-id", "get-controller", "get-fail-mode"), g.bridge()}
	case 12:
		return []string{g.pick("port-to-br", "iface-to-br"), g.port()}
	case 13:
		return []string{"set-controller", g.bridge(), g.pick("tcp:1.1.1.1:6653", "unix:/x"), "tcp:2.2.2.2"}
	case 14:
		return []string{g.pick("set-fail-mode", "br-set-external-id"), g.bridge(), g.pick("secure", "standalone"), g.pick("v", "w")}[:3+g.IntN(2)]
	case 15, 16:
		return append(append([]string{"set"}, record...), column+g.pick("", ":"+g.key())+"="+g.value())
	case 17:
		return append(append([]string{"add"}, record...), column, g.pick(g.key()+"="+g.value(), g.value(), "5"))
	case 18:
		return append(append([]string{"remove"}, record...), column, g.pick(g.key()+"="+g.value(), g.key(), g.value()))
	case 19:
		return append(append(maybe("--if-exists", "clear"), record...), column)
	case 20:
		return append(append(maybe("--if-exists", "get"), record...), column+g.pick("", ":"+g.key()))
	case 21:
		return []string{"--columns=" + g.pick("name", "name,"+column), "find", record[0], column + g.pick("", ":"+g.key()) +
			g.pick("=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}", "{in}", "{not-in}") + g.value()}
	case 22:
		return []string{"--id=@a", "create", g.pick("mirror", "qos", "queue"), g.pick("name=m", "type=linux-htb", "other_config:a=b", "external_ids:q=r")}
	}
	return []string{"set", "bridge", g.bridge(), "mirrors=" + g.pick("@a", "[]")}
}
