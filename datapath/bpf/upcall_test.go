// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
)

// rawRecord returns a record as the program writes it.
func rawRecord(r record, room int) []byte {
	o := binary.NativeEndian
	b := o.AppendUint64(nil, r.flow)
	for _, v := range []uint32{
		r.port, r.slot, r.cpu, r.reason, r.arg, r.recirc,
		r.mark, uint32(len(r.data)), r.gsoSize, r.gsoSegs, r.vlan, r.charge,
	} {
		b = o.AppendUint32(b, v)
	}
	b = o.AppendUint64(b, 12345) // ktime
	return append(append(b, r.data...), make([]byte, room)...)
}

// FuzzRecord: what is decoded is within the bytes given and says what they say.
func FuzzRecord(f *testing.F) {
	f.Add(rawRecord(record{port: 1, slot: 2, cpu: 3, data: []byte("abcdefghijklmnop")}, 200))
	f.Add(rawRecord(record{vlan: 0x81000001}, 0)[:63])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		got := rawRecord(r, 0)
		copy(got[56:64], b[56:64])
		if !bytes.HasPrefix(b, got) {
			t.Fatalf("%x decoded to %+v", b, r)
		}
	})
}

// TestQueues pushes and pops at random and compares with lists; no slot waits
// behind more than one item of each other slot, and the accounts are right.
func TestQueues(t *testing.T) {
	seed := twinSeed(t)
	r := rand.New(rand.NewPCG(seed, 3))
	const slots, cpus, quota = 5, 2, 4000
	q := newQueues(slots, cpus, quota)
	var want [slots][]uint32
	var out, marks [slots * cpus]uint64 // charged; mark as the program knows it
	for i := range marks {
		marks[i] = quota
	}
	lastTurn := [slots]int{}
	turn, total := 0, 0
	for n := range 20000 {
		slot, cpu := r.Uint32N(slots), r.Uint32N(cpus)
		i := slot*cpus + cpu
		if r.IntN(2) == 0 {
			if int64(marks[i]-out[i]) <= 0 {
				continue // the program drops it
			}
			rec := record{port: 7, slot: slot, cpu: cpu, arg: uint32(n), charge: 320, data: make([]byte, 20+r.IntN(500))}
			out[i] += 320
			if len(want[slot]) == 0 {
				lastTurn[slot] = turn
			}
			want[slot] = append(want[slot], uint32(n))
			q.push(slot, q.item(&rec))
			total++
			continue
		}
		it, s, ok := q.pop()
		if total == 0 {
			if ok {
				t.Fatal("popped from nothing")
			}
			continue
		}
		if !ok || it.up.Arg != want[s][0] {
			t.Fatalf("popped %v of slot %d, want %d", it.up.Arg, s, want[s][0])
		}
		if turn-lastTurn[s] > slots {
			t.Fatalf("slot %d waited %d turns", s, turn-lastTurn[s])
		}
		turn++
		lastTurn[s] = turn
		want[s] = want[s][1:]
		total--
		q.done(s, it)
		if i, mark, write := q.raise(s, it.cpu); write {
			if int64(mark-marks[i]) < 0 || mark > out[i]+quota {
				t.Fatalf("mark of %d from %d to %d, charged %d", i, marks[i], mark, out[i])
			}
			marks[i] = mark
		}
	}
	for {
		it, s, ok := q.pop()
		if !ok {
			break
		}
		q.done(s, it)
		if i, mark, write := q.raise(s, it.cpu); write {
			marks[i] = mark
		}
	}
	if q.bytes != 0 {
		t.Errorf("%d bytes wait in empty queues", q.bytes)
	}
	for i := range marks {
		// The rest that is not written is less than a quarter, and of another CPU of a slot
		// whose last item was handled.
		if left := int64(marks[i] - out[i]); left <= 3*quota/4 || left > quota {
			t.Errorf("of %d's quota %d is left when nothing waits", i, left)
		}
	}
}

// TestUpcallSizes: packets of all sizes come to user space whole.
func TestUpcallSizes(t *testing.T) {
	inNS(t)
	d := open(t, Config{RingBytes: 4 << 20, UpcallQuota: 1 << 20})
	l := newLab(t, d, "u", 1)
	for _, i := range []int{l.wires[0].near, l.wires[0].far} {
		dev, err := netlink.LinkByIndex(i)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetMTU(dev, 65535); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan []byte, 10)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(ctx, dpif.Each(func(u *dpif.Upcall) { got <- bytes.Clone(u.Packet.Data) }))
	}()
	for _, n := range []int{14, 15, 60, 255, 256, 257, 260, 2047, 2048, 2049, 9000, 16383, 16384, 16385, 40000, 65000, 65535} {
		for _, tagged := range []bool{false, true} {
			f := make([]byte, n)
			for i := range f {
				f[i] = byte(i * 7)
			}
			f[12], f[13] = 0x99, 0x99
			if tagged {
				if n < 20 {
					continue
				}
				f[12], f[13], f[14] = 0x81, 0, 0x30 // with DEI
			}
			l.send(t, 1, f)
			select {
			case g := <-got:
				if !bytes.Equal(g, f) {
					t.Errorf("%d bytes, tagged %v: %d came, different", n, tagged, len(g))
				}
			case <-time.After(2 * time.Second):
				t.Errorf("%d bytes, tagged %v: nothing came", n, tagged)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s, err := d.PortStats(1)
	if err != nil || s.UpcallDropped != 0 || s.UpcallPackets != s.RxPackets {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestUpcallLongRun: the accounts stay right over many times the quota, from two ports.
func TestUpcallLongRun(t *testing.T) {
	inNS(t)
	d := open(t, Config{RingBytes: 256 << 10, UpcallQuota: 4000})
	l := newLab(t, d, "r", 2)
	n := 0
	got := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(ctx, dpif.Each(func(u *dpif.Upcall) { n++; got <- struct{}{} }))
	}()
	f := append(make([]byte, 12), 0x99, 0x99, 1, 2, 3)
	for i := range 2000 {
		l.send(t, dpif.Port(1+i%2), f)
		select {
		case <-got:
		case <-time.After(2 * time.Second):
			t.Fatalf("upcall %d did not come", i)
		}
	}
	cancel()
	if err := <-ended; err != nil || n != 2000 {
		t.Errorf("%d upcalls, %v", n, err)
	}
}

// TestExecuteUserspace: Execute's packets for user space come through Run, with the VLAN
// tag that the actions pushed, and are bounded.
func TestExecuteUserspace(t *testing.T) {
	inNS(t)
	d := open(t, Config{})
	newLab(t, d, "x", 1)
	f := append(make([]byte, 12), 0x99, 0x99, 1, 2, 3)
	for range maxInjected + 10 {
		err := d.Execute(1, dpif.Packet{Data: bytes.Clone(f)}, []dpif.Action{
			dpif.PushVLAN{TPID: 0x8100, TCI: 5 | flow.VLANPresent}, dpif.Userspace{Arg: 9},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err := d.Run(ctx, dpif.Each(func(u *dpif.Upcall) {
		want := append(append(make([]byte, 12), 0x81, 0, 0, 5), f[12:]...)
		if u.Arg != 9 || u.InPort != 1 || u.Reason != dpif.ReasonAction || !bytes.Equal(u.Packet.Data, want) {
			t.Errorf("upcall %+v", u)
		}
		if n++; n == maxInjected {
			cancel()
		}
	}))
	s, _ := d.PortStats(1)
	if err != nil || n != maxInjected || s.UpcallPackets != maxInjected || s.UpcallDropped != 10 {
		t.Errorf("%d upcalls, %+v, %v", n, s, err)
	}
}

// TestFinish: an unfinished checksum is recognised, a finished one is not.
func TestFinish(t *testing.T) {
	f := append(make([]byte, 12), 8, 0,
		0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0, 1, 0, 2, 0, 10, 0, 0, 5, 6)
	var fr packet.Frame
	for _, partial := range []bool{true, false} {
		sum := packet.Sum([]byte{10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 10}, 0)
		if !partial {
			sum = ^packet.Sum(f[34:], sum)
		}
		b := bytes.Clone(f)
		binary.BigEndian.PutUint16(b[40:], sum)
		it := &item{buf: append(make([]byte, upcallRoom), b...), vlan: 0x81002005, gso: 1000}
		it.finish(&fr)
		want := append(append(bytes.Clone(b[:12]), 0x81, 0, 0x20, 5), b[12:]...)
		g := it.up.Packet
		if !bytes.Equal(g.Data, want) || g.GSO != (dpif.GSO{Size: 1000, NeedsCsum: partial}) {
			t.Error(fmt.Sprintf("partial %v: %+v", partial, g))
		}
	}
}
