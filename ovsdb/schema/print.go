// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"math"
	"strconv"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// object builds a JSON object member by member.
type object struct {
	b     []byte
	comma bool
}

func (o *object) key(name string) {
	if o.comma {
		o.b = append(o.b, ',')
	}
	o.comma = true
	o.b = jsontree.AppendString(o.b, name)
	o.b = append(o.b, ':')
}

func (o *object) str(name, val string) {
	o.key(name)
	o.b = jsontree.AppendString(o.b, val)
}

func (o *object) raw(name, val string) {
	o.key(name)
	o.b = append(o.b, val...)
}

// AppendJSON appends the schema as get_schema answers it: members sorted, what
// equals the default left out.
func (s *Schema) AppendJSON(b []byte) []byte {
	o := object{b: append(b, '{')}
	if s.Cksum != "" {
		o.str("cksum", s.Cksum)
	}
	o.str("name", s.Name)
	o.key("tables")
	o.b = append(o.b, '{')
	for i, t := range s.Tables {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = jsontree.AppendString(o.b, t.Name)
		o.b = append(o.b, ':')
		o.b = t.appendJSON(o.b)
	}
	o.b = append(o.b, '}')
	if s.Version != "" {
		o.str("version", s.Version)
	}
	return append(o.b, '}')
}

func (t *Table) appendJSON(b []byte) []byte {
	o := object{b: append(b, '{')}
	o.key("columns")
	o.b = append(o.b, '{')
	for i, c := range t.Columns {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = jsontree.AppendString(o.b, c.Name)
		o.b = append(o.b, ':')
		o.b = c.appendJSON(o.b)
	}
	o.b = append(o.b, '}')
	if len(t.Indexes) > 0 {
		o.key("indexes")
		for i, set := range t.Indexes {
			sep := byte(',')
			if i == 0 {
				sep = '['
			}
			o.b = append(o.b, sep, '[')
			for j, c := range set {
				if j > 0 {
					o.b = append(o.b, ',')
				}
				o.b = jsontree.AppendString(o.b, c.Name)
			}
			o.b = append(o.b, ']')
		}
		o.b = append(o.b, ']')
	}
	if t.saysRoot && t.IsRoot {
		o.raw("isRoot", "true")
	}
	if t.MaxRows != ovsdb.Unlimited {
		o.raw("maxRows", strconv.Itoa(t.MaxRows))
	}
	return append(o.b, '}')
}

func (c *Column) appendJSON(b []byte) []byte {
	o := object{b: append(b, '{')}
	if c.Ephemeral {
		o.raw("ephemeral", "true")
	}
	if !c.Mutable {
		o.raw("mutable", "false")
	}
	o.key("type")
	o.b = appendType(o.b, &c.Type)
	return append(o.b, '}')
}

func appendType(b []byte, t *ovsdb.ColumnType) []byte {
	if t.IsScalar() && simple(&t.Key) {
		return jsontree.AppendString(b, t.Key.Type.String())
	}
	o := object{b: append(b, '{')}
	o.key("key")
	o.b = appendBase(o.b, &t.Key)
	if t.Max == ovsdb.Unlimited {
		o.str("max", "unlimited")
	} else if t.Max != 1 {
		o.raw("max", strconv.Itoa(t.Max))
	}
	if t.Min != 1 {
		o.raw("min", strconv.Itoa(t.Min))
	}
	if t.IsMap() {
		o.key("value")
		o.b = appendBase(o.b, t.Value)
	}
	return append(o.b, '}')
}

// simple reports whether a base type has no constraint.
func simple(t *ovsdb.BaseType) bool {
	return t.Enum.Len() == 0 && t.RefTable == "" && t.MinInteger == math.MinInt64 && t.MaxInteger == math.MaxInt64 &&
		t.MinReal == -math.MaxFloat64 && t.MaxReal == math.MaxFloat64 && t.MinLength == 0 && t.MaxLength == ovsdb.Unlimited
}

func appendBase(b []byte, t *ovsdb.BaseType) []byte {
	if simple(t) {
		return jsontree.AppendString(b, t.Type.String())
	}
	o := object{b: append(b, '{')}
	if t.Enum.Len() > 0 {
		o.key("enum")
		o.b = t.Enum.AppendJSON(o.b)
	}
	if t.MaxInteger != math.MaxInt64 {
		o.raw("maxInteger", strconv.FormatInt(t.MaxInteger, 10))
	}
	if t.MaxLength != ovsdb.Unlimited {
		o.raw("maxLength", strconv.Itoa(t.MaxLength))
	}
	if t.MaxReal != math.MaxFloat64 {
		o.key("maxReal")
		o.b = jsontree.AppendExact(o.b, t.MaxReal)
	}
	if t.MinInteger != math.MinInt64 {
		o.raw("minInteger", strconv.FormatInt(t.MinInteger, 10))
	}
	if t.MinLength != 0 {
		o.raw("minLength", strconv.Itoa(t.MinLength))
	}
	if t.MinReal != -math.MaxFloat64 {
		o.key("minReal")
		o.b = jsontree.AppendExact(o.b, t.MinReal)
	}
	if t.RefTable != "" {
		o.str("refTable", t.RefTable)
		if t.Weak {
			o.str("refType", "weak")
		}
	}
	o.str("type", t.Type.String())
	return append(o.b, '}')
}
