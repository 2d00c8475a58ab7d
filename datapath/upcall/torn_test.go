// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"testing"

	"github.com/weirswitch/weir/datapath/openflow"
)

// A panic in the answer to who only looks leaves no lock behind; one in a change is Torn, so
// that nobody waits for the locks it left.
func TestPanicInTables(t *testing.T) {
	l := newLab(t, Options{})
	b := l.s.bridges["br0"]
	of := b.x.OF
	caught := func(f func()) (p any) {
		defer func() { p = recover() }()
		f()
		return nil
	}
	for _, m := range []openflow.Message{&openflow.DescRequest{}, &openflow.AggregateRequest{}, &openflow.PortStatsRequest{}} {
		b.x.OF = nil // the bug
		p := caught(func() { l.handle("br0", m) })
		b.x.OF = of
		if _, torn := p.(Torn); p == nil || torn {
			t.Errorf("%T: panic %v, want one that is not Torn", m, p)
		}
		if r := l.handle("br0", m); len(r) != 1 {
			t.Fatalf("%T after the panic: %v", m, r)
		}
		if r := l.handle("br0", &openflow.BarrierRequest{}); len(r) != 1 {
			t.Errorf("barrier after the panic: %v", r)
		}
	}
	b.x.OF = nil
	p := caught(func() { l.s.FlowStats("br0", &openflow.FlowStatsRequest{}, l.now(), func(*openflow.FlowStatsReply) {}) })
	b.x.OF = of
	if _, torn := p.(Torn); p == nil || torn {
		t.Errorf("flow stats: panic %v", p)
	}
	p = caught(func() {
		l.s.FlowStats("br0", &openflow.FlowStatsRequest{}, l.now(), func(*openflow.FlowStatsReply) { panic("a reply") })
	})
	if p != "a reply" {
		t.Errorf("flow stats: panic %v", p)
	}
	if r := l.handle("br0", &openflow.BarrierRequest{}); len(r) != 1 {
		t.Errorf("barrier after the panics: %v", r)
	}
	b.x.OF = nil
	p = caught(func() { l.handle("br0", &openflow.FlowMod{BufferID: openflow.NoBuffer}) })
	if _, torn := p.(Torn); !torn {
		t.Errorf("a change: panic %v, want Torn", p)
	}
	// The locks are not free: nothing more is done with this Switch.
}
