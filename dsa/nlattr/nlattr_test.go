// SPDX-License-Identifier: Apache-2.0

package nlattr

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// What libnl's attribute picture (struct nlattr) says the bytes are, written
// down by hand for both byte orders.
func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		order     binary.ByteOrder
		typ       uint16
		val, err  string
	}{
		{"u32 little", "0800 0400 dc050000", binary.LittleEndian, 4, "dc050000", ""},
		{"u32 big", "0008 0004 000005dc", binary.BigEndian, 4, "000005dc", ""},
		{"padded", "0500 0100 07000000", binary.LittleEndian, 1, "07", ""},
		{"last one without pad", "0500 0100 07", binary.LittleEndian, 1, "07", ""},
		{"flags are off", "0400 0180", binary.LittleEndian, 1, "", ""},
		{"length 3", "0300 0100", binary.LittleEndian, 0, "", "attribute 1 says it has 3 bytes, 4 are there"},
		{"too long", "0900 0100 00000000", binary.LittleEndian, 0, "", "says it has 9 bytes, 8 are there"},
		{"a stump", "0400", binary.LittleEndian, 0, "", "2 bytes behind the last attribute"},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(tc.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		a := Parse(b, tc.order)
		if ok := a.Next(); ok != (tc.err == "") {
			t.Errorf("%s: Next %v", tc.name, ok)
		}
		if tc.err != "" {
			if a.Err() == nil || !strings.Contains(a.Err().Error(), tc.err) {
				t.Errorf("%s: error %v, want %q", tc.name, a.Err(), tc.err)
			}
			continue
		}
		if a.Type() != tc.typ || hex.EncodeToString(a.Bytes()) != tc.val || a.Next() || a.Err() != nil {
			t.Errorf("%s: type %d value %x, error %v", tc.name, a.Type(), a.Bytes(), a.Err())
		}
	}
}

func TestErrorIsSticky(t *testing.T) {
	a := Parse([]byte{5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0, 1, 0, 0, 0}, binary.LittleEndian)
	if !a.Next() || a.Uint32() != 0 || a.Err() == nil || a.Next() {
		t.Errorf("a number of one byte read as four: error %v", a.Err())
	}
	outer := Parse([]byte{8, 0, 1, 0, 2, 0, 0, 0}, binary.LittleEndian)
	outer.Next()
	if outer.Nested().Next() || outer.Err() == nil {
		t.Error("the outer attributes do not know of the error inside")
	}
}

func TestBuilder(t *testing.T) {
	var w Builder
	w.Raw([]byte{7})
	w.Nest(26, func() { w.Uint16(0, 2); w.String(3, "ab") })
	w.Uint8(1, 9)
	b, err := w.Payload()
	want := "07000000" + "14001a80" + "0600000002000000" + "07000300616200" + "00" + "0500010009000000"
	if Native == binary.ByteOrder(binary.LittleEndian) && (err != nil || hex.EncodeToString(b) != want) {
		t.Errorf("built %x, %v; want %s", b, err, want)
	}
	w = Builder{}
	w.Nest(1, func() { w.Bytes(1, make([]byte, 0xfff0)); w.Uint64(2, 1) })
	if _, err := w.Payload(); err == nil {
		t.Error("a nest of more than 65,535 bytes was written")
	}
}

// FuzzParse: a reader never panics, never reads outside, ends, and what it
// gives back is inside what it was given.
func FuzzParse(f *testing.F) {
	f.Add([]byte{8, 0, 4, 0, 0xdc, 5, 0, 0}, false)
	f.Add([]byte{0, 8, 0, 4, 0, 0, 5, 0xdc}, true)
	f.Add([]byte{12, 0, 1, 0x80, 8, 0, 1, 0, 1, 2, 3, 4}, false)
	f.Fuzz(func(t *testing.T, b []byte, big bool) {
		order := binary.ByteOrder(binary.LittleEndian)
		if big {
			order = binary.BigEndian
		}
		var walk func(a *Attrs, depth int) int
		walk = func(a *Attrs, depth int) (n int) {
			for a.Next() {
				n += headerLen + len(a.Bytes())
				if !bytes.Contains(b, a.Bytes()) {
					t.Fatalf("value %x is not in %x", a.Bytes(), b)
				}
				_ = a.String()
				if depth < 3 {
					inner := *a.Nested()
					inner.err = new(error)
					walk(&inner, depth+1)
				}
			}
			return n
		}
		a := Parse(b, order)
		if n := walk(a, 0); n > len(b) {
			t.Fatalf("attributes of %d bytes in %d", n, len(b))
		}
		for c := Parse(b, order); c.Next(); {
			c.Uint8()
			c.Uint16()
			c.Uint32()
			c.Uint64()
		}
	})
}
