// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

func canonical(t *testing.T, text []byte) string {
	t.Helper()
	v, err := jsontree.Parse(text, jsontree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return string(v.AppendJSON(nil))
}

// A schema in the stock server's own spelling comes back as it is: what a
// get_schema client sees equals what stock answers.
func TestPrintStock(t *testing.T) {
	const path = "/usr/share/openvswitch/vswitch.ovsschema"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("no stock schema to compare with: %v", err)
	}
	s, err := schema.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	once := s.AppendJSON(nil)
	again, err := schema.Parse(once)
	if err != nil {
		t.Fatal(err)
	}
	if twice := again.AppendJSON(nil); !bytes.Equal(once, twice) {
		t.Errorf("printing is not stable:\n%s\n%s", once, twice)
	}
	if got := canonical(t, once); got != string(once) {
		t.Errorf("members are not sorted: %s", once)
	}
}

func TestParse(t *testing.T) {
	const wrap = `{"name":"d","version":"1.0.0","tables":{"t":{"columns":{"c":%}}}}`
	for _, tt := range []struct{ in, out string }{ // out "" where it equals in, or part of the error after "!"
		{`{"type":"integer"}`, ``},
		{`{"type":{"key":"integer"}}`, `{"type":"integer"}`},
		{`{"type":{"key":{"type":"integer"},"min":1,"max":1}}`, `{"type":"integer"}`},
		{`{"mutable":true,"ephemeral":false,"type":"uuid"}`, `{"type":"uuid"}`},
		{`{"ephemeral":true,"mutable":false,"type":"uuid"}`, ``},
		{`{"type":{"key":"string","max":"unlimited","min":0,"value":"real"}}`, ``},
		{`{"type":{"key":{"maxInteger":9,"minInteger":-9223372036854775807,"type":"integer"},"max":4,"min":0}}`, ``},
		{`{"type":{"key":{"maxReal":0.1,"minReal":-2,"type":"real"}}}`, ``},
		{`{"type":{"key":{"maxLength":10,"minLength":1,"type":"string"}}}`, ``},
		{`{"type":{"key":{"enum":["set",["a","b"]],"type":"string"}}}`, ``},
		{`{"type":{"key":{"enum":"a","type":"string"}}}`, ``},
		{`{"type":{"key":{"refTable":"t","refType":"weak","type":"uuid"},"min":0}}`, ``},
		{`{"type":{"key":{"refTable":"t","refType":"strong","type":"uuid"},"min":0}}`, `{"type":{"key":{"refTable":"t","type":"uuid"},"min":0}}`},
		{`{"type":{"key":{"refTable":"nosuch","type":"uuid"},"min":0}}`, `!undefined table nosuch`},
		{`{"type":{"key":{"refType":"weak","type":"uuid"},"min":0}}`, `!refType without refTable`},
		{`{"type":{"key":{"refTable":"t","refType":"x","type":"uuid"},"min":0}}`, `!must be "strong" or "weak"`},
		{`{"type":{"key":{"refTable":"t","type":"string"},"min":0}}`, `!does not apply to type string`},
		{`{"type":{"key":{"minInteger":1,"type":"real"}}}`, `!does not apply to type real`},
		{`{"type":{"key":{"minInteger":2,"maxInteger":1,"type":"integer"}}}`, `!exceeds`},
		{`{"type":{"key":{"minLength":-1,"type":"string"}}}`, `!negative`},
		{`{"type":{"key":{"enum":["set",[]],"type":"string"}}}`, `!enum`},
		{`{"type":{"key":{"enum":["set",[1]],"type":"string"}}}`, `!expected string`},
		{`{"type":{"key":{"enum":1,"minInteger":1,"type":"integer"}}}`, `!beside "enum"`},
		{`{"type":{"key":"integer","min":2,"max":3}}`, `!min must be`},
		{`{"type":{"key":"integer","max":0}}`, `!max must be`},
		{`{"type":{"key":"integer","max":1.5}}`, `!max must be`},
		{`{"type":{"key":"number"}}`, `!not an atomic type`},
		{`{"type":{"value":"string"}}`, `!"key" is missing`},
		{`{"type":7}`, `!expected an object`},
		{`{}`, `!"type" is missing`},
		{`{"type":"integer","foo":1}`, `!"foo" is present`},
		{`{"type":"integer","mutable":1}`, `!expected a boolean`},
		{`7`, `!table t: column c: expected an object`},
	} {
		s, err := schema.Parse([]byte(strings.Replace(wrap, "%", tt.in, 1)))
		if msg, bad := strings.CutPrefix(tt.out, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s: error %v, want one with %q", tt.in, err, msg)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		want := tt.out
		if want == "" {
			want = tt.in
		}
		got := string(s.AppendJSON(nil))
		if w := `{"name":"d","tables":{"t":{"columns":{"c":` + want + `}}},"version":"1.0.0"}`; got != w {
			t.Errorf("%s\n got %s\nwant %s", tt.in, got, w)
		}
	}
}

func TestParseTables(t *testing.T) {
	for in, want := range map[string]string{
		`7`:                        "expected an object",
		`{`:                        "JSON syntax error",
		`{"name":"d"}`:             `"tables" is missing`,
		`{"tables":{}}`:            `"name" is missing`,
		`{"name":"7","tables":{}}`: `not an <id>`,
		`{"name":"d","tables":[]}`: `not an object`,
		`{"name":"d","version":"1.0","tables":{}}`:                                                                                                      "x.y.z",
		`{"name":"d","tables":{"_t":{"columns":{"c":{"type":"integer"}}}}}`:                                                                             "reserved",
		`{"name":"d","tables":{"t":{"columns":{"_c":{"type":"integer"}}}}}`:                                                                             "reserved",
		`{"name":"d","tables":{"t":{"columns":{}}}}`:                                                                                                    "empty",
		`{"name":"d","tables":{"t":{"maxRows":0,"columns":{"c":{"type":"integer"}}}}}`:                                                                  "maxRows",
		`{"name":"d","tables":{"t":{"indexes":[["x"]],"columns":{"c":{"type":"integer"}}}}}`:                                                            "not a column",
		`{"name":"d","tables":{"t":{"indexes":[[]],"columns":{"c":{"type":"integer"}}}}}`:                                                               "array of column names",
		`{"name":"d","tables":{"t":{"indexes":[["c","c"]],"columns":{"c":{"type":"integer"}}}}}`:                                                        "twice",
		`{"name":"d","tables":{"t":{"indexes":[["c"]],"columns":{"c":{"type":"integer","ephemeral":true}}}}}`:                                           "ephemeral",
		`{"name":"d","tables":{"t":{"isRoot":1,"columns":{"c":{"type":"integer"}}}}}`:                                                                   "expected a boolean",
		`{"name":"d","extra":1,"tables":{"t":{"columns":{"c":{"type":"integer"}}}}}`:                                                                    "not allowed here",
		`{"name":"d","_comment":1,"tables":{"t":{"columns":{"c":{"type":"integer"}}}}}`:                                                                 "",
		`{"name":"d","tables":{"t":{"isRoot":true,"maxRows":1,"indexes":[["c"],["c","e"]],"columns":{"c":{"type":"integer"},"e":{"type":"integer"}}}}}`: "",
	} {
		s, err := schema.Parse([]byte(in))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", in, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want one with %q", in, err, want)
		}
		if err == nil && !strings.Contains(in, "_comment") {
			if got := string(s.AppendJSON(nil)); canonical(t, []byte(in)) != got {
				t.Errorf("got %s from %s", got, in)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"name":"d","tables":{"t":{"isRoot":true,"maxRows":1,"indexes":[["c"]],"columns":{"c":{"type":{"key":{"type":"string","enum":["set",["a","b"]]},"min":0,"max":"unlimited"}}}}}}`))
	f.Add([]byte(`{"name":"d","version":"1.2.3","cksum":"x","tables":{"t":{"columns":{"c":{"type":{"key":{"type":"uuid","refTable":"t","refType":"weak"},"value":"real","min":0}}}}}}`))
	// Property: what is accepted prints to a text that is accepted and prints
	// the same.
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := schema.Parse(text)
		if err != nil {
			return
		}
		once := s.AppendJSON(nil)
		again, err := schema.Parse(once)
		if err != nil {
			t.Fatalf("printed schema is refused: %v\n%s", err, once)
		}
		if twice := again.AppendJSON(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s", once, twice)
		}
	})
}
