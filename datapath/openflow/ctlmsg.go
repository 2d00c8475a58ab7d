// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

func (d *decoder) role() (r Role, gen uint64) {
	r = Role(d.U32())
	if d.Err() == nil && r > RoleSecondary {
		d.Failf(ofp.RRFCBadRole, "role %d", r)
	}
	d.Skip(4)
	return r, d.U64()
}

func (e *encoder) role(r Role, gen uint64) {
	e.U32(uint32(r))
	e.Zero(4)
	e.U64(gen)
}

func (d *decoder) roleRequest() *RoleRequest {
	r, gen := d.role()
	m := &RoleRequest{Role: r}
	if r == RolePrimary || r == RoleSecondary {
		m.HasGen, m.GenerationID = true, gen
	}
	return m
}

func (e *encoder) roleRequest(m *RoleRequest) { e.role(m.Role, m.GenerationID) }

// noGeneration is the generation id that means there is none.
const noGeneration = ^uint64(0)

func (d *decoder) roleReply() *RoleReply {
	r, gen := d.role()
	m := &RoleReply{Role: r, HasGen: gen != noGeneration}
	if m.HasGen {
		m.GenerationID = gen
	}
	return m
}

func (e *encoder) roleReply(m *RoleReply) {
	gen := noGeneration
	if m.HasGen {
		gen = m.GenerationID
	}
	e.role(m.Role, gen)
}

// Nicira's roles are one less: other, master, slave.
func (d *decoder) roleNX() Role {
	r := d.U32()
	if d.Err() == nil && r > 2 {
		d.Failf(ofp.RRFCBadRole, "role %d", r)
	}
	return Role(r + 1)
}

func (e *encoder) roleNX(r Role) { e.U32(uint32(max(r, RoleEqual) - 1)) }

func (d *decoder) roleRequestNX() *RoleRequest  { return &RoleRequest{Role: d.roleNX(), Nicira: true} }
func (e *encoder) roleRequestNX(m *RoleRequest) { e.roleNX(m.Role) }
func (d *decoder) roleReplyNX() *RoleReply      { return &RoleReply{Role: d.roleNX(), Nicira: true} }
func (e *encoder) roleReplyNX(m *RoleReply)     { e.roleNX(m.Role) }
func (d *decoder) setControllerID() *SetControllerID {
	d.Zero(6, ofp.NXBRCMustBeZero)
	return &SetControllerID{d.U16()}
}
func (e *encoder) setControllerID(m *SetControllerID) { e.Zero(6); e.U16(m.ID) }

// Numbers of flow formats (NXFF_*).
const (
	flowFormat10  = 0
	flowFormatNXM = 2
)

func (d *decoder) setFlowFormat() *SetFlowFormat {
	f := d.U32()
	if d.Err() == nil && f != flowFormat10 && f != flowFormatNXM {
		d.Failf(ofp.BRCEperm, "flow format %d", f)
	}
	return &SetFlowFormat{f == flowFormatNXM}
}

func (e *encoder) setFlowFormat(m *SetFlowFormat) {
	f := uint32(flowFormat10)
	if m.NXM {
		f = flowFormatNXM
	}
	e.U32(f)
}

func (d *decoder) setTableID() *SetFlowModTableID {
	on := d.U8() != 0
	d.Skip(7)
	return &SetFlowModTableID{on}
}

func (e *encoder) setTableID(m *SetFlowModTableID) {
	b := uint8(0)
	if m.On {
		b = 1
	}
	e.U8(b)
	e.Zero(7)
}

func (d *decoder) setPacketInFormat() *SetPacketInFormat {
	f := d.U32()
	if d.Err() == nil && f > uint32(PacketInNXT2) {
		d.Failf(ofp.BRCEperm, "packet-in format %d", f)
	}
	return &SetPacketInFormat{PacketInFormat(f)}
}

func (e *encoder) setPacketInFormat(m *SetPacketInFormat) { e.U32(uint32(m.Format)) }

// async13Types are the classes that OpenFlow 1.3's message has, in its order.
var async13Types = []AsyncType{AsyncPacketIn, AsyncPortStatus, AsyncFlowRemoved}

// Bits of reasons that exist in OpenFlow 1.3.
var async13Bits = [NumAsync]uint32{AsyncPacketIn: 7, AsyncPortStatus: 7, AsyncFlowRemoved: 15}

func (d *decoder) async13() *SetAsync {
	m := &SetAsync{}
	for _, t := range async13Types {
		m.Primary[t], m.Secondary[t] = d.U32(), d.U32()
		m.SetPrimary[t], m.SetSecondary[t] = true, true
		// Bits of reasons that there are not are passed over, as in the stock switch.
		m.Primary[t] &= async13Bits[t]
		m.Secondary[t] &= async13Bits[t]
	}
	return m
}

func (d *decoder) asyncNX() *SetAsync {
	m := d.async13()
	m.Nicira = true
	return m
}

func (e *encoder) async13(c *AsyncConfig) {
	for _, t := range async13Types {
		e.U32(c.Primary[t] & async13Bits[t])
		e.U32(c.Secondary[t] & async13Bits[t])
	}
}

// asyncProps lists the properties of OpenFlow 1.4's message in pairs: secondary, primary.
var asyncProps = [NumAsync]uint16{
	AsyncPacketIn: 0, AsyncPortStatus: 2, AsyncFlowRemoved: 4,
	AsyncRoleStatus: 6, AsyncTableStatus: 8, AsyncRequestForward: 10,
}

var async14Bits = [NumAsync]uint32{
	AsyncPacketIn: 0x3f, AsyncPortStatus: 7, AsyncFlowRemoved: 0x3f,
	AsyncRoleStatus: 7, AsyncTableStatus: 0x18, AsyncRequestForward: 3,
}

// asyncNX2 reads NXT_SET_ASYNC_CONFIG2: the properties of OpenFlow 1.4, in versions before it.
func (d *decoder) asyncNX2() *SetAsync {
	m := d.async14()
	m.Nicira, m.Properties = true, true
	return m
}

// asyncBits are the reasons that a property may name in a version, as the stock switch has it.
func (d *decoder) asyncBits(t AsyncType) uint32 {
	if d.Version < ofp.V14 && t == AsyncPacketIn {
		return async13Bits[t]
	}
	return async14Bits[t]
}

func (d *decoder) async14() *SetAsync {
	m := &SetAsync{}
	d.whole8()
	d.elements(func() {
		typ, b := ofpact.Property(d.Reader, ofp.BPCBadLen)
		t := AsyncType(typ / 2)
		bits := b.U32()
		switch {
		case b.Err() != nil:
		case typ >= 2*uint16(NumAsync):
			b.Failf(ofp.ACFCUnsupported, "property %d", typ)
		case bits&^d.asyncBits(t) != 0:
			b.Failf(ofp.ACFCInvalid, "bits %#x", bits)
		case typ%2 == 0:
			m.Secondary[t], m.SetSecondary[t] = bits, true
		default:
			m.Primary[t], m.SetPrimary[t] = bits, true
		}
		if err := b.Close(); err != nil {
			d.Fail(err)
		}
	})
	return m
}

func (e *encoder) async14(c *AsyncConfig, primary, secondary *[NumAsync]bool) {
	for t, typ := range asyncProps {
		if secondary[t] {
			ofpact.PutProperty(&e.Writer, typ, func() { e.U32(c.Secondary[t] & async14Bits[t]) })
		}
		if primary[t] {
			ofpact.PutProperty(&e.Writer, typ+1, func() { e.U32(c.Primary[t] & async14Bits[t]) })
		}
	}
}

func (e *encoder) setAsync14(m *SetAsync) { e.async14(&m.AsyncConfig, &m.SetPrimary, &m.SetSecondary) }

func (e *encoder) getAsync14(m *GetAsyncReply) {
	all := [NumAsync]bool{true, true, true, true, true, true}
	e.async14(&m.AsyncConfig, &all, &all)
}

func (d *decoder) queueConfigRequest() *QueueGetConfigRequest {
	switch {
	case d.Version == ofp.V10:
		return &QueueGetConfigRequest{d.port(2, 0), ^uint32(0)}
	case d.Version < ofp.V14:
		return &QueueGetConfigRequest{d.port(0, 4), ^uint32(0)}
	}
	return &QueueGetConfigRequest{d.port(0, 0), d.U32()}
}

func (e *encoder) queueConfigRequest(m *QueueGetConfigRequest) {
	if e.Version < ofp.V14 {
		e.port(m.Port, 2, 4)
		return
	}
	e.U32(uint32(m.Port))
	e.U32(m.Queue)
}

// Properties of a queue.
const (
	queueMinRate = 1
	queueMaxRate = 2
	noRate       = 0xffff
)

// queueProps reads properties whose length includes their padding (before
// OpenFlow 1.4).
func (d *decoder) queueProps(q *QueueConfig) {
	q.MinRate, q.MaxRate = noRate, noRate
	d.elements(func() {
		typ, n := d.U16(), int(d.U16())
		el := d.sub(n - 4)
		el.Skip(4)
		switch typ {
		case queueMinRate:
			q.MinRate = el.U16()
		case queueMaxRate:
			q.MaxRate = el.U16()
		}
		el.Skip(el.Len())
		d.join(el)
	})
}

func (e *encoder) queueProps(q *QueueConfig) {
	e.queueProp(queueMinRate, q.MinRate)
	e.queueProp(queueMaxRate, q.MaxRate)
}

func (e *encoder) queueProp(typ, rate uint16) {
	if rate == noRate {
		return
	}
	e.U16(typ)
	e.U16(16)
	e.Zero(4)
	e.U16(rate)
	e.Zero(6)
}

func (d *decoder) queueConfigReply() *QueueGetConfigReply {
	m := &QueueGetConfigReply{Port: d.port(6, 4)}
	d.elements(func() {
		q := QueueConfig{Port: m.Port, ID: d.U32()}
		head, pad := 8, 2
		if d.Version > ofp.V10 {
			q.Port = d.port32()
			head, pad = 16, 6
		}
		n := int(d.U16())
		d.Skip(pad)
		el := d.sub(n - head)
		el.queueProps(&q)
		d.join(el)
		m.Queues = append(m.Queues, q)
	})
	return m
}

func (e *encoder) queueConfigReply(m *QueueGetConfigReply) {
	e.port(m.Port, 6, 4)
	for i := range m.Queues {
		q := &m.Queues[i]
		start := e.Len()
		e.U32(q.ID)
		if e.Version > ofp.V10 {
			e.U32(uint32(q.Port))
		}
		at := e.Len()
		e.Zero(2)
		if e.Version > ofp.V10 {
			e.Zero(6)
		} else {
			e.Zero(2)
		}
		e.queueProps(q)
		e.SetU16(at, uint16(e.Len()-start))
	}
}

// queueDesc is the multipart form of OpenFlow 1.4.
func (d *decoder) queueDesc() *QueueGetConfigReply {
	m := &QueueGetConfigReply{Port: action.PortAny}
	d.elements(func() {
		q := QueueConfig{Port: d.port32(), ID: d.U32(), MinRate: noRate, MaxRate: noRate}
		n := int(d.U16())
		d.Skip(6)
		el := d.sub(n - 16)
		el.elements(func() {
			typ, b := ofpact.Property(el.Reader, ofp.BPCBadLen)
			switch typ {
			case queueMinRate:
				q.MinRate = b.U16()
			case queueMaxRate:
				q.MaxRate = b.U16()
			}
			b.Skip(b.Len())
			if err := b.Close(); err != nil {
				el.Fail(err)
			}
		})
		d.join(el)
		m.Queues = append(m.Queues, q)
	})
	return m
}

func (e *encoder) queueDesc(m *QueueGetConfigReply) {
	for i := range m.Queues {
		q := &m.Queues[i]
		e.element(func() {
			start := e.Len()
			e.U32(uint32(q.Port))
			e.U32(q.ID)
			e.Zero(8)
			for i, rate := range []uint16{q.MinRate, q.MaxRate} {
				if rate != noRate {
					ofpact.PutProperty(&e.Writer, uint16(queueMinRate+i), func() { e.U16(rate); e.Zero(2) })
				}
			}
			e.SetU16(start+8, uint16(e.Len()-start))
		})
	}
}
