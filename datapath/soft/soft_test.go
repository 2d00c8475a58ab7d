// SPDX-License-Identifier: Apache-2.0

package soft_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/dpif/dpiftest"
	"github.com/weirswitch/weir/datapath/soft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance runs the suite for all datapaths.
func TestConformance(t *testing.T) {
	dpiftest.Run(t, func(t *testing.T) dpif.Datapath {
		return soft.New(soft.Config{MaxVLANs: 2})
	})
}
