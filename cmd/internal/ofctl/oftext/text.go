// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"strings"

	"github.com/weirswitch/weir/datapath/action"
)

// Names are the ports and tables of a switch.
type Names struct {
	Ports  map[string]action.Port
	Tables map[string]uint8
}

// keyValue is one word of a flow: "in_port=1", "tcp".
type keyValue struct{ key, value string }

// Blanks separate words.
const Blanks = ", \t\r\n"

// keyValues splits a text into words at commas and Blanks. A value in
// parentheses, and parentheses within a value, may contain them.
func keyValues(s string) (kvs []keyValue) {
	for {
		s = strings.TrimLeft(s, Blanks)
		if s == "" {
			return kvs
		}
		n := strings.IndexAny(s, ":=("+Blanks)
		if n < 0 {
			return append(kvs, keyValue{s, ""})
		}
		kv := keyValue{key: s[:n]}
		delim := s[n]
		s = s[n+1:]
		switch {
		case delim == '(' || delim == ':' || delim == '=':
			end := valueEnd(s, delim == '(')
			kv.value = s[:end]
			s = s[end:]
			if delim == '(' && s != "" {
				s = s[1:]
			}
		}
		kvs = append(kvs, kv)
	}
}

// valueEnd returns the length of the value at the start of s.
func valueEnd(s string, paren bool) int {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth == 0 && paren:
			return i
		case c == ')':
			depth--
		case !paren && depth <= 0 && strings.IndexByte(Blanks, c) >= 0:
			return i
		}
	}
	return len(s)
}
