// SPDX-License-Identifier: Apache-2.0

package vswitch

import (
	"fmt"
	"reflect"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// binding says how the columns of a table fill the fields of a row type.
type binding struct {
	table  *schema.Table
	fields []field
}

type field struct {
	column *schema.Column
	index  int // in the struct
}

// bind matches the fields that have an "ovs" tag with a table's columns. A
// column that the schema does not have leaves its field zero: the database may
// be of an older schema. One of another type is an error.
func bind(t *schema.Table, row reflect.Type) (binding, error) {
	b := binding{table: t}
	for i := range row.NumField() {
		name, ok := row.Field(i).Tag.Lookup("ovs")
		if !ok {
			continue
		}
		c := t.Column(name)
		if c == nil {
			continue
		}
		if want := goType(&c.Type); row.Field(i).Type != want {
			return b, fmt.Errorf("table %s: column %s of type %s needs a field of type %s, not %s",
				t.Name, name, &c.Type, want, row.Field(i).Type)
		}
		b.fields = append(b.fields, field{c, i})
	}
	return b, nil
}

// goType returns the Go type for a column.
func goType(t *ovsdb.ColumnType) reflect.Type {
	key := goAtom(t.Key.Type)
	switch {
	case t.IsMap():
		return reflect.MapOf(key, goAtom(t.Value.Type))
	case t.IsScalar():
		return key
	case t.IsOptional():
		return reflect.PointerTo(key)
	}
	return reflect.SliceOf(key)
}

func goAtom(t ovsdb.Type) reflect.Type {
	switch t {
	case ovsdb.Integer:
		return reflect.TypeFor[int64]()
	case ovsdb.Real:
		return reflect.TypeFor[float64]()
	case ovsdb.Boolean:
		return reflect.TypeFor[bool]()
	case ovsdb.String:
		return reflect.TypeFor[string]()
	}
	return reflect.TypeFor[ovsdb.UUID]()
}

func atomValue(a ovsdb.Atom) reflect.Value {
	switch a.Type() {
	case ovsdb.Integer:
		return reflect.ValueOf(a.Int())
	case ovsdb.Real:
		return reflect.ValueOf(a.Real())
	case ovsdb.Boolean:
		return reflect.ValueOf(a.Bool())
	case ovsdb.String:
		return reflect.ValueOf(a.Str())
	}
	return reflect.ValueOf(a.UUID())
}

// fill sets the fields of a row that is all zero.
func (b *binding) fill(row reflect.Value, r *ovsdb.Row) {
	for _, f := range b.fields {
		d := r.Get(f.column.Index)
		if d.Len() == 0 {
			continue
		}
		v := row.Field(f.index)
		switch t := &f.column.Type; {
		case t.IsMap():
			v.Set(reflect.MakeMapWithSize(v.Type(), d.Len()))
			for i := range d.Len() {
				v.SetMapIndex(atomValue(d.Key(i)), atomValue(d.Value(i)))
			}
		case t.IsScalar():
			v.Set(atomValue(d.Key(0)))
		case t.IsOptional():
			p := reflect.New(v.Type().Elem())
			p.Elem().Set(atomValue(d.Key(0)))
			v.Set(p)
		default:
			v.Set(reflect.MakeSlice(v.Type(), d.Len(), d.Len()))
			for i, a := range d.Keys() {
				v.Index(i).Set(atomValue(a))
			}
		}
	}
}
