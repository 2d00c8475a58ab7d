// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"net/netip"
	"strings"
)

// Step is one thing that is done to the machine: one of the types below. Its text is
// for people: what one would type to the same effect, more or less.
type Step interface{ String() string }

// Dir makes a directory with its parents.
type Dir struct{ Path string }

// Mount mounts a file system. One that is mounted there already (devtmpfs, by the
// kernel) is right.
type Mount struct {
	Type, Target string
	Data         string // "mode=0755,size=25%"
	Exec         bool   // programs may be run from it; never set-user-ID ones
	Optional     bool   // not every kernel has it
}

// Write writes a line to a file of the kernel's.
type Write struct {
	Path, Text string
	Optional   bool
}

// Symlink makes a symbolic link; one that is there with the same target is right.
type Symlink struct{ Path, Target string }

// Hostname sets the host name.
type Hostname struct{ Name string }

// Module loads a kernel module and what it depends on; one that is built in or loaded
// is right.
type Module struct{ Name string }

// Rename gives a network device its name. It must be down.
type Rename struct{ From, To string }

// Link sets a network device up or down.
type Link struct {
	Name string
	Up   bool
}

// Address adds an address to a network device.
type Address struct {
	Name   string
	Prefix netip.Prefix
}

// Route adds the default route.
type Route struct {
	Name string
	Via  netip.Addr
}

// Warn says something that a person should know and does nothing.
type Warn struct{ Text string }

func (s Dir) String() string { return "mkdir " + s.Path }

func (s Mount) String() string {
	opts := []string{"nosuid"}
	if !s.Exec {
		opts = append(opts, "noexec")
	}
	if s.Data != "" {
		opts = append(opts, s.Data)
	}
	return fmt.Sprintf("mount -t %s -o %s %s%s", s.Type, strings.Join(opts, ","), s.Target, optional(s.Optional))
}

func (s Write) String() string {
	return fmt.Sprintf("write %s %s%s", s.Path, s.Text, optional(s.Optional))
}
func (s Symlink) String() string  { return fmt.Sprintf("link %s -> %s", s.Path, s.Target) }
func (s Hostname) String() string { return "hostname " + s.Name }
func (s Module) String() string   { return "module " + s.Name }
func (s Rename) String() string   { return fmt.Sprintf("rename %s to %s", s.From, s.To) }
func (s Link) String() string {
	if s.Up {
		return "link " + s.Name + " up"
	}
	return "link " + s.Name + " down"
}
func (s Address) String() string { return fmt.Sprintf("address %s on %s", s.Prefix, s.Name) }
func (s Route) String() string   { return fmt.Sprintf("route default via %s on %s", s.Via, s.Name) }
func (s Warn) String() string    { return "warning: " + s.Text }

func optional(o bool) string {
	if o {
		return " (if the kernel has it)"
	}
	return ""
}
