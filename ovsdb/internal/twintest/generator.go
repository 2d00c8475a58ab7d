// SPDX-License-Identifier: Apache-2.0

package twintest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generator makes random transactions on the twin schema, of all operations,
// most of them sensible, some wrong. "@n@" stands for the UUID of the n-th row
// that was inserted.
type Generator struct {
	Rows  int   // rows inserted so far
	Nodes []int // those of them that are in table node now

	r   *rand.Rand
	ids int // named UUIDs in this transaction
}

// NewGenerator returns the generator of a seed.
func NewGenerator(seed uint64) *Generator {
	return &Generator{r: rand.New(rand.NewPCG(seed, 0))}
}

func (g *Generator) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *Generator) chance(percent int) bool { return g.r.IntN(100) < percent }

// ref refers to a row of table node, or to none. (Not to one of another table:
// stock 3.1 takes a row's own UUID for a reference to itself, whatever the table,
// and lets it stand.)
func (g *Generator) ref() string {
	switch {
	case g.ids > 0 && g.chance(55):
		return fmt.Sprintf(`["named-uuid","n%d"]`, g.r.IntN(g.ids))
	case g.chance(2):
		return `["named-uuid","n3"]` // often one that nobody inserts
	case len(g.Nodes) == 0 || g.chance(2):
		return `["uuid","@99999999@"]`
	}
	n := len(g.Nodes)
	return fmt.Sprintf(`["uuid","@%d@"]`, g.Nodes[n-1-g.r.IntN(min(n, 25))])
}

// any refers to a row of whatever table.
func (g *Generator) any() string {
	if g.Rows == 0 || g.chance(30) {
		return g.ref()
	}
	return fmt.Sprintf(`["uuid","@%d@"]`, g.Rows-1-g.r.IntN(min(g.Rows, 40)))
}

// Ref refers to a row of table node.
func (g *Generator) Ref() string { return g.ref() }

func (g *Generator) atom(kind string) string {
	switch kind {
	case "i":
		return g.pick("0", "1", "2", "3", "-1", "5", "10", "11", "100", "1e1", "3.0", "9223372036854775807", "-9007199254740993") // not the least int64: stock 3.1 dies of dividing it by -1
	case "r":
		return g.pick("0", "1", "-1.5", "2.5", "0.1", "1e20", "3", "-7.25", "1e-9", "1.0e300")
	case "b":
		return g.pick("true", "false")
	case "s":
		return g.pick(`"a"`, `"b"`, `"c"`, `"red"`, `"green"`, `"blue"`, `"abcde"`, `"ab"`, `""`, `"é\u0001\n"`)
	}
	return g.ref()
}

// distinct returns n atoms, mostly different ones.
func (g *Generator) distinct(kind string, n int) []string {
	var out []string
	for range n * 3 {
		a := g.atom(kind)
		if len(out) < n && (!strings.Contains(strings.Join(out, " ")+" ", a+" ") || g.chance(2)) {
			out = append(out, a)
		}
	}
	return out
}

func (g *Generator) set(kind string) string {
	if g.chance(25) {
		return g.atom(kind)
	}
	return `["set",[` + strings.Join(g.distinct(kind, g.r.IntN(4)), ",") + `]]`
}

func (g *Generator) mapping(k, v string) string {
	var pairs []string
	for _, key := range g.distinct(k, g.r.IntN(4)) {
		pairs = append(pairs, "["+key+","+g.atom(v)+"]")
	}
	return `["map",[` + strings.Join(pairs, ",") + `]]`
}

// columns lists the columns of each table with their kinds: one letter a
// scalar, "?" optional, "*" a set, two letters a map.
var columns = map[string][]string{
	"types": {"i:i", "r:r", "b:b", "s:s", "u:u", "i0:i?", "r0:r?", "b0:b?", "s0:s?", "u0:u?", "si:i*", "sr:r*", "sb:b*", "ss:s*",
		"su:u*", "s13:i*", "mss:ss", "msi:si", "mii:ii", "mir:ir", "mub:ub", "ie:i?", "se:s*", "ir:i", "irmin:i?", "rr:r", "sl:s?",
		"imm:i", "eph:s"},
	"enumreq": {"n:i", "e:s"},
	"named":   {"name:s", "number:i", "zone:i"},
	"few":     {"n:i"},
	"root":    {"name:s", "kids:u*", "bykey:us", "byname:su", "weak:u*", "weak1:u?", "weakmap:su"},
	"node":    {"name:s", "next:u?", "peer:u*"},
	"needy":   {"name:s", "must:u*"},
	"strict":  {"must:u*"},
}

func (g *Generator) table() string {
	return g.pick("types", "types", "types", "named", "named", "few", "enumreq", "root", "root", "root", "root", "node", "node", "node", "needy", "strict")
}

func (g *Generator) column(table string) (name, kind string) {
	name, kind, _ = strings.Cut(g.pick(columns[table]...), ":")
	return name, kind
}

func (g *Generator) value(kind string) string {
	if g.chance(2) {
		kind = g.pick("i", "s", "u", "i*", "ss", "b")
	}
	if len(kind) == 1 {
		return g.atom(kind)
	}
	switch kind[1] {
	case '?':
		if g.chance(30) {
			return `["set",[]]`
		}
		return g.atom(kind[:1])
	case '*':
		return g.set(kind[:1])
	}
	return g.mapping(kind[:1], kind[1:])
}

func (g *Generator) row(table string, n int) string {
	var out []string
	seen := map[string]bool{}
	for range n {
		name, kind := g.column(table)
		if seen[name] {
			continue
		}
		seen[name] = true
		out = append(out, fmt.Sprintf(`"%s":%s`, name, g.value(kind)))
	}
	return "{" + strings.Join(out, ",") + "}"
}

func (g *Generator) where(table string) string {
	var out []string
	for range g.r.IntN(3) {
		name, kind := g.column(table)
		switch {
		case g.chance(10):
			out = append(out, g.pick("true", "true", "false"))
			continue
		case g.chance(30):
			out = append(out, fmt.Sprintf(`["_uuid","%s",%s]`, g.pick("==", "==", "!=", "includes", "excludes"), g.any()))
			continue
		}
		fn := g.pick("==", "==", "!=", "includes", "excludes", "excludes")
		if (kind[0] == 'i' || kind[0] == 'r') && g.chance(50) {
			fn = g.pick("<", "<=", ">", ">=")
			kind = kind[:1]
		}
		out = append(out, fmt.Sprintf(`["%s","%s",%s]`, name, fn, g.value(kind)))
	}
	return "[" + strings.Join(out, ",") + "]"
}

func (g *Generator) mutations(table string) string {
	var out []string
	for range 1 + g.r.IntN(3) {
		name, kind := g.column(table)
		m := g.pick("insert", "insert", "delete")
		arg := g.value(kind)
		switch {
		case (kind == "i" || kind == "r" || kind == "i?" || kind == "r?") && g.chance(90):
			m = g.pick("+=", "-=", "*=", "/=", "%=")
			arg = g.atom(kind[:1])
			if m == "*=" { // not 0: stock 3.1 divides by it
				arg = g.pick("2", "3", "-1", "10", "1e2")
			}
		case (kind == "i*" || kind == "r*") && g.chance(30):
			// Not what may make two elements equal: stock 3.1 dies of it.
			m = g.pick("+=", "-=")
			arg = g.pick("1", "-3", "100")
		case len(kind) == 2 && strings.Contains("sirbu", kind[1:]) && m == "delete" && g.chance(50):
			arg = g.set(kind[:1])
		}
		out = append(out, fmt.Sprintf(`["%s","%s",%s]`, name, m, arg))
	}
	return "[" + strings.Join(out, ",") + "]"
}

func (g *Generator) operation() string {
	t := g.table()
	switch n := g.r.IntN(100); {
	case n < 40:
		return g.insert(t)
	case n < 55:
		return fmt.Sprintf(`{"op":"update","table":"%s","where":%s,"row":%s}`, t, g.where(t), g.row(t, 1+g.r.IntN(2)))
	case n < 75:
		return fmt.Sprintf(`{"op":"mutate","table":"%s","where":%s,"mutations":%s}`, t, g.where(t), g.mutations(t))
	case n < 82:
		return fmt.Sprintf(`{"op":"delete","table":"%s","where":%s}`, t, g.where(t))
	case n < 93:
		name, _ := g.column(t)
		return fmt.Sprintf(`{"op":"select","table":"%s","where":%s,"columns":["%s"]}`, t, g.where(t), name)
	case n < 96:
		name, _ := g.column(t)
		return fmt.Sprintf(`{"op":"wait","table":"%s","where":%s,"columns":["%s"],"until":"%s","rows":[%s],"timeout":0}`,
			t, g.where(t), name, g.pick("==", "!=", "!="), g.row(t, g.r.IntN(2)))
	}
	return g.pick(`{"op":"comment","comment":"c"}`, `{"op":"commit","durable":false}`, `{"op":"abort"}`,
		`{"op":"assert","lock":"l"}`, `{"op":"nonsense"}`, `7`, `{"op":"select","table":"nosuch","where":[]}`,
		`{"op":"insert","table":"few","row":{"nosuch":1}}`)
}

func (g *Generator) insert(t string) string {
	name := ""
	if g.ids < 4 && t == "node" {
		name = fmt.Sprintf(`,"uuid-name":"n%d"`, g.ids)
		g.ids++
	}
	n := 1 + g.r.IntN(3)
	if t == "enumreq" && g.chance(80) {
		return fmt.Sprintf(`{"op":"insert","table":"enumreq"%s,"row":{"e":"%s"}}`, name, g.pick("x", "y", "z"))
	}
	if t == "named" {
		return fmt.Sprintf(`{"op":"insert","table":"named"%s,"row":{"name":"%d","number":%d,"zone":%d}}`, name, g.r.IntN(60), g.r.IntN(8), g.r.IntN(8))
	}
	return fmt.Sprintf(`{"op":"insert","table":"%s"%s,"row":%s}`, t, name, g.row(t, n))
}

// Transaction returns operations with commas between.
func (g *Generator) Transaction() string {
	g.ids = 0
	var ops []string
	// Often the rows that references of this transaction can mean.
	for range g.r.IntN(4) {
		ops = append(ops, g.insert("node"))
	}
	for range 1 + g.r.IntN(2) {
		ops = append(ops, g.operation())
	}
	g.r.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	return strings.Join(ops, ",")
}
