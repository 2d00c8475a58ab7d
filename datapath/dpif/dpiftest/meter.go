// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

func meterOf(perPacket bool, rate, burst uint32) *dpif.MeterSpec {
	return &dpif.MeterSpec{PerPacket: perPacket, Bands: []dpif.MeterBand{{Rate: rate, Burst: burst}}}
}

// setMeter sets a meter or skips the test where the datapath has none.
func (l *lab) setMeter(id dpif.MeterID, m *dpif.MeterSpec) {
	l.Helper()
	err := l.dp.MeterSet(id, m)
	var no *dpif.Unsupported
	if errors.As(err, &no) {
		l.Skip(err)
	}
	l.ok(err)
}

// got counts the frames that come to a host: it waits for as many as must come, then until none
// has come for a moment.
func (l *lab) got(no dpif.Port, least int) (n int) {
	for {
		wait := quiet
		if n < least {
			wait = patience
		}
		select {
		case <-l.hosts[no].in:
			n++
		case <-time.After(wait):
			return n
		}
	}
}

func (l *lab) meterStats(id dpif.MeterID, packets, bytes, dropped, droppedBytes uint64) {
	l.Helper()
	s := must(l.dp.MeterStats(id))(l)
	if s.Packets != packets || s.Bytes != bytes || len(s.Bands) != 1 || s.Bands[0] != (dpif.MeterCount{Packets: dropped, Bytes: droppedBytes}) {
		l.Errorf("meter %d: %+v, want %d packets, %d bytes, of these dropped %d, %d", id, s, packets, bytes, dropped, droppedBytes)
	}
}

// testMeter uses a rate so low that the burst alone decides.
func testMeter(l *lab) {
	frame := packettest.Eth(packettest.Addr{Src: 1, Dst: 2}, 0x1234, make([]byte, 60))
	n := uint64(len(frame))
	l.setMeter(7, meterOf(true, 1, 3))
	l.put(l.match(1, 1, frame), dpif.Meter{ID: 7}, output(2))
	start := time.Now()
	for range 10 {
		l.send(1, frame)
	}
	passed := l.got(2, 3)
	if most := 4 + int(time.Since(start).Seconds()); passed < 3 || passed > most {
		l.Fatalf("%d of 10 packets passed a burst of 3, want at most %d", passed, most)
	}
	l.eventually("all packets are counted", func() bool { return must(l.dp.MeterStats(7))(l).Packets == 10 })
	l.meterStats(7, 10, 10*n, uint64(10-passed), uint64(10-passed)*n)
	if s := must(l.dp.FlowStats(1))(l); s.Packets != 10 {
		l.Errorf("the flow counted %d packets", s.Packets)
	}

	// Set anew: full, counters 0, bits in place of packets.
	l.setMeter(7, meterOf(false, 1, uint32(4*n*8/1000+1)))
	l.meterStats(7, 0, 0, 0, 0)
	for range 10 {
		l.send(1, frame)
	}
	if p := l.got(2, 4); p < 4 || p > 7 {
		l.Errorf("%d of 10 packets passed a burst of 4 packets and a kilobit", p)
	}

	// User space takes from the same bucket.
	l.setMeter(7, meterOf(true, 1, 3))
	l.ok(l.dp.Execute(1, dpif.Packet{Data: append([]byte(nil), frame...)}, []dpif.Action{dpif.Meter{ID: 7}, output(2)}))
	if !l.dp.MeterPass(7, 100) {
		l.Error("the second packet does not pass")
	}
	for range 5 {
		l.send(1, frame)
	}
	if p := l.got(2, 2); p < 2 || p > 3 {
		l.Errorf("%d packets passed, want 1 of Execute and 1 of 5", p)
	}
	if s := must(l.dp.MeterStats(7))(l); s.Packets != 7 || s.Bytes != 6*n+100 {
		l.Errorf("%+v, want 7 packets, %d bytes", s, 6*n+100)
	}
	if l.dp.MeterPass(7, 60) && l.dp.MeterPass(7, 60) && l.dp.MeterPass(7, 60) {
		l.Error("MeterPass lets everything pass")
	}

	// A meter that is not there lets everything pass.
	must(l.dp.MeterDel(7))(l)
	for range 10 {
		l.send(1, frame)
	}
	if p := l.got(2, 10); p != 10 {
		l.Errorf("%d of 10 packets passed where there is no meter", p)
	}
	if !l.dp.MeterPass(7, 60) {
		l.Error("MeterPass refuses where there is no meter")
	}
	if _, err := l.dp.MeterDel(7); !errors.Is(err, dpif.ErrNotExist) {
		l.Errorf("MeterDel of no meter: %v", err)
	}
	if _, err := l.dp.MeterStats(7); !errors.Is(err, dpif.ErrNotExist) {
		l.Errorf("MeterStats of no meter: %v", err)
	}
	max := l.dp.Features().MaxMeters
	l.setMeter(dpif.MeterID(max), meterOf(true, 1, 1))
	for _, id := range []dpif.MeterID{0, dpif.MeterID(max) + 1} {
		if err := l.dp.MeterSet(id, meterOf(true, 1, 1)); !errors.Is(err, dpif.ErrFull) {
			l.Errorf("MeterSet %d: %v", id, err)
		}
	}
	var no *dpif.Unsupported
	if err := l.dp.MeterSet(1, &dpif.MeterSpec{Bands: make([]dpif.MeterBand, l.dp.Features().MaxBands+1)}); !errors.As(err, &no) {
		l.Errorf("too many bands: %v", err)
	}
}

// testMeterUserspace: a meter of Userspace holds back upcalls alone.
func testMeterUserspace(l *lab) {
	frame := packettest.Eth(packettest.Addr{Src: 1, Dst: 2}, 0x1234, make([]byte, 60))
	l.setMeter(3, meterOf(true, 1, 2))
	// Actions before and behind, so that the meter is not at the start.
	l.put(l.match(1, 1, frame), output(2), dpif.Userspace{Arg: 5, Meter: 3}, dpif.Userspace{Arg: 6}, output(2))
	const sent = 8
	for range sent {
		l.send(1, frame)
	}
	if n := l.got(2, 2*sent); n != 2*sent {
		l.Errorf("%d packets came out, want %d", n, 2*sent)
	}
	time.Sleep(quiet)
	by := map[uint32]int{}
	for len(l.upcalls) > 0 {
		by[(<-l.upcalls).Arg]++
	}
	if by[5] < 2 || by[5] > 3 || by[6] != sent {
		l.Errorf("upcalls by argument: %v, want 2 of 5 and %d of 6", by, sent)
	}
}

// testMeterRate sends faster than the rate from two CPUs at a time through one meter, and
// wants what passes to be the rate's.
func testMeterRate(l *lab) {
	frame := packettest.Eth(packettest.Addr{Src: 1, Dst: 2}, 0x1234, make([]byte, 100))
	const rate, burst = 4000, 2000 // half a second without the sender does not matter
	l.put(l.match(1, 1, frame), dpif.Meter{ID: 1}, output(3))
	l.put(l.match(2, 2, frame), dpif.Meter{ID: 1}, output(3))
	l.setMeter(1, meterOf(true, rate, burst))
	start := time.Now()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 2 {
		host := l.hosts[dpif.Port(i+1)]
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			var set unix.CPUSet
			set.Set(i % runtime.NumCPU())
			_ = unix.SchedSetaffinity(0, &set) // with fewer CPUs allowed, those are used
			for n := 0; !stop.Load(); n++ {
				_ = host.sock.Send(frame, &netdev.VnetHdr{})
				if n%64 == 0 {
					time.Sleep(2 * time.Millisecond)
				}
			}
		})
	}
	time.Sleep(2500 * time.Millisecond)
	s, err := l.dp.MeterStats(1)
	took := time.Since(start)
	stop.Store(true)
	wg.Wait()
	l.ok(err)
	want := burst + rate*took.Seconds()
	passed := float64(s.Packets - s.Bands[0].Packets)
	l.Logf("%d packets in %v, %.0f passed, the rate is %.0f", s.Packets, took, passed, want)
	if float64(s.Packets) < 1.3*want {
		l.Skipf("this machine sent only %d packets", s.Packets)
	}
	if passed < 0.98*want || passed > 1.02*want {
		l.Errorf("%.0f packets passed, want %.0f", passed, want)
	}
}
