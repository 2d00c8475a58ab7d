// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TestLearnErrorsStock is TestErrorsStock for learn and fin_timeout, with more damage to what is in them.
func TestLearnErrorsStock(t *testing.T) {
	const seed, perVersion = 7, 6000
	t.Logf("seed %d", seed)
	for _, v := range testVersions {
		t.Run(v.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(v)))
			var good, msgs [][]byte
			for _, x := range recorded(t, v) {
				if strings.Contains(x.text, "learn(") || strings.Contains(x.text, "fin_timeout(") {
					b, _ := hex.DecodeString(x.bytes)
					good = append(good, b)
				}
			}
			for len(msgs) < perVersion {
				msgs = append(msgs, mutate(r, good[r.IntN(len(good))]))
			}
			diff := make(map[string]int)
			for i, stock := range stockVerdicts(t, msgs) {
				ours := ""
				_, err := Decode(msgs[i], Proto{Version: v, TableID: true})
				if err != nil {
					ours = ofp.KindOf(err).String()
				}
				if ours != stock && !unlike(ours, stock) {
					if k := fmt.Sprintf("%q, stock %q", ours, stock); diff[k] == 0 || !strings.Contains(k, `""`) {
						diff[k]++
						t.Logf("%s: %x (%v)", k, msgs[i], err)
					} else {
						diff[k]++
					}
				}
			}
			kinds := 0
			for k, n := range diff {
				if kinds += n; strings.Contains(k, `""`) || kinds > perVersion/400 {
					t.Errorf("%d times ours %s", n, k)
				}
			}
		})
	}
}
