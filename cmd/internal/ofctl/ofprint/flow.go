// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// defaultPriority is not printed (OFP_DEFAULT_PRIORITY).
const defaultPriority = 0x8000

// Match writes a match with its priority, e.g. "priority=5,in_port=1".
func Match(m *flow.Match, priority uint16, ports flow.PortNames) string {
	s := m.Text(ports)
	if priority == defaultPriority {
		return s
	}
	pri := fmt.Sprintf("priority=%d", priority)
	if s != "" {
		pri += ","
	}
	return pri + s
}

var flagNames = []string{"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}

// flagText writes flags with a blank behind each.
func flagText(f openflow.FlowModFlags) string {
	var b strings.Builder
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			b.WriteString(n + " ")
			f &^= 1 << i
		}
	}
	if f != 0 {
		fmt.Fprintf(&b, "flags:0x%x ", uint16(f))
	}
	return b.String()
}

var commandNames = []string{"ADD", "MOD", "MOD_STRICT", "DEL", "DEL_STRICT"}

func (p *printer) flowMod(m *openflow.FlowMod) {
	p.printf(" %s", commandNames[min(int(m.Command), len(commandNames)-1)])
	if m.Table != 0 {
		p.WriteString(" table:" + p.table(m.Table))
	}
	p.WriteByte(' ')
	if s := Match(&m.Match, m.Priority, p.Ports); s != "" {
		p.WriteString(s + " ")
	}
	if m.NewCookie != 0 && m.NewCookie != ^uint64(0) {
		p.printf("cookie:0x%x ", m.NewCookie)
	}
	if m.CookieMask != 0 {
		p.printf("cookie:0x%x/0x%x ", m.Cookie, m.CookieMask)
	}
	if m.IdleTimeout != 0 {
		p.printf("idle:%d ", m.IdleTimeout)
	}
	if m.HardTimeout != 0 {
		p.printf("hard:%d ", m.HardTimeout)
	}
	if m.Importance != 0 {
		p.printf("importance:%d ", m.Importance)
	}
	if m.BufferID != openflow.NoBuffer {
		p.printf("buf:0x%x ", m.BufferID)
	}
	if m.OutPort != action.PortAny {
		p.WriteString("out_port:" + p.port(m.OutPort) + " ")
	}
	if m.OutGroup != action.GroupAny {
		p.printf("out_group:%d ", m.OutGroup)
	}
	flags := m.Flags
	if p.version == ofp.V10 {
		flags &^= openflow.FlagResetCounts // implied by every addition
	}
	p.WriteString(flagText(flags) + "actions=" + m.Instructions.Text(p.Ports))
}

// FlowStats writes one flow of a dump, without a newline.
func FlowStats(f *openflow.FlowStats, o Options, stats bool) string {
	p := &printer{Options: o}
	if stats || f.Cookie != 0 {
		p.printf("cookie=0x%x, ", f.Cookie)
	}
	if stats {
		p.printf("duration=%s, ", duration(f.Lifetime))
	}
	if stats || f.Table != 0 {
		p.printf("table=%s, ", p.table(f.Table))
	}
	if stats {
		p.printf("n_packets=%d, n_bytes=%d, ", f.Packets, f.Bytes)
	}
	if f.IdleTimeout != 0 {
		p.printf("idle_timeout=%d, ", f.IdleTimeout)
	}
	if f.HardTimeout != 0 {
		p.printf("hard_timeout=%d, ", f.HardTimeout)
	}
	p.WriteString(flagText(f.Flags))
	if f.Importance != 0 {
		p.printf("importance=%d, ", f.Importance)
	}
	if stats && f.IdleAge >= 0 {
		p.printf("idle_age=%d, ", f.IdleAge)
	}
	if stats && f.HardAge >= 0 && uint32(f.HardAge) != f.Lifetime.Sec {
		p.printf("hard_age=%d, ", f.HardAge)
	}
	if s := Match(&f.Match, f.Priority, o.Ports); s != "" {
		p.WriteString(s + " ")
	}
	p.WriteString("actions=" + f.Instructions.Text(o.Ports))
	return p.String()
}

func (p *printer) flowStats(m *openflow.FlowStatsReply) {
	for i := range m.Flows {
		p.WriteString("\n " + FlowStats(&m.Flows[i], p.Options, true))
	}
}

func (p *printer) filter(f *openflow.FlowFilter) {
	if f.Table != openflow.TableAll {
		p.WriteString(" table=" + p.table(f.Table))
	}
	if f.OutPort != action.PortAny {
		p.WriteString(" out_port=" + p.port(f.OutPort))
	}
	if s := f.Match.Text(p.Ports); s != "" {
		p.WriteString(" " + s)
	}
}

var removedNames = []string{"idle", "hard", "delete", "group_delete", "meter_delete", "eviction"}

func (p *printer) flowRemoved(m *openflow.FlowRemoved) {
	p.WriteString(" " + Match(&m.Match, m.Priority, p.Ports))
	if int(m.Reason) < len(removedNames) {
		p.WriteString(" reason=" + removedNames[m.Reason])
	} else {
		p.printf(" reason=%d", m.Reason)
	}
	if m.Table != 255 {
		p.WriteString(" table_id=" + p.table(m.Table))
	}
	if m.Cookie != 0 {
		p.printf(" cookie:0x%x", m.Cookie)
	}
	p.printf(" duration%s idle%d", duration(m.Lifetime), m.IdleTimeout)
	if m.HardTimeout != 0 {
		p.printf(" hard%d", m.HardTimeout)
	}
	p.printf(" pkts%d bytes%d\n", m.Packets, m.Bytes)
}
