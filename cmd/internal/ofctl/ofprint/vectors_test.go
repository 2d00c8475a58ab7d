// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// vectors are where package openflow keeps messages and what the stock program prints of
// them (ovs-ofctl ofp-print).
const vectors = "../../../../datapath/openflow/testdata"

// blankEnds are not in the vectors.
var blankEnds = regexp.MustCompile(`(?m) +$`)

// TestVectors prints the messages of package openflow's vectors as the stock program did.
func TestVectors(t *testing.T) {
	n := 0
	for _, glob := range []string{"messages.*.txt", "groups.*.txt"} {
		files, err := filepath.Glob(filepath.Join(vectors, glob))
		if err != nil || len(files) == 0 {
			t.Fatalf("no vectors %s: %v", glob, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range strings.Split(string(b), "\n\n") {
				var raw []byte
				var want []string
				what := ""
				for _, l := range strings.Split(block, "\n") {
					if h, ok := strings.CutPrefix(l, "bytes "); ok {
						if raw, err = hex.DecodeString(h); err != nil {
							t.Fatal(err)
						}
					} else if s, ok := strings.CutPrefix(l, "stock "); ok {
						want = append(want, s)
					} else if l == "stock" {
						want = append(want, "")
					} else {
						what = l
					}
				}
				if raw == nil || len(want) == 0 {
					continue
				}
				if strings.Contains(what, "TableFeaturesReply") {
					continue // what instructions and actions there are is not printed
				}
				n++
				got := blankEnds.ReplaceAllString(strings.TrimSpace(Message(raw, Options{Verbosity: 2})), "")
				if w := strings.TrimSpace(strings.Join(want, "\n")); got != w {
					t.Errorf("%s %s\n%x\nours  %s\nstock %s", filepath.Base(name), what, raw, got, w)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("%d messages only", n)
	}
	t.Logf("%d messages", n)
}
