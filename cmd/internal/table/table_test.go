// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"strings"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/ovsdb"
)

func sample() *table.Table {
	text := ovsdb.NewBaseType(ovsdb.String)
	name := ovsdb.ScalarType(ovsdb.String)
	vlans := ovsdb.ColumnType{Key: ovsdb.NewBaseType(ovsdb.Integer), Max: 4096}
	config := ovsdb.ColumnType{Key: text, Value: &text, Max: ovsdb.Unlimited}
	pair := func(k, v string) ovsdb.Pair { return ovsdb.Pair{K: ovsdb.Str(k), V: ovsdb.Str(v)} }
	t := &table.Table{Caption: "Bridge table", Headings: []string{"flood_vlans", "name", "other_config"}}
	t.Add(table.Value(ovsdb.NewSet(), &vlans), table.Value(ovsdb.One(ovsdb.Str("br0")), &name),
		table.Value(ovsdb.NewMap(pair("a", "x,y"), pair("b", `q"r`), pair("c", "<&>"), pair("d", "é\n x")), &config))
	t.Add(table.Value(ovsdb.NewSet(), &vlans), table.Value(ovsdb.One(ovsdb.Str("x")), &name), table.Value(ovsdb.NewMap(), &config))
	return t
}

// TestPrint: the samples were printed by ovsdb-client 3.1.0 for the same
// contents.
func TestPrint(t *testing.T) {
	for _, c := range []struct {
		style table.Style
		want  string
	}{
		{table.Style{Layout: table.Grid, Headings: true}, `Bridge table
flood_vlans name other_config
----------- ---- ----------------------------------------
[]          br0  {a="x,y", b="q\"r", c="<&>", d="é\n x"}
[]          x    {}
`},
		{table.Style{Layout: table.Grid, Headings: true, Cells: table.Bare}, `Bridge table
flood_vlans name other_config
----------- ---- -------------------------
            br0  a=x,y b=q"r c=<&> d=é
 x
            x
`},
		{table.Style{Layout: table.Grid, Headings: true, Width: 10}, `Bridge table
flood_vlans name other_config
----------- ---- ------------
[]          br0  {a="x,y", b=
[]          x    {}
`},
		{table.Style{Layout: table.Grid}, `Bridge table
[] br0 {a="x,y", b="q\"r", c="<&>", d="é\n x"}
[] x   {}
`},
		{table.Style{Layout: table.List, Headings: true}, `Bridge table
flood_vlans         : []
name                : br0
other_config        : {a="x,y", b="q\"r", c="<&>", d="é\n x"}

flood_vlans         : []
name                : x
other_config        : {}
`},
		{table.Style{Layout: table.List, Cells: table.Bare}, `Bridge table

br0
a=x,y b=q"r c=<&> d=é
 x


x

`},
		{table.Style{Layout: table.CSV, Headings: true}, `Bridge table
flood_vlans,name,other_config
[],br0,"{a=""x,y"", b=""q\""r"", c=""<&>"", d=""é\n x""}"
[],x,{}
`},
		{table.Style{Layout: table.HTML}, `<table border=1>
    <caption>Bridge table</caption>
  <tr>
    <td>[]</td>
    <td>br0</td>
    <td>{a=&quot;x,y&quot;, b=&quot;q\&quot;r&quot;, c=&quot;&lt;&amp;&gt;&quot;, d=&quot;é\n x&quot;}</td>
  </tr>
  <tr>
    <td>[]</td>
    <td>x</td>
    <td>{}</td>
  </tr>
</table>
`},
		{table.Style{Layout: table.JSONLayout}, `{"caption":"Bridge table","data":[[["set",[]],"br0",["map",[["a","x,y"],["b","q\"r"],["c","<&>"],["d","é\n x"]]]],[["set",[]],"x",["map",[]]]],"headings":["flood_vlans","name","other_config"]}
`},
	} {
		var b strings.Builder
		p := table.NewPrinter(&b, c.style)
		if err := p.Print(sample()); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("%+v:\ngot:\n%s\nwant:\n%s", c.style, b.String(), c.want)
		}
		// A second table is set off by a blank line, but for HTML and JSON.
		one := b.String()
		p.Print(sample())
		sep := "\n"
		if c.style.Layout == table.HTML || c.style.Layout == table.JSONLayout {
			sep = ""
		}
		if b.String() != one+sep+one {
			t.Errorf("%+v: two tables:\n%s", c.style, b.String())
		}
	}
}

func TestIndent(t *testing.T) {
	got := table.Indent(`{"a":[1,{"b":"x,{\"y\":[]"}],"c":{},"d":[]}`)
	want := "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,{\\\"y\\\":[]\"}],\n  \"c\": {},\n  \"d\": []}"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
