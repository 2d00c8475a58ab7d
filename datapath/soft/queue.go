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
// port.
type queues struct {
	mu     sync.Mutex
	active []*queue // ports with upcalls, the next first
	bytes  int
	wake   chan struct{} // holds one token if there may be upcalls
}

func newQueues() *queues { return &queues{wake: make(chan struct{}, 1)} }

// push adds an upcall, whose packet data the queue keeps, to q. At a bound of q
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
		big.ups[last] = dpif.Upcall{}
		big.ups = big.ups[:last]
		big.dropped.Add(1)
		if last == 0 {
			s.active = slices.DeleteFunc(s.active, func(o *queue) bool { return o == big })
		}
	}
	if len(q.ups) == 0 {
		s.active = append(s.active, q)
	}
	q.put(u)
	q.bytes += n
	s.bytes += n
	s.signal()
	return true
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

// pop returns the oldest upcall of the port whose turn it is.
func (s *queues) pop() (u dpif.Upcall, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.active) == 0 {
		return u, false
	}
	q := s.active[0]
	u = q.ups[0]
	q.ups[0] = dpif.Upcall{}
	q.ups = q.ups[1:]
	n := len(q.ups)
	q.bytes -= len(u.Packet.Data)
	s.bytes -= len(u.Packet.Data)
	s.active = slices.Delete(s.active, 0, 1)
	if n > 0 {
		s.active = append(s.active, q)
	}
	if len(s.active) > 0 {
		s.signal() // for another goroutine that waits
	}
	return u, true
}

// wait waits for an upcall until ctx or done ends.
func (s *queues) wait(ctx context.Context, done <-chan struct{}) (dpif.Upcall, bool) {
	for {
		if ctx.Err() != nil {
			return dpif.Upcall{}, false
		}
		if u, ok := s.pop(); ok {
			return u, true
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		case <-done:
			return dpif.Upcall{}, false
		}
	}
}

// drop forgets q's upcalls and refuses more.
func (s *queues) drop(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.gone = true
	s.bytes -= q.bytes
	q.ups, q.room, q.bytes = nil, nil, 0
	s.active = slices.DeleteFunc(s.active, func(o *queue) bool { return o == q })
}
