// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The edge to the kernel's bridge runs its own tests on the board's kernel,
// which has what the host's lacks: VLAN filtering, bonding, matchall.
func TestBridgeEdge(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "rtbridge.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-o", bin, "github.com/weirswitch/weir/dsa/rtbridge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	text, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	ctx, m := boot(t, Options{})
	if r, err := m.RunInput(ctx, "cat > /tmp/rtbridge.test && chmod +x /tmp/rtbridge.test", text); err != nil || r.Code != 0 {
		t.Fatalf("upload: %v %v", err, r)
	}
	r, err := m.Run(ctx, "cd /tmp && ./rtbridge.test -test.v -test.run Test")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Out)
	if r.Code != 0 || strings.Contains(r.Out, "--- SKIP") {
		t.Errorf("failed, or skipped on the kernel that has everything: %s", r.Err)
	}
}
