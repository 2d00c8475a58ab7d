// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlattr"
)

// link is what a RTM_NEWLINK of AF_UNSPEC says.
type link struct {
	index, master, lower int
	name, kind           string
	mac                  bridge.MAC
	up                   bool
	mtu                  int
	br                   bridge.Bridge   // of a bridge
	flags                bridge.Flags    // of a bridge port
	state                bridge.STPState // of a bridge port
	mode, hash           uint8           // of a bond
}

func decodeLink(b []byte) (l link, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, fmt.Errorf("decode link: %d bytes", len(b))
	}
	l.index = int(int32(ne.Uint32(b[4:])))
	l.up = ne.Uint32(b[8:])&unix.IFF_UP != 0
	var data, slave []byte
	slaveKind := ""
	a := nlattr.Parse(b[unix.SizeofIfInfomsg:], nlattr.Native)
	for a.Next() {
		switch a.Type() {
		case unix.IFLA_ADDRESS:
			if len(a.Bytes()) == len(l.mac) {
				l.mac = bridge.MAC(a.Bytes())
			}
		case unix.IFLA_IFNAME:
			l.name = a.String()
		case unix.IFLA_MTU:
			l.mtu = int(a.Uint32())
		case unix.IFLA_MASTER:
			l.master = int(a.Uint32())
		case unix.IFLA_LINK:
			l.lower = int(a.Uint32())
		case unix.IFLA_LINKINFO:
			for i := a.Nested(); i.Next(); {
				switch i.Type() {
				case unix.IFLA_INFO_KIND:
					l.kind = i.String()
				case unix.IFLA_INFO_DATA:
					data = i.Bytes()
				case unix.IFLA_INFO_SLAVE_KIND:
					slaveKind = i.String()
				case unix.IFLA_INFO_SLAVE_DATA:
					slave = i.Bytes()
				}
			}
		}
	}
	if err := a.Err(); err != nil {
		return l, fmt.Errorf("decode link %q: %w", l.name, err)
	}
	d := nlattr.Parse(data, nlattr.Native)
	switch l.kind {
	case "bridge":
		l.br.Name, l.br.Up = l.name, l.up
		for d.Next() {
			switch d.Type() {
			case brAgeing:
				l.br.Ageing = time.Duration(d.Uint32()) * 10 * time.Millisecond
			case brVLANFiltering:
				l.br.VLANFiltering = d.Uint8() != 0
			case brMcastSnooping:
				l.br.McastSnooping = d.Uint8() != 0
			case brStpState:
				l.br.UserSTP = d.Uint32() == userSTP
			case brDefaultPVID:
				l.br.DefaultPVID = d.Uint16()
			case brMultiBool:
				l.br.MST = d.Uint32()&boolMST != 0
			}
		}
	case "bond":
		for d.Next() {
			switch d.Type() {
			case bondMode:
				l.mode = d.Uint8()
			case bondHashPolicy:
				l.hash = d.Uint8()
			}
		}
	}
	s := nlattr.Parse(slave, nlattr.Native)
	for slaveKind == "bridge" && s.Next() {
		switch s.Type() {
		case brportState:
			l.state = stpState(s.Uint8())
		case brportMode:
			l.flags.Hairpin = s.Uint8() != 0
		case brportLearning:
			l.flags.Learning = s.Uint8() != 0
		case brportFlood:
			l.flags.Flood = s.Uint8() != 0
		case brportMcastFlood:
			l.flags.McastFlood = s.Uint8() != 0
		case brportBcastFlood:
			l.flags.BcastFlood = s.Uint8() != 0
		case brportIsolated:
			l.flags.Isolated = s.Uint8() != 0
		case brportLocked:
			l.flags.Locked = s.Uint8() != 0
		}
	}
	for _, err := range []error{d.Err(), s.Err()} {
		if err != nil {
			return l, fmt.Errorf("decode link %q: %w", l.name, err)
		}
	}
	return l, nil
}

// decodeVLANs reads a RTM_NEWLINK of AF_BRIDGE: memberships, runs of which come
// as two entries, and spanning tree states by instance.
func decodeVLANs(b []byte) (index int, vs []bridge.VLAN, msts []bridge.MST, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return 0, nil, nil, fmt.Errorf("decode VLANs: %d bytes", len(b))
	}
	index = int(int32(ne.Uint32(b[4:])))
	var begin uint16
	a := nlattr.Parse(b[unix.SizeofIfInfomsg:], nlattr.Native)
	for a.Next() {
		if a.Type() != unix.IFLA_AF_SPEC {
			continue
		}
		for s := a.Nested(); s.Next(); {
			switch s.Type() {
			case bridgeVLANInfo:
				v := s.Uint32() // flags, vid, each of two bytes
				var w [4]byte
				ne.PutUint32(w[:], v)
				flags, vid := ne.Uint16(w[:]), ne.Uint16(w[2:])
				if vid == 0 || vid > 4094 {
					return index, nil, nil, fmt.Errorf("decode VLANs of device %d: VLAN %d", index, vid)
				}
				first := vid
				switch {
				case flags&vlanRangeBegin != 0:
					begin = vid
					continue
				case flags&vlanRangeEnd != 0 && begin != 0 && begin <= vid:
					first = begin
				}
				for ; first <= vid; first++ {
					vs = append(vs, bridge.VLAN{VID: first, PVID: flags&vlanPVID != 0, Untagged: flags&vlanUntagged != 0})
				}
			case bridgeMST:
				for e := s.Nested(); e.Next(); {
					if e.Type() != mstEntry {
						continue
					}
					var m bridge.MST
					for f := e.Nested(); f.Next(); {
						switch f.Type() {
						case mstMSTI:
							m.MSTI = f.Uint16()
						case mstState:
							m.State = stpState(f.Uint8())
						}
					}
					msts = append(msts, m)
				}
			}
		}
	}
	if err := a.Err(); err != nil {
		return index, nil, nil, fmt.Errorf("decode VLANs of device %d: %w", index, err)
	}
	return index, vs, msts, nil
}

// neighbour is a RTM_NEWNEIGH of AF_BRIDGE.
type neighbour struct {
	index, master int
	state         uint16
	flags         uint8
	mac           bridge.MAC
	vid           uint16
}

func decodeNeigh(b []byte) (n neighbour, err error) {
	if len(b) < ndmsgLen {
		return n, fmt.Errorf("decode MAC entry: %d bytes", len(b))
	}
	n.index = int(int32(ne.Uint32(b[4:])))
	n.state, n.flags = ne.Uint16(b[8:]), b[10]
	a := nlattr.Parse(b[ndmsgLen:], nlattr.Native)
	for a.Next() {
		switch a.Type() {
		case ndaLLAddr:
			if len(a.Bytes()) != len(n.mac) {
				return n, fmt.Errorf("decode MAC entry: address of %d bytes", len(a.Bytes()))
			}
			n.mac = bridge.MAC(a.Bytes())
		case ndaVLAN:
			n.vid = a.Uint16()
		case ndaMaster:
			n.master = int(a.Uint32())
		}
	}
	if err := a.Err(); err != nil {
		return n, fmt.Errorf("decode MAC entry: %w", err)
	}
	return n, nil
}

// owner says who made the entry. A permanent entry on the bridge itself is
// ours unless it is the bridge's own address.
func (n neighbour) owner(brIndex int, brMAC bridge.MAC) bridge.Owner {
	switch {
	case n.state&nudPermanent != 0 && n.index == brIndex && n.mac != brMAC && n.vid != 0:
		return bridge.OwnerStatic
	case n.state&nudPermanent != 0:
		return bridge.OwnerLocal
	case n.state&nudNoARP != 0 && n.flags&ntfExtLearned == 0:
		return bridge.OwnerStatic
	case n.flags&ntfExtLearned != 0:
		return bridge.OwnerChip
	}
	return bridge.OwnerSoftware
}

// group is a row of RTM_NEWMDB.
type group struct {
	bridge int
	port   int
	e      bridge.MDBEntry
	static bool
}

func decodeMDB(b []byte) (gs []group, err error) {
	if len(b) < brPortMsgLen {
		return nil, fmt.Errorf("decode groups: %d bytes", len(b))
	}
	br := int(int32(ne.Uint32(b[4:])))
	a := nlattr.Parse(b[brPortMsgLen:], nlattr.Native)
	for a.Next() {
		if a.Type() != mdbaMDB {
			continue
		}
		for e := a.Nested(); e.Next(); {
			if e.Type() != mdbaEntry {
				continue
			}
			for i := e.Nested(); i.Next(); {
				if i.Type() != mdbaInfo {
					continue
				}
				v := i.Bytes()
				if len(v) < mdbEntryLen {
					return nil, fmt.Errorf("decode groups: an entry of %d bytes", len(v))
				}
				g := group{bridge: br, port: int(int32(ne.Uint32(v))), static: v[4]&mdbPermanent != 0}
				g.e.VID, g.e.Offloaded = ne.Uint16(v[6:]), v[5]&mdbOffload != 0
				switch binary.BigEndian.Uint16(v[24:]) {
				case ethPIP:
					g.e.Group = netip.AddrFrom4([4]byte(v[8:])).String()
				case ethPIPv6:
					g.e.Group = netip.AddrFrom16([16]byte(v[8:])).String()
				case protoL2:
					g.e.Group = bridge.MAC(v[8:14]).String()
				default:
					continue
				}
				gs = append(gs, g)
			}
		}
	}
	if err := a.Err(); err != nil {
		return nil, fmt.Errorf("decode groups: %w", err)
	}
	return gs, nil
}

// filter is a matchall filter of one of our preferences.
type filter struct {
	pref   uint32
	inHW   bool
	mirror int // ifindex, 0: none
	police *bridge.Police
}

func decodeFilter(b []byte) (f filter, ours bool, err error) {
	if len(b) < tcmsgLen {
		return f, false, fmt.Errorf("decode filter: %d bytes", len(b))
	}
	f.pref = ne.Uint32(b[16:]) >> 16
	if ne.Uint32(b[8:]) == 0 {
		return f, false, nil // the chain of a preference, not a filter
	}
	kind := ""
	var opts []byte
	a := nlattr.Parse(b[tcmsgLen:], nlattr.Native)
	for a.Next() {
		switch a.Type() {
		case tcaKind:
			kind = a.String()
		case tcaOptions:
			opts = a.Bytes()
		}
	}
	if err := a.Err(); err != nil {
		return f, false, fmt.Errorf("decode filter: %w", err)
	}
	if kind != "matchall" || f.pref != bridge.PolicePref && f.pref != bridge.MirrorPref {
		return f, false, nil
	}
	o := nlattr.Parse(opts, nlattr.Native)
	for o.Next() {
		switch o.Type() {
		case matchallFlags:
			f.inHW = o.Uint32()&inHW != 0
		case matchallAct:
			for acts := o.Nested(); acts.Next(); {
				f.action(acts.Nested())
			}
		}
	}
	if err := o.Err(); err != nil {
		return f, false, fmt.Errorf("decode filter: %w", err)
	}
	return f, true, nil
}

func (f *filter) action(a *nlattr.Attrs) {
	kind := ""
	for a.Next() {
		switch a.Type() {
		case actKind:
			kind = a.String()
		case actOptions:
			for o := a.Nested(); o.Next(); {
				switch v := o.Bytes(); {
				case kind == "mirred" && o.Type() == mirredParms && len(v) >= mirredLen && ne.Uint32(v[20:]) == egressMirror:
					f.mirror = int(int32(ne.Uint32(v[24:])))
				case kind == "police":
					f.limit(o)
				}
			}
		}
	}
}

func (f *filter) limit(o *nlattr.Attrs) {
	if f.police == nil {
		f.police = &bridge.Police{}
	}
	switch v := o.Bytes(); o.Type() {
	case policeTBF:
		if len(v) >= policeLen {
			f.police.Rate = uint64(ne.Uint32(v[28:]))
			f.police.Burst = uint32(bytesOf(ne.Uint32(v[12:]), f.police.Rate))
		}
	case policeRate64:
		f.police.Rate = o.Uint64()
	case policePkts:
		f.police.Packets = o.Uint64()
	case policePBurst:
		f.police.PBurst = o.Uint64()
	}
}

// decodeQdisc reads a root qdisc that somebody configured.
func decodeQdisc(b []byte) (index int, q bridge.Qdisc, root bool, err error) {
	if len(b) < tcmsgLen {
		return 0, q, false, fmt.Errorf("decode qdisc: %d bytes", len(b))
	}
	index = int(int32(ne.Uint32(b[4:])))
	handle, parent := ne.Uint32(b[8:]), ne.Uint32(b[12:])
	a := nlattr.Parse(b[tcmsgLen:], nlattr.Native)
	for a.Next() {
		switch a.Type() {
		case tcaKind:
			q.Kind = a.String()
		case tcaHWOffload:
			q.Offloaded = a.Uint8() != 0
		case tcaOptions:
			if q.Kind != "tbf" {
				continue
			}
			for o := a.Nested(); o.Next(); {
				switch v := o.Bytes(); o.Type() {
				case tbfParms:
					if len(v) >= tbfQoptLen {
						q.Rate, q.Limit = uint64(ne.Uint32(v[8:])), ne.Uint32(v[24:])
						q.Burst = uint32(bytesOf(ne.Uint32(v[28:]), q.Rate))
					}
				case tbfRate64:
					q.Rate = o.Uint64()
				}
			}
		}
	}
	if err := a.Err(); err != nil {
		return 0, q, false, fmt.Errorf("decode qdisc: %w", err)
	}
	// A default qdisc has the handle 0.
	return index, q, parent == rootParent && handle != 0, nil
}
