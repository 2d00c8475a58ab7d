// SPDX-License-Identifier: Apache-2.0

package boards

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)

func boardName(s string) bool { return len(s) <= 63 && named(s, lower+digits, "_.-") }

// A network device's name has at most 15 bytes (IFNAMSIZ of linux/if.h).
func deviceName(s string) bool { return len(s) <= 15 && named(s, lower, "_-") }

func moduleName(s string) bool { return named("a"+s, lower, "_-") && s != "" }

// named reports whether s begins with a byte of first and goes on with small letters, digits and bytes of other.
func named(s, first, other string) bool {
	return s != "" && strings.Contains(first, s[:1]) && strings.TrimLeft(s[1:], lower+digits+other) == ""
}

var (
	arches = []string{"amd64", "arm64", "arm", "mips", "mipsle", "riscv64"}
	kinds  = []string{DSA, Switchdev, NoChip}
	roles  = []string{Lan, Wan, Mgmt, Conduit}
)

// validate returns all faults of b, joined.
func (b *Board) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(field, value string, of []string) {
		if !slices.Contains(of, value) {
			bad("%s: %q is none of %s", field, value, strings.Join(of, ", "))
		}
	}
	if !boardName(b.Name) {
		bad("name: %q must be small letters, digits, and -_. behind the first", b.Name)
	}
	if b.Title == "" {
		bad("title: missing")
	}
	oneOf("arch", b.Arch, arches)
	if b.Console == "" {
		bad("console: missing")
	}
	for i, m := range b.Modules {
		if !moduleName(m) {
			bad("modules[%d]: %q is no module's name", i, m)
		}
	}
	oneOf("chip.kind", b.Chip.Kind, kinds)
	if (b.Chip.Kind == NoChip) != (b.Chip.Driver == "") {
		bad("chip.driver: %q does not go with kind %q", b.Chip.Driver, b.Chip.Kind)
	}
	if len(b.Ports) == 0 {
		bad("ports: none")
	}
	conduits := 0
	for i, p := range b.Ports {
		field := fmt.Sprintf("ports[%d]", i)
		if !deviceName(p.Name) {
			bad("%s.name: %q must be at most 15 small letters, digits, - and _, a letter first", field, p.Name)
		}
		oneOf(field+".role", p.Role, roles)
		if p.Role == Conduit {
			conduits++
		}
		if p.Match == (Match{}) {
			bad("%s.match: says nothing", field)
		}
		if p.MAC != "" {
			if m, err := net.ParseMAC(p.MAC); err != nil || len(m) != 6 || m[0]&1 != 0 {
				bad("%s.mac: %q is no address of a station", field, p.MAC)
			}
		}
		for j, q := range b.Ports[:i] {
			if p.Name == q.Name {
				bad("%s.name: %q is ports[%d]'s too", field, p.Name, j)
			}
			if p.Match == q.Match {
				bad("%s.match: the same as ports[%d]'s", field, j)
			}
		}
	}
	if b.Chip.Kind == DSA && conduits == 0 {
		bad("ports: a DSA chip has a conduit, and none of the ports is one")
	}
	if e := b.Emulation; e != nil {
		if !strings.HasPrefix(e.Program, "qemu-system-") {
			bad("emulation.program: %q is no qemu-system-*", e.Program)
		}
		if e.Package == "" {
			bad("emulation.package: missing")
		}
		for i, a := range e.Args {
			if strings.ContainsAny(a, "\n\x00") {
				bad("emulation.args[%d]: has a line break or NUL", i)
			}
		}
		for _, p := range b.Ports {
			if !b.wired(p.Name) {
				bad("emulation.args: no device has netdev %q, which is a port", p.Name)
			}
		}
	}
	return errors.Join(errs...)
}

// wired says whether an argument of the emulation connects the -netdev called name.
func (b *Board) wired(name string) bool {
	for _, a := range b.Emulation.Args {
		for _, prop := range strings.Split(a, ",") {
			if _, v, ok := strings.Cut(prop, "="); ok && v == name {
				return true
			}
		}
	}
	return false
}
