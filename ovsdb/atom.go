// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// Type is the type of an atom, RFC 7047, section 3.2 <atomic-type>.
type Type uint8

// The atomic types. Their zero value is no type.
const (
	NoType Type = iota
	Integer
	Real
	Boolean
	String
	UUIDType
)

var typeNames = [...]string{"void", "integer", "real", "boolean", "string", "uuid"}

// String returns the name that a schema uses.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// ParseType returns the type of a name as in a schema.
func ParseType(name string) (Type, bool) {
	for i, n := range typeNames[1:] {
		if n == name {
			return Type(i + 1), true
		}
	}
	return NoType, false
}

// Zero returns the atom that is the default of a column of the type.
func (t Type) Zero() Atom {
	switch t {
	case Integer:
		return Int(0)
	case Real:
		return RealOf(0)
	case Boolean:
		return Bool(false)
	case String:
		return Str("")
	case UUIDType:
		return Ref(UUID{})
	}
	return Atom{}
}

// Atom is one immutable value of an atomic type. Atoms are comparable with ==.
type Atom struct {
	typ Type
	n   uint64 // Integer: two's complement; Real: IEEE 754 bits; Boolean: 0, 1
	s   string // String: UTF-8 without NUL; UUIDType: the 16 bytes
}

// Int returns an integer atom.
func Int(i int64) Atom { return Atom{typ: Integer, n: uint64(i)} }

// RealOf returns a real atom. Negative zero becomes zero, so that equal numbers
// are equal atoms; f must be finite (the decoder and the mutators see to it).
func RealOf(f float64) Atom {
	if f == 0 {
		f = 0
	}
	return Atom{typ: Real, n: math.Float64bits(f)}
}

// Bool returns a boolean atom.
func Bool(b bool) Atom {
	a := Atom{typ: Boolean}
	if b {
		a.n = 1
	}
	return a
}

// Str returns a string atom. Bytes that cannot stand in a database, NUL and
// what is not UTF-8, are replaced by U+FFFD: the string may come from outside
// (a driver's error text, a host name).
func Str(s string) Atom {
	return Atom{typ: String, s: strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")}
}

// Ref returns a UUID atom.
func Ref(u UUID) Atom { return Atom{typ: UUIDType, s: string(u[:])} }

// Type returns the atom's type.
func (a Atom) Type() Type { return a.typ }

// Int returns an integer's value; 0 for other types.
func (a Atom) Int() int64 {
	if a.typ != Integer {
		return 0
	}
	return int64(a.n)
}

// Real returns a real's value; 0 for other types.
func (a Atom) Real() float64 {
	if a.typ != Real {
		return 0
	}
	return math.Float64frombits(a.n)
}

// Bool returns a boolean's value; false for other types.
func (a Atom) Bool() bool { return a.typ == Boolean && a.n == 1 }

// Str returns a string's value; "" for other types.
func (a Atom) Str() string {
	if a.typ != String {
		return ""
	}
	return a.s
}

// UUID returns a UUID's value; zero for other types.
func (a Atom) UUID() UUID {
	var u UUID
	if a.typ == UUIDType {
		copy(u[:], a.s)
	}
	return u
}

// Compare orders atoms of one type: numbers by value, false before true,
// strings and UUIDs by their bytes. Atoms of different types are ordered by
// type.
func (a Atom) Compare(b Atom) int {
	if a.typ != b.typ {
		return cmp.Compare(a.typ, b.typ)
	}
	switch a.typ {
	case Integer:
		return cmp.Compare(int64(a.n), int64(b.n))
	case Real:
		return cmp.Compare(math.Float64frombits(a.n), math.Float64frombits(b.n))
	case Boolean:
		return cmp.Compare(a.n, b.n)
	}
	return strings.Compare(a.s, b.s)
}

// AppendJSON appends the atom in RFC 7047 notation, <atom>.
func (a Atom) AppendJSON(b []byte) []byte { return a.append(b, false) }

func (a Atom) append(b []byte, exact bool) []byte {
	switch a.typ {
	case Integer:
		return strconv.AppendInt(b, int64(a.n), 10)
	case Real:
		if exact {
			return jsontree.AppendExact(b, math.Float64frombits(a.n))
		}
		return jsontree.AppendReal(b, math.Float64frombits(a.n))
	case Boolean:
		return strconv.AppendBool(b, a.n == 1)
	case String:
		return jsontree.AppendString(b, a.s)
	case UUIDType:
		b = append(b, `["uuid","`...)
		b = a.UUID().Append(b)
		return append(b, `"]`...)
	}
	return append(b, "null"...)
}

// String returns the atom as stock's tools print it: a string without quotes
// where it is a plain word.
func (a Atom) String() string {
	switch a.typ {
	case UUIDType:
		return a.UUID().String()
	case String:
		if isWord(a.s) {
			return a.s
		}
	}
	return string(a.AppendJSON(nil))
}

// isWord says whether a string cannot be taken for something else.
func isWord(s string) bool {
	if s == "" || s == "true" || s == "false" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alpha := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !alpha && (i == 0 || !('0' <= c && c <= '9' || c == '-' || c == '.')) {
			return false
		}
	}
	if _, err := ParseUUID(s); err == nil {
		return false
	}
	return true
}

// IsID reports whether s is an <id> of RFC 7047, section 3.1: a letter or '_',
// then letters, digits and '_'.
func IsID(s string) bool {
	for i := range len(s) {
		c := s[i]
		alpha := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !alpha && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
