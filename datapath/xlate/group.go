// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"fmt"
	"math"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
)

// GroupHit is a packet's way through a group, to count at.
type GroupHit struct {
	Group  *ofproto.Group
	Bucket *ofproto.Bucket // nil: the group itself
}

// Credit counts packets.
func (h GroupHit) Credit(packets, bytes uint64) {
	if h.Bucket != nil {
		h.Bucket.Credit(packets, bytes)
	} else {
		h.Group.Credit(packets, bytes)
	}
}

// group hands the packet to a group; false: there is none, and the list of actions
// ends.
func (c *ctx) group(id uint32) bool {
	if c.depth >= MaxDepth {
		c.fail(ErrTooDeep)
		return false
	}
	c.depGroup(id)
	g := c.br.OF.Group(id)
	if g == nil {
		c.notef(NodeWarn, "output to nonexistent group %d", id)
		return false
	}
	c.res.Groups = append(c.res.Groups, GroupHit{Group: g})
	switch g.Type {
	case openflow.GroupTypeSelect:
		if b := c.choose(g); b != nil {
			c.bucket(g, b)
		}
	case openflow.GroupTypeFF:
		if b := c.firstLive(g); b != nil {
			c.bucket(g, b)
		}
	default: // an indirect group can have got more buckets than one
		for _, b := range g.Buckets {
			if c.err == nil {
				c.bucket(g, b)
			}
		}
	}
	return true
}

func (c *ctx) depGroup(id uint32) { c.dep(DepGroup, action.Port(id)) }

// bucket executes a bucket as an action set on a copy of the packet. Buckets count
// as resubmits, so that groups of groups cannot multiply without bound.
func (c *ctx) bucket(g *ofproto.Group, b *ofproto.Bucket) {
	if c.resubmits >= MaxResubmits {
		c.fail(ErrTooManyResubmits)
		return
	}
	c.resubmits++
	c.res.Groups = append(c.res.Groups, GroupHit{g, b})
	var list0 *[]*Node
	if c.tr != nil {
		list0 = c.enter(c.tr.add(NodeAction, fmt.Sprintf("bucket %d", b.ID)))
	}
	s := c.save()
	c.stack = c.stack[:len(c.stack):len(c.stack)]
	inBucket := c.inBucket
	list := orderSet(b.Actions)
	if list == nil {
		c.note(NodeAction, "drop")
	}
	c.inBucket = true
	c.depth++
	c.actions(list)
	c.freeze()
	c.depth--
	c.inBucket = inBucket
	c.exit = false
	s.set = c.set // a rule that the bucket resubmitted to may have written to it
	c.restore(&s)
	c.leave(list0)
}

// live reports whether port no of the bridge is up.
func (c *ctx) live(no action.Port) bool {
	c.dep(DepPort, no)
	p := c.br.OF.Port(no)
	return p != nil && p.State&openflow.StateLinkDown == 0 && p.Config&openflow.ConfigDown == 0
}

// bucketLive reports whether b can be used: it watches nothing, or the port or some bucket of the
// group that it watches is live. seen are the groups that were looked at: to come back to
// one makes nothing live, and after the answer no, none of them is.
func (c *ctx) bucketLive(b *ofproto.Bucket, seen map[uint32]bool) bool {
	port, group := b.WatchPort != action.PortAny, b.WatchGroup != action.GroupAny
	switch {
	case !port && !group:
		return true
	case port && c.live(b.WatchPort):
		return true
	case group && c.groupLive(b.WatchGroup, seen):
		return true
	case port:
		c.notef(NodeDetail, "bucket %d: not live due to port %d", b.ID, b.WatchPort)
	default:
		c.notef(NodeDetail, "bucket %d: not live due to group %d", b.ID, b.WatchGroup)
	}
	return false
}

// groupLive reports whether a group has a live bucket.
func (c *ctx) groupLive(id uint32, seen map[uint32]bool) bool {
	c.depGroup(id)
	g := c.br.OF.Group(id)
	if g == nil || seen[id] {
		return false
	}
	seen[id] = true
	for _, b := range g.Buckets {
		if c.bucketLive(b, seen) {
			return true
		}
	}
	return false
}

// firstLive returns the first live bucket, or nil.
func (c *ctx) firstLive(g *ofproto.Group) *ofproto.Bucket {
	seen := make(map[uint32]bool)
	for _, b := range g.Buckets {
		if c.bucketLive(b, seen) {
			c.notef(NodeDetail, "using bucket %d", b.ID)
			return b
		}
	}
	c.note(NodeDetail, "no live bucket")
	return nil
}

// choose returns the live bucket that the packet's hash selects, or nil: weighted
// rendezvous hashing, so that a bucket that comes, goes or changes its weight moves only the flows
// that it gains or loses. Each bucket draws a number u in (0, 1] from the hash and its own
// number; the one with the lowest -ln(u)/weight wins, which it does with
// probability proportional to its weight.
func (c *ctx) choose(g *ofproto.Group) *ofproto.Bucket {
	var hash uint64
	hashed := false
	var best *ofproto.Bucket
	low := math.Inf(1)
	seen := make(map[uint32]bool)
	usable := make([]*ofproto.Bucket, 0, len(g.Buckets))
	for _, b := range g.Buckets {
		if b.Weight > 0 && c.bucketLive(b, seen) {
			usable = append(usable, b)
			clear(seen)
		}
	}
	if len(usable) == 1 {
		best = usable[0] // nothing of the packet matters
	} else {
		for _, b := range usable {
			if !hashed {
				hash, hashed = c.selectHash(&g.Selection), true
			}
			u := float64(mix(hash^mix(uint64(b.ID)+1))>>11+1) / (1 << 53)
			if score := -math.Log(u) / float64(b.Weight); score < low {
				low, best = score, b
			}
		}
	}
	if best == nil {
		c.note(NodeDetail, "no live bucket")
	} else {
		c.notef(NodeDetail, "using bucket %d", best.ID)
	}
	return best
}

// selectHash hashes what a selection looks at, which counts from now on. Method "hash" with
// fields: these, where the packet has them. Otherwise (the stock switch's default, dp_hash,
// is computed by the datapath; ours is the same for every packet of a flow, computed
// here): both ends of an IP flow, in an order that is the same for both
// directions, with the ports unless it is a fragment; of other packets the Ethernet
// addresses, VLAN and type.
func (c *ctx) selectHash(s *openflow.Selection) uint64 {
	h := mix(s.Param)
	if s.Method == "hash" && len(s.Fields) > 0 {
		for _, f := range s.Fields {
			if !c.has(f.Field) {
				continue
			}
			c.needField(f.Field, f.Mask)
			v := c.flow.Get(f.Field).And(f.Mask)
			h = mix(mix(h^uint64(f.Field))^v.Hi) ^ v.Lo
		}
		return mix(h)
	}
	value := func(f flow.Field) flow.U128 {
		c.needField(f, flow.Ones(128))
		return c.flow.Get(f)
	}
	typ := c.get(flow.FieldEthType)
	h = mix(h ^ typ)
	var src, dst flow.Field
	switch typ {
	case ethIPv4:
		src, dst = flow.FieldIPSrc, flow.FieldIPDst
	case ethIPv6:
		src, dst = flow.FieldIPv6Src, flow.FieldIPv6Dst
	default:
		if c.tagged() {
			h = mix(h ^ c.get(flow.FieldDLVLAN))
		}
		return mix(h ^ (mix(c.get(flow.FieldEthSrc)) + mix(c.get(flow.FieldEthDst))))
	}
	a, b := value(src), value(dst)
	ends := [2]uint64{mix(mix(a.Hi) ^ a.Lo), mix(mix(b.Hi) ^ b.Lo)}
	proto := c.get(flow.FieldIPProto)
	h = mix(h ^ proto)
	if c.get(flow.FieldIPFrag) == 0 && (proto == protoTCP || proto == protoUDP || proto == protoSCTP) {
		ends[0] = mix(ends[0] ^ c.get(flow.FieldTPSrc))
		ends[1] = mix(ends[1] ^ c.get(flow.FieldTPDst))
	}
	return mix(h ^ (ends[0] + ends[1]))
}

// mix spreads the bits of x (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
