// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

// TableMod configures a table, or all for TableAll (OpenFlow 1.4, 7.3.4.3). Before OpenFlow 1.4 there
// is nothing in it that this switch acts on, and Set is false.
type TableMod struct {
	Table    uint8
	Set      bool
	Eviction bool
	// KeepEviction says that eviction stays as it is: the stock switch takes a message with the
	// eviction property (a choice of what eviction goes by) so, since there is no choice.
	KeepEviction bool
	Vacancy      bool
	// VacancyDown and VacancyUp are per cent of free entries at which TableStatus is sent.
	VacancyDown, VacancyUp uint8
}

// TableStatusReason is one of OFPTR_*.
type TableStatusReason uint8

const (
	TableVacancyDown TableStatusReason = 3
	TableVacancyUp   TableStatusReason = 4
)

// TableStatus says that the vacancy of a table crossed a threshold (OpenFlow 1.4, 7.4.5).
type TableStatus struct {
	Reason TableStatusReason
	Desc   TableDesc
}

func (*TableMod) message()    {}
func (*TableStatus) message() {}

// Configuration of a table in OpenFlow 1.4 and later (OFPTC_*), and the types of
// its properties (OFPTMPT_*).
const (
	tableEviction = 1 << 2
	tableVacancy  = 1 << 3

	tablePropEviction = 2
	tablePropVacancy  = 3
	// What the choice of a victim depends on: OFPTMPEF_OTHER, _IMPORTANCE, _LIFETIME.
	tableEvictionFlags = 7
)

func (d *decoder) tableMod() *TableMod {
	if d.Version < ofp.V14 && d.Len() != 8 {
		d.Failf(ofp.BRCBadLen, "body of %d bytes", d.Len())
	}
	d.blocks(8)
	m := &TableMod{Table: d.U8()}
	d.Skip(3)
	c := d.U32()
	if d.Version < ofp.V14 {
		return m
	}
	t, evict := d.tableProps(true)
	m.KeepEviction = evict
	m.Set, m.Eviction, m.Vacancy = true, c&tableEviction != 0, c&tableVacancy != 0
	if m.Vacancy {
		m.VacancyDown, m.VacancyUp = t.VacancyDown, t.VacancyUp
	}
	return m
}

func (e *encoder) tableMod(m *TableMod) {
	e.U8(m.Table)
	e.Zero(3)
	if e.Version < ofp.V14 {
		e.U32(0)
		return
	}
	e.tableConfig(m.Eviction, m.Vacancy)
	if m.KeepEviction {
		ofpact.PutProperty(&e.Writer, tablePropEviction, func() { e.U32(tableEvictionFlags) })
	}
	if m.Vacancy {
		ofpact.PutProperty(&e.Writer, tablePropVacancy, func() { e.U8(m.VacancyDown); e.U8(m.VacancyUp); e.Zero(2) })
	}
}

func (e *encoder) tableConfig(eviction, vacancy bool) {
	c := uint32(0)
	if eviction {
		c |= tableEviction
	}
	if vacancy {
		c |= tableVacancy
	}
	e.U32(c)
}

// tableProps reads the properties of a table; mod: in a request, where
// the vacancy of now must be 0 and others than these are refused. evict: there is an eviction property.
func (d *decoder) tableProps(mod bool) (t TableDesc, evict bool) {
	for d.Len() > 0 && d.Err() == nil {
		typ, p := ofpact.Property(d.Reader, ofp.BPCBadLen)
		if known := typ == tablePropEviction || typ == tablePropVacancy; known && p.Err() == nil && p.Len() != 4 {
			p.Failf(ofp.BPCBadLen, "table property %d with %d bytes", typ, p.Len())
		}
		switch typ {
		case tablePropEviction:
			p.Skip(4)
			evict = true
		case tablePropVacancy:
			t.VacancyDown, t.VacancyUp, t.Free = p.U8(), p.U8(), p.U8()
			p.Skip(1)
			if p.Err() == nil && mod && (t.Free != 0 || t.VacancyDown > t.VacancyUp || t.VacancyUp > 100) {
				p.Failf(ofp.BPCBadValue, "vacancy %d to %d, now %d", t.VacancyDown, t.VacancyUp, t.Free)
			}
		default:
			if mod && d.Err() == nil {
				d.Failf(ofp.BRCBadType, "table property %d", typ)
			}
			p.Skip(p.Len())
		}
		if err := p.Close(); err != nil {
			d.Fail(err)
		}
	}
	return t, evict
}

func (d *decoder) oneTableDesc() TableDesc {
	n := int(d.U16())
	el := d.sub(n - 2)
	no := el.U8()
	el.Skip(1)
	c := el.U32()
	t, _ := el.tableProps(false)
	t.Table, t.Eviction, t.Vacancy = no, c&tableEviction != 0, c&tableVacancy != 0
	if !t.Vacancy {
		t.VacancyDown, t.VacancyUp, t.Free = 0, 0, 0
	}
	d.join(el)
	return t
}

func (e *encoder) oneTableDesc(t *TableDesc) {
	start := e.Len()
	e.Zero(2)
	e.U8(t.Table)
	e.Zero(1)
	e.tableConfig(t.Eviction, t.Vacancy)
	ofpact.PutProperty(&e.Writer, tablePropEviction, func() { e.U32(tableEvictionFlags) })
	if t.Vacancy {
		ofpact.PutProperty(&e.Writer, tablePropVacancy, func() {
			e.U8(t.VacancyDown)
			e.U8(t.VacancyUp)
			e.U8(t.Free)
			e.Zero(1)
		})
	}
	e.SetU16(start, uint16(e.Len()-start))
}

func (d *decoder) tableDesc() *TableDescReply {
	m := &TableDescReply{}
	d.elements(func() { m.Tables = append(m.Tables, d.oneTableDesc()) })
	return m
}

func (e *encoder) tableDesc(m *TableDescReply) {
	for i := range m.Tables {
		e.element(func() { e.oneTableDesc(&m.Tables[i]) })
	}
}

func (d *decoder) tableStatus() *TableStatus {
	m := &TableStatus{Reason: TableStatusReason(d.U8())}
	d.Skip(7)
	m.Desc = d.oneTableDesc()
	return m
}

func (e *encoder) tableStatus(m *TableStatus) {
	e.U8(uint8(m.Reason))
	e.Zero(7)
	e.oneTableDesc(&m.Desc)
}
