// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weirswitch/weir/datapath/dpif"
)

// Bounds of waiting upcalls.
const (
	queuePackets = 64       // of a port
	queueBytes   = 1 << 20  // of a port
	queuesBytes  = 16 << 20 // of all ports
)

// Buffers that are used again: poolBuffers of them, for packets of less than poolSize bytes; 256 KiB.
const (
	poolSize    = 2048
	poolBuffers = 4 * dpif.MaxBatch
)

// queue holds the upcalls of one port, oldest first.
type queue struct {
	ups     []dpif.Upcall // at most queuePackets; a part of room
	room    []dpif.Upcall
	bytes   int
	dropped *atomic.Uint64
	gone    bool
}

// queues holds the upcalls of all ports and hands them out one port after the
// other, so that a port with few packets waits for at most one of each other
// port, and for the batch that is being handled.
type queues struct {
	mu     sync.Mutex
	active []*queue // ports with upcalls, the next first
	bytes  int
	spare  [][]byte      // of poolSize bytes
	lent   int           // such buffers that are in use
	wake   chan struct{} // holds one token if there may be upcalls
}

func newQueues() *queues { return &queues{wake: make(chan struct{}, 1)} }

// push adds an upcall, with a copy of its packet, to q. At a bound of q
// it is dropped; at the bound of all, the newest of the queue with most bytes
// is dropped for it, if that is another. Drops count at their own port.
func (s *queues) push(q *queue, u *dpif.Upcall) bool {
	n := len(u.Packet.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.gone || len(q.ups) >= queuePackets || q.bytes+n > queueBytes {
		q.dropped.Add(1)
		return false
	}
	for s.bytes+n > queuesBytes {
		big := q
		for _, o := range s.active {
			if o.bytes > big.bytes {
				big = o
			}
		}
		if big == q {
			q.dropped.Add(1)
			return false
		}
		last := len(big.ups) - 1
		s.bytes -= len(big.ups[last].Packet.Data)
		big.bytes -= len(big.ups[last].Packet.Data)
		s.release(&big.ups[last])
		big.ups = big.ups[:last]
		big.dropped.Add(1)
		if last == 0 {
			s.active = slices.DeleteFunc(s.active, func(o *queue) bool { return o == big })
		}
	}
	if len(q.ups) == 0 {
		s.active = append(s.active, q)
	}
	u.Packet.Data = append(s.buffer(n), u.Packet.Data...)
	q.put(u)
	q.bytes += n
	s.bytes += n
	s.signal()
	return true
}

// buffer returns an empty one for n bytes: of the pool, or if that has none, just as large.
func (s *queues) buffer(n int) []byte {
	if n >= poolSize || s.lent == poolBuffers {
		return make([]byte, 0, max(n, 1))
	}
	s.lent++
	if l := len(s.spare); l > 0 {
		b := s.spare[l-1]
		s.spare = s.spare[:l-1]
		return b
	}
	return make([]byte, 0, poolSize)
}

// release takes back the buffer of an upcall that nobody uses any more. mu is held.
func (s *queues) release(u *dpif.Upcall) {
	if b := u.Packet.Data; len(b) < poolSize && cap(b) == poolSize {
		s.spare = append(s.spare, b[:0])
		s.lent--
	}
	*u = dpif.Upcall{}
}

// free does release for upcalls that were handled.
func (s *queues) free(us []dpif.Upcall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range us {
		s.release(&us[i])
	}
}

// put appends u. What waits moves to the front of room only when it has come to the
// end, and room is twice as large: once an upcall.
func (q *queue) put(u *dpif.Upcall) {
	if len(q.ups) == cap(q.ups) {
		n := len(q.ups)
		if cap(q.room) < 2*n+4 {
			q.room = make([]dpif.Upcall, 4*n+4)
		}
		copy(q.room, q.ups)
		clear(q.room[n:])
		q.ups = q.room[:n]
	}
	q.ups = append(q.ups, *u)
}

func (s *queues) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pop moves upcalls to us, the oldest of each port in turn, and returns how many.
func (s *queues) pop(us []dpif.Upcall) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; n < len(us) && len(s.active) > 0; n++ {
		q := s.active[0]
		us[n] = q.ups[0]
		q.ups[0] = dpif.Upcall{}
		q.ups = q.ups[1:]
		size := len(us[n].Packet.Data)
		q.bytes -= size
		s.bytes -= size
		copy(s.active, s.active[1:])
		if last := len(s.active) - 1; len(q.ups) > 0 {
			s.active[last] = q
		} else {
			s.active[last] = nil
			s.active = s.active[:last]
		}
	}
	if len(s.active) > 0 {
		s.signal() // for another goroutine that waits
	}
	return n
}

// wait waits for upcalls until ctx or done ends, and moves them to us.
func (s *queues) wait(ctx context.Context, done <-chan struct{}, us []dpif.Upcall) (int, bool) {
	for {
		if ctx.Err() != nil {
			return 0, false
		}
		if n := s.pop(us); n > 0 {
			return n, true
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		case <-done:
			return 0, false
		}
	}
}

// drop forgets q's upcalls and refuses more.
func (s *queues) drop(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.gone = true
	s.bytes -= q.bytes
	for i := range q.ups {
		s.release(&q.ups[i])
	}
	q.ups, q.room, q.bytes = nil, nil, 0
	s.active = slices.DeleteFunc(s.active, func(o *queue) bool { return o == q })
}
