// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// conjGen writes flows with conjunctions in the language of ovs-ofctl. What the stock switch leaves open does not
// occur: at one priority one conjunctive flow can be complete, no flow fulfils two clauses of one ID (the manual
// speaks of different ones; the stock switch takes such a flow for one of two if there are fewer flows than clauses), and no
// two ordinary flows share a priority.
type conjGen struct{ *rand.Rand }

func (g conjGen) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g conjGen) match() string {
	return g.pick("ip,nw_src=10.0.0.1", "ip,nw_src=10.0.0.0/24", "ip,nw_src=10.0.0.0/31", "ip,nw_dst=10.0.1.1", "ip,nw_dst=10.0.1.0/24", "ip,nw_dst=10.0.0.0/8",
		"tcp,tp_dst=80", "tcp,tp_dst=0x50/0xfff0", "udp,tp_dst=53", "in_port=1", "in_port=2", "dl_src=02:00:00:00:00:01", "tcp", "udp", "ip",
		"ip,nw_src=10.0.0.1,nw_dst=10.0.1.1", "tcp,nw_src=10.0.0.0/24,tp_dst=80", "in_port=1,ip,nw_dst=10.0.1.2", "tcp,tp_src=5,in_port=2", "vlan_tci=0", "reg0=0", "metadata=0/1")
}

// flows writes the flows of a table; its number makes the IDs and, with resubmits, the order of things.
func (g conjGen) flows(table int, of map[int]int) (lines []string) {
	add := func(prio int, match, actions string) {
		if match != "" {
			match = "," + match
		}
		lines = append(lines, fmt.Sprintf("table=%d,priority=%d%s,actions=%s", table, prio, match, actions))
	}
	act := func(i int) string {
		l := []string{fmt.Sprintf("output:%d", 1+g.IntN(4))}
		if table == 0 && g.IntN(3) == 0 {
			l = append(l, g.pick("resubmit(,1)", "resubmit(2,1)", "load:1->NXM_NX_REG0[],resubmit(,1)", "mod_nw_dst:10.0.1.1,resubmit(,1)"))
		}
		if strings.Contains(l[len(l)-1], "mod_nw_dst") {
			l[len(l)-1] = "resubmit(,1)" // without a match on IP it cannot be
		}
		return strings.Join(l, ",") + fmt.Sprintf(",load:%d->NXM_NX_REG1[]", i)
	}
	seen := make(map[string]bool)
	for _, level := range []int{10, 20, 30} {
		id := 1000*table + level
		of[id] = 2 + g.IntN(2)
		of := of[id]
		for range 4 + g.IntN(5) {
			m := g.match()
			if key := fmt.Sprint(level, m); seen[key] {
				continue
			} else {
				seen[key] = true
			}
			k := 1 + g.IntN(of)
			a := fmt.Sprintf("conjunction(%d,%d/%d)", id, k, of)
			switch g.IntN(6) {
			case 1: // one that is never complete at this priority
				a = fmt.Sprintf("conjunction(%d,1/3),", id+500) + a
			case 2:
				a = "note:01.02.03.04.05.06," + a
			}
			add(level, m, a)
		}
	}
	// What is done when they are complete, for some of them, also twice with other matches; and flows that know of no
	// conjunction. Those have priorities above, at and below those of the clauses.
	prios := g.Perm(36)
	for i, prio := range prios[:6+g.IntN(8)] {
		if prio == 30 {
			continue // a modification makes an ordinary flow of this priority
		}
		m := ""
		switch g.IntN(3) {
		case 0, 1:
			m = fmt.Sprintf("conj_id=%d", 1000*table+10*(1+g.IntN(3)))
			if g.IntN(3) == 0 {
				m += "," + g.match()
			}
		case 2:
			m = g.match()
			for _, level := range []int{10, 20, 30} {
				if prio == level && seen[fmt.Sprint(level, m)] {
					m = fmt.Sprintf("%s,dl_dst=02:00:00:00:00:02", m) // another flow
				}
			}
		}
		if prio == 0 {
			m = ""
		}
		add(prio, m, act(i))
	}
	return lines
}

func (g conjGen) packet() string {
	p := []string{"in_port=" + g.pick("1", "2", "3"), g.pick("tcp", "tcp", "udp"), "dl_src=" + g.pick("02:00:00:00:00:01", "02:00:00:00:00:03"), "dl_dst=" + g.pick("02:00:00:00:00:02", "02:00:00:00:00:04"),
		"nw_src=" + g.pick("10.0.0.1", "10.0.0.0", "10.0.0.9", "10.1.0.1"), "nw_dst=" + g.pick("10.0.1.1", "10.0.1.2", "10.9.0.1", "11.0.0.1"), "nw_ttl=64"}
	p = append(p, p[1]+"_src="+g.pick("5", "6"), p[1]+"_dst="+g.pick("80", "81", "53", "443"))
	if g.IntN(4) == 0 {
		p = append(p, "vlan_tci=0x100a")
	}
	return strings.Join(p, ",")
}

// TestConjunctions compares conjunctive matches with the stock switch's: the way through the tables, what leaves, and
// that no more of the packet counts; then again after some of the flows have gone.
func TestConjunctions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	l := newLab(t)
	rounds, packets := 14, 24
	if os.Getenv("WEIR_SOAK") != "" {
		rounds = 1000
	}
	traces, conj, equal, smaller, larger := 0, 0, 0, 0, 0
	for round := range rounds {
		g := conjGen{rand.New(rand.NewPCG(*seed+uint64(round), 0xc09))}
		version := g.pick("OpenFlow10", "OpenFlow13", "OpenFlow15")
		options := []string{"-O", version}
		if version == "OpenFlow10" {
			options = nil
		}
		of := make(map[int]int) // the number of clauses of an ID
		lines := append(g.flows(0, of), g.flows(1, of)...)
		if got := l.flows(0, lines, options...); len(got) != len(lines) {
			t.Fatalf("seed %d round %d: only %d of %d flows were taken", *seed, round, len(got), len(lines))
		}
		for i := range 2 * packets {
			if i == packets { // some clauses go, some flows change what they are
				gone := "conj_id=" + g.pick("10", "20", "30")
				if g.IntN(2) == 0 {
					gone = g.match()
				}
				now, conj := g.match(), fmt.Sprintf("conjunction(20,%d/%d)", 1+g.IntN(of[20]), of[20])
				out := g.match()
				for _, sw := range []string{"br0", "our0"} {
					target := fmt.Sprintf("unix:%s/%s.mgmt", l.dir, sw)
					l.run("ovs-ofctl", "del-flows", target, "table=0,"+gone)
					l.run("ovs-ofctl", "mod-flows", target, "table=0,"+now+",actions="+conj)
					l.run("ovs-ofctl", "--strict", "mod-flows", target, "table=0,priority=30,"+out+",actions=output:2")
				}
			}
			text := g.packet()
			ours, theirs, r, err := l.trace(text)
			if err != nil {
				t.Fatal(err)
			}
			k := l.key(text)
			got, err1 := perform(line(ours, "Datapath actions"), k)
			want, err2 := perform(line(theirs, "Datapath actions"), k)
			if a, b := canonical(ours), canonical(theirs); a != b || err1 != nil || err2 != nil || !sameOut(ours, got, want) {
				t.Fatalf("seed %d round %d, packet %s: %v %v\n%s\nours\n%s\nstock\n%s\nfirst difference:\n%s", *seed, round, text, err1, err2,
					l.dump(), ours, theirs, firstDiff(a, b))
			}
			traces++
			if strings.Contains(ours, "conj_id=") {
				conj++
			}
			if len(r.Hits) == 0 {
				t.Fatal("no search")
			}
			om, ok1 := maskOf(ours)
			tm, ok2 := maskOf(theirs)
			if !ok1 || !ok2 {
				t.Fatalf("megaflow not understood\n%s\n%s", ours, theirs)
			}
			switch a, b := weight(&om.Mask), weight(&tm.Mask); {
			case a == b:
				equal++
			case a < b:
				smaller++
			default:
				larger++
				t.Logf("more bits than stock, packet %s: %s\n%s", text, line(ours, "Megaflow"), line(theirs, "Megaflow"))
			}
		}
	}
	t.Logf("seed %d: %d traces equal, %d through a conjunction; masks: %d equal in size to the stock switch's, %d smaller, %d larger", *seed, traces, conj, equal, smaller, larger)
	if conj < traces/10 || larger*20 > traces {
		t.Error("too few conjunctions, or too many masks are larger")
	}
}

func (l *lab) dump() string {
	s, _ := l.call("bridge/dump-flows", "br0")
	return s
}
