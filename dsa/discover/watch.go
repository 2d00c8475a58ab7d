// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlconn"
)

// Quiet and Latest bound how long a change waits to be told: until nothing
// else has happened for Quiet, at most Latest. A chip that comes or goes makes
// hundreds of events at once.
const (
	Quiet  = 30 * time.Millisecond
	Latest = 300 * time.Millisecond
)

// Watch calls handle with every topology that differs from the one before,
// and how; first with the present one, whose changes are all PortAdded. It
// reads by r and returns nil when ctx ends. It must be called on a thread of
// r's network namespace.
func Watch(ctx context.Context, r *Reader, handle func(dsa.Topology, []dsa.Change)) error {
	events, err := nlconn.Dial(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch topology: %w", err)
	}
	defer events.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dirty := make(chan struct{}, 1) // one mark stands for any number of events
	failed := make(chan error, 1)
	go func() {
		for {
			_, err := events.Receive(ctx)
			if err != nil && !errors.Is(err, unix.ENOBUFS) { // lost events are events
				failed <- err
				return
			}
			select {
			case dirty <- struct{}{}:
			default:
			}
		}
	}()
	var last dsa.Topology
	look := func() error {
		t, err := r.Topology()
		if err != nil && len(t.Ports) == 0 {
			return fmt.Errorf("watch topology: %w", err)
		}
		if changes := dsa.Diff(last, t); len(changes) > 0 {
			last = t
			handle(t, changes)
		}
		return nil
	}
	// The socket is joined, so nothing is missed between this look and the first event.
	if err := look(); err != nil {
		return err
	}
	for {
		select {
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch topology: %w", err)
		case <-dirty:
		}
		settle(ctx, dirty)
		if err := look(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// settle waits until nothing has happened for Quiet, at most Latest.
func settle(ctx context.Context, dirty <-chan struct{}) {
	latest := time.NewTimer(Latest)
	defer latest.Stop()
	for {
		quiet := time.NewTimer(Quiet)
		select {
		case <-dirty:
			quiet.Stop()
		case <-quiet.C:
			return
		case <-latest.C:
			quiet.Stop()
			return
		case <-ctx.Done():
			quiet.Stop()
			return
		}
	}
}
