// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/netlab"
)

// A Wire over a bare veth pair gets back what it sent: the client's own cost is
// the ceiling of what it can measure.
func TestWire(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	lab, err := netlab.New("weirwire")
	if err != nil {
		t.Skip(err)
	}
	defer lab.Close()
	a, err := lab.Namespace("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := lab.Namespace("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Veth(a, "eth0", b, "eth0"); err != nil {
		t.Fatal(err)
	}
	var w Wire
	if err := a.Do(func() error { return w.OpenIn("eth0") }); err != nil {
		t.Fatal(err)
	}
	if err := b.Do(func() error { return w.OpenOut("eth0") }); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := w.Run(20_000, 64)
	if err != nil || r.Sent != 20_000 || r.Came != 20_000 {
		t.Fatalf("sent %d, came %d: %v", r.Sent, r.Came, err)
	}
	t.Logf("%s frames a second", Number(float64(r.Came)/r.Took.Seconds()))

	// What does not come is lost, and does not count as time.
	if err := b.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0) }); err != nil {
		t.Log(err)
	}
	if err := b.Delete("eth0"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Run(10, 4); err == nil {
		t.Error("no error when the device is gone")
	} else {
		t.Log(fmt.Errorf("as it should: %w", err))
	}
}
