// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
)

// maxActions bounds an action list: enough to flood to 1,000 ports.
const maxActions = 1024

// sink takes what actions send. It must not keep the frame.
type sink interface {
	output(p dpif.Port, f *packet.Frame)
	userspace(arg uint32, f *packet.Frame)
	meter(id dpif.MeterID, f *packet.Frame) bool
}

// execute runs actions on f, which has been parsed.
func execute(f *packet.Frame, actions []dpif.Action, to sink) {
	for i, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			if a.MaxLen == 0 || int(a.MaxLen) >= len(f.Data()) {
				to.output(a.Port, f)
				break
			}
			if cut(f, actions[i:], to) {
				return
			}
			h := f.Head(int(a.MaxLen))
			to.output(a.Port, &h)
		case dpif.PushMPLS:
			if cut(f, actions[i:], to) {
				return
			}
			f.PushMPLS(a.EthType, a.LSE)
		case dpif.PopMPLS:
			f.PopMPLS(a.EthType)
		case dpif.Set:
			f.Set(a.Field, a.Value, a.Mask)
		case dpif.PushVLAN:
			f.PushVLAN(a.TPID, a.TCI)
		case dpif.PopVLAN:
			f.PopVLAN()
		case dpif.Userspace:
			if a.Meter == 0 || to.meter(a.Meter, f) {
				to.userspace(a.Arg, f)
			}
		case dpif.Meter:
			if !to.meter(a.ID, f) {
				return
			}
		}
	}
}

// cut runs actions on each segment of a train; false: f is no train. One that cannot be cut
// is dropped.
func cut(f *packet.Frame, actions []dpif.Action, to sink) bool {
	if f.GSO().Size == 0 {
		return false
	}
	_ = f.Split(func(s *packet.Frame) { execute(s, actions, to) })
	return true
}

// checkActions returns why actions cannot be done.
func checkActions(actions []dpif.Action) error {
	if len(actions) > maxActions {
		return &dpif.Unsupported{Reason: fmt.Sprintf("%d actions are more than %d", len(actions), maxActions)}
	}
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			if a.Port > dpif.MaxPort {
				return &dpif.Unsupported{Reason: fmt.Sprintf("port %d is above %d", a.Port, dpif.MaxPort)}
			}
		case dpif.Set:
			if !packet.Settable(a.Field) {
				return &dpif.Unsupported{Reason: fmt.Sprintf("field %v cannot be set", a.Field)}
			}
		case dpif.PushVLAN:
			if a.TPID != packet.TypeVLAN && a.TPID != packet.TypeQinQ {
				return &dpif.Unsupported{Reason: fmt.Sprintf("a VLAN tag of type %#04x cannot be pushed", a.TPID)}
			}
		case dpif.PushMPLS:
			if a.EthType != packet.TypeMPLS && a.EthType != packet.TypeMPLSM {
				return &dpif.Unsupported{Reason: fmt.Sprintf("a label of type %#04x cannot be pushed", a.EthType)}
			}
		case dpif.PopVLAN, dpif.PopMPLS, dpif.Userspace, dpif.Meter:
		default:
			return &dpif.Unsupported{Reason: fmt.Sprintf("action %T is unknown", a)}
		}
	}
	return nil
}

// matchable returns the bits that a flow's mask may have: all of the packet
// and of the metadata that the datapath gives.
func matchable() (m flow.Mask) {
	for f := flow.FieldEthDst; f <= flow.FieldNDReserved; f++ {
		m.SetAll(f)
	}
	for _, f := range []flow.Field{flow.FieldInPort, flow.FieldRecircID, flow.FieldPktMark, flow.FieldSkbPriority, flow.FieldDPHash} {
		m.SetAll(f)
	}
	return m
}

// checkFlow returns why a flow is not accepted.
func checkFlow(f *dpif.Flow, can *flow.Mask) error {
	if f.ID == 0 || f.Mask == nil {
		return fmt.Errorf("flow without ID or mask")
	}
	if f.Key != f.Key.Apply(f.Mask) {
		return fmt.Errorf("flow %d: key bits outside of the mask are not zero", f.ID)
	}
	if !can.Covers(f.Mask) {
		for fl := flow.Field(1); fl < flow.NumFields; fl++ {
			if !f.Mask.Get(fl).AndNot(can.Get(fl)).IsZero() {
				return &dpif.Unsupported{Reason: fmt.Sprintf("field %v cannot be matched", fl)}
			}
		}
		return &dpif.Unsupported{Reason: "the mask has bits of no field"}
	}
	return checkActions(f.Actions)
}

// executor runs the actions of Executes: its outputs are sent together at the end.
type executor struct {
	runner
	batch netdev.RawBatch
	ports []*port // of the frames in batch
}

func (e *executor) execute(x *dpif.Execution) error {
	if err := checkActions(x.Actions); err != nil {
		return err
	}
	if e.in = e.dp.port(x.In); e.in == nil {
		e.in = &e.dp.nobody
	}
	e.meta = packet.Meta{InPort: uint32(x.In)}
	e.frame.Reset(x.Packet.Data, 0, x.Packet.GSO)
	if !e.frame.Parse(&e.meta, e.dp.cfg.MaxVLANs, &e.key) {
		return fmt.Errorf("packet of %d bytes has no Ethernet header", len(x.Packet.Data))
	}
	execute(&e.frame, x.Actions, e)
	return nil
}

func (e *executor) output(no dpif.Port, f *packet.Frame) {
	p := e.dp.port(no)
	if p == nil {
		return
	}
	var h netdev.VnetHdr
	if !netdev.VnetFor(f, &h) {
		p.txDropped.Add(1)
		return
	}
	if !e.batch.Add(p.sock, f.Data(), &h) {
		e.flush()
		if !e.batch.Add(p.sock, f.Data(), &h) {
			p.send(f)
			return
		}
	}
	e.ports = append(e.ports, p)
}

// flush sends what is in the batch.
func (e *executor) flush() {
	e.batch.Flush(func(i, n int, err error) {
		p := e.ports[i]
		if err != nil {
			p.txDropped.Add(1)
			return
		}
		p.txPackets.Add(1)
		p.txBytes.Add(uint64(n))
	})
	clear(e.ports)
	e.ports = e.ports[:0]
}
