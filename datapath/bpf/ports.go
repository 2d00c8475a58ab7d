// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/netdev"
)

// port is a port and the device that is it.
type port struct {
	no   dpif.Port
	slot uint32
	spec dpif.PortSpec
	at   attachment
	out  *netdev.RawSocket
	base cPortStats // what the slot had counted before
	sent sentStats  // by Execute
}

// portTable is the ports, by number, device and slot. A slot is a port's place in the
// per-CPU counters; 0 is nobody's and counts outputs to ports that are not there.
// A slot's counters are never set back, so that upcalls on their way when a port
// goes do not upset the accounts of the next.
type portTable struct {
	m      *maps
	byNo   map[dpif.Port]*port
	byDev  map[int]*port
	bySlot []*port
	slots  pool
	stats  []cPortStats // of one slot, by CPU; scratch
}

func newPortTable(m *maps) *portTable {
	t := &portTable{
		m: m, byNo: make(map[dpif.Port]*port), byDev: make(map[int]*port),
		bySlot: make([]*port, m.lim.slots), stats: make([]cPortStats, m.lim.cpus),
	}
	t.slots.size = uint32(m.lim.slots)
	t.slots.get() // nobody's
	return t
}

// counters returns the sum over the CPUs of a slot's counters.
func (t *portTable) counters(slot uint32) (s cPortStats, err error) {
	if err := t.m.pstats.Lookup(slot, &t.stats); err != nil {
		return s, fmt.Errorf("read counters: %w", err)
	}
	for _, p := range t.stats {
		s.RxPackets += p.RxPackets
		s.RxBytes += p.RxBytes
		s.TxPackets += p.TxPackets
		s.TxBytes += p.TxBytes
		s.TxDropped += p.TxDropped
		s.Upcalls += p.Upcalls
		s.UpcallDropped += p.UpcallDropped
		s.Malformed += p.Malformed
	}
	return s, nil
}

// add takes p up: a slot, then the way in (the device's number), then the way out.
func (t *portTable) add(p *port, l netlink.Link) error {
	slot, ok := t.slots.get()
	if !ok && len(t.slots.held) > 0 {
		if err := t.m.barrier(); err != nil {
			return err
		}
		t.slots.release()
		slot, ok = t.slots.get()
	}
	if !ok {
		return fmt.Errorf("%d ports: %w", len(t.byNo), dpif.ErrFull)
	}
	p.slot = slot
	var err error
	if p.base, err = t.counters(slot); err == nil {
		err = t.open(slot)
	}
	if err == nil {
		if err = t.m.devs.Put(uint32(p.spec.Ifindex), &cDev{uint32(p.no), slot}); err == nil {
			err = t.write(p, linkState(l))
		}
	}
	if err != nil {
		t.m.devs.Delete(uint32(p.spec.Ifindex)) // best effort: no program is attached there
		t.slots.put(slot)
		return err
	}
	t.byNo[p.no], t.byDev[p.spec.Ifindex], t.bySlot[slot] = p, p, p
	return nil
}

// open gives a slot that is used for the first time its share of the upcalls.
// The accounts of one that was used before go on.
func (t *portTable) open(slot uint32) error {
	cpus := uint32(t.m.lim.cpus)
	for i := slot * cpus; i < (slot+1)*cpus; i++ {
		var mark uint64
		err := t.m.quota.Lookup(i, &mark)
		if err == nil && mark == 0 {
			err = t.m.quota.Put(i, uint64(t.m.lim.quota))
		}
		if err != nil {
			return fmt.Errorf("set upcall quota: %w", err)
		}
	}
	return nil
}

// state is what outputs need to know of a device.
type state struct {
	up  bool
	mtu int
}

func linkState(l netlink.Link) state {
	a := l.Attrs()
	return state{a.Flags&net.FlagUp != 0, a.MTU}
}

// write makes p a port that can be output to.
func (t *portTable) write(p *port, s state) error {
	v := cPort{Ifindex: uint32(p.spec.Ifindex), Slot: uint16(p.slot), MTU: uint32(s.mtu)}
	if s.up {
		v.Up = 1
	}
	if err := t.m.ports.Put(uint32(p.no), &v); err != nil {
		return fmt.Errorf("write port: %w", err)
	}
	return nil
}

// del takes p out, whose program is detached. Its slot is not used again before a
// grace period has passed, since programs of other devices may be about to count an output there.
func (t *portTable) del(p *port) error {
	err := t.m.ports.Put(uint32(p.no), &cPort{})
	if p.at != nil && !p.at.waits() {
		err = errors.Join(err, t.m.barrier())
	}
	err = errors.Join(err, t.m.devs.Delete(uint32(p.spec.Ifindex)))
	delete(t.byNo, p.no)
	delete(t.byDev, p.spec.Ifindex)
	t.bySlot[p.slot] = nil
	t.slots.put(p.slot)
	return err
}
