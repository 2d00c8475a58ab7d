// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
)

// trigger is a transaction that may have to wait.
type trigger struct {
	ss    *session
	db    *database
	id    json.RawMessage
	key   string // canonical id, once it waits
	req   *engine.Request
	size  int // bytes of the request
	timer *time.Timer
}

func (ss *session) transact(m jsonrpc.Message) error {
	d, p, err := ss.database(m)
	if err != nil {
		return err
	}
	req, err := engine.NewRequest(p, ss.s.o.Now())
	if err != nil {
		return err
	}
	// The id is copied: it would keep the whole message in memory.
	t := &trigger{ss: ss, db: d, id: bytes.Clone(m.ID), req: req, size: len(m.Params)}
	committed, done := t.try()
	if !done {
		key, err := jsonrpc.Canonical(m.ID)
		switch {
		case err != nil:
			t.stop()
			return err
		case ss.triggers[key] != nil:
			t.stop()
			return ovsdb.Errorf("duplicate request ID", "a transaction with this id is waiting")
		case len(ss.triggers) >= maxTriggers || ss.waiting()+t.size > maxWaiting:
			t.stop()
			return ovsdb.Errorf("resources exhausted", "more than %d transactions or %d bytes of them wait in a session", maxTriggers, maxWaiting)
		}
		t.key = key
		ss.triggers[key] = t
		d.triggers = append(d.triggers, t)
		return nil
	}
	if committed {
		ss.s.retry(d)
	}
	return nil
}

// waiting returns the bytes of the session's waiting requests.
func (ss *session) waiting() (n int) {
	for _, t := range ss.triggers {
		n += t.size
	}
	return n
}

// try runs the transaction. It answers it unless it is to wait, and tells
// everybody of the commit.
func (t *trigger) try() (committed, done bool) {
	s := t.ss.s
	out := t.db.Transact(t.req, engine.Env{Now: s.o.Now(), HasLock: t.ss.hasLock})
	if out.Pending {
		t.arm(out.Deadline)
		return false, false
	}
	if out.Commit != nil {
		s.committed(t.db, out.Commit)
	}
	t.ss.flush() // its own updates first, even if it is slow
	send := func(reply []byte) {
		t.ss.send(func(b []byte) []byte { return jsonrpc.AppendReply(b, t.id, reply) })
	}
	if log := t.db.journal; log != nil && out.Durable && (log.Dirty() || t.db.working) {
		t.ss.hold(t.db, out.Reply, send)
	} else {
		send(out.Reply)
	}
	return out.Commit != nil, true
}

// arm sets the timer for the deadline of a wait.
func (t *trigger) arm(deadline time.Time) {
	if t.timer != nil || deadline.IsZero() {
		return
	}
	s := t.ss.s
	t.timer = time.AfterFunc(max(0, deadline.Sub(s.o.Now()))+time.Millisecond, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed || t.ss.triggers[t.key] != t {
			return
		}
		t.timer = nil
		if committed, done := t.try(); done {
			t.drop()
			if committed {
				s.retry(t.db)
			}
		}
	})
}

func (t *trigger) stop() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// drop forgets a waiting transaction.
func (t *trigger) drop() {
	t.stop()
	if t.ss.triggers[t.key] == t {
		delete(t.ss.triggers, t.key)
	}
	t.db.triggers = slices.DeleteFunc(t.db.triggers, func(x *trigger) bool { return x == t })
}

// retry tries the waiting transactions until none of them commits.
func (s *Server) retry(d *database) {
	for again := true; again; {
		again = false
		for _, t := range slices.Clone(d.triggers) {
			if t.ss.triggers[t.key] != t {
				continue
			}
			if committed, done := t.try(); done {
				t.drop()
				again = again || committed
			}
		}
	}
}
