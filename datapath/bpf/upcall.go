// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
)

// record is struct upcall of c/maps.h and the packet behind it.
type record struct {
	flow             uint64
	port, slot       uint32
	cpu, reason      uint32
	arg, recirc      uint32
	mark, length     uint32
	gsoSize, gsoSegs uint32
	vlan, charge     uint32
	data             []byte
}

// decodeRecord reads a record of the ring; data is a part of b.
func decodeRecord(b []byte) (r record, err error) {
	if len(b) < upcallHeader {
		return r, fmt.Errorf("upcall record of %d bytes, header is %d", len(b), upcallHeader)
	}
	o := binary.NativeEndian
	r.flow = o.Uint64(b)
	for i, p := range [...]*uint32{
		&r.port, &r.slot, &r.cpu, &r.reason, &r.arg, &r.recirc,
		&r.mark, &r.length, &r.gsoSize, &r.gsoSegs, &r.vlan, &r.charge,
	} {
		*p = o.Uint32(b[8+4*i:])
	}
	if uint64(r.length) > uint64(len(b)-upcallHeader) {
		return r, fmt.Errorf("upcall record of %d bytes for a packet of %d", len(b), r.length)
	}
	r.data = b[upcallHeader : upcallHeader+int(r.length)]
	return r, nil
}

// upcallRoom is the space in front of a packet in an item's buffer, for the tag that is
// put back.
const upcallRoom = 16

// item is an upcall that waits.
type item struct {
	buf    []byte // upcallRoom bytes, then the packet
	up     dpif.Upcall
	gso    uint16
	vlan   uint32
	cpu    uint32
	charge uint32
}

// queues hold the upcalls that wait, one queue a slot, and say whose turn it
// is. Each is bounded by what the program lets its slot have outstanding, all
// together by the bytes up to which Run fills them.
type queues struct {
	slot   [][]*item // by slot
	ready  []uint32  // slots with items, the next first
	bytes  int       // of the buffers of all items that wait
	free   []*item   // at most maxFreeItems, for packets of at most smallItem bytes
	quota  uint64
	cpus   int
	acked  []uint64 // bytes handled, by slot*cpus + cpu
	opened []uint64 // mark as the program knows it
}

const (
	maxFreeItems = 1024
	smallItem    = 256
)

func newQueues(slots, cpus, quota int) *queues {
	q := &queues{
		slot: make([][]*item, slots), quota: uint64(quota), cpus: cpus,
		acked: make([]uint64, slots*cpus), opened: make([]uint64, slots*cpus),
	}
	return q
}

// item copies r.
func (q *queues) item(r *record) *item {
	var it *item
	if n := len(q.free); n > 0 && len(r.data) <= smallItem {
		it, q.free = q.free[n-1], q.free[:n-1]
	} else {
		it = &item{buf: make([]byte, upcallRoom+max(len(r.data), smallItem))}
	}
	it.buf = it.buf[:upcallRoom+copy(it.buf[upcallRoom:cap(it.buf)], r.data)]
	it.gso, it.vlan, it.cpu, it.charge = uint16(r.gsoSize), r.vlan, r.cpu, r.charge
	it.up = dpif.Upcall{
		InPort: dpif.Port(r.port), Reason: dpif.Reason(r.reason), Flow: dpif.FlowID(r.flow),
		Arg: r.arg, Recirc: r.recirc, Mark: r.mark,
	}
	return it
}

// push puts it at the end of its slot's queue.
func (q *queues) push(slot uint32, it *item) {
	if len(q.slot[slot]) == 0 {
		q.ready = append(q.ready, slot)
	}
	q.slot[slot] = append(q.slot[slot], it)
	q.bytes += cap(it.buf)
}

// pop takes the next item, one of each slot in turn; false if there is none.
func (q *queues) pop() (*item, uint32, bool) {
	if len(q.ready) == 0 {
		return nil, 0, false
	}
	s := q.ready[0]
	q.ready = q.ready[:copy(q.ready, q.ready[1:])]
	l := q.slot[s]
	it := l[0]
	l[0] = nil
	if l = l[1:]; len(l) == 0 {
		l = nil
	} else {
		q.ready = append(q.ready, s)
	}
	q.slot[s] = l
	q.bytes -= cap(it.buf)
	return it, s, true
}

// done accounts for an item of slot that was handled or thrown away, and takes it back.
func (q *queues) done(slot uint32, it *item) {
	q.acked[slot*uint32(q.cpus)+it.cpu] += uint64(it.charge)
	if it.charge > 0 && cap(it.buf) == upcallRoom+smallItem && len(q.free) < maxFreeItems {
		q.free = append(q.free, it)
	}
}

// raise returns the index of the quota map to write for a CPU of slot, with the value, if it is
// time to.
func (q *queues) raise(slot, cpu uint32) (i uint32, mark uint64, write bool) {
	i = slot*uint32(q.cpus) + cpu
	mark = q.acked[i] + q.quota
	if mark == q.opened[i] || mark-q.opened[i] < q.quota/4 && len(q.slot[slot]) > 0 {
		return 0, 0, false
	}
	q.opened[i] = mark
	return i, mark, true
}

// finish makes the packet of an item whole: the tag that the kernel took off is
// put back, and it is found out whether the checksum is unfinished, which the program
// cannot see.
func (it *item) finish(fr *packet.Frame) {
	start := upcallRoom
	if it.vlan != 0 && len(it.buf) >= upcallRoom+12 {
		start -= 4
		copy(it.buf[start:], it.buf[upcallRoom:upcallRoom+12])
		binary.BigEndian.PutUint32(it.buf[start+12:], it.vlan)
	}
	data := it.buf[start:]
	var key flow.Key
	fr.Reset(it.buf, start, dpif.GSO{})
	gso := dpif.GSO{Size: it.gso}
	if fr.Parse(&packet.Meta{}, 2, &key) {
		gso.NeedsCsum = packet.LooksPartial(data, fr.Layers())
	}
	it.up.Packet = dpif.Packet{Data: data, GSO: gso}
}
