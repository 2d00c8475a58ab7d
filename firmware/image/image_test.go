// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func pack(t *testing.T, files []File, c Compression) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Pack(&b, files, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// BusyBox's cpio unpacks what was packed; it makes no folder by itself, so they come first.
func TestPackIsCpio(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "weir")
	if err := os.WriteFile(bin, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := append(Base(bin, []string{"ovs-vsctl"}), File{Path: "/a/b/c", Perm: 0o640, Data: []byte{}})
	text := pack(t, files, None)
	dir := t.TempDir()
	cmd := exec.Command("busybox", "cpio", "-i", "-m")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	var got []string
	filepath.Walk(dir, func(at string, info os.FileInfo, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, at)
		line := fmt.Sprintf("%s %s", info.Mode(), rel)
		if to, err := os.Readlink(at); err == nil {
			line += " -> " + to
		}
		if info.ModTime().Unix() != 0 && info.Mode().IsRegular() {
			line += " at " + info.ModTime().String()
		}
		got = append(got, line)
		return nil
	})
	want := `drwxr-xr-x a
drwxr-xr-x a/b
-rw-r----- a/b/c
drwxr-xr-x bin
Lrwxrwxrwx bin/ovs-vsctl -> weir
-rwxr-xr-x bin/weir
drwxr-xr-x dev
Dcrw------- dev/console
drwxr-xr-x etc
drwxr-xr-x etc/openvswitch
Lrwxrwxrwx init -> /bin/weir
drwxr-xr-x proc
drwxr-xr-x run
drwxr-xr-x sys
dtrwxrwxrwx tmp
drwxr-xr-x var
Lrwxrwxrwx var/run -> /run`
	if g := strings.Join(got[1:], "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
	if text, err := os.ReadFile(dir + "/bin/weir"); err != nil || string(text) != "binary" {
		t.Errorf("bin/weir: %q, %v", text, err)
	}
}

// The same files make the same bytes, from another folder, in another order, at another
// time, with other permissions of the source.
func TestReproducible(t *testing.T) {
	make := func(perm os.FileMode) []File {
		bin := filepath.Join(t.TempDir(), "w")
		if err := os.WriteFile(bin, bytes.Repeat([]byte("binary "), 10000), perm); err != nil {
			t.Fatal(err)
		}
		return append(Base(bin, Links()), File{Path: "/lib/modules/a.ko", Perm: 0o644, Data: []byte("ko")})
	}
	a, b := make(0o700), make(0o644)
	slices.Reverse(b)
	for _, c := range []Compression{None, XZ} {
		if !bytes.Equal(pack(t, a, c), pack(t, b, c)) {
			t.Errorf("compression %q: two images differ", c)
		}
	}
	if plain, xz := len(pack(t, a, None)), len(pack(t, a, XZ)); xz >= plain/10 {
		t.Errorf("xz makes %d bytes of %d", xz, plain)
	}
}

func TestPackRefuses(t *testing.T) {
	d := []byte("x")
	for _, c := range []struct {
		files []File
		want  string
	}{
		{[]File{{Path: "a", Data: d}}, "no clean absolute path"},
		{[]File{{Path: "/a/../b", Data: d}}, "no clean absolute path"},
		{[]File{{Path: "/", Dir: true}}, "no clean absolute path"},
		{[]File{{Path: "/a", Data: d}, {Path: "/a", Link: "b"}}, "given twice"},
		{[]File{{Path: "/a", Link: "b"}, {Path: "/a/c", Data: d}}, "/a/c lies in /a, which is no folder"},
		{[]File{{Path: "/a"}}, "must be one of"},
		{[]File{{Path: "/a", Dir: true, Data: d}}, "must be one of"},
		{[]File{{Path: "/a", Source: "/no/such/file"}}, "no such file"},
	} {
		err := Pack(&bytes.Buffer{}, c.files, None)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c.files, err, c.want)
		}
	}
	if err := Pack(&bytes.Buffer{}, nil, "brotli"); err == nil {
		t.Error("an unknown compression is accepted")
	}
}

// Programs with all that they need run in a root of their own.
func TestProgramsRun(t *testing.T) {
	files, err := Programs("ip", "dash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("busybox", "cpio", "-i", "-d")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(pack(t, files, None))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	if out, err := exec.Command("chroot", dir, "/bin/dash", "-c", "/bin/ip -V").CombinedOutput(); err != nil || !strings.Contains(string(out), "ip utility, iproute2") {
		t.Errorf("in its own root: %v: %s", err, out)
	}
	if _, err := Programs("no-such-program"); err == nil {
		t.Error("a program that is not there is packed")
	}
}
