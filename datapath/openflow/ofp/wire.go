// SPDX-License-Identifier: Apache-2.0

package ofp

import (
	"encoding/binary"
	"fmt"
)

// Reader decodes big endian values from a byte slice. See the package comment.
type Reader struct {
	b    []byte
	err  error
	kind Kind // of an error for bytes that are missing or left over
}

// NewReader returns a Reader of b; short is the Kind of the error when b is too
// short or too long.
func NewReader(b []byte, short Kind) *Reader { return &Reader{b: b, kind: short} }

// Len returns the number of bytes that are left.
func (r *Reader) Len() int { return len(r.b) }

// Err returns the first thing wrong.
func (r *Reader) Err() error { return r.err }

// Fail makes err the Reader's error unless there is one already. Nothing can
// be read afterwards.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// Failf is Fail with an error that wraps k.
func (r *Reader) Failf(k Kind, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, k)...)
	}
	r.b = nil
}

// Close returns the first thing wrong; bytes that are left over are.
func (r *Reader) Close() error {
	if len(r.b) > 0 {
		r.Failf(r.kind, "%d bytes left over", len(r.b))
	}
	return r.err
}

// Bytes returns the next n bytes, which alias the input; nil if there are not
// so many.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.Failf(r.kind, "%d bytes needed, %d there", n, len(r.b))
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Peek returns the next n bytes without reading them; nil if there are not so
// many. They alias the input.
func (r *Reader) Peek(n int) []byte {
	if n < 0 || n > len(r.b) {
		return nil
	}
	return r.b[:n:n]
}

// Copy is Bytes with a copy; nil for n = 0.
func (r *Reader) Copy(n int) []byte { return append([]byte(nil), r.Bytes(n)...) }

// Rest returns a copy of all that is left.
func (r *Reader) Rest() []byte { return r.Copy(len(r.b)) }

// Sub returns a Reader of the next n bytes with its own error.
func (r *Reader) Sub(n int, short Kind) *Reader {
	s := NewReader(r.Bytes(n), short)
	if r.err != nil {
		s.Fail(r.err)
	}
	return s
}

// Skip passes over n bytes.
func (r *Reader) Skip(n int) { r.Bytes(n) }

// Zero passes over n bytes that must be zero, else the error is k.
func (r *Reader) Zero(n int, k Kind) {
	for _, c := range r.Bytes(n) {
		if c != 0 {
			r.Failf(k, "padding is not zero")
			return
		}
	}
}

// U8 returns the next byte, 0 after an error.
func (r *Reader) U8() uint8 {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 returns the next 2 bytes.
func (r *Reader) U16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U32 returns the next 4 bytes.
func (r *Reader) U32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U64 returns the next 8 bytes.
func (r *Reader) U64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// MAC returns the next 6 bytes.
func (r *Reader) MAC() (m [6]byte) {
	copy(m[:], r.Bytes(6))
	return m
}

// String returns the next n bytes up to the first zero.
func (r *Reader) String(n int) string {
	b := r.Bytes(n)
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return string(b)
}

// Writer builds a message.
type Writer struct{ B []byte }

// Len returns the number of bytes written.
func (w *Writer) Len() int { return len(w.B) }

// U8 appends a byte.
func (w *Writer) U8(v uint8) { w.B = append(w.B, v) }

// U16 appends 2 bytes.
func (w *Writer) U16(v uint16) { w.B = binary.BigEndian.AppendUint16(w.B, v) }

// U32 appends 4 bytes.
func (w *Writer) U32(v uint32) { w.B = binary.BigEndian.AppendUint32(w.B, v) }

// U64 appends 8 bytes.
func (w *Writer) U64(v uint64) { w.B = binary.BigEndian.AppendUint64(w.B, v) }

// Bytes appends b.
func (w *Writer) Bytes(b []byte) { w.B = append(w.B, b...) }

// Zero appends n zero bytes, none for n < 0.
func (w *Writer) Zero(n int) {
	var zeros [64]byte
	for ; n > len(zeros); n -= len(zeros) {
		w.B = append(w.B, zeros[:]...)
	}
	if n > 0 {
		w.B = append(w.B, zeros[:n]...)
	}
}

// Align appends zeros until a multiple of 8 bytes was written since start.
func (w *Writer) Align(start int) { w.Zero((8 - (len(w.B)-start)%8) % 8) }

// String appends s in n bytes, cut to n-1 and padded with zeros.
func (w *Writer) String(s string, n int) {
	if len(s) > n-1 {
		s = s[:n-1]
	}
	w.B = append(w.B, s...)
	w.Zero(n - len(s))
}

// SetU16 overwrites the 2 bytes at offset.
func (w *Writer) SetU16(offset int, v uint16) { binary.BigEndian.PutUint16(w.B[offset:], v) }
