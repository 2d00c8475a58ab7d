// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/firmware/boot"
)

// sysfs makes a tree out of lines "path text" and "path -> target".
func sysfs(t *testing.T, text string) string {
	root := t.TempDir()
	for line := range strings.Lines(text) {
		path, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		at := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(value, "-> "); ok {
			err = os.Symlink(target, at)
		} else {
			if !strings.HasSuffix(value, `\0`) { // a device tree's strings end with NUL alone
				value += "\n"
			}
			err = os.WriteFile(at, []byte(strings.ReplaceAll(value, `\0`, "\x00")), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFacts(t *testing.T) {
	m := &Machine{Sys: sysfs(t, `firmware/devicetree/base/compatible bananapi,bpi-r3\0mediatek,mt7986a\0
class/dmi/id/sys_vendor QEMU
class/dmi/id/product_name weir rocker
devices/pci/0000:00:04.0/driver -> ../../../bus/pci/drivers/rocker
devices/pci/0000:00:04.0/net/eth2/ifindex 4
devices/pci/0000:00:04.0/net/eth2/flags 0x1003
devices/pci/0000:00:04.0/net/eth2/phys_port_name sw1p1
devices/pci/0000:00:04.0/net/eth2/address 52:54:00:12:35:01
devices/pci/0000:00:04.0/net/eth2/device -> ../..
class/net/eth2 -> ../../devices/pci/0000:00:04.0/net/eth2
class/net/lo/ifindex 1
devices/virtio0/driver -> ../../bus/virtio/drivers/virtio_net
devices/virtio0/net/eth9/ifindex 2
devices/virtio0/net/eth9/flags 0x1002
devices/virtio0/net/eth9/device -> ../..
class/net/eth9 -> ../../devices/virtio0/net/eth9
`)}
	root, err := filepath.EvalSymlinks(m.Sys)
	if err != nil {
		t.Fatal(err)
	}
	id := m.Identity()
	want := boards.Identity{Compatible: []string{"bananapi,bpi-r3", "mediatek,mt7986a"},
		DMI: map[string]string{"sys_vendor": "QEMU", "product_name": "weir rocker"}}
	if d := cmp.Diff(want, id); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	devs, err := m.Devices()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]boards.Device{
		{Name: "eth9", Driver: "virtio_net", Path: root + "/devices/virtio0"},
		{Name: "eth2", Driver: "rocker", PhysPortName: "sw1p1", Path: root + "/devices/pci/0000:00:04.0", MAC: "52:54:00:12:35:01", Up: true},
	}, devs); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if devs, err := (&Machine{Sys: t.TempDir()}).Devices(); err != nil || len(devs) != 0 {
		t.Errorf("a kernel without network: %v, %v", devs, err)
	}
}

// The steps of the network in a namespace of their own, judged by ip; and again, which
// must change nothing and be no error.
func TestNetworkSteps(t *testing.T) {
	runtime.LockOSThread() // the thread keeps the namespace and ends with the test
	old, err := netns.Get()
	if err != nil {
		t.Skipf("no network namespaces: %v", err)
	}
	ns, err := netns.New()
	if err != nil {
		t.Skipf("no network namespaces: %v", err)
	}
	defer func() { ns.Close(); netns.Set(old); old.Close(); runtime.UnlockOSThread() }()
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ip := func(args ...string) string {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	do := func(steps ...boot.Step) {
		t.Helper()
		for _, s := range steps {
			if err := m.Do(s); err != nil {
				t.Error(err)
			}
		}
	}
	do(boot.Link{Name: "eth1", Up: true}, boot.Rename{From: "eth0", To: "mgmt"})
	for range 2 {
		do(boot.Link{Name: "lo", Up: true}, boot.Link{Name: "mgmt", Up: true},
			boot.Address{Name: "mgmt", Prefix: netip.MustParsePrefix("192.0.2.7/24")},
			boot.Route{Name: "mgmt", Via: netip.MustParseAddr("192.0.2.1")})
	}
	if got := ip("-br", "-4", "addr", "show", "mgmt"); strings.Join(strings.Fields(got), " ") != "mgmt@eth1 UP 192.0.2.7/24" {
		t.Errorf("%q", got)
	}
	if got := strings.TrimSpace(ip("route", "show", "default")); !strings.HasPrefix(got, "default via 192.0.2.1 dev mgmt") || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
	do(boot.Link{Name: "mgmt", Up: false})
	if got := ip("-br", "link", "show", "mgmt"); !strings.Contains(got, "DOWN") {
		t.Errorf("%q", got)
	}
	err = m.Do(boot.Link{Name: "lan9", Up: true})
	if err == nil || !strings.HasPrefix(err.Error(), "link lan9 up: ") {
		t.Errorf("a device that is not there: %v", err)
	}
}

func TestFileSteps(t *testing.T) {
	m := &Machine{Sys: t.TempDir(), Modules: t.TempDir()}
	dir := t.TempDir()
	for _, c := range []struct {
		s    boot.Step
		want string // of the error
	}{
		{boot.Dir{Path: dir + "/a/b"}, ""},
		{boot.Dir{Path: dir + "/a/b"}, ""},
		{boot.Write{Path: dir + "/a/f", Text: "1"}, ""},
		{boot.Write{Path: dir + "/no/f", Text: "1"}, "write " + dir + "/no/f 1: no such file"},
		{boot.Write{Path: dir + "/no/f", Text: "1", Optional: true}, ""},
		{boot.Symlink{Path: dir + "/l", Target: "/run"}, ""},
		{boot.Symlink{Path: dir + "/l", Target: "/run"}, ""},
		{boot.Symlink{Path: dir + "/l", Target: "/else"}, "file exists"},
		{boot.Mount{Type: "no-such-fs", Target: dir + "/m"}, "no such device"},
		{boot.Mount{Type: "no-such-fs", Target: dir + "/m", Optional: true}, ""},
		{boot.Module{Name: "nothing"}, "nothing.ko is not in"},
	} {
		err := m.Do(c.s)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.s, err, c.want)
		}
	}
	if text, err := os.ReadFile(dir + "/a/f"); err != nil || string(text) != "1\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.WriteFile(m.Modules+"/bad.ko", []byte("no ELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Do(boot.Module{Name: "bad"}); err == nil || !strings.Contains(err.Error(), "/bad.ko: EOF") {
		t.Errorf("a module that is none: %v", err)
	}
}
