// SPDX-License-Identifier: Apache-2.0

package vswitch

import (
	"fmt"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Values are new values of columns, by the columns' names: what ToDatum takes.
//
//	vswitch.Values{"ofport": int64(3), "error": nil, "statistics": map[string]int64{"rx_packets": 7}}
type Values map[string]any

// Set sets columns of a row. It reports false, without an error, if the row is
// not there (any more): what the switch knows may be older than the database.
// Columns that have the value already are not touched.
func Set(tx *engine.Txn, table string, id ovsdb.UUID, vals Values) (bool, error) {
	t, sets, err := convert(tx, table, vals)
	if err != nil || tx.Row(t, id) == nil {
		return false, err
	}
	if err := tx.Update(t, id, sets...); err != nil {
		return false, fmt.Errorf("set columns of %s row %s: %w", table, id, err)
	}
	return true, nil
}

// Insert inserts a row and returns its UUID.
func Insert(tx *engine.Txn, table string, vals Values) (ovsdb.UUID, error) {
	t, sets, err := convert(tx, table, vals)
	if err != nil {
		return ovsdb.UUID{}, err
	}
	id, err := tx.Insert(t, sets...)
	if err != nil {
		return ovsdb.UUID{}, fmt.Errorf("insert into %s: %w", table, err)
	}
	return id, nil
}

// EnsureRoot returns the UUID of the row of table Open_vSwitch, which it inserts
// if there is none, as "ovs-vsctl init" does.
func EnsureRoot(tx *engine.Txn) (ovsdb.UUID, error) {
	t := tx.Schema().Table("Open_vSwitch")
	for _, r := range tx.All(t) {
		return r.ID, nil
	}
	return Insert(tx, "Open_vSwitch", nil)
}

func convert(tx *engine.Txn, table string, vals Values) (*schema.Table, []engine.Set, error) {
	t := tx.Schema().Table(table)
	if t == nil {
		return nil, nil, fmt.Errorf("no table %s", table)
	}
	sets := make([]engine.Set, 0, len(vals))
	for name, v := range vals {
		c := t.Column(name)
		if c == nil {
			return nil, nil, fmt.Errorf("no column %s in table %s", name, table)
		}
		d, err := ToDatum(v)
		if err != nil {
			return nil, nil, fmt.Errorf("column %s of table %s: %w", name, table, err)
		}
		if d.Len() == 0 && c.Type.IsMap() {
			d = ovsdb.NewMap()
		}
		sets = append(sets, engine.Set{Column: c, Value: d})
	}
	return t, sets, nil
}

// ToDatum converts a Go value: int64, int, float64, bool, string, ovsdb.UUID; a
// pointer to one of them, nil being empty; slices of int64, string and UUID;
// maps from string to string, int64 and UUID, and from int64 to UUID; nil; and a
// Datum as it is. Whether it fits a column the transaction checks.
func ToDatum(v any) (ovsdb.Datum, error) {
	switch v := v.(type) {
	case nil:
		return ovsdb.Datum{}, nil
	case ovsdb.Datum:
		return v, nil
	case int:
		return ovsdb.One(ovsdb.Int(int64(v))), nil
	case int64:
		return ovsdb.One(ovsdb.Int(v)), nil
	case float64:
		return ovsdb.One(ovsdb.RealOf(v)), nil
	case bool:
		return ovsdb.One(ovsdb.Bool(v)), nil
	case string:
		return ovsdb.One(ovsdb.Str(v)), nil
	case ovsdb.UUID:
		return ovsdb.One(ovsdb.Ref(v)), nil
	case *int64:
		return optional(v, ovsdb.Int), nil
	case *bool:
		return optional(v, ovsdb.Bool), nil
	case *string:
		return optional(v, ovsdb.Str), nil
	case *ovsdb.UUID:
		return optional(v, ovsdb.Ref), nil
	case []int64:
		return set(v, ovsdb.Int), nil
	case []string:
		return set(v, ovsdb.Str), nil
	case []ovsdb.UUID:
		return set(v, ovsdb.Ref), nil
	case map[string]string:
		return mapping(v, ovsdb.Str, ovsdb.Str), nil
	case map[string]int64:
		return mapping(v, ovsdb.Str, ovsdb.Int), nil
	case map[string]ovsdb.UUID:
		return mapping(v, ovsdb.Str, ovsdb.Ref), nil
	case map[int64]ovsdb.UUID:
		return mapping(v, ovsdb.Int, ovsdb.Ref), nil
	}
	return ovsdb.Datum{}, fmt.Errorf("a value of type %T has no place in a column", v)
}

func optional[T any](p *T, atom func(T) ovsdb.Atom) ovsdb.Datum {
	if p == nil {
		return ovsdb.Datum{}
	}
	return ovsdb.One(atom(*p))
}

func set[T any](list []T, atom func(T) ovsdb.Atom) ovsdb.Datum {
	atoms := make([]ovsdb.Atom, len(list))
	for i, v := range list {
		atoms[i] = atom(v)
	}
	return ovsdb.NewSet(atoms...)
}

func mapping[K comparable, V any](m map[K]V, key func(K) ovsdb.Atom, val func(V) ovsdb.Atom) ovsdb.Datum {
	pairs := make([]ovsdb.Pair, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, ovsdb.Pair{K: key(k), V: val(v)})
	}
	return ovsdb.NewMap(pairs...)
}
