// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// portNames are the reserved ports by the low bits of their numbers
// (0xfffffff7 and up).
var portNames = map[uint32]string{
	0xfffffff7: "UNSET",
	0xfffffff8: "IN_PORT",
	0xfffffff9: "TABLE",
	0xfffffffa: "NORMAL",
	0xfffffffb: "FLOOD",
	0xfffffffc: "ALL",
	0xfffffffd: "CONTROLLER",
	0xfffffffe: "LOCAL",
	0xffffffff: "ANY",
}

// PortName returns the name of a reserved port, else the number in decimal.
func PortName(p uint32) string {
	if n, ok := portNames[p]; ok {
		return n
	}
	return strconv.FormatUint(uint64(p), 10)
}

// ParsePort reads a port: a decimal number, of which those from 0xff00 to 0xffff are the
// reserved ones in their 16-bit form, or the name of a reserved port.
func ParsePort(s string) (uint32, error) {
	if v, err := strconv.ParseUint(s, 10, 32); err == nil {
		switch {
		case v < 0xff00 || v >= 0xffffff00:
			return uint32(v), nil
		case v <= 0xffff:
			return uint32(v) + 0xffff0000, nil
		}
		return 0, fmt.Errorf("port %s is out of range", s)
	}
	if strings.EqualFold(s, "NONE") {
		return 0xffffffff, nil
	}
	for p, n := range portNames {
		if strings.EqualFold(s, n) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("port %q is not known", s)
}

// hex writes v as C's %#x does: zero is "0".
func hex(v U128) string {
	switch {
	case v.IsZero():
		return "0"
	case v.Hi == 0:
		return fmt.Sprintf("0x%x", v.Lo)
	}
	return fmt.Sprintf("0x%x%016x", v.Hi, v.Lo)
}

func macText(v uint64) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func ipv4Text(v uint64) string {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
}

func ipv6Text(v U128) string {
	// As C does, and unlike Go, an address of 32 bits is written as one of IPv4.
	if v.Hi == 0 && v.Lo>>32 == 0 && v.Lo>>16 != 0 {
		return "::" + ipv4Text(v.Lo)
	}
	return netip.AddrFrom16(v.Bytes16()).String()
}

// prefixLen returns the number of leading ones of m in a field of n bits if the
// rest are zeros.
func prefixLen(m U128, n int) (int, bool) {
	inv := m.AndNot(U128{}).And(Ones(n))
	inv = Ones(n).AndNot(inv)
	l := bits.Len64(inv.Hi)
	if l > 0 {
		l += 64
	} else {
		l = bits.Len64(inv.Lo)
	}
	return n - l, inv == Ones(l)
}

func prefixText(addr string, mask string, m U128, n int) string {
	if m == Ones(n) {
		return addr
	}
	if l, ok := prefixLen(m, n); ok {
		return addr + "/" + strconv.Itoa(l)
	}
	return addr + "/" + mask
}

// FormatValue writes the value of f under a mask as the stock switch prints it
// in set_field.
func FormatValue(f Field, v, m U128) string {
	all := m == Ones(f.Bits())
	switch textOf(f).format {
	case fmtEth:
		if all {
			return macText(v.Lo)
		}
		return macText(v.Lo) + "/" + macText(m.Lo)
	case fmtIPv4:
		return prefixText(ipv4Text(v.Lo), ipv4Text(m.Lo), m, 32)
	case fmtIPv6:
		return prefixText(ipv6Text(v), ipv6Text(m), m, 128)
	case fmtPort:
		if all {
			return PortName(uint32(v.Lo))
		}
		return hex(v) + "/" + hex(m)
	case fmtFrag:
		return fragText(v.Lo, m.Lo)
	case fmtTCPFlags:
		return flagsText(tcpFlagNames, v.Lo, m.Lo, 0xfff)
	case fmtCTState:
		return flagsText(ctStateNames, v.Lo, m.Lo, ctStateBits)
	case fmtTunFlags:
		return flagsText(tunFlagNames, v.Lo, m.Lo&TunOAM, 0xffff)
	case fmtPacketType:
		return fmt.Sprintf("(%d,%s)", v.Lo>>16, hex(U128{Lo: v.Lo & 0xffff}))
	case fmtDec:
		if all {
			return strconv.FormatUint(v.Lo, 10)
		}
		return strconv.FormatUint(v.Lo, 10) + "/" + hex(m) // unlike in a match
	}
	if all {
		return hex(v)
	}
	return hex(v) + "/" + hex(m)
}

// flagName is one bit of a set of flags.
type flagName struct {
	bit  uint64
	name string
}

var tcpFlagNames = []flagName{
	{1 << 0, "fin"}, {1 << 1, "syn"}, {1 << 2, "rst"}, {1 << 3, "psh"}, {1 << 4, "ack"}, {1 << 5, "urg"},
	{1 << 6, "ece"}, {1 << 7, "cwr"}, {1 << 8, "ns"}, {1 << 9, "[200]"}, {1 << 10, "[400]"}, {1 << 11, "[800]"},
}

// ctStateBits are the bits of ct_state that have a meaning.
const ctStateBits = 0xff

var ctStateNames = []flagName{
	{CTNew, "new"}, {CTEstablished, "est"}, {CTRelated, "rel"}, {CTReply, "rpl"}, {CTInvalid, "inv"},
	{CTTracked, "trk"}, {CTSNAT, "snat"}, {CTDNAT, "dnat"},
}

var tunFlagNames = []flagName{{TunOAM, "oam"}}

// flagsText writes flags under a mask: "+syn-ack"; with all bits of the mask
// set, "syn|ack".
func flagsText(names []flagName, v, m, all uint64) string {
	var b strings.Builder
	if m == all {
		if v == 0 {
			return "0"
		}
		for _, n := range names {
			if v&n.bit != 0 {
				if b.Len() > 0 {
					b.WriteByte('|')
				}
				b.WriteString(n.name)
				v &^= n.bit
			}
		}
		if v != 0 {
			if b.Len() > 0 {
				b.WriteByte('|')
			}
			fmt.Fprintf(&b, "%#x", v)
		}
		return b.String()
	}
	for _, n := range names {
		if m&n.bit == 0 {
			continue
		}
		if v&n.bit != 0 {
			b.WriteByte('+')
		} else {
			b.WriteByte('-')
		}
		b.WriteString(n.name)
		m &^= n.bit
	}
	if m != 0 {
		return fmt.Sprintf("%#x/%#x", v, m)
	}
	return b.String()
}

// parseFlags reads what flagsText writes, and numbers with an optional mask.
func parseFlags(names []flagName, s, what string, all uint64) (v, m uint64, err error) {
	if s == "" {
		return 0, 0, fmt.Errorf("no flags")
	}
	lookup := func(n string) (uint64, error) {
		for _, f := range names {
			if f.name == n {
				return f.bit, nil
			}
		}
		return 0, Textf("%s: unknown %s(s)", n, what)
	}
	switch {
	case s[0] == '+' || s[0] == '-':
		for s != "" {
			i := 1
			for i < len(s) && s[i] != '+' && s[i] != '-' {
				i++
			}
			bit, err := lookup(s[1:i])
			if err != nil {
				return 0, 0, err
			}
			if m&bit != 0 {
				return 0, 0, Textf("%s: Each %s can be specified only once", s[1:i], what)
			}
			m |= bit
			if s[0] == '+' {
				v |= bit
			}
			s = s[i:]
		}
		return v, m, nil
	case s[0] >= '0' && s[0] <= '9':
		val, mask, err := parseInt(s, U128{Lo: all})
		if err != nil {
			return 0, 0, Textf("%s: unknown %s(s)", s, what)
		}
		return val.Lo & mask.Lo, mask.Lo, nil
	}
	for _, n := range strings.Split(s, "|") {
		bit, err := lookup(n)
		if err != nil {
			return 0, 0, err
		}
		v |= bit
	}
	return v, all, nil
}

// fragNames are the forms of ip_frag (ovs-fields(7)).
var fragNames = []struct {
	name string
	v, m uint64
}{
	{"no", 0, FragAny | FragLater},
	{"yes", FragAny, FragAny},
	{"first", FragAny, FragAny | FragLater},
	{"later", FragAny | FragLater, FragAny | FragLater},
	{"not_later", 0, FragLater},
}

func fragText(v, m uint64) string {
	m &= FragAny | FragLater
	for _, n := range fragNames {
		if n.v == v && n.m == m {
			return n.name
		}
	}
	return fmt.Sprintf("%#x/%#x", v, m)
}

// parseInt reads an integer with an optional mask, which is all if there is none.
func parseInt(s string, all U128) (v, m U128, err error) {
	val, mask, masked := strings.Cut(s, "/")
	if v, err = parseU128(val); err != nil {
		return v, m, err
	}
	m = all
	if masked {
		if m, err = parseU128(mask); err != nil {
			return v, m, err
		}
	}
	if !v.AndNot(all).IsZero() || masked && !m.AndNot(all).IsZero() && m != Ones(128) {
		return v, m, fmt.Errorf("%q is too large", s)
	}
	return v, m.And(all), nil
}

// textName is the name of f in errors.
func textName(f Field) string {
	switch f {
	case FieldTPSrc:
		return "tcp_src"
	case FieldTPDst:
		return "tcp_dst"
	case FieldIPProto:
		return "nw_proto"
	case FieldIPTTL:
		return "nw_ttl"
	case FieldIPTOS:
		return "nw_tos"
	case FieldIPECN:
		return "nw_ecn"
	}
	return f.String()
}

// parseSized reads an integer of size bytes with an optional mask for the
// field name. The mask -1 is all ones.
func parseSized(s string, size int, name string) (v, m U128, err error) {
	val, mask, masked := strings.Cut(s, "/")
	one := func(part, what string) (U128, error) {
		v, err := parseU128(part)
		switch {
		case err != nil && tooLong(part), err == nil && part[0] == '-', err == nil && !v.AndNot(Ones(8*size)).IsZero():
			return v, Textf("%s: value too large for %d-byte field %s", s, size, name)
		case err != nil:
			return v, Textf("%s: bad syntax for %s %s", s, name, what)
		}
		return v, nil
	}
	if v, err = one(val, "value"); err != nil {
		return v, m, err
	}
	m = Ones(8 * size)
	if masked && mask != "-1" {
		m, err = one(mask, "mask")
	}
	return v, m, err
}

// tooLong reports whether s is a number that no field can hold.
func tooLong(s string) bool {
	digits, set := s, "0123456789"
	if h, ok := strings.CutPrefix(s, "0x"); ok {
		digits, set = h, set+"abcdefABCDEF"
	}
	return digits != "" && strings.Trim(digits, set) == ""
}

// parseU128 reads a decimal number of up to 64 bits, or a hexadecimal one.
func parseU128(s string) (v U128, err error) {
	if h, ok := strings.CutPrefix(s, "0x"); ok && len(h) > 16 {
		if len(h) > 32 {
			return v, fmt.Errorf("number %q is too large", s)
		}
		v.Hi, err = strconv.ParseUint(h[:len(h)-16], 16, 64)
		if err == nil {
			v.Lo, err = strconv.ParseUint(h[len(h)-16:], 16, 64)
		}
		if err != nil {
			return v, fmt.Errorf("number %q is malformed", s)
		}
		return v, nil
	}
	lo, err := strconv.ParseInt(s, 0, 64)
	if err == nil {
		if lo == -1 {
			return Ones(128), nil
		}
		if lo >= 0 {
			return U128{Lo: uint64(lo)}, nil
		}
	}
	u, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return v, fmt.Errorf("number %q is malformed", s)
	}
	return U128{Lo: u}, nil
}

// parseMAC reads six octets of one or two hexadecimal digits with colons
// between.
func parseMAC(s string) (uint64, error) {
	octets := strings.Split(s, ":")
	if len(octets) != 6 {
		return 0, fmt.Errorf("Ethernet address %q is malformed", s)
	}
	var v uint64
	for _, o := range octets {
		n, err := strconv.ParseUint(o, 16, 8)
		if err != nil || len(o) > 2 {
			return 0, fmt.Errorf("Ethernet address %q is malformed", s)
		}
		v = v<<8 | n
	}
	return v, nil
}

// parseAddr reads an address with an optional mask, as prefix length or address.
func parseAddr(s string, n int) (v, m U128, err error) {
	addr, mask, masked := strings.Cut(s, "/")
	whole, family, network := s, "IP", "IPv4"
	if n == 128 {
		family, network = "IPv6", "IPv6"
	}
	one := func(s string) (U128, error) {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Is4() != (n == 32) || a.Zone() != "" {
			return U128{}, Textf("%s: invalid %s address", whole, family)
		}
		if n == 128 {
			return bytesU128(a.As16()), nil
		}
		return AddrU128(a), nil
	}
	if v, err = one(addr); err != nil {
		return v, m, err
	}
	m = Ones(n)
	if masked {
		if l, e := strconv.Atoi(mask); e == nil {
			if l < 0 || l > n {
				return v, m, Textf("%s: %s network prefix bits not between 0 and %d, inclusive", s, network, n)
			}
			m = Ones(n).AndNot(Ones(n - l))
		} else if m, err = one(mask); err != nil {
			return v, m, err
		}
	}
	return v.And(m), m, nil
}

// ParseValue reads what FormatValue writes, and the other forms that
// ovs-fields(7) allows. It does not check whether f may have a mask.
func ParseValue(f Field, s string) (v, m U128, err error) {
	all := Ones(f.Bits())
	wrap := func(err error) error { return fmt.Errorf("%s=%s: %w", f, s, err) }
	switch textOf(f).format {
	case 0:
		return v, m, fmt.Errorf("field %s has no text", f)
	case fmtEth:
		a, b, masked := strings.Cut(s, "/")
		m = all
		if v.Lo, err = parseMAC(a); err == nil && masked {
			m.Lo, err = parseMAC(b)
		}
		if err != nil {
			err = Textf("%s: invalid Ethernet address", s)
		}
	case fmtIPv4:
		v, m, err = parseAddr(s, 32)
	case fmtIPv6:
		v, m, err = parseAddr(s, 128)
	case fmtPort:
		var p uint32
		if p, err = ParsePort(s); err != nil {
			err = Textf("%s: invalid or unknown port for %s", s, textName(f))
		}
		v, m = U128{Lo: uint64(p)}, all
	case fmtFrag:
		for _, n := range fragNames {
			if n.name == s {
				return U128{Lo: n.v}, U128{Lo: n.m}, nil
			}
		}
		if v, m, err = parseInt(s, U128{Lo: FragAny | FragLater}); err != nil {
			err = Textf(`%s: unknown fragment type (valid types are "no", "yes", "first", "later", "not_later"`, s)
		}
	case fmtTCPFlags:
		v.Lo, m.Lo, err = parseFlags(tcpFlagNames, s, "TCP flag", 0xfff)
	case fmtCTState:
		v.Lo, m.Lo, err = parseFlags(ctStateNames, s, "ct_state flag", ctStateBits)
	case fmtTunFlags:
		v.Lo, m.Lo, err = parseFlags(tunFlagNames, s, "tunnel flag", TunOAM)
	case fmtPacketType:
		var ns, t uint64
		in, ok := strings.CutPrefix(s, "(")
		if !ok {
			return v, m, wrap(Textf("%s: bad syntax for packet type missing '('", s))
		}
		a, b, _ := strings.Cut(in, ",")
		if ns, err = strconv.ParseUint(a, 0, 16); err != nil {
			return v, m, wrap(Textf("%s: bad syntax for packet type namespace", in))
		}
		if t, err = strconv.ParseUint(strings.TrimSuffix(b, ")"), 0, 16); err != nil || !strings.HasSuffix(b, ")") {
			return v, m, wrap(Textf("%s: bad syntax for packet type ns_type", b))
		}
		v, m = U128{Lo: ns<<16 | t}, all
	default:
		// More bits than the field has, in as many bytes, are dropped.
		size := (f.Bits() + 7) / 8
		if f == FieldARPOp {
			size = 2 // in the packet, of which one counts
		}
		v, m, err = parseSized(s, size, textName(f))
		m = m.And(all)
	}
	if err != nil {
		return v, m, wrap(err)
	}
	return v.And(m), m, nil
}

// inPort16 is the width of in_port in NXM.
const inPort16 = 16

// The widths of these in subfields: vlan_vid without the bit that says present.
const (
	vlanVID = 12
	ipFrag  = 2
)

// String writes s as it stands in load and move: "NXM_NX_REG0[0..15]",
// "NXM_OF_TCP_DST[]".
func (s Subfield) String() string {
	name, ofs, all := s.Field.NXMName(), s.Ofs, uint16(s.Field.Bits())
	switch s.Field {
	case FieldInPort:
		if s.Ofs+s.N <= inPort16 {
			all = inPort16
		} else {
			name = "OXM_OF_IN_PORT"
		}
	case FieldTunFlags:
		ofs, all = ofs-3, 1 // on the wire the OAM bit alone
	case FieldVLANVID:
		all = vlanVID
	case FieldIPFrag:
		all = ipFrag
	}
	switch {
	case s.N == all:
		return name + "[]"
	case s.N == 1:
		return fmt.Sprintf("%s[%d]", name, ofs)
	}
	return fmt.Sprintf("%s[%d..%d]", name, ofs, ofs+s.N-1)
}

// ParseSubfield reads "NAME[A..B]", "NAME[A]", "NAME[]" or "NAME", with the
// names that FieldByName knows.
func ParseSubfield(s string) (Subfield, error) {
	name, rng, brackets := strings.Cut(s, "[")
	f, ok := FieldByName(name)
	if !ok {
		return Subfield{}, &ErrField{name}
	}
	sf := f.All()
	base := uint16(0)
	switch f {
	case FieldInPort:
		if !strings.Contains(strings.ToLower(name), "oxm") {
			sf.N = inPort16
		}
	case FieldTunFlags:
		sf, base = Subfield{f, 3, 1}, 3
	case FieldVLANVID:
		sf.N = vlanVID
	case FieldIPFrag:
		sf.N = ipFrag
	}
	width := sf.N
	if !brackets {
		return sf, nil
	}
	rng, rest, ok := strings.Cut(rng, "]")
	switch {
	case !ok:
		return Subfield{}, Textf("%s: missing ] in subfield", s)
	case rest != "":
		return Subfield{}, Textf("unexpected input following field syntax")
	}
	if rng == "" {
		return sf, nil
	}
	first, last, isRange := strings.Cut(rng, "..")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	if err == nil {
		var b uint64
		b, err = strconv.ParseUint(last, 10, 16)
		switch {
		case err != nil:
		case b < a:
			return Subfield{}, Textf("%s: starting bit %d is after ending bit %d", s, a, b)
		case a >= uint64(width):
			return Subfield{}, Textf("%s: starting bit %d is not valid because field is only %d bits wide", s, a, width)
		case b >= uint64(width):
			return Subfield{}, Textf("%s: ending bit %d is not valid because field is only %d bits wide", s, b, width)
		}
		sf.Ofs, sf.N = base+uint16(a), uint16(b-a+1)
	}
	if err != nil {
		return Subfield{}, Textf("%s: syntax error expecting bit or range of bits", s)
	}
	return sf, nil
}
