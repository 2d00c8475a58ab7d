// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/journal"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// The server on a real log file: what was answered is there after the end, a
// stock ovsdb-tool reads it, and compaction runs.
func TestOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf.db")
	if err := journal.Create(journal.OS{}, path, vswitch.Schema()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := func() (*fixture, *journal.Journal) {
		t.Helper()
		j, db, err := journal.Open(journal.OS{}, path, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddDatabase(db, j); err != nil {
			t.Fatal(err)
		}
		f := &fixture{Server: s, dir: t.TempDir(), ctx: ctx, db: db, log: &logBuffer{}}
		sock := filepath.Join(f.dir, "db.sock")
		f.sock = "unix:" + sock
		if err := s.AddRemote("punix:" + sock); err != nil {
			t.Fatal(err)
		}
		return f, j
	}
	shut := func(f *fixture, j *journal.Journal) {
		t.Helper()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	f, j := open()
	c := f.dial(t)
	c.call(t, f.ctx, "transact", insertRoot(1))
	c.call(t, f.ctx, "transact", strings.TrimSuffix(setCfg(2), "]")+`,{"op":"commit","durable":true}]`)
	big := strings.Repeat("x", 2000)
	for range 300 { // 600 kB of log for one row
		c.call(t, f.ctx, "transact", `["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"system_version":"`+big+`"}}]`)
		c.call(t, f.ctx, "transact", `["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"system_version":"y"}}]`)
	}
	for size := int64(1 << 30); size > 400<<10; time.Sleep(5 * time.Millisecond) {
		st, err := os.Stat(path)
		if err != nil || f.ctx.Err() != nil {
			t.Fatalf("log is not compacted: %d bytes, %v", size, err)
		}
		size = st.Size()
	}
	c.call(t, f.ctx, "transact", setCfg(3))
	if err := f.Compact(""); err != nil {
		t.Error(err)
	}
	if err := f.Compact("nodb"); err == nil || err.Error() != "no database by that name" {
		t.Errorf("compact of nothing: %v", err)
	}
	c.call(t, f.ctx, "transact", setCfg(4))
	c.Close()
	shut(f, j)

	f, j = open()
	c = f.dial(t)
	sel := `["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg","system_version"]}]`
	if got := c.call(t, f.ctx, "transact", sel); got != `[{"rows":[{"next_cfg":4,"system_version":"y"}]}]` {
		t.Errorf("after the restart: %s", got)
	}
	c.Close()
	shut(f, j)
	if bin, err := exec.LookPath("ovsdb-tool"); err == nil {
		out, err := exec.Command(bin, "query", path, sel).CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"next_cfg":4`) {
			t.Errorf("ovsdb-tool: %v: %s", err, out)
		}
	}
}

// fakeDisk is the far side of a log: it records what it is asked to do.
type fakeDisk struct {
	mu     sync.Mutex
	dirty  bool
	fail   bool
	syncs  int
	synced chan bool
}

func (d *fakeDisk) Append(*engine.Commit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirty = true
	return nil
}

func (d *fakeDisk) Dirty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirty
}

func (d *fakeDisk) StartSync() func() error {
	return func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.syncs++
		if d.fail && d.syncs < 2 {
			return errors.New("input/output error")
		}
		d.dirty = false
		select {
		case d.synced <- true:
		default:
		}
		return nil
	}
}

func (d *fakeDisk) SyncDone(err error) error                   { return err }
func (d *fakeDisk) StartTail() func() error                    { return func() error { return nil } }
func (d *fakeDisk) Behind() bool                               { return false }
func (d *fakeDisk) WantsCompact() bool                         { return false }
func (d *fakeDisk) CompactDone(err error) error                { return err }
func (d *fakeDisk) StartCompact(*engine.Snapshot) func() error { return func() error { return nil } }

// Commits that are not durable are synced within a second, also when a sync
// fails once.
func TestSyncWithinASecond(t *testing.T) {
	for _, fail := range []bool{false, true} {
		disk := &fakeDisk{fail: fail, synced: make(chan bool, 1)}
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		db := engine.New(vswitch.Schema(), engine.Options{Log: disk})
		if err := s.AddDatabase(db, disk); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := s.Update("Open_vSwitch", func(tx *engine.Txn) error {
			_, err := tx.Insert(db.Schema().Table("Open_vSwitch"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-disk.synced:
			if d := time.Since(start); !fail && d > time.Second {
				t.Errorf("synced after %v", d)
			}
		case <-time.After(5 * time.Second):
			t.Error("not synced")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The control commands, through the control socket.
func TestCommands(t *testing.T) {
	f := serve(t, Options{})
	ctl := filepath.Join(f.dir, "ovsdb-server.ctl")
	l, err := stream.Listen(f.ctx, stream.Addr{Passive: true, Path: ctl}, nil)
	if err != nil {
		t.Fatal(err)
	}
	u := unixctl.NewServer("ovsdb-server (Open vSwitch) 3.1.0", slog.New(slog.DiscardHandler), f.Commands()...)
	go u.Serve(l)
	defer u.Close()
	defer l.Close()
	second := "punix:" + filepath.Join(f.dir, "b.sock")
	first := "p" + f.sock
	for _, tt := range []struct{ cmd, arg, want string }{
		{"ovsdb-server/list-dbs", "", "Open_vSwitch\n_Server\n"},
		{"ovsdb-server/list-remotes", "", first + "\n"},
		{"ovsdb-server/add-remote", second, ""},
		{"ovsdb-server/add-remote", second, ""},
		{"ovsdb-server/list-remotes", "", second + "\n" + first + "\n"},
		{"ovsdb-server/remove-remote", second, ""},
		{"ovsdb-server/remove-remote", "foo", "no such remote\n"},
		{"ovsdb-server/compact", "", ""},
		{"ovsdb-server/compact", "nodb", "no database by that name\n"},
		{"ovsdb-server/sync-status", "", "state: active\n"},
	} {
		args := []string{tt.arg}
		if tt.arg == "" {
			args = nil
		}
		out, err := unixctl.Call(f.ctx, ctl, tt.cmd, args...)
		var ce *unixctl.CommandError
		if errors.As(err, &ce) {
			out = ce.Text
		} else if err != nil {
			t.Fatal(err)
		}
		if out != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.cmd, tt.arg, out, tt.want)
		}
	}
	c := f.dial(t)
	c.call(t, f.ctx, "monitor", `["Open_vSwitch",1,{}]`)
	if out, err := unixctl.Call(f.ctx, ctl, "memory/show"); err != nil || !strings.Contains(out, "monitors:1 sessions:1 ") {
		t.Errorf("memory/show: %q, %v", out, err)
	}
	if _, err := unixctl.Call(f.ctx, ctl, "ovsdb-server/reconnect"); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Done():
	case <-f.ctx.Done():
		t.Error("session lives after reconnect")
	}
	if _, err := c.Call(f.ctx, "echo", json.RawMessage("[]")); err == nil {
		t.Error("call on a closed connection succeeds")
	}
}
