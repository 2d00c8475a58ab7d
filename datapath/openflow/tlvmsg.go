// SPDX-License-Identifier: Apache-2.0

package openflow

import "github.com/weirswitch/weir/datapath/openflow/ofp"

// Bounds of the table of tunnel options.
const (
	MaxTLVFields = 64  // tun_metadata0 to tun_metadata63
	MaxTLVLen    = 124 // bytes of one option, a multiple of 4
)

// TLVMap maps an option of Geneve tunnels to a field (nicira-ext.h, struct nx_tlv_map).
type TLVMap struct {
	Class uint16
	Type  uint8
	Len   uint8  // bytes: 0 to MaxTLVLen, a multiple of 4
	Index uint16 // of tun_metadata, below MaxTLVFields
}

// TLVCommand is one of NXTTMC_*.
type TLVCommand uint16

const (
	TLVAdd TLVCommand = iota
	TLVDelete
	TLVClear
)

// TLVTableMod changes the table of options.
type TLVTableMod struct {
	Command TLVCommand
	Maps    []TLVMap
}

// TLVTableRequest asks for TLVTableReply.
type TLVTableRequest struct{}

// TLVTableReply is the table of options.
type TLVTableReply struct {
	Space  uint32 // bytes that all options together can have
	Fields uint16
	Maps   []TLVMap
}

// CTFlushZone forgets the tracked connections of a zone.
type CTFlushZone struct{ Zone uint16 }

func (*TLVTableMod) message()     {}
func (*TLVTableRequest) message() {}
func (*TLVTableReply) message()   {}
func (*CTFlushZone) message()     {}

func (d *decoder) tlvMaps() (ms []TLVMap) {
	d.elements(func() {
		m := TLVMap{Class: d.U16(), Type: d.U8(), Len: d.U8(), Index: d.U16()}
		d.Skip(2)
		switch {
		case d.Err() != nil:
		case m.Len > MaxTLVLen || m.Len%4 != 0:
			d.Failf(ofp.NXTTMFCBadOptLen, "option of %d bytes", m.Len)
		case m.Index >= MaxTLVFields:
			d.Failf(ofp.NXTTMFCBadFieldIdx, "tun_metadata%d", m.Index)
		}
		ms = append(ms, m)
	})
	return ms
}

func (e *encoder) tlvMaps(ms []TLVMap) {
	for _, m := range ms {
		e.U16(m.Class)
		e.U8(m.Type)
		e.U8(m.Len)
		e.U16(m.Index)
		e.Zero(2)
	}
}

func (d *decoder) tlvTableMod() *TLVTableMod {
	d.blocks(8)
	m := &TLVTableMod{Command: TLVCommand(d.U16())}
	d.Skip(6)
	if d.Err() == nil && m.Command > TLVClear {
		d.Failf(ofp.NXTTMFCBadCommand, "command %d", m.Command)
		return nil
	}
	m.Maps = d.tlvMaps()
	return m
}

func (e *encoder) tlvTableMod(m *TLVTableMod) {
	e.U16(uint16(m.Command))
	e.Zero(6)
	e.tlvMaps(m.Maps)
}

func (d *decoder) tlvTable() *TLVTableReply {
	d.blocks(16)
	m := &TLVTableReply{Space: d.U32(), Fields: d.U16()}
	d.Skip(10)
	m.Maps = d.tlvMaps()
	return m
}

func (e *encoder) tlvTable(m *TLVTableReply) {
	e.U32(m.Space)
	e.U16(m.Fields)
	e.Zero(10)
	e.tlvMaps(m.Maps)
}

func (d *decoder) ctFlushZone() *CTFlushZone {
	if d.Len() != 8 {
		d.Failf(ofp.BRCBadLen, "body of %d bytes", d.Len())
	}
	d.Zero(6, ofp.NXBRCMustBeZero)
	return &CTFlushZone{d.U16()}
}

func (e *encoder) ctFlushZone(m *CTFlushZone) {
	e.Zero(6)
	e.U16(m.Zone)
}
