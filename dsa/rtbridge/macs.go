// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlconn"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// MACs returns the MAC table of a bridge, learned entries too, sorted.
func (k *Kernel) MACs(br string) ([]bridge.MACEntry, error) {
	links, err := k.links()
	if err != nil {
		return nil, err
	}
	all, err := k.table(links)
	if err != nil {
		return nil, err
	}
	es := all[:0]
	for _, e := range all {
		if e.Bridge == br {
			es = append(es, e)
		}
	}
	return es, nil
}

// Flush makes a bridge port, and the chip behind it, forget what was learned
// on it.
func (k *Kernel) Flush(port string) error {
	i, err := k.index(port)
	if err == nil {
		var rs []request
		if rs, err = flushRequest(i); err == nil {
			_, err = k.c.Do(rs[0].typ, rs[0].flags, rs[0].payload)
		}
	}
	if err != nil {
		return fmt.Errorf("flush MACs of %s: %w", port, err)
	}
	return nil
}

// WatchMACs calls handle with every change of the bridges' MAC tables, first
// and after a loss with Resync. It returns nil when ctx ends. It must be called
// on a thread of the network namespace that is meant. k is only asked for
// devices, and not used by others meanwhile: give it one of its own.
func (k *Kernel) WatchMACs(ctx context.Context, handle func(bridge.MACEvent)) error {
	events, err := nlconn.Dial(unix.NETLINK_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		return fmt.Errorf("watch MACs: %w", err)
	}
	defer events.Close()
	links, err := k.links()
	if err != nil {
		return fmt.Errorf("watch MACs: %w", err)
	}
	handle(bridge.MACEvent{Resync: true})
	for {
		msgs, err := events.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			handle(bridge.MACEvent{Resync: true})
			continue
		case err != nil:
			return fmt.Errorf("watch MACs: %w", err)
		}
		for _, m := range msgs {
			if m.Type != unix.RTM_NEWNEIGH && m.Type != unix.RTM_DELNEIGH || len(m.Data) == 0 || m.Data[0] != unix.AF_BRIDGE {
				continue
			}
			n, err := decodeNeigh(m.Data)
			if err != nil {
				handle(bridge.MACEvent{Resync: true})
				continue
			}
			if links[n.index] == nil || n.master != 0 && (links[n.master] == nil || links[n.index].master != n.master) {
				if links, err = k.links(); err != nil && nlerr.Classify(err) != nlerr.Lost {
					return fmt.Errorf("watch MACs: %w", err)
				}
			}
			if e, ok := entryOf(n, links); ok {
				handle(bridge.MACEvent{Gone: m.Type == unix.RTM_DELNEIGH, Entry: e})
			}
		}
	}
}

// WatchPorts calls changed when a member of some bridge, or a bridge, may have got or lost VLANs, flags or its
// state (RTM_NEWLINK of family AF_BRIDGE, net/bridge/br_netlink.c), and after a loss. It returns nil when ctx ends. It must
// be called on a thread of the network namespace that is meant.
func WatchPorts(ctx context.Context, changed func()) error {
	events, err := nlconn.Dial(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch bridge ports: %w", err)
	}
	defer events.Close()
	for {
		msgs, err := events.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			changed()
			continue
		case err != nil:
			return fmt.Errorf("watch bridge ports: %w", err)
		}
		for _, m := range msgs {
			if len(m.Data) > 0 && m.Data[0] == unix.AF_BRIDGE {
				changed()
				break
			}
		}
	}
}
