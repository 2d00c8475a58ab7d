// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/xlate"
)

var (
	seed    = flag.Uint64("trace.seed", 1, "first seed of the comparisons with the stock switch")
	verbose = flag.Bool("trace.verbose", false, "show each trace whose megaflow looks at more than the stock switch's")
)

// Bounds of TestPipeline.
const (
	rounds  = 100 // seeds
	traces  = 24  // packets a seed
	maxTime = 60 * time.Second
)

// TestPipeline runs random bridges, flows and packets through Debian's ovs-vswitchd and through
// our pipeline. The same ovs-ofctl gives both the same text over OpenFlow. For each packet
// ofproto/trace of both must say the same: tables and rules on the way, what was
// done there and why, the final flow, and what leaves where. Further, our megaflow must
// be right in the stock switch's eyes: of a second packet that agrees with the first in the bits
// of our mask, the stock switch's own actions must come to what ours do. And it should be no narrower
// than the stock switch's own.
func TestPipeline(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	n, bound := rounds, maxTime
	if os.Getenv("WEIR_SOAK") != "" {
		n, bound = 100*rounds, time.Hour
	}
	l := newLab(t)
	start := time.Now()
	var c count
	done := 0
	for i := range n {
		if time.Since(start) > bound {
			break
		}
		l.round(*seed+uint64(i), &c)
		if t.Failed() {
			return
		}
		done++
	}
	t.Logf("seeds %d to %d in %v: %d flows, %d traces equal, %d megaflows held against a second packet",
		*seed, *seed+uint64(done)-1, time.Since(start).Round(time.Millisecond), c.flows, c.traces, c.second)
	t.Logf("%d more traces have three tags, %d lose the inner one in the stock switch", c.deep, c.inner)
	t.Logf("%d with IP protocol 0 left as they are by the stock switch, %d later fragments of ICMP written by it", c.proto0, c.icmp)
	if 20*(c.proto0+c.icmp) > c.traces {
		t.Errorf("%d and %d such traces of %d are too many", c.proto0, c.icmp, c.traces)
	}
	if c.inner*20 > c.traces {
		t.Errorf("%d inner tags lost, in %d traces: more than that NORMAL explains", c.inner, c.traces)
	}
	t.Logf("masks: %d equal in size to the stock switch's, %d smaller, %d larger; seeds without a larger one: %d of %d", c.equal, c.smaller, c.larger, done-c.badSeeds, done)
	// In seeds other than the default ones some are larger by the priority of a frame with VID 0, on which it
	// depends whether NORMAL keeps the tag: the stock switch (3.1) does not look at it, and so
	// treats the next frame like the first whatever its priority.
	if 20*c.badSeeds > done {
		t.Errorf("in %d of %d seeds a megaflow looks at more bits than the stock switch's", c.badSeeds, done)
	}
	if c.second < c.traces/20 || c.traces == 0 {
		t.Errorf("only %d second packets", c.second)
	}
}

type count struct {
	flows, traces, second, equal, smaller, larger, badSeeds, deep, inner, proto0, icmp int
}

func (l *lab) round(seed uint64, c *count) {
	l.t.Helper()
	names := []string{"OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"}
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 0x7ace))}
	version := names[g.IntN(len(names))]
	g.v = versions[version]
	l.vlans(g.vlan)
	var lines [2][]string
	for br := range lines {
		options := []string{"-O", version}
		if version == "OpenFlow10" {
			options = nil // with the Nicira extensions
		}
		lines[br] = l.flows(br, g.flows(br, 12+g.IntN(24)), options...)
		c.flows += len(lines[br])
	}
	l.addresses(g)
	larger := false
	fail := func(packet, format string, args ...any) {
		l.t.Helper()
		l.t.Fatalf("seed %d, %s, packet %s\n%s\nports\n%s\nbr0\n%s\nbr1\n%s", seed, version, packet, fmt.Sprintf(format, args...),
			l.ports(), strings.Join(lines[0], "\n"), strings.Join(lines[1], "\n"))
	}
	for range traces {
		text := g.packet()
		ours, theirs, r, err := l.trace(text)
		if err != nil {
			fail(text, "%v", err)
		}
		k := l.key(text)
		got, err1 := perform(line(ours, "Datapath actions"), k)
		want, err2 := perform(line(theirs, "Datapath actions"), k)
		// A packet with three tags: the stock switch knows of two (3.1), and forgets the innermost,
		// also for when it would be the outer one again. Ours remembers it.
		if r.Trace.MaxTags > 2 {
			c.deep++
			continue
		}
		// The stock switch (3.1) takes later fragments of ICMP to have a type and a code also where these are
		// written. Ours does not write into the payload.
		if strings.Contains(ours, "unmet prerequisites for icmp") {
			c.icmp++
			continue
		}
		if a, b := canonical(ours), canonical(theirs); a != b {
			fail(text, "ours\n%s\ntheirs\n%s\nfirst difference:\n%s", ours, theirs, firstDiff(a, b))
		}
		// Protocol 0: the stock switch takes a packet for one without IP header when it comes to rewriting
		// that. (The megaflow names nw_proto=0, since CVE-2023-1668.) Ours rewrites it.
		if proto0(&k) && !sameOut(ours, got, want) && sameOut(ours, targets(got), targets(want)) {
			c.proto0++
			got = want
		}
		// NORMAL on a packet that has two tags, of which push_vlan made the outer, with VID 0: the stock
		// switch (3.1) loses the inner one on the way in, and then floods also to access ports,
		// which it keeps packets with two tags from. Ours keeps the tag.
		if r.Trace.MaxTags == 2 && strings.Contains(ours, "NORMAL") && !sameOut(ours, got, want) {
			c.inner++
			continue
		}
		if err1 != nil || err2 != nil || !sameOut(ours, got, want) {
			fail(text, "%v %v\nours\n%s\ntheirs\n%s\nleaves\n%s\nmust leave\n%s", err1, err2, ours, theirs, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		c.traces++
		om, ok1 := maskOf(ours)
		tm, ok2 := maskOf(theirs)
		if !ok1 || !ok2 {
			fail(text, "megaflow not understood\nours\n%s\ntheirs\n%s", ours, theirs)
		}
		switch a, b := weight(&om.Mask), weight(&tm.Mask); {
		case a == b:
			c.equal++
		case a < b:
			c.smaller++
		default:
			c.larger++
			larger = true
			if *verbose {
				l.t.Logf("seed %d, packet %s: %d bits against %d\n%s\n%s\n%s\n%s\n%s", seed, text, a, b, line(ours, "Megaflow"), line(theirs, "Megaflow"),
					ours, strings.Join(lines[0], "\n"), strings.Join(lines[1], "\n"))
			}
		}
		if other, k2, ok := l.second(g, k, r); ok {
			c.second++
			theirs2 := l.appctl("ofproto/trace", "br0", other)
			got, err1 := perform(line(ours, "Datapath actions"), k2)
			want, err2 := perform(line(theirs2, "Datapath actions"), k2)
			if proto0(&k2) {
				got, want = targets(got), targets(want)
			}
			if err1 != nil || err2 != nil || !sameOut(ours, got, want) {
				fail(text, "the megaflow is too wide: %v %v\nours\n%s\nsecond packet %s\ntheirs\n%s\nleaves\n%s\nmust leave\n%s", err1, err2,
					ours, other, theirs2, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if larger {
		c.badSeeds++
	}
}

// addresses fills the MAC tables of both switches alike, with static entries: a trace is no
// time for others to age.
func (l *lab) addresses(g *gen) {
	vlans := []uint16{0, 10, 20}
	macs := []uint64{0x020000000001, 0x020000000002, 0x020000000003, 0x020000000102}
	text := func(mac uint64) string {
		return flow.FormatValue(flow.FieldEthDst, flow.U128{Lo: mac}, flow.Ones(48))
	}
	for i, b := range l.ours {
		br := fmt.Sprintf("br%d", i)
		for _, vlan := range vlans {
			for _, mac := range macs {
				if _, ok := b.x.FDB.Delete(vlan, mac); ok {
					l.call("fdb/del", br, fmt.Sprint(vlan), text(mac)) // gone already if the port changed
				}
			}
		}
		for range 5 {
			p := portsOf[i][g.IntN(len(portsOf[i]))]
			vlan, mac := vlans[g.IntN(len(vlans))], macs[g.IntN(len(macs))]
			if _, ok := b.x.FDB.Delete(vlan, mac); ok {
				l.call("fdb/del", br, fmt.Sprint(vlan), text(mac)) // gone already if the port changed
			}
			l.appctl("fdb/add", br, p.name, fmt.Sprint(vlan), text(mac))
			b.x.FDB.AddStatic(vlan, mac, p.no)
		}
	}
}

func (l *lab) ports() string {
	var b strings.Builder
	for _, o := range l.ours {
		for _, no := range o.x.Ports() {
			p := o.x.Port(no)
			fmt.Fprintf(&b, "%s (%v): %v tag %d trunks %v priority-tags %d\n", p.Name, no, p.VLAN.Mode, p.VLAN.Tag, p.VLAN.Trunks != nil, p.VLAN.PriorityTags)
		}
		b.WriteString(o.x.FDB.Show(func(p action.Port) string { return p.String() }, now))
	}
	return b.String()
}

// key is the packet that a text describes.
func (l *lab) key(text string) flow.Key {
	l.t.Helper()
	r := &Request{Bridge: "br0", Flow: text}
	k, err := r.Key(l.ours[0].x.PortNamed, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	return *k
}

// second makes another packet that matches the megaflow of k: a new one, with the bits of the
// mask taken from k. Many such mixtures are no packets, or the first one again.
func (l *lab) second(g *gen, k flow.Key, r *xlate.Result) (string, flow.Key, bool) {
	for range 3 {
		k2 := l.key(g.packet())
		for i, m := range r.Mask {
			k2[i] = k[i]&m | k2[i]&^m
		}
		k2.SetU64(flow.FieldInPort, k.U64(flow.FieldInPort))
		if k2.U64(flow.FieldIPFrag) == flow.FragLater {
			continue // no packet
		}
		if k2.VLANTCI()&flow.VLANPresent == 0 {
			k2.SetU64(flow.FieldVLANTCI, 0)
			k2.SetU64(flow.FieldVLANTPID, 0)
		}
		text := readable(&k2)
		if strings.Contains(text, "nw_frag=later") {
			continue // its text has ports, which no match takes
		}
		k3 := l.key(text)
		if k3 == k || !k3.EqualUnder(&k, &r.Mask) {
			continue
		}
		return text, k3, true
	}
	return "", flow.Key{}, false
}

// canonical is the part of a trace that must be equal to the letter.
func canonical(trace string) string {
	var b strings.Builder
	for l := range strings.Lines(trace) {
		if strings.HasPrefix(l, "Megaflow: ") || strings.HasPrefix(l, "Datapath actions: ") {
			continue
		}
		if strings.HasPrefix(l, "This flow is handled by") || strings.HasPrefix(l, "  - ") {
			continue // reasons of its datapath, not ours
		}
		// The stock switch's own rule for a miss, shown in bridges behind a patch port.
		l = strings.Replace(l, "reg0=0x2, priority 0", "No match.", 1)
		b.WriteString(strings.TrimRight(l, "\n") + "\n")
	}
	return strings.TrimSpace(b.String())
}

func firstDiff(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("ours   %q\ntheirs %q", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

// readable writes a packet so that the stock switch reads it as a flow: not all that it prints is.
func readable(k *flow.Key) string {
	s := strings.Replace(FlowText(k), ",vlan_tci1=0x0000", "", 1)
	word, _, _ := strings.Cut(s, ",")
	switch word {
	case "tcp6", "udp6", "sctp6", "tcp", "udp", "sctp":
		l4 := strings.TrimSuffix(word, "6")
		s = strings.Replace(s, "tp_src=", l4+"_src=", 1)
		s = strings.Replace(s, ",tp_dst=", ","+l4+"_dst=", 1)
	case "icmp6":
		s = strings.Replace(s, "icmp_type=", "icmpv6_type=", 1)
		s = strings.Replace(s, "icmp_code=", "icmpv6_code=", 1)
		head, nd, found := strings.Cut(s, ",nd_sll=")
		if sll, tll, _ := strings.Cut(nd, ",nd_tll="); found {
			s = head
			if k.U64(flow.FieldICMPv6Type) == flow.ICMPv6NDSolicit {
				s += ",nd_sll=" + sll
			} else {
				s += ",nd_tll=" + tll
			}
		}
	}
	return s
}

func proto0(k *flow.Key) bool {
	t := k.EthType()
	return (t == flow.EthTypeIPv4 || t == flow.EthTypeIPv6) && k.IPProto() == 0
}
