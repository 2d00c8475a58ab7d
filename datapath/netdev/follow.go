// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Follower knows the devices of a network namespace as they are at the moment that it is
// asked, without a listing each time: the kernel puts its notice of a change into our
// socket before the change is done, so that reading what is there brings the copy up to date.
//
// Notices do not tell all: of a veth that is made, and of one whose peer goes, the field Peer
// comes late or never. Devices that come or go therefore lead to one listing, and so does
// a loss of notices. Of an alias that a device gets while it is down there is no notice at all:
// who sets one calls Refresh. Counters are those of the last listing or notice.
//
// A Follower belongs to one goroutine.
type Follower struct {
	l     *Links
	fd    int
	links []Link      // by index
	at    map[int]int // place in links
	seqs  []uint64    // of each
	stale bool
	seq   uint64
	buf   []byte
}

// Follow returns a Follower of l's namespace, which must be that of the calling thread. Close it.
func (l *Links) Follow() (*Follower, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("follow devices: socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("follow devices: bind: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, watchBuffer)
	return &Follower{l: l, fd: fd, stale: true, buf: make([]byte, 64<<10)}, nil
}

// Close frees the socket.
func (f *Follower) Close() error { return unix.Close(f.fd) }

// Refresh makes the next Links list all devices, with their counters.
func (f *Follower) Refresh() { f.stale = true }

// Links returns all devices as they are now, by index. The list is the Follower's, and changes
// with the next call.
func (f *Follower) Links() ([]Link, error) {
	f.drain()
	if !f.stale {
		return f.links, nil
	}
	// Notices that come from here on are newer than the listing, or say the same.
	list, err := f.l.List()
	if err != nil {
		return nil, err
	}
	at, seqs := make(map[int]int, len(list)), make([]uint64, len(list))
	for i := range list {
		at[list[i].Index] = i
		if j, ok := f.at[list[i].Index]; ok && alike(&f.links[j], &list[i]) {
			seqs[i] = f.seqs[j]
		} else {
			f.seq++
			seqs[i] = f.seq
		}
	}
	f.links, f.at, f.seqs, f.stale = list, at, seqs, false
	return list, nil
}

// alike reports whether a and b differ in their counters at most.
func alike(a, b *Link) bool {
	return a.Index == b.Index && a.Name == b.Name && a.Kind == b.Kind && a.Alias == b.Alias && slices.Equal(a.MAC, b.MAC) &&
		a.MTU == b.MTU && a.Up == b.Up && a.Carrier == b.Carrier && a.Running == b.Running && a.Master == b.Master &&
		a.Peer == b.Peer && a.PeerElsewhere == b.PeerElsewhere
}

// Seq returns a number that changes when something about a device does, its counters
// excepted; 0: no such device.
func (f *Follower) Seq(index int) uint64 {
	if i, ok := f.at[index]; ok {
		return f.seqs[i]
	}
	return 0
}

// drain reads the notices that are there.
func (f *Follower) drain() {
	for {
		n, _, err := unix.Recvfrom(f.fd, f.buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.ENOBUFS):
			f.stale = true
			continue
		case err != nil, n > len(f.buf):
			f.stale = true
			return
		}
		msgs, err := syscall.ParseNetlinkMessage(f.buf[:n])
		if err != nil {
			f.stale = true
			continue
		}
		for _, m := range msgs {
			f.notice(&m)
		}
	}
}

func (f *Follower) notice(m *syscall.NetlinkMessage) {
	if f.stale || len(m.Data) < unix.SizeofIfInfomsg {
		return
	}
	info := nl.DeserializeIfInfomsg(m.Data)
	if info.Family != unix.AF_UNSPEC {
		return // of a bridge's member
	}
	i, ok := f.at[int(info.Index)]
	if m.Header.Type != unix.RTM_NEWLINK || !ok {
		f.stale = true
		return
	}
	h := unix.NlMsghdr(m.Header)
	g, err := netlink.LinkDeserialize(&h, m.Data)
	if err != nil {
		f.stale = true
		return
	}
	l, was := linkOf(g), &f.links[i]
	if was.Kind == "veth" && (l.Peer != was.Peer || l.PeerElsewhere != was.PeerElsewhere) {
		f.stale = true // and its peer is another's
		return
	}
	if !alike(was, &l) {
		f.seq++
		f.seqs[i] = f.seq
	}
	*was = l
}
