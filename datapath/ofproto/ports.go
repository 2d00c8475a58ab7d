// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/order"
)

// Port is an OpenFlow port.
type Port struct {
	openflow.PortDesc
	Added time.Time
}

// Port returns a port, or nil.
func (b *Bridge) Port(no action.Port) *Port { return b.ports[no] }

// PortNumbers returns the numbers of all ports, rising; the local port is last.
func (b *Bridge) PortNumbers() []action.Port {
	ns := make([]action.Port, 0, len(b.ports))
	for n := range b.ports {
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns
}

// ConfigDown of a device that was set down by others comes with the description; the
// other settings are the controllers'.
const deviceConfig = openflow.ConfigDown

// SetPorts makes the bridge's ports those described. Settings that controllers have made
// stay with a port that keeps number and name. Effects.Ports has the ports that
// came, went or changed.
func (b *Bridge) SetPorts(want []openflow.PortDesc, now time.Time) (eff Effects) {
	status := func(r openflow.PortReason, d openflow.PortDesc) {
		eff.Async = append(eff.Async, &openflow.PortStatus{Reason: r, Desc: d})
		eff.Ports = append(eff.Ports, d.No)
	}
	byNo := make(map[action.Port]*openflow.PortDesc, len(want))
	for i := range want {
		byNo[want[i].No] = &want[i]
	}
	for _, no := range b.PortNumbers() {
		if w := byNo[no]; w == nil || w.Name != b.ports[no].Name {
			status(openflow.PortDeleted, b.ports[no].PortDesc)
			delete(b.ports, no)
		}
	}
	sorted := slices.Clone(want)
	order.Sort(sorted, func(x, y openflow.PortDesc) int { return cmp.Compare(x.No, y.No) })
	for _, w := range sorted {
		p := b.ports[w.No]
		if p == nil {
			b.ports[w.No] = &Port{PortDesc: w, Added: now}
			status(openflow.PortAdded, w)
			continue
		}
		w.Config = w.Config&deviceConfig | p.Config&^deviceConfig
		if w == p.PortDesc {
			continue
		}
		p.PortDesc = w
		status(openflow.PortModified, w)
	}
	return eff
}

// portMod changes the settings of a port (OpenFlow 1.3, A.3.4.3).
func (b *Bridge) portMod(m *openflow.PortMod) (eff Effects, err error) {
	if err = b.checkPortMod(m); err == nil {
		b.setPortConfig(m, &eff)
	}
	return eff, err
}

func (b *Bridge) checkPortMod(m *openflow.PortMod) error {
	p := b.ports[m.No]
	if p == nil {
		return ofp.PMFCBadPort
	}
	if m.HWAddr != p.HWAddr {
		return ofp.PMFCBadHwAddr
	}
	return nil
}

// setPortConfig does what a message says that has been checked.
func (b *Bridge) setPortConfig(m *openflow.PortMod, eff *Effects) {
	const known = openflow.ConfigDown | openflow.ConfigNoRecv | openflow.ConfigNoRecvSTP |
		openflow.ConfigNoFlood | openflow.ConfigNoFwd | openflow.ConfigNoPacketIn
	p := b.ports[m.No]
	toggle := (m.Config ^ p.Config) & m.Mask & known
	if toggle == 0 {
		return
	}
	p.Config ^= toggle
	if toggle&openflow.ConfigDown != 0 {
		if eff.PortDown == nil {
			eff.PortDown = make(map[action.Port]bool)
		}
		eff.PortDown[m.No] = p.Config&openflow.ConfigDown != 0
	}
	eff.Ports = append(eff.Ports, m.No)
	eff.Async = append(eff.Async, &openflow.PortStatus{Reason: openflow.PortModified, Desc: p.PortDesc})
}

func (b *Bridge) descs() []openflow.PortDesc {
	var out []openflow.PortDesc
	for _, no := range b.PortNumbers() {
		out = append(out, b.ports[no].PortDesc)
	}
	return out
}
