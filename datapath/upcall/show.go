// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"fmt"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/firmware/base/order"
)

type delivery struct {
	bridge string
	eff    ofproto.Effects
}

// Megaflow describes an installed megaflow.
type Megaflow struct {
	ID      dpif.FlowID
	Match   flow.Match // with the datapath's port numbers
	Actions []dpif.Action
	Stats   dpif.FlowStats // as of the last round of statistics, first packets included
	Slow    string         // why its packets are served by Go; "": the datapath does it
	Err     error          // why it drops, if the translation failed
}

// Megaflows calls yield for every megaflow, by ID, until it returns false. No lock is held
// meanwhile.
func (s *Switch) Megaflows(yield func(Megaflow) bool) {
	fs := s.ix.snapshot()
	list := make([]Megaflow, 0, len(fs))
	for _, f := range fs {
		list = append(list, s.show(f))
	}
	order.Sort(list, func(a, b Megaflow) int { return int(int64(a.ID) - int64(b.ID)) })
	for _, m := range list {
		if !yield(m) {
			return
		}
	}
}

func (s *Switch) show(f *megaflow) Megaflow {
	f.mu.Lock()
	defer f.mu.Unlock() // also when it panics: dumps go on
	return Megaflow{
		ID: f.id, Match: flow.Match{Key: f.expand(), Mask: f.mask.m}, Actions: f.out.actions, Slow: f.slow(), Err: f.out.err,
		Stats: dpif.FlowStats{
			Packets: f.packets + f.extraPackets.Load(), Bytes: f.bytes + f.extraBytes.Load(),
			Used: s.at(f.used), TCPFlags: f.flags,
		},
	}
}

func portText(p action.Port) string {
	if p == action.PortLocal {
		return "LOCAL"
	}
	return fmt.Sprint(p)
}

// FDBShow returns the text of ovs-appctl fdb/show.
func (s *Switch) FDBShow(name string, now time.Time) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bridge(name)
	if err != nil {
		return "", err
	}
	return b.x.FDB.Show(portText, now), nil
}

// FDBStats returns the text of ovs-appctl fdb/stats-show.
func (s *Switch) FDBStats(name string) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bridge(name)
	if err != nil {
		return "", err
	}
	return b.x.FDB.StatsText(name), nil
}

// FDBFlush empties a bridge's MAC table, static entries excepted.
func (s *Switch) FDBFlush(name string) error {
	return s.changeFDB(name, func(b *bridge) ([]fdb.Change, error) { return b.x.FDB.Flush(), nil })
}

// FDBAdd makes a static entry (ovs-appctl fdb/add).
func (s *Switch) FDBAdd(name string, no action.Port, vlan uint16, mac uint64) error {
	return s.changeFDB(name, func(b *bridge) ([]fdb.Change, error) {
		if b.x.Port(no) == nil {
			return nil, fmt.Errorf("port %d: %w", no, dpif.ErrNotExist)
		}
		ch, ok := b.x.FDB.AddStatic(vlan, mac, no)
		if !ok {
			return nil, dpif.ErrFull
		}
		return ch, nil
	})
}

// FDBDel removes an entry (ovs-appctl fdb/del).
func (s *Switch) FDBDel(name string, vlan uint16, mac uint64) error {
	return s.changeFDB(name, func(b *bridge) ([]fdb.Change, error) {
		ch, ok := b.x.FDB.Delete(vlan, mac)
		if !ok {
			return nil, dpif.ErrNotExist
		}
		return []fdb.Change{ch}, nil
	})
}

func (s *Switch) changeFDB(name string, do func(*bridge) ([]fdb.Change, error)) error {
	defer s.settle(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bridge(name)
	if err != nil {
		return err
	}
	ch, err := do(b)
	if err != nil {
		return fmt.Errorf("bridge %s: MAC table: %w", name, err)
	}
	s.ix.mu.Lock()
	s.moved(b.x, ch)
	s.ix.mu.Unlock()
	return nil
}

// Rules calls yield for every rule of a bridge, hidden ones too, by table, falling
// priority and age (ovs-appctl bridge/dump-flows). The rules are copies.
func (s *Switch) Rules(name string, yield func(ofproto.Rule, flow.Match, int32) bool) error {
	type row struct {
		r ofproto.Rule
		m flow.Match
		p int32
	}
	var rows []row
	err := func() error {
		s.mu.RLock()
		defer s.mu.RUnlock() // also when it panics
		b, err := s.bridge(name)
		if err != nil {
			return err
		}
		b.x.OF.All(func(r *ofproto.Rule) bool {
			rows = append(rows, row{*r, r.Match(), r.Priority()})
			return true
		})
		return nil
	}()
	if err != nil {
		return err
	}
	order.Stable(rows, func(x, y row) int {
		if x.r.Table != y.r.Table {
			return int(x.r.Table) - int(y.r.Table)
		}
		if x.p != y.p {
			return int(y.p) - int(x.p)
		}
		return x.r.Created.Compare(y.r.Created)
	})
	for _, r := range rows {
		if !yield(r.r, r.m, r.p) {
			break
		}
	}
	return nil
}
