// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"

	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// Commands returns the database commands.
func Commands() []*Command {
	return []*Command{
		{Name: "comment", Args: "*ARG", Max: Many, ReadOnly: true, Run: func(*Context) error { return nil }},
		{Name: "get", Args: "!TABLE !RECORD *COLUMN?:KEY", Min: 2, Max: Many, Options: "--if-exists,--id=", ReadOnly: true, Need: needGet, Run: get},
		{Name: "list", Args: "!TABLE *RECORD", Min: 1, Max: Many, Options: "--if-exists,--columns=", ReadOnly: true, Need: needList, Run: list},
		{Name: "find", Args: "!TABLE *COLUMN?:KEY=VALUE", Min: 1, Max: Many, Options: "--columns=", ReadOnly: true, Need: needFind, Run: find},
		{Name: "set", Args: "!TABLE !RECORD +COLUMN?:KEY=VALUE", Min: 3, Max: Many, Options: "--if-exists", Need: needSet, Run: set},
		{Name: "add", Args: "!TABLE !RECORD !COLUMN +?KEY=VALUE", Min: 4, Max: Many, Options: "--if-exists", Need: needColumn, Run: add},
		{Name: "remove", Args: "!TABLE !RECORD !COLUMN +KEY|VALUE|KEY=VALUE", Min: 4, Max: Many, Options: "--if-exists", Need: needColumn, Run: remove},
		{Name: "clear", Args: "!TABLE !RECORD +COLUMN", Min: 3, Max: Many, Options: "--if-exists", Need: needClear, Run: clearColumns},
		{Name: "create", Args: "!TABLE +COLUMN?:KEY=VALUE", Min: 2, Max: Many, Options: "--id=", Need: needCreate, Run: create, Done: created},
		{Name: "destroy", Args: "!TABLE *RECORD", Min: 1, Max: Many, Options: "--if-exists,--all", Need: needDestroy, Run: destroy},
		{Name: "wait-until", Args: "!TABLE !RECORD *COLUMN?:KEY=VALUE", Min: 2, Max: Many, ReadOnly: true, Need: needWait, Run: waitUntil},
	}
}

// table resolves the first argument.
func (c *Context) table() (*schema.Table, error) { return FindTable(c.Schema, c.Args[0]) }

func needGet(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return c.needColumns(t, c.Args[2:], true)
}

func get(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	id, hasID := c.Option("--id")
	if hasID && c.Has("--if-exists") {
		return fmt.Errorf("--if-exists and --id may not be specified together")
	}
	r, err := c.mustRow(t, c.Args[1])
	if r == nil || err != nil {
		return err
	}
	if hasID {
		y, err := c.Symbols.create(id, nil)
		if err != nil {
			return err
		}
		if y.used {
			return fmt.Errorf("row id \"%s\" was used before it was specified with --id", id)
		}
		y.id = r.ID
	}
	for _, a := range c.Args[2:] {
		arg, err := parseColumn(t, a, nil)
		if err != nil {
			return err
		}
		r.Verify(arg.column)
		d, typ := r.Get(arg.column), &arg.column.Type
		if !arg.hasKey {
			c.Out.WriteString(table.Format(d, typ) + "\n")
			continue
		}
		if !typ.IsMap() {
			return fmt.Errorf("cannot specify key to get for non-map column %s", arg.column.Name)
		}
		key, err := ParseAtom(arg.key, &typ.Key, c.Symbols)
		if err != nil {
			return err
		}
		v, ok := d.Lookup(key)
		switch {
		case ok:
			c.Out.WriteString(v.String() + "\n")
		case c.Has("--if-exists"):
			c.Out.WriteString("\n")
		default:
			return fmt.Errorf("no key \"%s\" in %s record \"%s\" column %s", arg.key, t.Name, c.Args[1], arg.column.Name)
		}
	}
	return nil
}

func (c *Context) needChosen(t *schema.Table) error {
	cols, err := c.chosen(t)
	for _, col := range cols {
		c.Needs.Column(t, col)
	}
	return err
}

func needList(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return c.needChosen(t)
}

// begin starts the output table of list and find.
func (c *Context) begin(t *schema.Table) ([]*schema.Column, error) {
	cols, err := c.chosen(t)
	if err != nil {
		return nil, err
	}
	c.Table = &table.Table{}
	for _, col := range cols {
		c.Table.Headings = append(c.Table.Headings, col.Name)
	}
	return cols, nil
}

func (c *Context) addRow(r *replica.Row, cols []*schema.Column) {
	cells := make([]table.Cell, len(cols))
	for i, col := range cols {
		r.Verify(col)
		cells[i] = table.Value(r.Get(col), &col.Type)
	}
	c.Table.Add(cells...)
}

func list(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	cols, err := c.begin(t)
	if err != nil {
		return err
	}
	if len(c.Args) == 1 {
		for _, r := range c.Txn.Rows(t) {
			c.addRow(r, cols)
		}
		return nil
	}
	for _, name := range c.Args[1:] {
		r, err := c.mustRow(t, name)
		if err != nil {
			return err
		}
		if r != nil {
			c.addRow(r, cols)
		}
	}
	return nil
}

func needFind(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.Needs.Table(t)
	if err := c.needChosen(t); err != nil {
		return err
	}
	return c.needColumns(t, c.Args[1:], false)
}

func find(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	cols, err := c.begin(t)
	if err != nil {
		return err
	}
rows:
	for _, r := range c.Txn.Rows(t) {
		for _, cond := range c.Args[1:] {
			if ok, err := c.holds(r, cond); err != nil {
				return err
			} else if !ok {
				continue rows
			}
		}
		c.addRow(r, cols)
	}
	return nil
}

func needSet(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return c.needColumns(t, c.Args[2:], false)
}

// target resolves table and record of a command that changes a row.
func (c *Context) target() (*replica.Row, error) {
	t, err := c.table()
	if err != nil {
		return nil, err
	}
	return c.mustRow(t, c.Args[1])
}

func set(c *Context) error {
	r, err := c.target()
	if r == nil || err != nil {
		return err
	}
	for _, a := range c.Args[2:] {
		if err := c.Assign(r, a); err != nil {
			return err
		}
	}
	return nil
}

func needColumn(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return c.needColName(t, c.Args[2:3])
}

// needColName is needColumns for arguments that are a column's name only.
func (c *Context) needColName(t *schema.Table, names []string) error {
	for _, n := range names {
		col, err := FindColumn(t, n)
		if err != nil {
			return err
		}
		c.Needs.Column(t, col)
	}
	return nil
}

func add(c *Context) error {
	r, err := c.target()
	if r == nil || err != nil {
		return err
	}
	col, err := FindColumn(r.Table, c.Args[2])
	if err != nil {
		return err
	}
	if err := writable(r, col); err != nil {
		return err
	}
	typ := col.Type
	typ.Min, typ.Max = 1, ovsdb.Unlimited
	for _, a := range c.Args[3:] {
		d, err := ParseDatum(a, &typ, c.Symbols)
		if err != nil {
			return err
		}
		for i, k := range d.Keys() {
			switch {
			case d.IsMap():
				c.setKey(r, col, k, d.Value(i))
			case c.Last && !r.Inserted():
				r.AddElement(col, k)
			default:
				r.Verify(col)
				r.Set(col, r.Get(col).Union(ovsdb.One(k)))
			}
		}
	}
	// Where the server sees the new elements only, it tells of too many.
	if n := r.Get(col).Len(); n > col.Type.Max {
		return fmt.Errorf("\"add\" operation would put %d %s in column %s of table %s but the maximum number is %d",
			n, plural(typ.IsMap()), col.Name, r.Table.Name, col.Type.Max)
	}
	return nil
}

func remove(c *Context) error {
	r, err := c.target()
	if r == nil || err != nil {
		return err
	}
	col, err := FindColumn(r.Table, c.Args[2])
	if err != nil {
		return err
	}
	if err := writable(r, col); err != nil {
		return err
	}
	typ := col.Type
	typ.Min, typ.Max = 1, ovsdb.Unlimited
	keys := typ
	keys.Value = nil
	d := r.Get(col)
	for _, a := range c.Args[3:] {
		rm, err := ParseDatum(a, &typ, c.Symbols)
		if err != nil && typ.IsMap() {
			rm, err = ParseDatum(a, &keys, c.Symbols)
		}
		if err != nil {
			return err
		}
		d = d.Minus(rm)
	}
	if d.Len() < col.Type.Min {
		return fmt.Errorf("\"remove\" operation would put %d %s in column %s of table %s but the minimum number is %d",
			d.Len(), plural(typ.IsMap()), col.Name, r.Table.Name, col.Type.Min)
	}
	r.Verify(col)
	r.Set(col, d)
	return nil
}

func plural(isMap bool) string {
	if isMap {
		return "pairs"
	}
	return "values"
}

func needClear(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return c.needColName(t, c.Args[2:])
}

func clearColumns(c *Context) error {
	r, err := c.target()
	if r == nil || err != nil {
		return err
	}
	for _, n := range c.Args[2:] {
		col, err := FindColumn(r.Table, n)
		if err != nil {
			return err
		}
		if err := writable(r, col); err != nil {
			return err
		}
		if col.Type.Min > 0 {
			return fmt.Errorf("\"clear\" operation cannot be applied to column %s of table %s, which is not allowed to be empty",
				col.Name, r.Table.Name)
		}
		r.Set(col, col.Type.Default())
	}
	return nil
}

func needCreate(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.Needs.Table(t)
	return nil
}

func create(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	var r *replica.Row
	id, ok := c.Option("--id")
	if u, bad := ovsdb.ParseUUID(id); ok && bad == nil {
		r = c.Txn.InsertAs(t, u)
		r.Keep()
	} else if ok {
		y, err := c.Symbols.create(id, t)
		if err != nil {
			return err
		}
		r = c.Txn.InsertAs(t, y.id)
	} else {
		r = c.Txn.Insert(t)
		if !t.IsRoot {
			c.Warn("db_ctl_base", fmt.Sprintf("applying \"create\" command to table %s without --id option will have no effect", t.Name))
		}
	}
	for _, a := range c.Args[1:] {
		if err := c.Assign(r, a); err != nil {
			return err
		}
	}
	c.Out.WriteString(r.ID.String())
	return nil
}

// created replaces the provisional UUID in the output.
func created(c *Context) error {
	u, err := ovsdb.ParseUUID(c.Out.String())
	if err != nil {
		return nil
	}
	if real, ok := c.UUIDs[u]; ok {
		u = real
	}
	c.Out.Reset()
	c.Out.WriteString(u.String() + "\n")
	return nil
}

func needDestroy(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return nil
}

func destroy(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	all := c.Has("--all")
	switch {
	case all && len(c.Args) > 1:
		return fmt.Errorf("--all and records argument should not be specified together")
	case all && c.Has("--if-exists"):
		return fmt.Errorf("--all and --if-exists should not be specified together")
	case all:
		for _, r := range c.Txn.Rows(t) {
			r.Delete()
		}
		return nil
	case len(c.Args) == 1:
		c.Warn("db_ctl_base", "either --all or records argument should be specified")
	}
	for _, name := range c.Args[1:] {
		r, err := c.mustRow(t, name)
		if err != nil {
			return err
		}
		if r != nil {
			r.Delete()
		}
	}
	return nil
}

func needWait(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	c.needRow(t)
	return c.needColumns(t, c.Args[2:], false)
}

func waitUntil(c *Context) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	r, err := c.findRow(t, c.Args[1])
	if err != nil {
		return err
	}
	if r == nil {
		return ErrAgain
	}
	for _, cond := range c.Args[2:] {
		if ok, err := c.holds(r, cond); err != nil {
			return err
		} else if !ok {
			return ErrAgain
		}
	}
	return nil
}
