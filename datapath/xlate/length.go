// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
)

// headLen is the size of a VLAN tag and of a label stack entry in bytes (IEEE 802.1Q, 9.3; RFC 3032, 2.1).
const headLen = 4

// heads returns how many bytes of tags and labels the packet has as actions have made it.
func (c *ctx) heads() int {
	n := len(c.labels) + len(c.below)
	if c.tagged() {
		n++
	}
	return n * headLen
}

// checkLen executes a check_pkt_larger in a translation that knows the packet's length.
func (c *ctx) checkLen(a action.CheckPktLarger) {
	if c.checked == nil {
		s := c.save()
		c.checked = &s
	}
	if !c.has(a.Dst.Field) {
		return
	}
	var v flow.U128
	if c.len+c.heads() > int(a.Len) {
		v.Lo = 1
	}
	c.setField(a.Dst.Field, v.Lsh(uint(a.Dst.Ofs)), a.Dst.Mask())
}

// ruleInstructions does what a rule, or what is left of it, says; false: not all of it. What a check_pkt_larger
// changes is for the rest of its rule, as in the stock switch, where each outcome is a branch of its own.
func (c *ctx) ruleInstructions(in *action.Instructions) bool {
	old := c.checked
	c.checked = nil
	all := c.instructions(in)
	if s := c.checked; s != nil && c.frozen == nil && c.err == nil {
		c.actionSet()
		c.restore(s)
		c.set = nil
	}
	c.checked = old
	return all
}
