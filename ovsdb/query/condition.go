// SPDX-License-Identifier: Apache-2.0

package query

import (
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Function is a comparison: RFC 7047 <function>.
type Function uint8

// The functions. False and True are the Boolean clauses.
const (
	False Function = iota
	True
	Less
	LessEqual
	Equal
	NotEqual
	GreaterEqual
	Greater
	Includes
	Excludes
)

var functionNames = [...]string{"false", "true", "<", "<=", "==", "!=", ">=", ">", "includes", "excludes"}

// String returns the function as it is written.
func (f Function) String() string { return functionNames[f] }

func parseFunction(name string) (Function, bool) {
	i := slices.Index(functionNames[Less:], name)
	return Less + Function(i), i >= 0
}

// Clause is one <condition>: column function value.
type Clause struct {
	Function Function
	Column   *schema.Column // nil for True and False
	Value    ovsdb.Datum
}

// Condition is a list of clauses. The zero Condition has none: All and Any hold.
type Condition struct{ clauses []Clause }

// Where returns the condition of the given clauses, for callers without JSON.
func Where(clauses ...Clause) Condition { return Condition{clauses} }

// ParseCondition parses an array of clauses. names may be nil. The error is an
// *ovsdb.Error.
func ParseCondition(t *schema.Table, v jsontree.Value, names ovsdb.Names) (Condition, error) {
	if v.Kind() != jsontree.Array {
		return Condition{}, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "array expected")
	}
	var c Condition
	for _, cv := range v.Array() {
		cl, err := parseClause(t, cv, names)
		if err != nil {
			return Condition{}, err
		}
		c.clauses = append(c.clauses, cl)
	}
	return c, nil
}

func parseClause(t *schema.Table, v jsontree.Value, names ovsdb.Names) (Clause, error) {
	if v.Kind() == jsontree.Bool {
		if v.Bool() {
			return Clause{Function: True}, nil
		}
		return Clause{Function: False}, nil
	}
	arr := v.Array()
	if len(arr) != 3 || arr[0].Kind() != jsontree.String || arr[1].Kind() != jsontree.String {
		return Clause{}, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "Parse error in condition.")
	}
	col := t.Column(arr[0].Str())
	if col == nil {
		return Clause{}, ovsdb.SyntaxErrorf(ovsdb.ErrColumn, v, "No column %s in table %s.", arr[0].Str(), t.Name)
	}
	fn, ok := parseFunction(arr[1].Str())
	if !ok {
		return Clause{}, ovsdb.Errorf(ovsdb.ErrFunction, "No function named %s.", arr[1].Str())
	}
	typ := col.Type
	switch fn {
	case Less, LessEqual, GreaterEqual, Greater:
		number := typ.Key.Type == ovsdb.Integer || typ.Key.Type == ovsdb.Real
		if !number || !typ.IsScalar() && !typ.IsOptional() {
			return Clause{}, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v,
				"Type mismatch: \"%s\" operator may not be applied to column %s of type %s.", fn, col.Name, &col.Type)
		}
		typ.Min = 1
	case Includes:
		if !typ.IsScalar() {
			typ.Min = 0
		}
	case Excludes:
		if !typ.IsScalar() {
			typ.Min, typ.Max = 0, ovsdb.Unlimited
		}
	}
	val, err := ovsdb.DecodeDatum(arr[2], &typ, names)
	if err != nil {
		return Clause{}, err
	}
	return Clause{Function: fn, Column: col, Value: val}, nil
}

// Eval reports whether the clause holds for the row.
func (cl Clause) Eval(r *ovsdb.Row) bool {
	switch cl.Function {
	case False:
		return false
	case True:
		return true
	}
	d := r.Get(cl.Column.Index)
	switch cl.Function {
	case Equal:
		return d.Equal(cl.Value)
	case NotEqual:
		return !d.Equal(cl.Value)
	case Includes:
		return d.Includes(cl.Value)
	case Excludes:
		return d.Excludes(cl.Value)
	}
	a, ok := d.Scalar()
	b, ok2 := cl.Value.Scalar()
	if !ok || !ok2 {
		return false
	}
	c := a.Compare(b)
	switch cl.Function {
	case Less:
		return c < 0
	case LessEqual:
		return c <= 0
	case GreaterEqual:
		return c >= 0
	}
	return c > 0
}

// All reports whether every clause holds: the meaning of "where".
func (c Condition) All(r *ovsdb.Row) bool {
	for _, cl := range c.clauses {
		if !cl.Eval(r) {
			return false
		}
	}
	return true
}

// Any reports whether a clause holds, or there is none: the meaning of a
// monitor's "where".
func (c Condition) Any(r *ovsdb.Row) bool {
	for _, cl := range c.clauses {
		if cl.Eval(r) {
			return true
		}
	}
	return len(c.clauses) == 0
}

// Clauses returns the clauses. The caller must not change them.
func (c Condition) Clauses() []Clause { return c.clauses }

// Columns returns the indexes of the columns that the clauses look at,
// ascending.
func (c Condition) Columns() []int {
	var out []int
	for _, cl := range c.clauses {
		if cl.Column != nil {
			out = append(out, cl.Column.Index)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Equal reports whether the two have the same clauses in the same order.
func (c Condition) Equal(d Condition) bool {
	return slices.EqualFunc(c.clauses, d.clauses, func(a, b Clause) bool {
		return a.Function == b.Function && a.Column == b.Column && a.Value.Equal(b.Value)
	})
}

// AppendJSON appends the condition as an array of clauses.
func (c Condition) AppendJSON(b []byte) []byte {
	b = append(b, '[')
	for i, cl := range c.clauses {
		if i > 0 {
			b = append(b, ',')
		}
		if cl.Column == nil {
			b = append(b, cl.Function.String()...)
			continue
		}
		b = append(b, '[')
		b = jsontree.AppendString(b, cl.Column.Name)
		b = append(b, ',')
		b = jsontree.AppendString(b, cl.Function.String())
		b = append(b, ',')
		b = cl.Value.AppendJSON(b)
		b = append(b, ']')
	}
	return append(b, ']')
}
