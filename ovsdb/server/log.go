// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
)

// SyncDelay is how long a commit that is not durable may wait for the sync that puts
// it on the medium to begin.
const SyncDelay = 500 * time.Millisecond

// compactRetry is the wait after a compaction that failed.
const compactRetry = time.Minute

// Journal is what the server needs of a database's log besides engine.Log:
// package journal's Journal is one. The methods are called under the server's
// mutex, the functions that three of them return without it; what such a
// function returned is given to the ...Done method, which wraps it. Syncs run one at a time,
// also beside StartCompact's function, but none beside StartTail's and until CompactDone.
type Journal interface {
	Dirty() bool             // there are commits that are not on the medium
	StartSync() func() error // put there what has been appended so far
	SyncDone(error) error    //
	WantsCompact() bool      // the file is worth rewriting, or must be
	CompactDone(error) error // puts the new file in place
	StartCompact(*engine.Snapshot) func() error
	StartTail() func() error // put into the new file, and there on the medium, what has been appended since
	Behind() bool            // the file that is being rewritten must not grow any more
}

// busy says that no sync may start now; somebody will call keep.
func (d *database) busy() bool { return d.working || d.held }

// aside runs what is slow. The mutex is held, and given up meanwhile.
func (s *Server) aside(run func() error) error {
	settler := s.settler
	s.settler = nil
	s.mu.Unlock()
	defer func() { // also when it panics
		s.mu.Lock()
		s.settler = settler
	}()
	return run()
}

// work is aside for a part of a log's work beside which no sync may start, and which
// must not start beside one.
func (s *Server) work(d *database, run func() error) error {
	d.working = true
	defer func() {
		d.working = false
		s.idle.Broadcast()
	}()
	return s.aside(run)
}

// sync puts a log on the medium and answers those who wait for that: all
// transactions that came while the last sync was under way share this one. The mutex is held,
// and given up meanwhile; the log is not busy.
func (s *Server) sync(d *database) error {
	waiting := d.waiting
	d.waiting = nil
	err := d.journal.SyncDone(s.work(d, d.journal.StartSync()))
	if err != nil && d.compacting {
		// What is being written would take from the old file what cannot be trusted: compact does
		// it once more, and sees to those who wait.
		s.limitSync.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "database log is not synced while it is compacted", "database", d.name, "err", err)
		d.held = true
		d.waiting = append(waiting, d.waiting...)
		return err
	}
	if err != nil && d.journal.WantsCompact() && !s.o.Now().Before(d.noCompact) {
		// What the medium has is unknown, and reading it back would not tell: a new file,
		// before anything more is appended to this one.
		s.limitSync.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "database log is written anew", "database", d.name, "err", err)
		if err = d.journal.CompactDone(d.journal.StartCompact(d.Snapshot())()); err == nil {
			err = d.journal.SyncDone(s.work(d, d.journal.StartSync()))
		} else {
			d.noCompact = s.o.Now().Add(compactRetry)
		}
	}
	if err != nil {
		s.limitSync.Log(s.o.Log, s.o.Now(), slog.LevelError, "database log is not synced", "database", d.name, "err", err)
	}
	for _, answer := range waiting {
		answer(err)
	}
	s.keep(d)
	return err
}

// keep sees to what a log needs next: a sync at once, if transactions wait for it
// and no session's goroutine is about to do it; a compaction; a sync within
// SyncDelay.
func (s *Server) keep(d *database) {
	if d.journal == nil || s.closed || d.busy() {
		return // it is called again when the work is done
	}
	switch {
	case !d.compacting && d.journal.WantsCompact() && !s.o.Now().Before(d.noCompact) && !d.chosen:
		d.chosen = true
		s.wg.Go(func() { s.turn(d, s.compactUnless) })
	case len(d.waiting) > 0 && s.settler == nil && !d.chosen:
		d.chosen = true
		s.wg.Go(func() { s.turn(d, s.sync) })
	}
	if d.journal.Dirty() && d.syncTimer == nil {
		d.syncTimer = time.AfterFunc(SyncDelay, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			d.syncTimer = nil
			if s.closed || d.busy() {
				return // keep arms it again
			}
			s.sync(d) // it says what is wrong
		})
	}
}

// turn does a log's work in a goroutine of its own, unless somebody is at it.
func (s *Server) turn(d *database, f func(*database) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.chosen = false
	if !s.closed && !d.busy() {
		f(d) // it says what is wrong
	}
}

// compactUnless is compact unless there is one under way.
func (s *Server) compactUnless(d *database) error {
	if d.compacting {
		return nil
	}
	return s.compact(d)
}

// compact rewrites a log. The mutex is held, and given up meanwhile; neither is the log busy nor
// a compaction under way. While the new file is written syncs of the old one go on, so that a durable
// transaction waits only for what comes last: the writing of the new file's tail.
func (s *Server) compact(d *database) error {
	d.compacting = true
	run := d.journal.StartCompact(d.Snapshot())
	s.keep(d) // those who wait already
	err := s.aside(run)
	untrusted := d.held // a sync failed
	d.held = true
	for d.working {
		s.idle.Wait()
	}
	switch {
	case untrusted:
		err = errors.Join(errors.New("a sync of the old file failed meanwhile"), err)
	case err == nil:
		err = s.work(d, d.journal.StartTail())
	}
	err = d.journal.CompactDone(err)
	d.compacting, d.held = false, false
	s.idle.Broadcast()
	if untrusted {
		return s.sync(d) // writes it anew at once
	}
	if err != nil {
		d.noCompact = s.o.Now().Add(compactRetry)
		s.o.Log.Error("compaction failed", "database", d.name, "err", err)
		err = fmt.Errorf("compact %s: %w", d.name, err)
	} else {
		s.o.Log.Debug("compacted", "database", d.name)
	}
	s.keep(d)
	return err
}

// settled waits until nothing is under way with a log.
func (s *Server) settled(d *database) {
	for d.busy() || d.compacting {
		s.idle.Wait()
	}
}

// behind says whether a log must not grow until its compaction is done.
func (s *Server) behind() bool {
	for _, d := range s.dbs {
		if d.compacting && d.journal.Behind() {
			return true
		}
	}
	return false
}

// Compact rewrites the log of a database, or of all with name "", and syncs it.
func (s *Server) Compact(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" && s.dbs[name] == nil {
		return errors.New("no database by that name")
	}
	var errs []error
	for n, d := range s.dbs {
		if name != "" && n != name || d.journal == nil {
			continue
		}
		s.settled(d)
		err := s.compact(d)
		if err == nil {
			s.settled(d)
			err = s.sync(d)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hold keeps a reply back until the log has been synced. Its bytes count like
// those of the send buffer.
func (ss *session) hold(d *database, reply []byte, send func(reply []byte)) {
	if ss.held > 0 && ss.held+len(reply) > ss.s.o.MaxBacklog {
		ss.kill("has too many replies waiting for the disk", "bytes", ss.held)
		return
	}
	ss.held += len(reply)
	d.waiting = append(d.waiting, func(err error) {
		ss.held -= len(reply)
		ss.room.Broadcast()
		if err != nil {
			reply = withError(reply, err)
		}
		send(reply)
	})
	ss.s.keep(d)
}

// withError adds an error to the results of a transaction: it is in effect, but
// may not survive.
func withError(reply []byte, err error) []byte {
	b := reply[:len(reply)-1] // the bracket
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = ovsdb.Errorf(ovsdb.ErrIO, "committed, but not on the medium: %v", err).AppendJSON(b)
	return append(b, ']')
}
