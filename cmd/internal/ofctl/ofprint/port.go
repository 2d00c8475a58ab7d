// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/order"
)

// queueAll means all queues (OFPQ_ALL).
const queueAll = 0xffffffff

// bits writes the names of the bits that are set; names[i] is that of bit i.
func bits(v uint32, names []string, sep string) string {
	var ws []string
	for i, n := range names {
		if v&(1<<i) != 0 && n != "" {
			ws = append(ws, n)
			v &^= 1 << i
		}
	}
	if v != 0 {
		ws = append(ws, fmt.Sprintf("0x%x", v))
	}
	if len(ws) == 0 {
		return "0"
	}
	return strings.Join(ws, sep)
}

var configNames = []string{"PORT_DOWN", "NO_STP", "NO_RECV", "NO_RECV_STP", "NO_FLOOD", "NO_FWD", "NO_PACKET_IN"}

var stateNames = []string{"LINK_DOWN", "BLOCKED", "LIVE", "", "", "", "", "", "STP_LEARN", "STP_FORWARD"}

var featureNames = []string{
	"10MB-HD", "10MB-FD", "100MB-HD", "100MB-FD", "1GB-HD", "1GB-FD", "10GB-FD", "40GB-FD", "100GB-FD", "1TB-FD",
	"OTHER", "COPPER", "FIBER", "AUTO_NEG", "AUTO_PAUSE", "AUTO_PAUSE_ASYM",
}

// speeds are those of the features, the fastest first, Mbit/s.
var speeds = []struct {
	f    openflow.PortFeatures
	mbps uint32
}{
	{openflow.Feature1TbFD, 1000000}, {openflow.Feature100GbFD, 100000}, {openflow.Feature40GbFD, 40000},
	{openflow.Feature10GbFD, 10000}, {openflow.Feature1GbHD | openflow.Feature1GbFD, 1000},
	{openflow.Feature100MbHD | openflow.Feature100MbFD, 100}, {openflow.Feature10MbHD | openflow.Feature10MbFD, 10},
}

func speedOf(f openflow.PortFeatures) uint32 {
	for _, s := range speeds {
		if f&s.f != 0 {
			return s.mbps
		}
	}
	return 0
}

func mac(a [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}

// PortDesc writes a port as the show command does.
func (p *printer) portDesc(d *openflow.PortDesc) {
	name := d.Name
	if name == "" {
		name = "<unknown>"
	}
	p.printf(" %v(%s): addr:%s\n     config:     %s\n     state:      %s\n", d.No, name, mac(d.HWAddr),
		bits(uint32(d.Config), configNames, " "), bits(uint32(d.State), stateNames, " "))
	for _, f := range []struct {
		label string
		v     openflow.PortFeatures
	}{{"current:   ", d.Curr}, {"advertised:", d.Advertised}, {"supported: ", d.Supported}, {"peer:      ", d.Peer}} {
		if f.v != 0 {
			p.printf("     %s %s\n", f.label, bits(uint32(f.v), featureNames, " "))
		}
	}
	now, most := d.CurrSpeed/1000, d.MaxSpeed/1000
	if p.version == ofp.V10 {
		now, most = speedOf(d.Curr), speedOf(d.Supported)
	}
	p.printf("     speed: %d Mbps now, %d Mbps max\n", now, most)
}

// portDescs writes ports by their numbers.
func (p *printer) portDescs(ds []openflow.PortDesc) {
	ds = slices.Clone(ds)
	order.Sort(ds, func(a, b openflow.PortDesc) int { return cmp.Compare(a.No, b.No) })
	for i := range ds {
		p.portDesc(&ds[i])
	}
}

func (p *printer) portStatus(m *openflow.PortStatus) {
	switch m.Reason {
	case openflow.PortAdded:
		p.WriteString(" ADD:")
	case openflow.PortDeleted:
		p.WriteString(" DEL:")
	case openflow.PortModified:
		p.WriteString(" MOD:")
	}
	p.portDesc(&m.Desc)
}

func (p *printer) portMod(m *openflow.PortMod) {
	p.printf(" port: %s: addr:%s\n     config: %s\n     mask:   %s\n     advertise: ", p.port(m.No), mac(m.HWAddr),
		bits(uint32(m.Config), configNames, " "), bits(uint32(m.Mask), configNames, " "))
	if m.Advertise == 0 {
		p.WriteString("UNCHANGED\n")
		return
	}
	p.WriteString(bits(uint32(m.Advertise), featureNames, " ") + "\n")
}

// counter writes a counter; all ones is unknown.
func counter(v uint64) string {
	if v == math.MaxUint64 {
		return "?"
	}
	return fmt.Sprint(v)
}

// duration writes 3 decimals where they are enough, else 9.
func duration(l openflow.Lifetime) string {
	switch {
	case l.Nsec == 0:
		return fmt.Sprintf("%ds", l.Sec)
	case l.Nsec%1000000 == 0:
		return fmt.Sprintf("%d.%03ds", l.Sec, l.Nsec/1000000)
	}
	return fmt.Sprintf("%d.%09ds", l.Sec, l.Nsec)
}

func (p *printer) portStats(m *openflow.PortStatsReply) {
	p.printf(" %d ports\n", len(m.Ports))
	for i := range m.Ports {
		s := &m.Ports[i]
		p.WriteString("  port ")
		if uint16(s.No) < 10 {
			p.WriteByte(' ')
		}
		p.printf("%s: rx pkts=%s, bytes=%s, drop=%s, errs=%s, frame=%s, over=%s, crc=%s\n", p.port(s.No),
			counter(s.RxPackets), counter(s.RxBytes), counter(s.RxDropped), counter(s.RxErrors),
			counter(s.RxFrameErr), counter(s.RxOverErr), counter(s.RxCRCErr))
		p.printf("           tx pkts=%s, bytes=%s, drop=%s, errs=%s, coll=%s\n",
			counter(s.TxPackets), counter(s.TxBytes), counter(s.TxDropped), counter(s.TxErrors), counter(s.Collisions))
		if p.version > ofp.V10 && s.Duration.Sec != math.MaxUint32 {
			p.printf("           duration=%s\n", duration(s.Duration))
		}
	}
}

func queueText(q uint32) string {
	if q == queueAll {
		return "ALL"
	}
	return fmt.Sprint(q)
}

func (p *printer) queueRequest(m *openflow.QueueStatsRequest) {
	p.printf(" port=%s queue=%s", p.port(m.Port), queueText(m.Queue))
}

func (p *printer) queueStats(m *openflow.QueueStatsReply) {
	p.printf(" %d queues\n", len(m.Queues))
	for i := range m.Queues {
		q := &m.Queues[i]
		d := "?"
		if p.version > ofp.V10 && q.Duration.Sec != math.MaxUint32 {
			d = duration(q.Duration)
		}
		p.printf("  port %s queue %s: bytes=%s, pkts=%s, errors=%s, duration=%s\n", p.port(q.Port), queueText(q.Queue),
			counter(q.TxBytes), counter(q.TxPackets), counter(q.TxErrs), d)
	}
}

func (p *printer) queueConfig(m *openflow.QueueGetConfigReply) {
	port := action.PortAny
	if p.version < ofp.V14 {
		port = m.Port
		p.printf(" port=%s\n", p.port(port))
	}
	for _, q := range m.Queues {
		if p.version >= ofp.V14 && q.Port != port {
			port = q.Port
			p.printf(" port=%s\n", p.port(port))
		}
		p.printf("queue %d:", q.ID)
		p.rate("min_rate", q.MinRate)
		p.rate("max_rate", q.MaxRate)
		p.WriteByte('\n')
	}
}

// rate writes tenths of a percent.
func (p *printer) rate(name string, v uint16) {
	switch {
	case v <= 1000:
		p.printf(" %s:%d.%d%%", name, v/10, v%10)
	case v < math.MaxUint16:
		p.printf(" %s:(disabled)", name)
	}
}

var capabilityNames = []string{
	"FLOW_STATS", "TABLE_STATS", "PORT_STATS", "GROUP_STATS", "", "IP_REASM", "QUEUE_STATS", "", "PORT_BLOCKED",
	"BUNDLES", "FLOW_MONITORING",
}

// actionNames10 are those of the bits in OpenFlow 1.0's features.
var actionNames10 = []string{
	"output", "set_vlan_vid", "set_vlan_pcp", "strip_vlan", "mod_dl_src", "mod_dl_dst", "mod_nw_src", "mod_nw_dst",
	"mod_nw_tos", "mod_tp_src", "mod_tp_dst", "enqueue",
}

func (p *printer) features(m *openflow.FeaturesReply) {
	p.printf(" dpid:%016x\nn_tables:%d, n_buffers:%d", m.DatapathID, m.Tables, m.Buffers)
	if m.AuxID != 0 {
		p.printf(", auxiliary_id:%d", m.AuxID)
	}
	caps := bits(uint32(m.Capabilities&0xffff), capabilityNames, " ")
	for _, c := range []struct {
		bit  openflow.Capabilities
		name string
	}{{openflow.CapSTP, "STP"}, {openflow.CapARPMatchIP, "ARP_MATCH_IP"}} {
		if m.Capabilities&c.bit != 0 {
			caps += " " + c.name
		}
	}
	p.printf("\ncapabilities: %s\n", caps)
	if p.version > ofp.V10 {
		return
	}
	p.WriteString("actions:")
	if m.Actions&(1<<11) != 0 { // enqueue stands second
		if m.Actions&1 != 0 {
			p.WriteString(" output")
		}
		p.WriteString(" enqueue")
	}
	rest := m.Actions &^ (1 << 11)
	if m.Actions&(1<<11) != 0 {
		rest &^= 1
	}
	if s := bits(rest, actionNames10, " "); s != "0" {
		p.WriteString(" " + s)
	}
	p.WriteByte('\n')
	p.portDescs(m.Ports)
}

var fragNames = [...]string{"normal", "drop", "reassemble", "nx-match"}

// FragMode returns the name of a fragment handling mode.
func FragMode(m openflow.FragMode) string { return fragNames[m&3] }

// ParseFragMode reads such a name.
func ParseFragMode(s string) (openflow.FragMode, bool) {
	for i, n := range fragNames {
		if strings.EqualFold(n, s) {
			return openflow.FragMode(i), true
		}
	}
	return 0, false
}

func (p *printer) config(c openflow.Config) {
	p.WriteString(" frags=" + FragMode(c.Frag))
	if c.InvalidTTL {
		p.WriteString(" invalid_ttl_to_controller")
	}
	p.printf(" miss_send_len=%d\n", c.MissSendLen)
}

func (p *printer) hello(m *openflow.Hello) {
	p.WriteString("\n version bitmap: ")
	var vs []string
	for v := ofp.Version(1); v < 32; v++ {
		if m.Versions.Has(v) {
			vs = append(vs, fmt.Sprintf("0x%02x", uint8(v)))
		}
	}
	p.WriteString(strings.Join(vs, ", "))
}

func (p *printer) echo(data []byte) {
	p.printf(" %d bytes of payload\n", len(data))
	if p.Verbosity > 1 {
		p.WriteString(Hex(data, 0, true))
	}
}

func (p *printer) errorMsg(m *openflow.Error) {
	if m.Kind == ofp.NoError {
		p.printf(" ***decode error: type %d, code %d***\n", m.Numbers.Type, m.Numbers.Code)
		p.WriteString(Hex(m.Data, 0, true))
		return
	}
	p.printf(" %s\n", m.Kind)
	if m.Kind == ofp.HFCIncompatible || m.Kind == ofp.HFCEperm {
		p.printf("%q\n", m.Data)
		return
	}
	if len(m.Data) >= openflow.HeaderLen {
		p.WriteString(Message(m.Data, Options{Verbosity: 1, Ports: p.Ports, Tables: p.Tables}))
		return
	}
	p.WriteString(Hex(m.Data, 0, true))
}

var roleNames = [...]string{"nochange", "equal", "primary", "secondary"}

func (p *printer) role(r openflow.Role, has bool, gen uint64) {
	if int(r) < len(roleNames) {
		p.WriteString(" role=" + roleNames[r])
	} else {
		p.printf(" role=%d", r)
	}
	if has {
		p.printf(" generation_id=%d", gen)
	}
}

func u16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }
