// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow"
)

var bundleTypeNames = []string{
	"OPEN_REQUEST", "OPEN_REPLY", "CLOSE_REQUEST", "CLOSE_REPLY", "COMMIT_REQUEST", "COMMIT_REPLY", "DISCARD_REQUEST", "DISCARD_REPLY",
}

// hexNumber writes a number as C's %#x does: zero has no prefix.
func hexNumber(n uint32) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}

func (p *printer) bundleFlags(f openflow.BundleFlags) {
	p.WriteString("flags=" + bits(uint32(f), []string{"atomic", "ordered"}, " "))
}

func (p *printer) bundleControl(m *openflow.BundleControl) {
	p.printf("\n bundle_id=%s type=", hexNumber(m.ID))
	if int(m.Type) < len(bundleTypeNames) {
		p.WriteString(bundleTypeNames[m.Type])
	} else {
		p.printf("%d", m.Type)
	}
	p.WriteByte(' ')
	p.bundleFlags(m.Flags)
}

// bundleAdd writes the message in the bundle as one of its own.
func (p *printer) bundleAdd(m *openflow.BundleAdd) {
	p.printf("\n bundle_id=%s ", hexNumber(m.ID))
	p.bundleFlags(m.Flags)
	p.WriteByte('\n')
	ofs := 16 // OFPT_BUNDLE_ADD_MESSAGE
	if len(p.raw) > 1 && p.raw[1] == 4 {
		ofs += 8 // ONFT_
	}
	if len(p.raw) < ofs+openflow.HeaderLen {
		return
	}
	inner := p.raw[ofs:]
	if n := openflow.ParseHeader(inner).Len; n <= len(inner) {
		inner = inner[:n]
	}
	p.WriteString(Message(inner, p.Options))
}

func (p *printer) tlvMaps(ms []openflow.TLVMap) {
	p.WriteString(" mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------")
	for _, m := range ms {
		p.printf("\n %6s  %4s  %6d  tun_metadata%d", hexNumber(uint32(m.Class)), hexNumber(uint32(m.Type)), m.Len, m.Index)
	}
	p.WriteByte('\n')
}

var tlvCommandNames = []string{"ADD", "DEL", "CLEAR"}

func (p *printer) tlvMod(m *openflow.TLVTableMod) {
	p.WriteString("\n ")
	if int(m.Command) < len(tlvCommandNames) {
		p.WriteString(tlvCommandNames[m.Command])
	}
	if m.Command != openflow.TLVClear {
		p.tlvMaps(m.Maps)
	}
}

func (p *printer) tlvTable(m *openflow.TLVTableReply) {
	used := 0
	for _, t := range m.Maps {
		used += int(t.Len)
	}
	p.printf("\n max option space=%d max fields=%d\n allocated option space=%d\n\n", m.Space, m.Fields, used)
	p.tlvMaps(m.Maps)
}

// ctFlush writes the zone and both directions.
func (p *printer) ctFlush(m *openflow.CTFlush) {
	icmp := m.Proto == 1 || m.Proto == 58
	v4 := m.Orig.Src.Is4() || m.Orig.Dst.Is4() || m.Reply.Src.Is4() || m.Reply.Dst.Is4()
	tuple := func(t *openflow.CTTuple, proto bool) string {
		addr := func(a netip.Addr) string {
			if !a.IsValid() {
				return "::"
			}
			return a.String()
		}
		family := "ct_ipv6"
		if v4 {
			family = "ct_nw"
		}
		ws := []string{family + "_src=" + addr(t.Src), family + "_dst=" + addr(t.Dst)}
		if icmp {
			ws = append(ws, fmt.Sprintf("icmp_id=%d,icmp_type=%d,icmp_code=%d", t.ID, t.Type, t.Code))
		} else {
			ws = append(ws, fmt.Sprintf("ct_tp_src=%d,ct_tp_dst=%d", t.SrcPort, t.DstPort))
		}
		if proto {
			ws = append(ws, fmt.Sprintf("ct_nw_proto=%d", m.Proto))
		}
		return strings.Join(ws, ",")
	}
	p.printf(" zone=%d '%s' '%s'", m.Zone, tuple(&m.Orig, true), tuple(&m.Reply, false))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (p *printer) tableMod(m *openflow.TableMod) {
	if m.Table == openflow.TableAll {
		p.WriteString(" table_id: ALL_TABLES")
	} else {
		p.WriteString(" table_id=" + p.table(m.Table))
	}
	if !m.Set {
		return
	}
	p.printf(", eviction=%s, vacancy=%s", onOff(m.Eviction), onOff(m.Vacancy))
	if m.Vacancy {
		p.printf(" vacancy:%d,%d", m.VacancyDown, m.VacancyUp)
	}
}

var asyncTypes = [openflow.NumAsync]struct {
	name    string
	reasons []string
}{
	openflow.AsyncPacketIn:       {"PACKET_IN", reasonNames},
	openflow.AsyncPortStatus:     {"PORT_STATUS", []string{"add", "delete", "modify"}},
	openflow.AsyncFlowRemoved:    {"FLOW_REMOVED", removedNames},
	openflow.AsyncRoleStatus:     {"ROLE_STATUS", []string{"primary_request", "configuration_changed", "experimenter_data_changed"}},
	openflow.AsyncTableStatus:    {"TABLE_STATUS", []string{3: "vacancy_down", 4: "vacancy_up"}},
	openflow.AsyncRequestForward: {"REQUESTFORWARD", []string{"group_mod_request", "meter_mod_request"}},
}

// async writes which messages a controller is sent, in either role.
func (p *printer) async(c *openflow.AsyncConfig) {
	role := func(name string, masks *[openflow.NumAsync]uint32) {
		p.printf("\n %s:\n", name)
		for i, t := range asyncTypes {
			p.printf("%16s:", t.name)
			for j := range 32 {
				switch {
				case masks[i]&(1<<j) == 0:
				case j < len(t.reasons) && t.reasons[j] != "":
					p.WriteString(" " + t.reasons[j])
				default:
					p.printf(" %d", j)
				}
			}
			if masks[i] == 0 {
				p.WriteString(" (off)")
			}
			p.WriteByte('\n')
		}
	}
	role("primary", &c.Primary)
	role("secondary", &c.Secondary)
}

func (p *printer) tableStatus(m *openflow.TableStatus) {
	reason := fmt.Sprint(uint8(m.Reason))
	switch m.Reason {
	case openflow.TableVacancyDown:
		reason = "VACANCY_DOWN"
	case openflow.TableVacancyUp:
		reason = "VACANCY_UP"
	}
	p.printf(" reason=%s\ntable_desc:-", reason)
	p.oneTableDesc(&m.Desc, evictionFlags(p.raw[min(16, len(p.raw)):]))
}
