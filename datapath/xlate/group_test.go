// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
)

// groupBridge is a bridge with ports 1 to 8 whose table 0 sends everything to group 1.
func groupBridge(t *testing.T, groups ...openflow.GroupDesc) *Bridge {
	t.Helper()
	of := ofproto.New(nil)
	br := NewBridge("br0", of, fdb.New(0, 0))
	var descs []openflow.PortDesc
	for i := action.Port(1); i <= 8; i++ {
		br.SetPort(&Port{No: i, Name: "p", DP: dpif.Port(i)})
		descs = append(descs, openflow.PortDesc{No: i, Name: "p", State: openflow.StateLive})
	}
	of.SetPorts(descs, t0)
	do := func(m openflow.Message) {
		t.Helper()
		if r, _ := of.Handle(ofproto.ConnInfo{}, m, t0); len(r) != 0 {
			t.Fatalf("%+v: %v", m, r[0].(*openflow.Error).Kind)
		}
	}
	for _, g := range groups {
		do(&openflow.GroupMod{CommandBucket: openflow.BucketAll, GroupDesc: g})
	}
	do(&openflow.FlowMod{BufferID: openflow.NoBuffer, Instructions: action.Instructions{Apply: action.List{action.Group{ID: 1}}}})
	return br
}

func bucket(id uint32, weight uint16, l ...action.Action) openflow.Bucket {
	return openflow.Bucket{ID: id, Weight: weight, WatchPort: action.PortAny, WatchGroup: action.GroupAny, Actions: l}
}

func tcpKey(r *rand.Rand) (k, back flow.Key) {
	set := func(k *flow.Key, src, dst, sport, dport uint64) {
		k.SetU64(flow.FieldInPort, 8)
		k.SetU64(flow.FieldEthType, ethIPv4)
		k.SetU64(flow.FieldIPProto, protoTCP)
		k.SetU64(flow.FieldIPSrc, src)
		k.SetU64(flow.FieldIPDst, dst)
		k.SetU64(flow.FieldTPSrc, sport)
		k.SetU64(flow.FieldTPDst, dport)
	}
	a, b, c, d := r.Uint64N(1<<32), r.Uint64N(1<<32), r.Uint64N(1<<16), r.Uint64N(1<<16)
	set(&k, a, b, c, d)
	set(&back, b, a, d, c)
	return k, back
}

func (b *Bridge) chosen(t *testing.T, k *flow.Key) dpif.Port {
	t.Helper()
	r := Translate(&In{Bridge: b, InPort: 8, Key: k})
	if len(r.Actions) != 1 {
		t.Fatalf("actions %v, %v", r.Actions, r.Err)
	}
	return r.Actions[0].(dpif.Output).Port
}

// TestSelect holds that flows spread by weight, that both directions of a flow take the same bucket, and that
// a bucket that goes moves its own flows only.
func TestSelect(t *testing.T) {
	const n = 20000
	weights := []uint16{1, 0, 2, 5}
	group := openflow.GroupDesc{Group: 1, Type: openflow.GroupTypeSelect}
	sum := 0
	for i, w := range weights {
		group.Buckets = append(group.Buckets, bucket(uint32(10+i), w, action.Output{Port: action.Port(i + 1)}))
		sum += int(w)
	}
	br := groupBridge(t, group)
	fewer := group
	fewer.Buckets = append([]openflow.Bucket{}, group.Buckets[:2]...)
	fewer.Buckets = append(fewer.Buckets, group.Buckets[3])
	br2 := groupBridge(t, fewer)
	r := rand.New(rand.NewPCG(*seed, 5))
	count := make(map[dpif.Port]int)
	for range n {
		k, back := tcpKey(r)
		p := br.chosen(t, &k)
		count[p]++
		if q := br.chosen(t, &back); q != p {
			t.Fatalf("one direction takes port %d, the other %d", p, q)
		}
		if q := br2.chosen(t, &k); p != 3 && q != p {
			t.Fatalf("a flow moved from port %d to %d, though its bucket is there", p, q)
		}
	}
	for i, w := range weights {
		want := float64(n) * float64(w) / float64(sum)
		if got := float64(count[dpif.Port(i+1)]); math.Abs(got-want) > 5*math.Sqrt(want)+1e-9 {
			t.Errorf("bucket of weight %d: %v of %d flows, want %.0f", w, got, n, want)
		}
	}
	// What is not of the flow does not count; fragments go without their ports.
	k, _ := tcpKey(r)
	res := Translate(&In{Bridge: br, InPort: 8, Key: &k})
	for f, want := range map[flow.Field]bool{flow.FieldEthSrc: false, flow.FieldIPTTL: false, flow.FieldIPSrc: true, flow.FieldTPDst: true} {
		if got := !res.Mask.Get(f).IsZero(); got != want {
			t.Errorf("%v counts: %v", f, got)
		}
	}
	k.SetU64(flow.FieldIPFrag, flow.FragAny)
	first := br.chosen(t, &k)
	k.SetU64(flow.FieldIPFrag, flow.FragAny|flow.FragLater)
	k.SetU64(flow.FieldTPSrc, 0)
	k.SetU64(flow.FieldTPDst, 0)
	if later := br.chosen(t, &k); later != first {
		t.Errorf("fragments of one packet leave by ports %d and %d", first, later)
	}
}

// TestSelectFields holds that a "hash" group looks at its fields and at nothing else.
func TestSelectFields(t *testing.T) {
	g := openflow.GroupDesc{
		Group: 1, Type: openflow.GroupTypeSelect,
		Selection: openflow.Selection{Method: "hash", Param: 7, Fields: []openflow.SelectField{{Field: flow.FieldIPSrc, Mask: flow.U128{Lo: 0xffffff00}}, {Field: flow.FieldUDPDst, Mask: flow.Ones(16)}}},
	}
	for i := range uint32(4) {
		g.Buckets = append(g.Buckets, bucket(i, 1, action.Output{Port: action.Port(i + 1)}))
	}
	br := groupBridge(t, g)
	r := rand.New(rand.NewPCG(*seed, 6))
	seen := make(map[dpif.Port]bool)
	for range 200 {
		k, _ := tcpKey(r)
		p := br.chosen(t, &k)
		seen[p] = true
		res := Translate(&In{Bridge: br, InPort: 8, Key: &k})
		if got := res.Mask.Get(flow.FieldIPSrc).Lo; got != 0xffffff00 {
			t.Fatalf("mask of the source %x", got)
		}
		k.SetU64(flow.FieldIPDst, r.Uint64N(1<<32))
		k.SetU64(flow.FieldIPSrc, k.U64(flow.FieldIPSrc)^0x55)
		if q := br.chosen(t, &k); q != p {
			t.Fatal("bits without a place in the fields move the flow")
		}
	}
	if len(seen) != 4 {
		t.Errorf("only %d buckets are used", len(seen))
	}
}

// TestGroupBounds: groups of groups end, however they are made.
func TestGroupBounds(t *testing.T) {
	self := openflow.GroupDesc{Group: 1, Type: openflow.GroupTypeAll, Buckets: []openflow.Bucket{bucket(0, 0, action.Output{Port: 2}), bucket(1, 0, action.Group{ID: 1})}}
	var k flow.Key
	r := Translate(&In{Bridge: groupBridge(t, self), InPort: 1, Key: &k})
	if !errors.Is(r.Err, ErrTooDeep) || len(r.Actions) != 0 {
		t.Errorf("a group of itself: %v, %d actions", r.Err, len(r.Actions))
	}
	// 40 groups, each twice the next: 2^40 ways.
	var tree []openflow.GroupDesc
	for i := range uint32(40) {
		next := action.Group{ID: i + 2}
		tree = append(tree, openflow.GroupDesc{Group: i + 1, Type: openflow.GroupTypeAll, Buckets: []openflow.Bucket{bucket(0, 0, next), bucket(1, 0, next)}})
	}
	r = Translate(&In{Bridge: groupBridge(t, tree...), InPort: 1, Key: &k})
	if !errors.Is(r.Err, ErrTooManyResubmits) {
		t.Errorf("a tree of groups: %v", r.Err)
	}
	// Liveness that goes in a circle, and one with 2^40 ways: nothing is live.
	for i := range tree {
		tree[i].Type = openflow.GroupTypeFF
		for j := range tree[i].Buckets {
			tree[i].Buckets[j].WatchGroup = uint32(i+1)%40 + 1
		}
	}
	r = Translate(&In{Bridge: groupBridge(t, tree...), InPort: 1, Key: &k})
	if r.Err != nil || len(r.Actions) != 0 {
		t.Errorf("a circle of watching groups: %v, %v", r.Err, r.Actions)
	}
}
