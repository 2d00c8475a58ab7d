// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

var ctFlushes = [][]string{
	{},
	{"zone=5"},
	{"zone=0"},
	{"zone=5", "ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17,ct_tp_src=2,ct_tp_dst=1", "ct_nw_dst=10.1.1.1"},
	{"ct_ipv6_src=fc00::1,ct_nw_proto=1,icmp_type=8,icmp_code=0,icmp_id=10"},
	{"ct_ipv6_src=fc00::1,ct_ipv6_dst=fc00::2,ct_nw_proto=58,icmp_type=128,icmp_code=3,icmp_id=10", "ct_ipv6_dst=fc00::1"},
	{"zone=65535", "ct_nw_dst=10.1.1.2,ct_nw_proto=6", "ct_nw_proto=6,ct_tp_src=443"},
	{"ct_nw_proto=132,ct_tp_dst=9"},
}

// TestCTFlushStock: what ovs-ofctl sends is read, and written as the same bytes; damaged messages are
// refused as ovs-ofctl refuses them.
func TestCTFlushStock(t *testing.T) {
	const seed = 1
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var good [][]byte
	for _, v := range testVersions {
		for _, args := range ctFlushes {
			ms := capture(t, v, append([]string{"ct-flush", "SWITCH"}, args...)...)
			if len(ms) != 1 {
				t.Fatalf("%v: %d messages", args, len(ms))
			}
			b := ms[0]
			good = append(good, b)
			p := Proto{Version: v}
			m, err := Decode(b, p)
			if err != nil {
				t.Errorf("%v %x: %v", args, b, err)
				continue
			}
			f := m.(*CTFlush)
			if f.HasZone != strings.HasPrefix(strings.Join(args, " "), "zone=") {
				t.Errorf("%v is read as %+v", args, f)
			}
			if again, err := Encode(p, ParseHeader(b).XID, m); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%v\n ours  %x (%v)\n stock %x", args, again, err, b)
			}
		}
	}
	var msgs [][]byte
	for range 6000 {
		b := mutate(r, good[r.IntN(len(good))])
		copy(b[8:16], good[0][8:16]) // still this message
		msgs = append(msgs, b)
	}
	diff := make(map[string]int)
	for i, stock := range stockVerdicts(t, msgs) {
		ours := ""
		if _, err := Decode(msgs[i], Proto{Version: ofp.Version(msgs[i][0])}); err != nil {
			ours = ofp.KindOf(err).String()
		}
		if ours != stock {
			k := fmt.Sprintf("%q, stock %q", ours, stock)
			if diff[k]++; diff[k] == 1 {
				t.Errorf("ours %s: %x", k, msgs[i])
			}
		}
	}
	t.Logf("%d messages, differences %v", len(msgs), diff)
}
