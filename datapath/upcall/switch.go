// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/xlate"
)

// Defaults of Options, and the rhythm of Run.
const (
	DefaultMaxIdle   = 10 * time.Second
	DefaultFlowLimit = 200_000
	// TickInterval is the time between two rounds of statistics and timeouts.
	TickInterval = 500 * time.Millisecond
	// maxWorkers bounds the goroutines that translate megaflows anew; one CPU is left to
	// upcalls.
	maxWorkers = 4
)

// Options of a Switch.
type Options struct {
	MaxVLANs  int              // as the datapath parses; 0: 1
	MaxIdle   time.Duration    // 0: DefaultMaxIdle; a megaflow without packets for this long goes
	FlowLimit int              // 0: DefaultFlowLimit
	Now       func() time.Time // nil: time.Now; for Run and upcalls
	Log       *slog.Logger     // nil: slog.Default()

	// Priority returns the packet priority (skb->priority) that stands for an OpenFlow queue; nil: the
	// datapath knows no queues, and they are ignored.
	Priority func(queue uint32) uint32
	// Async takes messages for controllers. It is called without locks, packet-ins
	// from a goroutine of Run, and should not block.
	Async func(a Async)
	// Monitor sends a connection (ofproto.ConnInfo) what its flow monitors tell, whole messages, if there are
	// any, and returns the bytes that wait for it then. It is called without locks, and does not block; nil: there are no flow monitors.
	Monitor func(bridge string, conn uint64, raw []byte) (queued int)
	// Barrier is called, without locks, before a barrier of a controller is answered, when every
	// megaflow is right; nil: nothing. Who has put more than megaflows somewhere makes that right, too.
	Barrier func(bridge string)
	// PortDown sets a port's device down or up, as a controller asked; nil: nothing.
	PortDown func(bridge, port string, down bool)
	// PortStats returns the counters of a port's device; nil, or false: those of the
	// datapath. It must not call the Switch.
	PortStats func(bridge string, no action.Port, name string) (openflow.PortStats, bool)
}

// Async is a message to the controllers of a bridge.
type Async struct {
	Bridge     string
	Msg        openflow.Message // *openflow.PacketIn (with the whole packet), *openflow.FlowRemoved, *openflow.PortStatus
	Controller uint16           // packet-ins: the connection id that it is for
	MaxLen     uint16           // packet-ins: bytes to send; 0xffff: all
}

// Stats count since the Switch was made.
type Stats struct {
	Flows         int    // megaflows now
	Masks         int    // different masks among them
	FlowLimit     int    // the bound of megaflows now
	Misses        uint64 // packets that matched no megaflow
	Actions       uint64 // packets that an action handed up
	Installed     uint64 // megaflows
	Duplicates    uint64 // misses whose megaflow was installed meanwhile
	NotInstalled  uint64 // translations that the datapath had no place or no support for
	AtLimit       uint64 // of these: at Options.FlowLimit
	Expired       uint64 // megaflows idle for too long
	Revalidated   uint64 // megaflows translated anew
	Replaced      uint64 // of these: with other actions
	Deleted       uint64 // of these: deleted
	Malformed     uint64 // packets too short for an Ethernet header
	NoPort        uint64 // packets from a port that no bridge has
	ExecuteFailed uint64 // packets that the datapath did not execute
	PacketInDrops uint64 // packets for controllers, dropped at the bound
	TooLong       uint64 // translations ended by a limit (xlate.ErrTooDeep and others)
	NotLearned    uint64 // flows that a learn action could not bring into its table
}

type counters struct {
	misses, actions, installed, duplicates, notInstalled, atLimit, expired, revalidated,
	replaced, deleted, malformed, noPort, executeFailed, tooLong, notLearned atomic.Uint64
}

// Switch runs the bridges of one datapath.
type Switch struct {
	dp  dpif.Datapath
	opt Options

	changes  sync.Mutex // before mu, see the package comment
	mu       sync.RWMutex
	bridges  map[string]*bridge
	byDP     map[dpif.Port]*xlate.Port
	lastPump time.Time
	// What packets did to the tables of a bridge while a bundle was committed.
	postponed ledger

	epoch   time.Time // when the Switch was made
	workers atomic.Int32
	wake    chan struct{} // to the workers

	macsMoved, tablesChanged chan struct{}

	ix     *index
	nextID atomic.Uint64
	count  counters
	pins   *fair
	meters *meters
	mon    monitors

	batches sync.Pool // of *batch

	maxIdle, flowMost atomic.Int64 // of Options, or of Config
	flowLimit         atomic.Int64 // flowMost or less, see adapt
}

// bridge is a bridge with its configuration as applied.
type bridge struct {
	cfg BridgeConfig
	x   *xlate.Bridge
}

// New returns a Switch without bridges for a datapath. Megaflows that are in the
// datapath already are deleted with the first round of statistics.
func New(dp dpif.Datapath, o Options) *Switch {
	if o.MaxVLANs == 0 {
		o.MaxVLANs = 1
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = DefaultMaxIdle
	}
	if o.FlowLimit == 0 || o.FlowLimit > DefaultFlowLimit {
		o.FlowLimit = DefaultFlowLimit
	}
	if n := dp.Features().MaxFlows; n != 0 {
		o.FlowLimit = min(o.FlowLimit, n)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Async == nil {
		o.Async = func(Async) {}
	}
	s := &Switch{
		dp: dp, opt: o, bridges: make(map[string]*bridge), byDP: make(map[dpif.Port]*xlate.Port),
		ix: newIndex(), pins: newFair(), meters: &meters{dp: dp}, epoch: o.Now(),
		wake:      make(chan struct{}, max(1, min(maxWorkers, runtime.GOMAXPROCS(0)-1))),
		macsMoved: make(chan struct{}, 1), tablesChanged: make(chan struct{}, 1),
	}
	s.batches.New = func() any { return new(batch) }
	// IDs are never used twice, also not those of flows left by a process before.
	last := uint64(0)
	if err := dp.FlowDump(func(id dpif.FlowID, _ dpif.FlowStats) bool {
		last = max(last, uint64(id))
		return true
	}); err != nil {
		o.Log.Warn("list megaflows", "err", err)
	}
	s.nextID.Store(last)
	s.maxIdle.Store(int64(o.MaxIdle))
	s.setFlowLimit(o.FlowLimit)
	return s
}

// Run serves upcalls, statistics, timeouts and packet-ins until ctx ends. Megaflows
// stay in the datapath.
func (s *Switch) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(TickInterval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				s.Tick(s.opt.Now())
			}
		}
	})
	wg.Go(func() { s.pins.run(ctx, s.opt.Async) })
	for range cap(s.wake) {
		s.workers.Add(1)
		wg.Go(func() { s.revalidate(ctx) })
	}
	err := s.dp.Run(ctx, s.Upcalls)
	cancel()
	wg.Wait()
	s.workers.Add(-int32(cap(s.wake)))
	s.settle(true)
	if err != nil {
		return fmt.Errorf("run datapath %s: %w", s.dp.Features().Name, err)
	}
	return nil
}

// ErrNoBridge is the error for a bridge that is not there.
var ErrNoBridge = errors.New("no such bridge")

func (s *Switch) bridge(name string) (*bridge, error) {
	b := s.bridges[name]
	if b == nil {
		return nil, fmt.Errorf("bridge %s: %w", name, ErrNoBridge)
	}
	return b, nil
}

// freshFor is how old statistics may be in an answer to a controller; with many
// megaflows they may be as old as the round of Run makes them.
const (
	freshFor   = 100 * time.Millisecond
	freshFlows = 20_000
)

// Handle does what an OpenFlow message to a bridge asks for, and returns the
// replies. It may be called from any goroutine. Packets that arrive behind its return are
// treated by the changed tables; while Run runs, megaflows may lag if a change
// concerns more than a few hundred, until a barrier is answered (OpenFlow 1.3, 7.3.8).
// A panic in the tables' answer to a request that changes nothing leaves the Switch whole; any
// other has a value of type Torn.
func (s *Switch) Handle(name string, c ofproto.ConnInfo, m openflow.Message, now time.Time) []openflow.Message {
	s.freshen(m, now)
	if req, ok := m.(*openflow.PortStatsRequest); ok {
		return s.portStats(name, c, req, now)
	}
	looking := false // at the tables, with both locks held
	defer func() {
		p := recover()
		switch {
		case p == nil:
		case looking:
			s.mu.Unlock()
			s.changes.Unlock()
			panic(p)
		default:
			panic(Torn{p})
		}
	}()
	s.changes.Lock()
	b, err := s.bridge(name) // bridges come and go under both locks
	if err != nil {
		s.changes.Unlock()
		return []openflow.Message{&openflow.Error{Kind: ofp.BRCEperm, Data: []byte(err.Error())}}
	}
	var replies []openflow.Message
	var eff ofproto.Effects
	var late ledger
	if bundle, ok := m.(*openflow.Bundle); ok {
		replies, eff = s.commit(b, c, bundle, now)
		s.mu.Lock()
		late, s.postponed = s.postponed, nil
		s.mu.Unlock()
	} else {
		s.mu.Lock()
		looking = looks(m)
		replies, eff = b.x.OF.Handle(c, m, now)
		looking = false
		s.apply(b, &eff)
		s.mu.Unlock()
	}
	s.changes.Unlock()
	s.owe(late, now)
	_, barrier := m.(*openflow.BarrierRequest)
	s.settle(barrier)
	if barrier && s.opt.Barrier != nil {
		s.opt.Barrier(name)
	}
	s.deliver(b.x.Name, &eff)
	for _, m := range eff.Out {
		s.packetOut(name, m, now)
	}
	return replies
}

// FlowStats answers a request for flows of a bridge in parts (ofproto.Bridge.FlowStats).
// take is called with a lock that changes of the tables wait for; it must not call the Switch.
func (s *Switch) FlowStats(name string, m *openflow.FlowStatsRequest, now time.Time, take func(*openflow.FlowStatsReply)) error {
	s.freshen(m, now)
	s.mu.RLock()
	b, err := s.bridge(name)
	s.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("%w: %w", err, ofp.BRCEperm)
	}
	return b.x.OF.FlowStats(m, now, s.mu.RLocker(), take)
}

// freshen brings counters up to date where the answer to m shows them.
func (s *Switch) freshen(m openflow.Message, now time.Time) {
	defer tear()
	switch m := m.(type) {
	case *openflow.FlowStatsRequest, *openflow.AggregateRequest, *openflow.TableStatsRequest, *openflow.GroupStatsRequest,
		*openflow.Bundle:
	case *openflow.FlowMod:
		if m.Command != openflow.FlowDelete && m.Command != openflow.FlowDeleteStrict {
			return
		}
	default:
		return
	}
	age := freshFor
	if s.ix.len() > freshFlows {
		age = 2 * TickInterval
	}
	s.mu.RLock()
	old := now.Sub(s.lastPump) >= age
	s.mu.RUnlock()
	if old {
		s.pump(now)
	}
}

// portStats asks for counters without a lock: that can take system calls.
func (s *Switch) portStats(name string, c ofproto.ConnInfo, m *openflow.PortStatsRequest, now time.Time) []openflow.Message {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bridge(name)
	if err != nil {
		return []openflow.Message{&openflow.Error{Kind: ofp.BRCEperm, Data: []byte(err.Error())}}
	}
	replies, _ := b.x.OF.Handle(c, m, now) // reads only
	return replies
}

// deliver hands out what a change means for others. No lock is held.
func (s *Switch) deliver(name string, eff *ofproto.Effects) {
	s.tellMonitors()
	for _, m := range eff.Async {
		s.opt.Async(Async{Bridge: name, Msg: m})
	}
	if s.opt.PortDown == nil {
		return
	}
	for no, down := range eff.PortDown {
		s.mu.RLock()
		port := ""
		if b := s.bridges[name]; b != nil {
			if p := b.x.Port(no); p != nil {
				port = p.Name
			}
		}
		s.mu.RUnlock()
		if port != "" {
			s.opt.PortDown(name, port, down)
		}
	}
}

// input is what a translation needs for a packet from port p.
func (s *Switch) input(p *xlate.Port, k *flow.Key) *xlate.In {
	return &xlate.In{Bridge: p.Bridge, InPort: p.No, Key: k, MaxVLANs: s.opt.MaxVLANs, Priority: s.opt.Priority}
}

// Stats returns the counters.
func (s *Switch) Stats() Stats {
	s.ix.mu.Lock()
	flows, masks := len(s.ix.byID), len(s.ix.masks)
	s.ix.mu.Unlock()
	c := &s.count
	return Stats{
		Flows: flows, Masks: masks, FlowLimit: int(s.flowLimit.Load()),
		Misses: c.misses.Load(), Actions: c.actions.Load(), Installed: c.installed.Load(), Duplicates: c.duplicates.Load(),
		NotInstalled: c.notInstalled.Load(), AtLimit: c.atLimit.Load(), Expired: c.expired.Load(),
		Revalidated: c.revalidated.Load(), Replaced: c.replaced.Load(), Deleted: c.deleted.Load(),
		Malformed: c.malformed.Load(), NoPort: c.noPort.Load(), ExecuteFailed: c.executeFailed.Load(),
		PacketInDrops: s.pins.drops.Load(), TooLong: c.tooLong.Load(), NotLearned: c.notLearned.Load(),
	}
}
