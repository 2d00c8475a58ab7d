// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGenerated: the committed objects are what the sources and clang-19 make,
// by the commands in gen.go.
func TestGenerated(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	src, err := os.ReadFile("gen.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(src)) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "//go:generate clang-19 ")
		if !ok {
			continue
		}
		n++
		words := strings.Fields(args)
		name := words[len(words)-1]
		words[len(words)-1] = filepath.Join(t.TempDir(), name)
		if out, err := exec.Command(clang, words...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
		want, err := os.ReadFile(words[len(words)-1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its source makes: run go generate", name)
		}
	}
	if n != 2 {
		t.Errorf("%d objects, want 2", n)
	}
}
