// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
)

// exitError ends the tool silently with a code.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit with code %d", int(e)) }

func bridgeCommands() []*ctl.Command {
	errorColumns := [][2]string{{"Interface", "error"}, {"Interface", "ofport"}}
	external := [][2]string{{"Bridge", "external_ids"}, {"Port", "external_ids"}}
	return []*ctl.Command{
		{Name: "add-br", Args: "!NEW-BRIDGE ?PARENT ?NEW-VLAN", Min: 1, Max: 3, Options: "--may-exist", Need: needModel(errorColumns...), Run: addBridge},
		{Name: "del-br", Args: "!BRIDGE", Min: 1, Max: 1, Options: "--if-exists", Need: needModel(), Run: delBridge},
		{Name: "list-br", Max: 0, Options: "--real,--fake", ReadOnly: true, Need: needModel(), Run: listBridges},
		{Name: "br-exists", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: bridgeExists},
		{Name: "br-to-vlan", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: bridgeToVLAN},
		{Name: "br-to-parent", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: bridgeToParent},
		{Name: "br-set-external-id", Args: "!BRIDGE !KEY ?VALUE", Min: 2, Max: 3, Need: needModel(external...), Run: setExternalID},
		{Name: "br-get-external-id", Args: "!BRIDGE ?KEY", Min: 1, Max: 2, ReadOnly: true, Need: needModel(external...), Run: getExternalID},
	}
}

// atoi is C's: the leading number, 0 if there is none.
func atoi(s string) int64 {
	s = strings.TrimLeft(s, " \t")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 32)
	return n
}

func addBridge(c *ctl.Context) error {
	name := c.Args[0]
	if name == "" {
		return fmt.Errorf("bridge name must not be empty string")
	}
	var parentName string
	var vlan int64
	switch len(c.Args) {
	case 2:
		return fmt.Errorf("'%s' command takes exactly 1 or 3 arguments", c.Name)
	case 3:
		parentName, vlan = c.Args[1], atoi(c.Args[2])
		if vlan < 0 || vlan > 4095 {
			return fmt.Errorf("%s: vlan must be between 0 and 4095", c.Name)
		}
	}
	m := bridgesOf(c)
	if old := m.bridges[name]; old != nil && c.Has("--may-exist") {
		return sameBridge(old, parentName, vlan)
	}
	if err := m.free(name, "cannot create a bridge named "+name); err != nil {
		return err
	}
	m.verify(c)
	if parentName != "" {
		return addFake(c, m, name, parentName, vlan)
	}
	i, p := newLocalPort(c, name)
	p.SetName("interfaces", ovsdb.One(ovsdb.Ref(i.ID)))
	b := c.Txn.Insert(c.Schema.Table("Bridge"))
	b.SetName("name", ovsdb.One(ovsdb.Str(name)))
	b.SetName("ports", ovsdb.One(ovsdb.Ref(p.ID)))
	r := root(c)
	r.SetName("bridges", with(r.Col("bridges"), b))
	m.bridges[name] = &bridge{name: name, row: b}
	state(c).gen = c.Txn.Generation()
	return nil
}

// newLocalPort makes interface and port of a bridge.
func newLocalPort(c *ctl.Context, name string) (i, p *replica.Row) {
	i = c.Txn.Insert(c.Schema.Table("Interface"))
	i.SetName("name", ovsdb.One(ovsdb.Str(name)))
	i.SetName("type", ovsdb.One(ovsdb.Str("internal")))
	state(c).new = append(state(c).new, i)
	p = c.Txn.Insert(c.Schema.Table("Port"))
	p.SetName("name", ovsdb.One(ovsdb.Str(name)))
	return i, p
}

// sameBridge checks what --may-exist found.
func sameBridge(b *bridge, parent string, vlan int64) error {
	if parent == "" {
		if b.parent != nil {
			return fmt.Errorf("\"--may-exist add-br %s\" but %s is a VLAN bridge for VLAN %d", b.name, b.name, b.vlan)
		}
		return nil
	}
	call := fmt.Sprintf("\"--may-exist add-br %s %s %d\"", b.name, parent, vlan)
	switch {
	case b.parent == nil:
		return fmt.Errorf("%s but %s is not a VLAN bridge", call, b.name)
	case b.parent.name != parent:
		return fmt.Errorf("%s but %s has the wrong parent %s", call, b.name, b.parent.name)
	case b.vlan != vlan:
		return fmt.Errorf("%s but %s is a VLAN bridge for the wrong VLAN %d", call, b.name, b.vlan)
	}
	return nil
}

func addFake(c *ctl.Context, m *model, name, parentName string, vlan int64) error {
	parent := m.bridges[parentName]
	switch {
	case parent == nil:
		return fmt.Errorf("parent bridge %s does not exist", parentName)
	case parent.parent != nil:
		return fmt.Errorf("cannot create bridge with fake bridge as parent")
	}
	for _, k := range parent.kids {
		if k.vlan == vlan {
			return fmt.Errorf("bridge %s already has a child VLAN bridge %s on VLAN %d", parentName, k.name, vlan)
		}
	}
	i, p := newLocalPort(c, name)
	p.SetName("interfaces", ovsdb.One(ovsdb.Ref(i.ID)))
	p.SetName("fake_bridge", ovsdb.One(ovsdb.Bool(true)))
	p.SetName("tag", ovsdb.One(ovsdb.Int(vlan)))
	parent.row.SetName("ports", with(parent.row.Col("ports"), p))
	return nil
}

func delBridge(c *ctl.Context) error {
	m := bridgesOf(c)
	name := c.Args[0]
	b := m.bridges[name]
	if b == nil {
		if c.Has("--if-exists") {
			return nil
		}
		return fmt.Errorf("no bridge named %s", name)
	}
	m.verify(c)
	if b.parent != nil {
		deleteFake(b)
		return nil
	}
	for _, k := range b.kids {
		deleteFake(k)
	}
	for _, p := range b.ports {
		deletePort(p)
	}
	for _, p := range c.Txn.Refs(c.Schema.Table("Port"), b.row.Col("ports")) {
		deletePortRow(c, p) // the local port
	}
	r := root(c)
	r.SetName("bridges", without(r.Col("bridges"), b.row))
	b.row.Delete()
	return nil
}

func deleteFake(b *bridge) {
	for _, p := range b.ports {
		deletePort(p)
	}
	b.row.SetName("ports", without(b.row.Col("ports"), b.fake))
	b.fake.Delete()
}

func deletePortRow(c *ctl.Context, p *replica.Row) {
	for _, i := range c.Txn.Refs(c.Schema.Table("Interface"), p.Col("interfaces")) {
		i.Delete()
	}
	p.Delete()
}

func listBridges(c *ctl.Context) error {
	m := bridgesOf(c)
	all := c.Has("--real") == c.Has("--fake")
	var names []string
	for name, b := range m.bridges {
		if all || c.Has("--fake") == (b.parent != nil) {
			names = append(names, name)
		}
	}
	printSorted(c, names)
	return nil
}

func bridgeExists(c *ctl.Context) error {
	if bridgesOf(c).bridges[c.Args[0]] == nil {
		return exitError(2)
	}
	return nil
}

func bridgeToVLAN(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err == nil {
		fmt.Fprintf(&c.Out, "%d\n", b.vlan)
	}
	return err
}

func bridgeToParent(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err == nil {
		fmt.Fprintf(&c.Out, "%s\n", b.real().name)
	}
	return err
}

// idsOf returns the row that holds a bridge's external ids, and what its keys
// begin with: those of a fake bridge are in its port.
func idsOf(b *bridge) (row *replica.Row, prefix string) {
	if b.parent != nil {
		return b.fake, "fake-bridge-"
	}
	return b.row, ""
}

func setExternalID(c *ctl.Context) error {
	m := bridgesOf(c)
	b, err := m.bridge(c.Args[0])
	if err != nil {
		return err
	}
	row, prefix := idsOf(b)
	col := row.Table.Column("external_ids")
	key := ovsdb.Str(prefix + c.Args[1])
	row.Verify(col)
	d := row.Get(col).Minus(ovsdb.One(key))
	if len(c.Args) > 2 {
		d = d.Union(ovsdb.NewMap(ovsdb.Pair{K: key, V: ovsdb.Str(c.Args[2])}))
	}
	row.Set(col, d)
	return nil
}

func getExternalID(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err != nil {
		return err
	}
	row, prefix := idsOf(b)
	d := row.Col("external_ids")
	if len(c.Args) > 1 {
		if v, ok := d.Lookup(ovsdb.Str(prefix + c.Args[1])); ok {
			c.Out.WriteString(v.Str() + "\n")
		}
		return nil
	}
	var lines []string
	for i, k := range d.Keys() {
		if key, ok := strings.CutPrefix(k.Str(), prefix); ok {
			lines = append(lines, key+"="+d.Value(i).Str())
		}
	}
	printSorted(c, lines)
	return nil
}
