// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Item is one change of a bundle's file: one of the three is there.
type Item struct {
	Flow      *Flow
	Group     *Group
	PacketOut *openflow.PacketOut
}

// Message returns the message of the change as version v has it.
func (it Item) Message(v ofp.Version) (openflow.Message, error) {
	switch {
	case it.Flow != nil:
		return it.Flow.ForVersion(v), nil
	case it.Group != nil:
		return &it.Group.GroupMod, it.Group.Sendable(v)
	}
	return it.PacketOut, nil
}

// ParseBundle reads a file of changes, each with its kind before it (ovs-ofctl(8), OpenFlow
// Switch Bundle Command). The result says which formats with bundles can carry all.
func ParseBundle(name, s string, n Names) (items []Item, usable Protocols, err error) {
	usable = ProtocolsWithBundles
	for _, l := range flowLines(s) {
		it, u, err := parseItem(l.text, n)
		if err != nil {
			return nil, 0, atLine(name, l.number, err)
		}
		usable &= u
		items = append(items, it)
	}
	return items, usable, nil
}

// ProtocolsWithBundles are the formats of versions that have bundles.
const ProtocolsWithBundles = OXM13 | OXM14 | OXM15

func parseItem(s string, n Names) (Item, Protocols, error) {
	kind, rest := s, ""
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		kind, rest = s[:i], strings.TrimLeft(s[i:], " \t")
	}
	switch kind {
	case "flow":
		cmd, rest := flowCommand(rest, openflow.FlowAdd)
		f, err := ParseFlow(rest, cmd, n)
		if err != nil {
			return Item{}, 0, err
		}
		return Item{Flow: f}, f.Usable, nil
	case "group":
		cmd, rest := groupCommand(rest, openflow.GroupAdd)
		g, err := ParseGroup(rest, cmd, n)
		if err != nil {
			return Item{}, 0, err
		}
		return Item{Group: g}, g.Usable, nil
	case "packet-out":
		p, u, err := ParsePacketOut(rest, n)
		return Item{PacketOut: p}, u, err
	}
	return Item{}, 0, fmt.Errorf("Unsupported bundle message type: %s", kind)
}
