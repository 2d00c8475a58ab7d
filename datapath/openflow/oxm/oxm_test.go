// SPDX-License-Identifier: Apache-2.0

package oxm

import (
	"errors"
	"testing"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TestRows: every entry fits its field, bears the field's name in texts, and is
// found again by its number.
func TestRows(t *testing.T) {
	seen := make(map[ID]bool)
	for i := range rows {
		r := &rows[i]
		if seen[r.id()] {
			t.Errorf("%s: number used twice", r.name)
		}
		seen[r.id()] = true
		f, ok := flow.FieldByName(r.name)
		if !ok || f != r.field {
			t.Errorf("%s: text says %v, row %v", r.name, f, r.field)
		}
		if s := r.sub(); !s.Valid() || int(s.N) > 8*int(r.bytes) && r.port == noPort {
			t.Errorf("%s: %d bits in %d bytes", r.name, s.N, r.bytes)
		}
	}
}

// TestEntryErrors: the Kind of each thing that can be wrong with an entry.
func TestEntryErrors(t *testing.T) {
	eth := []byte{0x80, 0, 0x0a, 2, 8, 0} // eth_type=0x800
	for _, row := range []struct {
		name string
		b    []byte
		want ofp.Kind
	}{
		{"short header", []byte{0x80, 0, 0}, ofp.BMCBadLen},
		{"short value", []byte{0x80, 0, 0x0a, 2, 8}, ofp.BMCBadLen},
		{"length less by one", []byte{0x80, 0, 0x0a, 1, 8}, ofp.BMCBadField},
		{"length more by one", []byte{0x80, 0, 0x0a, 3, 8, 0, 0}, ofp.BMCBadField},
		{"length 0", []byte{0x80, 0, 0x0a, 0}, ofp.BMCBadField},
		{"length 255", []byte{0x80, 0, 0x0a, 255, 8, 0}, ofp.BMCBadLen},
		{"masked with half a length", []byte{0x80, 0, 0x07, 6, 0, 0, 0, 0, 0, 0}, ofp.BMCBadField},
		{"unknown field", []byte{0x80, 0, 0xfe, 0}, ofp.BMCBadField},
		{"unknown class", []byte{0x12, 0x34, 0, 0}, ofp.BMCBadField},
		{"experimenter without number", []byte{0xff, 0xff, 0x54, 2, 0, 0}, ofp.BMCBadLen},
		{"experimenter unknown", []byte{0xff, 0xff, 0x54, 6, 1, 2, 3, 4, 0, 1}, ofp.BMCBadField},
		{"bits outside the mask", []byte{0x80, 0, 0x07, 12, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, ofp.BMCBadWildcards},
		{"mask where none may be", []byte{0x80, 0, 0x0b, 4, 8, 0, 0xff, 0}, ofp.BMCBadMask},
		{"value too large", []byte{0x80, 0, 0x0c, 2, 0xff, 0xff}, ofp.BMCBadValue},
		{"without prerequisite", []byte{0x80, 0, 0x16, 4, 1, 2, 3, 4}, ofp.BMCBadPrereq},
		{"wrong prerequisite", append(append([]byte(nil), eth...), 0x80, 0, 0x34, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), ofp.BMCBadPrereq},
		{"twice", append(append([]byte(nil), eth...), eth...), ofp.BMCDupField},
		{"NXM and OXM of one field", append(append([]byte(nil), eth...), 0, 0, 6, 2, 8, 0), ofp.BMCDupField},
		{"cookie", []byte{0, 1, 60, 8, 0, 0, 0, 0, 0, 0, 0, 1}, ofp.BMCBadField},
	} {
		r := ofp.NewReader(row.b, ofp.BMCBadLen)
		Decode(r, nil, false)
		if err := r.Close(); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
	}
}
