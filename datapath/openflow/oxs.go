// SPDX-License-Identifier: Apache-2.0

package openflow

import "github.com/weirswitch/weir/datapath/openflow/ofp"

// oxs are statistics in the extensible form of OpenFlow 1.5 (7.2.4): two
// reserved bytes, the length without padding, entries of class 0x8002 with
// headers as in OXM, padding to 8 bytes.
type oxs struct {
	has            uint8 // 1 << number of each entry there
	lifetime, idle Lifetime
	flows          uint32
	packets, bytes uint64
}

const (
	oxsClass = 0x8002

	oxsDuration = 1 << 0
	oxsIdle     = 1 << 1
	oxsFlows    = 1 << 3
	oxsPackets  = 1 << 4
	oxsBytes    = 1 << 5
)

func (d *decoder) oxs() (x oxs) {
	d.Skip(2)
	n := int(d.U16())
	if d.Err() == nil && (n < 4 || (n+7)&^7-4 > d.Len()) {
		d.Failf(ofp.BRCBadLen, "statistics of %d bytes", n)
	}
	if d.Err() != nil {
		return x
	}
	s := d.sub(n - 4)
	s.elements(func() {
		class, num, n := s.U16(), s.U8(), int(s.U8())
		if class != oxsClass || num&1 != 0 {
			s.Failf(ofp.BMCBadField, "statistics entry %#x:%d", class, num>>1)
			return
		}
		el := s.sub(n)
		switch num >>= 1; num {
		case 0:
			x.lifetime = el.lifetime()
		case 1:
			x.idle = el.lifetime()
		case 3:
			x.flows = el.U32()
		case 4:
			x.packets = el.U64()
		case 5:
			x.bytes = el.U64()
		default:
			el.Failf(ofp.BMCBadField, "statistics entry %d", num)
		}
		if num < 8 {
			x.has |= 1 << num
		}
		s.join(el)
	})
	d.join(s)
	d.Skip((8 - n%8) % 8)
	return x
}

func (e *encoder) oxs(x oxs) {
	start := e.Len()
	e.Zero(4)
	head := func(num, n uint8) bool {
		if x.has>>num&1 == 0 {
			return false
		}
		e.U16(oxsClass)
		e.U8(num << 1)
		e.U8(n)
		return true
	}
	if head(0, 8) {
		e.lifetime(x.lifetime)
	}
	if head(1, 8) {
		e.lifetime(x.idle)
	}
	if head(3, 4) {
		e.U32(x.flows)
	}
	if head(4, 8) {
		e.U64(x.packets)
	}
	if head(5, 8) {
		e.U64(x.bytes)
	}
	e.SetU16(start+2, uint16(e.Len()-start))
	e.Align(start)
}
