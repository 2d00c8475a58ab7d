// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// ConnInfo says who sent a message.
type ConnInfo struct {
	ID      uint64 // of the connection, not 0
	Version ofp.Version
	XID     uint32 // of the message
}

// Handle does what a message asks for. A refusal is an *openflow.Error among the
// replies. Messages that belong to the connection (hello, echo, roles, formats) are not
// for it and are refused.
func (b *Bridge) Handle(c ConnInfo, m openflow.Message, now time.Time) (replies []openflow.Message, eff Effects) {
	one := func(m openflow.Message) { replies = append(replies, m) }
	var err error
	switch m := m.(type) {
	case *openflow.FlowMod:
		b.cause = c
		eff, err = b.flowMod(c, m, now)
		b.cause = ConnInfo{}
	case *openflow.Bundle:
		return b.Commit(c, m, now, nil, nil)
	case *openflow.PacketOut:
		if err = b.checkPacketOut(m); err == nil {
			eff.Out = append(eff.Out, m)
		}
	case *openflow.PortMod:
		eff, err = b.portMod(m)
	case *openflow.SetConfig:
		// Reassembly is not offered; a request for it leaves the mode as it was.
		if m.Frag != b.frag && m.Frag != openflow.FragReassemble && m.Frag <= openflow.FragNXMatch {
			b.frag = m.Frag
			eff.Fragments = true
		}
	case *openflow.GetConfigRequest:
		one(&openflow.GetConfigReply{Config: openflow.Config{Frag: b.frag}})
	case *openflow.BarrierRequest:
		one(&openflow.BarrierReply{})
	case *openflow.FeaturesRequest:
		one(b.features())
	case *openflow.DescRequest:
		d := b.Desc
		one(&d)
	case *openflow.FlowStatsRequest:
		err = b.flowStats(m, now, one)
	case *openflow.AggregateRequest:
		err = b.aggregate(m, one)
	case *openflow.TableStatsRequest:
		one(b.tableStats())
	case *openflow.TableFeaturesRequest:
		if m.Set {
			err = ofp.TFFCEperm
		} else {
			one(b.tableFeatures())
		}
	case *openflow.TableDescRequest:
		r := &openflow.TableDescReply{}
		for i := range VisibleTables {
			r.Tables = append(r.Tables, b.tableDesc(uint8(i)))
		}
		one(r)
	case *openflow.PortStatsRequest:
		one(b.portStats(m.Port, now))
	case *openflow.PortDescRequest:
		r := &openflow.PortDescReply{}
		for _, d := range b.descs() {
			if m.Port == action.PortAny || m.Port == d.No {
				r.Ports = append(r.Ports, d)
			}
		}
		one(r)
	case *openflow.QueueStatsRequest:
		switch {
		case m.Port != action.PortAny && b.ports[m.Port] == nil:
			err = ofp.QOFCBadPort
		case m.Queue != allQueues:
			err = ofp.QOFCBadQueue
		default:
			one(&openflow.QueueStatsReply{})
		}
	case *openflow.QueueGetConfigRequest:
		switch {
		case b.ports[m.Port] == nil && (m.Port != action.PortAny || c.Version < ofp.V14):
			err = ofp.QOFCBadPort
		case c.Version >= ofp.V14 && m.Queue != allQueues:
			err = ofp.QOFCBadQueue
		default:
			one(&openflow.QueueGetConfigReply{Port: m.Port})
		}
	case *openflow.TableMod:
		err = b.tableMod(m)
	case *openflow.TLVTableMod:
		err = b.tlvMod(m)
	case *openflow.TLVTableRequest:
		one(b.tlvReply())
	case *openflow.CTFlushZone, *openflow.CTFlush: // no connection is tracked
	case *openflow.FlowMonitorRequest:
		err = b.flowMonitor(c, m)
	case *openflow.FlowMonitorCancel:
		err = b.cancelMonitor(c, m.ID)
	case *openflow.MeterMod:
		b.cause = c
		eff, err = b.meterMessage(m, now, one)
		b.cause = ConnInfo{}
	case *openflow.MeterFeaturesRequest, *openflow.MeterConfigRequest, *openflow.MeterStatsRequest:
		eff, err = b.meterMessage(m, now, one)
	case *openflow.GroupMod:
		b.cause = c
		eff, err = b.GroupMod(m, now)
		b.cause = ConnInfo{}
	case *openflow.GroupDescRequest:
		one(b.groupDesc(m.Group))
	case *openflow.GroupStatsRequest:
		one(b.groupStats(m.Group, now))
	case *openflow.GroupFeaturesRequest:
		one(groupFeatures(c.Version))
	default:
		err = fmt.Errorf("message %T: %w", m, ofp.BRCBadType)
	}
	if err != nil {
		one(&openflow.Error{Kind: kindOf(err)})
	}
	return replies, eff
}

// flowMod is FlowMod for a message of a connection.
func (b *Bridge) flowMod(c ConnInfo, m *openflow.FlowMod, now time.Time) (Effects, error) {
	if c.Version > ofp.V10 && m.Command == openflow.FlowAdd && m.Table == openflow.TableAll {
		return Effects{}, ofp.FMFCBadTableId // only OpenFlow 1.0 lets the switch choose
	}
	return b.FlowMod(m, now)
}

// allQueues means all queues of a port (OFPQ_ALL).
const allQueues = 0xffffffff

func (b *Bridge) checkPacketOut(m *openflow.PacketOut) error {
	if m.BufferID != openflow.NoBuffer {
		return ofp.BRCBufferUnknown
	}
	switch m.InPort {
	case action.PortLocal, action.PortController, action.PortAny:
	default:
		if m.InPort >= maxPort {
			return ofp.BRCBadPort
		}
	}
	if err := b.checkMeters(&action.Instructions{Apply: m.Actions}); err != nil {
		return err
	}
	return b.checkList(m.Actions)
}

func (b *Bridge) features() *openflow.FeaturesReply {
	return &openflow.FeaturesReply{
		DatapathID: b.DatapathID,
		Tables:     VisibleTables,
		Capabilities: openflow.CapFlowStats | openflow.CapTableStats | openflow.CapPortStats |
			openflow.CapGroupStats | openflow.CapQueueStats | openflow.CapARPMatchIP | openflow.CapBundles,
		Actions: 1<<12 - 1, // OpenFlow 1.0, 5.2.4: OFPAT_OUTPUT to OFPAT_ENQUEUE
		Ports:   b.descs(),
	}
}

func ageSec(from, to time.Time) int32 {
	return int32(min(max(to.Sub(from)/time.Second, 0), math.MaxInt32))
}

// statsPart is how many flows a part of FlowStats has.
const statsPart = 128

func (b *Bridge) flowStats(m *openflow.FlowStatsRequest, now time.Time, one func(openflow.Message)) error {
	all := &openflow.FlowStatsReply{Nicira: m.Nicira}
	err := b.FlowStats(m, now, nil, func(part *openflow.FlowStatsReply) { all.Flows = append(all.Flows, part.Flows...) })
	if err == nil {
		one(all)
	}
	return err
}

// FlowStats answers m in parts of a bounded size, one at least; More is set in all but
// the last. A part is valid only while it is being taken. The error is an ofp.Kind, and
// comes before any part.
//
// It only reads. lk is held and given up between the parts; nil: the Bridge does not change. The
// flows are those of the beginning: of a bundle committed meanwhile nothing shows, but other changes
// of a rule do.
func (b *Bridge) FlowStats(m *openflow.FlowStatsRequest, now time.Time, lk sync.Locker, take func(*openflow.FlowStatsReply)) error {
	if err := checkFilter(&m.FlowFilter); err != nil {
		return err
	}
	if lk == nil {
		lk = noLock{}
	}
	locked := func(f func()) { // gives lk up also when f panics
		lk.Lock()
		defer lk.Unlock()
		f()
	}
	rules := inOrder(b.readable(&m.FlowFilter, lk))
	flows := make([]openflow.FlowStats, min(statsPart, len(rules)))
	for {
		n := min(statsPart, len(rules))
		locked(func() {
			for i, r := range rules[:n] {
				f := &flows[i]
				f.Table, f.Priority, f.Cookie = r.Table, uint16(r.Priority()), r.Cookie
				r.cr.CopyMatch(&f.Match)
				f.Lifetime, f.IdleAge, f.HardAge = lifetime(r.Created, now), ageSec(r.Used, now), ageSec(r.Modified, now)
				f.IdleTimeout, f.HardTimeout, f.Importance, f.Flags = r.IdleTimeout, r.HardTimeout, r.Importance, r.Flags
				f.Packets, f.Bytes, f.Instructions = r.Packets, r.Bytes, *r.Instr
			}
			rules = rules[n:]
			take(&openflow.FlowStatsReply{Nicira: m.Nicira, Flows: flows[:n], More: len(rules) > 0})
		})
		if len(rules) == 0 {
			return nil
		}
	}
}

// noLock is the lock of who has the Bridge for himself.
type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

func (b *Bridge) aggregate(m *openflow.AggregateRequest, one func(openflow.Message)) error {
	if err := checkFilter(&m.FlowFilter); err != nil {
		return err
	}
	rep := &openflow.AggregateReply{Nicira: m.Nicira}
	for _, r := range b.pick(&m.FlowFilter, b.version, nil) {
		rep.Packets += r.Packets
		rep.Bytes += r.Bytes
		rep.Flows++
	}
	one(rep)
	return nil
}

func (b *Bridge) tableStats() *openflow.TableStatsReply {
	rep := &openflow.TableStatsReply{}
	for i := range VisibleTables {
		s := openflow.TableStats{Table: uint8(i), Name: b.tableName(uint8(i)), MaxEntries: b.limits[uint8(i)].shownMax()}
		if t := b.tables[i]; t != nil {
			s.Active = uint32(t.n)
		}
		u := b.usage[i]
		s.Lookups, s.Matched = u.matched+u.missed, u.matched
		rep.Tables = append(rep.Tables, s)
	}
	return rep
}

func (b *Bridge) tableFeatures() *openflow.TableFeaturesReply {
	var match, set []flow.Field
	for f := flow.FieldNone + 1; f < flow.NumFields; f++ {
		match = append(match, f)
		if f.Info().Writable {
			set = append(set, f)
		}
	}
	rep := &openflow.TableFeaturesReply{}
	for i := range VisibleTables {
		t := openflow.TableFeatures{
			Table: uint8(i), Name: b.tableName(uint8(i)), MetadataMatch: ^uint64(0), MetadataMask: ^uint64(0),
			MaxEntries: b.limits[uint8(i)].shownMax(), Match: match, Wildcards: match, SetField: set,
		}
		for n := i + 1; n < VisibleTables; n++ {
			t.Next = append(t.Next, uint8(n))
		}
		rep.Tables = append(rep.Tables, t)
	}
	return rep
}

func (b *Bridge) portStats(no action.Port, now time.Time) *openflow.PortStatsReply {
	rep := &openflow.PortStatsReply{}
	for _, n := range b.PortNumbers() {
		if no != action.PortAny && no != n {
			continue
		}
		s, ok := openflow.PortStats{}, false
		if b.counters != nil {
			s, ok = b.counters(n)
		}
		if !ok {
			u := ^uint64(0)
			s = openflow.PortStats{
				RxPackets: u, TxPackets: u, RxBytes: u, TxBytes: u, RxDropped: u, TxDropped: u,
				RxErrors: u, TxErrors: u, RxFrameErr: u, RxOverErr: u, RxCRCErr: u, Collisions: u,
			}
		}
		s.No = n
		s.Duration = lifetime(b.ports[n].Added, now)
		rep.Ports = append(rep.Ports, s)
	}
	return rep
}
