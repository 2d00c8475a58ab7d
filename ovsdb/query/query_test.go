// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/query"
	"github.com/weirswitch/weir/ovsdb/schema"
)

const text = `{"name":"d","tables":{"t":{"columns":{
 "i":{"type":"integer"}, "r":{"type":"real"}, "s":{"type":"string"},
 "o":{"type":{"key":"integer","min":0}}, "set":{"type":{"key":"integer","min":0,"max":3}},
 "map":{"type":{"key":"string","value":"integer","min":0,"max":"unlimited"}},
 "imm":{"type":"integer","mutable":false}}}}}`

func value(t testing.TB, s string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(s), jsontree.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// row makes a row of table t from columns in JSON.
func row(t testing.TB, table *schema.Table, text string) *ovsdb.Row {
	t.Helper()
	cols := table.New()
	v := value(t, text)
	for i := range v.Len() {
		name, cv := v.Member(i)
		c := table.Column(name)
		d, err := ovsdb.DecodeDatum(cv, &c.Type, nil)
		if err != nil {
			t.Fatal(err)
		}
		cols[c.Index] = d
	}
	return ovsdb.NewRow(ovsdb.UUID{1}, ovsdb.UUID{2}, cols)
}

func table(t testing.TB) *schema.Table {
	t.Helper()
	s, err := schema.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Table("t")
}

const rowText = `{"i":5,"r":1.5,"s":"x","set":["set",[1,2]],"map":["map",[["a",1],["b",2]]]}`

func TestCondition(t *testing.T) {
	tab := table(t)
	r := row(t, tab, rowText)
	for _, tt := range []struct {
		cond     string
		all, any bool
		err      string
	}{
		{`[]`, true, true, ``}, {`[true]`, true, true, ``}, {`[false]`, false, false, ``}, {`[true,false]`, false, true, ``},
		{`[["i","==",5]]`, true, true, ``}, {`[["i","!=",5]]`, false, false, ``}, {`[["i","==",5],["s","==","y"]]`, false, true, ``},
		{`[["i","<",5]]`, false, false, ``}, {`[["i","<=",5]]`, true, true, ``}, {`[["i",">",4]]`, true, true, ``}, {`[["i",">=",6]]`, false, false, ``}, {`[["r","<",2]]`, true, true, ``},
		{`[["o","<",5]]`, false, false, ``}, {`[["o",">=",0]]`, false, false, ``}, {`[["o","==",["set",[]]]]`, true, true, ``}, {`[["o","!=",1]]`, true, true, ``},
		{`[["set","includes",2]]`, true, true, ``}, {`[["set","includes",["set",[]]]]`, true, true, ``}, {`[["set","includes",["set",[1,3]]]]`, false, false, ``},
		{`[["set","excludes",["set",[3,4,5,6]]]]`, true, true, ``}, {`[["set","excludes",1]]`, false, false, ``}, {`[["set","==",["set",[2,1]]]]`, true, true, ``},
		{`[["map","includes",["map",[["a",1]]]]]`, true, true, ``}, {`[["map","includes",["map",[["a",2]]]]]`, false, false, ``}, {`[["map","excludes",["map",[["a",2]]]]]`, true, true, ``},
		{`[["_uuid","==",["uuid","01000000-0000-0000-0000-000000000000"]]]`, true, true, ``}, {`[["_version","==",["uuid","01000000-0000-0000-0000-000000000000"]]]`, false, false, ``},
		{cond: `{}`, err: "array expected"}, {cond: `[1]`, err: "Parse error in condition"}, {cond: `[["i","=="]]`, err: "Parse error"}, {cond: `[[1,"==",1]]`, err: "Parse error"},
		{cond: `[["i","==",1,2]]`, err: "Parse error"}, {cond: `[["x","==",1]]`, err: "unknown column: No column x in table t."}, {cond: `[["i","~",1]]`, err: "unknown function"}, {cond: `[["i","false",1]]`, err: "unknown function"},
		{cond: `[["s","<","x"]]`, err: `"<" operator may not be applied to column s of type string`}, {cond: `[["set",">",1]]`, err: "set of up to 3 integers"},
		{cond: `[["map","<",1]]`, err: "map of (string, integer) pairs"}, {cond: `[["o","<",["set",[]]]]`, err: "exactly one member"}, {cond: `[["i","includes",["set",[]]]]`, err: "exactly one member"},
		{cond: `[["set","includes",["set",[1,2,3,4]]]]`, err: "0 to 3 members"}, {cond: `[["_uuid","==",["named-uuid","a"]]]`, err: "expected"},
	} {
		c, err := query.ParseCondition(tab, value(t, tt.cond), nil)
		if tt.err != "" || err != nil {
			var e *ovsdb.Error
			if !errors.As(err, &e) || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.cond, err, tt.err)
			}
			continue
		}
		if c.All(r) != tt.all || c.Any(r) != tt.any {
			t.Errorf("%s: all %v, any %v", tt.cond, c.All(r), c.Any(r))
		}
		printed := string(c.AppendJSON(nil))
		again, err := query.ParseCondition(tab, value(t, printed), nil)
		if err != nil || !again.Equal(c) {
			t.Errorf("%s printed as %s: %v", tt.cond, printed, err)
		}
	}
	c, err := query.ParseCondition(tab, value(t, `[["s","==",""],true,["i","==",1],["s","!=","x"],["_uuid","==",["uuid","01000000-0000-0000-0000-000000000000"]]]`), nil)
	if err != nil || !slices.Equal(c.Columns(), []int{ovsdb.ColUUID, tab.Column("i").Index, tab.Column("s").Index}) {
		t.Errorf("columns %v %v", c.Columns(), err)
	}
}

func TestMutation(t *testing.T) {
	tab := table(t)
	r := row(t, tab, rowText)
	for _, tt := range []struct{ mut, out string }{
		{`["i","+=",2]`, `7`}, {`["i","-=",2]`, `3`}, {`["i","*=",-3]`, `-15`}, {`["i","/=",2]`, `2`}, {`["i","/=",-2]`, `-2`}, {`["i","%=",3]`, `2`}, {`["i","%=",-3]`, `2`},
		{`["r","+=",1]`, `2.5`}, {`["r","/=",2]`, `0.75`}, {`["r","*=",0]`, `0`}, {`["r","-=",1.5]`, `0`},
		{`["i","/=",0]`, `!domain error`}, {`["i","%=",0]`, `!domain error`}, {`["r","/=",0]`, `!domain error`},
		{`["i","+=",9223372036854775807]`, `!range error`}, {`["i","-=",-9223372036854775807]`, `!range error`}, {`["i","*=",9223372036854775807]`, `!range error`}, {`["r","*=",1e308]`, `1.5e+308`},
		{`["i","+=",9223372036854775802]`, `9223372036854775807`}, {`["i","-=",-9223372036854775803]`, `!range error`},
		{`["set","+=",1]`, `["set",[2,3]]`}, {`["set","*=",0]`, `!constraint violation`}, {`["set","insert",["set",[2,3]]]`, `["set",[1,2,3]]`}, {`["set","insert",["set",[3,4]]]`, `!Attempted to store 4 elements in set of up to 3 integers.`},
		{`["set","delete",["set",[2,3,4,5,6]]]`, `1`}, {`["set","delete",["set",[1,2]]]`, `["set",[]]`}, {`["set","insert",["set",[4,5,6,7]]]`, `!0 to 3 members`},
		{`["o","insert",1]`, `1`}, {`["o","+=",1]`, `["set",[]]`},
		{`["map","insert",["map",[["a",9],["c",3]]]]`, `["map",[["a",1],["b",2],["c",3]]]`}, {`["map","delete",["map",[["a",1],["b",1]]]]`, `["map",[["b",2]]]`},
		{`["map","delete",["set",["b","x"]]]`, `["map",[["a",1]]]`}, {`["map","delete","a"]`, `["map",[["b",2]]]`},
		{`["map","insert",["set",["b"]]]`, `!expected ["map", <array>]`}, {`["map","+=",1]`, `!may not be applied`}, {`["r","%=",1]`, `!may not be applied`}, {`["s","+=",1]`, `!may not be applied`},
		{`["i","insert",1]`, `!may not be applied`}, {`["imm","+=",1]`, `!immutable column imm`}, {`["_uuid","insert",1]`, `!immutable column _uuid`}, {`["x","+=",1]`, `!unknown column`},
		{`["i","^=",1]`, `!unknown mutator`}, {`["i","+="]`, `!Parse error in mutation`}, {`7`, `!Parse error in mutation`}, {`["i","+=",["set",[1,2]]]`, `!exactly one`}, {`["i","+=",1.5]`, `!expected integer`},
	} {
		muts, err := query.ParseMutations(tab, value(t, "["+tt.mut+"]"), nil)
		var got ovsdb.Datum
		if err == nil {
			got, err = muts[0].Apply(r.Get(muts[0].Column.Index))
		}
		if msg, bad := strings.CutPrefix(tt.out, "!"); bad {
			var e *ovsdb.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s: %s, error %v, want %q", tt.mut, got, err, msg)
			}
			continue
		}
		if err != nil || got.String() != tt.out {
			t.Errorf("%s: %s %v, want %s", tt.mut, got, err, tt.out)
		}
	}
	if _, err := query.ParseMutations(tab, value(t, `{}`), nil); err == nil {
		t.Error("mutations that are no array")
	}
}

func FuzzCondition(f *testing.F) {
	tab := table(f)
	r := row(f, tab, rowText)
	f.Add([]byte(`[["i","==",5],true,["map","includes",["map",[["a",1]]]]]`))
	f.Add([]byte(`[["o","<",5],["set","excludes",["set",[1,2]]]]`))
	// Properties: no panic; All implies Any; what is printed parses to the same.
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsontree.Parse(text, jsontree.Limits{})
		if err != nil {
			return
		}
		c, err := query.ParseCondition(tab, v, nil)
		if err != nil {
			return
		}
		if c.All(r) && !c.Any(r) {
			t.Fatal("all but not any")
		}
		out := c.AppendJSON(nil)
		w, err := jsontree.Parse(out, jsontree.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		// Reals are printed with 15 digits, so the second time is the measure.
		once, err := query.ParseCondition(tab, w, nil)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if len(once.Clauses()) != len(c.Clauses()) || !slices.Equal(once.Columns(), c.Columns()) {
			t.Fatalf("%s parsed as another condition", out)
		}
	})
}
