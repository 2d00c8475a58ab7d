// SPDX-License-Identifier: Apache-2.0

package jsontree

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds that apply where a Limits field is zero.
const (
	// MaxDepth is the deepest nesting of arrays and objects; the stock
	// parser has the same limit.
	MaxDepth = 1000
	// MaxValues bounds the tree: each value, and each object key, costs 56
	// bytes, and as much again while it is parsed. A transaction that adds 1,000
	// ports to a bridge has some 60,000. A text with more is refused before
	// anything is allocated.
	MaxValues = 1 << 18
)

// Limits bounds what Parse builds. The text's length is the caller's to bound.
type Limits struct {
	Depth  int // nesting of arrays and objects; 0: MaxDepth
	Values int // values and keys in all; 0: MaxValues
}

// SyntaxError is a text that is not (acceptable) JSON.
type SyntaxError struct {
	Offset int // byte offset of the place
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("JSON syntax error at byte %d: %s", e.Offset, e.Msg)
}

// Parse parses exactly one JSON value with optional white space around it. The
// error is a *SyntaxError.
func Parse(text []byte, lim Limits) (Value, error) {
	if lim.Depth == 0 {
		lim.Depth = MaxDepth
	}
	if lim.Values == 0 {
		lim.Values = MaxValues
	}
	p := parser{text: text, lim: lim, total: count(text)}
	if p.total > lim.Values {
		p.fail("%d values, more than %d", p.total, lim.Values)
		return Value{}, p.err
	}
	p.stack = make([]Value, 0, min(p.total, 16)) // small requests need no more
	p.space()
	v := p.value(0)
	p.space()
	if p.err == nil && p.pos < len(p.text) {
		p.fail("trailing garbage")
	}
	if p.err != nil {
		return Value{}, p.err
	}
	return v, nil
}

// count returns the number of values and keys of a text, if it is JSON; else some
// number. It allocates nothing.
func count(text []byte) int {
	n := 1
	open := false // the last token opened an array or object
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
			continue
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case ',', ':', '[', '{':
			n++
			open = c == '[' || c == '{'
			continue
		case ']', '}':
			if open {
				n--
			}
		}
		open = false
	}
	return n
}

// parser carries one sticky error.
type parser struct {
	text  []byte
	pos   int
	lim   Limits
	count int
	total int     // what count says
	stack []Value // elements of the open arrays and objects
	arena []Value // room for the elements of closed ones: all lists of a tree are cut from one
	err   *SyntaxError
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &SyntaxError{Offset: p.pos, Msg: fmt.Sprintf(format, args...)}
	}
}

func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// next returns the byte at pos, or 0 (never valid in a token) at the end.
func (p *parser) next() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *parser) counted() bool {
	p.count++
	if p.count > p.lim.Values {
		p.fail("more than %d values", p.lim.Values)
	}
	return p.err == nil
}

func (p *parser) value(depth int) Value {
	if !p.counted() {
		return Value{}
	}
	switch c := p.next(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return Value{kind: String, s: p.str()}
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return p.literal("true", Value{kind: Bool, n: 1})
	case c == 'f':
		return p.literal("false", Value{kind: Bool})
	case c == 'n':
		return p.literal("null", Value{})
	case p.pos >= len(p.text):
		p.fail("unexpected end of input")
	default:
		p.fail("unexpected byte %#x", c)
	}
	return Value{}
}

func (p *parser) literal(word string, v Value) Value {
	if len(p.text)-p.pos < len(word) || string(p.text[p.pos:p.pos+len(word)]) != word {
		p.fail("invalid keyword")
		return Value{}
	}
	p.pos += len(word)
	return v
}

func (p *parser) enter(depth int) bool {
	if depth >= p.lim.Depth {
		p.fail("nested deeper than %d", p.lim.Depth)
		return false
	}
	p.pos++
	p.space()
	return true
}

// take moves the stack's values from base on into the arena.
func (p *parser) take(base int) []Value {
	if p.err != nil || len(p.stack) == base {
		p.stack = p.stack[:base]
		return nil
	}
	n := len(p.stack) - base
	if p.arena == nil {
		p.arena = make([]Value, max(n, p.total-1)) // the root is in no list
	}
	if n > len(p.arena) {
		p.arena = make([]Value, n) // never, if count is right
	}
	list := p.arena[:n:n]
	p.arena = p.arena[n:]
	copy(list, p.stack[base:])
	clear(p.stack[base:])
	p.stack = p.stack[:base]
	return list
}

func (p *parser) array(depth int) Value {
	base := len(p.stack)
	if !p.enter(depth) {
		return Value{}
	}
	if p.next() == ']' {
		p.pos++
		return Value{kind: Array}
	}
	for p.err == nil {
		v := p.value(depth + 1)
		p.stack = append(p.stack, v)
		p.space()
		switch p.next() {
		case ',':
			p.pos++
			p.space()
		case ']':
			p.pos++
			return Value{kind: Array, list: p.take(base)}
		default:
			p.fail("expected ',' or ']' in array")
		}
	}
	p.take(base)
	return Value{}
}

func (p *parser) object(depth int) Value {
	base := len(p.stack)
	if !p.enter(depth) {
		return Value{}
	}
	if p.next() == '}' {
		p.pos++
		return Value{kind: Object}
	}
	for p.err == nil {
		if p.next() != '"' {
			p.fail("expected a member name")
			break
		}
		if !p.counted() {
			break
		}
		key := p.str()
		p.space()
		if p.next() != ':' {
			p.fail("expected ':' after member name")
			break
		}
		p.pos++
		p.space()
		v := p.value(depth + 1)
		p.stack = append(p.stack, Value{kind: String, s: key}, v)
		p.space()
		switch p.next() {
		case ',':
			p.pos++
			p.space()
		case '}':
			p.pos++
			return Value{kind: Object, list: unique(p.take(base))}
		default:
			p.fail("expected ',' or '}' in object")
		}
	}
	p.take(base)
	return Value{}
}

// unique lets the last of several members of one name win.
func unique(list []Value) []Value {
	const few = 32 // members; below, comparing each with each costs less
	n := 0
	if len(list) <= 2*few {
	next:
		for i := 0; i < len(list); i += 2 {
			for j := 0; j < n; j += 2 {
				if list[j].s == list[i].s {
					list[j+1] = list[i+1]
					continue next
				}
			}
			list[n], list[n+1] = list[i], list[i+1]
			n += 2
		}
		return list[:n]
	}
	at := make(map[string]int, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		if j, ok := at[list[i].s]; ok {
			list[j+1] = list[i+1]
			continue
		}
		at[list[i].s] = n
		list[n], list[n+1] = list[i], list[i+1]
		n += 2
	}
	return list[:n]
}

// str parses a string; pos is at its opening quote.
func (p *parser) str() string {
	p.pos++
	start := p.pos
	ascii := true
	for i := p.pos; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			s := p.text[start:i]
			if !ascii && !utf8.Valid(s) {
				p.fail("invalid UTF-8 in string")
				return ""
			}
			p.pos = i + 1
			return string(s)
		case c == '\\':
			return p.escaped(start, i)
		case c < 0x20:
			p.pos = i
			p.fail("unescaped control character U+%04X in string", c)
			return ""
		case c >= 0x80:
			ascii = false
		}
	}
	p.pos = len(p.text)
	p.fail("unterminated string")
	return ""
}

// escaped parses the rest of a string that has an escape at i.
func (p *parser) escaped(start, i int) string {
	buf := append([]byte(nil), p.text[start:i]...)
	p.pos = i
	for p.err == nil {
		switch c := p.next(); {
		case p.pos >= len(p.text):
			p.fail("unterminated string")
		case c == '"':
			if !utf8.Valid(buf) {
				p.fail("invalid UTF-8 in string")
				return ""
			}
			p.pos++
			return string(buf)
		case c == '\\':
			buf = p.escape(buf)
		case c < 0x20:
			p.fail("unescaped control character U+%04X in string", c)
		default:
			buf = append(buf, c)
			p.pos++
		}
	}
	return ""
}

// escape parses one escape sequence; pos is at its backslash.
func (p *parser) escape(buf []byte) []byte {
	if p.pos+1 >= len(p.text) {
		p.fail("unterminated string")
		return buf
	}
	c := p.text[p.pos+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, ok := p.hex4(p.pos + 2)
		if !ok {
			return buf
		}
		n := 6
		if utf16.IsSurrogate(r) {
			var lo rune
			if p.pos+8 <= len(p.text) && p.text[p.pos+6] == '\\' && p.text[p.pos+7] == 'u' {
				if lo, ok = p.hex4(p.pos + 8); !ok {
					return buf
				}
			}
			if r = utf16.DecodeRune(r, lo); r == utf8.RuneError {
				p.fail("unpaired UTF-16 surrogate in string")
				return buf
			}
			n = 12
		}
		if r == 0 {
			p.fail("NUL in string")
			return buf
		}
		p.pos += n
		return utf8.AppendRune(buf, r)
	default:
		p.fail("bad escape \\%c", c)
		return buf
	}
	p.pos += 2
	return append(buf, c)
}

func (p *parser) hex4(at int) (rune, bool) {
	var r rune
	for i := at; i < at+4; i++ {
		if i >= len(p.text) {
			p.fail("unterminated string")
			return 0, false
		}
		c := p.text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			p.fail("malformed \\u escape")
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number parses a number. One whose value is a whole number within int64 is an
// Integer however it is written.
func (p *parser) number() Value {
	start := p.pos
	neg := p.next() == '-'
	if neg {
		p.pos++
	}
	var sig uint64 // the digits, point left out; exact unless over
	over := false
	pow := 0 // value = sig * 10^pow
	digits := func(frac bool) int {
		n := 0
		for c := p.next(); '0' <= c && c <= '9'; c = p.next() {
			if sig > (math.MaxUint64-9)/10 {
				over = true
			} else {
				sig = sig*10 + uint64(c-'0')
			}
			if frac {
				pow--
			}
			p.pos++
			n++
		}
		return n
	}
	lead := p.next()
	switch n := digits(false); {
	case n == 0:
		p.fail("malformed number")
	case n > 1 && lead == '0':
		p.fail("leading zeros not allowed")
	}
	if p.err == nil && p.next() == '.' {
		p.pos++
		if digits(true) == 0 {
			p.fail("decimal point must be followed by digit")
		}
	}
	if c := p.next(); p.err == nil && (c == 'e' || c == 'E') {
		p.pos++
		eneg := p.next() == '-'
		if eneg || p.next() == '+' {
			p.pos++
		}
		exp, n := 0, 0
		for c := p.next(); '0' <= c && c <= '9'; c = p.next() {
			if exp < 100000 {
				exp = exp*10 + int(c-'0')
			}
			p.pos++
			n++
		}
		if n == 0 {
			p.fail("exponent must contain at least one digit")
		}
		if eneg {
			exp = -exp
		}
		pow += exp
	}
	if p.err != nil {
		return Value{}
	}
	if i, ok := whole(neg, sig, pow); ok && !over {
		return Value{kind: Integer, n: uint64(i)}
	}
	f, err := strconv.ParseFloat(string(p.text[start:p.pos]), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		p.fail("number outside valid range")
		return Value{}
	}
	if f == 0 {
		f = 0 // no negative zero
	}
	return Value{kind: Real, n: math.Float64bits(f)}
}

// whole returns sig*10^pow (negated) if it is a whole number within int64.
func whole(neg bool, sig uint64, pow int) (int64, bool) {
	if sig == 0 {
		return 0, true
	}
	for ; pow < 0 && sig%10 == 0; pow++ {
		sig /= 10
	}
	for ; pow > 0 && sig <= math.MaxUint64/10; pow-- {
		sig *= 10
	}
	switch {
	case pow != 0:
		return 0, false
	case neg && sig <= 1<<63:
		return int64(-sig), true
	case !neg && sig < 1<<63:
		return int64(sig), true
	}
	return 0, false
}
