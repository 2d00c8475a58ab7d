// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
	"github.com/weirswitch/weir/datapath/openflow"
)

// maxEcho is the longest payload of an echo request, bytes.
const maxEcho = openflow.MaxLen - openflow.HeaderLen

func probe(s *session, args []string) error {
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	_, raw, err := c.call(&openflow.EchoRequest{})
	if err == nil && len(raw) != openflow.HeaderLen {
		err = errors.New("reply does not match request")
	}
	return err
}

func payload(s string) ([]byte, error) {
	n := atoi(s)
	if n < 0 || n > maxEcho {
		return nil, fmt.Errorf("payload must be between 0 and %d bytes", maxEcho)
	}
	b := make([]byte, n)
	rand.Read(b)
	return b, nil
}

func ping(s *session, args []string) error {
	size := "64"
	if len(args) > 1 {
		size = args[1]
	}
	if _, err := payload(size); err != nil {
		return err
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	for range 10 {
		data, err := payload(size)
		if err != nil {
			return err
		}
		start := s.env.Now()
		m, raw, err := c.call(&openflow.EchoRequest{Data: data})
		if err != nil {
			return err
		}
		took := s.env.Now().Sub(start)
		r, ok := m.(*openflow.EchoReply)
		if !ok || !bytes.Equal(r.Data, data) {
			s.printf("Reply does not match request.  Reply:\n")
			s.show(raw, s.verbose(ofprint.Options{}, 2))
		}
		s.printf("%d bytes from %s: xid=%08x time=%.1f ms\n", len(raw)-openflow.HeaderLen, args[0], openflow.ParseHeader(raw).XID, float64(took)/1e6)
	}
	return nil
}

func benchmark(s *session, args []string) error {
	data, err := payload(args[1])
	if err != nil {
		return err
	}
	count := atoi(args[2])
	size := len(data) + openflow.HeaderLen
	s.printf("Sending %d packets * %d bytes (with header) = %d bytes total\n", count, size, count*size)
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	start := s.env.Now()
	for range count {
		if _, _, err := c.call(&openflow.EchoRequest{Data: data}); err != nil {
			return err
		}
	}
	took := s.env.Now().Sub(start)
	sec := max(took.Seconds(), 1e-9)
	s.printf("Finished in %.1f ms (%.0f packets/s) (%.0f bytes/s)\n", float64(took)/1e6, float64(count)/sec, float64(count*size)/sec)
	return nil
}
