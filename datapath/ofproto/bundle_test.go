// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// snapshot writes everything that a bridge has down: rules in their order with all their fields, what
// refers to which group, timeouts, ports, and what lookups find and look at.
func snapshot(b *Bridge, keys []flow.Key) string {
	var s strings.Builder
	var rules []*Rule
	b.All(func(r *Rule) bool { rules = append(rules, r); return true })
	slices.SortFunc(rules, bySeq)
	for _, r := range rules {
		c := *r
		c.cr, c.expiry = nil, 0
		fmt.Fprintf(&s, "%p %v %d %+v %v %v\n", r, r.Match(), r.Priority(), c, *r.Instr, r.expiry >= 0 && b.expirable[r.expiry] == r)
	}
	fmt.Fprintf(&s, "%d rules with timeouts, %d buckets, next %d\n", len(b.expirable), b.buckets, b.seq)
	for _, g := range b.sortedGroups(action.GroupAll) {
		fmt.Fprintf(&s, "%p group %d type %d packets %d since %v:", g, g.ID, g.Type, g.Packets, g.Created)
		for _, bk := range g.Buckets {
			fmt.Fprintf(&s, " %p %+v", bk, *bk)
		}
		refs := slices.SortedFunc(maps.Keys(g.rules), bySeq)
		for _, r := range refs {
			fmt.Fprintf(&s, " %p*%d", r, g.rules[r])
		}
		s.WriteByte('\n')
	}
	for _, n := range b.PortNumbers() {
		fmt.Fprintf(&s, "%+v\n", *b.ports[n])
	}
	for i := range keys {
		var wc flow.Mask
		r, _ := b.Lookup(0, &keys[i], &wc)
		fmt.Fprintf(&s, "%p %v\n", r, wc)
	}
	return s.String()
}

// bundleMod returns a random modification that most states accept.
func bundleMod(r *rand.Rand) openflow.Message {
	switch r.IntN(6) {
	case 0:
		return &openflow.PortMod{No: 1, HWAddr: [6]byte{2, 0, 0, 0, 0, 1}, Config: openflow.PortConfig(r.Uint32()), Mask: openflow.ConfigNoFlood | openflow.ConfigDown}
	case 1, 2:
		m := &openflow.GroupMod{Command: openflow.GroupModCommand([]int{0, 1, 2, 3, 5}[r.IntN(5)]), CommandBucket: openflow.BucketLast}
		m.Group = r.Uint32N(5)
		if m.Command != openflow.GroupDelete && m.Command != openflow.GroupRemoveBucket {
			for range 1 + r.IntN(2) {
				m.Buckets = append(m.Buckets, openflow.Bucket{ID: r.Uint32N(100), WatchPort: action.PortAny, WatchGroup: action.GroupAny})
			}
		} else if m.Command == openflow.GroupDelete {
			m.CommandBucket = openflow.BucketAll
		}
		if m.Command <= openflow.GroupModify {
			m.CommandBucket = openflow.BucketAll
			m.Buckets = m.Buckets[:1]
		}
		if r.IntN(20) == 0 {
			m.Command, m.Group, m.CommandBucket, m.Buckets = openflow.GroupDelete, action.GroupAll, openflow.BucketAll, nil
		}
		return m
	}
	m := &openflow.FlowMod{
		Command: openflow.FlowModCommand(r.IntN(5)), BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
		Priority: uint16(r.IntN(3)), NewCookie: r.Uint64N(5), IdleTimeout: uint16(r.IntN(3)), Flags: openflow.FlowModFlags(r.IntN(8)) &^ openflow.FlagCheckOverlap,
	}
	switch r.IntN(4) {
	case 0:
		m.Match.SetU64(flow.FieldInPort, r.Uint64N(3))
	case 1:
		m.Match.SetU64(flow.FieldEthType, 0x800)
		m.Match.SetMasked(flow.FieldIPDst, flow.U128{Lo: uint64(10+r.IntN(2)) << 24}, flow.U128{Lo: 0xff000000})
	case 2:
		m.Match.SetU64(flow.FieldEthDst, r.Uint64N(3))
	}
	if m.Command == openflow.FlowAdd || m.Command == openflow.FlowModify || m.Command == openflow.FlowModifyStrict {
		m.Instructions.Apply = action.List{action.Output{Port: action.Port(1 + r.IntN(3))}}
		if r.IntN(2) == 0 {
			m.Instructions.Apply = append(m.Instructions.Apply, action.Group{ID: r.Uint32N(5)})
		}
	}
	return m
}

// TestRollback holds that a bundle that fails, at whichever message, leaves no trace, and that one that
// does not fail is what its messages are one by one.
func TestRollback(t *testing.T) {
	t.Logf("seed %d", *seed)
	conn := ConnInfo{Version: ofp.V15}
	proto := openflow.Proto{Version: ofp.V15}
	keys := make([]flow.Key, 0, 12)
	for i := range 12 {
		var k flow.Key
		k.SetU64(flow.FieldInPort, uint64(i%3))
		k.SetU64(flow.FieldEthType, 0x800)
		k.SetU64(flow.FieldEthDst, uint64(i/3))
		k.SetU64(flow.FieldIPDst, uint64(10+i%2)<<24)
		keys = append(keys, k)
	}
	raw := func(m openflow.Message) []byte {
		t.Helper()
		b, err := openflow.Encode(proto, 1, &openflow.BundleAdd{Msg: m})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	faults := []struct {
		m    openflow.Message
		want ofp.Kind
	}{
		{&openflow.FlowMod{BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny, Instructions: action.Instructions{Apply: action.List{action.Group{ID: 99}}}}, ofp.BACBadOutGroup},
		{&openflow.GroupMod{Command: openflow.GroupModify, CommandBucket: openflow.BucketAll, GroupDesc: openflow.GroupDesc{Group: 99}}, ofp.GMFCUnknownGroup},
		{&openflow.PortMod{No: 99}, ofp.BFCMsgFailed},
		{&openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: 1, Actions: action.List{action.Group{ID: 99}}, Data: make([]byte, 60)}, ofp.BACBadOutGroup},
	}
	steps, changes := 0, 0
	for round := range uint64(60) {
		r := rand.New(rand.NewPCG(*seed, round))
		b := New(nil)
		b.SetPorts(ports("a", "b", "c"), t0)
		for range 30 {
			b.Handle(conn, bundleMod(r), t0)
		}
		b.All(func(r *Rule) bool { r.Credit(7, 700, t0); return true })
		// The messages of the bundle: those that the bridge, one after the other, accepts. A twin finds out.
		twin := New(nil)
		twin.SetPorts(ports("a", "b", "c"), t0)
		r2 := rand.New(rand.NewPCG(*seed, round))
		for range 30 {
			twin.Handle(conn, bundleMod(r2), t0)
		}
		var good [][]byte
		later := t0.Add(time.Second)
		for len(good) < 12 {
			m := bundleMod(r)
			if add := raw(m); add != nil {
				got, err := openflow.Decode(add, proto)
				if err != nil {
					continue
				}
				if kind(first(twin.Handle(conn, got.(*openflow.BundleAdd).Msg, later))) == ofp.NoError {
					good = append(good, add)
				}
			}
		}
		before := snapshot(b, keys)
		for at := range len(good) + 1 {
			f := faults[r.IntN(len(faults))]
			msgs := slices.Insert(slices.Clone(good), at, raw(f.m))
			replies, eff := b.Handle(conn, &openflow.Bundle{ID: 1, Proto: proto, Added: msgs}, later)
			if len(replies) != 2 || kind(replies) != f.want || &replies[0].(*openflow.Error).Of[0] != &msgs[at][0] || kind(replies[1:]) != ofp.BFCMsgFailed {
				t.Fatalf("seed %d round %d: fault at %d: %v, want %v", *seed, round, at, kind(replies), f.want)
			}
			if len(eff.Changes)+len(eff.Cleared)+len(eff.Async)+len(eff.Groups)+len(eff.Ports)+len(eff.Out)+len(eff.PortDown) != 0 {
				t.Fatalf("a bundle that failed has effects %+v", eff)
			}
			if after := snapshot(b, keys); after != before {
				t.Fatalf("seed %d round %d: fault at %d: before\n%s\nafter\n%s", *seed, round, at, before, after)
			}
			steps++
		}
		replies, eff := b.Handle(conn, &openflow.Bundle{ID: 1, Proto: proto, Added: good}, later)
		if kind(replies) != ofp.NoError || len(replies) != 1 {
			t.Fatalf("seed %d round %d: refused: %v", *seed, round, kind(replies))
		}
		changes += len(eff.Changes)
		if x, y := describe(b), describe(twin); x != y {
			t.Fatalf("seed %d round %d: the bundle\n%s\none by one\n%s", *seed, round, x, y)
		}
	}
	t.Logf("%d bundles taken back, %d changes of rules in those that were not", steps, changes)
	if changes == 0 {
		t.Error("no bundle changed anything")
	}
}

// describe is what controllers see of a bridge.
func describe(b *Bridge) string {
	var s strings.Builder
	all := openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}
	for _, r := range inOrder(b.pick(&all, b.version, nil)) {
		fmt.Fprintf(&s, "%v %d cookie %d idle %d flags %d %v %v\n", r.Match(), r.Priority(), r.Cookie, r.IdleTimeout, r.Flags, r.Modified, r.Instr)
	}
	fmt.Fprintf(&s, "%+v\n%+v\n%+v\n", b.groupDesc(action.GroupAll), b.groupStats(action.GroupAll, t0).Groups, b.descs())
	return s.String()
}

// TestGroupBounds holds that a bridge has no more groups and buckets than it may.
func TestGroupBounds(t *testing.T) {
	b := New(nil)
	add := func(cmd openflow.GroupModCommand, id uint32, buckets int) ofp.Kind {
		m := &openflow.GroupMod{Command: cmd, CommandBucket: openflow.BucketLast, GroupDesc: openflow.GroupDesc{Group: id, Buckets: make([]openflow.Bucket, buckets)}}
		for i := range m.Buckets {
			m.Buckets[i].ID = uint32(i)
		}
		return kind(first(b.Handle(ConnInfo{}, m, t0)))
	}
	for id := range uint32(MaxGroups) {
		if k := add(openflow.GroupAdd, id, 0); k != ofp.NoError {
			t.Fatalf("group %d: %v", id, k)
		}
	}
	if k := add(openflow.GroupAdd, MaxGroups, 0); k != ofp.GMFCOutOfGroups {
		t.Errorf("one group too many: %v", k)
	}
	const n = 4096
	for i := range MaxBuckets / n {
		if k := add(openflow.GroupModify, uint32(i), n); k != ofp.NoError {
			t.Fatalf("%d buckets: %v", i*n, k)
		}
	}
	if k := add(openflow.GroupModify, 100, 1); k != ofp.GMFCOutOfBuckets {
		t.Errorf("one bucket too many: %v", k)
	}
	if k := add(openflow.GroupInsertBucket, 100, 1); k != ofp.GMFCOutOfBuckets {
		t.Errorf("one bucket too many, inserted: %v", k)
	}
	add(openflow.GroupDelete, 0, 0)
	if k := add(openflow.GroupModify, 100, n); k != ofp.NoError || b.buckets != MaxBuckets {
		t.Errorf("after a deletion: %v, %d buckets", k, b.buckets)
	}
}
