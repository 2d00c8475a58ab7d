// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirswitch/weir/firmware/image"
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
	ctx, m := boot(t, Options{Files: []image.File{{Path: "/bin/rtbridge.test", Perm: 0o755, Source: bin}}})
	r, err := m.Run(ctx, "cd /tmp && /bin/rtbridge.test -test.v -test.run Test")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Out)
	if r.Code != 0 || strings.Contains(r.Out, "--- SKIP") {
		t.Errorf("failed, or skipped on the kernel that has everything: %s", r.Err)
	}
}
