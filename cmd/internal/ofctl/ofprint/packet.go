// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"encoding/binary"
	"fmt"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/packet"
)

// maxVLANs is how many VLAN tags of a packet are printed.
const maxVLANs = 2

// ip4Len is the length of an IPv4 header without options, bytes.
const ip4Len = 20

var reasonNames = []string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out", "explicit_miss", "implicit_miss"}

func (p *printer) packetIn(m *openflow.PacketIn) {
	if m.Table != 0 {
		p.WriteString(" table_id=" + p.table(m.Table))
	}
	if m.Cookie != ^uint64(0) {
		p.printf(" cookie=0x%x", m.Cookie)
	}
	p.printf(" total_len=%d %s", m.TotalLen, m.Metadata.Text(p.Ports))
	if int(m.Reason) < len(reasonNames) {
		p.WriteString(" (via " + reasonNames[m.Reason] + ")")
	} else {
		p.printf(" (via %d)", m.Reason)
	}
	p.printf(" data_len=%d", len(m.Data))
	if m.BufferID == openflow.NoBuffer {
		p.WriteString(" (unbuffered)")
		if m.TotalLen != len(m.Data) {
			p.WriteString(" (***total_len != data_len***)")
		}
	} else {
		p.printf(" buffer=0x%08x", m.BufferID)
		if m.TotalLen < len(m.Data) {
			p.WriteString(" (***total_len < data_len***)")
		}
	}
	p.WriteByte('\n')
	if len(m.Userdata) > 0 {
		p.WriteString(" userdata=")
		for i, b := range m.Userdata {
			if i > 0 {
				p.WriteByte('.')
			}
			p.printf("%02x", b)
		}
		p.WriteByte('\n')
	}
	if p.Verbosity > 0 {
		p.WriteString(Packet(m.Data))
	}
	if p.Verbosity > 2 {
		p.WriteString(Hex(m.Data, 0, false))
	}
}

func (p *printer) packetOut(m *openflow.PacketOut) {
	meta := m.Metadata
	meta.SetU64(flow.FieldInPort, uint64(m.InPort))
	p.printf(" %s actions=%s", meta.Text(p.Ports), m.Actions.Text(p.Ports))
	if m.BufferID != openflow.NoBuffer {
		p.printf(" buffer=0x%08x\n", m.BufferID)
		return
	}
	p.printf(" data_len=%d", len(m.Data))
	if p.Verbosity > 0 && len(m.Data) > 0 {
		p.WriteByte('\n')
		p.WriteString(Packet(m.Data))
		if p.Verbosity > 2 {
			p.WriteString(Hex(m.Data, 0, false))
		}
		return
	}
	p.WriteByte('\n')
}

// Packet writes the headers of an Ethernet frame as a match, the checksum of
// its transport header, and a newline.
func Packet(data []byte) string {
	var k flow.Key
	var l packet.Layers
	packet.Parse(data, &packet.Meta{}, maxVLANs, &k, &l)
	m := flow.Match{}
	copyField := func(f flow.Field) { m.Set(f, k.Get(f)) }
	for _, f := range []flow.Field{flow.FieldEthSrc, flow.FieldEthDst, flow.FieldEthType, flow.FieldVLANTCI} {
		copyField(f)
	}
	if k.VLANTCI() != 0 {
		copyField(flow.FieldCVLANTCI)
	}
	// In an order in which what a field needs stands before it.
	for _, f := range []flow.Field{
		flow.FieldIPProto, flow.FieldIPTOS, flow.FieldIPTTL, flow.FieldIPFrag, flow.FieldIPSrc, flow.FieldIPDst,
		flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label, flow.FieldARPSPA, flow.FieldARPTPA, flow.FieldARPOp,
		flow.FieldARPSHA, flow.FieldARPTHA, flow.FieldMPLSLabel, flow.FieldMPLSTC, flow.FieldMPLSTTL, flow.FieldMPLSBOS,
		flow.FieldTPSrc, flow.FieldTPDst, flow.FieldICMPType, flow.FieldICMPCode, flow.FieldICMPv6Type, flow.FieldICMPv6Code,
		flow.FieldTCPFlags, flow.FieldNDTarget,
	} {
		if m.Has(f) {
			copyField(f)
		}
	}
	if m.Has(flow.FieldNDTarget) { // both, whichever kind it is
		copyField(flow.FieldNDSLL)
		copyField(flow.FieldNDTLL)
	}
	return m.String() + checksum(data, &l) + "\n"
}

// checksum writes the checksum of the transport header if it is there.
func checksum(data []byte, l *packet.Layers) string {
	ofs, name := 0, ""
	at, proto := l.L4, l.Proto
	if at == 0 && l.Net == packet.NetIPv4 && l.L3+ip4Len <= len(data) {
		// The stock tool looks there in later fragments, too.
		at, proto = l.L3+int(data[l.L3]&15)*4, data[l.L3+9]
	}
	switch {
	case at == 0:
		return ""
	case proto == packet.ProtoTCP:
		ofs, name = 16, "tcp_csum"
	case proto == packet.ProtoUDP:
		ofs, name = 6, "udp_csum"
	case proto == packet.ProtoSCTP:
		if at+12 > len(data) {
			return ""
		}
		return fmt.Sprintf(" sctp_csum:%x", binary.BigEndian.Uint32(data[at+8:]))
	case proto == packet.ProtoICMP:
		ofs, name = 2, "icmp_csum"
	case proto == packet.ProtoICMPv6:
		ofs, name = 2, "icmp6_csum"
	default:
		return ""
	}
	if at+ofs+2 > len(data) {
		return ""
	}
	return fmt.Sprintf(" %s:%x", name, u16(data[at+ofs:]))
}
