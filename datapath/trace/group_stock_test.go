// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
)

// groupGen writes groups in the language of ovs-ofctl.
type groupGen struct{ *rand.Rand }

func (g groupGen) pick(s ...string) string { return s[g.IntN(len(s))] }

// bucket returns the actions of a bucket; deeper groups have higher numbers, except for a few.
func (g groupGen) bucket(id int) string {
	var l []string
	for range g.IntN(3) {
		l = append(l, g.pick("mod_dl_dst:02:00:00:00:00:09", "mod_dl_src:02:00:00:00:00:08", "mod_nw_dst:10.0.0.9", "mod_nw_tos:32", "mod_tp_dst:77",
			"dec_ttl", "mod_nw_ttl:9", "push_vlan:0x8100", "mod_vlan_vid:20", "load:5->NXM_NX_REG0[]", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "push:NXM_OF_IN_PORT[]"))
	}
	switch g.IntN(10) {
	case 0, 1:
		l = append(l, fmt.Sprintf("group:%d", id+1+g.IntN(3)))
	case 2:
		l = append(l, g.pick("resubmit(,2)", "resubmit(,3)", "resubmit(4,2)"))
	case 3:
		l = append(l, g.pick("ALL", "CONTROLLER", "IN_PORT", "FLOOD", "output:1,output:2"))
	case 4:
	default:
		l = append(l, "output:"+g.pick("1", "2", "3", "4", "9"))
	}
	if len(l) == 0 {
		return "drop"
	}
	return strings.Join(l, ",")
}

func (g groupGen) group(id int) string {
	typ := g.pick("all", "all", "indirect", "ff", "ff", "select")
	n := 1 + g.IntN(3)
	if typ == "indirect" {
		n = 1
	}
	s := fmt.Sprintf("group_id=%d,type=%s", id, typ)
	if typ == "select" {
		// Which of several is chosen is each switch's own: of these one is live.
		s += ",selection_method=hash"
		n = 2
	}
	for i := range n {
		s += ",bucket="
		switch {
		case typ == "ff" && g.IntN(3) == 0:
			s += fmt.Sprintf("watch_group:%d,", g.IntN(14))
		case typ == "ff":
			s += "watch_port:" + g.pick("1", "2", "3", "4", "9", "77") + ","
		case typ == "select" && i == 0:
			s += "weight:0,"
		}
		s += "actions=" + g.bucket(id)
	}
	return s
}

// TestGroups compares the way through groups with the stock switch's: what leaves, as what, and that no more
// of the packet counts.
func TestGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	l := newLab(t)
	rounds := 8
	if os.Getenv("WEIR_SOAK") != "" {
		rounds = 200
	}
	traces, live, wider := 0, 0, 0
	for round := range rounds {
		g := groupGen{rand.New(rand.NewPCG(*seed+uint64(round), 0x6709))}
		both := func(args ...string) {
			t.Helper()
			for _, sw := range []string{"br0", "our0"} {
				full := append([]string{"-O", "OpenFlow15", args[0], fmt.Sprintf("unix:%s/%s.mgmt", l.dir, sw)}, args[1:]...)
				l.run("ovs-ofctl", full...)
			}
		}
		both("del-groups")
		both("del-flows")
		var groups, flows []string
		for id := range 12 {
			groups = append(groups, g.group(id))
		}
		file := l.dir + "/groups"
		if err := os.WriteFile(file, []byte(strings.Join(groups, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		both("add-groups", file)
		for id := range 12 {
			m := fmt.Sprintf("priority=%d,udp,tp_dst=%d", 10+id, id)
			flows = append(flows, fmt.Sprintf("%s,actions=%sgroup:%d,output:4", m, g.pick("", "mod_nw_src:10.9.9.9,", "push_vlan:0x8100,"), id),
				fmt.Sprintf("priority=%d,tcp,tp_dst=%d,actions=mod_dl_src:02:00:00:00:00:77,write_actions(group:%d,output:3)", 10+id, id, id))
		}
		flows = append(flows, "table=2,priority=1,actions=dec_ttl,output:3", "table=3,priority=1,reg0=5,actions=output:2", "table=3,priority=0,actions=exit")
		l.flows(0, flows, "-O", "OpenFlow15")
		down := action.Port(1 + g.IntN(4))
		l.setLink(down, true)
		for id := range 12 {
			for _, proto := range []string{"udp", "tcp"} {
				text := fmt.Sprintf("in_port=%s,%s,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=%s,%s_src=5,%s_dst=%d",
					g.pick("1", "2", "3"), proto, g.pick("1", "64"), proto, proto, id)
				ours, theirs, r, err := l.trace(text)
				if err != nil {
					t.Fatal(err)
				}
				k := l.key(text)
				got, err1 := perform(line(ours, "Datapath actions"), k)
				want, err2 := perform(line(theirs, "Datapath actions"), k)
				if r.Trace.MaxTags > 2 {
					continue // the stock switch knows of two tags
				}
				if err1 != nil || err2 != nil || !sameOut(ours, got, want) || line(ours, "Final flow") != line(theirs, "Final flow") {
					t.Fatalf("seed %d round %d, port %d down, packet %s: %v %v\n%s\nours\n%s\nstock\n%s", *seed, round, down, text, err1, err2, strings.Join(groups, "\n"), ours, theirs)
				}
				traces++
				if len(got) > 0 {
					live++
				}
				om, ok1 := maskOf(ours)
				tm, ok2 := maskOf(theirs)
				if !ok1 || !ok2 {
					t.Fatalf("megaflow not understood\n%s\n%s", ours, theirs)
				}
				if weight(&om.Mask) > weight(&tm.Mask) {
					wider++
					t.Logf("more bits than stock: %s\n%s", line(ours, "Megaflow"), line(theirs, "Megaflow"))
				}
			}
		}
		l.setLink(down, false)
	}
	t.Logf("seed %d: %d traces equal, %d with output, %d masks larger than stock's", *seed, traces, live, wider)
	if live < traces/3 || wider*20 > traces {
		t.Error("too few packets leave, or too many masks are larger")
	}
}

// setLink takes a port of br0 down or up on both switches.
func (l *lab) setLink(no action.Port, down bool) {
	l.t.Helper()
	name, state := fmt.Sprintf("p%d", no), "up"
	if down {
		state = "down"
	}
	l.appctl("netdev-dummy/set-admin-state", name, state)
	var descs []openflow.PortDesc
	for _, p := range portsOf[0] {
		d := openflow.PortDesc{No: p.no, Name: p.name, State: openflow.StateLive}
		if p.no == no && down {
			d.State = openflow.StateLinkDown
		}
		descs = append(descs, d)
	}
	b := l.ours[0]
	b.mu.Lock()
	b.of.SetPorts(descs, now)
	b.mu.Unlock()
	// The stock switch notices in its main loop, for translation a little later.
	time.Sleep(60 * time.Millisecond)
}
