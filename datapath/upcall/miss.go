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

// fromAction serves a packet that an action of a megaflow handed up. It returns what is to be
// executed.
func (s *Switch) fromAction(u *dpif.Upcall) (actions []dpif.Action, pis []xlate.PacketIn) {
	f := s.ix.get(u.Flow)
	if f == nil {
		return nil, nil // deleted since
	}
	f.mu.Lock()
	out, gen, slow, oldPIs := f.out, f.gen, f.slow(), f.oldPIs()
	f.mu.Unlock()
	if u.Arg == slowArg {
		if slow != "" {
			return out.actions, out.pis
		}
		return nil, nil
	}
	switch u.Arg >> argBits {
	case gen:
		pis = out.pis
	case (gen + argGens - 1) % argGens:
		pis = oldPIs
	}
	if i := int(u.Arg & argIndex); i < len(pis) {
		s.packetIn(u.InPort, &pis[i], u.Packet.Data)
	}
	return nil, nil
}

// packetIn queues a packet for the controllers.
func (s *Switch) packetIn(in dpif.Port, pi *xlate.PacketIn, data []byte) {
	cookie := ^uint64(0)
	if pi.Rule != nil {
		cookie = pi.Rule.Cookie
	}
	s.pins.put(in, Async{
		Bridge: pi.Bridge.Name, Controller: pi.Controller, MaxLen: pi.MaxLen,
		Msg: &openflow.PacketIn{
			BufferID: openflow.NoBuffer, TotalLen: len(data), Reason: pi.Reason, Table: pi.Table, Cookie: cookie,
			Metadata: pi.Metadata, Data: slices.Clone(data), Userdata: pi.Userdata,
		},
	})
}

// execution appends to xs what the datapath is to do with a packet for which a translation yielded
// actions; what is for the controllers is done here. The packet may be changed.
func (s *Switch) execution(xs []dpif.Execution, in dpif.Port, p dpif.Packet, actions []dpif.Action, pis []xlate.PacketIn) []dpif.Execution {
	if len(pis) > 0 {
		actions = s.divert(in, p, actions, pis)
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
// and returns the others.
func (s *Switch) divert(in dpif.Port, p dpif.Packet, actions []dpif.Action, pis []xlate.PacketIn) []dpif.Action {
	buf := make([]byte, packet.Headroom+len(p.Data))
	copy(buf[packet.Headroom:], p.Data)
	var fr packet.Frame
	fr.Reset(buf, packet.Headroom, p.GSO)
	var k flow.Key
	fr.Parse(&packet.Meta{InPort: uint32(in)}, s.opt.MaxVLANs, &k)
	var rest []dpif.Action
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Userspace:
			if int(a.Arg) < len(pis) && (a.Meter == 0 || s.dp.MeterPass(a.Meter, len(fr.Data()))) {
				s.packetIn(in, &pis[a.Arg], fr.Data())
			}
			continue
		case dpif.Meter:
			if !s.dp.MeterPass(a.ID, len(fr.Data())) {
				return rest
			}
			continue
		case dpif.PushVLAN:
			fr.PushVLAN(a.TPID, a.TCI)
		case dpif.PopVLAN:
			fr.PopVLAN()
		case dpif.Set:
			fr.Set(a.Field, a.Value, a.Mask)
		}
		rest = append(rest, a)
	}
	return rest
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
	x := &xlate.In{Bridge: b.x, InPort: m.InPort, Key: &k, MaxVLANs: s.opt.MaxVLANs, Actions: m.Actions, PacketOut: true}
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
	s.mu.Lock()
	s.creditOnce(r, len(m.Data), now)
	s.mu.Unlock()
	s.owe(owed(nil, r, &k, now), now)
	// The packet belongs to the message.
	s.execute(s.execution(nil, in, dpif.Packet{Data: slices.Clone(m.Data)}, r.Actions, r.PacketIns))
}
