// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Bounds of the groups of a bridge.
const (
	MaxGroups  = 65_536  // more: OFPGMFC_OUT_OF_GROUPS
	MaxBuckets = 262_144 // of all groups together; more: OFPGMFC_OUT_OF_BUCKETS
)

// Group is a group. A modification makes another Group of the same number, so that what
// a translation has seen of one never changes; counters excepted.
type Group struct {
	ID        uint32
	Type      openflow.GroupType
	Selection openflow.Selection
	Buckets   []*Bucket

	Created, Modified time.Time
	Packets, Bytes    uint64

	// How often each rule refers to it; the same map for all Groups of the number.
	rules map[*Rule]int
}

// Bucket is a bucket of a Group; one that an insertion or removal of others
// leaves in place stays the same Bucket.
type Bucket struct {
	openflow.Bucket
	Packets, Bytes uint64
}

// Credit counts packets that came to g.
func (g *Group) Credit(packets, bytes uint64) { g.Packets += packets; g.Bytes += bytes }

// Credit counts packets that went through b.
func (b *Bucket) Credit(packets, bytes uint64) { b.Packets += packets; b.Bytes += bytes }

// Group returns a group, or nil.
func (b *Bridge) Group(id uint32) *Group { return b.groups[id] }

// groupIDs calls f for every group that instructions name.
func groupIDs(in *action.Instructions, f func(id uint32)) {
	anyAction(in, func(a action.Action) bool {
		if g, ok := a.(action.Group); ok {
			f(g.ID)
		}
		return false
	})
}

func (b *Bridge) linkGroups(r *Rule) {
	groupIDs(r.Instr, func(id uint32) {
		if g := b.groups[id]; g != nil {
			g.rules[r]++
		}
	})
}

func (b *Bridge) unlinkGroups(r *Rule) {
	groupIDs(r.Instr, func(id uint32) {
		if g := b.groups[id]; g != nil {
			delete(g.rules, r)
		}
	})
}

// GroupMod changes the groups (OpenFlow 1.5, 6.7), or refuses with an ofp.Kind and
// changes nothing.
func (b *Bridge) GroupMod(m *openflow.GroupMod, now time.Time) (eff Effects, err error) {
	switch m.Command {
	case openflow.GroupAdd:
		err = b.groupAdd(m, now, &eff)
	case openflow.GroupModify:
		err = b.groupModify(m, now, &eff)
	case openflow.GroupDelete:
		if m.Group == action.GroupAll {
			b.deleteGroups(now, &eff)
		} else if g := b.groups[m.Group]; g != nil {
			b.deleteGroup(g, now, &eff)
		}
	case openflow.GroupInsertBucket:
		err = b.insertBuckets(m, now, &eff)
	case openflow.GroupRemoveBucket:
		err = b.removeBuckets(m, now, &eff)
	default:
		err = ofp.GMFCBadCommand
	}
	return eff, err
}

// setGroup puts g, or nothing if it is nil, at id.
func (b *Bridge) setGroup(id uint32, g *Group, eff *Effects) {
	old := b.groups[id]
	b.undo.note(func() { b.putGroup(id, old) })
	b.putGroup(id, g)
	if eff != nil {
		eff.Groups = append(eff.Groups, id)
	}
}

func (b *Bridge) putGroup(id uint32, g *Group) {
	if old := b.groups[id]; old != nil {
		b.buckets -= len(old.Buckets)
	}
	if g == nil {
		delete(b.groups, id)
		return
	}
	b.groups[id] = g
	b.buckets += len(g.Buckets)
}

// room refuses n buckets more than there may be.
func (b *Bridge) room(n int) error {
	if b.buckets+n > MaxBuckets {
		return ofp.GMFCOutOfBuckets
	}
	return nil
}

func newBuckets(bs []openflow.Bucket) []*Bucket {
	out := make([]*Bucket, len(bs))
	for i := range bs {
		out[i] = &Bucket{Bucket: bs[i]}
	}
	return out
}

func (b *Bridge) groupAdd(m *openflow.GroupMod, now time.Time, eff *Effects) error {
	switch {
	case m.Group > action.GroupMax:
		return ofp.GMFCInvalidGroup
	case m.Type > openflow.GroupTypeFF:
		return ofp.GMFCBadType
	case b.groups[m.Group] != nil:
		return ofp.GMFCGroupExists
	case len(b.groups) >= MaxGroups:
		return ofp.GMFCOutOfGroups
	}
	if err := b.room(len(m.Buckets)); err != nil {
		return err
	}
	b.setGroup(m.Group, &Group{
		ID: m.Group, Type: m.Type, Selection: m.Selection, Buckets: newBuckets(m.Buckets),
		Created: now, Modified: now, rules: make(map[*Rule]int),
	}, eff)
	return nil
}

func (b *Bridge) groupModify(m *openflow.GroupMod, now time.Time, eff *Effects) error {
	old := b.groups[m.Group]
	switch {
	case old == nil:
		return ofp.GMFCUnknownGroup
	case m.Type > openflow.GroupTypeFF:
		return ofp.GMFCBadType
	}
	if err := b.room(len(m.Buckets) - len(old.Buckets)); err != nil {
		return err
	}
	b.setGroup(m.Group, &Group{
		ID: m.Group, Type: m.Type, Selection: m.Selection, Buckets: newBuckets(m.Buckets),
		Created: old.Created, Modified: now, rules: old.rules,
	}, eff)
	return nil
}

// withBuckets makes the buckets of a group others; its own counters begin anew, as
// in the stock switch.
func (b *Bridge) withBuckets(old *Group, bs []*Bucket, now time.Time, eff *Effects) {
	b.setGroup(old.ID, &Group{
		ID: old.ID, Type: old.Type, Selection: old.Selection, Buckets: bs,
		Created: old.Created, Modified: now, rules: old.rules,
	}, eff)
}

func (g *Group) bucket(id uint32) int {
	return slices.IndexFunc(g.Buckets, func(bk *Bucket) bool { return bk.ID == id })
}

// insertBuckets puts buckets behind the one named.
func (b *Bridge) insertBuckets(m *openflow.GroupMod, now time.Time, eff *Effects) error {
	old := b.groups[m.Group]
	if old == nil {
		return ofp.GMFCUnknownGroup
	}
	at := 0
	switch m.CommandBucket {
	case openflow.BucketFirst:
	case openflow.BucketLast:
		at = len(old.Buckets)
	default:
		i := old.bucket(m.CommandBucket)
		if i < 0 {
			return ofp.GMFCUnknownBucket
		}
		at = i + 1
	}
	for i := range m.Buckets {
		if old.bucket(m.Buckets[i].ID) >= 0 {
			return ofp.GMFCBucketExists
		}
	}
	if err := b.room(len(m.Buckets)); err != nil {
		return err
	}
	b.withBuckets(old, slices.Insert(slices.Clone(old.Buckets), at, newBuckets(m.Buckets)...), now, eff)
	return nil
}

func (b *Bridge) removeBuckets(m *openflow.GroupMod, now time.Time, eff *Effects) error {
	old := b.groups[m.Group]
	if old == nil {
		return ofp.GMFCUnknownGroup
	}
	from, to := 0, len(old.Buckets)
	switch m.CommandBucket {
	case openflow.BucketAll:
	case openflow.BucketFirst:
		to = min(to, 1)
	case openflow.BucketLast:
		from = max(to-1, 0)
	default:
		from = old.bucket(m.CommandBucket)
		if from < 0 {
			return ofp.GMFCUnknownBucket
		}
		to = from + 1
	}
	b.withBuckets(old, slices.Delete(slices.Clone(old.Buckets), from, to), now, eff)
	return nil
}

// deleteGroup removes a group and the rules that refer to it.
func (b *Bridge) deleteGroup(g *Group, now time.Time, eff *Effects) {
	for _, r := range slices.SortedFunc(maps.Keys(g.rules), bySeq) {
		b.remove(r, openflow.RemovedGroupDelete, now, eff)
	}
	b.deleteLearned(now, eff)
	b.setGroup(g.ID, nil, eff)
}

func (b *Bridge) deleteGroups(now time.Time, eff *Effects) {
	for _, g := range b.sortedGroups(action.GroupAll) {
		b.deleteGroup(g, now, eff)
	}
}

// sortedGroups returns the group with a number, or all for GroupAll, by number.
func (b *Bridge) sortedGroups(id uint32) []*Group {
	if id != action.GroupAll {
		if g := b.groups[id]; g != nil {
			return []*Group{g}
		}
		return nil
	}
	return slices.SortedFunc(maps.Values(b.groups), func(x, y *Group) int { return cmp.Compare(x.ID, y.ID) })
}

func (b *Bridge) groupDesc(id uint32) *openflow.GroupDescReply {
	rep := &openflow.GroupDescReply{}
	for _, g := range b.sortedGroups(id) {
		d := openflow.GroupDesc{Group: g.ID, Type: g.Type, Selection: g.Selection}
		for _, bk := range g.Buckets {
			d.Buckets = append(d.Buckets, bk.Bucket)
		}
		rep.Groups = append(rep.Groups, d)
	}
	return rep
}

// refs returns the references of rules; a rule that refers twice counts twice.
func (g *Group) refs() (n uint32) {
	for _, k := range g.rules {
		n += uint32(k)
	}
	return n
}

func (b *Bridge) groupStats(id uint32, now time.Time) *openflow.GroupStatsReply {
	rep := &openflow.GroupStatsReply{}
	for _, g := range b.sortedGroups(id) {
		s := openflow.GroupStats{
			Group: g.ID, RefCount: g.refs(), Packets: g.Packets, Bytes: g.Bytes,
			Lifetime: lifetime(g.Created, now),
		}
		for _, bk := range g.Buckets {
			s.Buckets = append(s.Buckets, openflow.BucketStats{Packets: bk.Packets, Bytes: bk.Bytes})
		}
		rep.Groups = append(rep.Groups, s)
	}
	return rep
}

// Capabilities of groups (OpenFlow 1.3, A.3.5.11, enum ofp_group_capabilities).
const (
	capSelectWeight   = 1 << 0
	capSelectLiveness = 1 << 1
	capChaining       = 1 << 2
)

// groupActions are the actions that buckets can have, by their OpenFlow number:
// output, push_vlan, pop_vlan, set_queue, group, set_nw_ttl, dec_nw_ttl, set_field.
const groupActions = 1<<0 | 1<<17 | 1<<18 | 1<<21 | 1<<22 | 1<<23 | 1<<24 | 1<<25

func groupFeatures() *openflow.GroupFeaturesReply {
	rep := &openflow.GroupFeaturesReply{
		Types:        1<<openflow.GroupTypeAll | 1<<openflow.GroupTypeSelect | 1<<openflow.GroupTypeIndirect | 1<<openflow.GroupTypeFF,
		Capabilities: capSelectWeight | capSelectLiveness | capChaining,
	}
	for t := range rep.MaxGroups {
		rep.MaxGroups[t], rep.Actions[t] = MaxGroups, groupActions
	}
	return rep
}
