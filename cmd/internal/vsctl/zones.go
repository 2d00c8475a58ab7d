// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
)

// zoneCommands are those of a datapath's connection tracking zones.
func zoneCommands() []*ctl.Command {
	zones := need([2]string{"Open_vSwitch", "datapaths"}, [2]string{"Datapath", "ct_zones"}, [2]string{"CT_Zone", "timeout_policy"},
		[2]string{"CT_Timeout_Policy", "timeouts"})
	return []*ctl.Command{
		{Name: "add-zone-tp", Min: 3, Max: ctl.Many, Options: "--may-exist", Need: zones, Run: addZone},
		{Name: "del-zone-tp", Min: 2, Max: 2, Options: "--if-exists", Need: zones, Run: delZone},
		{Name: "list-zone-tp", Min: 1, Max: 1, ReadOnly: true, Need: zones, Run: listZones},
	}
}

// datapath returns the row of the datapath that the first argument names; nil: there is none.
func datapath(c *ctl.Context) *replica.Row {
	r := root(c)
	r.Verify(r.Table.Column("datapaths"))
	id, ok := r.Col("datapaths").Lookup(ovsdb.Str(c.Args[0]))
	if !ok {
		return nil
	}
	return c.Txn.Row(c.Schema.Table("Datapath"), id.UUID())
}

// zoneID reads "zone=N". Which numbers there are the schema says.
func zoneID(c *ctl.Context) (int64, error) {
	s, ok := strings.CutPrefix(c.Args[1], "zone=")
	n, err := strconv.ParseInt(s, 0, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("invalid zone_id %s", c.Args[1])
	}
	return n, nil
}

// zone returns the row of zone id; nil: there is none.
func zone(c *ctl.Context, dp *replica.Row, id int64) *replica.Row {
	dp.Verify(dp.Table.Column("ct_zones"))
	ref, ok := dp.Col("ct_zones").Lookup(ovsdb.Int(id))
	if !ok {
		return nil
	}
	return c.Txn.Row(c.Schema.Table("CT_Zone"), ref.UUID())
}

// timeouts reads "key=seconds" words; of several with one key the first counts. Which keys
// there are the schema says.
func timeouts(args []string) ovsdb.Datum {
	var ps []ovsdb.Pair
	for _, a := range slices.Backward(args) {
		k, v, _ := strings.Cut(a, "=")
		ps = append(ps, ovsdb.Pair{K: ovsdb.Str(k), V: ovsdb.Int(atoi(v))})
	}
	return ovsdb.NewMap(ps...)
}

// policyOf returns the policy with these timeouts, which zones share, and makes it if there is none.
func policyOf(c *ctl.Context, want ovsdb.Datum) *replica.Row {
	t := c.Schema.Table("CT_Timeout_Policy")
	for _, r := range c.Txn.Rows(t) {
		r.Verify(t.Column("timeouts"))
		if r.Col("timeouts").Equal(want) {
			return r
		}
	}
	r := c.Txn.Insert(t)
	r.SetName("timeouts", want)
	return r
}

func addZone(c *ctl.Context) error {
	dp := datapath(c)
	if dp == nil {
		return fmt.Errorf("datapath %s does not exist", c.Args[0])
	}
	id, err := zoneID(c)
	if err != nil {
		return err
	}
	z := zone(c, dp, id)
	if z != nil && !c.Has("--may-exist") {
		return fmt.Errorf("zone id %d already exists", id)
	}
	if z == nil {
		z = c.Txn.Insert(c.Schema.Table("CT_Zone"))
		dp.SetKey(dp.Table.Column("ct_zones"), ovsdb.Int(id), ovsdb.Ref(z.ID))
	}
	z.SetName("timeout_policy", ovsdb.One(ovsdb.Ref(policyOf(c, timeouts(c.Args[2:])).ID)))
	return nil
}

func delZone(c *ctl.Context) error {
	dp := datapath(c)
	if dp == nil {
		return fmt.Errorf("datapath %s does not exist", c.Args[0])
	}
	id, err := zoneID(c)
	if err != nil {
		return err
	}
	z := zone(c, dp, id)
	switch {
	case z == nil && c.Has("--if-exists"):
		return nil
	case z == nil:
		return fmt.Errorf("zone id %d does not exist", id)
	}
	col := dp.Table.Column("ct_zones")
	dp.Set(col, dp.Get(col).Minus(ovsdb.NewMap(ovsdb.Pair{K: ovsdb.Int(id), V: ovsdb.Ref(z.ID)})))
	return nil
}

func listZones(c *ctl.Context) error {
	dp := datapath(c)
	if dp == nil {
		return fmt.Errorf("datapath: %s record not found", c.Args[0])
	}
	dp.Verify(dp.Table.Column("ct_zones"))
	for _, id := range dp.Col("ct_zones").Keys() { // in ascending order
		fmt.Fprintf(&c.Out, "Zone:%d, Timeout Policies:", id.Int())
		for _, p := range c.Txn.Refs(c.Schema.Table("CT_Timeout_Policy"), zone(c, dp, id.Int()).Col("timeout_policy")) {
			t := p.Col("timeouts")
			for i := range t.Len() {
				fmt.Fprintf(&c.Out, " %s=%d", t.Key(i).Str(), t.Value(i).Int())
			}
		}
		c.Out.WriteByte('\n')
	}
	return nil
}
