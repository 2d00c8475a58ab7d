// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"slices"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/openflow"
)

// normal forwards as a learning bridge (OpenFlow 1.3, 4.5, NORMAL; IEEE 802.1Q, 8).
func (c *ctx) normal() {
	inNo := c.inPort()
	in := c.br.ports[inNo]
	var vlan VLAN // a controller's packet comes from a trunk of all
	var bundle string
	leg := c.br.leg(inNo)
	switch {
	case leg != nil:
		c.dep(DepPort, inNo)
	case in != nil:
		c.dep(DepPort, inNo)
		vlan, bundle = in.VLAN, in.Bundle
	case inNo == action.PortController || inNo == action.PortAny:
	default:
		c.dep(DepPort, inNo)
		c.notef(NodeError, "received packet on unknown port %v", inNo)
		c.note(NodeWarn, "no input bundle, dropping")
		return
	}

	vid := uint16(0)
	if c.tagged() {
		vid = uint16(c.get(flow.FieldDLVLAN))
	} else if t := c.get(flow.FieldEthType); t == eth8021Q || t == eth8021AD {
		c.note(NodeWarn, "partial VLAN tag, dropping")
		return // a tag that is cut off
	}
	dst, src := c.get(flow.FieldEthDst), c.get(flow.FieldEthSrc)
	if leg != nil {
		if vid == 0 {
			c.note(NodeWarn, "untagged packet received from the chip, dropping")
			return
		}
		if vid == leg.Untagged {
			vid = 0
		}
	}
	tagVID := vid
	vid, ok := vlan.classify(vid)
	if !ok {
		if vlan.Mode == Access {
			c.notef(NodeError, "dropping VLAN %d tagged packet received on port %s configured as VLAN %d access port", tagVID, in.Name, vlan.Tag)
		} else {
			c.notef(NodeError, "dropping VLAN %d packet received on port %s not configured for trunking VLAN %d", tagVID, in.Name, tagVID)
		}
		c.note(NodeWarn, "disallowed VLAN VID for this input port, dropping")
		return
	}
	if !c.br.ForwardBPDU && reserved(dst) {
		c.note(NodeDetail, "packet has reserved destination MAC, dropping")
		return
	}
	if in != nil && in.Leg == nil && !fdb.Multicast(src) { // what is behind the chip, the chip learns
		l := Learn{c.br, src, inNo, vid}
		c.res.Learn = append(c.res.Learn, l)
		c.noteLearn(l)
	}

	if !fdb.Multicast(dst) {
		c.res.Deps = append(c.res.Deps, Dep{Bridge: c.br, Kind: DepMAC, MAC: dst, VLAN: vid})
		if no, ok := c.br.FDB.Lookup(vid, dst); ok {
			c.dep(DepPort, no)
			p := c.br.ports[no]
			switch {
			case p == nil:
				c.note(NodeWarn, "learned port is unknown, dropping")
			case no == inNo || bundle != "" && p.Bundle == bundle || leg != nil && p.Leg == leg || in != nil && in.Leg != nil && in.Leg == p.Leg && !c.packetOut:
				c.note(NodeDetail, "learned port is input port, dropping")
			case p.Leg != nil && (in == nil || in.Leg != p.Leg):
				c.note(NodeDetail, "forwarding to learned port, through the chip")
				c.sendLeg(p.Leg, vid)
			default:
				c.note(NodeDetail, "forwarding to learned port")
				c.sendNormal(p, vid)
			}
			return
		}
	}
	c.note(NodeDetail, "no learned MAC for destination, flooding")
	c.dep(DepFlood, 0)
	// A packet that came from the chip has been to its ports; one that a controller sends
	// as if it had come from one of them goes to the others singly.
	// A packet of a port that joins the chip or leaves it just now has also been received here: the
	// chip has done its part.
	var done []*Leg
	if in != nil && in.Leg != nil && !c.packetOut {
		done = append(done, in.Leg)
	}
	if leg != nil {
		done = append(done, leg)
	}
	for _, no := range c.br.order {
		p := c.br.ports[no]
		if p.Leg != nil && slices.Contains(done, p.Leg) {
			continue
		}
		if no == inNo || bundle != "" && p.Bundle == bundle || !p.VLAN.carries(vid) {
			continue
		}
		if p.VLAN.Mode == Access && c.get(flow.FieldCVLANTCI)&0xfff != 0 {
			continue // the customer's tag within shows that the VLAN is a provider's
		}
		if op := c.br.OF.Port(no); op != nil && op.Config&openflow.ConfigNoFlood != 0 {
			continue
		}
		if p.Leg != nil && (in == nil || in.Leg != p.Leg) {
			c.sendLeg(p.Leg, vid)
			done = append(done, p.Leg)
			continue
		}
		c.sendNormal(p, vid)
	}
}

// sendLeg sends a frame of VLAN vid to the chip.
func (c *ctx) sendLeg(l *Leg, vid uint16) {
	switch vid {
	case 0:
		vid = l.Untagged
	case l.Untagged: // a trunk of all VLANs has it; the chip would take it for VLAN 0
		c.notef(NodeWarn, "VLAN %d stands for no VLAN on the chip, dropping", vid)
		return
	}
	s := c.save()
	if c.tagged() {
		c.setField(flow.FieldDLVLAN, flow.U128{Lo: uint64(vid)}, flow.Ones(12))
	} else {
		c.pushTag(tpid8021Q, vid)
	}
	c.commit()
	c.emit(dpif.Output{Port: l.DP})
	c.restore(&s)
}

// sendNormal sends a frame of VLAN vid with the tag that p wants.
func (c *ctx) sendNormal(p *Port, vid uint16) {
	untag := p.VLAN.Mode == Access || p.VLAN.Mode == NativeUntagged && vid == p.VLAN.Tag
	if untag {
		vid = 0
	}
	s := c.save()
	switch {
	case vid != 0:
		if c.tagged() {
			c.setField(flow.FieldDLVLAN, flow.U128{Lo: uint64(vid)}, flow.Ones(12))
		} else {
			c.pushTag(tpid8021Q, vid)
		}
	case !c.tagged():
		// No setting adds a tag to a frame that came without.
	case untag && p.VLAN.PriorityTags == PriorityNever:
		c.popTag()
	case !untag && p.VLAN.PriorityTags == PriorityAlways || c.get(flow.FieldVLANPCP) != 0:
		c.setField(flow.FieldDLVLAN, flow.U128{}, flow.Ones(12))
	default:
		c.popTag()
	}
	c.sendTo(p, 0)
	c.restore(&s)
}

// reserved reports whether frames to an address are for bridges themselves
// (ovs-vswitchd.conf.db(5), Bridge other_config:forward-bpdu).
func reserved(dst uint64) bool {
	switch {
	case dst&^0xf == stpAddr: // IEEE 802.1D, 7.12.6: reserved addresses
		return true
	case dst == 0x00e02b000000, dst == 0x00e02b000004, dst == 0x00e02b000006: // EDP, EAPS
		return true
	case dst&^0xf == 0x01000ccccccc&^0xf: // CDP, VTP, DTP, PAgP, UDLD; PVST+; CFM
		return true
	case dst == 0x01000ccdcdcd, dst == 0x01000c000000: // uplink fast, ISL
		return true
	}
	return false
}
