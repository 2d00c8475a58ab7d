// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow"
)

// Protocols of IP whose connections have numbers other than ports.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

// ParseCTFlush reads what ct-flush takes: [zone=N] [original direction [reply direction]].
func ParseCTFlush(args []string) (*openflow.CTFlush, error) {
	m := &openflow.CTFlush{}
	if len(args) > 0 {
		if z, ok := strings.CutPrefix(args[0], "zone="); ok {
			n, err := ParseZone(z)
			if err != nil {
				return nil, errors.New("Failed to parse zone")
			}
			m.Zone, m.HasZone, args = n, true, args[1:]
		}
	}
	for i, t := range []*openflow.CTTuple{&m.Orig, &m.Reply} {
		if i >= len(args) {
			break
		}
		if err := parseTuple(args[i], t, m); err != nil {
			return nil, fmt.Errorf("Failed to parse ct-tuple: %w", err)
		}
	}
	return m, nil
}

// ParseZone reads a connection tracking zone.
func ParseZone(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return 0, fmt.Errorf("invalid zone_id \"%s\"", s)
	}
	return uint16(n), nil
}

// parseTuple reads one direction; the protocol is that of both.
func parseTuple(s string, t *openflow.CTTuple, m *openflow.CTFlush) error {
	ports, icmp := false, false
	proto := uint8(0)
	for _, kv := range keyValues(s) {
		if kv.value == "" {
			return fmt.Errorf("field %s missing value", kv.key)
		}
		var err error
		switch kv.key {
		case "ct_nw_src", "ct_ipv6_src":
			t.Src, err = parseAddr(kv, t)
		case "ct_nw_dst", "ct_ipv6_dst":
			t.Dst, err = parseAddr(kv, t)
		case "ct_nw_proto":
			err = setNumber(&proto, kv, 8)
		case "ct_tp_src":
			ports = true
			err = setNumber(&t.SrcPort, kv, 16)
		case "ct_tp_dst":
			ports = true
			err = setNumber(&t.DstPort, kv, 16)
		case "icmp_type":
			icmp = true
			err = setNumber(&t.Type, kv, 8)
		case "icmp_code":
			icmp = true
			err = setNumber(&t.Code, kv, 8)
		case "icmp_id":
			icmp = true
			err = setNumber(&t.ID, kv, 16)
		default:
			return fmt.Errorf("invalid conntrack tuple field: %s", kv.key)
		}
		if err != nil {
			return err
		}
	}
	isICMP := proto == protoICMP || proto == protoICMPv6
	switch {
	case (ports || icmp) && proto == 0:
		return errors.New("port is set without protocol")
	case ports && isICMP, icmp && !isICMP:
		return errors.New("invalid L4 fields")
	case isICMP && !t.Src.IsValid() && !t.Dst.IsValid():
		return errors.New("invalid L4 fields")
	}
	if proto != 0 {
		m.Proto = proto
	}
	return nil
}

func setNumber[T uint8 | uint16](p *T, kv keyValue, bits int) error {
	n, err := strconv.ParseUint(kv.value, 0, bits)
	if err != nil {
		return fmt.Errorf("failed to parse field %s", kv.key)
	}
	*p = T(n)
	return nil
}

// parseAddr reads an address of the family that the key names, which is that of the addresses there are.
func parseAddr(kv keyValue, t *openflow.CTTuple) (netip.Addr, error) {
	v4 := strings.HasPrefix(kv.key, "ct_nw")
	for _, a := range []netip.Addr{t.Src, t.Dst} {
		if a.IsValid() && a.Is4() != v4 {
			return netip.Addr{}, fmt.Errorf("the L3 protocol does not match %s", kv.value)
		}
	}
	a, err := netip.ParseAddr(kv.value)
	if err != nil || a.Is4() != v4 {
		return netip.Addr{}, fmt.Errorf("failed to parse field %s", kv.key)
	}
	return a, nil
}
