// SPDX-License-Identifier: Apache-2.0

package fdb

import (
	"fmt"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
)

// TestHold: what a chip has moves as other addresses do, but neither ages nor pushes others out.
func TestHold(t *testing.T) {
	tab := New(10, 0)
	hold := func(s float64, mac uint64, port action.Port, want string) {
		t.Helper()
		got := ""
		if c, ok := tab.Hold(10, mac, port, at(s)); ok {
			got = fmt.Sprintf("%d->%d", int32(c.Old), int32(c.New))
		}
		if got != want {
			t.Errorf("hold %x on %d: %q, want %q", mac, port, got, want)
		}
	}
	tab.Learn(10, 1, 5, at(0))
	hold(1, 1, 2, "5->2")
	hold(2, 1, 2, "")
	hold(2, 2, 3, "-1->3")
	hold(2, 0x010000000000, 3, "") // multicast
	if ch := tab.Expire(at(1000)); ch != nil {
		t.Errorf("aged: %v", ch)
	}
	if ch := tab.Flush(); ch != nil {
		t.Errorf("flushed: %v", ch)
	}
	if ch := tab.FlushPortLearned(2); ch != nil {
		t.Errorf("flushed: %v", ch)
	}
	if _, ok := tab.Release(10, 1, 5); ok {
		t.Error("released for a port where it is not")
	}
	if ch, ok := tab.Learn(10, 1, 5, at(1001)); !ok || ch[0].Old != 2 || ch[0].New != 5 {
		t.Errorf("did not move: %v", ch)
	}
	if _, ok := tab.Release(10, 1, 2); ok {
		t.Error("released what has moved")
	}
	want := " port  VLAN  MAC                Age\n" +
		"    3    10  00:00:00:00:00:02  chip\n" +
		"    5    10  00:00:00:00:00:01    1\n"
	if got := tab.Show(func(p action.Port) string { return fmt.Sprint(p) }, at(1002)); got != want {
		t.Errorf("Show:\n%swant:\n%s", got, want)
	}
	if c, ok := tab.Release(10, 2, 3); !ok || c.Old != 3 || c.New != action.PortAny {
		t.Errorf("Release: %v %v", c, ok)
	}
	tab.AddStatic(10, 2, 7)
	hold(1003, 2, 3, "")
	// At the bound the chip's addresses are left out, and learned ones take only the place of learned ones.
	for i := range uint64(20) {
		hold(1004, 100+i, 2, map[bool]string{true: "-1->2"}[i < 8])
	}
	if tab.Len() != 10 {
		t.Errorf("%d entries", tab.Len())
	}
	if ch, ok := tab.Learn(10, 200, 6, at(1005)); !ok || len(ch) != 2 || ch[0].MAC != 1 {
		t.Errorf("learn at the bound: %v", ch)
	}
	if ch := tab.FlushPort(2); len(ch) != 8 {
		t.Errorf("FlushPort: %v", ch)
	}
	n := 0
	tab.All(func(e Entry) bool { n++; return e.MAC != 0 })
	if n != tab.Len() {
		t.Errorf("All yields %d of %d", n, tab.Len())
	}
}
