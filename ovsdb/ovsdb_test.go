// SPDX-License-Identifier: Apache-2.0

package ovsdb_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// columnType parses a column's type as a schema has it.
func columnType(t testing.TB, typ string) *ovsdb.ColumnType {
	t.Helper()
	s, err := schema.Parse([]byte(`{"name":"d","tables":{"t":{"columns":{"c":{"type":` + typ + `}}}}}`))
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return &s.Table("t").Column("c").Type
}

type oneName struct{}

func (oneName) Resolve(name string) ovsdb.UUID {
	var u ovsdb.UUID
	copy(u[:], name)
	return u
}

const u1, u2 = "00000000-0000-4000-8000-000000000001", "FFFFFFFF-0000-4000-8000-000000000002"

const (
	ints   = `{"key":"integer","min":0,"max":"unlimited"}`
	opt    = `{"key":"integer","min":0,"max":1}`
	pairs  = `{"key":"string","value":"integer","min":0,"max":"unlimited"}`
	enum   = `{"key":{"type":"string","enum":["set",["red","two words"]]}}`
	length = `{"key":{"type":"string","minLength":2,"maxLength":3}}`
)

// Types, values as they come, and as they are printed or the error for them. The
// errors are those of stock 3.1 for the same values.
var notation = []struct{ typ, in, out string }{
	{`"integer"`, `7`, ``}, {`"integer"`, `["set",[7]]`, `7`}, {`"integer"`, `-9223372036854775808`, ``}, {`"integer"`, `1e2`, `100`},
	{`"integer"`, `9223372036854775808`, `!syntax error: expected integer`}, {`"integer"`, `1.5`, `!syntax error: expected integer`},
	{`"integer"`, `"7"`, `!expected integer`}, {`"integer"`, `true`, `!expected integer`}, {`"integer"`, `null`, `!expected integer`}, {`"integer"`, `{}`, `!expected integer`},
	{`"integer"`, `["set",[]]`, `!set must have exactly one member but 0 are present`}, {`"integer"`, `["set",[1,2]]`, `!exactly one member but 2`},
	{`"integer"`, `[]`, `!expected integer`}, {`"integer"`, `["foo",[]]`, `!expected integer`}, {`"integer"`, `["map",[]]`, `!expected integer`},
	{`"real"`, `1`, ``}, {`"real"`, `0.1`, ``}, {`"real"`, `-0.0`, `0`}, {`"real"`, `1e16`, `1e+16`}, {`"real"`, `"1"`, `!expected real`},
	{`"boolean"`, `true`, ``}, {`"boolean"`, `false`, ``}, {`"boolean"`, `0`, `!expected boolean`},
	{`"string"`, `"a\u00e4\n"`, `"aä\n"`}, {`"string"`, `1`, `!expected string`}, {`"string"`, `["uuid","` + u1 + `"]`, `!expected string`},
	{`"uuid"`, `["uuid","` + u1 + `"]`, ``}, {`"uuid"`, `["uuid","` + u2 + `"]`, `["uuid","` + strings.ToLower(u2) + `"]`},
	{`"uuid"`, `["named-uuid","abc"]`, `["uuid","61626300-0000-0000-0000-000000000000"]`}, {`"uuid"`, `["named-uuid","1"]`, `!not a valid <id>`}, {`"uuid"`, `["named-uuid",""]`, `!not a valid <id>`},
	{`"uuid"`, `"` + u1 + `"`, `!expected ["uuid", <string>]`}, {`"uuid"`, `["uuid"]`, `!expected ["uuid", <string>]`}, {`"uuid"`, `["uuid",1]`, `!expected ["uuid", <string>]`},
	{`"uuid"`, `["uuid","` + u1 + `","x"]`, `!expected ["uuid"`}, {`"uuid"`, `["uuid","xyz"]`, `!not a valid UUID`}, {`"uuid"`, `["uuid","` + u1[:35] + `"]`, `!not a valid UUID`},
	{`"uuid"`, `["uuid","00000000-0000-4000-8000 000000000001"]`, `!not a valid UUID`}, {`"uuid"`, `["uuid","0000000000000-4000-8000-000000000001"]`, `!not a valid UUID`},
	{ints, `["set",[3,1,2]]`, `["set",[1,2,3]]`}, {ints, `["set",[]]`, ``}, {ints, `5`, ``}, {ints, `["set",[5]]`, `5`},
	{ints, `["set",[1,2,1]]`, `!ovsdb error: set contains duplicate`}, {ints, `["set",[1,1.0]]`, `!set contains duplicate`},
	{ints, `["set",[1],2]`, `!expected ["set", <array>]`}, {ints, `["set"]`, `!expected ["set", <array>]`}, {ints, `["set",1]`, `!expected ["set", <array>]`},
	{ints, `["set",[1,"x"]]`, `!expected integer`}, {ints, `["set",[["set",[1]]]]`, `!expected integer`},
	{opt, `["set",[]]`, ``}, {opt, `["set",[1,2]]`, `!set must have 0 to 1 members but 2 are present`},
	{pairs, `["map",[["b",2],["a",1]]]`, `["map",[["a",1],["b",2]]]`}, {pairs, `["map",[]]`, ``},
	{pairs, `["map",[["a",1],["a",1]]]`, `!ovsdb error: map contains duplicate key`}, {pairs, `["map",[["a"]]]`, `!expected 2-element array`}, {pairs, `["map",[["a",1,2]]]`, `!expected 2-element array`},
	{pairs, `["map",["a"]]`, `!expected 2-element array`}, {pairs, `["map",[[1,1]]]`, `!expected string`}, {pairs, `["map",[["a","b"]]]`, `!expected integer`}, {pairs, `["set",[]]`, `!expected ["map", <array>]`},
	{pairs, `"a"`, `!expected ["map", <array>]`}, {pairs, `["map"]`, `!expected ["map", <array>]`}, {pairs, `["map",{}]`, `!expected ["map", <array>]`},
	{`{"key":"string","value":"integer","min":1,"max":2}`, `["map",[]]`, `!map must have 1 to 2 members but 0`},
	{`{"key":"string","min":1,"max":"unlimited"}`, `["set",[]]`, `!set must have 1 or more members but 0`},
	{enum, `"red"`, ``}, {enum, `"blue"`, `!constraint violation: blue is not one of the allowed values ([red, "two words"])`},
	{length, `"äö"`, ``}, {length, `"a"`, `!length 1 is less than minimum allowed length 2`}, {length, `"abcd"`, `!length 4 is greater than maximum allowed length 3`},
	{`{"key":{"type":"integer","minInteger":1,"maxInteger":3}}`, `4`, `!constraint violation: 4 is not in the valid range 1 to 3 (inclusive)`},
	{`{"key":{"type":"integer","minInteger":1}}`, `0`, `!0 is less than minimum allowed value 1`}, {`{"key":{"type":"integer","maxInteger":1}}`, `2`, `!2 is greater than maximum allowed value 1`},
	{`{"key":{"type":"real","minReal":-1.5,"maxReal":2}}`, `2.5`, `!2.5 is not in the valid range -1.5 to 2 (inclusive)`},
}

func TestNotation(t *testing.T) {
	for _, tt := range notation {
		typ := columnType(t, tt.typ)
		v, err := jsontree.Parse([]byte(tt.in), jsontree.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", tt.in, err)
		}
		d, err := ovsdb.DecodeDatum(v, typ, oneName{})
		if msg, bad := strings.CutPrefix(tt.out, "!"); bad {
			var e *ovsdb.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s as %s: error %v, want %q", tt.in, tt.typ, err, msg)
			}
			continue
		}
		want := tt.out
		if want == "" {
			want = tt.in
		}
		if err != nil {
			t.Errorf("%s as %s: %v", tt.in, tt.typ, err)
		} else if got := d.String(); got != want {
			t.Errorf("%s as %s: got %s, want %s", tt.in, tt.typ, got, want)
		}
	}
	// Without names there are no named UUIDs.
	v, _ := jsontree.Parse([]byte(`["named-uuid","abc"]`), jsontree.Limits{})
	if _, err := ovsdb.DecodeDatum(v, columnType(t, `"uuid"`), nil); err == nil {
		t.Error("a named UUID outside of a transaction")
	}
}

func TestErrorJSON(t *testing.T) {
	v, _ := jsontree.Parse([]byte(`{"b":"x","a":1.5}`), jsontree.Limits{})
	e := ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "it is %q", "bad")
	if got, want := string(e.AppendJSON(nil)), `{"details":"it is \"bad\"","error":"syntax error","syntax":"{\"a\":1.5,\"b\":\"x\"}"}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := string((&ovsdb.Error{Name: "aborted"}).AppendJSON(nil)); got != `{"error":"aborted"}` {
		t.Errorf("got %s", got)
	}
	long := ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, jsontree.OfString(strings.Repeat("ä", 100000)), "x")
	if n := len(long.Syntax); n > 5000 {
		t.Errorf("an error of %d bytes", n)
	}
	if out := long.AppendJSON(nil); len(out) == 0 {
		t.Error("no JSON")
	} else if _, err := jsontree.Parse(out, jsontree.Limits{}); err != nil {
		t.Errorf("a cut error is not JSON: %v", err)
	}
}

func TestAtoms(t *testing.T) {
	if ovsdb.RealOf(0) != ovsdb.RealOf(math.Copysign(0, -1)) || ovsdb.Str("a\x00b\xffc").Str() != "a\uFFFDb\uFFFDc" {
		t.Error("an atom that the notation cannot hold")
	}
	for i, a := range []ovsdb.Atom{ovsdb.Int(1), ovsdb.RealOf(1), ovsdb.Bool(true), ovsdb.Str("x"), ovsdb.Ref(ovsdb.UUID{1})} {
		// Asked for as another type an atom is that type's zero.
		if (a.Int() != 0) != (i == 0) || (a.Real() != 0) != (i == 1) || a.Bool() != (i == 2) || (a.Str() != "") != (i == 3) || a.UUID().IsZero() != (i != 4) {
			t.Errorf("atom %s", a)
		}
	}
	for s, want := range map[string]string{"abc": "abc", "a-1.x": "a-1.x", "": `""`, "1a": `"1a"`, "true": `"true"`, "a b": `"a b"`, u1: `"` + u1 + `"`, "a" + u1[1:]: `"a` + u1[1:] + `"`} {
		if got := ovsdb.Str(s).String(); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

// naive is a set or map as Go's map: the slow, obvious twin.
type naive map[int64]int64

func (n naive) datum(isMap bool) ovsdb.Datum {
	var set []ovsdb.Atom
	var m []ovsdb.Pair
	for k, v := range n {
		set = append(set, ovsdb.Int(k))
		m = append(m, ovsdb.Pair{K: ovsdb.Int(k), V: ovsdb.Int(v)})
	}
	if isMap {
		return ovsdb.NewMap(m...)
	}
	return ovsdb.NewSet(set...)
}

// Union, Minus, Includes, Excludes, Diff and Apply against maps that are walked.
func TestAlgebra(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	random := func() naive {
		n := naive{}
		for range r.IntN(7) {
			n[r.Int64N(8)] = r.Int64N(3)
		}
		return n
	}
	setType, mapType := columnType(t, ints), columnType(t, `{"key":"integer","value":"integer","min":0,"max":"unlimited"}`)
	for range 5000 {
		a, b := random(), random()
		for _, isMap := range []bool{false, true} {
			typ := setType
			if isMap {
				typ = mapType
			}
			union, minus, minusKeys, diff := naive{}, naive{}, naive{}, naive{}
			includes, excludes := true, true
			for k, v := range a {
				union[k] = v
				w, both := b[k]
				same := both && (!isMap || v == w)
				if !same {
					minus[k] = v
				}
				if !both {
					minusKeys[k] = v
					diff[k] = v
				} else if !same {
					diff[k] = w
				}
				excludes = excludes && !same
			}
			for k, v := range b {
				w, both := a[k]
				if !both {
					union[k] = v
					diff[k] = v
				}
				includes = includes && both && (!isMap || v == w)
			}
			da, db := a.datum(isMap), b.datum(isMap)
			check := func(what string, got ovsdb.Datum, want naive) {
				t.Helper()
				if w := want.datum(isMap); !got.Equal(w) || got.String() != w.String() || got.Compare(w) != 0 {
					t.Fatalf("%s %s %s: got %s, want %s", da, what, db, got, w)
				}
			}
			check("union", da.Union(db), union)
			check("minus", da.Minus(db), minus)
			check("minus keys", da.Minus(b.datum(false)), minusKeys)
			check("diff", ovsdb.Diff(da, db), diff)
			back, err := ovsdb.Apply(da, ovsdb.ModifyOf(typ, da, db), typ)
			if err != nil {
				t.Fatal(err)
			}
			check("apply diff", back, b)
			if da.Includes(db) != includes || da.Excludes(db) != excludes {
				t.Fatalf("%s includes %s: %v, excludes: %v", da, db, da.Includes(db), da.Excludes(db))
			}
			check("unchanged", da, a)
		}
	}
}

// A column that holds one element at most is replaced, not patched.
func TestModify(t *testing.T) {
	for _, tt := range []struct{ typ, old, new, diff string }{
		{`"integer"`, `1`, `2`, `2`},
		{opt, `1`, `2`, `2`},
		{opt, `1`, `["set",[]]`, `["set",[]]`},
		{ints, `["set",[1,2]]`, `["set",[2,3]]`, `["set",[1,3]]`},
		{ints, `["set",[1,2]]`, `2`, `1`},
		{pairs, `["map",[["a",1],["b",1],["c",1]]]`, `["map",[["b",1],["c",2],["d",1]]]`, `["map",[["a",1],["c",2],["d",1]]]`},
		{`{"key":"string","value":"integer","min":0,"max":1}`, `["map",[["a",1]]]`, `["map",[["b",2]]]`, `["map",[["b",2]]]`},
	} {
		typ := columnType(t, tt.typ)
		decode := func(s string) ovsdb.Datum {
			v, _ := jsontree.Parse([]byte(s), jsontree.Limits{})
			d, err := ovsdb.DecodeDatum(v, typ, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		old, new := decode(tt.old), decode(tt.new)
		if got := string(ovsdb.AppendModify(nil, typ, old, new)); got != tt.diff {
			t.Errorf("%s to %s: got %s, want %s", tt.old, tt.new, got, tt.diff)
		}
		if got, err := ovsdb.Apply(old, decode(tt.diff), typ); err != nil || !got.Equal(new) {
			t.Errorf("%s with %s: got %s %v, want %s", tt.old, tt.diff, got, err, tt.new)
		}
	}
}

func FuzzDecodeDatum(f *testing.F) {
	var types []*ovsdb.ColumnType
	for _, key := range []string{`"integer"`, `"real"`, `"boolean"`, `"string"`, `"uuid"`, `{"type":"string","enum":["set",["a","b"]]}`, `{"type":"integer","minInteger":0,"maxInteger":10}`} {
		for _, rest := range []string{``, `,"min":0`, `,"min":0,"max":"unlimited"`, `,"min":1,"max":3`, `,"value":"string","min":0,"max":"unlimited"`, `,"value":"uuid"`} {
			types = append(types, columnType(f, fmt.Sprintf(`{"key":%s%s}`, key, rest)))
		}
	}
	for _, tt := range notation {
		f.Add([]byte(tt.in))
	}
	// Property, for each type: what is decoded satisfies the type, and in the
	// exact form decodes to the same value.
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsontree.Parse(text, jsontree.Limits{})
		if err != nil {
			return
		}
		for _, typ := range types {
			d, err := ovsdb.DecodeDatum(v, typ, oneName{})
			if err != nil {
				var e *ovsdb.Error
				if !errors.As(err, &e) || e.Name == "" {
					t.Fatalf("%s: a plain error: %v", typ, err)
				}
				continue
			}
			if err := typ.Check(d); err != nil {
				t.Fatalf("%s: %s: %v", typ, d, err)
			}
			exact := d.AppendExact(nil)
			w, err := jsontree.Parse(exact, jsontree.Limits{})
			if err != nil {
				t.Fatalf("%s: %v", exact, err)
			}
			again, err := ovsdb.DecodeDatum(w, typ, nil)
			if err != nil || !again.Equal(d) {
				t.Fatalf("%s: %s: %v %s", typ, exact, err, again)
			}
		}
	})
}
