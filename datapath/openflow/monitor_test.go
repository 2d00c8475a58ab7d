// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// monitorVectors were sent by ovs-ofctl and ovs-vswitchd 3.1 (ovs-ofctl monitor br watch:), and those that
// are marked so are written by hand from the structures of nicira-ext.h and OpenFlow 1.4.1, 7.3.5.18.
var monitorVectors = []struct{ hex, want string }{
	{"01100028 00000006 ffff0000 00002320 00000002 00000000 00000001 003fffff 0000ff00 00000000", // hand: that of 1.2, which we do not speak, in 1.0
		"request 1 command 0 flags 0x3f table 255 port 0xffffffff group 0xffffffff match ''"},
	{"04120030 00000006 ffff0000 00000000 4f4e4600 0000074e 00000000 003f0004 ffffffff ff000000 00010004 00000000",
		"request 0 command 0 flags 0x3f table 255 port 0xffffffff group 0xffffffff match ''"},
	{"05120028 00000006 00100000 00000000 00000000 ffffffff ffffffff 005fff00 00010004 00000000",
		"request 0 command 0 flags 0x3f table 255 port 0xffffffff group 0xffffffff match ''"},
	{"05120028 00000006 00100000 00000000 00000007 ffffffff ffffffff 0000ff02 00010004 00000000", // hand
		"request 7 command 2 flags 0x0 table 255 port 0xffffffff group 0xffffffff match ''"},
	{"05120028 00000006 00100000 00000000 00000007 ffffffff ffffffff 0000ff00 00010004 00000000", "OFPMOFC_BAD_FLAGS"},
	{"05120028 00000006 00100000 00000000 00000007 ffffffff ffffffff 0080ff00 00010004 00000000", "OFPMOFC_BAD_FLAGS"},
	{"05120028 00000006 00100000 00000000 00000007 ffffffff ffffffff 001fff03 00010004 00000000", "OFPMOFC_BAD_COMMAND"},
	{"01110090 00000032 ffff0000 00002320 00000002 00000000 00280000 0000000a 00000000 00060000 00000000 00000001 00000002 00050000 00000008 00020000" +
		"00280000 0000000a 00000000 00060000 00000000 00000001 00000002 00060000 00000008 00040000 00280000 0000000a 00000000 00060000 00000000 00000001 00000002 00150000 00000008 00020000",
		"event 1 reason 0 table 0 priority 10 idle 0 cookie 0x1 in_port=5 do output:2; event 1 reason 0 table 0 priority 10 idle 0 cookie 0x1 in_port=6 do output:4; event 1 reason 0 table 0 priority 10 idle 0 cookie 0x1 in_port=21 do output:2"},
	{"04130068 00000000 ffff0000 00000000 4f4e4600 0000074e 00500000 00000005 003c0000 000c0200 00000000 00000001 0001000c 80000004 00000001 00000000 00040028 00000000 00000010 00000002 00000000 00000000 00000010 00000003 00000000 00000000",
		"event 1 reason 0 table 2 priority 5 idle 60 cookie 0x1 in_port=1 do output:2,output:3"},
	{"04130058 00000000 ffff0000 00000000 4f4e4600 0000074e 00400001 00020005 00000000 000c0200 00000000 00000001 0001000c 80000004 00000001 00000000 00040018 00000000 00000010 00000004 00000000 00000000",
		"event 2 reason 2 table 2 priority 5 idle 0 cookie 0x1 in_port=1 do output:4"},
	{"05130050 00000006 00100000 00000000 00400000 00000000 00008000 00000000 00000000 00000007 0001000c 80000004 00000003 00000000 00040018 00000000 00000010 00000005 00000000 00000000",
		"event 0 reason 0 table 0 priority 32768 idle 0 cookie 0x7 in_port=3 do output:5"},
	{"06130050 00000000 00100000 00000000 00400003 02000000 00000005 00000000 00000000 00000001 0001000c 80000004 00000001 00000000 00040018 00000000 00000010 00000004 00000000 00000000",
		"event 3 reason 0 table 2 priority 5 idle 0 cookie 0x1 in_port=1 do output:4"},
	{"05130038 00000000 00100000 00000000 00280002 00020000 0000000a 00000000 00000000 00000001 0001000c 80000004 00000008 00000000",
		"event 2 reason 2 table 0 priority 10 idle 0 cookie 0x1 in_port=8"},
	{"05130018 00000000 00100000 00000000 00080004 00000011", "event 4 xid 0x11"},
	{"05130018 00000000 00100000 00000000 00080005 00000000", "event 5 xid 0x0"}, // hand
	{"01040014 00000036 00002320 00000015 00000001", "cancel 1"},
	{"01040010 00000000 00002320 00000016", "*openflow.FlowMonitorPaused"},  // hand
	{"04040010 00000000 4f4e4600 00000750", "*openflow.FlowMonitorResumed"}, // hand
	{"05130018 00000000 00100000 00000000 00100004 00000011", "OFPBRC_BAD_LEN"},
	{"05130018 00000000 00100000 00000000 00070004 00000011", "OFPBRC_BAD_LEN"},
	{"05130018 00000000 00100000 00000000 00080007 00000011", "OFPBRC_BAD_LEN"},
}

func monitorText(m Message) string {
	var l []string
	switch m := m.(type) {
	case *FlowMonitorRequest:
		for _, r := range m.Monitors {
			l = append(l, fmt.Sprintf("request %d command %d flags %#x table %d port %#x group %#x match '%v'", r.ID, r.Command, uint16(r.Flags), r.Table, uint32(r.OutPort), r.OutGroup, &r.Match))
		}
	case *FlowMonitorReply:
		for _, u := range m.Updates {
			s := fmt.Sprintf("event %d xid %#x", u.Event, u.XID)
			if u.Event < UpdateAbbrev {
				s = fmt.Sprintf("event %d reason %d table %d priority %d idle %d cookie %#x %v", u.Event, u.Reason, u.Table, u.Priority, u.IdleTimeout, u.Cookie, &u.Match)
				if u.HasInstructions {
					s += " do " + u.Instructions.Apply.String()
				}
			}
			l = append(l, s)
		}
	case *FlowMonitorCancel:
		l = append(l, fmt.Sprintf("cancel %d", m.ID))
	default:
		l = append(l, fmt.Sprintf("%T", m))
	}
	return strings.Join(l, "; ")
}

func TestFlowMonitorVectors(t *testing.T) {
	for _, v := range monitorVectors {
		b, err := hex.DecodeString(strings.ReplaceAll(v.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		p := Proto{Version: ofp.Version(b[0])}
		m, err := Decode(b, p)
		if err != nil {
			if got := ofp.KindOf(err).String(); got != v.want {
				t.Errorf("%s\n %v, want %s", v.hex, err, v.want)
			}
			continue
		}
		if got := monitorText(m); got != v.want {
			t.Errorf("%s\n got  %s\n want %s", v.hex, got, v.want)
		}
		if out, err := Encode(p, ParseHeader(b).XID, m); err != nil || hex.EncodeToString(out) != hex.EncodeToString(b) {
			t.Errorf("%s\n written as %x (%v)", v.hex, out, err)
		}
	}
	for _, v := range []ofp.Version{ofp.V14, ofp.V15} { // of their own before
		for m, want := range map[Message]string{&FlowMonitorPaused{}: "event 5 xid 0x0", &FlowMonitorResumed{}: "event 6 xid 0x0"} {
			b, err := Encode(Proto{Version: v}, 0, m)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := Decode(b, Proto{Version: v}); err != nil || monitorText(again) != want {
				t.Errorf("%v %T: %x is read as %v (%v)", v, m, b, again, err)
			}
		}
	}
}
