// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/dsa/counters"
	"github.com/weirswitch/weir/firmware/switchd/chip"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// benchChips is a chip whose ports are devices of the test's namespace. It makes real legs and notes the rest.
type benchChips struct {
	nl     *netlink.Handle
	ports  map[string]chip.Port
	now    []chip.Bridge
	refuse map[string]string
	table  []chip.KernelMAC
	ops    []string
	broken error
	counts map[string]counters.Counters

	prepare  func([]chip.Bridge) error
	apply    func([]chip.Bridge) // before anything of it is done
	joined   map[string]bool     // members, ever
	refusals int
	fails    error
}

func (c *benchChips) Counters(iface string) (counters.Counters, bool) {
	n, ok := c.counts[iface]
	return n, ok
}

func (c *benchChips) Ports() (map[string]chip.Port, error) {
	m := map[string]chip.Port{}
	for n, p := range c.ports {
		m[n] = p
	}
	return m, c.broken
}

func (c *benchChips) Prepare(want []chip.Bridge) error {
	if c.prepare != nil {
		if err := c.prepare(want); err != nil {
			return err
		}
	}
	for _, b := range want {
		if _, err := c.nl.LinkByName(b.Outer); err == nil {
			continue
		}
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: b.Outer}, PeerName: b.Inner}
		if err := c.nl.LinkAdd(v); err != nil {
			return err
		}
	}
	return nil
}

func (c *benchChips) Apply(want []chip.Bridge) (refused, notes map[string]string, err error) {
	if c.apply != nil {
		c.apply(want)
	}
	c.now, refused, notes = nil, map[string]string{}, map[string]string{}
	if c.joined == nil {
		c.joined = map[string]bool{}
	}
	for _, b := range want {
		b.Members = slices.DeleteFunc(slices.Clone(b.Members), func(m chip.Member) bool {
			why := c.refuse[m.Name]
			if why != "" {
				refused[m.Name] = why
				c.refusals++
			}
			return why != ""
		})
		c.now = append(c.now, b)
		for _, m := range b.Members {
			c.joined[m.Name] = true
		}
	}
	if len(want) == 0 {
		links, _ := c.nl.LinkList()
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, chip.NamePrefix+"o") {
				c.nl.LinkDel(l)
			}
		}
	}
	return refused, notes, c.fails
}

func (c *benchChips) MACs(*chip.Bridge) ([]chip.KernelMAC, error) { return c.table, nil }

func (c *benchChips) SetMAC(_ *chip.Bridge, o chip.FDBOp) error {
	c.ops = append(c.ops, o.String())
	c.table = slices.DeleteFunc(c.table, func(e chip.KernelMAC) bool { return e.MAC == o.MAC && e.VID == o.VID })
	if !o.Delete {
		c.table = append(c.table, chip.KernelMAC{MAC: o.MAC, VID: o.VID, Dev: o.Dev, Own: true})
	}
	return nil
}

func (c *benchChips) Flush(b *chip.Bridge) error {
	c.ops = append(c.ops, "flush "+b.Name)
	c.table = slices.DeleteFunc(c.table, func(e chip.KernelMAC) bool { return e.Dev != b.Inner })
	return nil
}

func (c *benchChips) members() (names string) {
	for _, b := range c.now {
		for _, m := range b.Members {
			names += m.Name + " "
		}
	}
	return names
}

// TestOffload: the chip has the ports that the tables leave to NORMAL; a rule, or the kernel's refusal, takes one
// out of it; the MAC tables follow each other.
func TestOffload(t *testing.T) {
	b := newBench(t, nil)
	c := &benchChips{nl: b.nl, ports: map[string]chip.Port{}, refuse: map[string]string{}}
	for _, n := range []string{"sw1", "sw2"} {
		b.veth(n, n+"h")
		c.ports[n] = chip.Port{Name: n, Switch: "s"}
	}
	b.veth("nic", "nich")
	b.offload.chips = c
	clock := time.Now()
	b.cfg.Now = func() time.Time { return clock }
	run := func() {
		t.Helper()
		for range 3 {
			b.reconcile(false)
		}
	}
	show := func(want ...string) {
		t.Helper()
		text, _ := b.offloadShow(nil)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in\n%s", w, text)
			}
		}
	}
	b.set([]string{"br0", "netdev", "sw1", "sw2", "nic"})
	run()
	if got := c.members(); got != "sw1 sw2 " {
		t.Errorf("members %q", got)
	}
	for name, only := range map[string]bool{"sw1": true, "sw2": true, "nic": false, c.now[0].Outer: false} {
		if a, ok := b.attached[name]; !ok || a.SendOnly != only {
			t.Errorf("%s is attached as %+v, %v", name, a, ok)
		}
	}
	show("sw1 (bridge br0, chip s): bridged\n", "sw2 (bridge br0, chip s): bridged\n", "3071 pvid untagged", "0 addresses")
	ops := b.ops
	run()
	if b.ops != ops {
		t.Errorf("a run without a change does %d operations", b.ops-ops)
	}

	// The tables: a port with a rule of its own leaves at once, and comes back after the hold time.
	sw := b.tiers[wanted.Soft].sw
	mod := openflow.FlowMod{Priority: 9, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
	no := func(name string) action.Port {
		for _, p := range b.plan.Bridges[0].Ports {
			if p.Iface.Name == name {
				return action.Port(p.No)
			}
		}
		t.Fatal(name)
		return 0
	}
	mod.Match.SetU64(flow.FieldInPort, uint64(no("sw2")))
	sw.Handle("br0", ofproto.ConnInfo{}, &mod, clock)
	run()
	show("sw1 (bridge br0, chip s): bridged\n", "sw2 (bridge br0, chip s): standalone: a rule of table 0 does something else than NORMAL: priority=9 in_port=3\n")
	if b.attached["sw2"].SendOnly || c.members() != "sw1 " {
		t.Errorf("sw2 is attached as %+v, members %s", b.attached["sw2"], c.members())
	}
	mod.Command = openflow.FlowDelete
	ops = b.ops
	sw.Handle("br0", ofproto.ConnInfo{}, &openflow.BarrierRequest{}, clock) // has nothing to wait for
	if b.ops != ops {
		t.Error("a barrier made a run")
	}
	sw.Handle("br0", ofproto.ConnInfo{}, &mod, clock)
	run()
	if c.members() != "sw1 " || b.offload.again == nil {
		t.Error("it does not wait for the hold time")
	}
	clock = clock.Add(chip.HoldTime)
	run()
	if c.members() != "sw1 sw2 " || b.offload.again != nil {
		t.Errorf("members %s after the hold time", c.members())
	}

	// A barrier is answered when the chip has given the port up.
	mod.Command = openflow.FlowAdd
	sw.Handle("br0", ofproto.ConnInfo{}, &mod, clock)
	go func() { (<-b.asked)() }() // as run does
	sw.Handle("br0", ofproto.ConnInfo{}, &openflow.BarrierRequest{}, clock)
	if c.members() != "sw1 " {
		t.Errorf("members %s behind a barrier", c.members())
	}
	mod.Command = openflow.FlowDelete
	sw.Handle("br0", ofproto.ConnInfo{}, &mod, clock)
	run()
	clock = clock.Add(chip.HoldTime)
	run()

	// The kernel refuses.
	c.refuse["sw1"] = "no room"
	run()
	show("sw1 (bridge br0, chip s): standalone: no room\n", "sw2 (bridge br0, chip s): bridged\n")
	if b.attached["sw1"].SendOnly {
		t.Error("what is refused is not forwarded by software")
	}
	delete(c.refuse, "sw1")
	clock = clock.Add(retryRefused + chip.HoldTime)
	run()
	clock = clock.Add(chip.HoldTime)
	run()
	show("sw1 (bridge br0, chip s): bridged\n")

	// Addresses.
	c.table = append(c.table, chip.KernelMAC{MAC: 0x020000000001, VID: 3071, Dev: "sw1"})
	b.followMACs()
	if text, err := b.fdbShow([]string{"br0"}); err != nil || !strings.Contains(text, "0  02:00:00:00:00:01  chip") {
		t.Errorf("%v\n%s", err, text)
	}
	show("1 addresses")
	if text, err := b.fdbFlush(nil); err != nil {
		t.Error(text, err)
	}
	b.followMACs()
	if text, _ := b.fdbShow([]string{"br0"}); strings.Contains(text, "chip") || !slices.Contains(c.ops, "flush "+c.now[0].Name) {
		t.Errorf("after the flush %v\n%s", c.ops, text)
	}

	// Chips that cannot be looked for stay as they are.
	c.broken = errors.New("no netlink")
	run()
	show("cannot be looked for: no netlink")
	if c.members() != "sw1 sw2 " || !b.attached["sw1"].SendOnly {
		t.Errorf("members %s, %+v", c.members(), b.attached["sw1"])
	}
	c.broken = nil
	b.set([]string{"br0", "netdev", "nic"})
	run()
	if len(c.now) != 0 {
		t.Errorf("bridges %v", fmt.Sprint(c.now))
	}
	show("no port of a switch chip is a port of a bridge")
}

// TestChipCounters: what is told of a chip's port is what the chip has counted, or that it is not known; never what
// the CPU saw.
func TestChipCounters(t *testing.T) {
	b := newBench(t, nil)
	known := func(n uint64) counters.Count { return counters.Count{Value: n, Known: true} }
	c := &benchChips{nl: b.nl, ports: map[string]chip.Port{}, counts: map[string]counters.Counters{
		"none": {Source: "test"},
		"some": {RxPackets: known(1 << 40), TxPackets: known(3), RxCRC: known(0), Source: "test"},
	}}
	for _, n := range []string{"none", "some"} {
		b.veth(n, n+"h")
		c.ports[n] = chip.Port{Name: n, Switch: "s"}
	}
	b.veth("nic", "nich")
	b.offload.chips = c
	b.set([]string{"br0", "netdev", "none", "some", "nic"})
	b.reconcile(false)
	b.reconcile(true)
	if got, want := b.rows("Interface", "name", "statistics"), `"none" ["map",[["cpu_rx_bytes",0],["cpu_rx_packets",0],["cpu_tx_bytes",0],["cpu_tx_packets",0]]]
"some" ["map",[["cpu_rx_bytes",0],["cpu_rx_packets",0],["cpu_tx_bytes",0],["cpu_tx_packets",0],["rx_crc_err",0],["rx_packets",1099511627776],["tx_packets",3]]]`; !strings.Contains(got, want) {
		t.Errorf("statistics\n%s\nwant among them\n%s", got, want)
	}
	if got := b.rows("Interface", "name", "statistics"); strings.Count(got, `["rx_packets",`) != 3 || strings.Count(got, "cpu_rx_packets") != 2 {
		t.Errorf("statistics\n%s", got)
	}
	numbers := map[action.Port]string{}
	for _, p := range b.plan.Bridges[0].Ports {
		numbers[action.Port(p.No)] = p.Iface.Name
	}
	sw := b.tiers[wanted.Soft].sw
	const unknown = ^uint64(0)
	seen := 0
	for _, m := range sw.Handle("br0", ofproto.ConnInfo{}, &openflow.PortStatsRequest{Port: action.PortAny}, time.Now()) {
		for _, s := range m.(*openflow.PortStatsReply).Ports {
			seen++
			got := [4]uint64{s.RxPackets, s.TxPackets, s.RxBytes, s.RxCRCErr}
			want, ok := map[string][4]uint64{
				"none": {unknown, unknown, unknown, unknown}, "some": {1 << 40, 3, unknown, 0},
			}[numbers[s.No]]
			if ok && got != want || !ok && s.TxPackets == unknown {
				t.Errorf("port %s: %v, want %v", numbers[s.No], got, want)
			}
		}
	}
	if seen != 4 {
		t.Errorf("statistics of %d ports", seen)
	}
}

// TestRefusedAgain: a port that the kernel refuses each time is tried ever more rarely; what did not work for
// another reason, soon.
func TestRefusedAgain(t *testing.T) {
	b := newBench(t, nil)
	c := &benchChips{nl: b.nl, ports: map[string]chip.Port{}, refuse: map[string]string{"sw1": "in software"}}
	b.veth("sw1", "h1")
	c.ports["sw1"] = chip.Port{Name: "sw1", Switch: "s"}
	b.offload.chips = c
	clock := time.Now()
	b.cfg.Now = func() time.Time { return clock }
	b.set([]string{"br0", "netdev", "sw1"})
	var tries []time.Duration
	start := clock
	for range 24 * 60 * 6 {
		before := c.refusals
		b.reconcile(false)
		if c.refusals > before {
			tries = append(tries, clock.Sub(start).Round(time.Minute))
		}
		clock = clock.Add(10 * time.Second)
		if len(tries) == 9 {
			break
		}
	}
	want := "[0s 1m0s 3m0s 7m0s 15m0s 31m0s 1h3m0s 2h3m0s 3h3m0s]"
	if got := fmt.Sprint(tries); got != want {
		t.Errorf("tried after %s, want %s", got, want)
	}

	c.fails = errors.New("busy")
	b.reconcile(false)
	b.reconcile(false)
	if b.offload.late == nil || b.offload.wait != 2*retrySoon {
		t.Errorf("to be tried again after %v", b.offload.wait)
	}
	c.fails = nil
	b.reconcile(false)
	if b.offload.late != nil || b.offload.wait != 0 {
		t.Errorf("to be tried again after %v, though all worked", b.offload.wait)
	}
}

// chipBench is a bench whose sw1 and sw2 are ports of a chip, and nic is not.
func chipBench(t *testing.T) (*bench, *benchChips) {
	b := newBench(t, nil)
	c := &benchChips{nl: b.nl, ports: map[string]chip.Port{}}
	for _, n := range []string{"sw1", "sw2"} {
		b.veth(n, n+"h")
		c.ports[n] = chip.Port{Name: n, Switch: "s"}
	}
	b.veth("nic", "nich")
	b.offload.chips = c
	return b, c
}

// addDrop makes a rule that drops what arrives on port no; 0: on any.
func addDrop(b *bench, no uint32) {
	mod := openflow.FlowMod{Priority: 9, BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny}
	if no != 0 {
		mod.Match.SetU64(flow.FieldInPort, uint64(no))
	}
	b.tiers[wanted.Soft].sw.Handle("br0", ofproto.ConnInfo{}, &mod, time.Now())
}

// TestOffloadNewPort: a port that comes to a bridge whose tables drop its packets is at no time the chip's.
func TestOffloadNewPort(t *testing.T) {
	b, c := chipBench(t)
	b.set([]string{"br0", "netdev", "sw1", "nic"})
	b.reconcile(false)
	addDrop(b, 0)
	b.set([]string{"br0", "netdev", "sw1", "sw2", "nic"})
	for range 3 {
		b.reconcile(false)
	}
	if c.joined["sw2"] || !c.joined["sw1"] {
		t.Errorf("joined: %v", c.joined)
	}
	// Without such a rule it is asked for again at once.
	b.set([]string{"br0", "netdev", "sw1", "nic"}, []string{"br1", "netdev"})
	b.reconcile(false)
	b.set([]string{"br0", "netdev", "sw1", "nic"}, []string{"br1", "netdev", "sw2"})
	for len(b.kick) > 0 {
		<-b.kick
	}
	b.reconcile(false)
	if c.joined["sw2"] || len(b.kick) == 0 {
		t.Fatalf("joined: %v, kicked: %d", c.joined, len(b.kick))
	}
	<-b.kick
	for range 3 {
		b.reconcile(false)
	}
	if !c.joined["sw2"] || len(b.kick) != 0 {
		t.Errorf("joined: %v, kicked: %d", c.joined, len(b.kick))
	}
}

// TestOffloadLegless: without a leg a chip's ports would reach nobody else, so the chip does not get them.
func TestOffloadLegless(t *testing.T) {
	b, c := chipBench(t)
	clock := time.Now()
	b.cfg.Now = func() time.Time { return clock }
	c.prepare = func([]chip.Bridge) error { return errors.New("no room") }
	b.set([]string{"br0", "netdev", "sw1", "sw2", "nic"})
	standalone := func(why string) {
		t.Helper()
		for range 2 {
			b.reconcile(false)
			text, _ := b.offloadShow(nil)
			if a := b.attached["sw1"]; c.members() != "" || a.SendOnly || a.No == 0 || !strings.Contains(text, "sw1 (bridge br0, chip s): standalone: ") || !strings.Contains(text, why) {
				t.Errorf("members %q, attached as %+v,\n%s", c.members(), a, text)
			}
		}
	}
	standalone("no room")
	if b.offload.late == nil {
		t.Error("is not tried again soon")
	}

	// The datapath does not take it.
	var taken bool
	c.prepare = func(want []chip.Bridge) error {
		if taken || len(want) == 0 {
			return nil
		}
		taken = true
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: want[0].Outer}, PeerName: want[0].Inner}
		if err := c.nl.LinkAdd(v); err != nil {
			return err
		}
		l, err := c.nl.LinkByName(want[0].Outer)
		if err != nil {
			return err
		}
		return b.tiers[wanted.Soft].dp.PortAdd(900, dpif.PortSpec{Name: want[0].Outer, Ifindex: l.Attrs().Index})
	}
	standalone("could not open network device wchip-o")
	if err := b.tiers[wanted.Soft].dp.PortDel(900); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(retryRefused + chip.HoldTime)
	b.reconcile(false)
	clock = clock.Add(chip.HoldTime)
	b.reconcile(false)
	if c.members() != "sw1 sw2 " || !b.attached["sw1"].SendOnly {
		t.Errorf("members %q, attached as %+v", c.members(), b.attached["sw1"])
	}
}

// TestBarrierInRun: a rule that comes when a run has asked the tables, and before the chip has the port, holds its
// barrier up as well.
func TestBarrierInRun(t *testing.T) {
	b, c := chipBench(t)
	clock := time.Now()
	b.cfg.Now = func() time.Time { return clock }
	b.set([]string{"br0", "netdev", "sw1", "sw2", "nic"})
	c.ports["sw2"] = chip.Port{Name: "sw2", Switch: "s", Refused: "not yet"}
	b.reconcile(false)
	b.reconcile(false)
	c.ports["sw2"] = chip.Port{Name: "sw2", Switch: "s"}
	clock = clock.Add(chip.HoldTime)
	done := make(chan struct{})
	early := false
	c.prepare = func([]chip.Bridge) error {
		c.prepare = nil
		for _, p := range b.plan.Bridges[0].Ports {
			if p.Iface.Name == "sw2" {
				addDrop(b, p.No)
			}
		}
		sw := b.tiers[wanted.Soft].sw
		go func() {
			sw.Handle("br0", ofproto.ConnInfo{}, &openflow.BarrierRequest{}, clock)
			close(done)
		}()
		return nil
	}
	b.reconcile(false)
	if c.members() != "sw1 sw2 " {
		t.Fatalf("members %q: the test is in vain", c.members())
	}
	select {
	case f := <-b.asked:
		f()
		<-done
	case <-done:
		early = true
	}
	if early || c.members() != "sw1 " {
		t.Errorf("a barrier is answered while the chip has %q", c.members())
	}
}

// TestTablesWithoutChips: where there are no chips, rules that come and go make no runs.
func TestTablesWithoutChips(t *testing.T) {
	b, c := chipBench(t)
	ports := c.ports
	c.ports = nil
	b.set([]string{"br0", "netdev", "nic"})
	b.reconcile(false)
	b.reconcile(false)
	sw := b.tiers[wanted.Soft].sw
	change := func() {
		addDrop(b, 7)
		for len(sw.TablesChanged()) > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	change()
	time.Sleep(5 * verdictDelay)
	for len(b.kick) > 0 {
		<-b.kick
	}
	change()
	time.Sleep(5 * verdictDelay)
	if len(b.kick) > 0 {
		t.Error("a rule made a run")
	}
	c.ports = ports
	b.reconcile(false)
	for len(b.kick) > 0 {
		<-b.kick
	}
	change()
	<-b.kick
}

// TestOffloadBlind: when chips cannot be looked for, a rule still takes effect.
func TestOffloadBlind(t *testing.T) {
	b, c := chipBench(t)
	b.set([]string{"br0", "netdev", "sw1", "sw2"})
	b.reconcile(false)
	b.reconcile(false)
	c.broken = errors.New("no netlink")
	for _, p := range b.plan.Bridges[0].Ports {
		if p.Iface.Name == "sw2" {
			addDrop(b, p.No)
		}
	}
	b.reconcile(false)
	if c.members() != "sw1 " || b.attached["sw2"].SendOnly || !b.attached["sw1"].SendOnly {
		t.Errorf("members %q, attached %+v", c.members(), b.attached)
	}
}

// TestInternalMACs: the kernel's bridge has the addresses of internal ports on the leg before they say a word: the
// local port's is a member's own.
func TestInternalMACs(t *testing.T) {
	b, c := chipBench(t)
	b.set([]string{"br0", "netdev", "sw1", "sw2"})
	for range 3 {
		b.reconcile(false)
	}
	var mac wanted.MAC
	for _, p := range b.plan.Bridges[0].Ports {
		if p.Iface.Local {
			mac = p.Device.MAC
		}
	}
	want := fmt.Sprintf("bridge fdb replace %v dev %s vlan 3071 master static", mac, c.now[0].Inner)
	if mac == (wanted.MAC{}) || !slices.Equal(c.ops, []string{want}) {
		t.Errorf("%q, want once %q", c.ops, want)
	}
	// A chip that claims to have heard it is not believed.
	for i := range c.table {
		c.table[i].Dev, c.table[i].Own = "sw1", false
	}
	b.followMACs()
	if len(c.table) != 1 || c.table[0].Dev != c.now[0].Inner || !c.table[0].Own {
		t.Errorf("the kernel has %+v", c.table)
	}
}
