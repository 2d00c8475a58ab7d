// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"math/bits"
	"net/netip"
)

// U128 is a value of up to 128 bits; a narrower field uses the low bits of Lo.
type U128 struct{ Hi, Lo uint64 }

// And returns a & b.
func (a U128) And(b U128) U128 { return U128{a.Hi & b.Hi, a.Lo & b.Lo} }

// AndNot returns a &^ b.
func (a U128) AndNot(b U128) U128 { return U128{a.Hi &^ b.Hi, a.Lo &^ b.Lo} }

// Or returns a | b.
func (a U128) Or(b U128) U128 { return U128{a.Hi | b.Hi, a.Lo | b.Lo} }

// IsZero reports whether no bit is set.
func (a U128) IsZero() bool { return a.Hi|a.Lo == 0 }

// Lsh returns a shifted left by n bits, 0 <= n.
func (a U128) Lsh(n uint) U128 {
	switch {
	case n == 0:
		return a
	case n >= 64:
		return U128{Hi: a.Lo << (n - 64)}
	}
	return U128{a.Hi<<n | a.Lo>>(64-n), a.Lo << n}
}

// Rsh returns a shifted right by n bits, 0 <= n.
func (a U128) Rsh(n uint) U128 {
	switch {
	case n == 0:
		return a
	case n >= 64:
		return U128{Lo: a.Hi >> (n - 64)}
	}
	return U128{a.Hi >> n, a.Lo>>n | a.Hi<<(64-n)}
}

// Ones returns the value whose n lowest bits are set, 0 <= n <= 128.
func Ones(n int) U128 {
	switch {
	case n >= 128:
		return U128{^uint64(0), ^uint64(0)}
	case n > 64:
		return U128{1<<(n-64) - 1, ^uint64(0)}
	case n == 64:
		return U128{0, ^uint64(0)}
	}
	return U128{0, 1<<n - 1}
}

// AddrU128 returns the 128 bits of an IPv6 address, or the 32 of an IPv4 one.
func AddrU128(a netip.Addr) U128 {
	if a.Is4() {
		b := a.As4()
		return U128{0, uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])}
	}
	return bytesU128(a.As16())
}

func bytesU128(b [16]byte) (u U128) {
	for i := 0; i < 8; i++ {
		u.Hi = u.Hi<<8 | uint64(b[i])
		u.Lo = u.Lo<<8 | uint64(b[i+8])
	}
	return u
}

// Bytes16 returns a in network byte order.
func (a U128) Bytes16() (b [16]byte) {
	for i := 0; i < 8; i++ {
		b[i] = byte(a.Hi >> (56 - 8*i))
		b[i+8] = byte(a.Lo >> (56 - 8*i))
	}
	return b
}

// Key holds every field of a packet and of its metadata. The zero Key is the
// key of nothing: all fields zero.
type Key [Words]uint64

// Mask says which bits of a Key count.
type Mask [Words]uint64

func get(w *[Words]uint64, f Field) U128 {
	in := &fields[f]
	if in.Bits == 128 {
		return U128{w[in.Word], w[in.Word+1]}
	}
	return U128{0, w[in.Word] >> in.Shift & Ones(int(in.Bits)).Lo}
}

// put writes the bits of v under m into f.
func put(w *[Words]uint64, f Field, v, m U128) {
	in := &fields[f]
	if in.Bits == 128 {
		w[in.Word] = w[in.Word]&^m.Hi | v.Hi&m.Hi
		w[in.Word+1] = w[in.Word+1]&^m.Lo | v.Lo&m.Lo
		return
	}
	lo := m.Lo & Ones(int(in.Bits)).Lo
	w[in.Word] = w[in.Word]&^(lo<<in.Shift) | v.Lo&lo<<in.Shift
}

// Get returns the value of f.
func (k *Key) Get(f Field) U128 { return get((*[Words]uint64)(k), f) }

// U64 returns the value of f, which has at most 64 bits.
func (k *Key) U64(f Field) uint64 { return get((*[Words]uint64)(k), f).Lo }

// Set writes v, cut to the field's width, into f.
func (k *Key) Set(f Field, v U128) { put((*[Words]uint64)(k), f, v, Ones(128)) }

// SetU64 writes v, cut to the field's width, into f.
func (k *Key) SetU64(f Field, v uint64) { put((*[Words]uint64)(k), f, U128{0, v}, Ones(128)) }

// SetMasked writes the bits of v under m into f and leaves the others.
func (k *Key) SetMasked(f Field, v, m U128) { put((*[Words]uint64)(k), f, v, m) }

// InPort returns the ingress port.
func (k *Key) InPort() uint32 { return uint32(k[0] >> 32) }

// EthDst returns the destination address in the low 48 bits.
func (k *Key) EthDst() uint64 { return k[23] >> 16 }

// EthSrc returns the source address in the low 48 bits.
func (k *Key) EthSrc() uint64 { return k[24] >> 16 }

// EthType returns the type of the payload behind all VLAN tags that were
// parsed; values below 0x600 do not occur: an 802.3 frame without SNAP has
// EthTypeNone.
func (k *Key) EthType() uint16 { return uint16(k[23]) }

// VLANTCI returns the TCI of the outer tag with VLANPresent set, or 0.
func (k *Key) VLANTCI() uint16 { return uint16(k[24]) }

// IPProto returns the IP protocol, or the low byte of the ARP opcode.
func (k *Key) IPProto() uint8 { return uint8(k[33] >> 24) }

// EthTypeNone stands for an Ethernet frame without an Ethernet type (802.3
// with LLC), as OpenFlow 1.0 names it (OFP_DL_TYPE_NOT_ETH_TYPE).
const EthTypeNone = 0x05ff

// Set makes the bits m of f count, in addition to those that do already.
func (k *Mask) Set(f Field, m U128) {
	in := &fields[f]
	if in.Bits == 128 {
		k[in.Word] |= m.Hi
		k[in.Word+1] |= m.Lo
		return
	}
	k[in.Word] |= (m.Lo & Ones(int(in.Bits)).Lo) << in.Shift
}

// SetAll makes every bit of f count.
func (k *Mask) SetAll(f Field) { k.Set(f, Ones(128)) }

// Clear makes no bit of f count.
func (k *Mask) Clear(f Field) { put((*[Words]uint64)(k), f, U128{}, Ones(128)) }

// Get returns the bits of f that count.
func (k *Mask) Get(f Field) U128 { return get((*[Words]uint64)(k), f) }

// Merge makes every bit count that counts in o.
func (k *Mask) Merge(o *Mask) {
	for i, w := range o {
		k[i] |= w
	}
}

// Covers reports whether every bit that counts in o counts in k.
func (k *Mask) Covers(o *Mask) bool {
	for i, w := range o {
		if w&^k[i] != 0 {
			return false
		}
	}
	return true
}

// Map returns a bit map of the words that are not zero: bit i for word i.
func (k *Mask) Map() uint64 {
	var m uint64
	for i, w := range k {
		if w != 0 {
			m |= 1 << i
		}
	}
	return m
}

// Words returns a bit map of the words of a Key that f is in, as Mask.Map has it.
func (f Field) Words() uint64 {
	in := &fields[f]
	if in.Bits == 128 {
		return 3 << in.Word
	}
	return 1 << in.Word
}

// Apply returns k with every bit that does not count cleared.
func (k *Key) Apply(m *Mask) Key {
	var r Key
	for i, w := range m {
		r[i] = k[i] & w
	}
	return r
}

// EqualUnder reports whether k and o agree in every bit that counts in m.
func (k *Key) EqualUnder(o *Key, m *Mask) bool {
	for i, w := range m {
		if (k[i]^o[i])&w != 0 {
			return false
		}
	}
	return true
}

// HashUnder returns a hash of the bits of k that count in m, whose Map is wm;
// equal masked keys have equal hashes.
func (k *Key) HashUnder(m *Mask, wm uint64, seed uint64) uint64 {
	h := seed
	for wm != 0 {
		i := bits.TrailingZeros64(wm)
		wm &= wm - 1
		h = mix(h ^ k[i]&m[i])
	}
	return h
}

// mix is one round of multiply and fold.
func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}
