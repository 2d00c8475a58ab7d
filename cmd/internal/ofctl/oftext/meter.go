// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow"
)

// Numbers of meters that are not those of users (OpenFlow 1.3, A.3.4.4, enum ofp_meter).
const (
	MeterMax        uint32 = 0xffff0000
	MeterSlowpath   uint32 = 0xfffffffd
	MeterController uint32 = 0xfffffffe
	MeterAll        uint32 = 0xffffffff
)

// Types of bands.
const (
	bandDrop       = 1
	bandDSCPRemark = 2
)

// ProtocolsWithMeters are the formats of versions that have meters.
const ProtocolsWithMeters = OXM13 | OXM14 | OXM15

// ParseMeter reads a meter for command c; for MeterDelete, and for requests, it is only named.
func ParseMeter(s string, c openflow.MeterModCommand) (*openflow.MeterMod, error) {
	m := &openflow.MeterMod{Command: c}
	whole := c != openflow.MeterDelete
	bands := ""
	if whole {
		i := strings.Index(s, "band")
		if i < 0 {
			return nil, errors.New("must specify bands")
		}
		j := strings.IndexByte(s[i:], '=')
		if j < 0 {
			return nil, errors.New("must specify bands")
		}
		s, bands = s[:i], s[i+j+1:]
	}
	for _, kv := range keyValues(s) {
		if f := meterFlag(kv.key); whole && f != 0 {
			m.Flags |= f
			continue
		}
		if kv.value == "" {
			return nil, fmt.Errorf("field %s missing value", kv.key)
		}
		if kv.key != "meter" {
			return nil, fmt.Errorf("unknown keyword %s", kv.key)
		}
		var err error
		if m.Meter, err = parseMeterID(kv.value); err != nil {
			return nil, err
		}
	}
	switch {
	case m.Meter == 0:
		return nil, errors.New("must specify 'meter'")
	case whole && m.Flags == 0:
		return nil, errors.New("meter must specify either 'kbps' or 'pktps'")
	case !whole:
		return m, nil
	}
	return m, parseBands(m, bands)
}

func meterFlag(s string) openflow.MeterFlags {
	switch s {
	case "kbps":
		return openflow.MeterKbps
	case "pktps":
		return openflow.MeterPktps
	case "burst":
		return openflow.MeterBurst
	case "stats":
		return openflow.MeterStat
	}
	return 0
}

func parseMeterID(s string) (uint32, error) {
	switch s {
	case "all":
		return MeterAll, nil
	case "controller":
		return MeterController, nil
	case "slowpath":
		return MeterSlowpath, nil
	}
	id, err := parseWord(s)
	if err == nil && (id == 0 || id > MeterMax) {
		err = errors.New("invalid value for meter")
	}
	return id, err
}

// parseBands reads the bands of a meter, each from its "type" to the next.
func parseBands(m *openflow.MeterMod, s string) error {
	var b *openflow.MeterBand
	for _, kv := range keyValues(s) {
		if kv.key == "type" {
			m.Bands = append(m.Bands, openflow.MeterBand{})
			b = &m.Bands[len(m.Bands)-1]
			switch kv.value {
			case "drop":
				b.Type = bandDrop
			case "dscp_remark":
				b.Type = bandDSCPRemark
			default:
				return fmt.Errorf("field %s unknown value %s", kv.key, kv.value)
			}
			continue
		}
		if b == nil {
			return errors.New("band must start with the 'type' keyword")
		}
		if kv.value == "" {
			return fmt.Errorf("field %s missing value", kv.key)
		}
		var err error
		switch kv.key {
		case "rate":
			b.Rate, err = parseWord(kv.value)
		case "burst_size":
			b.Burst, err = parseWord(kv.value)
		case "prec_level":
			var n uint64
			if n, err = strconv.ParseUint(kv.value, 0, 8); err != nil {
				return fmt.Errorf("invalid %s \"%s\"", kv.key, kv.value)
			}
			b.PrecLevel = uint8(n)
		default:
			return fmt.Errorf("unknown keyword %s", kv.key)
		}
		if err != nil {
			return err
		}
	}
	if len(m.Bands) == 0 {
		return errors.New("meter must have bands")
	}
	for _, b := range m.Bands {
		switch {
		case b.Type == bandDSCPRemark && b.PrecLevel == 0:
			return errors.New("'dscp_remark' band must have 'prec_level'")
		case b.Type != bandDSCPRemark && b.PrecLevel != 0:
			return errors.New("Only 'dscp_remark' band may have 'prec_level'")
		case b.Rate == 0:
			return errors.New("band must have 'rate'")
		case m.Flags&openflow.MeterBurst != 0 && b.Burst == 0:
			return errors.New("band must have 'burst_size' when 'burst' flag is set")
		case m.Flags&openflow.MeterBurst == 0 && b.Burst != 0:
			return errors.New("band may have 'burst_size' only when 'burst' flag is set")
		}
	}
	return nil
}
