// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/firmware/base/vlog"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// A panic in a command that only looks is its answer, and the next command is served; one
// in a command that changes something reaches the reconciler's goroutine.
func TestPanicInCommand(t *testing.T) {
	var log bytes.Buffer
	cfg := Config{Now: time.Now, Log: vlog.New(&log, time.Now)}
	r := newReconciler(cfg, nil, nil, wanted.About{}, nil, nil)
	panicked := make(chan any, 1)
	serve := func() { // as run does
		defer func() { panicked <- recover() }()
		defer r.falling()
		(<-r.asked)()
	}
	cmds := map[string]unixctl.Command{}
	for _, c := range r.commands(t.Context()) {
		cmds[c.Name] = c
	}
	plan := r.plan
	for _, tt := range []struct {
		name      string
		args      []string
		contained bool
	}{
		{"ofproto/list", nil, true},
		{"ofproto/trace", []string{"br0", "in_port=1"}, true},
		{"ofproto/trace", []string{"br0", "in_port=1", "-generate"}, false},
		{"fdb/show", []string{"br0"}, true},
		{"fdb/flush", nil, false},
	} {
		r.plan = nil // the bug: what the commands look at is not there
		log.Reset()
		go serve()
		_, err := cmds[tt.name].Run(tt.args)
		p := <-panicked
		if contained := err != nil && strings.HasPrefix(err.Error(), "panic: ") && p == nil; contained != tt.contained {
			t.Errorf("%s %q: error %v, panic %v", tt.name, tt.args, err, p)
		}
		if !tt.contained && p == nil {
			t.Errorf("%s %q: the panic was swallowed", tt.name, tt.args)
		}
		if !strings.Contains(log.String(), "contain_test.go") || strings.Contains(log.String(), "the daemon ends") == tt.contained {
			t.Errorf("%s: no stack in the log, or not what becomes of the daemon: %s", tt.name, &log)
		}
		r.plan = plan
		go serve()
		if _, err := cmds["ofproto/list"].Run(nil); err != nil || <-panicked != nil {
			t.Errorf("after %s: %v", tt.name, err)
		}
	}
}
