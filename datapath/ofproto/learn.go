// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
)

// Learn is the flow that a learn action makes of packets. It does not change once it is made; as every
// megaflow that learns keeps one, it holds the words of its match that count alone.
type Learn struct {
	Table       uint8
	Priority    uint16
	IdleTimeout uint16
	HardTimeout uint16
	Flags       openflow.FlowModFlags
	Limit       uint32
	Cookie      uint64
	Actions     action.List

	words uint64   // of the match's mask
	match []uint64 // for each of them the key's and the mask's
}

// NewLearn returns the flow that a makes of packets with key k.
func NewLearn(a *action.Learn, k *flow.Key) *Learn {
	l := &Learn{
		Table: a.Table, Priority: a.Priority, IdleTimeout: a.IdleTimeout, HardTimeout: a.HardTimeout, Cookie: a.Cookie, Limit: a.Limit,
	}
	if a.SendFlowRem {
		l.Flags |= openflow.FlagSendFlowRem
	}
	if a.FinIdle != 0 || a.FinHard != 0 {
		l.Actions = append(l.Actions, action.FinTimeout{Idle: a.FinIdle, Hard: a.FinHard})
	}
	var m flow.Match
	for i := range a.Specs {
		s := &a.Specs[i]
		v := s.Value
		if s.Src.Field != flow.FieldNone {
			v = s.Src.Get(k)
		}
		switch s.Kind {
		case action.LearnMatch:
			learnMatch(&m, s.Dst, v)
		case action.LearnLoad:
			l.Actions = append(l.Actions, loads(s.Dst, v)...)
		case action.LearnOutput:
			if p, ok := learnPort(v); ok {
				l.Actions = append(l.Actions, action.Output{Port: p})
			}
		}
	}
	l.words = m.Mask.Map()
	l.match = make([]uint64, 0, 2*bits.OnesCount64(l.words))
	for w := l.words; w != 0; w &= w - 1 {
		i := bits.TrailingZeros64(w)
		l.match = append(l.match, m.Key[i], m.Mask[i])
	}
	return l
}

// learnMatch matches the bits of s with v.
func learnMatch(m *flow.Match, s flow.Subfield, v flow.U128) {
	mask := s.Mask()
	v = v.Lsh(uint(s.Ofs))
	all := mask == flow.Ones(s.Field.Bits())
	switch s.Field {
	case flow.FieldInPort:
		if s.Ofs == 0 && s.N == 16 {
			// The 16-bit form, in which the reserved ports have numbers of their own.
			if v.Lo >= 0xff00 {
				v.Lo += 0xffff0000
			}
			mask, all = flow.Ones(32), true
		}
	case flow.FieldIPTOS:
		mask.Lo &= 0xfc
		v, all = v.And(mask), all || mask.Lo == 0xfc
	case flow.FieldVLANPCP:
		if all {
			m.SetMasked(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent}, flow.U128{Lo: flow.VLANPresent})
		}
	}
	if all || s.Field.Maskable() {
		m.SetMasked(s.Field, v, mask)
	}
}

// loads returns the actions that load v to s, which may be wider than one action can.
func loads(s flow.Subfield, v flow.U128) (l action.List) {
	for s.N > 64 {
		l = append(l, action.Load{Dst: flow.Subfield{Field: s.Field, Ofs: s.Ofs, N: 64}, Value: v.Lo})
		s.Ofs, s.N, v = s.Ofs+64, s.N-64, v.Rsh(64)
	}
	return append(l, action.Load{Dst: s, Value: v.Lo})
}

// learnPort makes a port of a value; false: it is none that learned flows output to.
func learnPort(v flow.U128) (action.Port, bool) {
	if v.Hi != 0 || v.Lo > 0xffff {
		return 0, false
	}
	p := action.Port(v.Lo)
	if p < maxPort {
		return p, true
	}
	switch p += 0xffff0000; p {
	case action.PortInPort, action.PortFlood, action.PortLocal, action.PortAll:
		return p, true
	}
	return 0, false
}

// Match returns what the flow matches.
func (l *Learn) Match() (m flow.Match) {
	for i, w := 0, l.words; w != 0; i, w = i+2, w&(w-1) {
		j := bits.TrailingZeros64(w)
		m.Key[j], m.Mask[j] = l.match[i], l.match[i+1]
	}
	return m
}

// Equal reports whether l and o are the same flow.
func (l *Learn) Equal(o *Learn) bool {
	return l == o || l.Table == o.Table && l.Priority == o.Priority && l.IdleTimeout == o.IdleTimeout && l.HardTimeout == o.HardTimeout &&
		l.Flags == o.Flags && l.Limit == o.Limit && l.Cookie == o.Cookie &&
		l.words == o.words && slices.Equal(l.match, o.match) && slices.Equal(l.Actions, o.Actions)
}

// Hash returns a number that equal flows share.
func (l *Learn) Hash() (h uint64) {
	for i, v := range l.match {
		h = (h ^ v + uint64(i)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h + l.words + uint64(l.Table)<<56 + uint64(l.Priority)<<32
}

// String writes l as ofproto/trace of the stock switch does.
func (l *Learn) String() string {
	var b strings.Builder
	m := l.Match()
	fmt.Fprintf(&b, "table=%d ", l.Table)
	if s := m.String(); s != "" {
		b.WriteString(s + " ")
	}
	fmt.Fprintf(&b, "priority=%d", l.Priority)
	if l.Cookie != 0 {
		fmt.Fprintf(&b, " cookie=%#x", l.Cookie)
	}
	if l.IdleTimeout != 0 {
		fmt.Fprintf(&b, " idle=%d", l.IdleTimeout)
	}
	if l.HardTimeout != 0 {
		fmt.Fprintf(&b, " hard=%d", l.HardTimeout)
	}
	if l.Flags&openflow.FlagSendFlowRem != 0 {
		b.WriteString(" send_flow_rem")
	}
	return b.String() + " actions=" + l.Actions.String()
}

// Learned returns the rule that has the match and priority of l, nil if there is none; then room
// reports whether l's limit lets it be added. It looks at all rules of the table if there is a limit.
func (b *Bridge) Learned(l *Learn) (r *Rule, room bool) {
	t := b.table(l.Table)
	if t == nil {
		return nil, true
	}
	m := l.Match()
	if cr := t.cls.Find(&m, int32(l.Priority), b.version); cr != nil {
		return cr.Value, true
	}
	if l.Limit == 0 {
		return nil, true
	}
	n := uint32(0)
	for r := range t.rules(b.version) {
		if r.Cookie == l.Cookie && !r.Hidden() {
			if n++; n >= l.Limit {
				return nil, false
			}
		}
	}
	return nil, true
}

// is reports whether r does what l says, so that learning it again changes no more than
// the time at which the hard timeout starts.
func (l *Learn) is(r *Rule) bool {
	in := r.Instr
	return (r.Cookie == l.Cookie || l.Cookie == ^uint64(0)) && in.Meter == 0 && !in.ClearActions && len(in.Write) == 0 &&
		in.MetadataMask == 0 && !in.HasGoto && slices.EqualFunc(in.Apply, l.Actions, func(x, y action.Action) bool {
		return y == x // y can be compared, and x, if it is of y's type
	})
}

// Stale reports whether learning l would change the tables.
func (b *Bridge) Stale(l *Learn) bool {
	r, room := b.Learned(l)
	return r == nil && room || r != nil && !l.is(r)
}

// Learn does what a learn action does: adds l, or modifies the rule with its match and priority,
// or, if that is as it should be, lets its hard timeout start at seen, the time of the packet, if
// that is later than it did. If the limit is reached nothing happens. The error is an ofp.Kind.
func (b *Bridge) Learn(l *Learn, seen, now time.Time) (eff Effects, err error) {
	r, room := b.Learned(l)
	switch {
	case r != nil && l.is(r):
		if seen.After(r.Modified) {
			r.Modified = seen
		}
		return eff, nil
	case r == nil && !room:
		return eff, nil
	}
	return b.FlowMod(&openflow.FlowMod{
		Command: openflow.FlowModifyStrict, ModifyAdds: true, ModifyCookie: l.Cookie != ^uint64(0), NewCookie: l.Cookie,
		Table: l.Table, Priority: l.Priority, Match: l.Match(), IdleTimeout: l.IdleTimeout, HardTimeout: l.HardTimeout, Flags: l.Flags,
		BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
		Instructions: action.Instructions{Apply: l.Actions},
	}, now)
}

// ShortenTimeouts is what fin_timeout does when a connection ends: r's timeouts, in seconds, become
// these if they are longer or none; 0: not that one.
func (b *Bridge) ShortenTimeouts(r *Rule, idle, hard uint16) {
	for r.heir != nil {
		r = r.heir
	}
	t := b.table(r.Table)
	if t == nil {
		return
	}
	shorten := func(old *uint16, most uint16) {
		if most != 0 && (*old == 0 || *old > most) {
			*old = most
		}
	}
	was := [2]uint16{r.IdleTimeout, r.HardTimeout}
	shorten(&r.IdleTimeout, idle)
	shorten(&r.HardTimeout, hard)
	if was == [2]uint16{r.IdleTimeout, r.HardTimeout} {
		return
	}
	m := r.Match()
	if cr := t.cls.Find(&m, r.Priority(), b.version); cr == nil || cr.Value != r {
		return // it is gone
	}
	b.setExpiry(r)
	b.ranked(r, false)
}

// learner names the flows that a learn with delete_learned makes.
type learner struct {
	cookie uint64
	table  uint8
}

// mayLearn reports whether there can be a learn in l: it is asked of every rule.
func mayLearn(l action.List) bool {
	for _, a := range l {
		switch a.(type) {
		case action.Learn, action.Clone:
			return true
		}
	}
	return false
}

// learnRules counts the learns with delete_learned of r, or no longer does.
func (b *Bridge) learnRules(r *Rule, has bool) {
	if !has && len(b.learners) == 0 || !mayLearn(r.Instr.Apply) && !mayLearn(r.Instr.Write) {
		return
	}
	anyAction(r.Instr, func(a action.Action) bool {
		l, ok := a.(action.Learn)
		if !ok || !l.DeleteLearned {
			return false
		}
		k := learner{l.Cookie, l.Table}
		switch n := b.learners[k]; {
		case has:
			if b.learners == nil {
				b.learners = make(map[learner]int)
			}
			b.learners[k] = n + 1
			b.tables[r.Table].noted = true
		case n > 1:
			b.learners[k] = n - 1
		default:
			delete(b.learners, k)
			b.orphans = append(b.orphans, k)
		}
		return false
	})
}

// deleteLearned deletes the flows whose last learn with delete_learned is gone since the last call.
func (b *Bridge) deleteLearned(now time.Time, eff *Effects) {
	for len(b.orphans) > 0 {
		k := b.orphans[0]
		if b.orphans = b.orphans[1:]; b.learners[k] > 0 {
			continue // it has come back
		}
		f := openflow.FlowFilter{Table: k.table, OutPort: action.PortAny, OutGroup: action.GroupAny, Cookie: k.cookie, CookieMask: ^uint64(0)}
		b.removeAll(b.selected(&f, false, 0), openflow.RemovedDelete, now, eff)
	}
	b.orphans = nil
}
