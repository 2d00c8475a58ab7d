// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// tcpFrame and udpFrame are valid packets.
func tcpFrame(flags byte) []byte {
	return packettest.TCP(packettest.Addr{Src: 1, Dst: 2}, 1000, 80, flags, []byte("GET /"))
}

func udpFrame(dport uint16) []byte {
	return packettest.UDP(packettest.Addr{Src: 1, Dst: 2}, 1000, dport, []byte("question"))
}

// testMiss: without flows nothing is forwarded and everything goes to user space.
func testMiss(l *lab) {
	d := tcpFrame(2)
	l.send(1, d)
	u := l.upcall()
	if u.InPort != 1 || u.Reason != dpif.ReasonMiss || u.Flow != 0 || u.Packet.GSO.Size != 0 || !bytes.Equal(u.Packet.Data, d) {
		l.Errorf("upcall %+v of %x", u, d)
	}
	l.expectNothing()
	l.eventually("counters of port 1: one packet received, one upcall", func() bool {
		s := must(l.dp.PortStats(1))(l)
		return s == dpif.PortStats{RxPackets: 1, RxBytes: uint64(len(d)), UpcallPackets: 1}
	})
	if s := must(l.dp.PortStats(2))(l); s != (dpif.PortStats{}) {
		l.Errorf("port 2: %+v", s)
	}
}

// testFlow: a flow's life.
func testFlow(l *lab) {
	syn, ack := tcpFrame(2), tcpFrame(0x10)
	f := l.match(7, 1, syn, flow.FieldVLANTCI, flow.FieldEthType, flow.FieldIPProto, flow.FieldIPFrag, flow.FieldTPDst)
	l.put(f, output(2))
	before := time.Now().Add(-time.Second)
	l.send(1, syn)
	l.expect(2, syn)
	l.send(1, ack)
	l.expect(2, ack)
	l.eventually("2 packets counted", func() bool { return must(l.dp.FlowStats(7))(l).Packets == 2 })
	s := must(l.dp.FlowStats(7))(l)
	if s.Bytes != uint64(len(syn)+len(ack)) || s.TCPFlags != 0x12 || s.Used.Before(before) || s.Used.After(time.Now().Add(time.Second)) {
		l.Errorf("statistics %+v after packets of %d and %d bytes with flags 2 and 0x10 at %v", s, len(syn), len(ack), time.Now())
	}
	l.put(f, output(3)) // replaces, keeps the counters
	l.send(1, syn)
	l.expect(3, syn)
	l.expectNothing()
	l.send(1, udpFrame(80)) // another protocol: a miss
	l.upcall()
	s, err := l.dp.FlowDel(7)
	if l.ok(err); s.Packets != 3 {
		l.Errorf("final statistics %+v, want 3 packets", s)
	}
	l.send(1, syn)
	l.upcall()
	l.expectNothing()
	l.eventually("port counters", func() bool {
		p2, p3 := must(l.dp.PortStats(2))(l), must(l.dp.PortStats(3))(l)
		return p2.TxPackets == 2 && p2.TxBytes == uint64(len(syn)+len(ack)) && p3.TxPackets == 1 && p3.TxDropped == 0
	})
	// An identifier may not come back, but the same key may.
	f.ID = 8
	l.put(f, output(2))
	l.send(1, syn)
	l.expect(2, syn)
}

func testDrop(l *lab) {
	l.put(l.match(1, 1, tcpFrame(2)))
	l.send(1, tcpFrame(2))
	l.eventually("the packet is counted", func() bool { return must(l.dp.FlowStats(1))(l).Packets == 1 })
	l.expectNothing()
}

// testMasks: flows with different masks side by side.
func testMasks(l *lab) {
	a, b := udpFrame(53), udpFrame(5353)
	arp := packettest.ARP(packettest.Addr{Src: 1, Dst: 2}, 1)
	l.put(l.match(1, 1, a, flow.FieldVLANTCI, flow.FieldEthType, flow.FieldIPFrag, flow.FieldIPProto, flow.FieldTPDst), output(2))
	l.put(l.match(2, 1, b, flow.FieldVLANTCI, flow.FieldEthType, flow.FieldIPFrag, flow.FieldIPProto, flow.FieldTPDst, flow.FieldEthSrc, flow.FieldIPSrc), output(3))
	l.put(l.match(3, 1, arp, flow.FieldVLANTCI, flow.FieldEthType), output(2), output(3))
	part := l.match(4, 2, a, flow.FieldVLANTCI, flow.FieldEthType)
	part.Mask.Set(flow.FieldIPDst, flow.U128{Lo: 0xffffff00})
	var k flow.Key
	k.SetU64(flow.FieldIPDst, 0x0a000000)
	part.Key.SetU64(flow.FieldIPDst, k.U64(flow.FieldIPDst))
	l.put(part, output(1))
	for range 3 {
		l.send(1, a)
		l.send(1, b)
		l.send(1, arp)
		l.send(2, a)
		l.send(2, b)
		l.expect(2, a)
		l.expect(3, b)
		l.expect(2, arp)
		l.expect(3, arp)
		l.expect(1, a)
		l.expect(1, b)
	}
	l.send(3, a)
	if u := l.upcall(); u.InPort != 3 {
		l.Errorf("upcall of port %d, want 3", u.InPort)
	}
	l.eventually("counters", func() bool {
		return must(l.dp.FlowStats(1))(l).Packets == 3 && must(l.dp.FlowStats(2))(l).Packets == 3 && must(l.dp.FlowStats(4))(l).Packets == 6
	})
}

// testErrors: what is refused, and with what.
func testErrors(l *lab) {
	want := func(what string, err, is error) {
		l.Helper()
		if !errors.Is(err, is) {
			l.Errorf("%s: %v, want %v", what, err, is)
		}
	}
	unsupported := func(what string, err error) {
		l.Helper()
		var u *dpif.Unsupported
		if !errors.As(err, &u) || u.Reason == "" {
			l.Errorf("%s: %v, want *Unsupported with a reason", what, err)
		}
	}
	h1 := must(l.nl.LinkByName("p1"))(l).Attrs()
	h2, _ := l.pair("x1", "x2")
	want("port number twice", l.dp.PortAdd(1, dpif.PortSpec{Name: "x1", Ifindex: h2.Attrs().Index}), dpif.ErrExist)
	want("device twice", l.dp.PortAdd(9, dpif.PortSpec{Name: "p1", Ifindex: h1.Index}), dpif.ErrExist)
	want("delete port that is not there", l.dp.PortDel(9), dpif.ErrNotExist)
	if err := l.dp.PortAdd(9, dpif.PortSpec{Name: "nothing", Ifindex: 99999}); err == nil {
		l.Error("a device that does not exist became a port")
	}
	lo := must(l.nl.LinkByName("lo"))(l).Attrs()
	if err := l.dp.PortAdd(9, dpif.PortSpec{Name: "lo", Ifindex: lo.Index}); err == nil {
		l.Error("a device that is not Ethernet became a port")
	}
	if err := l.dp.PortAdd(dpif.MaxPort+1, dpif.PortSpec{Name: "x1", Ifindex: h2.Attrs().Index}); err == nil {
		l.Error("a port number above the maximum was taken")
	}
	_, err := l.dp.PortStats(9)
	want("statistics of port that is not there", err, dpif.ErrNotExist)
	_, err = l.dp.FlowDel(1)
	want("delete flow that is not there", err, dpif.ErrNotExist)
	_, err = l.dp.FlowStats(1)
	want("statistics of flow that is not there", err, dpif.ErrNotExist)

	f := l.match(1, 1, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI)
	l.put(f, output(2))
	g := l.match(1, 1, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI, flow.FieldEthDst)
	if l.dp.FlowPut(g) == nil {
		l.Error("a flow got another mask under its ID")
	}
	g = l.match(2, 1, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI)
	want("the same key and mask under another ID", l.dp.FlowPut(g), dpif.ErrExist)
	f.Key.SetU64(flow.FieldTPDst, 80) // not in the mask
	if l.dp.FlowPut(f) == nil {
		l.Error("a key with bits outside of the mask was taken")
	}
	f = l.match(3, 1, tcpFrame(2), flow.FieldReg0)
	unsupported("match on a register", l.dp.FlowPut(f))
	f = l.match(4, 1, tcpFrame(2))
	f.Actions = []dpif.Action{dpif.Set{Field: flow.FieldReg0, Mask: flow.Ones(32)}}
	unsupported("set of a register", l.dp.FlowPut(f))
	f.Actions = make([]dpif.Action, l.dp.Features().MaxActions+1)
	for i := range f.Actions {
		f.Actions[i] = output(2)
	}
	unsupported("too many actions", l.dp.FlowPut(f))
	// None of it left anything behind.
	l.send(1, tcpFrame(2))
	l.expect(2, tcpFrame(2))
	if _, err := l.dp.FlowStats(4); !errors.Is(err, dpif.ErrNotExist) {
		l.Errorf("a refused flow is there: %v", err)
	}
}

func testClosed(l *lab) {
	l.ok(l.dp.Close())
	want := func(what string, err error) {
		l.Helper()
		if !errors.Is(err, dpif.ErrClosed) {
			l.Errorf("%s after Close: %v, want ErrClosed", what, err)
		}
	}
	f := l.match(1, 1, tcpFrame(2))
	want("FlowPut", l.dp.FlowPut(f))
	_, err := l.dp.FlowDel(1)
	want("FlowDel", err)
	_, err = l.dp.FlowStats(1)
	want("FlowStats", err)
	want("PortDel", l.dp.PortDel(1))
	want("PortAdd", l.dp.PortAdd(2, dpif.PortSpec{Name: "p1", Ifindex: l.hosts[1].link.Attrs().Index}))
	want("Execute", l.dp.Execute(1, dpif.Packet{Data: tcpFrame(2)}, nil))
	want("FlowDump", l.dp.FlowDump(func(dpif.FlowID, dpif.FlowStats) bool { return true }))
	want("Close", l.dp.Close())
}

// testOutputs: several outputs, each with the packet as it was then; one to
// the port of arrival, one to a port that is not there.
func testOutputs(l *lab) {
	d := udpFrame(53)
	l.put(l.match(1, 1, d, flow.FieldVLANTCI, flow.FieldEthType, flow.FieldIPProto),
		output(2),
		dpif.Set{Field: flow.FieldIPDst, Value: flow.U128{Lo: 0x0a000063}, Mask: flow.Ones(32)},
		output(3), output(77),
		dpif.PushVLAN{TPID: 0x8100, TCI: 5 | flow.VLANPresent},
		output(4), output(1),
		dpif.PopVLAN{},
		dpif.Set{Field: flow.FieldEthDst, Value: flow.U128{Lo: 0x02aabbccddee}, Mask: flow.Ones(48)},
		output(2))
	e := newEdit(d)
	e.Set(flow.FieldIPDst, flow.U128{Lo: 0x0a000063}, flow.Ones(32))
	set := bytes.Clone(e.Data())
	e.PushVLAN(0x8100, 5)
	tagged := bytes.Clone(e.Data())
	e.PopVLAN()
	e.Set(flow.FieldEthDst, flow.U128{Lo: 0x02aabbccddee}, flow.Ones(48))
	for range 2 {
		l.send(1, d)
		l.expect(2, d)
		l.expect(3, set)
		l.expect(4, tagged)
		l.expect(1, tagged)
		l.expect(2, e.Data())
	}
	l.expectNothing()
}

// testUserspace: the action hands over the packet as it is then.
func testUserspace(l *lab) {
	d := udpFrame(53)
	l.put(l.match(9, 1, d, flow.FieldVLANTCI, flow.FieldEthType, flow.FieldIPProto),
		dpif.Userspace{Arg: 11},
		dpif.Set{Field: flow.FieldIPTTL, Value: flow.U128{Lo: 3}, Mask: flow.Ones(8)},
		dpif.PushVLAN{TPID: 0x8100, TCI: 5 | flow.VLANPresent},
		dpif.Userspace{Arg: 0xffffffff},
		output(2))
	e := newEdit(d)
	e.Set(flow.FieldIPTTL, flow.U128{Lo: 3}, flow.Ones(8))
	e.PushVLAN(0x8100, 5)
	l.send(1, d)
	l.expect(2, e.Data())
	u := l.upcall()
	if u.Reason != dpif.ReasonAction || u.Flow != 9 || u.Arg != 11 || u.InPort != 1 || !bytes.Equal(u.Packet.Data, d) {
		l.Errorf("first upcall %+v, packet %x", u, u.Packet.Data)
	}
	u = l.upcall()
	if u.Reason != dpif.ReasonAction || u.Flow != 9 || u.Arg != 0xffffffff || !bytes.Equal(u.Packet.Data, e.Data()) {
		l.Errorf("second upcall %+v, packet %x, want %x", u, u.Packet.Data, e.Data())
	}
}

// testExecute: actions on a packet from user space.
func testExecute(l *lab) {
	d := udpFrame(53)
	e := newEdit(d)
	e.Set(flow.FieldUDPDst, flow.U128{Lo: 99}, flow.Ones(16))
	l.put(l.match(1, 1, d), output(3))
	l.ok(l.dp.Execute(1, dpif.Packet{Data: bytes.Clone(d)}, []dpif.Action{
		output(2), output(55),
		dpif.Set{Field: flow.FieldUDPDst, Value: flow.U128{Lo: 99}, Mask: flow.Ones(16)},
		dpif.Userspace{Arg: 5}, output(1),
	}))
	l.expect(2, d)
	l.expect(1, e.Data())
	u := l.upcall()
	if u.InPort != 1 || u.Reason != dpif.ReasonAction || u.Flow != 0 || u.Arg != 5 || !bytes.Equal(u.Packet.Data, e.Data()) {
		l.Errorf("upcall %+v", u)
	}
	l.expectNothing()
	if s := must(l.dp.FlowStats(1))(l); s.Packets != 0 {
		l.Errorf("Execute counted at a flow: %+v", s)
	}
	// A port of arrival that is none, as for a packet of a controller.
	l.ok(l.dp.Execute(dpif.MaxPort, dpif.Packet{Data: bytes.Clone(d)}, []dpif.Action{output(2)}))
	l.expect(2, d)
	// A packet without a header: an error or nothing.
	_ = l.dp.Execute(1, dpif.Packet{Data: d[:13]}, []dpif.Action{output(2)})
	_ = l.dp.Execute(1, dpif.Packet{}, []dpif.Action{output(2)})
	l.expectNothing()
}

// testDump: every flow once, and an early end.
func testDump(l *lab) {
	const n = 300
	for i := range dpif.FlowID(n) {
		f := l.match(i+1, 1, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI)
		f.Mask.SetAll(flow.FieldEthSrc)
		f.Key.SetU64(flow.FieldEthSrc, uint64(0x020000000000+i))
		l.put(f, output(1))
	}
	seen := map[dpif.FlowID]int{}
	l.ok(l.dp.FlowDump(func(id dpif.FlowID, s dpif.FlowStats) bool {
		seen[id]++
		return true
	}))
	if len(seen) != n {
		l.Errorf("dumped %d flows, want %d", len(seen), n)
	}
	for id, c := range seen {
		if c != 1 || id < 1 || id > n {
			l.Errorf("flow %d dumped %d times", id, c)
		}
	}
	calls := 0
	l.ok(l.dp.FlowDump(func(dpif.FlowID, dpif.FlowStats) bool { calls++; return calls < 3 }))
	if calls != 3 {
		l.Errorf("dump went on to %d calls", calls)
	}
	for i := range dpif.FlowID(n) {
		_, err := l.dp.FlowDel(i + 1)
		l.ok(err)
	}
	l.ok(l.dp.FlowDump(func(id dpif.FlowID, s dpif.FlowStats) bool {
		l.Errorf("flow %d is still there", id)
		return true
	}))
}

// testUpcallBounds: a port that floods while user space is busy loses its own
// packets; another's first packet gets through.
func testUpcallBounds(l *lab) {
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	l.Cleanup(release)
	wait := func(u *dpif.Upcall) {
		<-hold
		l.keep(u)
	}
	l.onUp.Store(&wait)
	const flood = 6000
	d := udpFrame(53)
	for i := range flood {
		l.send(1, d)
		if i%100 == 99 {
			time.Sleep(time.Millisecond)
		}
	}
	l.eventually("all packets of port 1 are handed over or dropped", func() bool {
		s := must(l.dp.PortStats(1))(l)
		return s.UpcallPackets+s.UpcallDropped == flood
	})
	s := must(l.dp.PortStats(1))(l)
	if s.UpcallDropped == 0 {
		l.Errorf("%d packets wait: there is no bound", s.UpcallPackets)
	}
	l.send(2, d)
	l.eventually("port 2's packet waits", func() bool { return must(l.dp.PortStats(2))(l).UpcallPackets == 1 })
	release()
	for i := range flood {
		if u := l.upcall(); u.InPort == 2 {
			l.Logf("port 1: %d delivered or waiting, %d dropped; port 2's packet came behind %d of them", s.UpcallPackets, s.UpcallDropped, i)
			return
		}
	}
	l.Error("port 2's packet did not come")
}

// testPortDelete: ports go while packets flow.
func testPortDelete(l *lab) {
	d := udpFrame(53)
	l.put(l.match(1, 1, d), output(2), output(3))
	stop, done := make(chan struct{}), make(chan struct{})
	sock := l.hosts[1].sock
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = sendPlain(sock, d)
				time.Sleep(50 * time.Microsecond)
			}
		}
	}()
	drain := func(no dpif.Port) (n int) {
		for {
			select {
			case <-l.hosts[no].in:
				n++
			default:
				return n
			}
		}
	}
	arrives := func(no dpif.Port) { l.eventually("packets arrive", func() bool { return drain(no) > 0 }) }
	for range 5 {
		arrives(2)
		arrives(3)
		l.ok(l.dp.PortDel(2))
		time.Sleep(10 * time.Millisecond)
		drain(2)
		time.Sleep(20 * time.Millisecond)
		if n := drain(2); n != 0 {
			l.Errorf("%d packets on a port that was deleted", n)
		}
		arrives(3)
		p := must(l.nl.LinkByName("p2"))(l).Attrs()
		l.ok(l.dp.PortAdd(2, dpif.PortSpec{Name: p.Name, Ifindex: p.Index}))
		if s := must(l.dp.PortStats(2))(l); s.RxPackets != 0 {
			l.Errorf("counters of a new port: %+v", s)
		}
	}
	// The port that the packets come from.
	l.ok(l.dp.PortDel(1))
	time.Sleep(10 * time.Millisecond)
	before := must(l.dp.FlowStats(1))(l).Packets
	time.Sleep(20 * time.Millisecond)
	if after := must(l.dp.FlowStats(1))(l).Packets; after != before {
		l.Errorf("%d packets of a deleted port matched", after-before)
	}
	close(stop)
	<-done
	// The device goes without a word.
	l.ok(l.nl.LinkDel(must(l.nl.LinkByName("p2"))(l)))
	l.ok(l.dp.Execute(3, dpif.Packet{Data: bytes.Clone(d)}, []dpif.Action{output(2), output(3)}))
	l.eventually("the other port still works", func() bool { return drain(3) > 0 })
	if err := l.dp.PortDel(2); err != nil {
		l.Errorf("delete of a port whose device has gone: %v", err)
	}
	if err := l.dp.PortDel(2); !errors.Is(err, dpif.ErrNotExist) {
		l.Errorf("second delete: %v", err)
	}
}

// testSendOnly: a port that only sends takes no frame from its device, whose other users see all of them.
func testSendOnly(l *lab) {
	dev, peer := l.pair("p3", "h3")
	l.ok(l.dp.PortAdd(3, dpif.PortSpec{Name: dev.Attrs().Name, Ifindex: dev.Attrs().Index, SendOnly: true}))
	h := &host{no: 3, link: peer, in: make(chan []byte, 8192)}
	h.sock = must(netdev.OpenRaw(peer.Attrs().Index, netdev.RawConfig{Receive: true, Promisc: true}))(l)
	l.hosts[3] = h
	go h.read()
	other := must(netdev.OpenRaw(dev.Attrs().Index, netdev.RawConfig{Receive: true, Promisc: true}))(l)
	defer other.Close()
	seen := make(chan int, 1)
	go func() {
		if n, err := other.ReadBatch(); err == nil {
			seen <- n
		}
	}()
	d := udpFrame(53)
	l.put(l.match(1, 1, d), output(3))
	l.put(l.match(3, 3, d), output(2))
	l.send(1, d)
	l.expect(3, d)
	l.ok(l.dp.Execute(1, dpif.Packet{Data: bytes.Clone(d)}, []dpif.Action{output(3)}))
	l.expect(3, d)
	l.send(3, d)
	l.expectNothing()
	select {
	case <-seen:
	case <-time.After(patience):
		l.Error("the frame did not get past the port")
	}
	l.eventually("two packets are counted", func() bool { return must(l.dp.PortStats(3))(l).TxPackets == 2 })
	if s := must(l.dp.PortStats(3))(l); s.RxPackets != 0 || s.UpcallPackets != 0 {
		l.Errorf("counters %+v", s)
	}
	l.ok(l.dp.PortDel(3))
	l.ok(l.dp.PortAdd(3, dpif.PortSpec{Name: dev.Attrs().Name, Ifindex: dev.Attrs().Index}))
	l.send(3, d)
	l.expect(2, d)
	l.ok(l.dp.PortDel(3))
	l.ok(l.dp.PortAdd(3, dpif.PortSpec{Name: dev.Attrs().Name, Ifindex: dev.Attrs().Index, SendOnly: true}))
}

// testLinkDown: output to a device that is down drops and counts once, as a
// drop where the datapath is told of it; it works again when it is up.
func testLinkDown(l *lab) {
	d := udpFrame(53)
	l.put(l.match(1, 1, d), output(2))
	l.send(1, d)
	l.expect(2, d)
	p2 := must(l.nl.LinkByName("p2"))(l)
	l.ok(l.nl.LinkSetDown(p2))
	l.send(1, d)
	l.eventually("the output is counted at port 2", func() bool {
		s := must(l.dp.PortStats(2))(l)
		return s.TxDropped+s.TxPackets == 2 && s.TxPackets >= 1
	})
	if s := must(l.dp.PortStats(2))(l); s.TxDropped != 1 {
		l.Logf("this datapath is not told that the device is down: %+v", s)
	}
	l.ok(l.nl.LinkSetUp(p2))
	l.running(l.nl, "p2")
	l.running(l.nl, "h2")
	l.put(l.match(2, 2, d), output(1))
	l.send(1, d)
	l.expect(2, d)
	l.send(2, d)
	l.expect(1, d)
}
