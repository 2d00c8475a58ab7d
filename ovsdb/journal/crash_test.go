// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

const smallSchema = `{"name":"small","tables":{
 "t":{"isRoot":true,"columns":{
  "n":{"type":"integer"},
  "e":{"type":"string","ephemeral":true},
  "s":{"type":{"key":"string","min":0,"max":"unlimited"}},
  "m":{"type":{"key":"string","value":"real","min":0,"max":"unlimited"}}},
  "indexes":[["n"]]}}}`

func parse(t testing.TB, text string) *schema.Schema {
	t.Helper()
	s, err := schema.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dump prints what a database holds.
func dump(db *engine.DB) string {
	var b strings.Builder
	snap := db.Snapshot()
	for _, t := range db.Schema().Tables {
		for r := range snap.Rows(t) {
			fmt.Fprintf(&b, "%s %s", t.Name, r.ID)
			for i, c := range t.Columns {
				if !c.Ephemeral {
					fmt.Fprintf(&b, " %s=%s", c.Name, r.Get(i).AppendExact(nil))
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func run(t testing.TB, db *engine.DB, ops string) engine.Outcome {
	t.Helper()
	req, err := engine.ParseTransact([]byte(`["x",`+ops+`]`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return db.Transact(req, engine.Env{})
}

// steps is what the crash test does: transactions, "sync" and "compact"; between
// "begin sync" or "begin compact" and "end" transactions come after the slow part was
// done, between "start ..." and "end" before it. A "sync" there is of the log that is being
// compacted; "begin tail" and "start tail" are the second part of a compaction.
var steps = []string{
	`{"op":"insert","table":"t","uuid":"00000000-0000-4000-8000-000000000001","row":{"n":1,"s":["set",["a","b"]],"e":"x"}}`,
	`{"op":"insert","table":"t","uuid":"00000000-0000-4000-8000-000000000002","row":{"n":2,"m":["map",[["k",0.30000000000000004]]]}},{"op":"commit","durable":true}`,
	`{"op":"update","table":"t","where":[["n","==",1]],"row":{"s":["set",["b","c"]]}},{"op":"comment","comment":"c"}`,
	`{"op":"update","table":"t","where":[["n","==",1]],"row":{"e":"y"}},{"op":"commit","durable":true}`,
	`{"op":"mutate","table":"t","where":[],"mutations":[["m","insert",["map",[["l",2]]]],["n","+=",10]]}`,
	"sync",
	"compact",
	`{"op":"delete","table":"t","where":[["n","==",11]]},{"op":"insert","table":"t","uuid":"00000000-0000-4000-8000-000000000003","row":{}}`,
	`{"op":"mutate","table":"t","where":[],"mutations":[["m","delete","l"],["s","insert","z"]]},{"op":"commit","durable":true}`,
	"begin sync",
	`{"op":"insert","table":"t","uuid":"00000000-0000-4000-8000-000000000004","row":{"n":4}}`,
	"end",
	"start sync",
	`{"op":"mutate","table":"t","where":[["n","==",4]],"mutations":[["s","insert","q"]]},{"op":"commit","durable":true}`,
	`{"op":"mutate","table":"t","where":[["n","==",4]],"mutations":[["s","insert","r"]]}`,
	"end",
	"begin compact",
	`{"op":"mutate","table":"t","where":[["n","==",4]],"mutations":[["s","insert","t"]]},{"op":"commit","durable":true}`,
	`{"op":"insert","table":"t","uuid":"00000000-0000-4000-8000-000000000005","row":{"n":5}}`,
	"end",
	"sync",
	"start compact",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","insert","u"]]},{"op":"commit","durable":true}`,
	"end",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","insert","v"]]}`,
	"sync",
	"start compact",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","insert","w"]]}`,
	"sync",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","insert","x"]]}`,
	"start tail",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","insert","y"]]}`,
	"end",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","insert","z"]]}`,
	"begin compact",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","delete","w"]]}`,
	"sync",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","delete","x"]]}`,
	"sync",
	"begin tail",
	`{"op":"mutate","table":"t","where":[["n","==",5]],"mutations":[["s","delete","y"]]}`,
	"end",
	"sync",
	`{"op":"delete","table":"t","where":[]}`,
}

// play runs the steps until the disk crashes. It returns what the database held
// after each step that was done, the first after creation, and how many of them
// a crash must not lose.
func play(t testing.TB, disk *memFS) (states []string, durable int, db *engine.DB, err error) {
	s := parse(t, smallSchema)
	if err := Create(disk, "db", s); err != nil {
		return nil, 0, nil, err
	}
	clock := func() time.Time { return time.UnixMilli(1700000000000) }
	j, db, err := Open(disk, "db", Options{Clock: clock, Warn: func(w string) { t.Errorf("warning: %s", w) }})
	if err != nil {
		return nil, 0, nil, err
	}
	states = []string{dump(db)}
	durable = 1
	before := 0 // states when the job under way began
	var job func() error
	var done func(error) error // nil: no job is under way
	syncing := false           // the job is a sync
	for _, step := range steps {
		verb, what, _ := strings.Cut(step, " ")
		switch step {
		case "begin sync", "start sync", "begin compact", "start compact":
			before, done, syncing = len(states), j.SyncDone, what == "sync"
			if syncing {
				job = j.StartSync()
			} else {
				job, done = j.StartCompact(db.Snapshot()), j.CompactDone
			}
			if verb == "begin" {
				result := job()
				job = func() error { return result }
			}
		case "begin tail", "start tail":
			if err = job(); err != nil {
				done(err)
				break
			}
			job = j.StartTail()
			if verb == "begin" {
				result := job()
				job = func() error { return result }
			}
		case "end":
			if err = done(job()); err == nil && syncing {
				durable = max(durable, before)
			}
		case "sync":
			err = j.Sync()
		case "compact":
			err = j.Compact(db.Snapshot())
		default:
			o := run(t, db, step)
			if strings.Contains(string(o.Reply), `"error"`) {
				err = fmt.Errorf("%s", o.Reply)
			} else if o.Durable && done == nil {
				// The owner answers only after the sync; here nobody else commits meanwhile.
				states = append(states, dump(db))
				err = j.Sync()
				if err == nil {
					durable = len(states)
				}
				if err != nil {
					return states, durable, db, err
				}
				continue
			}
		}
		if step == "end" {
			done = nil
		}
		if err != nil {
			return states, durable, db, err
		}
		states = append(states, dump(db))
		if (done == nil || !syncing) && !j.Dirty() {
			durable = len(states)
		}
	}
	return states, durable, db, nil
}

// At every byte written and at every other change the machine crashes. Whatever
// of the writes is on the medium, all, only what was synced, or that and the renames, the file opens,
// and holds the state before or after the step that was under way, or with
// unsynced writes lost an earlier one but none before the last durable one.
func TestCrashEverywhere(t *testing.T) {
	whole := newMemFS()
	states, _, _, err := play(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(states); n != len(steps)+1 || states[n-1] != "" || states[n-2] == "" {
		t.Fatalf("the steps do not do what they should: %q", states)
	}
	for crash := range whole.work {
		disk := newMemFS()
		disk.crash = crash
		done, durable, db, err := play(t, disk)
		if err == nil {
			t.Fatalf("crash at %d did not happen", crash)
		}
		if n := len(done); n > 0 && dump(db) != done[n-1] {
			t.Fatalf("crash at %d: the database changed though the log failed", crash)
		}
		for _, left := range []medium{everything, synced, renamed} {
			after := disk.reboot(left)
			name := fmt.Sprintf("crash at %d of %d, left: %v", crash, whole.work, left)
			j, db, err := Open(after, "db", Options{})
			if errors.Is(err, fs.ErrNotExist) && len(done) == 0 {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := dump(db)
			// done[i] is states[i]; the step under way is the next.
			lo, hi := max(0, len(done)-1), len(done)
			if left != everything {
				lo = max(0, durable-1)
			}
			ok := false
			for i := lo; i <= hi && i < len(states); i++ {
				ok = ok || got == states[i]
			}
			if !ok {
				t.Fatalf("%s, after %d states: got\n%s", name, len(done), got)
			}
			// It goes on from there.
			o := run(t, db, `{"op":"insert","table":"t","row":{"n":99}},{"op":"commit","durable":true}`)
			if o.Commit == nil {
				t.Fatalf("%s: cannot go on: %s", name, o.Reply)
			}
			if err := j.Close(); err != nil {
				t.Fatalf("%s: close: %v", name, err)
			}
			warned := ""
			_, again, err := Open(after, "db", Options{Warn: func(w string) { warned = w }})
			if err != nil || dump(again) != dump(db) || warned != "" {
				t.Fatalf("%s: reopened: %v %s\n%s\n%s", name, err, warned, dump(again), dump(db))
			}
		}
	}
	t.Logf("%d places", whole.work)
}

// A full disk fails the transaction, changes nothing, and is no problem once
// there is space again.
func TestFull(t *testing.T) {
	disk := newMemFS()
	if err := Create(disk, "db", parse(t, smallSchema)); err != nil {
		t.Fatal(err)
	}
	j, db, err := Open(disk, "db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for space := range 150 {
		before, size := dump(db), j.Size()
		disk.full = space
		o := run(t, db, fmt.Sprintf(`{"op":"insert","table":"t","row":{"n":%d,"s":["set",["some","more","text","that","takes","space"]]}}`, space))
		if !strings.Contains(string(o.Reply), `"error":"I/O error"`) || !strings.Contains(string(o.Reply), syscall.ENOSPC.Error()) || o.Commit != nil {
			t.Fatalf("%d bytes free: %s", space, o.Reply)
		}
		if dump(db) != before || j.Size() != size || len(disk.names["db"].data) != int(size) {
			t.Fatalf("%d bytes free: something changed", space)
		}
		if err := j.Compact(db.Snapshot()); err == nil {
			t.Fatalf("%d bytes free: compacted", space)
		}
		if disk.names["db.tmp"] != nil {
			t.Fatalf("%d bytes free: a temporary file is left", space)
		}
		disk.full = -1
		if o := run(t, db, fmt.Sprintf(`{"op":"insert","table":"t","row":{"n":%d}}`, space)); o.Commit == nil {
			t.Fatalf("with space again: %s", o.Reply)
		}
	}
	j.Close()
	_, again, err := Open(disk, "db", Options{Warn: func(w string) { t.Error(w) }})
	if err != nil || dump(again) != dump(db) {
		t.Fatalf("reopened: %v", err)
	}
}

// After a sync that failed, what the medium holds is unknown: each further one fails, until
// the file has been written anew. A directory's sync is tried again.
func TestFailedSync(t *testing.T) {
	disk := newMemFS()
	if err := Create(disk, "db", parse(t, smallSchema)); err != nil {
		t.Fatal(err)
	}
	j, db, err := Open(disk, "db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, `{"op":"insert","table":"t","row":{"n":1}}`)
	disk.failSync = true
	if o := run(t, db, `{"op":"insert","table":"t","row":{"n":2}},{"op":"commit","durable":true}`); o.Commit == nil || !o.Durable {
		t.Fatalf("%s", o.Reply)
	}
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync of a failing disk: %v", err)
	}
	disk.failSync = false
	if err := j.Sync(); err == nil || !j.Dirty() {
		t.Fatal("a later sync succeeds")
	}
	if !j.WantsCompact() {
		t.Fatal("does not want to be written anew")
	}
	if err := j.Compact(db.Snapshot()); err != nil {
		t.Fatal(err)
	}
	disk.failSync = true
	if err := j.Sync(); !errors.Is(err, syscall.EIO) || !j.Dirty() || j.WantsCompact() {
		t.Fatalf("sync of a failing directory: %v", err)
	}
	disk.failSync = false
	if err := j.Sync(); err != nil || j.Dirty() {
		t.Fatalf("after compaction: %v", err)
	}
	_, again, err := Open(disk.reboot(synced), "db", Options{})
	if err != nil || dump(again) != dump(db) {
		t.Fatalf("%v\n%s", err, dump(again))
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/conf.db"
	s := parse(t, smallSchema)
	if err := Create(OS{}, path, s); err != nil {
		t.Fatal(err)
	}
	if err := Create(OS{}, path, s); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	j, _, err := Open(OS{}, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(OS{}, path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	r, _, err := Open(OS{}, path, Options{ReadOnly: true})
	if err != nil {
		t.Errorf("opened for reading: %v", err)
	}
	r.Close()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if j, _, err = Open(OS{}, path, Options{}); err != nil {
		t.Errorf("opened after close: %v", err)
	}
	j.Close()
	if _, _, err := Open(OS{}, dir+"/nosuch", Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened what is not there: %v", err)
	}
}
