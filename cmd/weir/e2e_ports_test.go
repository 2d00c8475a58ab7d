// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestE2EPortScale adds and removes many veth ports with ovs-vsctl, in transactions of 20 and,
// for some, one by one, and holds that what the daemon has is what it had before: descriptors by kind
// (of BPF maps and links too), goroutines, heap. With WEIR_SOAK it is 1,000 ports; the
// times are printed.
func TestE2EPortScale(t *testing.T) {
	const batch = 20
	eachDatapath(t, func(t *testing.T, r *rig) {
		n, single := 200, 20
		switch {
		case os.Getenv("WEIR_SOAK") != "":
			n, single = 1000, 100
		case r.dp == "netdev":
			n, single = 100, 10
		}
		r.bridge("br0")
		r.quiet()
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "link add mp%d type veth peer name mq%d\nlink set mp%d up\nlink set mq%d up\n", i, i, i, i)
		}
		r.batch(b.String())
		// What grows with the first use does so now.
		r.ports("add-port", 0, batch, batch)
		r.ports("del-port", 0, batch, batch)
		before := r.holds()

		start := time.Now()
		r.ports("add-port", 0, n-single, batch)
		r.ports("add-port", n-single, n, 1)
		added := time.Since(start)
		if got := len(strings.Fields(r.vsctl("list-ports", "br0"))); got != n {
			t.Errorf("%d ports, want %d", got, n)
		}
		if ofports := strings.Fields(r.vsctl("--columns=ofport", "--bare", "list", "Interface")); len(ofports) != n+1 {
			t.Errorf("%d interfaces have a number, want %d", len(ofports), n+1)
		} else if strings.Contains(strings.Join(ofports, " "), "-1") {
			t.Error("some interfaces could not be opened")
		}
		with := r.holds()
		if links := with.fds["socket"] - before.fds["socket"]; links < n {
			t.Errorf("%d sockets more for %d ports", links, n)
		}

		start = time.Now()
		r.ports("del-port", 0, n-single, batch)
		r.ports("del-port", n-single, n, 1)
		removed := time.Since(start)
		t.Logf("%d ports added in %v, removed in %v; descriptors, goroutines, heap: %v, with them %v", n, added.Round(time.Millisecond), removed.Round(time.Millisecond), before, with)
		r.eventually(20*time.Second, func() error {
			after := r.holds()
			if !maps.Equal(after.fds, before.fds) || after.goroutines > before.goroutines {
				return fmt.Errorf("was %v, is %v", before, after)
			}
			if after.heapKiB > before.heapKiB+4096 {
				return fmt.Errorf("heap was %d KiB, is %d KiB", before.heapKiB, after.heapKiB)
			}
			return nil
		})
		t.Logf("after: %v", r.holds())
	})
}

// quiet keeps the stacks of the switch's namespace from sending on new devices.
func (r *rig) quiet() {
	r.t.Helper()
	out, err := r.sw.Command("sh", "-c", "for f in all default; do p=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $p ] || echo 1 >$p; done").CombinedOutput()
	if err != nil {
		r.t.Fatalf("disable IPv6: %v\n%s", err, out)
	}
}

// batch runs commands of ip in the switch's namespace.
func (r *rig) batch(commands string) {
	r.t.Helper()
	cmd := r.sw.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("ip -batch: %v\n%s", err, out)
	}
}

// ports adds or deletes the ports from to to of br0, batch in a transaction.
func (r *rig) ports(command string, from, to, batch int) {
	r.t.Helper()
	for ; from < to; from += batch {
		args := []string{"--timeout=60"}
		for i := from; i < min(from+batch, to); i++ {
			args = append(args, "--", command, "br0", fmt.Sprintf("mp%d", i))
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, "ovs-vsctl", args...)
		cmd.Env = append(os.Environ(), "OVS_RUNDIR="+r.dir)
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			r.t.Fatalf("ovs-vsctl %s: %v\n%s", command, err, out)
		}
	}
}

// holdings is what a daemon has.
type holdings struct {
	fds                 map[string]int // by kind: "socket", "anon_inode:bpf-map", ...
	goroutines, heapKiB int
}

func (h holdings) String() string { return fmt.Sprintf("%v %d %d KiB", h.fds, h.goroutines, h.heapKiB) }

var (
	fdNumber   = regexp.MustCompile(`:\[\d+\]$`)
	goroutines = regexp.MustCompile(`goroutines:(\d+)`)
	heap       = regexp.MustCompile(`heap-kB:(\d+)`)
)

// holds reads what the daemon has, when that rests.
func (r *rig) holds() holdings {
	r.t.Helper()
	var last holdings
	for range 20 {
		h := holdings{fds: map[string]int{}}
		dir := fmt.Sprintf("/proc/%d/fd", r.pid())
		fds, err := os.ReadDir(dir)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, fd := range fds {
			if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil {
				h.fds[fdNumber.ReplaceAllString(to, "")]++
			}
		}
		if !*stock {
			out := r.appctl("memory/show")
			h.goroutines, h.heapKiB = number(goroutines, out), number(heap, out)
		}
		if maps.Equal(h.fds, last.fds) && h.goroutines == last.goroutines {
			return h
		}
		last = h
		time.Sleep(100 * time.Millisecond)
	}
	return last
}

func number(re *regexp.Regexp, text string) int {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
