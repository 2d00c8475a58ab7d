// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math"
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Mutator is an operation on a column: RFC 7047 <mutator>.
type Mutator uint8

// The mutators.
const (
	Add Mutator = iota
	Sub
	Mul
	Div
	Mod
	Insert
	Delete
)

var mutatorNames = [...]string{"+=", "-=", "*=", "/=", "%=", "insert", "delete"}

// String returns the mutator as it is written.
func (m Mutator) String() string { return mutatorNames[m] }

// Mutation is one <mutation>: column mutator value.
type Mutation struct {
	Mutator Mutator
	Column  *schema.Column
	Arg     ovsdb.Datum
}

// ParseMutations parses an array of mutations. names may be nil. The error is
// an *ovsdb.Error.
func ParseMutations(t *schema.Table, v jsontree.Value, names ovsdb.Names) ([]Mutation, error) {
	if v.Kind() != jsontree.Array {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "array expected")
	}
	out := make([]Mutation, 0, v.Len())
	for _, mv := range v.Array() {
		m, err := parseMutation(t, mv, names)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func parseMutation(t *schema.Table, v jsontree.Value, names ovsdb.Names) (Mutation, error) {
	none := Mutation{}
	arr := v.Array()
	if len(arr) != 3 || arr[0].Kind() != jsontree.String || arr[1].Kind() != jsontree.String {
		return none, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "Parse error in mutation.")
	}
	col := t.Column(arr[0].Str())
	if col == nil {
		return none, ovsdb.SyntaxErrorf(ovsdb.ErrColumn, v, "No column %s in table %s.", arr[0].Str(), t.Name)
	}
	if !col.Mutable {
		return none, ovsdb.SyntaxErrorf(ovsdb.ErrConstraint, v, "Cannot mutate immutable column %s in table %s.", col.Name, t.Name)
	}
	i := slices.Index(mutatorNames[:], arr[1].Str())
	if i < 0 {
		return none, ovsdb.Errorf(ovsdb.ErrMutator, "No mutator named %s.", arr[1].Str())
	}
	m := Mutation{Mutator: Mutator(i), Column: col}
	mismatch := func() error {
		return ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v,
			"Type mismatch: \"%s\" operator may not be applied to column %s of type %s.", m.Mutator, col.Name, &col.Type)
	}
	typ := col.Type
	switch m.Mutator {
	case Insert, Delete:
		if typ.IsScalar() {
			return none, mismatch()
		}
		typ.Min = 0
		if m.Mutator == Insert {
			break
		}
		typ.Max = ovsdb.Unlimited
		if typ.IsMap() {
			var err error
			if m.Arg, err = ovsdb.DecodeDatum(arr[2], &typ, names); err == nil {
				return m, nil
			}
			typ.Value = nil // not pairs: then a set of keys
		}
	default:
		number := typ.Key.Type == ovsdb.Integer || typ.Key.Type == ovsdb.Real && m.Mutator != Mod
		if typ.IsMap() || !number {
			return none, mismatch()
		}
		typ = ovsdb.ScalarType(typ.Key.Type)
	}
	var err error
	if m.Arg, err = ovsdb.DecodeDatum(arr[2], &typ, names); err != nil {
		return none, err
	}
	return m, nil
}

// Apply returns the column's value after the mutation of d. The error is an
// *ovsdb.Error: domain error, range error or constraint violation.
func (m *Mutation) Apply(d ovsdb.Datum) (ovsdb.Datum, error) {
	t := &m.Column.Type
	switch m.Mutator {
	case Insert:
		d = d.Union(m.Arg)
		return d, t.CheckSize(d)
	case Delete:
		d = d.Minus(m.Arg)
		return d, t.CheckSize(d)
	}
	arg, _ := m.Arg.Scalar()
	out := make([]ovsdb.Atom, d.Len())
	for i, a := range d.Keys() {
		var err error
		if t.Key.Type == ovsdb.Integer {
			out[i], err = m.integer(a.Int(), arg.Int())
		} else {
			out[i], err = m.real(a.Real(), arg.Real())
		}
		if err != nil {
			return ovsdb.Datum{}, err
		}
		if err := t.Key.Check(out[i]); err != nil {
			return ovsdb.Datum{}, err
		}
	}
	set := ovsdb.NewSet(out...)
	if set.Len() != d.Len() {
		return ovsdb.Datum{}, ovsdb.Errorf(ovsdb.ErrConstraint, "Result of \"%s\" operation contains duplicates.", m.Mutator)
	}
	return set, nil
}

func (m *Mutation) overflow() error {
	return ovsdb.Errorf(ovsdb.ErrRange, "Result of \"%s\" operation is out of range.", m.Mutator)
}

func divisionByZero() error { return ovsdb.Errorf(ovsdb.ErrDomain, "Division by zero.") }

func (m *Mutation) integer(x, y int64) (ovsdb.Atom, error) {
	var z int64
	ok := true
	switch m.Mutator {
	case Add:
		z = x + y
		ok = (z > x) == (y > 0)
	case Sub:
		z = x - y
		ok = (z < x) == (y > 0)
	case Mul:
		z = x * y
		ok = x == 0 || y == 0 || z/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	case Div, Mod:
		switch {
		case y == 0:
			return ovsdb.Atom{}, divisionByZero()
		case y == -1 && x == math.MinInt64:
			ok = false // of %= too, though the remainder is 0: as stock answers
		case m.Mutator == Div:
			z = x / y
		default:
			z = x % y
		}
	}
	if !ok {
		return ovsdb.Atom{}, m.overflow()
	}
	return ovsdb.Int(z), nil
}

func (m *Mutation) real(x, y float64) (ovsdb.Atom, error) {
	var z float64
	switch m.Mutator {
	case Add:
		z = x + y
	case Sub:
		z = x - y
	case Mul:
		z = x * y
	case Div:
		if y == 0 {
			return ovsdb.Atom{}, divisionByZero()
		}
		z = x / y
	}
	if math.IsInf(z, 0) || math.IsNaN(z) {
		return ovsdb.Atom{}, m.overflow()
	}
	return ovsdb.RealOf(z), nil
}
