// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/ovsdb"
)

func portCommands() []*ctl.Command {
	adds := needModel([2]string{"Interface", "error"}, [2]string{"Interface", "ofport"}, [2]string{"Port", "bond_fake_iface"})
	return []*ctl.Command{
		{Name: "list-ports", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: listPorts},
		{Name: "add-port", Args: "!BRIDGE !NEW-PORT *COLUMN?:KEY=VALUE", Min: 2, Max: ctl.Many, Options: "--may-exist", Need: settings(adds, 2), Run: cmdAddPort},
		{Name: "add-bond", Args: "!BRIDGE !BOND +IFACE *COLUMN?:KEY=VALUE", Min: 4, Max: ctl.Many, Options: "--may-exist,--fake-iface", Need: settings(adds, 2), Run: cmdAddBond},
		{Name: "del-port", Args: "?BRIDGE !PORT|IFACE", Min: 1, Max: 2, Options: "--if-exists,--with-iface", Need: needModel(), Run: delPort},
		{Name: "add-bond-iface", Args: "!BOND !IFACE", Min: 2, Max: 2, Options: "--may-exist", Need: adds, Run: addBondIface},
		{Name: "del-bond-iface", Args: "?BOND !IFACE", Min: 1, Max: 2, Options: "--if-exists", Need: adds, Run: delBondIface},
		{Name: "port-to-br", Args: "!PORT", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: portToBridge},
		{Name: "list-ifaces", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: listIfaces},
		{Name: "iface-to-br", Args: "!IFACE", Min: 1, Max: 1, ReadOnly: true, Need: needModel(), Run: ifaceToBridge},
	}
}

// settings is a Need function for a command with column settings behind its
// first n arguments.
func settings(base func(*ctl.Context) error, n int) func(*ctl.Context) error {
	return func(c *ctl.Context) error {
		if err := base(c); err != nil {
			return err
		}
		i := n
		for i < len(c.Args) && !strings.Contains(c.Args[i], "=") {
			i++
		}
		return c.NeedAssign(c.Schema.Table("Port"), c.Args[i:])
	}
}

func listPorts(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err != nil {
		return err
	}
	var names []string
	for _, p := range b.ports {
		names = append(names, p.name)
	}
	printSorted(c, names)
	return nil
}

func listIfaces(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err != nil {
		return err
	}
	var names []string
	for _, p := range b.ports {
		for _, i := range p.ifaces {
			if i.name != b.name {
				names = append(names, i.name)
			}
		}
	}
	printSorted(c, names)
	return nil
}

func cmdAddPort(c *ctl.Context) error {
	return addPort(c, c.Args[1:2], c.Args[2:])
}

func cmdAddBond(c *ctl.Context) error {
	n := 2
	for n < len(c.Args) && !strings.Contains(c.Args[n], "=") {
		n++
	}
	if n < 4 {
		return fmt.Errorf("add-bond requires at least 2 interfaces, but only %d were specified", n-2)
	}
	return addPort(c, c.Args[2:n], c.Args[n:])
}

func addPort(c *ctl.Context, ifaces, set []string) error {
	bridgeName, name := c.Args[0], c.Args[1]
	if name == "" {
		return fmt.Errorf("port name must not be empty string")
	}
	m := bridgesOf(c)
	if p := m.ports[name]; p != nil && c.Has("--may-exist") {
		return samePort(c, p, ifaces)
	}
	if err := m.free(name, "cannot create a port named "+name); err != nil {
		return err
	}
	for _, i := range ifaces {
		if err := m.free(i, "cannot create an interface named "+i); err != nil {
			return err
		}
	}
	b, err := m.bridge(bridgeName)
	if err != nil {
		return err
	}
	m.verify(c)
	p := c.Txn.Insert(c.Schema.Table("Port"))
	var refs []ovsdb.Atom
	for _, name := range ifaces {
		i := c.Txn.Insert(c.Schema.Table("Interface"))
		i.SetName("name", ovsdb.One(ovsdb.Str(name)))
		refs = append(refs, ovsdb.Ref(i.ID))
		state(c).new = append(state(c).new, i)
	}
	p.SetName("name", ovsdb.One(ovsdb.Str(name)))
	p.SetName("interfaces", ovsdb.NewSet(refs...))
	if c.Has("--fake-iface") {
		p.SetName("bond_fake_iface", ovsdb.One(ovsdb.Bool(true)))
	}
	if b.parent != nil {
		p.SetName("tag", ovsdb.One(ovsdb.Int(b.vlan)))
	}
	for _, s := range set {
		if err := c.Assign(p, s); err != nil {
			return err
		}
	}
	real := b.real()
	real.row.SetName("ports", with(real.row.Col("ports"), p))
	m.addPort(c, real, p)
	state(c).gen = c.Txn.Generation()
	return nil
}

// samePort checks what --may-exist found.
func samePort(c *ctl.Context, p *port, ifaces []string) error {
	call := "\"" + c.String() + "\""
	if p.bridge.name != c.Args[0] {
		return fmt.Errorf("%s but %s is actually attached to bridge %s", call, p.name, p.bridge.name)
	}
	var have []string
	for _, i := range p.ifaces {
		have = append(have, i.name)
	}
	want := slices.Clone(ifaces)
	sort.Strings(have)
	sort.Strings(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("%s but %s actually has interface(s) %s", call, p.name, strings.Join(have, ", "))
	}
	return nil
}

// deletePort removes a port and its interfaces from its bridge.
func deletePort(p *port) {
	row := p.bridge.row
	row.SetName("ports", without(row.Col("ports"), p.row))
	for _, i := range p.ifaces {
		i.row.Delete()
	}
	p.row.Delete()
}

func delPort(c *ctl.Context) error {
	m := bridgesOf(c)
	must := !c.Has("--if-exists")
	name := c.Args[len(c.Args)-1]
	p := m.ports[name]
	if i := m.ifaces[name]; p == nil && i != nil && c.Has("--with-iface") {
		p = i.port
	}
	if p == nil {
		switch {
		case !must:
			return nil
		case m.bridges[name] != nil:
			return fmt.Errorf("cannot delete port %s because it is the local port for bridge %s "+
				"(deleting this port requires deleting the entire bridge)", name, name)
		case c.Has("--with-iface"):
			return fmt.Errorf("no port or interface named %s", name)
		}
		return fmt.Errorf("no port named %s", name)
	}
	var b *bridge
	if len(c.Args) == 2 {
		var err error
		if b, err = m.bridge(c.Args[0]); err != nil {
			return err
		}
	}
	if b != nil && p.bridge != b {
		text := fmt.Sprintf("bridge %s does not have a port %s", b.name, name)
		if p.bridge.parent == b {
			text += fmt.Sprintf(" (although its child bridge %s does)", p.bridge.name)
		}
		return fmt.Errorf("%s", text)
	}
	m.verify(c)
	deletePort(p)
	return nil
}

func addBondIface(c *ctl.Context) error {
	m := bridgesOf(c)
	bond, name := c.Args[0], c.Args[1]
	p := m.ports[bond]
	if p == nil {
		return fmt.Errorf("no port named %s", bond)
	}
	if i := m.ifaces[name]; i != nil && c.Has("--may-exist") {
		if i.port == p {
			return nil
		}
		return fmt.Errorf("\"--may-exist %s %s %s\" but %s is actually attached to port %s", c.Name, bond, name, name, i.port.name)
	}
	if err := m.free(name, "cannot create an interface named "+name); err != nil {
		return err
	}
	p.row.Verify(p.row.Table.Column("interfaces"))
	i := c.Txn.Insert(c.Schema.Table("Interface"))
	i.SetName("name", ovsdb.One(ovsdb.Str(name)))
	state(c).new = append(state(c).new, i)
	p.row.SetName("interfaces", with(p.row.Col("interfaces"), i))
	return nil
}

func delBondIface(c *ctl.Context) error {
	m := bridgesOf(c)
	must := !c.Has("--if-exists")
	name := c.Args[len(c.Args)-1]
	i := m.ifaces[name]
	if i == nil {
		if must {
			return fmt.Errorf("no interface named %s", name)
		}
		return nil
	}
	if len(c.Args) == 2 {
		p := m.ports[c.Args[0]]
		if p == nil {
			if must {
				return fmt.Errorf("no port named %s", c.Args[0])
			}
			return nil
		}
		if i.port != p {
			if must {
				return fmt.Errorf("port %s does not have an interface %s", p.name, name)
			}
			return nil
		}
	}
	if len(i.port.ifaces) == 1 {
		return fmt.Errorf("cannot delete last interface from port %s", i.port.name)
	}
	row := i.port.row
	row.Verify(row.Table.Column("interfaces"))
	row.SetName("interfaces", without(row.Col("interfaces"), i.row))
	i.row.Delete()
	return nil
}

func portToBridge(c *ctl.Context) error {
	p := bridgesOf(c).ports[c.Args[0]]
	if p == nil {
		return fmt.Errorf("no port named %s", c.Args[0])
	}
	c.Out.WriteString(p.bridge.name + "\n")
	return nil
}

func ifaceToBridge(c *ctl.Context) error {
	i := bridgesOf(c).ifaces[c.Args[0]]
	if i == nil {
		return fmt.Errorf("no interface named %s", c.Args[0])
	}
	c.Out.WriteString(i.port.bridge.name + "\n")
	return nil
}
