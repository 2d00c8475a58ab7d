// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/trace"
	"github.com/weirswitch/weir/datapath/xlate"
)

// Trace returns the text of ovs-appctl ofproto/trace: what would happen to a packet, and why.
// Nothing is sent, counted or installed; what the packet makes the switch learn is learned only
// if the request says so. The error of a bridge that is not there is ErrNoBridge, that of a
// port of the datapath that no bridge has dpif.ErrNotExist.
func (s *Switch) Trace(r *trace.Request, now time.Time) (string, error) {
	learnFlows := func([]xlate.FlowLearn) {}
	if !r.Generate {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		var outs []delivery
		s.mu.Lock()
		defer s.settle(true)
		defer func() { s.tell(outs) }()
		defer s.mu.Unlock()
		learnFlows = func(l []xlate.FlowLearn) { s.learnFlows(l, now, now, &outs) }
	}
	in, err := s.traceIn(r)
	if err != nil {
		return "", err
	}
	in.NoLearn = !r.Generate
	res := xlate.Translate(in)
	if r.Generate && stale(res) {
		for _, e := range res.Learn {
			if e.Bridge.FDB.Stale(e.VLAN, e.MAC, e.Port) {
				in.Learned = append(in.Learned, e)
			}
		}
		if s.learn(res.Learn, now) {
			res = xlate.Translate(in)
		}
		learnFlows(res.Flows)
	}
	return trace.Text(in, res), nil
}

// traceIn finds the packet that a request describes. s.mu is held.
func (s *Switch) traceIn(r *trace.Request) (*xlate.In, error) {
	if r.Bridge != "" {
		b, err := s.bridge(r.Bridge)
		if err != nil {
			return nil, err
		}
		k, err := r.Key(b.x.PortNamed, s.opt.MaxVLANs)
		if err != nil {
			return nil, err
		}
		return &xlate.In{Bridge: b.x, InPort: action.Port(k.InPort()), Key: k, MaxVLANs: s.opt.MaxVLANs, Len: len(r.Packet), Priority: s.opt.Priority, Trace: true}, nil
	}
	k, err := r.DatapathKey(func(name string) (uint32, bool) {
		if n, err := strconv.ParseUint(name, 0, 16); err == nil {
			return uint32(n), true
		}
		for no, p := range s.byDP {
			if p.Name == name {
				return uint32(no), true
			}
		}
		return 0, false
	}, s.opt.MaxVLANs)
	if err != nil {
		return nil, err
	}
	p := s.byDP[dpif.Port(k.InPort())]
	if p == nil {
		return nil, fmt.Errorf("port %d of the datapath: %w", k.U64(flow.FieldInPort), dpif.ErrNotExist)
	}
	return &xlate.In{Bridge: p.Bridge, InPort: p.No, Key: k, MaxVLANs: s.opt.MaxVLANs, Len: len(r.Packet), Priority: s.opt.Priority, Trace: true}, nil
}
