// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// Frame is a frame that is being changed. Its zero value is an empty frame.
type Frame struct {
	buf    []byte
	start  int // of the frame in buf: the headroom
	gso    dpif.GSO
	layers Layers
}

// Headroom is what a buffer should have before the frame, so that pushing
// tags does not allocate: room for 4.
const Headroom = 16

// Reset makes f the frame buf[headroom:], not parsed yet. The buffer is f's
// until the next Reset.
func (f *Frame) Reset(buf []byte, headroom int, gso dpif.GSO) {
	f.buf, f.start, f.gso, f.layers = buf, headroom, gso, Layers{}
}

// Parse parses the frame as it is now; see the function Parse.
func (f *Frame) Parse(m *Meta, maxVLANs int, k *flow.Key) bool {
	return Parse(f.buf[f.start:], m, maxVLANs, k, &f.layers)
}

// Data returns the frame. It is valid until the next PushVLAN or Reset.
func (f *Frame) Data() []byte { return f.buf[f.start:] }

// GSO says what the frame stands for.
func (f *Frame) GSO() dpif.GSO { return f.gso }

// SetGSO replaces what the frame stands for.
func (f *Frame) SetGSO(g dpif.GSO) { f.gso = g }

// Layers returns where the headers are. They are valid until the next change.
func (f *Frame) Layers() *Layers { return &f.layers }

// PushVLAN puts a tag outside of all that are there. tpid should be 0x8100 or
// 0x88a8; bit 12 of tci is ignored, the DEI bit of the tag is 0.
func (f *Frame) PushVLAN(tpid, tci uint16) {
	if len(f.buf)-f.start < ethLen {
		return
	}
	d := f.insert(12)
	binary.BigEndian.PutUint16(d[12:], tpid)
	binary.BigEndian.PutUint16(d[14:], tci&^flow.VLANPresent)
	f.layers.shift(vlanLen)
	f.layers.VLANs++
}

// insert makes room for 4 bytes behind the first at bytes, and returns the frame.
func (f *Frame) insert(at int) []byte {
	const n = vlanLen
	if f.start < n {
		b := make([]byte, Headroom+len(f.buf)-f.start)
		copy(b[Headroom:], f.buf[f.start:])
		f.buf, f.start = b, Headroom
	}
	f.start -= n
	d := f.buf[f.start:]
	copy(d, d[n:n+at])
	return d
}

// PushMPLS puts a label stack entry behind the type, which becomes typ (0x8847 or
// 0x8848). Of what is behind nothing is known any more; an unfinished checksum
// is finished before. A train of segments cannot be described with a label and
// must have been cut (Split).
func (f *Frame) PushMPLS(typ uint16, lse uint32) {
	l := &f.layers
	if l.Type == 0 || f.gso.Size != 0 {
		return
	}
	f.FinishCsum()
	at := l.Type + 2
	d := f.insert(at)
	binary.BigEndian.PutUint16(d[l.Type:], typ)
	binary.BigEndian.PutUint32(d[at:], lse)
	f.layers = Layers{Type: l.Type, VLANs: l.VLANs, Net: NetMPLS, L3: at, MPLS: min(l.MPLS+1, MaxMPLS)}
}

// PopMPLS removes the outer label stack entry of an MPLS packet, whose type becomes
// typ; what is behind is parsed as that type.
func (f *Frame) PopMPLS(typ uint16) {
	l := &f.layers
	if l.Net != NetMPLS || l.MPLS == 0 {
		return
	}
	d := f.buf[f.start:]
	copy(d[lseLen:], d[:l.L3])
	f.start += lseLen
	d = d[lseLen:]
	binary.BigEndian.PutUint16(d[l.Type:], typ)
	f.layers = Layers{Type: l.Type, VLANs: l.VLANs}
	var k flow.Key
	parseNet(d, typ, l.Type+2, &k, l)
}

// Head returns the first n bytes of f, or all if it is shorter, as a frame that
// shares its bytes. It has no layers and no unfinished checksum: f's is finished. f must
// not be a train of segments.
func (f *Frame) Head(n int) Frame {
	f.FinishCsum()
	return Frame{buf: f.buf[:f.start+min(n, len(f.buf)-f.start)], start: f.start}
}

// PopVLAN removes the outermost tag, if there is one that was parsed or pushed.
func (f *Frame) PopVLAN() {
	d := f.buf[f.start:]
	if f.layers.VLANs == 0 || len(d) < ethLen+vlanLen || !isVLAN(be16(d[12:])) {
		return
	}
	copy(d[vlanLen:], d[:12])
	f.start += vlanLen
	f.layers.shift(-vlanLen)
	f.layers.VLANs--
}

// shift moves every offset that is there by n bytes.
func (l *Layers) shift(n int) {
	for _, p := range [...]*int{&l.Type, &l.L3, &l.L4, &l.End, &l.SLL, &l.TLL} {
		if *p != 0 {
			*p += n
		}
	}
}

// sums says which checksums cover a field.
type sums uint8

const (
	sumIP     sums = 1 << iota // IPv4 header
	sumPseudo                  // transport, by the pseudo header
	sumL4                      // transport, by its own header
)

// place is where a field is in a frame: bits [shift, shift+bits) of the n
// bytes at at, read as a big-endian number. n is 0 if it is not there.
type place struct {
	at    int
	n     uint8
	shift uint8
	bits  uint8
	sums  sums
}

// Settable reports whether Set can write f in a packet that has it.
func Settable(f flow.Field) bool {
	l := Layers{
		L3: 100, L4: 200, SLL: 300, TLL: 400, VLANs: 1, MPLS: 1, ND: true,
	}
	for _, l.Net = range [...]NetKind{NetMPLS, NetARP, NetIPv4, NetIPv6} {
		for _, l.Proto = range [...]uint8{ProtoTCP, ProtoUDP, ProtoSCTP, ProtoICMP, ProtoICMPv6} {
			if l.locate(f).n != 0 {
				return true
			}
		}
	}
	return false
}

// locate returns where f is.
func (l *Layers) locate(f flow.Field) place {
	switch f {
	case flow.FieldEthDst:
		return place{at: 0, n: 6, bits: 48}
	case flow.FieldEthSrc:
		return place{at: 6, n: 6, bits: 48}
	}
	if l.VLANs > 0 {
		switch f {
		case flow.FieldVLANTCI:
			return place{at: 14, n: 2, bits: 16} // Set keeps bit 12
		case flow.FieldVLANVID, flow.FieldDLVLAN:
			return place{at: 14, n: 2, bits: 12}
		case flow.FieldVLANPCP:
			return place{at: 14, n: 2, shift: 13, bits: 3}
		}
	}
	var p place
	switch l.Net {
	case NetMPLS:
		return l.locateMPLS(f)
	case NetARP:
		return l.locateARP(f)
	case NetIPv4:
		p = l.locateIPv4(f)
	case NetIPv6:
		p = l.locateIPv6(f)
	}
	if p.n == 0 && l.L4 != 0 {
		p = l.locateL4(f)
	}
	return p
}

func (l *Layers) locateMPLS(f flow.Field) place {
	switch f {
	case flow.FieldMPLSLabel:
		return place{at: l.L3, n: 4, shift: 12, bits: 20}
	case flow.FieldMPLSTC:
		return place{at: l.L3, n: 4, shift: 9, bits: 3}
	case flow.FieldMPLSTTL:
		return place{at: l.L3 + 3, n: 1, bits: 8}
	}
	return place{}
}

func (l *Layers) locateARP(f flow.Field) place {
	switch f {
	case flow.FieldARPOp:
		return place{at: l.L3 + 6, n: 2, bits: 8}
	case flow.FieldARPSHA:
		return place{at: l.L3 + 8, n: 6, bits: 48}
	case flow.FieldARPSPA:
		return place{at: l.L3 + 14, n: 4, bits: 32}
	case flow.FieldARPTHA:
		return place{at: l.L3 + 18, n: 6, bits: 48}
	case flow.FieldARPTPA:
		return place{at: l.L3 + 24, n: 4, bits: 32}
	}
	return place{}
}

func (l *Layers) locateIPv4(f flow.Field) place {
	switch f {
	case flow.FieldIPSrc:
		return place{at: l.L3 + 12, n: 4, bits: 32, sums: sumIP | sumPseudo}
	case flow.FieldIPDst:
		return place{at: l.L3 + 16, n: 4, bits: 32, sums: sumIP | sumPseudo}
	case flow.FieldIPTOS:
		return place{at: l.L3 + 1, n: 1, bits: 8, sums: sumIP}
	case flow.FieldIPDSCP:
		return place{at: l.L3 + 1, n: 1, shift: 2, bits: 6, sums: sumIP}
	case flow.FieldIPECN:
		return place{at: l.L3 + 1, n: 1, bits: 2, sums: sumIP}
	case flow.FieldIPTTL:
		return place{at: l.L3 + 8, n: 1, bits: 8, sums: sumIP}
	}
	return place{}
}

func (l *Layers) locateIPv6(f flow.Field) place {
	switch f {
	case flow.FieldIPv6Src:
		return place{at: l.L3 + 8, n: 16, bits: 128, sums: sumPseudo}
	case flow.FieldIPv6Dst:
		p := place{at: l.L3 + 24, n: 16, bits: 128, sums: sumPseudo}
		if l.Routed {
			p.sums = 0
		}
		return p
	case flow.FieldIPv6Label:
		return place{at: l.L3, n: 4, bits: 20}
	case flow.FieldIPTOS:
		return place{at: l.L3, n: 2, shift: 4, bits: 8}
	case flow.FieldIPDSCP:
		return place{at: l.L3, n: 2, shift: 6, bits: 6}
	case flow.FieldIPECN:
		return place{at: l.L3, n: 2, shift: 4, bits: 2}
	case flow.FieldIPTTL:
		return place{at: l.L3 + 7, n: 1, bits: 8}
	}
	return place{}
}

// portFields names the fields that are tp_src and tp_dst of one protocol alone.
var portFields = [256]struct{ src, dst flow.Field }{
	ProtoTCP:    {flow.FieldTCPSrc, flow.FieldTCPDst},
	ProtoUDP:    {flow.FieldUDPSrc, flow.FieldUDPDst},
	ProtoSCTP:   {flow.FieldSCTPSrc, flow.FieldSCTPDst},
	ProtoICMP:   {flow.FieldICMPType, flow.FieldICMPCode},
	ProtoICMPv6: {flow.FieldICMPv6Type, flow.FieldICMPv6Code},
}

func (l *Layers) locateL4(f flow.Field) place {
	switch {
	case f == flow.FieldTPSrc, f == flow.FieldTPDst:
		if l.Proto == ProtoIGMP {
			return place{}
		}
	case f == portFields[l.Proto].src:
		f = flow.FieldTPSrc
	case f == portFields[l.Proto].dst:
		f = flow.FieldTPDst
	}
	p := place{at: l.L4, n: 2, bits: 16, sums: sumL4}
	if l.Proto == ProtoICMP || l.Proto == ProtoICMPv6 {
		p.n, p.bits = 1, 8
	}
	switch f {
	case flow.FieldTPSrc:
		return p
	case flow.FieldTPDst:
		p.at += int(p.n)
		return p
	}
	if !l.ND {
		return place{}
	}
	switch {
	case f == flow.FieldNDReserved:
		return place{at: l.L4 + 4, n: 4, bits: 32, sums: sumL4}
	case f == flow.FieldNDTarget:
		return place{at: l.L4 + 8, n: 16, bits: 128, sums: sumL4}
	case f == flow.FieldNDSLL && l.SLL != 0:
		return place{at: l.SLL, n: 6, bits: 48, sums: sumL4}
	case f == flow.FieldNDTLL && l.TLL != 0:
		return place{at: l.TLL, n: 6, bits: 48, sums: sumL4}
	case f == flow.FieldNDOptionsType && (l.SLL != 0 || l.TLL != 0):
		at := l.SLL
		if at == 0 || l.TLL != 0 && l.TLL < at {
			at = l.TLL
		}
		return place{at: at - 2, n: 1, bits: 8, sums: sumL4}
	}
	return place{}
}

// Set writes the bits mask of value to a field, with the checksums that cover
// it. It does nothing if the packet has no such field.
func (f *Frame) Set(field flow.Field, value, mask flow.U128) {
	l := &f.layers
	p := l.locate(field)
	if p.n == 0 {
		return
	}
	d := f.buf[f.start:]
	mask = mask.And(flow.Ones(int(p.bits)))
	if field == flow.FieldVLANTCI {
		mask.Lo &^= flow.VLANPresent
	}
	b := d[p.at : p.at+int(p.n)]
	old := load(b)
	v := old.AndNot(mask.Lsh(uint(p.shift))).Or(value.And(mask).Lsh(uint(p.shift)))
	if field == flow.FieldARPOp {
		if old.Lo > 255 { // the key says 0
			v = value.And(mask)
		}
	}
	if v == old {
		return
	}
	if p.sums == 0 {
		store(b, v)
		return
	}
	if l.Proto == ProtoSCTP && p.sums&sumL4 != 0 {
		if l.Frag == 0 {
			f.storeSCTP(b, v)
		}
		return
	}
	// All fields with sums start at an even offset from their header, or are the
	// second byte of a word.
	lo := p.at
	if base := l.L3; p.sums&sumL4 == 0 {
		lo -= (lo - base) & 1
	} else {
		lo -= (lo - l.L4) & 1
	}
	hi := p.at + int(p.n)
	hi += (hi - lo) & 1
	before := Sum(d[lo:hi], 0)
	store(b, v)
	f.sumChanged(p.sums, delta(before, Sum(d[lo:hi], 0)))
	if field == flow.FieldNDOptionsType {
		f.retypeND(p.at+2, uint8(v.Lo))
	}
}

// sumChanged corrects the checksums s by dl.
func (f *Frame) sumChanged(s sums, dl uint16) {
	l, d := &f.layers, f.buf[f.start:]
	if s&sumIP != 0 {
		c := d[l.L3+10 : l.L3+12]
		binary.BigEndian.PutUint16(c, adjust(be16(c), dl))
	}
	if s&(sumPseudo|sumL4) == 0 {
		return
	}
	at := csumAt(l)
	if at == 0 || s&sumPseudo != 0 && (l.Proto == ProtoICMP || l.Proto == ProtoIGMP) {
		return
	}
	c := d[at : at+2]
	hc := be16(c)
	if f.gso.NeedsCsum {
		if s&sumPseudo != 0 {
			binary.BigEndian.PutUint16(c, fold(uint64(hc)+uint64(dl)))
		}
		return
	}
	if l.Proto == ProtoUDP {
		if hc == 0 {
			return
		}
		if hc = adjust(hc, dl); hc == 0 {
			hc = 0xffff
		}
	} else {
		hc = adjust(hc, dl)
	}
	binary.BigEndian.PutUint16(c, hc)
}

// storeSCTP writes v to b, a part of the SCTP header, and changes the CRC by
// what the change makes.
func (f *Frame) storeSCTP(b []byte, v flow.U128) {
	p := f.buf[f.start:][f.layers.L4:f.layers.End]
	was := binary.LittleEndian.Uint32(p[8:])
	binary.LittleEndian.PutUint32(p[8:], 0)
	before := crc32.Checksum(p, castagnoli)
	store(b, v)
	after := crc32.Checksum(p, castagnoli)
	binary.LittleEndian.PutUint32(p[8:], was^before^after)
}

// retypeND notes that the option whose address is at at has a new type.
func (f *Frame) retypeND(at int, typ uint8) {
	l := &f.layers
	if l.SLL == at {
		l.SLL = 0
	} else {
		l.TLL = 0
	}
	switch {
	case typ == ndOptSource && l.SLL == 0:
		l.SLL = at
	case typ == ndOptTarget && l.TLL == 0:
		l.TLL = at
	}
}

// load reads b, 1 to 8 or 16 bytes, as a big-endian number.
func load(b []byte) flow.U128 {
	if len(b) == 16 {
		return u128(b)
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return flow.U128{Lo: v}
}

// store writes v to b, 1 to 8 or 16 bytes, as a big-endian number.
func store(b []byte, v flow.U128) {
	if len(b) == 16 {
		binary.BigEndian.PutUint64(b, v.Hi)
		binary.BigEndian.PutUint64(b[8:], v.Lo)
		return
	}
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(v.Lo)
		v.Lo >>= 8
	}
}

// FinishCsum computes a transport checksum that is not finished, so that
// NeedsCsum is false afterwards. The GSO size stays: the sum is that of the
// whole train.
func (f *Frame) FinishCsum() {
	if !f.gso.NeedsCsum {
		return
	}
	f.gso.NeedsCsum = false
	l := &f.layers
	if at := csumAt(l); at != 0 {
		CompleteCsum(f.buf[f.start:], l.L4, at-l.L4, l.End, l.Proto == ProtoUDP)
	}
}
