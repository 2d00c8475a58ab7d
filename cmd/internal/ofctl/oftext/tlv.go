// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"errors"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow"
)

var errTLVMap = errors.New("invalid tlv mapping")

// ParseTLVMaps reads mappings of tunnel options to fields, with commas between:
// "{class=0xffff,type=0,len=4}->tun_metadata0". Whether they make sense the switch says; of numbers
// that do not fit the lower bits are left, as in the stock tool.
func ParseTLVMaps(s string) (ms []openflow.TLVMap, err error) {
	for s != "" {
		var m openflow.TLVMap
		var n [4]uint64
		for i, before := range []string{"{class=", ",type=", ",len=", "}->tun_metadata"} {
			rest, ok := strings.CutPrefix(s, before)
			if !ok {
				return nil, errTLVMap
			}
			end := strings.IndexAny(rest, ",}")
			if i == 3 {
				end = strings.IndexByte(rest, ',')
			}
			if end < 0 {
				end = len(rest)
			}
			if n[i], ok = strtoull(rest[:end]); !ok {
				return nil, errTLVMap
			}
			s = rest[end:]
		}
		m.Class, m.Type, m.Len, m.Index = uint16(n[0]), uint8(n[1]), uint8(n[2]), uint16(n[3])
		ms = append(ms, m)
		if s != "" {
			s = s[1:] // the comma
		}
	}
	return ms, nil
}
