// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// seeds adds the recorded messages of version v.
func seeds(f *testing.F, v ofp.Version) {
	monitorSeeds(f, v)
	for _, name := range []string{vectorFile(v), messageFile(v), groupFile(v)} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, l := range strings.Split(string(b), "\n") {
			if h, ok := strings.CutPrefix(l, "bytes "); ok {
				if m, err := hex.DecodeString(h); err == nil {
					f.Add(m)
				}
			}
		}
	}
}

// monitorSeeds adds the messages of flow monitors of version v.
func monitorSeeds(f *testing.F, v ofp.Version) {
	for _, m := range monitorVectors {
		if b, err := hex.DecodeString(strings.ReplaceAll(m.hex, " ", "")); err == nil && b[0] == uint8(v) {
			f.Add(b)
		}
	}
}

// testDecode is the property of every decoder: whatever is read can be written,
// is then read again, and is written as the same bytes. (The first writing may
// differ from the input: padding, order of fields, form of an action.)
func testDecode(t *testing.T, v ofp.Version, b []byte) {
	if len(b) >= HeaderLen && len(b) <= MaxLen {
		b = bytes.Clone(b)
		b[0] = uint8(v)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	// What is said by the headers alone goes with what is read.
	part, isPart := ParsePart(b)
	if isPart && (part.Body < 0 || part.Body > len(b)-16) {
		t.Fatalf("%x: a part with %d bytes of body", b, part.Body)
	}
	if m, err := Decode(b, Proto{Version: v}); err == nil && FromSwitch(b) != ofp.NoError {
		switch m.(type) {
		case *FlowMod, *PacketOut, *BarrierRequest, *EchoRequest, *SetConfig, *GroupMod, *MeterMod, *FlowStatsRequest:
			t.Fatalf("%x: %T comes from switches", b, m)
		}
		if isPart {
			t.Fatalf("%x: a request comes from switches", b)
		}
	}
	for _, p := range []Proto{{Version: v}, {Version: v, TableID: true, NXM: true}} {
		m, err := Decode(b, p)
		if err != nil {
			continue
		}
		if _, ok := m.(*Experimenter); ok {
			continue
		}
		one, err := Encode(p, 1, m)
		if err != nil {
			if strings.Contains(err.Error(), "do not fit") {
				continue // forms of other versions may be longer
			}
			t.Fatalf("%x\n %+v\n encode: %v", b, m, err)
		}
		if ParseHeader(one).Len != len(one) {
			continue // written in parts
		}
		again, err := Decode(one, p)
		if err != nil {
			t.Fatalf("%x\n %+v\n written as %x\n decode: %v", b, m, one, err)
		}
		two, err := Encode(p, 1, again)
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%x\n %+v\n %x\n %+v\n %x (%v)", b, m, one, again, two, err)
		}
	}
}

func FuzzDecode10(f *testing.F) {
	seeds(f, ofp.V10)
	f.Fuzz(func(t *testing.T, b []byte) { testDecode(t, ofp.V10, b) })
}

func FuzzDecode13(f *testing.F) {
	seeds(f, ofp.V13)
	f.Fuzz(func(t *testing.T, b []byte) { testDecode(t, ofp.V13, b) })
}

func FuzzDecode14(f *testing.F) {
	seeds(f, ofp.V14)
	f.Fuzz(func(t *testing.T, b []byte) { testDecode(t, ofp.V14, b) })
}

func FuzzDecode15(f *testing.F) {
	seeds(f, ofp.V15)
	f.Fuzz(func(t *testing.T, b []byte) { testDecode(t, ofp.V15, b) })
}
