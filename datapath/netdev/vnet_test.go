// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"bytes"
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

func parsed(d []byte, maxVLANs int, g dpif.GSO) *packet.Frame {
	var f packet.Frame
	var k flow.Key
	f.Reset(bytes.Clone(d), 0, g)
	f.Parse(&packet.Meta{}, maxVLANs, &k)
	return &f
}

// TestVnet turns what a frame stands for into the kernel's header and back.
func TestVnet(t *testing.T) {
	a := packettest.Addr{Src: 1, Dst: 2}
	load := make([]byte, 5000)
	tcp := packettest.TCP(a, 1, 2, 0x98, load) // with CWR
	for _, c := range []struct {
		name  string
		frame []byte
		vlans int
		gso   dpif.GSO
		typ   byte
		start int
	}{
		{"plain", packettest.UDP(a, 1, 2, nil), 1, dpif.GSO{}, 0, 0},
		{"partial UDP", packettest.UDP(a, 1, 2, nil), 1, dpif.GSO{NeedsCsum: true}, 0, 34},
		{"TCP train", tcp, 1, dpif.GSO{Size: 1448, NeedsCsum: true}, vnetGSOTCP4 | vnetGSOECN, 34},
		{"TCP train behind two tags, one parsed", packettest.Tag(0x88a8, 5, packettest.Tag(0x8100, 6, tcp)), 1, dpif.GSO{Size: 1448, NeedsCsum: true}, vnetGSOTCP4 | vnetGSOECN, 42},
		{"TCP6 train", packettest.IPv6(a, 6, packettest.TCPHeader(1, 2, 2, load), 16), 1, dpif.GSO{Size: 1428, NeedsCsum: true}, vnetGSOTCP6, 54},
		{"UDP train", packettest.UDP(a, 1, 2, load), 1, dpif.GSO{Size: 1000, NeedsCsum: true}, vnetGSOUDP, 34},
	} {
		var h VnetHdr
		f := parsed(c.frame, c.vlans, c.gso)
		if !VnetFor(f, &h) || h[1] != c.typ {
			t.Errorf("%s: header %v", c.name, h)
			continue
		}
		start := 0
		if c.gso.NeedsCsum {
			start = c.start
		}
		g := parsed(c.frame, c.vlans, dpif.GSO{})
		if err := offloads(g, &h, start); err != nil || g.GSO() != c.gso {
			t.Errorf("%s: %+v became %v and %+v: %v", c.name, c.gso, h, g.GSO(), err)
		}
	}
}

// TestVnetUnfinish: the kernel wants the checksum of a train unfinished.
func TestVnetUnfinish(t *testing.T) {
	f := parsed(packettest.TCP(packettest.Addr{Src: 1, Dst: 2}, 1, 2, 2, make([]byte, 3000)), 1, dpif.GSO{Size: 1000})
	var h VnetHdr
	if !VnetFor(f, &h) || h[0] != vnetNeedsCsum || !packet.LooksPartial(f.Data(), f.Layers()) || !f.GSO().NeedsCsum {
		t.Errorf("header %v, %+v", h, f.GSO())
	}
}

// TestVnetRefused: descriptions that do not fit the packet.
func TestVnetRefused(t *testing.T) {
	a := packettest.Addr{Src: 1, Dst: 2}
	var h VnetHdr
	if VnetFor(parsed(packettest.ARP(a, 1), 1, dpif.GSO{Size: 100}), &h) {
		t.Error("a train of ARP")
	}
	// The segments of a TCP connection in VXLAN: the header describes the inner packet.
	inner := packettest.TCP(a, 1, 2, 2, make([]byte, 3000))
	vxlan := packettest.UDP(a, 40000, 4789, append([]byte{8, 0, 0, 0, 0, 0, 5, 0}, inner...))
	VnetFor(parsed(inner, 1, dpif.GSO{Size: 1000, NeedsCsum: true}), &h)
	if err := offloads(parsed(vxlan, 1, dpif.GSO{}), &h, 34+50); err == nil {
		t.Error("a train in a tunnel was taken for a plain one")
	}
	// Of an unknown type.
	h = VnetHdr{1: 3}
	if err := offloads(parsed(packettest.UDP(a, 1, 2, nil), 1, dpif.GSO{}), &h, 0); err == nil {
		t.Error("a train of type 3 (UFO) was taken")
	}
}

// TestVnetFinish: an unfinished checksum that GSO cannot describe is finished
// on arrival.
func TestVnetFinish(t *testing.T) {
	a := packettest.Addr{Src: 1, Dst: 2}
	// SCTP: CRC32c at offset 8.
	want := packettest.SCTP(a, 1, 2)
	d := bytes.Clone(want)
	copy(d[34+8:], []byte{0, 0, 0, 0})
	f := parsed(d, 1, dpif.GSO{})
	var h VnetHdr
	h[0] = vnetNeedsCsum
	put := func(i int, v uint16) { // host order, as the kernel's
		var b [2]byte
		b[0], b[1] = byte(v>>8), byte(v)
		if htons(1) != 1 {
			b[0], b[1] = b[1], b[0]
		}
		copy(h[i:], b[:])
	}
	put(6, 34)
	put(8, 8)
	if err := offloads(f, &h, 34); err != nil || !bytes.Equal(f.Data(), want) || f.GSO().NeedsCsum {
		t.Errorf("SCTP: %x, want %x: %v", f.Data(), want, err)
	}
	// UDP in UDP: the inner checksum.
	inner := packettest.UDP(a, 7, 8, []byte("inner"))
	want = packettest.UDP(a, 40000, 4789, append([]byte{8, 0, 0, 0, 0, 0, 5, 0}, inner...))
	want[40], want[41] = 0, 0 // VXLAN's outer checksum is 0
	d = bytes.Clone(want)
	in := parsed(inner, 1, dpif.GSO{})
	packet.StartCsum(in.Data(), in.Layers())
	copy(d[50:], in.Data())
	f = parsed(d, 1, dpif.GSO{})
	put(8, 6)
	if err := offloads(f, &h, 50+34); err != nil || !bytes.Equal(f.Data(), want) || f.GSO().NeedsCsum {
		t.Errorf("VXLAN:\n%x, want\n%x: %v", f.Data(), want, err)
	}
}
