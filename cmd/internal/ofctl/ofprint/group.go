// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

var groupCommandNames = map[openflow.GroupModCommand]string{
	openflow.GroupAdd: "ADD", openflow.GroupModify: "MOD", openflow.GroupDelete: "DEL", openflow.GroupAddOrModify: "ADD_OR_MOD",
	openflow.GroupInsertBucket: "INSERT_BUCKET", openflow.GroupRemoveBucket: "REMOVE_BUCKET",
}

var groupTypeNames = []string{"all", "select", "indirect", "ff"}

// groupID returns a group's number or what a reserved one stands for in a request.
func groupID(id uint32) string {
	switch id {
	case action.GroupAll:
		return "ALL"
	case action.GroupAny:
		return "ANY"
	}
	return fmt.Sprint(id)
}

func bucketID(id uint32) string {
	switch id {
	case openflow.BucketFirst:
		return "first"
	case openflow.BucketLast:
		return "last"
	case openflow.BucketAll:
		return "all"
	}
	return fmt.Sprint(id)
}

func (p *printer) groupMod(m *openflow.GroupMod) {
	p.WriteString("\n ")
	withType, buckets := true, m.Command != openflow.GroupDelete
	switch m.Command {
	case openflow.GroupInsertBucket:
		withType = false
	case openflow.GroupRemoveBucket:
		withType, buckets = false, false
	}
	if n, ok := groupCommandNames[m.Command]; ok {
		p.WriteString(n)
	} else {
		p.printf("cmd:%d", m.Command)
	}
	p.WriteByte(' ')
	if m.Command == openflow.GroupInsertBucket || m.Command == openflow.GroupRemoveBucket {
		p.printf("command_bucket_id:%s,", bucketID(m.CommandBucket))
	}
	p.group(&m.GroupDesc, withType, buckets)
}

// group writes a group as a user does.
func (p *printer) group(g *openflow.GroupDesc, withType, buckets bool) {
	p.printf("group_id=%d", g.Group)
	if withType {
		p.WriteString(",type=" + groupTypeNames[min(int(g.Type), len(groupTypeNames)-1)])
	}
	if s := &g.Selection; s.Method != "" {
		p.WriteString(",selection_method=" + s.Method)
		if s.Param != 0 {
			p.printf(",selection_method_param=%d", s.Param)
		}
		p.selectFields(s.Fields)
	}
	if !buckets {
		return
	}
	for i := range g.Buckets {
		p.bucket(g.Type, &g.Buckets[i])
	}
}

func (p *printer) selectFields(fs []openflow.SelectField) {
	full := func(f openflow.SelectField) bool { return f.Mask == flow.Ones(f.Field.Bits()) }
	switch {
	case len(fs) == 0:
		return
	case len(fs) == 1 && full(fs[0]):
		p.printf(",fields=%s", fs[0].Field)
		return
	}
	var ws []string
	for _, f := range fs {
		w := f.Field.String()
		if !full(f) {
			w += "=" + flow.FormatValue(f.Field, f.Mask, flow.Ones(f.Field.Bits()))
		}
		ws = append(ws, w)
	}
	p.WriteString(",fields(" + strings.Join(ws, ",") + ")")
}

func (p *printer) bucket(typ openflow.GroupType, b *openflow.Bucket) {
	p.WriteString(",bucket=")
	if p.version >= ofp.V15 || p.version == ofp.V10 {
		p.printf("bucket_id:%d,", b.ID)
	}
	weight := uint16(0) // that goes without saying
	if typ == openflow.GroupTypeSelect {
		weight = 1
	}
	if b.Weight != weight {
		p.printf("weight:%d,", b.Weight)
	}
	if b.WatchPort != action.PortAny {
		p.WriteString("watch_port:" + p.port(b.WatchPort) + ",")
	}
	if b.WatchGroup != action.GroupAny {
		p.printf("watch_group:%d,", b.WatchGroup)
	}
	p.WriteString("actions=" + b.Actions.Text(p.Ports))
}

func (p *printer) groupDescs(m *openflow.GroupDescReply) {
	for i := range m.Groups {
		p.WriteString("\n ")
		p.group(&m.Groups[i], true, true)
	}
}

func (p *printer) groupStats(m *openflow.GroupStatsReply) {
	for i := range m.Groups {
		g := &m.Groups[i]
		p.printf("\n group_id=%d,", g.Group)
		if g.Lifetime.Sec != ^uint32(0) {
			p.printf("duration=%s,", duration(g.Lifetime))
		}
		p.printf("ref_count=%d,packet_count=%d,byte_count=%d", g.RefCount, g.Packets, g.Bytes)
		for j, b := range g.Buckets {
			p.printf(",bucket%d:packet_count=%d,byte_count=%d", j, b.Packets, b.Bytes)
		}
	}
}

// groupActions are actions by their OpenFlow number, in the order in which they are
// printed (1.0: 5.2.4; 1.3: A.2.5).
var (
	groupActions10 = []numbered{
		{0, "output"}, {11, "enqueue"}, {1, "set_vlan_vid"}, {2, "set_vlan_pcp"}, {3, "strip_vlan"}, {4, "mod_dl_src"}, {5, "mod_dl_dst"},
		{6, "mod_nw_src"}, {7, "mod_nw_dst"}, {8, "mod_nw_tos"}, {9, "mod_tp_src"}, {10, "mod_tp_dst"},
	}
	groupActions13 = []numbered{
		{0, "output"}, {22, "group"}, {25, "set_field"}, {18, "strip_vlan"}, {17, "push_vlan"}, {23, "mod_nw_ttl"}, {24, "dec_ttl"},
		{15, "set_mpls_ttl"}, {16, "dec_mpls_ttl"}, {19, "push_mpls"}, {20, "pop_mpls"}, {21, "set_queue"},
	}
)

type numbered struct {
	bit  int
	name string
}

func (p *printer) groupFeatures(m *openflow.GroupFeaturesReply) {
	p.printf("\n Group table:\n    Types:  0x%x\n    Capabilities:  0x%x\n", m.Types, m.Capabilities)
	names := groupActions13
	if p.version == ofp.V10 {
		names = groupActions10
	}
	for t, name := range []string{"all", "select", "indirect", "fast failover"} {
		if m.Types&(1<<t) == 0 {
			continue
		}
		var ws []string
		for _, a := range names {
			if m.Actions[t]&(1<<a.bit) != 0 {
				ws = append(ws, a.name)
			}
		}
		if len(ws) == 0 {
			ws = []string{"<none>"}
		}
		p.printf("    %s group:\n       max_groups=%#x\n       actions: %s\n", name, m.MaxGroups[t], strings.Join(ws, " "))
	}
}
