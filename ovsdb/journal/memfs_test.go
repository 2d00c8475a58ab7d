// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
)

// errCrash is the error of every operation after the machine has crashed.
var errCrash = errors.New("crashed")

// memFS is a disk. It counts the bytes written and the other changes, and
// crashes when a number of them is reached; it can also be full, or fail to
// sync.
type memFS struct {
	names, synced map[string]*memData // directory as it is, as it is on the medium
	locks         map[string]bool

	work, crash int // changes done; crash at this one if >= 0
	full        int // bytes that still fit; negative: no limit
	failSync    bool
}

// memData is a file's contents as they are and as they are on the medium.
type memData struct{ data, synced []byte }

func newMemFS() *memFS {
	return &memFS{names: map[string]*memData{}, synced: map[string]*memData{}, locks: map[string]bool{}, crash: -1, full: -1}
}

// medium is what a crash leaves.
type medium int

const (
	everything medium = iota // that was written
	synced                   // only what was synced
	renamed                  // the contents that were synced, under the names as they are
)

func (m medium) String() string {
	return [...]string{"everything", "what was synced", "renames and what was synced"}[m]
}

// reboot returns the disk after the crash.
func (m *memFS) reboot(left medium) *memFS {
	n := newMemFS()
	names := m.names
	if left == synced {
		names = m.synced
	}
	for name, d := range names {
		data := d.data
		if left != everything {
			data = d.synced
		}
		n.names[name] = &memData{slices.Clone(data), slices.Clone(data)}
	}
	n.synced = maps.Clone(n.names)
	return n
}

// step does one change unless the machine has crashed.
func (m *memFS) step() error {
	if m.crash >= 0 && m.work >= m.crash {
		return errCrash
	}
	m.work++
	return nil
}

func (m *memFS) Open(path string, flag int, _ os.FileMode) (File, error) {
	d := m.names[path]
	if d == nil && flag&os.O_CREATE == 0 {
		return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
	}
	if d == nil || flag&os.O_TRUNC != 0 && len(d.data) > 0 {
		if err := m.step(); err != nil {
			return nil, err
		}
	}
	if d == nil {
		d = &memData{}
		m.names[path] = d
	}
	if flag&os.O_TRUNC != 0 {
		d.data = nil
	}
	return &memFile{fs: m, d: d}, nil
}

func (m *memFS) Rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *memFS) Remove(path string) error {
	if err := m.step(); err != nil {
		return err
	}
	delete(m.names, path)
	return nil
}

func (m *memFS) SyncDir(string) error {
	if err := m.step(); err != nil {
		return err
	}
	if m.failSync {
		return syscall.EIO
	}
	m.synced = maps.Clone(m.names)
	return nil
}

type memLock struct {
	fs   *memFS
	path string
}

func (l *memLock) Close() error {
	delete(l.fs.locks, l.path)
	return nil
}

func (m *memFS) Lock(path string) (io.Closer, error) {
	if m.locks[path] {
		return nil, ErrLocked
	}
	m.locks[path] = true
	return &memLock{m, path}, nil
}

type memFile struct {
	fs  *memFS
	d   *memData
	off int
}

func (f *memFile) Read(b []byte) (int, error) {
	if f.off >= len(f.d.data) {
		return 0, io.EOF
	}
	n := copy(b, f.d.data[f.off:])
	f.off += n
	return n, nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	if off > int64(len(f.d.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.d.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Write writes byte by byte, so that a crash can come within.
func (f *memFile) Write(b []byte) (int, error) {
	for i, c := range b {
		if f.fs.full == 0 {
			return i, syscall.ENOSPC
		}
		if err := f.fs.step(); err != nil {
			return i, err
		}
		if f.fs.full > 0 {
			f.fs.full--
		}
		f.d.data = append(f.d.data[:f.off], c) // the journal only ever appends
		f.off++
	}
	return len(b), nil
}

func (f *memFile) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		f.off = int(off)
	case io.SeekEnd:
		f.off = len(f.d.data) + int(off)
	default:
		return 0, errors.New("not used")
	}
	return int64(f.off), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.fs.step(); err != nil {
		return err
	}
	f.d.data = f.d.data[:size]
	return nil
}

func (f *memFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	if f.fs.failSync {
		return syscall.EIO
	}
	f.d.synced = slices.Clone(f.d.data)
	return nil
}

func (f *memFile) Close() error { return nil }
