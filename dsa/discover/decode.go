// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlattr"
)

// Numbers of linux/if_link.h and linux/if_arp.h.
const (
	iflaAddress      = 1
	iflaName         = 3
	iflaMTU          = 4
	iflaLink         = 5
	iflaMaster       = 10
	iflaLinkinfo     = 18
	iflaCarrier      = 33
	iflaPhysSwitchID = 36
	iflaLinkNetnsid  = 37
	iflaPhysPortName = 38
	iflaMinMTU       = 50
	iflaMaxMTU       = 51
	infoKind         = 1

	ifinfomsgLen = 16
	arphrdEther  = 1
	iffUp        = 1
	iffLoopback  = 8
)

// Numbers of linux/devlink.h.
const (
	dlBusName       = 1
	dlDevName       = 2
	dlPortIndex     = 3
	dlNetdevIfindex = 6
	dlNetdevName    = 7
	dlResourceList  = 63
	dlResource      = 64
	dlResourceName  = 65
	dlResourceSize  = 67
	dlResourceOcc   = 74
	dlPortFlavour   = 77
	dlPortNumber    = 78
	dlDriverName    = 98
	dlVersionFixed  = 100
	dlVersionRun    = 101
	dlVersionName   = 103
	dlVersionValue  = 104
)

// Numbers of linux/netdev.h and linux/ethtool_netlink.h.
const (
	netdevIfindex     = 1
	netdevXDPFeatures = 3
	xdpBasic          = 1

	featuresHeader = 1
	featuresActive = 4
	headerDevIndex = 1
	bitsetBits     = 3
	bitsetBit      = 1
	bitName        = 2
)

type link struct {
	dsa.Port
	lower, master int // ifindex, 0: none
}

func decodeLink(b []byte, order binary.ByteOrder) (l link, ethernet bool, err error) {
	if len(b) < ifinfomsgLen {
		return link{}, false, fmt.Errorf("decode link: %d bytes", len(b))
	}
	l.Index = int(int32(order.Uint32(b[4:])))
	flags := order.Uint32(b[8:])
	l.Up = flags&iffUp != 0
	l.Number, l.Kind = dsa.NoNumber, dsa.KindPlain
	elsewhere := false
	a := nlattr.Parse(b[ifinfomsgLen:], order)
	for a.Next() {
		switch a.Type() {
		case iflaAddress:
			l.MAC = macText(a.Bytes())
		case iflaName:
			l.Name = a.String()
		case iflaMTU:
			l.MTU = int(a.Uint32())
		case iflaMinMTU:
			l.MinMTU = int(a.Uint32())
		case iflaMaxMTU:
			l.MaxMTU = int(a.Uint32())
		case iflaLink:
			l.lower = int(a.Uint32())
		case iflaLinkNetnsid:
			elsewhere = true
		case iflaMaster:
			l.master = int(a.Uint32())
		case iflaCarrier:
			l.Carrier = a.Uint8() != 0
		case iflaPhysSwitchID:
			l.Switch = hex.EncodeToString(a.Bytes())
		case iflaPhysPortName:
			l.PhysName = a.String()
		case iflaLinkinfo:
			for i := a.Nested(); i.Next(); {
				if i.Type() == infoKind {
					l.LinkKind = i.String()
				}
			}
		}
	}
	if elsewhere {
		l.lower = 0 // a number of another namespace
	}
	if err := a.Err(); err != nil {
		return link{}, false, fmt.Errorf("decode link %q: %w", l.Name, err)
	}
	return l, order.Uint16(b[2:]) == arphrdEther && flags&iffLoopback == 0, nil
}

func macText(b []byte) string {
	words := make([]string, len(b))
	for i, c := range b {
		words[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(words, ":")
}

type devlinkPort struct {
	chip    string
	ifindex int
	dsa.ChipPort
}

func flavour(n uint16) dsa.Flavour {
	switch n {
	case 0:
		return dsa.FlavourPhysical
	case 1:
		return dsa.FlavourCPU
	case 2:
		return dsa.FlavourDSA
	case 5:
		return dsa.FlavourVirtual
	case 6:
		return dsa.FlavourUnused
	}
	return dsa.FlavourOther
}

func decodeDevlinkPort(b []byte, order binary.ByteOrder) (devlinkPort, error) {
	p := devlinkPort{ChipPort: dsa.ChipPort{Number: dsa.NoNumber, Flavour: dsa.FlavourOther}}
	var bus, dev string
	a := nlattr.Parse(b, order)
	for a.Next() {
		switch a.Type() {
		case dlBusName:
			bus = a.String()
		case dlDevName:
			dev = a.String()
		case dlPortIndex:
			p.Index = a.Uint32()
		case dlNetdevIfindex:
			p.ifindex = int(a.Uint32())
		case dlNetdevName:
			p.Netdev = a.String()
		case dlPortFlavour:
			p.Flavour = flavour(a.Uint16())
		case dlPortNumber:
			p.Number = int(a.Uint32())
		}
	}
	p.chip = bus + "/" + dev
	if p.Flavour == dsa.FlavourUnused {
		p.Number = int(p.Index) // it has no number of its own; for DSA the index is the port
	}
	if err := a.Err(); err != nil {
		return p, fmt.Errorf("decode devlink port: %w", err)
	}
	return p, nil
}

func decodeInfo(b []byte, order binary.ByteOrder) (chip, driver string, versions map[string]string, err error) {
	var bus, dev string
	a := nlattr.Parse(b, order)
	for a.Next() {
		switch a.Type() {
		case dlBusName:
			bus = a.String()
		case dlDevName:
			dev = a.String()
		case dlDriverName:
			driver = a.String()
		case dlVersionFixed, dlVersionRun:
			var name, value string
			for v := a.Nested(); v.Next(); {
				switch v.Type() {
				case dlVersionName:
					name = v.String()
				case dlVersionValue:
					value = v.String()
				}
			}
			if versions == nil {
				versions = map[string]string{}
			}
			versions[name] = value
		}
	}
	if err := a.Err(); err != nil {
		return "", "", nil, fmt.Errorf("decode devlink info: %w", err)
	}
	return bus + "/" + dev, driver, versions, nil
}

// maxResources bounds the resources taken of one chip, nested ones included.
const maxResources = 256

func decodeResources(b []byte, order binary.ByteOrder) (chip string, rs []dsa.Resource, err error) {
	var bus, dev string
	a := nlattr.Parse(b, order)
	for a.Next() {
		switch a.Type() {
		case dlBusName:
			bus = a.String()
		case dlDevName:
			dev = a.String()
		case dlResourceList:
			resources(a.Nested(), "", 0, &rs)
		}
	}
	if err := a.Err(); err != nil {
		return "", nil, fmt.Errorf("decode devlink resources: %w", err)
	}
	return bus + "/" + dev, rs, nil
}

// resources reads a list, and the lists inside it as "outer/inner".
func resources(list *nlattr.Attrs, prefix string, depth int, rs *[]dsa.Resource) {
	for list.Next() {
		if list.Type() != dlResource || len(*rs) >= maxResources {
			continue
		}
		at := len(*rs)
		*rs = append(*rs, dsa.Resource{})
		for f := list.Nested(); f.Next(); {
			switch f.Type() {
			case dlResourceName:
				(*rs)[at].Name = prefix + f.String()
			case dlResourceSize:
				(*rs)[at].Size = f.Uint64()
			case dlResourceOcc:
				used := f.Uint64()
				(*rs)[at].Used = &used
			case dlResourceList:
				if depth < 4 {
					resources(f.Nested(), (*rs)[at].Name+"/", depth+1, rs)
				}
			}
		}
	}
}

func decodeXDP(b []byte, order binary.ByteOrder) (ifindex int, native bool, err error) {
	a := nlattr.Parse(b, order)
	for a.Next() {
		switch a.Type() {
		case netdevIfindex:
			ifindex = int(a.Uint32())
		case netdevXDPFeatures:
			native = a.Number()&xdpBasic != 0
		}
	}
	if err := a.Err(); err != nil {
		return 0, false, fmt.Errorf("decode netdev features: %w", err)
	}
	return ifindex, native, nil
}

// decodeFeatures says whether hw-tc-offload is on. The set is a list of the
// names of the bits that are on (ETHTOOL_A_BITSET_NOMASK).
func decodeFeatures(b []byte, order binary.ByteOrder) (ifindex int, hwTC bool, err error) {
	a := nlattr.Parse(b, order)
	for a.Next() {
		switch a.Type() {
		case featuresHeader:
			for h := a.Nested(); h.Next(); {
				if h.Type() == headerDevIndex {
					ifindex = int(h.Uint32())
				}
			}
		case featuresActive:
			for set := a.Nested(); set.Next(); {
				if set.Type() != bitsetBits {
					continue
				}
				for bits := set.Nested(); bits.Next(); {
					if bits.Type() != bitsetBit {
						continue
					}
					for f := bits.Nested(); f.Next(); {
						if f.Type() == bitName && f.String() == "hw-tc-offload" {
							hwTC = true
						}
					}
				}
			}
		}
	}
	if err := a.Err(); err != nil {
		return 0, false, fmt.Errorf("decode ethtool features: %w", err)
	}
	return ifindex, hwTC, nil
}
