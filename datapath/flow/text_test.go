// SPDX-License-Identifier: Apache-2.0

package flow

import "testing"

// TestParseMatchErrors: what is refused.
func TestParseMatchErrors(t *testing.T) {
	for _, s := range []string{
		"tcpp", "in_port", "in_port=foo", "in_port=70000", "in_port=0xfffe", "dl_vlan=70000", "dl_vlan=x", "dl_vlan_pcp=300", "nw_src=1.2.3",
		"nw_src=1.2.3.4/33", "ip,nw_src=::1", "ipv6_src=1.2.3.4", "dl_src=00:11:22", "tcp,tp_dst=65536", "tcp,tp_dst=-2",
		"ip,nw_tos=300", "ip,nw_tos=4/4", "ip,nw_proto=6/7", "arp,arp_op=1/1", "tcp,tcp_flags=+foo", "tcp,tcp_flags=+syn+syn", "ct_state=foo", "reg0=0x100000000",
		"reg16=1", "ip,ip_frag=maybe", "metadata=0x10000000000000000", "in_port=1/1", "packet_type=1",
	} {
		if m, err := ParseMatch(s); err == nil {
			t.Errorf("%q is read as %q", s, m.String())
		}
	}
}

// TestMatchText: forms that the stock program reads alike are written in its form
// (the comparison with it is in package openflow).
func TestMatchText(t *testing.T) {
	for _, row := range []struct{ in, out string }{
		{"", ""},
		{"  tcp , in_port=LOCAL ", "tcp,in_port=LOCAL"},
		{"tp_dst=80,tcp", "tcp,tp_dst=80"},
		{"tp_dst=80", ""}, // without the prerequisite it has no effect
		{"nw_dst=1.2.3.4,nw_proto=6", ""},
		{"ip,tp_dst=80", "ip"},
		{"dl_type=0x800,nw_proto=17", "udp"},
		{"dl_type=0x0806,nw_proto=2", "arp,arp_op=2"},
		{"ip6,nw_proto=58,icmp_type=1", "icmp6,icmp_type=1"},
		{"ip,nw_src=10.1.2.3/8", "ip,nw_src=10.0.0.0/8"},
		{"in_port=65534", "in_port=LOCAL"},
		{"in_port=none", "in_port=ANY"},
		{"xreg0=0x100000002", "reg0=0x1,reg1=0x2"},
		{"dl_src=*", ""},
		{"ct_state=", ""},
		{"reg0=0xff,reg0=1/1", "reg0=0x1/0x1"}, // the last counts
		{"dl_vlan=5,vlan_tci=0x1000/0x1000", "vlan_tci=0x1000/0x1000"},
		{"ip,nw_ecn=2,nw_tos=4", "ip,nw_tos=4,nw_ecn=2"},
		// Bits that the field does not have are dropped if the bytes hold them.
		{"dl_vlan=4097", "dl_vlan=1"},
		{"dl_vlan_pcp=9", "dl_vlan_pcp=1"},
		{"ip,nw_tos=7", "ip,nw_tos=4"},
		{"udp,ip_frag=later,tp_src=5", "udp,nw_frag=later"},
	} {
		m, err := ParseMatch(row.in)
		if err != nil || m.String() != row.out {
			t.Errorf("%q is written %q, want %q (%v)", row.in, m.String(), row.out, err)
		}
	}
}

func TestSubfieldText(t *testing.T) {
	for _, row := range []struct {
		in, out string
		sub     Subfield
	}{
		{"reg0", "NXM_NX_REG0[]", Subfield{FieldReg0, 0, 32}},
		{"NXM_NX_REG0[3..7]", "NXM_NX_REG0[3..7]", Subfield{FieldReg0, 3, 5}},
		{"tcp_dst[0]", "NXM_OF_TCP_DST[0]", Subfield{FieldTCPDst, 0, 1}},
		{"NXM_OF_IN_PORT[]", "NXM_OF_IN_PORT[]", Subfield{FieldInPort, 0, 16}},
		{"OXM_OF_IN_PORT[]", "OXM_OF_IN_PORT[]", Subfield{FieldInPort, 0, 32}},
		{"NXM_NX_TUN_FLAGS[0]", "NXM_NX_TUN_FLAGS[]", Subfield{FieldTunFlags, 3, 1}},
		{"xxreg1[64..127]", "NXM_NX_XXREG1[64..127]", Subfield{FieldXXReg1, 64, 64}},
	} {
		s, err := ParseSubfield(row.in)
		if err != nil || s != row.sub || s.String() != row.out {
			t.Errorf("%q is %+v %q (%v), want %+v %q", row.in, s, s, err, row.sub, row.out)
		}
	}
	for _, s := range []string{"", "reg", "reg0[", "reg0[32]", "reg0[5..4]", "reg0[0..32]", "reg0[-1]", "reg0[a]", "in_port[16]"} {
		if sf, err := ParseSubfield(s); err == nil {
			t.Errorf("%q is read as %v", s, sf)
		}
	}
}

// FuzzParseMatch: what is read is written as a text that is read as the same match.
func FuzzParseMatch(f *testing.F) {
	for _, s := range []string{
		"tcp,in_port=1,dl_vlan=10,nw_dst=10.0.0.0/8,tp_dst=80", "arp,arp_op=2,arp_spa=1.2.3.4,arp_sha=00:00:00:00:00:01",
		"icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=fe80::1,nd_sll=00:11:22:33:44:55", "mpls,mpls_label=5,mpls_tc=3",
		"reg0=5/0xff,xreg1=7,xxreg1=9,metadata=5,tun_id=7,tun_src=1.1.1.1,tcp,tcp_flags=+syn-ack,ip_frag=no,vlan_tci=0x1003/0x1fff",
		"ct_state=+trk+new-est,ct_zone=5,ct_mark=3/7,ct_label=5,pkt_mark=8,ip,nw_tos=16,nw_ecn=2,nw_ttl=3", "packet_type=(1,0x800)",
		"ct_state=+est,ip,ct_nw_src=1.1.1.1,ct_nw_proto=6,ct_tp_src=5/0xf", "dl_vlan_pcp=3", "ipv6,ipv6_src=::1.2.3.4,ipv6_label=5/0xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMatch(s)
		if err != nil {
			return
		}
		for i := range m.Key {
			if m.Key[i]&^m.Mask[i] != 0 {
				t.Fatalf("%q: key has bits outside the mask", s)
			}
		}
		text := m.String()
		again, err := ParseMatch(text)
		if err != nil {
			t.Fatalf("%q is written %q: %v", s, text, err)
		}
		if two := again.String(); two != text || again != m && expressible(&m) {
			t.Fatalf("%q is written %q, then %q", s, text, two)
		}
	})
}

// expressible reports whether the text can say all of m: some fields have none
// of their own (tunnel TTL under a mask, parts of nw_tos).
func expressible(m *Match) bool {
	for _, f := range []Field{FieldIPTOS, FieldVLANTPID, FieldCVLANTCI, FieldCVLANTPID, FieldTunFlags, FieldMPLS0, FieldActsetOutput} {
		if !m.Mask.Get(f).IsZero() {
			return false
		}
	}
	return true
}
