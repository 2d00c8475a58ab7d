// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"testing"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// prefixFields are the fields that a cut frame may have with another value than
// the whole: only eth_type, which becomes that of the tag or the SNAP header
// that was cut.
func checkPrefix(t *testing.T, d []byte, cut int, whole *flow.Key) {
	t.Helper()
	var k flow.Key
	var l packet.Layers
	ok := packet.Parse(d[:cut], &packet.Meta{InPort: 3}, 2, &k, &l)
	if ok != (cut >= 14) {
		t.Fatalf("cut to %d: parsed %v", cut, ok)
	}
	if !ok {
		if k != (flow.Key{}) || l != (packet.Layers{}) {
			t.Fatalf("cut to %d: key not zero", cut)
		}
		return
	}
	for f := flow.Field(1); f < flow.NumFields; f++ {
		v := k.Get(f)
		if v.IsZero() || v == whole.Get(f) {
			continue
		}
		if e := k.EthType(); f == flow.FieldEthType && (e == packet.TypeVLAN || e == packet.TypeQinQ || e == flow.EthTypeNone) {
			continue
		}
		t.Fatalf("cut to %d: %v is %x, of the whole frame %x\nframe %x", cut, f, v, whole.Get(f), d)
	}
	checkLayers(t, d[:cut], &l)
}

// checkLayers: all offsets are in order and within the frame.
func checkLayers(t *testing.T, d []byte, l *packet.Layers) {
	t.Helper()
	bad := l.Type < 12 || l.Type+2 > len(d) || l.L3 != 0 && l.L3 != l.Type+2 ||
		l.L4 != 0 && (l.L4 < l.L3+20 || l.L4+8 > l.End) || l.End > len(d) ||
		l.End != 0 && l.L3 == 0 || (l.Net == packet.NetNone) != (l.L3 == 0) ||
		l.SLL != 0 && (l.SLL < l.L4+26 || l.SLL+6 > l.End) || l.TLL != 0 && (l.TLL < l.L4+26 || l.TLL+6 > l.End)
	if bad {
		t.Fatalf("layers %+v of %x", *l, d)
	}
}

// TestTruncation cuts frames at every byte.
func TestTruncation(t *testing.T) {
	const seed = 2
	t.Logf("seed %d", seed)
	g := packettest.New(seed)
	for range 2000 {
		d := g.Next()
		var k flow.Key
		var l packet.Layers
		packet.Parse(d, &packet.Meta{InPort: 3}, 2, &k, &l)
		for cut := range d {
			checkPrefix(t, d, cut, &k)
		}
	}
}

// FuzzParse: no panic, offsets within the frame, and a prefix contradicts the
// whole in nothing but eth_type. Padding behind an IP packet changes nothing.
func FuzzParse(f *testing.F) {
	g := packettest.New(1)
	for range 60 {
		f.Add(g.Next(), uint16(g.Rand().IntN(80)))
	}
	f.Fuzz(func(t *testing.T, d []byte, cut uint16) {
		if len(d) > 70000 {
			return
		}
		var k, k2 flow.Key
		var l, l2 packet.Layers
		m := packet.Meta{InPort: 3}
		if !packet.Parse(d, &m, 2, &k, &l) {
			return
		}
		checkLayers(t, d, &l)
		checkPrefix(t, d, min(int(cut), len(d)), &k)
		if l.End != 0 {
			packet.Parse(append(d[:l.End:l.End], "padding"...), &m, 2, &k2, &l2)
			if k != k2 || l != l2 {
				t.Fatalf("padding changed the key of %x", d)
			}
		}
	})
}

type want map[flow.Field]uint64

// TestOddPackets has a row for each sentence of doc.go that a random packet
// seldom meets.
func TestOddPackets(t *testing.T) {
	const eth = "020000000002020000000001"
	const ip4 = "0a0000010a000002"
	const ip6 = "20010db800000000000000000000000120010db8000000000000000000000002"
	for _, c := range []struct {
		name  string
		frame string
		vlans int
		want  want
	}{
		{"vlan tag without type", eth + "8100" + "0005", 2, want{flow.FieldEthType: 0x8100, flow.FieldVLANTCI: 0}},
		{"DEI is not kept", eth + "8100" + "1005" + "0806", 2, want{flow.FieldEthType: 0x0806, flow.FieldVLANTCI: 0x1005, flow.FieldVLANTPID: 0x8100}},
		{"two tags, one wanted", eth + "88a8" + "0005" + "8100" + "0006" + "0806", 1, want{flow.FieldEthType: 0x8100, flow.FieldVLANTCI: 0x1005, flow.FieldCVLANTCI: 0}},
		{"two tags", eth + "88a8" + "0005" + "8100" + "6006" + "0806", 2, want{flow.FieldEthType: 0x0806, flow.FieldVLANTPID: 0x88a8, flow.FieldCVLANTCI: 0x7006, flow.FieldCVLANTPID: 0x8100}},
		{"three tags", eth + "8100" + "0005" + "8100" + "0006" + "8100" + "0007" + "0806", 2, want{flow.FieldEthType: 0x8100, flow.FieldCVLANTCI: 0x1006}},
		{"802.3", eth + "0026" + "4242030000000000", 1, want{flow.FieldEthType: flow.EthTypeNone}},
		{"SNAP", eth + "0008" + "aaaa030000000806", 1, want{flow.FieldEthType: 0x0806}},
		{"SNAP cut", eth + "0008" + "aaaa0300000008", 1, want{flow.FieldEthType: flow.EthTypeNone}},
		{"SNAP with organisation", eth + "0008" + "aaaa0300000c0806", 1, want{flow.FieldEthType: flow.EthTypeNone}},
		{"SNAP with VLAN type", eth + "0008" + "aaaa030000008100" + "00050806", 1, want{flow.FieldEthType: 0x8100, flow.FieldVLANTCI: 0}},
		{
			"IPv4 protocol 0", eth + "0800" + "4500001400000000" + "40000000" + ip4, 1,
			want{flow.FieldIPProto: 0, flow.FieldIPTTL: 64, flow.FieldIPDst: 0x0a000002},
		},
		{
			"IPv4 total length cuts the UDP header", eth + "0800" + "4500001b00000000" + "40110000" + ip4 + "0035003500080000", 1,
			want{flow.FieldIPProto: 17, flow.FieldTPSrc: 0},
		},
		{"IPv4 total length lies", eth + "0800" + "4500001d00000000" + "40110000" + ip4 + "0035003500080000", 1, want{flow.FieldIPProto: 0, flow.FieldIPDst: 0}},
		{"IPv4 header length lies", eth + "0800" + "4600001400000000" + "40110000" + ip4, 1, want{flow.FieldIPDst: 0}},
		{
			"IPv4 later fragment", eth + "0800" + "4500001c00000001" + "40110000" + ip4 + "0035003500080000", 1,
			want{flow.FieldIPFrag: 3, flow.FieldIPProto: 17, flow.FieldTPSrc: 0},
		},
		{
			"IPv6 hop-by-hop cut off", eth + "86dd" + "600000000004" + "0040" + ip6 + "11000000", 1,
			want{flow.FieldIPProto: 0, flow.FieldIPTTL: 64, flow.FieldTPSrc: 0},
		},
		{
			"IPv6 destination options longer than the packet", eth + "86dd" + "600000000008" + "3c40" + ip6 + "1101000000000000", 1,
			want{flow.FieldIPProto: 60, flow.FieldIPTTL: 64},
		},
		{
			"IPv6 later fragment", eth + "86dd" + "600000000010" + "2c40" + ip6 + "1100000900000000" + "0035003500080000", 1,
			want{flow.FieldIPProto: 44, flow.FieldIPFrag: 3, flow.FieldTPSrc: 0},
		},
		{
			"IPv6 fragment header of a whole packet, reserved bits set", eth + "86dd" + "600000000010" + "2c40" + ip6 + "1100000600000000" + "0035003500080000", 1,
			want{flow.FieldIPProto: 17, flow.FieldIPFrag: 0, flow.FieldTPSrc: 53},
		},
		{
			"IPv6 payload length 0", eth + "86dd" + "600000000000" + "1140" + ip6 + "0035003500080000", 1,
			want{flow.FieldIPProto: 17, flow.FieldTPSrc: 0},
		},
		{
			"TCP data offset over the end", eth + "0800" + "4500002800000000" + "40060000" + ip4 + "00500051" + "0000000000000000" + "6002" + "000000000000", 1,
			want{flow.FieldIPProto: 6, flow.FieldTPSrc: 0, flow.FieldTCPFlags: 0},
		},
		{
			"TCP reserved bits", eth + "0800" + "4500002800000000" + "40060000" + ip4 + "00500051" + "0000000000000000" + "5f02" + "000000000000", 1,
			want{flow.FieldTPSrc: 80, flow.FieldTCPFlags: 0xf02},
		},
		{"ARP opcode above 255", eth + "0806" + "0001080006040101" + "020000000001" + "0a000001" + "000000000000" + "0a000002", 1, want{flow.FieldARPOp: 0, flow.FieldARPSPA: 0x0a000001}},
		{"ARP of another hardware", eth + "0806" + "0006080006040001" + "020000000001" + "0a000001" + "000000000000" + "0a000002", 1, want{flow.FieldARPOp: 0, flow.FieldARPSPA: 0}},
		{
			"ND with the same option twice", eth + "86dd" + "600000000028" + "3aff" + ip6 + "8700000000000000" + "20010db8000000000000000000000002" + "0101020000000001" + "0101020000000003", 1,
			want{flow.FieldTPSrc: 135, flow.FieldNDSLL: 0, flow.FieldNDOptionsType: 0},
		},
		{
			"ND with a bad option behind a good one", eth + "86dd" + "600000000028" + "3aff" + ip6 + "8700000000000000" + "20010db8000000000000000000000002" + "0101020000000001" + "0100020000000003", 1,
			want{flow.FieldTPSrc: 135, flow.FieldNDSLL: 0x020000000001, flow.FieldNDOptionsType: 1},
		},
		{"MPLS cut in the second label", eth + "8847" + "00001040" + "0000", 1, want{flow.FieldMPLSLabel: 1, flow.FieldMPLS1: 0}},
	} {
		var k flow.Key
		var l packet.Layers
		if !packet.Parse(unhex(t, c.frame), &packet.Meta{}, c.vlans, &k, &l) {
			t.Errorf("%s: malformed", c.name)
		}
		for f, v := range c.want {
			if got := k.U64(f); got != v {
				t.Errorf("%s: %v = %#x, want %#x", c.name, f, got, v)
			}
		}
	}
}

func TestMeta(t *testing.T) {
	var k flow.Key
	var l packet.Layers
	packet.Parse(make([]byte, 14), &packet.Meta{InPort: 1, Recirc: 2, Mark: 3, SkbPriority: 4, DPHash: 5}, 1, &k, &l)
	for f, v := range map[flow.Field]uint64{flow.FieldInPort: 1, flow.FieldRecircID: 2, flow.FieldPktMark: 3, flow.FieldSkbPriority: 4, flow.FieldDPHash: 5} {
		if k.U64(f) != v {
			t.Errorf("%v = %d, want %d", f, k.U64(f), v)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	g := packettest.New(1)
	g.Hostile = 0
	frames := make([][]byte, 256)
	for i := range frames {
		frames[i] = g.Next()
	}
	var k flow.Key
	var l packet.Layers
	m := packet.Meta{InPort: 1}
	for i := 0; b.Loop(); i++ {
		packet.Parse(frames[i&255], &m, 1, &k, &l)
	}
}
