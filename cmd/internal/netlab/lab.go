// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps the names of namespaces.
const netnsDir = "/run/netns"

// Lab is a set of namespaces. The zero Lab is not usable; see New.
type Lab struct {
	prefix string
	spaces []*Namespace
}

// New returns an empty lab whose namespaces are named prefix-<pid>-<name>. It
// fails where this process may not make namespaces or the ip program is missing.
func New(prefix string) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("network namespaces need the ip program (iproute2): %w", err)
	}
	return &Lab{prefix: fmt.Sprintf("%s-%d", prefix, os.Getpid())}, nil
}

// Prefix returns what the names of all namespaces of the lab begin with.
func (l *Lab) Prefix() string { return l.prefix }

// Namespace makes a network namespace with its loopback up and IPv6 off: no
// packet flows in the lab that nobody sent.
func (l *Lab) Namespace(name string) (*Namespace, error) {
	n := &Namespace{Name: l.prefix + "-" + name}
	if err := ip("netns", "add", n.Name); err != nil {
		return nil, err
	}
	l.spaces = append(l.spaces, n)
	var err error
	if n.fd, err = netns.GetFromPath(filepath.Join(netnsDir, n.Name)); err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", n.Name, err)
	}
	if n.links, err = netlink.NewHandleAt(n.fd); err != nil {
		return nil, fmt.Errorf("netlink socket in %s: %w", n.Name, err)
	}
	if err := n.Do(func() error {
		for _, which := range []string{"all", "default"} {
			f := "/proc/sys/net/ipv6/conf/" + which + "/disable_ipv6"
			if err := os.WriteFile(f, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("switch IPv6 off in %s: %w", n.Name, err)
	}
	return n, n.Up("lo")
}

// Close takes the namespaces away, and with them their links. What cannot be
// removed is in the error; the rest is removed all the same.
func (l *Lab) Close() error {
	var errs []error
	for _, n := range l.spaces {
		if n.links != nil {
			n.links.Close()
		}
		if n.fd > 0 {
			n.fd.Close()
		}
		errs = append(errs, ip("netns", "del", n.Name))
	}
	l.spaces = nil
	return errors.Join(errs...)
}

// Sweep takes away the namespaces of labs with a prefix whose processes are
// not there any more: what a kill -9 left behind. Failures are left for the next.
func Sweep(prefix string) {
	names, err := Left(prefix + "-")
	if err != nil {
		return
	}
	for _, name := range names {
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, prefix+"-"), "-")
		if n, err := strconv.Atoi(pid); err != nil || n <= 0 || unix.Kill(n, 0) == nil {
			continue
		}
		_ = ip("netns", "del", name)
	}
}

// Left returns the names of namespaces that begin with prefix: what a lab
// that was not closed left behind.
func Left(prefix string) ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Veth makes a veth pair, an in a and bn in b, both up.
func (l *Lab) Veth(a *Namespace, an string, b *Namespace, bn string) error {
	v := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: an},
		PeerName:      bn,
		PeerNamespace: netlink.NsFd(b.fd),
	}
	if err := a.links.LinkAdd(v); err != nil {
		return fmt.Errorf("add veth pair %s/%s and %s/%s: %w", a.Name, an, b.Name, bn, err)
	}
	if err := a.Up(an); err != nil {
		return err
	}
	return b.Up(bn)
}

// Namespace is a network namespace of a lab.
type Namespace struct {
	Name  string // as in `ip netns list`
	fd    netns.NsHandle
	links *netlink.Handle
}

// Links returns a netlink socket in the namespace. It is closed by the lab.
func (n *Namespace) Links() *netlink.Handle { return n.links }

// Up sets a link up.
func (n *Namespace) Up(dev string) error {
	link, err := n.link(dev)
	if err != nil {
		return err
	}
	if err := n.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s/%s up: %w", n.Name, dev, err)
	}
	return nil
}

// Address gives a link an address with its prefix length ("10.0.0.1/24").
func (n *Namespace) Address(dev, cidr string) error {
	link, err := n.link(dev)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return fmt.Errorf("address %q: %w", cidr, err)
	}
	if err := n.links.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add %s to %s/%s: %w", cidr, n.Name, dev, err)
	}
	return nil
}

// Delete deletes a link.
func (n *Namespace) Delete(dev string) error {
	link, err := n.link(dev)
	if err != nil {
		return err
	}
	if err := n.links.LinkDel(link); err != nil {
		return fmt.Errorf("delete %s/%s: %w", n.Name, dev, err)
	}
	return nil
}

func (n *Namespace) link(dev string) (netlink.Link, error) {
	link, err := n.links.LinkByName(dev)
	if err != nil {
		return nil, fmt.Errorf("link %s/%s: %w", n.Name, dev, err)
	}
	return link, nil
}

// Do runs f on a thread that is in the namespace; sockets opened in f stay in
// it. f must not start goroutines that rely on the namespace.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is never unlocked and so ends with the goroutine: no
		// other goroutine can come to run in the wrong namespace.
		runtime.LockOSThread()
		if err := unix.Setns(int(n.fd), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter %s: %w", n.Name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Command returns a command that runs in the namespace, by `ip netns exec`,
// which replaces itself: the process id is the command's own. It is in a
// process group of its own, so that an interrupt from the terminal reaches it
// only through us.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
	cmd.SysProcAttr = ownGroup()
	return cmd
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
