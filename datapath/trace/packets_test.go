// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/flow"
)

// frames are packets in hexadecimal, by what is odd about them.
var frames = map[string]string{
	"tcp":            eth + "0800" + ip4("0028", "0000", "06") + tcp,
	"tcp padded":     eth + "0800" + ip4("0028", "0000", "06") + tcp + "a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
	"udp padded":     eth + "0800" + ip4("001c", "0000", "11") + udp + "ffffffffffffffffffff",
	"ip too short":   eth + "0800" + ip4("0014", "0000", "06") + tcp, // the length says: no TCP header
	"ip too long":    eth + "0800" + ip4("0100", "0000", "06") + tcp,
	"ip length 0":    eth + "0800" + ip4("0000", "0000", "06") + tcp,
	"first fragment": eth + "0800" + ip4("0028", "2000", "06") + tcp,
	"later fragment": eth + "0800" + ip4("0028", "0003", "06") + tcp,
	"proto 0":        eth + "0800" + ip4("0028", "0000", "00") + tcp,
	"icmp":           eth + "0800" + ip4("001c", "0000", "01") + "0800f7ff00000000",
	"igmp":           eth + "0800" + ip4("001c", "0000", "02") + "1600f7ffe0000001",
	"sctp":           eth + "0800" + ip4("0020", "0000", "84") + "03e803e90000000000000000",
	"vlan":           eth + "8100600a0800" + ip4("001c", "0000", "11") + udp,
	"qinq":           eth + "88a8600a810000140800" + ip4("001c", "0000", "11") + udp,
	"vlan cut off":   eth + "8100600a",
	"arp":            eth + "0806" + "0001080006040001" + "020000000001" + "0a000001" + "000000000000" + "0a000002",
	"arp opcode 256": eth + "0806" + "0001080006040100" + "020000000001" + "0a000001" + "000000000000" + "0a000002",
	"rarp":           eth + "8035" + "0001080006040003" + "020000000001" + "0a000001" + "000000000000" + "0a000002",
	"802.3":          eth + "0026" + "424203" + strings.Repeat("00", 40),
	"snap":           eth + "0024" + "aaaa03000000" + "0800" + ip4("001c", "0000", "11") + udp,
	"udp6":           eth + "86dd" + ip6("0008", "11") + udp,
	"udp6 padded":    eth + "86dd" + ip6("0008", "11") + udp + "ffffffffffff",
	"hop-by-hop":     eth + "86dd" + ip6("0010", "00") + "1100010400000000" + udp,
	"routing":        eth + "86dd" + ip6("0020", "2b") + "1102000100000000" + strings.Repeat("20", 16) + udp,
	"fragment6":      eth + "86dd" + ip6("0010", "2c") + "1100000100000001" + udp,
	"later6":         eth + "86dd" + ip6("0010", "2c") + "1100004800000001" + udp,
	"atomic6":        eth + "86dd" + ip6("0010", "2c") + "1100000000000001" + udp,
	"esp6":           eth + "86dd" + ip6("0008", "32") + udp,
	"solicitation":   eth + "86dd" + ip6("0020", "3a") + "8700abcd00000000" + v6b + "0101020000000009",
	"nd, no options": eth + "86dd" + ip6("0018", "3a") + "8700abcd00000000" + v6b,
	"nd, code 1":     eth + "86dd" + ip6("0020", "3a") + "8701abcd00000000" + v6b + "0101020000000009",
	"nd, option 0":   eth + "86dd" + ip6("0020", "3a") + "8700abcd00000000" + v6b + "0100020000000009",
	"nd, twice":      eth + "86dd" + ip6("0028", "3a") + "8700abcd00000000" + v6b + "0101020000000009" + "010102000000000a",
	"advertisement":  eth + "86dd" + ip6("0020", "3a") + "8800abcd00000000" + v6b + "0201020000000009",
	"mpls":           eth + "8847" + "0001f140" + "4500",
	"mpls, three":    eth + "8847" + "0001f040" + "0002f240" + "0003f340" + "4500",
	"mpls, five":     eth + "8847" + strings.Repeat("0001f040", 4) + "0003f340" + "4500",
	"lldp":           eth + "88cc" + "0207040200000000010403020100",
}

const (
	eth = "020000000002020000000001"
	tcp = "03e8005000000001000000005002200000000000"
	udp = "03e8003500080000"
	v6a = "20010db8000000000000000000000001"
	v6b = "20010db8000000000000000000000002"
)

func ip4(length, frag, proto string) string {
	return "45b8" + length + "0001" + frag + "40" + proto + "0000" + "0a000001" + "0a000009"
}

func ip6(length, next string) string { return "60012345" + length + next + "40" + v6a + v6b }

// rulesFor are flows in which the fields that a wrong parse or a too wide megaflow gives away
// decide: the matches of CVE-2020-35498 (padding), 2023-1668 (protocol 0), 2023-5366 (neighbour discovery
// without its prerequisites) and fragments.
var rulesFor = []string{
	"table=0,priority=1,actions=output:1,goto_table:1",
	"table=0,priority=9,ip,nw_proto=0,actions=dec_ttl,output:2,goto_table:1",
	"table=0,priority=9,ipv6,nw_proto=0,actions=dec_ttl,output:2,goto_table:1",
	"table=0,priority=8,tcp,tcp_dst=80,actions=mod_nw_dst:10.0.0.3,output:3,goto_table:1",
	"table=0,priority=8,tcp,tcp_flags=+syn-ack,actions=output:4,goto_table:1",
	"table=0,priority=8,udp,udp_dst=53,actions=output:2,output:4,goto_table:1",
	"table=0,priority=8,udp6,udp_src=1000,actions=output:3,goto_table:1",
	"table=0,priority=10,ip,nw_frag=later,actions=output:4,output:3,goto_table:1",
	"table=0,priority=10,ipv6,nw_frag=first,actions=output:4,output:2,output:1,goto_table:1",
	"table=1,priority=1,actions=output:2",
	"table=1,priority=5,icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=2001:db8::2,actions=output:1",
	"table=1,priority=6,icmp6,icmpv6_type=135,icmpv6_code=0,nd_sll=02:00:00:00:00:09,actions=output:3",
	"table=1,priority=6,icmp6,icmpv6_type=136,icmpv6_code=0,nd_tll=02:00:00:00:00:09,actions=output:4",
	"table=1,priority=7,icmp6,icmpv6_type=135,actions=output:4,output:1",
	"table=1,priority=4,arp,arp_op=1,arp_tpa=10.0.0.2,actions=output:4",
	"table=1,priority=4,sctp,sctp_dst=1001,actions=output:1,output:3",
	"table=1,priority=8,tcp,actions=set_field:7->tcp_dst,output:3", // not in a later fragment
	"table=1,priority=8,udp6,actions=set_field:7->udp_src,output:3",
	"table=1,priority=3,ip,nw_ecn=1,actions=drop",
}

// TestPackets hands both switches packets in hexadecimal, whole and cut off at each byte: they must read
// the same flow out of each, and treat it alike.
func TestPackets(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	l := newLab(t)
	if got := l.flows(0, rulesFor, "-O", "OpenFlow13"); len(got) != len(rulesFor) {
		t.Fatalf("only %d of %d flows are taken: %s", len(got), len(rulesFor), strings.Join(got, "\n"))
	}
	names := make([]string, 0, len(frames))
	for name := range frames {
		names = append(names, name)
	}
	slices.Sort(names)
	total := 0
	for _, name := range names {
		b, err := hex.DecodeString(frames[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := 14; n <= len(b); n++ {
			total++
			packet := hex.EncodeToString(b[:n])
			ours, theirs, r, err := l.trace("in_port=1", packet)
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", name, n, err)
			}
			if x, y := canonical(ours), canonical(theirs); x != y {
				t.Errorf("%s, %d of %d bytes %s\n%s", name, n, len(b), packet, firstDiff(x, y))
				break
			}
			k := l.packetKey(packet)
			got, err1 := perform(line(ours, "Datapath actions"), k)
			want, err2 := perform(line(theirs, "Datapath actions"), k)
			if proto0(&k) {
				got, want = targets(got), targets(want)
			}
			if err1 != nil || err2 != nil || !sameOut(ours, got, want) {
				t.Errorf("%s, %d bytes: %v %v\n%s\n%s", name, n, err1, err2, ours, theirs)
				break
			}
			if err := consulted(&k, &r.Mask, ours); err != nil {
				t.Errorf("%s, %d bytes: %v\n%s", name, n, err, ours)
				break
			}
		}
	}
	t.Logf("%d frames, %d with their truncations", len(frames), total)
}

func (l *lab) packetKey(packet string) flow.Key {
	l.t.Helper()
	req, err := ParseRequest([]string{"br0", "in_port=1", packet})
	if err != nil {
		l.t.Fatal(err)
	}
	k, err := req.Key(l.ours[0].x.PortNamed, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	return *k
}

// consulted verifies what the CVEs teach: where a transport or neighbour discovery field counts,
// what makes it that field counts as a whole.
func consulted(k *flow.Key, m *flow.Mask, trace string) error {
	need := func(f flow.Field) error {
		if m.Get(f) != flow.Ones(f.Bits()) {
			return fmt.Errorf("%v does not count in %s", f, line(trace, "Megaflow"))
		}
		return nil
	}
	for _, f := range []flow.Field{flow.FieldTPSrc, flow.FieldTPDst, flow.FieldTCPFlags, flow.FieldNDTarget} {
		if m.Get(f).IsZero() {
			continue
		}
		if err := need(flow.FieldEthType); err != nil {
			return err
		}
		if err := need(flow.FieldIPProto); err != nil {
			return err
		}
	}
	if k.EthType() == flow.EthTypeIPv6 && (!m.Get(flow.FieldNDTarget).IsZero() || !m.Get(flow.FieldNDSLL).IsZero() || !m.Get(flow.FieldNDTLL).IsZero()) {
		if m.Get(flow.FieldICMPv6Type) != flow.Ones(8) {
			return fmt.Errorf("the ICMPv6 type does not count in %s", line(trace, "Megaflow"))
		}
	}
	return nil
}
