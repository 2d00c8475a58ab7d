// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"slices"

	"github.com/weirswitch/weir/datapath/action"
)

// sharedSlots is how many instructions a Bridge remembers to share them.
const sharedSlots = 64

// share returns a copy of in, or what it gave out for equal instructions not long
// ago: in tables of any size most rules do one of a few things. Instructions
// are never changed, so it does not matter who else has them.
func (b *Bridge) share(in *action.Instructions) *action.Instructions {
	slot, ok := slotOf(in)
	if !ok {
		c := *in
		return &c
	}
	if old := b.shared[slot]; old != nil && same(old, in) {
		return old
	}
	c := *in
	b.shared[slot] = &c
	return &c
}

// slotOf returns where in would be remembered; false if it is not to be shared: it has
// many actions or one that == does not compare.
func slotOf(in *action.Instructions) (slot uint32, ok bool) {
	if len(in.Apply)+len(in.Write) > 4 {
		return 0, false
	}
	h := uint32(in.Goto) + uint32(len(in.Apply))<<2
	for _, l := range []action.List{in.Apply, in.Write} {
		for _, a := range l {
			h *= 31
			switch a := a.(type) {
			case action.Output:
				h += uint32(a.Port)
			case action.Group:
				h += a.ID
			case action.SetQueue:
				h += a.ID
			case action.PushVLAN:
				h += uint32(a.TPID)
			case action.PopVLAN:
			default:
				return 0, false
			}
		}
	}
	return h % sharedSlots, true
}

// same reports whether two instructions for which slotOf has a slot are equal.
func same(x, y *action.Instructions) bool {
	return x.Meter == y.Meter && x.ClearActions == y.ClearActions &&
		x.Metadata == y.Metadata && x.MetadataMask == y.MetadataMask &&
		x.Goto == y.Goto && x.HasGoto == y.HasGoto &&
		slices.Equal(x.Apply, y.Apply) && slices.Equal(x.Write, y.Write)
}
