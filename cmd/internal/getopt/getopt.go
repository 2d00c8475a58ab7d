// SPDX-License-Identifier: Apache-2.0

// Package getopt reads command line options as the C library's getopt_long
// does, which is what users of the stock tools have in their scripts: long
// options may be abbreviated to a unique prefix, take their value behind "=" or
// as the next argument, short ones may be joined. Reading stops at the first
// argument that is no option. The error texts are the C library's.
//
// It is pure, keeps nothing, and may be used by any goroutine.
package getopt

import (
	"fmt"
	"slices"
	"strings"
)

// Arg says whether an option takes an argument.
type Arg uint8

// An optional argument must be joined to the option: --log-file=X, -vX.
const (
	No Arg = iota
	Required
	Optional
)

// Option describes an option that a tool knows.
type Option struct {
	Long  string // without dashes; "" if there is only a short form
	Short byte   // 0: none
	Arg   Arg
}

// Found is an option of the command line.
type Found struct {
	Name     string // the long name in full; the short one if there is no long one
	Value    string
	HasValue bool
	Literal  string // as written, with dashes, e.g. "-t"
}

// Parse reads options until "--" (which it drops), the first argument that is
// none, or the end, and returns the arguments behind.
func Parse(known []Option, args []string) (found []Found, rest []string, err error) {
	for len(args) > 0 {
		a := args[0]
		switch {
		case a == "--":
			return found, args[1:], nil
		case strings.HasPrefix(a, "--"):
			var f Found
			if f, args, err = long(known, args); err != nil {
				return nil, nil, err
			}
			found = append(found, f)
		case len(a) > 1 && a[0] == '-':
			var fs []Found
			if fs, args, err = short(known, args); err != nil {
				return nil, nil, err
			}
			found = append(found, fs...)
		default:
			return found, args, nil
		}
	}
	return found, nil, nil
}

func long(known []Option, args []string) (Found, []string, error) {
	name, value, has := strings.Cut(args[0][2:], "=")
	rest := args[1:]
	o, err := match(known, name)
	if err != nil {
		return Found{}, nil, err
	}
	if has && o.Arg == No {
		return Found{}, nil, fmt.Errorf("option '--%s' doesn't allow an argument", o.Long)
	}
	if !has && o.Arg == Required {
		if len(rest) == 0 {
			return Found{}, nil, fmt.Errorf("option '--%s' requires an argument", o.Long)
		}
		value, has, rest = rest[0], true, rest[1:]
	}
	return Found{Name: o.Long, Value: value, HasValue: has, Literal: "--" + o.Long}, rest, nil
}

// match finds the option of the name, or the only one that begins with it.
func match(known []Option, name string) (Option, error) {
	var hits []Option
	for _, o := range known {
		if o.Long == name && name != "" {
			return o, nil
		}
		if o.Long != "" && strings.HasPrefix(o.Long, name) &&
			!slices.ContainsFunc(hits, func(h Option) bool { return h.Long == o.Long }) {
			hits = append(hits, o)
		}
	}
	switch len(hits) {
	case 0:
		return Option{}, fmt.Errorf("unrecognized option '--%s'", name)
	case 1:
		return hits[0], nil
	}
	text := fmt.Sprintf("option '--%s' is ambiguous; possibilities:", name)
	for _, h := range hits {
		text += " '--" + h.Long + "'"
	}
	return Option{}, fmt.Errorf("%s", text)
}

func short(known []Option, args []string) (found []Found, rest []string, err error) {
	letters, rest := args[0][1:], args[1:]
	for i := 0; i < len(letters); i++ {
		c := letters[i]
		k := slices.IndexFunc(known, func(o Option) bool { return o.Short == c && c != 0 })
		if k < 0 {
			return nil, nil, fmt.Errorf("invalid option -- '%c'", c)
		}
		o := known[k]
		f := Found{Name: o.Long, Literal: "-" + string(c)}
		if f.Name == "" {
			f.Name = string(c)
		}
		tail := letters[i+1:]
		switch {
		case o.Arg == No:
			found = append(found, f)
			continue
		case tail != "":
			f.Value, f.HasValue = tail, true
		case o.Arg == Required:
			if len(rest) == 0 {
				return nil, nil, fmt.Errorf("option requires an argument -- '%c'", c)
			}
			f.Value, f.HasValue, rest = rest[0], true, rest[1:]
		}
		return append(found, f), rest, nil
	}
	return found, rest, nil
}
