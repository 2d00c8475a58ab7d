// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"errors"
	"fmt"
	"io"

	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/openflow"
)

// bundleFlags are those of every bundle: all or nothing, in the order given.
const bundleFlags = openflow.BundleAtomic | openflow.BundleOrdered

// bundle makes changes in one transaction (OpenFlow 1.4, 6.9). What the switch refuses is
// printed with the message that it refuses.
func (c *conn) bundle(ms []openflow.Message) error {
	sent := make(map[uint32][]byte) // by transaction id, for errors that say little
	refused := false
	send := func(m, show openflow.Message) (uint32, error) {
		xid := c.s.nextXID()
		b, err := openflow.Encode(c.proto(), xid, m)
		if err != nil {
			return 0, err
		}
		sent[xid] = b
		if show != nil {
			if sent[xid], err = openflow.Encode(c.proto(), xid, show); err != nil {
				return 0, err
			}
		}
		return xid, c.write(b)
	}
	// until reads up to the answer to a request, printing errors.
	until := func(xid uint32) error {
		for {
			raw, err := c.recv()
			if err != nil {
				return c.talking(err)
			}
			id := openflow.ParseHeader(raw).XID
			m, err := openflow.Decode(raw, c.proto())
			if e, ok := m.(*openflow.Error); ok && err == nil && sent[id] != nil {
				refused = true
				fmt.Fprintf(c.s.env.Stderr, "Error %v for: ", e.Kind)
				io.WriteString(c.s.env.Stderr, ofprint.Message(sent[id], c.s.verbose(ofprint.Options{}, 0)))
			} else if err := c.answerEcho(raw); err != nil {
				return err
			}
			if id == xid {
				return nil
			}
		}
	}
	control := func(t openflow.BundleControlType) error {
		xid, err := send(&openflow.BundleControl{Type: t, Flags: bundleFlags}, nil)
		if err != nil {
			return err
		}
		return until(xid)
	}
	failed := fmt.Errorf("talking to %s (%w)", c.name, errors.New("Protocol error"))
	if err := control(openflow.BundleOpenRequest); err != nil {
		return err
	}
	if refused {
		return failed
	}
	for _, m := range ms {
		if _, err := send(&openflow.BundleAdd{Flags: bundleFlags, Msg: m}, m); err != nil {
			return err
		}
	}
	barrier, err := send(&openflow.BarrierRequest{}, nil)
	if err != nil {
		return err
	}
	if err := until(barrier); err != nil {
		return err
	}
	end := openflow.BundleCommitRequest
	if refused {
		end = openflow.BundleDiscardRequest
	}
	if err := control(end); err != nil {
		return err
	}
	if refused {
		return failed
	}
	return nil
}

// bundleFile makes the changes of a file.
func bundleFile(s *session, args []string) error {
	if s.plan.allowed&oftext.ProtocolsWithBundles == 0 {
		s.plan.allowed = oftext.OXM14
		s.plan.versions = s.plan.allowed.Versions()
	}
	n, err := s.take(args[0])
	if err != nil {
		return err
	}
	b, name, err := s.readFile(args[1])
	if err != nil {
		return err
	}
	items, usable, err := oftext.ParseBundle(name, string(b), n)
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.Flow != nil {
			s.normalized(it.Flow)
		}
	}
	c, err := s.openForFlows(args[0], usable)
	if err != nil {
		return err
	}
	ms := make([]openflow.Message, len(items))
	for i, it := range items {
		if ms[i], err = it.Message(c.version); err != nil {
			return err
		}
	}
	return c.bundle(ms)
}
