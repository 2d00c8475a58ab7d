// SPDX-License-Identifier: Apache-2.0

package ovsdb

// Diff returns the difference of two values of a column that may hold more than
// one element (ColumnType.Max > 1), in the form of "update2" messages and of
// "_is_diff" records: of a set the elements that are in one but not in both; of
// a map the pairs that were added, those that were removed, and for a key whose
// value changed the new pair. Apply undoes it.
func Diff(old, new Datum) Datum {
	if old.IsMap() || new.IsMap() {
		var out []Pair
		Merge(old, new, func(i, j int) {
			switch {
			case i < 0:
				out = append(out, new.pair(j))
			case j < 0:
				out = append(out, old.pair(i))
			case old.Value(i) != new.Value(j):
				out = append(out, new.pair(j))
			}
		})
		return mapOf(out)
	}
	var out []Atom
	Merge(old, new, func(i, j int) {
		switch {
		case i < 0:
			out = append(out, new.Key(j))
		case j < 0:
			out = append(out, old.Key(i))
		}
	})
	return setOf(out)
}

// Apply applies the difference of a column's value: the reverse of ModifyOf. It
// fails if the result does not fit the type's size, as a difference can that
// was made for another value.
func Apply(old, diff Datum, t *ColumnType) (Datum, error) {
	var d Datum
	switch {
	case t.Max == 1:
		d = diff
	case t.IsMap():
		var out []Pair
		Merge(old, diff, func(i, j int) {
			switch {
			case j < 0:
				out = append(out, old.pair(i))
			case i < 0 || old.Value(i) != diff.Value(j):
				out = append(out, diff.pair(j))
			}
		})
		d = mapOf(out)
	default:
		d = Diff(old, diff) // XOR is its own inverse
	}
	if err := t.CheckSize(d); err != nil {
		return Datum{}, err
	}
	return d, nil
}

// ModifyOf returns what stands for a changed column in the "modify" member of
// an update2 message and in an "_is_diff" record: the new value if the type
// allows one element at most, else the difference.
func ModifyOf(t *ColumnType, old, new Datum) Datum {
	if t.Max == 1 {
		return new
	}
	return Diff(old, new)
}

// AppendModify appends ModifyOf in RFC 7047 notation.
func AppendModify(b []byte, t *ColumnType, old, new Datum) []byte {
	return ModifyOf(t, old, new).AppendJSON(b)
}
