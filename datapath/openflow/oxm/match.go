// SPDX-License-Identifier: Apache-2.0

package oxm

import (
	"math/bits"

	"fmt"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Cookie is the flow cookie that an NXM match may carry (NXM_NX_COOKIE).
type Cookie struct{ Value, Mask uint64 }

// cookieID is the entry of the cookie: 8 bytes, with a mask or not. With a length
// of 1 the same number is that of the MPLS TTL.
var cookieID = ID{Class: nxmNX, Num: 30}

// Decode reads entries until the end of r. A cookie is read into ck, refused if
// that is nil. If loose, unknown entries are passed over (packet metadata).
func Decode(r *ofp.Reader, ck *Cookie, loose bool) (m flow.Match) {
	for r.Len() > 0 {
		h := readHeader(r, ofp.BMCBadLen)
		if r.Err() != nil {
			return
		}
		if h.payload(r, ofp.BMCBadLen); r.Err() != nil {
			return
		}
		if h.id == cookieID && h.width() == 8 {
			decodeCookie(r, h, ck)
			continue
		}
		row := h.row()
		if row == nil {
			if loose {
				r.Skip(h.n)
				continue
			}
			r.Failf(h.unknown(ofp.BMCBadField), "entry %v of %d bytes", h.id, h.n)
			return
		}
		v, mask := row.readEntry(r, h)
		if r.Err() != nil {
			return
		}
		s := row.sub()
		switch {
		case !m.Has(row.field):
			r.Failf(ofp.BMCBadPrereq, "%s", row.name)
			return
		case !m.Mask.Get(row.field).And(row.validBits().Lsh(uint(s.Ofs))).IsZero():
			r.Failf(ofp.BMCDupField, "%s", row.name)
			return
		}
		m.SetMasked(row.field, v.Lsh(uint(s.Ofs)), mask.Lsh(uint(s.Ofs)))
	}
	return m
}

func decodeCookie(r *ofp.Reader, h header, ck *Cookie) {
	switch {
	case ck == nil:
		r.Failf(ofp.BMCBadField, "a cookie has no place here")
	case ck.Mask != 0:
		r.Failf(ofp.BMCDupField, "cookie")
	case h.mask:
		ck.Value, ck.Mask = r.U64(), r.U64()
	default:
		ck.Value, ck.Mask = r.U64(), ^uint64(0)
	}
}

// order is the order in which the stock switch writes fields. A field is
// written if it exists in the packets that match and has a bit in the mask.
var order = []flow.Field{
	flow.FieldDPHash, flow.FieldRecircID, flow.FieldConjID,
	flow.FieldPacketType, flow.FieldInPort, flow.FieldActsetOutput,
	flow.FieldEthSrc, flow.FieldEthDst, flow.FieldEthType,
	flow.FieldVLANTCI, // as the version has it
	flow.FieldMPLSTC, flow.FieldMPLSBOS, flow.FieldMPLSTTL, flow.FieldMPLSLabel,
	flow.FieldIPSrc, flow.FieldIPDst,
	flow.FieldIPv6Src, flow.FieldIPv6Dst,
	flow.FieldIPFrag, flow.FieldIPTOS, flow.FieldIPECN, flow.FieldIPTTL, flow.FieldIPv6Label, flow.FieldIPProto,
	flow.FieldTCPSrc, flow.FieldTCPDst, flow.FieldTCPFlags,
	flow.FieldUDPSrc, flow.FieldUDPDst,
	flow.FieldSCTPSrc, flow.FieldSCTPDst,
	flow.FieldICMPType, flow.FieldICMPCode,
	flow.FieldICMPv6Type, flow.FieldICMPv6Code,
	flow.FieldNDReserved, flow.FieldNDTarget, flow.FieldNDOptionsType, flow.FieldNDSLL, flow.FieldNDTLL,
	flow.FieldARPOp, flow.FieldARPSPA, flow.FieldARPTPA, flow.FieldARPSHA, flow.FieldARPTHA,
	flow.FieldTunID, flow.FieldTunFlags, flow.FieldTunSrc, flow.FieldTunDst, flow.FieldTunIPv6Src, flow.FieldTunIPv6Dst,
	flow.FieldTunGBPID, flow.FieldTunGBPFlags,
	flow.FieldReg0, flow.FieldReg1, flow.FieldReg2, flow.FieldReg3,
	flow.FieldReg4, flow.FieldReg5, flow.FieldReg6, flow.FieldReg7,
	flow.FieldReg8, flow.FieldReg9, flow.FieldReg10, flow.FieldReg11,
	flow.FieldReg12, flow.FieldReg13, flow.FieldReg14, flow.FieldReg15,
	flow.FieldPktMark,
	flow.FieldCTState, flow.FieldCTZone, flow.FieldCTMark, flow.FieldCTLabel,
	flow.FieldCTNwSrc, flow.FieldCTNwDst, flow.FieldCTIPv6Src, flow.FieldCTIPv6Dst,
	flow.FieldCTNwProto, flow.FieldCTTPSrc, flow.FieldCTTPDst,
	flow.FieldMetadata,
}

// orderSet is a set of places in order.
type orderSet [2]uint64

// orderIn are the places of the fields that are in each word of the key, wholly or in part.
var orderIn = func() (in [flow.Words]orderSet) {
	for i, f := range order {
		for w := f.Words(); w != 0; w &= w - 1 {
			in[bits.TrailingZeros64(w)][i/64] |= 1 << (i % 64)
		}
	}
	return in
}()

// Append writes the entries of m as version v has them (NXM: NXM entries where
// there are any), without padding. A cookie with a mask other than zero follows.
// Bits of fields without their prerequisites, which no decoder lets in, are left out.
func Append(w *ofp.Writer, m *flow.Match, ck Cookie, v ofp.Version) {
	var set orderSet
	for words := m.Mask.Map(); words != 0; words &= words - 1 {
		in := &orderIn[bits.TrailingZeros64(words)]
		set[0] |= in[0]
		set[1] |= in[1]
	}
	for set[0]|set[1] != 0 {
		i := bits.TrailingZeros64(set[0])
		if set[0] == 0 {
			i = 64 + bits.TrailingZeros64(set[1])
		}
		set[i/64] &= set[i/64] - 1
		f := order[i]
		if v >= ofp.V15 && f >= flow.FieldReg0 && f <= flow.FieldReg15 {
			// OpenFlow 1.5 has a name of its own for pairs of registers.
			if i := f - flow.FieldReg0; i%2 == 0 {
				appendIf(w, m, flow.FieldXReg0+i/2, v)
			}
			continue
		}
		mask := m.Mask.Get(f)
		if mask.IsZero() || !m.Has(f) {
			continue
		}
		switch f {
		case flow.FieldVLANTCI:
			if v == NXM {
				break
			}
			appendIf(w, m, flow.FieldVLANVID, v)
			if m.Has(flow.FieldVLANPCP) {
				appendIf(w, m, flow.FieldVLANPCP, v)
			}
			continue
		case flow.FieldIPTOS:
			if v == NXM {
				if mask.Lo&0xfc == 0xfc {
					row := byID[ID{Class: nxmOF, Num: 5}]
					row.putHeader(w, 1, false)
					w.U8(uint8(m.Key.U64(f)) & 0xfc)
				}
			} else {
				appendIf(w, m, flow.FieldIPDSCP, v)
			}
			continue
		}
		appendIf(w, m, f, v)
	}
	if ck.Mask != 0 {
		w.U16(cookieID.Class)
		if ck.Mask == ^uint64(0) {
			w.U8(cookieID.Num << 1)
			w.U8(8)
			w.U64(ck.Value)
		} else {
			w.U8(cookieID.Num<<1 | 1)
			w.U8(16)
			w.U64(ck.Value & ck.Mask)
			w.U64(ck.Mask)
		}
	}
}

// appendIf writes the entry of f if any of its bits is in m's mask and the entry
// can say so.
func appendIf(w *ofp.Writer, m *flow.Match, f flow.Field, v ofp.Version) {
	row := rowFor(f, v)
	s := row.sub()
	mask := m.Mask.Get(f).Rsh(uint(s.Ofs)).And(flow.Ones(int(s.N)))
	if mask.IsZero() {
		return
	}
	value := m.Key.Get(f).Rsh(uint(s.Ofs)).And(flow.Ones(int(s.N)))
	all := flow.Ones(int(s.N))
	// tun_flags has one bit that counts of 16, and is never written as exact.
	if (mask != all || f == flow.FieldTunFlags) && row.maskable {
		row.putHeader(w, 2*int(row.bytes), true)
		putValue(w, value, int(row.bytes))
		putValue(w, mask, int(row.bytes))
		return
	}
	row.putHeader(w, int(row.bytes), false)
	putValue(w, row.toWire(value), int(row.bytes))
}

// AppendID writes the header of the entry that version v writes for f, with the
// length of its value and, if masked and f can have one, its mask, as the field lists of
// table features hold it. It reports whether there is one.
func AppendID(w *ofp.Writer, f flow.Field, v ofp.Version, masked bool) bool {
	row := rowFor(f, v)
	if row == nil {
		return false
	}
	n := int(row.bytes)
	masked = masked && row.maskable
	if masked {
		n *= 2
	}
	row.putHeader(w, n, masked)
	return true
}

// ReadID reads a header as of AppendID; false: it names no field.
func ReadID(r *ofp.Reader) (f flow.Field, ok bool) {
	id := ID{Class: r.U16(), Num: r.U8() >> 1}
	r.Skip(1)
	if id.Class == oxmExperimenter {
		id.Experimenter = r.U32()
	}
	row := byID[id]
	if r.Err() != nil || row == nil {
		return 0, false
	}
	return row.field, true
}

// String names the entry.
func (id ID) String() string {
	if r := byID[id]; r != nil {
		return r.name
	}
	return fmt.Sprintf("%04x:%d", id.Class, id.Num)
}
