// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirswitch/weir/boards"
)

var update = flag.Bool("update", false, "rewrite the expected plans")

// Each file of testdata is a machine and what is planned for it:
//
//	cmdline TEXT
//	board NAME                   or none
//	device NAME DRIVER PORT PATH [up]     "-" is empty
//	----
//	the plan
func TestPlans(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(text), "----\n")
			got := plan(t, input)
			if *update {
				if err := os.WriteFile(path, []byte(input+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// dsaBoard is a board that no emulator plays: a DSA chip behind a conduit, ports named by
// the device tree.
func dsaBoard() *boards.Board {
	return &boards.Board{
		Name: "dsa", Title: "a router", Chip: boards.Chip{Kind: boards.DSA, Driver: "mt7530"}, Modules: []string{"mt7530-mdio"},
		Ports: []boards.Port{
			{Name: "eth0", Label: "-", Role: boards.Conduit, Match: boards.Match{Driver: "mtk_soc_eth"}},
			{Name: "lan1", Label: "LAN 1", Role: boards.Lan, Match: boards.Match{KernelName: "lan1"}},
			{Name: "wan", Label: "WAN", Role: boards.Wan, Match: boards.Match{KernelName: "wan"}},
		},
	}
}

func plan(t *testing.T, input string) string {
	var o Options
	var faults []error
	var board *boards.Board
	var devices []boards.Device
	for line := range strings.Lines(input) {
		line = strings.TrimSuffix(line, "\n")
		key, rest, _ := strings.Cut(line, " ")
		switch key {
		case "cmdline":
			o, faults = ParseCmdline(rest)
		case "board":
			switch rest {
			case "none":
			case "dsa":
				board = dsaBoard()
			default:
				var err error
				if board, err = boards.Load(rest); err != nil {
					t.Fatal(err)
				}
			}
		case "device":
			f := strings.Fields(strings.ReplaceAll(rest+" ", " - ", "  - "))
			for i := range f {
				if f[i] == "-" {
					f[i] = ""
				}
			}
			d := boards.Device{Name: f[0], Driver: f[1], PhysPortName: f[2], Path: f[3], Up: len(f) > 4}
			devices = append(devices, d)
		case "#":
		default:
			t.Fatalf("input %q", line)
		}
	}
	var b strings.Builder
	for _, err := range faults {
		fmt.Fprintln(&b, "fault:", err)
	}
	for _, s := range slices.Concat(Load(board, o), Network(board, o, devices)) {
		fmt.Fprintln(&b, s)
	}
	for _, s := range Services(o) {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// What renames do, done to a set of names: every board port that has a device ends with
// its name, no two devices ever have the same one, no step names a device that is not
// there.
func TestRenamesNeverCollide(t *testing.T) {
	board, err := boards.Load("qemu-x86_64-rocker")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"lan1", "lan2", "lan3", "lan4", "eth0", "wan"}
	var try func(have []string, rest []string)
	tried := 0
	try = func(have []string, rest []string) {
		if len(have) < 5 {
			for i, n := range rest {
				try(append(slices.Clone(have), n), slices.Concat(rest[:i], rest[i+1:]))
			}
			return
		}
		tried++
		var devices []boards.Device
		is := map[string]string{} // name now -> port it is, "" for a stranger
		for i, n := range have {
			d := boards.Device{Name: n, Driver: "rocker", PhysPortName: fmt.Sprintf("sw1p%d", i+1)} // the fifth is a stranger
			devices = append(devices, d)
			is[n] = ""
			if i < 4 {
				is[n] = fmt.Sprintf("lan%d", i+1)
			}
		}
		for _, s := range Network(board, Options{}, devices) {
			r, ok := s.(Rename)
			if !ok {
				continue
			}
			what, there := is[r.From]
			if !there {
				t.Fatalf("devices %v: %s: there is no %s", have, s, r.From)
			}
			if _, taken := is[r.To]; taken {
				t.Fatalf("devices %v: %s: %s is taken", have, s, r.To)
			}
			delete(is, r.From)
			is[r.To] = what
		}
		for i := range 4 {
			if n := fmt.Sprintf("lan%d", i+1); is[n] != n {
				t.Fatalf("devices %v: %s is %q in the end", have, n, is[n])
			}
		}
	}
	try(nil, names)
	if tried != 720 {
		t.Errorf("tried %d orders", tried)
	}
}

func TestParseCmdline(t *testing.T) {
	pfx, addr := netip.MustParsePrefix, netip.MustParseAddr
	for _, c := range []struct {
		line   string
		want   Options
		faults int
	}{
		{"", Options{}, 0},
		{"console=ttyS0 quiet root=/dev/sda1 weird.x=1", Options{}, 0},
		{"weir.board=x weir.hostname=y\n", Options{Board: "x", Hostname: "y"}, 0},
		{`weir.shell="/bin/my shell" weir.log=dbg`, Options{Shell: "/bin/my shell", LogLevel: "dbg"}, 0},
		{"weir.ip=192.0.2.1/24", Options{Address: pfx("192.0.2.1/24")}, 0},
		{"weir.ip=192.0.2.1/24,192.0.2.254", Options{Address: pfx("192.0.2.1/24"), Gateway: addr("192.0.2.254")}, 0},
		{"weir.ip=2001:db8::1/64,fe80::1", Options{Address: pfx("2001:db8::1/64"), Gateway: addr("fe80::1")}, 0},
		{"weir.modules=a,b-c weir.modules=../x weir.modules=a,,b", Options{}, 2},
		{"weir.modules=nandsim,softdog", Options{Modules: []string{"nandsim", "softdog"}}, 0},
		{"weir.ip=192.0.2.1", Options{}, 1},
		{"weir.ip=192.0.2.1/24,", Options{}, 1},
		{"weir.ip=192.0.2.1/24,fe80::1", Options{}, 1},
		{"weir.remote=ptcp:6640 weir.remote=ssl:c:6640 weir.remote=ptcp:6640", Options{Remotes: []string{"ptcp:6640", "ssl:c:6640"}}, 0},
		{"weir.board weir.board= weir.x=1 weir.hostname=" + strings.Repeat("a", 65), Options{}, 4},
		{"weir.agent=/dev/ttyS1 -- weir.board=b", Options{Agent: "/dev/ttyS1", Board: "b"}, 0},
	} {
		got, faults := ParseCmdline(c.line)
		if d := cmp.Diff(fmt.Sprintf("%+v", c.want), fmt.Sprintf("%+v", got)); d != "" || len(faults) != c.faults {
			t.Errorf("%q: faults %v, -want +got\n%s", c.line, faults, d)
		}
	}
}

func FuzzParseCmdline(f *testing.F) {
	for _, s := range []string{"", `a="b c" weir.ip=1.2.3.4/8,1.2.3.5`, "weir.board=\"", "weir.remote=a weir.remote=b -- x", "weir.hostname=\x00"} {
		f.Add(s)
	}
	// A line is read the same with the kernel's own words around it, every fault names a
	// word of the line, and the bounds hold.
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, `"`) && strings.Count(line, `"`)%2 == 1 {
			return // the last word would swallow what is added
		}
		a, fa := ParseCmdline(line)
		b, fb := ParseCmdline("quiet " + line + " panic=5")
		if d := cmp.Diff(fmt.Sprint(a, fa), fmt.Sprint(b, fb)); d != "" {
			t.Errorf("%q: %s", line, d)
		}
		if len(a.Remotes) > maxRemotes || len(a.Hostname) > 64 {
			t.Errorf("%q: bounds: %+v", line, a)
		}
		for _, err := range fa {
			if !strings.Contains(err.Error(), "weir.") {
				t.Errorf("%q: fault %v", line, err)
			}
		}
	})
}
