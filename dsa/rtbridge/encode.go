// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlattr"
)

// request is a message of rtnetlink that is to be acknowledged.
type request struct {
	typ, flags uint16
	payload    []byte
}

// resolve finds a device's index.
type resolve func(name string) (int, error)

var ne = binary.NativeEndian

func ifinfo(family uint8, index int, flags, change uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	b[0] = family
	ne.PutUint32(b[4:], uint32(index))
	ne.PutUint32(b[8:], flags)
	ne.PutUint32(b[12:], change)
	return b
}

// encode returns the requests that do an operation on links, bridges and
// their tables; of tc's see filter.go.
func encode(o bridge.Op, index resolve) (rs []request, err error) {
	var w nlattr.Builder
	done := func(typ, flags uint16) ([]request, error) {
		b, err := w.Payload()
		return []request{{typ, flags, b}}, err
	}
	dev := func(name string) (i int) {
		if err == nil {
			i, err = index(name)
		}
		return i
	}
	const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	switch o := o.(type) {
	case bridge.AddBridge:
		w.Raw(ifinfo(unix.AF_UNSPEC, 0, 0, 0))
		w.String(unix.IFLA_IFNAME, o.Name)
		// Given an address, the bridge keeps it. Otherwise it takes a member's,
		// and without members has none, and then takes no VLAN of its own.
		var mac [6]byte
		if _, err := rand.Read(mac[:]); err != nil {
			return nil, err
		}
		mac[0] = mac[0]&^1 | 2
		w.Bytes(unix.IFLA_ADDRESS, mac[:])
		w.Nest(unix.IFLA_LINKINFO, func() {
			w.String(unix.IFLA_INFO_KIND, "bridge")
			w.Nest(unix.IFLA_INFO_DATA, func() {
				w.Uint8(brVLANFiltering, 1)
				w.Uint16(brDefaultPVID, 0)
				w.Uint8(brMcastSnooping, boolByte(o.McastSnooping))
				if o.Ageing > 0 {
					w.Uint32(brAgeing, uint32(o.Ageing/(10*time.Millisecond)))
				}
			})
		})
		return done(unix.RTM_NEWLINK, create)
	case bridge.AddLAG:
		mode, ok := bondModes[o.LAG.Mode]
		hash, okHash := bondHashes[o.LAG.Hash]
		if !ok || !okHash && o.LAG.Hash != "" {
			return nil, fmt.Errorf("LAG mode %q hash %q: %w", o.LAG.Mode, o.LAG.Hash, unix.EINVAL)
		}
		w.Raw(ifinfo(unix.AF_UNSPEC, 0, 0, 0))
		w.String(unix.IFLA_IFNAME, o.LAG.Name)
		w.Nest(unix.IFLA_LINKINFO, func() {
			w.String(unix.IFLA_INFO_KIND, "bond")
			w.Nest(unix.IFLA_INFO_DATA, func() {
				w.Uint8(bondMode, mode)
				if okHash {
					w.Uint8(bondHashPolicy, hash)
				}
			})
		})
		return done(unix.RTM_NEWLINK, create)
	case bridge.AddLeg:
		w.Raw(ifinfo(unix.AF_UNSPEC, 0, 0, 0))
		w.String(unix.IFLA_IFNAME, o.Leg.Inner)
		w.Nest(unix.IFLA_LINKINFO, func() {
			w.String(unix.IFLA_INFO_KIND, "veth")
			w.Nest(unix.IFLA_INFO_DATA, func() {
				w.Nest(vethPeer, func() {
					w.Raw(ifinfo(unix.AF_UNSPEC, 0, 0, 0))
					w.String(unix.IFLA_IFNAME, o.Leg.Outer)
				})
			})
		})
		return done(unix.RTM_NEWLINK, create)
	case bridge.DelLink:
		w.Raw(ifinfo(unix.AF_UNSPEC, dev(o.Name), 0, 0))
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_DELLINK, 0)
	case bridge.SetBridge:
		w.Raw(ifinfo(unix.AF_UNSPEC, dev(o.Name), 0, 0))
		w.Nest(unix.IFLA_LINKINFO, func() {
			w.String(unix.IFLA_INFO_KIND, "bridge")
			w.Nest(unix.IFLA_INFO_DATA, func() {
				switch o.Attr {
				case bridge.AttrVLANFiltering:
					w.Uint8(brVLANFiltering, uint8(o.Value))
				case bridge.AttrDefaultPVID:
					w.Uint16(brDefaultPVID, uint16(o.Value))
				case bridge.AttrAgeing:
					w.Uint32(brAgeing, uint32(o.Value))
				case bridge.AttrMcastSnooping:
					w.Uint8(brMcastSnooping, uint8(o.Value))
				case bridge.AttrUserSTP:
					w.Uint32(brStpState, uint32(o.Value))
				case bridge.AttrMST:
					w.Bytes(brMultiBool, ne.AppendUint32(ne.AppendUint32(nil, uint32(o.Value)*boolMST), boolMST))
				default:
					err = fmt.Errorf("bridge attribute %s: %w", o.Attr, unix.EINVAL)
				}
			})
		})
	case bridge.SetMaster:
		w.Raw(ifinfo(unix.AF_UNSPEC, dev(o.Port), 0, 0))
		master := 0
		if o.Master != "" {
			master = dev(o.Master)
		}
		w.Uint32(unix.IFLA_MASTER, uint32(master))
	case bridge.SetUp:
		flags := uint32(0)
		if o.Up {
			flags = unix.IFF_UP
		}
		w.Raw(ifinfo(unix.AF_UNSPEC, dev(o.Name), flags, unix.IFF_UP))
	case bridge.SetMTU:
		w.Raw(ifinfo(unix.AF_UNSPEC, dev(o.Name), 0, 0))
		w.Uint32(unix.IFLA_MTU, uint32(o.MTU))
	case bridge.AddVLAN:
		flags := boolFlag(o.PVID, vlanPVID) | boolFlag(o.Untagged, vlanUntagged)
		vlans(&w, dev(o.Name), o.Self, o.First, o.Last, flags)
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_SETLINK, 0)
	case bridge.DelVLAN:
		vlans(&w, dev(o.Name), o.Self, o.First, o.Last, 0)
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_DELLINK, 0)
	case bridge.SetFlag:
		return portAttr(&w, dev(o.Port), err, func() { w.Uint8(flagAttrs[o.Flag], boolByte(o.On)) })
	case bridge.SetSTP:
		return portAttr(&w, dev(o.Port), err, func() { w.Uint8(brportState, kernelState(o.State)) })
	case bridge.SetMST:
		w.Raw(ifinfo(unix.AF_BRIDGE, dev(o.Port), 0, 0))
		w.Nest(unix.IFLA_AF_SPEC, func() {
			w.Nest(bridgeMST, func() {
				w.Nest(mstEntry, func() {
					w.Uint16(mstMSTI, o.MST.MSTI)
					w.Uint8(mstState, kernelState(o.MST.State))
				})
			})
		})
	case bridge.SetFDB:
		neigh(&w, dev(o.Entry.Port), o.Entry)
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	case bridge.DelFDB:
		neigh(&w, dev(o.Entry.Port), o.Entry)
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_DELNEIGH, 0)
	case bridge.FlushFDB:
		i := dev(o.Port)
		flags := uint8(ntfMaster)
		if o.Port == o.Bridge {
			flags = ntfSelf
		}
		w.Raw(ndmsg(i, 0, flags))
		w.Uint16(ndaVLAN, o.VID)
		if o.Port == o.Bridge {
			w.Uint32(ndaIfindex, uint32(i))
		}
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_DELNEIGH, nlmBulk)
	case bridge.AddMDB:
		if err := mdb(&w, dev(o.Entry.Bridge), dev(o.Entry.Port), o.Entry); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_NEWMDB, create)
	case bridge.DelMDB:
		if err := mdb(&w, dev(o.Entry.Bridge), dev(o.Entry.Port), o.Entry); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		return done(unix.RTM_DELMDB, 0)
	default:
		return encodeTC(o, index)
	}
	if err != nil {
		return nil, err
	}
	typ := uint16(unix.RTM_NEWLINK)
	if _, ok := o.(bridge.SetMST); ok {
		typ = unix.RTM_SETLINK
	}
	return done(typ, 0)
}

// portAttr builds the request that changes an attribute of a bridge port.
func portAttr(w *nlattr.Builder, index int, err error, fill func()) ([]request, error) {
	if err != nil {
		return nil, err
	}
	w.Raw(ifinfo(unix.AF_BRIDGE, index, 0, 0))
	w.Nest(unix.IFLA_PROTINFO, fill)
	b, err := w.Payload()
	return []request{{unix.RTM_SETLINK, 0, b}}, err
}

// flushRequest makes a bridge port forget (IFLA_BRPORT_FLUSH).
func flushRequest(index int) ([]request, error) {
	var w nlattr.Builder
	return portAttr(&w, index, nil, func() { w.Bytes(brportFlush, nil) })
}

func vlans(w *nlattr.Builder, index int, self bool, first, last, flags uint16) {
	w.Raw(ifinfo(unix.AF_BRIDGE, index, 0, 0))
	info := func(flags, vid uint16) { w.Bytes(bridgeVLANInfo, ne.AppendUint16(ne.AppendUint16(nil, flags), vid)) }
	w.Nest(unix.IFLA_AF_SPEC, func() {
		if self {
			w.Uint16(bridgeFlags, flagSelf)
		} else {
			w.Uint16(bridgeFlags, flagMaster)
		}
		if first == last {
			info(flags, first)
			return
		}
		info(flags|vlanRangeBegin, first)
		info(flags|vlanRangeEnd, last)
	})
}

func ndmsg(index int, state uint16, flags uint8) []byte {
	b := make([]byte, ndmsgLen)
	b[0] = unix.AF_BRIDGE
	ne.PutUint32(b[4:], uint32(index))
	ne.PutUint16(b[8:], state)
	b[10] = flags
	return b
}

func neigh(w *nlattr.Builder, index int, e bridge.FDBEntry) {
	state, flags := uint16(nudNoARP), uint8(ntfMaster)
	if e.Port == e.Bridge {
		state, flags = nudPermanent, ntfSelf
	}
	if e.Sticky {
		flags |= ntfSticky
	}
	w.Raw(ndmsg(index, state, flags))
	w.Bytes(ndaLLAddr, e.MAC[:])
	w.Uint16(ndaVLAN, e.VID)
}

func mdb(w *nlattr.Builder, br, port int, e bridge.MDBEntry) error {
	head := make([]byte, brPortMsgLen)
	head[0] = unix.AF_BRIDGE
	ne.PutUint32(head[4:], uint32(br))
	b := make([]byte, mdbEntryLen)
	ne.PutUint32(b, uint32(port))
	b[4] = mdbPermanent
	ne.PutUint16(b[6:], e.VID)
	if ip, err := netip.ParseAddr(e.Group); err == nil {
		copy(b[8:24], ip.AsSlice())
		binary.BigEndian.PutUint16(b[24:], ethPIP)
		if ip.Is6() {
			binary.BigEndian.PutUint16(b[24:], ethPIPv6)
		}
	} else {
		mac, err := parseMAC(e.Group)
		if err != nil {
			return err
		}
		copy(b[8:], mac[:])
	}
	w.Raw(head)
	w.Bytes(mdbaSetEntry, b)
	return nil
}

func parseMAC(s string) (m bridge.MAC, err error) {
	if n, err := fmt.Sscanf(s, "%02x:%02x:%02x:%02x:%02x:%02x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]); err != nil || n != 6 || m.String() != s {
		return m, fmt.Errorf("group %q is no address: %w", s, unix.EINVAL)
	}
	return m, nil
}

var bondModes = map[bridge.LAGMode]uint8{bridge.ActiveBackup: 1, bridge.BalanceXOR: 2, bridge.LACP: 4}

var bondHashes = map[string]uint8{"layer2": 0, "layer3+4": 1, "layer2+3": 2}

var flagAttrs = map[bridge.Flag]uint16{
	bridge.FlagLearning: brportLearning, bridge.FlagFlood: brportFlood, bridge.FlagMcastFlood: brportMcastFlood, bridge.FlagBcastFlood: brportBcastFlood,
	bridge.FlagIsolated: brportIsolated, bridge.FlagLocked: brportLocked, bridge.FlagHairpin: brportMode,
}

func kernelState(s bridge.STPState) uint8 {
	return [...]uint8{
		bridge.STPUnmanaged: stateForwarding, bridge.STPDisabled: stateDisabled, bridge.STPBlocking: stateBlocking, bridge.STPListening: stateListening,
		bridge.STPLearning: stateLearning, bridge.STPForwarding: stateForwarding,
	}[s]
}

func stpState(b uint8) bridge.STPState {
	switch b {
	case stateListening:
		return bridge.STPListening
	case stateLearning:
		return bridge.STPLearning
	case stateForwarding:
		return bridge.STPForwarding
	case stateBlocking:
		return bridge.STPBlocking
	}
	return bridge.STPDisabled
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func boolFlag(b bool, f uint16) uint16 {
	if b {
		return f
	}
	return 0
}
