// SPDX-License-Identifier: Apache-2.0

package oxm

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// NXM as a version means: write NXM entries where a field has one.
const NXM = ofp.V10

// ID is one kind of entry: what a header says without its length and mask bit.
// IDs are comparable; the zero ID is that of NXM_OF_IN_PORT.
type ID struct {
	Class        uint16
	Num          uint8
	Experimenter uint32 // if Class is 0xffff
}

func (r *row) id() ID { return ID{r.class, r.num, r.exp} }

// byID finds the row of an entry, byField those of a field in the order of
// their versions.
var (
	byID    = make(map[ID]*row, len(rows))
	byField = func() (t [flow.NumFields][]*row) {
		for i := range rows {
			r := &rows[i]
			byID[r.id()] = r
			t[r.field] = append(t[r.field], r)
		}
		return t
	}()
)

// rowFor returns the row that version v writes for f; nil if there is none.
func rowFor(f flow.Field, v ofp.Version) *row {
	if f >= flow.NumFields {
		return nil
	}
	var best *row
	for _, r := range byField[f] {
		if best == nil || r.since <= v {
			best = r
		}
	}
	return best
}

// sub returns the bits of the key that the entry holds.
func (r *row) sub() flow.Subfield {
	n := uint16(r.bits)
	if n == 0 {
		n = uint16(r.field.Bits())
	}
	return flow.Subfield{Field: r.field, Ofs: uint16(r.ofs), N: n}
}

// validBits returns the bits of the value that may be set.
func (r *row) validBits() flow.U128 {
	if r.valid != 0 {
		return flow.U128{Lo: r.valid}
	}
	return flow.Ones(int(r.sub().N))
}

// experimenter returns the length of the experimenter number in the entry.
func (r *row) experimenter() int {
	if r.class == oxmExperimenter {
		return 4
	}
	return 0
}

// putHeader writes the header of an entry with n bytes of value and mask.
func (r *row) putHeader(w *ofp.Writer, n int, mask bool) {
	m := uint8(0)
	if mask {
		m = 1
	}
	w.U16(r.class)
	w.U8(r.num<<1 | m)
	w.U8(uint8(n + r.experimenter()))
	if r.class == oxmExperimenter {
		w.U32(r.exp)
	}
}

// putValue writes the low n bytes of v.
func putValue(w *ofp.Writer, v flow.U128, n int) {
	b := v.Bytes16()
	w.Bytes(b[16-n:])
}

// getValue reads n bytes, at most 16 of which count.
func getValue(b []byte) (v flow.U128, ok bool) {
	for len(b) > 16 {
		if b[0] != 0 {
			return v, false
		}
		b = b[1:]
	}
	for _, c := range b {
		v = v.Lsh(8).Or(flow.U128{Lo: uint64(c)})
	}
	return v, true
}

// toWire converts a value of the key's bits to the entry's.
func (r *row) toWire(v flow.U128) flow.U128 {
	if r.port == port16 {
		v.Lo = uint64(ofp.PortTo10(action.Port(v.Lo)))
	}
	return v
}

// header is a header as read.
type header struct {
	id   ID
	mask bool
	n    int // bytes of value and mask
}

// width returns the length of the value.
func (h header) width() int {
	if h.mask {
		return h.n / 2
	}
	return h.n
}

// readHeader reads a header; short is the Kind for one that is cut off.
func readHeader(r *ofp.Reader, short ofp.Kind) (h header) {
	h.id.Class = r.U16()
	fm := r.U8()
	h.id.Num, h.mask = fm>>1, fm&1 != 0
	h.n = int(r.U8())
	if h.id.Class == oxmExperimenter {
		h.id.Experimenter = r.U32()
		if h.n -= 4; h.n < 0 {
			r.Failf(short, "entry of experimenter with length %d", h.n+4)
		}
	}
	return h
}

// unknown is the Kind of the error for an entry without row: k, but for tunnel options what the stock
// switch says where none is mapped to the field. Those that are mapped can be stored here
// (package ofproto), and not matched yet.
func (h header) unknown(k ofp.Kind) ofp.Kind {
	const first, last = 40, 103 // tun_metadata0 to tun_metadata63
	if h.id.Class == nxmNX && h.id.Num >= first && h.id.Num <= last {
		return ofp.NXFMFCInvalidTlvField
	}
	return k
}

// payload checks that the value and mask of h are there, and that the value has
// no bit outside the mask. The stock switch does so before it knows the field.
func (h header) payload(r *ofp.Reader, short ofp.Kind) {
	b := r.Peek(h.n)
	if b == nil {
		r.Failf(short, "entry of %d bytes, %d left", h.n, r.Len())
		return
	}
	if !h.mask {
		return
	}
	w := h.n / 2
	for i, v := range b[:w] {
		if v&^b[w+i] != 0 {
			r.Failf(ofp.BMCBadWildcards, "%v: value has bits outside the mask", h.id)
			return
		}
	}
}

// row returns the row of h; nil if there is none with its length.
func (h header) row() *row {
	r := byID[h.id]
	if r == nil || h.n != int(r.bytes) && !h.mask || h.mask && h.n != 2*int(r.bytes) {
		return nil
	}
	return r
}

// readEntry reads the value and mask of the entry h, which row describes, as
// they are in the key.
func (row *row) readEntry(r *ofp.Reader, h header) (v, m flow.U128) {
	width := int(row.bytes)
	v, _ = getValue(r.Bytes(width))
	all := flow.Ones(8 * width)
	m = all
	if h.mask {
		m, _ = getValue(r.Bytes(width))
		if m != all && !row.maskable && !m.IsZero() {
			r.Failf(ofp.BMCBadMask, "%s: cannot be masked", row.name)
			return
		}
		if m.IsZero() {
			return v, m
		}
	}
	valid := row.validBits()
	switch row.port {
	case port16:
		v.Lo = uint64(ofp.PortFrom10(uint16(v.Lo)))
		m = flow.Ones(32)
	case port32:
		if _, err := ofp.PortFrom11(uint32(v.Lo)); err != nil {
			r.Failf(ofp.BMCBadValue, "%s: port %d", row.name, v.Lo)
		}
	default:
		if !v.AndNot(valid).IsZero() {
			r.Failf(ofp.BMCBadValue, "%s: value %x", row.name, v.Lo)
		}
		m = m.And(valid)
	}
	return v, m
}

// Value is the content of one entry with its field: what a set-field action holds.
type Value struct {
	Field       flow.Field
	Value, Mask flow.U128 // in the bits of Field; Mask is all ones if there was none
	HasMask     bool
	Port32      bool // it was a port in 32 bits
}

// DecodeValue reads one entry.
func DecodeValue(r *ofp.Reader) (val Value) {
	h := readHeader(r, ofp.BMCBadLen)
	if r.Err() != nil {
		return
	}
	row := h.row()
	if row == nil {
		k := ofp.BACBadSetType
		if n := h.width(); byID[h.id] != nil && n > 0 {
			k = ofp.BACBadSetLen
		}
		r.Failf(h.unknown(k), "entry %v of %d bytes", h.id, h.n)
		return
	}
	if h.payload(r, ofp.BMCBadLen); r.Err() != nil {
		return
	}
	v, m := row.readEntry(r, h)
	s := row.sub()
	val = Value{row.field, v.Lsh(uint(s.Ofs)), m.Lsh(uint(s.Ofs)), h.mask, row.port == port32}
	if row.field == flow.FieldIPTOS && !h.mask {
		val.Mask = flow.U128{Lo: 0xfc}
	}
	return val
}

// AppendValue writes an entry for field f as version v writes it: with the mask
// if masked. It reports whether f has an entry.
func AppendValue(w *ofp.Writer, f flow.Field, value, mask flow.U128, masked bool, v ofp.Version) bool {
	row := rowFor(f, v)
	if row == nil {
		return false
	}
	if row.port == port32 && f == flow.FieldInPort {
		row = rowFor(f, NXM) // what actions set is the 16-bit form
	}
	n := int(row.bytes)
	ofs := uint(row.ofs)
	if masked {
		row.putHeader(w, 2*n, true)
		putValue(w, row.toWire(value.Rsh(ofs)), n)
		putValue(w, mask.Rsh(ofs), n)
	} else {
		row.putHeader(w, n, false)
		putValue(w, row.toWire(value.Rsh(ofs)), n)
	}
	return true
}

// DecodeHeader reads a header without value, as it names a field in an action;
// unknown is the Kind of the error for one that names none.
func DecodeHeader(r *ofp.Reader, unknown ofp.Kind) (f flow.Field, bits int) {
	h := readHeader(r, ofp.BACBadLen)
	if r.Err() != nil {
		return
	}
	row := h.row()
	if row == nil || h.mask {
		r.Failf(h.unknown(unknown), "field %v with length %d", h.id, h.n)
		return
	}
	return row.field, row.Bits()
}

// Bits returns the width of the entry's value.
func (row *row) Bits() int {
	switch row.port {
	case port16:
		return 16
	case port32:
		return 32
	}
	return int(row.sub().N)
}

// AppendHeader writes the header of s's field as version v writes it. It reports
// whether there is one.
func AppendHeader(w *ofp.Writer, s flow.Subfield, v ofp.Version) bool {
	row := rowFor(s.Field, v)
	if row == nil {
		return false
	}
	if row.port == port16 && s.Ofs+s.N > 16 {
		row = rowFor(s.Field, ofp.V12)
	}
	row.putHeader(w, int(row.bytes), false)
	return true
}

// HeaderLen returns the length of the header of f in version v, 0 if f has none.
func HeaderLen(f flow.Field, v ofp.Version) int {
	if row := rowFor(f, v); row != nil {
		return 4 + row.experimenter()
	}
	return 0
}

// DecodeMask reads one entry of a field array, whose value says which bits of the
// field count (ntr_group_prop_selection_method).
func DecodeMask(r *ofp.Reader) (f flow.Field, mask flow.U128) {
	h := readHeader(r, ofp.BMCBadLen)
	if r.Err() != nil {
		return
	}
	row := h.row()
	if row == nil || h.mask {
		kind := ofp.BMCBadField
		if int(h.n) > r.Len() {
			kind = ofp.BMCBadLen
		}
		r.Failf(kind, "field %v of %d bytes", h.id, h.n)
		return
	}
	v, _ := getValue(r.Bytes(int(row.bytes)))
	s := row.sub()
	all := row.validBits()
	if row.port != 0 {
		if v.IsZero() {
			return row.field, v
		}
		return row.field, flow.Ones(32)
	}
	v = v.And(flow.Ones(int(s.N)))
	if !v.IsZero() && v != all && !row.maskable {
		r.Failf(ofp.BMCBadMask, "%s: cannot be masked", row.name)
	}
	return row.field, v.Lsh(uint(s.Ofs))
}

// AppendMask writes what DecodeMask reads.
func AppendMask(w *ofp.Writer, f flow.Field, mask flow.U128, v ofp.Version) {
	row := rowFor(f, v)
	if row == nil {
		return
	}
	row.putHeader(w, int(row.bytes), false)
	putValue(w, mask.Rsh(uint(row.ofs)).And(flow.Ones(8*int(row.bytes))), int(row.bytes))
}
