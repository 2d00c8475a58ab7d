// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"slices"
)

// Datum is the value of a column: a set of atoms, a map from atoms to atoms, or
// (a set of exactly one) a single atom. It is immutable and one pointer in size.
// The zero Datum is the empty set.
type Datum struct{ d *data }

// data holds a set's elements, or a map's n keys followed by its n values.
// Elements and keys are sorted and unique.
type data struct {
	atoms []Atom
	isMap bool
}

// emptyMap is the one empty map; nothing changes it.
var emptyMap = &data{isMap: true}

// single holds a set of one element in one allocation.
type single struct {
	data
	one [1]Atom
}

// One returns the set of exactly one element, which is also a scalar's value.
func One(a Atom) Datum {
	s := &single{one: [1]Atom{a}}
	s.atoms = s.one[:]
	return Datum{&s.data}
}

// NewSet returns the set of the atoms; doubles count once. The slice is not kept.
func NewSet(atoms ...Atom) Datum {
	switch len(atoms) {
	case 0:
		return Datum{}
	case 1:
		return One(atoms[0])
	}
	s := slices.Clone(atoms)
	slices.SortFunc(s, Atom.Compare)
	return setOf(slices.Compact(s))
}

// setOf wraps sorted unique atoms, which it keeps.
func setOf(sorted []Atom) Datum {
	if len(sorted) == 0 {
		return Datum{}
	}
	return Datum{&data{atoms: slices.Clip(sorted)}}
}

// Pair is an entry of a map.
type Pair struct{ K, V Atom }

// NewMap returns the map of the pairs; of several with one key the last counts.
func NewMap(pairs ...Pair) Datum {
	p := slices.Clone(pairs)
	slices.SortStableFunc(p, func(a, b Pair) int { return a.K.Compare(b.K) })
	n := 0
	for i := range p {
		if n > 0 && p[n-1].K == p[i].K {
			n--
		}
		p[n] = p[i]
		n++
	}
	return mapOf(p[:n])
}

// mapOf wraps pairs with sorted unique keys.
func mapOf(sorted []Pair) Datum {
	if len(sorted) == 0 {
		return Datum{emptyMap}
	}
	atoms := make([]Atom, 2*len(sorted))
	for i, p := range sorted {
		atoms[i], atoms[len(sorted)+i] = p.K, p.V
	}
	return Datum{&data{atoms: atoms, isMap: true}}
}

// IsMap reports whether the datum is a map.
func (d Datum) IsMap() bool { return d.d != nil && d.d.isMap }

// Len returns the number of elements or pairs.
func (d Datum) Len() int {
	switch {
	case d.d == nil:
		return 0
	case d.d.isMap:
		return len(d.d.atoms) / 2
	}
	return len(d.d.atoms)
}

// Key returns the i-th smallest element or key, 0 <= i < Len().
func (d Datum) Key(i int) Atom { return d.Keys()[i] }

// Value returns the value of the i-th pair of a map, 0 <= i < Len().
func (d Datum) Value(i int) Atom { return d.d.atoms[d.Len()+i] }

// Keys returns the elements or keys, sorted. The caller must not change them.
func (d Datum) Keys() []Atom {
	if d.d == nil {
		return nil
	}
	return d.d.atoms[:d.Len()]
}

// Values returns the values of a map in the order of its keys, nil for a set.
// The caller must not change them.
func (d Datum) Values() []Atom {
	if !d.IsMap() {
		return nil
	}
	return d.d.atoms[d.Len():]
}

// pair returns the i-th pair of a map.
func (d Datum) pair(i int) Pair { return Pair{d.Key(i), d.Value(i)} }

// Has reports whether a is an element or key.
func (d Datum) Has(a Atom) bool {
	_, ok := slices.BinarySearchFunc(d.Keys(), a, Atom.Compare)
	return ok
}

// Lookup returns the value of a map's key.
func (d Datum) Lookup(key Atom) (Atom, bool) {
	if !d.IsMap() {
		return Atom{}, false
	}
	i, ok := slices.BinarySearchFunc(d.Keys(), key, Atom.Compare)
	if !ok {
		return Atom{}, false
	}
	return d.Value(i), true
}

// Scalar returns the element of a set of exactly one.
func (d Datum) Scalar() (Atom, bool) {
	if d.Len() != 1 || d.IsMap() {
		return Atom{}, false
	}
	return d.d.atoms[0], true
}

// Equal reports whether the two hold the same elements or pairs.
func (d Datum) Equal(e Datum) bool {
	if d.d == e.d {
		return true
	}
	return d.Len() == e.Len() && d.IsMap() == e.IsMap() && (d.d == nil || e.d == nil || slices.Equal(d.d.atoms, e.d.atoms))
}

// Same reports whether the two are the same value in memory: a cheap test that
// may miss equal ones.
func (d Datum) Same(e Datum) bool { return d.d == e.d }

// Compare orders datums of one type: shorter first, then by keys, then by values.
func (d Datum) Compare(e Datum) int {
	if d.d == e.d {
		return 0
	}
	if c := d.Len() - e.Len(); c != 0 {
		return c
	}
	if d.d == nil || e.d == nil {
		return 0
	}
	return slices.CompareFunc(d.d.atoms, e.d.atoms, Atom.Compare)
}

// Includes reports whether every element or pair of e is in d.
func (d Datum) Includes(e Datum) bool {
	for i, k := range e.Keys() {
		j, ok := slices.BinarySearchFunc(d.Keys(), k, Atom.Compare)
		if !ok || e.IsMap() && (!d.IsMap() || d.Value(j) != e.Value(i)) {
			return false
		}
	}
	return true
}

// Excludes reports whether no element or pair of e is in d.
func (d Datum) Excludes(e Datum) bool {
	for i, k := range e.Keys() {
		j, ok := slices.BinarySearchFunc(d.Keys(), k, Atom.Compare)
		if ok && (!e.IsMap() || !d.IsMap() || d.Value(j) == e.Value(i)) {
			return false
		}
	}
	return true
}

// Union returns d with the elements or pairs of e that it lacks. A key of a map
// that d has keeps its value: RFC 7047, section 5.1, "insert".
func (d Datum) Union(e Datum) Datum {
	if e.Len() == 0 {
		return d
	}
	if d.Len() == 0 {
		return e
	}
	if d.Includes(e) {
		return d
	}
	n := d.Len() + e.Len()
	if d.IsMap() {
		out := make([]Pair, 0, n)
		Merge(d, e, func(i, j int) {
			if i >= 0 {
				out = append(out, d.pair(i))
			} else {
				out = append(out, e.pair(j))
			}
		})
		return mapOf(out)
	}
	out := make([]Atom, 0, n)
	Merge(d, e, func(i, j int) {
		if i >= 0 {
			out = append(out, d.Key(i))
		} else {
			out = append(out, e.Key(j))
		}
	})
	return setOf(out)
}

// Minus returns d without the elements of e; if both are maps without the pairs
// of e; if only d is a map without the keys in e: RFC 7047, section 5.1,
// "delete".
func (d Datum) Minus(e Datum) Datum {
	if d.Excludes(e) {
		return d
	}
	if d.IsMap() {
		var out []Pair
		Merge(d, e, func(i, j int) {
			if i >= 0 && (j < 0 || e.IsMap() && d.Value(i) != e.Value(j)) {
				out = append(out, d.pair(i))
			}
		})
		return mapOf(out)
	}
	var out []Atom
	Merge(d, e, func(i, j int) {
		if i >= 0 && j < 0 {
			out = append(out, d.Key(i))
		}
	})
	return setOf(out)
}

// Merge walks the keys of both in order: f gets the indexes of a key in d and
// in e, -1 where it is not.
func Merge(d, e Datum, f func(i, j int)) {
	dk, ek := d.Keys(), e.Keys()
	i, j := 0, 0
	for i < len(dk) || j < len(ek) {
		c := 0
		switch {
		case i == len(dk):
			c = 1
		case j == len(ek):
			c = -1
		default:
			c = dk[i].Compare(ek[j])
		}
		switch {
		case c < 0:
			f(i, -1)
			i++
		case c > 0:
			f(-1, j)
			j++
		default:
			f(i, j)
			i++
			j++
		}
	}
}
