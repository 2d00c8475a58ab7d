// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPinSched: a port that floods takes what the rate leaves, and a quiet one loses nothing; what goes out
// is the rate and the burst, in the order of arrival for each port.
func TestPinSched(t *testing.T) {
	const seed, rate, burst = 7, 200, 50
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newPinSched(PacketInLimits{Rate: rate, Burst: burst})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	start := now
	put, got := map[uint32]uint64{}, map[uint32]uint64{}
	last := map[uint32]uint32{}
	for range 20000 {
		now = now.Add(time.Millisecond)
		send := func(p uint32) {
			put[p]++
			s.put(p, []byte{byte(p), byte(put[p] >> 16), byte(put[p] >> 8), byte(put[p])})
		}
		for range r.IntN(5) {
			send(1)
		}
		if r.IntN(50) == 0 { // 20 a second each: their share is more
			send(uint32(2 + r.IntN(3)))
		}
		for {
			b, ok := s.get(now)
			if !ok {
				break
			}
			p, n := uint32(b[0]), uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3])
			if n <= last[p] {
				t.Fatalf("port %d: %d behind %d", p, n, last[p])
			}
			last[p] = n
			got[p]++
		}
		if s.n > burst {
			t.Fatalf("%d wait, %d may", s.n, burst)
		}
	}
	var all, sum uint64
	for p, n := range put {
		all += got[p]
		sum += n
		waiting := uint64(len(s.queues[p]))
		if p != 1 && got[p]+waiting != n {
			t.Errorf("port %d: %d of %d came through", p, got[p], n)
		}
	}
	if want := uint64(burst + rate*now.Sub(start).Seconds()); all < want-5 || all > want+5 {
		t.Errorf("%d went out, want %d", all, want)
	}
	if sum != all+uint64(s.n)+s.dropped {
		t.Errorf("%d put, %d got, %d wait, %d dropped", sum, all, s.n, s.dropped)
	}
	if d, ok := s.wait(); !ok || d > time.Second/rate {
		t.Errorf("wait %v, %v", d, ok)
	}
	if _, ok := s.get(now.Add(s.cost())); !ok {
		t.Error("nothing comes after the wait")
	}
}

// TestPinSchedOne: a queue of one holds the last port's.
func TestPinSchedOne(t *testing.T) {
	s := newPinSched(PacketInLimits{Rate: 1, Burst: 1})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.put(1, []byte{1})
	if _, ok := s.get(now); !ok {
		t.Fatal("the first does not pass")
	}
	for p := range uint32(4) {
		s.put(p, []byte{byte(p)})
		s.put(p, []byte{byte(p + 100)})
	}
	if _, ok := s.get(now); ok {
		t.Error("two at once")
	}
	if b, ok := s.get(now.Add(time.Second)); !ok || b[0] != 3 || s.n != 0 || len(s.turn) != 0 {
		t.Errorf("%v %v, %d wait", b, ok, s.n)
	}
}
