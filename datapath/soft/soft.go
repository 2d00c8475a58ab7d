// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// Config bounds a Datapath. Zero values mean the defaults.
type Config struct {
	MaxFlows int // 200,000
	MaxMasks int // 1,024
	MaxVLANs int // packet.DefaultMaxVLANs; 2 at most
	// NoIsolate leaves the frames of ports to the kernel's stack too.
	NoIsolate bool
	Log       *slog.Logger
	// Now is the clock of meters: the time since any fixed moment. Default: the monotonic clock.
	Now func() time.Duration
}

// Datapath is the datapath in Go; see the package comment and package dpif.
type Datapath struct {
	cfg    Config
	can    flow.Mask
	table  *table
	meters meters
	queues *queues

	mu     sync.Mutex // guards changes of ports
	ports  atomic.Pointer[map[dpif.Port]*port]
	closed bool
	done   chan struct{}
	wg     sync.WaitGroup
	execs  sync.Pool // of *executor
	bufs   netdev.RawBuffers
	nobody port // the port of packets that arrived on none, for Execute
}

var _ dpif.Datapath = (*Datapath)(nil)

// New returns a datapath without ports and flows.
func New(cfg Config) *Datapath {
	if cfg.MaxFlows == 0 {
		cfg.MaxFlows = 200_000
	}
	if cfg.MaxMasks == 0 {
		cfg.MaxMasks = 1024
	}
	if cfg.MaxVLANs == 0 {
		cfg.MaxVLANs = packet.DefaultMaxVLANs
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		start := time.Now()
		cfg.Now = func() time.Duration { return time.Since(start) }
	}
	// A random seed, so that nobody can send keys that all hash alike.
	seed := maphash.Comparable(maphash.MakeSeed(), 0)
	d := &Datapath{
		cfg: cfg, can: matchable(), table: newTable(cfg.MaxFlows, cfg.MaxMasks, seed),
		queues: newQueues(), done: make(chan struct{}),
	}
	d.ports.Store(&map[dpif.Port]*port{})
	d.nobody.queue.dropped = &d.nobody.upcallDropped
	d.bufs.Keep = runtime.GOMAXPROCS(0)
	d.execs.New = func() any { return new(executor) }
	d.wg.Go(d.keepRanked)
	return d
}

// keepRanked orders the subtables by use once a second.
func (d *Datapath) keepRanked() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			d.table.rank()
		case <-d.done:
			return
		}
	}
}

// Features implements dpif.Datapath.
func (d *Datapath) Features() dpif.Features {
	return dpif.Features{Name: "soft", Match: d.can, MaxActions: maxActions, MaxFlows: d.cfg.MaxFlows, MaxMeters: maxMeters, MaxBands: maxBands}
}

func (d *Datapath) port(no dpif.Port) *port { return (*d.ports.Load())[no] }

// PortAdd implements dpif.Datapath. The device is that of the network namespace
// of the calling thread.
func (d *Datapath) PortAdd(no dpif.Port, spec dpif.PortSpec) (err error) {
	defer wrap(&err, "add port %d (device %s)", no, spec.Name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dpif.ErrClosed
	}
	if no > dpif.MaxPort {
		return fmt.Errorf("number above %d", dpif.MaxPort)
	}
	ports := *d.ports.Load()
	for _, p := range ports {
		if p.no == no || p.spec.Ifindex == spec.Ifindex {
			return dpif.ErrExist
		}
	}
	sock, err := netdev.OpenRaw(spec.Ifindex, netdev.RawConfig{Receive: !spec.SendOnly, Promisc: !spec.SendOnly, Buffers: &d.bufs})
	if err != nil {
		return err
	}
	p := &port{no: no, spec: spec, sock: sock, closed: make(chan struct{})}
	p.queue.dropped = &p.upcallDropped
	if !d.cfg.NoIsolate && !spec.SendOnly {
		if p.guard, err = netdev.NewGuard(spec.Ifindex); err != nil {
			d.cfg.Log.Warn("the kernel's stack sees the frames of the port too", "port", no, "device", spec.Name, "err", err)
		}
	}
	ports = maps.Clone(ports)
	ports[no] = p
	d.ports.Store(&ports)
	if spec.SendOnly {
		close(p.closed)
		return nil
	}
	w := &worker{runner: runner{dp: d, in: p}}
	d.wg.Go(w.receive)
	return nil
}

// Isolated reports whether the kernel's stack is kept from the frames of a port.
func (d *Datapath) Isolated(no dpif.Port) bool {
	p := d.port(no)
	return p != nil && p.guard != nil
}

// PortDel implements dpif.Datapath. When it returns, no more packets of the port
// are handled.
func (d *Datapath) PortDel(no dpif.Port) (err error) {
	defer wrap(&err, "delete port %d", no)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dpif.ErrClosed
	}
	return d.remove(no)
}

// remove deletes a port; the caller holds mu.
func (d *Datapath) remove(no dpif.Port) error {
	p := d.port(no)
	if p == nil {
		return dpif.ErrNotExist
	}
	ports := maps.Clone(*d.ports.Load())
	delete(ports, no)
	d.ports.Store(&ports)
	d.queues.drop(&p.queue)
	err := p.sock.Close()
	<-p.closed
	if p.guard != nil {
		err = errors.Join(err, p.guard.Close())
	}
	return err
}

// PortStats implements dpif.Datapath.
func (d *Datapath) PortStats(no dpif.Port) (dpif.PortStats, error) {
	p := d.port(no)
	if p == nil {
		return dpif.PortStats{}, fmt.Errorf("statistics of port %d: %w", no, d.gone())
	}
	return p.stats(), nil
}

// gone is why something is not there.
func (d *Datapath) gone() error {
	select {
	case <-d.done:
		return dpif.ErrClosed
	default:
		return dpif.ErrNotExist
	}
}

// isClosed returns ErrClosed if the datapath is closed.
func (d *Datapath) isClosed() error {
	if err := d.gone(); err == dpif.ErrClosed {
		return err
	}
	return nil
}

// FlowPut implements dpif.Datapath.
func (d *Datapath) FlowPut(f *dpif.Flow) (err error) {
	defer wrap(&err, "put flow %d", f.ID)
	if err := d.isClosed(); err != nil {
		return err
	}
	if err := checkFlow(f, &d.can); err != nil {
		return err
	}
	return d.table.put(f)
}

// FlowPuts implements dpif.Datapath.
func (d *Datapath) FlowPuts(fs []dpif.Flow, errs []error) {
	closed := d.isClosed()
	d.table.mu.Lock()
	defer d.table.mu.Unlock()
	for i := range fs {
		if errs[i] = closed; closed == nil {
			if errs[i] = checkFlow(&fs[i], &d.can); errs[i] == nil {
				errs[i] = d.table.putLocked(&fs[i])
			}
		}
		wrap(&errs[i], "put flow %d", fs[i].ID)
	}
}

// FlowDel implements dpif.Datapath.
func (d *Datapath) FlowDel(id dpif.FlowID) (s dpif.FlowStats, err error) {
	defer wrap(&err, "delete flow %d", id)
	if err := d.isClosed(); err != nil {
		return s, err
	}
	return d.table.del(id)
}

// FlowStats implements dpif.Datapath.
func (d *Datapath) FlowStats(id dpif.FlowID) (s dpif.FlowStats, err error) {
	defer wrap(&err, "statistics of flow %d", id)
	if err := d.isClosed(); err != nil {
		return s, err
	}
	return d.table.stats(id)
}

// FlowDump implements dpif.Datapath.
func (d *Datapath) FlowDump(yield func(dpif.FlowID, dpif.FlowStats) bool) (err error) {
	defer wrap(&err, "dump flows")
	if err := d.isClosed(); err != nil {
		return err
	}
	for _, id := range d.table.ids() {
		if s, err := d.table.stats(id); err == nil && !yield(id, s) {
			break
		}
	}
	return nil
}

// Execute implements dpif.Datapath.
func (d *Datapath) Execute(in dpif.Port, p dpif.Packet, actions []dpif.Action) error {
	xs := [1]dpif.Execution{{In: in, Packet: p, Actions: actions}}
	d.Executes(xs[:])
	return xs[0].Err
}

// Executes implements dpif.Datapath.
func (d *Datapath) Executes(xs []dpif.Execution) {
	e := d.execs.Get().(*executor)
	e.dp = d
	closed := d.isClosed()
	for i := range xs {
		x := &xs[i]
		if x.Err = closed; closed == nil {
			x.Err = e.execute(x)
		}
		wrap(&x.Err, "execute %d actions on a packet of port %d", len(x.Actions), x.In)
	}
	e.flush()
	e.dp, e.in = nil, nil
	e.frame.Reset(nil, 0, dpif.GSO{})
	d.execs.Put(e)
}

// Run implements dpif.Datapath.
func (d *Datapath) Run(ctx context.Context, handle func([]dpif.Upcall)) error {
	var us [dpif.MaxBatch]dpif.Upcall
	for {
		n, ok := d.queues.wait(ctx, d.done, us[:])
		if !ok {
			return nil
		}
		handle(us[:n])
		d.queues.free(us[:n])
	}
}

// Close implements dpif.Datapath.
func (d *Datapath) Close() (err error) {
	defer wrap(&err, "close datapath")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dpif.ErrClosed
	}
	d.closed = true
	close(d.done)
	for no := range *d.ports.Load() {
		err = errors.Join(err, d.remove(no))
	}
	d.wg.Wait()
	return err
}

// wrap adds the operation to an error.
func wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf(format+": %w", append(args, *err)...)
	}
}
