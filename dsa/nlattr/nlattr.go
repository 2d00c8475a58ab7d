// SPDX-License-Identifier: Apache-2.0

// Package nlattr writes and reads netlink attributes (include/uapi/linux/
// netlink.h: struct nlattr), for rtnetlink and generic netlink alike:
//
//	 0       2       4
//	+-------+-------+----------------+-----+
//	|  len  | type  | value          | pad |   len counts header and value,
//	+-------+-------+----------------+-----+   not the pad to four bytes
//
// Numbers are in the host's byte order, so recorded messages name the order
// of the host that they come from and Parse takes it. A reader carries one
// sticky error, shared with the attributes nested in it, and is asked once at
// the end. Nothing here is safe for use by several goroutines at once.
package nlattr

import (
	"encoding/binary"
	"fmt"
)

const (
	headerLen = 4
	typeMask  = 0x3fff // NLA_TYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	nested    = 0x8000 // NLA_F_NESTED
)

// Native is the byte order of this host.
var Native binary.ByteOrder = func() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}()

// Attrs walks through a run of attributes:
//
//	for a := nlattr.Parse(b, nlattr.Native); a.Next(); {
//		switch a.Type() {
//		case unix.IFLA_MTU:
//			mtu = a.Uint32()
//		}
//	}
//	return a.Err()
type Attrs struct {
	order binary.ByteOrder
	rest  []byte
	typ   uint16
	val   []byte
	err   *error
}

// Parse reads the attributes in b, which it keeps and does not change.
func Parse(b []byte, order binary.ByteOrder) *Attrs {
	return &Attrs{order: order, rest: b, err: new(error)}
}

// Next goes to the next attribute; false at the end and after an error.
func (a *Attrs) Next() bool {
	if *a.err != nil || len(a.rest) == 0 {
		return false
	}
	if len(a.rest) < headerLen {
		return a.fail("%d bytes behind the last attribute", len(a.rest))
	}
	n := int(a.order.Uint16(a.rest))
	if n < headerLen || n > len(a.rest) {
		return a.fail("attribute %d says it has %d bytes, %d are there", a.order.Uint16(a.rest[2:])&typeMask, n, len(a.rest))
	}
	a.typ, a.val = a.order.Uint16(a.rest[2:])&typeMask, a.rest[headerLen:n]
	a.rest = a.rest[min(align(n), len(a.rest)):]
	return true
}

func (a *Attrs) fail(format string, args ...any) bool {
	if *a.err == nil {
		*a.err = fmt.Errorf("parse netlink attributes: "+format, args...)
	}
	return false
}

// Err returns the first error, of nested attributes too.
func (a *Attrs) Err() error { return *a.err }

// Type returns the attribute's type without its flag bits.
func (a *Attrs) Type() uint16 { return a.typ }

// Bytes returns the value; it is a part of what Parse was given.
func (a *Attrs) Bytes() []byte { return a.val }

func (a *Attrs) sized(n int) []byte {
	if len(a.val) < n {
		a.fail("attribute %d has %d bytes, wants %d", a.typ, len(a.val), n)
		return make([]byte, n)
	}
	return a.val
}

// Uint8 returns the value as a number of at least one byte.
func (a *Attrs) Uint8() uint8 { return a.sized(1)[0] }

// Uint16 returns the value as a number in the host's order.
func (a *Attrs) Uint16() uint16 { return a.order.Uint16(a.sized(2)) }

// Uint32 returns the value as a number in the host's order.
func (a *Attrs) Uint32() uint32 { return a.order.Uint32(a.sized(4)) }

// Uint64 returns the value as a number in the host's order.
func (a *Attrs) Uint64() uint64 { return a.order.Uint64(a.sized(8)) }

// Number returns the value as a number of the length that it has: 1, 2, 4 or
// 8 bytes.
func (a *Attrs) Number() uint64 {
	switch len(a.val) {
	case 1:
		return uint64(a.val[0])
	case 2:
		return uint64(a.Uint16())
	case 4:
		return uint64(a.Uint32())
	case 8:
		return a.Uint64()
	}
	a.fail("attribute %d has %d bytes: no number", a.typ, len(a.val))
	return 0
}

// String returns the value up to its first zero byte.
func (a *Attrs) String() string {
	for i, c := range a.val {
		if c == 0 {
			return string(a.val[:i])
		}
	}
	return string(a.val)
}

// Nested returns the attributes inside this one; their errors are a's.
func (a *Attrs) Nested() *Attrs {
	return &Attrs{order: a.order, rest: a.val, err: a.err}
}

// Builder writes a message's payload in this host's byte order.
type Builder struct {
	b   []byte
	err error
}

// Raw appends b as it is and pads it to four bytes: the family's header.
func (w *Builder) Raw(b []byte) {
	w.b = append(w.b, b...)
	w.pad()
}

// Bytes appends an attribute. Its value has at most 65,531 bytes.
func (w *Builder) Bytes(typ uint16, v []byte) {
	if len(v) > 0xffff-headerLen {
		if w.err == nil {
			w.err = fmt.Errorf("write netlink attribute %d: %d bytes are too many", typ, len(v))
		}
		return
	}
	w.b = binary.NativeEndian.AppendUint16(w.b, uint16(headerLen+len(v)))
	w.b = binary.NativeEndian.AppendUint16(w.b, typ)
	w.b = append(w.b, v...)
	w.pad()
}

// Uint8 appends a number.
func (w *Builder) Uint8(typ uint16, v uint8) { w.Bytes(typ, []byte{v}) }

// Uint16 appends a number.
func (w *Builder) Uint16(typ, v uint16) {
	w.Bytes(typ, binary.NativeEndian.AppendUint16(nil, v))
}

// Uint32 appends a number.
func (w *Builder) Uint32(typ uint16, v uint32) {
	w.Bytes(typ, binary.NativeEndian.AppendUint32(nil, v))
}

// Uint64 appends a number.
func (w *Builder) Uint64(typ uint16, v uint64) {
	w.Bytes(typ, binary.NativeEndian.AppendUint64(nil, v))
}

// String appends s with a zero byte.
func (w *Builder) String(typ uint16, s string) { w.Bytes(typ, append([]byte(s), 0)) }

// Nest appends an attribute that holds what fill appends.
func (w *Builder) Nest(typ uint16, fill func()) {
	at := len(w.b)
	w.Bytes(typ|nested, nil)
	fill()
	n := len(w.b) - at
	if n > 0xffff {
		if w.err == nil {
			w.err = fmt.Errorf("write netlink attribute %d: %d bytes are too many", typ, n)
		}
		return
	}
	binary.NativeEndian.PutUint16(w.b[at:], uint16(n))
}

// Payload returns what was written.
func (w *Builder) Payload() ([]byte, error) { return w.b, w.err }

func (w *Builder) pad() {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func align(n int) int { return (n + 3) &^ 3 }
