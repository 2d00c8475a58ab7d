// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"log/slog"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// defaultMissLen is the miss_send_len of a primary connection
// (OFP_DEFAULT_MISS_SEND_LEN).
const defaultMissLen = 128

// defaultAsync is what a connection gets before it asks for something else
// (ovs-ofctl(8), monitor; OpenFlow 1.3.5, 6.3.6).
func defaultAsync(v ofp.Version) (a openflow.AsyncConfig) {
	a.Primary[openflow.AsyncPacketIn] = 1<<openflow.ReasonNoMatch | 1<<openflow.ReasonAction |
		1<<openflow.ReasonActionSet | 1<<openflow.ReasonGroup | 1<<openflow.ReasonPacketOut
	ports := uint32(1<<openflow.PortAdded | 1<<openflow.PortDeleted | 1<<openflow.PortModified)
	a.Primary[openflow.AsyncPortStatus], a.Secondary[openflow.AsyncPortStatus] = ports, ports
	a.Primary[openflow.AsyncFlowRemoved] = 1<<openflow.RemovedIdle | 1<<openflow.RemovedHard | 1<<openflow.RemovedDelete
	if v >= ofp.V13 {
		a.Primary[openflow.AsyncFlowRemoved] |= 1 << openflow.RemovedGroupDelete
	}
	if v >= ofp.V14 {
		a.Primary[openflow.AsyncFlowRemoved] |= 1<<openflow.RemovedMeterDelete | 1<<openflow.RemovedEviction
	}
	return a
}

// refuse returns the error for a message that does not come from controllers,
// or not from one in this role.
func (c *Conn) refuse(m openflow.Message) ofp.Kind {
	switch m := m.(type) {
	case *openflow.FeaturesReply, *openflow.GetConfigReply, *openflow.PacketIn, *openflow.FlowRemoved,
		*openflow.PortStatus, *openflow.BarrierReply, *openflow.RoleReply, *openflow.GetAsyncReply,
		*openflow.QueueGetConfigReply, *openflow.TLVTableReply, *openflow.TableStatus,
		*openflow.FlowMonitorReply, *openflow.FlowMonitorPaused, *openflow.FlowMonitorResumed:
		return ofp.BRCBadType
	case *openflow.DescReply, *openflow.FlowStatsReply, *openflow.AggregateReply, *openflow.TableStatsReply,
		*openflow.PortStatsReply, *openflow.PortDescReply, *openflow.QueueStatsReply, *openflow.TableFeaturesReply,
		*openflow.TableDescReply, *openflow.GroupDescReply, *openflow.GroupStatsReply, *openflow.GroupFeaturesReply,
		*openflow.MeterFeaturesReply, *openflow.MeterConfigReply, *openflow.MeterStatsReply:
		return ofp.BRCBadType
	case *openflow.FlowMod, *openflow.PacketOut, *openflow.PortMod, *openflow.GroupMod, *openflow.MeterMod,
		*openflow.TLVTableMod, *openflow.TableMod, *openflow.BundleControl, *openflow.BundleAdd:
		return c.modification()
	case *openflow.TableFeaturesRequest:
		if m.Set {
			return c.modification()
		}
	}
	return ofp.NoError
}

// modification is refused from a controller in the role secondary.
func (c *Conn) modification() ofp.Kind {
	if c.Role() == openflow.RoleSecondary {
		return ofp.BRCIsSecondary
	}
	return ofp.NoError
}

// own does what concerns the connection alone; it reports whether it did, and the reply
// if there is one.
func (c *Conn) own(r *Request) (reply openflow.Message, done bool) {
	if m, ok := r.Msg.(*openflow.RoleRequest); ok {
		return c.sw.setRole(c, m), true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := r.Msg.(type) {
	case *openflow.Hello, *openflow.EchoReply, *openflow.Error:
	case *openflow.EchoRequest:
		reply = &openflow.EchoReply{Data: m.Data}
	case *openflow.SetFlowFormat:
		c.proto.NXM = m.NXM
	case *openflow.SetFlowModTableID:
		c.proto.TableID = m.On
	case *openflow.SetPacketInFormat:
		c.proto.PacketIn = m.Format
	case *openflow.SetControllerID:
		c.id = m.ID
	case *openflow.GetAsyncRequest:
		reply = &openflow.GetAsyncReply{AsyncConfig: c.async}
	case *openflow.SetAsync:
		for t := range openflow.NumAsync {
			if m.SetPrimary[t] {
				c.async.Primary[t] = m.Primary[t]
			}
			if m.SetSecondary[t] {
				c.async.Secondary[t] = m.Secondary[t]
			}
		}
		if m.Nicira && c.Kind == Service && c.missLen == 0 {
			c.missLen = defaultMissLen
		}
	case *openflow.SetConfig:
		c.missLen = m.MissSendLen
		if c.proto.Version < ofp.V13 {
			bit := uint32(1) << openflow.ReasonInvalidTTL
			c.async.Primary[openflow.AsyncPacketIn] &^= bit
			if m.InvalidTTL {
				c.async.Primary[openflow.AsyncPacketIn] |= bit
			}
		}
		return nil, false // the fragment mode is the bridge's
	default:
		return nil, false
	}
	return reply, true
}

// Wants reports whether the connection gets asynchronous messages of type t for
// this reason (the number on the wire).
func (c *Conn) Wants(t openflow.AsyncType, reason uint8) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Kind == Snoop || c.proto.Version == 0 || c.Kind == Service && c.missLen == 0 || reason > 31 {
		return false
	}
	mask := &c.async.Primary
	if c.role == openflow.RoleSecondary {
		mask = &c.async.Secondary
	}
	return mask[t]>>reason&1 != 0
}

// SendAsync sends a port status, flow removed or another asynchronous message
// if the connection wants it. It reports whether it was queued.
func (c *Conn) SendAsync(m openflow.Message) bool {
	defer c.contain()
	switch m := m.(type) {
	case *openflow.PortStatus:
		if !c.Wants(openflow.AsyncPortStatus, uint8(m.Reason)) {
			return false
		}
	case *openflow.FlowRemoved:
		if !c.Wants(openflow.AsyncFlowRemoved, uint8(m.Reason)) {
			return false
		}
	case *openflow.TableStatus:
		if c.Version() < ofp.V14 || !c.Wants(openflow.AsyncTableStatus, uint8(m.Reason)) {
			return false
		}
	case *openflow.PacketIn:
		return c.SendPacketIn(m, 0, len(m.Data))
	}
	return c.send(0, m, true)
}

// SendPacketIn sends p if the connection has controller id id and wants packets
// for that reason. Of the packet at most maxLen bytes go out, of one without a
// matching flow, or with an invalid TTL, at most the connection's miss_send_len.
func (c *Conn) SendPacketIn(p *openflow.PacketIn, id uint16, maxLen int) bool {
	defer c.contain()
	proto := c.Proto()
	if id != c.ID() {
		return false
	}
	if p.Reason == openflow.ReasonImplicitMiss && proto.Version >= ofp.V13 {
		return false // a table miss without a flow drops there (OpenFlow 1.3.5, 5.4)
	}
	if !c.Wants(openflow.AsyncPacketIn, proto.Reason(p.Reason)) {
		return false
	}
	switch p.Reason {
	case openflow.ReasonNoMatch, openflow.ReasonImplicitMiss, openflow.ReasonInvalidTTL:
		maxLen = int(c.MissSendLen())
	}
	q := *p
	q.Data = p.Data[:max(0, min(len(p.Data), maxLen))]
	q.TotalLen = max(p.TotalLen, len(p.Data))
	b, err := openflow.Encode(proto, 0, &q)
	if err != nil {
		c.sw.limit.Log(c.log, c.sw.opt.Now(), slog.LevelWarn, "message not sent", "err", err)
		return false
	}
	if c.Kind == Primary {
		c.sw.snoop(b)
	}
	return c.sendPacketIn(uint32(p.Metadata.Key.InPort()), b)
}

// setRole gives c a role (OpenFlow 1.3.5, 6.3.6): a new primary makes the one
// before a secondary; a generation id that is older than the last is refused.
func (s *Switch) setRole(c *Conn, m *openflow.RoleRequest) openflow.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.HasGen && m.Role != openflow.RoleNoChange {
		if s.hasGen && int64(m.GenerationID-s.generation) < 0 {
			return &openflow.Error{Kind: ofp.RRFCStale}
		}
		s.hasGen, s.generation = true, m.GenerationID
	}
	if m.Role == openflow.RolePrimary {
		for o := range s.conns {
			o.mu.Lock()
			if o != c && o.role == openflow.RolePrimary {
				o.role = openflow.RoleSecondary
			}
			o.mu.Unlock()
		}
	}
	c.mu.Lock()
	if m.Role != openflow.RoleNoChange {
		c.role = m.Role
	}
	role := c.role
	c.mu.Unlock()
	return &openflow.RoleReply{Role: role, HasGen: s.hasGen, GenerationID: s.generation, Nicira: m.Nicira}
}
