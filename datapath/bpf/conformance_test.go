// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/dpif/dpiftest"
)

// TestConformance runs the suite that every datapath passes, with each way of
// attachment.
func TestConformance(t *testing.T) {
	needRoot(t)
	hooks(t, func(t *testing.T, h Hook) {
		dpiftest.Run(t, func(t *testing.T) dpif.Datapath {
			d, err := New(Config{Hook: h, MaxVLANs: 2})
			if err != nil {
				t.Fatal(err)
			}
			return d
		})
	})
}
