// SPDX-License-Identifier: Apache-2.0

package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// feed gives the framer the stream in the pieces that cut returns the sizes of.
func feed(f *Framer, stream []byte, cut func() int) (msgs []string, err error) {
	for len(stream) > 0 {
		k := min(max(cut(), 1), len(stream))
		piece := stream[:k]
		stream = stream[k:]
		for len(piece) > 0 {
			msg, n, err := f.Next(piece)
			if err != nil {
				return msgs, err
			}
			if msg != nil {
				msgs = append(msgs, string(msg))
			}
			piece = piece[n:]
		}
	}
	return msgs, nil
}

func whole() int { return 1 << 30 }

func TestFramerTable(t *testing.T) {
	long := strings.Repeat("x", 100)
	small := Limits{Size: 64, Depth: 4, Scalar: 20, Members: 5, Values: 12}
	for _, tt := range []struct {
		name, in string
		want     []string
		err      error
		text     string
	}{
		{"empty", "", nil, nil, ""},
		{"whitespace", " \n\t\r ", nil, nil, ""},
		{"one", `{"a":1}`, []string{`{"a":1}`}, nil, ""},
		{"back to back", `{}{"a":[]}  {}`, []string{`{}`, `{"a":[]}`, `{}`}, nil, ""},
		{"unfinished", `{"a":[1,2`, nil, nil, ""},
		{"inner space", `{ "a" : [ 1 , null ] }`, []string{`{"a":[1,null]}`}, nil, ""},
		{"number at the end", `{"a":-0.5e+3}`, []string{`{"a":-0.5e+3}`}, nil, ""},
		{"literals", `{"a":[true,false,null]}`, []string{`{"a":[true,false,null]}`}, nil, ""},
		{"escapes", `{"a":"\u00e9\ud83d\ude00\n"}`, nil, ErrTooBig, "string"},
		{"pair", `{"a":"\ud83d\ude00"}`, []string{`{"a":"\ud83d\ude00"}`}, nil, ""},
		{"UTF-8", `{"a":"é€😀"}`, []string{`{"a":"é€😀"}`}, nil, ""},
		{"top array", `[]`, nil, ErrSyntax, "not with an object"},
		{"top number", `5`, nil, ErrSyntax, "not with an object"},
		{"garbage", `garbage`, nil, ErrSyntax, "byte 0"},
		{"after message", `{} ,`, []string{`{}`}, ErrSyntax, "byte 3"},
		{"trailing comma", `{"a":1,}`, nil, ErrSyntax, "key"},
		{"trailing comma in array", `{"a":[1,]}`, nil, ErrSyntax, "value"},
		{"no colon", `{"a" 1}`, nil, ErrSyntax, "after a key"},
		{"wrong bracket", `{"a":[1}`, nil, ErrSyntax, "after a value"},
		{"single quotes", `{'a':1}`, nil, ErrSyntax, "key"},
		{"leading zero", `{"a":01}`, nil, ErrSyntax, "leading zeros"},
		{"plus", `{"a":+1}`, nil, ErrSyntax, "value"},
		{"no digits", `{"a":-}`, nil, ErrSyntax, "after '-'"},
		{"dot", `{"a":1.}`, nil, ErrSyntax, "after '.'"},
		{"exponent", `{"a":1e}`, nil, ErrSyntax, "exponent"},
		{"two dots", `{"a":1.2.3}`, nil, ErrSyntax, "after a value"},
		{"bad literal", `{"a":trux}`, nil, ErrSyntax, "literal"},
		{"control", "{\"a\":\"\x01\"}", nil, ErrSyntax, "control"},
		{"raw NUL", "{\"a\":\"\x00\"}", nil, ErrSyntax, "control"},
		{"escaped NUL", `{"a":"\u0000"}`, nil, ErrSyntax, "null bytes"},
		{"lone high", `{"a":"\ud800"}`, nil, ErrSyntax, "surrogate"},
		{"high high", `{"a":"\ud800\ud800"}`, nil, ErrSyntax, "surrogate"},
		{"high then letter", `{"a":"\ud800\n"}`, nil, ErrSyntax, "surrogate"},
		{"lone low", `{"a":"\udc00"}`, nil, ErrSyntax, "surrogate"},
		{"bad escape", `{"a":"\x"}`, nil, ErrSyntax, "backslash"},
		{"bad hex", `{"a":"\u00g0"}`, nil, ErrSyntax, "escape"},
		{"byte ff", "{\"a\":\"\xff\"}", nil, ErrSyntax, "UTF-8"},
		{"overlong", "{\"a\":\"\xc0\x80\"}", nil, ErrSyntax, "UTF-8"},
		{"overlong 3", "{\"a\":\"\xe0\x9f\x80\"}", nil, ErrSyntax, "UTF-8"},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", nil, ErrSyntax, "UTF-8"},
		{"above 10ffff", "{\"a\":\"\xf4\x90\x80\x80\"}", nil, ErrSyntax, "UTF-8"},
		{"cut UTF-8", "{\"a\":\"\xe2\x82\"}", nil, ErrSyntax, "UTF-8"},
		{"UTF-8 in a key", "{\"\xff\":1}", nil, ErrSyntax, "UTF-8"},
		{"depth 4", `{"a":[[[]]]}`, []string{`{"a":[[[]]]}`}, nil, ""},
		{"depth 5", `{"a":[[[[]]]]}`, nil, ErrTooBig, "nesting depth 4"},
		{"members", `{"a":[1,2,3,4,5,6]}`, nil, ErrTooBig, "more than 5 members"},
		{"keys", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}`, nil, ErrTooBig, "more than 5 members"},
		{"values", `{"a":[[1,2,3,4],[1,2,3,4],[1,2,3]]}`, nil, ErrTooBig, "more than 12 values"},
		{"long string", `{"a":"` + long, nil, ErrTooBig, "string of more"},
		{"long number", `{"a":1` + strings.Repeat("0", 50), nil, ErrTooBig, "number of more"},
		{"size", `{"aaaaaaaaaaaaaaa":"bbbbbbbbbbbbbbbb","ccccccccccccccc":"ddddddddddddddd"`, nil, ErrTooBig, "message of more than 64"},
		{"size by spaces", `{` + long, nil, ErrSyntax, "key"},
		{"size by inner spaces", `{` + strings.Repeat(" ", 100), nil, ErrTooBig, "message of more than 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFramer(small)
			got, err := feed(f, []byte(tt.in), whole)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not contain %q", err, tt.text)
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err != nil {
				if _, _, again := f.Next([]byte("{}")); !errors.Is(again, err) && again != err {
					t.Errorf("error is not final: %v", again)
				}
				if f.Buffered() != 0 {
					t.Errorf("%d bytes held after an error", f.Buffered())
				}
			}
		})
	}
}

// The framer against encoding/json, which is another reader of RFC 8259.
func TestFramerAgreesWithEncodingJSON(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	alphabet := []byte("{}[]\",:\\u0dD8c1eE+-. tfn\x80\xc3\xa9\xe2")
	samples := []string{`{"a":[1,-2.5e3,"x\u00e9",{"b":null}],"c":{}}`, `{"é":[true,false],"d":"\ud83d\ude00"}`}
	for range 200_000 {
		b := []byte(samples[rnd.IntN(len(samples))])
		for range 1 + rnd.IntN(3) {
			switch i := rnd.IntN(len(b)); rnd.IntN(3) {
			case 0:
				b[i] = alphabet[rnd.IntN(len(alphabet))]
			case 1:
				b = append(b[:i], b[i+1:]...)
			default:
				b = append(b[:i], append([]byte{alphabet[rnd.IntN(len(alphabet))]}, b[i:]...)...)
			}
		}
		checkAgainstStdlib(t, b)
	}
}

func checkAgainstStdlib(t *testing.T, b []byte) {
	t.Helper()
	f := NewFramer(Limits{})
	msg, n, err := f.Next(b)
	if msg != nil {
		if !json.Valid(msg) || !utf8.Valid(msg) {
			t.Fatalf("framer accepted %q", msg)
		}
		return
	}
	// No message. If the standard library reads an object there, it must be
	// for one of the reasons for which we are stricter.
	d := json.NewDecoder(bytes.NewReader(b))
	var v map[string]json.RawMessage
	if d.Decode(&v) == nil && v != nil && utf8.Valid(b[:d.InputOffset()]) &&
		!bytes.Contains(b, []byte(`\u`)) {
		t.Fatalf("framer refused %q at %d: %v", b, n, err)
	}
}

func FuzzFramer(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}{"b":[1,2,{"c":"\u00e9"}]} {`, `[`, `{"a":"\ud83d\ude00é"}`, "{\"a\":\"\xff", `{"method":"echo","params":[],"id":0}`, `{"a":[-0.1e-5,1]}`} {
		f.Add([]byte(s), uint64(1))
	}
	lim := Limits{Size: 4096, Depth: 20, Scalar: 200, Members: 50, Values: 100}
	// Property: cut anywhere, the same messages and the same error come out,
	// each message is JSON, and no more is held than the bound.
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		want, wantErr := feed(NewFramer(lim), stream, whole)
		rnd := rand.New(rand.NewPCG(seed, 2))
		for _, cut := range []func() int{func() int { return 1 }, func() int { return 1 + rnd.IntN(7) }} {
			fr := NewFramer(lim)
			got, err := feed(fr, stream, cut)
			if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
				t.Fatalf("pieces give %q, whole gives %q", got, want)
			}
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("pieces give error %v, whole gives %v", err, wantErr)
			}
			if fr.Buffered() > lim.Size {
				t.Fatalf("%d bytes held", fr.Buffered())
			}
		}
		for _, m := range want {
			if !json.Valid([]byte(m)) || !utf8.ValidString(m) {
				t.Fatalf("not JSON: %q", m)
			}
			if msg, err := Parse([]byte(m)); err == nil && msg.Method != "" { // must not panic
				if _, err := msg.Args(); err != nil {
					t.Fatalf("args of a parsed call %q: %v", m, err)
				}
			}
		}
		Parse(stream)
	})
}

// A bomb is a stream of head, then body n times.
type bomb struct {
	name string
	head string
	body string
	n    int
	want error
}

func bombs() []bomb {
	return []bomb{
		{"depth", `{"a":`, "[", 1 << 20, ErrTooBig},
		{"object depth", ``, `{"a":`, 1 << 20, ErrTooBig},
		{"huge string", `{"a":"`, "xxxxxxxxxxxxxxxx", 4 << 20, ErrTooBig}, // 64 MiB
		{"huge key", `{"`, "xxxxxxxxxxxxxxxx", 4 << 20, ErrTooBig},
		{"huge number", `{"a":1`, "0000000000000000", 4 << 20, ErrTooBig},
		{"escapes", `{"a":"`, `\u00e9\u00e9`, 4 << 20, ErrTooBig},
		{"a million keys", `{`, `"k":0,`, 1 << 20, ErrTooBig},
		{"a million elements", `{"a":[`, `0,`, 1 << 20, ErrTooBig},
		{"whitespace inside", `{`, "                ", 4 << 20, ErrTooBig},
		{"whitespace outside", ``, " \n\t\r            ", 4 << 20, nil},
		{"invalid UTF-8", `{"a":"`, "\xc3\x28", 1 << 20, ErrSyntax},
	}
}

func TestBombs(t *testing.T) {
	for _, b := range bombs() {
		t.Run(b.name, func(t *testing.T) {
			lim := RemoteLimits()
			chunk := []byte(strings.Repeat(b.body, 1+4096/len(b.body)))
			// The best of three: the machine may be busy with something else.
			best := time.Hour
			for range 3 {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				start := time.Now()
				f := NewFramer(lim)
				_, err := feed(f, []byte(b.head), whole)
				peak := 0
				for sent := 0; err == nil && sent < b.n*len(b.body); sent += len(chunk) {
					_, err = feed(f, chunk, whole)
					peak = max(peak, f.Buffered())
				}
				took := time.Since(start)
				best = min(best, took)
				runtime.ReadMemStats(&after)
				if !errors.Is(err, b.want) || (err == nil) != (b.want == nil) {
					t.Fatalf("error %v, want %v", err, b.want)
				}
				t.Logf("%v, peak buffer %d bytes, %d allocated in all: %v", took, peak, after.TotalAlloc-before.TotalAlloc, err)
				if peak > 2<<20 { // while it grows, old and new together are below 4 MB
					t.Errorf("held %d bytes", peak)
				}
			}
			if limit := 100 * time.Millisecond * slowdown; b.want != nil && best > limit {
				t.Errorf("refused after %v", best)
			}
		})
	}
}

// Cost must grow with the bytes, not with their square, when they come singly.
func TestSlowPeerIsLinear(t *testing.T) {
	run := func(size int) time.Duration {
		body := []byte(`{"a":"` + strings.Repeat("x", size) + `"}`)
		best := time.Hour
		for range 3 {
			start := time.Now()
			if _, err := feed(NewFramer(Limits{}), body, func() int { return 1 }); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	small, big := run(20_000), run(640_000)
	t.Logf("20 kB in %v, 640 kB in %v", small, big)
	if big > 32*8*small {
		t.Errorf("32 times the bytes took %v times as long", big/max(small, 1))
	}
}
