// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/xlate"
)

// Text writes the outcome of a translation that was asked for a trace.
func Text(in *xlate.In, r *xlate.Result) string {
	var b strings.Builder
	t := r.Trace
	fmt.Fprintf(&b, "Flow: %s\n", FlowText(&t.Start))
	nodes(&b, t.Nodes, 0)
	if t.Cut {
		fmt.Fprintf(&b, "(%d lines, what follows is left out)\n", xlate.MaxTrace)
	}
	b.WriteString("\nFinal flow: ")
	if t.Start == t.Final {
		b.WriteString("unchanged")
	} else {
		b.WriteString(FlowText(&t.Final))
	}
	fmt.Fprintf(&b, "\nMegaflow: %s\n", MegaflowText(in.InPort, in.Key, &r.Mask))
	fmt.Fprintf(&b, "Datapath actions: %s", Actions(in.Key, r.Actions, r.PacketIns))
	if r.Err != nil {
		fmt.Fprintf(&b, "\nTranslation failed (%s), packet is dropped.", failure(r.Err))
	}
	return b.String()
}

func failure(err error) string {
	switch {
	case errors.Is(err, xlate.ErrTooDeep):
		return "Recursion too deep"
	case errors.Is(err, xlate.ErrTooManyResubmits):
		return "Too many resubmits"
	case errors.Is(err, xlate.ErrPushLabel), errors.Is(err, xlate.ErrPopLabel):
		return "Too many MPLS labels"
	case errors.Is(err, xlate.ErrStackFull):
		return "Stack too deep"
	}
	return err.Error()
}

// nodes writes nodes, indented by level times four blanks. A table or bridge that ends
// its list is not indented further, so that a chain of tables goes straight
// down.
func nodes(b *strings.Builder, list []*xlate.Node, level int) {
	for i, n := range list {
		if n.Kind == xlate.NodeBridge {
			b.WriteByte('\n')
		}
		deeper := 0
		if i < len(list)-1 || n.Kind != xlate.NodeTable && n.Kind != xlate.NodeBridge {
			deeper = 1
		}
		indent := strings.Repeat(" ", 4*(level+deeper))
		b.WriteString(indent)
		switch n.Kind {
		case xlate.NodeDetail:
			b.WriteString(" -> " + n.Text)
		case xlate.NodeWarn:
			b.WriteString(" >> " + n.Text)
		case xlate.NodeError:
			b.WriteString(" >>>> " + n.Text + " <<<<")
		case xlate.NodeBridge:
			b.WriteString(n.Text + "\n" + indent + strings.Repeat("-", len(n.Text)))
		default:
			b.WriteString(n.Text)
		}
		b.WriteByte('\n')
		nodes(b, n.Subs, level+2*deeper)
	}
}

// MegaflowText writes the bits of a packet that count, with the OpenFlow number of
// its port, as ofproto/trace does.
func MegaflowText(in action.Port, k *flow.Key, mask *flow.Mask) string {
	m := flow.Match{Mask: *mask}
	if m.Mask.Get(flow.FieldVLANTCI).Lo == flow.VLANPresent || k.VLANTCI() == 0 {
		m.Mask.Clear(flow.FieldVLANTCI) // that there is a tag, or none, always counts
	}
	if v := m.Mask.Get(flow.FieldIPFrag); !v.IsZero() {
		m.Mask.Clear(flow.FieldIPFrag)
		m.Mask.Set(flow.FieldIPFrag, v.And(flow.U128{Lo: flow.FragAny | flow.FragLater}))
	}
	m.Mask.SetAll(flow.FieldRecircID)
	m.Mask.SetAll(flow.FieldInPort)
	m.Mask.SetAll(flow.FieldPacketType)
	key := *k
	key.SetU64(flow.FieldInPort, uint64(in))
	m.Key = key.Apply(&m.Mask)
	return strings.Replace(m.String(), "packet_type=(0,0)", "eth", 1)
}

// optional are the fields that FlowText leaves out where they are zero.
var optional = func() (fs []flow.Field) {
	fs = append(fs, flow.FieldPktMark, flow.FieldSkbPriority, flow.FieldDPHash, flow.FieldMetadata, flow.FieldTunID)
	for f := flow.FieldReg0; f <= flow.FieldReg15; f++ {
		fs = append(fs, f)
	}
	return fs
}()

// FlowText writes every field of a packet, as "Flow:" does.
func FlowText(k *flow.Key) string {
	p, v6 := k.IPProto(), k.EthType() == flow.EthTypeIPv6
	if k.U64(flow.FieldIPFrag)&flow.FragLater != 0 && p == flow.ProtoICMPv6 && v6 {
		// A later fragment has no type to match, but that of ICMPv6 is shown, as zero.
		first := *k
		first.SetU64(flow.FieldIPFrag, flow.FragAny)
		return strings.Replace(FlowText(&first), "nw_frag=first", "nw_frag=later", 1)
	}
	var m flow.Match
	all := func(fs ...flow.Field) {
		for _, f := range fs {
			m.Mask.SetAll(f)
		}
	}
	for _, f := range optional {
		if !k.Get(f).IsZero() {
			all(f)
		}
	}
	if k.InPort() != 0 {
		all(flow.FieldInPort)
	}
	all(flow.FieldVLANTCI, flow.FieldEthSrc, flow.FieldEthDst, flow.FieldEthType)
	tagged := k.VLANTCI() != 0
	switch k.EthType() {
	case flow.EthTypeIPv4:
		all(flow.FieldIPSrc, flow.FieldIPDst)
		transport(k, &m)
	case flow.EthTypeIPv6:
		all(flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label)
		transport(k, &m)
	case flow.EthTypeARP, flow.EthTypeRARP:
		all(flow.FieldARPSPA, flow.FieldARPTPA, flow.FieldARPOp, flow.FieldARPSHA, flow.FieldARPTHA)
	case flow.EthTypeMPLS, flow.EthTypeMPLSM:
		all(flow.FieldMPLSLabel, flow.FieldMPLSTC, flow.FieldMPLSTTL, flow.FieldMPLSBOS)
	}
	m.Key = k.Apply(&m.Mask)
	s := m.String()
	if tagged {
		inner := "vlan_tci1=0x0000"
		if t := uint16(k.U64(flow.FieldCVLANTCI)); t != 0 {
			inner = fmt.Sprintf("dl_vlan1=%d,dl_vlan_pcp1=%d", t&0xfff, t>>13)
		}
		s = strings.Replace(s, ",dl_src=", ","+inner+",dl_src=", 1)
	}
	if flow.PrereqMPLS.Met(&m) {
		last := k.U64(flow.FieldMPLSBOS) != 0
		for i, f := range []flow.Field{flow.FieldMPLS1, flow.FieldMPLS2} {
			if last {
				break
			}
			s += fmt.Sprintf(",mpls_lse%d=%d", i+1, k.U64(f))
			last = k.U64(f)>>8&1 != 0
		}
	}
	if flow.PrereqND.Met(&m) {
		for _, f := range []flow.Field{flow.FieldNDSLL, flow.FieldNDTLL} {
			s += "," + f.String() + "=" + flow.FormatValue(f, k.Get(f), flow.Ones(48))
		}
	}
	return s
}

// transport makes the fields of IP and above count.
func transport(k *flow.Key, m *flow.Match) {
	for _, f := range []flow.Field{flow.FieldIPProto, flow.FieldIPTOS, flow.FieldIPTTL} {
		m.Mask.SetAll(f)
	}
	m.Mask.Set(flow.FieldIPFrag, flow.U128{Lo: flow.FragAny | flow.FragLater})
	v6 := k.EthType() == flow.EthTypeIPv6
	p := k.IPProto()
	if k.U64(flow.FieldIPFrag)&flow.FragLater != 0 {
		return
	}
	switch {
	case p == flow.ProtoTCP, p == flow.ProtoUDP, p == flow.ProtoSCTP, p == flow.ProtoICMP && !v6, p == flow.ProtoICMPv6 && v6,
		p == packet.ProtoIGMP && !v6 && k.U64(flow.FieldTPSrc) != 0:
		m.Mask.SetAll(flow.FieldTPSrc)
		m.Mask.SetAll(flow.FieldTPDst)
	}
	switch {
	case p == flow.ProtoTCP:
		m.Mask.SetAll(flow.FieldTCPFlags)
	case p == flow.ProtoICMPv6 && v6:
		if t := k.U64(flow.FieldTPSrc); k.U64(flow.FieldTPDst) == 0 && (t == flow.ICMPv6NDSolicit || t == flow.ICMPv6NDAdvert) {
			m.Mask.SetAll(flow.FieldNDTarget)
		}
	}
}
