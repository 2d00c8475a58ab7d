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

// sentStats count what Execute did at a port, which the program does not see.
type sentStats struct {
	packets, bytes, dropped atomic.Uint64
	upcalls, upcallDropped  atomic.Uint64
}

// checkActions returns nil if execute can do the actions.
func checkActions(as []dpif.Action) error {
	for _, a := range as {
		switch a := a.(type) {
		case dpif.Output, dpif.PushVLAN, dpif.PopVLAN, dpif.PushMPLS, dpif.PopMPLS, dpif.Userspace, dpif.Meter:
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

// Execute: see dpif.Datapath.
func (d *Datapath) Execute(in dpif.Port, p dpif.Packet, actions []dpif.Action) error {
	xs := [1]dpif.Execution{{In: in, Packet: p, Actions: actions}}
	d.Executes(xs[:])
	return xs[0].Err
}

// executor is the memory of Executes.
type executor struct {
	d     *Datapath
	frame packet.Frame
	key   flow.Key
	batch netdev.RawBatch
	ports []*port // of the frames in batch
}

// Executes edits packets in Go and sends them through packet sockets, whose
// frames our ingress programs do not see, with one system call for each port.
func (d *Datapath) Executes(xs []dpif.Execution) {
	e := d.execs.Get().(*executor)
	e.d = d
	d.mu.RLock()
	for i := range xs {
		if xs[i].Err = e.execute(&xs[i]); xs[i].Err != nil {
			xs[i].Err = fmt.Errorf("execute on port %d: %w", xs[i].In, xs[i].Err)
		}
	}
	e.flush()
	d.mu.RUnlock()
	e.d = nil
	e.frame.Reset(nil, 0, dpif.GSO{})
	d.execs.Put(e)
}

// execute does one. d.mu is held for reading.
func (e *executor) execute(x *dpif.Execution) error {
	d, fr := e.d, &e.frame
	if d.closed {
		return dpif.ErrClosed
	}
	if err := checkActions(x.Actions); err != nil {
		return err
	}
	fr.Reset(x.Packet.Data, 0, x.Packet.GSO)
	if !fr.Parse(&packet.Meta{InPort: uint32(x.In)}, d.lim.maxVLANs, &e.key) {
		return fmt.Errorf("a packet of %d bytes has no Ethernet header", len(x.Packet.Data))
	}
	e.run(fr, x.In, 0, x.Actions)
	return nil
}

// run executes actions on a frame that was parsed.
func (e *executor) run(fr *packet.Frame, in dpif.Port, mark uint32, actions []dpif.Action) {
	// cut does the rest, from actions[i] on, with each segment of a train; one that
	// cannot be cut is dropped.
	cut := func(i int) bool {
		if fr.GSO().Size == 0 {
			return false
		}
		_ = fr.Split(func(s *packet.Frame) { e.run(s, in, mark, actions[i:]) })
		return true
	}
	for i, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			if a.MaxLen == 0 || int(a.MaxLen) >= len(fr.Data()) {
				e.send(a.Port, fr)
				break
			}
			if cut(i) {
				return
			}
			h := fr.Head(int(a.MaxLen))
			e.send(a.Port, &h)
		case dpif.PushMPLS:
			if cut(i) {
				return
			}
			fr.PushMPLS(a.EthType, a.LSE)
		case dpif.PopMPLS:
			fr.PopMPLS(a.EthType)
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
			if a.Meter == 0 || e.d.meters.pass(a.Meter, len(fr.Data())) {
				e.d.inject(in, a.Arg, mark, fr)
			}
		case dpif.Meter:
			if !e.d.meters.pass(a.ID, len(fr.Data())) {
				return
			}
		}
	}
}

// send puts a frame into the batch. What cannot be sent is counted at its port.
func (e *executor) send(no dpif.Port, fr *packet.Frame) {
	p := e.d.ports.byNo[no]
	if p == nil {
		return
	}
	var h netdev.VnetHdr
	if !netdev.VnetFor(fr, &h) {
		p.sent.dropped.Add(1)
		return
	}
	data := fr.Data()
	if !e.batch.Add(p.out, data, &h) {
		e.flush()
		if !e.batch.Add(p.out, data, &h) {
			p.sent.count(len(data), p.out.Send(data, &h))
			return
		}
	}
	e.ports = append(e.ports, p)
}

// flush sends what is in the batch.
func (e *executor) flush() {
	e.batch.Flush(func(i, n int, err error) { e.ports[i].sent.count(n, err) })
	clear(e.ports)
	e.ports = e.ports[:0]
}

// count counts a frame of n bytes that was sent, or was not, with an error.
func (s *sentStats) count(n int, err error) {
	if err != nil {
		s.dropped.Add(1)
		return
	}
	s.packets.Add(1)
	s.bytes.Add(uint64(n))
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
