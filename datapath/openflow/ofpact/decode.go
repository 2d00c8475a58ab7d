// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"encoding/binary"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/oxm"
)

// Experimenter numbers.
const (
	Nicira = 0x00002320
	ONF    = 0x4f4e4600

	experimenterType = 0xffff
)

// maxDepth bounds nested clones.
const maxDepth = 16

// decoder reads the body of one action: what follows the type and length, or
// the subtype.
type decoder struct {
	// size of the whole action, header and all; min if variable.
	size, min int
	read      func(d *ctx, r *ofp.Reader) action.Action
}

// ctx is what decoders know besides the bytes.
type ctx struct {
	v     ofp.Version
	t     *table
	depth int
	// metadata receives NXAST_WRITE_METADATA and goto-like actions of
	// OpenFlow 1.0, which are instructions elsewhere.
	instr       *action.Instructions
	sawMetadata bool
}

// DecodeList reads actions to the end of r.
func DecodeList(r *ofp.Reader, v ofp.Version) action.List {
	return newCtx(v).list(r)
}

// newCtx returns the context of version v; one that is not known has no actions.
func newCtx(v ofp.Version) *ctx {
	d := &ctx{v: v, t: &tables[0]}
	if int(v) < len(tables) {
		d.t = &tables[v]
	}
	return d
}

func (d *ctx) list(r *ofp.Reader) action.List {
	var l action.List
	for r.Len() > 0 {
		if a := d.one(r); a != nil {
			l = append(l, a)
		}
	}
	if r.Err() != nil {
		return nil
	}
	return l
}

// one reads one action; nil for one that leaves nothing in the list.
func (d *ctx) one(r *ofp.Reader) action.Action {
	if r.Len() < 4 {
		r.Failf(ofp.BACBadLen, "action header of %d bytes", r.Len())
		return nil
	}
	dec, k := d.find(r)
	typ, n := r.U16(), int(r.U16())
	if k != ofp.NoError {
		r.Failf(k, "action of type %d", typ)
		return nil
	}
	if n < 8 || n%8 != 0 || n-4 > r.Len() || dec.size != 0 && n != dec.size || n < dec.min {
		r.Failf(ofp.BACBadLen, "action of type %d with length %d, %d bytes left", typ, n, r.Len()+4)
		return nil
	}
	b := r.Sub(n-4, ofp.BACBadLen)
	if typ == experimenterType {
		b.Skip(6)
	}
	a := dec.read(d, b)
	if err := b.Close(); err != nil {
		r.Fail(err)
		return nil
	}
	return a
}

// subfield reads a header and checks that bits ofs to ofs+n are in its field;
// unknown is the Kind of the error if there is no such field.
func subfield(r *ofp.Reader, ofs, n uint16, unknown ofp.Kind) flow.Subfield {
	f, bits := oxm.DecodeHeader(r, unknown)
	if r.Err() == nil {
		switch f {
		case flow.FieldARPOp:
			bits = arpOpBits
		case flow.FieldVLANVID:
			bits = vlanVIDBits
		}
		if n == 0 || int(ofs)+int(n) > bits || f == flow.FieldARPOp && int(ofs) >= f.Bits() {
			r.Failf(ofp.BACBadSetLen, "bits %d to %d of %s", ofs, int(ofs)+int(n)-1, f)
		}
	}
	return wireSubfield(f, ofs, n)
}

// find returns the decoder of the action that r is about to read.
func (d *ctx) find(r *ofp.Reader) (dec decoder, k ofp.Kind) {
	typ := binary.BigEndian.Uint16(r.Peek(2))
	var ok bool
	if typ != experimenterType {
		if dec, ok = d.t.std[typ]; !ok {
			return dec, ofp.BACBadType
		}
		return dec, ofp.NoError
	}
	head := r.Peek(8)
	if head == nil {
		return dec, ofp.BACBadLen
	}
	vendor := binary.BigEndian.Uint32(head[4:])
	if vendor != Nicira && vendor != ONF {
		return dec, ofp.BACBadVendor
	}
	if head = r.Peek(10); head == nil {
		return dec, ofp.BACBadLen
	}
	sub := binary.BigEndian.Uint16(head[8:])
	switch vendor {
	case Nicira:
		dec, ok = d.t.nicira[sub]
	case ONF:
		dec, ok = d.t.onf[sub]
	}
	if !ok {
		return dec, ofp.BACBadVendorType
	}
	return dec, ofp.NoError
}

// wireSubfield maps bits of an entry to bits of the key's field. They differ in
// tun_flags, whose entry has the OAM bit alone, and in arp_op, of which the key
// has the low byte.
func wireSubfield(f flow.Field, ofs, n uint16) flow.Subfield {
	switch f {
	case flow.FieldTunFlags:
		ofs += tunFlagsOfs
	case flow.FieldARPOp:
		if w := uint16(f.Bits()); ofs+n > w {
			n = w - min(ofs, w)
		}
	}
	return flow.Subfield{Field: f, Ofs: ofs, N: n}
}

// Widths on the wire that are not those of the key's field.
const (
	arpOpBits   = 16
	vlanVIDBits = 12 // of a part of vlan_vid: without the bit that says present
)

// tunFlagsOfs is the bit of FieldTunFlags that NXM_NX_TUN_FLAGS has as bit 0.
const tunFlagsOfs = 3

// wireOfs is the inverse of wireSubfield.
func wireOfs(s flow.Subfield) uint16 {
	if s.Field == flow.FieldTunFlags {
		return s.Ofs - tunFlagsOfs
	}
	return s.Ofs
}

// ofsNbits splits the field of Nicira actions that holds offset<<6 | (n - 1).
func ofsNbits(v uint16) (ofs, n uint16) { return v >> 6, v&0x3f + 1 }

func setField(f flow.Field, v uint64) action.Action {
	return action.SetField{Field: f, Value: flow.U128{Lo: v}, Mask: flow.Ones(f.Bits()), Legacy: true}
}

func mac48(m [6]byte) (v uint64) {
	for _, c := range m {
		v = v<<8 | uint64(c)
	}
	return v
}

func readOutput10(d *ctx, r *ofp.Reader) action.Action {
	o := action.Output{Port: ofp.PortFrom10(r.U16())}
	maxLen := r.U16()
	if o.Port == action.PortController {
		o.MaxLen = maxLen
	}
	checkOutput(r, o.Port)
	return o
}

func readOutput11(d *ctx, r *ofp.Reader) action.Action {
	p, err := ofp.PortFrom11(r.U32())
	if err != nil {
		r.Fail(err)
		return nil
	}
	o := action.Output{Port: p}
	maxLen := r.U16()
	r.Skip(6)
	if p == action.PortController {
		o.MaxLen = maxLen
	}
	checkOutput(r, p)
	return o
}

// checkOutput refuses ports that no packet can be sent to.
func checkOutput(r *ofp.Reader, p action.Port) {
	switch {
	case p < ofp.PortLimit:
	case p >= action.PortInPort && p != action.PortAny:
	default:
		r.Failf(ofp.BACBadOutPort, "output to port %d", uint32(p))
	}
}

func readEnqueue(d *ctx, r *ofp.Reader) action.Action {
	e := action.Enqueue{Port: ofp.PortFrom10(r.U16())}
	r.Skip(6)
	e.Queue = r.U32()
	if e.Port >= ofp.PortLimit && e.Port != action.PortInPort && e.Port != action.PortLocal {
		r.Failf(ofp.BACBadOutPort, "enqueue to port %d", uint32(e.Port))
	}
	return e
}

func readSetVLANVID(d *ctx, r *ofp.Reader) action.Action {
	vid := r.U16()
	r.Skip(2)
	if vid > 0xfff {
		r.Failf(ofp.BACBadArgument, "set_vlan_vid %d", vid)
	}
	return action.SetVLANVID{VID: vid, PushIfNone: d.v == ofp.V10}
}

func readSetVLANPCP(d *ctx, r *ofp.Reader) action.Action {
	pcp := r.U8()
	r.Skip(3)
	if pcp > 7 {
		r.Failf(ofp.BACBadArgument, "set_vlan_pcp %d", pcp)
	}
	return action.SetVLANPCP{PCP: pcp, PushIfNone: d.v == ofp.V10}
}

func readPad4(a action.Action) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action { r.Skip(4); return a }
}

func readMAC(f flow.Field) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action {
		m := r.MAC()
		r.Skip(6)
		return setField(f, mac48(m))
	}
}

func read32(f flow.Field) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action { return setField(f, uint64(r.U32())) }
}

func read16(f flow.Field) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action {
		v := r.U16()
		r.Skip(2)
		return setField(f, uint64(v))
	}
}

func readTOS(_ *ctx, r *ofp.Reader) action.Action {
	v := r.U8()
	r.Skip(3)
	if v&3 != 0 {
		r.Failf(ofp.BACBadArgument, "set_nw_tos %d", v)
	}
	return setField(flow.FieldIPDSCP, uint64(v>>2))
}

func readECN(_ *ctx, r *ofp.Reader) action.Action {
	v := r.U8()
	r.Skip(3)
	if v > 3 {
		r.Failf(ofp.BACBadArgument, "set_nw_ecn %d", v)
	}
	return setField(flow.FieldIPECN, uint64(v))
}

func readPushVLAN(_ *ctx, r *ofp.Reader) action.Action {
	t := r.U16()
	r.Skip(2)
	if t != 0x8100 && t != 0x88a8 {
		r.Failf(ofp.BACBadArgument, "push_vlan %#04x", t)
	}
	return action.PushVLAN{TPID: t}
}

func mplsType(r *ofp.Reader) uint16 {
	t := r.U16()
	if t != flow.EthTypeMPLS && t != flow.EthTypeMPLSM {
		r.Failf(ofp.BACBadArgument, "push_mpls %#04x", t)
	}
	return t
}

// readSetField reads OFPAT_SET_FIELD: one entry, padded to 8 bytes.
func readSetField(d *ctx, r *ofp.Reader) action.Action {
	return readEntry(d, r, d.v >= ofp.V15)
}

func readEntry(_ *ctx, r *ofp.Reader, masked bool) action.Action {
	val := oxm.DecodeValue(r)
	if r.Err() != nil {
		switch ofp.KindOf(r.Err()) {
		case ofp.BMCBadMask:
			return failed(r, ofp.BACBadSetMask)
		case ofp.BMCBadValue:
			return failed(r, ofp.BACBadSetArgument)
		}
		return nil
	}
	r.Zero(r.Len(), ofp.BACBadSetArgument)
	if !masked && val.HasMask {
		r.Failf(ofp.BACBadSetType, "set_field with a mask")
		return nil
	}
	switch {
	case val.Field == flow.FieldVLANVID && val.Value.Lo&val.Mask.Lo&flow.VLANPresent == 0:
		r.Failf(ofp.BACBadSetArgument, "vlan_vid without the bit that says present")
		return nil
	case val.Port32:
		// in_port in 32 bits is the packet's; the 16-bit NXM form can be set.
		r.Failf(ofp.BACBadSetArgument, "OXM_OF_IN_PORT cannot be set")
		return nil
	}
	if !val.Field.Info().Writable {
		r.Failf(ofp.BACBadSetArgument, "%s cannot be set", val.Field)
		return nil
	}
	return action.SetField{Field: val.Field, Value: val.Value, Mask: val.Mask.And(flow.Ones(val.Field.Bits()))}
}

// failed replaces the Kind of r's error.
func failed(r *ofp.Reader, k ofp.Kind) action.Action {
	cause := r.Err()
	*r = *ofp.NewReader(nil, k)
	r.Failf(k, "%s", cause.Error())
	return nil
}

func readMove(_ *ctx, r *ofp.Reader) action.Action {
	n, so, do := r.U16(), r.U16(), r.U16()
	return finishMove(r, n, so, do)
}

// readCopy reads the fields of OpenFlow 1.5's and the ONF's copy_field.
func readCopy(_ *ctx, r *ofp.Reader) action.Action {
	n, so, do := r.U16(), r.U16(), r.U16()
	r.Skip(2)
	return finishMove(r, n, so, do)
}

func readCopyONF(d *ctx, r *ofp.Reader) action.Action {
	r.Skip(2)
	return readCopy(d, r)
}

func finishMove(r *ofp.Reader, n, so, do uint16) action.Action {
	m := action.Move{Src: subfield(r, so, n, ofp.BMCBadField), Dst: subfield(r, do, n, ofp.BMCBadField)}
	if r.Err() != nil {
		return nil
	}
	r.Zero(r.Len(), ofp.NXBRCMustBeZero)
	m.Src.N = min(m.Src.N, m.Dst.N) // they differ if one is arp_op
	m.Dst.N = m.Src.N
	if !m.Dst.Field.Info().Writable {
		r.Failf(ofp.BACBadSetArgument, "%s cannot be set", m.Dst.Field)
	}
	return m
}
