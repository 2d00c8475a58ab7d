// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"slices"
	"strconv"

	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// Names resolves ["named-uuid", name]: within a transaction a name stands for
// the same UUID wherever it is used, before its insert or after.
type Names interface {
	Resolve(name string) UUID
}

// AppendJSON appends the datum in RFC 7047 notation, <value>.
func (d Datum) AppendJSON(b []byte) []byte { return d.append(b, false) }

// AppendExact appends the datum like AppendJSON but with reals that read back
// as the same number: the form for the log file.
func (d Datum) AppendExact(b []byte) []byte { return d.append(b, true) }

func (d Datum) append(b []byte, exact bool) []byte {
	if d.IsMap() {
		b = append(b, `["map",[`...)
		for i := range d.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '[')
			b = d.Key(i).append(b, exact)
			b = append(b, ',')
			b = d.Value(i).append(b, exact)
			b = append(b, ']')
		}
		return append(b, "]]"...)
	}
	if d.Len() == 1 {
		return d.d.atoms[0].append(b, exact)
	}
	b = append(b, `["set",[`...)
	for i, a := range d.Keys() {
		if i > 0 {
			b = append(b, ',')
		}
		b = a.append(b, exact)
	}
	return append(b, "]]"...)
}

// String returns the RFC 7047 notation.
func (d Datum) String() string { return string(d.AppendJSON(nil)) }

// DecodeDatum decodes a <value> of the given type. names may be nil: then
// "named-uuid" is refused. The error is an *Error as the stock server gives it.
func DecodeDatum(v jsontree.Value, t *ColumnType, names Names) (Datum, error) {
	if t.IsMap() {
		return decodeMap(v, t, names)
	}
	elems, err := setElems(v)
	if err != nil {
		return Datum{}, err
	}
	if elems == nil {
		a, err := DecodeAtom(v, &t.Key, names)
		if err != nil {
			return Datum{}, err
		}
		return One(a), nil
	}
	if err := checkCount(v, "set", len(elems), t); err != nil {
		return Datum{}, err
	}
	if len(elems) == 0 {
		return Datum{}, nil
	}
	atoms := make([]Atom, len(elems))
	for i, e := range elems {
		if atoms[i], err = DecodeAtom(e, &t.Key, names); err != nil {
			return Datum{}, err
		}
	}
	if len(atoms) == 1 {
		return One(atoms[0]), nil
	}
	slices.SortFunc(atoms, Atom.Compare)
	for i := range atoms[1:] {
		if atoms[i] == atoms[i+1] {
			return Datum{}, Errorf(ErrUnspecified, "set contains duplicate")
		}
	}
	return setOf(atoms), nil
}

// setElems returns the elements of ["set", [...]] (not nil even if none), or nil
// if v is to be read as a bare atom.
func setElems(v jsontree.Value) ([]jsontree.Value, error) {
	arr := v.Array()
	if len(arr) == 0 || arr[0].Kind() != jsontree.String || arr[0].Str() != "set" {
		return nil, nil
	}
	elems, err := tagged(v, "set")
	if elems == nil && err == nil {
		elems = []jsontree.Value{}
	}
	return elems, err
}

// tagged returns the array of [tag, [...]].
func tagged(v jsontree.Value, tag string) ([]jsontree.Value, error) {
	arr := v.Array()
	if len(arr) != 2 || arr[0].Kind() != jsontree.String || arr[0].Str() != tag || arr[1].Kind() != jsontree.Array {
		return nil, SyntaxErrorf(ErrSyntax, v, "expected [%q, <array>]", tag)
	}
	return arr[1].Array(), nil
}

func checkCount(v jsontree.Value, what string, n int, t *ColumnType) error {
	if n >= t.Min && n <= t.Max {
		return nil
	}
	var want string
	switch {
	case t.Min == 1 && t.Max == 1:
		want = "exactly one member"
	case t.Max == Unlimited:
		want = strconv.Itoa(t.Min) + " or more members"
	default:
		want = strconv.Itoa(t.Min) + " to " + strconv.Itoa(t.Max) + " members"
	}
	return SyntaxErrorf(ErrSyntax, v, "%s must have %s but %d are present", what, want, n)
}

func decodeMap(v jsontree.Value, t *ColumnType, names Names) (Datum, error) {
	elems, err := tagged(v, "map")
	if err != nil {
		return Datum{}, err
	}
	if err := checkCount(v, "map", len(elems), t); err != nil {
		return Datum{}, err
	}
	pairs := make([]Pair, len(elems))
	for i, e := range elems {
		kv := e.Array()
		if len(kv) != 2 {
			return Datum{}, SyntaxErrorf(ErrSyntax, e, "expected 2-element array")
		}
		if pairs[i].K, err = DecodeAtom(kv[0], &t.Key, names); err != nil {
			return Datum{}, err
		}
		if pairs[i].V, err = DecodeAtom(kv[1], t.Value, names); err != nil {
			return Datum{}, err
		}
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return a.K.Compare(b.K) })
	for i := 1; i < len(pairs); i++ {
		if pairs[i-1].K == pairs[i].K {
			return Datum{}, Errorf(ErrUnspecified, "map contains duplicate key")
		}
	}
	return mapOf(pairs), nil
}

// DecodeAtom decodes an <atom> of the given type. The error is an *Error.
func DecodeAtom(v jsontree.Value, t *BaseType, names Names) (Atom, error) {
	var a Atom
	switch t.Type {
	case Integer:
		if v.Kind() != jsontree.Integer {
			return Atom{}, SyntaxErrorf(ErrSyntax, v, "expected integer")
		}
		a = Int(v.Int())
	case Real:
		if v.Kind() != jsontree.Integer && v.Kind() != jsontree.Real {
			return Atom{}, SyntaxErrorf(ErrSyntax, v, "expected real")
		}
		a = RealOf(v.Float())
	case Boolean:
		if v.Kind() != jsontree.Bool {
			return Atom{}, SyntaxErrorf(ErrSyntax, v, "expected boolean")
		}
		a = Bool(v.Bool())
	case String:
		if v.Kind() != jsontree.String {
			return Atom{}, SyntaxErrorf(ErrSyntax, v, "expected string")
		}
		a = Atom{typ: String, s: v.Str()} // the parser has checked it
	case UUIDType:
		u, err := decodeUUID(v, names)
		if err != nil {
			return Atom{}, err
		}
		a = Ref(u)
	default:
		return Atom{}, SyntaxErrorf(ErrSyntax, v, "expected a value of type %s", t.Type)
	}
	if err := t.Check(a); err != nil {
		return Atom{}, err
	}
	return a, nil
}

// decodeUUID decodes ["uuid", text] and ["named-uuid", id].
func decodeUUID(v jsontree.Value, names Names) (UUID, error) {
	arr := v.Array()
	if len(arr) == 2 && arr[0].Kind() == jsontree.String && arr[1].Kind() == jsontree.String {
		switch tag := arr[0].Str(); {
		case tag == "uuid":
			u, err := ParseUUID(arr[1].Str())
			if err != nil {
				return UUID{}, SyntaxErrorf(ErrSyntax, v, "%v", err)
			}
			return u, nil
		case tag == "named-uuid" && names != nil:
			if !IsID(arr[1].Str()) {
				return UUID{}, SyntaxErrorf(ErrSyntax, v, "named-uuid string is not a valid <id>")
			}
			return names.Resolve(arr[1].Str()), nil
		}
	}
	return UUID{}, SyntaxErrorf(ErrSyntax, v, `expected ["uuid", <string>]`)
}
