// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// delims end an unquoted word of the value notation.
const delims = ":=, []{}!<>"

// maxRange is the number of integers that a range may stand for.
const maxRange = 4096

// Resolver turns "@name" into a UUID.
type Resolver interface {
	Symbol(name string) ovsdb.UUID
}

// token cuts the first word off s. Within quotes, which may begin anywhere in
// the word, nothing ends it.
func token(s string) (tok, rest string, err error) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && strings.IndexByte(delims, c) >= 0:
			return s[:i], s[i:], nil
		}
	}
	if quoted {
		return "", "", fmt.Errorf("%s: quoted string extends past end of argument", s)
	}
	return s, "", nil
}

// ParseAtom reads an atom that is the whole of s. names may be nil.
func ParseAtom(s string, t *ovsdb.BaseType, names Resolver) (ovsdb.Atom, error) {
	a, err := parseAtom(s, t, names)
	if err != nil {
		return a, err
	}
	if err := t.Check(a); err != nil {
		return a, constraint(err)
	}
	return a, nil
}

// constraint drops the JSON form of an ovsdb.Error.
func constraint(err error) error { return fmt.Errorf("%w", err) }

func parseAtom(s string, t *ovsdb.BaseType, names Resolver) (ovsdb.Atom, error) {
	switch t.Type {
	case ovsdb.Integer:
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return ovsdb.Atom{}, fmt.Errorf("\"%s\" is not a valid integer or range", s)
		}
		return ovsdb.Int(i), nil
	case ovsdb.Real:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f-f != 0 {
			return ovsdb.Atom{}, fmt.Errorf("\"%s\" is not a valid real number", s)
		}
		return ovsdb.RealOf(f), nil
	case ovsdb.Boolean:
		switch s {
		case "true", "yes", "on", "1":
			return ovsdb.Bool(true), nil
		case "false", "no", "off", "0":
			return ovsdb.Bool(false), nil
		}
		return ovsdb.Atom{}, fmt.Errorf("\"%s\" is not a valid boolean (use \"true\" or \"false\")", s)
	case ovsdb.UUIDType:
		if strings.HasPrefix(s, "@") && names != nil {
			return ovsdb.Ref(names.Symbol(s)), nil
		}
		u, err := ovsdb.ParseUUID(s)
		if err != nil {
			return ovsdb.Atom{}, fmt.Errorf("\"%s\" is not a valid UUID", s)
		}
		return ovsdb.Ref(u), nil
	}
	if s == "" {
		return ovsdb.Atom{}, fmt.Errorf("An empty string is not valid as input; use \"\" to represent the empty string")
	}
	if s[0] != '"' {
		return ovsdb.Str(s), nil
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return ovsdb.Atom{}, fmt.Errorf("%s: missing quote at end of quoted string", s)
	}
	text, err := unquote(s[1 : len(s)-1])
	if err != nil {
		return ovsdb.Atom{}, fmt.Errorf("%s: %w", s, err)
	}
	return ovsdb.Str(text), nil
}

// unquote resolves the escapes of a JSON string.
func unquote(s string) (string, error) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			if !strings.ContainsRune(`"\/bfnrtu`, rune(s[i])) {
				return "", fmt.Errorf("bad escape \\%c", s[i])
			}
			if s[i] == 'u' && len(s)-i < 5 {
				return "", fmt.Errorf("quoted string ends within \\u escape")
			}
		case c == '\\':
			return "", fmt.Errorf("unexpected backslash at end of quoted string")
		}
	}
	// The parser is strict about control characters and quotes; the notation is not.
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			b.WriteString(s[i : i+2])
			i++
		case c == '"':
			b.WriteString(`\"`)
		case c < 0x20:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	v, err := jsontree.Parse([]byte(`"`+b.String()+`"`), jsontree.Limits{})
	if err != nil {
		return "", fmt.Errorf("malformed \\u escape")
	}
	return v.Str(), nil
}

// ParseDatum reads a value of a column: words separated by blanks or a comma,
// with or without brackets around. names may be nil.
func ParseDatum(s string, t *ovsdb.ColumnType, names Resolver) (ovsdb.Datum, error) {
	open, end := byte('['), byte(']')
	if t.IsMap() {
		open, end = '{', '}'
	}
	fail := func(format string, args ...any) (ovsdb.Datum, error) {
		return ovsdb.Datum{}, fmt.Errorf("%s: "+format, append([]any{s}, args...)...)
	}
	p := strings.TrimLeft(s, " ")
	if p == "" && t.IsMap() {
		return ovsdb.Datum{}, fmt.Errorf("use \"{}\" to specify the empty map")
	} else if p == "" {
		return ovsdb.Datum{}, fmt.Errorf("use \"[]\" to specify the empty set")
	}
	closed := strings.HasPrefix(p, string(open))
	if closed {
		p = strings.TrimLeft(p[1:], " ")
	}
	var keys, values []ovsdb.Atom
	for p != "" && (!closed || p[0] != end) {
		if strings.IndexByte(delims, p[0]) >= 0 {
			return fail("unexpected \"%c\" parsing %s", p[0], t)
		}
		ks, rest, err := element(p, &t.Key, !t.IsMap(), names)
		if err != nil {
			return ovsdb.Datum{}, err
		}
		p = rest
		keys = append(keys, ks...)
		if t.IsMap() {
			switch p = strings.TrimLeft(p, " "); {
			case p == "":
				return fail("syntax error at \"") // stock prints the NUL and ends there
			case p[0] != '=':
				return fail("syntax error at \"%c\" expecting \"=\"", p[0])
			}
			vs, rest, err := element(strings.TrimLeft(p[1:], " "), t.Value, false, names)
			if err != nil {
				return ovsdb.Datum{}, err
			}
			p = rest
			values = append(values, vs...)
		}
		p = strings.TrimLeft(p, " ")
		if strings.HasPrefix(p, ",") {
			p = strings.TrimLeft(p[1:], " ")
		}
	}
	if closed {
		if p == "" {
			return fail("missing \"%c\" at end of data", end)
		}
		if strings.TrimLeft(p[1:], " ") != "" {
			return fail("trailing garbage after \"%c\"", end)
		}
	}
	what := "value"
	if t.IsMap() {
		what = "pair"
	}
	if n := len(keys); n < t.Min {
		return fail("%d %s(s) specified but the minimum number is %d", n, what, t.Min)
	} else if n > t.Max {
		return fail("%d %s(s) specified but the maximum number is %d", n, what, t.Max)
	}
	return assemble(s, t, keys, values)
}

func assemble(s string, t *ovsdb.ColumnType, keys, values []ovsdb.Atom) (ovsdb.Datum, error) {
	if !t.IsMap() {
		d := ovsdb.NewSet(keys...)
		if d.Len() != len(keys) {
			return d, fmt.Errorf("%s: set contains duplicate value", s)
		}
		return d, nil
	}
	pairs := make([]ovsdb.Pair, len(keys))
	for i := range pairs {
		pairs[i] = ovsdb.Pair{K: keys[i], V: values[i]}
	}
	d := ovsdb.NewMap(pairs...)
	if d.Len() != len(keys) {
		return d, fmt.Errorf("%s: map contains duplicate key", s)
	}
	return d, nil
}

// element reads one atom, or a range of integers, off the front of s.
func element(s string, t *ovsdb.BaseType, ranges bool, names Resolver) ([]ovsdb.Atom, string, error) {
	tok, rest, err := token(s)
	if err != nil {
		return nil, "", err
	}
	if t.Type == ovsdb.Integer && ranges {
		atoms, err := integers(tok, t)
		return atoms, rest, err
	}
	a, err := ParseAtom(tok, t, names)
	return []ovsdb.Atom{a}, rest, err
}

// integers reads "5" or "5-8".
func integers(s string, t *ovsdb.BaseType) ([]ovsdb.Atom, error) {
	lo, hi, isRange := s, s, false
	if i := strings.IndexByte(s, '-'); i > 0 {
		lo, hi, isRange = s[:i], s[i+1:], true
	}
	first, err := strconv.ParseInt(lo, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("\"%s\" is not a valid integer or range", s)
	}
	last := first
	if isRange {
		if last, err = strconv.ParseInt(hi, 10, 64); err != nil {
			return nil, fmt.Errorf("\"%s\" is not a valid integer or range", s)
		}
		if first > last {
			return nil, fmt.Errorf("\"%s\" is not a valid range. Range end cannot be before start.", s)
		}
	}
	var atoms []ovsdb.Atom
	for _, v := range []int64{first, last} {
		if err := t.Check(ovsdb.Int(v)); err != nil {
			return nil, constraint(err)
		}
	}
	if last-first >= maxRange || last-first < 0 {
		return nil, fmt.Errorf("\"%s\" is not a valid range. Maximum range size is %d elements.", s, maxRange)
	}
	for v := first; v <= last; v++ {
		atoms = append(atoms, ovsdb.Int(v))
	}
	return atoms, nil
}
