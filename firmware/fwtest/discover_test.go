// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/discover"
)

var record = flag.String("record", "", "folder (dsa/discover/testdata) to write the board's records to")

// The chips that the board's kernel emulates: rocker (switchdev), dsa_loop (a
// DSA tree without data plane) and netdevsim (devlink), as weir ports finds
// them and as devlink and bridge say.
func TestDiscovery(t *testing.T) {
	ctx, m := boot(t, Options{})
	ports := func() dsa.Topology {
		t.Helper()
		var topo dsa.Topology
		if err := json.Unmarshal([]byte(output(t, ctx, m, "weir ports --json")), &topo); err != nil {
			t.Fatal(err)
		}
		return topo
	}
	keep := func(name string) {
		text := output(t, ctx, m, "weir ports --record /tmp/rec && cat /tmp/rec/record.txt")
		rec, err := discover.ParseRecord(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		topo, err := discover.Build(rec)
		var b bytes.Buffer
		if err != nil || topo.WriteText(&b) != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n%s", name, b.String())
		if *record != "" {
			dir := filepath.Join(*record, name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "record.txt"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}

	t.Run("rocker", func(t *testing.T) {
		topo := ports()
		var got []string
		for _, p := range topo.Ports {
			if p.OnChip() {
				got = append(got, strings.Join([]string{p.Name, string(p.Kind), p.Driver, strconv.Itoa(p.Number), string(p.Flavour), p.Caps.FDB.String(), string(p.Caps.Stats)}, " "))
			}
		}
		want := []string{"lan1 switchdev rocker 1 physical yes none", "lan2 switchdev rocker 2 physical yes none", "lan3 switchdev rocker 3 physical yes none", "lan4 switchdev rocker 4 physical yes none"}
		if !slices.Equal(got, want) {
			t.Errorf("ports of the chip: %q", got)
		}
		if len(topo.Switches) != 1 || len(topo.Switches[0].ID) != 16 || topo.Switches[0].Kind != dsa.KindSwitchdev {
			t.Errorf("switches: %+v", topo.Switches)
		}
		keep("rocker")
	})

	t.Run("dsa_loop", func(t *testing.T) {
		output(t, ctx, m, loadLoop)
		topo := ports()
		var users, others []string
		for _, p := range topo.Ports {
			if p.Kind == dsa.KindDSA {
				users = append(users, strings.Join([]string{p.Name, p.Chip, p.Driver, p.Conduit, p.Tagging, strconv.Itoa(p.Number), string(p.Flavour)}, " "))
			}
		}
		chip := "mdio_bus/fixed-0:1f"
		if len(users) != 4 || !strings.Contains(users[0], " "+chip+" dsa-loop eth0 none 0 physical") {
			t.Errorf("user ports: %q", users)
		}
		for _, s := range topo.Switches {
			for _, c := range s.Chips {
				for _, p := range c.Ports {
					if p.Netdev == "" {
						others = append(others, strconv.Itoa(p.Number)+" "+string(p.Flavour))
					}
				}
			}
		}
		if !slices.Equal(others, []string{"4 unused", "5 cpu"}) {
			t.Errorf("ports without netdev: %q", others)
		}
		keep("dsa_loop")
		if t.Failed() {
			return
		}

		// The same VLANs in bridge vlan, in devlink's table, and in what we read.
		lan := strings.Fields(users[0])[0]
		output(t, ctx, m, "ip link add br9 type bridge vlan_filtering 1 vlan_default_pvid 0 && ip link set "+lan+" master br9 && ip link set br9 up && ip link set "+lan+" up && "+
			"bridge vlan add dev "+lan+" vid 10 pvid untagged && bridge vlan add dev "+lan+" vid 20-24")
		used := -1
		for _, s := range ports().Switches {
			for _, c := range s.Chips {
				for _, r := range c.Resources {
					if c.Handle == chip && r.Name == "VTU" && r.Used != nil {
						used = int(*r.Used)
					}
				}
			}
		}
		shown := output(t, ctx, m, "devlink resource show "+chip)
		if f := regexp.MustCompile(`name VTU .*occ (\d+)`).FindStringSubmatch(shown); f == nil || f[1] != strconv.Itoa(used) || used < 6 {
			t.Errorf("VTU: we read %d, devlink shows %q", used, shown)
		}
		output(t, ctx, m, "ip link del br9")
	})

	t.Run("netdevsim", func(t *testing.T) {
		output(t, ctx, m, "insmod /lib/modules/netdevsim.ko && echo '7 3 1' > /sys/bus/netdevsim/new_device")
		topo := ports()
		n := 0
		for _, p := range topo.Ports {
			if p.Chip == "netdevsim/netdevsim7" {
				n++
				if p.Driver != "netdevsim" || p.Flavour != dsa.FlavourPhysical || p.Number < 1 || p.Number > 3 || p.Caps.Bridge != dsa.No {
					t.Errorf("port %+v", p)
				}
			}
		}
		if n != 3 {
			t.Errorf("%d ports of netdevsim, want 3", n)
		}
		keep("netdevsim")
	})
}
