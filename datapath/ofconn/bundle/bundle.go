// SPDX-License-Identifier: Apache-2.0

// Package bundle keeps the bundles of one OpenFlow connection until they are committed
// (OpenFlow 1.4, 6.9): who opens, adds, closes, commits or discards what, and what is
// refused. It is a machine without sockets or a clock; to apply a bundle is the
// caller's.
//
// # Semantics
//
// Those of the stock switch (ovs-vswitchd 3.1, observed): a message for a bundle that is not
// there opens it; a bundle may be committed without having been closed; all flags but
// those of a discard must be the ones that it was opened with; every refusal
// of a control message, and of an addition for the bundle's state, discards the
// bundle; replies have no flags. To open a bundle that is there is OFPBFC_BAD_ID.
// One difference: a control type that does not exist is OFPBFC_BAD_TYPE
// (the stock switch answers with a message of type 0).
//
// # Bounds
//
// A Table holds at most MaxBundles bundles (OFPBFC_OUT_OF_BUNDLES) with MaxBytes bytes of messages
// together (OFPBFC_MSG_TOO_MANY: the message is not added). A bundle that nobody touched for
// Idle goes, with OFPBFC_TIMEOUT for the message that opened it.
package bundle

import (
	"bytes"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

const (
	MaxBundles = 64
	MaxBytes   = 64 << 20
	Idle       = 10 * time.Second
)

// open is a bundle.
type open struct {
	flags  openflow.BundleFlags
	opener []byte // the message that opened it
	used   time.Time
	closed bool
	added  [][]byte
	bytes  int
}

// Table holds the bundles of a connection. The zero Table is empty and ready. It is not safe
// for concurrent use.
type Table struct {
	open  map[uint32]*open
	bytes int
}

// Len returns the number of bundles.
func (t *Table) Len() int { return len(t.open) }

// Bytes returns the bytes that the messages of all bundles have.
func (t *Table) Bytes() int { return t.bytes }

func (t *Table) drop(id uint32) {
	if b := t.open[id]; b != nil {
		t.bytes -= b.bytes
		delete(t.open, id)
	}
}

// begin opens a bundle; raw is the message that asks for it.
func (t *Table) begin(id uint32, flags openflow.BundleFlags, raw []byte, now time.Time) (*open, error) {
	if len(t.open) >= MaxBundles {
		return nil, ofp.BFCOutOfBundles
	}
	if t.open == nil {
		t.open = make(map[uint32]*open)
	}
	b := &open{flags: flags, opener: bytes.Clone(raw), used: now}
	t.open[id] = b
	return b, nil
}

// Control does what m, whose bytes are raw, asks for. For a commit it returns the messages of the
// bundle, as they came, and no reply; the caller commits them and replies. A refusal
// is an ofp.Kind.
func (t *Table) Control(m *openflow.BundleControl, raw []byte, now time.Time) (reply *openflow.BundleControl, commit [][]byte, err error) {
	b := t.open[m.ID]
	yes := func(typ openflow.BundleControlType) *openflow.BundleControl {
		return &openflow.BundleControl{ID: m.ID, Type: typ}
	}
	switch m.Type {
	case openflow.BundleOpenRequest:
		if b != nil {
			t.drop(m.ID)
			return nil, nil, ofp.BFCBadId
		}
		if _, err := t.begin(m.ID, m.Flags, raw, now); err != nil {
			return nil, nil, err
		}
		return yes(openflow.BundleOpenReply), nil, nil
	case openflow.BundleCloseRequest, openflow.BundleCommitRequest, openflow.BundleDiscardRequest:
	default:
		return nil, nil, ofp.BFCBadType
	}
	if b == nil {
		return nil, nil, ofp.BFCBadId
	}
	switch m.Type {
	case openflow.BundleCloseRequest:
		switch {
		case b.closed:
			err = ofp.BFCBundleClosed
		case b.flags != m.Flags:
			err = ofp.BFCBadFlags
		default:
			b.closed, b.used = true, now
			return yes(openflow.BundleCloseReply), nil, nil
		}
	case openflow.BundleCommitRequest:
		if b.flags != m.Flags {
			err = ofp.BFCBadFlags
			break
		}
		commit = b.added
		if commit == nil {
			commit = [][]byte{}
		}
	default:
		reply = yes(openflow.BundleDiscardReply)
	}
	t.drop(m.ID)
	return reply, commit, err
}

// Add adds a message to a bundle; raw, which is copied, are its bytes.
func (t *Table) Add(m *openflow.BundleAdd, raw []byte, now time.Time) (err error) {
	b := t.open[m.ID]
	switch {
	case t.bytes+len(raw) > MaxBytes:
		return ofp.BFCMsgTooMany
	case b == nil:
		if b, err = t.begin(m.ID, m.Flags, raw, now); err != nil {
			return err
		}
	case b.closed:
		err = ofp.BFCBundleClosed
	case b.flags != m.Flags:
		err = ofp.BFCBadFlags
	}
	if err != nil {
		t.drop(m.ID)
		return err
	}
	b.used = now
	b.added = append(b.added, bytes.Clone(raw))
	b.bytes += len(raw)
	t.bytes += len(raw)
	return nil
}

// Expire drops the bundles that are idle and returns the messages that opened them, in
// the order of their numbers.
func (t *Table) Expire(now time.Time) (openers [][]byte) {
	var ids []uint32
	for id, b := range t.open {
		if now.Sub(b.used) >= Idle {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		openers = append(openers, t.open[id].opener)
		t.drop(id)
	}
	return openers
}
