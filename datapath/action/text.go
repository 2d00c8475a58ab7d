// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
)

func (p Port) String() string { return flow.PortName(uint32(p)) }

// ParsePort reads a port number or the name of a reserved port.
func ParsePort(s string) (Port, error) {
	p, err := flow.ParsePort(s)
	return Port(p), err
}

// String writes l as ovs-actions(7) does; an empty list is "drop".
func (l List) String() string { return l.Text(nil) }

// Text is String with names in the place of port numbers.
func (l List) Text(ports flow.PortNames) string {
	if len(l) == 0 {
		return "drop"
	}
	ws := make([]string, len(l))
	for i, a := range l {
		ws[i] = Text(a, ports)
	}
	return strings.Join(ws, ",")
}

// String writes in as ovs-actions(7) does.
func (in *Instructions) String() string { return in.Text(nil) }

// Text is String with names in the place of port numbers.
func (in *Instructions) Text(ports flow.PortNames) string {
	var ws []string
	if in.Meter != 0 {
		ws = append(ws, fmt.Sprintf("meter:%d", in.Meter))
	}
	for _, a := range in.Apply {
		ws = append(ws, Text(a, ports))
	}
	if in.ClearActions {
		ws = append(ws, "clear_actions")
	}
	if len(in.Write) > 0 {
		ws = append(ws, "write_actions("+in.Write.Text(ports)+")")
	}
	if in.MetadataMask != 0 {
		w := "write_metadata:" + hexText(in.Metadata)
		if in.MetadataMask != ^uint64(0) {
			w += "/" + hexText(in.MetadataMask)
		}
		ws = append(ws, w)
	}
	if in.HasGoto {
		ws = append(ws, fmt.Sprintf("goto_table:%d", in.Goto))
	}
	if len(ws) == 0 {
		return "drop"
	}
	return strings.Join(ws, ",")
}

// hex writes v as C's %#x does.
func hexText(v uint64) string {
	if v == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(v, 16)
}

// Text writes one action; ports may be nil.
func Text(a Action, ports flow.PortNames) string {
	name := func(p Port) string { return ports.Name(uint32(p)) }
	switch a := a.(type) {
	case Output:
		switch {
		case a.Port == PortController:
			return fmt.Sprintf("CONTROLLER:%d", a.MaxLen)
		case a.Port >= PortMax:
			return a.Port.String()
		}
		return "output:" + name(a.Port)
	case Enqueue:
		return fmt.Sprintf("enqueue:%s:%d", name(a.Port), a.Queue)
	case Group:
		return fmt.Sprintf("group:%d", a.ID)
	case SetQueue:
		return fmt.Sprintf("set_queue:%d", a.ID)
	case PopQueue:
		return "pop_queue"
	case Meter:
		return fmt.Sprintf("meter:%d", a.ID)
	case PushVLAN:
		return fmt.Sprintf("push_vlan:0x%04x", a.TPID)
	case PopVLAN:
		if a.Legacy {
			return "strip_vlan"
		}
		return "pop_vlan"
	case SetVLANVID:
		return vlanWord("vid", a.PushIfNone, uint64(a.VID))
	case SetVLANPCP:
		return vlanWord("pcp", a.PushIfNone, uint64(a.PCP))
	case PushMPLS:
		return fmt.Sprintf("push_mpls:0x%04x", a.EthType)
	case PopMPLS:
		return fmt.Sprintf("pop_mpls:0x%04x", a.EthType)
	case SetTTL:
		return fmt.Sprintf("mod_nw_ttl:%d", a.TTL)
	case DecTTL:
		if len(a.Controllers) == 0 {
			return "dec_ttl"
		}
		ids := make([]string, len(a.Controllers))
		for i, id := range a.Controllers {
			ids[i] = strconv.Itoa(int(id))
		}
		return "dec_ttl(" + strings.Join(ids, ",") + ")"
	case SetMPLSTTL:
		return fmt.Sprintf("set_mpls_ttl(%d)", a.TTL)
	case DecMPLSTTL:
		return "dec_mpls_ttl"
	case SetField:
		return setFieldText(a)
	case Move:
		return "move:" + a.Src.String() + "->" + a.Dst.String()
	case Load:
		return "load:" + hexText(a.Value) + "->" + a.Dst.String()
	}
	return extensionText(a, ports)
}

func vlanWord(what string, push bool, v uint64) string {
	if push {
		return fmt.Sprintf("mod_vlan_%s:%d", what, v)
	}
	return fmt.Sprintf("set_vlan_%s:%d", what, v)
}

// legacyNames are the OpenFlow 1.0 actions that set one field.
var legacyNames = map[flow.Field]string{
	flow.FieldEthSrc: "mod_dl_src:",
	flow.FieldEthDst: "mod_dl_dst:",
	flow.FieldIPSrc:  "mod_nw_src:",
	flow.FieldIPDst:  "mod_nw_dst:",
	flow.FieldIPECN:  "mod_nw_ecn:",
	flow.FieldTPSrc:  "mod_tp_src:",
	flow.FieldTPDst:  "mod_tp_dst:",
}

func setFieldText(a SetField) string {
	all := flow.Ones(a.Field.Bits())
	m := a.Mask.And(all)
	if a.Legacy {
		switch a.Field {
		case flow.FieldIPDSCP:
			return fmt.Sprintf("mod_nw_tos:%d", a.Value.Lo<<2)
		case flow.FieldTunID:
			if a.Value.Lo>>32 != 0 {
				return "set_tunnel64:" + hexText(a.Value.Lo)
			}
			return "set_tunnel:" + hexText(a.Value.Lo)
		case flow.FieldMPLSLabel:
			return fmt.Sprintf("set_mpls_label(%d)", a.Value.Lo)
		case flow.FieldMPLSTC:
			return fmt.Sprintf("set_mpls_tc(%d)", a.Value.Lo)
		}
		if n, ok := legacyNames[a.Field]; ok {
			return n + flow.FormatValue(a.Field, a.Value, all)
		}
	}
	if a.Field == flow.FieldIPTOS && m.Lo == 0xfc {
		m = all
	}
	return "set_field:" + flow.FormatValue(a.Field, a.Value, m) + "->" + a.Field.String()
}

// reasonNames are the reasons of controller actions (ovs-actions(7)).
var reasonNames = []string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"}

func reasonText(r uint8) string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return strconv.Itoa(int(r))
}

func extensionText(a Action, ports flow.PortNames) string {
	switch a := a.(type) {
	case OutputReg:
		return "output:" + a.Src.String()
	case OutputTrunc:
		return fmt.Sprintf("output(port=%s,max_len=%d)", ports.Name(uint32(a.Port)), a.MaxLen)
	case Controller:
		return controllerText(a)
	case Resubmit:
		return resubmitText(a, ports.Name(uint32(a.InPort)))
	case StackPush:
		return "push:" + a.Src.String()
	case StackPop:
		return "pop:" + a.Dst.String()
	case Conjunction:
		return fmt.Sprintf("conjunction(%d,%d/%d)", a.ID, a.Clause+1, a.Clauses)
	case Note:
		return "note:" + dotted(a.Data)
	case Clone:
		return "clone(" + a.Actions.Text(ports) + ")"
	case Exit:
		return "exit"
	case CheckPktLarger:
		return fmt.Sprintf("check_pkt_larger(%d)->%v", a.Len, a.Dst)
	case Learn:
		return learnText(a, ports)
	case FinTimeout:
		return finTimeoutText(a)
	}
	return fmt.Sprintf("%T", a)
}

// dotted writes bytes as two digits each with dots between.
func dotted(b []byte) string {
	ws := make([]string, len(b))
	for i, c := range b {
		ws[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(ws, ".")
}

func controllerText(a Controller) string {
	var ws []string
	if a.Reason != 1 {
		ws = append(ws, "reason="+reasonText(a.Reason))
	}
	if a.MaxLen != 0xffff {
		ws = append(ws, fmt.Sprintf("max_len=%d", a.MaxLen))
	}
	if a.ID != 0 {
		ws = append(ws, fmt.Sprintf("id=%d", a.ID))
	}
	if len(a.Userdata) > 0 {
		ws = append(ws, "userdata="+dotted(a.Userdata))
	}
	if a.Pause {
		ws = append(ws, "pause")
	}
	if a.Meter != 0 {
		ws = append(ws, fmt.Sprintf("meter_id=%d", a.Meter))
	}
	if len(ws) == 0 {
		return "CONTROLLER:65535"
	}
	return "controller(" + strings.Join(ws, ",") + ")"
}

func resubmitText(a Resubmit, port string) string {
	if a.InPort != PortInPort && a.Table == ResubmitSameTable && !a.WithCT {
		return "resubmit:" + port
	}
	var b strings.Builder
	b.WriteString("resubmit(")
	if a.InPort != PortInPort {
		b.WriteString(port)
	}
	b.WriteByte(',')
	if a.Table != ResubmitSameTable {
		fmt.Fprintf(&b, "%d", a.Table)
	}
	if a.WithCT {
		b.WriteString(",ct")
	}
	b.WriteByte(')')
	return b.String()
}
