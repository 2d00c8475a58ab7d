// SPDX-License-Identifier: Apache-2.0

package unixctl

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirswitch/weir/firmware/base/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, path string, cmds ...Command) *Server {
	t.Helper()
	l, err := stream.Listen(context.Background(), stream.Addr{Passive: true, Path: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer("ovsdb-server (Open vSwitch) 3.1.0", slog.New(slog.NewTextHandler(io.Discard, nil)), cmds...)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// exchange sends one request and returns the answer decoded, or nil if the
// daemon closed the connection or said nothing.
func exchange(t *testing.T, path, request string) map[string]any {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if json.NewDecoder(c).Decode(&v) != nil {
		return nil
	}
	return v
}

// The same requests to a stock ovsdb-server and to this server: same answers.
func TestAgainstStock(t *testing.T) {
	bin, err := exec.LookPath("ovsdb-server")
	if err != nil {
		t.Skip("no stock ovsdb-server: ", err)
	}
	dir := t.TempDir()
	stock := filepath.Join(dir, "stock.ctl")
	cmd := exec.Command(bin, "--no-db", "--unixctl="+stock, "--remote=punix:"+filepath.Join(dir, "s.sock"), "-vconsole:off")
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for i := 0; ; i++ {
		if c, err := net.Dial("unix", stock); err == nil {
			c.Close()
			break
		}
		if i == 100 {
			t.Fatal("stock ovsdb-server does not answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
	ours := filepath.Join(dir, "ours.ctl")
	start(t, ours, Command{Name: "ovsdb-server/add-db", Usage: "DB", Min: 1, Max: 1, Run: func([]string) (string, error) { return "", nil }},
		Command{Name: "vlog/set", Max: -1, Run: func([]string) (string, error) { return "", nil }})
	for _, req := range []string{
		`{"method":"version","params":[],"id":0}`,
		`{"method":"version","params":["a"],"id":1}`,
		`{"method":"version","params":[5],"id":{"x":1}}`,
		`{"method":"xyz","params":[],"id":"q"}`,
		`{"method":"ovsdb-server/add-db","params":[],"id":0}`,
		`{"method":"ovsdb-server/add-db","params":["a","b"],"id":0}`,
		`{"method":"vlog/set","params":[5],"id":0}`,
		`{"method":"vlog/set","params":[],"id":0}`,
		`{"method":"list-commands","params":["x"],"id":0}`,
		`{"method":"version","params":[],"id":null}`,
		`{"result":5,"id":3}`,
		`garbage{`,
		`{}`,
	} {
		want, got := exchange(t, stock, req), exchange(t, ours, req)
		w, _ := json.Marshal(want)
		g, _ := json.Marshal(got)
		if string(w) != string(g) {
			t.Errorf("%s:\n got %s\nwant %s", req, g, w)
		}
	}
}

// Stock ovs-appctl, and our client, against this server.
func TestAppctl(t *testing.T) {
	dir := t.TempDir()
	exited := make(chan bool, 1)
	pid := os.Getpid()
	path := Path(dir, "ovs-vswitchd", pid)
	start(t, path,
		Command{Name: "echo", Usage: "ARG...", Min: 1, Max: -1, Run: func(a []string) (string, error) { return strings.Join(a, "|"), nil }},
		Command{Name: "fail", Run: func([]string) (string, error) { return "", errors.New("no \"luck\"") }},
		Command{Name: "panic", Run: func([]string) (string, error) { panic("on purpose") }},
		Command{Name: "exit", Run: func([]string) (string, error) { return "", nil }, After: func() { exited <- true }})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	if out, err := Call(ctx, path, "echo", "a b", "ü\n"); err != nil || out != "a b|ü\n" {
		t.Errorf("echo: %q, %v", out, err)
	}
	var ce *CommandError
	if out, err := Call(ctx, path, "fail"); !errors.As(err, &ce) || ce.Text != "no \"luck\"\n" {
		t.Errorf("fail: %q, %v", out, err)
	}
	if _, err := Call(ctx, path, "panic"); err == nil || errors.As(err, &ce) && ce.Command == "panic" {
		t.Errorf("panic: %v", err)
	}
	if out, err := Call(ctx, path, "version"); err != nil || out != "ovsdb-server (Open vSwitch) 3.1.0\n" {
		t.Errorf("version after a panic: %q, %v", out, err)
	}
	if _, err := Call(ctx, path+"x", "version"); err == nil {
		t.Error("no error from a socket that is not there")
	}

	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Target(dir, "ovs-vswitchd"); err != nil || p != Path(dir, "ovs-vswitchd", 77) {
		t.Errorf("target %q, %v", p, err)
	}

	appctl := func(args ...string) (string, error) {
		bin, err := exec.LookPath("ovs-appctl")
		if err != nil {
			t.Skip("no stock ovs-appctl: ", err)
		}
		out, err := exec.CommandContext(ctx, bin, append([]string{"-t", path}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := appctl("list-commands"); err != nil || !strings.Contains(out, "\n  echo                    ARG...\n") {
		t.Errorf("list-commands: %q, %v", out, err)
	}
	if out, err := appctl("echo", "1", "2"); err != nil || out != "1|2\n" {
		t.Errorf("echo: %q, %v", out, err)
	}
	if out, err := appctl("nosuch"); err == nil || !strings.HasPrefix(out, `"nosuch" is not a valid command (use "list-commands" to see a list of valid commands)`) {
		t.Errorf("nosuch: %q, %v", out, err)
	}
	if out, err := appctl("exit"); err != nil || out != "" {
		t.Errorf("exit: %q, %v", out, err)
	}
	select {
	case <-exited:
	case <-ctx.Done():
		t.Error("exit did not run")
	}
}

// TestTooManyConns fills all places: first with clients that say nothing, which
// give way, then with clients that wait for an answer, which do not. The log
// gets one line a second at most, however many come.
func TestTooManyConns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.ctl")
	release := make(chan struct{})
	s := start(t, path, Command{Name: "wait", Run: func([]string) (string, error) { <-release; return "", nil }})
	var log lockedText
	s.log = slog.New(slog.NewTextHandler(&log, nil)) // nobody has come yet
	var held []net.Conn
	hold := func(request string) {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		held = append(held, c)
		if _, err := io.WriteString(c, request); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for range 4 * MaxConns {
		hold(`{"method":"ver`)
	}
	if v := exchange2(path); v == nil {
		t.Error("clients that say nothing keep others out")
	}
	held[0].SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := held[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest silent connection is not closed: %v", err)
	}
	busy := func() (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range s.conns {
			if p.busy {
				n++
			}
		}
		return n
	}
	for n := range MaxConns {
		hold(`{"method":"wait","params":[],"id":0}`)
		for i := 0; busy() <= n; i++ { // before it is the oldest that waits for nothing
			if i == 500 {
				t.Fatalf("%d requests are under way, want %d", busy(), n+1)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	if v := exchange2(path); v != nil {
		t.Errorf("connection %d is served: %v", MaxConns+1, v)
	}
	if lines, most := strings.Count(log.String(), "too many control connections"), 1+int(time.Since(began)/warnInterval); lines < 1 || lines > most {
		t.Errorf("%d lines in the log, want 1 to %d", lines, most)
	}
	close(release)
	for i := 0; ; i++ { // places are free again, once the answers are written
		if v := exchange2(path); v != nil {
			break
		}
		if i == 100 {
			t.Fatal("place is not given back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// lockedText is a log.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func exchange2(path string) map[string]any {
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	io.WriteString(c, `{"method":"version","params":[],"id":0}`)
	var v map[string]any
	if json.NewDecoder(c).Decode(&v) != nil {
		return nil
	}
	return v
}
