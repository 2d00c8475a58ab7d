// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"cmp"
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/upcall"
	"github.com/weirswitch/weir/firmware/base/order"
)

// KernelMAC is an entry of a kernel bridge's MAC table, except for those of the devices' own addresses.
type KernelMAC struct {
	MAC uint64
	VID uint16
	Dev string
	Own bool // static: made by FDBOp
}

// FDBOp is an entry to make (static) or delete in a kernel bridge.
type FDBOp struct {
	Delete bool
	Dev    string
	MAC    uint64
	VID    uint16
}

// String prints it as a command of bridge(8).
func (o FDBOp) String() string {
	verb, tail := "replace", " static"
	if o.Delete {
		verb, tail = "del", ""
	}
	m := o.MAC
	return fmt.Sprintf("bridge fdb %s %02x:%02x:%02x:%02x:%02x:%02x dev %s vlan %d master%s",
		verb, m>>40&0xff, m>>32&0xff, m>>24&0xff, m>>16&0xff, m>>8&0xff, m&0xff, o.Dev, o.VID, tail)
}

// Follower keeps the MAC tables of a kernel bridge and of the OpenFlow bridge over it the same: what
// the chip has on its ports is held in ours, and what ours has on other ports is a static entry
// on the leg. Where they disagree, the one that changed since the last round is right; if both
// did, the chip is, for a host behind another port is heard again by our datapath, while the chip says a thing once.
type Follower struct {
	last map[fdb.Key]string // where the kernel had it
}

// Round compares. ports are the OpenFlow numbers of the members, by device. What is to be done is returned:
// for our table what has gone from the chip and what it has, and for the kernel's.
func (f *Follower) Round(k *Bridge, ports map[string]action.Port, kernel []KernelMAC, ours []fdb.Entry) (gone, has []upcall.ChipMAC, ops []FDBOp) {
	carries := make(map[uint16]bool, len(k.Leg))
	for _, v := range k.Leg {
		carries[v.VID] = true
	}
	bridged := make(map[action.Port]bool, len(ports))
	for _, no := range ports {
		bridged[no] = true
	}
	here := make(map[fdb.Key]*fdb.Entry, len(ours))
	for i := range ours {
		here[ours[i].Key] = &ours[i]
	}

	now := make(map[fdb.Key]string, len(kernel))
	own := make(map[fdb.Key]bool)
	for _, e := range kernel {
		key := fdb.Key{MAC: e.MAC, VLAN: k.vlan(e.VID)}
		now[key] = e.Dev
		if e.Dev == k.Inner {
			own[key] = e.Own
			if e.Own && !k.wants(here[key], bridged, carries) {
				ops = append(ops, FDBOp{true, e.Dev, e.MAC, e.VID})
				delete(now, key)
			}
			continue
		}
		no, member := ports[e.Dev]
		if !member {
			continue
		}
		us := here[key]
		if k.wants(us, bridged, carries) && (us.Static || f.last[key] == e.Dev) {
			ops = append(ops, FDBOp{true, e.Dev, e.MAC, e.VID}, FDBOp{false, k.Inner, e.MAC, e.VID})
			now[key] = k.Inner
			own[key] = true
			continue
		}
		if us == nil || !us.Held || us.Port != no {
			has = append(has, upcall.ChipMAC{Key: key, Port: no})
		}
	}
	for i := range ours {
		e := &ours[i]
		vid := k.vid(e.VLAN)
		dev, known := now[e.Key]
		switch {
		case e.Held && bridged[e.Port] && (!known || ports[dev] != e.Port):
			gone = append(gone, upcall.ChipMAC{Key: e.Key, Port: e.Port})
		case k.wants(e, bridged, carries) && (!known || dev == k.Inner && !own[e.Key]):
			ops = append(ops, FDBOp{false, k.Inner, e.MAC, vid})
			now[e.Key] = k.Inner
		}
	}
	f.last = now
	byKey := func(a, b upcall.ChipMAC) int { return cmp.Or(cmp.Compare(a.VLAN, b.VLAN), cmp.Compare(a.MAC, b.MAC)) }
	order.Sort(gone, byKey)
	order.Sort(has, byKey)
	order.Stable(ops, func(a, b FDBOp) int { return cmp.Or(cmp.Compare(a.VID, b.VID), cmp.Compare(a.MAC, b.MAC)) })
	return gone, has, ops
}

// wants reports whether an entry of ours is to be a static entry on the leg. A kernel bridge takes unicast alone: not
// zero, which a host may send, nor a group, which fdb/add may. The VLAN whose VID stands for none there does not cross.
func (k *Bridge) wants(e *fdb.Entry, bridged map[action.Port]bool, carries map[uint16]bool) bool {
	return e != nil && !e.Held && !bridged[e.Port] && e.VLAN != k.Untagged && carries[k.vid(e.VLAN)] && e.MAC != 0 && e.MAC>>40&1 == 0
}

// vlan is a VLAN of the kernel's bridge in the OpenFlow bridge, vid the way back.
func (k *Bridge) vlan(vid uint16) uint16 {
	if vid == k.Untagged {
		return 0
	}
	return vid
}

func (k *Bridge) vid(vlan uint16) uint16 {
	if vlan == 0 {
		return k.Untagged
	}
	return vlan
}
