// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/xlate"
)

// Config is the wanted state of a Switch.
type Config struct {
	Bridges   []BridgeConfig // names differ
	MaxIdle   time.Duration  // 0: as in Options
	FlowLimit int            // 0, or above that of Options: as in Options
}

// BridgeConfig describes a bridge.
type BridgeConfig struct {
	Name             string
	DatapathID       uint64
	Desc             openflow.DescReply
	Secure           bool // fail mode "secure"
	Controllers      bool // primary controllers are configured
	FailOpen         bool // no controller answers, and the fail mode is "standalone"
	MissToController bool // some controller speaks a version before OpenFlow 1.3
	MACAging         time.Duration
	MACTableSize     int // 0: fdb.DefaultMax
	ForwardBPDU      bool
	Tables           map[uint8]ofproto.TableConfig // those that are not as usual
	Ports            []PortConfig                  // numbers and names differ
	Legs             []xlate.Leg                   // numbers MinLeg to MaxLeg, which differ
}

// Numbers of legs: above those that ports can have in OpenFlow 1.0, below the reserved ones.
const (
	MinLeg action.Port = 0xff01
	MaxLeg action.Port = 0xffef
)

// PortConfig describes an OpenFlow port.
type PortConfig struct {
	No     action.Port
	Name   string
	HWAddr [6]byte
	DP     dpif.Port // number in the datapath, which has the port; not for patch ports
	Peer   string    // patch port: name of the port at the other end
	VLAN   xlate.VLAN
	Bundle string      // of ports that are one logical port; "": alone
	Leg    action.Port // of the chip that bridges the port; 0: none

	Down, LinkDown                            bool
	Curr, Advertised, Supported, PeerFeatures openflow.PortFeatures
	CurrSpeed, MaxSpeed                       uint32 // kbit/s
}

func (p *PortConfig) desc() openflow.PortDesc {
	d := openflow.PortDesc{
		No: p.No, HWAddr: p.HWAddr, Name: p.Name,
		Curr: p.Curr, Advertised: p.Advertised, Supported: p.Supported, Peer: p.PeerFeatures,
		CurrSpeed: p.CurrSpeed, MaxSpeed: p.MaxSpeed, State: openflow.StateLive,
	}
	if p.Down {
		d.Config |= openflow.ConfigDown
	}
	if p.LinkDown {
		d.State = openflow.StateLinkDown
	}
	return d
}

// check refuses what cannot be meant.
func (c *Config) check() error {
	names, dps := make(map[string]bool), make(map[dpif.Port]string)
	for i := range c.Bridges {
		b := &c.Bridges[i]
		if names[b.Name] {
			return fmt.Errorf("bridge %s is there twice", b.Name)
		}
		names[b.Name] = true
		nos := make(map[action.Port]bool)
		legs := map[action.Port]bool{0: true}
		for _, l := range b.Legs {
			if l.No < MinLeg || l.No > MaxLeg || legs[l.No] {
				return fmt.Errorf("bridge %s: leg %s cannot have number %d", b.Name, l.Name, l.No)
			}
			legs[l.No] = true
			if o, ok := dps[l.DP]; ok {
				return fmt.Errorf("bridge %s: leg %s and %s have the same datapath port %d", b.Name, l.Name, o, l.DP)
			}
			dps[l.DP] = l.Name
		}
		for j := range b.Ports {
			p := &b.Ports[j]
			if nos[p.No] {
				return fmt.Errorf("bridge %s: port number %d is there twice", b.Name, p.No)
			}
			nos[p.No] = true
			if p.No == 0 || p.No >= 0xff00 && p.No != action.PortLocal {
				return fmt.Errorf("bridge %s: port %s cannot have number %d", b.Name, p.Name, p.No)
			}
			if !legs[p.Leg] {
				return fmt.Errorf("bridge %s: port %s has leg %d, which is not there", b.Name, p.Name, p.Leg)
			}
			if p.Peer != "" {
				continue
			}
			if o, ok := dps[p.DP]; ok {
				return fmt.Errorf("bridge %s: ports %s and %s have the same datapath port %d", b.Name, o, p.Name, p.DP)
			}
			dps[p.DP] = p.Name
		}
	}
	return nil
}

// Apply makes the Switch what c says. A configuration that contradicts itself is
// refused and changes nothing. Applying the same twice changes nothing the second time.
//
// A port of the datapath must be there before Apply names it, and until an Apply
// without it is done.
func (s *Switch) Apply(c Config, now time.Time) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	type message struct {
		bridge string
		eff    ofproto.Effects
	}
	var out []message
	s.maxIdle.Store(int64(cmp.Or(c.MaxIdle, s.opt.MaxIdle)))
	s.setFlowLimit(min(cmp.Or(c.FlowLimit, s.opt.FlowLimit), s.opt.FlowLimit))
	s.changes.Lock()
	s.mu.Lock()
	want := make(map[string]bool)
	for i := range c.Bridges {
		want[c.Bridges[i].Name] = true
	}
	for name, b := range s.bridges {
		if !want[name] {
			empty := b.cfg
			empty.Ports, empty.Legs = nil, nil
			s.configure(b, &empty, now)
			b.x.OF.DropMeters(now)
			delete(s.bridges, name)
		}
	}
	for i := range c.Bridges {
		cfg := &c.Bridges[i]
		b := s.bridges[cfg.Name]
		if b == nil {
			b = &bridge{cfg: BridgeConfig{Name: cfg.Name}}
			of := ofproto.New(func(no action.Port) (openflow.PortStats, bool) { return s.counters(b, no) })
			of.SetMeters(s.meters)
			b.x = xlate.NewBridge(cfg.Name, of, fdb.New(cfg.MACTableSize, cfg.MACAging))
			s.bridges[cfg.Name] = b
		}
		eff := s.configure(b, cfg, now)
		out = append(out, message{cfg.Name, eff})
	}
	s.link()
	s.mu.Unlock()
	s.changes.Unlock()
	s.settle(true)
	for i := range out {
		s.deliver(out[i].bridge, &out[i].eff)
	}
	return nil
}

// configure brings one bridge to its configuration and adds to the backlog what depends
// on the difference. Peers of patch ports are for link.
func (s *Switch) configure(b *bridge, cfg *BridgeConfig, now time.Time) (eff ofproto.Effects) {
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	old := b.cfg
	b.cfg = *cfg
	of := b.x.OF
	of.DatapathID, of.Desc = cfg.DatapathID, cfg.Desc
	if b.x.ForwardBPDU != cfg.ForwardBPDU || of.MissToController != cfg.MissToController {
		b.x.ForwardBPDU, of.MissToController = cfg.ForwardBPDU, cfg.MissToController
		s.ix.all()
	}
	if old.MACAging != cfg.MACAging || old.MACTableSize != cfg.MACTableSize {
		s.moved(b.x, b.x.FDB.SetLimits(cfg.MACTableSize, cfg.MACAging, now))
	}

	legs := s.setLegs(b, old.Legs, cfg.Legs)

	// Ports: those that go first, so that a number or a device can change hands.
	byNo := make(map[action.Port]*PortConfig, len(cfg.Ports))
	descs := make([]openflow.PortDesc, 0, len(cfg.Ports))
	for i := range cfg.Ports {
		byNo[cfg.Ports[i].No] = &cfg.Ports[i]
		descs = append(descs, cfg.Ports[i].desc())
	}
	changed := func(no action.Port) {
		s.ix.dependants(depKey{br: b.x, kind: xlate.DepPort, port: no})
		s.ix.dependants(depKey{br: b.x, kind: xlate.DepFlood})
	}
	for _, no := range append([]action.Port(nil), b.x.Ports()...) {
		p, pc := b.x.Port(no), byNo[no]
		if pc != nil && pc.Name == p.Name && p.Patch == (pc.Peer != "") && (p.Patch || p.DP == pc.DP) {
			continue
		}
		changed(no)
		s.moved(b.x, b.x.FDB.FlushPort(no))
		b.x.RemovePort(no)
		if !p.Patch && s.byDP[p.DP] == p {
			delete(s.byDP, p.DP)
		}
	}
	for i := range cfg.Ports {
		pc := &cfg.Ports[i]
		p := b.x.Port(pc.No)
		switch {
		case p == nil:
			p = &xlate.Port{No: pc.No, Name: pc.Name, DP: pc.DP, Patch: pc.Peer != "", VLAN: pc.VLAN, Bundle: pc.Bundle}
			b.x.SetPort(p)
			changed(pc.No)
		case !p.VLAN.Equal(pc.VLAN) || p.Bundle != pc.Bundle:
			p.VLAN, p.Bundle = pc.VLAN, pc.Bundle
			s.moved(b.x, b.x.FDB.FlushPortLearned(pc.No))
			changed(pc.No)
		}
		if p.Leg != legs[pc.Leg] {
			p.Leg = legs[pc.Leg]
			s.moved(b.x, b.x.FDB.FlushPort(pc.No))
			changed(pc.No)
		}
		if !p.Patch {
			s.byDP[p.DP] = p
		}
	}
	eff = of.SetPorts(descs, now)
	for _, no := range eff.Ports {
		changed(no)
	}

	reset := of.Reset(cfg.Controllers, cfg.Secure, now)
	open := of.SetFailOpen(cfg.FailOpen, now)
	tables := of.SetTables(cfg.Tables, now)
	reset.Changes = append(append(reset.Changes, open.Changes...), tables.Changes...)
	reset.Async = append(reset.Async, tables.Async...)
	s.affected(b.x, &reset)
	s.monitored(b)
	eff.Async = append(eff.Async, reset.Async...)
	return eff
}

// setLegs makes a bridge's legs those wanted and returns them by number. Legs are few and
// seldom change: if they do, everything is translated anew. s.mu and s.ix.mu are held.
func (s *Switch) setLegs(b *bridge, old, want []xlate.Leg) map[action.Port]*xlate.Leg {
	byNo := make(map[action.Port]*xlate.Leg, len(want))
	if slices.Equal(old, want) {
		for _, l := range b.x.Legs() {
			byNo[l.No] = l
		}
		return byNo
	}
	for _, l := range b.x.Legs() {
		if p := s.byDP[l.DP]; p != nil && p.Bridge == b.x && p.No == l.No {
			delete(s.byDP, l.DP)
		}
	}
	var legs []*xlate.Leg
	for i := range want {
		l := want[i]
		legs = append(legs, &l)
		byNo[l.No] = &l
		s.byDP[l.DP] = &xlate.Port{Bridge: b.x, No: l.No, Name: l.Name, DP: l.DP}
	}
	b.x.SetLegs(legs)
	s.ix.all()
	return byNo
}

// link connects patch ports with their peers: two that name each other.
func (s *Switch) link() {
	type end struct {
		port *xlate.Port
		peer string
	}
	ends := make(map[string]end)
	for _, b := range s.bridges {
		for i := range b.cfg.Ports {
			if pc := &b.cfg.Ports[i]; pc.Peer != "" {
				ends[pc.Name] = end{b.x.Port(pc.No), pc.Peer}
			}
		}
	}
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	for name, e := range ends {
		var peer *xlate.Port
		if o, ok := ends[e.peer]; ok && o.peer == name && o.port != e.port {
			peer = o.port
		}
		if e.port.Peer != peer {
			e.port.Peer = peer
			s.ix.dependants(depKey{br: e.port.Bridge, kind: xlate.DepPort, port: e.port.No})
			s.ix.dependants(depKey{br: e.port.Bridge, kind: xlate.DepFlood})
		}
	}
}

// counters returns those of a port for statistics. s.mu is held for reading.
func (s *Switch) counters(b *bridge, no action.Port) (openflow.PortStats, bool) {
	p := b.x.Port(no)
	if p == nil {
		return openflow.PortStats{}, false
	}
	if s.opt.PortStats != nil {
		if st, ok := s.opt.PortStats(b.cfg.Name, no, p.Name); ok {
			return st, true
		}
	}
	if p.Patch {
		return openflow.PortStats{}, true
	}
	d, err := s.dp.PortStats(p.DP)
	if err != nil {
		if !errors.Is(err, dpif.ErrNotExist) {
			s.opt.Log.Debug("port statistics", "port", p.Name, "err", err)
		}
		return openflow.PortStats{}, false
	}
	u := ^uint64(0) // what the datapath does not know
	return openflow.PortStats{
		RxPackets: d.RxPackets, RxBytes: d.RxBytes, TxPackets: d.TxPackets, TxBytes: d.TxBytes,
		RxDropped: d.UpcallDropped, TxDropped: d.TxDropped, RxErrors: d.RxMalformed, TxErrors: u,
		RxFrameErr: u, RxOverErr: u, RxCRCErr: u, Collisions: u,
	}, true
}
