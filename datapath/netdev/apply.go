// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// EnsureInternal makes or adopts an internal port and returns it as it is then.
// Done again it changes nothing. It is called on a thread of the namespace that
// l was opened in.
func (l *Links) EnsureInternal(w Internal) (InternalPort, error) {
	present, err := l.List()
	if err != nil {
		return InternalPort{}, err
	}
	ops, err := PlanInternals(present, []Internal{w}, true)
	if err != nil {
		return InternalPort{}, err
	}
	if err := l.Apply(ops); err != nil {
		return InternalPort{}, err
	}
	if len(ops) > 0 {
		if present, err = l.List(); err != nil {
			return InternalPort{}, err
		}
	}
	for _, p := range pairs(present) {
		if p.Name == w.Name {
			return p, nil
		}
	}
	return InternalPort{}, fmt.Errorf("internal port %s went as it was made: %w", w.Name, unix.ENODEV)
}

// Internals returns the internal ports that there are.
func (l *Links) Internals() ([]InternalPort, error) {
	present, err := l.List()
	return pairs(present), err
}

// InternalsAmong returns the internal ports among devices that List returned.
func InternalsAmong(present []Link) []InternalPort { return pairs(present) }

// DeleteInternal deletes an internal port; it is no error if it is not there.
func (l *Links) DeleteInternal(name string) error {
	ps, err := l.Internals()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if p.Name == name {
			return l.Delete(p.Far.Index)
		}
	}
	return nil
}

// Apply does the steps in order; it stops at the first that fails.
func (l *Links) Apply(ops []Op) error {
	for _, o := range ops {
		if err := l.apply(o); err != nil {
			return fmt.Errorf("%v: %w", o, err)
		}
	}
	return nil
}

func (l *Links) apply(o Op) error {
	if o.Kind == OpCreate {
		a := netlink.NewLinkAttrs()
		a.Name = o.Name
		return l.h.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: FarName(o.Name)})
	}
	index := o.Index
	if index == 0 {
		name := o.Name
		if o.Far {
			name = FarName(name)
		}
		d, err := l.ByName(name)
		if err != nil {
			return err
		}
		index = d.Index
	}
	switch o.Kind {
	case OpDelete:
		return l.Delete(index)
	case OpQuiet:
		return l.quiet(index, o.Name)
	case OpSetMAC:
		return l.SetMAC(index, o.MAC)
	case OpSetMTU:
		return l.SetMTU(index, o.MTU)
	case OpSetUp:
		return l.SetUp(index, true)
	}
	return fmt.Errorf("unknown step %d", o.Kind)
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE (linux/if_link.h).
const addrGenNone = 1

// quiet keeps the kernel from sending anything by itself on the far end of an
// internal port: no IPv6 addresses, and so no router solicitations and
// multicast reports.
func (l *Links) quiet(index int, name string) error {
	// Without IPv6 in the kernel there is nothing to turn off.
	err := l.h.LinkSetIP6AddrGenMode(device(index), addrGenNone)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("turn IPv6 address generation off: %w", err)
	}
	// With forwarding on, a device without addresses still joins the all-routers groups.
	err = os.WriteFile("/proc/sys/net/ipv6/conf/"+FarName(name)+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("turn IPv6 off: %w", err)
	}
	return l.h.LinkSetAlias(device(index), aliasPrefix+name)
}
