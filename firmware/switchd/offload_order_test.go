// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"slices"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/upcall"
	"github.com/weirswitch/weir/firmware/switchd/chip"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// TestJoinOrder: when the kernel gets a port, the datapath knows already that it is behind the leg: else what
// comes by the leg would leave by it again.
func TestJoinOrder(t *testing.T) {
	b := newBench(t, nil)
	c := &benchChips{nl: b.nl, ports: map[string]chip.Port{}}
	for _, n := range []string{"sw1", "sw2"} {
		b.veth(n, n+"h")
		c.ports[n] = chip.Port{Name: n, Switch: "s"}
	}
	b.offload.chips = c
	clock := time.Now()
	b.cfg.Now = func() time.Time { return clock }
	asked := 0
	// A MAC is held on ports that are behind a leg alone.
	behind := func(name string) bool {
		asked++
		for _, ps := range b.plan.Bridges[0].Ports {
			if ps.Iface.Name != name {
				continue
			}
			sw := b.tiers[wanted.Soft].sw
			mac := []upcall.ChipMAC{{Key: fdb.Key{MAC: 0x020000000000 + uint64(asked), VLAN: 7}, Port: action.Port(ps.No)}}
			if err := sw.HoldMACs("br0", nil, mac, clock); err != nil {
				t.Fatal(err)
			}
			all, err := sw.MACs("br0")
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(all, func(e fdb.Entry) bool { return e.MAC == mac[0].MAC })
		}
		return true // the first run has no plan yet
	}
	c.apply = func(want []chip.Bridge) {
		for _, k := range want {
			for _, m := range k.Members {
				if len(b.plan.Bridges) > 0 && !behind(m.Name) {
					t.Errorf("%s joins before the datapath knows", m.Name)
				}
			}
		}
	}
	run := func() {
		for range 3 {
			b.reconcile(false)
		}
	}
	b.set([]string{"br0", "netdev", "sw1", "sw2"})
	run()
	mod := openflow.FlowMod{Priority: 9, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
	for _, p := range b.plan.Bridges[0].Ports {
		if p.Iface.Name == "sw2" {
			mod.Match.SetU64(flow.FieldInPort, uint64(p.No))
		}
	}
	sw := b.tiers[wanted.Soft].sw
	sw.Handle("br0", ofproto.ConnInfo{}, &mod, clock)
	run()
	mod.Command = openflow.FlowDelete
	sw.Handle("br0", ofproto.ConnInfo{}, &mod, clock)
	run()
	clock = clock.Add(chip.HoldTime)
	run()
	if c.members() != "sw1 sw2 " || asked < 4 {
		t.Errorf("members %s, asked %d times", c.members(), asked)
	}
}
