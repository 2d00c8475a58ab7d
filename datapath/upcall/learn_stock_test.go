// SPDX-License-Identifier: Apache-2.0

package upcall_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	pt "github.com/weirswitch/weir/datapath/packet/packettest"
	"github.com/weirswitch/weir/datapath/trace"
)

var learnRounds = flag.Int("learnrounds", 4, "rounds of TestStockLearn")

// learnGen writes flows that learn, and packets for them. Left out: cookie=-1, at which the
// stock switch (3.1.0) aborts, and matches of nw_ecn and vlan_pcp, which it does not make.
//
// A flow is taught by one learn alone, which its priority tells, and its actions follow from its match:
// where two megaflows teach a flow each in its way, the last to be counted wins, and which that is
// differs. For the same reason packets come one by one where there are limits.
type learnGen struct {
	*rand.Rand
	learns  int
	limited bool
}

func (g *learnGen) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g *learnGen) some(n int, s ...string) (out string) {
	for range g.IntN(n + 1) {
		out += "," + g.pick(s...)
	}
	return out
}

// learn writes a learn for the packets of proto: "ip", "tcp", "udp" or "arp".
func (g *learnGen) learn(proto string, table int) string {
	g.learns++
	s := fmt.Sprintf("learn(table=%d,priority=%d", table, 1000*g.IntN(3)+g.learns)
	s += g.some(2, "cookie="+g.pick("1", "2"), "send_flow_rem", "idle_timeout=1000", "hard_timeout=2000",
		"fin_idle_timeout=900", "fin_hard_timeout=800")
	if g.IntN(4) == 0 {
		g.limited = true
		s += ",limit=" + g.pick("1", "2", "3") + ",cookie=" + g.pick("1", "2")
	}
	if g.IntN(4) == 0 {
		s += ",result_dst=" + g.pick("NXM_NX_REG3[0]", "reg3[1]", "NXM_NX_REG4[31]")
	}
	if g.IntN(5) == 0 {
		s += ",delete_learned"
	}
	s += g.some(2, "NXM_OF_IN_PORT[]", "in_port="+g.pick("1", "2", "LOCAL"), "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]", "NXM_OF_ETH_SRC[]", "NXM_OF_VLAN_TCI[0..11]", "NXM_OF_VLAN_TCI[]",
		"NXM_NX_REG0[]", "reg1=5", "NXM_NX_REG2[3..10]=NXM_NX_REG0[0..7]", "eth_dst=02:00:00:00:00:02", "NXM_OF_ETH_SRC[0..23]=NXM_OF_ETH_DST[24..47]", "metadata=7", "vlan_vid=10", "vlan_tci=0x1005",
		"NXM_NX_XXREG0[0..79]=NXM_NX_XXREG0[4..83]", "pkt_mark=4")
	if proto != "any" {
		s += ",NXM_OF_ETH_TYPE[]"
	}
	switch proto {
	case "arp":
		s = strings.Replace(s, "NXM_OF_ETH_TYPE[]", "eth_type=0x806", 1)
		s += g.some(2, "NXM_OF_ARP_SPA[]", "NXM_OF_ARP_TPA[]=NXM_OF_ARP_SPA[]", "arp_op=2", "NXM_OF_ARP_OP[]", "NXM_NX_ARP_SHA[]")
	case "ip", "tcp", "udp":
		s = strings.Replace(s, "NXM_OF_ETH_TYPE[]", "eth_type=0x800", 1)
		s += g.some(2, "NXM_OF_IP_SRC[]", "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]", "NXM_OF_IP_SRC[0..7]", "ip_dst=10.0.0.2", "nw_tos=32", "nw_ttl=64")
		switch proto {
		case "tcp":
			s += ",nw_proto=6" + g.some(2, "NXM_OF_TCP_SRC[]", "NXM_OF_TCP_DST[]=NXM_OF_TCP_SRC[]", "tcp_dst=80", "NXM_OF_TCP_DST[3..9]")
		case "udp":
			s += ",nw_proto=17" + g.some(2, "NXM_OF_UDP_SRC[]", "NXM_OF_UDP_DST[]=NXM_OF_UDP_SRC[]", "udp_dst=53")
		}
	}
	s += g.some(3, "NXM_OF_IN_PORT[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]", "load:3->NXM_NX_REG1[0..3]", "NXM_NX_REG3[],load:NXM_NX_REG3[]->NXM_NX_REG2[]",
		"NXM_OF_ETH_SRC[],load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "load:5->reg1", "NXM_OF_IN_PORT[],output:NXM_OF_IN_PORT[]", "NXM_NX_REG0[],output:NXM_NX_REG0[0..15]",
		"reg5=reg1,output:NXM_NX_REG1[]", "load:0x1234567890abcdef1234->NXM_NX_XXREG1[0..90]", "NXM_OF_ETH_SRC[],output:NXM_OF_ETH_SRC[]", "load:2->NXM_OF_IN_PORT[]")
	return s + ")"
}

func (g *learnGen) flow() string {
	proto := g.pick("any", "ip", "tcp", "tcp", "udp", "arp")
	table := g.IntN(2)
	f := fmt.Sprintf("table=%d,priority=%d,cookie=%d", table, 1+g.IntN(3), 7+g.IntN(2))
	if proto != "any" {
		f += "," + proto
	}
	f += g.some(1, "in_port=1", "in_port=2", "dl_vlan=10", "dl_src=02:00:00:00:00:01") + " actions="
	for range 1 + g.IntN(2) {
		if g.IntN(3) == 0 {
			f += g.pick("load:2->NXM_NX_REG0[],", "load:NXM_OF_IN_PORT[]->NXM_NX_REG1[],", "mod_vlan_vid:10,", "mod_dl_src:02:00:00:00:00:09,", "load:0x77->NXM_NX_REG0[4..12],")
		}
		if l := g.learn(proto, table+1+g.IntN(2-table)); g.IntN(8) == 0 {
			f += "clone(" + l + "),"
		} else {
			f += l + ","
		}
	}
	if proto == "tcp" && g.IntN(3) == 0 {
		f += "fin_timeout(idle_timeout=500,hard_timeout=600),"
	}
	// Not "move": it takes the in_port of loads as they are.
	f = strings.ReplaceAll(f, "load:NXM_OF_IN_PORT[]->NXM_NX_REG1[],", "load:1->NXM_NX_REG1[],")
	if table == 0 {
		f += g.pick("resubmit(,1),resubmit(,2),", "resubmit(,1),", "resubmit(,2),", "")
	}
	return f + g.pick("output:2", "output:NXM_NX_REG3[]", "note:01")
}

func (g *learnGen) packet() (port int, b []byte) {
	a := pt.Addr{Src: byte(1 + g.IntN(3)), Dst: byte(1 + g.IntN(3))}
	ports := []uint16{80, 1000, 53}
	src, dst := ports[g.IntN(3)], ports[g.IntN(3)]
	switch g.IntN(6) {
	case 0:
		b = pt.ARP(a, byte(1+g.IntN(2)))
	case 1:
		b = pt.UDP(a, src, dst, []byte("payload of some length"))
	case 2:
		b = pt.ICMP(a, 8, 0)
	default:
		b = pt.TCP(a, src, dst, []byte{0x02, 0x10, 0x11, 0x14}[g.IntN(4)], []byte("payload of some length"))
	}
	if g.IntN(4) == 0 {
		b = pt.Tag(0x8100, uint16(10*(1+g.IntN(2))), b)
	}
	for len(b) < 60 {
		b = append(b, 0)
	}
	return 1 + g.IntN(3), b
}

// receive gives both switches a packet.
func (p *pair) receive(port int, b []byte) {
	p.t.Helper()
	p.must("ovs-appctl", "-t", p.dir+"/vs.ctl", "netdev-dummy/receive", fmt.Sprintf("p%d", port), fmt.Sprintf("%x", b))
	p.s.Upcalls([]dpif.Upcall{{Reason: dpif.ReasonMiss, InPort: dpif.Port(port), Packet: dpif.Packet{Data: append([]byte{}, b...)}}})
}

var hardAge = regexp.MustCompile(`hard_age=\d+, `)

// sameTrace compares what both say of a packet, without the megaflow and the datapath's actions. With
// "-generate" they learn from it.
func (p *pair) sameTrace(args ...string) {
	p.t.Helper()
	out, err := exec.Command("ovs-appctl", append([]string{"-t", p.dir + "/vs.ctl", "ofproto/trace", "br0"}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v: %v %s", args, err, out)
	}
	req, err := trace.ParseRequest(append([]string{"br0"}, args...))
	if err != nil {
		p.t.Fatal(err)
	}
	ours, err := p.s.Trace(req, time.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	cut := func(s string) string { s, _, _ = strings.Cut(s, "\nMegaflow:"); return s }
	if o, s := cut(ours), cut(string(out)); o != s {
		p.t.Fatalf("ofproto/trace %v\nours:\n%s\nstock:\n%s", args, o, s)
	}
}

// flowText writes a packet of the generator's as ofproto/trace reads it.
func (g *learnGen) flowText() string {
	f := fmt.Sprintf("in_port=%d,dl_src=02:00:00:00:00:0%d,dl_dst=02:00:00:00:00:0%d", 1+g.IntN(3), 1+g.IntN(3), 1+g.IntN(3))
	ip := fmt.Sprintf(",nw_src=10.0.0.%d,nw_dst=10.0.0.%d,nw_ttl=64", 1+g.IntN(3), 1+g.IntN(3))
	return f + g.pick(",tcp"+ip+",tcp_src=80,tcp_dst=1000", ",udp"+ip+",udp_src=53,udp_dst=80", ",icmp"+ip, ",arp,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.2") + g.pick("", ",dl_vlan=10")
}

// alike compares what ovs-ofctl says of both, when the stock switch has counted what it received.
func (p *pair) alike(args ...string) (ours, stock string) {
	end := time.Now().Add(8 * time.Second)
	for {
		p.s.Tick(time.Now())
		exec.Command("ovs-appctl", "-t", p.dir+"/vs.ctl", "revalidator/wait").Run()
		ours, stock = hardAge.ReplaceAllString(p.ofctl(p.dir+"/w", args), ""), hardAge.ReplaceAllString(p.ofctl(p.dir, args), "")
		if ours == stock || time.Now().After(end) {
			return ours, stock
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestStockLearn gives both switches flows that learn, and packets, and compares the flows that come of it.
func TestStockLearn(t *testing.T) {
	const seed = 1
	rounds := *learnRounds
	t.Logf("seed %d", seed)
	p := newPair(t)
	learned := 0
	for round := 0; round < rounds && !t.Failed(); round++ {
		g := &learnGen{Rand: rand.New(rand.NewPCG(seed, uint64(round)))}
		p.same("del-flows", "br0")
		var log []string
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("round %d\n%s", round, strings.Join(log, "\n"))
			}
		})
		for range 12 {
			received := false
			switch k := g.IntN(12); {
			case k < 5:
				f := g.flow()
				log = append(log, f)
				p.same("-O", "OpenFlow13", "add-flow", "br0", f)
			case k == 11:
				received = true
				args := []string{g.flowText()}
				if g.IntN(2) == 0 {
					args = append(args, "-generate")
				}
				log = append(log, strings.Join(args, " "))
				p.sameTrace(args...)
			case k < 6:
				args := []string{g.pick("del-flows", "mod-flows"), "br0", g.pick("table=1", "table=2", "table=0,tcp", "table=0,udp", "cookie=7/-1", "table=0,priority=1")}
				if args[0] == "mod-flows" {
					args[2] += ",actions=" + g.learn("any", 2)
				}
				log = append(log, strings.Join(args, " "))
				p.same(args...)
			default:
				received = true
				n := 3
				if g.limited {
					n = 1
				}
				for range n {
					port, b := g.packet()
					log = append(log, fmt.Sprintf("p%d %x", port, b))
					p.receive(port, b)
				}
			}
			if !received {
				continue
			}
			if ours, stock := p.alike("-O", "OpenFlow13", "dump-flows", "br0"); ours != stock {
				t.Fatalf("ours:\n%s\nstock:\n%s", ours, stock)
			}
		}
		ours, stock := p.alike("dump-flows", "br0")
		if ours != stock {
			t.Fatalf("ours:\n%s\nstock:\n%s", ours, stock)
		}
		learned += strings.Count(ours, "table=1") + strings.Count(ours, "table=2")
	}
	if t.Logf("%d learned flows compared", learned); learned < 2*rounds {
		t.Error("too few: the generator is at fault")
	}
}

// TestStockTunMetadata: a field that no tunnel option is mapped to is refused in matches and actions.
func TestStockTunMetadata(t *testing.T) {
	p := newPair(t)
	be := binary.BigEndian
	for num := 40; num <= 103; num++ {
		for _, entry := range [][]byte{
			{0, 1, byte(num << 1), 4, 0, 0, 0, 1},
			append([]byte{0, 1, byte(num<<1) | 1, 16, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 0, 0, 0, 0, 0, 0, 1),
		} {
			m := be.AppendUint16([]byte{0, 1}, uint16(4+len(entry)))
			m = append(m, entry...)
			m = append(m, make([]byte, (8-len(m)%8)%8)...)
			b := append(make([]byte, 40), m...)
			be.PutUint16(b[22:], 7)
			be.PutUint32(b[24:], 0xffffffff) // buffer
			p.sameRaw(4, 14, b)
		}
		header := []byte{0, 1, byte(num << 1), 4}
		for _, a := range [][]byte{
			append(append([]byte{0xff, 0xff, 0, 24, 0, 0, 0x23, 0x20, 0, 7, 0, 31}, header...), 0, 0, 0, 0, 0, 0, 0, 1), // load
			append(append([]byte{0, 25, 0, 16}, header...), 0, 0, 0, 1, 0, 0, 0, 0),                                     // set_field
			append(append([]byte{0xff, 0xff, 0, 24, 0, 0, 0x23, 0x20, 0, 27, 0, 0}, header...), 0, 4, 0, 0, 0, 0, 0, 0), // push
			append(append([]byte{0xff, 0xff, 0, 24, 0, 0, 0x23, 0x20, 0, 6, 0, 4, 0, 0, 0, 0}, header...), 0, 1, 0, 4),  // move
		} {
			b := make([]byte, 40, 80)
			be.PutUint32(b[24:], 0xffffffff)
			b = append(b, 0, 1, 0, 4, 0, 0, 0, 0) // match of all
			b = be.AppendUint16(append(b, 0, 4), uint16(8+len(a)))
			b = append(append(b, 0, 0, 0, 0), a...)
			p.sameRaw(4, 14, b)
		}
	}
	p.same("-O", "OpenFlow13", "dump-flows", "br0")
	if s := p.ofctl(p.dir+"/w", []string{"-O", "OpenFlow13", "dump-flows", "br0"}); strings.Contains(s, "table=") {
		t.Errorf("there are flows: %s", s)
	}
}
