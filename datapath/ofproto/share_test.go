// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"reflect"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
)

// Shared instructions are equal to what was asked for, whatever was asked for before,
// and simple ones are really shared.
func TestShare(t *testing.T) {
	out := func(p action.Port) action.List { return action.List{action.Output{Port: p}} }
	var all []action.Instructions
	for p := range action.Port(200) {
		all = append(all,
			action.Instructions{Apply: out(p)},
			action.Instructions{Write: out(p)},
			action.Instructions{Apply: out(p), HasGoto: true, Goto: uint8(p)},
			action.Instructions{Apply: out(p), Metadata: uint64(p), MetadataMask: 0xff},
			action.Instructions{Apply: action.List{action.PopVLAN{}, action.Output{Port: p}}},
			action.Instructions{Apply: action.List{action.Clone{Actions: out(p)}}}, // == would panic
		)
	}
	b := New(nil)
	for range 2 {
		for i := range all {
			one, two := b.share(&all[i]), b.share(&all[i])
			if !reflect.DeepEqual(one, &all[i]) || !reflect.DeepEqual(two, &all[i]) {
				t.Fatalf("share(%v) = %v, then %v", all[i], one, two)
			}
			if _, simple := slotOf(&all[i]); simple != (one == two) {
				t.Errorf("%v: shared %v, want %v", all[i], one == two, simple)
			}
			if one == &all[i] {
				t.Fatalf("%v: the caller's own is kept", all[i])
			}
		}
	}
}
