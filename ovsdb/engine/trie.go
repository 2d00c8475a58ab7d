// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/bits"

	"github.com/weirswitch/weir/ovsdb"
)

// trie is a persistent map from UUID to entry: 16 ways, the UUID's hex digits
// from the left, so that walking it gives the UUIDs in order. A trie is a value;
// set and del return another one and leave the old one as it was, except that
// nodes made under the same edit are changed in place: they are not shared yet.
type trie struct {
	root *node
	n    int
}

// edit marks the nodes that one commit made.
type edit struct{ _ byte }

// entry is what the trie holds of a row: the row and what the engine knows
// about it.
type entry struct {
	row  *ovsdb.Row
	meta *meta
}

type node struct {
	owner *edit
	used  uint16 // bit i: digit i has a slot
	slots []slot // one for each bit set, in order
}

// slot is either a child or an entry.
type slot struct {
	child *node
	entry
}

func digit(id *ovsdb.UUID, depth int) uint16 {
	b := id[depth/2]
	if depth%2 == 0 {
		b >>= 4
	}
	return uint16(b & 15)
}

// at returns the position of a digit's slot and whether there is one.
func (n *node) at(d uint16) (int, bool) {
	return bits.OnesCount16(n.used & (1<<d - 1)), n.used&(1<<d) != 0
}

func (t trie) get(id ovsdb.UUID) (entry, bool) {
	n := t.root
	for depth := 0; n != nil; depth++ {
		i, ok := n.at(digit(&id, depth))
		if !ok {
			return entry{}, false
		}
		s := &n.slots[i]
		if s.child == nil {
			return s.entry, s.row.ID == id
		}
		n = s.child
	}
	return entry{}, false
}

// set returns the trie with the entry under its row's UUID.
func (t trie) set(e entry, ed *edit) trie {
	id := e.row.ID
	if t.root == nil {
		t.root = &node{owner: ed}
	}
	root, added := t.root.set(&id, 0, e, ed)
	t.root = root
	if added {
		t.n++
	}
	return t
}

// own returns a node that may be changed under the edit.
func (n *node) own(ed *edit) *node {
	if n.owner == ed {
		return n
	}
	c := &node{owner: ed, used: n.used, slots: make([]slot, len(n.slots), len(n.slots)+1)}
	copy(c.slots, n.slots)
	return c
}

func (n *node) set(id *ovsdb.UUID, depth int, e entry, ed *edit) (*node, bool) {
	n = n.own(ed)
	d := digit(id, depth)
	i, ok := n.at(d)
	if !ok {
		n.used |= 1 << d
		n.slots = append(n.slots, slot{})
		copy(n.slots[i+1:], n.slots[i:])
		n.slots[i] = slot{entry: e}
		return n, true
	}
	s := &n.slots[i]
	switch {
	case s.child != nil:
		child, added := s.child.set(id, depth+1, e, ed)
		s.child = child
		return n, added
	case s.row.ID == *id:
		s.entry = e
		return n, false
	}
	child := &node{owner: ed}
	old := s.row.ID
	child, _ = child.set(&old, depth+1, s.entry, ed)
	child, _ = child.set(id, depth+1, e, ed)
	n.slots[i] = slot{child: child}
	return n, true
}

// del returns the trie without the UUID, which may be absent.
func (t trie) del(id ovsdb.UUID, ed *edit) trie {
	if _, ok := t.get(id); !ok {
		return t
	}
	t.root = t.root.del(&id, 0, ed)
	t.n--
	return t
}

// del removes a UUID that is there; it returns nil for a node left empty.
func (n *node) del(id *ovsdb.UUID, depth int, ed *edit) *node {
	n = n.own(ed)
	d := digit(id, depth)
	i, _ := n.at(d)
	s := &n.slots[i]
	if s.child != nil {
		child := s.child.del(id, depth+1, ed)
		switch {
		case child != nil && len(child.slots) == 1 && child.slots[0].child == nil:
			*s = child.slots[0] // a chain to one entry is not kept
			return n
		case child != nil:
			s.child = child
			return n
		}
	}
	n.used &^= 1 << d
	copy(n.slots[i:], n.slots[i+1:])
	n.slots[len(n.slots)-1] = slot{}
	n.slots = n.slots[:len(n.slots)-1]
	if len(n.slots) == 0 {
		return nil
	}
	return n
}

// walk calls f for every entry in the order of UUIDs until it returns false.
func (t trie) walk(f func(entry) bool) { t.root.walk(f) }

func (n *node) walk(f func(entry) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.slots {
		s := &n.slots[i]
		if s.child != nil {
			if !s.child.walk(f) {
				return false
			}
		} else if !f(s.entry) {
			return false
		}
	}
	return true
}
