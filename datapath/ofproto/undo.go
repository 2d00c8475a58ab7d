// SPDX-License-Identifier: Apache-2.0

package ofproto

// undoLog takes changes of a Bridge back, the last first. A nil log records
// nothing.
type undoLog struct {
	b     *Bridge
	steps []func()
}

func (u *undoLog) note(step func()) {
	if u != nil {
		u.steps = append(u.steps, step)
	}
}

func (u *undoLog) rollback() {
	for i := len(u.steps) - 1; i >= 0; i-- {
		u.steps[i]()
	}
	u.steps = nil
}

// inserted records that r has just been inserted.
func (u *undoLog) inserted(r *Rule) {
	if u == nil {
		return
	}
	b := u.b
	u.note(func() {
		b.unlinkGroups(r)
		b.meterRules(r, false)
		b.ranked(r, true)
		b.tables[r.Table].cls.Remove(r.cr)
		b.dropExpiry(r)
		b.seq--
	})
}

// removing records that r is about to be removed.
func (u *undoLog) removing(r *Rule) {
	if u == nil {
		return
	}
	b := u.b
	u.note(func() {
		b.tables[r.Table].cls.Restore(r.cr)
		b.setExpiry(r)
		b.linkGroups(r)
		b.meterRules(r, true)
		b.ranked(r, false)
	})
}

// changing records that fields of r are about to change.
func (u *undoLog) changing(r *Rule) {
	if u == nil {
		return
	}
	b, was := u.b, *r
	u.note(func() {
		b.unlinkGroups(r)
		b.meterRules(r, false)
		was.expiry, was.evict = r.expiry, r.evict
		*r = was
		b.setExpiry(r)
		b.linkGroups(r)
		b.meterRules(r, true)
		b.ranked(r, false)
	})
}
