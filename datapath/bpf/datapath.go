// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// Config says how big a datapath is. The zero value is right for most: sizes
// follow the machine's memory.
type Config struct {
	Hook        Hook         // how programs are attached
	MaxFlows    int          // rounded up to 1,024; default a 16,384th of the memory's bytes, 2,048 to 131,072
	MaxPorts    int          // at a time; default 1,023
	PortNumbers int          // port numbers are below this; default 65,536, 8 bytes each
	RingBytes   int          // of the upcall ring, a power of two from 256 KiB; default 512 KiB to 1 MiB
	UpcallQuota int          // bytes of upcalls outstanding of one port on one CPU; default a quarter of the ring by the CPUs
	MaxVLANs    int          // VLAN tags parsed, 1 or 2; default 1 (see package packet)
	Log         *slog.Logger // default: discard
}

// maxInjected bounds the upcalls of Execute that wait for Run.
const maxInjected = 256

// Datapath is the eBPF datapath.
type Datapath struct {
	mu     sync.RWMutex
	closed bool
	lim    limits
	hook   Hook
	log    *slog.Logger
	nl     *netlink.Handle
	maps   *maps
	ports  *portTable
	flows  *flowTable
	meters *meterTable
	can    flow.Mask

	ring     *ringbuf.Reader
	running  sync.Mutex // held by Run, guards queues
	queues   *queues
	injected chan injected

	execs sync.Pool // of *executor

	done  chan struct{}  // closed by Close
	watch sync.WaitGroup // the goroutines but Run
	ns    netns.NsHandle // of the devices
}

type injected struct {
	slot uint32
	it   *item
}

var _ dpif.Datapath = (*Datapath)(nil)

// New loads the program and its maps. Devices are those of the network namespace of the
// calling thread; PortAdd must be called there too.
func New(c Config) (*Datapath, error) {
	if c.MaxVLANs < 0 || c.MaxVLANs > 2 || c.MaxFlows < 0 || c.MaxPorts < 0 || c.MaxPorts > 65534 ||
		c.PortNumbers < 0 || c.PortNumbers > 65536 || c.RingBytes < 0 || c.UpcallQuota < 0 || c.Hook > HookClsact {
		return nil, fmt.Errorf("open BPF datapath: bad configuration %+v", c)
	}
	mem, err := systemMemory()
	if err != nil {
		return nil, fmt.Errorf("open BPF datapath: %w", err)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("open BPF datapath: %w", err)
	}
	d := &Datapath{
		lim: c.limitsFor(mem, cpus), hook: c.Hook, log: c.Log, can: matchable(),
		injected: make(chan injected, maxInjected), done: make(chan struct{}), ns: netns.None(),
	}
	d.execs.New = func() any { return new(executor) }
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open BPF datapath: %w", err), d.Close())
	}
	return d, nil
}

func (d *Datapath) open() (err error) {
	var seed [32]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return err
	}
	if d.ns, err = netns.Get(); err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	if d.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if d.maps, err = load(d.lim); err != nil {
		return err
	}
	d.ports = newPortTable(d.maps)
	d.meters = newMeterTable(d.maps)
	d.flows, err = newFlowTable(d.maps, newMasks(d.maps, rand.New(rand.NewChaCha8(seed))))
	if err != nil {
		return err
	}
	d.queues = newQueues(d.lim.slots, d.lim.cpus, d.lim.quota)
	if d.ring, err = ringbuf.NewReader(d.maps.ring); err != nil {
		return fmt.Errorf("open upcall ring: %w", err)
	}
	return d.watchLinks()
}

// Features: see dpif.Datapath.
func (d *Datapath) Features() dpif.Features {
	return dpif.Features{Name: "bpf", Match: d.can, MaxActions: maxActions, MaxFlows: d.lim.flows, MaxMeters: d.lim.meters, MaxBands: 1}
}

// PortAdd attaches the program to the device.
func (d *Datapath) PortAdd(no dpif.Port, spec dpif.PortSpec) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.portAdd(no, spec)
	if err != nil {
		err = fmt.Errorf("add port %d (%s, device %d): %w", no, spec.Name, spec.Ifindex, err)
	}
	return err
}

func (d *Datapath) portAdd(no dpif.Port, spec dpif.PortSpec) error {
	switch {
	case d.closed:
		return dpif.ErrClosed
	case int(no) >= d.lim.ports:
		return &dpif.Unsupported{Reason: fmt.Sprintf("port numbers are below %d", d.lim.ports)}
	case d.ports.byNo[no] != nil:
		return fmt.Errorf("port number: %w", dpif.ErrExist)
	case d.ports.byDev[spec.Ifindex] != nil:
		return fmt.Errorf("device: %w", dpif.ErrExist)
	}
	l, err := d.nl.LinkByIndex(spec.Ifindex)
	if err != nil {
		return err
	}
	p := &port{no: no, spec: spec}
	// The socket also keeps the device promiscuous.
	if p.out, err = netdev.OpenRaw(spec.Ifindex, netdev.RawConfig{Promisc: !spec.SendOnly}); err != nil {
		return err
	}
	if err := d.ports.add(p, l); err != nil {
		return errors.Join(err, p.out.Close())
	}
	if spec.SendOnly {
		d.log.Debug("port added", "port", no, "device", spec.Name, "hook", "none")
		return nil
	}
	var hook Hook
	if p.at, hook, err = attach(d.nl, d.hook, spec.Ifindex, d.maps.prog); err != nil {
		return errors.Join(err, d.ports.del(p), p.out.Close())
	}
	d.log.Debug("port added", "port", no, "device", spec.Name, "hook", hook)
	return nil
}

// PortDel detaches the program from the port's device.
func (d *Datapath) PortDel(no dpif.Port) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("delete port %d: %w", no, dpif.ErrClosed)
	}
	p := d.ports.byNo[no]
	if p == nil {
		return fmt.Errorf("delete port %d: %w", no, dpif.ErrNotExist)
	}
	if p.at != nil {
		err = p.at.detach()
	}
	if err = errors.Join(err, d.ports.del(p)); err != nil {
		err = fmt.Errorf("delete port %d: %w", no, err)
	}
	// The kernel takes a grace period to close a packet socket.
	d.watch.Go(func() {
		if err := p.out.Close(); err != nil {
			d.log.Warn("close packet socket", "device", p.spec.Name, "err", err)
		}
	})
	return err
}

// PortStats: see dpif.Datapath.
func (d *Datapath) PortStats(no dpif.Port) (dpif.PortStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dpif.PortStats{}, fmt.Errorf("statistics of port %d: %w", no, dpif.ErrClosed)
	}
	p := d.ports.byNo[no]
	if p == nil {
		return dpif.PortStats{}, fmt.Errorf("statistics of port %d: %w", no, dpif.ErrNotExist)
	}
	c, err := d.ports.counters(p.slot)
	if err != nil {
		return dpif.PortStats{}, fmt.Errorf("statistics of port %d: %w", no, err)
	}
	return dpif.PortStats{
		RxPackets:     c.RxPackets - p.base.RxPackets,
		RxBytes:       c.RxBytes - p.base.RxBytes,
		TxPackets:     c.TxPackets - p.base.TxPackets + p.sent.packets.Load(),
		TxBytes:       c.TxBytes - p.base.TxBytes + p.sent.bytes.Load(),
		TxDropped:     c.TxDropped - p.base.TxDropped + p.sent.dropped.Load(),
		UpcallPackets: c.Upcalls - p.base.Upcalls + p.sent.upcalls.Load(),
		UpcallDropped: c.UpcallDropped - p.base.UpcallDropped + p.sent.upcallDropped.Load(),
		RxMalformed:   c.Malformed - p.base.Malformed,
	}, nil
}

// FlowPut: see dpif.Datapath. Two flows with the same key and mask are refused
// with dpif.ErrExist.
func (d *Datapath) FlowPut(f *dpif.Flow) error {
	fs, errs := [1]dpif.Flow{*f}, [1]error{}
	d.FlowPuts(fs[:], errs[:])
	return errs[0]
}

// FlowPuts: see dpif.Datapath.
func (d *Datapath) FlowPuts(fs []dpif.Flow, errs []error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		for i := range fs {
			errs[i] = fmt.Errorf("put flow %d: %w", fs[i].ID, dpif.ErrClosed)
		}
		return
	}
	d.flows.puts(fs, errs, &d.can)
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("put flow %d: %w", fs[i].ID, err)
		}
	}
}

// FlowDel: see dpif.Datapath. A packet that had found the flow when it was
// deleted is still forwarded, and may count too late to be in the result.
func (d *Datapath) FlowDel(id dpif.FlowID) (dpif.FlowStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dpif.FlowStats{}, fmt.Errorf("delete flow %d: %w", id, dpif.ErrClosed)
	}
	s, err := d.flows.del(id, readClock())
	if err != nil {
		err = fmt.Errorf("delete flow %d: %w", id, err)
	}
	return s, err
}

// FlowStats: see dpif.Datapath.
func (d *Datapath) FlowStats(id dpif.FlowID) (dpif.FlowStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dpif.FlowStats{}, fmt.Errorf("statistics of flow %d: %w", id, dpif.ErrClosed)
	}
	i, ok := d.flows.byID[id]
	if !ok {
		return dpif.FlowStats{}, fmt.Errorf("statistics of flow %d: %w", id, dpif.ErrNotExist)
	}
	return d.flows.read(i, readClock())
}

// FlowDump: see dpif.Datapath. Yield may call other methods. A dump that runs to its
// end also puts the masks in order of use.
func (d *Datapath) FlowDump(yield func(dpif.FlowID, dpif.FlowStats) bool) error {
	type row struct {
		id dpif.FlowID
		st dpif.FlowStats
	}
	rows := make([]row, 0, segLen)
	var hits [maxMasks]uint64
	for seg := 0; ; seg++ {
		rows = rows[:0]
		more := true
		err := func() error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.closed {
				return dpif.ErrClosed
			}
			if seg >= len(d.flows.at)/segLen {
				more = false
				return d.flows.masks.rank(&hits)
			}
			return d.flows.dump(seg, readClock(), func(id dpif.FlowID, mask uint32, st dpif.FlowStats) {
				rows = append(rows, row{id, st})
				hits[mask] += st.Packets
			})
		}()
		if err != nil {
			return fmt.Errorf("dump flows: %w", err)
		}
		for _, r := range rows {
			if !yield(r.id, r.st) {
				return nil
			}
		}
		if !more {
			return nil
		}
	}
}

// Run: see dpif.Datapath. One Run at a time delivers; another waits for its
// turn. What waits when Run ends is for the next.
func (d *Datapath) Run(ctx context.Context, handle func([]dpif.Upcall)) error {
	d.running.Lock()
	defer d.running.Unlock()
	if d.isClosed() {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = d.ring.Flush() })
	defer stop()
	q := d.queues
	var rec ringbuf.Record
	var fr packet.Frame
	var its [dpif.MaxBatch]*item
	var slots [dpif.MaxBatch]uint32
	var us [dpif.MaxBatch]dpif.Upcall
	for ctx.Err() == nil && !d.isClosed() {
		if err := d.fill(q, &rec); err != nil {
			return err
		}
		n, live := 0, 0
		for n < len(its) {
			it, slot, ok := q.pop()
			if !ok {
				break
			}
			its[n], slots[n] = it, slot
			n++
			if d.alive(slot, it.up.InPort) {
				it.finish(&fr)
				us[live] = it.up
				live++
			}
		}
		if live > 0 {
			handle(us[:live])
			clear(us[:live])
		}
		if err := d.give(q, its[:n], slots[:n]); err != nil {
			return err
		}
	}
	return nil
}

// fill moves what is in the ring to the queues, up to as many bytes as the ring has, and waits for something if there is
// nothing in either; it may return early.
func (d *Datapath) fill(q *queues, rec *ringbuf.Record) error {
	for {
		select {
		case i := <-d.injected:
			q.push(i.slot, i.it)
			continue
		default:
		}
		break
	}
	for d.ring.AvailableBytes() > 0 && q.bytes < d.lim.ring || len(q.ready) == 0 {
		err := d.ring.ReadInto(rec)
		switch {
		case errors.Is(err, ringbuf.ErrFlushed):
			return nil
		case err != nil:
			return fmt.Errorf("read upcalls: %w", err)
		}
		r, err := decodeRecord(rec.RawSample)
		if err != nil || int(r.slot) >= d.lim.slots || int(r.cpu) >= d.lim.cpus {
			return fmt.Errorf("read upcalls: the program wrote a bad record (slot %d, CPU %d): %w", r.slot, r.cpu, err)
		}
		q.push(r.slot, q.item(&r))
	}
	return nil
}

// alive reports whether slot is still that of port no.
func (d *Datapath) alive(slot uint32, no dpif.Port) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.ports.bySlot[slot]
	return !d.closed && p != nil && p.no == no
}

// give lets the program send for the slots of items what it had sent in these.
func (d *Datapath) give(q *queues, its []*item, slots []uint32) error {
	for k, it := range its {
		q.done(slots[k], it)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil
	}
	for k, it := range its {
		i, mark, write := q.raise(slots[k], it.cpu)
		if !write {
			continue
		}
		if err := d.maps.quota.Put(i, mark); err != nil {
			return fmt.Errorf("raise upcall quota: %w", err)
		}
	}
	return nil
}

// Close detaches the program everywhere and frees the maps. It waits for a
// handler that runs.
func (d *Datapath) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return fmt.Errorf("close BPF datapath: %w", dpif.ErrClosed)
	}
	d.closed = true
	close(d.done)
	var errs []error
	if d.ports != nil {
		for _, p := range d.ports.byNo {
			if p.at != nil {
				errs = append(errs, p.at.detach())
			}
			errs = append(errs, p.out.Close())
		}
	}
	if d.ring != nil {
		_ = d.ring.Flush() // wakes Run
	}
	d.mu.Unlock()

	d.watch.Wait()
	d.running.Lock()
	defer d.running.Unlock()
	if d.ring != nil {
		errs = append(errs, d.ring.Close())
	}
	if d.maps != nil {
		d.maps.close()
	}
	if d.nl != nil {
		d.nl.Close()
	}
	if d.ns.IsOpen() {
		errs = append(errs, d.ns.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close BPF datapath: %w", err)
	}
	return nil
}

func (d *Datapath) isClosed() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}
