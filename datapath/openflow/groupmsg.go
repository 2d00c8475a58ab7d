// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// buckets15Form reports whether groups are written as in OpenFlow 1.5: there, and by Nicira's
// messages for OpenFlow 1.0.
func (p Proto) buckets15Form() bool { return p.Version >= ofp.V15 || p.Version == ofp.V10 }

// id reads the number that requests about groups and meters consist of.
func (d *decoder) id() uint32 {
	id := d.U32()
	d.Skip(4)
	return id
}

func (e *encoder) id(id uint32) {
	e.U32(id)
	e.Zero(4)
}

func (d *decoder) groupDescRequest() *GroupDescRequest {
	if !d.buckets15Form() {
		return &GroupDescRequest{action.GroupAll}
	}
	return &GroupDescRequest{d.id()}
}

func (e *encoder) groupDescRequest(m *GroupDescRequest) {
	if e.buckets15Form() {
		e.id(m.Group)
	}
}

func (d *decoder) groupDesc() *GroupDescReply {
	m := &GroupDescReply{}
	d.elements(func() {
		n := int(d.U16())
		el := d.sub(n - 2)
		g := GroupDesc{Type: GroupType(el.U8())}
		el.Skip(1)
		g.Group = el.U32()
		if !d.buckets15Form() {
			g.Buckets = el.buckets()
		} else {
			n := int(el.U16())
			el.Skip(6)
			bl := el.sub(n)
			g.Buckets = bl.buckets15(g.Type)
			el.join(bl)
			el.groupProperties(&g, GroupAdd)
		}
		d.join(el)
		m.Groups = append(m.Groups, g)
	})
	return m
}

func (e *encoder) groupDesc(m *GroupDescReply) {
	for i := range m.Groups {
		g := &m.Groups[i]
		e.element(func() {
			start := e.Len()
			e.Zero(2)
			e.U8(uint8(g.Type))
			e.Zero(1)
			e.U32(g.Group)
			if !e.buckets15Form() {
				e.buckets(g.Buckets)
			} else {
				at := e.Len()
				e.Zero(8)
				e.buckets15(g)
				e.SetU16(at, uint16(e.Len()-at-8))
				e.groupProperties(&g.Selection)
			}
			e.SetU16(start, uint16(e.Len()-start))
		})
	}
}

func (d *decoder) groupStats() *GroupStatsReply {
	m := &GroupStatsReply{}
	d.elements(func() {
		n := int(d.U16())
		el := d.sub(n - 2)
		el.Skip(2)
		g := GroupStats{Group: el.U32(), RefCount: el.U32()}
		el.Skip(4)
		g.Packets, g.Bytes, g.Lifetime = el.U64(), el.U64(), el.lifetime()
		el.elements(func() { g.Buckets = append(g.Buckets, BucketStats{el.U64(), el.U64()}) })
		d.join(el)
		m.Groups = append(m.Groups, g)
	})
	return m
}

func (e *encoder) groupStats(m *GroupStatsReply) {
	for i := range m.Groups {
		g := &m.Groups[i]
		e.element(func() {
			start := e.Len()
			e.Zero(4)
			e.U32(g.Group)
			e.U32(g.RefCount)
			e.Zero(4)
			e.U64(g.Packets)
			e.U64(g.Bytes)
			e.lifetime(g.Lifetime)
			e.bucketStats(g.Buckets)
			e.SetU16(start, uint16(e.Len()-start))
		})
	}
}

func (e *encoder) bucketStats(bs []BucketStats) {
	for _, b := range bs {
		e.U64(b.Packets)
		e.U64(b.Bytes)
	}
}

func (d *decoder) groupFeatures() *GroupFeaturesReply {
	m := &GroupFeaturesReply{Types: d.U32(), Capabilities: d.U32()}
	for i := range m.MaxGroups {
		m.MaxGroups[i] = d.U32()
	}
	for i := range m.Actions {
		m.Actions[i] = d.U32()
	}
	return m
}

func (e *encoder) groupFeatures(m *GroupFeaturesReply) {
	e.U32(m.Types)
	e.U32(m.Capabilities)
	for _, n := range m.MaxGroups {
		e.U32(n)
	}
	for _, n := range m.Actions {
		e.U32(n)
	}
}

func (d *decoder) meterFeatures() *MeterFeaturesReply {
	m := &MeterFeaturesReply{MaxMeters: d.U32(), BandTypes: d.U32(), Capabilities: d.U32(), MaxBands: d.U8(), MaxColor: d.U8()}
	d.Skip(2)
	return m
}

func (e *encoder) meterFeatures(m *MeterFeaturesReply) {
	e.U32(m.MaxMeters)
	e.U32(m.BandTypes)
	e.U32(m.Capabilities)
	e.U8(m.MaxBands)
	e.U8(m.MaxColor)
	e.Zero(2) // the stock switch has none of the features that 1.5 adds here
}

// Types of meter bands.
const (
	bandDrop   = 1
	bandRemark = 2
	bandLen    = 16 // of either
)

func (d *decoder) bands() (bs []MeterBand) {
	d.elements(func() {
		b := MeterBand{Type: d.U16()}
		n := int(d.U16())
		if d.Err() == nil && n != bandLen {
			d.Failf(ofp.BRCBadLen, "band of %d bytes", n)
		}
		el := d.sub(n - 4)
		b.Rate, b.Burst = el.U32(), el.U32()
		switch b.Type {
		case bandDrop:
			el.Skip(4)
		case bandRemark:
			b.PrecLevel = el.U8()
			el.Skip(3)
		default:
			el.Failf(ofp.MMFCBadBand, "band type %d", b.Type)
		}
		d.join(el)
		bs = append(bs, b)
	})
	return bs
}

func (e *encoder) bands(bs []MeterBand) {
	for _, b := range bs {
		e.U16(b.Type)
		e.U16(bandLen)
		e.U32(b.Rate)
		e.U32(b.Burst)
		e.U8(b.PrecLevel)
		e.Zero(3)
	}
}

// meterMod reads METER_MOD in the stock switch's order of checks. A deletion's
// flags and bands do not matter and are not looked at.
func (d *decoder) meterMod() *MeterMod {
	d.blocks(8)
	m := &MeterMod{Command: MeterModCommand(d.U16())}
	flags := MeterFlags(d.U16())
	m.Meter = d.U32()
	switch {
	case d.Err() != nil:
		return nil
	case m.Command > MeterDelete:
		d.Failf(ofp.MMFCBadCommand, "command %d", m.Command)
		return nil
	case m.Command == MeterDelete:
		d.Skip(d.Len())
		return m
	case flags&MeterKbps != 0 && flags&MeterPktps != 0:
		d.Failf(ofp.MMFCBadFlags, "both kilobits and packets a second")
		return nil
	}
	m.Flags, m.Bands = flags, d.bands()
	return m
}

func (e *encoder) meterMod(m *MeterMod) {
	e.U16(uint16(m.Command))
	e.U16(uint16(m.Flags))
	e.U32(m.Meter)
	e.bands(m.Bands)
}

func (d *decoder) meterConfig() *MeterConfigReply {
	m := &MeterConfigReply{}
	d.elements(func() {
		n := int(d.U16())
		el := d.sub(n - 2)
		c := MeterConfig{Flags: MeterFlags(el.U16()), Meter: el.U32()}
		c.Bands = el.bands()
		d.join(el)
		m.Meters = append(m.Meters, c)
	})
	return m
}

func (e *encoder) meterConfig(m *MeterConfigReply) {
	for i := range m.Meters {
		c := &m.Meters[i]
		e.element(func() {
			start := e.Len()
			e.Zero(2)
			e.U16(uint16(c.Flags))
			e.U32(c.Meter)
			e.bands(c.Bands)
			e.SetU16(start, uint16(e.Len()-start))
		})
	}
}

func (d *decoder) meterStats() *MeterStatsReply {
	m := &MeterStatsReply{}
	d.elements(func() {
		s := MeterStats{Meter: d.U32()}
		n := int(d.U16())
		el := d.sub(n - 6)
		el.Skip(6)
		s.Flows, s.Packets, s.Bytes, s.Lifetime = el.U32(), el.U64(), el.U64(), el.lifetime()
		el.elements(func() { s.Bands = append(s.Bands, BucketStats{el.U64(), el.U64()}) })
		d.join(el)
		m.Meters = append(m.Meters, s)
	})
	return m
}

func (e *encoder) meterStats(m *MeterStatsReply) {
	for i := range m.Meters {
		s := &m.Meters[i]
		e.element(func() {
			start := e.Len()
			e.U32(s.Meter)
			e.Zero(8)
			e.U32(s.Flows)
			e.U64(s.Packets)
			e.U64(s.Bytes)
			e.lifetime(s.Lifetime)
			e.bucketStats(s.Bands)
			e.SetU16(start+4, uint16(e.Len()-start))
		})
	}
}
