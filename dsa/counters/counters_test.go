// SPDX-License-Identifier: Apache-2.0

package counters

import (
	"os"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlattr"
)

func answer(groups map[uint32]map[uint16]uint64) []byte {
	var w nlattr.Builder
	for id, stats := range groups {
		w.Nest(statsGroup, func() {
			w.Uint32(groupID, id)
			for t, v := range stats {
				w.Nest(groupStat, func() { w.Uint64(t, v) })
			}
		})
	}
	b, _ := w.Payload()
	return b
}

func TestStandard(t *testing.T) {
	c, err := fromStandard(answer(map[uint32]map[uint16]uint64{
		idMAC: {macRxPkt: 10, macTxPkt: 20, macRxBytes: 1000, macFCS: 3}, idRMON: {rmonJabbers: 4},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Counters{RxPackets: known(10), TxPackets: known(20), RxBytes: known(1000), RxCRC: known(3), RxErrors: known(7), Source: "ethtool eth-mac"}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if c.TxBytes.String() != "unknown" || c.RxBytes.String() != "1000" {
		t.Errorf("%v %v", c.TxBytes, c.RxBytes)
	}
}

// What the CPU saw is never sold as the whole.
func TestChoose(t *testing.T) {
	link := &LinkStats{RxPackets: 1, TxPackets: 2}
	port := func(driver string) dsa.Port {
		return dsa.Port{Kind: dsa.KindDSA, Driver: driver, Caps: dsa.Driver(driver)}
	}
	mt := map[string]uint64{"RxUnicast": 5, "RxMulticast": 6, "RxBroadcast": 7, "TxUnicast": 1, "TxMulticast": 1, "TxBroadcast": 1, "RxBytes": 900}
	std := &Counters{RxPackets: known(70), TxPackets: known(80), Source: "ethtool eth-mac"}
	for _, tc := range []struct {
		name     string
		p        dsa.Port
		bridged  bool
		standard *Counters
		stats    map[string]uint64
		rx       Count
		source   string
	}{
		{"no chip", dsa.Port{Kind: dsa.KindPlain, Caps: dsa.PlainCapabilities()}, false, nil, nil, known(1), "the device's own"},
		{"alone", port("mv88e6085"), false, nil, nil, known(1), "the device's own"},
		{"standard", port("mv88e6085"), true, std, nil, known(70), "ethtool eth-mac"},
		{"by name", port("mt7530-mdio"), true, nil, mt, known(18), "ethtool -S names of mt7530-mdio"},
		{"a name is missing", port("mt7530-mdio"), true, nil, map[string]uint64{"RxUnicast": 5}, Count{}, "driver mt7530-mdio shows no counters of the chip that are known here"},
		{"merged by the driver", port("ksz-switch"), true, nil, nil, known(1), "the device's own"},
		{"rocker", port("rocker"), true, std, nil, Count{}, "driver rocker shows no counters of the chip"},
		{"unheard of", port("newchip"), true, nil, mt, Count{}, "driver newchip shows no counters of the chip that are known here"},
	} {
		c := choose(tc.p, tc.bridged, tc.standard, tc.stats, link)
		if c.RxPackets != tc.rx || c.Source != tc.source {
			t.Errorf("%s: %v packets from %q", tc.name, c.RxPackets, c.Source)
		}
	}
}

// The real kernel: a veth has statistics of its own and by name, and no
// standard group.
func TestReader(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread dies with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	r, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := r.Port(dsa.Port{Index: 1, Name: "lo", Caps: dsa.PlainCapabilities()}, false)
	if err != nil || c.RxPackets != known(0) || c.TxBytes != known(0) {
		t.Errorf("lo: %+v, %v", c, err)
	}
	if c, err = r.Port(dsa.Port{Index: 1, Name: "lo", Kind: dsa.KindDSA, Caps: dsa.Driver("mt7530-mdio")}, true); err != nil || c.RxPackets.Known {
		t.Errorf("lo as a chip's: %+v, %v", c, err)
	}
	if _, err := r.Port(dsa.Port{Index: 77, Name: "none"}, false); err == nil {
		t.Error("counters of no device")
	}
}

// FuzzStandard: any answer is read or refused.
func FuzzStandard(f *testing.F) {
	f.Add(answer(map[uint32]map[uint16]uint64{idMAC: {0: 1, 3: 2}}))
	f.Add([]byte{8, 0, 4, 0x80, 4, 0, 4, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := fromStandard(b); err != nil && c != (Counters{}) {
			t.Fatal("counters beside an error")
		}
	})
}
