// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/order"
)

// tlvSpace is what all mapped options together can have, bytes.
const tlvSpace = 256

// tlvTable is the table of tunnel options, by index. It outlives connections. What can be done with
// its fields is for the tunnels; here it is only kept.
type tlvTable map[uint16]openflow.TLVMap

// tlvMod changes the table, or refuses and changes nothing (ovs-fields(7), "Geneve").
func (b *Bridge) tlvMod(m *openflow.TLVTableMod) error {
	t := make(tlvTable, len(b.tlv))
	space := 0
	for i, e := range b.tlv {
		t[i] = e
		space += int(e.Len)
	}
	for _, e := range m.Maps {
		old, used := t[e.Index]
		switch m.Command {
		case openflow.TLVDelete: // by the index alone, as the stock switch does
			if used {
				delete(t, e.Index)
				space -= int(old.Len)
			}
		case openflow.TLVAdd:
			if used {
				return ofp.NXTTMFCAlreadyMapped
			}
			for _, o := range t {
				if o.Class == e.Class && o.Type == e.Type {
					return ofp.NXTTMFCDupEntry
				}
			}
			if space += int(e.Len); space > tlvSpace {
				return ofp.NXTTMFCTableFull
			}
			t[e.Index] = e
		}
	}
	if m.Command == openflow.TLVClear {
		t = nil
	}
	b.tlv = t
	return nil
}

func (b *Bridge) tlvReply() *openflow.TLVTableReply {
	r := &openflow.TLVTableReply{Space: tlvSpace, Fields: openflow.MaxTLVFields}
	for _, e := range b.tlv {
		r.Maps = append(r.Maps, e)
	}
	order.Sort(r.Maps, func(x, y openflow.TLVMap) int { return int(x.Index) - int(y.Index) })
	return r
}
