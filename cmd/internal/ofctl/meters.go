// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/openflow"
)

// meterArg reads the meter of a command that names one, all if there is none.
func meterArg(args []string) (uint32, error) {
	if len(args) < 2 {
		return oftext.MeterAll, nil
	}
	m, err := oftext.ParseMeter(args[1], openflow.MeterDelete)
	if err != nil {
		return 0, err
	}
	return m.Meter, nil
}

// meterCommand makes the command that changes one meter.
func meterCommand(cmd openflow.MeterModCommand) func(*session, []string) (int, error) {
	return plain(func(s *session, args []string) error {
		m := &openflow.MeterMod{Command: cmd}
		var err error
		if cmd == openflow.MeterDelete {
			m.Meter, err = meterArg(args)
		} else {
			m, err = oftext.ParseMeter(args[1], cmd)
		}
		if err != nil {
			return err
		}
		c, err := s.openForFlows(args[0], oftext.ProtocolsWithMeters)
		if err != nil {
			return err
		}
		refusal, err := c.change(m)
		if err != nil {
			return err
		}
		return s.refuse(refusal)
	})
}

// meterRequest makes the command that asks about one meter or all.
func meterRequest(request func(meter uint32) openflow.Message) func(*session, []string) (int, error) {
	return plain(func(s *session, args []string) error {
		id, err := meterArg(args)
		if err != nil {
			return err
		}
		c, err := s.openForFlows(args[0], oftext.ProtocolsWithMeters)
		if err != nil {
			return err
		}
		return s.printReply(c, args[0], request(id))
	})
}
