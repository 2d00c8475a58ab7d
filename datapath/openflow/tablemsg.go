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
		if f, ok := oxm.ReadID(r); ok && (len(fs) == 0 || fs[len(fs)-1] != f) { // in_port has two
			fs = append(fs, f)
		}
	}
	return fs
}

func (e *encoder) fieldList(typ uint16, fs []flow.Field, masked bool) {
	ofpact.PutProperty(&e.Writer, typ, func() {
		for _, f := range fs {
			if f == flow.FieldInPort {
				oxm.AppendID(&e.Writer, f, ofp.V10, masked) // its form of 16 bits is taken, too
			}
			oxm.AppendID(&e.Writer, f, e.Version, masked)
		}
	})
}

// instructionTypes and actionTypes are what every table can do, as the stock switch (3.1) says it: the
// numbers of OFPIT_* and OFPAT_*. The last table goes to none.
func (v wireVersion) instructionTypes(last bool) []uint16 {
	t := []uint16{1, 2, 3, 4, 5, 6}
	if ofp.Version(v) >= ofp.V15 {
		t = t[:5]
	}
	if last {
		t = t[1:]
	}
	return t
}

// actionTypes are the same in all versions.
var actionTypes = []uint16{0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25}

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
			for miss := range uint16(2) { // the same for table misses, by numbers one higher
				e.typeList(propInstructions+miss, v.instructionTypes(len(t.Next) == 0))
				ofpact.PutProperty(&e.Writer, propNextTables+miss, func() { e.Bytes(t.Next) })
				e.typeList(propWriteActions+miss, actionTypes)
				e.fieldList(propWriteSetField+miss, t.SetField, false)
				e.typeList(propApplyActions+miss, actionTypes)
				e.fieldList(propApplySetField+miss, t.SetField, false)
			}
			e.fieldList(propMatch, t.Match, true)
			e.fieldList(propWildcards, t.Wildcards, false)
			e.SetU16(start, uint16(e.Len()-start))
		})
	}
}
