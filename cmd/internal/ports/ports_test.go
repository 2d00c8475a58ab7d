// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/env"
)

func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(context.Background(), env.Env{Name: "ports", Args: args, Stdout: &o, Stderr: &e, Getenv: func(string) string { return "" }})
	return code, o.String(), e.String()
}

// What is recorded of this machine is what is shown of it, and reads back.
func TestRecordAndShow(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := run(t, "--record", dir); code != 0 {
		t.Fatalf("--record: %d %s", code, errs)
	}
	for _, f := range []struct{ name, arg string }{{"ports.txt", ""}, {"ports.json", "--json"}} {
		want, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"--from", filepath.Join(dir, "record.txt")}
		if f.arg != "" {
			args = append(args, f.arg)
		}
		if code, out, errs := run(t, args...); code != 0 || out != string(want) {
			t.Errorf("--from is not %s: %d %s\n%s", f.name, code, errs, out)
		}
	}
	if code, out, _ := run(t); code != 0 || !strings.HasPrefix(out, "PORT") && !strings.HasPrefix(out, "switch") {
		t.Errorf("weir ports: %d %q", code, out)
	}
}

func TestArguments(t *testing.T) {
	for _, tc := range []struct {
		args []string
		err  string
	}{
		{[]string{"--from", "a", "--watch"}, "only one of"},
		{[]string{"lan1"}, `unexpected argument "lan1"`},
		{[]string{"--from", "/nonexistent"}, "no such file"},
		{[]string{"--bad"}, "unrecognized option"},
	} {
		if code, _, errs := run(t, tc.args...); code != 1 || !strings.Contains(errs, tc.err) {
			t.Errorf("%q: %d %q, want %q", tc.args, code, errs, tc.err)
		}
	}
	if code, out, _ := run(t, "-h"); code != 0 || !strings.Contains(out, "--record") {
		t.Errorf("help: %d %q", code, out)
	}
}
