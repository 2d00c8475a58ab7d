// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// MonitorCommand is one of OFPFMC_* of flow monitors. Before OpenFlow 1.4 a request always adds.
type MonitorCommand uint8

const (
	MonitorAdd MonitorCommand = iota
	MonitorModify
	MonitorDelete
)

// MonitorFlags say what a flow monitor reports: the bits of NXFMF_*, with which OFPFMF_* of OpenFlow 1.4 agree.
type MonitorFlags uint16

const (
	MonitorInitial      MonitorFlags = 1 << 0 // the flows that there are
	MonitorAdded        MonitorFlags = 1 << 1
	MonitorRemoved      MonitorFlags = 1 << 2
	MonitorModified     MonitorFlags = 1 << 3
	MonitorInstructions MonitorFlags = 1 << 4 // with what the flows do
	// MonitorOwn: changes that the connection makes by itself are reported in full, not abbreviated
	// (OFPFMF_NO_ABBREV).
	MonitorOwn MonitorFlags = 1 << 5
	// monitorOnlyOwn is what the stock client and switch (3.1) write for MonitorOwn from OpenFlow 1.4 on.
	// OpenFlow means "only the connection's own changes" by it.
	monitorOnlyOwn MonitorFlags = 1 << 6

	monitorAll = MonitorInitial | MonitorAdded | MonitorRemoved | MonitorModified | MonitorInstructions | MonitorOwn
)

// FlowMonitor is a request to be told of flows (OpenFlow 1.4, 7.3.5.18; nicira-ext.h, NXST_FLOW_MONITOR).
type FlowMonitor struct {
	ID       uint32
	Command  MonitorCommand
	Flags    MonitorFlags
	Table    uint8 // TableAll: all
	OutPort  action.Port
	OutGroup uint32 // OpenFlow 1.4 and later
	Match    flow.Match
}

// FlowMonitorRequest adds, modifies or deletes flow monitors, all or none.
type FlowMonitorRequest struct{ Monitors []FlowMonitor }

// FlowMonitorCancel deletes a flow monitor (NXT_FLOW_MONITOR_CANCEL, ONF extension 187 with OpenFlow 1.3; later
// versions have MonitorDelete).
type FlowMonitorCancel struct{ ID uint32 }

// FlowMonitorPaused says that the peer takes updates too slowly: only removals of flows that it knows are reported
// until FlowMonitorResumed. From OpenFlow 1.4 on it is read as a FlowMonitorReply.
type FlowMonitorPaused struct{}

// FlowMonitorResumed ends FlowMonitorPaused; what has changed meanwhile was reported before it.
type FlowMonitorResumed struct{}

// FlowUpdateEvent says what happened to a flow: the numbers of OFPFME_* (OpenFlow 1.4).
type FlowUpdateEvent uint16

const (
	UpdateInitial FlowUpdateEvent = iota // as UpdateAdded before OpenFlow 1.4
	UpdateAdded
	UpdateRemoved
	UpdateModified
	UpdateAbbrev
	UpdatePaused  // OpenFlow 1.4 and later, without more
	UpdateResumed // likewise
)

// FlowUpdate reports a flow, or, as UpdateAbbrev, that the message XID of the connection has taken effect.
type FlowUpdate struct {
	Event           FlowUpdateEvent
	XID             uint32            // UpdateAbbrev; the rest not
	Reason          FlowRemovedReason // UpdateRemoved
	Table           uint8
	Priority        uint16
	IdleTimeout     uint16 // seconds; 0: none
	HardTimeout     uint16
	Cookie          uint64
	Match           flow.Match
	HasInstructions bool
	Instructions    action.Instructions
}

// FlowMonitorReply brings updates: with the transaction id of a FlowMonitorRequest the first ones, with 0 later ones.
type FlowMonitorReply struct {
	Updates []FlowUpdate
	More    bool
}

func (*FlowMonitorRequest) message() {}
func (*FlowMonitorCancel) message()  {}
func (*FlowMonitorPaused) message()  {}
func (*FlowMonitorResumed) message() {}
func (*FlowMonitorReply) message()   {}

// monitorFlags checks the flags of a monitor that is added or modified.
func (d *decoder) monitorFlags(m *FlowMonitor) {
	if d.Version >= ofp.V14 && m.Flags&monitorOnlyOwn != 0 {
		m.Flags = m.Flags&^monitorOnlyOwn | MonitorOwn
	}
	if d.Err() == nil && m.Command != MonitorDelete && (m.Flags == 0 || m.Flags&^monitorAll != 0) {
		d.Failf(ofp.MOFCBadFlags, "flags %#x of flow monitor %d", uint16(m.Flags), m.ID)
	}
}

func (d *decoder) flowMonitorRequest() *FlowMonitorRequest {
	r := &FlowMonitorRequest{}
	d.elements(func() {
		m := FlowMonitor{ID: d.U32(), OutGroup: action.GroupAny}
		switch {
		case d.Version == ofp.V10:
			m.Flags, m.OutPort = MonitorFlags(d.U16()), ofp.PortFrom10(d.U16())
			n := int(d.U16())
			m.Table = d.U8()
			d.Zero(5, ofp.NXBRCMustBeZero)
			m.Match = d.entries(n, n, nil, false)
		case d.Version < ofp.V14:
			m.Flags = MonitorFlags(d.U16())
			d.Skip(2) // the length of the match, which says it, too
			m.OutPort = d.port32()
			m.Table = d.U8()
			d.Zero(3, ofp.NXBRCMustBeZero)
			m.Match = d.match(false)
		default:
			m.OutPort, m.OutGroup = d.port32(), d.U32()
			m.Flags, m.Table, m.Command = MonitorFlags(d.U16()), d.U8(), MonitorCommand(d.U8())
			if d.Err() == nil && m.Command > MonitorDelete {
				d.Failf(ofp.MOFCBadCommand, "command %d of flow monitor %d", m.Command, m.ID)
			}
			m.Match = d.match(false)
		}
		d.monitorFlags(&m)
		r.Monitors = append(r.Monitors, m)
	})
	return r
}

func (e *encoder) flowMonitorRequest(r *FlowMonitorRequest) {
	for i := range r.Monitors {
		m := &r.Monitors[i]
		e.U32(m.ID)
		switch {
		case e.Version == ofp.V10:
			e.U16(uint16(m.Flags))
			e.U16(ofp.PortTo10(m.OutPort))
			at := e.Len()
			e.Zero(2)
			e.U8(m.Table)
			e.Zero(5)
			e.SetU16(at, e.putNXM(&m.Match, oxm.Cookie{}))
		case e.Version < ofp.V14:
			e.U16(uint16(m.Flags))
			at := e.Len()
			e.Zero(2)
			e.U32(uint32(m.OutPort))
			e.U8(m.Table)
			e.Zero(3)
			e.SetU16(at, e.matchLen(&m.Match))
		default:
			e.U32(uint32(m.OutPort))
			e.U32(m.OutGroup)
			f := m.Flags
			if f&MonitorOwn != 0 {
				f = f&^MonitorOwn | monitorOnlyOwn
			}
			e.U16(uint16(f))
			e.U8(m.Table)
			e.U8(uint8(m.Command))
			e.putMatch(&m.Match)
		}
	}
}

// matchLen writes a match and returns its length without padding, head and all.
func (e *encoder) matchLen(m *flow.Match) uint16 {
	at := e.Len()
	e.putMatch(m)
	return uint16(e.B[at+2])<<8 | uint16(e.B[at+3])
}

func (d *decoder) flowMonitorCancel() *FlowMonitorCancel { return &FlowMonitorCancel{ID: d.U32()} }

// nxEvents are the numbers of NXFME_*, by those of OpenFlow 1.4.
var nxEvents = [...]uint16{UpdateInitial: 0, UpdateAdded: 0, UpdateRemoved: 1, UpdateModified: 2, UpdateAbbrev: 3}

func (d *decoder) flowMonitorReply() *FlowMonitorReply {
	m := &FlowMonitorReply{}
	d.elements(func() {
		n := int(d.U16())
		if d.Err() == nil && (n < 8 || n%8 != 0 || n-2 > d.Len()) {
			d.Failf(ofp.BRCBadLen, "update of %d of %d bytes", n, d.Len()+2)
			return
		}
		s := d.sub(n - 2)
		u := s.flowUpdate()
		d.join(s)
		m.Updates = append(m.Updates, u)
	})
	return m
}

func (d *decoder) flowUpdate() (u FlowUpdate) {
	ev := d.U16()
	if d.Version < ofp.V14 {
		switch ev {
		case 0, 1, 2, 3:
			ev++
		default:
			d.Failf(ofp.BRCBadLen, "event %d", ev)
		}
	}
	u.Event = FlowUpdateEvent(ev)
	switch {
	case d.Err() != nil:
		return u
	case u.Event == UpdateAbbrev:
		u.XID = d.U32()
		return u
	case u.Event == UpdatePaused || u.Event == UpdateResumed:
		d.Skip(4)
		return u
	case u.Event > UpdateResumed:
		d.Failf(ofp.BRCBadLen, "event %d", ev)
		return u
	}
	if d.Version >= ofp.V14 {
		u.Table, u.Reason = d.U8(), FlowRemovedReason(d.U8())
		u.IdleTimeout, u.HardTimeout, u.Priority = d.U16(), d.U16(), d.U16()
		d.Skip(4)
		u.Cookie = d.U64()
		u.Match = d.match(false)
	} else {
		u.Reason, u.Priority = FlowRemovedReason(d.U16()), d.U16()
		u.IdleTimeout, u.HardTimeout = d.U16(), d.U16()
		n := int(d.U16())
		u.Table = d.U8()
		d.Skip(1)
		u.Cookie = d.U64()
		if d.Version == ofp.V10 {
			u.Match = d.entries(n, n, nil, false)
		} else {
			u.Match = d.match(false)
		}
	}
	if u.Event != UpdateRemoved {
		u.Reason = 0
	}
	if d.Err() == nil && d.Len() > 0 {
		u.HasInstructions = true
		u.Instructions = d.instructions()
	}
	return u
}

func (e *encoder) flowMonitorReply(m *FlowMonitorReply) {
	for i := range m.Updates {
		e.element(func() { e.flowUpdate(&m.Updates[i]) })
	}
}

func (e *encoder) flowUpdate(u *FlowUpdate) {
	start := e.Len()
	e.Zero(2)
	switch {
	case e.Version >= ofp.V14:
		e.U16(uint16(u.Event))
	case int(u.Event) < len(nxEvents):
		e.U16(nxEvents[u.Event])
	default:
		e.fail(ofp.BRCBadType) // those have messages of their own
	}
	switch {
	case u.Event == UpdateAbbrev:
		e.U32(u.XID)
	case u.Event >= UpdatePaused:
		e.Zero(4)
	case e.Version >= ofp.V14:
		e.U8(u.Table)
		e.U8(e.removedReason(u.Reason))
		e.U16(u.IdleTimeout)
		e.U16(u.HardTimeout)
		e.U16(u.Priority)
		e.Zero(4)
		e.U64(u.Cookie)
		e.putMatch(&u.Match)
	default:
		e.U16(uint16(e.removedReason(u.Reason)))
		e.U16(u.Priority)
		e.U16(u.IdleTimeout)
		e.U16(u.HardTimeout)
		at := e.Len()
		e.Zero(2)
		e.U8(u.Table)
		e.Zero(1)
		e.U64(u.Cookie)
		if e.Version == ofp.V10 {
			e.SetU16(at, e.putNXM(&u.Match, oxm.Cookie{}))
		} else {
			e.SetU16(at, e.matchLen(&u.Match))
		}
	}
	if u.HasInstructions && u.Event <= UpdateModified {
		ofpact.AppendInstructions(&e.Writer, &u.Instructions, &u.Match, e.Version)
	}
	e.SetU16(start, uint16(e.Len()-start))
}
