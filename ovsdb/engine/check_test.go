// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/weirswitch/weir/ovsdb"
)

// Check is the slow, obvious twin of what commits keep by difference: it looks
// at every row of every table and counts everything again.
func (db *DB) Check() error {
	snap := db.Snapshot()
	strong := map[rowKey]int{}
	weak := map[rowKey]map[rowKey]int{}
	for _, t := range db.schema.Tables {
		n := 0
		last := ovsdb.UUID{}
		for r := range snap.Rows(t) {
			if n > 0 && last.Compare(r.ID) >= 0 {
				return fmt.Errorf("table %s: row %s after %s", t.Name, r.ID, last)
			}
			last = r.ID
			n++
			if snap.Row(t, r.ID) != r {
				return fmt.Errorf("table %s row %s is walked but not found", t.Name, r.ID)
			}
			src := rowKey{t.Index, r.ID}
			for i, c := range t.Columns {
				d := r.Get(i)
				if err := c.Type.Check(d); err != nil {
					return fmt.Errorf("table %s row %s column %s: %w", t.Name, r.ID, c.Name, err)
				}
				for j, a := range append(append([]ovsdb.Atom(nil), d.Keys()...), d.Values()...) {
					base, to := &c.Type.Key, c.KeyTable
					if j >= d.Len() {
						base, to = c.Type.Value, c.ValueTable
					}
					if to == nil {
						continue
					}
					dst := rowKey{to.Index, a.UUID()}
					if snap.Row(to, dst.id) == nil {
						return fmt.Errorf("table %s row %s column %s refers to a missing row", t.Name, r.ID, c.Name)
					}
					switch {
					case base.IsStrong() && dst != src:
						strong[dst]++
					case base.IsWeak():
						if weak[dst] == nil {
							weak[dst] = map[rowKey]int{}
						}
						weak[dst][src]++
					}
				}
			}
		}
		if n != snap.Len(t) {
			return fmt.Errorf("table %s: %d rows counted, %d kept", t.Name, n, snap.Len(t))
		}
		if n > t.MaxRows {
			return fmt.Errorf("table %s: %d rows of at most %d", t.Name, n, t.MaxRows)
		}
		for i, cols := range t.Indexes {
			ix := db.tables[t.Index].index[i]
			if len(ix) != n {
				return fmt.Errorf("table %s: index %d has %d entries for %d rows", t.Name, i, len(ix), n)
			}
			for r := range snap.Rows(t) {
				if key := string(appendKey(nil, cols, r)); ix[key] != r.ID {
					return fmt.Errorf("table %s: index %d has row %s at %s, not %s", t.Name, i, ix[key], key, r.ID)
				}
			}
		}
	}
	for _, t := range db.schema.Tables {
		var err error
		db.tables[t.Index].rows.walk(func(e entry) bool {
			key := rowKey{t.Index, e.row.ID}
			switch {
			case e.meta.strong != strong[key]:
				err = fmt.Errorf("table %s row %s: %d strong references counted, %d kept", t.Name, key.id, strong[key], e.meta.strong)
			case !t.IsRoot && strong[key] == 0:
				err = fmt.Errorf("table %s row %s is garbage", t.Name, key.id)
			case len(e.meta.weak) != len(weak[key]):
				err = fmt.Errorf("table %s row %s: weak references %v counted, %v kept", t.Name, key.id, weak[key], e.meta.weak)
			}
			for src, n := range weak[key] {
				if e.meta.weak[src] != n {
					err = fmt.Errorf("table %s row %s: weak references %v counted, %v kept", t.Name, key.id, weak[key], e.meta.weak)
				}
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
