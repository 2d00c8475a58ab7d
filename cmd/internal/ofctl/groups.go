// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// sendGroups sends group_mods, in a bundle if asked for.
func (s *session) sendGroups(target string, gs []*oftext.Group, usable oftext.Protocols) error {
	c, err := s.openForChanges(target, usable)
	if err != nil {
		return err
	}
	ms := make([]openflow.Message, len(gs))
	for i, g := range gs {
		if err := g.Sendable(c.version); err != nil {
			return err
		}
		ms[i] = &g.GroupMod
	}
	return s.changeAll(c, ms)
}

// openForChanges is openForFlows, in a version with bundles if one is asked for.
func (s *session) openForChanges(target string, usable oftext.Protocols) (*conn, error) {
	if s.plan.bundle {
		usable &= oftext.ProtocolsWithBundles
	}
	return s.openForFlows(target, usable)
}

// changeAll sends changes, in a bundle if asked for, else one after the other up to the first that
// is refused.
func (s *session) changeAll(c *conn, ms []openflow.Message) error {
	if s.plan.bundle {
		return c.bundle(ms)
	}
	refusal, err := c.change(ms...)
	if err != nil {
		return err
	}
	return s.refuse(refusal)
}

// groupFrom sends the group of the command line, or those of standard input for "-".
func (s *session) groupFrom(target, text string, c openflow.GroupModCommand) error {
	if text == "-" {
		return s.groupsFromFile(target, text, c)
	}
	n, err := s.take(target)
	if err != nil {
		return err
	}
	g, err := oftext.ParseGroup(text, c, n)
	if err != nil {
		return err
	}
	return s.sendGroups(target, []*oftext.Group{g}, g.Usable)
}

func (s *session) groupsFromFile(target, name string, c openflow.GroupModCommand) error {
	n, err := s.take(target)
	if err != nil {
		return err
	}
	b, name, err := s.readFile(name)
	if err != nil {
		return err
	}
	gs, usable, err := oftext.ParseGroups(name, string(b), c, n)
	if err != nil {
		return err
	}
	return s.sendGroups(target, gs, usable)
}

// groupCommand makes the command that sends one group.
func groupCommand(c openflow.GroupModCommand) func(*session, []string) (int, error) {
	return plain(func(s *session, args []string) error {
		text := ""
		if len(args) > 1 {
			text = args[1]
		}
		return s.groupFrom(args[0], text, c)
	})
}

func addGroups(s *session, args []string) error {
	return s.groupsFromFile(args[0], args[1], openflow.GroupAdd)
}

func modGroup(s *session, args []string) (int, error) {
	c := openflow.GroupModify
	if s.plan.mayCreate {
		c = openflow.GroupAddOrModify
	}
	return groupCommand(c)(s, args)
}

func delGroups(s *session, args []string) error {
	text := "group_id=all"
	if len(args) > 1 && args[1] != "" {
		text = args[1]
	}
	return s.groupFrom(args[0], text, openflow.GroupDelete)
}

// groupNumber reads what dump-groups takes; a text that is none stands for all, after a warning.
func (s *session) groupNumber(text string) uint32 {
	switch strings.ToLower(text) {
	case "all":
		return action.GroupAll
	case "any":
		return action.GroupAny
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		s.log("ofp_group", "WARN", text+" is not a valid group ID.  (Valid group IDs are 32-bit nonnegative integers or the keywords ANY or ALL.)")
		return action.GroupAll
	}
	return uint32(n)
}

func dumpGroups(s *session, args []string) error {
	g := action.GroupAll
	if len(args) > 1 {
		g = s.groupNumber(args[1])
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	if c.version > ofp.V10 && c.version < ofp.V15 {
		g = action.GroupAll // the request has no number
	}
	return s.printReply(c, args[0], &openflow.GroupDescRequest{Group: g})
}

func dumpGroupStats(s *session, args []string) error {
	g := action.GroupAll
	if len(args) > 1 {
		n, err := s.take(args[0])
		if err != nil {
			return err
		}
		m, err := oftext.ParseGroup(args[1], openflow.GroupDelete, n)
		if err != nil {
			return err
		}
		g = m.Group
	}
	return s.askAndPrint(args[0], &openflow.GroupStatsRequest{Group: g})
}
