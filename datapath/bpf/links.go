// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
)

// The program's last output of a packet is a redirect, of whose fate it learns nothing. So
// that outputs to a device that is set down count as dropped, the ports' entries say
// whether theirs is known to be up, and follow the kernel's notices; to another the
// program sends a clone, which is slower but tells. A device that was just set down
// thus counts packets as sent until the notice is read; nothing else depends on it.
// Packets longer than the device's MTU are dropped too, as a bridge does; the kernel
// would hand them to the driver.

// watchLinks starts to follow the devices.
func (d *Datapath) watchLinks() error {
	ch, err := d.subscribe()
	if err != nil {
		return err
	}
	d.watch.Add(1)
	go func() {
		defer d.watch.Done()
		for {
			for u := range ch {
				s := linkState(u.Link)
				s.up = s.up && u.Header.Type == unix.RTM_NEWLINK
				d.linkChanged(u.Link.Attrs().Index, s)
			}
			// The subscription ends when we close, or when notices were lost.
			for ch, err = d.subscribe(); err != nil; ch, err = d.subscribe() {
				select {
				case <-d.done:
					return
				case <-time.After(time.Second):
				}
			}
			d.resyncLinks()
		}
	}()
	return nil
}

// subscribe asks for notices of link changes, until d.done is closed.
func (d *Datapath) subscribe() (<-chan netlink.LinkUpdate, error) {
	if d.isClosed() {
		return nil, dpif.ErrClosed
	}
	ch := make(chan netlink.LinkUpdate, 64)
	err := netlink.LinkSubscribeWithOptions(ch, d.done, netlink.LinkSubscribeOptions{
		Namespace:         &d.ns,
		ReceiveBufferSize: 1 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to link changes: %w", err)
	}
	return ch, nil
}

// linkChanged notes what a device is like.
func (d *Datapath) linkChanged(ifindex int, s state) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.ports.byDev[ifindex]
	if d.closed || p == nil {
		return
	}
	if err := d.ports.write(p, s); err != nil {
		d.log.Error("link change", "device", p.spec.Name, "err", err)
	}
}

// resyncLinks reads the state of every port's device.
func (d *Datapath) resyncLinks() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	for _, p := range d.ports.byNo {
		var s state // a device that is gone is not up
		if l, err := d.nl.LinkByIndex(p.spec.Ifindex); err == nil {
			s = linkState(l)
		}
		if err := d.ports.write(p, s); err != nil {
			d.log.Error("link change", "device", p.spec.Name, "err", err)
		}
	}
}
