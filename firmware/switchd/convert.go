// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"fmt"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/upcall"
	"github.com/weirswitch/weir/datapath/xlate"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// control is what the controllers of a bridge mean for its tables.
type control struct {
	primary  bool // there are primary controllers
	failOpen bool // and all are silent, so that the bridge is on its own
	oldMiss  bool // some connection speaks OpenFlow before 1.3
}

// configs turns a plan into what each tier is to be. Bridges of one tier can
// be joined by patch ports. Interfaces in under count as ports of a chip whatever the plan says.
func configs(p *wanted.Plan, links map[string]wanted.Link, under map[string]bool, controls map[string]control, compat string) map[wanted.Kind]upcall.Config {
	all := map[wanted.Kind]upcall.Config{}
	for i := range p.Bridges {
		b := &p.Bridges[i]
		c := controls[b.Name]
		cfg := upcall.BridgeConfig{
			Name: b.Name, DatapathID: b.DatapathID,
			Desc: openflow.DescReply{
				Manufacturer: "Weir", Hardware: "Weir (" + b.Kind.String() + ")", Software: compat,
				Serial: orNone(b.Serial), Datapath: orNone(b.Description),
			},
			Secure: b.Secure, Controllers: c.primary, FailOpen: c.failOpen, MissToController: c.oldMiss,
			MACAging: b.MACAging, MACTableSize: b.MACTableSize, ForwardBPDU: b.ForwardBPDU,
			Tables: tableConfigs(b.Tables),
		}
		for j := range b.Legs {
			l := &b.Legs[j]
			cfg.Legs = append(cfg.Legs, xlate.Leg{No: upcall.MinLeg + action.Port(j), Name: l.Device, DP: l.DP, Untagged: l.Untagged})
		}
		for j := range b.Ports {
			if ps := &b.Ports[j]; ps.No != 0 {
				pc := portConfig(ps, links[ps.Iface.Name])
				if (ps.Bridged() || under[ps.Iface.Name]) && len(b.Legs) > 0 {
					pc.Leg = upcall.MinLeg
				}
				cfg.Ports = append(cfg.Ports, pc)
			}
		}
		k := all[b.Kind]
		k.MaxIdle, k.FlowLimit = p.MaxIdle, p.FlowLimit
		k.Bridges = append(k.Bridges, cfg)
		all[b.Kind] = k
	}
	return all
}

// tableConfigs leaves out groups that no field is known for, as ovs-vswitchd.conf.db(5) says.
func tableConfigs(ts map[uint8]wanted.Table) map[uint8]ofproto.TableConfig {
	cfg := make(map[uint8]ofproto.TableConfig, len(ts))
	for no, t := range ts {
		c := ofproto.TableConfig{Name: t.Name, Limited: t.Limited, Limit: t.Limit, Evict: t.Evict}
		for _, g := range t.Groups {
			if f, err := flow.ParseSubfield(g); err == nil {
				c.Groups = append(c.Groups, f)
			}
		}
		cfg[no] = c
	}
	return cfg
}

func orNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

func portConfig(ps *wanted.PortState, l wanted.Link) upcall.PortConfig {
	c := upcall.PortConfig{
		No: action.Port(ps.No), Name: ps.Iface.Name, HWAddr: ps.Device.MAC, DP: ps.DP,
		VLAN: vlanOf(ps.Port.VLAN), Bundle: ps.Port.Name,
		Down: !ps.Device.Up, LinkDown: !ps.Device.Carrier,
	}
	if ps.Iface.Local {
		c.No = action.PortLocal
	}
	if ps.Iface.Type == wanted.Patch {
		c.HWAddr, c.Peer = wanted.PatchMAC(ps.Iface), ps.Iface.Peer
		c.Down, c.LinkDown = false, false
	}
	c.CurrSpeed = uint32(min(l.Speed/1000, 1<<32-1))
	c.Curr = features(l)
	return c
}

// features returns the bits of OpenFlow for a speed (OpenFlow 1.3, A.2.1).
func features(l wanted.Link) openflow.PortFeatures {
	if l.Speed <= 0 {
		return 0
	}
	pick := func(half, full openflow.PortFeatures) openflow.PortFeatures {
		if l.HalfDuplex {
			return half
		}
		return full
	}
	var f openflow.PortFeatures
	switch l.Speed / 1_000_000 {
	case 10:
		f = pick(openflow.Feature10MbHD, openflow.Feature10MbFD)
	case 100:
		f = pick(openflow.Feature100MbHD, openflow.Feature100MbFD)
	case 1_000:
		f = pick(openflow.Feature1GbHD, openflow.Feature1GbFD)
	case 10_000:
		f = openflow.Feature10GbFD
	case 40_000:
		f = openflow.Feature40GbFD
	case 100_000:
		f = openflow.Feature100GbFD
	case 1_000_000:
		f = openflow.Feature1TbFD
	default:
		f = openflow.FeatureOther
	}
	return f | openflow.FeatureCopper
}

func vlanOf(v wanted.VLAN) xlate.VLAN {
	x := xlate.VLAN{Tag: v.Tag}
	switch v.Mode {
	case wanted.Access:
		x.Mode = xlate.Access
	case wanted.NativeTagged:
		x.Mode = xlate.NativeTagged
	case wanted.NativeUntagged:
		x.Mode = xlate.NativeUntagged
	}
	if v.Trunks != nil {
		x.Trunks = xlate.NewVLANSet(v.Trunks...)
	}
	switch v.PriorityTags {
	case "always":
		x.PriorityTags = xlate.PriorityAlways
	case "if-nonzero":
		x.PriorityTags = xlate.PriorityIfNonzero
	}
	return x
}

// typeName returns what dpif/show prints for an interface.
func typeName(i *wanted.Interface) string {
	switch i.Type {
	case wanted.Internal:
		return "internal"
	case wanted.Patch:
		return fmt.Sprintf("patch: peer=%s", i.Peer)
	}
	return "system"
}

// datapathName returns the name that ovs-appctl shows for a tier, which is the
// one that stock has for the datapath of that type.
func datapathName(k wanted.Kind) string {
	if k == wanted.Soft {
		return "netdev@ovs-netdev"
	}
	return "system@ovs-system"
}

// statsInterval is how often the status columns are looked at again.
const statsInterval = 5 * time.Second
