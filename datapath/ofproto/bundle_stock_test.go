// SPDX-License-Identifier: Apache-2.0

package ofproto_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/internal/stock"
	"github.com/weirswitch/weir/datapath/ofconn"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// served is a bridge of ours behind a socket.
type served struct {
	mu sync.Mutex
	of *ofproto.Bridge
}

func (s *served) Connected(*ofconn.Conn)           {}
func (s *served) Disconnected(*ofconn.Conn, error) {}
func (s *served) Handle(c *ofconn.Conn, r *ofconn.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	replies, _ := s.of.Handle(ofproto.ConnInfo{Version: c.Version()}, r.Msg, t0)
	c.Reply(r, replies...)
}

func serve(t *testing.T, ports int) (s *served, path string) {
	s = &served{of: ofproto.New(nil)}
	var descs []openflow.PortDesc
	for i := 1; i <= ports; i++ {
		descs = append(descs, openflow.PortDesc{No: action.Port(i), Name: fmt.Sprintf("p%d", i), HWAddr: [6]byte{2, 0, 0, 0, 0, byte(i)}})
	}
	s.of.SetPorts(descs, t0)
	s.of.Reset(false, true, t0)
	sw := ofconn.New(s, ofconn.Options{Check: ofproto.Check, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(sw.Close)
	path = filepath.Join(t.TempDir(), "br0.mgmt")
	if _, err := sw.Listen(ofconn.Service, "punix:"+path); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// bundleGen makes messages about a few bundles.
type bundleGen struct {
	*rand.Rand
	v ofp.Version
}

func (g bundleGen) inner() openflow.Message {
	switch g.IntN(12) {
	case 0, 1, 2:
		// No deletions: ovs-vswitchd 3.1 crashes soon after it has taken one back.
		m := &openflow.GroupMod{Command: openflow.GroupModCommand(g.IntN(2)), CommandBucket: openflow.BucketAll}
		m.Group = uint32(g.IntN(4))
		if g.IntN(2) == 0 {
			m.Buckets = []openflow.Bucket{{WatchPort: action.PortAny, WatchGroup: action.GroupAny, Actions: action.List{action.Output{Port: 1}}}}
		}
		return m
	case 3:
		return &openflow.PortMod{No: 9} // there is none
	case 4:
		return &openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: action.PortController, Actions: action.List{action.Output{Port: 1}}, Data: make([]byte, 60)}
	case 5:
		if g.IntN(2) == 0 {
			return &openflow.BarrierRequest{}
		}
	}
	m := &openflow.FlowMod{BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny, Priority: uint16(g.IntN(2))}
	m.Match.SetU64(flow.FieldInPort, uint64(1+g.IntN(3)))
	m.NewCookie = uint64(g.IntN(4))
	m.Instructions.Apply = action.List{action.Output{Port: action.Port(1 + g.IntN(4))}}
	switch g.IntN(8) {
	case 0:
		m.Command = openflow.FlowDelete
	case 1:
		m.Command = openflow.FlowModify
	case 2:
		m.Command = openflow.FlowDeleteStrict
	case 3, 4:
		m.Instructions.Apply = action.List{action.Group{ID: uint32(g.IntN(4))}}
	case 5:
		if g.IntN(3) == 0 {
			m.Table = 254
		}
	case 6:
		if g.IntN(3) == 0 {
			m.BufferID = 5
		}
	case 7:
		m.Flags = openflow.FlagCheckOverlap
	}
	return m
}

func (g bundleGen) next() openflow.Message {
	id := uint32(g.IntN(3))
	flags := openflow.BundleFlags(3)
	if g.IntN(25) == 0 {
		flags = openflow.BundleFlags(g.IntN(5))
	}
	if g.IntN(20) == 0 { // as itself, in no bundle
		return &openflow.GroupMod{Command: openflow.GroupDelete, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: uint32(g.IntN(4))}}
	}
	if g.IntN(5) > 0 {
		return &openflow.BundleAdd{ID: id, Flags: flags, Msg: g.inner()}
	}
	types := []openflow.BundleControlType{
		openflow.BundleOpenRequest, openflow.BundleCloseRequest, openflow.BundleCommitRequest, openflow.BundleCommitRequest,
		openflow.BundleCommitRequest, openflow.BundleDiscardRequest, openflow.BundleCommitReply,
	}
	return &openflow.BundleControl{ID: id, Type: types[g.IntN(len(types))], Flags: flags}
}

// answer is what came back for a message, with transaction ids relative to it.
func answer(c *stock.Conn, m openflow.Message) (out []string) {
	c.Send(m)
	for _, r := range c.Barrier() {
		if e, ok := r.Msg.(*openflow.Error); ok {
			out = append(out, fmt.Sprintf("%d %v %x", r.XID, e.Kind, e.Data[:min(len(e.Data), 64)]))
		} else {
			out = append(out, fmt.Sprintf("%d %T %+v", r.XID, r.Msg, r.Msg))
		}
	}
	return out
}

// state is what a switch has, as text.
func state(c *stock.Conn) string {
	var ls []string
	for _, m := range c.Ask(&openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}}) {
		for _, f := range m.(*openflow.FlowStatsReply).Flows {
			ls = append(ls, fmt.Sprintf("%d,%v cookie=%d flags=%d actions=%v", f.Priority, f.Match.String(), f.Cookie, f.Flags, f.Instructions.String()))
		}
	}
	for _, m := range c.Ask(&openflow.GroupDescRequest{Group: action.GroupAll}) {
		for _, g := range m.(*openflow.GroupDescReply).Groups {
			ls = append(ls, fmt.Sprintf("%+v", g))
		}
	}
	slices.Sort(ls)
	return strings.Join(ls, "\n")
}

// TestBundlesStock compares with Debian's ovs-vswitchd: every reply to generated messages about
// bundles, transaction ids and data of errors included, and the tables after each.
func TestBundlesStock(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	s := stock.Start(t)
	s.Bridge("br0", 4)
	seed := flag.Lookup("seed").Value.(flag.Getter).Get().(uint64)
	t.Logf("seed %d", seed)
	for _, v := range []ofp.Version{ofp.V13, ofp.V14, ofp.V15} {
		_, path := serve(t, 4)
		ours, theirs := stock.Dial(t, path, v), s.Dial("br0", v)
		for _, c := range []*stock.Conn{ours, theirs} {
			c.Ask(&openflow.GroupMod{Command: openflow.GroupDelete, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: action.GroupAll}})
			c.Ask(&openflow.FlowMod{Command: openflow.FlowDelete, Table: openflow.TableAll, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny})
		}
		g := bundleGen{rand.New(rand.NewPCG(seed, uint64(v))), v}
		var log []string
		commits, failed := 0, 0
		for i := range 1200 {
			m := g.next()
			if a, ok := m.(*openflow.BundleAdd); ok {
				log = append(log, fmt.Sprintf("add %d %d: %T %+v", a.ID, a.Flags, a.Msg, a.Msg))
			} else {
				log = append(log, fmt.Sprintf("%+v", m))
			}
			x, y := answer(ours, m), answer(theirs, m)
			if !slices.Equal(x, y) {
				t.Fatalf("%v seed %d step %d\n%s\nours\n%s\nstock\n%s", v, seed, i, strings.Join(log[max(0, len(log)-12):], "\n"), strings.Join(x, "\n"), strings.Join(y, "\n"))
			}
			if c, ok := m.(*openflow.BundleControl); ok && c.Type == openflow.BundleCommitRequest {
				switch {
				case len(x) == 2:
					failed++
				case strings.Contains(x[0], "BundleControl"):
					commits++
				}
				if a, b := state(ours), state(theirs); a != b {
					t.Fatalf("%v seed %d step %d\n%s\nours\n%s\nstock\n%s", v, seed, i, strings.Join(log[max(0, len(log)-20):], "\n"), a, b)
				}
			}
		}
		t.Logf("%v: %d bundles committed, %d failed", v, commits, failed)
		if commits < 10 || failed < 10 {
			t.Error("too few bundles of a kind")
		}
	}
}

var duration = regexp.MustCompile(`duration=[0-9.]+s`)

// TestOfctlGroups gives the stock ovs-ofctl the same commands for both switches: groups, bundles of flows and
// of groups, and what it prints of them.
func TestOfctlGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	s := stock.Start(t)
	s.Bridge("br0", 4)
	_, path := serve(t, 4)
	groups, mods, flows, bad := s.Dir+"/groups", s.Dir+"/mods", s.Dir+"/flows", s.Dir+"/bad"
	for file, text := range map[string]string{
		groups: "group_id=1,type=all,bucket=output:1,bucket=mod_dl_dst:02:00:00:00:00:09,output:2\ngroup_id=2,type=ff,bucket=watch_port:1,output:1,bucket=watch_group:1,output:2\n" +
			"group_id=3,type=select,bucket=weight:3,output:1,bucket=output:2\ngroup_id=4,type=indirect,bucket=group:2\n",
		mods:  "add group_id=5,type=all,bucket=output:3\nmodify group_id=1,type=indirect,bucket=output:4\ndelete group_id=4\n",
		flows: "in_port=1,actions=group:1\nin_port=2,priority=7,actions=write_actions(group:3)\ndelete in_port=9\nin_port=3,actions=group:5,output:2\n",
		bad:   "in_port=4,actions=group:1\ndelete in_port=1\nin_port=2,actions=group:77\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []string{"OpenFlow13", "OpenFlow14", "OpenFlow15"} {
		for _, args := range []string{
			"del-groups SW", "del-flows SW", "add-groups SW " + groups, "--bundle mod-groups? SW " + mods, "--bundle add-flows SW " + flows,
			"dump-groups SW", "dump-group-stats SW", "dump-flows SW", "--bundle add-flows SW " + bad, "dump-flows SW", "dump-groups SW",
			"del-groups SW group_id=1", "dump-flows SW", "dump-group-stats SW group_id=3", "dump-group-stats SW group_id=99",
		} {
			if strings.Contains(args, "mod-groups?") { // modifications of several kinds only go as a file of add-groups
				args = "--bundle add-groups SW " + mods
			}
			run := func(target string) string {
				full := append([]string{"-O", v}, strings.Fields(strings.Replace(args, "SW", "unix:"+target, 1))...)
				out, err := s.Try("ovs-ofctl", full...)
				text := out
				if err != nil {
					text += err.Error()
				}
				text = duration.ReplaceAllString(strings.ReplaceAll(text, target, "SW"), "duration=D")
				ls := strings.Split(text, "\n")
				slices.Sort(ls)
				return strings.Join(ls, "\n")
			}
			if x, y := run(path), run(s.Dir+"/br0.mgmt"); x != y {
				t.Errorf("%s %s\nours\n%s\nstock\n%s", v, args, x, y)
			} else {
				t.Logf("%s %s: %d lines", v, args, strings.Count(x, "\n"))
			}
		}
	}
}
