// SPDX-License-Identifier: Apache-2.0

package pidfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// RunningError: a living process holds the pid file.
type RunningError struct {
	Path string
	PID  int
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("%s: already running as pid %d", e.Path, e.PID)
}

// File is a pid file that this process holds.
type File struct {
	path string
	f    *os.File
	made fs.FileInfo
}

// Path returns the usual place of a daemon's pid file.
func Path(rundir, daemon string) string { return filepath.Join(rundir, daemon+".pid") }

// Create writes and locks the file. The error is a *RunningError if another
// process holds it. It must be called once at most for one path in a process.
func Create(path string) (_ *File, err error) {
	if err := check(path); err != nil {
		return nil, err
	}
	tmp := fmt.Sprintf("%s.tmp%d", path, os.Getpid())
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, fmt.Errorf("create pid file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
		}
	}()
	lk := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lk); err != nil {
		return nil, fmt.Errorf("lock pid file %s: %w", tmp, err)
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	made, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	if err := check(path); err != nil { // who was faster than we
		return nil, err
	}
	if err := os.Rename(tmp, path); err != nil {
		return nil, fmt.Errorf("create pid file: %w", err)
	}
	return &File{path, f, made}, nil
}

// Close removes the file, if it is still this one, and gives the lock up.
func (p *File) Close() error {
	var err error
	if st, serr := os.Lstat(p.path); serr == nil && os.SameFile(st, p.made) {
		err = os.Remove(p.path)
	}
	return errors.Join(err, p.f.Close())
}

// check returns a *RunningError if another process has the file locked.
func check(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("open pid file: %w", err)
	}
	defer f.Close()
	pid, err := owner(f)
	if err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	if pid != 0 {
		return &RunningError{path, pid}
	}
	return nil
}

// owner returns the process that holds the lock, 0 for none.
func owner(f *os.File) (int, error) {
	lk := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lk); err != nil {
		return 0, fmt.Errorf("read lock: %w", err)
	}
	if lk.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(lk.Pid), nil
}

// Read returns the process id in the file and whether that process holds the
// lock on it now; without lock the file is stale.
func Read(path string) (pid int, alive bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, fmt.Errorf("open pid file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, false, fmt.Errorf("read pid file: %w", err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, false, fmt.Errorf("pid file %s: no process id in %.20q", path, b)
	}
	o, err := owner(f)
	if err != nil {
		return 0, false, fmt.Errorf("pid file %s: %w", path, err)
	}
	return pid, o == pid, nil
}
