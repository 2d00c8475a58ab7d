// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// setPacketIn asks for a format of packet-ins; a refusal is an error only if must.
func (c *conn) setPacketIn(f openflow.PacketInFormat, must bool) (bool, error) {
	refusal, err := c.change(&openflow.SetPacketInFormat{Format: f})
	if err != nil {
		return false, err
	}
	if refusal == nil {
		return true, nil
	}
	if must {
		m, _ := openflow.Decode(refusal, c.proto())
		kind := ofp.NoError
		if e, ok := m.(*openflow.Error); ok {
			kind = e.Kind
		}
		return false, fmt.Errorf("%s: failed to set packet in format to nx_packet_in (%v)", c.name, kind)
	}
	return false, nil
}

func monitor(s *session, args []string) error {
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	for _, a := range args[1:] {
		switch {
		case strings.HasPrefix(a, "watch:"):
			return errors.New("watch: is not supported")
		case a == "invalid_ttl" || a != "" && a[0] >= '0' && a[0] <= '9':
			cfg, err := c.config()
			if err != nil {
				return err
			}
			if a == "invalid_ttl" {
				cfg.InvalidTTL = true
			} else {
				cfg.MissSendLen = uint16(atoi(a))
			}
			refusal, err := c.change(&openflow.SetConfig{Config: cfg})
			if err != nil {
				return err
			}
			if err := s.refuse(refusal); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s: unsupported \"monitor\" argument", a)
		}
	}
	switch {
	case s.plan.packetIn >= 0:
		if _, err := c.setPacketIn(openflow.PacketInFormat(s.plan.packetIn), true); err != nil {
			return err
		}
	default:
		ok, err := c.setPacketIn(openflow.PacketInNXT2, false)
		if err == nil && !ok && c.version == ofp.V10 {
			_, err = c.setPacketIn(openflow.PacketInNXT, false)
		}
		if err != nil {
			return err
		}
	}
	return s.watch(c, true)
}

func snoop(s *session, args []string) error {
	c, err := s.open(args[0], "snoop", true)
	if err != nil {
		return err
	}
	return s.watch(c, false)
}

// watch prints messages, on stderr as the stock tool does, until the connection
// ends; echo requests are answered if asked for.
func (s *session) watch(c *conn, echo bool) error {
	o, err := s.display(s.target)
	if err != nil {
		return err
	}
	o.Verbosity += 2
	for {
		raw, err := c.recv()
		if err != nil {
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
			return c.talkingAs("vconn_recv", err)
		}
		if s.plan.timestamp {
			fmt.Fprintf(s.env.Stderr, "%s: ", s.env.Now().UTC().Format("2006-01-02 15:04:05.000"))
		}
		if h := openflow.ParseHeader(raw); echo && h.Type == 2 { // OFPT_ECHO_REQUEST
			if err := c.answerEcho(raw); err != nil {
				return err
			}
		}
		io.WriteString(s.env.Stderr, ofprint.Message(raw, o))
	}
}
