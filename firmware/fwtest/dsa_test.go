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

// loadLoop makes dsa_loop's chip: its ports are called lan1 to lan4, as the
// board's are, and it binds to a device called eth0.
const loadLoop = "for i in 1 2 3 4; do ip link set lan$i name sw$i || exit 1; done; " +
	"ip link add eth0 type veth peer name eth0x && insmod /lib/modules/tag_none.ko && insmod /lib/modules/dsa_loop.ko && ip link set eth0 up && ip link set eth0x up"

// The edge to the kernel's bridge runs its own tests on the board's kernel,
// which has what the host's lacks: VLAN filtering, bonding, matchall.
func TestBridgeEdge(t *testing.T) {
	// Go's test cache sees what this process opens, not what the compiler does.
	sources, err := filepath.Glob("../../dsa/*/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	for _, f := range sources {
		if _, err := os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "rtbridge.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-o", bin, "github.com/weirswitch/weir/dsa/rtbridge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, m := boot(t, Options{Files: []image.File{{Path: "/bin/rtbridge.test", Perm: 0o755, Source: bin}}})
	for _, tc := range []struct{ name, before, run string }{
		{"kernel", "", "/bin/rtbridge.test -test.v -test.run Test -test.skip TestChip"},
		{"rocker", "", "WEIR_CHIP=lan1,lan2,lan3 WEIR_CHIP_KIND=rocker /bin/rtbridge.test -test.v -test.run TestChip"},
		{"dsa_loop", loadLoop, "WEIR_CHIP=lan1,lan2,lan3 WEIR_CHIP_KIND=dsa_loop /bin/rtbridge.test -test.v -test.run TestChip"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.before != "" {
				output(t, ctx, m, tc.before)
			}
			r, err := m.Run(ctx, "cd /tmp && "+tc.run)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r.Out)
			if r.Code != 0 || strings.Contains(r.Out, "--- SKIP") {
				t.Errorf("failed, or skipped on the kernel that has everything: %s", r.Err)
			}
		})
	}
}
