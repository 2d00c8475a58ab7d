// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
)

// rules says how rows may be named besides by UUID (ovs-vsctl --help).
var rules = ctl.Rules{
	"AutoAttach":                {{Via: "Bridge", Name: "name", Ref: "auto_attach"}},
	"Bridge":                    {{Name: "name"}},
	"Controller":                {{Via: "Bridge", Name: "name", Ref: "controller"}},
	"Flow_Sample_Collector_Set": {{Name: "id"}},
	"Flow_Table":                {{Name: "name"}},
	"IPFIX":                     {{Via: "Bridge", Name: "name", Ref: "ipfix"}},
	"Interface":                 {{Name: "name"}},
	"Manager":                   {{Name: "target"}},
	"Mirror":                    {{Name: "name"}},
	"NetFlow":                   {{Via: "Bridge", Name: "name", Ref: "netflow"}},
	"Open_vSwitch":              {{}},
	"Port":                      {{Name: "name"}},
	"QoS":                       {{Via: "Port", Name: "name", Ref: "qos"}},
	"SSL":                       {{}},
	"sFlow":                     {{Via: "Bridge", Name: "name", Ref: "sflow"}},
}

// overview says what "show" prints of a row: the column that names it, and the
// columns below. A reference is followed if its table is in the overview too.
var overview = map[string]struct {
	name    string
	columns []string
}{
	"Open_vSwitch": {"", []string{"manager_options", "bridges", "ovs_version"}},
	"Bridge":       {"name", []string{"controller", "fail_mode", "datapath_type", "ports"}},
	"Port":         {"name", []string{"tag", "trunks", "interfaces"}},
	"Interface":    {"name", []string{"type", "options", "error"}},
	"Controller":   {"target", []string{"is_connected"}},
	"Manager":      {"target", []string{"is_connected"}},
}

func generalCommands() []*ctl.Command {
	var shown, reset [][2]string
	for t, o := range overview {
		if o.name != "" {
			shown = append(shown, [2]string{t, o.name})
		}
		for _, col := range o.columns {
			shown = append(shown, [2]string{t, col})
		}
	}
	for _, r := range resets {
		reset = append(reset, [2]string{r.table, r.column})
	}
	return []*ctl.Command{
		{Name: "init", Max: 0, Need: need([2]string{"Open_vSwitch", ""}), Run: func(*ctl.Context) error { return nil }},
		{Name: "show", Max: 0, ReadOnly: true, Need: need(shown...), Run: show},
		{Name: "emer-reset", Max: 0, Need: need(reset...), Run: emerReset},
		{Name: "list-dp-cap", Min: 1, Max: 1, ReadOnly: true,
			Need: need([2]string{"Open_vSwitch", "datapaths"}, [2]string{"Datapath", "capabilities"}), Run: listCapabilities},
	}
}

func show(c *ctl.Context) error {
	for _, r := range c.Txn.Rows(c.Schema.Table("Open_vSwitch")) {
		showRow(c, r, 0, map[ovsdb.UUID]bool{})
	}
	return nil
}

func showRow(c *ctl.Context, r *replica.Row, level int, above map[ovsdb.UUID]bool) {
	indent := strings.Repeat("    ", level)
	o := overview[r.Table.Name]
	if above[r.ID] {
		return
	}
	above[r.ID] = true
	defer delete(above, r.ID)
	if o.name == "" {
		c.Out.WriteString(indent + r.ID.String() + "\n")
	} else {
		col := r.Table.Column(o.name)
		c.Out.WriteString(indent + r.Table.Name + " " + table.Format(r.Get(col), &col.Type) + "\n")
	}
	for _, name := range o.columns {
		col := r.Table.Column(name)
		if col == nil {
			continue
		}
		d := r.Get(col)
		if col.KeyTable != nil && overview[col.KeyTable.Name].columns != nil {
			for _, k := range c.Txn.Refs(col.KeyTable, d) {
				showRow(c, k, level+1, above)
			}
			continue
		}
		if !d.Equal(col.Type.Default()) {
			fmt.Fprintf(&c.Out, "%s    %s: %s\n", indent, name, table.Format(d, &col.Type))
		}
	}
}

// resets is what emer-reset clears. keep names the one key of a map that stays.
var resets = []struct{ table, column, keep string }{
	{"Open_vSwitch", "manager_options", ""},
	{"Open_vSwitch", "ssl", ""},
	{"Bridge", "controller", ""},
	{"Bridge", "fail_mode", ""},
	{"Bridge", "mirrors", ""},
	{"Bridge", "netflow", ""},
	{"Bridge", "sflow", ""},
	{"Bridge", "ipfix", ""},
	{"Bridge", "flood_vlans", ""},
	{"Bridge", "other_config", "hwaddr"},
	{"Port", "other_config", ""},
	{"Interface", "ingress_policing_rate", ""},
	{"Interface", "ingress_policing_burst", ""},
	{"Interface", "ingress_policing_kpkts_rate", ""},
	{"Interface", "ingress_policing_kpkts_burst", ""},
}

func emerReset(c *ctl.Context) error {
	for _, x := range resets {
		t := c.Schema.Table(x.table)
		col := t.Column(x.column)
		for _, r := range c.Txn.Rows(t) {
			switch {
			case x.keep != "":
				d := r.Get(col)
				r.Set(col, ovsdb.NewMap())
				if v, ok := d.Lookup(ovsdb.Str(x.keep)); ok {
					r.Set(col, ovsdb.NewMap(ovsdb.Pair{K: ovsdb.Str(x.keep), V: v}))
				}
			default:
				r.Set(col, col.Type.Default())
			}
		}
	}
	return nil
}

func listCapabilities(c *ctl.Context) error {
	d, ok := root(c).Col("datapaths").Lookup(ovsdb.Str(c.Args[0]))
	r := (*replica.Row)(nil)
	if ok {
		r = c.Txn.Row(c.Schema.Table("Datapath"), d.UUID())
	}
	if r == nil {
		return fmt.Errorf("datapath \"%s\" record not found", c.Args[0])
	}
	caps := r.Col("capabilities")
	var ws []string
	for i, k := range caps.Keys() {
		ws = append(ws, k.Str()+"="+caps.Value(i).Str())
	}
	c.Out.WriteString(strings.Join(ws, " ") + "\n")
	return nil
}
