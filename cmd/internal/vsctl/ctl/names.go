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

// RowID is a way to name a row besides its UUID.
type RowID struct {
	// Via is the table whose rows are searched by name; "" is the table itself.
	Via string
	// Name is the column that holds the name; "" means that the table has a
	// single row, called ".".
	Name string
	// Ref is the column of Via that refers to the row wanted.
	Ref string
}

// Rules says for a table's name how its rows may be named.
type Rules map[string][]RowID

// fold maps the ways to write a name to one.
func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// match returns the indexes of the names that s may mean: the same one, else the
// same in another case, else those that begin with s.
func match(names []string, s string) []int {
	if i := slices.Index(names, s); i >= 0 {
		return []int{i}
	}
	var prefix []int
	for i, n := range names {
		if fold(n) == fold(s) {
			return []int{i}
		}
		if strings.HasPrefix(fold(n), fold(s)) {
			prefix = append(prefix, i)
		}
	}
	return prefix
}

// FindTable resolves a table's name or abbreviation.
func FindTable(s *schema.Schema, name string) (*schema.Table, error) {
	names := make([]string, len(s.Tables))
	for i, t := range s.Tables {
		names[i] = t.Name
	}
	hits := match(names, name)
	switch len(hits) {
	case 0:
		return nil, fmt.Errorf("unknown table \"%s\"", name)
	case 1:
		return s.Tables[hits[0]], nil
	}
	var list []string
	for _, h := range hits {
		list = append(list, names[h])
	}
	return nil, fmt.Errorf("\"%s\" matches multiple table names: %s", name, strings.Join(list, ", "))
}

// findReadable is FindColumn for get, list and find, which print "_uuid" too.
func findReadable(t *schema.Table, name string) (*schema.Column, error) {
	if strings.EqualFold(name, "_uuid") {
		return t.Column("_uuid"), nil
	}
	return FindColumn(t, name)
}

// FindColumn resolves a column's name or abbreviation.
func FindColumn(t *schema.Table, name string) (*schema.Column, error) {
	cols := t.Columns
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.Name
	}
	hits := match(names, name)
	if len(hits) == 1 {
		return cols[hits[0]], nil
	}
	if len(hits) == 0 {
		return nil, fmt.Errorf("%s does not contain a column whose name matches \"%s\"", t.Name, name)
	}
	var list []string
	for _, h := range hits {
		list = append(list, names[h])
	}
	return nil, fmt.Errorf("%s contains more than one column whose name matches \"%s\": %s",
		t.Name, name, strings.Join(list, ", "))
}

// needRow asks for the columns that finding a row by name takes.
func (c *Context) needRow(t *schema.Table) {
	c.Needs.Table(t)
	for _, id := range c.Rules[t.Name] {
		via := t
		if id.Via != "" {
			via = c.Schema.Table(id.Via)
		}
		if via == nil {
			continue
		}
		c.Needs.Table(via)
		c.Needs.Column(via, via.Column(id.Name))
		c.Needs.Column(via, via.Column(id.Ref))
	}
}

// findRow returns the row that a user named, nil if there is none.
func (c *Context) findRow(t *schema.Table, name string) (*replica.Row, error) {
	if u, err := ovsdb.ParseUUID(name); err == nil {
		if r := c.Txn.Row(t, u); r != nil {
			return r, nil
		}
	}
	for _, id := range c.Rules[t.Name] {
		r, err := c.byRule(t, id, name)
		if r != nil || err != nil {
			return r, err
		}
	}
	return c.byPrefix(t, name)
}

func (c *Context) byRule(t *schema.Table, id RowID, name string) (*replica.Row, error) {
	if id.Name == "" {
		if name != "." {
			return nil, nil
		}
		if rows := c.Txn.Rows(t); len(rows) == 1 {
			return rows[0], nil
		}
		return nil, nil
	}
	via := t
	if id.Via != "" {
		via = c.Schema.Table(id.Via)
	}
	if via == nil || via.Column(id.Name) == nil {
		return nil, nil
	}
	col := via.Column(id.Name)
	want, err := parseAtom(name, &ovsdb.BaseType{Type: col.Type.Key.Type}, nil)
	if col.Type.Key.Type == ovsdb.String {
		want, err = ovsdb.Str(name), nil
	}
	if err != nil {
		return nil, nil
	}
	var found *replica.Row
	for _, r := range c.Txn.Rows(via) {
		if v := r.Get(col); v.Len() != 1 || v.Key(0) != want {
			continue
		}
		r.Verify(col)
		if found != nil {
			return nil, fmt.Errorf("multiple rows in %s match \"%s\"", via.Name, name)
		}
		found = r
	}
	if found == nil || id.Via == "" {
		return found, nil
	}
	ref := via.Column(id.Ref)
	if ref == nil {
		return nil, nil
	}
	found.Verify(ref)
	if v := found.Get(ref); v.Len() == 1 {
		return c.Txn.Row(t, v.Key(0).UUID()), nil
	}
	return nil, nil
}

// byPrefix finds the row whose UUID begins with name, at least 4 digits.
func (c *Context) byPrefix(t *schema.Table, name string) (*replica.Row, error) {
	if len(name) < 4 || strings.Trim(strings.ToLower(name), "0123456789abcdef-") != "" {
		return nil, nil
	}
	var found *replica.Row
	for _, r := range c.Txn.Rows(t) {
		if !strings.HasPrefix(r.ID.String(), strings.ToLower(name)) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s contains 2 or more rows whose UUIDs begin with %s", t.Name, name)
		}
		found = r
	}
	return found, nil
}

// mustRow is findRow where a missing row is an error, unless the call says
// --if-exists.
func (c *Context) mustRow(t *schema.Table, name string) (*replica.Row, error) {
	r, err := c.findRow(t, name)
	if r == nil && err == nil && !c.Has("--if-exists") {
		err = fmt.Errorf("no row \"%s\" in table %s", name, t.Name)
	}
	return r, err
}
