// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// Flags of NXAST_LEARN.
const (
	learnSendFlowRem = 1 << 0
	learnDelete      = 1 << 1
	learnResult      = 1 << 2 // of NXAST_LEARN2 alone
)

// The head of a part of a learn:
//
//	 15 14 13 12 11 10 9            0
//	+-----+--+-----+--+--------------+
//	|  0  |s | dst |0 |    n_bits    |
//	+-----+--+-----+--+--------------+
//
// s: 1: a value of n_bits follows, in the low bits of as many 16-bit words as it needs;
// 0: a header and a 16-bit offset. Behind it, unless it is for an output, the same of
// the destination. A head of 0 ends the list.
const (
	specBits      = 0x3ff
	specValue     = 1 << 13
	specKindShift = 11
	specKind      = 3
)

// readLearn reads NXAST_LEARN, readLearn2 NXAST_LEARN2, which has a limit, a place for the
// result, and may have fields of experimenters.
func readLearn(d *ctx, r *ofp.Reader) action.Action {
	a, flags := learnHead(r)
	if flags&^(learnSendFlowRem|learnDelete) != 0 {
		r.Failf(ofp.BACBadArgument, "learn with flags %#x", flags)
	}
	a.Specs = readSpecs(r)
	return a
}

func readLearn2(d *ctx, r *ofp.Reader) action.Action {
	a, flags := learnHead(r)
	a.Limit = r.U32()
	ofs := r.U16()
	r.Zero(2, ofp.NXBACMustBeZero)
	if flags&^(learnSendFlowRem|learnDelete|learnResult) != 0 {
		r.Failf(ofp.BACBadArgument, "learn with flags %#x", flags)
	}
	if flags&learnResult != 0 {
		f, _ := oxm.DecodeHeader(r, ofp.BACBadSetType)
		if r.Err() == nil && !f.Info().Writable {
			r.Failf(ofp.BACBadSetArgument, "%s cannot be set", f)
		}
		a.Result = wireSubfield(f, ofs, 1) // a bit that the field lacks is no error
	} else if ofs != 0 {
		r.Failf(ofp.BACBadArgument, "learn without result, at bit %d", ofs)
	}
	a.Specs = readSpecs(r)
	return a
}

func learnHead(r *ofp.Reader) (a action.Learn, flags uint16) {
	a.IdleTimeout, a.HardTimeout, a.Priority, a.Cookie = r.U16(), r.U16(), r.U16(), r.U64()
	flags = r.U16()
	a.SendFlowRem, a.DeleteLearned = flags&learnSendFlowRem != 0, flags&learnDelete != 0
	if a.Table = r.U8(); a.Table == 255 && r.Err() == nil {
		r.Failf(ofp.BACBadArgument, "learn in table 255")
	}
	r.Zero(1, ofp.BACBadArgument)
	a.FinIdle, a.FinHard = r.U16(), r.U16()
	return a, flags
}

func readSpecs(r *ofp.Reader) (l []action.LearnSpec) {
	for r.Len() > 0 {
		head := r.U16()
		if head == 0 || r.Err() != nil {
			break
		}
		n := head & specBits
		s := action.LearnSpec{Kind: action.LearnKind(head >> specKindShift & specKind)}
		value := head&specValue != 0
		if s.Kind > action.LearnOutput || s.Kind == action.LearnOutput && value {
			r.Failf(ofp.BACBadArgument, "part of a learn with head %#x", head)
			return nil
		}
		if min := specLen(&s, value, int(n)); r.Len() < min {
			r.Failf(ofp.BACBadLen, "part of a learn of %d bytes, %d left", min, r.Len())
			return nil
		}
		if value {
			s.Value = readBits(r, int(n))
		} else {
			s.Src = readSubfield(r, n)
		}
		if s.Kind != action.LearnOutput {
			s.Dst = readSubfield(r, n)
		}
		if r.Err() != nil {
			return nil
		}
		l = append(l, s)
	}
	r.Zero(r.Len(), ofp.BACBadArgument)
	return l
}

// specLen is the least number of bytes behind the head of s.
func specLen(s *action.LearnSpec, value bool, n int) int {
	size := 6
	if value {
		size = valueLen(n)
	}
	if s.Kind != action.LearnOutput {
		size += 6
	}
	return size
}

// valueLen is how many bytes a value of n bits takes.
func valueLen(n int) int { return (n + 15) / 16 * 2 }

// readBits reads a value of n bits; what does not count is cut off.
func readBits(r *ofp.Reader, n int) (v flow.U128) {
	for _, c := range r.Bytes(valueLen(n)) {
		v = v.Lsh(8).Or(flow.U128{Lo: uint64(c)})
	}
	return v.And(flow.Ones(n))
}

// readSubfield reads a header and an offset.
func readSubfield(r *ofp.Reader, n uint16) flow.Subfield {
	f, bits := oxm.DecodeHeader(r, ofp.BACBadSetType)
	ofs := r.U16()
	switch {
	case r.Err() != nil:
		return flow.Subfield{}
	case f == flow.FieldARPOp && int(ofs)+int(n) > arpOpBits, f == flow.FieldInPort && int(ofs)+int(n) > bits:
		n = 0 // their width on the wire is known only here
	}
	return wireSubfield(f, ofs, n) // bits that it does not have are found by Check
}

// learn writes a learn, in the first form where that has all of it.
func (e *encoder) learn(a action.Learn) {
	w := e.w
	flags := uint16(0)
	if a.SendFlowRem {
		flags |= learnSendFlowRem
	}
	if a.DeleteLearned {
		flags |= learnDelete
	}
	sub, second := uint16(16), a.Limit != 0 || a.Result.Field != flow.FieldNone
	for i := range a.Specs {
		second = second || oxm.HeaderLen(a.Specs[i].Src.Field, oxm.NXM) > 4 || oxm.HeaderLen(a.Specs[i].Dst.Field, oxm.NXM) > 4
	}
	if second {
		sub = 45
	}
	if a.Result.Field != flow.FieldNone {
		flags |= learnResult
	}
	e.nx(sub, 32, func() {
		w.U16(a.IdleTimeout)
		w.U16(a.HardTimeout)
		w.U16(a.Priority)
		w.U64(a.Cookie)
		w.U16(flags)
		w.U8(a.Table)
		w.Zero(1)
		w.U16(a.FinIdle)
		w.U16(a.FinHard)
		if second {
			w.U32(a.Limit)
			w.U16(wireOfs(a.Result))
			w.Zero(2)
			if a.Result.Field != flow.FieldNone {
				oxm.AppendHeader(w, a.Result, oxm.NXM)
			}
		}
		for i := range a.Specs {
			e.spec(&a.Specs[i])
		}
	})
}

func (e *encoder) spec(s *action.LearnSpec) {
	w := e.w
	n := wireBits(s.Dst)
	if s.Kind == action.LearnOutput {
		n = wireBits(s.Src)
	}
	head := uint16(n) | uint16(s.Kind)<<specKindShift
	if s.Src.Field == flow.FieldNone {
		w.U16(head | specValue)
		b := s.Value.Bytes16()
		w.Zero(valueLen(n) - len(b))
		w.Bytes(b[max(0, len(b)-valueLen(n)):])
	} else {
		w.U16(head)
		oxm.AppendHeader(w, s.Src, oxm.NXM)
		w.U16(wireOfs(s.Src))
	}
	if s.Kind != action.LearnOutput {
		oxm.AppendHeader(w, s.Dst, oxm.NXM)
		w.U16(wireOfs(s.Dst))
	}
}

// wireBits is the number of bits of s as the wire counts them, see wireSubfield.
func wireBits(s flow.Subfield) int {
	if s == flow.FieldARPOp.All() {
		return arpOpBits
	}
	return int(s.N)
}

// learn verifies a learn against the packets of its flow and those of the one that it makes.
func (c *checker) learn(a action.Learn) error {
	n := checker{v: c.v} // the flow to come
	for i := range a.Specs {
		s := &a.Specs[i]
		if s.Src.Field != flow.FieldNone {
			if err := inField(s.Src); err != nil {
				return err
			}
			if err := c.field(a, s.Src.Field); err != nil {
				return err
			}
		}
		if s.Kind == action.LearnOutput {
			continue
		}
		if err := inField(s.Dst); err != nil {
			return err
		}
		if err := n.field(a, s.Dst.Field); err != nil {
			return err
		}
		switch {
		case s.Kind == action.LearnLoad:
			if !s.Dst.Field.Info().Writable {
				return fmt.Errorf("learn to load %s: %w", s.Dst.Field, ofp.BACBadSetArgument)
			}
		case s.Src.Field == flow.FieldNone:
			n.m.SetMasked(s.Dst.Field, s.Value.Lsh(uint(s.Dst.Ofs)), s.Dst.Mask())
		}
	}
	return nil
}

// inField verifies that a subfield has bits, and its field has them.
func inField(s flow.Subfield) error {
	if whole, _ := flow.ParseSubfield(s.Field.String()); s.N == 0 || s.Field != flow.FieldInPort && s.Ofs+s.N > whole.Ofs+whole.N || !s.Valid() {
		return fmt.Errorf("bits %d to %d of %s: %w", s.Ofs, int(s.Ofs)+int(s.N)-1, s.Field, ofp.BACBadSetLen)
	}
	return nil
}
