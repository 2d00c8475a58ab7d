// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// FuzzParseFlow: a flow that is read and that OpenFlow 1.5 can carry arrives as
// it was meant: same numbers, same bytes when written again.
func FuzzParseFlow(f *testing.F) {
	b, err := os.ReadFile("testdata/flows.txt")
	if err != nil {
		f.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		f.Add(strings.TrimSuffix(l, "\n"))
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseFlow(s, openflow.FlowAdd, Names{})
		if err != nil {
			if ErrorText(err) == "" {
				t.Errorf("%q: an error without words", s)
			}
			return
		}
		if m.Usable&OXM15 == 0 {
			return
		}
		p := openflow.Proto{Version: ofp.V15}
		raw, err := openflow.Encode(p, 1, m.ForVersion(ofp.V15))
		if err != nil {
			return // too long
		}
		got, err := openflow.Decode(raw, p)
		if err != nil {
			return // the switch will say why
		}
		g := got.(*openflow.FlowMod)
		// The bytes say all: read and written again they are the same.
		if again, err := openflow.Encode(p, 1, g); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%q is %x, read and written again %x (%v)", s, raw, again, err)
		}
		if g.Priority != m.Priority || g.NewCookie != m.NewCookie || g.IdleTimeout != m.IdleTimeout || g.HardTimeout != m.HardTimeout {
			t.Errorf("%q arrives as %+v", s, g)
		}
	})
}
