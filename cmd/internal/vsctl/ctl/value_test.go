// SPDX-License-Identifier: Apache-2.0

package ctl_test

import (
	"testing"

	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/ovsdb"
)

// types are the shapes of column that the notation knows.
func types() []ovsdb.ColumnType {
	base := func(t ovsdb.Type) ovsdb.BaseType { return ovsdb.NewBaseType(t) }
	value := base(ovsdb.String)
	number := base(ovsdb.Integer)
	vlan := base(ovsdb.Integer)
	vlan.MinInteger, vlan.MaxInteger = 0, 4095
	return []ovsdb.ColumnType{
		ovsdb.ScalarType(ovsdb.String),
		ovsdb.ScalarType(ovsdb.Boolean),
		ovsdb.ScalarType(ovsdb.Real),
		{Key: vlan, Max: 4096},
		{Key: base(ovsdb.UUIDType), Max: ovsdb.Unlimited},
		{Key: base(ovsdb.String), Value: &value, Max: ovsdb.Unlimited},
		{Key: base(ovsdb.Integer), Value: &number, Max: 3},
	}
}

// FuzzParseDatum: any text is refused or read without a panic, and what was
// read prints as a text that reads back as the same value.
func FuzzParseDatum(f *testing.F) {
	for _, s := range []string{"", "a", `"a b"`, "true", "1.5", "1-5,9", "[1, 2]", "[]", "{}", "{a=b, c=\"d\\u00e9\"}", "a=b c=d", "{1=2", "]", "a\"b",
		"01234567-89ab-cdef-0123-456789abcdef", "1-9999999999999999999", `"\ud800"`, `"\\"`, "-0", "9223372036854775807-9223372036854775807", `x="`} {
		for i := range types() {
			f.Add(s, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, s string, which uint8) {
		typ := types()[int(which)%len(types())]
		d, err := ctl.ParseDatum(s, &typ, nil)
		if err != nil {
			return
		}
		if err := typ.CheckSize(d); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		text := table.Format(d, &typ)
		again, err := ctl.ParseDatum(text, &typ, nil)
		if typ.Key.Type == ovsdb.Real && err == nil {
			return // printed with 15 digits
		}
		if err != nil || !again.Equal(d) {
			t.Fatalf("%q is %v, printed %q, read back %v, %v", s, d, text, again, err)
		}
	})
}
