// SPDX-License-Identifier: Apache-2.0

package ofctl_test

import (
	"testing"

	"github.com/weirswitch/weir/cmd/internal/ofctl"
)

// TestTableDesc compares what both tools say of tables with eviction and vacancy events.
func TestTableDesc(t *testing.T) {
	r := newRig(t)
	for _, line := range [][]string{
		{"-O", "OpenFlow15", "mod-table", "br0", "1", "vacancy:20,80"},
		{"-O", "OpenFlow15", "mod-table", "br0", "1", "evict"},
		{"-O", "OpenFlow15", "mod-table", "br0", "2", "vacancy:5,5"},
	} {
		if out := r.Stock(t, "", "ovs-ofctl", line...); out.Code != 0 {
			t.Fatalf("%v: %s", line, out)
		}
	}
	for _, line := range [][]string{
		{"-O", "OpenFlow15", "dump-table-desc", "br0"},
		{"-O", "OpenFlow14", "dump-table-desc", "br0"},
		// A table status, for each reason.
		{"ofp-print", "061f00280000001004000000000000000018040000000008000200080000000700030008" + "0a5a5b00"},
		{"ofp-print", "061f00280000001003000000000000000018040000000009000200080000000700030008" + "0a5a0900"},
	} {
		ours := r.Mask(r.Ours(ofctl.Main, "", "ovs-ofctl", line...))
		if stock := r.Mask(r.Stock(t, "", "ovs-ofctl", line...)); ours != stock {
			t.Errorf("ovs-ofctl %v\nours:\n%s\nstock:\n%s", line, ours, stock)
		}
	}
}
