// SPDX-License-Identifier: Apache-2.0

package counters

import (
	"fmt"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlattr"
)

// Count is a counter that may not be known. The zero value is unknown.
type Count struct {
	Value uint64
	Known bool
}

func (c Count) String() string {
	if !c.Known {
		return "unknown"
	}
	return fmt.Sprint(c.Value)
}

func known(v uint64) Count { return Count{v, true} }

// plus is the sum; unknown if one is.
func (c Count) plus(d Count) Count {
	if !c.Known || !d.Known {
		return Count{}
	}
	return known(c.Value + d.Value)
}

// Counters are a port's since its driver was loaded, of all frames on the
// wire: forwarded by the chip or by the CPU. Directions are the port's: Rx is
// what it received.
type Counters struct {
	RxPackets, TxPackets         Count
	RxBytes, TxBytes             Count // whether the FCS is counted differs by chip
	RxMulticast, TxMulticast     Count // packets
	RxBroadcast, TxBroadcast     Count // packets
	RxDropped, TxDropped         Count // packets
	RxErrors, TxErrors           Count // packets; of rx the sum of the next four where the chip has no sum
	RxCRC, RxFrame, RxOver, Coll Count // bad FCS; bad alignment; overrun; collisions
	// Source says where they are from: "ethtool eth-mac", "ethtool -S names of
	// mt7530-mdio", or why there are none.
	Source string
}

// Numbers of linux/ethtool_netlink.h.
const (
	statsGroup = 4 // ETHTOOL_A_STATS_GRP
	groupID    = 2
	groupStat  = 4
	idPHY      = 0
	idMAC      = 1
	idRMON     = 3

	macTxPkt, macSingleCol, macMultiCol, macRxPkt, macFCS, macAlign  = 0, 1, 2, 3, 4, 5
	macTxBytes, macLateCol, macXsCol, macTxIntErr                    = 6, 8, 9, 10
	macRxBytes, macRxIntErr, macTxMcast, macTxBcast                  = 12, 13, 14, 15
	macRxMcast, macRxBcast, macLenErr, macTooLong                    = 17, 18, 19, 21
	rmonUndersize, rmonOversize, rmonFragments, rmonJabbers, phySymE = 0, 1, 2, 3, 0
)

// fromStandard reads the answer to ETHTOOL_MSG_STATS_GET: the counters of IEEE
// 802.3 clause 30 that the driver has, as 64-bit numbers named by their type.
func fromStandard(b []byte) (Counters, error) {
	stats := map[[2]uint32]Count{}
	a := nlattr.Parse(b, nlattr.Native)
	for a.Next() {
		if a.Type() != statsGroup {
			continue
		}
		id := uint32(0)
		for g := a.Nested(); g.Next(); {
			switch g.Type() {
			case groupID:
				id = g.Uint32()
			case groupStat:
				for s := g.Nested(); s.Next(); {
					stats[[2]uint32{id, uint32(s.Type())}] = known(s.Uint64())
				}
			}
		}
	}
	if err := a.Err(); err != nil {
		return Counters{}, fmt.Errorf("decode ethtool statistics: %w", err)
	}
	mac := func(n uint32) Count { return stats[[2]uint32{idMAC, n}] }
	rmon := func(n uint32) Count { return stats[[2]uint32{idRMON, n}] }
	c := Counters{
		RxPackets: mac(macRxPkt), TxPackets: mac(macTxPkt), RxBytes: mac(macRxBytes), TxBytes: mac(macTxBytes),
		RxMulticast: mac(macRxMcast), TxMulticast: mac(macTxMcast), RxBroadcast: mac(macRxBcast), TxBroadcast: mac(macTxBcast),
		RxCRC: mac(macFCS), RxFrame: mac(macAlign), RxOver: mac(macRxIntErr), TxErrors: mac(macTxIntErr),
		Coll:   mac(macSingleCol).plus(mac(macMultiCol)),
		Source: "ethtool eth-mac",
	}
	c.RxErrors = some(c.RxCRC, c.RxFrame, c.RxOver, mac(macLenErr), mac(macTooLong), rmon(rmonUndersize), rmon(rmonFragments), rmon(rmonJabbers), stats[[2]uint32{idPHY, phySymE}])
	return c, nil
}

// some is the sum of those that are known, unknown if none is.
func some(cs ...Count) (sum Count) {
	for _, c := range cs {
		if c.Known {
			sum = known(sum.Value + c.Value)
		}
	}
	return sum
}

// names says under which names of ethtool -S a driver has what. Several names
// are added, and all must be there.
type names struct {
	rxPackets, txPackets, rxBytes, txBytes []string
	rxMulticast, txMulticast               []string
	rxBroadcast, txBroadcast               []string
	rxDropped, txDropped                   []string
	rxCRC, rxFrame, rxErrors, collisions   []string
	source                                 string
}

var (
	mt753x = names{
		rxPackets: []string{"RxUnicast", "RxMulticast", "RxBroadcast"}, txPackets: []string{"TxUnicast", "TxMulticast", "TxBroadcast"},
		rxBytes: []string{"RxBytes"}, txBytes: []string{"TxBytes"},
		rxMulticast: []string{"RxMulticast"}, txMulticast: []string{"TxMulticast"}, rxBroadcast: []string{"RxBroadcast"}, txBroadcast: []string{"TxBroadcast"},
		rxDropped: []string{"RxDrop", "RxFiltering"}, txDropped: []string{"TxDrop"},
		rxCRC: []string{"RxCrcErr"}, rxFrame: []string{"RxAlignErr"}, rxErrors: []string{"RxAlignErr", "RxCrcErr", "RxUnderSizeErr", "RxFragErr", "RxOverSzErr", "RxJabberErr"},
		collisions: []string{"TxCollision"}, source: "linux 6.12 drivers/net/dsa/mt7530.c mt7530_mib",
	}
	b53 = names{
		rxPackets: []string{"RxUnicastPkts", "RxMulticastPkts", "RxBroadcastPkts"}, txPackets: []string{"TxUnicastPkts", "TxMulticastPkts", "TxBroadcastPkts"},
		rxBytes: []string{"RxOctets"}, txBytes: []string{"TxOctets"},
		rxMulticast: []string{"RxMulticastPkts"}, txMulticast: []string{"TxMulticastPkts"}, rxBroadcast: []string{"RxBroadcastPkts"}, txBroadcast: []string{"TxBroadcastPkts"},
		rxDropped: []string{"RxDropPkts"}, txDropped: []string{"TxDropPkts"},
		rxCRC: []string{"RxFCSErrors"}, rxFrame: []string{"RxAlignmentErrors"}, rxErrors: []string{"RxFCSErrors", "RxAlignmentErrors", "RxUndersizePkts", "RxOversizePkts", "RxJabbers", "RxFragments"},
		collisions: []string{"TxCollisions"}, source: "linux 6.12 drivers/net/dsa/b53/b53_common.c b53_mibs",
	}
	// drivers has the tables by driver name. It is only read.
	drivers = map[string]names{
		"mt7530-mdio": mt753x, "mt7530-mmio": mt753x,
		"bcm53xx": b53, "b53-switch": b53, "b53-srab-switch": b53, "brcm-sf2": b53,
		"qca8k": {
			rxPackets: []string{"RXUnicast", "RxMulti", "RxBroad"}, txPackets: []string{"TXUnicast", "TxMulti", "TxBroad"},
			rxBytes: []string{"RxGoodByte"}, txBytes: []string{"TxByte"},
			rxMulticast: []string{"RxMulti"}, txMulticast: []string{"TxMulti"}, rxBroadcast: []string{"RxBroad"}, txBroadcast: []string{"TxBroad"},
			rxDropped: []string{"RxOverFlow", "Filtered"}, txDropped: []string{"TxUnderRun"},
			rxCRC: []string{"RxFcsErr"}, rxFrame: []string{"RxAlignErr"}, rxErrors: []string{"RxFcsErr", "RxAlignErr", "RxRunt", "RxFragment", "RxTooLong"},
			collisions: []string{"TxCollision"}, source: "linux 6.12 drivers/net/dsa/qca/qca8k-common.c ar8327_mib",
		},
	}
)

// fromNames picks a port's counters out of what ethtool -S shows for it.
func fromNames(driver string, stats map[string]uint64) Counters {
	n, ok := drivers[driver]
	if !ok {
		return Counters{Source: fmt.Sprintf("the names of driver %q are not known", driver)}
	}
	sum := func(names []string) Count {
		if len(names) == 0 {
			return Count{}
		}
		total := known(0)
		for _, name := range names {
			v, there := stats[name]
			total = total.plus(Count{v, there})
		}
		return total
	}
	return Counters{
		RxPackets: sum(n.rxPackets), TxPackets: sum(n.txPackets), RxBytes: sum(n.rxBytes), TxBytes: sum(n.txBytes),
		RxMulticast: sum(n.rxMulticast), TxMulticast: sum(n.txMulticast), RxBroadcast: sum(n.rxBroadcast), TxBroadcast: sum(n.txBroadcast),
		RxDropped: sum(n.rxDropped), TxDropped: sum(n.txDropped), RxErrors: sum(n.rxErrors), RxCRC: sum(n.rxCRC), RxFrame: sum(n.rxFrame), Coll: sum(n.collisions),
		Source: "ethtool -S names of " + driver,
	}
}

// LinkStats are a netdev's own (struct rtnl_link_stats64), what its driver or
// the kernel counts.
type LinkStats struct {
	RxPackets, TxPackets, RxBytes, TxBytes, RxErrors, TxErrors, RxDropped, TxDropped, Multicast uint64
}

// fromLink is right for a port whose every frame the netdev counts.
func fromLink(s LinkStats) Counters {
	return Counters{
		RxPackets: known(s.RxPackets), TxPackets: known(s.TxPackets), RxBytes: known(s.RxBytes), TxBytes: known(s.TxBytes),
		RxErrors: known(s.RxErrors), TxErrors: known(s.TxErrors), RxDropped: known(s.RxDropped), TxDropped: known(s.TxDropped), RxMulticast: known(s.Multicast),
		Source: ofDevice,
	}
}

const ofDevice = "the device's own"

// OfDevice says that these are the netdev's own counters, which may have more than there is room for here.
func (c Counters) OfDevice() bool { return c.Source == ofDevice }

// usable says that counters tell at least how many frames passed.
func (c Counters) usable() bool { return c.RxPackets.Known && c.TxPackets.Known }

// choose takes the best of what was read for a port. standard and stats are
// nil when the driver has none.
func choose(p dsa.Port, bridged bool, standard *Counters, stats map[string]uint64, link *LinkStats) Counters {
	// Alone, every frame of the port meets the CPU, and is counted there.
	if link != nil && (!p.OnChip() || !bridged || p.Caps.LinkCounts == dsa.Yes) {
		return fromLink(*link)
	}
	if p.Caps.Stats == dsa.StatsNone {
		return Counters{Source: fmt.Sprintf("driver %s shows no counters of the chip", p.Driver)}
	}
	if standard != nil && standard.usable() {
		return *standard
	}
	if c := fromNames(p.Driver, stats); c.usable() {
		return c
	}
	return Counters{Source: fmt.Sprintf("driver %s shows no counters of the chip that are known here", p.Driver)}
}
