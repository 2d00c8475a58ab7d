// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// relations in the order in which messages list them.
var relations = []string{"=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}", "{in}", "{not-in}"}

// columnArg is COLUMN[:KEY][OPERATOR VALUE].
type columnArg struct {
	column *schema.Column
	key    string
	hasKey bool
	op     string
	value  string
}

// parseColumn reads an argument. ops lists the operators that may follow; none
// means that nothing may.
func parseColumn(t *schema.Table, arg string, ops []string) (columnArg, error) {
	c, rest, err := parseName(t, arg, len(ops) == 0)
	if err != nil {
		return c, err
	}
	if len(ops) == 0 {
		if rest != "" {
			return c, fmt.Errorf("%s: trailing garbage \"%s\" in argument", arg, rest)
		}
		return c, nil
	}
	for _, op := range ops {
		if len(op) > len(c.op) && strings.HasPrefix(rest, op) && len(rest) > len(op) {
			c.op = op
		}
	}
	if c.value = rest[len(c.op):]; c.op == "" || c.value == "" {
		return c, fmt.Errorf("%s: argument does not end in %s followed by a value.", arg, orList(ops))
	}
	return c, nil
}

// parseName reads COLUMN[:KEY] and returns what follows. readable allows "_uuid".
func parseName(t *schema.Table, arg string, readable bool) (c columnArg, rest string, err error) {
	name, rest, err := token(arg)
	if err != nil {
		return c, "", err
	}
	if name == "" {
		return c, "", fmt.Errorf("%s: missing column name", arg)
	}
	if readable && name == arg {
		c.column, err = findReadable(t, name)
	} else {
		c.column, err = FindColumn(t, name)
	}
	if err != nil {
		return c, "", err
	}
	if strings.HasPrefix(rest, ":") {
		if c.key, rest, err = token(rest[1:]); err != nil {
			return c, "", err
		}
		c.hasKey = true
	}
	return c, rest, nil
}

func orList(ops []string) string {
	quoted := make([]string, len(ops))
	for i, op := range ops {
		quoted[i] = `"` + op + `"`
	}
	if len(ops) == 1 {
		return quoted[0]
	}
	last := len(ops) - 1
	return strings.Join(quoted[:last], ", ") + ", or " + quoted[last]
}

// needColumns asks for the columns that arguments name. What follows a name is
// looked at when the command runs, after its row was found.
func (c *Context) needColumns(t *schema.Table, args []string, readable bool) error {
	for _, a := range args {
		arg, _, err := parseName(t, a, readable)
		if err != nil {
			return err
		}
		c.Needs.Column(t, arg.column)
	}
	return nil
}

// NeedAssign asks for the columns that arguments of Assign name.
func (c *Context) NeedAssign(t *schema.Table, args []string) error {
	return c.needColumns(t, args, false)
}

// holds reports whether a row satisfies a condition of find or wait-until.
func (c *Context) holds(r *replica.Row, text string) (bool, error) {
	arg, err := parseColumn(r.Table, text, relations)
	if err != nil {
		return false, err
	}
	have := r.Get(arg.column)
	typ := arg.column.Type
	if arg.hasKey {
		if !typ.IsMap() {
			return false, fmt.Errorf("cannot specify key to check for non-map column %s", arg.column.Name)
		}
		key, err := ParseAtom(arg.key, &typ.Key, c.Symbols)
		if err != nil {
			return false, err
		}
		typ = ovsdb.ColumnType{Key: *typ.Value, Min: 0, Max: ovsdb.Unlimited}
		want, err := ParseDatum(arg.value, &typ, c.Symbols)
		if err != nil {
			return false, err
		}
		v, ok := have.Lookup(key)
		have = ovsdb.Datum{}
		if ok {
			have = ovsdb.One(v)
		} else if arg.op[0] != '{' {
			return false, nil
		}
		return compare(have, arg.op, want), nil
	}
	want, err := ParseDatum(arg.value, &typ, c.Symbols)
	if err != nil {
		return false, err
	}
	return compare(have, arg.op, want), nil
}

// compare evaluates "have op want" (ovs-vsctl(8), find).
func compare(have ovsdb.Datum, op string, want ovsdb.Datum) bool {
	subset := want.Includes(have)
	superset := have.Includes(want)
	switch op {
	case "=", "{=}":
		return have.Equal(want)
	case "!=", "{!=}":
		return !have.Equal(want)
	case "<":
		return have.Compare(want) < 0
	case ">":
		return have.Compare(want) > 0
	case "<=":
		return have.Compare(want) <= 0
	case ">=":
		return have.Compare(want) >= 0
	case "{<}":
		return subset && have.Len() < want.Len()
	case "{>}":
		return superset && have.Len() > want.Len()
	case "{<=}", "{in}":
		return subset
	case "{>=}":
		return superset
	case "{not-in}":
		return have.Excludes(want)
	}
	return false
}

// Assign executes COLUMN[:KEY]=VALUE on a row.
func (c *Context) Assign(r *replica.Row, text string) error {
	arg, err := parseColumn(r.Table, text, []string{"="})
	if err != nil {
		return err
	}
	if err := writable(r, arg.column); err != nil {
		return err
	}
	typ := &arg.column.Type
	if !arg.hasKey {
		d, err := ParseDatum(arg.value, typ, c.Symbols)
		if err != nil {
			return err
		}
		r.Set(arg.column, d)
		return nil
	}
	if !typ.IsMap() {
		return fmt.Errorf("cannot specify key to set for non-map column %s", arg.column.Name)
	}
	key, err := ParseAtom(arg.key, &typ.Key, c.Symbols)
	if err != nil {
		return err
	}
	value, err := ParseAtom(arg.value, typ.Value, c.Symbols)
	if err != nil {
		return err
	}
	c.setKey(r, arg.column, key, value)
	return nil
}

// setKey changes one key of a map: on its own where no later command may want
// to read it, else by way of the whole value.
func (c *Context) setKey(r *replica.Row, col *schema.Column, key, value ovsdb.Atom) {
	if c.Last && !r.Inserted() {
		r.SetKey(col, key, value)
		return
	}
	r.Verify(col)
	r.Set(col, ovsdb.NewMap(ovsdb.Pair{K: key, V: value}).Union(r.Get(col)))
}

func writable(r *replica.Row, c *schema.Column) error {
	if c.Index < 0 || !c.Mutable && !r.Inserted() {
		return fmt.Errorf("cannot modify read-only column %s in table %s", c.Name, r.Table.Name)
	}
	return nil
}

// chosen returns the columns of --columns, all if it was not given.
func (c *Context) chosen(t *schema.Table) ([]*schema.Column, error) {
	list, ok := c.Option("--columns")
	if !ok {
		return append([]*schema.Column{t.Column("_uuid")}, t.Columns...), nil
	}
	var cols []*schema.Column
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		col, err := findReadable(t, name)
		if err != nil {
			return nil, err
		}
		cols = append(cols, col)
	}
	if len(cols) == 0 {
		return nil, fmt.Errorf("must specify at least one column name")
	}
	return slices.Clip(cols), nil
}
