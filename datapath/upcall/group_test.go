// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

func (l *lab) groupMod(cmd openflow.GroupModCommand, id uint32, typ openflow.GroupType, bs ...openflow.Bucket) {
	l.t.Helper()
	for i := range bs {
		bs[i].ID, bs[i].WatchGroup = uint32(i), action.GroupAny
		if bs[i].WatchPort == 0 {
			bs[i].WatchPort = action.PortAny
		}
	}
	m := &openflow.GroupMod{Command: cmd, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: id, Type: typ, Buckets: bs}}
	for _, r := range l.handle("br0", m) {
		if e, ok := r.(*openflow.Error); ok {
			l.t.Fatalf("group_mod refused: %v", e.Kind)
		}
	}
}

func bucketTo(watch, port action.Port) openflow.Bucket {
	return openflow.Bucket{WatchPort: watch, Actions: action.List{action.Output{Port: port}}}
}

// TestGroups holds that a change of a group, or of the link of a port that it watches, moves the
// megaflows that use it at once and leaves others alone, and that groups and buckets
// count every packet.
func TestGroups(t *testing.T) {
	l := newLab(t, Options{})
	to := func(in uint64, group uint32) openflow.FlowMod {
		var m flow.Match
		m.SetU64(flow.FieldInPort, in)
		return openflow.FlowMod{Priority: 10, Match: m, Flags: openflow.FlagSendFlowRem, Instructions: apply(action.Group{ID: group})}
	}
	l.groupMod(openflow.GroupAdd, 1, openflow.GroupTypeFF, bucketTo(2, 2), bucketTo(3, 3))
	l.groupMod(openflow.GroupAdd, 2, openflow.GroupTypeAll, bucketTo(0, 3), bucketTo(0, 4))
	l.flowMod("br0", to(1, 1))
	l.flowMod("br0", to(2, 2))
	p, q := frame(macB, macA, 0, 1, 2, 3, 4), frame(macA, macB, 0, 2, 1, 4, 3)
	for range 4 {
		l.send(11, p, "12")
		l.send(12, q, "13", "14")
	}
	before := l.s.Stats()

	// The link of port 2 falls: the megaflow of group 1 moves, without a miss. (Flooding and port
	// lists have no part in group 2's, which goes on untouched.)
	l.cfg.Bridges[0].Ports[1].LinkDown = true
	l.applyConfig()
	l.send(11, p, "13")
	st := l.s.Stats()
	if st.Misses != before.Misses {
		t.Errorf("%d misses after the link fell", st.Misses-before.Misses)
	}
	l.cfg.Bridges[0].Ports[1].LinkDown = false
	l.applyConfig()
	l.send(11, p, "12")

	// A change of group 1 translates one megaflow.
	before = l.s.Stats()
	l.groupMod(openflow.GroupModify, 1, openflow.GroupTypeIndirect, bucketTo(0, 4))
	if n := l.s.Stats().Revalidated - before.Revalidated; n != 1 {
		t.Errorf("%d megaflows translated anew, want 1", n)
	}
	l.send(11, p, "14")
	l.send(12, q, "13", "14")

	l.advance(time.Second)
	rep := l.handle("br0", &openflow.GroupStatsRequest{Group: action.GroupAll})[0].(*openflow.GroupStatsReply)
	if len(rep.Groups) != 2 {
		t.Fatalf("%d groups", len(rep.Groups))
	}
	g1, g2 := rep.Groups[0], rep.Groups[1]
	if g1.RefCount != 1 || g1.Packets != 1 || g1.Buckets[0].Packets != 1 || g1.Bytes != uint64(len(p)) {
		t.Errorf("group 1 %+v: the counters begin with the modification", g1)
	}
	if g2.Packets != 5 || g2.Buckets[0].Packets != 5 || g2.Buckets[1].Bytes != uint64(5*len(q)) {
		t.Errorf("group 2 %+v", g2)
	}

	// A group takes the flows that refer to it along.
	l.taken()
	l.groupMod(openflow.GroupDelete, 1, 0)
	l.send(11, p, "12", "13", "14", "21", "22") // NORMAL of the default flow
	a := l.taken()
	if len(a) != 1 {
		t.Fatalf("%d messages, want one flow_removed", len(a))
	}
	if fr, ok := a[0].Msg.(*openflow.FlowRemoved); !ok || fr.Reason != openflow.RemovedGroupDelete || fr.Packets != 7 {
		t.Errorf("flow_removed %+v", a[0].Msg)
	}
}

// grouped is a random modification with a group among the actions.
func grouped(r *rand.Rand) openflow.FlowMod {
	m := randomMod(r)
	if r.IntN(3) == 0 {
		m.Instructions.Write = action.List{action.Group{ID: r.Uint32N(4)}}
	} else {
		m.Instructions.Apply = append(m.Instructions.Apply, action.Group{ID: r.Uint32N(4)})
	}
	return m
}

func randomBuckets(r *rand.Rand) (bs []openflow.Bucket) {
	for range 1 + r.IntN(3) {
		b := bucketTo(action.Port(r.IntN(5)), action.Port(1+r.IntN(5)))
		b.Weight = uint16(r.IntN(3))
		switch r.IntN(4) {
		case 0:
			b.Actions = append(b.Actions, action.SetField{Field: flow.FieldEthDst, Value: flow.U128{Lo: macA}, Mask: flow.Ones(48)})
		case 1:
			b.Actions = action.List{action.Group{ID: r.Uint32N(4)}}
		case 2:
			b.Actions = action.List{action.Resubmit{InPort: action.PortInPort, Table: uint8(1 + r.IntN(2))}}
		}
		bs = append(bs, b)
	}
	return bs
}

// bundle commits some random modifications, of which one may be refused.
func (l *lab) bundle(r *rand.Rand, mod func(*rand.Rand) openflow.FlowMod) {
	l.t.Helper()
	proto := openflow.Proto{Version: ofp.V15}
	b := &openflow.Bundle{Proto: proto}
	for range 1 + r.IntN(4) {
		m := grouped(r)
		if r.IntN(2) == 0 {
			m = mod(r)
		}
		m.BufferID, m.OutPort, m.OutGroup = openflow.NoBuffer, action.PortAny, action.GroupAny
		raw, err := openflow.Encode(proto, 1, &openflow.BundleAdd{Msg: &m})
		if err != nil {
			l.t.Fatal(err)
		}
		b.Added = append(b.Added, raw)
	}
	l.handle("br0", b)
}
