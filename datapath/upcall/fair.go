// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weirswitch/weir/datapath/dpif"
)

// Bounds of packets for controllers that wait: for each port of arrival, and bytes for all.
const (
	packetInsPerPort = 64
	packetInBytes    = 256 << 10 // of a port; the first that waits may be longer
	packetInsBytes   = 8 << 20   // of all ports
)

// fair is a queue of packet-ins with bounds for each port of arrival, served
// round robin, so that a port that floods loses its own packets and delays others by one.
type fair struct {
	mu    sync.Mutex
	ports map[dpif.Port]*waiting
	turn  []dpif.Port // ports with packets, the next to be served first
	bytes int
	wake  chan struct{}
	drops atomic.Uint64
}

// waiting is what waits of one port: something, oldest first.
type waiting struct {
	list  []pending
	bytes int
}

type pending struct {
	Async
	bytes int // of the packet
}

func newFair() *fair {
	return &fair{ports: make(map[dpif.Port]*waiting), wake: make(chan struct{}, 1)}
}

// put adds a message with a packet of n bytes. At the bounds of its port it is dropped; at that of
// all ports, the newest of the port with most bytes is.
func (f *fair) put(p dpif.Port, a Async, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.ports[p]
	if q != nil && (len(q.list) >= packetInsPerPort || q.bytes+n > packetInBytes) {
		f.drops.Add(1)
		return
	}
	if q == nil {
		q = &waiting{}
		f.ports[p] = q
		f.turn = append(f.turn, p)
	}
	q.list = append(q.list, pending{a, n})
	q.bytes += n
	f.bytes += n
	for f.bytes > packetInsBytes {
		f.dropLongest()
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// dropLongest drops the newest packet of the port with most bytes.
func (f *fair) dropLongest() {
	var port dpif.Port
	most := -1
	for p, q := range f.ports {
		if q.bytes > most || q.bytes == most && p < port {
			port, most = p, q.bytes
		}
	}
	q := f.ports[port]
	last := len(q.list) - 1
	q.bytes -= q.list[last].bytes
	f.bytes -= q.list[last].bytes
	q.list[last] = pending{}
	q.list = q.list[:last]
	f.drops.Add(1)
	if last == 0 {
		delete(f.ports, port)
		f.turn = slices.DeleteFunc(f.turn, func(p dpif.Port) bool { return p == port })
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
	a = q.list[0].Async
	q.bytes -= q.list[0].bytes
	f.bytes -= q.list[0].bytes
	q.list[0] = pending{}
	if q.list = q.list[1:]; len(q.list) > 0 {
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
