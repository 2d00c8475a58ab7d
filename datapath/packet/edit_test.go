// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// headers are the values of a packet that gopacket builds.
type headers struct {
	v6       bool
	proto    layers.IPProtocol
	src, dst uint64 // MAC
	vlan     uint16
	pcp      uint8
	ip       [2][]byte
	tos, ttl uint8
	label    uint32
	sp, dp   uint16 // ports, or ICMP type and code
	target   []byte
	sll      uint64
	payload  []byte
}

func randomHeaders(r *rand.Rand, v6 bool, proto layers.IPProtocol) headers {
	b := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	n := 4
	if v6 {
		n = 16
	}
	h := headers{
		v6: v6, proto: proto, src: r.Uint64() >> 16, dst: r.Uint64() >> 16, vlan: uint16(r.IntN(4096)), pcp: uint8(r.IntN(8)),
		ip: [2][]byte{b(n), b(n)}, tos: uint8(r.Uint32()), ttl: uint8(r.Uint32()), label: r.Uint32() & 0xfffff,
		sp: uint16(r.Uint32()), dp: uint16(r.Uint32()), target: b(16), sll: r.Uint64() >> 16, payload: b(4 + r.IntN(60)),
	}
	if proto == layers.IPProtocolICMPv4 || proto == layers.IPProtocolICMPv6 {
		h.sp, h.dp = h.sp&0xff, h.dp&0xff
	}
	return h
}

func macBytes(v uint64) net.HardwareAddr {
	return net.HardwareAddr{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

// build serialises h by gopacket, with gopacket's checksums.
func build(t *testing.T, h *headers, nd bool) []byte {
	t.Helper()
	ls := []gopacket.SerializableLayer{
		&layers.Ethernet{SrcMAC: macBytes(h.src), DstMAC: macBytes(h.dst), EthernetType: layers.EthernetTypeDot1Q},
	}
	q := &layers.Dot1Q{Priority: h.pcp, VLANIdentifier: h.vlan, Type: layers.EthernetTypeIPv4}
	var nl interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	}
	if h.v6 {
		q.Type = layers.EthernetTypeIPv6
		nl = &layers.IPv6{Version: 6, TrafficClass: h.tos, FlowLabel: h.label, NextHeader: h.proto, HopLimit: h.ttl, SrcIP: h.ip[0], DstIP: h.ip[1]}
	} else {
		nl = &layers.IPv4{Version: 4, TOS: h.tos, TTL: h.ttl, Protocol: h.proto, SrcIP: h.ip[0], DstIP: h.ip[1], Id: 7}
	}
	ls = append(ls, q, nl)
	switch h.proto {
	case layers.IPProtocolTCP:
		l := &layers.TCP{SrcPort: layers.TCPPort(h.sp), DstPort: layers.TCPPort(h.dp), Seq: 1, SYN: true, Window: 9}
		_ = l.SetNetworkLayerForChecksum(nl)
		ls = append(ls, l)
	case layers.IPProtocolUDP:
		l := &layers.UDP{SrcPort: layers.UDPPort(h.sp), DstPort: layers.UDPPort(h.dp)}
		_ = l.SetNetworkLayerForChecksum(nl)
		ls = append(ls, l)
	case layers.IPProtocolSCTP:
		ls = append(ls, &layers.SCTP{SrcPort: layers.SCTPPort(h.sp), DstPort: layers.SCTPPort(h.dp)})
	case layers.IPProtocolICMPv4:
		ls = append(ls, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(uint8(h.sp), uint8(h.dp)), Id: 3})
	case layers.IPProtocolICMPv6:
		tc := layers.CreateICMPv6TypeCode(uint8(h.sp), uint8(h.dp))
		if nd {
			tc = layers.CreateICMPv6TypeCode(135, 0)
		}
		l := &layers.ICMPv6{TypeCode: tc}
		_ = l.SetNetworkLayerForChecksum(nl)
		ls = append(ls, l)
		if nd {
			ls = append(ls, &layers.ICMPv6NeighborSolicitation{
				TargetAddress: h.target,
				Options:       layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: macBytes(h.sll)}},
			})
			h.payload = nil
		}
	}
	ls = append(ls, gopacket.Payload(h.payload))
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

func ipU128(b []byte) (v flow.U128) {
	for _, c := range b {
		v = v.Lsh(8).Or(flow.U128{Lo: uint64(c)})
	}
	return v
}

// TestSetAgainstGopacket turns a packet into another by Sets and expects the
// bytes that gopacket builds for that other, checksums included.
func TestSetAgainstGopacket(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	all := flow.Ones(128)
	type shape struct {
		v6    bool
		proto layers.IPProtocol
		nd    bool
	}
	shapes := []shape{
		{false, layers.IPProtocolTCP, false}, {false, layers.IPProtocolUDP, false}, {false, layers.IPProtocolSCTP, false},
		{false, layers.IPProtocolICMPv4, false}, {true, layers.IPProtocolTCP, false}, {true, layers.IPProtocolUDP, false},
		{true, layers.IPProtocolSCTP, false}, {true, layers.IPProtocolICMPv6, false}, {true, layers.IPProtocolICMPv6, true},
	}
	for i := range 3000 {
		s := shapes[i%len(shapes)]
		a, b := randomHeaders(r, s.v6, s.proto), randomHeaders(r, s.v6, s.proto)
		b.payload = a.payload
		from, want := build(t, &a, s.nd), build(t, &b, s.nd)
		var f packet.Frame
		var k flow.Key
		f.Reset(bytes.Clone(from), 0, dpif.GSO{})
		f.Parse(&packet.Meta{}, 2, &k)
		set := func(fl flow.Field, v flow.U128) { f.Set(fl, v, all) }
		u := func(v uint64) flow.U128 { return flow.U128{Lo: v} }
		set(flow.FieldEthSrc, u(b.src))
		set(flow.FieldEthDst, u(b.dst))
		set(flow.FieldVLANVID, u(uint64(b.vlan)))
		set(flow.FieldVLANPCP, u(uint64(b.pcp)))
		if s.v6 {
			set(flow.FieldIPv6Src, ipU128(b.ip[0]))
			set(flow.FieldIPv6Dst, ipU128(b.ip[1]))
			set(flow.FieldIPv6Label, u(uint64(b.label)))
		} else {
			set(flow.FieldIPSrc, ipU128(b.ip[0]))
			set(flow.FieldIPDst, ipU128(b.ip[1]))
		}
		if r.IntN(2) == 0 {
			set(flow.FieldIPTOS, u(uint64(b.tos)))
		} else {
			set(flow.FieldIPECN, u(uint64(b.tos&3)))
			set(flow.FieldIPDSCP, u(uint64(b.tos>>2)))
		}
		set(flow.FieldIPTTL, u(uint64(b.ttl)))
		if s.nd {
			set(flow.FieldNDTarget, ipU128(b.target))
			set(flow.FieldNDSLL, u(b.sll))
		} else {
			set(flow.FieldTPSrc, u(uint64(b.sp)))
			set(flow.FieldTPDst, u(uint64(b.dp)))
		}
		if !bytes.Equal(f.Data(), want) {
			t.Fatalf("%d %v:\nfrom %x\ngot  %x\nwant %x", i, s, from, f.Data(), want)
		}
	}
}

var settable = func() (s []flow.Field) {
	for f := flow.Field(1); f < flow.NumFields; f++ {
		if packet.Settable(f) {
			s = append(s, f)
		}
	}
	return s
}()

// TestSettable: every writable field of the packet can be set, and no other.
func TestSettable(t *testing.T) {
	if packet.Settable(flow.FieldIPProto) || packet.Settable(flow.FieldTCPFlags) || packet.Settable(flow.FieldInPort) || packet.Settable(flow.FieldReg0) {
		t.Error("a field that is not writable is settable")
	}
	for f := flow.FieldEthDst; f < flow.NumFields; f++ {
		if f.Info().Writable != packet.Settable(f) {
			t.Errorf("%v: writable %v, settable %v", f, f.Info().Writable, packet.Settable(f))
		}
	}
}

// checkEdits parses frame, does n random Sets, and checks after each of them that
// the parsed key is the old one with the field set, that right checksums
// stay right, and that nothing but the packet changed in length.
func checkEdits(t *testing.T, frame []byte, r *rand.Rand, n int) {
	t.Helper()
	var f packet.Frame
	var k, after flow.Key
	f.Reset(bytes.Clone(frame), 0, dpif.GSO{})
	if !f.Parse(&packet.Meta{}, 2, &k) {
		return
	}
	l := *f.Layers()
	partial := r.IntN(4) == 0 && l.L4 != 0 && l.Frag == 0 && !l.Routed &&
		(l.Proto == packet.ProtoTCP || l.Proto == packet.ProtoUDP) && packet.L4Valid(f.Data(), &l)
	if partial {
		makePartial(f.Data(), &l)
		f.SetGSO(dpif.GSO{NeedsCsum: true})
	}
	ip, l4 := packet.IPv4Valid(f.Data(), &l), packet.L4Valid(f.Data(), &l) || partial
	for range n {
		fl := settable[r.IntN(len(settable))]
		v, m := flow.U128{Hi: r.Uint64(), Lo: r.Uint64()}, flow.U128{Hi: r.Uint64(), Lo: r.Uint64()}
		if r.IntN(2) == 0 {
			m = flow.Ones(128)
		}
		if l.Proto == packet.ProtoICMPv6 {
			switch fl {
			case flow.FieldNDOptionsType, flow.FieldTPSrc, flow.FieldTPDst, flow.FieldICMPv6Type, flow.FieldICMPv6Code:
				continue // changes which other fields there are
			}
		}
		if l.L4 != 0 && l.Proto == packet.ProtoICMP && (fl == flow.FieldTPSrc || fl == flow.FieldTPDst) {
			m = m.And(flow.Ones(8)) // the wire has no more
		}
		before := bytes.Clone(f.Data())
		f.Set(fl, v, m)
		f.Parse(&packet.Meta{}, 2, &after)
		if *f.Layers() != l {
			t.Fatalf("set %v: layers %+v, were %+v\nframe %x", fl, *f.Layers(), l, before)
		}
		want := k
		if has(&l, fl) {
			want.SetMasked(fl, v, m)
			if l.VLANs > 0 {
				want.SetMasked(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent}, flow.U128{Lo: flow.VLANPresent})
			}
		}
		if after != want {
			t.Fatalf("set %v to %x under %x: key differs\nbefore %x\nafter  %x", fl, v, m, before, f.Data())
		}
		if ip && !packet.IPv4Valid(f.Data(), &l) {
			t.Fatalf("set %v to %x under %x: IPv4 checksum wrong\nbefore %x\nafter  %x", fl, v, m, before, f.Data())
		}
		if partial {
			var g packet.Frame
			g.Reset(bytes.Clone(f.Data()), 0, dpif.GSO{NeedsCsum: true})
			g.Parse(&packet.Meta{}, 2, &after)
			if !packet.LooksPartial(g.Data(), g.Layers()) {
				t.Fatalf("set %v to %x under %x: not partial any more\nbefore %x\nafter  %x", fl, v, m, before, f.Data())
			}
			g.FinishCsum()
			if !packet.L4Valid(g.Data(), g.Layers()) {
				t.Fatalf("set %v: finished checksum wrong: %x", fl, g.Data())
			}
		} else if l4 && !packet.L4Valid(f.Data(), &l) {
			t.Fatalf("set %v to %x under %x: transport checksum wrong\nbefore %x\nafter  %x", fl, v, m, before, f.Data())
		}
		k = want
	}
	full := bytes.Clone(f.Data())
	tpid, tci := uint16(packet.TypeVLAN), uint16(r.Uint32())
	f.PushVLAN(tpid, tci)
	if len(f.Data()) != len(full)+4 {
		t.Fatalf("push: %d bytes from %d", len(f.Data()), len(full))
	}
	if !partial && l4 && !packet.L4Valid(f.Data(), f.Layers()) {
		t.Fatalf("push: layers wrong: %+v", *f.Layers())
	}
	f.PopVLAN()
	if !bytes.Equal(f.Data(), full) || *f.Layers() != l {
		t.Fatalf("push and pop: %x, was %x", f.Data(), full)
	}
}

// has reports whether a packet with layers l has f, by the rules of doc.go.
func has(l *packet.Layers, f flow.Field) bool {
	tp := l.L4 != 0
	ports := tp && (l.Proto == packet.ProtoTCP || l.Proto == packet.ProtoUDP || l.Proto == packet.ProtoSCTP && l.Frag == 0)
	icmp := tp && (l.Proto == packet.ProtoICMP || l.Proto == packet.ProtoICMPv6)
	switch f {
	case flow.FieldEthDst, flow.FieldEthSrc:
		return true
	case flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldDLVLAN, flow.FieldVLANPCP:
		return l.VLANs > 0
	case flow.FieldMPLSLabel, flow.FieldMPLSTC, flow.FieldMPLSTTL:
		return l.Net == packet.NetMPLS
	case flow.FieldARPOp, flow.FieldARPSHA, flow.FieldARPSPA, flow.FieldARPTHA, flow.FieldARPTPA:
		return l.Net == packet.NetARP
	case flow.FieldIPSrc, flow.FieldIPDst:
		return l.Net == packet.NetIPv4
	case flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label:
		return l.Net == packet.NetIPv6
	case flow.FieldIPTOS, flow.FieldIPDSCP, flow.FieldIPECN, flow.FieldIPTTL:
		return l.Net == packet.NetIPv4 || l.Net == packet.NetIPv6
	case flow.FieldTPSrc, flow.FieldTPDst:
		return ports || icmp
	case flow.FieldTCPSrc, flow.FieldTCPDst:
		return tp && l.Proto == packet.ProtoTCP
	case flow.FieldUDPSrc, flow.FieldUDPDst:
		return tp && l.Proto == packet.ProtoUDP
	case flow.FieldSCTPSrc, flow.FieldSCTPDst:
		return ports && l.Proto == packet.ProtoSCTP
	case flow.FieldICMPType, flow.FieldICMPCode:
		return tp && l.Proto == packet.ProtoICMP
	case flow.FieldICMPv6Type, flow.FieldICMPv6Code:
		return tp && l.Proto == packet.ProtoICMPv6
	case flow.FieldNDTarget, flow.FieldNDReserved:
		return l.ND
	case flow.FieldNDSLL:
		return l.SLL != 0
	case flow.FieldNDTLL:
		return l.TLL != 0
	case flow.FieldNDOptionsType:
		return l.SLL|l.TLL != 0
	}
	return false
}

// makePartial puts the sum of the pseudo header into the checksum field.
func makePartial(d []byte, l *packet.Layers) {
	at, _ := l.CsumAt()
	c := d[l.L4+at:]
	c[0], c[1] = 0, 0
	var ph []byte
	n := l.End - l.L4
	if l.Net == packet.NetIPv4 {
		ph = append(ph, d[l.L3+12:l.L3+20]...)
	} else {
		ph = append(ph, d[l.L3+8:l.L3+40]...)
	}
	ph = append(ph, 0, l.Proto, byte(n>>8), byte(n))
	p := packet.Sum(ph, 0)
	c[0], c[1] = byte(p>>8), byte(p)
}

func TestEdits(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	g := packettest.New(seed)
	for range 30000 {
		checkEdits(t, g.Next(), g.Rand(), 6)
	}
}

func FuzzEdits(f *testing.F) {
	g := packettest.New(1)
	for i := range uint64(40) {
		f.Add(g.Next(), i)
	}
	f.Fuzz(func(t *testing.T, frame []byte, seed uint64) {
		if len(frame) > 70000 {
			return
		}
		checkEdits(t, frame, rand.New(rand.NewPCG(seed, 0)), 8)
	})
}

// TestICMPv6Retype: changing the type of the ND option moves the address.
func TestICMPv6Retype(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	h := randomHeaders(r, true, layers.IPProtocolICMPv6)
	var f packet.Frame
	var k flow.Key
	f.Reset(build(t, &h, true), 0, dpif.GSO{})
	f.Parse(&packet.Meta{}, 1, &k)
	f.Set(flow.FieldNDOptionsType, flow.U128{Lo: 2}, flow.Ones(8))
	f.Set(flow.FieldNDTLL, flow.U128{Lo: 0x020304050607}, flow.Ones(48))
	l := *f.Layers()
	f.Parse(&packet.Meta{}, 1, &k)
	if l != *f.Layers() || !packet.L4Valid(f.Data(), &l) || k.U64(flow.FieldNDSLL) != 0 || k.U64(flow.FieldNDTLL) != 0x020304050607 || k.U64(flow.FieldNDOptionsType) != 2 {
		t.Errorf("after set of the option type: %x, layers %+v", f.Data(), *f.Layers())
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSegment: the segments of a train are packets that gopacket reads, with
// right checksums, and together they are the payload.
func TestSegment(t *testing.T) {
	const seed = 9
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range 200 {
		v6, proto := i%2 == 0, layers.IPProtocolTCP
		if i%4 >= 2 {
			proto = layers.IPProtocolUDP
		}
		h := randomHeaders(r, v6, proto)
		h.payload = make([]byte, 1+r.IntN(20000))
		for j := range h.payload {
			h.payload[j] = byte(r.Uint32())
		}
		var f packet.Frame
		var k flow.Key
		partial := r.IntN(2) == 0
		d := build(t, &h, false)
		f.Reset(d, 0, dpif.GSO{Size: 1448, NeedsCsum: partial})
		f.Parse(&packet.Meta{}, 1, &k)
		if partial {
			makePartial(f.Data(), f.Layers())
		}
		var got []byte
		n := 0
		err := f.Segment(func(b []byte) {
			p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
			if p.ErrorLayer() != nil {
				t.Fatalf("segment %d: %v", n, p.ErrorLayer().Error())
			}
			var k2 flow.Key
			var l packet.Layers
			packet.Parse(b, &packet.Meta{}, 1, &k2, &l)
			if !packet.IPv4Valid(b, &l) || !packet.L4Valid(b, &l) {
				t.Fatalf("segment %d: checksum wrong: %x", n, b[:80])
			}
			if tcp, ok := p.TransportLayer().(*layers.TCP); ok && tcp.Seq != uint32(1+n*1448) {
				t.Fatalf("segment %d: sequence %d", n, tcp.Seq)
			}
			got = append(got, p.TransportLayer().LayerPayload()...)
			n++
		})
		if err != nil || !bytes.Equal(got, h.payload) || n != (len(h.payload)+1447)/1448 {
			t.Fatalf("%d segments of %d bytes, want %d: %v", n, len(got), len(h.payload), err)
		}
	}
}

func TestSegmentRefuses(t *testing.T) {
	var f packet.Frame
	var k flow.Key
	f.Reset(unhex(t, "0200000000010200000000020806"+"0001080006040001020000000001"+"0a000001000000000000"+"0a000002"), 0, dpif.GSO{Size: 1000})
	f.Parse(&packet.Meta{}, 1, &k)
	if err := f.Segment(func([]byte) { t.Error("emitted") }); err == nil {
		t.Error("an ARP packet was segmented")
	}
}

func TestEditAllocs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	h := randomHeaders(r, false, layers.IPProtocolTCP)
	d := build(t, &h, false)
	buf := make([]byte, packet.Headroom+len(d))
	var f packet.Frame
	var k flow.Key
	m := packet.Meta{InPort: 1}
	n := testing.AllocsPerRun(100, func() {
		copy(buf[packet.Headroom:], d)
		f.Reset(buf, packet.Headroom, dpif.GSO{})
		f.Parse(&m, 1, &k)
		f.PopVLAN()
		f.Set(flow.FieldIPDst, flow.U128{Lo: 0x0a000001}, flow.Ones(32))
		f.Set(flow.FieldTPDst, flow.U128{Lo: 80}, flow.Ones(16))
		f.PushVLAN(packet.TypeVLAN, 5)
	})
	if n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// FuzzLabels holds that a label that was pushed can be read, changes nothing else, and leaves
// the frame and what is known of it as they were when it is popped.
func FuzzLabels(f *testing.F) {
	f.Add(packettest.UDP(packettest.Addr{Src: 1, Dst: 2}, 1, 2, []byte("x")), uint32(0x12345))
	f.Add(packettest.Tag(0x8100, 5, packettest.ARP(packettest.Addr{Src: 1, Dst: 2}, 1)), uint32(0x1ff))
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\x47\x00\x00\xa0\x40\x00\x00\xb1\x41E"), uint32(0))
	f.Fuzz(func(t *testing.T, d []byte, lse uint32) {
		var fr packet.Frame
		var k, pushed, after flow.Key
		fr.Reset(bytes.Clone(d), 0, dpif.GSO{})
		if !fr.Parse(&packet.Meta{}, 2, &k) {
			return
		}
		typ := uint16(d[fr.Layers().Type])<<8 | uint16(d[fr.Layers().Type+1])
		if typ < 0x600 {
			return // a length: with a label it would be a type
		}
		before := *fr.Layers()
		fr.PushMPLS(0x8847, lse)
		if b := fr.Data(); len(b) != len(d)+4 || !bytes.Equal(b[:before.Type], d[:before.Type]) || !bytes.Equal(b[before.Type+6:], d[before.Type+2:]) {
			t.Fatalf("%x with a label is %x", d, b)
		}
		var l packet.Layers
		if !packet.Parse(fr.Data(), &packet.Meta{}, 2, &pushed, &l) || l.Net != packet.NetMPLS || pushed.U64(flow.FieldMPLS0) != uint64(lse) {
			t.Fatalf("%x: label %#x is read as %#x", fr.Data(), lse, pushed.U64(flow.FieldMPLS0))
		}
		fr.PopMPLS(typ)
		if !bytes.Equal(fr.Data(), d) || *fr.Layers() != before {
			t.Fatalf("%x came back as %x, %+v as %+v", d, fr.Data(), before, *fr.Layers())
		}
		if fr.Parse(&packet.Meta{}, 2, &after); after != k {
			t.Fatalf("another key of %x", d)
		}
	})
}
