// SPDX-License-Identifier: Apache-2.0

package jsontree

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// AppendJSON appends the value without white space, members sorted by name, as
// the stock server prints a value back in the "syntax" of an error.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case Bool:
		return strconv.AppendBool(b, v.n == 1)
	case Integer:
		return strconv.AppendInt(b, int64(v.n), 10)
	case Real:
		return AppendReal(b, math.Float64frombits(v.n))
	case String:
		return AppendString(b, v.s)
	case Array:
		b = append(b, '[')
		for i := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.list[i].AppendJSON(b)
		}
		return append(b, ']')
	case Object:
		order := make([]int, len(v.list)/2)
		for i := range order {
			order[i] = 2 * i
		}
		slices.SortFunc(order, func(i, j int) int { return strings.Compare(v.list[i].s, v.list[j].s) })
		b = append(b, '{')
		for n, i := range order {
			if n > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, v.list[i].s)
			b = append(b, ':')
			b = v.list[i+1].AppendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. As the stock programs do, only
// control characters, the quote and the backslash are escaped; everything else,
// also < and U+2028, stands as it is.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// AppendReal appends f as C's %.15g prints it, which is what the stock server
// sends. It does not always read back as the same number; AppendExact does.
func AppendReal(b []byte, f float64) []byte { return appendG(b, f, 15) }

// AppendExact appends f so that it reads back as the same number: like
// AppendReal where that is enough, else with 17 digits.
func AppendExact(b []byte, f float64) []byte {
	n := len(b)
	b = appendG(b, f, 15)
	if g, err := strconv.ParseFloat(string(b[n:]), 64); err == nil && g == f {
		return b
	}
	return appendG(b[:n], f, 17)
}

// appendG is %.<prec>g: Go's 'g' picks the exponent form at other bounds (it
// prints 1e+20 only from 21 digits on with the shortest precision, but with a
// given precision it follows C) and keeps no trailing zeros, as C does.
func appendG(b []byte, f float64, prec int) []byte {
	n := len(b)
	b = strconv.AppendFloat(b, f, 'e', prec-1, 64) // d.ddde±xx
	e := bytes.IndexByte(b[n:], 'e')
	if e < 0 { // Inf, NaN: not valid JSON, never stored
		return append(b[:n], '0')
	}
	exp, err := strconv.Atoi(string(b[n+e+1:]))
	if err != nil || exp < -4 || exp >= prec {
		mant := trimZeros(b[n : n+e])
		tail := append([]byte(nil), b[n+e:]...)
		return append(b[:n+len(mant)], tail...)
	}
	b = strconv.AppendFloat(b[:n], f, 'f', prec-1-exp, 64)
	return b[:n+len(trimZeros(b[n:]))]
}

// trimZeros cuts trailing zeros of a fraction, and its point.
func trimZeros(b []byte) []byte {
	if !bytes.ContainsRune(b, '.') {
		return b
	}
	b = bytes.TrimRight(b, "0")
	return bytes.TrimSuffix(b, []byte("."))
}
