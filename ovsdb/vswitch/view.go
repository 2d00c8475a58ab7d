// SPDX-License-Identifier: Apache-2.0

package vswitch

import (
	"fmt"
	"reflect"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Table is a table's rows as Go values, in the order of their UUIDs.
type Table[T any] struct {
	rows []*T
	byID map[ovsdb.UUID]cached[T]
}

type cached[T any] struct {
	row *ovsdb.Row
	val *T
}

// All returns the rows. The caller must not change the slice.
func (t Table[T]) All() []*T { return t.rows }

// Len returns the number of rows.
func (t Table[T]) Len() int { return len(t.rows) }

// Get returns a row by UUID, nil if there is none.
func (t Table[T]) Get(id ovsdb.UUID) *T { return t.byID[id].val }

// View is a snapshot of the Open_vSwitch database as typed rows.
type View struct {
	Snapshot *engine.Snapshot

	// Root is the row of table Open_vSwitch, nil in an empty database.
	Root *OpenVSwitch

	OpenVSwitch            Table[OpenVSwitch]
	Bridge                 Table[Bridge]
	Port                   Table[Port]
	Interface              Table[Interface]
	Controller             Table[Controller]
	Manager                Table[Manager]
	SSL                    Table[SSL]
	Mirror                 Table[Mirror]
	QoS                    Table[QoS]
	Queue                  Table[Queue]
	FlowTable              Table[FlowTable]
	Datapath               Table[Datapath]
	CTZone                 Table[CTZone]
	CTTimeoutPolicy        Table[CTTimeoutPolicy]
	NetFlow                Table[NetFlow]
	SFlow                  Table[SFlow]
	IPFIX                  Table[IPFIX]
	FlowSampleCollectorSet Table[FlowSampleCollectorSet]
	AutoAttach             Table[AutoAttach]
}

// Reader makes Views of one database's snapshots.
type Reader struct {
	last  View
	bound map[string]binding
}

// tableNames lists the tables that a View has.
func tableNames() []string {
	return []string{"Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Manager", "SSL", "Mirror", "QoS", "Queue",
		"Flow_Table", "Datapath", "CT_Zone", "CT_Timeout_Policy", "NetFlow", "sFlow", "IPFIX", "Flow_Sample_Collector_Set", "AutoAttach"}
}

// NewReader returns a Reader for databases of the schema. It fails if the schema
// is not like Open_vSwitch's: a table is missing or a column has another type.
func NewReader(s *schema.Schema) (*Reader, error) {
	r := &Reader{bound: map[string]binding{}}
	types := []reflect.Type{
		reflect.TypeFor[OpenVSwitch](), reflect.TypeFor[Bridge](), reflect.TypeFor[Port](), reflect.TypeFor[Interface](),
		reflect.TypeFor[Controller](), reflect.TypeFor[Manager](), reflect.TypeFor[SSL](), reflect.TypeFor[Mirror](),
		reflect.TypeFor[QoS](), reflect.TypeFor[Queue](), reflect.TypeFor[FlowTable](), reflect.TypeFor[Datapath](),
		reflect.TypeFor[CTZone](), reflect.TypeFor[CTTimeoutPolicy](), reflect.TypeFor[NetFlow](), reflect.TypeFor[SFlow](),
		reflect.TypeFor[IPFIX](), reflect.TypeFor[FlowSampleCollectorSet](), reflect.TypeFor[AutoAttach](),
	}
	for i, name := range tableNames() {
		t := s.Table(name)
		if t == nil {
			return nil, fmt.Errorf("read schema %s: no table %s", s.Name, name)
		}
		b, err := bind(t, types[i])
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", s.Name, err)
		}
		r.bound[name] = b
	}
	return r, nil
}

// Read returns the View of a snapshot. Rows that are as they were in the last
// View are the same pointers.
func (r *Reader) Read(s *engine.Snapshot) *View {
	v := r.last
	old := v.Snapshot
	v.Snapshot = s
	read(r, &v.OpenVSwitch, "Open_vSwitch", old, s)
	read(r, &v.Bridge, "Bridge", old, s)
	read(r, &v.Port, "Port", old, s)
	read(r, &v.Interface, "Interface", old, s)
	read(r, &v.Controller, "Controller", old, s)
	read(r, &v.Manager, "Manager", old, s)
	read(r, &v.SSL, "SSL", old, s)
	read(r, &v.Mirror, "Mirror", old, s)
	read(r, &v.QoS, "QoS", old, s)
	read(r, &v.Queue, "Queue", old, s)
	read(r, &v.FlowTable, "Flow_Table", old, s)
	read(r, &v.Datapath, "Datapath", old, s)
	read(r, &v.CTZone, "CT_Zone", old, s)
	read(r, &v.CTTimeoutPolicy, "CT_Timeout_Policy", old, s)
	read(r, &v.NetFlow, "NetFlow", old, s)
	read(r, &v.SFlow, "sFlow", old, s)
	read(r, &v.IPFIX, "IPFIX", old, s)
	read(r, &v.FlowSampleCollectorSet, "Flow_Sample_Collector_Set", old, s)
	read(r, &v.AutoAttach, "AutoAttach", old, s)
	v.Root = nil
	if len(v.OpenVSwitch.rows) > 0 {
		v.Root = v.OpenVSwitch.rows[0]
	}
	r.last = v
	return &v
}

// read replaces a table by that of the snapshot, keeping the values of rows that
// are the same.
func read[T any](r *Reader, t *Table[T], name string, old, s *engine.Snapshot) {
	b := r.bound[name]
	if old != nil && old.SameTable(s, b.table) {
		return
	}
	last := *t
	*t = Table[T]{byID: make(map[ovsdb.UUID]cached[T], s.Len(b.table)), rows: make([]*T, 0, s.Len(b.table))}
	for row := range s.Rows(b.table) {
		c, ok := last.byID[row.ID]
		if !ok || c.row != row {
			c = cached[T]{row, new(T)}
			v := reflect.ValueOf(c.val).Elem()
			v.FieldByName("UUID").Set(reflect.ValueOf(row.ID))
			b.fill(v, row)
		}
		t.byID[row.ID] = c
		t.rows = append(t.rows, c.val)
	}
}
