// SPDX-License-Identifier: Apache-2.0

package boards

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Board is what the firmware must know about a board that the kernel cannot tell.
type Board struct {
	Name  string `json:"name"`  // the folder's: "qemu-x86_64-rocker"
	Title string `json:"title"` // for a person: "QEMU q35 with the rocker switch"
	Arch  string `json:"arch"`  // Go's name of the architecture: "amd64"

	// How a running machine is known to be this board: any compatible string of the
	// device tree, or all of the DMI fields (names as in /sys/class/dmi/id). A board
	// with neither must be named on the kernel's command line (weir.board=).
	Compatible []string          `json:"compatible,omitempty"`
	DMI        map[string]string `json:"dmi,omitempty"`

	Console string   `json:"console"`           // kernel's console= value: "ttyS0,115200"
	Modules []string `json:"modules,omitempty"` // loaded at boot, in order, with what they depend on

	Chip  Chip   `json:"chip"`
	Ports []Port `json:"ports"`

	Emulation *Emulation `json:"emulation,omitempty"` // nil: real hardware only
}

// Chip is the switch chip.
type Chip struct {
	Kind   string `json:"kind"`   // "dsa", "switchdev" or "none"
	Driver string `json:"driver"` // the kernel driver's name: "rocker", "mv88e6085"
}

// The kinds of a Chip.
const (
	DSA       = "dsa"
	Switchdev = "switchdev"
	NoChip    = "none"
)

// Port is one network device that the board is known to have, under the name that it
// is given at boot.
type Port struct {
	Name  string `json:"name"`  // of the network device: "lan1"
	Label string `json:"label"` // as printed on the case: "LAN 1"
	Role  string `json:"role"`  // Lan, Wan, Mgmt or Conduit
	Match Match  `json:"match"`
	MAC   string `json:"mac,omitempty"` // fixed address, of emulated boards: "52:54:00:..."
}

// The roles of a Port.
const (
	Lan     = "lan"     // of the chip: down until the first configuration uses it
	Wan     = "wan"     // the uplink, not of the chip: likewise
	Mgmt    = "mgmt"    // the firmware's own address is here, never in a bridge
	Conduit = "conduit" // the processor's end of a DSA chip: up, without an address
)

// Match says which of the kernel's network devices a port is: all fields that are given
// must be equal.
type Match struct {
	Driver       string `json:"driver,omitempty"`         // of the bus device: "virtio_net"
	PhysPortName string `json:"phys_port_name,omitempty"` // "sw1p1"
	Path         string `json:"path,omitempty"`           // a piece, from / to /, of the bus device's path in /sys/devices: "0000:00:02.0"
	KernelName   string `json:"kernel_name,omitempty"`    // the name that the device tree gives: "lan1"
}

// Emulation is how QEMU plays the board. Behind Args come the kernel, the image, the
// consoles and one -netdev for each port, whose id is the port's name.
type Emulation struct {
	Program string   `json:"program"` // "qemu-system-x86_64"
	Package string   `json:"package"` // Debian's package that has it
	Args    []string `json:"args"`
}

//go:embed */board.json
var files embed.FS // read-only

// Load returns the board called name.
func Load(name string) (*Board, error) {
	text, err := files.ReadFile(name + "/board.json")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("there is no board %q: this program knows %s: %w", name, strings.Join(Names(), ", "), fs.ErrNotExist)
	} else if err != nil {
		return nil, fmt.Errorf("board %q: %w", name, err)
	}
	b, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("board %q: %w", name, err)
	}
	if b.Name != name {
		return nil, fmt.Errorf("board %q: board.json calls it %q", name, b.Name)
	}
	return b, nil
}

// Names returns the names of all boards, in order.
func Names() []string {
	dirs, err := files.ReadDir(".")
	if err != nil {
		return nil // an embedded tree has a root
	}
	var names []string
	for _, d := range dirs {
		names = append(names, d.Name())
	}
	slices.Sort(names)
	return names
}

// Parse decodes and checks a board.json. A field that it does not know is an error: it
// is more likely misspelt than superfluous.
func Parse(text []byte) (*Board, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	b := &Board{}
	if err := d.Decode(b); err != nil {
		return nil, fmt.Errorf("board.json: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("board.json: more than one value")
	}
	if err := b.validate(); err != nil {
		return nil, err
	}
	return b, nil
}

// Identity is what a running machine says about itself.
type Identity struct {
	Compatible []string          // of the device tree's root, the most specific first
	DMI        map[string]string // by the names in /sys/class/dmi/id
}

// Detect returns the board among all that fits id best: by the most specific compatible
// string, then by the most DMI fields. It returns nil if none fits.
func Detect(all []*Board, id Identity) *Board {
	for _, c := range id.Compatible {
		for _, b := range all {
			if slices.Contains(b.Compatible, c) {
				return b
			}
		}
	}
	var best *Board
	for _, b := range all {
		if len(b.DMI) == 0 || best != nil && len(b.DMI) <= len(best.DMI) {
			continue
		}
		fits := true
		for k, v := range b.DMI {
			fits = fits && id.DMI[k] == v
		}
		if fits {
			best = b
		}
	}
	return best
}

// All returns every board.
func All() ([]*Board, error) {
	var all []*Board
	for _, n := range Names() {
		b, err := Load(n)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// Device is a network device of the running kernel, as much of it as a Match asks for.
type Device struct {
	Name, Driver, PhysPortName, Path, MAC string
	Up                                    bool
}

// Fits says whether d is what m describes.
func (m Match) Fits(d Device) bool {
	return (m.Driver == "" || m.Driver == d.Driver) &&
		(m.PhysPortName == "" || m.PhysPortName == d.PhysPortName) &&
		(m.KernelName == "" || m.KernelName == d.Name) &&
		(m.Path == "" || strings.Contains("/"+d.Path+"/", "/"+m.Path+"/"))
}

// PortsOf returns the ports that have one of the roles.
func (b *Board) PortsOf(roles ...string) []Port {
	var out []Port
	for _, p := range b.Ports {
		if slices.Contains(roles, p.Role) {
			out = append(out, p)
		}
	}
	return out
}
