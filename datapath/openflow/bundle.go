// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// BundleControlType is one of OFPBCT_*.
type BundleControlType uint16

const (
	BundleOpenRequest BundleControlType = iota
	BundleOpenReply
	BundleCloseRequest
	BundleCloseReply
	BundleCommitRequest
	BundleCommitReply
	BundleDiscardRequest
	BundleDiscardReply
)

// BundleFlags are the flags of a bundle (OFPBF_*). Our bundles always are both; all messages
// about a bundle must have the same flags, of which others than these mean nothing, as
// to the stock switch.
type BundleFlags uint16

const (
	BundleAtomic  BundleFlags = 1 << 0
	BundleOrdered BundleFlags = 1 << 1
)

// BundleControl opens, closes, commits or discards a bundle, or is the answer to that:
// OFPT_BUNDLE_CONTROL of OpenFlow 1.4 and later, ONF extension 230 with 1.3.
type BundleControl struct {
	ID    uint32
	Type  BundleControlType
	Flags BundleFlags
}

// BundleAdd adds a message to a bundle.
type BundleAdd struct {
	ID    uint32
	Flags BundleFlags
	Msg   Message
}

// Bundle is a bundle to be committed. It is on no wire: package ofconn, which keeps the bundles
// of a connection, makes it of a BundleControl.
type Bundle struct {
	ID    uint32
	Proto Proto
	// Added are the messages of type BundleAdd, as they came.
	Added [][]byte
}

// Message reads the message that the one with index i added.
func (b *Bundle) Message(i int) (Message, error) {
	m, err := Decode(b.Added[i], b.Proto)
	if err != nil {
		return nil, err
	}
	add, ok := m.(*BundleAdd)
	if !ok {
		return nil, fmt.Errorf("%T in a bundle: %w", m, ofp.BFCMsgUnsup)
	}
	return add.Msg, nil
}

// bundleControl reads OpenFlow 1.4, 7.3.9.1:
//
//	+---------------------------------------------------------------+
//	|                            bundle                             |
//	+-------------------------------+-------------------------------+
//	|             type              |             flags             |
//	+-------------------------------+-------------------------------+
//	| properties                                                    |
func (d *decoder) bundleControl() *BundleControl {
	d.whole8()
	m := &BundleControl{ID: d.U32(), Type: BundleControlType(d.U16()), Flags: BundleFlags(d.U16())}
	d.Skip(d.Len())
	return m
}

func (e *encoder) bundleControl(m *BundleControl) {
	e.U32(m.ID)
	e.U16(uint16(m.Type))
	e.U16(uint16(m.Flags))
}

// bundleAdd reads OpenFlow 1.4, 7.3.9.6:
//
//	+---------------------------------------------------------------+
//	|                            bundle                             |
//	+-------------------------------+-------------------------------+
//	|            padding            |             flags             |
//	+-------------------------------+-------------------------------+
//	| message, with the same transaction id; padding; properties    |
func (d *decoder) bundleAdd() *BundleAdd {
	m := &BundleAdd{ID: d.U32()}
	d.Skip(2)
	m.Flags = BundleFlags(d.U16())
	if d.Err() != nil {
		return m
	}
	h := ParseHeader(d.Peek(d.Len()))
	switch {
	case d.Len() < HeaderLen || h.Len < HeaderLen || h.Len > d.Len():
		d.Failf(ofp.BFCMsgBadLen, "message of %d bytes, %d left", h.Len, d.Len())
	case h.XID != d.xid:
		d.Failf(ofp.BFCMsgBadXid, "transaction id %#x in %#x", h.XID, d.xid)
	case h.Version != d.Version:
		d.Failf(ofp.BFCBadVersion, "message of version %#x", uint8(h.Version))
	}
	if d.Err() != nil {
		return m
	}
	raw := d.Bytes(h.Len)
	d.Skip(d.Len())
	if !mayBundle(h.Type) {
		d.Failf(ofp.BFCMsgUnsup, "message of type %d in a bundle", h.Type)
		return m
	}
	var err error
	if m.Msg, err = d.inner(raw, d.Proto); err != nil {
		d.Fail(fmt.Errorf("in a bundle: %w", err))
	}
	return m
}

// mayBundle reports whether messages of a type (of OpenFlow 1.3 and later) can be in a
// bundle: packet_out, flow_mod, group_mod, port_mod.
func mayBundle(typ uint8) bool { return 13 <= typ && typ <= 16 }

func (e *encoder) bundleAdd(m *BundleAdd) {
	e.U32(m.ID)
	e.Zero(2)
	e.U16(uint16(m.Flags))
	b, err := e.inner(e.Proto, e.xid, m.Msg)
	if err != nil {
		e.fail(err)
	}
	e.Bytes(b)
}

func (*BundleControl) message() {}
func (*BundleAdd) message()     {}
func (*Bundle) message()        {}
