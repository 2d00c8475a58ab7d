// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"sort"

	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
)

// model is the bridges of a database.
type model struct {
	bridges map[string]*bridge
	ports   map[string]*port
	ifaces  map[string]*iface
}

type bridge struct {
	name   string
	row    *replica.Row // of table Bridge: for a fake bridge its parent's
	fake   *replica.Row // of table Port; nil for a real bridge
	parent *bridge      // nil for a real bridge
	vlan   int64        // of a fake bridge
	ports  []*port      // without the local port
	kids   []*bridge    // fake bridges on this one
}

type port struct {
	name   string
	row    *replica.Row
	bridge *bridge
	ifaces []*iface
}

type iface struct {
	name string
	row  *replica.Row
	port *port
}

// line is what the calls of a command line share.
type line struct {
	model *model
	gen   uint64         // of the transaction when model was made
	new   []*replica.Row // interfaces added, to be looked at when the switch is done
}

func state(c *ctl.Context) *line { return c.State.(*line) }

// root returns the one row of table Open_vSwitch.
func root(c *ctl.Context) *replica.Row {
	t := c.Schema.Table("Open_vSwitch")
	if rows := c.Txn.Rows(t); len(rows) > 0 {
		return rows[0]
	}
	return c.Txn.Insert(t)
}

// bridgesOf returns the model, made anew if rows have changed since.
func bridgesOf(c *ctl.Context) *model {
	l := state(c)
	if l.model == nil || l.gen != c.Txn.Generation() {
		l.model = newModel(c)
		l.gen = c.Txn.Generation()
	}
	return l.model
}

func newModel(c *ctl.Context) *model {
	m := &model{bridges: make(map[string]*bridge), ports: make(map[string]*port), ifaces: make(map[string]*iface)}
	bridges, ports := c.Schema.Table("Bridge"), c.Schema.Table("Port")
	type pending struct {
		b   *bridge
		row *replica.Row
	}
	var later []pending
	rows := c.Txn.Refs(bridges, root(c).Col("bridges"))
	for _, r := range rows {
		name := r.Str("name")
		if m.bridges[name] != nil {
			c.Warn("vsctl", fmt.Sprintf("%s: database contains duplicate bridge name", name))
			continue
		}
		m.bridges[name] = &bridge{name: name, row: r}
	}
	for _, r := range rows {
		b := m.bridges[r.Str("name")]
		if b == nil || b.row != r {
			continue
		}
		for _, p := range c.Txn.Refs(ports, r.Col("ports")) {
			name, tag := p.Str("name"), p.Col("tag")
			switch {
			case name == b.name:
				// its local port
			case tag.Len() == 1 && isTrue(p.Col("fake_bridge")):
				if m.bridges[name] != nil {
					c.Warn("vsctl", fmt.Sprintf("%s: database contains duplicate bridge name", name))
					continue
				}
				f := &bridge{name: name, row: r, fake: p, parent: b, vlan: tag.Key(0).Int()}
				m.bridges[name] = f
				b.kids = append(b.kids, f)
			default:
				later = append(later, pending{b, p})
			}
		}
	}
	for _, x := range later {
		m.addPort(c, x.b, x.row)
	}
	return m
}

func isTrue(d ovsdb.Datum) bool { return d.Len() == 1 && d.Key(0).Bool() }

// addPort puts a port under its bridge, or under the fake bridge of its VLAN.
func (m *model) addPort(c *ctl.Context, b *bridge, row *replica.Row) *port {
	name := row.Str("name")
	if old := m.ports[name]; old != nil {
		c.Warn("vsctl", fmt.Sprintf("%s: database contains duplicate port name", name))
		return old
	}
	if tag := row.Col("tag"); tag.Len() == 1 {
		for _, k := range b.kids {
			if k.vlan == tag.Key(0).Int() {
				b = k
				break
			}
		}
	}
	p := &port{name: name, row: row, bridge: b}
	b.ports = append(b.ports, p)
	m.ports[name] = p
	for _, r := range c.Txn.Refs(c.Schema.Table("Interface"), row.Col("interfaces")) {
		i := &iface{name: r.Str("name"), row: r, port: p}
		p.ifaces = append(p.ifaces, i)
		m.ifaces[i.name] = i
	}
	return p
}

// real returns the bridge that the database knows: b, or its parent.
func (b *bridge) real() *bridge {
	if b.parent != nil {
		return b.parent
	}
	return b
}

func (m *model) bridge(name string) (*bridge, error) {
	if b := m.bridges[name]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("no bridge named %s", name)
}

// realBridge refuses fake ones.
func (m *model) realBridge(name string) (*bridge, error) {
	b, err := m.bridge(name)
	if err == nil && b.parent != nil {
		return nil, fmt.Errorf("%s is a fake bridge", name)
	}
	return b, err
}

// free reports a conflict of a new object's name with an existing one.
func (m *model) free(name, what string) error {
	if m.bridges[name] != nil {
		return fmt.Errorf("%s because a bridge named %s already exists", what, name)
	}
	if p := m.ports[name]; p != nil {
		return fmt.Errorf("%s because a port named %s already exists on bridge %s", what, name, p.bridge.name)
	}
	if i := m.ifaces[name]; i != nil {
		return fmt.Errorf("%s because an interface named %s already exists on bridge %s", what, name, i.port.bridge.name)
	}
	return nil
}

// printSorted writes names, one a line.
func printSorted(c *ctl.Context, names []string) {
	sort.Strings(names)
	for _, n := range names {
		c.Out.WriteString(n + "\n")
	}
}

// refs returns a column's references with one more or less.
func with(d ovsdb.Datum, r *replica.Row) ovsdb.Datum { return d.Union(ovsdb.One(ovsdb.Ref(r.ID))) }

func without(d ovsdb.Datum, r *replica.Row) ovsdb.Datum { return d.Minus(ovsdb.One(ovsdb.Ref(r.ID))) }

// need returns a Need function for columns named "Table.column".
func need(names ...[2]string) func(*ctl.Context) error {
	return func(c *ctl.Context) error {
		for _, n := range names {
			t := c.Schema.Table(n[0])
			if t == nil {
				return fmt.Errorf("database has no table %s", n[0])
			}
			c.Needs.Column(t, t.Column(n[1]))
		}
		return nil
	}
}

// structure is what the model is made of.
var structure = [...][2]string{
	{"Open_vSwitch", "bridges"}, {"Bridge", "name"}, {"Bridge", "ports"},
	{"Port", "name"}, {"Port", "fake_bridge"}, {"Port", "tag"}, {"Port", "interfaces"}, {"Interface", "name"},
}

// needModel is need for the model and further columns.
func needModel(more ...[2]string) func(*ctl.Context) error {
	return need(append(structure[:len(structure):len(structure)], more...)...)
}

// verify makes the transaction depend on which bridges and ports there are.
func (m *model) verify(c *ctl.Context) {
	r := root(c)
	r.Verify(r.Table.Column("bridges"))
	for _, b := range m.bridges {
		if b.parent == nil {
			b.row.Verify(b.row.Table.Column("ports"))
		}
	}
}
