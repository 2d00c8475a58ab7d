// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/weirswitch/weir/datapath/dpif"
)

// packetInsPerPort is how many packets for controllers wait for each port of arrival.
const packetInsPerPort = 64

// fair is a queue of packet-ins with a bound for each port of arrival, served
// round robin, so that a port that floods loses its own packets and delays others by one.
type fair struct {
	mu    sync.Mutex
	ports map[dpif.Port][]Async
	turn  []dpif.Port // ports with packets, the next to be served first
	bound int
	wake  chan struct{}
	drops atomic.Uint64
}

func newFair(bound int) *fair {
	return &fair{ports: make(map[dpif.Port][]Async), bound: bound, wake: make(chan struct{}, 1)}
}

func (f *fair) put(p dpif.Port, a Async) {
	f.mu.Lock()
	q := f.ports[p]
	if len(q) >= f.bound {
		f.mu.Unlock()
		f.drops.Add(1)
		return
	}
	if len(q) == 0 {
		f.turn = append(f.turn, p)
	}
	f.ports[p] = append(q, a)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fair) get() (a Async, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.turn) == 0 {
		return a, false
	}
	p := f.turn[0]
	f.turn = f.turn[1:]
	q := f.ports[p]
	a = q[0]
	if len(q) > 1 {
		q[0] = Async{}
		f.ports[p] = q[1:]
		f.turn = append(f.turn, p)
	} else {
		delete(f.ports, p)
	}
	return a, true
}

func (f *fair) run(ctx context.Context, send func(Async)) {
	for {
		for {
			a, ok := f.get()
			if !ok {
				break
			}
			send(a)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
	}
}
