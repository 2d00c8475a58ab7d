// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"maps"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TableConfig is the configuration of a table (ovs-vswitchd.conf.db(5), Flow_Table).
type TableConfig struct {
	Name    string // for statistics; "": none
	Limited bool
	Limit   int  // rules, if Limited; at most MaxRules
	Evict   bool // in place of refusing rules above the limit
	Groups  []flow.Subfield
}

func (c TableConfig) equal(o TableConfig) bool {
	return c.Name == o.Name && c.Limited == o.Limited && c.Limit == o.Limit && c.Evict == o.Evict && slices.Equal(c.Groups, o.Groups)
}

// limits are what is not usual about a table: its configuration, what controllers said, and
// the order of eviction.
type limits struct {
	cfg     TableConfig
	evict   bool // a controller's wish
	evictor *evictor

	vacancy  bool // a controller wants to know
	down, up uint8
	low      bool // the vacancy is below; the next event is TableVacancyUp
}

func (l *limits) max() int {
	if l == nil || !l.cfg.Limited {
		return MaxRules
	}
	return min(l.cfg.Limit, MaxRules)
}

// shownMax is the limit as statistics tell it: the stock switch does not show one of 0.
func (l *limits) shownMax() uint32 {
	if n := l.max(); n > 0 {
		return uint32(n)
	}
	return MaxRules
}

func (b *Bridge) limitsOf(tab uint8) *limits {
	l := b.limits[tab]
	if l == nil {
		l = &limits{}
		if b.limits == nil {
			b.limits = make(map[uint8]*limits)
		}
		b.limits[tab] = l
	}
	return l
}

// tableName is what statistics call a table, "" if it has no name of its own.
func (b *Bridge) tableName(tab uint8) string {
	if l := b.limits[tab]; l != nil {
		return l.cfg.Name
	}
	return ""
}

// SetTables says how tables are configured; those not named are as usual. Where a table that evicts has
// more rules than it may have now, the surplus goes, as far as it has timeouts.
func (b *Bridge) SetTables(cfg map[uint8]TableConfig, now time.Time) (eff Effects) {
	for tab := range b.limits {
		if _, ok := cfg[tab]; !ok {
			b.setTable(tab, TableConfig{}, now, &eff)
		}
	}
	for _, tab := range slices.Sorted(maps.Keys(cfg)) {
		if tab < VisibleTables {
			b.setTable(tab, cfg[tab], now, &eff)
		}
	}
	return eff
}

func (b *Bridge) setTable(tab uint8, cfg TableConfig, now time.Time, eff *Effects) {
	l := b.limitsOf(tab)
	if l.cfg.equal(cfg) {
		return
	}
	regroup := !slices.Equal(l.cfg.Groups, cfg.Groups)
	l.cfg = cfg
	b.setEvictor(tab, l, regroup)
	if t := b.tables[tab]; t != nil && l.evictor != nil {
		b.makeRoom(l, t, 0, now, eff)
	}
}

// setEvictor makes the order of eviction where there is to be one.
func (b *Bridge) setEvictor(tab uint8, l *limits, anew bool) {
	switch want := l.cfg.Evict || l.evict; {
	case !want:
		l.evictor = nil
	case l.evictor == nil || anew:
		l.evictor = newEvictor(l.cfg.Groups)
		if t := b.tables[tab]; t != nil {
			for r := range t.rules(b.version) {
				l.evictor.add(r)
			}
		}
	}
}

// makeRoom evicts until there is room for extra rules; false: there is not, and what could be
// evicted has been.
func (b *Bridge) makeRoom(l *limits, t *table, extra int, now time.Time, eff *Effects) bool {
	for t.n+extra > l.max() {
		if l == nil || l.evictor == nil {
			return false
		}
		r := l.evictor.pick()
		if r == nil {
			return false
		}
		b.remove(r, openflow.RemovedEviction, now, eff)
		b.staged.pace()
	}
	return true
}

// ranked brings the order of eviction up to date after a rule came or changed its timeouts or
// importance, or, gone, went.
func (b *Bridge) ranked(r *Rule, gone bool) {
	l := b.limits[r.Table]
	if l == nil || l.evictor == nil {
		return
	}
	l.evictor.remove(r)
	if !gone {
		l.evictor.add(r)
	}
}

// vacancy reports that of a table in which a rule came or went, if somebody wants to know.
func (b *Bridge) vacancy(r *Rule, eff *Effects) {
	l := b.limits[r.Table]
	if l == nil || !l.vacancy {
		return
	}
	v, was := b.free(r.Table), l.low
	b.staged.note(func() { l.low = was })
	switch {
	case !l.low && v < l.down:
		l.low = true
		eff.Async = append(eff.Async, &openflow.TableStatus{Reason: openflow.TableVacancyDown, Desc: b.tableDesc(r.Table)})
	case l.low && v > l.up:
		l.low = false
		eff.Async = append(eff.Async, &openflow.TableStatus{Reason: openflow.TableVacancyUp, Desc: b.tableDesc(r.Table)})
	}
}

// free is the part of a table that is free, per cent.
func (b *Bridge) free(tab uint8) uint8 {
	n, max := b.Rules(tab), b.limits[tab].max()
	if max == 0 || n >= max {
		return 0
	}
	return uint8((max - n) * 100 / max)
}

// tableMod does what a controller asks of a table (OpenFlow 1.4, 7.3.4.3).
func (b *Bridge) tableMod(m *openflow.TableMod) error {
	if m.Table != openflow.TableAll && m.Table >= VisibleTables {
		return ofp.TMFCEperm
	}
	if !m.Set {
		return nil
	}
	for tab := range uint8(VisibleTables) {
		if m.Table != openflow.TableAll && m.Table != tab || !m.Eviction && !m.Vacancy && b.limits[tab] == nil {
			continue
		}
		l := b.limitsOf(tab)
		if !m.KeepEviction {
			l.evict = m.Eviction
			b.setEvictor(tab, l, false)
		}
		l.down, l.up = m.VacancyDown, m.VacancyUp
		if m.Vacancy && !l.vacancy {
			l.low = b.free(tab) < l.up
		}
		l.vacancy = m.Vacancy
	}
	return nil
}

func (b *Bridge) tableDesc(tab uint8) openflow.TableDesc {
	d := openflow.TableDesc{Table: tab}
	if l := b.limits[tab]; l != nil {
		d.Eviction = l.evict
		if d.Vacancy = l.vacancy; l.vacancy {
			d.VacancyDown, d.VacancyUp, d.Free = l.down, l.up, b.free(tab)
		}
	}
	return d
}
