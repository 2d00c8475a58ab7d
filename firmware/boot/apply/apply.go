// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/firmware/boot"
)

// Machine is the machine that runs, or what a test puts in the place of its folders.
type Machine struct {
	Sys     string // "/sys"
	Modules string // folder of kernel modules, flat: "/lib/modules"
	nl      *netlink.Handle
}

// New returns the machine that the process runs on, with the network of the calling
// thread's namespace.
func New() (*Machine, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &Machine{Sys: "/sys", Modules: "/lib/modules", nl: nl}, nil
}

// Close closes the netlink socket.
func (m *Machine) Close() { m.nl.Close() }

// Do does one step. What is there already is no error; what an Optional step needs and
// the kernel does not have is none either.
func (m *Machine) Do(s boot.Step) error {
	err := m.do(s)
	if err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}

func (m *Machine) do(s boot.Step) error {
	switch s := s.(type) {
	case boot.Dir:
		return bare(os.MkdirAll(s.Path, 0o755))
	case boot.Mount:
		return mount(s)
	case boot.Write:
		err := os.WriteFile(s.Path, []byte(s.Text+"\n"), 0o644)
		if s.Optional && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return bare(err)
	case boot.Symlink:
		return symlink(s)
	case boot.Hostname:
		return unix.Sethostname([]byte(s.Name))
	case boot.Module:
		return m.load(s.Name)
	case boot.Rename:
		return m.withLink(s.From, func(l netlink.Link) error { return m.nl.LinkSetName(l, s.To) })
	case boot.Link:
		return m.withLink(s.Name, func(l netlink.Link) error {
			if s.Up {
				return m.nl.LinkSetUp(l)
			}
			return m.nl.LinkSetDown(l)
		})
	case boot.Address:
		return m.withLink(s.Name, func(l netlink.Link) error {
			p := s.Prefix
			a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
			return m.nl.AddrReplace(l, a)
		})
	case boot.Route:
		return m.withLink(s.Name, func(l netlink.Link) error {
			family := net.IPNet{IP: make(net.IP, s.Via.BitLen()/8), Mask: net.CIDRMask(0, s.Via.BitLen())}
			return m.nl.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: &family, Gw: s.Via.AsSlice()})
		})
	case boot.Warn:
		return nil
	}
	return fmt.Errorf("no way to do a %T", s)
}

// bare takes the operation and path off an error of package os: the step's text has
// them.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func mount(s boot.Mount) error {
	if err := os.MkdirAll(s.Target, 0o755); err != nil {
		if s.Optional { // sysfs has folders for what the kernel can mount
			return nil
		}
		return bare(err)
	}
	flags := uintptr(unix.MS_NOSUID)
	if !s.Exec {
		flags |= unix.MS_NOEXEC
	}
	err := unix.Mount(s.Type, s.Target, s.Type, flags, s.Data)
	switch {
	case errors.Is(err, unix.EBUSY): // mounted there already
		return nil
	case s.Optional && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT)):
		return nil
	}
	return err
}

// symlink makes the link; a directory or file that is in its place stays and is an
// error.
func symlink(s boot.Symlink) error {
	err := os.Symlink(s.Target, s.Path)
	if errors.Is(err, fs.ErrExist) {
		if have, e := os.Readlink(s.Path); e == nil && have == s.Target {
			return nil
		}
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}

func (m *Machine) withLink(name string, f func(netlink.Link) error) error {
	l, err := m.nl.LinkByName(name)
	if err != nil {
		return err
	}
	return f(l)
}

// line returns a file's text without white space at its ends, "" if there is none.
func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
