// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Hook is how the program is attached to a device.
type Hook uint8

const (
	HookAuto   Hook = iota // tcx where the kernel has it, else clsact
	HookTCX                // tcx (Linux 6.6): the link goes with the process that holds it
	HookClsact             // a direct-action filter on a clsact qdisc
)

func (h Hook) String() string {
	return [...]string{"auto", "tcx", "clsact"}[h]
}

// filterName is the name of our clsact filter, by which a later daemon
// recognises one that a crashed one left.
const filterName = "weir"

// attachment is one device's ingress program. A detach that waits returns when the
// program does not run on the device any more; after another it may for a
// grace period.
type attachment interface {
	detach() error
	waits() bool
}

// attach puts prog first on the ingress of a device. It removes what an earlier
// daemon left there.
func attach(h *netlink.Handle, hook Hook, ifindex int, prog *ebpf.Program) (attachment, Hook, error) {
	nl, err := h.LinkByIndex(ifindex)
	if err != nil {
		return nil, hook, fmt.Errorf("find device %d: %w", ifindex, err)
	}
	if err := removeFilter(h, nl); err != nil {
		return nil, hook, err
	}
	if hook != HookClsact {
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: ifindex, Program: prog, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
		})
		switch {
		case err == nil:
			return tcx{l}, HookTCX, nil
		case hook == HookTCX || !errors.Is(err, ebpf.ErrNotSupported):
			return nil, hook, fmt.Errorf("attach to tcx ingress of %s: %w", nl.Attrs().Name, err)
		}
	}
	a, err := attachFilter(h, nl, prog)
	return a, HookClsact, err
}

type tcx struct{ link link.Link }

func (t tcx) detach() error {
	if err := t.link.Close(); err != nil {
		return fmt.Errorf("detach from tcx ingress: %w", err)
	}
	return nil
}

// waits: the kernel does (include/net/tcx.h, tcx_entry_sync).
func (t tcx) waits() bool { return true }

type clsact struct {
	h     *netlink.Handle
	link  netlink.Link
	qdisc netlink.Qdisc // to delete, nil if it was there before
}

func newClsact(ifindex int) netlink.Qdisc {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0),
	}}
}

func newFilter(ifindex int, fd int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: fd, Name: filterName, DirectAction: true,
	}
}

func attachFilter(h *netlink.Handle, nl netlink.Link, prog *ebpf.Program) (attachment, error) {
	at, name := clsact{h: h, link: nl}, nl.Attrs().Name
	q := newClsact(nl.Attrs().Index)
	switch err := h.QdiscAdd(q); {
	case err == nil:
		at.qdisc = q
	case !errors.Is(err, unix.EEXIST):
		return nil, fmt.Errorf("add clsact to %s: %w", name, err)
	}
	if err := h.FilterAdd(newFilter(nl.Attrs().Index, prog.FD())); err != nil {
		err = fmt.Errorf("add filter of preference 1 to clsact ingress of %s: %w", name, err)
		if at.qdisc != nil {
			err = errors.Join(err, h.QdiscDel(q))
		}
		return nil, err
	}
	return at, nil
}

// detach removes the filter, and the qdisc if it was ours and nobody else's filter
// is on it now. A device that is gone took them with it.
func (c clsact) detach() error {
	err := removeFilter(c.h, c.link)
	if err != nil || c.qdisc == nil {
		return err
	}
	for _, parent := range [...]uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if fs, err := c.h.FilterList(c.link, parent); err != nil || len(fs) > 0 {
			return nil
		}
	}
	if err := c.h.QdiscDel(c.qdisc); err != nil && !gone(err) {
		return fmt.Errorf("delete clsact of %s: %w", c.link.Attrs().Name, err)
	}
	return nil
}

func (c clsact) waits() bool { return false }

// removeFilter deletes our filters from the clsact ingress of a device.
func removeFilter(h *netlink.Handle, nl netlink.Link) error {
	fs, err := h.FilterList(nl, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return nil // no clsact, or no device
	}
	for _, f := range fs {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == filterName {
			if err := h.FilterDel(f); err != nil && !gone(err) {
				return fmt.Errorf("delete filter of %s: %w", nl.Attrs().Name, err)
			}
		}
	}
	return nil
}

// gone reports whether err says that the object or its device is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}
