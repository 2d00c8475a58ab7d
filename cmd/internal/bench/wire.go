// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Wire is the two far ends of a switch: what goes in at one should come out at
// the other. Not for more than one goroutine.
type Wire struct {
	in, out int // AF_PACKET sockets
	buf     [FrameLen]byte
	room    [2048]byte
	next    uint32 // connection of the next frame
}

// OpenIn and OpenOut open a Wire's sockets, each in the namespace of the device; dev is
// its name.
func (w *Wire) OpenIn(dev string) (err error) {
	w.in, err = open(dev, 0)
	return err
}

// OpenOut is OpenIn for the device where frames come out.
func (w *Wire) OpenOut(dev string) (err error) {
	w.out, err = open(dev, 0x0300) // ETH_P_ALL in network byte order
	if err != nil {
		return err
	}
	// Room for all that may be under way, and a bound for the wait.
	if err := unix.SetsockoptInt(w.out, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		return fmt.Errorf("receive buffer of %s: %w", dev, err)
	}
	return unix.SetsockoptTimeval(w.out, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})
}

func open(dev string, proto uint16) (int, error) {
	ifc, err := net.InterfaceByName(dev)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return -1, fmt.Errorf("raw socket for %s: %w", dev, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifc.Index}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind to %s: %w", dev, err)
	}
	return fd, nil
}

// Close closes the sockets.
func (w *Wire) Close() error { return errors.Join(unix.Close(w.in), unix.Close(w.out)) }

// Result of a run.
type Result struct {
	Sent, Came int
	Took       time.Duration // without the wait for what was lost
}

// Run sends n frames of connections that were not seen before, with at most window of
// them under way, and counts what comes out. What has not come after 200 ms is
// lost and makes room.
func (w *Wire) Run(n, window int) (r Result, err error) {
	start := time.Now()
	last := start
	lost := 0
	for r.Came+lost < n {
		for r.Sent < n && r.Sent-r.Came-lost < window {
			Frame(w.buf[:], w.next)
			w.next++
			if _, err := unix.Write(w.in, w.buf[:]); err != nil {
				return r, fmt.Errorf("send: %w", err)
			}
			r.Sent++
		}
		ours, err := w.receive(0)
		silent := errors.Is(err, unix.EAGAIN)
		for err == nil {
			if ours {
				r.Came++
			}
			ours, err = w.receive(unix.MSG_DONTWAIT)
		}
		switch now := time.Now(); {
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return r, fmt.Errorf("receive: %w", err)
		case silent:
			lost = r.Sent - r.Came
			start, last = start.Add(now.Sub(last)), now // the wait is not the switch's work
		default:
			last = now
		}
	}
	r.Took = last.Sub(start)
	return r, nil
}

// receive reports whether a frame of the load came; an error if none came.
func (w *Wire) receive(flags int) (bool, error) {
	n, _, err := unix.Recvfrom(w.out, w.room[:], flags)
	return err == nil && n == FrameLen && w.room[23] == 17 && w.room[30] == 10 && w.room[32] == 2, err
}
