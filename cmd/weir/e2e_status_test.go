// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
)

// The status columns of controllers say what stock's say, word for word, in each state
// that a connection can be in.
func TestE2EControllerStatus(t *testing.T) {
	needs(t, "ovs-vswitchd", "ovsdb-server")
	seconds := regexp.MustCompile(`(sec_since_\w+)="\d+"`)
	// see returns how the row with this target goes through the states, as text.
	see := func(t *testing.T, r *rig) string {
		if err := r.sw.Up("lo"); err != nil {
			t.Fatal(err)
		}
		target, accept := r.ofListen()
		r.bridge("br0")
		passive := "ptcp:6700:127.0.0.1"
		gone := "unix:" + filepath.Join(r.dir, "gone")
		r.vsctl("set-controller", "br0", target, passive, "tcp:127.0.0.1:9", gone)
		var b strings.Builder
		look := func(what, target string, is ...string) {
			r.eventually(20*time.Second, func() error { // stock looks every 5 s
				out := r.vsctl("--columns=is_connected,role,status", "find", "controller", fmt.Sprintf("target=%q", target))
				for _, w := range is {
					if !strings.Contains(out, w) {
						return fmt.Errorf("%s: no %q in\n%s", what, w, out)
					}
				}
				out = strings.ReplaceAll(out, "state=CONNECTING", "state=BACKOFF") // either, at a moment
				fmt.Fprintf(&b, "%s\n%s", what, seconds.ReplaceAllString(out, `$1`))
				return nil
			})
		}
		p := accept()
		p.until(p.role(openflow.RolePrimary))
		go p.serve()
		look("connected, never lost", target, "ACTIVE", "master")
		look("refused", "tcp:127.0.0.1:9", "last_error")
		look("no such socket", gone, "last_error")
		look("nobody came", passive)
		c := r.ofDial("tcp", "127.0.0.1:6700")
		c.barrier(3)
		look("somebody came", passive)
		p.Close()
		p = accept()
		go p.serve()
		look("back again", target, "ACTIVE", "sec_since_disconnect")
		p.Close()
		accept().Close()
		look("lost", target, "is_connected        : false")
		return b.String()
	}
	var got [2]string
	for i, stock := range []bool{false, true} {
		name := map[bool]string{false: "weir", true: "stock"}[stock]
		t.Run(name, func(t *testing.T) { got[i] = see(t, newRigOf(t, "netdev", stock, name[:1])) })
	}
	t.Logf("\n%s", got[0])
	if got[0] != got[1] {
		t.Errorf("weir:\n%s\nstock:\n%s", got[0], got[1])
	}
}
