// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Options is what the kernel's command line says about us.
type Options struct {
	Board    string       // "": to be detected
	Hostname string       // "": the board's name
	Address  netip.Prefix // of the management port; the zero Prefix: none
	Gateway  netip.Addr   // default route; the zero Addr: none
	Modules  []string     // kernel modules to load besides the board's
	Remotes  []string     // of the database server, besides its usual ones
	LogLevel string       // "": switchd's default
	Shell    string       // path of a program; "": none
	Agent    string       // path of a device; "": none
}

// maxRemotes bounds the repeatable parameter; the kernel bounds the line to a few KiB.
const maxRemotes = 16

// ParseCmdline reads /proc/cmdline. Parameters that do not start with "weir." are the
// kernel's and others'; one that does and is wrong is returned as a fault and left out:
// a misspelt word must not keep a switch from booting.
func ParseCmdline(line string) (Options, []error) {
	var o Options
	var faults []error
	for _, word := range words(line) {
		name, value, _ := strings.Cut(word, "=")
		key, ours := strings.CutPrefix(name, "weir.")
		if !ours {
			continue
		}
		bad := func(why string) { faults = append(faults, fmt.Errorf("kernel command line: %s: %s", word, why)) }
		if value == "" {
			bad("has no value")
			continue
		}
		switch key {
		case "board":
			o.Board = value
		case "hostname":
			if len(value) > 64 { // HOST_NAME_MAX of linux/limits.h
				bad("longer than 64 bytes")
				continue
			}
			o.Hostname = value
		case "ip":
			addr, gw, hasGW := strings.Cut(value, ",")
			p, err := netip.ParsePrefix(addr)
			if err != nil {
				bad("want ADDRESS/LENGTH[,GATEWAY]")
				continue
			}
			var g netip.Addr
			if hasGW {
				g, err = netip.ParseAddr(gw)
				if err != nil || g.Is4() != p.Addr().Is4() {
					bad("the gateway must be an address of the same family")
					continue
				}
			}
			o.Address, o.Gateway = p, g
		case "remote":
			if len(o.Remotes) == maxRemotes {
				bad(fmt.Sprintf("more than %d remotes", maxRemotes))
				continue
			}
			if !slices.Contains(o.Remotes, value) {
				o.Remotes = append(o.Remotes, value)
			}
		case "modules":
			o.Modules = strings.Split(value, ",")
			if i := slices.IndexFunc(o.Modules, func(m string) bool { return m == "" || strings.ContainsAny(m, "/.") }); i >= 0 {
				bad(fmt.Sprintf("%q is no module's name", o.Modules[i]))
				o.Modules = nil
			}
		case "log":
			o.LogLevel = value
		case "shell":
			o.Shell = value
		case "agent":
			o.Agent = value
		default:
			bad("unknown parameter")
		}
	}
	return o, faults
}

// words splits a kernel command line as the kernel does (lib/cmdline.c, next_arg):
// at white space outside double quotes; the quotes go. What stands behind "--" is for
// init, that is for us, and is read alike.
func words(line string) []string {
	var out []string
	var w strings.Builder
	quoted, inWord := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, inWord = !quoted, true
		case !quoted && (r == ' ' || r == '\t' || r == '\n'):
			if inWord {
				out = append(out, w.String())
				w.Reset()
				inWord = false
			}
		default:
			w.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		out = append(out, w.String())
	}
	return out
}
