// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/internal/stock"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// groupGen makes group and flow modifications, many of which cannot be.
type groupGen struct {
	*rand.Rand
	v ofp.Version
}

func (g groupGen) id() uint32 {
	if g.IntN(40) == 0 {
		return []uint32{action.GroupMax, action.GroupMax + 1, action.GroupAll, action.GroupAny}[g.IntN(4)]
	}
	return uint32(g.IntN(8))
}

func (g groupGen) plain() (l action.List) {
	if g.IntN(3) == 0 {
		l = append(l, action.SetField{Field: flow.FieldEthDst, Value: flow.U128{Lo: 0x020000000009}, Mask: flow.Ones(48)})
	}
	return l
}

func (g groupGen) actions() (l action.List) {
	l = g.plain()
	switch g.IntN(8) {
	case 0:
		return append(l, action.Group{ID: uint32(g.IntN(8))})
	case 1:
		return l
	}
	return append(l, action.Output{Port: action.Port(1 + g.IntN(4))})
}

func (g groupGen) buckets(typ openflow.GroupType, n int) (bs []openflow.Bucket) {
	for i := range n {
		b := openflow.Bucket{ID: uint32(i), WatchPort: action.PortAny, WatchGroup: action.GroupAny, Actions: g.actions()}
		if g.v >= ofp.V15 && g.IntN(2) == 0 {
			b.ID = uint32(g.IntN(6))
		}
		if typ == openflow.GroupTypeSelect {
			b.Weight = uint16(g.IntN(3))
		}
		if typ == openflow.GroupTypeFF || typ == openflow.GroupTypeSelect && g.IntN(3) == 0 || g.IntN(30) == 0 {
			if g.IntN(2) == 0 {
				b.WatchPort = action.Port(1 + g.IntN(6))
			} else {
				b.WatchGroup = uint32(g.IntN(8))
			}
		}
		if g.IntN(60) == 0 {
			b.Weight, b.WatchPort = 7, action.PortAny
		}
		bs = append(bs, b)
	}
	return bs
}

func (g groupGen) next() openflow.Message {
	if g.IntN(4) == 0 {
		m := &openflow.FlowMod{Priority: 5, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
		m.Match.SetU64(flow.FieldInPort, uint64(1+g.IntN(4)))
		switch g.IntN(5) {
		case 0:
			m.Command, m.Match = openflow.FlowDelete, flow.Match{}
			m.OutGroup = uint32(g.IntN(8))
			if g.v < ofp.V15 {
				m.Table = openflow.TableAll
			}
		case 1:
			m.Command = openflow.FlowModify
			m.Instructions.Apply = g.actions()
		case 2:
			m.Instructions.Write = action.List{action.Group{ID: uint32(g.IntN(8))}}
		default:
			// Deleting a group that a flow names twice makes ovs-vswitchd 3.1 crash.
			m.Instructions.Apply = append(g.plain(), action.Group{ID: uint32(g.IntN(8))})
		}
		return m
	}
	m := &openflow.GroupMod{CommandBucket: openflow.BucketAll}
	m.Group, m.Type = g.id(), openflow.GroupType(g.IntN(4))
	n := g.IntN(4)
	switch g.IntN(9) {
	case 0, 1, 2:
	case 3, 4:
		m.Command = openflow.GroupModify
	case 5, 6:
		if m.Command = openflow.GroupDelete; m.Group == action.GroupAll && g.IntN(3) > 0 {
			m.Group = 1
		}
		return m
	case 7:
		if g.v < ofp.V15 {
			break
		}
		m.Command = openflow.GroupInsertBucket
		n = max(n, 1) // an insertion of nothing makes ovs-vswitchd 3.1 hang
		m.CommandBucket = []uint32{openflow.BucketFirst, openflow.BucketLast, uint32(g.IntN(6))}[g.IntN(3)]
	case 8:
		if g.v < ofp.V15 {
			break
		}
		m.Command, n = openflow.GroupRemoveBucket, 0
		m.CommandBucket = []uint32{openflow.BucketFirst, openflow.BucketLast, openflow.BucketAll, uint32(g.IntN(6)), uint32(g.IntN(6))}[g.IntN(5)]
	}
	if m.Type == openflow.GroupTypeIndirect && g.IntN(6) > 0 {
		n = min(n, 1) // (an insertion into an indirect group must have exactly one)
	}
	m.Buckets = g.buckets(m.Type, n)
	if g.v >= ofp.V15 && m.Type == openflow.GroupTypeSelect && m.Command <= openflow.GroupModify && g.IntN(3) == 0 {
		m.Selection = openflow.Selection{Method: "hash", Param: g.Uint64N(3), Fields: []openflow.SelectField{{Field: flow.FieldEthSrc, Mask: flow.Ones(48)}}}
	}
	return m
}

// send returns the error that each switch has for m, after the codec: what ours would read is
// what stock reads.
func groupVerdicts(t *testing.T, b *Bridge, c *stock.Conn, m openflow.Message) (ours, theirs ofp.Kind) {
	t.Helper()
	theirs = kind(c.Ask(m))
	raw, err := openflow.Encode(c.Proto, 1, m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openflow.Decode(raw, c.Proto)
	if err != nil {
		return ofp.KindOf(err), theirs
	}
	return kind(first(b.Handle(ConnInfo{Version: c.Proto.Version}, got, t0))), theirs
}

func sortGroups(gs []openflow.GroupDesc) []openflow.GroupDesc {
	slices.SortFunc(gs, func(x, y openflow.GroupDesc) int { return cmp.Compare(x.Group, y.Group) })
	return gs
}

// TestGroupsStock compares with Debian's ovs-vswitchd: verdicts on generated commands, and the
// groups, references and flows that they leave.
func TestGroupsStock(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	t.Logf("seed %d", *seed)
	s := stock.Start(t)
	s.Bridge("br0", 4)
	for _, v := range []ofp.Version{ofp.V13, ofp.V15} {
		c := s.Dial("br0", v)
		g := groupGen{rand.New(rand.NewPCG(*seed, uint64(v))), v}
		b := New(nil)
		c.Ask(&openflow.GroupMod{Command: openflow.GroupDelete, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: action.GroupAll}})
		c.Ask(&openflow.FlowMod{Command: openflow.FlowDelete, Table: openflow.TableAll, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny})
		refused := make(map[ofp.Kind]int)
		for i := range 1500 {
			m := g.next()
			ours, theirs := groupVerdicts(t, b, c, m)
			if refused[theirs]++; ours != theirs {
				t.Fatalf("%v seed %d step %d: %+v\n%v, stock %v\ngroups %+v", v, *seed, i, m, ours, theirs, b.groupDesc(action.GroupAll).Groups)
			}
			if i%10 != 0 {
				continue
			}
			compareGroups(t, v, i, b, c)
		}
		t.Logf("%v: verdicts %v", v, refused)
	}
}

func compareGroups(t *testing.T, v ofp.Version, i int, b *Bridge, c *stock.Conn) {
	t.Helper()
	one := func(m openflow.Message) (ours, theirs openflow.Message) {
		r := first(b.Handle(ConnInfo{Version: v}, m, t0))
		q := c.Ask(m)
		if len(r) != 1 || len(q) != 1 {
			t.Fatalf("%T: %d replies, stock %d", m, len(r), len(q))
		}
		return r[0], q[0]
	}
	ro, rt := one(&openflow.GroupDescRequest{Group: action.GroupAll})
	ours, theirs := ro.(*openflow.GroupDescReply).Groups, sortGroups(rt.(*openflow.GroupDescReply).Groups)
	// What 1.3 does not carry is not compared: through the codec once.
	raw, err := openflow.Encode(c.Proto, 1, &openflow.GroupDescReply{Groups: ours})
	if err != nil {
		t.Fatal(err)
	}
	m, err := openflow.Decode(raw, c.Proto)
	if err != nil {
		t.Fatal(err)
	}
	if ours = m.(*openflow.GroupDescReply).Groups; !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("%v step %d: groups\n%+v\nstock\n%+v", v, i, ours, theirs)
	}
	for _, id := range []uint32{action.GroupAll, 3, action.GroupAny} {
		so, st := one(&openflow.GroupStatsRequest{Group: id})
		x, y := so.(*openflow.GroupStatsReply).Groups, st.(*openflow.GroupStatsReply).Groups
		slices.SortFunc(y, func(x, y openflow.GroupStats) int { return cmp.Compare(x.Group, y.Group) })
		for i := range y {
			y[i].Lifetime = openflow.Lifetime{}
		}
		if fmt.Sprint(x) != fmt.Sprint(y) {
			t.Fatalf("%v step %d: statistics of %#x\n%+v\nstock\n%+v", v, i, id, x, y)
		}
	}
	fo, ft := one(&openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: 2}})
	if x, y := flowTexts(fo), flowTexts(ft); !slices.Equal(x, y) {
		t.Fatalf("%v step %d: flows to group 2\n%v\nstock\n%v", v, i, x, y)
	}
	fo, ft = one(&openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}})
	if x, y := flowTexts(fo), flowTexts(ft); !slices.Equal(x, y) {
		t.Fatalf("%v step %d: flows\n%v\nstock\n%v", v, i, x, y)
	}
}

func flowTexts(m openflow.Message) (out []string) {
	for _, f := range m.(*openflow.FlowStatsReply).Flows {
		out = append(out, fmt.Sprintf("%d %v -> %v", f.Priority, f.Match.String(), f.Instructions.String()))
	}
	slices.Sort(out)
	return out
}
