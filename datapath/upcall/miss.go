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

// Upcall serves a packet that the datapath handed up. It is what Run gives to the
// datapath; tests call it.
func (s *Switch) Upcall(u *dpif.Upcall) {
	now := s.opt.Now()
	if u.Reason == dpif.ReasonAction {
		s.count.actions.Add(1)
		s.fromAction(u)
		return
	}
	s.count.misses.Add(1)
	var k flow.Key
	var l packet.Layers
	if !packet.Parse(u.Packet.Data, &packet.Meta{InPort: uint32(u.InPort), Recirc: u.Recirc, Mark: u.Mark}, s.opt.MaxVLANs, &k, &l) {
		s.count.malformed.Add(1)
		return
	}
	s.mu.RLock()
	p := s.byDP[u.InPort]
	if p == nil {
		s.mu.RUnlock()
		s.count.noPort.Add(1)
		return
	}
	r := s.translate(p, &k)
	var f *megaflow
	if !stale(r.Learn) {
		f = s.install(p, &k, r, len(u.Packet.Data), now)
		s.mu.RUnlock()
	} else {
		s.mu.RUnlock()
		s.mu.Lock()
		if p = s.byDP[u.InPort]; p == nil {
			s.mu.Unlock()
			s.count.noPort.Add(1)
			return
		}
		s.learn(r.Learn, now)
		r = s.translate(p, &k)
		f = s.install(p, &k, r, len(u.Packet.Data), now)
		s.mu.Unlock()
		defer s.settle(false)
	}
	if r.Err != nil {
		s.count.tooLong.Add(1)
	}
	if f == nil {
		s.creditOnce(r, len(u.Packet.Data), now)
	}
	s.execute(u.InPort, u.Packet, r.Actions, r.PacketIns)
}

// stale reports whether learning would change a MAC table.
func stale(l []xlate.Learn) bool {
	return slices.ContainsFunc(l, func(e xlate.Learn) bool { return e.Bridge.FDB.Stale(e.VLAN, e.MAC, e.Port) })
}

// install makes a megaflow of a translation of k and counts its first packet, of n
// bytes. It returns nil if there is none. s.mu is held.
func (s *Switch) install(p *xlate.Port, k *flow.Key, r *xlate.Result, n int, now time.Time) *megaflow {
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	f := s.ix.find(k, &r.Mask)
	if f != nil {
		s.count.duplicates.Add(1)
		if f.pending.Load() {
			return nil // it may stand for other rules than these
		}
	} else {
		if int64(len(s.ix.byID)) >= s.flowLimit.Load() {
			s.count.atLimit.Add(1)
			s.count.notInstalled.Add(1)
			return nil
		}
		f = &megaflow{id: dpif.FlowID(s.nextID.Add(1)), created: s.since(now), used: s.since(now), port: p.No}
		f.out = s.ix.outcomes.get(r)
		s.ix.add(f, k, &r.Mask)
		if err := s.put(f); err != nil {
			s.ix.remove(f)
			s.count.notInstalled.Add(1)
			s.opt.Log.Debug("install megaflow", "err", err)
			return nil
		}
		s.ix.link(f, r)
		s.count.installed.Add(1)
	}
	f.extraPackets.Add(1)
	f.extraBytes.Add(uint64(n))
	return f
}

// put brings f into the datapath, with its actions if those are supported, else
// with the one that hands packets up.
func (s *Switch) put(f *megaflow) error {
	df := dpif.Flow{ID: f.id, Key: f.expand(), Mask: &f.mask.m, Actions: s.tagged(f)}
	err := s.dp.FlowPut(&df)
	var no *dpif.Unsupported
	if err == nil || !errors.As(err, &no) {
		s.setSlow(f, "")
		return err
	}
	up := dpif.Userspace{Arg: slowArg}
	if p := s.byDP[dpif.Port(df.Key.InPort())]; p != nil {
		up.Meter = p.Bridge.OF.Meter(ofproto.MeterSlowpath)
	}
	df.Actions = []dpif.Action{up}
	if err2 := s.dp.FlowPut(&df); err2 != nil {
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

// fromAction serves a packet that an action of a megaflow handed up.
func (s *Switch) fromAction(u *dpif.Upcall) {
	f := s.ix.get(u.Flow)
	if f == nil {
		return // deleted since
	}
	f.mu.Lock()
	out, gen, slow, oldPIs := f.out, f.gen, f.slow(), f.oldPIs()
	f.mu.Unlock()
	if u.Arg == slowArg {
		if slow != "" {
			s.execute(u.InPort, u.Packet, out.actions, out.pis)
		}
		return
	}
	var pis []xlate.PacketIn
	switch u.Arg >> argBits {
	case gen:
		pis = out.pis
	case (gen + argGens - 1) % argGens:
		pis = oldPIs
	}
	var pi *xlate.PacketIn
	if i := int(u.Arg & argIndex); i < len(pis) {
		pi = &pis[i]
	}
	if pi != nil {
		s.packetIn(u.InPort, pi, u.Packet.Data)
	}
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

// execute runs the actions of a translation on a packet: what is for the
// controllers here, the rest in the datapath.
func (s *Switch) execute(in dpif.Port, p dpif.Packet, actions []dpif.Action, pis []xlate.PacketIn) {
	if len(pis) > 0 {
		actions = s.divert(in, p, actions, pis)
	}
	if !slices.ContainsFunc(actions, visible) {
		return
	}
	// The packet belongs to the upcall, Execute may change it.
	p.Data = slices.Clone(p.Data)
	if err := s.dp.Execute(in, p, actions); err != nil {
		s.count.executeFailed.Add(1)
		s.opt.Log.Debug("execute packet", "port", in, "err", err)
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
	if stale(r.Learn) {
		s.mu.RUnlock()
		s.mu.Lock()
		if s.bridges[name] == b {
			s.learn(r.Learn, now)
			r = xlate.Translate(x)
		}
		s.mu.Unlock()
		defer s.settle(false)
	} else {
		s.mu.RUnlock()
	}
	s.creditOnce(r, len(m.Data), now)
	s.execute(in, dpif.Packet{Data: m.Data}, r.Actions, r.PacketIns)
}
