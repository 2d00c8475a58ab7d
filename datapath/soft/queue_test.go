// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
)

func up(port dpif.Port, seq uint32, n int) *dpif.Upcall {
	return &dpif.Upcall{InPort: port, Arg: seq, Packet: dpif.Packet{Data: make([]byte, n)}}
}

// TestQueues pushes and pops at random: each port's upcalls come in order, none
// is lost uncounted, all bounds hold, and a port that waits gets its turn.
func TestQueues(t *testing.T) {
	const seed, ports = 4, 40
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newQueues()
	var q [ports]queue
	var drops [ports]atomic.Uint64
	var pushed, popped [ports]uint64
	var last [ports]int64
	for i := range q {
		q[i].dropped = &drops[i]
		last[i] = -1
	}
	sawGlobal := false
	var one [1]dpif.Upcall
	for step := range 200000 {
		if r.IntN(5) > 0 != (step/20000%2 == 1) { // mostly pushing, then mostly popping
			p := r.IntN(ports)
			if r.IntN(2) == 0 {
				p = 0 // the flood
			}
			before := s.bytes
			if !s.push(&q[p], up(dpif.Port(p), uint32(step), 1+r.IntN(40000))) && len(q[p].ups) < queuePackets && before > queuesBytes-40000 {
				sawGlobal = true
			}
			pushed[p]++
		} else if n := s.pop(one[:]); n == 1 {
			u := &one[0]
			if int64(u.Arg) <= last[u.InPort] {
				t.Fatalf("port %d: upcall %d behind %d", u.InPort, u.Arg, last[u.InPort])
			}
			last[u.InPort] = int64(u.Arg)
			popped[u.InPort]++
			s.free(one[:])
		}
		if s.lent < 0 || s.lent+len(s.spare) > poolBuffers {
			t.Fatalf("%d buffers lent, %d spare", s.lent, len(s.spare))
		}
		sum, active := 0, 0
		for i := range q {
			if len(q[i].ups) > queuePackets || q[i].bytes > queueBytes {
				t.Fatalf("port %d: %d upcalls, %d bytes", i, len(q[i].ups), q[i].bytes)
			}
			sum += q[i].bytes
			if len(q[i].ups) > 0 {
				active++
			}
		}
		if sum != s.bytes || sum > queuesBytes || active != len(s.active) {
			t.Fatalf("%d bytes, %d counted; %d active, %d listed", sum, s.bytes, active, len(s.active))
		}
	}
	for i := range q {
		if pushed[i] != popped[i]+uint64(len(q[i].ups))+drops[i].Load() {
			t.Errorf("port %d: %d pushed, %d popped, %d wait, %d dropped", i, pushed[i], popped[i], len(q[i].ups), drops[i].Load())
		}
	}
	if !sawGlobal {
		t.Error("the bound of all ports was never met")
	}
	for i := range q {
		s.drop(&q[i])
	}
	if s.lent != 0 || s.bytes != 0 {
		t.Errorf("%d buffers and %d bytes left when all ports are gone", s.lent, s.bytes)
	}
}

// TestQueueTurn: one packet of a quiet port waits for one of each other at most.
func TestQueueTurn(t *testing.T) {
	s := newQueues()
	var d atomic.Uint64
	flood, quiet := queue{dropped: &d}, queue{dropped: &d}
	for i := range uint32(100) {
		s.push(&flood, up(1, i, 100))
	}
	s.push(&quiet, up(2, 0, 100))
	if d.Load() != 100-queuePackets {
		t.Errorf("%d dropped", d.Load())
	}
	us := make([]dpif.Upcall, 3)
	if n := s.pop(us); n != 3 || us[0].InPort != 1 || us[1].InPort != 2 || us[2].InPort != 1 {
		t.Errorf("%d upcalls of ports %d, %d, %d", n, us[0].InPort, us[1].InPort, us[2].InPort)
	}
	s.drop(&flood)
	if n := s.pop(us); n != 0 || s.bytes != 0 {
		t.Error("a deleted port's upcalls are left")
	}
	if s.push(&flood, up(1, 1, 1)) {
		t.Error("a deleted port queued an upcall")
	}
}

// TestQueueWait: several that wait get all that comes, and end by context or
// close.
func TestQueueWait(t *testing.T) {
	s := newQueues()
	var d atomic.Uint64
	q := queue{dropped: &d}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	got := make(chan uint32, 100)
	ended := make(chan struct{}, 3)
	for range 3 {
		go func() {
			us := make([]dpif.Upcall, 2)
			for {
				n, ok := s.wait(ctx, done, us)
				if !ok {
					ended <- struct{}{}
					return
				}
				for _, u := range us[:n] {
					got <- u.Arg
				}
			}
		}()
	}
	for i := range uint32(50) {
		s.push(&q, up(1, i, 10))
	}
	sum := uint32(0)
	for range 50 {
		select {
		case v := <-got:
			sum += v
		case <-time.After(5 * time.Second):
			t.Fatal("an upcall was not delivered")
		}
	}
	if sum != 49*50/2 {
		t.Errorf("sum %d", sum)
	}
	cancel()
	close(done)
	for range 3 {
		<-ended
	}
}
