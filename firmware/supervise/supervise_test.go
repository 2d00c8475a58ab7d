// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBackoff(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	var b Backoff
	for i, c := range []struct{ ran, want time.Duration }{
		{0, 100 * ms}, {0, 200 * ms}, {5 * s, 400 * ms}, {0, 800 * ms}, {0, s}, {0, s},
		{10 * s, 100 * ms}, {9999 * ms, 200 * ms}, {time.Hour, 100 * ms},
	} {
		if got := b.Next(c.ran); got != c.want {
			t.Errorf("death %d, after %s: wait %s, want %s", i, c.ran, got, c.want)
		}
	}
}

func TestRing(t *testing.T) {
	r := NewRing(3, 10)
	for i, c := range []struct {
		add, want string
		dropped   uint64
	}{
		{"a", "a", 0}, {"b", "a b", 0}, {"c", "a b c", 0}, {"d", "b c d", 1},
		{"12345678", "c d 12345678", 2}, {"x", "d 12345678 x", 3}, {"0123456789abc", "0123456789", 6}, {"", "0123456789 ", 6},
	} {
		r.Add(c.add)
		got, dropped := r.Last(100)
		if strings.Join(got, " ") != c.want || dropped != c.dropped {
			t.Errorf("line %d: %q, %d dropped; want %q, %d", i, got, dropped, c.want, c.dropped)
		}
	}
	if got, _ := r.Last(1); len(got) != 1 || got[0] != "" {
		t.Errorf("the last line: %q", got)
	}
}

// journal collects what a Supervisor logs.
type journal struct {
	mu    sync.Mutex
	lines []string
	wake  chan struct{}
}

func (j *journal) log(program, line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, program+": "+line)
	close(j.wake)
	j.wake = make(chan struct{})
}

// wait waits for n lines with text.
func (j *journal) wait(t *testing.T, text string, n int) []string {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		j.mu.Lock()
		var hits []string
		for _, l := range j.lines {
			if strings.Contains(l, text) {
				hits = append(hits, l)
			}
		}
		wake, all := j.wake, strings.Join(j.lines, "\n")
		j.mu.Unlock()
		if len(hits) >= n {
			return hits
		}
		select {
		case <-wake:
		case <-deadline:
			t.Fatalf("%d of %d lines with %q in\n%s", len(hits), n, text, all)
		}
	}
}

func start(t *testing.T) (*Supervisor, *Reaper, *journal) {
	j := &journal{wake: make(chan struct{})}
	r := NewReaper()
	s := New(Options{Reaper: r, Log: j.log, Now: time.Now})
	t.Cleanup(func() { s.Stop(); r.Close() })
	return s, r, j
}

// A program that dies is started again, however it died; its lines come whole and long
// ones in pieces.
func TestRestart(t *testing.T) {
	s, _, j := start(t)
	dir := t.TempDir()
	s.Add(Spec{Name: "p", Args: []string{"/bin/sh", "-c", `echo x >>` + dir + `/n
case $(wc -l <` + dir + `/n) in
1) echo out; echo err >&2; printf 'no end'; exit 3 ;;
2) kill -9 $$ ;;
3) head -c 5000 /dev/zero | tr '\0' z; exit 0 ;;
*) echo stays; exec sleep 1000 ;;
esac`}})
	j.wait(t, "p: stays", 1)
	for _, want := range []string{"p: out", "p: no end", "p: err", ": exit status 3; starting it again in 100ms",
		": signal: killed; starting it again in 200ms", ": exit status 0; starting it again in 400ms",
		"p: " + strings.Repeat("z", MaxLine)} {
		j.wait(t, want, 1)
	}
	if got := j.wait(t, "p: zzz", 2); len(got[1]) != len("p: ")+5000-MaxLine {
		t.Errorf("second piece of the long line has %d bytes", len(got[1]))
	}
	st := s.Status()[0]
	if st.Starts != 4 || st.PID == 0 || st.LastEnd != "exit status 0" {
		t.Errorf("%+v", st)
	}
}

// A program that is not there is no reason to stop trying.
func TestCannotStart(t *testing.T) {
	s, _, j := start(t)
	at := filepath.Join(t.TempDir(), "late")
	s.Add(Spec{Name: "p", Args: []string{at}})
	j.wait(t, "no such file", 2)
	if err := os.WriteFile(at, []byte("#!/bin/sh\necho here; exec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	j.wait(t, "p: here", 1)
}

// Programs end in reverse order, politely; a deaf one is killed after its grace, with
// its children; behind Stop nothing starts.
func TestStop(t *testing.T) {
	s, _, j := start(t)
	s.Add(Spec{Name: "first", Args: []string{"/bin/sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"}})
	s.Add(Spec{Name: "deaf", Grace: 50 * time.Millisecond,
		Args: []string{"/bin/sh", "-c", "trap '' TERM; sleep 1000 & echo child $!; while :; do sleep 0.05; done"}})
	j.wait(t, "first: up", 1)
	child, err := strconv.Atoi(strings.TrimPrefix(j.wait(t, "deaf: child", 1)[0], "deaf: child "))
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	s.Add(Spec{Name: "late", Args: []string{"/bin/true"}})
	j.mu.Lock()
	tail := strings.Join(j.lines[len(j.lines)-3:], "\n")
	j.mu.Unlock()
	if want := ": deaf ended: signal: killed\nfirst: bye\n: first ended: exit status 7"; tail != want {
		t.Errorf("the end was\n%s\nwant\n%s", tail, want)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); err != nil || strings.Contains(string(text), ") Z ") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the child lives: %s", text)
		}
	}
	if n := len(s.Status()); n != 2 {
		t.Errorf("%d programs", n)
	}
}

// A process whose parent is gone comes to us and is reaped.
func TestOrphans(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skipf("not a subreaper: %v", err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	r := NewReaper()
	defer r.Close()
	end, err := r.Start(exec.Command("/bin/sh", "-c", "for i in 1 2 3; do (sleep 0.1 &) ; done"))
	if err != nil {
		t.Fatal(err)
	}
	if ws := <-end; ws.ExitStatus() != 0 {
		t.Fatal(ws)
	}
	for deadline := time.Now().Add(time.Minute); r.Orphans() < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d orphans reaped", r.Orphans())
		}
	}
}
