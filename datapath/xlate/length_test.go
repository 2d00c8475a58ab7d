// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"reflect"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// TestCheckPktLarger holds where a translation without a length stops, and what it does with one. (Package
// upcall compares what leaves with the stock switch.)
func TestCheckPktLarger(t *testing.T) {
	check := action.CheckPktLarger{Dst: flow.Subfield{Field: flow.FieldIPDst, Ofs: 0, N: 1}, Len: 100}
	out := action.Output{Port: 2}
	br := simple(t, action.List{check, out})
	k := new(flow.Key)
	k.SetU64(flow.FieldEthType, flow.EthTypeIPv4)
	in := &In{Bridge: br, InPort: 1, Key: k}
	r := Translate(in)
	if r.Err != nil || len(r.Actions) != 1 || len(r.PacketIns) != 1 || r.PacketIns[0].Resume == nil {
		t.Fatalf("without a length: %+v", r)
	}
	if _, ok := r.Actions[0].(dpif.Userspace); !ok {
		t.Fatalf("without a length: %+v", r.Actions)
	}
	for n, want := range map[int]uint64{14: 0, 100: 0, 101: 1, 65535: 1} {
		set := dpif.Set{Field: flow.FieldIPDst, Value: flow.U128{Lo: want}, Mask: flow.U128{Lo: 1}}
		for _, in := range []*In{{Bridge: br, InPort: 1, Key: k, Len: n}, {Key: k, Len: n, Resume: r.PacketIns[0].Resume}} {
			got := Translate(in)
			if got.Err != nil || len(got.PacketIns) != 0 || !reflect.DeepEqual(got.Actions, []dpif.Action{set, dpif.Output{Port: 2}}) {
				t.Errorf("%d bytes: %+v, want %+v", n, got, set)
			}
		}
	}
}
