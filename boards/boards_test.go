// SPDX-License-Identifier: Apache-2.0

package boards

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// Each folder with a board.json is a board that loads.
func TestAllBoards(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range dirs {
		if d.IsDir() {
			n++
			if _, err := os.Stat(d.Name() + "/README.md"); err != nil {
				t.Errorf("board %s has no README.md", d.Name())
			}
		}
	}
	if len(all) != n || n == 0 {
		t.Errorf("%d boards load, there are %d folders", len(all), n)
	}
}

func TestLoadUnknown(t *testing.T) {
	for _, name := range []string{"toaster", "", "..", "../boards/qemu-x86_64-rocker"} {
		_, err := Load(name)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "qemu-x86_64-rocker") {
			t.Errorf("Load(%q): %v: want one that lists the boards", name, err)
		}
	}
}

// Each row changes one thing in a good board and names the words of the fault.
func TestValidate(t *testing.T) {
	good := func() *Board {
		b, err := Load("qemu-x86_64-rocker")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		change func(*Board)
		want   string
	}{
		{func(b *Board) {}, ""},
		{func(b *Board) { b.Name = "A b" }, `name: "A b"`},
		{func(b *Board) { b.Title = "" }, "title: missing"},
		{func(b *Board) { b.Arch = "x86_64" }, `arch: "x86_64" is none of amd64`},
		{func(b *Board) { b.Console = "" }, "console: missing"},
		{func(b *Board) { b.Modules = []string{"../x"} }, `modules[0]: "../x"`},
		{func(b *Board) { b.Chip.Kind = "asic" }, `chip.kind: "asic" is none of`},
		{func(b *Board) { b.Chip.Driver = "" }, "chip.driver"},
		{func(b *Board) { b.Chip = Chip{Kind: DSA, Driver: "mt7530"} }, "conduit"},
		{func(b *Board) { b.Ports = nil }, "ports: none"},
		{func(b *Board) { b.Ports[1].Name = "averyveryverylongname" }, "ports[1].name"},
		{func(b *Board) { b.Ports[1].Name = "lan1" }, `ports[1].name: "lan1" is ports[0]'s too`},
		{func(b *Board) { b.Ports[1].Match = b.Ports[0].Match }, "ports[1].match: the same as ports[0]'s"},
		{func(b *Board) { b.Ports[1].Match = Match{} }, "ports[1].match: says nothing"},
		{func(b *Board) { b.Ports[1].Role = "dmz" }, `ports[1].role: "dmz"`},
		{func(b *Board) { b.Ports[4].MAC = "01:00:5e:00:00:01" }, "ports[4].mac"},
		{func(b *Board) { b.Ports[0].Name = "lan9" }, `no device has netdev "lan9"`},
		{func(b *Board) { b.Emulation.Program = "sh" }, `emulation.program: "sh"`},
		{func(b *Board) { b.Emulation.Package = "" }, "emulation.package"},
		{func(b *Board) { b.Emulation.Args[0] = "a\nb" }, "emulation.args[0]"},
		{func(b *Board) { b.Emulation = nil }, ""},
	} {
		b := good()
		c.change(b)
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(text)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("good board refused: %v", err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	text, err := files.ReadFile("qemu-x86_64-rocker/board.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"", "EOF"},
		{"{", "unexpected EOF"},
		{string(text) + "{}", "more than one value"},
		{strings.Replace(string(text), `"console"`, `"consul"`, 1), "consul"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

func TestDetect(t *testing.T) {
	all := []*Board{
		{Name: "a", Compatible: []string{"vendor,a"}},
		{Name: "b", Compatible: []string{"vendor,b", "vendor,b-v2"}},
		{Name: "pc", DMI: map[string]string{"sys_vendor": "V"}},
		{Name: "pc2", DMI: map[string]string{"sys_vendor": "V", "product_name": "P"}},
		{Name: "none"},
	}
	for _, c := range []struct {
		id   Identity
		want string
	}{
		{Identity{}, ""},
		{Identity{Compatible: []string{"vendor,b-v2", "vendor,a"}}, "b"},
		{Identity{Compatible: []string{"soc,x", "vendor,a"}}, "a"},
		{Identity{Compatible: []string{"soc,x"}, DMI: map[string]string{"sys_vendor": "V"}}, "pc"},
		{Identity{DMI: map[string]string{"sys_vendor": "V", "product_name": "P"}}, "pc2"},
		{Identity{DMI: map[string]string{"product_name": "P"}}, ""},
	} {
		got := ""
		if b := Detect(all, c.id); b != nil {
			got = b.Name
		}
		if got != c.want {
			t.Errorf("Detect(%v) = %q, want %q", c.id, got, c.want)
		}
	}
}

func TestFits(t *testing.T) {
	d := Device{Name: "eth0", Driver: "virtio_net", Path: "/sys/devices/pci0000:00/0000:00:02.0/virtio0"}
	for _, c := range []struct {
		m    Match
		want bool
	}{
		{Match{Driver: "virtio_net"}, true},
		{Match{Path: "0000:00:02.0/virtio0"}, true},
		{Match{Path: "0000:00:02.0"}, true},
		{Match{Path: "00:02.0"}, false}, // not at a slash
		{Match{Path: "0000:00:02"}, false},
		{Match{Driver: "virtio_net", Path: "0000:00:03.0/virtio1"}, false},
		{Match{PhysPortName: "p1"}, false},
		{Match{KernelName: "eth0"}, true},
		{Match{KernelName: "lan1"}, false},
	} {
		if got := c.m.Fits(d); got != c.want {
			t.Errorf("%+v fits %+v: %v", c.m, d, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := files.ReadFile("qemu-x86_64-rocker/board.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"name":"x","ports":[{}]}`))
	// What parses, parses again from its own JSON to the same value.
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse(text)
		if err != nil {
			return
		}
		one, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(one)
		if err != nil {
			t.Fatalf("%s\ndoes not parse again: %v", one, err)
		}
		if two, _ := json.Marshal(c); string(one) != string(two) {
			t.Fatalf("%s\nbecame\n%s", one, two)
		}
	})
}
