// SPDX-License-Identifier: Apache-2.0

package reconnect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestScript runs scripts of events, with the time in ms before each, against
// the actions and states that the package's description promises.
func TestScript(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"back-off doubles to the maximum",
			"run go fail run +999 run +1 run go fail +2000 run go fail +4000 run go fail +7999 run +1 run go fail +8000 run",
			"connect none none connect connect connect none connect connect"},
		{"attempt times out after a second", "run go +999 run +1 run", "connect none disconnect"},
		{"second attempt too", "run go fail +1000 run go +1000 run", "connect connect disconnect"},
		{"probe and give up", "run go up +4999 run +1 run run +4999 run +1 run",
			"connect none probe none none disconnect"},
		{"probe answered", "run go up +5000 run +100 heard run +4900 run +100 run state", "connect probe none none probe IDLE"},
		{"heard moves the probe", "run go up +4000 heard +4000 run +1000 run", "connect none probe"},
		{"short connection keeps the back-off", "run go up +100 fail run +1000 run", "connect none connect"},
		{"long connection forgets it", "run go fail +1000 run go up +4000 heard +4000 heard fail run", "connect connect connect"},
		{"disabled", "run go up off run +100000 run state on run", "connect none none VOID connect"},
	} {
		m := New(t0, Options{Probe: DefaultProbe})
		now := t0
		var got []string
		for _, w := range strings.Fields(tt.script) {
			var ms int
			switch {
			case w == "run":
				got = append(got, m.Run(now).String())
			case w == "state":
				got = append(got, m.State().String())
			case w == "go":
				m.ConnectingNow(now)
			case w == "up":
				m.ConnectedNow(now)
			case w == "heard":
				m.Activity(now)
			case w == "fail":
				m.Disconnected(now, errors.New("x"))
			case w == "off":
				m.Disable(now)
			case w == "on":
				m.Enable(now)
			default:
				if _, err := fmt.Sscanf(w, "+%d", &ms); err != nil {
					t.Fatalf("bad word %q", w)
				}
				now = now.Add(time.Duration(ms) * time.Millisecond)
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, s, tt.want)
		}
	}
}

// Whatever happens, the machine asks for something again within the longest of
// its times, never connects twice at once, and honours "no probes".
func TestAlwaysGoesOn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, probe := range []time.Duration{0, time.Second, DefaultProbe} {
		m := New(t0, Options{Probe: probe})
		now := t0
		for range 20000 {
			if d, ok := m.Deadline(); ok && rnd.IntN(2) == 0 {
				if d.Sub(now) > 8*time.Second {
					t.Fatalf("waits %v in %v", d.Sub(now), m.State())
				}
				if d.After(now) {
					now = d
				}
			} else {
				now = now.Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
				if !ok && !m.Connected() {
					t.Fatalf("nothing to wait for in %v", m.State())
				}
			}
			before := m.State()
			switch m.Run(now) {
			case Connect:
				if before != Backoff {
					t.Fatalf("connect in %v", before)
				}
				m.ConnectingNow(now)
			case Disconnect:
				m.Disconnected(now, nil)
			case Probe:
				if probe == 0 {
					t.Fatal("probe though there are none")
				}
			}
			switch {
			case m.State() == Connecting && rnd.IntN(2) == 0:
				m.ConnectedNow(now)
			case m.Connected() && rnd.IntN(2) == 0:
				m.Activity(now)
			case m.State() != Backoff && rnd.IntN(4) == 0:
				m.Disconnected(now, nil)
			}
		}
		if s := m.Status(now); s.Successes == 0 || s.Attempts < s.Successes {
			t.Errorf("status %+v", s)
		}
	}
}
