// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"errors"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TestSplit: a reply longer than a message goes out in parts that join to the
// same list, all but the last with the flag for more.
func TestSplit(t *testing.T) {
	for _, v := range testVersions {
		const n = 3000
		r := &FlowStatsReply{}
		for i := range n {
			r.Flows = append(r.Flows, FlowStats{
				Priority: uint16(i), IdleAge: -1, HardAge: -1, Match: mustMatch("tcp,tp_dst=80"), Instructions: mustInstr("output:2"),
			})
		}
		b, err := Encode(Proto{Version: v}, 7, r)
		if err != nil {
			t.Fatal(err)
		}
		parts, next := 0, 0
		for len(b) > 0 {
			h := ParseHeader(b)
			if h.XID != 7 || h.Len > len(b) || h.Len < HeaderLen {
				t.Fatalf("%v part %d: %+v of %d", v, parts, h, len(b))
			}
			m, err := Decode(b[:h.Len], Proto{Version: v})
			if err != nil {
				t.Fatal(err)
			}
			b = b[h.Len:]
			p := m.(*FlowStatsReply)
			if p.More != (len(b) > 0) {
				t.Errorf("%v part %d: more %v, %d bytes follow", v, parts, p.More, len(b))
			}
			for _, f := range p.Flows {
				if int(f.Priority) != next {
					t.Fatalf("%v: flow %d instead of %d", v, f.Priority, next)
				}
				next++
			}
			parts++
		}
		if next != n || parts < 4 {
			t.Errorf("%v: %d flows in %d parts", v, next, parts)
		}
	}
	long := make(action.List, 9000)
	for i := range long {
		long[i] = action.Output{Port: 1}
	}
	if _, err := Encode(Proto{Version: ofp.V13}, 1, &FlowMod{Instructions: action.Instructions{Apply: long}}); err == nil {
		t.Error("a message of more than 64 KiB is written")
	}
}

// TestCommandsStock: what the stock program's commands mean here: cookies,
// filters, tables, and whether a modification may add.
func TestCommandsStock(t *testing.T) {
	for _, v := range testVersions {
		one := func(args ...string) *FlowMod {
			t.Helper()
			ms := capture(t, v, args...)
			var fm *FlowMod
			for _, b := range ms {
				if m, err := Decode(b, Proto{Version: v}); err == nil {
					if m, ok := m.(*FlowMod); ok {
						fm = m
					}
				}
			}
			if fm == nil {
				t.Fatalf("%v %v: no flow_mod in %x", v, args, ms)
			}
			return fm
		}
		m := one("add-flow", "SWITCH", "cookie=5,tcp,actions=drop")
		if m.Command != FlowAdd || m.NewCookie != 5 || m.CookieMask != 0 {
			t.Errorf("%v add: %+v", v, m)
		}
		m = one("mod-flows", "SWITCH", "tcp,actions=drop")
		if m.Command != FlowModify || m.CookieMask != 0 || m.ModifyCookie != (v == ofp.V10) || m.ModifyAdds != (v == ofp.V10) {
			t.Errorf("%v mod: %+v", v, m)
		}
		m = one("--strict", "mod-flows", "SWITCH", "cookie=3/7,tcp,actions=drop")
		if m.Command != FlowModifyStrict || m.Cookie != 3 || m.CookieMask != 7 || m.ModifyAdds {
			t.Errorf("%v strict mod with cookie: %+v", v, m)
		}
		m = one("del-flows", "SWITCH", "cookie=3/-1,udp,out_port=4")
		if m.Command != FlowDelete || m.Cookie != 3 || m.CookieMask != ^uint64(0) || m.OutPort != 4 || m.Table != TableAll || m.OutGroup != action.GroupAny {
			t.Errorf("%v del: %+v", v, m)
		}
		m = one("--strict", "del-flows", "SWITCH", "priority=7,udp")
		if m.Command != FlowDeleteStrict || m.Priority != 7 || m.OutPort != action.PortAny {
			t.Errorf("%v strict del: %+v", v, m)
		}
	}
}

// TestHelloVersions: with a bitmap, and without one all up to the header's.
func TestHelloVersions(t *testing.T) {
	for _, row := range []struct {
		b    []byte
		want ofp.Versions
	}{
		{[]byte{4, 0, 0, 8, 0, 0, 0, 1}, ofp.VersionSet(1, 2, 3, 4)},
		{[]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x12}, ofp.VersionSet(1, 4)},
		{[]byte{99, 0, 0, 8, 0, 0, 0, 1}, 0xfffffffe},
		{[]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 9, 0, 8, 1, 2, 3, 4}, ofp.VersionSet(1, 2, 3, 4)}, // an element not known
	} {
		m, err := Decode(row.b, Proto{})
		if h, ok := m.(*Hello); err != nil || !ok || h.Versions != row.want {
			t.Errorf("%x: %+v %v, want %b", row.b, m, err, row.want)
		}
	}
}

// TestLengths: every recorded message cut at every byte, with the length of the
// header right, is refused or read, and never reads outside; with the length
// wrong it is always refused.
func TestLengths(t *testing.T) {
	for _, v := range testVersions {
		for _, m := range samples(v) {
			p := Proto{Version: v}
			b, err := Encode(p, 1, m)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{0, 1, 7, len(b) - 1, len(b) + 1, 0xffff} {
				c := append([]byte(nil), b...)
				c[2], c[3] = byte(n>>8), byte(n)
				if _, err := Decode(c, p); !errors.Is(err, ofp.BRCBadLen) {
					t.Errorf("%v %T with length %d: %v", v, m, n, err)
				}
			}
			for n := HeaderLen; n < len(b); n++ {
				c := append([]byte(nil), b[:n]...)
				c[2], c[3] = byte(n>>8), byte(n)
				if _, err := Decode(c[:n:n], p); err != nil && ofp.KindOf(err) == ofp.NoError {
					t.Errorf("%v %T cut to %d: %v has no kind", v, m, n, err)
				}
			}
		}
	}
}
