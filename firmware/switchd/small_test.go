// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	got, err := memTotal([]byte("MemTotal:       24683312 kB\nMemFree: 1 kB\n"))
	if err != nil || got != 24683312<<10 {
		t.Errorf("MemTotal %d, %v", got, err)
	}
	for _, bad := range []string{"", "MemTotal: x kB\n", "MemTotal: 5\n"} {
		if n, err := memTotal([]byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, n)
		}
	}
	for _, c := range []struct{ total, want int64 }{{32 << 20, 24 << 20}, {256 << 20, 64 << 20}, {1 << 40, 1 << 30}} {
		if got := memoryLimit(c.total); got != c.want {
			t.Errorf("limit for %d: %d, want %d", c.total, got, c.want)
		}
	}
}

func TestTidy(t *testing.T) {
	var y tidy
	for i, c := range []struct {
		mb   uint64 // allocated since the look before
		want bool
	}{
		{20, false},             // busy
		{0, true},               // quiet after a burst
		{0, false},              // once is enough
		{10, false}, {0, false}, // too little
		{7, false}, {0, true}, // with what was before it is enough
		{100, false}, {100, false}, {0, true}, {0, false},
	} {
		if got := y.due(y.last + c.mb<<20); got != c.want {
			t.Errorf("look %d: %v, want %v", i, got, c.want)
		}
	}
}

func TestOSRelease(t *testing.T) {
	for _, c := range []struct{ text, id, version string }{
		{"PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n", "debian", "12"},
		{"", "unknown", "unknown"},
		{"ID=\n=x\nVERSION_ID", "unknown", "unknown"},
	} {
		if id, v := osRelease(c.text); id != c.id || v != c.version {
			t.Errorf("%q: %q %q", c.text, id, v)
		}
	}
}

func TestTakeover(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		name  string
		links []controllerLink
		now   int
		alone bool
		next  time.Time
	}{
		{"no controller", nil, 100, false, time.Time{}},
		{"connected", []controllerLink{{probe: 5 * time.Second}}, 100, false, time.Time{}},
		{"just lost", []controllerLink{{at(0), 5 * time.Second}}, 14, false, at(15)},
		{"lost", []controllerLink{{at(0), 5 * time.Second}}, 15, true, time.Time{}},
		{"one of two is there", []controllerLink{{at(0), 5 * time.Second}, {}}, 100, false, time.Time{}},
		{"the last one counts, and the longest probe", []controllerLink{{at(0), 5 * time.Second}, {at(10), 10 * time.Second}}, 39, false, at(40)},
		{"no probes", []controllerLink{{at(0), 0}}, 15, true, time.Time{}},
	} {
		alone, next := takeover(c.links, at(c.now))
		if alone != c.alone || !next.Equal(c.next) {
			t.Errorf("%s: %v, next %v; want %v, %v", c.name, alone, next, c.alone, c.next)
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		target string
		ok     bool
	}{
		{"tcp:10.0.0.1:6653", true},
		{"ptcp:6653", true},
		{"nonsense", true}, // it does not open anyway
		{"punix:/run/ovs/br0.controller", true},
		{"punix:/run/ovs/../ovs/br0.controller", true},
		{"punix:/run/ovs/br1.controller", false},
		{"punix:/run/ovs/db.sock", false},
		{"punix:/etc/passwd", false},
		{"unix:/run/ovs/c.sock", true},
		{"unix:/run/ovs/../other.sock", false},
		{"unix:/run/ovs/sub/c.sock", false},
		{"unix:/var/run/docker.sock", false},
	} {
		if err := allowed(c.target, "/run/ovs", "br0"); (err == nil) != c.ok {
			t.Errorf("%s: %v, want allowed: %v", c.target, err, c.ok)
		}
	}
}
