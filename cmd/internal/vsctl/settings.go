// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"strconv"

	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/schema"
)

func settingCommands() []*ctl.Command {
	controllers := needModel([2]string{"Bridge", "controller"}, [2]string{"Bridge", "fail_mode"}, [2]string{"Controller", "target"},
		[2]string{"Controller", "inactivity_probe"})
	managers := need([2]string{"Open_vSwitch", "manager_options"}, [2]string{"Manager", "target"}, [2]string{"Manager", "inactivity_probe"})
	ssl := need([2]string{"Open_vSwitch", "ssl"}, [2]string{"SSL", "private_key"}, [2]string{"SSL", "certificate"},
		[2]string{"SSL", "ca_cert"}, [2]string{"SSL", "bootstrap_ca_cert"})
	aa := needModel([2]string{"Bridge", "auto_attach"}, [2]string{"AutoAttach", "mappings"})
	return []*ctl.Command{
		{Name: "get-controller", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: controllers, Run: getController},
		{Name: "del-controller", Args: "!BRIDGE", Min: 1, Max: 1, Need: controllers, Run: delController},
		{Name: "set-controller", Args: "!BRIDGE +TARGET", Min: 1, Max: ctl.Many, Options: "--inactivity-probe=", Need: controllers, Run: setController},
		{Name: "get-fail-mode", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: controllers, Run: getFailMode},
		{Name: "del-fail-mode", Args: "!BRIDGE", Min: 1, Max: 1, Need: controllers, Run: delFailMode},
		{Name: "set-fail-mode", Args: "!BRIDGE !MODE", Min: 2, Max: 2, Need: controllers, Run: setFailMode},
		{Name: "get-manager", Max: 0, ReadOnly: true, Need: managers, Run: getManager},
		{Name: "del-manager", Max: 0, Need: managers, Run: delManager},
		{Name: "set-manager", Args: "+TARGET", Min: 1, Max: ctl.Many, Options: "--inactivity-probe=", Need: managers, Run: setManager},
		{Name: "get-ssl", Max: 0, ReadOnly: true, Need: ssl, Run: getSSL},
		{Name: "del-ssl", Max: 0, Need: ssl, Run: delSSL},
		{Name: "set-ssl", Args: "!PRIVATE-KEY !CERTIFICATE !CA-CERT", Min: 3, Max: 3, Options: "--bootstrap", Need: ssl, Run: setSSL},
		{Name: "add-aa-mapping", Args: "!BRIDGE !ARG !ARG", Min: 3, Max: 3, Need: aa, Run: addMapping},
		{Name: "del-aa-mapping", Args: "!BRIDGE !ARG !ARG", Min: 3, Max: 3, Need: aa, Run: delMapping},
		{Name: "get-aa-mapping", Args: "!BRIDGE", Min: 1, Max: 1, ReadOnly: true, Need: aa, Run: getMapping},
	}
}

// targets prints the targets of a column's rows.
func targets(c *ctl.Context, t *schema.Table, d ovsdb.Datum) {
	var names []string
	for _, r := range c.Txn.Refs(t, d) {
		r.Verify(t.Column("target"))
		names = append(names, r.Str("target"))
	}
	printSorted(c, names)
}

// replace makes a column refer to new rows with the given targets instead of
// what it refers to now.
func replace(c *ctl.Context, owner *replica.Row, column string, t *schema.Table, names []string) error {
	col := owner.Table.Column(column)
	owner.Verify(col)
	for _, r := range c.Txn.Refs(t, owner.Get(col)) {
		r.Delete()
	}
	var refs []ovsdb.Atom
	for _, name := range names {
		if !stream.IsName(name) {
			c.Warn("vsctl", fmt.Sprintf("target type \"%s\" is possibly erroneous", name))
		}
		r := c.Txn.Insert(t)
		r.SetName("target", ovsdb.One(ovsdb.Str(name)))
		if text, ok := c.Option("--inactivity-probe"); ok {
			ms, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				ms = atoi(text)
			}
			r.SetName("inactivity_probe", ovsdb.One(ovsdb.Int(ms)))
		}
		refs = append(refs, ovsdb.Ref(r.ID))
	}
	owner.Set(col, ovsdb.NewSet(refs...))
	return nil
}

func getController(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err == nil {
		targets(c, c.Schema.Table("Controller"), b.row.Col("controller"))
	}
	return err
}

func delController(c *ctl.Context) error {
	b, err := bridgesOf(c).realBridge(c.Args[0])
	if err != nil {
		return err
	}
	return replace(c, b.row, "controller", c.Schema.Table("Controller"), nil)
}

func setController(c *ctl.Context) error {
	b, err := bridgesOf(c).realBridge(c.Args[0])
	if err != nil {
		return err
	}
	return replace(c, b.row, "controller", c.Schema.Table("Controller"), c.Args[1:])
}

func getFailMode(c *ctl.Context) error {
	b, err := bridgesOf(c).bridge(c.Args[0])
	if err != nil {
		return err
	}
	if mode := b.row.Str("fail_mode"); mode != "" {
		c.Out.WriteString(mode + "\n")
	}
	return nil
}

func delFailMode(c *ctl.Context) error {
	b, err := bridgesOf(c).realBridge(c.Args[0])
	if err == nil {
		b.row.SetName("fail_mode", ovsdb.Datum{})
	}
	return err
}

func setFailMode(c *ctl.Context) error {
	b, err := bridgesOf(c).realBridge(c.Args[0])
	if err != nil {
		return err
	}
	mode := c.Args[1]
	if mode != "standalone" && mode != "secure" {
		return fmt.Errorf("fail-mode must be \"standalone\" or \"secure\"")
	}
	b.row.SetName("fail_mode", ovsdb.One(ovsdb.Str(mode)))
	return nil
}

func getManager(c *ctl.Context) error {
	targets(c, c.Schema.Table("Manager"), root(c).Col("manager_options"))
	return nil
}

func delManager(c *ctl.Context) error {
	return replace(c, root(c), "manager_options", c.Schema.Table("Manager"), nil)
}

func setManager(c *ctl.Context) error {
	return replace(c, root(c), "manager_options", c.Schema.Table("Manager"), c.Args)
}

func sslRow(c *ctl.Context) *replica.Row {
	r := root(c)
	r.Verify(r.Table.Column("ssl"))
	rows := c.Txn.Refs(c.Schema.Table("SSL"), r.Col("ssl"))
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

func getSSL(c *ctl.Context) error {
	if r := sslRow(c); r != nil {
		fmt.Fprintf(&c.Out, "Private key: %s\nCertificate: %s\nCA Certificate: %s\nBootstrap: %t\n",
			r.Str("private_key"), r.Str("certificate"), r.Str("ca_cert"), isTrue(r.Col("bootstrap_ca_cert")))
	}
	return nil
}

func delSSL(c *ctl.Context) error {
	if r := sslRow(c); r != nil {
		r.Delete()
		root(c).SetName("ssl", ovsdb.Datum{})
	}
	return nil
}

func setSSL(c *ctl.Context) error {
	if err := delSSL(c); err != nil {
		return err
	}
	r := c.Txn.Insert(c.Schema.Table("SSL"))
	r.SetName("private_key", ovsdb.One(ovsdb.Str(c.Args[0])))
	r.SetName("certificate", ovsdb.One(ovsdb.Str(c.Args[1])))
	r.SetName("ca_cert", ovsdb.One(ovsdb.Str(c.Args[2])))
	r.SetName("bootstrap_ca_cert", ovsdb.One(ovsdb.Bool(c.Has("--bootstrap"))))
	root(c).SetName("ssl", ovsdb.One(ovsdb.Ref(r.ID)))
	return nil
}

// mapping reads I-SID and VLAN.
func mapping(c *ctl.Context) (isid, vlan ovsdb.Atom, err error) {
	i, err := strconv.ParseInt(c.Args[1], 10, 64)
	if err != nil {
		i = atoi(c.Args[1])
	}
	v, err := strconv.ParseInt(c.Args[2], 10, 64)
	if err != nil {
		v = atoi(c.Args[2])
	}
	return ovsdb.Int(i), ovsdb.Int(v), nil
}

func autoAttach(c *ctl.Context) (b *bridge, aa *replica.Row, err error) {
	if b, err = bridgesOf(c).bridge(c.Args[0]); err != nil {
		return nil, nil, err
	}
	b.row.Verify(b.row.Table.Column("auto_attach"))
	if rows := c.Txn.Refs(c.Schema.Table("AutoAttach"), b.row.Col("auto_attach")); len(rows) > 0 {
		aa = rows[0]
	}
	return b, aa, nil
}

func addMapping(c *ctl.Context) error {
	b, aa, err := autoAttach(c)
	if err != nil {
		return err
	}
	isid, vlan, err := mapping(c)
	if err != nil {
		return err
	}
	if aa == nil {
		aa = c.Txn.Insert(c.Schema.Table("AutoAttach"))
		b.row.SetName("auto_attach", ovsdb.One(ovsdb.Ref(aa.ID)))
	}
	col := aa.Table.Column("mappings")
	aa.Verify(col)
	aa.Set(col, aa.Get(col).Union(ovsdb.NewMap(ovsdb.Pair{K: isid, V: vlan})))
	return nil
}

func delMapping(c *ctl.Context) error {
	_, aa, err := autoAttach(c)
	if err != nil || aa == nil {
		return err
	}
	isid, vlan, err := mapping(c)
	if err != nil {
		return err
	}
	col := aa.Table.Column("mappings")
	aa.Verify(col)
	aa.Set(col, aa.Get(col).Minus(ovsdb.NewMap(ovsdb.Pair{K: isid, V: vlan})))
	return nil
}

func getMapping(c *ctl.Context) error {
	_, aa, err := autoAttach(c)
	if err != nil || aa == nil {
		return err
	}
	d := aa.Col("mappings")
	for i, k := range d.Keys() {
		fmt.Fprintf(&c.Out, "%d %d\n", k.Int(), d.Value(i).Int())
	}
	return nil
}
