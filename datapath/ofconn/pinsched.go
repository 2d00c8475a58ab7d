// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"slices"
	"time"
)

// Terms are what the configuration says of a connection, or of those that come to a
// listener.
type Terms struct {
	PacketIns PacketInLimits
	// NoAsync: it begins with an empty asynchronous configuration, and gets what it asks
	// for by SetAsync or Nicira's (Controller:enable_async_messages).
	NoAsync bool
}

// PacketInLimits hold back packet-ins of one connection (ovs-vswitchd.conf.db(5), Controller). Zero values
// mean the defaults.
type PacketInLimits struct {
	Rate  int // a second; 0: no limit
	Burst int // that may come at once, and wait; default a quarter of the rate, at least 1
	Queue int // that wait for the peer to take them, with or without Rate; default 100, at most 512
}

const (
	defaultPinQueue = 100
	maxPinQueue     = 512
)

func (l PacketInLimits) withDefaults() PacketInLimits {
	if l.Queue <= 0 {
		l.Queue = defaultPinQueue
	}
	l.Queue = min(l.Queue, maxPinQueue)
	if l.Burst <= 0 {
		l.Burst = l.Rate / 4
	}
	l.Burst = max(l.Burst, 1)
	return l
}

// pinSched is a token bucket with a queue for each port of arrival, served round
// robin. At most Burst packet-ins wait; at that bound a new one drives out the last of
// the longest queue, so a port that floods loses its own. It has no clock and no lock.
type pinSched struct {
	lim     PacketInLimits
	tokens  time.Duration // in time: a packet-in costs a second / Rate
	last    time.Time
	queues  map[uint32][][]byte
	turn    []uint32 // ports with packet-ins, the next to be served first
	n       int
	dropped uint64
}

func newPinSched(l PacketInLimits) *pinSched {
	return &pinSched{lim: l.withDefaults(), queues: make(map[uint32][][]byte)}
}

func (s *pinSched) cost() time.Duration { return max(time.Second/time.Duration(max(s.lim.Rate, 1)), 1) }

func (s *pinSched) fill(now time.Time) {
	full := s.cost() * time.Duration(s.lim.Burst)
	if s.last.IsZero() {
		s.tokens = full
	} else if d := now.Sub(s.last); d > 0 {
		s.tokens = min(s.tokens+min(d, full), full)
	}
	s.last = now
}

// put takes a packet-in that came by port.
func (s *pinSched) put(port uint32, b []byte) {
	if s.n >= s.lim.Burst {
		s.dropped++
		victim, most := port, len(s.queues[port])
		for _, p := range s.turn {
			if n := len(s.queues[p]); n > most {
				victim, most = p, n
			}
		}
		if victim == port {
			return // it is the longest queue's last itself
		}
		q := s.queues[victim]
		q[len(q)-1] = nil
		s.queues[victim] = q[:len(q)-1]
		if s.n--; len(q) == 1 {
			delete(s.queues, victim)
			s.turn = slices.DeleteFunc(s.turn, func(p uint32) bool { return p == victim })
		}
	}
	if len(s.queues[port]) == 0 {
		s.turn = append(s.turn, port)
	}
	s.queues[port] = append(s.queues[port], b)
	s.n++
}

// get returns the next packet-in if it may be sent at now.
func (s *pinSched) get(now time.Time) ([]byte, bool) {
	s.fill(now)
	if s.n == 0 || s.tokens < s.cost() {
		return nil, false
	}
	s.tokens -= s.cost()
	port := s.turn[0]
	s.turn = s.turn[1:]
	q := s.queues[port]
	b := q[0]
	q[0] = nil
	if len(q) > 1 {
		s.queues[port] = q[1:]
		s.turn = append(s.turn, port)
	} else {
		delete(s.queues, port)
	}
	s.n--
	return b, true
}

// wait is how long to wait before get has something; false: nothing is queued.
func (s *pinSched) wait() (time.Duration, bool) {
	return max(s.cost()-s.tokens, 0), s.n > 0
}

// sendPacketIn sends b, which came by port, now or when the limits of the connection allow.
func (c *Conn) sendPacketIn(port uint32, b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.pins == nil {
		return c.pushPin(b)
	}
	was := c.pins.dropped
	c.pins.put(port, b)
	c.dropped.Add(c.pins.dropped - was)
	c.servePins()
	return c.pins.dropped == was
}

// servePins sends what may be sent, and comes back for the rest. c.mu is held.
func (c *Conn) servePins() {
	for {
		b, ok := c.pins.get(c.sw.opt.Now())
		if !ok {
			break
		}
		c.pushPin(b)
	}
	if d, ok := c.pins.wait(); ok && !c.pinTimer && !c.closed {
		c.pinTimer = true
		time.AfterFunc(max(d, time.Millisecond), func() {
			defer c.contain()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.pinTimer = false
			if !c.closed {
				c.servePins()
			}
		})
	}
}

// pushPin queues a packet-in for the writer, if not too many wait there. c.mu is held.
func (c *Conn) pushPin(b []byte) bool {
	if c.pinsQueued >= c.limits.Queue || c.queued+len(b) > c.sw.opt.Queue {
		c.dropped.Add(1)
		return false
	}
	c.pinsQueued++
	c.queue = append(c.queue, item{b, true})
	c.queued += len(b)
	c.cond.Broadcast()
	return true
}
