// SPDX-License-Identifier: Apache-2.0

package jsonrpc

import (
	"errors"
	"fmt"
)

// Limits bounds one incoming message. A zero field means the value that
// [DefaultLimits] has there.
type Limits struct {
	Size    int // bytes of one message, e.g. 16 << 20
	Depth   int // nested arrays and objects; Open vSwitch refuses beyond 1,000
	Scalar  int // bytes of one string or number, escapes and quotes counted
	Members int // members of one object or elements of one array
	Values  int // values in the whole message
}

// DefaultLimits returns the bounds for a local (unix) peer: 16 MiB, depth
// 1,000, 1 MiB a string, 131,072 members in one container, 1,048,576 values.
func DefaultLimits() Limits {
	return Limits{Size: 16 << 20, Depth: 1000, Scalar: 1 << 20, Members: 1 << 17, Values: 1 << 20}
}

// RemoteLimits returns the bounds for a peer across a network: 4 MiB and
// 262,144 values, the rest as in [DefaultLimits].
func RemoteLimits() Limits {
	l := DefaultLimits()
	l.Size, l.Values = 4<<20, 1<<18
	return l
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct {
		p *int
		v int
	}{{&l.Size, d.Size}, {&l.Depth, d.Depth}, {&l.Scalar, d.Scalar}, {&l.Members, d.Members}, {&l.Values, d.Values}} {
		if *f.p <= 0 {
			*f.p = f.v
		}
	}
	return l
}

var (
	// ErrSyntax: the bytes are not JSON, or not an object at the top.
	ErrSyntax = errors.New("syntax error")
	// ErrTooBig: a bound of [Limits] or a [Budget] was passed.
	ErrTooBig = errors.New("too big")
)

// What the next byte may be.
type state uint8

const (
	sTop       state = iota // between messages
	sValue                  // a value must start
	sFirstElem              // after '[': a value or ']'
	sFirstKey               // after '{': a key or '}'
	sKey                    // after ',' in an object: a key
	sColon                  // after a key
	sAfter                  // after a value inside a container: ',' or its end
	sString                 // in a string
	sEscape                 // after '\'
	sHex                    // in the four digits of \u
	sLowEscape              // after a high surrogate: '\' must come
	sLowU                   // and then 'u'
	sUTF8                   // in a multi-byte UTF-8 sequence
	sMinus                  // after '-': a digit
	sZero                   // after a leading 0
	sInt                    // in the integer part
	sDot                    // after '.': a digit
	sFrac                   // in the fraction
	sExp                    // after 'e': a sign or a digit
	sExpSign                // after the sign: a digit
	sExpDigits              // in the exponent
	sLiteral                // in true, false, null
	sFailed                 // after an error
)

type level struct {
	object bool
	n      int32 // members so far
}

// Framer cuts a byte stream into JSON objects. The zero value is not ready:
// use [NewFramer].
type Framer struct {
	lim    Limits
	st     state
	buf    []byte // the message so far, without whitespace between its tokens
	raw    int    // bytes of the message so far, with it
	stack  []level
	values int
	scalar int // bytes of the string or number being read

	key     bool   // the string being read is a key
	hexLeft int    // digits of \uXXXX still to come
	hexVal  uint32 // their value so far
	high    bool   // a high surrogate waits for its low one
	utfLeft int    // continuation bytes still to come
	utfLo   byte   // bounds of the next one
	utfHi   byte
	literal string // what is left of true, false, null
	total   int64  // bytes consumed since the start, for error messages
	err     error
}

// NewFramer returns a framer at the start of a stream.
func NewFramer(l Limits) *Framer { return &Framer{lim: l.withDefaults()} }

// Buffered returns how many bytes of an unfinished message are held.
func (f *Framer) Buffered() int { return len(f.buf) }

// Next consumes bytes of p up to the end of the next message. It returns the
// message, or nil if p ended first, and the number of bytes consumed; call it
// again with the rest. The message is the caller's to keep; whitespace between
// its tokens is left out (it counts for Limits.Size). An error is final
// and is returned by every later call; it wraps [ErrSyntax] or [ErrTooBig] and
// gives the byte offset in the stream.
func (f *Framer) Next(p []byte) (msg []byte, n int, err error) {
	if f.err != nil {
		return nil, 0, f.err
	}
	i := 0
	if f.st == sTop {
		for i < len(p) && isSpace(p[i]) {
			i++
		}
		if i == len(p) {
			f.total += int64(i)
			return nil, i, nil
		}
		if p[i] != '{' {
			return nil, i, f.fail(i, fmt.Errorf("%w: message starts with %q, not with an object", ErrSyntax, p[i]))
		}
	}
	first, start := i, i
	for i < len(p) {
		if f.st == sString { // the common case, without the switch
			j := i
			for j < len(p) && p[j] != '"' && p[j] != '\\' && p[j] >= 0x20 && p[j] < 0x80 {
				j++
			}
			// No further than the byte that passes a bound.
			j = min(j, i+f.lim.Scalar-f.scalar+1, first+f.lim.Size-f.raw+1)
			f.scalar += j - i
			if i = j; f.scalar > f.lim.Scalar {
				return nil, i, f.fail(i, fmt.Errorf("%w: string of more than %d bytes", ErrTooBig, f.lim.Scalar))
			}
		}
		if f.raw+i-first > f.lim.Size || i < len(p) && f.raw+i-first == f.lim.Size {
			return nil, i, f.fail(i, fmt.Errorf("%w: message of more than %d bytes", ErrTooBig, f.lim.Size))
		}
		if i == len(p) {
			break
		}
		if isSpace(p[i]) && f.st <= sAfter {
			f.buf = append(f.buf, p[start:i]...)
			end := min(len(p), first+f.lim.Size-f.raw) // no further than the bound
			for i++; i < end && isSpace(p[i]); i++ {
			}
			start = i
			continue
		}
		again, err := f.step(p[i])
		if err != nil {
			return nil, i, f.fail(i, err)
		}
		if again {
			continue
		}
		i++
		if f.st == sTop {
			msg = append(f.buf, p[start:i]...)
			f.buf, f.raw, f.values = nil, 0, 0
			f.total += int64(i)
			return msg, i, nil
		}
	}
	f.buf = append(f.buf, p[start:i]...)
	f.raw += i - first
	f.total += int64(i)
	return nil, i, nil
}

func (f *Framer) fail(i int, err error) error {
	f.err = fmt.Errorf("JSON stream byte %d: %w", f.total+int64(i), err)
	f.st, f.buf, f.stack = sFailed, nil, nil
	return f.err
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func unexpected(c byte, where string) error {
	return fmt.Errorf("%w: unexpected %q %s", ErrSyntax, c, where)
}

// step takes one byte. again means that the byte ended a number and has not
// been consumed.
func (f *Framer) step(c byte) (again bool, err error) {
	switch f.st {
	case sTop, sValue, sFirstElem, sFirstKey, sKey, sColon, sAfter:
		return false, f.structure(c)
	case sString, sEscape, sHex, sLowEscape, sLowU, sUTF8:
		f.scalar++
		if f.scalar > f.lim.Scalar {
			return false, fmt.Errorf("%w: string of more than %d bytes", ErrTooBig, f.lim.Scalar)
		}
		return false, f.text(c)
	case sLiteral:
		if c != f.literal[0] {
			return false, unexpected(c, "in a literal")
		}
		if f.literal = f.literal[1:]; f.literal == "" {
			f.st = sAfter
		}
		return false, nil
	}
	f.scalar++
	if f.scalar > f.lim.Scalar {
		return false, fmt.Errorf("%w: number of more than %d bytes", ErrTooBig, f.lim.Scalar)
	}
	return f.number(c)
}

// structure takes a byte that is not inside a scalar and not whitespace.
func (f *Framer) structure(c byte) error {
	switch f.st {
	case sTop, sValue:
		return f.value(c)
	case sFirstElem:
		if c == ']' {
			f.pop()
			return nil
		}
		return f.value(c)
	case sFirstKey, sKey:
		switch {
		case c == '"':
			f.st, f.key, f.scalar = sString, true, 1
			return f.member()
		case c == '}' && f.st == sFirstKey:
			f.pop()
			return nil
		}
		return unexpected(c, "where a key belongs")
	case sColon:
		if c != ':' {
			return unexpected(c, "after a key")
		}
		f.st = sValue
		return nil
	}
	// sAfter: the stack is not empty, for a message ends with its last bracket.
	object := f.stack[len(f.stack)-1].object
	switch {
	case c == ',' && object:
		f.st = sKey
	case c == ',':
		f.st = sValue
	case c == '}' && object, c == ']' && !object:
		f.pop()
	default:
		return unexpected(c, "after a value")
	}
	return nil
}

// member counts a key or an element against the bounds.
func (f *Framer) member() error {
	top := &f.stack[len(f.stack)-1]
	top.n++
	if int(top.n) > f.lim.Members {
		return fmt.Errorf("%w: more than %d members", ErrTooBig, f.lim.Members)
	}
	return nil
}

// value starts a value.
func (f *Framer) value(c byte) error {
	if f.values++; f.values > f.lim.Values {
		return fmt.Errorf("%w: more than %d values", ErrTooBig, f.lim.Values)
	}
	if len(f.stack) > 0 && !f.stack[len(f.stack)-1].object {
		if err := f.member(); err != nil {
			return err
		}
	}
	f.scalar = 1
	switch {
	case c == '{' || c == '[':
		if len(f.stack) >= f.lim.Depth {
			return fmt.Errorf("%w: input exceeds maximum nesting depth %d", ErrTooBig, f.lim.Depth)
		}
		f.stack = append(f.stack, level{object: c == '{'})
		f.st = sFirstElem
		if c == '{' {
			f.st = sFirstKey
		}
	case c == '"':
		f.st, f.key = sString, false
	case c == '-':
		f.st = sMinus
	case c == '0':
		f.st = sZero
	case isDigit(c):
		f.st = sInt
	case c == 't':
		f.st, f.literal = sLiteral, "rue"
	case c == 'f':
		f.st, f.literal = sLiteral, "alse"
	case c == 'n':
		f.st, f.literal = sLiteral, "ull"
	default:
		return unexpected(c, "where a value belongs")
	}
	return nil
}

func (f *Framer) pop() {
	f.stack = f.stack[:len(f.stack)-1]
	f.st = sAfter
	if len(f.stack) == 0 {
		f.st = sTop
	}
}

// text takes a byte of a string (RFC 8259 section 7, RFC 3629 section 4).
func (f *Framer) text(c byte) error {
	switch f.st {
	case sString:
		switch {
		case c == '"':
			f.st = sAfter
			if f.key {
				f.st = sColon
			}
		case c == '\\':
			f.st = sEscape
		case c < 0x20:
			return fmt.Errorf("%w: control character %q in a string", ErrSyntax, c)
		case c >= 0x80:
			return f.lead(c)
		}
	case sUTF8:
		if c < f.utfLo || c > f.utfHi {
			return fmt.Errorf("%w: invalid UTF-8 in a string", ErrSyntax)
		}
		f.utfLo, f.utfHi = 0x80, 0xbf
		if f.utfLeft--; f.utfLeft == 0 {
			f.st = sString
		}
	case sEscape:
		switch c {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			f.st = sString
		case 'u':
			f.st, f.hexLeft, f.hexVal = sHex, 4, 0
		default:
			return unexpected(c, "after a backslash")
		}
	case sLowEscape:
		if c != '\\' {
			return fmt.Errorf("%w: high surrogate without a low one", ErrSyntax)
		}
		f.st = sLowU
	case sLowU:
		if c != 'u' {
			return fmt.Errorf("%w: high surrogate without a low one", ErrSyntax)
		}
		f.st, f.hexLeft, f.hexVal = sHex, 4, 0
	case sHex:
		d, ok := hexDigit(c)
		if !ok {
			return unexpected(c, "in a \\u escape")
		}
		f.hexVal = f.hexVal<<4 | d
		if f.hexLeft--; f.hexLeft == 0 {
			return f.codeUnit()
		}
	}
	return nil
}

// codeUnit ends a \u escape.
func (f *Framer) codeUnit() error {
	low := 0xdc00 <= f.hexVal && f.hexVal <= 0xdfff
	f.st = sString
	switch {
	case f.high != low && f.high:
		return fmt.Errorf("%w: high surrogate without a low one", ErrSyntax)
	case f.high != low:
		return fmt.Errorf("%w: low surrogate without a high one", ErrSyntax)
	case f.high:
		f.high = false
	case f.hexVal == 0:
		return fmt.Errorf("%w: null bytes not supported in quoted strings", ErrSyntax)
	case 0xd800 <= f.hexVal && f.hexVal <= 0xdbff:
		f.high, f.st = true, sLowEscape
	}
	return nil
}

// lead takes the first byte of a multi-byte UTF-8 sequence and remembers what
// may follow, so that overlong forms, surrogates and code points above
// U+10FFFF are refused.
func (f *Framer) lead(c byte) error {
	f.st, f.utfLo, f.utfHi = sUTF8, 0x80, 0xbf
	switch {
	case 0xc2 <= c && c <= 0xdf:
		f.utfLeft = 1
	case 0xe0 <= c && c <= 0xef:
		f.utfLeft = 2
		if c == 0xe0 {
			f.utfLo = 0xa0
		}
		if c == 0xed {
			f.utfHi = 0x9f
		}
	case 0xf0 <= c && c <= 0xf4:
		f.utfLeft = 3
		if c == 0xf0 {
			f.utfLo = 0x90
		}
		if c == 0xf4 {
			f.utfHi = 0x8f
		}
	default:
		return fmt.Errorf("%w: invalid UTF-8 in a string", ErrSyntax)
	}
	return nil
}

func hexDigit(c byte) (uint32, bool) {
	switch {
	case isDigit(c):
		return uint32(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint32(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint32(c-'A') + 10, true
	}
	return 0, false
}

// number takes a byte of, or just after, a number (RFC 8259 section 6).
func (f *Framer) number(c byte) (again bool, err error) {
	exp := c == 'e' || c == 'E'
	switch f.st {
	case sMinus:
		switch {
		case c == '0':
			f.st = sZero
			return false, nil
		case isDigit(c):
			f.st = sInt
			return false, nil
		}
		return false, unexpected(c, "after '-'")
	case sDot:
		if isDigit(c) {
			f.st = sFrac
			return false, nil
		}
		return false, unexpected(c, "after '.'")
	case sExp:
		if c == '+' || c == '-' {
			f.st = sExpSign
			return false, nil
		}
		fallthrough
	case sExpSign:
		if isDigit(c) {
			f.st = sExpDigits
			return false, nil
		}
		return false, unexpected(c, "in an exponent")
	}
	switch {
	case isDigit(c) && f.st != sZero:
		return false, nil
	case isDigit(c):
		return false, fmt.Errorf("%w: leading zeros not allowed", ErrSyntax)
	case c == '.' && (f.st == sZero || f.st == sInt):
		f.st = sDot
		return false, nil
	case exp && f.st != sExpDigits:
		f.st = sExp
		return false, nil
	}
	f.st = sAfter
	return true, nil
}
