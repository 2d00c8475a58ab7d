// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle       = 100 * time.Millisecond // after an event: a rotation has several
	pollInterval = 10 * time.Second       // for what inotify does not tell
)

// watch reads the files again when they change, until stop. Folders are
// watched, not files: a rotation replaces these. At every poll it looks by
// itself. Here err is why there is no w.
func (k *Keys) watch(w *fsnotify.Watcher, err error, poll time.Duration) {
	defer close(k.done)
	if err != nil { // e.g. no inotify instances left
		k.o.Log.Warn("files of keys are not watched, only looked at", "every", poll, "err", err)
		w = &fsnotify.Watcher{} // its channels are nil: they never say anything
	} else {
		defer w.Close()
	}
	watched := map[string]bool{}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-k.stop:
			return
		case <-k.kick:
			if err == nil {
				follow(w, watched, k.Files().folders())
			}
			// What changed between reading and watching.
			k.refresh()
		case e, ok := <-w.Events:
			if ok && e.Op != fsnotify.Chmod && settled == nil {
				settled = time.After(settle)
			}
		case <-w.Errors: // e.g. the queue was too short: look
			if settled == nil {
				settled = time.After(settle)
			}
		case <-settled:
			settled = nil
			k.refresh()
		case <-tick.C:
			if err == nil {
				follow(w, watched, k.Files().folders()) // a folder that was not there, or is another now
			}
			k.refresh()
		}
	}
}

// follow makes watched, and what w watches, the folders of want as far as
// they are there.
func follow(w *fsnotify.Watcher, watched, want map[string]bool) {
	for d := range watched {
		if !want[d] {
			w.Remove(d) // an error: it is gone by itself
			delete(watched, d)
		}
	}
	live := map[string]bool{}
	for _, d := range w.WatchList() {
		live[d] = true
	}
	for d := range want {
		if !live[d] && w.Add(d) == nil {
			watched[d] = true
		}
	}
}
