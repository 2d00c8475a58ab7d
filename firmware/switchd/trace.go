// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"errors"
	"fmt"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/trace"
)

// ofprotoTrace answers ofproto/trace.
func (r *reconciler) ofprotoTrace(req *trace.Request) (string, error) {
	now := r.cfg.Now()
	if req.Bridge != "" {
		_, t, err := r.bridgeState(req.Bridge)
		if err != nil {
			return "", fmt.Errorf("%s: unknown bridge", req.Bridge)
		}
		return t.sw.Trace(req, now)
	}
	err := errors.New("no datapath")
	for _, t := range r.sorted() {
		if req.Datapath != "" && !selects([]string{req.Datapath}, t) {
			continue
		}
		var text string
		if text, err = t.sw.Trace(req, now); !errors.Is(err, dpif.ErrNotExist) {
			return text, err
		}
	}
	return "", err
}
