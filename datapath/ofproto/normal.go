// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
)

// notForNormal are the settings of a port that NORMAL obeys and that a chip's bridge is not told.
const notForNormal = openflow.ConfigNoRecv | openflow.ConfigNoRecvSTP | openflow.ConfigNoFwd | openflow.ConfigNoFlood

// NotNormal says why the tables do not leave all packets that arrive on a port to NORMAL and nothing else;
// "": they do. Then, and only then, may a switch chip forward these packets by itself. It is cautious: it
// does not look for rules that can never match because others are above them in part.
func (b *Bridge) NotNormal(in action.Port) string {
	if p := b.Port(in); p != nil && p.Config&notForNormal != 0 {
		return fmt.Sprintf("a controller has set %v for the port", p.Config&notForNormal)
	}
	if b.Frag() == openflow.FragDrop {
		return "fragments are dropped"
	}
	return b.notNormal(in, 0, new([256]bool))
}

// notNormal is NotNormal from a table on. Those in normal have been looked at and leave all to NORMAL: with them each
// table is looked at once, however many rules lead there. A goto_table only rises.
func (b *Bridge) notNormal(in action.Port, table uint8, normal *[256]bool) string {
	if normal[table] {
		return ""
	}
	t := b.tables[table]
	if t == nil {
		return fmt.Sprintf("table %d is empty", table)
	}
	var on flow.Match
	on.SetU64(flow.FieldInPort, uint64(in))
	// The rule that takes whatever comes on the port, if there is one; those below it do not matter.
	var rest *Rule
	for r := range t.rules(b.version) {
		if (rest == nil || r.Priority() > rest.Priority()) && r.Overlaps(&on) && takesAll(r) {
			rest = r
		}
	}
	if rest == nil {
		return fmt.Sprintf("table %d has no rule for all packets of the port", table)
	}
	if why := b.leadsElsewhere(rest, in, normal); why != "" {
		return why
	}
	for r := range t.rules(b.version) {
		// Of rules of equal priority OpenFlow leaves open which one wins.
		if r == rest || r.Priority() < rest.Priority() || !r.Overlaps(&on) {
			continue
		}
		if why := b.leadsElsewhere(r, in, normal); why != "" {
			return why
		}
	}
	normal[table] = true
	return ""
}

// leadsElsewhere says why a rule does anything but NORMAL, or cannot live without its packets.
func (b *Bridge) leadsElsewhere(r *Rule, in action.Port, normal *[256]bool) string {
	i := r.Instr
	does := "does something else than NORMAL"
	if r.IdleTimeout != 0 {
		does = "has an idle timeout, which what a chip forwards does not feed"
		i = new(action.Instructions)
	}
	if i.Meter == 0 && i.MetadataMask == 0 && len(i.Write) == 0 && !i.HasGoto && len(i.Apply) == 1 {
		if o, ok := i.Apply[0].(action.Output); ok && o.Port == action.PortNormal {
			return ""
		}
	}
	if i.Meter == 0 && i.MetadataMask == 0 && len(i.Write) == 0 && len(i.Apply) == 0 && i.HasGoto && i.Goto > r.Table {
		return b.notNormal(in, i.Goto, normal)
	}
	m := r.Match()
	text := m.String()
	if len(text) > maxMatchText {
		text = text[:maxMatchText] + "..."
	}
	return fmt.Sprintf("a rule of table %d %s: priority=%d %s", r.Table, does, r.Priority(), text)
}

// maxMatchText bounds the match in a reason, in bytes.
const maxMatchText = 80

// takesAll reports whether a rule asks for nothing but a port of arrival.
func takesAll(r *Rule) bool {
	if r.cr.CatchAll() {
		return true
	}
	m := r.Match()
	m.Any(flow.FieldInPort)
	return m.Mask == (flow.Mask{})
}
