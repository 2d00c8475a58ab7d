// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// ErrAgain is returned by a command whose condition does not hold yet.
var ErrAgain = errors.New("wait for the database to change")

// Many is the Max of a command that takes any number of arguments.
const Many = math.MaxInt

// Command is a command that a line may contain.
type Command struct {
	Name     string
	Args     string // for the list of --commands, e.g. "!TABLE *RECORD"
	Min, Max int    // number of arguments
	Options  string // e.g. "--may-exist,--id=": "=" ends one that takes a value
	ReadOnly bool
	Need     func(*Context) error // asks for columns; may be nil
	Run      func(*Context) error
	// Done runs after the transaction is in the database; may be nil.
	Done func(*Context) error
}

// Option is one option in front of a command's name.
type Option struct {
	Name  string // with dashes
	Value string
	Has   bool
}

// Call is a command with its arguments.
type Call struct {
	*Command
	Options []Option
	Args    []string // without the command's name
	words   []string // as typed, for messages
}

// String returns the call as typed.
func (c *Call) String() string { return strings.Join(c.words, " ") }

// Has reports whether an option was given.
func (c *Call) Has(name string) bool {
	_, ok := c.Option(name)
	return ok
}

// Option returns an option's value.
func (c *Call) Option(name string) (string, bool) {
	for _, o := range c.Options {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}

// options returns the names of a command's options, and whether they take a value.
func (c *Command) options() map[string]bool {
	m := make(map[string]bool)
	for o := range strings.SplitSeq(c.Options, ",") {
		if o != "" {
			name, takes := strings.CutSuffix(o, "=")
			m[name] = takes
		}
	}
	return m
}

// LongOptions returns the commands' options for reading the first part of the
// command line, where they stand among the tool's own.
func LongOptions(cmds []*Command) []getopt.Option {
	var opts []getopt.Option
	seen := make(map[string]bool)
	for _, c := range cmds {
		for o := range strings.SplitSeq(c.Options, ",") {
			name, takes := strings.CutSuffix(o, "=")
			if o == "" || seen[name] {
				continue
			}
			seen[name] = true
			g := getopt.Option{Long: strings.TrimPrefix(name, "--")}
			if takes {
				g.Arg = getopt.Required
			}
			opts = append(opts, g)
		}
	}
	return opts
}

// Split reads the commands behind the tool's own options. first are options of
// the first command that stood among those.
func Split(cmds []*Command, first []Option, args []string) ([]*Call, error) {
	var calls []*Call
	for start, i := 0, 0; i <= len(args); i++ {
		if i < len(args) && args[i] != "--" {
			continue
		}
		if start < i || i == len(args) && len(calls) == 0 || len(first) > 0 {
			c, err := parseCall(cmds, first, args[start:i])
			if err != nil {
				return nil, err
			}
			calls = append(calls, c)
			first = nil
		}
		start = i + 1
	}
	return calls, nil
}

func parseCall(cmds []*Command, opts []Option, args []string) (*Call, error) {
	words := make([]string, 0, len(args)+len(opts))
	for _, o := range opts {
		words = append(words, optionText(o))
	}
	words = append(words, args...)
	given := make([]Option, 0, len(opts))
	add := func(o Option) error {
		for _, g := range given {
			if g.Name == o.Name {
				return fmt.Errorf("'%s' option specified multiple times", o.Name)
			}
		}
		given = append(given, o)
		return nil
	}
	for _, o := range opts {
		if err := add(o); err != nil {
			return nil, err
		}
	}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, has := strings.Cut(args[0], "=")
		if err := add(Option{name, value, has}); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("missing command name (use --help for help)")
	}
	var cmd *Command
	for _, c := range cmds {
		if c.Name == args[0] {
			cmd = c
		}
	}
	if cmd == nil {
		return nil, fmt.Errorf("unknown command '%s'; use --help for help", args[0])
	}
	known := cmd.options()
	for _, o := range given {
		takes, ok := known[o.Name]
		switch {
		case !ok:
			return nil, fmt.Errorf("'%s' command has no '%s' option", cmd.Name, o.Name)
		case takes && !o.Has:
			return nil, fmt.Errorf("missing argument to '%s' option on '%s' command", o.Name, cmd.Name)
		case !takes && o.Has:
			return nil, fmt.Errorf("'%s' option on '%s' does not accept an argument", o.Name, cmd.Name)
		}
	}
	args = args[1:]
	if n := len(args); n < cmd.Min {
		return nil, fmt.Errorf("'%s' command requires at least %d arguments", cmd.Name, cmd.Min)
	} else if n > cmd.Max {
		return nil, fmt.Errorf("'%s' command takes at most %d arguments", cmd.Name, cmd.Max)
	}
	return &Call{Command: cmd, Options: given, Args: args, words: words}, nil
}

func optionText(o Option) string {
	if o.Has {
		return o.Name + "=" + o.Value
	}
	return o.Name
}

// Context is what a command works with.
type Context struct {
	*Call
	Rules   Rules
	Schema  *schema.Schema
	Needs   *replica.Needs // while asking for columns
	Txn     *replica.Txn   // while running
	Symbols *Symbols
	Out     strings.Builder
	Table   *table.Table              // printed instead of Out if not nil
	Warn    func(module, text string) // a log line
	State   any                       // of the caller's commands, shared by the calls of a line
	Last    bool                      // no command comes behind this one
	UUIDs   map[ovsdb.UUID]ovsdb.UUID // in Done: the real UUIDs of new rows
}

// Symbols are the "@name"s of a line.
type Symbols struct {
	txn   *replica.Txn
	table map[string]*symbol
	order []string
}

type symbol struct {
	id      ovsdb.UUID
	created bool
	used    bool // referred to from a row
	table   *schema.Table
}

// NewSymbols returns an empty table of names.
func NewSymbols(txn *replica.Txn) *Symbols {
	return &Symbols{txn: txn, table: make(map[string]*symbol)}
}

func (s *Symbols) get(name string) *symbol {
	y := s.table[name]
	if y == nil {
		y = &symbol{id: s.txn.NewUUID()}
		s.table[name] = y
		s.order = append(s.order, name)
	}
	return y
}

// Symbol returns the UUID that a name stands for; it implements Resolver.
func (s *Symbols) Symbol(name string) ovsdb.UUID {
	y := s.get(name)
	y.used = true
	return y.id
}

// create binds the value of an --id option.
func (s *Symbols) create(name string, t *schema.Table) (*symbol, error) {
	if !strings.HasPrefix(name, "@") {
		return nil, fmt.Errorf("row id \"%s\" does not begin with \"@\"", name)
	}
	y := s.get(name)
	if y.created {
		return nil, fmt.Errorf("row id \"%s\" may only be specified on one --id option", name)
	}
	y.created, y.table = true, t
	return y, nil
}

// Check is called after all commands ran: a name that was used must have been
// created; one that was not used leads to a warning.
func (s *Symbols) Check(warn func(module, text string)) error {
	for _, name := range s.order {
		y := s.table[name]
		if !y.created {
			return fmt.Errorf("row id \"%s\" is referenced but never created (e.g. with \"-- --id=%s create ...\")", name, name)
		}
		if !y.used && y.table != nil && !y.table.IsRoot {
			warn("vsctl", fmt.Sprintf("row id \"%s\" was created but no reference to it was inserted, so it will not actually appear in the database", name))
		}
	}
	return nil
}
