// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/l2/fdb"
)

// ChipMAC is an address that a chip has on a port that it bridges.
type ChipMAC struct {
	fdb.Key
	Port action.Port
}

// HoldMACs follows a chip's table: what it has no longer, then what it has learned. Addresses on
// ports that no chip bridges are left out. See fdb.Table.Hold.
func (s *Switch) HoldMACs(bridge string, gone, learned []ChipMAC, now time.Time) error {
	s.mu.Lock()
	b, err := s.bridge(bridge)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var ch []fdb.Change
	for _, m := range gone {
		if c, ok := b.x.FDB.Release(m.VLAN, m.MAC, m.Port); ok {
			ch = append(ch, c)
		}
	}
	for _, m := range learned {
		if p := b.x.Port(m.Port); p == nil || p.Leg == nil {
			continue
		}
		if c, ok := b.x.FDB.Hold(m.VLAN, m.MAC, m.Port, now); ok {
			ch = append(ch, c)
		}
	}
	s.ix.mu.Lock()
	s.moved(b.x, ch)
	s.ix.mu.Unlock()
	s.mu.Unlock()
	s.settle(false)
	return nil
}

// MACs returns a bridge's MAC table, in no order.
func (s *Switch) MACs(bridge string) ([]fdb.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bridge(bridge)
	if err != nil {
		return nil, err
	}
	out := make([]fdb.Entry, 0, b.x.FDB.Len())
	b.x.FDB.All(func(e fdb.Entry) bool { out = append(out, e); return true })
	return out, nil
}

// MACsMoved has an element when addresses of some bridge have come, moved or gone since it was last
// received from.
func (s *Switch) MACsMoved() <-chan struct{} { return s.macsMoved }

// NotNormal says for each port of a bridge why a chip cannot be left to forward what arrives there;
// "": it can. See ofproto.Bridge.NotNormal.
func (s *Switch) NotNormal(bridge string) (map[action.Port]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bridge(bridge)
	if err != nil {
		return nil, err
	}
	out := make(map[action.Port]string, len(b.x.Ports()))
	for _, no := range b.x.Ports() {
		out[no] = b.x.OF.NotNormal(no)
	}
	return out, nil
}

// TablesChanged has an element when rules or settings of ports have changed since it was last received
// from, so that NotNormal may answer otherwise.
func (s *Switch) TablesChanged() <-chan struct{} { return s.tablesChanged }

// tell puts an element into c, unless there is one.
func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
