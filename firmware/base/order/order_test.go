// SPDX-License-Identifier: Apache-2.0

package order

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct{ key, at int }

func byKey(a, b item) int { return cmp.Compare(a.key, b.key) }

// TestOrder compares with package slices, for lengths about those at which the algorithms change.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		in := make([]item, n)
		for i := range in {
			in[i] = item{r.IntN(1 + n/3), i}
		}
		want, got := slices.Clone(in), slices.Clone(in)
		slices.SortStableFunc(want, byKey)
		Stable(got, byKey)
		if !slices.Equal(got, want) {
			t.Fatalf("Stable(%v) = %v, want %v", in, got, want)
		}
		Sort(in, func(a, b item) int { return cmp.Or(byKey(a, b), cmp.Compare(a.at, b.at)) })
		if !slices.Equal(in, want) {
			t.Fatalf("Sort: %v, want %v", in, want)
		}
	}
}
