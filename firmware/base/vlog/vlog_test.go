// SPDX-License-Identifier: Apache-2.0

package vlog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var clock = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.FixedZone("x", 3600))

// lines strips the records' own time, which slog takes from the system.
func strip(s string) string {
	var out []string
	for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
		if _, rest, ok := strings.Cut(l, "|"); ok {
			l = rest
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

func TestRecords(t *testing.T) {
	var b strings.Builder
	s := New(&b, func() time.Time { return clock })
	log := s.Logger("bridge")
	log.Info("added", "name", "br 0", "n", 3, "err", errors.New(`a "b"`))
	log.Debug("not shown")
	log.Warn("line\nbreak \x1b[31m", "v", "x\ny")
	log.With("k", 1).WithGroup("g").Error("bad", "a", 2, slog.Group("h", "c", 4))
	log.Log(t.Context(), LevelEmer, "last words")
	s.Root().Info("no module")
	s.Root().WithGroup("ofproto").Info("by group")
	s.Root().With("module", "dpif").Info("by attribute")
	want := `00001|bridge|INFO|added name="br 0" n=3 err="a \"b\""
00002|bridge|WARN|line\nbreak \x1b[31m v="x\ny"
00003|bridge|ERR|bad k=1 g.a=2 g.h.c=4
00004|bridge|EMER|last words
00005|main|INFO|no module
00006|ofproto|INFO|by group
00007|dpif|INFO|by attribute`
	if got := strip(b.String()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTimeAndFile(t *testing.T) {
	var b strings.Builder
	s := New(&b, func() time.Time { return clock })
	path := filepath.Join(t.TempDir(), "x.log")
	if err := s.OpenFile(path); err != nil {
		t.Fatal(err)
	}
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "hello", 0)
	if err := s.Logger("m").Handler().Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		t.Helper()
		x, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(x)
	}
	if !strings.HasSuffix(b.String(), "2026-01-02T02:04:05Z|00002|m|INFO|hello\n") {
		t.Errorf("console: %q", b.String())
	}
	if !strings.HasSuffix(read(), "2026-01-02T02:04:05.678Z|00002|m|INFO|hello\n") {
		t.Errorf("file: %q", read())
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	s.Logger("m").Info("after rotation")
	if got := strip(read()); got != "00003|vlog|INFO|opened log file "+path+"\n00004|m|INFO|after rotation" {
		t.Errorf("after rotation: %q", got)
	}
	s.CloseFile()
	s.Logger("m").Info("not in the file")
	if strings.Contains(read(), "not in") {
		t.Error("file is written after CloseFile")
	}
}

// Texts and effects as seen from a stock ovsdb-server 3.1.0.
func TestApply(t *testing.T) {
	for _, tt := range []struct{ spec, want, err string }{
		{"", "DBG DBG DBG / DBG DBG DBG", ""}, // as stock: a spec without words
		{"jsonrpc", "DBG DBG DBG / INFO INFO INFO", ""},
		{"jsonrpc:file:dbg", "INFO INFO DBG / INFO INFO INFO", ""},
		{"jsonrpc:dbg:file", "INFO INFO DBG / INFO INFO INFO", ""},
		{"jsonrpc::warn", "WARN WARN WARN / INFO INFO INFO", ""},
		{"JSONRPC dbg", "", `no destination, level, or module "JSONRPC"`},
		{"jsonrpc,err", "ERR ERR ERR / INFO INFO INFO", ""},
		{"ANY:console:OFF", "OFF INFO INFO / OFF INFO INFO", ""},
		{"off", "OFF OFF OFF / OFF OFF OFF", ""},
		{"console:warn", "WARN INFO INFO / WARN INFO INFO", ""},
		{"stream-tcp:emer", "INFO INFO INFO / EMER EMER EMER", ""},
		{"foo:bar", "", `no destination, level, or module "foo"`},
		{"ANY:nodest:dbg", "", `no destination, level, or module "nodest"`},
		{"dbg:info", "", "cannot specify multiple levels"},
		{"file:console", "", "cannot specify multiple destinations"},
		{"jsonrpc:stream_tcp", "", "cannot specify multiple modules"},
	} {
		s := New(nil, time.Now)
		s.Logger("jsonrpc")
		s.Logger("stream_tcp")
		err := s.Apply(tt.spec)
		if fmt.Sprint(err) != tt.err && (err != nil || tt.err != "") {
			t.Errorf("%q: error %v, want %q", tt.spec, err, tt.err)
		}
		if err != nil {
			continue
		}
		a, b := s.modules["jsonrpc"], s.modules["stream_tcp"]
		got := fmt.Sprintf("%s %s %s / %s %s %s", levelName(a[0]), levelName(a[1]), levelName(a[2]), levelName(b[0]), levelName(b[1]), levelName(b[2]))
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.spec, got, tt.want)
		}
	}
}

func TestLevelsAtRunTime(t *testing.T) {
	var b strings.Builder
	s := New(&b, time.Now)
	log := s.Logger("jsonrpc").With("k", 1)
	log.Debug("one")
	if err := s.Apply("jsonrpc:dbg"); err != nil {
		t.Fatal(err)
	}
	log.Debug("two")
	if err := s.Apply("off"); err != nil {
		t.Fatal(err)
	}
	log.Error("three")
	s.Logger("later").Error("four")
	if got := strip(b.String()); got != "00001|jsonrpc|DBG|two k=1" {
		t.Errorf("got %q", got)
	}
	want := "                 console    syslog    file\n" +
		"                 -------    ------    ------\n" +
		"jsonrpc            OFF        OFF        OFF\n" +
		"later              OFF        OFF        OFF\n"
	if got := s.List(); got != want {
		t.Errorf("list:\n%s\nwant:\n%s", got, want)
	}
}

func TestLimit(t *testing.T) {
	var b strings.Builder
	log := New(&b, time.Now).Logger("m")
	var l Limit
	for i := range 25 { // ten a second
		l.Log(log, clock.Add(time.Duration(i)*100*time.Millisecond), slog.LevelWarn, "bad peer", "i", i)
	}
	want := "00001|m|WARN|bad peer i=0\n00002|m|WARN|bad peer i=10 suppressed=9\n00003|m|WARN|bad peer i=20 suppressed=9"
	if got := strip(b.String()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, ok := l.Allow(clock.Add(-time.Hour)); !ok {
		t.Error("a clock set back silences the log")
	}
}
