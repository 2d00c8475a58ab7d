// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/weirswitch/weir/datapath/dpif"
)

// maskMaps is where the mask table writes what it decides.
type maskMaps interface {
	putMask(n uint32, m *cMask) error
	putOrder(list uint32, o *cOrder) error
	putActive(list uint32) error
	barrier() error
}

// masks is the table of masks in use. A mask has a number, which flows name
// and which is its place in the map, and a place in the order in which lookups
// try them. The order has lookMasks places.
//
// A new mask is appended to the list in force, a mask without flows is
// marked unused and left there: neither can be seen half done. When no place is left
// the list is written anew without the unused masks to the one that is not in
// force, and then that is put in force. So it is when the order changes, see rank.
type masks struct {
	maps   maskMaps
	rand   *rand.Rand // of the seeds, so that nobody can foresee hash collisions
	byKey  map[cKey]uint32
	use    [maxMasks]maskUse
	order  cOrder // in force
	placed int    // masks in order, unused ones included
	active uint32
	dirty  bool // a program may still use the list that is not in force

	counted [maxMasks]uint64 // packets by mask at the last rank
}

type maskUse struct {
	mask  cMask
	flows int
}

func newMasks(maps maskMaps, rnd *rand.Rand) *masks {
	return &masks{maps: maps, rand: rnd, byKey: make(map[cKey]uint32)}
}

// get returns the number of the mask of words and counts one flow more, which
// put takes off. It fails with dpif.ErrFull.
func (t *masks) get(words cKey) (uint32, error) {
	if n, ok := t.byKey[words]; ok {
		t.use[n].flows++
		return n, nil
	}
	if len(t.byKey) == lookMasks {
		return 0, fmt.Errorf("add mask: %d masks are in use, as many as a lookup tries: %w", lookMasks, dpif.ErrFull)
	}
	// A number that is in the order's list, unused, comes back to life where it is.
	n := slices.IndexFunc(t.use[:], func(u maskUse) bool { return u.flows == 0 })
	m := newMask(words, t.rand.Uint64())
	if err := t.maps.putMask(uint32(n), &m); err != nil {
		return 0, err
	}
	if !slices.Contains(t.order.Slot[:t.placed], uint32(n)+1) {
		if err := t.place(uint32(n)); err != nil {
			m.Groups = 0
			t.maps.putMask(uint32(n), &m) // best effort: a mask without flows does no harm
			return 0, err
		}
	}
	t.use[n] = maskUse{m, 1}
	t.byKey[words] = uint32(n)
	return uint32(n), nil
}

// place appends mask n to the order.
func (t *masks) place(n uint32) error {
	if t.placed < lookMasks {
		o := t.order
		o.Slot[t.placed] = n + 1
		if err := t.maps.putOrder(t.active, &o); err != nil {
			return err
		}
		t.order = o
		t.placed++
		return nil
	}
	var list []uint32
	for _, s := range t.order.Slot[:t.placed] {
		if t.use[s-1].flows > 0 {
			list = append(list, s-1)
		}
	}
	return t.reorder(append(list, n))
}

// reorder puts the masks of list, at most lookMasks, in force in that order.
func (t *masks) reorder(list []uint32) error {
	if t.dirty {
		if err := t.maps.barrier(); err != nil {
			return err
		}
		t.dirty = false
	}
	var o cOrder
	for i, n := range list {
		o.Slot[i] = n + 1
	}
	next := t.active ^ 1
	if err := t.maps.putOrder(next, &o); err != nil {
		return err
	}
	if err := t.maps.putActive(next); err != nil {
		return err
	}
	t.order, t.placed, t.active, t.dirty = o, len(list), next, true
	return nil
}

// rank is told what the flows of each mask have counted in all, and puts the masks that
// counted most since the last time first, if lookups then try less than nine
// tenths of the masks that they tried.
func (t *masks) rank(packets *[maxMasks]uint64) error {
	var recent [maxMasks]uint64
	for n := range recent {
		if packets[n] > t.counted[n] { // less if flows were deleted
			recent[n] = packets[n] - t.counted[n]
		}
	}
	t.counted = *packets
	var list []uint32
	var now, then uint64 // masks tried, times packets
	for i, s := range t.order.Slot[:t.placed] {
		if t.use[s-1].flows > 0 {
			list = append(list, s-1)
			now += recent[s-1] * uint64(i+1)
		}
	}
	slices.SortStableFunc(list, func(a, b uint32) int { return cmp.Compare(recent[b], recent[a]) })
	for i, n := range list {
		then += recent[n] * uint64(i+1)
	}
	if then >= now-now/10 {
		return nil
	}
	return t.reorder(list)
}

// put takes one flow off mask n.
func (t *masks) put(n uint32) error {
	u := &t.use[n]
	if u.flows--; u.flows > 0 {
		return nil
	}
	delete(t.byKey, u.mask.Word)
	m := u.mask
	m.Groups = 0
	return t.maps.putMask(n, &m)
}

func (t *masks) mask(n uint32) *cMask { return &t.use[n].mask }
