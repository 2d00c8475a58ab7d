// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"errors"
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Check refuses what no state of a bridge can accept: a message for a bundle is refused
// when it is added, not when the bundle is committed.
func Check(m openflow.Message) error {
	if m, ok := m.(*openflow.FlowMod); ok {
		switch {
		case m.Table == HiddenTable:
			return ofp.BRCEperm
		case m.BufferID != openflow.NoBuffer && m.Command < openflow.FlowDelete:
			return ofp.BRCBufferUnknown
		}
	}
	return nil
}

// Commit applies a bundle, in order and as a whole: at the first message that is refused everything
// is taken back, and the tables are as before. Its packet_outs see the state after it.
//
// Readers (Lookup and the others that only read) see all of it or nothing. lk is the lock that
// keeps them out; it is held for some changes at a time. Searches that only read are made without it,
// so other changes must be kept out by other means from the beginning to the end. published is
// called without lk when readers see the bundle, before what it replaced is cleared away. With
// lk nil the caller has the Bridge for itself.
func (b *Bridge) Commit(c ConnInfo, m *openflow.Bundle, now time.Time, lk sync.Locker, published func(*Effects)) (replies []openflow.Message, eff Effects) {
	if lk != nil {
		lk.Lock()
		defer lk.Unlock()
	}
	u := &staged{b: b, next: b.version.Next(), lk: lk}
	b.staged, b.committing = u, true
	defer func() { b.committing = false }() // before lk is given up
	undoWatched := b.keepWatchers()
	defer func() { b.cause = ConnInfo{} }()
	for i := range m.Added {
		b.cause = c
		b.cause.XID = openflow.ParseHeader(m.Added[i]).XID
		e, err := b.bundled(c, m, i, now)
		if err == nil {
			eff.merge(&e)
			u.pace()
			continue
		}
		u.rollback()
		undoWatched()
		b.staged = nil
		b.orphans = nil // those of changes taken back
		return []openflow.Message{
			&openflow.Error{Kind: kindOf(err), Of: m.Added[i]}, &openflow.Error{Kind: ofp.BFCMsgFailed},
		}, Effects{}
	}
	u.publish(&eff)
	if published != nil {
		u.read(func() { published(&eff) })
	}
	u.sweep()
	return []openflow.Message{&openflow.BundleControl{ID: m.ID, Type: openflow.BundleCommitReply}}, eff
}

// Committing reports whether a bundle is being committed, so that nobody but Commit may change the tables.
func (b *Bridge) Committing() bool { return b.committing }

// bundled applies the message with index i.
func (b *Bridge) bundled(c ConnInfo, bundle *openflow.Bundle, i int, now time.Time) (eff Effects, err error) {
	m, err := bundle.Message(i)
	if err != nil {
		return eff, err
	}
	switch m := m.(type) {
	case *openflow.FlowMod:
		return b.flowMod(c, m, now)
	case *openflow.GroupMod:
		return b.GroupMod(m, now)
	case *openflow.PortMod:
		if err = b.checkPortMod(m); err != nil {
			return eff, ofp.BFCMsgFailed // the stock switch's word for it here
		}
		b.staged.ports = append(b.staged.ports, m)
		return eff, nil
	case *openflow.PacketOut:
		if err = b.checkPacketOut(m); err == nil {
			eff.Out = append(eff.Out, m)
		}
		return eff, err
	}
	return eff, ofp.BFCMsgUnsup
}

// merge adds what came after.
func (e *Effects) merge(o *Effects) {
	e.Changes = append(e.Changes, o.Changes...)
	e.Cleared = append(e.Cleared, o.Cleared...)
	e.Fragments = e.Fragments || o.Fragments
	e.Ports = append(e.Ports, o.Ports...)
	e.Groups = append(e.Groups, o.Groups...)
	for no, down := range o.PortDown {
		if e.PortDown == nil {
			e.PortDown = o.PortDown
			break
		}
		e.PortDown[no] = down
	}
	e.Async = append(e.Async, o.Async...)
	e.Out = append(e.Out, o.Out...)
}

func kindOf(err error) ofp.Kind {
	var k ofp.Kind
	if !errors.As(err, &k) {
		k = ofp.BRCEperm
	}
	return k
}
