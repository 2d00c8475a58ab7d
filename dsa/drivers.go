// SPDX-License-Identifier: Apache-2.0

package dsa

import "fmt"

// Support is what is known of a feature.
type Support uint8

const (
	Unknown Support = iota
	No
	Yes
)

func (s Support) String() string { return [...]string{"unknown", "no", "yes"}[s] }

// MarshalText writes the word.
func (s Support) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Support) UnmarshalText(b []byte) error {
	switch string(b) {
	case "unknown":
		*s = Unknown
	case "no":
		*s = No
	case "yes":
		*s = Yes
	default:
		return fmt.Errorf("parse support %q: want unknown, no or yes", b)
	}
	return nil
}

// StatsKind says where a chip port's own counters are.
type StatsKind string

const (
	StatsUnknown  StatsKind = "unknown"  // ask, and believe what is there
	StatsNone     StatsKind = "none"     // the driver shows none, or zeros
	StatsStandard StatsKind = "standard" // the standard ethtool group eth-mac
	StatsNames    StatsKind = "names"    // ethtool -S, by the driver's names
	StatsLink     StatsKind = "link"     // the netdev's own, every frame meets the CPU or the driver merges them
)

// Capabilities is what a driver does in the chip. It is what its source code
// says, so it can spare a try that must fail; that a try worked is read back.
type Capabilities struct {
	Bridge    Support `json:"bridge"` // forwards between members of a bridge
	VLAN      Support `json:"vlan"`   // VLAN-filtering bridges with PVID and untagged
	FDB       Support `json:"fdb"`    // takes static entries
	FDBReport Support `json:"fdb_report"`
	MDB       Support `json:"mdb"`
	LAG       Support `json:"lag"`
	MST       Support `json:"mst"`
	Mirror    Support `json:"mirror"`
	Police    Support `json:"police"`
	Flood     Support `json:"flood"`    // the flood flags of a port
	Learning  Support `json:"learning"` // the learning flag of a port
	Isolated  Support `json:"isolated"`
	// OneFiltering says that vlan_filtering is one setting for the whole chip.
	OneFiltering bool      `json:"one_vlan_filtering,omitempty"`
	OneBridge    bool      `json:"one_bridge,omitempty"`  // only one bridge is in hardware
	SameMTU      bool      `json:"same_mtu,omitempty"`    // the members of a bridge share one MTU
	Stats        StatsKind `json:"stats"`                 // of traffic that the chip forwarded
	LinkCounts   Support   `json:"link_stats_count_chip"` // ndo_get_stats64 sees chip-forwarded frames
	Source       string    `json:"source,omitempty"`      // where this is from
}

// Driver returns what is known of the driver of that name (the basename of
// the device's driver link in sysfs). For others everything is Unknown.
func Driver(name string) Capabilities {
	if c, ok := drivers[name]; ok {
		return c
	}
	return Capabilities{Stats: StatsUnknown}
}

// PlainCapabilities returns what holds for a netdev of no chip: the CPU does all.
func PlainCapabilities() Capabilities {
	return Capabilities{
		Bridge: No, VLAN: No, FDB: No, FDBReport: No, MDB: No, LAG: No, MST: No, Mirror: No, Police: No, Flood: No, Learning: No, Isolated: No,
		Stats: StatsLink, LinkCounts: Yes,
	}
}

var (
	mv88e6xxx = Capabilities{
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: Yes, MST: Yes, Mirror: Yes, Police: Unknown, Flood: Yes, Learning: Yes, Isolated: No,
		Stats: StatsStandard, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/mv88e6xxx/chip.c",
	}
	mt753x = Capabilities{
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: No, MST: No, Mirror: Yes, Police: No, Flood: Yes, Learning: Yes, Isolated: Yes,
		SameMTU: true, Stats: StatsNames, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/mt7530.c",
	}
	ksz = Capabilities{
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: No, MST: No, Mirror: Yes, Police: No, Flood: Unknown, Learning: Yes, Isolated: Unknown,
		SameMTU: true, Stats: StatsLink, LinkCounts: Yes, Source: "linux 6.12 drivers/net/dsa/microchip/ksz_common.c",
	}
	b53 = Capabilities{
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: No, MST: No, Mirror: Yes, Police: No, Flood: Yes, Learning: Yes, Isolated: Unknown,
		OneFiltering: true, Stats: StatsNames, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/b53/b53_common.c",
	}
	ocelot = Capabilities{
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: Yes, MST: No, Mirror: Yes, Police: Yes, Flood: Yes, Learning: Yes, Isolated: Unknown,
		SameMTU: true, Stats: StatsStandard, LinkCounts: Yes, Source: "linux 6.12 drivers/net/dsa/ocelot/felix.c",
	}
	rtl8365mb = Capabilities{
		Bridge: No, VLAN: No, FDB: No, FDBReport: No, MDB: No, LAG: No, MST: No, Mirror: No, Police: No, Flood: No, Learning: No, Isolated: No,
		Stats: StatsStandard, LinkCounts: Yes, Source: "linux 6.12 drivers/net/dsa/realtek/rtl8365mb.c: no bridge operations",
	}
	rtl8366rb = Capabilities{
		Bridge: Yes, VLAN: Yes, FDB: No, FDBReport: No, MDB: No, LAG: No, MST: No, Mirror: No, Police: No, Flood: No, Learning: Yes, Isolated: No,
		Stats: StatsUnknown, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/realtek/rtl8366rb.c",
	}
)

// drivers is what the reference (hardware.md, sections 1.3 to 2) found in the
// source of Linux 6.12, by the name under which a driver registers. It is
// only read.
var drivers = map[string]Capabilities{
	"mv88e6085":   mv88e6xxx,
	"mt7530-mdio": mt753x,
	"mt7530-mmio": mt753x,
	"qca8k": {
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: Yes, MST: No, Mirror: Yes, Police: No, Flood: Unknown, Learning: Yes, Isolated: Unknown,
		Stats: StatsNames, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/qca/qca8k-8xxx.c",
	},
	"ksz-switch": ksz, "ksz9477-switch": ksz, "ksz8863-switch": ksz,
	"bcm53xx": b53, "b53-switch": b53, "b53-srab-switch": b53, "brcm-sf2": b53,
	"rtl8365mb-smi": rtl8365mb, "rtl8365mb-mdio": rtl8365mb,
	"rtl8366rb-smi": rtl8366rb, "rtl8366rb-mdio": rtl8366rb,
	"mscc_felix": ocelot, "mscc_seville": ocelot, "ocelot-ext-switch": ocelot,
	"sja1105": {
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: No, MDB: Yes, LAG: No, MST: No, Mirror: Yes, Police: Yes, Flood: Yes, Learning: Yes, Isolated: Unknown,
		OneFiltering: true, SameMTU: true, Stats: StatsUnknown, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/sja1105/sja1105_main.c",
	},
	"lan966x-switch": {
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: Yes, MDB: Yes, LAG: Yes, MST: No, Mirror: Yes, Police: Yes, Flood: Yes, Learning: Yes, Isolated: Unknown,
		OneBridge: true, Stats: StatsStandard, LinkCounts: Unknown, Source: "linux 6.12 drivers/net/ethernet/microchip/lan966x",
	},
	"sparx5-switch": {
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: Yes, MDB: Yes, LAG: No, MST: No, Mirror: Yes, Police: No, Flood: Yes, Learning: Yes, Isolated: Unknown,
		OneBridge: true, Stats: StatsStandard, LinkCounts: Unknown, Source: "linux 6.12 drivers/net/ethernet/microchip/sparx5",
	},
	"Prestera DX": {
		Bridge: Yes, VLAN: Yes, FDB: Yes, FDBReport: Yes, MDB: Yes, LAG: Yes, MST: No, Mirror: Yes, Police: Unknown, Flood: Yes, Learning: Yes, Isolated: Unknown,
		Stats: StatsUnknown, LinkCounts: Unknown, Source: "linux 6.12 drivers/net/ethernet/marvell/prestera",
	},
	"rocker": {
		// PVID and untagged egress, and flood off, are in our own patches
		// (boards/qemu-x86_64-rocker/patches), so they are asked, not known.
		Bridge: Yes, VLAN: Unknown, FDB: Yes, FDBReport: Yes, MDB: No, LAG: No, MST: No, Mirror: No, Police: No, Flood: Unknown, Learning: Yes, Isolated: No,
		Stats: StatsNone, LinkCounts: No, Source: "linux 6.12 drivers/net/ethernet/rocker; QEMU implements no port statistics",
	},
	"dsa-loop": {
		Bridge: Yes, VLAN: Yes, FDB: No, FDBReport: No, MDB: No, LAG: No, MST: No, Mirror: No, Police: No, Flood: No, Learning: No, Isolated: No,
		Stats: StatsNone, LinkCounts: No, Source: "linux 6.12 drivers/net/dsa/dsa_loop.c: control plane only",
	},
	"netdevsim": {
		Bridge: No, VLAN: No, FDB: No, FDBReport: No, MDB: No, LAG: No, MST: No, Mirror: No, Police: No, Flood: No, Learning: No, Isolated: No,
		Stats: StatsLink, LinkCounts: Yes, Source: "linux 6.12 drivers/net/netdevsim",
	},
}
