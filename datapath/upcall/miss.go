// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"errors"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/xlate"
)

// slowArg is the Arg of the only action of a megaflow whose actions the datapath
// does not support. Other Args are a generation and an index into a list of packet-ins.
const (
	slowArg  = 0xffffffff
	argBits  = 12 // xlate.MaxActions fit
	argIndex = 1<<argBits - 1
	argGens  = 1<<(32-argBits) - 1 // generations count modulo this, so that no Arg is slowArg
)

// stale reports whether learning would change a MAC table or a flow table. s.mu is held.
func stale(r *xlate.Result) bool {
	return slices.ContainsFunc(r.Learn, func(e xlate.Learn) bool { return e.Bridge.FDB.Stale(e.VLAN, e.MAC, e.Port) }) ||
		staleFlows(r.Flows)
}

// put brings f into the datapath, with its actions if those are supported, else
// with the one that hands packets up.
func (s *Switch) put(f *megaflow) error {
	df := s.flowOf(f)
	err := s.dp.FlowPut(&df)
	if err == nil {
		s.setSlow(f, "")
		return nil
	}
	return s.putSlow(f, &df, err)
}

// flowOf returns f as the datapath wants it.
func (s *Switch) flowOf(f *megaflow) dpif.Flow {
	return dpif.Flow{ID: f.id, Key: f.expand(), Mask: &f.mask.m, Actions: s.tagged(f)}
}

// putSlow brings f, which the datapath refused as df with err, into the datapath with the action that
// hands packets up, if its actions were why.
func (s *Switch) putSlow(f *megaflow, df *dpif.Flow, err error) error {
	var no *dpif.Unsupported
	if !errors.As(err, &no) {
		s.setSlow(f, "")
		return err
	}
	up := dpif.Userspace{Arg: slowArg}
	if p := s.byDP[dpif.Port(df.Key.InPort())]; p != nil {
		up.Meter = p.Bridge.OF.Meter(ofproto.MeterSlowpath)
	}
	df.Actions = []dpif.Action{up}
	if err2 := s.dp.FlowPut(df); err2 != nil {
		return err // the key is what is not supported
	}
	s.setSlow(f, no.Reason)
	return nil
}

func (s *Switch) setSlow(f *megaflow, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setRare(rare{slow: reason, oldPIs: f.oldPIs()})
}

// tagged returns the actions of f for the datapath: with the generation in the Args.
func (s *Switch) tagged(f *megaflow) []dpif.Action {
	if len(f.out.pis) == 0 {
		return f.out.actions
	}
	out := slices.Clone(f.out.actions)
	for i, a := range out {
		if u, ok := a.(dpif.Userspace); ok {
			u.Arg |= f.gen << argBits
			out[i] = u
		}
	}
	return out
}

// fromAction serves a packet that an action of a megaflow handed up. It appends to xs what is to be
// executed.
func (s *Switch) fromAction(xs []dpif.Execution, u *dpif.Upcall) []dpif.Execution {
	f := s.ix.get(u.Flow)
	if f == nil {
		return xs // deleted since
	}
	f.mu.Lock()
	out, gen, slow, oldPIs := f.out, f.gen, f.slow(), f.oldPIs()
	f.mu.Unlock()
	if u.Arg == slowArg {
		if slow != "" {
			return s.execution(xs, u.InPort, u.Packet, u.Mark, out.actions, out.pis)
		}
		return xs
	}
	var pis []xlate.PacketIn
	switch u.Arg >> argBits {
	case gen:
		pis = out.pis
	case (gen + argGens - 1) % argGens:
		pis = oldPIs
	}
	if i := int(u.Arg & argIndex); i < len(pis) {
		pi := &pis[i]
		if pi.Resume != nil {
			return s.resume(xs, u.InPort, pi.Resume, u.Packet, u.Mark)
		}
		s.packetIn(u.InPort, pi, u.Packet.Data)
	}
	return xs
}

// resume goes on with the translation of a packet whose headers have come to light; it appends to
// xs what is to be executed.
func (s *Switch) resume(xs []dpif.Execution, in dpif.Port, f *xlate.Frozen, p dpif.Packet, mark uint32) []dpif.Execution {
	var k flow.Key
	var l packet.Layers
	if !packet.Parse(p.Data, &packet.Meta{InPort: uint32(in), Mark: mark}, s.opt.MaxVLANs, &k, &l) {
		s.count.malformed.Add(1)
		return xs
	}
	name := f.Bridge().Name
	if r := s.translateOnce(name, &xlate.In{Key: &k, MaxVLANs: s.opt.MaxVLANs, Resume: f, Len: segmentLen(&p, &l), Priority: s.opt.Priority}, len(p.Data), s.opt.Now()); r != nil {
		xs = s.execution(xs, in, p, mark, r.Actions, r.PacketIns)
	}
	return xs
}

// segmentLen returns how long p is or, if it is a train, the longest of what it is cut into, as the kernel's
// skb_gso_validate_mac_len has it.
func segmentLen(p *dpif.Packet, l *packet.Layers) int {
	if p.GSO.Size == 0 || l.L4 == 0 {
		return len(p.Data)
	}
	head := l.L4 + 8 // UDP (RFC 768)
	if l.Proto == flow.ProtoTCP {
		if len(p.Data) < l.L4+20 {
			return len(p.Data)
		}
		head = l.L4 + int(p.Data[l.L4+12]>>4)*4 // data offset (RFC 9293, 3.1)
	}
	return min(len(p.Data), head+int(p.GSO.Size))
}

// translateOnce translates a packet of n bytes that makes no megaflow: it learns and counts what there is to
// learn and to count. nil: the bridge is not there, or not the one of x.Resume, any more.
func (s *Switch) translateOnce(name string, x *xlate.In, n int, now time.Time) *xlate.Result {
	s.mu.RLock()
	b := s.bridges[name]
	if b == nil || x.Resume != nil && x.Resume.Bridge() != b.x {
		s.mu.RUnlock()
		return nil
	}
	x.Bridge = b.x
	r := xlate.Translate(x)
	if stale(r) {
		var outs []delivery
		s.mu.RUnlock()
		s.mu.Lock()
		if s.bridges[name] == b {
			if s.learn(r.Learn, now) {
				r = xlate.Translate(x)
			}
			s.learnFlows(r.Flows, now, now, &outs)
		}
		s.mu.Unlock()
		s.tell(outs)
		defer s.settle(false)
	} else {
		s.mu.RUnlock()
	}
	if r.Err != nil {
		s.count.tooLong.Add(1)
	}
	s.mu.Lock()
	s.creditOnce(r, n, now)
	s.mu.Unlock()
	if s.owe(owed(nil, r, x.Key, now), now) {
		s.settle(false)
	}
	return r
}

// packetIn queues a packet for the controllers.
func (s *Switch) packetIn(in dpif.Port, pi *xlate.PacketIn, data []byte) {
	s.pins.put(in, Async{
		Bridge: pi.Bridge.Name, Controller: pi.Controller, MaxLen: pi.MaxLen,
		Msg: &openflow.PacketIn{
			BufferID: openflow.NoBuffer, TotalLen: len(data), Reason: pi.Reason, Table: pi.Table, Cookie: pi.Cookie,
			Metadata: pi.Metadata, Data: slices.Clone(data), Userdata: pi.Userdata,
		},
	}, len(data))
}

// execution appends to xs what the datapath is to do with a packet with a mark for which a translation
// yielded actions; what is for the controllers, or waits for the packet's headers, is done here.
// The packet may be changed. No lock is held.
func (s *Switch) execution(xs []dpif.Execution, in dpif.Port, p dpif.Packet, mark uint32, actions []dpif.Action, pis []xlate.PacketIn) []dpif.Execution {
	if len(pis) > 0 {
		if p.GSO.Size != 0 && slices.ContainsFunc(actions, func(a dpif.Action) bool { _, ok := a.(dpif.PushMPLS); return ok }) {
			// Divert could not label the train.
			fr := s.frame(in, p, mark)
			_ = fr.Split(func(g *packet.Frame) {
				xs = s.execution(xs, in, dpif.Packet{Data: g.Data(), GSO: g.GSO()}, mark, actions, pis)
			})
			return xs
		}
		xs, actions = s.divert(xs, in, p, mark, actions, pis)
	}
	if !slices.ContainsFunc(actions, visible) {
		return xs
	}
	return append(xs, dpif.Execution{In: in, Packet: p, Actions: actions})
}

// execute has the datapath do it.
func (s *Switch) execute(xs []dpif.Execution) {
	if len(xs) == 0 {
		return
	}
	s.dp.Executes(xs)
	for i := range xs {
		if err := xs[i].Err; err != nil {
			s.count.executeFailed.Add(1)
			s.opt.Log.Debug("execute packet", "port", xs[i].In, "err", err)
		}
	}
}

// visible reports whether a leaves a trace outside of the packet.
func visible(a dpif.Action) bool {
	switch a.(type) {
	case dpif.Output, dpif.Meter:
		return true
	}
	return false
}

// divert sends the packet-ins of a list of actions, puts the packet through the meters,
// resumes what waits for its headers, and returns the other actions.
func (s *Switch) divert(xs []dpif.Execution, in dpif.Port, p dpif.Packet, mark uint32, actions []dpif.Action, pis []xlate.PacketIn) ([]dpif.Execution, []dpif.Action) {
	fr := s.frame(in, p, mark)
	markNow := mark
	var rest []dpif.Action
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Userspace:
			if int(a.Arg) >= len(pis) || a.Meter != 0 && !s.dp.MeterPass(a.Meter, len(fr.Data())) {
				continue
			}
			if pi := &pis[a.Arg]; pi.Resume == nil {
				s.packetIn(in, pi, fr.Data())
			} else {
				// What stands before goes out first.
				if slices.ContainsFunc(rest, visible) {
					xs = append(xs, dpif.Execution{In: in, Packet: dpif.Packet{Data: slices.Clone(p.Data), GSO: p.GSO}, Actions: rest})
					rest = slices.DeleteFunc(slices.Clone(rest), visible)
				}
				xs = s.resume(xs, in, pi.Resume, dpif.Packet{Data: slices.Clone(fr.Data()), GSO: fr.GSO()}, markNow)
			}
			continue
		case dpif.Meter:
			if !s.dp.MeterPass(a.ID, len(fr.Data())) {
				return xs, rest
			}
			continue
		case dpif.PushVLAN:
			fr.PushVLAN(a.TPID, a.TCI)
		case dpif.PopVLAN:
			fr.PopVLAN()
		case dpif.PushMPLS:
			fr.PushMPLS(a.EthType, a.LSE)
		case dpif.PopMPLS:
			fr.PopMPLS(a.EthType)
		case dpif.Set:
			if a.Field == flow.FieldPktMark {
				markNow = markNow&^uint32(a.Mask.Lo) | uint32(a.Value.Lo&a.Mask.Lo)
			}
			fr.Set(a.Field, a.Value, a.Mask)
		}
		rest = append(rest, a)
	}
	return xs, rest
}

// frame returns a copy of a packet as a frame to change.
func (s *Switch) frame(in dpif.Port, p dpif.Packet, mark uint32) *packet.Frame {
	buf := make([]byte, packet.Headroom+len(p.Data))
	copy(buf[packet.Headroom:], p.Data)
	fr := new(packet.Frame)
	fr.Reset(buf, packet.Headroom, p.GSO)
	var k flow.Key
	fr.Parse(&packet.Meta{InPort: uint32(in), Mark: mark}, s.opt.MaxVLANs, &k)
	return fr
}

// noPort is the datapath port of packets that controllers make. They leave through the
// port that Execute is told, which then is only a name for the statistics.
const noPort = dpif.MaxPort

// packetOut executes a packet that a controller sent.
func (s *Switch) packetOut(name string, m *openflow.PacketOut, now time.Time) {
	s.mu.RLock()
	b := s.bridges[name]
	if b == nil {
		s.mu.RUnlock()
		return
	}
	in := noPort
	if p := b.x.Port(m.InPort); p != nil && !p.Patch {
		in = p.DP
	}
	var k flow.Key
	var l packet.Layers
	if !packet.Parse(m.Data, &packet.Meta{InPort: uint32(in)}, s.opt.MaxVLANs, &k, &l) {
		s.mu.RUnlock()
		s.count.malformed.Add(1)
		return
	}
	s.mu.RUnlock()
	x := &xlate.In{InPort: m.InPort, Key: &k, Len: len(m.Data), MaxVLANs: s.opt.MaxVLANs, Actions: m.Actions, PacketOut: true, Priority: s.opt.Priority}
	if r := s.translateOnce(name, x, len(m.Data), now); r != nil {
		// The packet belongs to the message.
		s.execute(s.execution(nil, in, dpif.Packet{Data: slices.Clone(m.Data)}, 0, r.Actions, r.PacketIns))
	}
}
