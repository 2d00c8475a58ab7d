// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
)

// Names are the ports and tables of a switch.
type Names struct {
	Ports  map[string]action.Port
	Tables map[string]uint8
}

// keyValue is one word of a flow: "in_port=1", "tcp".
type keyValue struct {
	key, value string
	delim      byte // between them: one of ":=(", 0 if there is no value
}

// word returns the word as it was, with a colon for an equals sign.
func (kv keyValue) word() string {
	switch kv.delim {
	case 0:
		return kv.key
	case '(':
		return kv.key + "(" + kv.value + ")"
	}
	return kv.key + ":" + kv.value
}

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
			return append(kvs, keyValue{key: s})
		}
		kv := keyValue{key: s[:n]}
		delim := s[n]
		s = s[n+1:]
		switch {
		case delim == '(' || delim == ':' || delim == '=':
			end := valueEnd(s, delim == '(')
			kv.value, kv.delim = s[:end], delim
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

// parseWord reads a number of 32 bits as C's strtoull(3) and a conversion do: of a longer
// one, and of a negative one, the lower bits are left.
func parseWord(s string) (uint32, error) {
	if s == "" {
		return 0, errors.New("missing required numeric argument")
	}
	n, ok := strtoull(s)
	if !ok {
		return 0, fmt.Errorf("invalid numeric format %s", s)
	}
	return uint32(n), nil
}

// strtoull reads all of s in C's notation: 10, 0x10, 010.
func strtoull(s string) (uint64, bool) {
	d, negative := strings.CutPrefix(s, "-")
	if !negative {
		d = strings.TrimPrefix(s, "+")
	}
	base := 10
	switch {
	case len(d) > 2 && (d[:2] == "0x" || d[:2] == "0X"):
		base, d = 16, d[2:]
	case len(d) > 1 && d[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(d, base, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// onlyActions refuses instructions that are no actions.
func onlyActions(in *action.Instructions) error {
	for _, bad := range []struct {
		is   bool
		name string
	}{
		{in.Meter != 0, "meter"}, {in.ClearActions, "clear_actions"}, {len(in.Write) > 0, "write_actions"},
		{in.MetadataMask != 0, "write_metadata"}, {in.HasGoto, "goto_table"},
	} {
		if bad.is {
			return fmt.Errorf("%s instruction not allowed here", bad.name)
		}
	}
	return nil
}

// atLine says of an error in which line of a file it is.
func atLine(name string, line int, err error) error {
	var w *Warning
	if errors.As(err, &w) {
		return &Warning{w.Module, w.Text, fmt.Errorf("%s:%d: %w", name, line, w.Err)}
	}
	return fmt.Errorf("%s:%d: %s", name, line, ErrorText(err))
}
