// SPDX-License-Identifier: Apache-2.0

package flow

// Match is a key under a mask. Bits of Key that do not count in Mask are zero;
// the methods keep that so, which makes equal matches equal values.
type Match struct {
	Key  Key
	Mask Mask
}

// Set matches f exactly with v.
func (m *Match) Set(f Field, v U128) { m.SetMasked(f, v, Ones(128)) }

// SetU64 matches f exactly with v.
func (m *Match) SetU64(f Field, v uint64) { m.SetMasked(f, U128{0, v}, Ones(128)) }

// SetMasked matches the bits mask of f with those of v; other bits of f that
// were matched before stay matched.
func (m *Match) SetMasked(f Field, v, mask U128) {
	mask = mask.And(Ones(f.Bits()))
	m.Mask.Set(f, mask)
	m.Key.SetMasked(f, v, mask)
}

// Any matches any value of f.
func (m *Match) Any(f Field) {
	m.Mask.Clear(f)
	m.Key.Set(f, U128{})
}

// Matches reports whether k matches.
func (m *Match) Matches(k *Key) bool { return k.EqualUnder(&m.Key, &m.Mask) }

// Overlaps reports whether some key matches both m and o.
func (m *Match) Overlaps(o *Match) bool {
	for i := range m.Mask {
		if (m.Key[i]^o.Key[i])&m.Mask[i]&o.Mask[i] != 0 {
			return false
		}
	}
	return true
}

// Within reports whether every key that matches m matches o: m is as narrow as
// o or narrower.
func (m *Match) Within(o *Match) bool {
	return m.Mask.Covers(&o.Mask) && m.Key.EqualUnder(&o.Key, &o.Mask)
}

// Subfield is a run of bits of a field: N bits from bit Ofs (0 is the least
// significant) upwards.
type Subfield struct {
	Field Field
	Ofs   uint16
	N     uint16
}

// All returns the subfield of all bits of f.
func (f Field) All() Subfield { return Subfield{f, 0, uint16(f.Bits())} }

// Valid reports whether s lies within its field and has at least one bit.
func (s Subfield) Valid() bool {
	return s.N > 0 && int(s.Ofs)+int(s.N) <= s.Field.Bits()
}

// Mask returns the bits of the field that s covers.
func (s Subfield) Mask() U128 { return Ones(int(s.N)).Lsh(uint(s.Ofs)) }

// Get returns the value of s in k, in the low N bits.
func (s Subfield) Get(k *Key) U128 {
	return k.Get(s.Field).Rsh(uint(s.Ofs)).And(Ones(int(s.N)))
}

// Put writes the low N bits of v to s in k.
func (s Subfield) Put(k *Key, v U128) {
	k.SetMasked(s.Field, v.Lsh(uint(s.Ofs)), s.Mask())
}
