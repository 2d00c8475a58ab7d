// SPDX-License-Identifier: Apache-2.0

// Package weir holds no code; this test states how the packages may depend on
// each other, and fails with the reason where one does not keep to it.
package weir

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weirswitch/weir/"

// topLevel are the only folders with code: a new one is a decision about the
// architecture, not about a file.
var topLevel = []string{"asic", "boards", "buildroot", "cmd", "datapath", "dsa", "firmware", "ovsdb"}

// mayImport says, for each top-level folder, which others its packages may
// import. Its own packages it always may.
var mayImport = map[string][]string{
	"cmd":      {"firmware", "ovsdb", "datapath", "asic", "dsa", "boards"},
	"firmware": {"ovsdb", "datapath", "asic", "dsa", "boards"},
	"asic":     {"datapath/flow", "datapath/action", "datapath/dpif", "dsa"},
	"ovsdb":    {"firmware/base"},
	"dsa":      {"firmware/base"},
	"boards":   {"firmware/base"},
	"datapath": {"firmware/base"},
}

// The leaves under firmware/base serve everybody, so they may import nobody,
// but for the JSON-RPC codec that the control socket and OVSDB share.
var baseMayImport = []string{"firmware/base", "ovsdb/jsonrpc", "ovsdb/jsontree"}

// pure packages take values and give values: no socket, no file, no kernel, no
// clock, no goroutine that lives on.
var pure = []string{
	"ovsdb", "ovsdb/schema", "ovsdb/query", "ovsdb/engine", "ovsdb/monitor", "ovsdb/jsontree",
	"datapath/packet", "datapath/flow", "datapath/action",
	"datapath/openflow", "datapath/openflow/ofp", "datapath/openflow/oxm", "datapath/openflow/ofpact", "datapath/trace",
	"datapath/classifier", "datapath/ofproto", "datapath/xlate", "datapath/trace", "datapath/l2/fdb",
	"firmware/base/reconnect", "firmware/boot", "firmware/switchd/wanted", "firmware/switchd/odp", "asic/plan", "dsa", "dsa/nlattr", "dsa/bridge",
	"cmd/internal/getopt", "cmd/internal/table", "cmd/internal/vsctl/ctl", "cmd/internal/vsctl/replica", "cmd/internal/ofctl/oftext", "cmd/internal/ofctl/ofprint",
}

// impure are the imports that a pure package must not have, with the reason.
var impure = map[string]string{
	"net":                            "it opens sockets",
	"os":                             "it touches files and processes",
	"os/exec":                        "it starts processes",
	"syscall":                        "it talks to the kernel",
	"golang.org/x/sys/unix":          "it talks to the kernel",
	"github.com/vishvananda/netlink": "it talks to the kernel",
	"github.com/mdlayher/netlink":    "it talks to the kernel",
	"github.com/cilium/ebpf":         "it talks to the kernel",
	"log":                            "it writes to a global logger",
}

type pkg struct {
	ImportPath, Dir      string
	GoFiles              []string
	Imports, TestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

func under(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
}

func TestImportDirections(t *testing.T) {
	for _, p := range packages(t) {
		self, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok {
			continue // the root
		}
		top, _, _ := strings.Cut(self, "/")
		allowed := append([]string{top}, mayImport[top]...)
		if under(self, []string{"firmware/base"}) {
			allowed = baseMayImport
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, module)
			if ours && !under(dep, allowed) {
				t.Errorf("%s imports %s: packages of %s may import only %v of the others (ARCHITECTURE, layout and import directions)",
					self, dep, top, allowed[1:])
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, p := range packages(t) {
		self := strings.TrimPrefix(p.ImportPath, module)
		if !slices.Contains(pure, self) {
			continue
		}
		for _, imp := range p.Imports {
			if why, bad := impure[imp]; bad {
				t.Errorf("%s imports %s: %s, and %s is pure (ARCHITECTURE, decision 3)", self, imp, why, self)
			}
		}
		for _, f := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range []string{"time.Now(", "time.Sleep(", "time.After(", "time.NewTimer("} {
				if strings.Contains(string(text), call) {
					t.Errorf("%s/%s calls %s): time is an argument in a pure package (ARCHITECTURE, decisions 3 and 9)", self, f, call)
				}
			}
		}
	}
}

func TestTopLevelFolders(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range topLevel {
		if _, err := os.Stat(want); err != nil {
			t.Errorf("folder %s is missing: each of the eight says at least what will live there", want)
		}
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(append(topLevel, "bin", "dist"), e.Name()) {
			t.Errorf("folder %s: code lives under %v only", e.Name(), topLevel)
		}
	}
}

// Every package explains itself: in doc.go, or, if it has no more than two
// files, at the head of one of them.
func TestDocFiles(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 || slices.Contains(p.GoFiles, "doc.go") {
			continue
		}
		self := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles) > 2 && !strings.HasPrefix(self, "cmd/weir") {
			t.Errorf("%s has %d files and no doc.go", self, len(p.GoFiles))
			continue
		}
		said := false
		for _, f := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			said = said || strings.Contains(string(text), "\n// Package ") || strings.Contains(string(text), "\n// Command ") || strings.Contains(string(text), "\n// Weir ")
		}
		if !said {
			t.Errorf("%s does not say what it is", self)
		}
	}
}

// A package initialised before main has run may be looking at a machine
// without /proc (weir is PID 1 on its own image); ebpf/rlimit caches that for
// the life of the process.
func TestForbiddenImports(t *testing.T) {
	forbidden := map[string]string{
		"github.com/cilium/ebpf/rlimit": "it reads /proc in init, which is not mounted yet when weir is PID 1",
		"github.com/cilium/ebpf/perf":   "it does not compile for 32-bit MIPS; use ringbuf",
		"text/template":                 "it keeps the linker from dropping unused methods: 1.5 MB of flash",
	}
	out, err := exec.Command("go", "list", "-deps", "./cmd/weir").Output()
	if err != nil {
		t.Fatalf("go list -deps ./cmd/weir: %v", err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if why, bad := forbidden[dep]; bad {
			t.Errorf("cmd/weir depends on %s: %s", dep, why)
		}
	}
}
