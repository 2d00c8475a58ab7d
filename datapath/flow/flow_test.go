// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/quick"
)

// aliases are the fields that share bits on purpose, each with the field whose
// storage it uses; every other pair of fields is disjoint.
var aliases = map[Field]Field{
	FieldXReg0: FieldReg0, FieldXReg1: FieldReg2, FieldXReg2: FieldReg4, FieldXReg3: FieldReg6,
	FieldXReg4: FieldReg8, FieldXReg5: FieldReg10, FieldXReg6: FieldReg12, FieldXReg7: FieldReg14,
	FieldXXReg0: FieldReg0, FieldXXReg1: FieldReg4, FieldXXReg2: FieldReg8, FieldXXReg3: FieldReg12,
	FieldVLANVID: FieldVLANTCI, FieldDLVLAN: FieldVLANTCI, FieldVLANPCP: FieldVLANTCI,
	FieldMPLSLabel: FieldMPLS0, FieldMPLSTC: FieldMPLS0, FieldMPLSBOS: FieldMPLS0, FieldMPLSTTL: FieldMPLS0,
	FieldARPSPA: FieldIPSrc, FieldARPTPA: FieldIPDst, FieldARPOp: FieldIPProto,
	FieldIPDSCP: FieldIPTOS, FieldIPECN: FieldIPTOS,
	FieldNDSLL: FieldARPSHA, FieldNDTLL: FieldARPTHA,
	FieldICMPType: FieldTPSrc, FieldICMPCode: FieldTPDst,
	FieldICMPv6Type: FieldTPSrc, FieldICMPv6Code: FieldTPDst,
	FieldTCPSrc: FieldTPSrc, FieldTCPDst: FieldTPDst,
	FieldUDPSrc: FieldTPSrc, FieldUDPDst: FieldTPDst,
	FieldSCTPSrc: FieldTPSrc, FieldSCTPDst: FieldTPDst,
}

func TestFieldTable(t *testing.T) {
	names := map[string]Field{}
	var owner [Words * 64]Field
	for f := FieldNone + 1; f < NumFields; f++ {
		in := f.Info()
		if in.Name == "" || in.Bits == 0 {
			t.Fatalf("field %d is not in the table", f)
		}
		if o, dup := names[in.Name]; dup {
			t.Errorf("%s is the name of fields %d and %d", in.Name, o, f)
		}
		names[in.Name] = f
		if in.Bits != 128 && int(in.Shift)+int(in.Bits) > 64 {
			t.Errorf("%s straddles words", f)
		}
		if in.Bits == 128 && (in.Shift != 0 || int(in.Word)+1 >= Words) {
			t.Errorf("%s: a 128-bit field takes two whole words", f)
		}
		if _, alias := aliases[f]; alias {
			continue
		}
		for b := range int(in.Bits) {
			i := int(in.Word)*64 + int(in.Shift) + b
			if owner[i] != FieldNone {
				t.Fatalf("%s and %s share a bit", f, owner[i])
			}
			owner[i] = f
		}
	}
	for f, of := range aliases {
		var m Mask
		m.SetAll(f)
		if m.Get(of).IsZero() {
			t.Errorf("%s does not share bits with %s", f, of)
		}
	}
	if StageEnd[3] != Words {
		t.Errorf("the last stage ends at word %d of %d", StageEnd[3], Words)
	}
}

// Get returns what Set wrote, cut to the width, and nothing else changed.
func TestSetGet(t *testing.T) {
	check := func(seed uint64, v U128) bool {
		r := rand.New(rand.NewPCG(seed, 1))
		f := FieldNone + 1 + Field(r.IntN(int(NumFields)-1))
		var before Key
		for i := range before {
			before[i] = r.Uint64()
		}
		k := before
		k.Set(f, v)
		if k.Get(f) != v.And(Ones(f.Bits())) {
			return false
		}
		var m Mask
		m.SetAll(f)
		for i := range m {
			m[i] = ^m[i]
		}
		return k.EqualUnder(&before, &m)
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func big128(u U128) *big.Int {
	b := new(big.Int).SetUint64(u.Hi)
	return b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(u.Lo))
}

func TestShiftsAgainstBig(t *testing.T) {
	mod := new(big.Int).Lsh(big.NewInt(1), 128)
	check := func(u U128, n uint8) bool {
		s := uint(n % 130)
		l := new(big.Int).Lsh(big128(u), s)
		l.Mod(l, mod)
		return big128(u.Lsh(s)).Cmp(l) == 0 &&
			big128(u.Rsh(s)).Cmp(new(big.Int).Rsh(big128(u), s)) == 0
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	for n := 0; n <= 128; n++ {
		want := new(big.Int).Lsh(big.NewInt(1), uint(n))
		want.Sub(want, big.NewInt(1))
		if big128(Ones(n)).Cmp(want) != 0 {
			t.Errorf("Ones(%d) = %x", n, Ones(n))
		}
	}
}

func TestSubfield(t *testing.T) {
	check := func(seed uint64, v U128) bool {
		r := rand.New(rand.NewPCG(seed, 2))
		f := FieldNone + 1 + Field(r.IntN(int(NumFields)-1))
		n := 1 + r.IntN(f.Bits())
		s := Subfield{f, uint16(r.IntN(f.Bits() - n + 1)), uint16(n)}
		var k Key
		s.Put(&k, v)
		var m Mask
		m.Set(f, s.Mask())
		return s.Valid() && s.Get(&k) == v.And(Ones(n)) && k == k.Apply(&m)
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	for _, bad := range []Subfield{{FieldIPSrc, 0, 0}, {FieldIPSrc, 1, 32}, {FieldNone, 0, 1}} {
		if bad.Valid() {
			t.Errorf("%+v is valid", bad)
		}
	}
}

// Overlaps and Within against their definitions on a space of 2^6 keys.
func TestMatchRelations(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	gen := func() (m Match) {
		for _, f := range []Field{FieldIPECN, FieldVLANPCP, FieldMPLSBOS} {
			m.SetMasked(f, U128{0, r.Uint64()}, U128{0, r.Uint64()})
		}
		return m
	}
	for range 2000 {
		a, b := gen(), gen()
		overlap, within := false, true
		for v := range uint64(64) {
			var k Key
			k.SetU64(FieldIPECN, v)
			k.SetU64(FieldVLANPCP, v>>2)
			k.SetU64(FieldMPLSBOS, v>>5)
			overlap = overlap || a.Matches(&k) && b.Matches(&k)
			within = within && (!a.Matches(&k) || b.Matches(&k))
		}
		if a.Overlaps(&b) != overlap || a.Within(&b) != within {
			t.Fatalf("%v %v: overlap %v, want %v; within %v, want %v", a, b, a.Overlaps(&b), overlap, a.Within(&b), within)
		}
	}
}

func TestHashUnder(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 1000 {
		var a, b Key
		var m Mask
		for i := range a {
			a[i], b[i] = r.Uint64(), r.Uint64()
			if r.IntN(4) == 0 {
				m[i] = r.Uint64()
			}
		}
		for i := range b {
			b[i] = b[i]&^m[i] | a[i]&m[i]
		}
		if !a.EqualUnder(&b, &m) || a.HashUnder(&m, m.Map(), 7) != b.HashUnder(&m, m.Map(), 7) {
			t.Fatal("keys equal under a mask have different hashes")
		}
	}
}
