// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// readRows takes the configuration out of a snapshot of the Open_vSwitch
// database: what can be reached from its one root row.
func readRows(snap *engine.Snapshot) wanted.Rows {
	r := reader{snap: snap, schema: snap.Schema()}
	var rows wanted.Rows
	for row := range snap.Rows(r.schema.Table("Open_vSwitch")) {
		v := r.view("Open_vSwitch", row)
		rows.ID = v.id
		rows.NextCfg = v.integer("next_cfg")
		rows.OtherConfig = v.dict("other_config")
		for _, b := range v.refs("bridges", "Bridge") {
			rows.Bridges = append(rows.Bridges, r.bridge(b))
		}
	}
	return rows
}

type reader struct {
	snap   *engine.Snapshot
	schema *schema.Schema
}

func (r *reader) view(table string, row *ovsdb.Row) view {
	return view{r: r, table: r.schema.Table(table), row: row, id: row.ID}
}

func (r *reader) bridge(v view) wanted.BridgeRow {
	b := wanted.BridgeRow{
		ID: v.id, Name: v.text("name"), DatapathType: v.text("datapath_type"), FailMode: v.text("fail_mode"),
		Protocols: v.texts("protocols"), OtherConfig: v.dict("other_config"),
	}
	for _, c := range v.refs("controller", "Controller") {
		b.Controllers = append(b.Controllers, wanted.ControllerRow{
			ID: c.id, Target: c.text("target"), Type: c.text("type"),
			InactivityProbe: c.optional("inactivity_probe"), MaxBackoff: c.optional("max_backoff"),
			RateLimit: c.optional("controller_rate_limit"), BurstLimit: c.optional("controller_burst_limit"),
			QueueSize: c.optional("controller_queue_size"), NoAsync: c.is("enable_async_messages", false),
		})
	}
	b.Tables = r.tables(v.get("flow_tables"))
	for _, p := range v.refs("ports", "Port") {
		port := wanted.PortRow{
			ID: p.id, Name: p.text("name"), VLANMode: p.text("vlan_mode"), Tag: p.optional("tag"),
			Trunks: p.integers("trunks"), OtherConfig: p.dict("other_config"),
		}
		for _, i := range p.refs("interfaces", "Interface") {
			port.Interfaces = append(port.Interfaces, wanted.InterfaceRow{
				ID: i.id, Name: i.text("name"), Type: i.text("type"), Options: i.dict("options"),
				Ofport: i.optional("ofport"), OfportRequest: i.optional("ofport_request"),
				MAC: i.text("mac"), MTURequest: i.optional("mtu_request"),
			})
		}
		b.Ports = append(b.Ports, port)
	}
	return b
}

// tables reads a map from table numbers to rows of Flow_Table.
func (r *reader) tables(d ovsdb.Datum) map[int64]wanted.TableRow {
	var ts map[int64]wanted.TableRow
	for i := range d.Len() {
		row := r.snap.Row(r.schema.Table("Flow_Table"), d.Value(i).UUID())
		if row == nil {
			continue
		}
		if ts == nil {
			ts = map[int64]wanted.TableRow{}
		}
		t := r.view("Flow_Table", row)
		ts[d.Key(i).Int()] = wanted.TableRow{
			Name: t.text("name"), FlowLimit: t.optional("flow_limit"),
			OverflowPolicy: t.text("overflow_policy"), Groups: t.texts("groups"),
		}
	}
	return ts
}

// view is a row with its table: columns by name. A column that the schema does
// not have, or that is empty, reads as the zero value.
type view struct {
	r     *reader
	table *schema.Table
	row   *ovsdb.Row
	id    ovsdb.UUID
}

func (v view) get(column string) ovsdb.Datum {
	c := v.table.Column(column)
	if c == nil {
		return ovsdb.Datum{}
	}
	return v.row.Get(c.Index)
}

func (v view) text(column string) string {
	d := v.get(column)
	if d.Len() != 1 {
		return ""
	}
	return d.Key(0).Str()
}

// is reports whether an optional boolean is there and has this value.
func (v view) is(column string, value bool) bool {
	d := v.get(column)
	return d.Len() == 1 && d.Key(0).Bool() == value
}

func (v view) integer(column string) int64 {
	if n := v.optional(column); n != nil {
		return *n
	}
	return 0
}

func (v view) optional(column string) *int64 {
	d := v.get(column)
	if d.Len() != 1 {
		return nil
	}
	n := d.Key(0).Int()
	return &n
}

func (v view) integers(column string) (list []int64) {
	for _, a := range v.get(column).Keys() {
		list = append(list, a.Int())
	}
	return list
}

func (v view) texts(column string) (list []string) {
	for _, a := range v.get(column).Keys() {
		list = append(list, a.Str())
	}
	return list
}

func (v view) dict(column string) map[string]string {
	d := v.get(column)
	m := make(map[string]string, d.Len())
	for i := range d.Len() {
		m[d.Key(i).Str()] = d.Value(i).Str()
	}
	return m
}

// refs returns the rows that a column refers to; one that is not there (the
// engine does not let that happen for strong references) is left out.
func (v view) refs(column, table string) (list []view) {
	for _, a := range v.get(column).Keys() {
		if row := v.r.snap.Row(v.r.schema.Table(table), a.UUID()); row != nil {
			list = append(list, v.r.view(table, row))
		}
	}
	return list
}
