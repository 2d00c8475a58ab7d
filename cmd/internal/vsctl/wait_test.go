// SPDX-License-Identifier: Apache-2.0

package vsctl_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/stocktest"
	"github.com/weirswitch/weir/cmd/internal/vsctl"
)

// TestReload plays the switch: it takes the configuration and reports what it
// could not do. Both tools print the same and return only then.
func TestReload(t *testing.T) {
	p := newPair(t)
	for _, s := range []*stocktest.Server{p.stock, p.ours} {
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Add(1)
		t.Cleanup(func() { close(done); wg.Wait() })
		go func() {
			defer wg.Done()
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
				}
				next := strings.TrimSpace(s.Stock(t, "", "ovs-vsctl", "--no-wait", "get", "open", ".", "next_cfg").Out)
				cur := strings.TrimSpace(s.Stock(t, "", "ovs-vsctl", "--no-wait", "get", "open", ".", "cur_cfg").Out)
				if next == cur || next == "" {
					continue
				}
				args := []string{"--no-wait", "set", "open", ".", "cur_cfg=" + next}
				for name, set := range map[string]string{"bad": `error="could not open network device bad (No such device)"`, "minus": "ofport=-1", "good": "ofport=3"} {
					if s.Stock(t, "", "ovs-vsctl", "--no-wait", "get", "interface", name, "name").Code == 0 {
						args = append(args, "--", "set", "interface", name, set)
					}
				}
				s.Stock(t, "", "ovs-vsctl", args...)
			}
		}()
	}
	for _, line := range []string{
		"add-br br0", "add-port br0 good", "add-port br0 bad", "add-port br0 minus", "del-port bad -- del-port minus",
		"add-port br0 bad -- add-port br0 minus tag=3", "set interface good type=internal", "get interface good ofport", "set interface good type=internal",
		"-t 5 add-br br1 -- list-br", "add-bond br1 bond x y", "comment x", "list-br",
	} {
		p.both(t, strings.Fields(line))
		p.sameContents(t, line)
	}
}

// TestTimeout: without a switch the wait ends by --timeout, and the change is
// in the database all the same.
func TestTimeout(t *testing.T) {
	p := newPair(t)
	p.both(t, strings.Fields("-t 1 add-br br0"))
	p.sameContents(t, "-t 1 add-br br0")
}

// TestConcurrent: many clients add ports to one bridge at once. Each one's port
// is there in the end: who was overtaken starts again.
func TestConcurrent(t *testing.T) {
	s := stocktest.Start(t)
	if r := s.Ours(vsctl.Main, "", "ovs-vsctl", "--no-wait", "add-br", "br0"); r.Code != 0 {
		t.Fatal(r)
	}
	const clients, ports = 8, 6
	var wg sync.WaitGroup
	for c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range ports {
				key := fmt.Sprintf("other_config:k%d-%d=v", c, i)
				r := s.Ours(vsctl.Main, "", "ovs-vsctl", "--no-wait", "add-port", "br0", fmt.Sprintf("p%d-%d", c, i), "--", "set", "bridge", "br0", key)
				if r.Code != 0 {
					t.Errorf("client %d: %s", c, r)
				}
			}
		}()
	}
	wg.Wait()
	r := s.Ours(vsctl.Main, "", "ovs-vsctl", "--no-wait", "list-ports", "br0")
	if n := strings.Count(r.Out, "\n"); n != clients*ports {
		t.Errorf("%d ports, want %d:\n%s", n, clients*ports, r)
	}
	r = s.Ours(vsctl.Main, "", "ovs-vsctl", "--no-wait", "get", "bridge", "br0", "other_config")
	if n := strings.Count(r.Out, "=v"); n != clients*ports {
		t.Errorf("%d keys, want %d:\n%s", n, clients*ports, r)
	}
}

// TestWaitUntil: the condition comes true while the tool waits.
func TestWaitUntil(t *testing.T) {
	s := stocktest.Start(t)
	done := make(chan stocktest.Result)
	go func() {
		done <- s.Ours(vsctl.Main, "", "ovs-vsctl", "--no-wait", "-t", "10", "wait-until", "bridge", "br0", "other_config:a=b", "--", "get", "bridge", "br0", "name")
	}()
	for _, args := range [][]string{{"add-br", "br0"}, {"set", "bridge", "br0", "other_config:a=c"}, {"set", "bridge", "br0", "other_config:a=b"}} {
		time.Sleep(100 * time.Millisecond)
		select {
		case r := <-done:
			t.Fatalf("ended before %q: %s", args, r)
		default:
		}
		s.Stock(t, "", "ovs-vsctl", append([]string{"--no-wait"}, args...)...)
	}
	if r := <-done; r.Code != 0 || r.Out != "br0\n" {
		t.Errorf("wait-until: %s", r)
	}
}

// TestNoServer: errors of the connection, and --retry.
func TestNoServer(t *testing.T) {
	p := newPair(t)
	for _, line := range []string{"--db=unix:/nonexistent/x show", "--db=tcp:127.0.0.1:1 show", "--db=unix:db.sock show", "-t 1 --retry --db=unix:/nonexistent/x show"} {
		p.both(t, strings.Fields(line))
	}
}
