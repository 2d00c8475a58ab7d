// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// Parse parses a schema. The error names the place: table, column, member.
func Parse(text []byte) (*Schema, error) {
	v, err := jsontree.Parse(text, jsontree.Limits{})
	if err != nil {
		return nil, fmt.Errorf("parse database schema: %w", err)
	}
	return FromValue(v)
}

// FromValue is Parse for a schema that is part of a larger JSON text.
func FromValue(v jsontree.Value) (*Schema, error) {
	s, err := parseSchema(v)
	if err != nil {
		return nil, fmt.Errorf("parse database schema: %w", err)
	}
	return s, nil
}

// members splits an object into its members and refuses unknown ones. Names
// that start with "_" are comments and allowed, as stock does.
func members(v jsontree.Value, known ...string) (map[string]jsontree.Value, error) {
	if v.Kind() != jsontree.Object {
		return nil, fmt.Errorf("expected an object, not %s", v.Kind())
	}
	m := make(map[string]jsontree.Value, v.Len())
	for i := range v.Len() {
		key, val := v.Member(i)
		if !slices.Contains(known, key) && !strings.HasPrefix(key, "_") {
			return nil, fmt.Errorf("member %q is present but not allowed here", key)
		}
		m[key] = val
	}
	return m, nil
}

// text returns a string member; "" if it is absent and optional.
func text(m map[string]jsontree.Value, key string, required bool) (string, error) {
	v, ok := m[key]
	switch {
	case !ok && required:
		return "", fmt.Errorf("required member %q is missing", key)
	case ok && v.Kind() != jsontree.String:
		return "", fmt.Errorf("member %q: expected a string, not %s", key, v.Kind())
	}
	return v.Str(), nil
}

// flag returns a boolean member, def if it is absent.
func flag(m map[string]jsontree.Value, key string, def bool) (bool, error) {
	v, ok := m[key]
	if !ok {
		return def, nil
	}
	if v.Kind() != jsontree.Bool {
		return false, fmt.Errorf("member %q: expected a boolean, not %s", key, v.Kind())
	}
	return v.Bool(), nil
}

func parseSchema(v jsontree.Value) (*Schema, error) {
	m, err := members(v, "name", "version", "cksum", "tables")
	if err != nil {
		return nil, err
	}
	s := &Schema{byName: map[string]*Table{}}
	if s.Name, err = text(m, "name", true); err != nil {
		return nil, err
	}
	if !ovsdb.IsID(s.Name) {
		return nil, fmt.Errorf("name %q is not an <id>", s.Name)
	}
	if s.Version, err = text(m, "version", false); err != nil {
		return nil, err
	}
	if s.Version != "" && !isVersion(s.Version) {
		return nil, fmt.Errorf("version %q is not of the form x.y.z", s.Version)
	}
	if s.Cksum, err = text(m, "cksum", false); err != nil {
		return nil, err
	}
	tables, ok := m["tables"]
	if !ok || tables.Kind() != jsontree.Object {
		return nil, fmt.Errorf("member \"tables\" is missing or not an object")
	}
	anyRoot := false
	for i := range tables.Len() {
		name, tv := tables.Member(i)
		if !ovsdb.IsID(name) || name[0] == '_' {
			return nil, fmt.Errorf("table name %q is not an <id> or reserved", name)
		}
		t, err := parseTable(name, tv)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		s.Tables = append(s.Tables, t)
		s.byName[name] = t
		anyRoot = anyRoot || t.IsRoot
	}
	slices.SortFunc(s.Tables, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range s.Tables {
		t.Index = i
		t.IsRoot = t.IsRoot || !anyRoot
		for _, c := range t.Columns {
			if err := s.resolve(t, c); err != nil {
				return nil, fmt.Errorf("table %s: column %s: %w", t.Name, c.Name, err)
			}
		}
	}
	return s, nil
}

// isVersion reports whether v is three decimal numbers with points between.
func isVersion(v string) bool {
	parts := strings.Split(v, ".")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 3
}

// resolve finds the tables that a column refers to.
func (s *Schema) resolve(t *Table, c *Column) error {
	strong, weak := false, false
	look := func(b *ovsdb.BaseType) (*Table, error) {
		if b == nil || b.RefTable == "" {
			return nil, nil
		}
		target := s.byName[b.RefTable]
		if target == nil {
			return nil, fmt.Errorf("refers to undefined table %s", b.RefTable)
		}
		strong = strong || b.IsStrong()
		weak = weak || b.IsWeak()
		return target, nil
	}
	var err error
	if c.KeyTable, err = look(&c.Type.Key); err != nil {
		return err
	}
	if c.ValueTable, err = look(c.Type.Value); err != nil {
		return err
	}
	if strong {
		t.Strong = append(t.Strong, c)
	}
	if weak {
		t.Weak = append(t.Weak, c)
	}
	return nil
}

func parseTable(name string, v jsontree.Value) (*Table, error) {
	m, err := members(v, "columns", "maxRows", "isRoot", "indexes")
	if err != nil {
		return nil, err
	}
	t := &Table{Name: name, MaxRows: ovsdb.Unlimited, byName: map[string]*Column{}}
	if mr, ok := m["maxRows"]; ok {
		if mr.Kind() != jsontree.Integer || mr.Int() < 1 || mr.Int() > math.MaxInt32 {
			return nil, fmt.Errorf("maxRows is not a positive integer")
		}
		t.MaxRows = int(mr.Int())
	}
	_, t.saysRoot = m["isRoot"]
	if t.IsRoot, err = flag(m, "isRoot", false); err != nil {
		return nil, err
	}
	cols, ok := m["columns"]
	if !ok || cols.Kind() != jsontree.Object || cols.Len() == 0 {
		return nil, fmt.Errorf("member \"columns\" is missing, empty or not an object")
	}
	for i := range cols.Len() {
		name, cv := cols.Member(i)
		if !ovsdb.IsID(name) || name[0] == '_' {
			return nil, fmt.Errorf("column name %q is not an <id> or reserved", name)
		}
		c, err := parseColumn(name, cv)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		t.Columns = append(t.Columns, c)
		t.byName[name] = c
	}
	slices.SortFunc(t.Columns, func(a, b *Column) int { return strings.Compare(a.Name, b.Name) })
	for i, c := range t.Columns {
		c.Index = i
	}
	t.byName["_uuid"] = &Column{Name: "_uuid", Index: ovsdb.ColUUID, Type: ovsdb.ScalarType(ovsdb.UUIDType)}
	t.byName["_version"] = &Column{Name: "_version", Index: ovsdb.ColVersion, Type: ovsdb.ScalarType(ovsdb.UUIDType), Ephemeral: true}
	if ix, ok := m["indexes"]; ok {
		if t.Indexes, err = t.parseIndexes(ix); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Table) parseIndexes(v jsontree.Value) ([][]*Column, error) {
	if v.Kind() != jsontree.Array {
		return nil, fmt.Errorf("indexes: expected an array, not %s", v.Kind())
	}
	var out [][]*Column
	for _, iv := range v.Array() {
		if iv.Kind() != jsontree.Array || iv.Len() == 0 {
			return nil, fmt.Errorf("indexes: expected an array of column names")
		}
		var set []*Column
		for _, cv := range iv.Array() {
			c := t.byName[cv.Str()]
			switch {
			case cv.Kind() != jsontree.String || c == nil:
				return nil, fmt.Errorf("indexes: %s is not a column", cv.AppendJSON(nil))
			case c.Ephemeral:
				return nil, fmt.Errorf("indexes: ephemeral columns (such as %s) may not be indexed", c.Name)
			case slices.Contains(set, c):
				return nil, fmt.Errorf("indexes: column %s twice in one index", c.Name)
			}
			set = append(set, c)
		}
		out = append(out, set)
	}
	return out, nil
}

func parseColumn(name string, v jsontree.Value) (*Column, error) {
	m, err := members(v, "type", "mutable", "ephemeral")
	if err != nil {
		return nil, err
	}
	c := &Column{Name: name}
	if c.Mutable, err = flag(m, "mutable", true); err != nil {
		return nil, err
	}
	if c.Ephemeral, err = flag(m, "ephemeral", false); err != nil {
		return nil, err
	}
	tv, ok := m["type"]
	if !ok {
		return nil, fmt.Errorf("required member \"type\" is missing")
	}
	if c.Type, err = parseType(tv); err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	c.Default = c.Type.Default()
	return c, nil
}

// parseType parses a <type>: an atomic type's name or an object with key,
// value, min and max.
func parseType(v jsontree.Value) (ovsdb.ColumnType, error) {
	t := ovsdb.ColumnType{Min: 1, Max: 1}
	var err error
	if v.Kind() == jsontree.String {
		t.Key, err = parseBase(v)
		return t, err
	}
	m, err := members(v, "key", "value", "min", "max")
	if err != nil {
		return t, err
	}
	key, ok := m["key"]
	if !ok {
		return t, fmt.Errorf("required member \"key\" is missing")
	}
	if t.Key, err = parseBase(key); err != nil {
		return t, fmt.Errorf("key: %w", err)
	}
	if val, ok := m["value"]; ok {
		b, err := parseBase(val)
		if err != nil {
			return t, fmt.Errorf("value: %w", err)
		}
		t.Value = &b
	}
	if v, ok := m["min"]; ok {
		if v.Kind() != jsontree.Integer || v.Int() < 0 || v.Int() > 1 {
			return t, fmt.Errorf("min must be 0 or 1")
		}
		t.Min = int(v.Int())
	}
	if v, ok := m["max"]; ok {
		switch {
		case v.Kind() == jsontree.String && v.Str() == "unlimited":
			t.Max = ovsdb.Unlimited
		case v.Kind() == jsontree.Integer && v.Int() >= 1 && v.Int() <= math.MaxInt32:
			t.Max = int(v.Int())
		default:
			return t, fmt.Errorf("max must be a positive integer or \"unlimited\"")
		}
	}
	return t, nil
}

// parseBase parses a <base-type>.
func parseBase(v jsontree.Value) (ovsdb.BaseType, error) {
	none := ovsdb.BaseType{}
	if v.Kind() == jsontree.String {
		typ, ok := ovsdb.ParseType(v.Str())
		if !ok {
			return none, fmt.Errorf("%q is not an atomic type", v.Str())
		}
		return ovsdb.NewBaseType(typ), nil
	}
	m, err := members(v, "type", "enum", "minInteger", "maxInteger", "minReal", "maxReal",
		"minLength", "maxLength", "refTable", "refType")
	if err != nil {
		return none, err
	}
	name, err := text(m, "type", true)
	if err != nil {
		return none, err
	}
	typ, ok := ovsdb.ParseType(name)
	if !ok {
		return none, fmt.Errorf("%q is not an atomic type", name)
	}
	b := ovsdb.NewBaseType(typ)
	for key := range m {
		if !allowed(typ, key) {
			return none, fmt.Errorf("member %q does not apply to type %s", key, typ)
		}
	}
	if ev, ok := m["enum"]; ok {
		set := ovsdb.ColumnType{Key: ovsdb.NewBaseType(typ), Min: 1, Max: ovsdb.Unlimited}
		if b.Enum, err = ovsdb.DecodeDatum(ev, &set, nil); err != nil {
			return none, fmt.Errorf("enum: %w", err)
		}
		for key := range m {
			if key != "type" && key != "enum" {
				return none, fmt.Errorf("member %q is not allowed beside \"enum\"", key)
			}
		}
	}
	if err := parseBounds(m, &b); err != nil {
		return none, err
	}
	if b.RefTable, err = text(m, "refTable", false); err != nil {
		return none, err
	}
	kind, err := text(m, "refType", false)
	switch {
	case err != nil:
		return none, err
	case kind != "" && b.RefTable == "":
		return none, fmt.Errorf("refType without refTable")
	case kind == "weak":
		b.Weak = true
	case kind != "" && kind != "strong":
		return none, fmt.Errorf("refType must be \"strong\" or \"weak\", not %q", kind)
	}
	return b, nil
}

// allowed says which members a base type of the given atomic type may have.
func allowed(t ovsdb.Type, key string) bool {
	switch key {
	case "minInteger", "maxInteger":
		return t == ovsdb.Integer
	case "minReal", "maxReal":
		return t == ovsdb.Real
	case "minLength", "maxLength":
		return t == ovsdb.String
	case "refTable", "refType":
		return t == ovsdb.UUIDType
	}
	return true
}

func parseBounds(m map[string]jsontree.Value, b *ovsdb.BaseType) error {
	integer := func(key string, into func(int64)) error {
		v, ok := m[key]
		if ok && v.Kind() != jsontree.Integer {
			return fmt.Errorf("member %q: expected an integer, not %s", key, v.Kind())
		}
		if ok {
			into(v.Int())
		}
		return nil
	}
	realNum := func(key string, into *float64) error {
		v, ok := m[key]
		if ok && v.Kind() != jsontree.Integer && v.Kind() != jsontree.Real {
			return fmt.Errorf("member %q: expected a number, not %s", key, v.Kind())
		}
		if ok {
			*into = v.Float()
		}
		return nil
	}
	length := func(into *int) func(int64) {
		return func(n int64) { *into = int(max(-1, min(n, math.MaxInt32))) }
	}
	for _, err := range []error{
		integer("minInteger", func(n int64) { b.MinInteger = n }),
		integer("maxInteger", func(n int64) { b.MaxInteger = n }),
		realNum("minReal", &b.MinReal),
		realNum("maxReal", &b.MaxReal),
		integer("minLength", length(&b.MinLength)),
		integer("maxLength", length(&b.MaxLength)),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case b.MinInteger > b.MaxInteger:
		return fmt.Errorf("minInteger exceeds maxInteger")
	case b.MinReal > b.MaxReal:
		return fmt.Errorf("minReal exceeds maxReal")
	case b.MinLength < 0 || b.MaxLength < 0:
		return fmt.Errorf("negative length")
	case b.MinLength > b.MaxLength:
		return fmt.Errorf("minLength exceeds maxLength")
	}
	return nil
}
