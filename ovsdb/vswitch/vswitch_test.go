// SPDX-License-Identifier: Apache-2.0

package vswitch_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

const stockSchema = "/usr/share/openvswitch/vswitch.ovsschema"

// The embedded schema says the same as the file in Debian's openvswitch-switch:
// version, cksum, tables, columns, types, constraints. Both are read as plain
// JSON here, so that a fault of package schema does not hide a difference, and
// spelled out, as a type may be written in several ways.
func TestSchemaIsStock(t *testing.T) {
	raw, err := os.ReadFile(stockSchema)
	if err != nil {
		t.Skipf("no stock schema to compare with: %v", err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(vswitch.SchemaJSON(), &got); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"name", "version", "cksum"} {
		if got[k] != want[k] || got[k] == nil {
			t.Errorf("%s: %v, stock has %v", k, got[k], want[k])
		}
	}
	wt, gt := want["tables"].(map[string]any), got["tables"].(map[string]any)
	if len(wt) != len(gt) || len(gt) != 19 {
		t.Errorf("%d tables, stock has %d", len(gt), len(wt))
	}
	columns := 0
	for name, v := range wt {
		w, g := spell(v).(map[string]any), spell(gt[name]).(map[string]any)
		wc, gc := w["columns"].(map[string]any), g["columns"].(map[string]any)
		delete(w, "columns")
		delete(g, "columns")
		if !reflect.DeepEqual(g, w) {
			t.Errorf("table %s: %v, stock has %v", name, g, w)
		}
		for col := range wc {
			columns++
			if !reflect.DeepEqual(gc[col], wc[col]) {
				t.Errorf("table %s column %s: %v, stock has %v", name, col, gc[col], wc[col])
			}
		}
		if len(gc) != len(wc) {
			t.Errorf("table %s: %d columns, stock has %d", name, len(gc), len(wc))
		}
	}
	t.Logf("%d tables, %d columns", len(wt), columns)
}

// spell brings the spellings that mean the same into one.
func spell(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for k, e := range m {
		out[k] = spell(e)
		switch {
		case (k == "key" || k == "value" || k == "type") && isAtomic(e):
			out[k] = map[string]any{"type": e}
		case k == "min" && e == 1.0, k == "max" && e == 1.0, k == "mutable" && e == true, k == "isRoot" && e == false,
			k == "refType" && e == "strong", k == "ephemeral" && e == false:
			delete(out, k)
		case k == "enum":
			if set, ok := e.([]any); ok && len(set) == 2 && set[0] == "set" {
				list := slices.Clone(set[1].([]any))
				slices.SortFunc(list, func(a, b any) int {
					x, _ := json.Marshal(a)
					y, _ := json.Marshal(b)
					return strings.Compare(string(x), string(y))
				})
				out[k] = list
			}
		}
	}
	// {"type": {"key": X}} with nothing else is {"type": X}.
	if inner, ok := out["type"].(map[string]any); ok {
		if key, ok := inner["key"]; ok && len(inner) == 1 {
			out["type"] = key
		}
	}
	if inner, ok := out["type"].(map[string]any); ok && len(out) == 1 && inner["type"] != nil && len(inner) == 1 {
		return inner
	}
	return out
}

func isAtomic(v any) bool {
	s, _ := v.(string)
	_, ok := ovsdb.ParseType(s)
	return ok
}

// The stock program takes our printed schema for the same version and checksum.
func TestStockReadsSchema(t *testing.T) {
	if _, err := exec.LookPath("ovsdb-tool"); err != nil {
		t.Skipf("no stock program to compare with: %v", err)
	}
	path := t.TempDir() + "/s"
	if err := os.WriteFile(path, vswitch.Schema().AppendJSON(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	for cmd, want := range map[string]string{"schema-version": "8.3.1", "schema-cksum": "3012963480 26720", "schema-name": "Open_vSwitch"} {
		out, err := exec.Command("ovsdb-tool", cmd, path).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %s %v, want %s", cmd, out, err, want)
		}
	}
}

// Every column of every table has a field, and every field a column of its type.
func TestRows(t *testing.T) {
	s := vswitch.Schema()
	if _, err := vswitch.NewReader(s); err != nil {
		t.Fatal(err)
	}
	fields := map[string]reflect.Type{}
	v := reflect.TypeFor[vswitch.View]()
	names := map[string]string{"OpenVSwitch": "Open_vSwitch", "FlowTable": "Flow_Table", "CTZone": "CT_Zone", "SFlow": "sFlow",
		"CTTimeoutPolicy": "CT_Timeout_Policy", "FlowSampleCollectorSet": "Flow_Sample_Collector_Set"}
	for i := range v.NumField() {
		f := v.Field(i)
		if get, ok := f.Type.MethodByName("Get"); ok && f.Name != "Snapshot" {
			name := f.Name
			if n := names[name]; n != "" {
				name = n
			}
			fields[name] = get.Type.Out(0).Elem()
		}
	}
	for _, table := range s.Tables {
		row := fields[table.Name]
		if row == nil {
			t.Errorf("View has no table %s", table.Name)
			continue
		}
		have := map[string]bool{}
		for i := range row.NumField() {
			if name, ok := row.Field(i).Tag.Lookup("ovs"); ok {
				have[name] = true
				if table.Column(name) == nil {
					t.Errorf("%s has a field for %s, which is no column", table.Name, name)
				}
			}
		}
		for _, c := range table.Columns {
			if !have[c.Name] {
				t.Errorf("%s has no field for column %s", table.Name, c.Name)
			}
		}
	}
	bad, err := schema.Parse([]byte(strings.Replace(string(vswitch.SchemaJSON()), `"ifindex":{"ephemeral":true,"type":{"key":{"maxInteger":4294967295,"minInteger":0,"type":"integer"},"min":0}}`,
		`"ifindex":{"type":"string"}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vswitch.NewReader(bad); err == nil || !strings.Contains(err.Error(), "ifindex") {
		t.Errorf("a column of another type: error %v", err)
	}
}

func transact(t *testing.T, db *engine.DB, ops string) engine.Outcome {
	t.Helper()
	req, err := engine.ParseTransact([]byte(`["Open_vSwitch",`+ops+`]`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	o := db.Transact(req, engine.Env{})
	if o.Commit == nil {
		t.Fatalf("%s", o.Reply)
	}
	return o
}

func TestReadAndWrite(t *testing.T) {
	db := engine.New(vswitch.Schema(), engine.Options{})
	r, err := vswitch.NewReader(db.Schema())
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Read(db.Snapshot()); v.Root != nil || v.Bridge.Len() != 0 {
		t.Error("an empty database has rows")
	}
	tx := db.Begin()
	root, err := vswitch.EnsureRoot(tx)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := vswitch.EnsureRoot(tx); err != nil || again != root {
		t.Errorf("a second root: %v", err)
	}
	if _, err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	transact(t, db, `
	 {"op":"insert","table":"Interface","uuid-name":"i1","row":{"name":"eth0","type":"system","options":["map",[["a","b"]]],"mtu_request":1500}},
	 {"op":"insert","table":"Interface","uuid-name":"i2","row":{"name":"eth1"}},
	 {"op":"insert","table":"Port","uuid-name":"p1","row":{"name":"eth0","interfaces":["named-uuid","i1"],"tag":7,"trunks":["set",[3,1,2]]}},
	 {"op":"insert","table":"Port","uuid-name":"p2","row":{"name":"eth1","interfaces":["named-uuid","i2"]}},
	 {"op":"insert","table":"Flow_Table","uuid-name":"f","row":{}},
	 {"op":"insert","table":"Bridge","uuid-name":"b","row":{"name":"br0","ports":["set",[["named-uuid","p1"],["named-uuid","p2"]]],"flow_tables":["map",[[5,["named-uuid","f"]]]],"stp_enable":true}},
	 {"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["bridges","insert",["named-uuid","b"]],["next_cfg","+=",1]]}`)
	v := r.Read(db.Snapshot())
	if v.Root == nil || v.Root.NextCfg != 1 || v.Root.SSL != nil || len(v.Root.Bridges) != 1 {
		t.Fatalf("root: %+v", v.Root)
	}
	br := v.Bridge.Get(v.Root.Bridges[0])
	if br == nil || br.Name != "br0" || !br.STPEnable || len(br.Ports) != 2 || br.FailMode != nil || v.FlowTable.Get(br.FlowTables[5]) == nil {
		t.Fatalf("bridge: %+v", br)
	}
	var p1, p2 *vswitch.Port
	for _, p := range v.Port.All() {
		if p.Name == "eth0" {
			p1 = p
		} else {
			p2 = p
		}
	}
	if p1.Tag == nil || *p1.Tag != 7 || p2.Tag != nil || !slices.Equal(p1.Trunks, []int64{1, 2, 3}) || p2.Trunks != nil {
		t.Fatalf("ports: %+v %+v", p1, p2)
	}
	i1 := v.Interface.Get(p1.Interfaces[0])
	if i1.Options["a"] != "b" || i1.MTURequest == nil || *i1.MTURequest != 1500 || i1.OFPort != nil || i1.UUID != p1.Interfaces[0] {
		t.Fatalf("interface: %+v", i1)
	}

	// Status back.
	tx = db.Begin()
	ok, err := vswitch.Set(tx, "Interface", i1.UUID, vswitch.Values{
		"ofport": 3, "error": nil, "mac_in_use": "02:00:00:00:00:01", "ifindex": int64(12), "link_state": "up",
		"statistics": map[string]int64{"rx_packets": 1, "tx_packets": 2}, "status": map[string]string{"driver_name": "veth\xff"},
	})
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	c, err := tx.Commit()
	if err != nil || len(c.Changes) != 1 {
		t.Fatal(c, err)
	}
	w := r.Read(db.Snapshot())
	j1 := w.Interface.Get(i1.UUID)
	if *j1.OFPort != 3 || *j1.MACInUse != "02:00:00:00:00:01" || *j1.IfIndex != 12 || j1.Statistics["tx_packets"] != 2 || j1.Status["driver_name"] != "veth\uFFFD" {
		t.Fatalf("interface: %+v", j1)
	}
	// What did not change is the same pointer, in the same and in other tables.
	if w.Interface.Get(p2.Interfaces[0]) != v.Interface.Get(p2.Interfaces[0]) || w.Bridge.Get(br.UUID) != br || j1 == i1 {
		t.Error("unchanged rows were read anew")
	}
	if v.Interface.Get(i1.UUID) != i1 || i1.OFPort != nil {
		t.Error("an old view changed")
	}
	// The same again changes nothing.
	tx = db.Begin()
	if _, err := vswitch.Set(tx, "Interface", i1.UUID, vswitch.Values{"ofport": j1.OFPort, "statistics": j1.Statistics, "error": j1.Error, "options": j1.Options}); err != nil {
		t.Fatal(err)
	}
	if c, err := tx.Commit(); c != nil || err != nil {
		t.Errorf("a commit without change: %v %v", c, err)
	}
	// Faults.
	tx = db.Begin()
	for _, tt := range []struct {
		table string
		vals  vswitch.Values
		want  string
	}{
		{"Nosuch", nil, "no table Nosuch"},
		{"Interface", vswitch.Values{"nosuch": 1}, "no column nosuch"},
		{"Interface", vswitch.Values{"ofport": "x"}, "expected integer"},
		{"Interface", vswitch.Values{"ofport": []int64{1, 2}}, "Attempted to store 2 elements"},
		{"Interface", vswitch.Values{"ofport": uint8(1)}, "type uint8"},
		{"Interface", vswitch.Values{"name": "eth7"}, "immutable column name"},
		{"Interface", vswitch.Values{"link_state": "sideways"}, "not one of the allowed values"},
	} {
		if _, err := vswitch.Set(tx, tt.table, i1.UUID, tt.vals); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %v: error %v, want %q", tt.table, tt.vals, err, tt.want)
		}
	}
	if ok, err := vswitch.Set(tx, "Interface", ovsdb.UUID{1}, vswitch.Values{"ofport": 1}); ok || err != nil {
		t.Errorf("a row that is not there: %v %v", ok, err)
	}
}

func TestServerDB(t *testing.T) {
	db := vswitch.NewServerDB(engine.Options{})
	for range 2 { // the second changes nothing
		tx := db.Begin()
		if err := vswitch.SetDatabase(tx, vswitch.Schema()); err != nil {
			t.Fatal(err)
		}
		if err := vswitch.SetDatabase(tx, vswitch.ServerSchema()); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	table := db.Schema().Table("Database")
	if n := db.Snapshot().Len(table); n != 2 {
		t.Fatalf("%d rows", n)
	}
	for r := range db.Snapshot().Rows(table) {
		text, _ := r.Get(table.Column("schema").Index).Scalar()
		name, _ := r.Get(table.Column("name").Index).Scalar()
		s, err := schema.Parse([]byte(text.Str()))
		if err != nil || s.Name != name.Str() {
			t.Errorf("schema of %s: %v", name, err)
		}
	}
	tx := db.Begin()
	if err := vswitch.RemoveDatabase(tx, "Open_vSwitch"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := db.Snapshot().Len(table); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// 200 interfaces' statistics in one transaction, and a View of the result: what
// the switch does every few seconds.
func BenchmarkStatistics(b *testing.B) {
	db := engine.New(vswitch.Schema(), engine.Options{})
	tx := db.Begin()
	var ids, ports []ovsdb.UUID
	for i := range 200 {
		name := "p" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		id, err := vswitch.Insert(tx, "Interface", vswitch.Values{"name": name})
		if err != nil {
			b.Fatal(err)
		}
		port, err := vswitch.Insert(tx, "Port", vswitch.Values{"name": name, "interfaces": id})
		if err != nil {
			b.Fatal(err)
		}
		ids, ports = append(ids, id), append(ports, port)
	}
	br, err := vswitch.Insert(tx, "Bridge", vswitch.Values{"name": "br0", "ports": ports})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := vswitch.Insert(tx, "Open_vSwitch", vswitch.Values{"bridges": br}); err != nil {
		b.Fatal(err)
	}
	if _, err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	r, err := vswitch.NewReader(db.Schema())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var n int64
	for b.Loop() {
		n++
		tx := db.Begin()
		for _, id := range ids {
			if _, err := vswitch.Set(tx, "Interface", id, vswitch.Values{"statistics": map[string]int64{
				"rx_packets": n, "tx_packets": n, "rx_bytes": n, "tx_bytes": n, "rx_errors": 0, "tx_errors": 0}}); err != nil {
				b.Fatal(err)
			}
		}
		if c, err := tx.Commit(); err != nil || len(c.Changes) != 200 {
			b.Fatal(err)
		}
		r.Read(db.Snapshot())
	}
}
