// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// port is a port of the datapath. Its fields but the counters do not change.
type port struct {
	no     dpif.Port
	spec   dpif.PortSpec
	sock   *netdev.RawSocket
	guard  *netdev.Guard // nil without isolation
	queue  queue
	closed chan struct{} // its goroutine has ended

	rxPackets, rxBytes, rxMalformed    atomic.Uint64
	txPackets, txBytes, txDropped      atomic.Uint64
	upcalls, upcallDropped, kernelLoss atomic.Uint64
}

func (p *port) stats() dpif.PortStats {
	p.kernelLoss.Add(uint64(p.sock.Drops()))
	return dpif.PortStats{
		RxPackets: p.rxPackets.Load(), RxBytes: p.rxBytes.Load(), RxMalformed: p.rxMalformed.Load(),
		TxPackets: p.txPackets.Load(), TxBytes: p.txBytes.Load(), TxDropped: p.txDropped.Load(),
		UpcallPackets: p.upcalls.Load(), UpcallDropped: p.upcallDropped.Load() + p.kernelLoss.Load(),
	}
}

// send sends f, as it is now, on p.
func (p *port) send(f *packet.Frame) {
	var h netdev.VnetHdr
	n := len(f.Data())
	if !netdev.VnetFor(f, &h) || p.sock.Send(f.Data(), &h) != nil {
		p.txDropped.Add(1)
		return
	}
	p.txPackets.Add(1)
	p.txBytes.Add(uint64(n))
}

// runner runs actions on one packet at a time. It is the sink of all but their outputs.
type runner struct {
	dp    *Datapath
	in    *port // counts and queues upcalls
	frame packet.Frame
	key   flow.Key
	meta  packet.Meta
	flow  dpif.FlowID // whose actions run, 0 in Execute
}

// worker handles the packets that a port receives.
type worker struct {
	runner
	cache cache
}

// receive reads p's socket until it is closed.
func (w *worker) receive() {
	p := w.in
	defer close(p.closed)
	for {
		n, err := p.sock.ReadBatch()
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				w.dp.cfg.Log.Error("port stopped receiving", "port", p.no, "device", p.spec.Name, "err", err)
			}
			return
		}
		if n == 0 {
			p.rxPackets.Add(1)
			p.rxMalformed.Add(1)
		}
		now := time.Now().UnixNano()
		for i := range n {
			w.meta = packet.Meta{InPort: uint32(p.no)}
			ok, err := p.sock.Frame(i, &w.frame, &w.meta, w.dp.cfg.MaxVLANs, &w.key)
			p.rxPackets.Add(1)
			p.rxBytes.Add(uint64(len(w.frame.Data())))
			if !ok || err != nil {
				p.rxMalformed.Add(1)
				continue
			}
			w.packet(now)
		}
	}
}

// packet does with the parsed frame what the table says.
func (w *worker) packet(now int64) {
	t := w.dp.table
	t.mu.RLock()
	e := t.lookup(&w.key, &w.cache)
	if e == nil {
		t.mu.RUnlock()
		w.upcall(dpif.ReasonMiss, 0, 0, &w.frame)
		return
	}
	e.count(len(w.frame.Data()), now, uint16(w.key.U64(flow.FieldTCPFlags)))
	actions, id := e.actions, e.id
	t.mu.RUnlock()
	w.flow = id
	execute(&w.frame, actions, w)
}

func (w *worker) output(no dpif.Port, f *packet.Frame) {
	if p := w.dp.port(no); p != nil {
		p.send(f)
	}
}

func (w *runner) userspace(arg uint32, f *packet.Frame) {
	w.upcall(dpif.ReasonAction, w.flow, arg, f)
}

// upcall queues f for user space, which copies it.
func (w *runner) upcall(r dpif.Reason, id dpif.FlowID, arg uint32, f *packet.Frame) {
	u := dpif.Upcall{
		InPort: dpif.Port(w.meta.InPort), Reason: r, Flow: id, Arg: arg,
		Packet: dpif.Packet{Data: f.Data(), GSO: f.GSO()},
		Recirc: w.meta.Recirc, Mark: w.meta.Mark,
	}
	if w.dp.queues.push(&w.in.queue, &u) {
		w.in.upcalls.Add(1)
	}
}
