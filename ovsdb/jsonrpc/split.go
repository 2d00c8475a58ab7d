// SPDX-License-Identifier: Apache-2.0

package jsonrpc

import (
	"encoding/json"
	"fmt"
)

type member struct {
	key   string
	value json.RawMessage
}

// walker cuts the outer layer off a JSON value without decoding what is
// inside. It is made for the output of a Framer, which is valid; on other
// input it gives an error or parts that are not JSON, never a panic.
type walker struct {
	b   []byte
	i   int
	err error
}

func (w *walker) fail(what string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, w.i)
	}
}

// peek skips whitespace and returns the next byte, or 0 at the end.
func (w *walker) peek() byte {
	for w.i < len(w.b) && isSpace(w.b[w.i]) {
		w.i++
	}
	if w.err != nil || w.i >= len(w.b) {
		return 0
	}
	return w.b[w.i]
}

func (w *walker) expect(c byte) {
	if w.peek() != c {
		w.fail("expected " + string(rune(c)))
		return
	}
	w.i++
}

// value returns the bytes of the next value.
func (w *walker) value() json.RawMessage {
	if w.peek() == 0 {
		w.fail("expected a value")
		return nil
	}
	start, depth := w.i, 0
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of the container around a scalar
				return w.scalar(start)
			}
			depth--
			if depth == 0 {
				w.i++
				return w.b[start:w.i]
			}
		case '"':
			w.skipString()
			if depth == 0 {
				return w.b[start:w.i]
			}
			continue
		case ',', ' ', '\n', '\t', '\r', ':':
			if depth == 0 {
				return w.scalar(start)
			}
		}
		w.i++
	}
	if depth != 0 {
		w.fail("unterminated value")
	}
	return w.scalar(start)
}

func (w *walker) scalar(start int) json.RawMessage {
	if w.i == start {
		w.fail("expected a value")
		return nil
	}
	return w.b[start:w.i]
}

func (w *walker) skipString() {
	for w.i++; w.i < len(w.b); w.i++ {
		switch w.b[w.i] {
		case '\\':
			w.i++
		case '"':
			w.i++
			return
		}
	}
	w.i = len(w.b)
	w.fail("unterminated string")
}

// end checks that nothing but whitespace is left.
func (w *walker) end() error {
	if w.err == nil && w.peek() != 0 {
		w.fail("trailing bytes")
	}
	if w.err == nil && w.i < len(w.b) { // a NUL byte looks like the end to peek
		w.fail("trailing bytes")
	}
	return w.err
}

// unquote decodes a JSON string.
func unquote(raw []byte) (s string, err error) {
	if !plain(raw) {
		err = json.Unmarshal(raw, &s)
		return s, err
	}
	text := raw[1 : len(raw)-1]
	for _, known := range [...]string{"id", "method", "params", "transact"} { // those of every call cost nothing
		if string(text) == known {
			return known, nil
		}
	}
	return string(text), nil
}

// plain says whether a JSON string is its text in quotes: ASCII without escapes.
func plain(raw []byte) bool {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func splitObject(raw []byte) ([]member, error) {
	w := walker{b: raw}
	out := make([]member, 0, 4)
	w.expect('{')
	if w.peek() == '}' {
		w.i++
		return out, w.end()
	}
	for w.err == nil {
		k := w.value()
		var key string
		if w.err == nil {
			var err error
			if key, err = unquote(k); err != nil {
				w.fail("bad key")
			}
		}
		w.expect(':')
		v := w.value()
		if w.err != nil {
			break
		}
		out = append(out, member{key, v})
		if w.peek() == '}' {
			w.i++
			return out, w.end()
		}
		w.expect(',')
	}
	return nil, w.err
}

func splitArray(raw []byte) ([]json.RawMessage, error) {
	w := walker{b: raw}
	out := []json.RawMessage{}
	w.expect('[')
	if w.peek() == ']' {
		w.i++
		return out, w.end()
	}
	for w.err == nil {
		v := w.value()
		if w.err != nil {
			break
		}
		out = append(out, v)
		if w.peek() == ']' {
			w.i++
			return out, w.end()
		}
		w.expect(',')
	}
	return nil, w.err
}
