// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// The tags of the packet in the tables are vlan_tci and vlan_tpid of ctx.flow (the outermost)
// and ctx.below (the others, of which the first is cvlan_tci and cvlan_tpid). The outermost may
// be the packet's own, with bits that are not constants; those below are all constants,
// or the packet's own second tag in its own place.

// tag is a VLAN tag.
type tag struct {
	tpid, tci uint16 // tci with flow.VLANPresent
	wr        uint16 // bits of tci that are constants
	orig      int8   // the packet's tag with this index, or made
}

// Values of tag.orig and ctx.topOrig.
const (
	made  int8 = -1
	noTag int8 = -2
)

func (c *ctx) startTags() {
	c.topOrig = noTag
	if c.orig.VLANTCI()&flow.VLANPresent == 0 {
		return
	}
	c.topOrig = 0
	c.baseTags = []tag{{tpid: uint16(c.orig.U64(flow.FieldVLANTPID)), tci: c.orig.VLANTCI()}}
	if t := uint16(c.orig.U64(flow.FieldCVLANTCI)); t&flow.VLANPresent != 0 {
		second := tag{tpid: uint16(c.orig.U64(flow.FieldCVLANTPID)), tci: t, orig: 1}
		c.baseTags = append(c.baseTags, second)
		c.below = []tag{second}
	}
}

// tagged reports whether there is a tag. That counts always.
func (c *ctx) tagged() bool { return c.topOrig != noTag }

// slots writes the fields of both tags as constants.
func (c *ctx) slots(top, second tag) {
	c.writeU64(flow.FieldVLANTCI, uint64(top.tci))
	c.writeU64(flow.FieldVLANTPID, uint64(top.tpid))
	c.writeU64(flow.FieldCVLANTCI, uint64(second.tci))
	c.writeU64(flow.FieldCVLANTPID, uint64(second.tpid))
}

// needTags makes the TCIs of the packet's own tags count as a whole: they move to
// places where they are not the packet's own bits any more. (No table matches a
// TPID; commitTags makes one count that it has to restore.)
func (c *ctx) needTags() {
	c.needField(flow.FieldVLANTCI, flow.Ones(16))
	c.needField(flow.FieldCVLANTCI, flow.Ones(16))
}

// top returns the outermost tag.
func (c *ctx) top() tag {
	return tag{
		tpid: uint16(c.flow.U64(flow.FieldVLANTPID)), tci: c.flow.VLANTCI(),
		wr: uint16(c.wr.Get(flow.FieldVLANTCI).Lo), orig: c.topOrig,
	}
}

func (c *ctx) pushTag(tpid, tci uint16) {
	t := tag{tpid: tpid, tci: tci | flow.VLANPresent, wr: 0xffff, orig: made}
	var second tag
	if c.tagged() {
		c.needTags()
		second = c.top()
		second.wr = 0xffff
		below := make([]tag, 0, len(c.below)+1)
		c.below = append(append(below, second), c.below...)
	}
	c.slots(t, second)
	c.topOrig = made
	if c.tr != nil {
		c.tr.tags = max(c.tr.tags, len(c.below)+1)
	}
}

// popTag removes the outermost tag; there is one.
func (c *ctx) popTag() {
	var t, second tag
	if len(c.below) == 0 {
		c.needField(flow.FieldCVLANTCI, flow.U128{Lo: flow.VLANPresent})
		c.slots(t, second)
		c.topOrig = noTag
		return
	}
	c.needTags()
	t = c.below[0]
	c.below = c.below[1:]
	if len(c.below) > 0 {
		second = c.below[0]
	}
	c.slots(t, second)
	c.topOrig = t.orig
}

// commitTags makes the tags of the packet in the datapath those of c.flow.
func (c *ctx) commitTags() {
	var want []tag
	if c.tagged() {
		want = append(append(want, c.top()), c.below...)
	}
	have := c.baseTags
	// From the innermost on, find what both have in common; the last of that may
	// still differ in its TCI.
	n := 0
	var diff uint16
	for n < len(want) && n < len(have) && diff == 0 {
		w, h := &want[len(want)-1-n], &have[len(have)-1-n]
		if w.orig != h.orig || w.orig == made && w.tpid != h.tpid {
			break
		}
		diff = c.tciDiffer(w, h)
		n++
	}
	for i := len(have); i > n; i-- {
		c.emit(dpif.PopVLAN{})
	}
	if diff != 0 {
		w := &want[len(want)-n]
		c.emit(dpif.Set{Field: flow.FieldVLANTCI, Value: flow.U128{Lo: uint64(w.tci & diff)}, Mask: flow.U128{Lo: uint64(diff)}})
	}
	for i := len(want) - n - 1; i >= 0; i-- {
		w := &want[i]
		if w.orig == 0 { // it was popped, and must come back
			c.wc.Set(flow.FieldVLANTCI, flow.U128{Lo: uint64(^w.wr)})
			c.wc.SetAll(flow.FieldVLANTPID)
		}
		if w.orig == 1 {
			c.wc.SetAll(flow.FieldCVLANTCI)
			c.wc.SetAll(flow.FieldCVLANTPID)
		}
		c.emit(dpif.PushVLAN{TPID: w.tpid, TCI: w.tci})
	}
	if n == len(want) && n == len(have) && diff == 0 {
		return
	}
	base := make([]tag, len(want))
	copy(base, want)
	for i := range base[:len(want)-n] {
		base[i].wr = 0xffff
		// A tag that was pushed again is the datapath's own, but equal to what it
		// stands for: it keeps its name, so that it is found again.
	}
	if diff != 0 {
		base[len(want)-n].wr |= diff
	}
	for i := len(want) - n; i < len(want); i++ {
		if h := have[len(have)-(len(want)-i)]; diff == 0 || i != len(want)-n {
			base[i] = h
		} else {
			base[i].wr = h.wr | diff
			base[i].tci = h.tci&^diff | want[i].tci&diff
		}
	}
	c.baseTags = base
}

// tciDiffer returns the bits in which the TCI of w differs, or may differ, from h, the
// same tag in the datapath.
func (c *ctx) tciDiffer(w, h *tag) uint16 {
	var orig, known uint16
	switch w.orig {
	case 0:
		orig = c.orig.VLANTCI()
		if back := h.wr &^ w.wr; back != 0 {
			c.wc.Set(flow.FieldVLANTCI, flow.U128{Lo: uint64(back)})
		}
		known = uint16(c.wc.Get(flow.FieldVLANTCI).Lo)
	case 1:
		orig = uint16(c.orig.U64(flow.FieldCVLANTCI))
		if back := h.wr &^ w.wr; back != 0 {
			c.wc.Set(flow.FieldCVLANTCI, flow.U128{Lo: uint64(back)})
		}
		known = uint16(c.wc.Get(flow.FieldCVLANTCI).Lo)
	}
	set := w.wr &^ h.wr
	d := h.wr&(w.tci^h.tci) | set&^known | set&(w.tci^orig)
	return d &^ flow.VLANPresent
}
