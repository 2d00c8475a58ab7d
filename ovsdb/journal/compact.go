// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io"

	"github.com/weirswitch/weir/ovsdb/engine"
)

// WantsCompact reports whether the log has at least Options.CompactMin bytes and
// more than doubled since it was last compacted, or must be written anew.
func (j *Journal) WantsCompact() bool {
	return j.suspect || j.size >= j.opt.CompactMin && j.size > 2*j.base
}

// Behind reports whether a compaction under way has so much to catch up with that
// the owner should take no more commits until it is done: as much as the log had when it
// was last compacted, but Options.CompactMin at least. That bounds the log at about three
// times what it had then.
func (j *Journal) Behind() bool {
	return j.compaction != nil && j.size-j.compaction.from >= max(j.opt.CompactMin, j.base)
}

// Compact is StartCompact, its function and CompactDone in one.
func (j *Journal) Compact(s *engine.Snapshot) error { return j.CompactDone(j.StartCompact(s)()) }

// compaction is one under way.
type compaction struct {
	from   int64 // size of the log that it replaces, at the start
	upTo   int64 // up to where the tail has been copied; from: it has not
	size   int64 // of the new one's first part
	f      File  // the new one, under its temporary name; nil: none
	beside bool  // a sync of the old log began meanwhile: what it put on the medium must not get lost
}

// StartCompact begins to replace the log by one that holds just the given state,
// which must be that after the last Append. The function it returns writes and syncs
// the new file, and may run in any goroutine while this one goes on appending, and
// syncing the old log. Its result is for CompactDone, at once or, which is due if there was a sync
// meanwhile, behind StartTail. Until then no other compaction may start.
func (j *Journal) StartCompact(s *engine.Snapshot) func() error {
	if j.opt.ReadOnly {
		return func() error { return errors.New("the database is open for reading") }
	}
	c := &compaction{from: j.size, upTo: j.size}
	j.compaction = c
	now := j.opt.Clock()
	return func() (err error) {
		head := frame(j.schema.AppendJSON(nil))
		var body []byte
		if text := encodeAll(make([]byte, maxHeader), s, now, "compacting database online"); text != nil {
			body = seal(text)
		}
		c.size = int64(len(head) + len(body))
		c.f, err = writeTemp(j.fs, tempName(j.path), head, body)
		return err
	}
}

// StartTail begins to add to the new file what has been appended to the old one since
// StartCompact, whose function has returned nil. The function it returns does that and syncs
// the new file; it may run in any goroutine while this one goes on appending. Its
// result is for CompactDone; until then no sync may start.
func (j *Journal) StartTail() func() error {
	c, old, to := j.compaction, j.f, j.size
	return func() error {
		if err := c.copy(old, to); err != nil {
			return err
		}
		if err := c.f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", tempName(j.path), err)
		}
		return nil
	}
}

// copy adds to the new file what the old one has up to to.
func (c *compaction) copy(old File, to int64) error {
	n, err := io.Copy(c.f, io.NewSectionReader(old, c.upTo, to-c.upTo))
	if err == nil && n < to-c.upTo {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("copy %d bytes, %d done: %w", to-c.upTo, n, err)
	}
	c.upTo = to
	return nil
}

// CompactDone puts the new file in the place of the old, with what was appended
// since StartTail (or StartCompact), which the next sync makes durable. On an error, err
// or one of its own, the old log stays in use.
func (j *Journal) CompactDone(err error) error {
	c := j.compaction
	j.compaction = nil
	if c == nil { // it is open for reading
		return fmt.Errorf("compact %s: %w", j.path, err)
	}
	durable := c.upTo
	if err == nil && c.beside && durable == c.from && j.size > c.from {
		err = errors.New("the log was synced meanwhile, and its tail was not")
	}
	if err == nil {
		err = c.copy(j.f, j.size)
	}
	if err == nil {
		err = j.fs.Rename(tempName(j.path), j.path)
	}
	if err != nil {
		if c.f != nil {
			c.f.Close()
			j.fs.Remove(tempName(j.path)) // as far as it goes: the next one truncates it
		}
		return fmt.Errorf("compact %s: %w", j.path, err)
	}
	j.f.Close() // of the old file; nothing in it matters any more
	j.f = c.f
	j.base, j.size = c.size, c.size+j.size-c.from
	j.at = j.size
	j.tail, j.dirty, j.suspect, j.dirDirty = false, c.upTo > durable, false, true
	return nil
}
