// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/journal"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// slowDisk is the file system with syncs that a test stops and makes fail.
type slowDisk struct {
	journal.OS
	syncs, fail atomic.Int64       // done; how many are still to fail
	gate        chan chan struct{} // a sync of the log waits for what it is sent here; nil: none waits
	over        chan struct{}      // closed at the end of the test: nothing waits any more
	gated       atomic.Bool
	onlyNew     atomic.Bool // the gate is for new files, not for the log
}

type slowFile struct {
	journal.File
	d    *slowDisk
	path string
}

func (d *slowDisk) Open(path string, flag int, perm os.FileMode) (journal.File, error) {
	f, err := d.OS.Open(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return slowFile{f, d, path}, nil
}

func (f slowFile) Sync() error {
	if f.d.gated.Load() && (!f.d.onlyNew.Load() || strings.HasSuffix(f.path, ".tmp")) {
		open := make(chan struct{})
		select {
		case f.d.gate <- open:
			select {
			case <-open:
			case <-f.d.over:
			}
		case <-f.d.over:
		}
	}
	f.d.syncs.Add(1)
	if f.d.fail.Add(-1) >= 0 {
		return syscall.EIO
	}
	return f.File.Sync()
}

// onDisk serves a database file on the disk.
func onDisk(t *testing.T, d *slowDisk) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conf.db")
	if err := journal.Create(d, path, vswitch.Schema()); err != nil {
		t.Fatal(err)
	}
	j, db, err := journal.Open(d, path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() }) // after the server's
	return serveLogged(t, Options{}, db, j)
}

const durable = `,{"op":"commit","durable":true}]`

func durably(req string) json.RawMessage {
	return json.RawMessage(strings.TrimSuffix(req, "]") + durable)
}

// While a sync is under way others read and write, and the durable transactions
// that come meanwhile share the next one; none is answered before its sync, not
// even one that found what it wanted.
func TestSharedSync(t *testing.T) {
	d := &slowDisk{gate: make(chan chan struct{}), over: make(chan struct{})}
	defer close(d.over)
	f := onDisk(t, d)
	first, reader := f.dial(t), f.dial(t)
	first.call(t, f.ctx, "transact", string(durably(insertRoot(0))))
	d.gated.Store(true)
	defer d.gated.Store(false)
	one, err := first.Start("transact", durably(setCfg(1)))
	if err != nil {
		t.Fatal(err)
	}
	open := <-d.gate // its sync is under way
	before := d.syncs.Load()
	const n = 8
	results := make(chan string, n)
	var writers []*recorder
	waiting := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.dbs[vswitch.Name].waiting)
	}
	for range n {
		writers = append(writers, f.dial(t))
	}
	for i, w := range writers {
		call, err := w.Start("transact", durably(setCfg(10+i/2))) // each value twice: the second changes nothing
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			res, err := call.Wait(f.ctx)
			results <- fmt.Sprint(string(res), err)
		}()
		for waiting() < i+1 && f.ctx.Err() == nil { // in this order
			time.Sleep(time.Millisecond)
		}
		got := reader.call(t, f.ctx, "transact", `["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg"]}]`)
		if got != fmt.Sprintf(`[{"rows":[{"next_cfg":%d}]}]`, 10+i/2) {
			t.Fatalf("transaction %d is not seen: %s", i, got)
		}
	}
	reader.call(t, f.ctx, "transact", setCfg(20)) // not durable: does not wait
	select {
	case r := <-results:
		t.Fatalf("answered before the sync: %s", r)
	default:
	}
	close(open)
	if _, err := one.Wait(f.ctx); err != nil {
		t.Fatal(err)
	}
	open = <-d.gate
	select {
	case r := <-results:
		t.Fatalf("answered before the second sync: %s", r)
	default:
	}
	d.gated.Store(false)
	close(open)
	for range n {
		if r := <-results; r != `[{"count":1},{}]<nil>` {
			t.Errorf("%s", r)
		}
	}
	if got := d.syncs.Load() - before; got != 2 {
		t.Errorf("%d syncs for %d transactions and one before, want 2", got, n)
	}
}

// A sync that fails is followed by a new file at once; only when that fails too
// the client is told that its transaction may not survive.
func TestSyncFails(t *testing.T) {
	for _, tt := range []struct {
		fail int64
		want string
	}{
		{1, `[{"count":1},{}]`},
		{2, `[{"count":1},{},{"details":"committed, but not on the medium: `},
	} {
		d := &slowDisk{}
		f := onDisk(t, d)
		c := f.dial(t)
		c.call(t, f.ctx, "transact", string(durably(insertRoot(0))))
		d.fail.Store(tt.fail)
		got := c.call(t, f.ctx, "transact", string(durably(setCfg(1))))
		if !strings.HasPrefix(got, tt.want) || strings.Contains(got, `"error":"I/O error"`) != (tt.fail > 1) {
			t.Errorf("%d syncs fail: %s", tt.fail, got)
		}
		if !strings.Contains(f.log.String(), "input/output error") {
			t.Errorf("the log says nothing: %s", f.log)
		}
		d.fail.Store(0)
		if err := f.Compact(""); err != nil {
			t.Error(err)
		}
		if got := c.call(t, f.ctx, "transact", string(durably(setCfg(2)))); got != `[{"count":1},{}]` {
			t.Errorf("afterwards: %s", got)
		}
		c.Close()
	}
}

// A compaction goes on while others commit.
func TestCompactBeside(t *testing.T) {
	d := &slowDisk{gate: make(chan chan struct{}), over: make(chan struct{})}
	defer close(d.over)
	f := onDisk(t, d)
	c := f.dial(t)
	c.call(t, f.ctx, "transact", string(durably(insertRoot(0))))
	d.gated.Store(true)
	done := make(chan error, 1)
	go func() { done <- f.Compact("") }()
	open := <-d.gate // of the new file
	c.call(t, f.ctx, "transact", setCfg(7))
	d.gated.Store(false)
	close(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n := f.reopened(t); n != 7 {
		t.Errorf("next_cfg %d after the compaction, want 7", n)
	}
}

// compacting begins a compaction whose new file is held up at its sync, and returns the
// sync's gate and the compaction's result.
func compacting(t *testing.T, d *slowDisk, f *fixture) (open chan struct{}, done chan error) {
	t.Helper()
	d.onlyNew.Store(true)
	d.gated.Store(true)
	done = make(chan error, 1)
	go func() { done <- f.Compact("") }()
	return <-d.gate, done
}

// reopened returns next_cfg as the file on the disk has it.
func (f *fixture) reopened(t *testing.T) (cfg int64) {
	t.Helper()
	f.mu.Lock()
	text, err := os.ReadFile(f.dbs[vswitch.Name].journal.(*journal.Journal).Path())
	f.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	j, db, err := journal.Open(journal.OS{}, path, journal.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	root := db.Schema().Table("Open_vSwitch")
	for r := range db.Snapshot().Rows(root) {
		n, _ := r.Get(root.Column("next_cfg").Index).Scalar()
		cfg = n.Int()
	}
	return cfg
}

// A durable transaction does not wait for the new file of a compaction, only for the
// writing of that file's tail.
func TestDurableBesideCompaction(t *testing.T) {
	d := &slowDisk{gate: make(chan chan struct{}), over: make(chan struct{})}
	defer close(d.over)
	f := onDisk(t, d)
	c := f.dial(t)
	c.call(t, f.ctx, "transact", string(durably(insertRoot(0))))
	open, done := compacting(t, d, f)
	for i := range 3 {
		before := d.syncs.Load()
		c.call(t, f.ctx, "transact", string(durably(setCfg(1+i))))
		if d.syncs.Load() == before {
			t.Error("answered without a sync")
		}
	}
	close(open)
	open = <-d.gate // the new file's tail
	call, err := c.Start("transact", durably(setCfg(7)))
	if err != nil {
		t.Fatal(err)
	}
	reader := f.dial(t)
	for !strings.Contains(reader.call(t, f.ctx, "transact", `["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg"]}]`), ":7}") {
	}
	before := d.syncs.Load()
	d.gated.Store(false)
	close(open)
	if _, err := call.Wait(f.ctx); err != nil {
		t.Fatal(err)
	}
	if got := d.syncs.Load() - before; got < 2 { // of the tail, and of what came behind it
		t.Errorf("%d syncs, want 2 at least", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := f.reopened(t); n != 7 {
		t.Errorf("next_cfg %d on the disk, want 7", n)
	}
}

// A log grows by no more than so much behind a compaction: then transactions wait for its
// end, and nothing else does.
func TestCompactionBehind(t *testing.T) {
	d := &slowDisk{gate: make(chan chan struct{}), over: make(chan struct{})}
	defer close(d.over)
	f := onDisk(t, d)
	c, other := f.dial(t), f.dial(t)
	c.call(t, f.ctx, "transact", string(durably(insertRoot(0))))
	open, done := compacting(t, d, f)
	f.mu.Lock()
	j := f.dbs[vswitch.Name].journal.(*journal.Journal)
	f.mu.Unlock()
	state := func() (behind bool, size int64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return j.Behind(), j.Size()
	}
	_, from := state()
	const step = 16 << 10
	n := 0
	for behind := false; !behind; behind, _ = state() {
		if n++; n > 2*journal.DefaultCompactMin/step {
			t.Fatalf("%d transactions and no end", n)
		}
		c.call(t, f.ctx, "transact", fmt.Sprintf(`["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"external_ids":["map",[["k","%d%s"]]]}}]`, n, strings.Repeat("x", step)))
	}
	_, full := state()
	if grown := full - from; grown > journal.DefaultCompactMin+2*step {
		t.Errorf("the log grew by %d bytes", grown)
	}
	call, err := c.Start("transact", durably(setCfg(9)))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if got := other.call(t, f.ctx, "echo", `["x"]`); got != `["x"]` {
			t.Fatalf("echo: %s", got)
		}
		time.Sleep(time.Millisecond)
	}
	if _, size := state(); size != full {
		t.Errorf("the log goes on growing: %d bytes, then %d", full, size)
	}
	d.gated.Store(false)
	close(open)
	if res, err := call.Wait(f.ctx); err != nil || string(res) != `[{"count":1},{}]` {
		t.Errorf("afterwards: %s, %v", res, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := f.reopened(t); n != 9 {
		t.Errorf("next_cfg %d on the disk, want 9", n)
	}
}

// When a sync of the old file fails beside a compaction, what is being written is thrown
// away, and the log is written anew from memory before anybody is answered.
func TestSyncFailsBesideCompaction(t *testing.T) {
	d := &slowDisk{gate: make(chan chan struct{}), over: make(chan struct{})}
	defer close(d.over)
	f := onDisk(t, d)
	c := f.dial(t)
	c.call(t, f.ctx, "transact", string(durably(insertRoot(0))))
	open, done := compacting(t, d, f)
	d.fail.Store(1)
	call, err := c.Start("transact", durably(setCfg(5)))
	if err != nil {
		t.Fatal(err)
	}
	for d.fail.Load() > 0 && f.ctx.Err() == nil { // the sync has failed
		time.Sleep(time.Millisecond)
	}
	before := d.syncs.Load()
	d.gated.Store(false)
	close(open)
	if res, err := call.Wait(f.ctx); err != nil || string(res) != `[{"count":1},{}]` {
		t.Errorf("%s, %v", res, err)
	}
	if got := d.syncs.Load() - before; got < 2 { // of the new file that is thrown away, and of the next
		t.Errorf("%d syncs, want 2 at least", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(f.log.String(), "input/output error") {
		t.Errorf("the log says nothing: %s", f.log)
	}
	if n := f.reopened(t); n != 5 {
		t.Errorf("next_cfg %d on the disk, want 5", n)
	}
}

// A panic that leaves a commit half told ends the process: going on would show
// clients a database that is not there.
func TestPanicHalfway(t *testing.T) {
	const child = "WEIR_TEST_PANIC_HALFWAY"
	if os.Getenv(child) != "" {
		f := serve(t, Options{})
		if _, err := f.Watch(vswitch.Name, func(*engine.Commit) { panic("on purpose") }); err != nil {
			t.Fatal(err)
		}
		c := f.dial(t)
		c.Call(f.ctx, "transact", json.RawMessage(insertRoot(0)))
		time.Sleep(5 * time.Second)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanicHalfway$")
	cmd.Env = append(os.Environ(), child+"=1", "TMPDIR="+t.TempDir()) // the child, which panics, leaves its folders
	out, err := cmd.CombinedOutput()
	var ee *exec.ExitError
	if !errors.As(err, &ee) || !strings.Contains(string(out), "panic: on purpose") {
		t.Errorf("the process lives: %v\n%s", err, out)
	}
}
