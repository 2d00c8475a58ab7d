// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bounds of a RawBatch.
const (
	rawBatchFrames = 64
	rawBatchBytes  = 64 << 10
)

// RawBatch collects frames for any sockets and sends those of a socket with one system
// call, in the order in which they were added. It holds at most 64 frames and 64 KiB. For one
// goroutine; the zero value is ready.
type RawBatch struct {
	n    int
	sock [rawBatchFrames]*RawSocket
	vnet [rawBatchFrames]VnetHdr
	at   [rawBatchFrames]int // of the frame in buf
	end  [rawBatchFrames]int
	buf  []byte

	// Of the socket that is being sent on.
	msgs   [rawBatchFrames]mmsghdr
	iov    [rawBatchFrames][2]unix.Iovec
	index  [rawBatchFrames]int
	num    int
	sent   int
	err    syscall.Errno
	sendFn func(fd uintptr) bool
}

// Add adds a copy of a frame for s. It returns false, and has added nothing, if there is no
// room: Flush first. A frame of more than 64 KiB never fits; Send takes it.
func (b *RawBatch) Add(s *RawSocket, frame []byte, vnet *VnetHdr) bool {
	if b.n == rawBatchFrames || len(b.buf)+len(frame) > rawBatchBytes || len(frame) == 0 {
		return false
	}
	i := b.n
	b.sock[i], b.vnet[i], b.at[i] = s, *vnet, len(b.buf)
	b.buf = append(b.buf, frame...)
	b.end[i] = len(b.buf)
	b.n++
	return true
}

// Flush sends what was added and calls done for each frame, by its number in the order
// of Add, with the length and the error for which it was lost, if it was. Frames of one socket go
// in order.
func (b *RawBatch) Flush(done func(i, length int, err error)) {
	if b.sendFn == nil {
		b.sendFn = b.sendmmsg
	}
	for i := range b.n {
		s := b.sock[i]
		if s == nil {
			continue // gone with one before
		}
		b.num = 0
		for j := i; j < b.n; j++ {
			if b.sock[j] == s {
				b.prepare(j)
			}
		}
		for k := 0; k < b.num; {
			b.sent = k
			b.err = 0
			err := s.outRaw.Write(b.sendFn)
			for ; k < b.sent; k++ {
				done(b.index[k], b.length(b.index[k]), nil)
			}
			if err == nil && b.err != 0 {
				err = b.err
			}
			if err != nil && k < b.num { // lost; what is behind it may still go
				done(b.index[k], b.length(b.index[k]), err)
				k++
			}
		}
	}
	b.n, b.buf = 0, b.buf[:0]
}

func (b *RawBatch) length(i int) int { return b.end[i] - b.at[i] }

// prepare takes frame j into the messages of its socket.
func (b *RawBatch) prepare(j int) {
	k := b.num
	b.index[k] = j
	b.iov[k][0].Base = &b.vnet[j][0]
	b.iov[k][0].SetLen(len(b.vnet[j]))
	b.iov[k][1].Base = &b.buf[b.at[j]]
	b.iov[k][1].SetLen(b.length(j))
	h := &b.msgs[k].hdr
	h.Iov = &b.iov[k][0]
	h.SetIovlen(2)
	b.sock[j] = nil
	b.num++
}

// sendmmsg sends messages from number sent on and moves that on. An error is that of the next
// message (sendmmsg(2): one that is not the first is left to the next call).
func (b *RawBatch) sendmmsg(fd uintptr) bool {
	for {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[b.sent])), uintptr(b.num-b.sent), unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if b.err = e; e == 0 {
			b.sent += int(n)
		}
		return true
	}
}
