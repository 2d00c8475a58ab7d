// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the file operations that a journal needs; tests put their own in the
// place of OS to run out of space or to crash.
type FS interface {
	// Open opens or creates a file like os.OpenFile.
	Open(path string, flag int, perm os.FileMode) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes renames and creations in a directory durable.
	SyncDir(dir string) error
	// Lock takes the lock file at path, which it creates. It fails at once
	// with an error that is ErrLocked if another process, or another journal
	// of this one, has it.
	Lock(path string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReadWriteSeeker
	io.ReaderAt // beside a Write elsewhere in the file
	io.Closer
	Truncate(size int64) error
	// Sync makes what was written durable.
	Sync() error
}

// ErrLocked says that the database is in use.
var ErrLocked = errors.New("database is locked by another process")

// OS is the operating system's file system.
type OS struct{}

// Open is os.OpenFile.
func (OS) Open(path string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_CLOEXEC, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename is os.Rename.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir is fsync on the directory.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// ofdSetLock is F_OFD_SETLK of <fcntl.h>: a lock that belongs to the open file.
// It conflicts with the process's F_SETLK locks that the stock programs take,
// but is not lost when some other descriptor of the file is closed.
const ofdSetLock = 37

// Lock takes a write lock on the whole file.
func (OS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.FcntlFlock(f.Fd(), ofdSetLock, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// maxLinks bounds a chain of symbolic links.
const maxLinks = 40

// Follow returns the path that path leads to by symbolic links, path itself if
// there is none at its end. The file need not exist: Debian makes
// /etc/openvswitch/conf.db a link before there is a database. Who does not
// follow links replaces them: a new file takes the place of the name.
func Follow(path string) (string, error) {
	for range maxLinks {
		to, err := os.Readlink(path)
		switch {
		case errors.Is(err, syscall.EINVAL) || errors.Is(err, os.ErrNotExist): // no link
			return path, nil
		case err != nil:
			return "", err
		case !filepath.IsAbs(to):
			to = filepath.Dir(path) + "/" + to // not cleaned: .. of a directory that is a link
		}
		path = to
	}
	return "", fmt.Errorf("follow %s: %w", path, syscall.ELOOP)
}

// lockName returns the name of a database's lock file, as the stock programs
// make it: /etc/openvswitch/.conf.db.~lock~ for /etc/openvswitch/conf.db.
func lockName(path string) string {
	dir, base := filepath.Split(path)
	return filepath.Join(dir, "."+base+".~lock~")
}
