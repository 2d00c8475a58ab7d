// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFollow makes a database behind a link that leads to nothing yet, which
// is what Debian's package leaves, and looks that the link survives.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"etc", "var"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"etc/conf.db": at("etc/second"), "etc/second": "../var/conf.db", "loop": "loop"} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		at("etc/conf.db"): at("var/conf.db"), at("var/conf.db"): at("var/conf.db"), at("none/conf.db"): at("none/conf.db"),
	} {
		if got, err := Follow(path); filepath.Clean(got) != want || err != nil {
			t.Errorf("Follow(%s) = %s, %v, want %s", path, got, err, want)
		}
	}
	if got, err := Follow(at("loop")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop leads to %q, %v", got, err)
	}

	path, err := Follow(at("etc/conf.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(OS{}, path, parse(t, smallSchema)); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(at("etc/conf.db")); err != nil || to != at("etc/second") {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if again, err := Follow(at("etc/conf.db")); again != path || err != nil {
		t.Errorf("with the file there: %s, %v, want %s", again, err, path)
	}
}
