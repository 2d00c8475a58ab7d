// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/firmware/base/order"
)

// Link is a network device as it was when it was read.
type Link struct {
	Index   int
	Name    string
	Kind    string // rtnl_link_ops.kind: "veth", "bridge", "device" for a plain one
	Alias   string
	MAC     net.HardwareAddr
	MTU     int  // bytes of payload of an Ethernet frame
	Up      bool // the administrator's wish: IFF_UP
	Carrier bool // IFF_LOWER_UP: there is a link
	Running bool // operationally up (RFC 2863): the kernel sends; a moment behind Carrier
	Master  int  // index of the bridge or bond that it is a member of, 0: none
	// Peer is the index of a veth's other end, or of the device that this one is stacked on; 0: none.
	Peer int
	// PeerElsewhere says that Peer is an index of another network namespace.
	PeerElsewhere bool
	Stats         LinkStats
}

// LinkStats are a device's counters since it was made (struct
// rtnl_link_stats64, linux/if_link.h).
type LinkStats = netlink.LinkStatistics64

func linkOf(nlk netlink.Link) Link {
	a := nlk.Attrs()
	l := Link{
		Index: a.Index, Name: a.Name, Kind: nlk.Type(), Alias: a.Alias,
		MAC: slices.Clone(a.HardwareAddr), MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
		Running: a.OperState == netlink.OperUp,
		Master:  a.MasterIndex, Peer: a.ParentIndex, PeerElsewhere: a.NetNsID >= 0,
	}
	if a.Statistics != nil {
		l.Stats = LinkStats(*a.Statistics)
	}
	return l
}

// Links reads and changes the devices of one network namespace.
type Links struct {
	h   *netlink.Handle
	ns  netns.NsHandle
	eth int // socket for ethtool's ioctl
}

// OpenLinks opens the network namespace of the calling thread.
func OpenLinks() (l *Links, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open rtnetlink: %w", err)
		}
	}()
	ns, err := netns.Get()
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	eth, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		eth, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		h.Close()
		return nil, errors.Join(err, ns.Close())
	}
	return &Links{h: h, ns: ns, eth: eth}, nil
}

// Close frees what l holds. Watch ends by its context, not by Close.
func (l *Links) Close() {
	l.h.Close()
	unix.Close(l.eth)
	l.ns.Close()
}

// listTries bounds how often a listing that changed under our hands is read
// again.
const listTries = 10

// List returns all devices, by index.
func (l *Links) List() ([]Link, error) {
	var got []netlink.Link
	var err error
	for range listTries {
		if got, err = l.h.LinkList(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	links := make([]Link, len(got))
	for i, g := range got {
		links[i] = linkOf(g)
	}
	order.Sort(links, func(a, b Link) int { return a.Index - b.Index })
	return links, nil
}

// ByName returns the device of that name; errors.Is(err, unix.ENODEV) if there
// is none.
func (l *Links) ByName(name string) (Link, error) {
	g, err := l.h.LinkByName(name)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		return Link{}, fmt.Errorf("device %s: %w", name, unix.ENODEV)
	case err != nil:
		return Link{}, fmt.Errorf("device %s: %w", name, err)
	}
	return linkOf(g), nil
}

// device is a netlink.Link that is only an index.
func device(index int) netlink.Link {
	a := netlink.NewLinkAttrs()
	a.Index = index
	return &netlink.Device{LinkAttrs: a}
}

// SetUp sets the device administratively up or down.
func (l *Links) SetUp(index int, up bool) error {
	if up {
		return named(l.h.LinkSetUp(device(index)), "set device %d up", index)
	}
	return named(l.h.LinkSetDown(device(index)), "set device %d down", index)
}

// SetMTU sets the device's MTU in bytes.
func (l *Links) SetMTU(index, mtu int) error {
	return named(l.h.LinkSetMTU(device(index), mtu), "set MTU %d of device %d", mtu, index)
}

// SetMAC sets the device's address.
func (l *Links) SetMAC(index int, mac net.HardwareAddr) error {
	return named(l.h.LinkSetHardwareAddr(device(index), mac), "set address %v of device %d", mac, index)
}

// Delete removes a virtual device, a veth with its peer. It is no error if it
// is gone.
func (l *Links) Delete(index int) error {
	err := l.h.LinkDel(device(index))
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return named(err, "delete device %d", index)
}

func named(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// Event is a change of a device.
type Event struct {
	// Resync says that anything may have changed: List again. The first event
	// is one, and each behind a loss of events.
	Resync bool
	Gone   bool // the device is no longer in this namespace
	Link   Link // as it is now, or was; without Resync
}

// watchBuffer bounds the kernel's memory for events that wait, in bytes.
const watchBuffer = 1 << 20

// Watch calls handle for every change of a device: made, gone, renamed, up,
// down, any other. When the kernel had to drop events it calls it with Resync.
// It returns nil when ctx ends.
func (l *Links) Watch(ctx context.Context, handle func(Event)) error {
	s, err := nl.SubscribeAt(l.ns, netns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch devices: %w", err)
	}
	_ = s.SetReceiveBufferSize(watchBuffer, false)
	defer context.AfterFunc(ctx, s.Close)()
	defer s.Close()
	handle(Event{Resync: true})
	for {
		msgs, from, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			handle(Event{Resync: true})
			continue
		case err != nil:
			return fmt.Errorf("watch devices: %w", err)
		case from.Pid != 0: // not the kernel
			continue
		}
		for _, m := range msgs {
			if len(m.Data) < unix.SizeofIfInfomsg || nl.DeserializeIfInfomsg(m.Data).Family != unix.AF_UNSPEC {
				continue // of a bridge's member
			}
			if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK {
				continue
			}
			h := unix.NlMsghdr(m.Header)
			g, err := netlink.LinkDeserialize(&h, m.Data)
			if err != nil {
				handle(Event{Resync: true})
				continue
			}
			handle(Event{Gone: m.Header.Type == unix.RTM_DELLINK, Link: linkOf(g)})
		}
	}
}
