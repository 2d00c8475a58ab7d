// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// ownFlow is a flow_mod for the monitor to send by itself, in hexadecimal.
func ownFlow(t *testing.T, v ofp.Version, xid uint32, cmd openflow.FlowModCommand, port uint32, to ...action.Port) string {
	t.Helper()
	m := &openflow.FlowMod{
		Command: cmd, Priority: 7, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
		NewCookie: 0x77,
	}
	if port != 0 {
		m.Match.SetU64(flow.FieldInPort, uint64(port))
	}
	for _, p := range to {
		m.Instructions.Apply = append(m.Instructions.Apply, action.Output{Port: p})
	}
	b, err := openflow.Encode(openflow.Proto{Version: v, NXM: v == ofp.V10}, xid, m)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// watchScript drives a switch with a monitor whose specification is watch, and returns what it printed.
func watchScript(t *testing.T, r *rig, v ofp.Version, watch string) string {
	t.Helper()
	of := func(args ...string) { t.Helper(); r.ofctl(append([]string{"-O", "OpenFlow14"}, args...)...) }
	of("del-flows", "br0")
	of("add-flow", "br0", "cookie=1,table=1,priority=9,in_port=1,actions=2")
	of("add-flow", "br0", "cookie=2,table=2,ip,actions=3")
	name := fmt.Sprintf("w%v-%x.ctl", v, watch)
	ctl := filepath.Join(r.dir, name)
	out, p := r.background(exec.Command("ovs-ofctl", "-O", v.String(), "monitor", "br0", watch, "--unixctl="+ctl))
	r.eventually(5*time.Second, func() error { _, err := r.try("ovs-appctl", "-t", ctl, "version"); return err })
	// The first updates are there when a barrier of the monitor is answered.
	settle := func() { t.Helper(); r.run("ovs-appctl", "-t", ctl, "ofctl/barrier") }
	settle()
	of("add-flow", "br0", "cookie=3,table=1,priority=9,idle_timeout=60,hard_timeout=90,in_port=3,actions=2,4")
	of("add-flow", "br0", "cookie=3,table=1,priority=9,in_port=3,actions=2") // in its place
	of("mod-flows", "br0", "table=1,in_port=3,actions=2")                    // nothing changes
	of("mod-flows", "br0", "table=1,in_port=3,actions=5")
	of("mod-flows", "br0", "table=1,actions=2")
	of("add-flow", "br0", "table=2,cookie=9,tcp,tp_dst=80,nw_src=10.0.0.0/8,actions=resubmit(,3),set_field:1->reg3")
	of("--strict", "del-flows", "br0", "table=1,priority=9,in_port=3")
	settle()
	for _, h := range []string{
		ownFlow(t, v, 0x101, openflow.FlowAdd, 8, 2), ownFlow(t, v, 0x102, openflow.FlowAdd, 9, 2, 3),
		ownFlow(t, v, 0x103, openflow.FlowModify, 9, 4), ownFlow(t, v, 0x104, openflow.FlowDelete, 8),
	} {
		r.run("ovs-appctl", "-t", ctl, "ofctl/send", h)
		settle()
	}
	of("add-group", "br0", "group_id=5,type=all,bucket=output:2")
	of("add-flow", "br0", "table=2,cookie=10,udp,actions=group:5")
	of("del-groups", "br0", "group_id=5")
	if watch == "watch:" {
		of("add-flow", "br0", "table=2,cookie=11,sctp,hard_timeout=1,actions=2")
		r.eventually(6*time.Second, func() error {
			if n := r.flows("br0", "table=2,cookie=11/-1"); n > 0 {
				return fmt.Errorf("%d flows wait for their timeout", n)
			}
			return nil
		})
	}
	of("del-flows", "br0")
	settle()
	p.Stop(5 * time.Second)
	text := regexp.MustCompile(`(?m)^.*(fatal_signal|OFPT_BARRIER_REPLY).*\n`).ReplaceAllString(out(), "")
	text = regexp.MustCompile(`(?m)^(send: |OFPT_FLOW_MOD|NXT_FLOW_MOD).*\n`).ReplaceAllString(text, "")
	return regexp.MustCompile(`xid=0x[0-9a-f]{1,2}\)`).ReplaceAllString(text, "xid)")
}

// Flow monitors of the stock client print the same with both switches.
func TestE2EWatch(t *testing.T) {
	needs(t, "ovs-ofctl", "ovs-vswitchd", "ovsdb-server")
	if *stock {
		t.Skip("compares the two switches")
	}
	ours, theirs := newRigOf(t, "netdev", false, "w"), newRigOf(t, "netdev", true, "s")
	for _, r := range []*rig{ours, theirs} {
		r.bridge("br0")
		r.vsctl("set-fail-mode", "br0", "secure")
	}
	for _, c := range []struct {
		v     ofp.Version
		watch []string
	}{
		{ofp.V10, []string{"watch:", "watch:!own", "watch:table=1,in_port=3"}},
		{ofp.V13, []string{"watch:!own,out_port=2"}},
		{ofp.V14, []string{"watch:!own,!delete,!modify"}},
		{ofp.V15, []string{"watch:!initial,!actions", "watch:!own"}},
	} {
		for _, watch := range c.watch {
			got, want := watchScript(t, ours, c.v, watch), watchScript(t, theirs, c.v, watch)
			if !strings.Contains(want, "event=ADDED") || strings.Contains(watch, "!own") != strings.Contains(want, "event=ABBREV") {
				t.Fatalf("%v %s: the stock switch reports nothing:\n%s", c.v, watch, want)
			}
			if got != want {
				t.Errorf("%v %s: got\n%s\nwant\n%s", c.v, watch, got, want)
			}
		}
	}
}

// lacking are fields that the stock switch has and Weir has not: ERSPAN, GTP-U and NSH, and what
// TLV tables map.
var lacking = regexp.MustCompile(`,erspan_\{[^}]*\}|,gtpu_\{[^}]*\}|,metadata0\.\.\.metadata63| nsh_\{[^}]*\}`)

// The features of tables, as the stock client prints them, are those of the stock switch but for the fields that
// Weir lacks.
func TestE2ETableFeatures(t *testing.T) {
	needs(t, "ovs-ofctl", "ovs-vswitchd", "ovsdb-server")
	if *stock {
		t.Skip("compares the two switches")
	}
	ours, theirs := newRigOf(t, "netdev", false, "w"), newRigOf(t, "netdev", true, "s")
	for _, r := range []*rig{ours, theirs} {
		r.bridge("br0")
	}
	for _, v := range []string{"OpenFlow13", "OpenFlow14", "OpenFlow15"} {
		got := ours.ofctl("-O", v, "dump-table-features", "br0")
		all := theirs.ofctl("-O", v, "dump-table-features", "br0")
		want := lacking.ReplaceAllString(all, "")
		if got != want || want == all {
			t.Errorf("%s: got\n%s\nwant\n%s", v, got, want)
		}
	}
}
