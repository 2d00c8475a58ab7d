// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

func (d *decoder) tableStats10() *TableStatsReply {
	m := &TableStatsReply{}
	d.elements(func() {
		t := TableStats{Table: d.U8()}
		d.Skip(3)
		t.Name = d.String(32)
		d.Skip(4)
		t.MaxEntries, t.Active, t.Lookups, t.Matched = d.U32(), d.U32(), d.U64(), d.U64()
		m.Tables = append(m.Tables, t)
	})
	return m
}

func (e *encoder) tableStats10(m *TableStatsReply) {
	for _, t := range m.Tables {
		e.element(func() {
			e.U8(t.Table)
			e.Zero(3)
			e.String(t.Name, 32)
			e.U32(wildAll)
			e.U32(t.MaxEntries)
			e.U32(t.Active)
			e.U64(t.Lookups)
			e.U64(t.Matched)
		})
	}
}

func (d *decoder) tableStats13() *TableStatsReply {
	m := &TableStatsReply{}
	d.elements(func() {
		t := TableStats{Table: d.U8()}
		d.Skip(3)
		t.Active, t.Lookups, t.Matched = d.U32(), d.U64(), d.U64()
		m.Tables = append(m.Tables, t)
	})
	return m
}

func (e *encoder) tableStats13(m *TableStatsReply) {
	for _, t := range m.Tables {
		e.element(func() {
			e.U8(t.Table)
			e.Zero(3)
			e.U32(t.Active)
			e.U64(t.Lookups)
			e.U64(t.Matched)
		})
	}
}

func (d *decoder) tableFeaturesRequest() *TableFeaturesRequest {
	m := &TableFeaturesRequest{Set: d.Len() > 0}
	d.whole8()
	d.tableFeatures() // for its errors
	return m
}

func (e *encoder) tableFeaturesRequest(*TableFeaturesRequest) {}

// Properties of table features (OpenFlow 1.3.5, 7.3.5.5.2); each of the first
// three groups has a second number, one higher, for table misses.
const (
	propInstructions  = 0
	propNextTables    = 2
	propWriteActions  = 4
	propApplyActions  = 6
	propMatch         = 8
	propWildcards     = 10
	propWriteSetField = 12
	propApplySetField = 14
)

// tableFeaturesLen is the length of an element without properties.
const tableFeaturesLen = 64

func (d *decoder) tableFeatures() *TableFeaturesReply {
	m := &TableFeaturesReply{}
	d.elements(func() {
		n := int(d.U16())
		if n < tableFeaturesLen || n-2 > d.Len() {
			d.Failf(ofp.BPCBadLen, "features of a table in %d of %d bytes", n, d.Len()+2)
			return
		}
		el := d.sub(n - 2)
		t := TableFeatures{Table: el.U8()}
		el.Skip(5)
		t.Name = el.String(32)
		t.MetadataMatch, t.MetadataMask = el.U64(), el.U64()
		el.Skip(4)
		t.MaxEntries = el.U32()
		el.elements(func() {
			typ, b := ofpact.Property(el.Reader, ofp.BPCBadLen)
			switch typ {
			case propNextTables:
				t.Next = b.Rest()
			case propMatch:
				t.Match = fieldList(b)
			case propWildcards:
				t.Wildcards = fieldList(b)
			case propApplySetField:
				t.SetField = fieldList(b)
			default:
				b.Skip(b.Len())
			}
			if err := b.Close(); err != nil {
				el.Fail(err)
			}
		})
		d.join(el)
		m.Tables = append(m.Tables, t)
	})
	return m
}

// fieldList reads headers of entries; those that name no field are passed over.
func fieldList(r *ofp.Reader) (fs []flow.Field) {
	for r.Len() > 0 {
		h := r.U32()
		if h>>16 == 0xffff {
			r.Skip(4)
			continue
		}
		if f, ok := oxm.FieldOf(h); ok {
			fs = append(fs, f)
		}
	}
	return fs
}

func (e *encoder) fieldList(typ uint16, fs []flow.Field) {
	ofpact.PutProperty(&e.Writer, typ, func() {
		for _, f := range fs {
			if h, ok := oxm.IDOf(f, e.Version, false); ok {
				e.U32(h)
			}
		}
	})
}

// instructionTypes and actionTypes are what every table can do, by version: the
// bits of OFPIT_* and OFPAT_*.
func (v wireVersion) instructionTypes() []uint16 {
	if ofp.Version(v) < ofp.V15 {
		return []uint16{1, 2, 3, 4, 5, 6}
	}
	return []uint16{1, 2, 3, 4, 5}
}

func (v wireVersion) actionTypes() []uint16 {
	t := []uint16{0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25}
	if ofp.Version(v) >= ofp.V15 {
		t = append(t, 28, 29)
	}
	return t
}

func (e *encoder) typeList(prop uint16, types []uint16) {
	ofpact.PutProperty(&e.Writer, prop, func() {
		for _, t := range types {
			e.U16(t)
			e.U16(4)
		}
	})
}

func (e *encoder) tableFeatures(m *TableFeaturesReply) {
	v := wireVersion(e.Version)
	for i := range m.Tables {
		t := &m.Tables[i]
		e.element(func() {
			start := e.Len()
			e.Zero(2)
			e.U8(t.Table)
			e.Zero(5)
			e.String(t.Name, 32)
			e.U64(t.MetadataMatch)
			e.U64(t.MetadataMask)
			e.U32(0) // configuration (1.3), capabilities (1.4)
			e.U32(t.MaxEntries)
			e.typeList(propInstructions, v.instructionTypes())
			ofpact.PutProperty(&e.Writer, propNextTables, func() { e.Bytes(t.Next) })
			e.typeList(propWriteActions, v.actionTypes())
			e.typeList(propApplyActions, v.actionTypes())
			e.fieldList(propMatch, t.Match)
			e.fieldList(propWildcards, t.Wildcards)
			e.fieldList(propWriteSetField, t.SetField)
			e.fieldList(propApplySetField, t.SetField)
			e.SetU16(start, uint16(e.Len()-start))
		})
	}
}
