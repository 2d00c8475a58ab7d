// SPDX-License-Identifier: Apache-2.0

package ofp

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestKindsStock compares every number with what the stock ovs-ofctl says.
func TestKindsStock(t *testing.T) {
	path, err := exec.LookPath("ovs-ofctl")
	if err != nil {
		t.Skip("ovs-ofctl is not installed (Debian: openvswitch-common)")
	}
	for _, k := range Kinds() {
		out, err := exec.Command(path, "print-error", k.String()).Output()
		if err != nil {
			t.Errorf("%v: %v", k, err)
			continue
		}
		var want strings.Builder
		for v := V10; v <= V15; v++ {
			n, ok := k.Numbers(v)
			if !ok {
				continue
			}
			exp := "0"
			if n.Experimenter != 0 {
				exp = fmt.Sprintf("%#x", n.Experimenter)
			}
			fmt.Fprintf(&want, "OpenFlow 1.%d: vendor %s, type %d, code %d\n", v-1, exp, n.Type, n.Code)
		}
		if want.String() != string(out) {
			t.Errorf("%v:\n ours:\n%s stock:\n%s", k, want.String(), out)
		}
	}
}

// TestKindFor: the numbers of a kind lead back to it, or to one before it with the same numbers.
func TestKindFor(t *testing.T) {
	for _, k := range Kinds() {
		for v := V10; v <= V15; v++ {
			n, ok := k.Numbers(v)
			if !ok {
				continue
			}
			back := KindFor(v, n)
			if m, _ := back.Numbers(v); back > k || m != n {
				t.Errorf("%v in %v is %+v, which is %v", k, v, n, back)
			}
		}
	}
	if k := KindOf(fmt.Errorf("read: %w", BACBadLen)); k != BACBadLen {
		t.Errorf("KindOf: %v", k)
	}
}
