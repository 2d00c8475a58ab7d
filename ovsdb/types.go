// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Unlimited is the ColumnType.Max of a set or map without an upper bound.
const Unlimited = math.MaxInt

// BaseType constrains one atom: RFC 7047, section 3.2 <base-type>. Make one
// with NewBaseType, which sets the bounds to "none".
type BaseType struct {
	Type Type
	Enum Datum // if not empty the allowed values; then there are no bounds

	MinInteger, MaxInteger int64   // math.MinInt64 .. math.MaxInt64
	MinReal, MaxReal       float64 // -math.MaxFloat64 .. math.MaxFloat64
	MinLength, MaxLength   int     // in characters; 0 .. Unlimited

	RefTable string // a UUID refers to a row of this table; "" refers to nothing
	Weak     bool   // the reference does not keep its target alive
}

// NewBaseType returns the unconstrained base type.
func NewBaseType(t Type) BaseType {
	return BaseType{
		Type:       t,
		MinInteger: math.MinInt64, MaxInteger: math.MaxInt64,
		MinReal: -math.MaxFloat64, MaxReal: math.MaxFloat64,
		MaxLength: Unlimited,
	}
}

// IsStrong and IsWeak report whether the type is a reference of that kind.
func (t *BaseType) IsStrong() bool { return t.RefTable != "" && !t.Weak }

// IsWeak reports whether the type is a weak reference.
func (t *BaseType) IsWeak() bool { return t.RefTable != "" && t.Weak }

// Check returns an ErrConstraint error if the atom is outside the type's
// constraints. The atom has the type already.
func (t *BaseType) Check(a Atom) error {
	if t.Enum.Len() > 0 {
		if t.Enum.Has(a) {
			return nil
		}
		list := ""
		for i, e := range t.Enum.Keys() {
			if i > 0 {
				list += ", "
			}
			list += e.String()
		}
		return Errorf(ErrConstraint, "%s is not one of the allowed values ([%s])", a, list)
	}
	switch t.Type {
	case Integer:
		v := a.Int()
		if v >= t.MinInteger && v <= t.MaxInteger {
			return nil
		}
		return outOfRange(strconv.FormatInt(v, 10),
			t.MinInteger != math.MinInt64, t.MaxInteger != math.MaxInt64, t.MinInteger, t.MaxInteger)
	case Real:
		v := a.Real()
		if v >= t.MinReal && v <= t.MaxReal {
			return nil
		}
		return outOfRange(a.String(),
			t.MinReal != -math.MaxFloat64, t.MaxReal != math.MaxFloat64, RealOf(t.MinReal), RealOf(t.MaxReal))
	case String:
		if t.MinLength == 0 && t.MaxLength == Unlimited {
			return nil
		}
		switch n := utf8.RuneCountInString(a.s); {
		case n < t.MinLength:
			return Errorf(ErrConstraint, "%q length %d is less than minimum allowed length %d", a.s, n, t.MinLength)
		case n > t.MaxLength:
			return Errorf(ErrConstraint, "%q length %d is greater than maximum allowed length %d", a.s, n, t.MaxLength)
		}
	}
	return nil
}

func outOfRange(v string, hasMin, hasMax bool, lo, hi any) error {
	switch {
	case hasMin && hasMax:
		return Errorf(ErrConstraint, "%s is not in the valid range %v to %v (inclusive)", v, lo, hi)
	case hasMin:
		return Errorf(ErrConstraint, "%s is less than minimum allowed value %v", v, lo)
	}
	return Errorf(ErrConstraint, "%s is greater than maximum allowed value %v", v, hi)
}

// ColumnType is the type of a column: RFC 7047, section 3.2 <type>.
type ColumnType struct {
	Key      BaseType
	Value    *BaseType // nil: a set
	Min, Max int       // number of elements; Min is 0 or 1, Max >= 1 or Unlimited
}

// ScalarType returns the type of exactly one unconstrained atom.
func ScalarType(t Type) ColumnType { return ColumnType{Key: NewBaseType(t), Min: 1, Max: 1} }

// IsMap reports whether values of the type are maps.
func (t *ColumnType) IsMap() bool { return t.Value != nil }

// IsScalar reports whether a value is always exactly one atom.
func (t *ColumnType) IsScalar() bool { return t.Value == nil && t.Min == 1 && t.Max == 1 }

// IsOptional reports whether a value is one atom or nothing.
func (t *ColumnType) IsOptional() bool { return t.Value == nil && t.Min == 0 && t.Max == 1 }

// Default returns the value of a column that an insert does not mention: the
// zero of the type if the type demands an element, else empty.
func (t *ColumnType) Default() Datum {
	switch {
	case t.Min == 0 && t.IsMap():
		return Datum{emptyMap}
	case t.Min == 0:
		return Datum{}
	case t.IsMap():
		return NewMap(Pair{t.Key.Type.Zero(), t.Value.Type.Zero()})
	}
	return One(t.Key.Type.Zero())
}

// CheckSize returns an ErrConstraint error if the type does not allow that many
// elements.
func (t *ColumnType) CheckSize(d Datum) error {
	if n := d.Len(); n < t.Min || n > t.Max {
		return Errorf(ErrConstraint, "Attempted to store %d elements in %s.", n, t)
	}
	return nil
}

// Check returns an ErrConstraint error if the value does not satisfy the type,
// or an ErrSyntax error if it is not of the type at all.
func (t *ColumnType) Check(d Datum) error {
	if d.IsMap() != t.IsMap() {
		return Errorf(ErrSyntax, "a value of another shape than %s", t)
	}
	for _, a := range d.Keys() {
		if a.typ != t.Key.Type {
			return Errorf(ErrSyntax, "expected %s", t.Key.Type)
		}
		if err := t.Key.Check(a); err != nil {
			return err
		}
	}
	for _, a := range d.Values() {
		if a.typ != t.Value.Type {
			return Errorf(ErrSyntax, "expected %s", t.Value.Type)
		}
		if err := t.Value.Check(a); err != nil {
			return err
		}
	}
	return t.CheckSize(d)
}

// String describes the type in words, e.g. "set of up to 3 integers".
func (t *ColumnType) String() string {
	key := t.Key.describe()
	if t.IsScalar() {
		return key
	}
	var size string
	switch {
	case t.Max == Unlimited && t.Min > 0:
		size = fmt.Sprintf("%d or more ", t.Min)
	case t.Max == Unlimited:
	case t.Min > 0:
		size = fmt.Sprintf("%d to %d ", t.Min, t.Max)
	default:
		size = fmt.Sprintf("up to %d ", t.Max)
	}
	if t.IsMap() {
		return fmt.Sprintf("map of %s(%s, %s) pairs", size, key, t.Value.describe())
	}
	return fmt.Sprintf("set of %s%ss", size, key)
}

func (t *BaseType) describe() string {
	if t.RefTable != "" {
		return fmt.Sprintf("%s reference to table %q", t.Type, t.RefTable)
	}
	return t.Type.String()
}
