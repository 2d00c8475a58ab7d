// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/internal/stock"
	"github.com/weirswitch/weir/datapath/ofconn/bundle"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// bundler commits bundles by saying how many messages they have, and refuses the last of
// three.
type bundler struct{ conn atomic.Pointer[Conn] }

func (h *bundler) Connected(c *Conn)         { h.conn.Store(c) }
func (h *bundler) Disconnected(*Conn, error) {}
func (h *bundler) Handle(c *Conn, r *Request) {
	switch m := r.Msg.(type) {
	case *openflow.BarrierRequest:
		c.Reply(r, &openflow.BarrierReply{})
	case *openflow.Bundle:
		if len(m.Added) == 3 {
			c.Reply(r, &openflow.Error{Kind: ofp.BACBadOutGroup, Of: m.Added[2]}, &openflow.Error{Kind: ofp.BFCMsgFailed})
			return
		}
		c.Reply(r, &openflow.BundleControl{ID: uint32(len(m.Added)), Type: openflow.BundleCommitReply})
	}
}

// TestBundles: what builds a bundle does not reach the handler; errors name the message that they are about; an
// idle bundle goes.
func TestBundles(t *testing.T) {
	h := &bundler{}
	var clock atomic.Int64
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sw := New(h, Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return t0.Add(time.Duration(clock.Load())) }})
	defer sw.Close()
	path := filepath.Join(t.TempDir(), "s")
	if _, err := sw.Listen(Service, "punix:"+path); err != nil {
		t.Fatal(err)
	}
	c := stock.Dial(t, path, ofp.V14)
	mod := &openflow.FlowMod{BufferID: openflow.NoBuffer}
	add := func(id uint32) uint32 { return c.Send(&openflow.BundleAdd{ID: id, Flags: 3, Msg: mod}) }
	commit := func(id uint32) uint32 {
		return c.Send(&openflow.BundleControl{ID: id, Type: openflow.BundleCommitRequest, Flags: 3})
	}
	add(1)
	add(1)
	last := add(1)
	add(2)
	failed, good := commit(1), commit(2)
	got := c.Barrier()
	if len(got) != 3 {
		t.Fatalf("%d replies, want 3", len(got))
	}
	e0, ok0 := got[0].Msg.(*openflow.Error)
	e1, ok1 := got[1].Msg.(*openflow.Error)
	if !ok0 || !ok1 || got[0].XID != last || e0.Kind != ofp.BACBadOutGroup || openflow.ParseHeader(e0.Data).XID != last ||
		got[1].XID != failed || e1.Kind != ofp.BFCMsgFailed {
		t.Errorf("a bundle that fails: %+v, %+v", got[0], got[1])
	}
	if r, ok := got[2].Msg.(*openflow.BundleControl); !ok || got[2].XID != good || r.ID != 1 {
		t.Errorf("a bundle that does not: %+v", got[2])
	}

	// Idle: the timer's work, without the wait.
	opener := add(5)
	c.Barrier()
	conn := h.conn.Load()
	clock.Add(int64(bundle.Idle) - 1)
	conn.expireBundles()
	if got := c.Barrier(); len(got) != 0 {
		t.Fatalf("%+v before its time", got[0])
	}
	clock.Add(1)
	conn.expireBundles()
	got = c.Barrier()
	if len(got) != 1 || got[0].XID != opener || got[0].Msg.(*openflow.Error).Kind != ofp.BFCTimeout {
		t.Errorf("an idle bundle: %+v", got)
	}
	conn.bundles.mu.Lock()
	if conn.bundles.timer != nil || conn.bundles.table.Len() != 0 {
		t.Error("the timer runs on")
	}
	conn.bundles.mu.Unlock()
}
