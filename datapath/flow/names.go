// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/json"
	"fmt"
)

// PortNames are names to print in the place of port numbers. Nil prints the
// numbers; reserved ports always have their names.
type PortNames map[uint32]string

// Name returns what to print for port p.
func (n PortNames) Name(p uint32) string {
	if s, ok := n[p]; ok && p < 0xffffff00 {
		return QuoteName(s)
	}
	return PortName(p)
}

// QuoteName writes a name in quotes unless it is a letter with letters and
// digits behind, which no text mistakes for something else (ovs-ofctl(8),
// --names).
func QuoteName(s string) string {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			b, err := json.Marshal(s)
			if err != nil {
				return s
			}
			return string(b)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// TextError is what is wrong with a text, in the words of ovs-ofctl, for tools
// that speak like it. Parsers of this package and package action wrap one where the words matter.
type TextError struct{ Text string }

func (e *TextError) Error() string { return e.Text }

// Textf makes a TextError.
func Textf(format string, args ...any) error { return &TextError{fmt.Sprintf(format, args...)} }
