// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/classifier"
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

	// How often each rule refers to it, as changes see it; the same map for all Groups of the
	// number, until that is deleted.
	rules map[*Rule]int

	span  classifier.Span // versions of the Bridge that have it
	older *Group          // of the versions before
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
func (b *Bridge) Group(id uint32) *Group {
	for g := b.groups[id]; g != nil; g = g.older {
		if g.span.In(b.version) {
			return g
		}
	}
	return nil
}

// group returns a group as changes see it, or nil.
func (b *Bridge) group(id uint32) *Group {
	if g := b.groups[id]; g != nil && g.span.Until == 0 {
		return g
	}
	return nil
}

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
	if len(b.groups) == 0 {
		return
	}
	groupIDs(r.Instr, func(id uint32) {
		if g := b.group(id); g != nil {
			g.rules[r]++
			b.tables[r.Table].noted = true
		}
	})
}

func (b *Bridge) unlinkGroups(r *Rule) {
	if len(b.groups) == 0 {
		return
	}
	groupIDs(r.Instr, func(id uint32) {
		if g := b.group(id); g != nil {
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
	case openflow.GroupAddOrModify:
		if b.group(m.Group) == nil {
			err = b.groupAdd(m, now, &eff)
		} else {
			err = b.groupModify(m, now, &eff)
		}
	case openflow.GroupModify:
		err = b.groupModify(m, now, &eff)
	case openflow.GroupDelete:
		if m.Group == action.GroupAll {
			b.deleteGroups(now, &eff)
		} else if g := b.group(m.Group); g != nil {
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

// setGroup puts g, or nothing if it is nil, at id. In a bundle readers go on to see what was
// there.
func (b *Bridge) setGroup(id uint32, g *Group, eff *Effects) {
	old, head := b.group(id), b.groups[id]
	count := func(sign int) {
		if old != nil {
			b.ngroups -= sign
			b.buckets -= sign * len(old.Buckets)
		}
		if g != nil {
			b.ngroups += sign
			b.buckets += sign * len(g.Buckets)
		}
	}
	count(1)
	eff.Groups = append(eff.Groups, id)
	u := b.staged
	if u == nil {
		b.putGroup(id, g)
		return
	}
	u.groups = append(u.groups, id)
	seen := head
	if head != nil && head.span.From == u.next {
		seen = head.older // head itself nobody has seen
	}
	until := classifier.Version(0)
	if seen != nil {
		until = seen.span.Until
		seen.span.Until = u.next
	}
	if g != nil {
		g.span.From, g.older = u.next, seen
		b.putGroup(id, g)
	} else {
		b.putGroup(id, seen)
	}
	u.note(func() {
		count(-1)
		if seen != nil {
			seen.span.Until = until
		}
		b.putGroup(id, head)
	})
}

func (b *Bridge) putGroup(id uint32, g *Group) {
	if g == nil {
		delete(b.groups, id)
	} else {
		b.groups[id] = g
	}
}

// settleGroup forgets what of a group nobody sees any more.
func (b *Bridge) settleGroup(id uint32) {
	switch g := b.groups[id]; {
	case g == nil:
	case g.span.Until != 0:
		delete(b.groups, id)
	default:
		g.span.From, g.older = 0, nil
	}
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
	case b.group(m.Group) != nil:
		return ofp.GMFCGroupExists
	case b.ngroups >= MaxGroups:
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
	old := b.group(m.Group)
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
	old := b.group(m.Group)
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
	old := b.group(m.Group)
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
	var rules []*Rule
	b.staged.read(func() { rules = slices.SortedFunc(maps.Keys(g.rules), bySeq) })
	for _, r := range rules {
		b.remove(r, openflow.RemovedGroupDelete, now, eff)
		b.staged.pace()
	}
	b.deleteLearned(now, eff)
	b.setGroup(g.ID, nil, eff)
}

func (b *Bridge) deleteGroups(now time.Time, eff *Effects) {
	for _, g := range b.sortedGroups(action.GroupAll) {
		b.deleteGroup(g, now, eff)
		b.staged.pace()
	}
}

// sortedGroups returns the group with a number, or all for GroupAll, by number, as changes see them.
func (b *Bridge) sortedGroups(id uint32) []*Group {
	if id != action.GroupAll {
		if g := b.group(id); g != nil {
			return []*Group{g}
		}
		return nil
	}
	gs := make([]*Group, 0, b.ngroups)
	for _, g := range b.groups {
		if g.span.Until == 0 {
			gs = append(gs, g)
		}
	}
	slices.SortFunc(gs, func(x, y *Group) int { return cmp.Compare(x.ID, y.ID) })
	return gs
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

// groupActions10 are those of OpenFlow 1.0, of which the stock switch says that they are all there.
const groupActions10 = 1<<12 - 1

func groupFeatures(v ofp.Version) *openflow.GroupFeaturesReply {
	actions := uint32(groupActions)
	if v == ofp.V10 {
		actions = groupActions10
	}
	rep := &openflow.GroupFeaturesReply{
		Types:        1<<openflow.GroupTypeAll | 1<<openflow.GroupTypeSelect | 1<<openflow.GroupTypeIndirect | 1<<openflow.GroupTypeFF,
		Capabilities: capSelectWeight | capSelectLiveness | capChaining,
	}
	for t := range rep.MaxGroups {
		rep.MaxGroups[t], rep.Actions[t] = MaxGroups, actions
	}
	return rep
}
