// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"bytes"
	"fmt"
	"io"
)

// UUID is a universally unique identifier, RFC 4122, in network byte order.
type UUID [16]byte

// NewUUID makes a version 4 UUID from 16 bytes of r. A reader that fails is a
// broken machine: NewUUID panics then.
func NewUUID(r io.Reader) UUID {
	var u UUID
	if _, err := io.ReadFull(r, u[:]); err != nil {
		panic(fmt.Sprintf("read random bytes for a UUID: %v", err))
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// ParseUUID parses the form 01234567-89ab-cdef-0123-456789abcdef; capital
// digits are allowed, surrounding text is not.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 {
		return UUID{}, fmt.Errorf("%q is not a valid UUID", s)
	}
	n := 0 // hex digits seen
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return UUID{}, fmt.Errorf("%q is not a valid UUID", s)
			}
			continue
		}
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return UUID{}, fmt.Errorf("%q is not a valid UUID", s)
		}
		u[n/2] = u[n/2]<<4 | c
		n++
	}
	return u, nil
}

// IsZero reports whether all bits are zero: the default of a UUID column.
func (u UUID) IsZero() bool { return u == UUID{} }

// Compare orders UUIDs by their bytes.
func (u UUID) Compare(v UUID) int { return bytes.Compare(u[:], v[:]) }

// String returns the 36-character form with small digits.
func (u UUID) String() string { return string(u.Append(nil)) }

// Append appends the 36-character form.
func (u UUID) Append(b []byte) []byte {
	const digits = "0123456789abcdef"
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}
