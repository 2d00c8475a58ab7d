// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

const anyPort = action.PortAny

// moreOf returns the More field of a multipart reply, nil for another message.
func moreOf(m Message) *bool {
	switch m := m.(type) {
	case *DescReply:
		return &m.More
	case *FlowStatsReply:
		return &m.More
	case *AggregateReply:
		return &m.More
	case *TableStatsReply:
		return &m.More
	case *PortStatsReply:
		return &m.More
	case *PortDescReply:
		return &m.More
	case *QueueStatsReply:
		return &m.More
	case *QueueGetConfigReply:
		return &m.More
	case *TableFeaturesReply:
		return &m.More
	case *TableDescReply:
		return &m.More
	case *GroupDescReply:
		return &m.More
	case *GroupStatsReply:
		return &m.More
	case *GroupFeaturesReply:
		return &m.More
	case *MeterFeaturesReply:
		return &m.More
	case *MeterConfigReply:
		return &m.More
	case *MeterStatsReply:
		return &m.More
	case *FlowMonitorReply:
		return &m.More
	}
	return nil
}

// Lengths of the strings of a description (DESC_STR_LEN, SERIAL_NUM_LEN).
const (
	descLen   = 256
	serialLen = 32
)

func (d *decoder) desc() *DescReply {
	return &DescReply{
		Manufacturer: d.String(descLen), Hardware: d.String(descLen), Software: d.String(descLen),
		Serial: d.String(serialLen), Datapath: d.String(descLen),
	}
}

func (e *encoder) desc(m *DescReply) {
	e.String(m.Manufacturer, descLen)
	e.String(m.Hardware, descLen)
	e.String(m.Software, descLen)
	e.String(m.Serial, serialLen)
	e.String(m.Datapath, descLen)
}

func (d *decoder) filter() (f FlowFilter) {
	if d.Version == ofp.V10 {
		f.Match, f.Table = d.match10(), d.U8()
		d.Skip(1)
		f.OutPort, f.OutGroup = ofp.PortFrom10(d.U16()), action.GroupAny
		return f
	}
	d.blocks(32)
	f.Table = d.U8()
	d.Skip(3)
	f.OutPort, f.OutGroup = d.port32(), d.U32()
	d.Skip(4)
	f.Cookie, f.CookieMask = d.U64(), d.U64()
	f.Cookie &= f.CookieMask
	f.Match = d.match(false)
	return f
}

func (e *encoder) filter(f *FlowFilter) {
	if e.Version == ofp.V10 {
		e.putMatch10(&f.Match)
		e.U8(f.Table)
		e.Zero(1)
		e.U16(ofp.PortTo10(f.OutPort))
		return
	}
	e.U8(f.Table)
	e.Zero(3)
	e.U32(uint32(f.OutPort))
	e.U32(f.OutGroup)
	e.Zero(4)
	e.U64(f.Cookie)
	e.U64(f.CookieMask)
	e.putMatch(&f.Match)
}

func (d *decoder) filterNX() (f FlowFilter) {
	d.blocks(8)
	f.OutPort, f.OutGroup = ofp.PortFrom10(d.U16()), action.GroupAny
	n := int(d.U16())
	f.Table = d.U8()
	d.Skip(3)
	var ck oxm.Cookie
	f.Match = d.entries(n, n, &ck, false)
	f.Cookie, f.CookieMask = ck.Value, ck.Mask
	return f
}

func (e *encoder) filterNX(f *FlowFilter) {
	e.U16(ofp.PortTo10(f.OutPort))
	at := e.Len()
	e.Zero(2)
	e.U8(f.Table)
	e.Zero(3)
	e.SetU16(at, e.putNXM(&f.Match, oxm.Cookie{Value: f.Cookie, Mask: f.CookieMask}))
}

// filterOnly reads a filter; words behind its match are passed over, as the stock switch does.
func (d *decoder) filterOnly() FlowFilter {
	f := d.filter()
	if d.Err() == nil && d.Version > ofp.V10 && d.Len()%8 == 0 {
		d.Skip(d.Len())
	}
	return f
}

func (d *decoder) flowStatsRequest() *FlowStatsRequest {
	return &FlowStatsRequest{FlowFilter: d.filterOnly()}
}
func (e *encoder) flowStatsRequest(m *FlowStatsRequest) { e.filter(&m.FlowFilter) }
func (d *decoder) aggregateRequest() *AggregateRequest {
	return &AggregateRequest{FlowFilter: d.filterOnly()}
}
func (e *encoder) aggregateRequest(m *AggregateRequest) { e.filter(&m.FlowFilter) }
func (d *decoder) flowStatsRequestNX() *FlowStatsRequest {
	return &FlowStatsRequest{d.filterNX(), true}
}
func (e *encoder) flowStatsRequestNX(m *FlowStatsRequest) { e.filterNX(&m.FlowFilter) }
func (d *decoder) aggregateRequestNX() *AggregateRequest {
	return &AggregateRequest{d.filterNX(), true}
}
func (e *encoder) aggregateRequestNX(m *AggregateRequest) { e.filterNX(&m.FlowFilter) }

// flowElements reads elements that begin with their length; head reads what
// stands before the actions.
func (d *decoder) flowElements(head func(*decoder, *FlowStats)) (fs []FlowStats) {
	d.elements(func() {
		n := int(d.U16())
		el := d.sub(n - 2)
		s := FlowStats{IdleAge: -1, HardAge: -1}
		head(el, &s)
		s.Instructions = el.instructions()
		d.join(el)
		fs = append(fs, s)
	})
	return fs
}

// flowElement writes an element with its length before and its actions behind.
func (e *encoder) flowElement(s *FlowStats, head func()) {
	e.element(func() {
		start := e.Len()
		e.Zero(2)
		head()
		ofpact.AppendInstructions(&e.Writer, &s.Instructions, &s.Match, e.Version)
		n := e.Len() - start
		if n > MaxLen {
			n = 0 // finish refuses the message
		}
		e.SetU16(start, uint16(n))
	})
}

func (d *decoder) flowStats10() *FlowStatsReply {
	return &FlowStatsReply{Flows: d.flowElements(func(d *decoder, s *FlowStats) {
		s.Table = d.U8()
		d.Skip(1)
		s.Match = d.match10()
		s.Lifetime = d.lifetime()
		s.Priority, s.IdleTimeout, s.HardTimeout = d.U16(), d.U16(), d.U16()
		d.Skip(6)
		s.Cookie, s.Packets, s.Bytes = d.U64(), d.U64(), d.U64()
	})}
}

func (e *encoder) flowStats10(m *FlowStatsReply) {
	for i := range m.Flows {
		s := &m.Flows[i]
		e.flowElement(s, func() {
			e.U8(s.Table)
			e.Zero(1)
			e.putMatch10(&s.Match)
			e.lifetime(s.Lifetime)
			e.U16(s.Priority)
			e.U16(s.IdleTimeout)
			e.U16(s.HardTimeout)
			e.Zero(6)
			e.U64(s.Cookie)
			e.U64(s.Packets)
			e.U64(s.Bytes)
		})
	}
}

func (d *decoder) flowStats13() *FlowStatsReply {
	return &FlowStatsReply{Flows: d.flowElements(func(d *decoder, s *FlowStats) {
		s.Table = d.U8()
		d.Skip(1)
		s.Lifetime = d.lifetime()
		s.Priority, s.IdleTimeout, s.HardTimeout = d.U16(), d.U16(), d.U16()
		s.Flags = FlowModFlags(d.U16())
		if d.Version >= ofp.V14 {
			s.Importance = d.U16()
		} else {
			d.Skip(2)
		}
		d.Skip(2)
		s.Cookie, s.Packets, s.Bytes = d.U64(), d.U64(), d.U64()
		s.Match = d.match(false)
	})}
}

func (e *encoder) flowStats13(m *FlowStatsReply) {
	for i := range m.Flows {
		s := &m.Flows[i]
		e.flowElement(s, func() {
			e.U8(s.Table)
			e.Zero(1)
			e.lifetime(s.Lifetime)
			e.U16(s.Priority)
			e.U16(s.IdleTimeout)
			e.U16(s.HardTimeout)
			e.U16(uint16(s.Flags))
			if e.Version >= ofp.V14 {
				e.U16(s.Importance)
			} else {
				e.Zero(2)
			}
			e.Zero(2)
			e.U64(s.Cookie)
			e.U64(s.Packets)
			e.U64(s.Bytes)
			e.putMatch(&s.Match)
		})
	}
}

func (d *decoder) flowStats15() *FlowStatsReply {
	return &FlowStatsReply{Flows: d.flowElements(func(d *decoder, s *FlowStats) {
		d.Skip(2)
		s.Table = d.U8()
		d.Skip(1)
		s.Priority, s.IdleTimeout, s.HardTimeout = d.U16(), d.U16(), d.U16()
		s.Flags, s.Importance = FlowModFlags(d.U16()), d.U16()
		s.Cookie = d.U64()
		s.Match = d.match(false)
		x := d.oxs()
		s.Lifetime, s.Packets, s.Bytes = x.lifetime, x.packets, x.bytes
		if x.has&oxsIdle != 0 {
			s.IdleAge = int32(min(x.idle.Sec, 0x7fffffff))
		}
	})}
}

func (e *encoder) flowStats15(m *FlowStatsReply) {
	for i := range m.Flows {
		s := &m.Flows[i]
		e.flowElement(s, func() {
			e.Zero(2)
			e.U8(s.Table)
			e.Zero(1)
			e.U16(s.Priority)
			e.U16(s.IdleTimeout)
			e.U16(s.HardTimeout)
			e.U16(uint16(s.Flags))
			e.U16(s.Importance)
			e.U64(s.Cookie)
			e.putMatch(&s.Match)
			x := oxs{has: oxsDuration | oxsPackets | oxsBytes, lifetime: s.Lifetime, packets: s.Packets, bytes: s.Bytes}
			if s.IdleAge >= 0 {
				x.has |= oxsIdle
				x.idle.Sec = uint32(s.IdleAge)
			}
			e.oxs(x)
		})
	}
}

// age reads an age in seconds that is one more on the wire; 0: not known.
func age(w uint16) int32 { return int32(w) - 1 }

func wireAge(a int32) uint16 {
	switch {
	case a < 0:
		return 0
	case a >= 0xffff:
		return 0xffff
	}
	return uint16(a + 1)
}

func (d *decoder) flowStatsNX() *FlowStatsReply {
	return &FlowStatsReply{Nicira: true, Flows: d.flowElements(func(d *decoder, s *FlowStats) {
		s.Table = d.U8()
		d.Skip(1)
		s.Lifetime = d.lifetime()
		s.Priority, s.IdleTimeout, s.HardTimeout = d.U16(), d.U16(), d.U16()
		n := int(d.U16())
		s.IdleAge, s.HardAge = age(d.U16()), age(d.U16())
		s.Cookie, s.Packets, s.Bytes = d.U64(), d.U64(), d.U64()
		s.Match = d.entries(n, n, nil, false)
	})}
}

func (e *encoder) flowStatsNX(m *FlowStatsReply) {
	for i := range m.Flows {
		s := &m.Flows[i]
		e.flowElement(s, func() {
			e.U8(s.Table)
			e.Zero(1)
			e.lifetime(s.Lifetime)
			e.U16(s.Priority)
			e.U16(s.IdleTimeout)
			e.U16(s.HardTimeout)
			at := e.Len()
			e.Zero(2)
			e.U16(wireAge(s.IdleAge))
			e.U16(wireAge(s.HardAge))
			e.U64(s.Cookie)
			e.U64(s.Packets)
			e.U64(s.Bytes)
			e.SetU16(at, e.putNXM(&s.Match, oxm.Cookie{}))
		})
	}
}

func (d *decoder) aggregate() *AggregateReply {
	m := &AggregateReply{Packets: d.U64(), Bytes: d.U64(), Flows: d.U32()}
	d.Skip(4)
	return m
}

func (d *decoder) aggregateNX() *AggregateReply {
	m := d.aggregate()
	m.Nicira = true
	return m
}

func (e *encoder) aggregate(m *AggregateReply) {
	e.U64(m.Packets)
	e.U64(m.Bytes)
	e.U32(m.Flows)
	e.Zero(4)
}

func (d *decoder) aggregate15() *AggregateReply {
	x := d.oxs()
	return &AggregateReply{Packets: x.packets, Bytes: x.bytes, Flows: x.flows}
}

func (e *encoder) aggregate15(m *AggregateReply) {
	e.oxs(oxs{has: oxsFlows | oxsPackets | oxsBytes, packets: m.Packets, bytes: m.Bytes, flows: m.Flows})
}
