// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Options say how to print.
type Options struct {
	Verbosity int              // 0, or how often -m was given
	Ports     flow.PortNames   // nil: numbers
	Tables    map[uint8]string // nil: numbers
}

// printer writes one message.
type printer struct {
	strings.Builder
	Options
	version ofp.Version
	raw     []byte
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// port returns a port's name or number.
func (p *printer) port(n action.Port) string { return p.Ports.Name(uint32(n)) }

func (p *printer) table(n uint8) string {
	if name, ok := p.Tables[n]; ok {
		return flow.QuoteName(name)
	}
	return fmt.Sprint(n)
}

// Name returns the name of a message with its version, as in
// "OFPST_FLOW reply (OF1.3)".
func Name(raw []byte) string {
	h := openflow.ParseHeader(raw)
	name := typeName(raw)
	if h.Version > ofp.V10 {
		return fmt.Sprintf("%s (%s)", name, versionText(h.Version))
	}
	return name
}

func versionText(v ofp.Version) string {
	if v <= ofp.V15 {
		return fmt.Sprintf("OF1.%d", v-1)
	}
	return fmt.Sprintf("OF 0x%02x", uint8(v))
}

// Message writes one message, which may be cut off, with a newline at its end.
func Message(raw []byte, o Options) string {
	p := &printer{Options: o, raw: raw}
	h := openflow.ParseHeader(raw)
	p.version = h.Version
	switch {
	case len(raw) < openflow.HeaderLen:
		p.printf("OpenFlow packet too short (only %d bytes):\n", len(raw))
		return p.String() + Hex(raw, 0, true)
	case h.Len != len(raw):
		if h.Len > len(raw) {
			p.printf("%s (xid=0x%x):\n(***truncated to %d bytes from %d***)\n", Name(raw), h.XID, len(raw), h.Len)
		} else {
			p.printf("(***only uses %d bytes out of %d***)\n", h.Len, len(raw))
		}
		return p.String() + Hex(raw, 0, true)
	}
	p.printf("%s (xid=0x%x):", Name(raw), h.XID)
	before := p.Len()
	if f := multipartFlags(raw); f != "" {
		p.WriteString(f)
		before = p.Len()
	}
	m, err := openflow.Decode(raw, openflow.Proto{Version: h.Version, TableID: true})
	if err != nil {
		p.printf(" ***decode error: %v***\n", ofp.KindOf(err))
		return p.String() + Hex(raw, 0, true)
	}
	p.body(m)
	s := p.String()
	if len(s) == before || !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}

// multipartFlags writes the flags of a multipart message.
func multipartFlags(raw []byte) string {
	h := openflow.ParseHeader(raw)
	req, rep := multipartTypes(h.Version)
	if h.Type != req && h.Type != rep || len(raw) < 12 {
		return ""
	}
	flags := binary.BigEndian.Uint16(raw[10:])
	switch {
	case flags == 0:
		return ""
	case h.Type == req:
		return fmt.Sprintf(" ***unknown flags 0x%04x***", flags)
	}
	s := " flags="
	if flags&1 != 0 {
		s += "[more]"
		flags &^= 1
	}
	if flags != 0 {
		s += fmt.Sprintf("[***unknown flags 0x%04x***]", flags)
	}
	return s
}

// Hex writes a dump of 16 bytes a line, with text behind if ascii.
func Hex(b []byte, ofs int, ascii bool) string {
	var s strings.Builder
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		fmt.Fprintf(&s, "%08x ", ofs+at)
		for i := range 16 {
			sep := byte(' ')
			if i == 8 {
				sep = '-'
			}
			switch {
			case i < len(line):
				fmt.Fprintf(&s, "%c%02x", sep, line[i])
			case i == len(line) && i == 8:
				s.WriteString("-  ")
			case ascii:
				s.WriteString("   ")
			}
		}
		if ascii {
			s.WriteString(" |")
			for i := range 16 {
				switch {
				case i >= len(line):
					s.WriteByte(' ')
				case line[i] >= ' ' && line[i] < 0x7f:
					s.WriteByte(line[i])
				default:
					s.WriteByte('.')
				}
			}
			s.WriteByte('|')
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// body writes what stands behind the first colon.
func (p *printer) body(m openflow.Message) {
	switch m := m.(type) {
	case *openflow.Hello:
		p.hello(m)
	case *openflow.Error:
		p.errorMsg(m)
	case *openflow.EchoRequest:
		p.echo(m.Data)
	case *openflow.EchoReply:
		p.echo(m.Data)
	case *openflow.FeaturesReply:
		p.features(m)
	case *openflow.GetConfigReply:
		p.config(m.Config)
	case *openflow.SetConfig:
		p.config(m.Config)
	case *openflow.PacketIn:
		p.packetIn(m)
	case *openflow.PacketOut:
		p.packetOut(m)
	case *openflow.FlowRemoved:
		p.flowRemoved(m)
	case *openflow.FlowMod:
		p.flowMod(m)
	case *openflow.PortStatus:
		p.portStatus(m)
	case *openflow.PortMod:
		p.portMod(m)
	case *openflow.RoleRequest:
		p.role(m.Role, m.HasGen, m.GenerationID)
	case *openflow.RoleReply:
		p.role(m.Role, m.HasGen, m.GenerationID)
	case *openflow.SetFlowFormat:
		p.WriteString(" format=")
		if m.NXM {
			p.WriteString("nxm")
		} else {
			p.WriteString("openflow10")
		}
	case *openflow.SetFlowModTableID:
		if m.On {
			p.WriteString(" enable")
		} else {
			p.WriteString(" disable")
		}
	case *openflow.SetPacketInFormat:
		p.WriteString(" format=" + packetInFormats[min(int(m.Format), len(packetInFormats)-1)])
	case *openflow.SetControllerID:
		p.printf(" id=%d", m.ID)
	case *openflow.GroupMod:
		p.groupMod(m)
	case *openflow.MeterMod:
		p.meterMod(m)
	case *openflow.TableMod:
		p.tableMod(m)
	case *openflow.TableStatus:
		p.tableStatus(m)
	case *openflow.BundleControl:
		p.bundleControl(m)
	case *openflow.BundleAdd:
		p.bundleAdd(m)
	case *openflow.SetAsync:
		p.async(&m.AsyncConfig)
	case *openflow.GetAsyncReply:
		p.async(&m.AsyncConfig)
	case *openflow.TLVTableMod:
		p.tlvMod(m)
	case *openflow.TLVTableReply:
		p.tlvTable(m)
	case *openflow.CTFlushZone:
		p.printf(" zone_id=%d", m.Zone)
	case *openflow.CTFlush:
		p.ctFlush(m)
	default:
		p.multipart(m)
	}
}

// packetInFormats is indexed by openflow.PacketInFormat.
var packetInFormats = [...]string{"standard", "nxt_packet_in", "nxt_packet_in2", "unknown"}

// multipart writes requests and replies in parts.
func (p *printer) multipart(m openflow.Message) {
	switch m := m.(type) {
	case *openflow.DescReply:
		p.WriteByte('\n')
		p.printf("Manufacturer: %s\nHardware: %s\nSoftware: %s\nSerial Num: %s\nDP Description: %s\n",
			m.Manufacturer, m.Hardware, m.Software, m.Serial, m.Datapath)
	case *openflow.FlowStatsRequest:
		p.filter(&m.FlowFilter)
	case *openflow.FlowStatsReply:
		p.flowStats(m)
	case *openflow.AggregateRequest:
		p.filter(&m.FlowFilter)
	case *openflow.AggregateReply:
		p.printf(" packet_count=%d byte_count=%d flow_count=%d", m.Packets, m.Bytes, m.Flows)
	case *openflow.TableStatsReply:
		p.tableStats(m)
	case *openflow.TableFeaturesReply:
		p.tableFeatures(m)
	case *openflow.PortStatsRequest:
		p.WriteString(" port_no=" + p.port(m.Port))
	case *openflow.PortStatsReply:
		p.portStats(m)
	case *openflow.PortDescRequest:
		if p.version != ofp.V10 {
			p.WriteString(" port=" + p.port(m.Port))
		}
	case *openflow.PortDescReply:
		p.WriteByte('\n')
		p.portDescs(m.Ports)
	case *openflow.QueueStatsRequest:
		p.queueRequest(m)
	case *openflow.QueueStatsReply:
		p.queueStats(m)
	case *openflow.QueueGetConfigRequest:
		p.WriteString(" port=" + p.port(m.Port))
		if p.version >= ofp.V14 && m.Queue != queueAll {
			p.printf(" queue=%d", m.Queue)
		}
	case *openflow.QueueGetConfigReply:
		p.queueConfig(m)
	case *openflow.TableDescReply:
		p.tableDesc(m)
	case *openflow.GroupDescRequest:
		p.WriteString(" group_id=" + groupID(m.Group))
	case *openflow.GroupDescReply:
		p.groupDescs(m)
	case *openflow.GroupStatsRequest:
		p.WriteString(" group_id=" + groupID(m.Group))
	case *openflow.GroupStatsReply:
		p.groupStats(m)
	case *openflow.GroupFeaturesReply:
		p.groupFeatures(m)
	case *openflow.MeterConfigRequest:
		p.WriteString(" meter=" + meterID(m.Meter))
	case *openflow.MeterConfigReply:
		p.meterConfigs(m)
	case *openflow.MeterStatsRequest:
		p.WriteString(" meter=" + meterID(m.Meter))
	case *openflow.MeterStatsReply:
		p.meterStats(m)
	case *openflow.MeterFeaturesReply:
		p.meterFeatures(m)
	}
}
