// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"errors"
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
)

// actions executes a list; false: what follows the list is not to be executed.
func (c *ctx) actions(l action.List) bool {
	for i, a := range l {
		if c.hidden && c.needsHidden(a) {
			c.keep(action.Instructions{Apply: l[i:]})
			return false
		}
		if c.tr != nil {
			c.note(NodeAction, action.List{a}.String())
		}
		if check, ok := a.(action.CheckPktLarger); ok {
			if c.len == 0 {
				c.note(NodeDetail, "the length decides: each packet is translated by itself from here on")
				c.apart = true
				c.keep(action.Instructions{Apply: l[i:]})
				return false
			}
			c.checkLen(check)
			continue
		}
		more := c.action(a)
		if c.frozen != nil {
			c.keep(action.Instructions{Apply: l[i+1:]})
			return false
		}
		if c.exit || c.err != nil || !more {
			return false
		}
	}
	return true
}

// action executes one action; false: the list ends here.
func (c *ctx) action(a action.Action) bool {
	switch a := a.(type) {
	case action.Output:
		c.output(a.Port, a.MaxLen, true)
	case action.OutputTrunc:
		c.outputTrunc(a)
	case action.Enqueue:
		c.setQueue(a.Queue)
		c.output(a.Port, 0xffff, true)
		c.writeU64(flow.FieldSkbPriority, 0)
	case action.SetQueue:
		c.setQueue(a.ID)
	case action.PopQueue:
		c.writeU64(flow.FieldSkbPriority, 0)
		c.note(NodeDetail, "queue = 0")
	case action.PushMPLS:
		c.pushMPLS(a.EthType)
	case action.PopMPLS:
		c.popMPLS(a.EthType)
	case action.SetMPLSTTL:
		if c.has(flow.FieldMPLSTTL) {
			c.writeU64(flow.FieldMPLSTTL, uint64(a.TTL))
		}
	case action.DecMPLSTTL:
		return c.decMPLSTTL()
	case action.OutputReg:
		c.needField(a.Src.Field, a.Src.Mask())
		v := a.Src.Get(&c.flow)
		if port, ok := regPort(v); ok {
			c.notef(NodeDetail, "output port is %d", v.Lo)
			c.output(port, a.MaxLen, false)
		} else {
			c.notef(NodeWarn, "output port %d is out of range", v.Lo)
		}
	case action.Controller:
		c.controller(a)
	case action.Resubmit:
		c.resubmit(a)
	case action.Clone:
		c.clone(a.Actions)
	case action.Group:
		return c.group(a.ID)
	case action.Exit:
		c.exit = true
	case action.SetField:
		if c.has(a.Field) {
			c.setField(a.Field, a.Value, a.Mask.And(flow.Ones(a.Field.Bits())))
		} else if !a.Legacy {
			c.notef(NodeWarn, "unmet prerequisites for %v, set_field ignored", a.Field)
		}
	case action.Load:
		if c.has(a.Dst.Field) {
			c.setField(a.Dst.Field, flow.U128{Lo: a.Value}.Lsh(uint(a.Dst.Ofs)), a.Dst.Mask())
		} else {
			c.notef(NodeWarn, "unmet prerequisites for %v, set_field ignored", a.Dst.Field)
		}
	case action.Move:
		if c.has(a.Dst.Field) && c.has(a.Src.Field) {
			c.needField(a.Src.Field, a.Src.Mask())
			c.setField(a.Dst.Field, a.Src.Get(&c.flow).Lsh(uint(a.Dst.Ofs)), a.Dst.Mask())
			c.noteNow(a.Dst)
		}
	case action.StackPush:
		c.push(a.Src)
	case action.StackPop:
		c.pop(a.Dst)
	case action.PushVLAN:
		c.pushTag(a.TPID, flow.VLANPresent)
	case action.PopVLAN:
		if c.tagged() {
			c.popTag()
		}
	case action.SetVLANVID:
		if c.tagged() || a.PushIfNone {
			c.setField(flow.FieldDLVLAN, flow.U128{Lo: uint64(a.VID)}, flow.Ones(12))
		}
	case action.SetVLANPCP:
		if !c.tagged() {
			if !a.PushIfNone {
				break
			}
			c.pushTag(tpid8021Q, flow.VLANPresent)
		}
		c.setField(flow.FieldVLANPCP, flow.U128{Lo: uint64(a.PCP)}, flow.Ones(3))
	case action.SetTTL:
		if c.has(flow.FieldIPTTL) {
			c.writeU64(flow.FieldIPTTL, uint64(a.TTL))
		}
	case action.DecTTL:
		return c.decTTL(a)
	case action.Meter:
		c.meter(a.ID)
	case action.Learn:
		c.learnFlow(&a)
	case action.FinTimeout:
		c.finTimeout(a)
	case action.Note, action.Conjunction:
	default:
		c.fail(fmt.Errorf("action %T: %w", a, ErrUnsupported))
	}
	return true
}

// setQueue sets the priority that stands for a queue.
func (c *ctx) setQueue(id uint32) {
	if c.priority != nil {
		c.writeU64(flow.FieldSkbPriority, uint64(c.priority(id)))
	}
}

// outputTrunc sends the beginning of the packet to a port of the datapath; the stock switch (3.1)
// has no other ports for it, IN_PORT included.
func (c *ctx) outputTrunc(a action.OutputTrunc) {
	p := c.br.ports[a.Port]
	switch {
	case a.Port == c.inPort():
		c.note(NodeWarn, "skipping output to input port")
		return
	case p == nil || p.Patch:
		c.dep(DepPort, a.Port)
		c.notef(NodeError, "output_trunc does not support patch port %v", a.Port)
		return
	}
	c.dep(DepPort, a.Port)
	c.sendTo(p, a.MaxLen)
}

// regPort makes a port of a number in a register: those of OpenFlow 1.0 (16 bits).
func regPort(v flow.U128) (action.Port, bool) {
	if v.Hi != 0 || v.Lo > 0xffff {
		return 0, false
	}
	if v.Lo >= 0xff00 {
		v.Lo |= 0xffff0000
	}
	return action.Port(v.Lo), true
}

func (c *ctx) output(port action.Port, maxLen uint16, miss bool) {
	switch port {
	case action.PortInPort:
		c.send(c.inPort())
	case action.PortTable:
		c.tableAction(c.inPort(), 0, miss, c.table == 0)
	case action.PortNormal:
		c.normal()
	case action.PortFlood:
		c.flood(openflow.ConfigNoFlood)
	case action.PortAll:
		c.flood(0)
	case action.PortController:
		r := openflow.ReasonAction
		switch {
		case c.packetOut:
			r = openflow.ReasonPacketOut
		case c.inBucket:
			r = openflow.ReasonGroup
		case c.inSet:
			r = openflow.ReasonActionSet
		}
		c.controller(action.Controller{MaxLen: maxLen, Reason: uint8(r)})
	case action.PortAny:
	default:
		if port == c.inPort() {
			c.note(NodeWarn, "skipping output to input port")
			return
		}
		c.send(port)
	}
}

// flood sends to all ports but that in in_port, and those with a setting of skip.
func (c *ctx) flood(skip openflow.PortConfig) {
	c.dep(DepFlood, 0)
	in := c.inPort()
	for _, no := range c.br.order {
		if p := c.br.OF.Port(no); no != in && (p == nil || p.Config&skip == 0) {
			c.sendTo(c.br.ports[no], 0)
		}
	}
}

// send sends to a port if it is there.
func (c *ctx) send(no action.Port) {
	c.dep(DepPort, no)
	if p := c.br.ports[no]; p != nil {
		c.sendTo(p, 0)
	} else {
		c.note(NodeWarn, "Nonexistent output port")
	}
}

// sendTo sends to a port, if maxLen is not 0 only that many bytes.
func (c *ctx) sendTo(p *Port, maxLen uint32) {
	var config openflow.PortConfig
	if op := c.br.OF.Port(p.No); op != nil {
		config = op.Config
	}
	switch {
	case config&openflow.ConfigNoFwd != 0:
		c.note(NodeDetail, "OFPPC_NO_FWD set, skipping output")
	case p.Patch:
		if p.Peer != nil {
			c.patch(p.Peer)
		}
	default:
		c.commit()
		c.emit(dpif.Output{Port: p.DP, MaxLen: maxLen})
	}
}

func (c *ctx) emit(a dpif.Action) {
	if len(c.res.Actions) >= MaxActions {
		c.fail(ErrTooManyActions)
		return
	}
	c.res.Actions = append(c.res.Actions, a)
}

// saved is the state that a clone and a patch port give back.
type saved struct {
	flow      flow.Key
	wr        flow.Mask
	changed   uint64
	below     []tag
	topOrig   int8
	labels    []label
	hidden    bool
	stack     []stackEntry
	stackSize int
	set       action.List
}

func (c *ctx) save() saved {
	return saved{c.flow, c.wr, c.changed, c.below, c.topOrig, c.labels, c.hidden, c.stack, c.stackSize, c.set}
}

func (c *ctx) restore(s *saved) {
	c.flow, c.wr, c.changed, c.below, c.topOrig = s.flow, s.wr, s.changed, s.below, s.topOrig
	c.labels, c.hidden = s.labels, s.hidden
	c.stack, c.stackSize, c.set = s.stack, s.stackSize, s.set
}

func (c *ctx) clone(l action.List) {
	s := c.save()
	// The copy must not write into what the original gets back.
	c.stack = c.stack[:len(c.stack):len(c.stack)]
	checked := c.checked
	c.actions(l)
	c.actionSet()
	c.freeze()
	c.restore(&s)
	c.checked = checked
}

// patch takes the packet into the bridge of peer.
func (c *ctx) patch(peer *Port) {
	s := c.save()
	// The reason of packet-ins there stays "action set" if that is where we come from, as in
	// the stock switch.
	br, exit := c.br, c.exit
	c.br, c.exit = peer.Bridge, false
	c.stack, c.stackSize, c.set = nil, 0, nil
	for i, m := range constant {
		c.flow[i] &^= m
		c.wr[i] |= m
	}
	c.flow.SetU64(flow.FieldInPort, uint64(peer.No))
	c.flow.SetU64(flow.FieldActsetOutput, uint64(action.PortUnset))
	c.wr.SetAll(flow.FieldInPort)
	c.changed |= pipelineWords

	list := c.enterBridge()
	if c.hidden {
		c.frozen = []frame{{enter: true}}
		c.freeze()
	} else if c.mayReceive(peer.No) {
		rule := c.rule
		c.rule = c.tableAction(peer.No, 0, true, true)
		c.enterLast()
		c.actionSet()
		c.freeze()
		c.rule = rule
	}
	c.leave(list)
	if !errors.Is(c.err, ErrTooManyActions) {
		c.err = nil // the failure of another bridge is not ours; what it sent before is sent
	}
	c.br, c.exit = br, exit
	c.restore(&s)
}

func (c *ctx) resubmit(a action.Resubmit) {
	tab := a.Table
	if tab == action.ResubmitSameTable {
		tab = c.table
	}
	in := a.InPort
	if in == action.PortInPort {
		in = c.inPort()
	}
	c.tableAction(in, tab, false, tab <= c.table)
}

// controller sends the packet to the controllers.
func (c *ctx) controller(a action.Controller) {
	c.commit()
	pi := PacketIn{
		Bridge: c.br, Cookie: ^uint64(0), Table: c.table, Reason: openflow.PacketInReason(a.Reason),
		MaxLen: a.MaxLen, Controller: a.ID, Userdata: a.Userdata,
	}
	if c.rule != nil {
		pi.Cookie = c.rule.Cookie
	}
	if pi.Reason == openflow.ReasonAction && c.rule != nil && c.rule.TableMiss() {
		pi.Reason = openflow.ReasonExplicitMiss
	}
	pi.Metadata.SetU64(flow.FieldInPort, uint64(c.inPort()))
	for f := flow.FieldMetadata; f <= flow.FieldReg15; f++ {
		if v := c.flow.Get(f); !v.IsZero() {
			pi.Metadata.Set(f, v)
		}
	}
	id := a.Meter
	if id == 0 {
		id = ofproto.MeterController
	}
	c.emit(dpif.Userspace{Arg: uint32(len(c.res.PacketIns)), Meter: c.meterOf(id)})
	c.res.PacketIns = append(c.res.PacketIns, pi)
}

// meterOf returns the datapath's number of a meter, 0 if there is none. The translation depends on that.
func (c *ctx) meterOf(id uint32) dpif.MeterID {
	c.dep(DepMeter, action.Port(id))
	return c.br.OF.Meter(id)
}

// meter passes the packet as it came, or as outputs so far have left it, to a meter.
func (c *ctx) meter(id uint32) {
	if m := c.meterOf(id); m != 0 {
		c.emit(dpif.Meter{ID: m})
	}
}

// decTTL reports whether the list of actions goes on.
func (c *ctx) decTTL(a action.DecTTL) bool {
	if !c.has(flow.FieldIPTTL) {
		return true
	}
	ttl := c.get(flow.FieldIPTTL)
	if ttl > 1 {
		c.writeU64(flow.FieldIPTTL, ttl-1)
		return true
	}
	version := 6
	if c.flow.EthType() == ethIPv4 {
		version = 4
	}
	c.notef(NodeWarn, "IPv%d decrement TTL exception", version)
	ids := a.Controllers
	if len(ids) == 0 {
		ids = []uint16{0}
	}
	for _, id := range ids {
		c.ttlExpired(id)
	}
	return false
}

// ttlExpired tells controllers that the packet's TTL has run out.
func (c *ctx) ttlExpired(id uint16) {
	c.controller(action.Controller{MaxLen: 0xffff, ID: id, Reason: uint8(openflow.ReasonInvalidTTL)})
}

func (c *ctx) push(s flow.Subfield) {
	n := (int(s.N) + 7) / 8
	if c.stackSize+n > MaxStack {
		c.fail(ErrStackFull)
		return
	}
	c.needField(s.Field, s.Mask())
	c.stackSize += n
	c.stack = append(c.stack, stackEntry{s.Get(&c.flow), n})
}

// pop takes the top of the stack; of an empty one nothing.
func (c *ctx) pop(d flow.Subfield) {
	n := len(c.stack) - 1
	if n < 0 {
		c.note(NodeError, "stack underflow")
		return
	}
	e := c.stack[n]
	c.stack = c.stack[:n:n]
	c.stackSize -= e.n
	c.setField(d.Field, e.v.Lsh(uint(d.Ofs)), d.Mask())
	c.noteNow(d)
}
