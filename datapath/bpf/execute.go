// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"sync/atomic"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// sender sends frames on a device.
type sender interface {
	Send(frame []byte, vnet *netdev.VnetHdr) error
	Close() error
}

// sentStats count what Execute did at a port, which the program does not see.
type sentStats struct {
	packets, bytes, dropped atomic.Uint64
	upcalls, upcallDropped  atomic.Uint64
}

// checkActions returns nil if execute can do the actions.
func checkActions(as []dpif.Action) error {
	for _, a := range as {
		switch a := a.(type) {
		case dpif.Output, dpif.PushVLAN, dpif.PopVLAN, dpif.Userspace, dpif.Meter:
		case dpif.Set:
			if a.Field != flow.FieldPktMark && !packet.Settable(a.Field) {
				return &dpif.Unsupported{Reason: fmt.Sprintf("%v cannot be set in a packet", a.Field)}
			}
		default:
			return &dpif.Unsupported{Reason: fmt.Sprintf("there is no action %T", a)}
		}
	}
	return nil
}

// Execute edits the packet in Go and sends it through packet sockets, whose
// frames our ingress programs do not see.
func (d *Datapath) Execute(in dpif.Port, p dpif.Packet, actions []dpif.Action) error {
	if err := checkActions(actions); err != nil {
		return fmt.Errorf("execute: %w", err)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return fmt.Errorf("execute: %w", dpif.ErrClosed)
	}
	var fr packet.Frame
	var key flow.Key
	fr.Reset(p.Data, 0, p.GSO)
	if !fr.Parse(&packet.Meta{InPort: uint32(in)}, d.lim.maxVLANs, &key) {
		return fmt.Errorf("execute on port %d: a packet of %d bytes has no Ethernet header", in, len(p.Data))
	}
	var mark uint32
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			d.send(a.Port, &fr)
		case dpif.PushVLAN:
			fr.PushVLAN(a.TPID, a.TCI)
		case dpif.PopVLAN:
			fr.PopVLAN()
		case dpif.Set:
			if a.Field == flow.FieldPktMark {
				mark = mark&^uint32(a.Mask.Lo) | uint32(a.Value.Lo&a.Mask.Lo)
			} else {
				fr.Set(a.Field, a.Value, a.Mask)
			}
		case dpif.Userspace:
			if a.Meter == 0 || d.meters.pass(a.Meter, len(fr.Data())) {
				d.inject(in, a.Arg, mark, &fr)
			}
		case dpif.Meter:
			if !d.meters.pass(a.ID, len(fr.Data())) {
				return nil
			}
		}
	}
	return nil
}

// send sends the frame on a port. What cannot be sent is counted there.
func (d *Datapath) send(no dpif.Port, fr *packet.Frame) {
	p := d.ports.byNo[no]
	if p == nil {
		return
	}
	var h netdev.VnetHdr
	n := len(fr.Data())
	if !netdev.VnetFor(fr, &h) || p.out.Send(fr.Data(), &h) != nil {
		p.sent.dropped.Add(1)
		return
	}
	p.sent.packets.Add(1)
	p.sent.bytes.Add(uint64(n))
}

// inject hands the frame to Run as an upcall of port in; maxInjected may wait.
func (d *Datapath) inject(in dpif.Port, arg, mark uint32, fr *packet.Frame) {
	p := d.ports.byNo[in]
	if p == nil {
		return
	}
	it := &item{
		buf: append(make([]byte, upcallRoom), fr.Data()...),
		gso: fr.GSO().Size,
		up:  dpif.Upcall{InPort: in, Reason: dpif.ReasonAction, Arg: arg, Mark: mark},
	}
	select {
	case d.injected <- injected{p.slot, it}:
		p.sent.upcalls.Add(1)
		_ = d.ring.Flush() // wakes Run; fails only when closed
	default:
		p.sent.upcallDropped.Add(1)
	}
}
