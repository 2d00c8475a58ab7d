// SPDX-License-Identifier: Apache-2.0

// Package stocktest runs Debian's Open vSwitch tools and database server for
// tests that compare ours with them. Servers run in a directory of the test's
// own and are ended by their process; a test is skipped, with the reason, where
// a program is not installed.
package stocktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/env"
)

const schemaFile = "/usr/share/openvswitch/vswitch.ovsschema"

// Need skips the test if a program is missing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed (Debian: openvswitch-switch): %v", p, err)
		}
	}
	if _, err := os.Stat(schemaFile); err != nil {
		t.Skipf("no Open_vSwitch schema: %v", err)
	}
}

// Server is a stock ovsdb-server with an empty Open_vSwitch database.
type Server struct {
	RunDir string
	Socket string // path of db.sock
	Log    string
}

// Start starts a server and ends it with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	Need(t, "ovsdb-server", "ovsdb-tool", "ovsdb-client")
	dir, err := os.MkdirTemp("", "weir-stock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{RunDir: dir, Socket: filepath.Join(dir, "db.sock"), Log: filepath.Join(dir, "conf.db")}
	if out, err := exec.Command("ovsdb-tool", "create", s.Log, schemaFile).CombinedOutput(); err != nil {
		t.Fatalf("ovsdb-tool create: %v: %s", err, out)
	}
	cmd := exec.Command("ovsdb-server", s.Log, "--remote=punix:"+s.Socket, "--no-chdir", "-vconsole:off", "-vsyslog:off",
		"--pidfile="+filepath.Join(dir, "ovsdb-server.pid"))
	cmd.Env = s.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for range 500 {
		if _, err := os.Stat(s.Socket); err == nil {
			if ms, _ := filepath.Glob(filepath.Join(dir, "ovsdb-server.*.ctl")); len(ms) > 0 {
				return s
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("ovsdb-server did not start")
	return nil
}

// Environ is the environment of programs that are to use the server.
func (s *Server) Environ() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OVS_") {
			out = append(out, v)
		}
	}
	return append(out, "OVS_RUNDIR="+s.RunDir, "OVS_LOGDIR="+s.RunDir, "OVS_DBDIR="+s.RunDir, "LC_ALL=C.UTF-8")
}

// Result is what a program printed and its exit code; 128 + n if signal n ended
// it, as a shell says.
type Result struct {
	Out, Err string
	Code     int
}

func (r Result) String() string {
	return fmt.Sprintf("exit %d\nstdout:\n%s\nstderr:\n%s", r.Code, r.Out, r.Err)
}

// Stock runs a stock program against the server.
func (s *Server) Stock(t testing.TB, stdin string, program string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = s.Environ()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	r := Result{Out: out.String(), Err: errs.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			r.Code = 128 + int(ws.Signal())
		}
	} else if err != nil {
		t.Fatalf("%s %q: %v", program, args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %q did not end", program, args)
	}
	return r
}

// Ours runs one of our tools, in this process, against the server.
func (s *Server) Ours(main func(context.Context, env.Env) int, stdin, name string, args ...string) Result {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	vars := map[string]string{"OVS_RUNDIR": s.RunDir, "OVS_LOGDIR": s.RunDir, "OVS_DBDIR": s.RunDir}
	code := main(ctx, env.Env{
		Name: name, Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Getenv: func(k string) string { return vars[k] }, Now: time.Now,
	})
	return Result{Out: out.String(), Err: errs.String(), Code: code}
}

var (
	uuidRE  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	stampRE = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\|`)
)

// Mask replaces what differs between two servers: UUIDs, the run directory, the
// time of log lines.
func (s *Server) Mask(r Result) Result {
	f := func(x string) string {
		x = strings.ReplaceAll(x, s.RunDir, "RUNDIR")
		x = uuidRE.ReplaceAllString(x, "UUID")
		return stampRE.ReplaceAllString(x, "TIME|")
	}
	return Result{Out: f(r.Out), Err: f(r.Err), Code: r.Code}
}

// Blocks sorts the rows of a table in list format, or with sep "\n" of one in
// another format.
func Blocks(text, sep string) string {
	parts := strings.Split(strings.TrimSuffix(text, "\n"), sep)
	slices.Sort(parts)
	return strings.Join(parts, sep)
}

// Dump returns the contents of the database in a form that does not depend on
// the UUIDs: a row a line, with a hash of what it and the rows hold that it
// refers to.
func (s *Server) Dump(t testing.TB) string {
	t.Helper()
	out := s.Stock(t, "", "ovsdb-client", "-f", "json", "dump", "unix:"+s.Socket, "Open_vSwitch")
	if out.Code != 0 {
		t.Fatalf("dump: %s", out)
	}
	type row struct {
		id, text string
	}
	var rows []row
	for line := range strings.Lines(out.Out) {
		var tab struct {
			Caption  string
			Headings []string
			Data     [][]json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &tab); err != nil {
			t.Fatalf("dump: %v in %s", err, line)
		}
		for _, d := range tab.Data {
			text := tab.Caption
			var id string
			for i, v := range d {
				if tab.Headings[i] == "_uuid" {
					id = uuidRE.FindString(string(v))
				} else {
					text += " " + tab.Headings[i] + "=" + string(v)
				}
			}
			rows = append(rows, row{id, text})
		}
	}
	label := make(map[string]string, len(rows))
	for range 5 { // deeper than the schema: Open_vSwitch, Bridge, Port, Interface
		next := make(map[string]string, len(rows))
		for _, r := range rows {
			var inner []string
			for _, u := range uuidRE.FindAllString(r.text, -1) {
				inner = append(inner, label[u])
			}
			slices.Sort(inner)
			own := uuidRE.ReplaceAllString(r.text, "?") + strings.Join(inner, "|")
			next[r.id] = fmt.Sprintf("%x", sha256.Sum256([]byte(own)))
		}
		label = next
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, uuidRE.ReplaceAllString(r.text, "?")+" -> "+label[r.id])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
