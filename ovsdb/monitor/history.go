// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
)

// Defaults of [History].
const (
	HistoryCommits = 100
	HistoryBytes   = 1 << 20
)

// History keeps the last commits of one database. The zero value keeps up to
// [HistoryCommits] with rows of about [HistoryBytes].
type History struct {
	MaxCommits, MaxBytes int // zero: the defaults

	past  []past
	bytes int
}

type past struct {
	before  ovsdb.UUID // id of the state that it changed
	changes []engine.Change
	bytes   int
}

// Add appends a commit and drops old ones beyond the bounds.
func (h *History) Add(c *engine.Commit) {
	maxCommits, maxBytes := h.MaxCommits, h.MaxBytes
	if maxCommits <= 0 {
		maxCommits = HistoryCommits
	}
	if maxBytes <= 0 {
		maxBytes = HistoryBytes
	}
	p := past{c.Before.ID(), c.Changes, 0}
	for i := range c.Changes {
		p.bytes += cost(&c.Changes[i])
	}
	h.past = append(h.past, p)
	h.bytes += p.bytes
	for len(h.past) > maxCommits || h.bytes > maxBytes && len(h.past) > 0 {
		h.bytes -= h.past[0].bytes
		h.past[0] = past{} // let the rows go
		h.past = h.past[1:]
	}
}

// cost guesses the bytes that a change keeps alive: what old and new do not
// share.
func cost(c *engine.Change) int {
	n := 128
	for _, r := range []*ovsdb.Row{c.Old, c.New} {
		if r == nil {
			continue
		}
		n += 64 + 8*r.NumCols()
		for i, d := range r.Cols() {
			if c.Old != nil && c.New != nil && c.Old.Get(i).Same(c.New.Get(i)) {
				continue
			}
			n += 48 + 32*d.Len()
			n += textLen(d.Keys()) + textLen(d.Values())
		}
	}
	return n
}

func textLen(atoms []ovsdb.Atom) (n int) {
	for _, a := range atoms {
		if a.Type() == ovsdb.String {
			n += len(a.Str())
		}
	}
	return n
}

// Since answers a monitor_cond_since request: the <table-updates> from the
// state named last to snap, or found false if that state is forgotten (then
// the client needs Initial).
func (m *Monitor) Since(h *History, last ovsdb.UUID, snap *engine.Snapshot) (updates []byte, found bool) {
	if last == snap.ID() {
		return []byte("{}"), true
	}
	for i := range h.past {
		if h.past[i].before != last {
			continue
		}
		for _, p := range h.past[i:] {
			for j := range p.changes {
				m.record(&p.changes[j])
			}
		}
		if updates = m.Flush(snap); updates == nil {
			updates = []byte("{}")
		}
		return updates, true
	}
	return nil, false
}
