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

// FuzzTexts: a group, meter, TLV map or tuple that is read has words for its error, or can be written in
// OpenFlow 1.5 and is the same bytes when it was read and written again.
func FuzzTexts(f *testing.F) {
	b, err := os.ReadFile("../testdata/groups.txt")
	if err != nil {
		f.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if ws := strings.Fields(strings.ReplaceAll(l, "'", "")); len(ws) > 1 {
			f.Add(ws[len(ws)-1])
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		var ms []openflow.Message
		put := func(m openflow.Message, err error) {
			if err == nil {
				ms = append(ms, m)
			} else if ErrorText(err) == "" {
				t.Errorf("%q: an error without words", s)
			}
		}
		for _, c := range []openflow.GroupModCommand{openflow.GroupAdd, openflow.GroupInsertBucket, openflow.GroupRemoveBucket, openflow.GroupDelete} {
			g, err := ParseGroup(s, c, Names{})
			if err != nil {
				put(nil, err)
				continue
			}
			put(&g.GroupMod, nil)
		}
		for _, c := range []openflow.MeterModCommand{openflow.MeterAdd, openflow.MeterDelete} {
			m, err := ParseMeter(s, c)
			put(m, err)
		}
		maps, err := ParseTLVMaps(s)
		put(&openflow.TLVTableMod{Maps: maps}, err)
		ct, err := ParseCTFlush([]string{s})
		put(ct, err)
		if _, err := ParseTableSetting(s); err != nil {
			put(nil, err)
		}
		p := openflow.Proto{Version: ofp.V15}
		for _, m := range ms {
			raw, err := openflow.Encode(p, 1, m)
			if err != nil {
				continue // too long
			}
			got, err := openflow.Decode(raw, p)
			if err != nil {
				continue // the switch will say why
			}
			if again, err := openflow.Encode(p, 1, got); err != nil || !bytes.Equal(again, raw) {
				t.Errorf("%q is %x, read and written again %x (%v)", s, raw, again, err)
			}
		}
	})
}
