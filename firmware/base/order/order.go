// SPDX-License-Identifier: Apache-2.0

// Package order sorts slices of structs in little code: package slices compiles its whole sort, some 15 kB, for each
// type of element, this one two small functions. It is for lists that are short or rarely sorted; where
// the time counts, or the elements are pointers, strings or numbers (which share their code), use package slices.
package order

import "sort"

// Sort sorts s by compare, like slices.SortFunc: elements that are equal come in any order.
func Sort[E any](s []E, compare func(a, b E) int) {
	if len(s) > 1 {
		sort.Slice(s, func(i, j int) bool { return compare(s[i], s[j]) < 0 })
	}
}

// Stable is Sort that keeps the order of equal elements, like slices.SortStableFunc.
func Stable[E any](s []E, compare func(a, b E) int) {
	if len(s) > 1 {
		sort.SliceStable(s, func(i, j int) bool { return compare(s[i], s[j]) < 0 })
	}
}
