// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/ofconn/bundle"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// bundles are the bundles of a connection with the timer that ends idle ones.
type bundles struct {
	mu    sync.Mutex
	table bundle.Table
	timer *time.Timer // nil: none is open
	ended bool
}

// bundled answers what builds a bundle; it reports whether it did. A commit becomes an
// *openflow.Bundle, which the handler answers.
func (c *Conn) bundled(r *Request) bool {
	now := c.sw.opt.Now()
	switch m := r.Msg.(type) {
	case *openflow.BundleControl:
		reply, commit, err := c.control(m, r.Raw, now)
		switch {
		case err != nil:
			c.Reply(r, &openflow.Error{Kind: ofp.KindOf(err)})
		case reply != nil:
			c.Reply(r, reply)
		default:
			r.Msg = &openflow.Bundle{ID: m.ID, Proto: c.Proto(), Added: commit}
			return false
		}
	case *openflow.BundleAdd:
		err := error(nil)
		if c.sw.opt.Check != nil {
			err = c.sw.opt.Check(m.Msg)
		}
		if err == nil {
			err = c.add(m, r.Raw, now)
		}
		if err != nil {
			c.Reply(r, &openflow.Error{Kind: ofp.KindOf(err)})
		}
	default:
		return false
	}
	return true
}

// control and add are those of the table, with the timer set.
func (c *Conn) control(m *openflow.BundleControl, raw []byte, now time.Time) (*openflow.BundleControl, [][]byte, error) {
	c.bundles.mu.Lock()
	defer c.bundles.mu.Unlock()
	defer c.watchBundles()
	return c.bundles.table.Control(m, raw, now)
}

func (c *Conn) add(m *openflow.BundleAdd, raw []byte, now time.Time) error {
	c.bundles.mu.Lock()
	defer c.bundles.mu.Unlock()
	defer c.watchBundles()
	return c.bundles.table.Add(m, raw, now)
}

// watchBundles keeps the timer while there are bundles. b.mu is held.
func (c *Conn) watchBundles() {
	b := &c.bundles
	switch {
	case b.table.Len() > 0 && b.timer == nil && !b.ended:
		b.timer = time.AfterFunc(bundle.Idle, c.expireBundles)
	case b.table.Len() == 0 && b.timer != nil:
		b.timer.Stop()
		b.timer = nil
	}
}

// expireBundles ends the bundles that are idle. The next look is when the earliest of the others
// could be: within another period, so that a bundle lives at most twice as long.
func (c *Conn) expireBundles() {
	defer c.contain()
	b := &c.bundles
	expire := func() [][]byte {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.timer = nil
		defer c.watchBundles()
		return b.table.Expire(c.sw.opt.Now())
	}
	gone := expire()
	for _, raw := range gone {
		c.Reply(&Request{XID: openflow.ParseHeader(raw).XID, Raw: raw}, &openflow.Error{Kind: ofp.BFCTimeout})
	}
}

func (b *bundles) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.table = true, bundle.Table{}
	if b.timer != nil {
		b.timer.Stop()
	}
}
