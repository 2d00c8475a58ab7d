// SPDX-License-Identifier: Apache-2.0

package ovsdbclient

import (
	"testing"
)

const fileSchema = `{"name":"T","version":"1.0.0","tables":{"A":{"isRoot":true,"columns":{"s":{"type":{"key":"integer","min":0,"max":"unlimited"}},"t":{"type":"string"}}}}}`

// TestReadFile: records with whole values, differences and deletions.
func TestReadFile(t *testing.T) {
	const a, b = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
	raw := record([]byte(fileSchema)) +
		record([]byte(`{"_date":1,"A":{"`+a+`":{"s":["set",[1,2]],"t":"x"},"`+b+`":{"s":3}}}`)) +
		record([]byte(`{"_date":2,"_is_diff":true,"A":{"`+a+`":{"s":["set",[2,5]]}}}`)) +
		record([]byte(`{"_date":3,"A":{"`+b+`":null}}`)) +
		record([]byte(`{"_date":4,"A":{"`+a+`":{"t":"y"},"`+b+`":{"s":9}}}`)) +
		record([]byte(`{"_date":5,"A":{"`+b+`":null}}`)) +
		record([]byte(`{"_date":6,"A":{"`+a+`":null}}`)) +
		record([]byte(`{"_date":7,"A":{"`+a+`":{"s":["set",[1,5]],"t":"y"}}}`))
	sch, all, err := readFile([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	tab := sch.Table("A")
	x := all[tab.Index]
	if len(x.order) != 1 || x.order[0].String() != a {
		t.Fatalf("rows %v", x.order)
	}
	row := x.rows[x.order[0]]
	if got := row[tab.Column("s").Index].String() + row[tab.Column("t").Index].String(); got != `["set",[1,5]]"y"` {
		t.Errorf("row %s", got)
	}
	for i := range len(raw) { // any cut is noticed, but between records
		if _, _, err := readFile([]byte(raw[:i])); err == nil && raw[i] != 'O' {
			t.Errorf("no error for a file cut at %d of %d", i, len(raw))
		}
	}
}

// FuzzReadFile: no input makes reading panic, and the rows it yields are
// complete.
func FuzzReadFile(f *testing.F) {
	for _, s := range []string{`{"A":{"00000000-0000-0000-0000-00000000000a":{"s":1}}}`, `{"A":{"x":1}}`, `{"_is_diff":true,"A":{"00000000-0000-0000-0000-00000000000a":{"s":["set",[1,2]]}}}`, `[]`, `{"B":{}}`} {
		f.Add([]byte(s), []byte(s))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		sch, all, err := readFile([]byte(record([]byte(fileSchema)) + record(one) + record(two)))
		if err != nil {
			return
		}
		for _, tab := range sch.Tables {
			for _, id := range all[tab.Index].order {
				row := all[tab.Index].rows[id]
				for _, c := range tab.Columns {
					if err := c.Type.CheckSize(row[c.Index]); err != nil {
						t.Fatal(err)
					}
				}
				appendInsert(nil, tab, id, row, all)
			}
		}
		readFile(one)
	})
}
