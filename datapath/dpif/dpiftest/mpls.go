// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// label puts a label stack entry behind the type at at of a frame.
func label(frame []byte, at int, typ uint16, lse uint32) []byte {
	b := binary.BigEndian.AppendUint16(slices.Clone(frame[:at]), typ)
	b = binary.BigEndian.AppendUint32(b, lse)
	return append(b, frame[at+2:]...)
}

// testMPLS: labels pushed, popped and changed, in flows as far as the datapath does that, and
// in Execute.
func testMPLS(l *lab) {
	a := packettest.Addr{Src: 1, Dst: 2}
	plain := packettest.UDP(a, 1, 2, []byte("hello"))
	arp := packettest.ARP(a, 1)
	tagged := packettest.Tag(0x8100, 0xa005, plain)
	one := label(plain, 12, 0x8847, 0x12345<<12|3<<9|0x100|64)
	two := label(one, 12, 0x8847, 0x54321<<12|5<<9|63)
	push := func(typ uint16, lse uint32) dpif.Action { return dpif.PushMPLS{EthType: typ, LSE: lse} }
	pop := func(typ uint16) dpif.Action { return dpif.PopMPLS{EthType: typ} }
	set := func(f flow.Field, v uint64) dpif.Action {
		return dpif.Set{Field: f, Value: flow.U128{Lo: v}, Mask: flow.Ones(f.Bits())}
	}
	edited := newEdit(plain)
	edited.Set(flow.FieldIPTTL, flow.U128{Lo: 9}, flow.Ones(8))
	edited.Set(flow.FieldUDPDst, flow.U128{Lo: 77}, flow.Ones(16))
	id := dpif.FlowID(1)
	for _, c := range []struct {
		what     string
		in, want []byte
		actions  []dpif.Action
	}{
		{"push", plain, label(plain, 12, 0x8847, 0xabcde17f), []dpif.Action{push(0x8847, 0xabcde17f)}},
		{"push multicast", arp, label(arp, 12, 0x8848, 0x1ff), []dpif.Action{push(0x8848, 0x1ff)}},
		{"push behind the tag", tagged, label(tagged, 16, 0x8847, 0x2140), []dpif.Action{push(0x8847, 0x2140)}},
		{"push two", plain, label(label(plain, 12, 0x8847, 0x140), 12, 0x8848, 0x1040), []dpif.Action{push(0x8847, 0x140), push(0x8848, 0x1040)}},
		{"push, then a tag", plain, packettest.Tag(0x8100, 7, label(plain, 12, 0x8847, 0x140)),
			[]dpif.Action{push(0x8847, 0x140), dpif.PushVLAN{TPID: 0x8100, TCI: flow.VLANPresent | 7}}},
		{"a tag, then push", plain, label(packettest.Tag(0x8100, 7, plain), 16, 0x8847, 0x140),
			[]dpif.Action{dpif.PushVLAN{TPID: 0x8100, TCI: flow.VLANPresent | 7}, push(0x8847, 0x140)}},
		{"pop", one, plain, []dpif.Action{pop(0x0800)}},
		{"pop one of two", two, one, []dpif.Action{pop(0x8847)}},
		{"pop two", two, plain, []dpif.Action{pop(0x8847), pop(0x0800)}},
		{"pop what is not there", plain, plain, []dpif.Action{pop(0x0800)}},
		{"pop and change what was within", one, edited.Data(), []dpif.Action{pop(0x0800), set(flow.FieldIPTTL, 9), set(flow.FieldUDPDst, 77)}},
		{"push and pop and change", plain, edited.Data(), []dpif.Action{push(0x8847, 0x140), pop(0x0800), set(flow.FieldIPTTL, 9), set(flow.FieldUDPDst, 77)}},
		{"set", one, label(plain, 12, 0x8847, 0x777<<12|1<<9|0x100|7),
			[]dpif.Action{set(flow.FieldMPLSLabel, 0x777), set(flow.FieldMPLSTC, 1), set(flow.FieldMPLSTTL, 7)}},
		{"push and set", plain, label(plain, 12, 0x8847, 0x777<<12|0x100|7),
			[]dpif.Action{push(0x8847, 0x1ff), set(flow.FieldMPLSLabel, 0x777), set(flow.FieldMPLSTTL, 7)}},
	} {
		l.once(c.what, id, c.in, c.want, c.actions...)
		id++
		l.ok(l.dp.Execute(1, dpif.Packet{Data: slices.Clone(c.in)}, append(slices.Clone(c.actions), output(2))))
		l.expect(2, c.want)
	}
}

// testTruncate: outputs of the first bytes of a packet, which the next output has again in full.
func testTruncate(l *lab) {
	d := packettest.UDP(packettest.Addr{Src: 1, Dst: 2}, 1, 2, bytes.Repeat([]byte("x"), 200))
	tagged := packettest.Tag(0x8100, 7, d)
	actions := []dpif.Action{
		dpif.Output{Port: 2, MaxLen: 60}, dpif.Output{Port: 3}, dpif.Output{Port: 2, MaxLen: 5000},
		dpif.PushVLAN{TPID: 0x8100, TCI: flow.VLANPresent | 7}, dpif.Output{Port: 3, MaxLen: 61}, dpif.Output{Port: 2},
	}
	want := func() {
		l.Helper()
		for _, b := range [][]byte{d[:60], d, tagged} {
			l.expect(2, b)
		}
		l.expect(3, d)
		l.expect(3, tagged[:61])
	}
	if l.putOrSkip("truncate", l.match(1, 1, d, flow.FieldEthType, flow.FieldVLANTCI), actions...) {
		l.send(1, d)
		want()
	}
	l.ok(l.dp.Execute(1, dpif.Packet{Data: slices.Clone(d)}, actions))
	want()
	// Of a train each segment is truncated, and each gets its label.
	gso := dpif.Packet{Data: packettest.TCP(packettest.Addr{Src: 1, Dst: 2}, 1000, 80, 0x10, bytes.Repeat([]byte("y"), 500)), GSO: dpif.GSO{Size: 200}}
	segs := newEdit(gso.Data)
	segs.SetGSO(gso.GSO)
	var parts [][]byte
	l.ok(segs.Segment(func(b []byte) { parts = append(parts, slices.Clone(b)) }))
	if len(parts) != 3 {
		l.Fatalf("%d segments", len(parts))
	}
	l.ok(l.dp.Execute(1, gso, []dpif.Action{dpif.Output{Port: 2, MaxLen: 70}, dpif.PushMPLS{EthType: 0x8847, LSE: 0x17f}, dpif.Output{Port: 2}}))
	for _, b := range parts {
		l.expect(2, b[:70])
		l.expect(2, label(b, 12, 0x8847, 0x17f))
	}
}
