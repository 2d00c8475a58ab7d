// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// oxmMatch is the type of a match in OpenFlow 1.2 and later (OFPMT_OXM).
const oxmMatch = 1

// match11Len is the length of OpenFlow 1.1's match (type 0), which is not read
// here but has a length all the same.
const match11Len = 88

// blocks checks that what is left is n bytes and any number of 8-byte blocks, as
// the stock switch does for messages that end with matches and actions.
func (d *decoder) blocks(n int) {
	if d.Len() < n || (d.Len()-n)%8 != 0 {
		d.Failf(ofp.BRCBadLen, "body of %d bytes", d.Len())
	}
}

// match reads the match of OpenFlow 1.2 and later: type, length without the
// padding, entries, padding to 8 bytes.
func (d *decoder) match(loose bool) flow.Match {
	if d.Err() == nil && d.Len() < 4 {
		d.Failf(ofp.BMCBadLen, "no match")
	}
	typ, n := d.U16(), int(d.U16())
	if d.Err() != nil {
		return flow.Match{}
	}
	switch {
	case typ == oxmMatch:
	case typ == 0 && n != match11Len:
		d.Failf(ofp.BMCBadLen, "match of type 0 with length %d", n)
		return flow.Match{}
	default:
		d.Failf(ofp.BMCBadType, "match of type %d", typ)
		return flow.Match{}
	}
	if n < 4 || (n+7)&^7-4 > d.Len() {
		d.Failf(ofp.BMCBadLen, "match with length %d", n)
		return flow.Match{}
	}
	return d.entries(n-4, n, nil, loose)
}

// entries reads a match of n bytes, and padding so that n+extra bytes are a
// multiple of 8.
func (d *decoder) entries(n, padded int, ck *oxm.Cookie, loose bool) flow.Match {
	if n < 0 || n+(8-padded%8)%8 > d.Len() {
		d.Failf(ofp.BMCBadLen, "match of %d bytes, %d left", n, d.Len())
		return flow.Match{}
	}
	s := d.Sub(n, ofp.BMCBadLen)
	m := oxm.Decode(s, ck, loose)
	if err := s.Close(); err != nil {
		d.Fail(err)
		return flow.Match{}
	}
	d.Skip((8 - padded%8) % 8)
	return m
}

func (e *encoder) putMatch(m *flow.Match) {
	start := e.Len()
	e.U16(oxmMatch)
	e.U16(0)
	oxm.Append(&e.Writer, m, oxm.Cookie{}, e.Version)
	e.SetU16(start+2, uint16(e.Len()-start))
	e.Align(start)
}

// putNXM writes an NXM match and returns its length without padding.
func (e *encoder) putNXM(m *flow.Match, ck oxm.Cookie) (n uint16) {
	start := e.Len()
	oxm.Append(&e.Writer, m, ck, oxm.NXM)
	n = uint16(e.Len() - start)
	e.Align(start)
	return n
}

// instructions reads what is left as instructions and checks them.
func (d *decoder) instructions() action.Instructions {
	return ofpact.DecodeInstructions(d.Reader, d.Version)
}

// OpenFlow 1.0's flags of a flow_mod.
const (
	flag10SendFlowRem  = 1
	flag10CheckOverlap = 2 // 4, emergency, is refused as the stock switch does
)

func flags10(w uint16) (f FlowModFlags) {
	if w&flag10SendFlowRem != 0 {
		f |= FlagSendFlowRem
	}
	if w&flag10CheckOverlap != 0 {
		f |= FlagCheckOverlap
	}
	return f
}

func (e *encoder) flags10(f FlowModFlags) {
	w := uint16(0)
	if f&FlagSendFlowRem != 0 {
		w |= flag10SendFlowRem
	}
	if f&FlagCheckOverlap != 0 {
		w |= flag10CheckOverlap
	}
	e.U16(w)
}

// command10 splits a command whose upper byte may be a table.
func (d *decoder) command10(w uint16) (c FlowModCommand, table uint8) {
	table = TableAll
	if d.TableID {
		w, table = w&0xff, uint8(w>>8)
	}
	if w > uint16(FlowDeleteStrict) {
		d.Failf(ofp.FMFCBadCommand, "command %d", w)
	}
	return FlowModCommand(w), table
}

func (e *encoder) command10(m *FlowMod) {
	c := uint16(m.Command)
	if e.TableID {
		c |= uint16(m.Table) << 8
	}
	e.U16(c)
}

// finish10 sets what follows from the rest in OpenFlow 1.0, and checks.
func (d *decoder) finish10(m *FlowMod, flags uint16) *FlowMod {
	m.OutGroup = action.GroupAny
	m.ModifyCookie = m.NewCookie != ^uint64(0)
	m.ModifyAdds = m.ModifyCookie && m.CookieMask == 0
	m.Flags = flags10(flags)
	if m.Command == FlowAdd {
		m.Flags |= FlagResetCounts
	}
	m.Instructions = d.instructions()
	if flags&^(flag10SendFlowRem|flag10CheckOverlap) != 0 {
		d.Failf(ofp.FMFCBadFlags, "flags %#x", flags)
	}
	return d.check(m)
}

func (d *decoder) check(m *FlowMod) *FlowMod {
	if d.Err() != nil {
		return nil
	}
	if err := ofpact.Check(&m.Instructions, &m.Match, m.Table, d.Version); err != nil {
		d.Fail(err)
		return nil
	}
	return m
}

func (d *decoder) flowMod10() *FlowMod {
	d.blocks(64)
	m := &FlowMod{Match: d.match10(), NewCookie: d.U64()}
	m.Command, m.Table = d.command10(d.U16())
	m.IdleTimeout, m.HardTimeout, m.Priority = d.U16(), d.U16(), d.U16()
	m.BufferID = d.U32()
	m.OutPort = ofp.PortFrom10(d.U16())
	flags := d.U16()
	if exact10(&m.Match) {
		m.Priority = 0xffff // a match without wildcards always comes first (5.2.3)
	}
	return d.finish10(m, flags)
}

// exact10 reports whether m has none of OpenFlow 1.0's wildcards, so far as
// its packets have the fields.
func exact10(m *flow.Match) bool {
	for _, f := range []flow.Field{
		flow.FieldInPort, flow.FieldEthSrc, flow.FieldEthDst, flow.FieldEthType, flow.FieldVLANTCI,
		flow.FieldIPDSCP, flow.FieldIPProto, flow.FieldIPSrc, flow.FieldIPDst,
	} {
		if !m.Exact(f) {
			return false
		}
	}
	f, g, ok := ports10(m)
	return ok && m.Exact(f) && m.Exact(g)
}

func (e *encoder) flowMod10(m *FlowMod) {
	e.putMatch10(&m.Match)
	e.U64(m.NewCookie)
	e.command10(m)
	e.U16(m.IdleTimeout)
	e.U16(m.HardTimeout)
	e.U16(m.Priority)
	e.U32(m.BufferID)
	e.U16(ofp.PortTo10(m.OutPort))
	e.flags10(m.Flags)
	ofpact.AppendInstructions(&e.Writer, &m.Instructions, &m.Match, e.Version)
}

func (d *decoder) flowModNX() *FlowMod {
	d.blocks(32)
	m := &FlowMod{NewCookie: d.U64()}
	command := d.U16()
	m.IdleTimeout, m.HardTimeout, m.Priority = d.U16(), d.U16(), d.U16()
	m.BufferID = d.U32()
	m.OutPort = ofp.PortFrom10(d.U16())
	flags := d.U16()
	n := int(d.U16())
	d.Skip(6)
	var ck oxm.Cookie
	m.Match = d.entries(n, n, &ck, false)
	m.Cookie, m.CookieMask = ck.Value, ck.Mask
	m.Command, m.Table = d.command10(command)
	if m.Command == FlowAdd && ck.Mask != 0 {
		d.Failf(ofp.NXBRCNxmInvalid, "a new flow with a cookie to match")
	}
	return d.finish10(m, flags)
}

func (e *encoder) flowModNX(m *FlowMod) {
	e.U64(m.NewCookie)
	e.command10(m)
	e.U16(m.IdleTimeout)
	e.U16(m.HardTimeout)
	e.U16(m.Priority)
	e.U32(m.BufferID)
	e.U16(ofp.PortTo10(m.OutPort))
	e.flags10(m.Flags)
	at := e.Len()
	e.Zero(8)
	e.SetU16(at, e.putNXM(&m.Match, oxm.Cookie{Value: m.Cookie, Mask: m.CookieMask}))
	ofpact.AppendInstructions(&e.Writer, &m.Instructions, &m.Match, e.Version)
}

func (d *decoder) flowMod13() *FlowMod {
	d.blocks(40)
	m := &FlowMod{}
	cookie, mask := d.U64(), d.U64()
	m.Table = d.U8()
	m.Command = FlowModCommand(d.U8())
	m.IdleTimeout, m.HardTimeout, m.Priority = d.U16(), d.U16(), d.U16()
	m.BufferID = d.U32()
	outPort, outGroup := d.U32(), d.U32()
	m.Flags = FlowModFlags(d.U16())
	if d.Version >= ofp.V14 {
		m.Importance = d.U16()
	} else {
		d.Skip(2)
	}
	m.Match = d.match(false)
	if d.Err() != nil {
		return nil
	}
	del := m.Command == FlowDelete || m.Command == FlowDeleteStrict
	p, err := ofp.PortFrom11(outPort)
	switch {
	case m.Table == TableAll && !del:
		d.Failf(ofp.FMFCBadTableId, "table 255")
	case err != nil:
		d.Fail(err)
	case m.Command > FlowDeleteStrict:
		d.Failf(ofp.FMFCBadCommand, "command %d", m.Command)
	}
	if m.Command == FlowAdd {
		m.NewCookie = cookie
	} else {
		m.Cookie, m.CookieMask, m.NewCookie = cookie&mask, mask, ^uint64(0)
	}
	m.OutPort, m.OutGroup = action.PortAny, action.GroupAny
	if del {
		m.OutPort, m.OutGroup = p, outGroup
	}
	m.Instructions = d.instructions()
	if m.Flags&^(FlagSendFlowRem|FlagCheckOverlap|FlagResetCounts|FlagNoPktCounts|FlagNoBytCounts) != 0 {
		d.Failf(ofp.FMFCBadFlags, "flags %#x", uint16(m.Flags))
	}
	return d.check(m)
}

func (e *encoder) flowMod13(m *FlowMod) {
	if m.Command == FlowAdd {
		e.U64(m.NewCookie)
		e.U64(0)
	} else {
		e.U64(m.Cookie)
		e.U64(m.CookieMask)
	}
	e.U8(m.Table)
	e.U8(uint8(m.Command))
	e.U16(m.IdleTimeout)
	e.U16(m.HardTimeout)
	e.U16(m.Priority)
	e.U32(m.BufferID)
	e.U32(uint32(m.OutPort))
	e.U32(m.OutGroup)
	e.U16(uint16(m.Flags))
	if e.Version >= ofp.V14 {
		e.U16(m.Importance)
	} else {
		e.Zero(2)
	}
	e.putMatch(&m.Match)
	ofpact.AppendInstructions(&e.Writer, &m.Instructions, &m.Match, e.Version)
}

func (d *decoder) lifetime() Lifetime { return Lifetime{d.U32(), d.U32()} }

func (e *encoder) lifetime(l Lifetime) { e.U32(l.Sec); e.U32(l.Nsec) }

// removedReason: before OpenFlow 1.4 there is no reason of its own for a deleted meter.
func (e *encoder) removedReason(r FlowRemovedReason) uint8 {
	if r == RemovedMeterDelete && e.Version < ofp.V14 {
		r = RemovedDelete
	}
	return uint8(r)
}

func (d *decoder) flowRemoved10() *FlowRemoved {
	m := &FlowRemoved{Match: d.match10(), Cookie: d.U64(), Priority: d.U16()}
	m.Reason = FlowRemovedReason(d.U8())
	m.Table = TableAll
	d.Skip(1)
	m.Lifetime = d.lifetime()
	m.IdleTimeout = d.U16()
	d.Skip(2)
	m.Packets, m.Bytes = d.U64(), d.U64()
	return m
}

func (e *encoder) flowRemoved10(m *FlowRemoved) {
	e.putMatch10(&m.Match)
	e.U64(m.Cookie)
	e.U16(m.Priority)
	e.U8(e.removedReason(m.Reason))
	e.Zero(1)
	e.lifetime(m.Lifetime)
	e.U16(m.IdleTimeout)
	e.Zero(2)
	e.U64(m.Packets)
	e.U64(m.Bytes)
}

// flowRemovedNX: the table is one more than its number; 0: not known.
func (d *decoder) flowRemovedNX() *FlowRemoved {
	m := &FlowRemoved{Cookie: d.U64(), Priority: d.U16(), Reason: FlowRemovedReason(d.U8())}
	m.Table = d.U8() - 1
	m.Lifetime = d.lifetime()
	m.IdleTimeout = d.U16()
	n := int(d.U16())
	m.Packets, m.Bytes = d.U64(), d.U64()
	m.Match = d.entries(n, n, nil, false)
	return m
}

func (e *encoder) flowRemovedNX(m *FlowRemoved) {
	e.U64(m.Cookie)
	e.U16(m.Priority)
	e.U8(e.removedReason(m.Reason))
	e.U8(m.Table + 1)
	e.lifetime(m.Lifetime)
	e.U16(m.IdleTimeout)
	at := e.Len()
	e.Zero(2)
	e.U64(m.Packets)
	e.U64(m.Bytes)
	e.SetU16(at, e.putNXM(&m.Match, oxm.Cookie{}))
}

func (d *decoder) flowRemoved13() *FlowRemoved {
	m := &FlowRemoved{Cookie: d.U64(), Priority: d.U16(), Reason: FlowRemovedReason(d.U8()), Table: d.U8()}
	m.Lifetime = d.lifetime()
	m.IdleTimeout, m.HardTimeout = d.U16(), d.U16()
	m.Packets, m.Bytes = d.U64(), d.U64()
	m.Match = d.match(false)
	return m
}

func (e *encoder) flowRemoved13(m *FlowRemoved) {
	e.U64(m.Cookie)
	e.U16(m.Priority)
	e.U8(e.removedReason(m.Reason))
	e.U8(m.Table)
	e.lifetime(m.Lifetime)
	e.U16(m.IdleTimeout)
	e.U16(m.HardTimeout)
	e.U64(m.Packets)
	e.U64(m.Bytes)
	e.putMatch(&m.Match)
}

func (d *decoder) flowRemoved15() *FlowRemoved {
	m := &FlowRemoved{Table: d.U8(), Reason: FlowRemovedReason(d.U8()), Priority: d.U16()}
	m.IdleTimeout, m.HardTimeout = d.U16(), d.U16()
	m.Cookie = d.U64()
	m.Match = d.match(false)
	s := d.oxs()
	m.Lifetime, m.Packets, m.Bytes = s.lifetime, s.packets, s.bytes
	return m
}

func (e *encoder) flowRemoved15(m *FlowRemoved) {
	e.U8(m.Table)
	e.U8(e.removedReason(m.Reason))
	e.U16(m.Priority)
	e.U16(m.IdleTimeout)
	e.U16(m.HardTimeout)
	e.U64(m.Cookie)
	e.putMatch(&m.Match)
	e.oxs(oxs{has: oxsDuration | oxsPackets | oxsBytes, lifetime: m.Lifetime, packets: m.Packets, bytes: m.Bytes})
}
