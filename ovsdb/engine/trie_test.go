// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirswitch/weir/ovsdb"
)

// A trie against a map, old versions kept and compared again at the end. The
// UUIDs share long prefixes, so that there are deep chains.
func TestTrie(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	id := func() ovsdb.UUID {
		var u ovsdb.UUID
		for i := range r.IntN(17) {
			u[i] = byte(r.IntN(2) * 0x11 * r.IntN(16))
		}
		return u
	}
	type version struct {
		t trie
		m map[ovsdb.UUID]*ovsdb.Row
	}
	var kept []version
	cur := version{m: map[ovsdb.UUID]*ovsdb.Row{}}
	check := func(v version) {
		t.Helper()
		if v.t.n != len(v.m) {
			t.Fatalf("%d entries, want %d", v.t.n, len(v.m))
		}
		var ids []ovsdb.UUID
		v.t.walk(func(e entry) bool {
			if v.m[e.row.ID] != e.row {
				t.Fatalf("%s: wrong row", e.row.ID)
			}
			ids = append(ids, e.row.ID)
			return true
		})
		want := slices.SortedFunc(maps.Keys(v.m), ovsdb.UUID.Compare)
		if !slices.Equal(ids, want) {
			t.Fatalf("walked %v, want %v", ids, want)
		}
		for u, row := range v.m {
			if e, ok := v.t.get(u); !ok || e.row != row {
				t.Fatalf("%s not found", u)
			}
		}
		if u := id(); v.m[u] == nil {
			if _, ok := v.t.get(u); ok {
				t.Fatalf("%s found", u)
			}
		}
	}
	for i := range 3000 {
		ed := new(edit)
		cur.m = maps.Clone(cur.m)
		for range 1 + r.IntN(5) {
			u := id()
			if r.IntN(2) == 0 && len(cur.m) > 0 {
				if r.IntN(4) > 0 {
					keys := slices.SortedFunc(maps.Keys(cur.m), ovsdb.UUID.Compare)
					u = keys[r.IntN(len(keys))]
				}
				delete(cur.m, u)
				cur.t = cur.t.del(u, ed)
			} else {
				row := ovsdb.NewRow(u, u, nil)
				cur.m[u] = row
				cur.t = cur.t.set(entry{row: row}, ed)
			}
		}
		check(cur)
		if i%50 == 0 {
			kept = append(kept, cur)
		}
	}
	for _, v := range kept {
		check(v)
	}
}
