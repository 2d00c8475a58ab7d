// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// FlowMod returns flow i of the load. There are four kinds in turn, with a mask each: a
// switched address, a host route, a service (5-tuple without the source port), and
// a VLAN's host. 1<<22 different flows are there.
func FlowMod(i int) *openflow.FlowMod {
	m := &openflow.FlowMod{
		Command: openflow.FlowAdd, Priority: uint16(100 + i%4), NewCookie: uint64(i),
		BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
	}
	n, x := uint64(i/4), &m.Match
	switch i % 4 {
	case 0:
		x.SetU64(flow.FieldInPort, 1)
		x.SetU64(flow.FieldEthDst, 0x02_00_00_00_00_00|n)
	case 1:
		x.SetU64(flow.FieldEthType, 0x0800)
		x.SetU64(flow.FieldIPDst, 10<<24|n)
	case 2:
		x.SetU64(flow.FieldEthType, 0x0800)
		x.SetU64(flow.FieldIPProto, 6)
		x.SetU64(flow.FieldIPSrc, 172<<24|n)
		x.SetU64(flow.FieldIPDst, 192<<24|n*7&0xffffff)
		x.SetU64(flow.FieldTCPDst, 1024+n%4096)
	case 3:
		x.SetU64(flow.FieldVLANTCI, flow.VLANPresent|n%4094+1)
		x.Mask.Clear(flow.FieldVLANTCI)
		x.Mask.Set(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent | 0xfff})
		x.SetU64(flow.FieldEthDst, 0x06_00_00_00_00_00|n)
	}
	m.Instructions.Apply = action.List{action.Output{Port: action.Port(2 + i%3)}}
	return m
}

// FlowMods returns the first n flows as messages of version v with transaction ids
// from 1 on.
func FlowMods(v ofp.Version, n int) ([][]byte, error) {
	msgs := make([][]byte, n)
	for i := range msgs {
		b, err := openflow.Encode(openflow.Proto{Version: v}, uint32(i+1), FlowMod(i))
		if err != nil {
			return nil, fmt.Errorf("encode flow %d: %w", i, err)
		}
		msgs[i] = b
	}
	return msgs, nil
}

// FlowText returns the first n flows as lines for ovs-ofctl add-flows.
func FlowText(n int) []byte {
	var b []byte
	for i := range n {
		m := FlowMod(i)
		b = fmt.Appendf(b, "cookie=%#x,priority=%d,%s,actions=%s\n", m.NewCookie, m.Priority, m.Match.String(), m.Instructions.Apply.String())
	}
	return b
}

// FrameLen is the length of the frames of the load.
const FrameLen = 60

// Frame fills b, of FrameLen bytes, with the UDP packet of connection i. The ports and
// the low byte of the source address make it different from those of all other i < 1<<24.
func Frame(b []byte, i uint32) {
	clear(b)
	copy(b, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00})
	ip := b[14:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], FrameLen-14)
	ip[8], ip[9] = 64, 17
	copy(ip[12:], []byte{10, 0, 1, byte(i >> 16), 10, 0, 2, 1})
	var sum uint32
	for j := 0; j < 20; j += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[j:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	udp := ip[20:]
	// An odd factor spreads the numbers over both ports and back is the same.
	p := i & 0xffff * 40503 & 0xffff
	binary.BigEndian.PutUint16(udp[0:], uint16(1024+p>>8))
	binary.BigEndian.PutUint16(udp[2:], uint16(1024+p&0xff))
	binary.BigEndian.PutUint16(udp[4:], FrameLen-34)
	// No UDP checksum (RFC 768: zero).
}
