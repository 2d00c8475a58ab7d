// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// newEdit returns a copy of frame, parsed, to compute what should come out.
func newEdit(frame []byte) *packet.Frame {
	var f packet.Frame
	var k flow.Key
	f.Reset(bytes.Clone(frame), 0, dpif.GSO{})
	f.Parse(&packet.Meta{}, maxVLANs, &k)
	return &f
}

func sendPlain(s *netdev.RawSocket, frame []byte) error { return s.Send(frame, &netdev.VnetHdr{}) }

// once installs a flow for everything of port 1, sends a frame and compares
// what port 2 sends. It reports false if the datapath cannot do the actions.
func (l *lab) once(what string, id dpif.FlowID, in, want []byte, actions ...dpif.Action) bool {
	l.Helper()
	f := l.match(id, 1, in, flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPProto, flow.FieldIPFrag)
	if !l.putOrSkip(what, f, append(actions, output(2))...) {
		return false
	}
	l.send(1, in)
	select {
	case got := <-l.hosts[2].in:
		if !bytes.Equal(got, want) {
			l.Errorf("%s:\nsent %x\ngot  %x\nwant %x", what, in, got, want)
		}
	case <-time.After(patience):
		l.Fatalf("%s: nothing came; want %x", what, want)
	}
	_, err := l.dp.FlowDel(id)
	l.ok(err)
	return true
}

// testVLAN: push, pop and change of tags, and matching them.
func testVLAN(l *lab) {
	a := packettest.Addr{Src: 1, Dst: 2}
	plain := packettest.UDP(a, 1, 2, []byte("hello"))
	v6 := packettest.IPv6(a, packet.ProtoTCP, packettest.TCPHeader(1, 2, 2, nil), 16)
	const present = flow.VLANPresent
	all := flow.Ones(16)
	push := func(tpid, tci uint16) dpif.Action { return dpif.PushVLAN{TPID: tpid, TCI: tci | present} }
	set := func(f flow.Field, v uint64) dpif.Action {
		return dpif.Set{Field: f, Value: flow.U128{Lo: v}, Mask: all}
	}
	id := dpif.FlowID(1)
	for _, p := range [][]byte{plain, v6, packettest.ARP(a, 1)} {
		tagged := packettest.Tag(0x8100, 0xa005, p)
		qinq := packettest.Tag(0x88a8, 0x0007, packettest.Tag(0x8100, 0x6009, p))
		for _, c := range []struct {
			what     string
			in, want []byte
			actions  []dpif.Action
		}{
			{"push", p, packettest.Tag(0x8100, 0xe064, p), []dpif.Action{push(0x8100, 0xe064)}},
			{"push 88a8", p, packettest.Tag(0x88a8, 1, p), []dpif.Action{push(0x88a8, 1)}},
			{"pop", tagged, p, []dpif.Action{dpif.PopVLAN{}}},
			{"unchanged", tagged, tagged, nil},
			{"unchanged QinQ", qinq, qinq, nil},
			{"pop and push", tagged, packettest.Tag(0x8100, 0x2006, p), []dpif.Action{dpif.PopVLAN{}, push(0x8100, 0x2006)}},
			{"pop outer", qinq, packettest.Tag(0x8100, 0x6009, p), []dpif.Action{dpif.PopVLAN{}}},
			{"pop both", qinq, p, []dpif.Action{dpif.PopVLAN{}, dpif.PopVLAN{}}},
			{"push second", tagged, packettest.Tag(0x88a8, 0x0003, tagged), []dpif.Action{push(0x88a8, 3)}},
			{"push two", p, packettest.Tag(0x88a8, 0x0003, packettest.Tag(0x8100, 4, p)), []dpif.Action{push(0x8100, 4), push(0x88a8, 3)}},
			{"set VID", tagged, packettest.Tag(0x8100, 0xa123, p), []dpif.Action{set(flow.FieldVLANVID, 0x123|present)}},
			{"set dl_vlan", tagged, packettest.Tag(0x8100, 0xa124, p), []dpif.Action{set(flow.FieldDLVLAN, 0x124)}},
			{"set PCP", tagged, packettest.Tag(0x8100, 0x6005, p), []dpif.Action{set(flow.FieldVLANPCP, 3)}},
			{"set TCI", tagged, packettest.Tag(0x8100, 0x6006, p), []dpif.Action{set(flow.FieldVLANTCI, 0x6006|present)}},
			{"set VID of QinQ", qinq, packettest.Tag(0x88a8, 0x0123, packettest.Tag(0x8100, 0x6009, p)), []dpif.Action{set(flow.FieldVLANVID, 0x123|present)}},
			{"set the pushed", p, packettest.Tag(0x8100, 0x2123, p), []dpif.Action{push(0x8100, 0x2001), set(flow.FieldDLVLAN, 0x123)}},
			{"pop and set TTL", tagged, ttl(p, 7), []dpif.Action{dpif.PopVLAN{}, dpif.Set{Field: flow.FieldIPTTL, Value: flow.U128{Lo: 7}, Mask: flow.Ones(8)}}},
			{"push and set TTL", p, packettest.Tag(0x8100, 5, ttl(p, 7)), []dpif.Action{push(0x8100, 5), dpif.Set{Field: flow.FieldIPTTL, Value: flow.U128{Lo: 7}, Mask: flow.Ones(8)}}},
		} {
			l.once(c.what, id, c.in, c.want, c.actions...)
			id++
		}
		// A flow for the tagged does not take the untagged or another tag.
		f := l.match(id, 1, tagged, flow.FieldEthType, flow.FieldVLANTCI)
		l.put(f, output(2))
		l.send(1, p)
		if u := l.upcall(); !bytes.Equal(u.Packet.Data, p) {
			l.Errorf("upcall of %x, want %x", u.Packet.Data, p)
		}
		other := packettest.Tag(0x8100, 0xa006, p)
		l.send(1, other)
		if u := l.upcall(); !bytes.Equal(u.Packet.Data, other) {
			l.Errorf("upcall of %x, want %x", u.Packet.Data, other)
		}
		l.send(1, qinq)
		if u := l.upcall(); !bytes.Equal(u.Packet.Data, qinq) {
			l.Errorf("upcall of %x, want %x", u.Packet.Data, qinq)
		}
		l.send(1, tagged)
		l.expect(2, tagged)
		s, err := l.dp.FlowDel(id)
		if l.ok(err); s.Packets != 1 || s.Bytes != uint64(len(tagged)) {
			l.Errorf("statistics of a tagged packet of %d bytes: %+v", len(tagged), s)
		}
		id++
	}
}

// ttl returns frame with that TTL, if it has one.
func ttl(frame []byte, v uint64) []byte {
	e := newEdit(frame)
	e.Set(flow.FieldIPTTL, flow.U128{Lo: v}, flow.Ones(8))
	return e.Data()
}

// setFrames are packets that together have every field that can be set.
func setFrames() map[string][]byte {
	a := packettest.Addr{Src: 1, Dst: 2}
	noSum := packettest.UDP(a, 5, 6, []byte("no checksum"))
	noSum[14+20+6], noSum[14+20+7] = 0, 0
	first := packettest.UDP(a, 5, 6, []byte("fragment"))
	first[14+6] = 0x20 // MF; the header's checksum is wrong now and must stay as wrong
	later := bytes.Clone(first)
	later[14+7] = 1
	opts := packettest.TCP(a, 5, 6, 2, []byte("with options"))
	opts = append(opts[:34:34], append([]byte{1, 1, 1, 0}, opts[34:]...)...)
	opts[14] = 0x46
	opts[17] += 4
	bad := packettest.TCP(a, 5, 6, 2, []byte("bad checksum"))
	bad[14+20+16] ^= 0x55
	ext := packettest.IPv6(a, packet.ProtoUDP, packettest.UDPHeader(1, 2, []byte("x")), 6)
	ext = append(ext[:54:54], append([]byte{packet.ProtoUDP, 0, 1, 4, 0, 0, 0, 0}, ext[54:]...)...)
	ext[14+6] = packet.ProtoDstOpts
	ext[14+5] += 8
	return map[string][]byte{
		"TCP":          packettest.TCP(a, 1000, 80, 0x18, []byte("payload of odd length")),
		"UDP":          packettest.UDP(a, 1000, 53, []byte("question")),
		"UDP no csum":  noSum,
		"first frag":   first,
		"later frag":   later,
		"IP options":   opts,
		"bad csum":     bad,
		"SCTP":         packettest.SCTP(a, 1, 2),
		"ICMP":         packettest.ICMP(a, 8, 0),
		"TCP6":         packettest.IPv6(a, packet.ProtoTCP, packettest.TCPHeader(1000, 80, 2, []byte("six")), 16),
		"UDP6":         packettest.IPv6(a, packet.ProtoUDP, packettest.UDPHeader(1000, 80, []byte("six")), 6),
		"UDP6 ext":     ext,
		"ICMPv6":       packettest.IPv6(a, packet.ProtoICMPv6, []byte{128, 0, 0, 0, 0, 1, 0, 2, 'x'}, 2),
		"NS":           packettest.ND(a, 135),
		"NA":           packettest.ND(a, 136),
		"ARP":          packettest.ARP(a, 1),
		"MPLS":         packettest.MPLS(a, 100, 200),
		"tagged TCP":   packettest.Tag(0x8100, 5, packettest.TCP(a, 1000, 80, 0x18, nil)),
		"QinQ UDP6":    packettest.Tag(0x88a8, 6, packettest.Tag(0x8100, 5, packettest.IPv6(a, packet.ProtoUDP, packettest.UDPHeader(1000, 80, []byte("six")), 6))),
		"padded UDP":   append(packettest.UDP(a, 1, 2, nil), make([]byte, 18)...),
		"unknown type": packettest.Eth(a, 0x88b5, []byte("experiment")),
	}
}

// testSet: every field, whole and under a mask, in every packet that has it,
// comes out as package packet says.
func testSet(l *lab) {
	const seed = 42
	l.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	id := dpif.FlowID(1)
	done, refused := 0, map[flow.Field]bool{}
	for name, frame := range setFrames() {
		for f := flow.Field(1); f < flow.NumFields; f++ {
			if !packet.Settable(f) || refused[f] {
				continue
			}
			for _, m := range []flow.U128{flow.Ones(128), {Hi: r.Uint64(), Lo: r.Uint64()}} {
				bits := flow.Ones(f.Bits())
				set := dpif.Set{Field: f, Value: flow.U128{Hi: r.Uint64(), Lo: r.Uint64()}.And(bits), Mask: m.And(bits)}
				if set.Mask.IsZero() {
					continue
				}
				e := newEdit(frame)
				if !hasField(e, f) {
					continue
				}
				e.Set(set.Field, set.Value, set.Mask)
				if !l.once("set "+f.String()+" in "+name, id, frame, e.Data(), set) {
					refused[f] = true
					break
				}
				id++
				done++
			}
		}
	}
	l.Logf("%d sets; %d fields refused", done, len(refused))
}

// hasField reports whether setting f changes the packet.
func hasField(e *packet.Frame, f flow.Field) bool {
	before := bytes.Clone(e.Data())
	ones, zero := newEdit(before), newEdit(before)
	ones.Set(f, flow.Ones(128), flow.Ones(128))
	zero.Set(f, flow.U128{}, flow.Ones(128))
	return !bytes.Equal(ones.Data(), before) || !bytes.Equal(zero.Data(), before)
}

// testParse: the datapath reads odd packets as package packet does: a flow for
// the exact key, as far as the datapath can match, takes the packet, which
// leaves unchanged.
func testParse(l *lab) {
	const seed, n = 99, 1500
	l.Logf("seed %d", seed)
	g := packettest.New(seed)
	g.MinLen = 20 // the kernel itself drops shorter frames with a tag
	can := l.dp.Features().Match
	for i := range dpif.FlowID(n) {
		d := g.Next()
		var k flow.Key
		var ly packet.Layers
		packet.Parse(d, &packet.Meta{InPort: 1}, maxVLANs, &k, &ly)
		f := &dpif.Flow{ID: i + 1, Mask: &can, Key: k.Apply(&can), Actions: []dpif.Action{output(2)}}
		l.ok(l.dp.FlowPut(f))
		l.send(1, d)
		select {
		case got := <-l.hosts[2].in:
			if !bytes.Equal(got, d) {
				l.Fatalf("frame %d: %x came out as %x", i, d, got)
			}
		case u := <-l.upcalls:
			l.Fatalf("frame %d: the flow for its key does not match %x (upcall of %x)", i, d, u.Packet.Data)
		case <-time.After(patience):
			l.Fatalf("frame %d: %x did not come out", i, d)
		}
		s, err := l.dp.FlowDel(f.ID)
		if l.ok(err); s.Packets != 1 || s.Bytes != uint64(len(d)) || uint64(s.TCPFlags) != k.U64(flow.FieldTCPFlags) {
			l.Fatalf("frame %d of %d bytes, TCP flags %#x: statistics %+v", i, len(d), k.U64(flow.FieldTCPFlags), s)
		}
	}
}
