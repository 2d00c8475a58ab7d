// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// bucketActions reads the actions of a bucket. Nothing is known of the packets that
// come to it, so prerequisites are not looked at.
func (d *decoder) bucketActions(r *ofp.Reader) action.List {
	if r.Len()%8 != 0 {
		r.Failf(ofp.BRCBadLen, "actions of %d bytes", r.Len())
	}
	return ofpact.DecodeList(r, d.Version)
}

// buckets reads buckets of OpenFlow 1.1 to 1.4 to the end:
//
//	+-------------------------------+-------------------------------+
//	|            length             |            weight             |
//	+-------------------------------+-------------------------------+
//	|                          watch port                           |
//	|                          watch group                          |
//	|                       4 bytes of padding                      |
//	| actions                                                       |
//
// Their numbers are their places.
func (d *decoder) buckets() (bs []Bucket) {
	d.elements(func() {
		n := int(d.U16())
		if d.Err() == nil && (n < 16 || n-2 > d.Len()) {
			d.Failf(ofp.GMFCBadBucket, "bucket of %d bytes", n)
		}
		el := d.sub(n - 2)
		b := Bucket{ID: uint32(len(bs)), Weight: el.U16()}
		watch := el.U32()
		b.WatchGroup = el.U32()
		el.Skip(4)
		b.Actions = d.bucketActions(el.Reader)
		b.WatchPort = el.watchPort(watch)
		d.join(el)
		bs = append(bs, b)
	})
	return bs
}

func (d *decoder) watchPort(n uint32) action.Port {
	p, err := ofp.PortFrom11(n)
	if err != nil && d.Err() == nil {
		d.Failf(ofp.GMFCBadWatch, "watch port %#x", n)
	}
	return p
}

func (e *encoder) buckets(bs []Bucket) {
	for i := range bs {
		b := &bs[i]
		start := e.Len()
		e.Zero(2)
		e.U16(b.Weight)
		e.U32(uint32(b.WatchPort))
		e.U32(b.WatchGroup)
		e.Zero(4)
		ofpact.AppendList(&e.Writer, b.Actions, nil, e.Version)
		e.SetU16(start, uint16(e.Len()-start))
	}
}

// Properties of a bucket in OpenFlow 1.5 (7.3.4.3.1).
const (
	bucketWeight     = 0
	bucketWatchPort  = 1
	bucketWatchGroup = 2
)

// buckets15 reads buckets of OpenFlow 1.5 to the end:
//
//	+-------------------------------+-------------------------------+
//	|            length             |       length of actions       |
//	+-------------------------------+-------------------------------+
//	|                            number                             |
//	| actions                                                       |
//	| properties                                                    |
func (d *decoder) buckets15(typ GroupType) (bs []Bucket) {
	d.elements(func() {
		if d.Len() < 8 {
			d.Failf(ofp.GMFCBadBucket, "%d bytes after the last bucket", d.Len())
		}
		n := int(d.U16())
		if d.Err() == nil && (n < 8 || n-2 > d.Len()) {
			d.Failf(ofp.GMFCBadBucket, "bucket of %d bytes", n)
		}
		el := d.sub(n - 2)
		acts := int(el.U16())
		b := Bucket{ID: el.U32(), WatchPort: action.PortAny, WatchGroup: action.GroupAny}
		if typ == GroupTypeSelect {
			b.Weight = 1
		}
		if el.Err() == nil && acts > el.Len() {
			el.Failf(ofp.GMFCBadBucket, "actions of %d bytes", acts)
		}
		al := el.sub(acts)
		b.Actions = d.bucketActions(al.Reader)
		el.join(al)
		el.elements(func() {
			if el.Len() < 4 {
				el.Failf(ofp.BPCBadLen, "property of %d bytes", el.Len())
			}
			typ, p := ofpact.Property(el.Reader, ofp.BPCBadLen)
			switch typ {
			case bucketWeight:
				b.Weight = p.U16()
				p.Skip(2)
			case bucketWatchPort:
				b.WatchPort = d.with(p).watchPort(p.U32())
			case bucketWatchGroup:
				b.WatchGroup = p.U32()
			default:
				p.Failf(ofp.BPCBadType, "bucket property %d", typ)
			}
			if err := p.Close(); err != nil {
				el.Fail(err)
			}
		})
		if el.Err() == nil && b.ID > BucketMax {
			el.Failf(ofp.GMFCBadBucket, "bucket number %#x", b.ID)
		}
		d.join(el)
		bs = append(bs, b)
	})
	if d.Err() == nil {
		seen := make(map[uint32]bool, len(bs))
		for i := range bs {
			if seen[bs[i].ID] {
				d.Failf(ofp.GMFCBadBucket, "two buckets %d", bs[i].ID)
			}
			seen[bs[i].ID] = true
		}
	}
	return bs
}

func (e *encoder) buckets15(g *GroupDesc) {
	for i := range g.Buckets {
		b := &g.Buckets[i]
		start := e.Len()
		e.Zero(4)
		e.U32(b.ID)
		at := e.Len()
		ofpact.AppendList(&e.Writer, b.Actions, nil, e.Version)
		e.SetU16(start+2, uint16(e.Len()-at))
		if g.Type == GroupTypeSelect || b.Weight != 0 {
			ofpact.PutProperty(&e.Writer, bucketWeight, func() { e.U16(b.Weight); e.Zero(2) })
		}
		if b.WatchPort != action.PortAny {
			ofpact.PutProperty(&e.Writer, bucketWatchPort, func() { e.U32(uint32(b.WatchPort)) })
		}
		if b.WatchGroup != action.GroupAny {
			ofpact.PutProperty(&e.Writer, bucketWatchGroup, func() { e.U32(b.WatchGroup) })
		}
		e.SetU16(start, uint16(e.Len()-start))
	}
}

// The property with a selection method.
const (
	groupExperimenter = 0xffff
	netronome         = 0x0000154d
	selectionMethod   = 1
	methodLen         = 16
)

// groupProperties reads the properties of a group to the end.
func (d *decoder) groupProperties(g *GroupDesc, cmd GroupModCommand) {
	d.elements(func() {
		typ, p := ofpact.Property(d.Reader, ofp.BPCBadLen)
		switch {
		case p.Err() != nil:
		case typ != groupExperimenter:
			p.Failf(ofp.BPCBadType, "group property %d", typ)
		case p.Len() < 8:
			p.Failf(ofp.BPCBadLen, "experimenter's property of %d bytes", p.Len())
		default:
			vendor, sub := p.U32(), p.U32()
			if vendor == 0 {
				p.Failf(ofp.BPCBadExperimenter, "group property of nobody")
				break
			}
			if vendor != netronome || sub != selectionMethod {
				p.Failf(ofp.BPCBadExpType, "group property %#x:%d", vendor, sub)
				break
			}
			switch cmd {
			case GroupAdd, GroupModify, GroupAddOrModify:
			case GroupDelete, GroupInsertBucket, GroupRemoveBucket:
				p.Failf(ofp.BPCBadValue, "a selection method with command %d", cmd)
			default:
				p.Failf(ofp.GMFCBadCommand, "command %d", cmd)
			}
			if p.Err() == nil && g.Type > GroupTypeFF {
				p.Failf(ofp.GMFCBadType, "a selection method for type %d", g.Type)
			}
			if p.Err() == nil && g.Type != GroupTypeSelect {
				p.Failf(ofp.BPCBadValue, "a selection method for type %d", g.Type)
			}
			readSelection(p, &g.Selection)
		}
		if err := p.Close(); err != nil {
			d.Fail(err)
		}
	})
}

// readSelection reads the rest of the property:
//
//	4 bytes of padding, the method's name in 16, the parameter in 8; then
//	entries as in OXM matches whose values are masks
func readSelection(p *ofp.Reader, s *Selection) {
	if p.Err() == nil && p.Len() < 4+methodLen+8 {
		p.Failf(ofp.BPCBadLen, "selection method of %d bytes", p.Len())
	}
	p.Skip(4)
	name := p.Bytes(methodLen)
	if p.Err() != nil {
		return
	}
	end := strings.IndexByte(string(name), 0)
	if end < 0 {
		p.Failf(ofp.BPCBadValue, "selection method without end")
		return
	}
	switch s.Method = string(name[:end]); s.Method {
	case "hash", "dp_hash":
	default:
		p.Failf(ofp.BPCBadValue, "selection method %q", s.Method)
	}
	s.Param = p.U64()
	if p.Err() == nil && s.Method != "hash" && p.Len() > 0 {
		p.Failf(ofp.BPCBadValue, "selection method %q with fields", s.Method)
	}
	s.Fields = nil
	seen := make(map[flow.Field]bool)
	for p.Len() > 0 {
		f, mask := oxm.DecodeMask(p)
		if p.Err() == nil && seen[f] {
			p.Failf(ofp.BMCDupField, "field %v", f)
		}
		seen[f] = true
		if !mask.IsZero() {
			s.Fields = append(s.Fields, SelectField{f, mask})
		}
	}
}

func (e *encoder) groupProperties(s *Selection) {
	if s.Method == "" {
		return
	}
	ofpact.PutProperty(&e.Writer, groupExperimenter, func() {
		e.U32(netronome)
		e.U32(selectionMethod)
		e.Zero(4)
		e.String(s.Method, methodLen)
		e.U64(s.Param)
		for _, f := range s.Fields {
			oxm.AppendMask(&e.Writer, f.Field, f.Mask, e.Version)
		}
	})
}

func (d *decoder) groupMod13() *GroupMod {
	d.multiple8()
	m := &GroupMod{Command: GroupModCommand(d.U16()), CommandBucket: BucketAll}
	m.Type = GroupType(d.U8())
	d.Skip(1)
	m.Group = d.U32()
	m.Buckets = d.buckets()
	d.checkGroupMod(m)
	return m
}

// groupMod15 reads OpenFlow 1.5, 7.3.4.3, which in 1.0 is NXT_GROUP_MOD:
//
//	+-------------------------------+---------------+---------------+
//	|            command            |     type      |    padding    |
//	+-------------------------------+---------------+---------------+
//	|                             group                             |
//	+-------------------------------+-------------------------------+
//	|       length of buckets       |            padding            |
//	+-------------------------------+-------------------------------+
//	|                       command's bucket                        |
//	| buckets                                                       |
//	| properties                                                    |
func (d *decoder) groupMod15() *GroupMod {
	d.multiple8()
	m := &GroupMod{Command: GroupModCommand(d.U16())}
	m.Type = GroupType(d.U8())
	d.Skip(1)
	m.Group = d.U32()
	n := int(d.U16())
	d.Skip(2)
	m.CommandBucket = d.U32()
	if d.Err() == nil {
		d.commandBucket(m)
	}
	bl := d.sub(n)
	m.Buckets = bl.buckets15(m.Type)
	d.join(bl)
	d.groupProperties(&m.GroupDesc, m.Command)
	d.checkGroupMod(m)
	return m
}

// multiple8 refuses a message whose length is no multiple of 8.
func (d *decoder) multiple8() {
	if d.Len()%8 != 0 {
		d.Failf(ofp.BRCBadLen, "group modification of %d bytes", d.Len())
	}
}

// commandBucket refuses a bucket that the command cannot have.
func (d *decoder) commandBucket(m *GroupMod) {
	ok := m.CommandBucket == BucketAll
	switch m.Command {
	case GroupInsertBucket:
		ok = m.CommandBucket <= BucketMax || m.CommandBucket == BucketFirst || m.CommandBucket == BucketLast
	case GroupRemoveBucket:
		ok = m.CommandBucket <= BucketMax || m.CommandBucket >= BucketFirst
	}
	if !ok {
		d.Failf(ofp.GMFCBadBucket, "command %d for bucket %#x", m.Command, m.CommandBucket)
	}
}

// checkGroupMod refuses what no group can be, in the stock switch's order.
func (d *decoder) checkGroupMod(m *GroupMod) {
	switch {
	case d.Err() != nil:
		return
	case m.Type > GroupTypeFF:
		d.Failf(ofp.GMFCBadType, "type %d", m.Type)
		return
	}
	switch m.Command {
	case GroupAdd, GroupModify, GroupAddOrModify, GroupInsertBucket, GroupRemoveBucket:
		if k := m.check(); k != ofp.NoError {
			d.Failf(k, "group of type %d", m.Type)
		}
	case GroupDelete:
		if len(m.Buckets) > 0 && !d.buckets15Form() {
			d.Failf(ofp.GMFCInvalidGroup, "buckets to delete")
		}
	default:
		d.Failf(ofp.GMFCBadCommand, "command %d", m.Command)
	}
}

// check refuses buckets that do not suit the type. (The type in a command for single
// buckets need not be the group's.)
func (m *GroupMod) check() ofp.Kind {
	if m.Type == GroupTypeIndirect && len(m.Buckets) != 1 {
		return ofp.GMFCInvalidGroup
	}
	for i := range m.Buckets {
		b := &m.Buckets[i]
		watch := b.WatchPort != action.PortAny || b.WatchGroup != action.GroupAny
		switch {
		case b.Weight != 0 && m.Type != GroupTypeSelect && m.Command != GroupInsertBucket, m.Type == GroupTypeFF && !watch:
			return ofp.GMFCInvalidGroup
		case watch && (m.Type == GroupTypeAll || m.Type == GroupTypeIndirect):
			return ofp.GMFCWatchUnsupported
		}
	}
	return ofp.NoError
}

func (e *encoder) groupMod13(m *GroupMod) {
	e.U16(uint16(m.Command))
	e.U8(uint8(m.Type))
	e.Zero(1)
	e.U32(m.Group)
	e.buckets(m.Buckets)
}

func (e *encoder) groupMod15(m *GroupMod) {
	e.U16(uint16(m.Command))
	e.U8(uint8(m.Type))
	e.Zero(1)
	e.U32(m.Group)
	at := e.Len()
	e.Zero(4)
	e.U32(m.CommandBucket)
	start := e.Len()
	e.buckets15(&m.GroupDesc)
	e.SetU16(at, uint16(e.Len()-start))
	e.groupProperties(&m.Selection)
}
