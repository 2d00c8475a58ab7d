// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weirswitch/weir/firmware/base/order"
)

// Owner is who put a MAC into a bridge's table.
type Owner string

const (
	OwnerStatic   Owner = "static"   // ours, or the operator's: it does not age
	OwnerChip     Owner = "chip"     // learned by the chip and told to the kernel (NTF_EXT_LEARNED)
	OwnerSoftware Owner = "software" // learned by the kernel of a frame that met the CPU
	OwnerLocal    Owner = "local"    // a device's own address
)

// MACEntry is a row of a bridge's MAC table.
type MACEntry struct {
	Bridge    string
	Port      string // a member, or the bridge itself
	VID       uint16 // 0: of a bridge that does not filter VLANs
	MAC       MAC
	Owner     Owner
	Sticky    bool
	Offloaded bool // the chip has it
}

// MACEvent is a change of a MAC table.
type MACEvent struct {
	// Resync says that events were lost: read the table again. The first event
	// is one.
	Resync bool
	Gone   bool
	Entry  MACEntry
}

// Static picks the entries that State holds out of a table.
func Static(table []MACEntry) []FDBEntry {
	var es []FDBEntry
	for _, e := range table {
		if e.Owner == OwnerStatic && e.VID != 0 {
			es = append(es, FDBEntry{Bridge: e.Bridge, VID: e.VID, MAC: e.MAC, Port: e.Port, Sticky: e.Sticky, Offloaded: e.Offloaded})
		}
	}
	return es
}

// VLANMAC is a MAC in a VLAN.
type VLANMAC struct {
	VID uint16
	MAC MAC
}

// SortMACs sorts a table by bridge, VLAN and MAC.
func SortMACs(es []MACEntry) {
	order.Sort(es, func(a, b MACEntry) int {
		return cmp.Or(strings.Compare(a.Bridge, b.Bridge), cmp.Compare(a.VID, b.VID), slices.Compare(a.MAC[:], b.MAC[:]), strings.Compare(a.Port, b.Port))
	})
}
