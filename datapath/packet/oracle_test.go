// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// TestStockParser gives the same frames to Open vSwitch's own parser
// (ovs-ofctl parse-pcap, which takes up to two VLAN tags) and compares.
func TestStockParser(t *testing.T) {
	ofctl, err := exec.LookPath("ovs-ofctl")
	if err != nil {
		t.Skip("ovs-ofctl (Debian's openvswitch-common) is not installed")
	}
	const seed, n = 7, 20000
	t.Logf("seed %d", seed)
	g := packettest.New(seed)
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = g.Next()
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, pcap(frames), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(ofctl, "parse-pcap", file).Output()
	if err != nil {
		t.Fatalf("ovs-ofctl parse-pcap: %v", err)
	}
	sc := bufio.NewScanner(bytes.NewReader(out))
	compared, known := 0, 0
	for i, d := range frames {
		if !sc.Scan() {
			t.Fatalf("ovs-ofctl printed %d lines for %d frames", i, n)
		}
		var k flow.Key
		var l packet.Layers
		if !packet.Parse(d, &packet.Meta{}, 2, &k, &l) {
			t.Fatalf("frame %d: malformed", i)
		}
		if deviates(d, &k, &l) {
			known++
			continue
		}
		compared++
		if diff := cmp.Diff(fromStock(sc.Text()), describe(&k, &l)); diff != "" {
			t.Fatalf("frame %d: %x\nstock: %s\n(-stock +ours):\n%s", i, d, sc.Text(), diff)
		}
	}
	t.Logf("%d frames equal, %d of the differences that doc.go names", compared, known)
	if compared < n*8/10 {
		t.Errorf("only %d of %d frames were compared", compared, n)
	}
}

func pcap(frames [][]byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, 1<<17)
	b = le.AppendUint32(b, 1)
	for _, d := range frames {
		b = append(b, make([]byte, 8)...)
		b = le.AppendUint32(b, uint32(len(d)))
		b = le.AppendUint32(b, uint32(len(d)))
		b = append(b, d...)
	}
	return b
}

// deviates reports whether d is one of the packets for which doc.go says that
// stock differs.
func deviates(d []byte, k *flow.Key, l *packet.Layers) bool {
	if p := k.IPProto(); l.Net == packet.NetIPv4 && p == packet.ProtoICMPv6 || l.Net == packet.NetIPv6 && p == packet.ProtoICMP {
		return true
	}
	if l.Net != packet.NetIPv6 {
		return false
	}
	proto, p := d[l.L3+6], d[l.L3+40:l.End]
	for n := 0; ; n++ {
		size := 0
		switch proto {
		case 0, 43, 60:
			if len(p) >= 2 {
				size = (int(p[1]) + 1) * 8
			}
		case 51:
			if len(p) >= 2 {
				size = (int(p[1]) + 2) * 4
			}
		case 44:
			size = 8
			if len(p) >= 4 {
				off := binary.BigEndian.Uint16(p[2:])
				if off&6 != 0 {
					return true
				}
				if off&0xfff8 != 0 {
					return n == packet.MaxIPv6Ext || len(p) < 8
				}
			}
		default:
			// More ND options than we look at, or a zero address in one.
			return proto == 58 && len(p) >= 24 && (len(p)-24 >= 8*packet.MaxNDOptions || bytes.Contains(p[24:], make([]byte, 6)))
		}
		if n == packet.MaxIPv6Ext || len(p) < 8 || size > len(p) {
			return true
		}
		proto, p = p[0], p[size:]
	}
}

// fromStock reads a flow as ovs-ofctl prints it into names and values.
func fromStock(s string) map[string]string {
	m := map[string]string{}
	for w := range strings.SplitSeq(s, ",") {
		name, v, ok := strings.Cut(w, "=")
		if ok {
			m[name] = v
			continue
		}
		abbr := map[string][2]string{
			"ip": {"0x0800"}, "ipv6": {"0x86dd"}, "arp": {"0x0806"}, "rarp": {"0x8035"}, "mpls": {"0x8847"}, "mplsm": {"0x8848"},
			"icmp": {"0x0800", "1"}, "tcp": {"0x0800", "6"}, "udp": {"0x0800", "17"}, "sctp": {"0x0800", "132"},
			"icmp6": {"0x86dd", "58"}, "tcp6": {"0x86dd", "6"}, "udp6": {"0x86dd", "17"}, "sctp6": {"0x86dd", "132"},
		}[w]
		m["dl_type"] = abbr[0]
		if abbr[1] != "" {
			m["nw_proto"] = abbr[1]
		}
	}
	delete(m, "in_port")
	return m
}

func macText(v uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[2], b[3], b[4], b[5], b[6], b[7])
}

func ip4Text(v uint64) string {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
}

func ip6Text(v flow.U128) string { return netip.AddrFrom16(v.Bytes16()).String() }

// describe gives a key the names and values that stock prints for it.
func describe(k *flow.Key, l *packet.Layers) map[string]string {
	num := func(f flow.Field) string { return fmt.Sprint(k.U64(f)) }
	m := map[string]string{
		"dl_src":  macText(k.EthSrc()),
		"dl_dst":  macText(k.EthDst()),
		"dl_type": fmt.Sprintf("0x%04x", k.EthType()),
	}
	if k.VLANTCI() == 0 {
		m["vlan_tci"] = "0x0000"
	} else {
		m["dl_vlan"] = num(flow.FieldDLVLAN)
		m["dl_vlan_pcp"] = num(flow.FieldVLANPCP)
	}
	if c := k.U64(flow.FieldCVLANTCI); c != 0 {
		m["dl_vlan1"] = fmt.Sprint(c & 0xfff)
		m["dl_vlan_pcp1"] = fmt.Sprint(c >> 13)
	} else if k.VLANTCI() != 0 {
		m["vlan_tci1"] = "0x0000"
	}
	ip := func() {
		m["nw_proto"] = num(flow.FieldIPProto)
		m["nw_tos"] = fmt.Sprint(k.U64(flow.FieldIPTOS) &^ 3)
		m["nw_ecn"] = num(flow.FieldIPECN)
		m["nw_ttl"] = num(flow.FieldIPTTL)
		m["nw_frag"] = [...]string{"no", "first", "2", "later"}[k.U64(flow.FieldIPFrag)]
	}
	switch k.EthType() {
	case packet.TypeARP, packet.TypeRARP:
		maps.Copy(m, map[string]string{
			"arp_spa": ip4Text(k.U64(flow.FieldARPSPA)), "arp_tpa": ip4Text(k.U64(flow.FieldARPTPA)), "arp_op": num(flow.FieldARPOp),
			"arp_sha": macText(k.U64(flow.FieldARPSHA)), "arp_tha": macText(k.U64(flow.FieldARPTHA)),
		})
	case packet.TypeMPLS, packet.TypeMPLSM:
		maps.Copy(m, map[string]string{
			"mpls_label": num(flow.FieldMPLSLabel), "mpls_tc": num(flow.FieldMPLSTC), "mpls_ttl": num(flow.FieldMPLSTTL),
			"mpls_bos": num(flow.FieldMPLSBOS),
		})
		if k.U64(flow.FieldMPLSBOS) == 0 {
			m["mpls_lse1"] = num(flow.FieldMPLS1)
			if k.U64(flow.FieldMPLS1)&0x100 == 0 {
				m["mpls_lse2"] = num(flow.FieldMPLS2)
			}
		}
	case packet.TypeIPv4:
		m["nw_src"], m["nw_dst"] = ip4Text(k.U64(flow.FieldIPSrc)), ip4Text(k.U64(flow.FieldIPDst))
		ip()
		describeL4(k, m)
	case packet.TypeIPv6:
		m["ipv6_src"], m["ipv6_dst"] = ip6Text(k.Get(flow.FieldIPv6Src)), ip6Text(k.Get(flow.FieldIPv6Dst))
		m["ipv6_label"] = fmt.Sprintf("0x%05x", k.U64(flow.FieldIPv6Label))
		ip()
		describeL4(k, m)
	}
	return m
}

func describeL4(k *flow.Key, m map[string]string) {
	if k.U64(flow.FieldIPFrag)&flow.FragLater != 0 {
		return
	}
	num := func(f flow.Field) string { return fmt.Sprint(k.U64(f)) }
	v6 := k.EthType() == packet.TypeIPv6
	src, dst := "tp_src", "tp_dst"
	switch p := k.IPProto(); {
	case p == packet.ProtoTCP:
		m["tcp_flags"] = flagText(k.U64(flow.FieldTCPFlags))
	case p == packet.ProtoUDP, p == packet.ProtoSCTP, p == packet.ProtoIGMP:
	case p == packet.ProtoICMP && !v6:
		src, dst = "icmp_type", "icmp_code"
	case p == packet.ProtoICMPv6 && v6:
		src, dst = "icmp_type", "icmp_code"
		if t := k.U64(flow.FieldTPSrc); (t == 135 || t == 136) && k.U64(flow.FieldTPDst) == 0 {
			m["nd_target"] = ip6Text(k.Get(flow.FieldNDTarget))
			m["nd_sll"] = macText(k.U64(flow.FieldNDSLL))
			m["nd_tll"] = macText(k.U64(flow.FieldNDTLL))
		}
	default:
		return
	}
	m[src], m[dst] = num(flow.FieldTPSrc), num(flow.FieldTPDst)
}

func flagText(v uint64) string {
	if v == 0 {
		return "0"
	}
	var s []string
	for i, n := range [...]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"} {
		if v>>i&1 != 0 {
			s = append(s, n)
		}
	}
	for i := 9; i < 12; i++ {
		if v>>i&1 != 0 {
			s = append(s, fmt.Sprintf("[%x]", 1<<i))
		}
	}
	return strings.Join(s, "|")
}
