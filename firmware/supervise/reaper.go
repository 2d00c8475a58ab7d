// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Reaper waits for all children of the process. Make it with NewReaper.
type Reaper struct {
	mu      sync.Mutex
	known   map[int]chan<- unix.WaitStatus
	orphans uint64
	sig     chan os.Signal
	done    chan struct{}
}

// NewReaper starts to wait. Close ends it.
func NewReaper() *Reaper {
	r := &Reaper{known: map[int]chan<- unix.WaitStatus{}, sig: make(chan os.Signal, 1), done: make(chan struct{})}
	signal.Notify(r.sig, unix.SIGCHLD)
	go func() {
		defer close(r.done)
		for range r.sig {
			r.reap()
		}
	}()
	return r
}

// Close ends the waiting; children that run become zombies when they end.
func (r *Reaper) Close() {
	signal.Stop(r.sig)
	close(r.sig)
	<-r.done
}

// Start starts cmd and returns a channel that gets its status when it ends. The caller
// must not call cmd.Wait, and cmd's streams must be files: nobody would copy.
func (r *Reaper) Start(cmd *exec.Cmd) (<-chan unix.WaitStatus, error) {
	ended := make(chan unix.WaitStatus, 1)
	r.mu.Lock() // a child that ends at once is not taken for an orphan
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.known[cmd.Process.Pid] = ended
	return ended, nil
}

// Orphans returns how many processes were reaped that Start did not start.
func (r *Reaper) Orphans() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orphans
}

// reap waits for all that have ended. One signal may stand for many.
func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ok := r.known[pid]; ok {
			delete(r.known, pid)
			ended <- ws
		} else {
			r.orphans++
		}
	}
}
