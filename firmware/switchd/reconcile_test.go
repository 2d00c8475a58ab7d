// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/firmware/base/vlog"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// memoryStore is the reconciler's store on the real engine, without a file.
type memoryStore struct {
	mu sync.Mutex
	db *engine.DB
}

func (m *memoryStore) Snapshot() *engine.Snapshot { return m.db.Snapshot() }

func (m *memoryStore) Update(f func(*engine.Txn) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := m.db.Begin()
	if err := f(tx); err != nil {
		return err
	}
	_, err := tx.Commit()
	return err
}

// bench is a reconciler over a real database engine, the real kernel and real
// datapaths, in a network namespace of its own. The test's goroutine is the
// reconciler's, on a thread that is in the namespace.
type bench struct {
	*reconciler
	t  *testing.T
	db *memoryStore
	nl *netlink.Handle
}

func newBench(t *testing.T, broken map[wanted.Kind]bool) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	devs, err := openDevices()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { devs.close() })
	nl, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nl.Close)
	db := &memoryStore{db: engine.New(vswitch.Schema(), engine.Options{})}
	cfg := Config{RunDir: t.TempDir(), Now: time.Now, Log: vlog.New(nil, time.Now)}
	b := newBridges(t.Context(), cfg, nil, func() {})
	b.noSockets = true
	var r *reconciler
	r = newReconciler(cfg, db, devs, wanted.About{OVSVersion: "test", DBVersion: "8.3.1"}, b, func(k wanted.Kind) (*tier, error) {
		if broken[k] {
			return nil, fmt.Errorf("open %v: %w", k, unix.EPERM)
		}
		return openTier(k, cfg, b, devs, func(t *tier, bridge string) { r.barrier(t, bridge) }, r.portStats)
	})
	t.Cleanup(func() {
		if err := r.close(true); err != nil {
			t.Error(err)
		}
	})
	r.reconcile(false) // makes the root row
	return &bench{reconciler: r, t: t, db: db, nl: nl}
}

func (b *bench) veth(a, z string) {
	b.t.Helper()
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a, Flags: 1}, PeerName: z}
	if err := b.nl.LinkAdd(v); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) delete(name string) {
	b.t.Helper()
	l, err := b.nl.LinkByName(name)
	if err == nil {
		err = b.nl.LinkDel(l)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// set replaces the configuration: bridges, each a name, a datapath type and
// interfaces as name:type.
func (b *bench) set(bridges ...[]string) {
	b.t.Helper()
	err := b.db.Update(func(tx *engine.Txn) error {
		snap := b.db.Snapshot()
		sch := snap.Schema()
		table := sch.Table
		var root *ovsdb.Row
		for r := range snap.Rows(table("Open_vSwitch")) {
			root = r
		}
		put := func(t, c string, v ovsdb.Datum) engine.Set {
			return engine.Set{Column: table(t).Column(c), Value: v}
		}
		var refs []ovsdb.Atom
		for _, br := range bridges {
			var ports []ovsdb.Atom
			for _, p := range append([]string{br[0] + ":internal"}, br[2:]...) {
				name, typ, _ := strings.Cut(p, ":")
				i, err := tx.Insert(table("Interface"), put("Interface", "name", ovsdb.One(ovsdb.Str(name))), put("Interface", "type", ovsdb.One(ovsdb.Str(typ))))
				if err != nil {
					return err
				}
				p, err := tx.Insert(table("Port"), put("Port", "name", ovsdb.One(ovsdb.Str(name))), put("Port", "interfaces", ovsdb.NewSet(ovsdb.Ref(i))))
				if err != nil {
					return err
				}
				ports = append(ports, ovsdb.Ref(p))
			}
			id, err := tx.Insert(table("Bridge"), put("Bridge", "name", ovsdb.One(ovsdb.Str(br[0]))),
				put("Bridge", "datapath_type", ovsdb.One(ovsdb.Str(br[1]))), put("Bridge", "ports", ovsdb.NewSet(ports...)))
			if err != nil {
				return err
			}
			refs = append(refs, ovsdb.Ref(id))
		}
		next := root.Get(table("Open_vSwitch").Column("next_cfg").Index).Key(0).Int() + 1
		return tx.Update(table("Open_vSwitch"), root.ID, put("Open_vSwitch", "bridges", ovsdb.NewSet(refs...)), put("Open_vSwitch", "next_cfg", ovsdb.One(ovsdb.Int(next))))
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// rows prints columns of a table's rows, sorted.
func (b *bench) rows(table string, columns ...string) string {
	snap := b.db.Snapshot()
	t := snap.Schema().Table(table)
	var lines []string
	for r := range snap.Rows(t) {
		var s []string
		for _, c := range columns {
			s = append(s, string(r.Get(t.Column(c).Index).AppendJSON(nil)))
		}
		lines = append(lines, strings.Join(s, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// run reconciles and fails the test unless the second run does nothing and
// writes nothing.
func (b *bench) run() {
	b.t.Helper()
	b.reconcile(false)
	ops, commit := b.ops, b.db.Snapshot().ID()
	b.reconcile(false)
	if b.ops != ops {
		b.t.Errorf("the second run did %d operations", b.ops-ops)
	}
	if b.db.Snapshot().ID() != commit {
		b.t.Error("the second run wrote to the database")
	}
}

func TestReconcile(t *testing.T) {
	for _, dp := range []string{"system", "netdev"} {
		t.Run(dp, func(t *testing.T) {
			b := newBench(t, nil)
			b.veth("e0", "x0")
			b.veth("foreign", "f0")
			b.set([]string{"br0", dp, "e0", "late", "int0:internal"})
			b.run()
			want := "" +
				"\"br0\" 65534 [\"set\",[]]\n" +
				"\"e0\" 1 [\"set\",[]]\n" +
				"\"int0\" 2 [\"set\",[]]\n" +
				"\"late\" -1 \"could not open network device late (No such device)\""
			if got := b.rows("Interface", "name", "ofport", "error"); got != want {
				t.Errorf("interfaces:\n%s\nwant\n%s", got, want)
			}
			if got := b.rows("Open_vSwitch", "next_cfg", "cur_cfg"); got != "1 1" {
				t.Errorf("next_cfg, cur_cfg: %s", got)
			}
			b.veth("late", "l0")
			b.run()
			if got := b.rows("Interface", "name", "ofport", "error"); !strings.Contains(got, "\"late\" 3 [\"set\",[]]") {
				t.Errorf("the device came:\n%s", got)
			}
			b.delete("late")
			b.run()
			if got := b.rows("Interface", "name", "ofport"); !strings.Contains(got, "\"late\" -1") {
				t.Errorf("the device went:\n%s", got)
			}
			b.veth("late", "l0")
			b.run()
			if got := b.rows("Interface", "name", "ofport"); !strings.Contains(got, "\"late\" 3") {
				t.Errorf("the device came back:\n%s", got)
			}
			b.set([]string{"br0", dp, "late"})
			b.run()
			names := func() (list []string) {
				links, err := b.nl.LinkList()
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range links {
					list = append(list, l.Attrs().Name)
				}
				return list
			}
			if slices.Contains(names(), "int0") || !slices.Contains(names(), "e0") || !slices.Contains(names(), "br0") {
				t.Errorf("devices after a change: %v", names())
			}
			b.set()
			b.run()
			left := names()
			slices.Sort(left)
			if got := fmt.Sprint(left); got != "[e0 f0 foreign l0 late lo x0]" {
				t.Errorf("devices at the end: %s", got)
			}
			for _, n := range []string{"e0", "late", "foreign"} {
				l, err := b.nl.LinkByName(n)
				if err != nil || l.Attrs().Promisc != 0 {
					t.Errorf("%s is promiscuous at the end, or %v", n, err)
				}
			}
			if len(b.tiers) != 0 {
				t.Errorf("datapaths at the end: %v", b.tiers)
			}
		})
	}
}

// Where BPF cannot be had, the Go datapath serves and the bridge says why.
func TestReconcileWithoutBPF(t *testing.T) {
	b := newBench(t, map[wanted.Kind]bool{wanted.BPF: true})
	b.veth("e0", "x0")
	b.set([]string{"br0", "system", "e0"})
	b.run()
	if got, want := b.rows("Bridge", "status"), `["map",[["datapath","soft, not bpf: operation not permitted"]]]`; got != want {
		t.Errorf("status %s, want %s", got, want)
	}
	if got := b.rows("Interface", "name", "ofport"); got != "\"br0\" 65534\n\"e0\" 1" {
		t.Errorf("interfaces:\n%s", got)
	}
	if text, err := b.tiersShow(nil); err != nil || !strings.Contains(text, "eBPF            not available: operation not permitted") {
		t.Errorf("weir/tiers: %v\n%s", err, text)
	}
}

// Where no datapath can be had, no port works and each says why; when one can,
// everything comes by itself.
func TestReconcileWithoutDatapath(t *testing.T) {
	broken := map[wanted.Kind]bool{wanted.BPF: true, wanted.Soft: true}
	b := newBench(t, broken)
	b.set([]string{"br0", "system"})
	b.run()
	if got, want := b.rows("Interface", "ofport", "error"), `-1 "datapath soft: operation not permitted"`; got != want {
		t.Errorf("interface: %s, want %s", got, want)
	}
	for _, step := range []struct {
		works  wanted.Kind
		status string
	}{
		{wanted.Soft, `["map",[["datapath","soft, not bpf: operation not permitted"]]]`},
		{wanted.BPF, `["map",[]]`},
	} {
		delete(broken, step.works)
		b.brokenAt = b.brokenAt.Add(-retryBroken)
		b.reconcile(false)
		b.run()
		if got := b.rows("Interface", "ofport", "error"); got != `65534 ["set",[]]` {
			t.Errorf("with %v: interface %s", step.works, got)
		}
		if got := b.rows("Bridge", "status"); got != step.status {
			t.Errorf("with %v: status %s, want %s", step.works, got, step.status)
		}
	}
	if len(b.tiers) != 1 || b.tiers[wanted.BPF] == nil {
		t.Errorf("datapaths at the end: %v", b.tiers)
	}
}

// other_config:max-idle and flow-limit reach the tiers.
func TestReconcileLimits(t *testing.T) {
	p := wanted.Make(wanted.New(wanted.Rows{
		ID: ovsdb.UUID{1}, OtherConfig: map[string]string{"max-idle": "1500", "flow-limit": "77"},
		Bridges: []wanted.BridgeRow{{ID: ovsdb.UUID{2}, Name: "br0"}},
	}), &wanted.Present{}, &wanted.Book{})
	c := configs(p, nil, nil, nil, "")[wanted.BPF]
	if c.MaxIdle != 1500*time.Millisecond || c.FlowLimit != 77 {
		t.Errorf("max-idle %v, flow-limit %d", c.MaxIdle, c.FlowLimit)
	}
}
