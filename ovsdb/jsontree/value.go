// SPDX-License-Identifier: Apache-2.0

package jsontree

import (
	"math"
	"strconv"
)

// Kind says what a Value holds.
type Kind uint8

// The kinds of JSON value; numbers are split into integers, which fit int64,
// and reals.
const (
	Null Kind = iota
	Bool
	Integer
	Real
	String
	Array
	Object
)

var kindNames = [...]string{"null", "boolean", "integer", "real", "string", "array", "object"}

// String returns the kind's name as used in error texts.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one JSON value. The zero Value is null.
type Value struct {
	kind Kind
	n    uint64 // Bool: 0 or 1; Integer: two's complement; Real: IEEE 754 bits
	s    string
	// Array: the elements. Object: key, value, key, value ... with each key a
	// String and no key twice.
	list []Value
}

// OfString, OfInt, OfBool and OfArray make values, for callers that build
// requests instead of parsing them.
func OfString(s string) Value { return Value{kind: String, s: s} }

// OfInt returns an Integer.
func OfInt(i int64) Value { return Value{kind: Integer, n: uint64(i)} }

// OfBool returns a Bool.
func OfBool(b bool) Value {
	v := Value{kind: Bool}
	if b {
		v.n = 1
	}
	return v
}

// OfArray returns an Array; the slice is kept.
func OfArray(elems ...Value) Value { return Value{kind: Array, list: elems} }

// Kind returns what the value holds.
func (v Value) Kind() Kind { return v.kind }

// Bool returns the value of a Bool, false for other kinds.
func (v Value) Bool() bool { return v.kind == Bool && v.n == 1 }

// Int returns the value of an Integer, 0 for other kinds.
func (v Value) Int() int64 {
	if v.kind != Integer {
		return 0
	}
	return int64(v.n)
}

// Float returns a Real's or an Integer's value, 0 for other kinds.
func (v Value) Float() float64 {
	switch v.kind {
	case Real:
		return math.Float64frombits(v.n)
	case Integer:
		return float64(int64(v.n))
	}
	return 0
}

// Str returns the text of a String, "" for other kinds.
func (v Value) Str() string { return v.s }

// Array returns the elements of an Array, nil for other kinds. The caller must
// not change them.
func (v Value) Array() []Value {
	if v.kind != Array {
		return nil
	}
	return v.list
}

// Len returns the number of elements of an Array or members of an Object.
func (v Value) Len() int {
	if v.kind == Object {
		return len(v.list) / 2
	}
	return len(v.list)
}

// Member returns the key and value of an Object's i-th member, 0 <= i < Len().
func (v Value) Member(i int) (key string, val Value) {
	return v.list[2*i].s, v.list[2*i+1]
}

// Get returns an Object's member by name. It costs a walk over the members.
func (v Value) Get(key string) (Value, bool) {
	if v.kind != Object {
		return Value{}, false
	}
	for i := 0; i < len(v.list); i += 2 {
		if v.list[i].s == key {
			return v.list[i+1], true
		}
	}
	return Value{}, false
}
