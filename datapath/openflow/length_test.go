// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/hex"
	"testing"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

// TestCheckPktLarger: the bytes are those that ovs-ofctl 3.1 parse-actions reads and prints as the text, or its error.
func TestCheckPktLarger(t *testing.T) {
	for in, want := range map[string]string{
		"ffff0018000023200031000500030001000400000000" + "0000":                      "check_pkt_larger(5)->NXM_NX_REG0[3]",
		"ffff00180000232000310005001f0001000400000000" + "0000":                      "check_pkt_larger(5)->NXM_NX_REG0[31]",
		"ffff0018000023200031000500200001000400000000" + "0000":                      "OFPBAC_BAD_SET_LEN",
		"ffff0018000023200031000500000001000400000000" + "0001":                      "NXBRC_MUST_BE_ZERO",
		"ffff00180000232000310005000000000602" + "000000000000":                      "OFPBAC_BAD_SET_ARGUMENT",
		"ffff00100000232000310005" + "00000001":                                      "OFPBAC_BAD_LEN",
		"ffff0020000023200031000500000001000400000000" + "0000" + "0000000000000001": "NXBRC_MUST_BE_ZERO",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		r := ofp.NewReader(b, ofp.BACBadLen)
		l := ofpact.DecodeList(r, ofp.V13)
		got := l.String()
		if err := r.Close(); err != nil {
			got = ofp.KindOf(err).String()
		} else {
			var w ofp.Writer
			ofpact.AppendList(&w, l, &flow.Match{}, ofp.V13)
			if again := hex.EncodeToString(w.B); again != in {
				t.Errorf("%s is written %s", in, again)
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
