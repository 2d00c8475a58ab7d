// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

func readResubmit(_ *ctx, r *ofp.Reader) action.Action {
	a := action.Resubmit{InPort: ofp.PortFrom10(r.U16()), Table: action.ResubmitSameTable}
	r.Skip(4)
	return a
}

func readResubmitTable(ct bool) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action {
		a := action.Resubmit{InPort: ofp.PortFrom10(r.U16()), Table: r.U8(), WithCT: ct}
		r.Zero(3, ofp.BACBadArgument)
		return a
	}
}

func readLoad(_ *ctx, r *ofp.Reader) action.Action {
	ofs, n := ofsNbits(r.U16())
	a := action.Load{Dst: subfield(r, ofs, n, ofp.BACBadSetType), Value: r.U64()}
	if r.Err() != nil {
		return nil
	}
	if a.Value&^flow.Ones(int(n)).Lo != 0 {
		r.Failf(ofp.BACBadArgument, "load of %#x to %d bits", a.Value, n)
	}
	a.Value &= flow.Ones(int(a.Dst.N)).Lo
	if !a.Dst.Field.Info().Writable {
		r.Failf(ofp.BACBadSetArgument, "%s cannot be set", a.Dst.Field)
	}
	return a
}

// readLoad2 reads NXAST_REG_LOAD2: an entry with or without mask, right behind
// the subtype.
func readLoad2(d *ctx, r *ofp.Reader) action.Action {
	return readEntry(d, r, true)
}

func readOutputReg(_ *ctx, r *ofp.Reader) action.Action {
	ofs, n := ofsNbits(r.U16())
	a := action.OutputReg{Src: subfield(r, ofs, n, ofp.BACBadSetType), MaxLen: r.U16()}
	r.Zero(6, ofp.BACBadArgument)
	return a
}

func readOutputReg2(_ *ctx, r *ofp.Reader) action.Action {
	ofs, n := ofsNbits(r.U16())
	maxLen := r.U16()
	a := action.OutputReg{Src: subfield(r, ofs, n, ofp.BACBadSetType), MaxLen: maxLen}
	r.Zero(r.Len(), ofp.NXBRCMustBeZero)
	return a
}

func readOutputTrunc(_ *ctx, r *ofp.Reader) action.Action {
	a := action.OutputTrunc{Port: ofp.PortFrom10(r.U16()), MaxLen: r.U32()}
	if r.Err() == nil && a.MaxLen < 14 {
		r.Failf(ofp.BACBadArgument, "output of %d bytes", a.MaxLen)
	}
	return a
}

func readController(_ *ctx, r *ofp.Reader) action.Action {
	a := action.Controller{MaxLen: r.U16(), ID: r.U16(), Reason: r.U8()}
	r.Skip(1)
	return a
}

func readFinTimeout(_ *ctx, r *ofp.Reader) action.Action {
	a := action.FinTimeout{Idle: r.U16(), Hard: r.U16()}
	r.Skip(2)
	return a
}

// Properties of NXAST_CONTROLLER2.
const (
	propMaxLen   = 0
	propID       = 1
	propReason   = 2
	propUserdata = 3
	propPause    = 4
	propMeter    = 5
)

func readController2(_ *ctx, r *ofp.Reader) action.Action {
	r.Zero(6, ofp.NXBRCMustBeZero)
	a := action.Controller{MaxLen: 0xffff, Reason: 1}
	for r.Len() > 0 {
		typ, p := Property(r, ofp.BACBadArgument)
		switch typ {
		case propMaxLen:
			a.MaxLen = p.U16()
		case propID:
			a.ID = p.U16()
		case propReason:
			a.Reason = p.U8()
		case propUserdata:
			a.Userdata = p.Rest()
		case propPause:
			a.Pause = true
		case propMeter:
			a.Meter = p.U32()
		default:
			p.Failf(ofp.BPCBadType, "property %d of controller", typ)
		}
		p.Skip(p.Len()) // the padding that some properties count
		if err := p.Close(); err != nil {
			r.Fail(err)
		}
	}
	return a
}

// Property reads the head of a property (type, length without padding) and
// returns a Reader of its content; the padding to 8 bytes is passed over.
func Property(r *ofp.Reader, bad ofp.Kind) (typ uint16, p *ofp.Reader) {
	typ = r.U16()
	n := int(r.U16())
	if r.Err() == nil && (n < 4 || (n+7)&^7-4 > r.Len()) {
		r.Failf(ofp.BPCBadLen, "property %d with length %d", typ, n)
	}
	if r.Err() == nil && typ == 0xffff && n < 12 {
		r.Failf(ofp.BPCBadLen, "an experimenter's property with length %d", n)
	}
	if r.Err() != nil {
		p = ofp.NewReader(nil, bad)
		p.Fail(r.Err())
		return typ, p
	}
	p = r.Sub(n-4, ofp.BPCBadLen)
	r.Skip((8 - n%8) % 8)
	return typ, p
}

func readDecTTLIDs(_ *ctx, r *ofp.Reader) action.Action {
	n := int(r.U16())
	r.Zero(4, ofp.NXBRCMustBeZero)
	var a action.DecTTL
	if r.Err() == nil && 2*n > r.Len() {
		r.Failf(ofp.BACBadLen, "dec_ttl with %d ids", n)
		return nil
	}
	for ; n > 0; n-- {
		a.Controllers = append(a.Controllers, r.U16())
	}
	r.Skip(r.Len())
	return a
}

func readNote(_ *ctx, r *ofp.Reader) action.Action { return action.Note{Data: r.Rest()} }

func readSetTunnel(_ *ctx, r *ofp.Reader) action.Action {
	r.Skip(2)
	return setField(flow.FieldTunID, uint64(r.U32()))
}

func readSetTunnel64(_ *ctx, r *ofp.Reader) action.Action {
	r.Skip(6)
	return setField(flow.FieldTunID, r.U64())
}

func readSetQueueNX(_ *ctx, r *ofp.Reader) action.Action {
	r.Skip(2)
	return action.SetQueue{ID: r.U32()}
}

func readGroupNX(_ *ctx, r *ofp.Reader) action.Action {
	r.Skip(2)
	return action.Group{ID: r.U32()}
}

func readPopQueue(_ *ctx, r *ofp.Reader) action.Action { r.Skip(6); return action.PopQueue{} }

func readStack(pop bool) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action {
		ofs := r.U16()
		f, bits := oxm.DecodeHeader(r, ofp.BMCBadField)
		n := r.U16()
		if r.Err() != nil {
			return nil
		}
		r.Zero(r.Len(), ofp.NXBRCMustBeZero)
		if n == 0 || int(ofs)+int(n) > bits {
			r.Failf(ofp.BACBadSetLen, "bits %d to %d of %s", ofs, int(ofs)+int(n)-1, f)
		}
		s := wireSubfield(f, ofs, n)
		if !pop {
			return action.StackPush{Src: s}
		}
		if !f.Info().Writable {
			r.Failf(ofp.BACBadSetArgument, "%s cannot be set", f)
		}
		return action.StackPop{Dst: s}
	}
}

// readCheckPktLarger reads NXAST_CHECK_PKT_LARGER: length, bit, header of the bit's field, zeros.
func readCheckPktLarger(_ *ctx, r *ofp.Reader) action.Action {
	n, ofs := r.U16(), r.U16()
	f, bits := oxm.DecodeHeader(r, ofp.BMCBadField)
	if r.Err() != nil {
		return nil
	}
	r.Zero(r.Len(), ofp.NXBRCMustBeZero)
	if int(ofs) >= bits {
		r.Failf(ofp.BACBadSetLen, "bit %d of %s", ofs, f)
	}
	if !f.Info().Writable {
		r.Failf(ofp.BACBadSetArgument, "%s cannot be set", f)
	}
	return action.CheckPktLarger{Dst: wireSubfield(f, ofs, 1), Len: n}
}

func readConjunction(_ *ctx, r *ofp.Reader) action.Action {
	a := action.Conjunction{Clause: r.U8(), Clauses: r.U8(), ID: r.U32()}
	if r.Err() == nil && (a.Clauses < 2 || a.Clauses > 64 || a.Clause >= a.Clauses) {
		r.Failf(ofp.NXBACBadConjunction, "clause %d of %d", a.Clause, a.Clauses)
	}
	return a
}

func readClone(d *ctx, r *ofp.Reader) action.Action {
	r.Skip(6)
	if d.depth++; d.depth > maxDepth {
		r.Failf(ofp.BACTooMany, "clones nest %d deep", d.depth)
		return nil
	}
	a := action.Clone{Actions: d.list(r)}
	d.depth--
	return a
}

func readWriteMetadata(d *ctx, r *ofp.Reader) action.Action {
	r.Zero(6, ofp.NXBRCMustBeZero)
	v, m := r.U64(), r.U64()
	if d.instr == nil {
		r.Failf(ofp.BACBadVendorType, "write_metadata outside a flow")
		return nil
	}
	d.instr.Metadata, d.instr.MetadataMask = v&m, m
	d.sawMetadata = true
	return nil
}
