// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/binary"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// asyncConfig2 is an NXT_SET_ASYNC_CONFIG2 with properties: type and bits, in turn.
func asyncConfig2(v ofp.Version, props ...uint32) []byte {
	b := []byte{uint8(v), 4, 0, 0, 0, 0, 0, 1, 0, 0, 0x23, 0x20, 0, 0, 0, 27}
	for i := 0; i < len(props); i += 2 {
		b = binary.BigEndian.AppendUint32(b, props[i]<<16|8)
		b = binary.BigEndian.AppendUint32(b, props[i+1])
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// The reasons that each property may name are those that ovs-vswitchd 3.1 takes (observed bit by bit, in
// OpenFlow 1.0 and 1.3 alike; later versions have no such message).
func TestSetAsyncConfig2(t *testing.T) {
	stock := []uint32{7, 7, 7, 7, 0x3f, 0x3f, 7, 7, 0x18, 0x18, 3, 3, 0}
	for _, v := range []ofp.Version{ofp.V10, ofp.V13} {
		for typ, want := range stock {
			got := uint32(0)
			for bit := range 32 {
				m, err := Decode(asyncConfig2(v, uint32(typ), 1<<bit), Proto{Version: v})
				if err == nil {
					got |= 1 << bit
					s := m.(*SetAsync)
					bits, set, other := s.Secondary, s.SetSecondary, s.SetPrimary
					if typ%2 == 1 {
						bits, set, other = s.Primary, s.SetPrimary, s.SetSecondary
					}
					if !s.Nicira || bits[typ/2] != 1<<bit || !set[typ/2] || other != [NumAsync]bool{} {
						t.Errorf("%v property %d bit %d: %+v", v, typ, bit, s)
					}
					continue
				}
				k := ofp.ACFCInvalid
				if typ == 12 {
					k = ofp.ACFCUnsupported
				}
				if ofp.KindOf(err) != k {
					t.Errorf("%v property %d bit %d: %v, want %v", v, typ, bit, err, k)
				}
			}
			if got != want {
				t.Errorf("%v property %d: reasons %#x, want %#x", v, typ, got, want)
			}
		}
		b := asyncConfig2(v, 0, 5, 1, 6, 5, 8)
		m, err := Decode(b, Proto{Version: v})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := Encode(Proto{Version: v}, 1, m); err != nil || string(out) != string(b) {
			t.Errorf("%v: %x is written as %x (%v)", v, b, out, err)
		}
	}
	for _, v := range []ofp.Version{ofp.V14, ofp.V15} {
		if _, err := Decode(asyncConfig2(v, 1, 1), Proto{Version: v}); ofp.KindOf(err) != ofp.BRCBadSubtype {
			t.Errorf("%v: %v", v, err)
		}
	}
}
