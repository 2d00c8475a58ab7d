// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// DefaultCompactMin is the size in bytes below which a log is not compacted.
// Open vSwitch waits for 10 MiB; on a router that is the flash.
const DefaultCompactMin = 256 << 10

// Options of a journal.
type Options struct {
	// Warn gets a line when part of a file is ignored; nil: nobody does.
	Warn func(string)
	// Clock dates the records; nil: time.Now.
	Clock func() time.Time
	// Engine holds the options of the database. Its Log is set by Open.
	Engine engine.Options
	// CompactMin is the size from which WantsCompact may say yes; 0:
	// DefaultCompactMin.
	CompactMin int64
	// ReadOnly takes no lock and changes nothing; Append fails.
	ReadOnly bool
}

// Journal is an open log file. It is the engine.Log of its database.
type Journal struct {
	fs     FS
	path   string
	opt    Options
	schema *schema.Schema
	lock   io.Closer
	f      File

	size int64 // of the good records
	base int64 // size after the last compaction
	// tail: bytes past size are in the file, or may be, and must be cut off
	// before the next record.
	tail bool
	// dirty: written and not synced. suspect: a sync failed, and what the
	// medium holds is unknown; only a new file helps. dirDirty: a rename is not
	// synced.
	dirty, suspect, dirDirty bool

	compaction *compaction // under way; nil: none

	at  int64  // where the next write to f goes; negative: unknown
	buf []byte // of maxHeader bytes, for the next record
}

// maxBuf is the largest buffer for records, in bytes, that is worth keeping.
const maxBuf = 64 << 10

// Create makes a new, empty database file. It fails if the file exists. The file
// appears complete or not at all.
func Create(fsys FS, path string, s *schema.Schema) (err error) {
	lock, err := fsys.Lock(lockName(path))
	if err != nil {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	defer lock.Close()
	if f, err := fsys.Open(path, os.O_RDONLY, 0); err == nil {
		f.Close()
		return fmt.Errorf("create database %s: %w", path, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	f, err := writeTemp(fsys, tempName(path), frame(s.AppendJSON(nil)))
	if err != nil {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	if err := errors.Join(f.Close(), fsys.Rename(tempName(path), path)); err != nil {
		fsys.Remove(tempName(path)) // as far as it goes: the next one truncates it
		return fmt.Errorf("create database %s: %w", path, err)
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("create database %s: sync its directory: %w", path, err)
	}
	return nil
}

func tempName(path string) string { return path + ".tmp" }

// writeTemp makes a file of the given contents, synced, and returns it open at
// its end. On an error there is none.
func writeTemp(fsys FS, path string, contents ...[]byte) (_ File, err error) {
	f, err := fsys.Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			fsys.Remove(path) // as far as it goes: the next one truncates it
		}
	}()
	for _, b := range contents {
		if _, err := f.Write(b); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("sync %s: %w", path, err)
	}
	return f, nil
}

// Open opens a database file, locks it, and reads the database. What cannot be
// read at its end is ignored with a warning. A missing file is an error that is
// fs.ErrNotExist.
func Open(fsys FS, path string, o Options) (_ *Journal, _ *engine.DB, err error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.CompactMin == 0 {
		o.CompactMin = DefaultCompactMin
	}
	j := &Journal{fs: fsys, path: path, opt: o, at: -1}
	defer func() {
		if err != nil {
			j.Close()
			err = fmt.Errorf("open database %s: %w", path, err)
		}
	}()
	flag := os.O_RDWR
	if o.ReadOnly {
		flag = os.O_RDONLY
	} else if j.lock, err = fsys.Lock(lockName(path)); err != nil {
		return nil, nil, err
	}
	if j.f, err = fsys.Open(path, flag, 0); err != nil {
		return nil, nil, err
	}
	db, err := j.load()
	if err != nil {
		return nil, nil, err
	}
	if !o.ReadOnly {
		db.SetLog(j)
	}
	return j, db, nil
}

// load reads the file.
func (j *Journal) load() (*engine.DB, error) {
	end, err := j.f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := j.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r := &reader{r: bufio.NewReaderSize(j.f, 64<<10), end: end}
	text, err := r.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, fmt.Errorf("read schema: %w", err)
	}
	if j.schema, err = schema.Parse(text); err != nil {
		return nil, err
	}
	l := engine.NewLoader(j.schema, j.opt.Engine)
	j.size, j.base = r.off, r.off
	for n := 1; ; n++ {
		text, err := r.next()
		if errors.Is(err, io.EOF) && r.off == r.end {
			break
		}
		var changes []change
		if err == nil {
			changes, err = decode(text, j.schema, l)
		}
		if err != nil {
			j.tail = true
			j.opt.Warn(fmt.Sprintf("%s: record %d at offset %d: %v; ignoring this and the %d bytes after its start",
				j.path, n, j.size, err, end-j.size))
			break
		}
		for _, c := range changes {
			if c.cols == nil {
				l.Delete(c.table, c.id)
			} else if err := l.Put(c.table, c.id, c.cols); err != nil {
				return nil, err
			}
		}
		j.size = r.off
		if n == 1 {
			j.base = r.off // what a compaction writes is schema and one record
		}
	}
	db, notes, err := l.Finish()
	for _, note := range notes {
		j.opt.Warn(j.path + ": " + note)
	}
	return db, err
}

// Schema returns the database's schema.
func (j *Journal) Schema() *schema.Schema { return j.schema }

// Path returns the file's name.
func (j *Journal) Path() string { return j.path }

// Size returns the size of the log in bytes.
func (j *Journal) Size() int64 { return j.size }

// Append writes a commit. It is on the medium after the next sync: who answers a
// durable transaction waits for one. On an error nothing of it is in the file.
func (j *Journal) Append(c *engine.Commit) error {
	if j.opt.ReadOnly {
		return fmt.Errorf("append to %s: the database is open for reading", j.path)
	}
	if j.buf == nil {
		j.buf = make([]byte, maxHeader, 1<<10)
	}
	text := encode(j.buf, c, j.opt.Clock())
	if text == nil {
		return nil
	}
	if cap(text) <= maxBuf {
		j.buf = text[:maxHeader]
	}
	if err := j.write(seal(text)); err != nil {
		return fmt.Errorf("append to %s: %w", j.path, err)
	}
	return nil
}

// write writes a record at the end of the good ones.
func (j *Journal) write(rec []byte) error {
	if err := j.cut(); err != nil {
		return err
	}
	if j.at != j.size {
		if _, err := j.f.Seek(j.size, io.SeekStart); err != nil {
			return err
		}
	}
	n, err := j.f.Write(rec)
	j.at = j.size + int64(n)
	if err == nil && n < len(rec) {
		err = io.ErrShortWrite
	}
	if err != nil {
		j.tail = true
		j.cut() // now if possible, else before the next record
		return err
	}
	j.size += int64(n)
	j.dirty = true
	return nil
}

// cut removes what is in the file past the good records.
func (j *Journal) cut() error {
	if !j.tail {
		return nil
	}
	if err := j.f.Truncate(j.size); err != nil {
		return fmt.Errorf("truncate to %d bytes: %w", j.size, err)
	}
	j.tail = false
	return nil
}

// Dirty reports whether there is something for a sync to do.
func (j *Journal) Dirty() bool { return j.dirty || j.dirDirty || j.suspect }

// Sync is StartSync, its function and SyncDone in one.
func (j *Journal) Sync() error { return j.SyncDone(j.StartSync()()) }

// StartSync begins to make durable all that was appended so far. The function it
// returns does it, and may run in any goroutine while this one goes on appending;
// its result is for SyncDone. Until then no other sync may start, nor the tail of a
// compaction.
func (j *Journal) StartSync() func() error {
	if j.compaction != nil {
		j.compaction.beside = true
	}
	if j.suspect {
		return func() error { return errSuspect }
	}
	f, file, dir := j.f, j.dirty, j.dirDirty
	j.dirty, j.dirDirty = false, false
	return func() error {
		if file {
			if err := f.Sync(); err != nil {
				return &fileSyncError{err}
			}
		}
		if dir {
			if err := j.fs.SyncDir(filepath.Dir(j.path)); err != nil {
				return &dirSyncError{err}
			}
		}
		return nil
	}
}

// SyncDone takes note of what became of a sync. After an error of the file the
// medium's state is unknown and every further sync fails until a compaction has
// written a new file: kernels report a failed write-back only once. A sync of
// the directory is simply due again.
func (j *Journal) SyncDone(err error) error {
	var dir *dirSyncError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &dir):
		j.dirDirty = true
	default:
		j.suspect = true
	}
	return fmt.Errorf("sync %s: %w", j.path, err)
}

// errSuspect is the result of a sync after one that failed.
var errSuspect = errors.New("an earlier sync failed; the file must be written anew")

type fileSyncError struct{ error }

func (e *fileSyncError) Unwrap() error { return e.error }

type dirSyncError struct{ error }

func (e *dirSyncError) Error() string { return "its directory: " + e.error.Error() }
func (e *dirSyncError) Unwrap() error { return e.error }

// Close syncs, closes the file and gives up the lock. It may be called twice.
func (j *Journal) Close() error {
	var errs []error
	if j.f != nil {
		if j.Dirty() {
			errs = append(errs, j.Sync())
		}
		errs = append(errs, j.f.Close())
		j.f = nil
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
		j.lock = nil
	}
	return errors.Join(errs...)
}
