// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"slices"
	"sync"

	"github.com/weirswitch/weir/datapath/classifier"
	"github.com/weirswitch/weir/datapath/openflow"
)

// piece is how many changes are made in one hold of the lock: some 0.2 ms.
const piece = 64

// staged is what a bundle has changed and nobody sees yet: rules and groups are there as of the
// version next, or until it; what only changes look at (timeouts, references, the order of
// eviction) is as of then already. It can be taken back, the last change first. A nil staged is a
// change outside of a bundle: it is seen at once, and nothing is recorded.
type staged struct {
	b       *Bridge
	next    classifier.Version
	undo    []func()
	born    []*classifier.Rule[*Rule] // as of next
	retired []*classifier.Rule[*Rule] // until next
	groups  []uint32                  // changed
	ports   []*openflow.PortMod       // checked, for the moment of publication

	lk   sync.Locker // of the readers; nil: there are none
	done int         // changes in this hold
}

// pace is called after each change and lets readers in now and then.
func (u *staged) pace() {
	if u == nil || u.lk == nil {
		return
	}
	if u.done++; u.done >= piece {
		u.done = 0
		u.lk.Unlock()
		u.lk.Lock()
	}
}

// read runs f, which only looks at what readers look at too, and may take long.
func (u *staged) read(f func()) {
	if u == nil || u.lk == nil {
		f()
		return
	}
	u.done = 0
	u.lk.Unlock()
	defer u.lk.Lock()
	f()
}

// from is the version as of which what is changed now is there.
func (u *staged) from() classifier.Version {
	if u == nil {
		return 0
	}
	return u.next
}

// note records how a change that is about to be made is taken back.
func (u *staged) note(step func()) {
	if u != nil {
		u.undo = append(u.undo, step)
	}
}

func (u *staged) rollback() {
	for _, step := range slices.Backward(u.undo) {
		step()
		u.pace()
	}
	u.undo = nil
}

// seen reports whether readers see r, so that it must stay as it is.
func (u *staged) seen(r *Rule) bool { return u != nil && r.cr.From() != u.next }

// insertedRule records that r has just been inserted.
func (u *staged) insertedRule(r *Rule) {
	if u == nil {
		return
	}
	b := u.b
	u.born = append(u.born, r.cr)
	u.note(func() {
		b.detach(r)
		b.takeOut(r)
		b.seq--
	})
}

// removeRule takes a rule out of what changes see.
func (u *staged) removeRule(r *Rule) {
	b := u.b
	t := b.tables[r.Table]
	t.n--
	if !u.seen(r) {
		t.cls.Remove(r.cr)
		u.note(func() {
			t.n++
			t.cls.Restore(r.cr)
			b.attach(r)
		})
		return
	}
	u.retire(r)
	u.note(func() {
		t.n++
		r.cr.Retire(0)
		b.attach(r)
	})
}

func (u *staged) retire(r *Rule) {
	r.cr.Retire(u.next)
	u.retired = append(u.retired, r.cr)
}

// mutable returns the rule to change where r is to be changed: r itself, or, if readers see it, a
// copy that takes its place.
func (u *staged) mutable(r *Rule) *Rule {
	if u == nil {
		return r
	}
	b := u.b
	if !u.seen(r) {
		was := *r
		u.note(func() {
			b.detach(r)
			was.expiry, was.evict = r.expiry, r.evict
			*r = was
			b.tables[r.Table].cls.SetSoft(r.cr, conjunctive(r.Instr))
			b.attach(r)
		})
		return r
	}
	b.detach(r)
	u.retire(r)
	n := new(Rule)
	*n = *r
	n.expiry, n.evict = -1, nil
	t := b.tables[r.Table]
	m := r.Match()
	n.cr = t.cls.Insert(&m, r.Priority(), n, u.next)
	t.cls.SetSoft(n.cr, r.cr.Soft())
	r.heir = n
	b.attach(n)
	u.born = append(u.born, n.cr)
	u.note(func() {
		b.detach(n)
		t.cls.Remove(n.cr)
		r.heir = nil
		r.cr.Retire(0)
		b.attach(r)
	})
	return n
}

// publish makes what is staged what readers see, with one store, and the ports with it.
func (u *staged) publish(eff *Effects) {
	b := u.b
	b.version, b.staged = u.next, nil
	for _, m := range u.ports {
		b.setPortConfig(m, eff)
	}
}

// sweep removes what no reader sees any more.
func (u *staged) sweep() {
	for _, cr := range u.retired {
		u.b.tables[cr.Value.Table].cls.Remove(cr)
		u.pace()
	}
	for _, cr := range u.born {
		cr.Settle()
		u.pace()
	}
	for _, id := range u.groups {
		u.b.settleGroup(id)
		u.pace()
	}
	u.undo, u.born, u.retired, u.groups = nil, nil, nil, nil
}
