// SPDX-License-Identifier: Apache-2.0

package jsontree_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// What the stock server, ovsdb 3.1, made of the same texts, seen by sending them.
func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, out string }{ // out after "!": part of the error
		{`null`, `null`}, {` true `, `true`}, {"\t\r\nfalse", `false`},
		{`0`, `0`}, {`-0`, `0`}, {`-0.0`, `0`}, {`1.0`, `1`}, {`1e3`, `1000`}, {`123456789.5e1`, `1234567895`}, {`100e-2`, `1`},
		{`9223372036854775807`, `9223372036854775807`}, {`-9223372036854775808`, `-9223372036854775808`},
		{`9223372036854775808`, `9.22337203685478e+18`}, {`-9223372036854775809`, `-9.22337203685478e+18`},
		{`1.5`, `1.5`}, {`1e-7`, `1e-07`}, {`1E+2`, `100`}, {`0.1`, `0.1`}, {`1e100`, `1e+100`}, {`1e-400`, `0`},
		{`1.7976931348623157e308`, `1.79769313486232e+308`}, {`100000000000000000000`, `1e+20`}, {`123456.789`, `123456.789`},
		{`0.0001`, `0.0001`}, {`0.00001`, `1e-05`}, {`0.30000000000000004`, `0.3`}, {`1e15`, `1000000000000000`}, {`1.5e15`, `1500000000000000`},
		{`1e309`, `!valid range`}, {`01`, `!leading zeros`}, {`-`, `!malformed number`}, {`1.`, `!followed by digit`}, {`1e`, `!at least one digit`},
		{`.5`, `!unexpected byte`}, {`+1`, `!unexpected byte`}, {`NaN`, `!unexpected byte`}, {`Infinity`, `!unexpected byte`}, {`nul`, `!keyword`},
		{`1 2`, `!trailing garbage`}, {``, `!end of input`}, {`nullx`, `!trailing garbage`},
		{`"a\u00e4\ud83d\ude00\/\b\f\n\r\t\"\\"`, `"aä😀/\b\f\n\r\t\"\\"`}, {"\"\\u001f\u007f\u2028<>&\"", "\"\\u001f\u007f\u2028<>&\""},
		{`"\u0000"`, `!NUL`}, {`"a\u0000b"`, `!NUL`}, {"\"\x00\"", `!control character`}, {"\"\n\"", `!control character`}, {"\"\\n\n\"", `!control character`},
		{`"\ud800"`, `!surrogate`}, {`"\ud800\u0041"`, `!surrogate`}, {`"\ud800\n"`, `!surrogate`}, {`"\udc00\ud800"`, `!surrogate`},
		{`"\ud800\u"`, `!malformed`}, {`"\ud800\u00`, `!unterminated`}, {`"\ud800\uzzzz"`, `!malformed`}, {`"\x"`, `!bad escape`}, {`"\`, `!unterminated`}, {`"\u12`, `!unterminated`}, {`"\u12g4"`, `!malformed`},
		{"\"\xff\"", `!UTF-8`}, {"\"\\n\xc3\"", `!UTF-8`}, {"\"\xed\xa0\x80\"", `!UTF-8`}, {`"abc`, `!unterminated`}, {`"abc\n`, `!unterminated`},
		{`[]`, `[]`}, {`[ 1 , [ ] , {} ]`, `[1,[],{}]`}, {`[1,]`, `!unexpected byte`}, {`[1 2]`, `!expected ','`}, {`[`, `!end of input`}, {`[1`, `!expected ','`}, {`]`, `!unexpected`},
		{`{"b":1,"a":2}`, `{"a":2,"b":1}`}, {`{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{`{"a"}`, `!expected ':'`}, {`{a:1}`, `!member name`}, {`{"a":1,}`, `!member name`}, {`{"a":1`, `!expected ','`}, {`{`, `!member name`}, {`{"a":}`, `!unexpected byte`},
		{strings.Repeat("[", 1000) + strings.Repeat("]", 1000), strings.Repeat("[", 1000) + strings.Repeat("]", 1000)},
		{strings.Repeat("[", 1001) + strings.Repeat("]", 1001), `!nested deeper than 1000`},
		{strings.Repeat(`{"a":`, 1001), `!nested deeper than 1000`},
	} {
		v, err := jsontree.Parse([]byte(tt.in), jsontree.Limits{})
		short := tt.in[:min(len(tt.in), 60)]
		if msg, bad := strings.CutPrefix(tt.out, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%q: error %v, want %q", short, err, msg)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", short, err)
		} else if got := string(v.AppendJSON(nil)); got != tt.out {
			t.Errorf("%q: got %s, want %s", short, got, tt.out)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, in := range []string{`[1,2,3]`, `["a,b[",{},"\",\"{"]`, `{"a":[ ],"b,:":{ }}`, ` [ [ ] , [ { } ] ] `} {
		n := jsontree.Limits{Values: 4 + strings.Count(in, "b,:")}
		if _, err := jsontree.Parse([]byte(in), n); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	for _, in := range []string{`[1,2,3,4]`, `{"a":1,"b":2}`} {
		if _, err := jsontree.Parse([]byte(in), jsontree.Limits{Values: 4}); err == nil || !strings.Contains(err.Error(), "more than 4") {
			t.Errorf("%s: %v", in, err)
		}
	}
	if _, err := jsontree.Parse([]byte(`[[]]`), jsontree.Limits{Depth: 1}); err == nil {
		t.Error("deeper than asked for")
	}
}

// Many members of one object, all different and all the same: neither is slow.
func TestManyMembers(t *testing.T) {
	var b strings.Builder
	const n = 20000
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d,"same":%d`, i, i, i)
	}
	v, err := jsontree.Parse([]byte("{"+b.String()[1:]+"}"), jsontree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if v.Len() != n+1 {
		t.Errorf("%d members", v.Len())
	}
	if last, ok := v.Get("same"); !ok || last.Int() != n-1 {
		t.Errorf("same is %d", last.Int())
	}
	if _, ok := v.Get("nosuch"); ok {
		t.Error("a member that is not there")
	}
}

// Reals print as C prints %.15g; the exact form reads back.
func TestReals(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		f := math.Float64frombits(r.Uint64())
		if r.IntN(2) == 0 {
			f = (r.Float64() - 0.5) * math.Pow10(r.IntN(40)-20)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		// fmt's %g follows C but for the exponent form of small precisions.
		want := fmt.Sprintf("%.15g", f)
		if got := string(jsontree.AppendReal(nil, f)); got != want {
			t.Fatalf("%v: got %s, want %s", f, got, want)
		}
		got := string(jsontree.AppendExact(nil, f))
		if back, err := strconv.ParseFloat(got, 64); err != nil || back != f {
			t.Fatalf("%v: %s reads back as %v", f, got, back)
		}
	}
	if got := string(jsontree.AppendReal([]byte("x"), math.NaN())); got != "x0" {
		t.Errorf("NaN: %s", got)
	}
}

// A text that would be a large tree is refused without one.
func TestBomb(t *testing.T) {
	for _, elem := range []string{`0,`, `[],`, `{"a":{}},`} {
		bomb := []byte("[" + strings.Repeat(elem, 1<<20) + "0]")
		if n := testing.AllocsPerRun(3, func() {
			if _, err := jsontree.Parse(bomb, jsontree.Limits{}); err == nil {
				t.Fatal("accepted")
			}
		}); n > 10 {
			t.Errorf("%s: %v allocations", elem, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"op":"insert","row":{"a":["set",[1,2.5,"x\u00e4"]]},"op":null}`, `[1e3,-0.0,1e400,"\ud83d\ude00",[[[]]]]`, ` true x`} {
		f.Add([]byte(s))
	}
	// Properties: no panic. What is accepted is JSON for encoding/json too and
	// prints to a text that is accepted; from the second on they are the same
	// (the first may lose digits of a real, and so make it an integer).
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsontree.Parse(text, jsontree.Limits{})
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("accepted what is not JSON: %q", text)
		}
		texts := []string{string(v.AppendJSON(nil))}
		for range 2 {
			last := texts[len(texts)-1]
			w, err := jsontree.Parse([]byte(last), jsontree.Limits{})
			if err != nil {
				t.Fatalf("%s: %v", last, err)
			}
			texts = append(texts, string(w.AppendJSON(nil)))
		}
		if texts[1] != texts[2] {
			t.Fatalf("%q", texts)
		}
	})
}
