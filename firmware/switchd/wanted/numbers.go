// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"cmp"
	"maps"
	"slices"

	"github.com/weirswitch/weir/firmware/base/order"
)

// Port numbers of OpenFlow in their 16-bit form (OpenFlow 1.0, 5.1): an
// ordinary port has 1 to MaxOfport, a bridge's own port LocalOfport.
const (
	MaxOfport   = 0xfeff
	LocalOfport = 0xfffe
)

// Numbers gives things numbers from 1 to a bound, keeps them, and gives a
// number that was taken back only when every other has been used since. The
// zero Numbers is ready; it holds at most bound entries of each sort.
type Numbers struct {
	held     map[string]uint32
	released map[uint32]uint64 // -> when, by count
	count    uint64
}

// Claim is a thing that needs a number.
type Claim struct {
	Name    string
	Request uint32 // honoured when free; 0: any
	Hint    uint32 // honoured when free and nothing is held or requested; 0: any
}

// Assign gives each claim its number, takes back those of names that are not
// among the claims, and returns the numbers by name. A claim for which none is
// left has none. Which claim comes first does not matter: what is held stays,
// then requests, hints and the rest are served, each in the order of names.
func (n *Numbers) Assign(claims []Claim, bound uint32) map[string]uint32 {
	if n.held == nil {
		n.held, n.released = map[string]uint32{}, map[uint32]uint64{}
	}
	claims = slices.Clone(claims)
	order.Sort(claims, func(a, b Claim) int { return cmp.Compare(a.Name, b.Name) })
	wanted := map[string]bool{}
	for _, c := range claims {
		wanted[c.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(n.held)) {
		if !wanted[name] {
			n.release(name, n.held[name])
		}
	}
	used := map[uint32]bool{}
	for _, no := range n.held {
		used[no] = true
	}
	take := func(name string, no uint32) bool {
		if no == 0 || no > bound || used[no] {
			return false
		}
		if old, ok := n.held[name]; ok {
			n.release(name, old)
			delete(used, old)
		}
		n.held[name], used[no] = no, true
		delete(n.released, no)
		return true
	}
	// One that moves to the number it asked for may leave that of another.
	for moved := true; moved; {
		moved = false
		for _, c := range claims {
			if n.held[c.Name] != c.Request && take(c.Name, c.Request) {
				moved = true
			}
		}
	}
	for _, c := range claims {
		if n.held[c.Name] == 0 {
			take(c.Name, c.Hint)
		}
	}
	for _, c := range claims {
		if n.held[c.Name] == 0 {
			take(c.Name, n.free(used, bound))
		}
	}
	numbers := make(map[string]uint32, len(claims))
	for name, no := range n.held {
		numbers[name] = no
	}
	return numbers
}

func (n *Numbers) release(name string, no uint32) {
	delete(n.held, name)
	n.count++
	n.released[no] = n.count
}

// free returns the lowest number that nobody has had, else the one that was
// released longest ago, else 0.
func (n *Numbers) free(used map[uint32]bool, bound uint32) uint32 {
	var oldest uint32
	for no := uint32(1); no <= bound; no++ {
		if used[no] {
			continue
		}
		when, was := n.released[no]
		if !was {
			return no
		}
		if oldest == 0 || when < n.released[oldest] {
			oldest = no
		}
	}
	return oldest
}
