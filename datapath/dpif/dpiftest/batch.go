// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// testFlowPuts: each flow of a batch is treated as FlowPut treats it, in order, and those that are
// refused do not touch the others.
func testFlowPuts(l *lab) {
	frame := func(i int) []byte {
		d := bytes.Clone(tcpFrame(2))
		d[11] = byte(i) // eth_src
		return d
	}
	mk := func(id dpif.FlowID, i int, actions ...dpif.Action) dpif.Flow {
		f := l.match(id, 1, frame(i), flow.FieldEthType, flow.FieldVLANTCI, flow.FieldEthSrc)
		f.Actions = actions
		return *f
	}
	outside := mk(6, 6, output(2))
	outside.Key.SetU64(flow.FieldTPDst, 80) // not in the mask
	fs := []dpif.Flow{
		mk(1, 1, output(2)),
		mk(2, 1, output(3)), // the same key and mask
		mk(0, 9, output(2)), // no ID
		mk(3, 3, dpif.Set{Field: flow.FieldTunDst, Value: flow.U128{Lo: 1}, Mask: flow.Ones(32)}),
		mk(4, 4, output(2)),
		mk(4, 4, output(3)), // replaces the one before
		outside,
		mk(7, 7, output(3)),
	}
	var many []dpif.Flow
	for i := range 40 { // more than a batch of upcalls
		many = append(many, mk(dpif.FlowID(100+i), 100+i, output(2)))
	}
	fs = append(fs, many...)
	errs := make([]error, len(fs))
	errs[0] = errors.New("left over")
	l.dp.FlowPuts(fs, errs)
	bad := []int{1, 2, 3, 6}
	for i, err := range errs {
		if (err != nil) != slices.Contains(bad, i) {
			l.Errorf("flow %d of the batch: %v", i, err)
		}
	}
	if !errors.Is(errs[1], dpif.ErrExist) {
		l.Errorf("the same key and mask under another ID: %v", errs[1])
	}
	var no *dpif.Unsupported
	if !errors.As(errs[3], &no) {
		l.Errorf("actions that cannot be done: %v", errs[3])
	}
	for _, c := range []struct {
		i  int
		to dpif.Port
	}{{1, 2}, {4, 3}, {7, 3}, {100, 2}, {139, 2}} {
		l.send(1, frame(c.i))
		l.expect(c.to, frame(c.i))
	}
	for _, i := range []int{3, 6, 9} {
		l.send(1, frame(i))
		if u := l.upcall(); u.Reason != dpif.ReasonMiss || !bytes.Equal(u.Packet.Data, frame(i)) {
			l.Errorf("a refused flow's packet: %+v", u)
		}
	}
	l.expectNothing()
	if s := must(l.dp.FlowStats(1))(l); s.Packets != 1 {
		l.Errorf("%+v", s)
	}

	// Numbers that are used again begin with counters of zero.
	for range 3 {
		for i := range many {
			l.ok(second(l.dp.FlowDel(many[i].ID)))
			many[i].ID += 1000
		}
		errs = make([]error, len(many))
		l.dp.FlowPuts(many, errs)
		l.ok(errors.Join(errs...))
		l.send(1, frame(100))
		l.expect(2, frame(100))
		if s := must(l.dp.FlowStats(many[0].ID))(l); s.Packets != 1 {
			l.Errorf("a new flow: %+v", s)
		}
	}
	l.dp.FlowPuts(nil, nil)
}

func second[T any](_ T, err error) error { return err }

// testExecutes: packets leave each port in order, each as its actions made it, also more than
// fit one system call; the counters are right, and a packet that cannot be sent leaves the others.
func testExecutes(l *lab) {
	const n = 200
	frame := func(i int) []byte {
		d := bytes.Clone(udpFrame(53))
		d[10], d[11] = byte(i>>8), byte(i) // eth_src
		return d
	}
	before := [4]dpif.PortStats{}
	for no := range dpif.Port(4) {
		if no > 0 {
			before[no] = must(l.dp.PortStats(no))(l)
		}
	}
	set := dpif.Set{Field: flow.FieldEthDst, Value: flow.U128{Lo: 0x0200000000ff}, Mask: flow.Ones(48)}
	var xs []dpif.Execution
	for i := range n {
		x := dpif.Execution{In: 1, Packet: dpif.Packet{Data: frame(i)}, Actions: []dpif.Action{output(2)}}
		if i%3 == 0 {
			x.Actions = []dpif.Action{output(2), set, output(3), output(55)}
		}
		xs = append(xs, x)
	}
	long := append(bytes.Clone(udpFrame(53)), make([]byte, 3000)...) // longer than the MTU
	xs = slices.Insert(xs, n/2,
		dpif.Execution{In: 1, Packet: dpif.Packet{Data: long}, Actions: []dpif.Action{output(2)}, Err: errors.New("left over")},
		dpif.Execution{In: 1, Packet: dpif.Packet{Data: make([]byte, 5)}, Actions: []dpif.Action{output(2)}})
	l.dp.Executes(xs)
	for i, x := range xs {
		if (x.Err != nil) != (i == n/2+1) {
			l.Errorf("packet %d: %v", i, x.Err)
		}
	}
	for i := range n {
		l.expect(2, frame(i))
		if i%3 == 0 {
			d := frame(i)
			copy(d, []byte{2, 0, 0, 0, 0, 0xff})
			l.expect(3, d)
		}
	}
	l.expectNothing()
	for no, sent := range map[dpif.Port]uint64{2: n, 3: (n + 2) / 3} {
		s := must(l.dp.PortStats(no))(l)
		dropped := uint64(0)
		if no == 2 {
			dropped = 1
		}
		if got := s.TxPackets - before[no].TxPackets; got != sent || s.TxDropped-before[no].TxDropped != dropped {
			l.Errorf("port %d: %d sent, want %d; %+v", no, got, sent, s)
		}
	}
	l.dp.Executes(nil)
}
