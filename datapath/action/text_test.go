// SPDX-License-Identifier: Apache-2.0

package action

import (
	"reflect"
	"testing"
)

// TestText: one form in, the stock program's form out (the comparison with it is
// in package openflow).
func TestText(t *testing.T) {
	for _, row := range []struct{ in, out string }{
		{"", "drop"},
		{"drop", "drop"},
		{"mod_vlan_vid:10,output:2", "mod_vlan_vid:10,output:2"},
		{"2", "output:2"},
		{"normal , flood", "NORMAL,FLOOD"},
		{"output:controller", "CONTROLLER:65535"},
		{"controller(max_len=100)", "CONTROLLER:100"},
		{"controller(id=1,reason=group)", "controller(reason=group,id=1)"},
		{"enqueue(3,7)", "enqueue:3:7"},
		{"resubmit(,3)", "resubmit(,3)"},
		{"clone(1,clone(2))", "clone(output:1,clone(output:2))"},
		{"Meter:3,OUTPUT:1,goto_table:7", "meter:3,output:1,goto_table:7"},
		{"set_field:1/0xff->reg0", "set_field:0x1/0xff->reg0"},
		{"dec_ttl()", "dec_ttl"},
		{"normal:1,strip_vlan:3", "NORMAL,strip_vlan"}, // arguments too many have no effect
		{"note:1122", "note:11.22.00.00.00.00"},
		{"clear_actions,write_actions(set_field:5->tcp_dst)", "clear_actions,write_actions(set_field:5->tcp_dst)"},
		{"CHECK_PKT_LARGER:0x10->in_port[3],clone(check_pkt_larger(1514)->reg0[0],2)", "check_pkt_larger(16)->NXM_OF_IN_PORT[3],clone(check_pkt_larger(1514)->NXM_NX_REG0[0],output:2)"},
	} {
		in, err := Parse(row.in)
		if err != nil || in.String() != row.out {
			t.Errorf("%q is written %q, want %q (%v)", row.in, in.String(), row.out, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, s := range []string{
		"foo", "drop,1", "output", "output:none", "none", "output:65535", "mod_vlan_vid:4096", "mod_vlan_pcp:8", "push_vlan:0x800",
		"goto_table:256", "goto_table", "clone(1", "clone(goto_table:1)", "write_actions(meter:1)", "set_field:1", "set_field:1->foo",
		"set_field:1->nw_proto", "load:1->NXM_NX_REG0[", "load:2->NXM_NX_REG0[0]", "move:reg0->reg1[0..3]", "conjunction(1,3/2)",
		"conjunction(1,1/1)", "resubmit(1,2,3)", "resubmit:", "resubmit(in_port,)", "goto_table:7,meter:3", "1,meter:3", "goto_table:7,1", "write_actions(1),clear_actions", "enqueue:1", "output(port=1,max_len=13)", "note:1", "set_tunnel:x",
		"mod_nw_src:1.2.3.4/8", "check_pkt_larger", "check_pkt_larger(100)", "check_pkt_larger(65536)->reg0[1]", "check_pkt_larger()->reg0[1]",
		"check_pkt_larger(1)->", "check_pkt_larger(1)->reg0", "check_pkt_larger(1)->reg0[32]", "check_pkt_larger(1)->eth_type[0]", "mod_nw_tos:3", "controller(foo=1)", "note:1.2",
	} {
		if in, err := Parse(s); err == nil {
			t.Errorf("%q is read as %q", s, in.String())
		}
	}
	if _, err := ParseList("goto_table:1"); err == nil {
		t.Error("ParseList takes an instruction")
	}
}

// FuzzParse: what is read is written as a text that is read as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"mod_vlan_vid:10,output:2", "set_field:1/3->reg0,set_field:fe80::1->ipv6_src,load:5->NXM_NX_REG1[0..3],move:reg0[3]->reg1[4]",
		"dec_ttl(1,2),controller(max_len=100,reason=no_match,id=3,userdata=01.02,pause,meter_id=4),resubmit(1,2,ct),resubmit:4,note:aa.bb,exit",
		"push:NXM_NX_REG0[],pop:NXM_NX_REG0[0..3],enqueue:1:2,set_queue:4,pop_queue,set_tunnel64:0x500000000,output(port=1,max_len=100)",
		"clone(1,clone(2)),conjunction(1,1/2),meter:3,write_actions(output:3),write_metadata:5/0xf,goto_table:7,clear_actions",
		"push_mpls:0x8847,set_mpls_label:5,set_mpls_tc:3,set_mpls_ttl:4,dec_mpls_ttl,pop_mpls:0x800,mod_nw_tos:8,mod_dl_src:00:11:22:33:44:55",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in, err := Parse(s)
		if err != nil {
			return
		}
		text := in.String()
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q is written %q: %v", s, text, err)
		}
		if !reflect.DeepEqual(in, again) && again.String() != text {
			t.Fatalf("%q is written %q, then %q", s, text, again.String())
		}
	})
}
