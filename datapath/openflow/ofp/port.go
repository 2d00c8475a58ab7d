// SPDX-License-Identifier: Apache-2.0

package ofp

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/action"
)

// portOffset maps the reserved numbers of OpenFlow 1.0 (0xff00 to 0xffff) to
// those of later versions (0xffffff00 to 0xffffffff).
const (
	port10Max  = 0xff00
	portOffset = 0xffff0000
)

// PortLimit is the first number that is no port of a switch with 16-bit ports.
const PortLimit action.Port = port10Max

// PortFrom10 returns the port for a number of OpenFlow 1.0.
func PortFrom10(p uint16) action.Port {
	if p >= port10Max {
		return action.Port(p) + portOffset
	}
	return action.Port(p)
}

// PortTo10 returns the OpenFlow 1.0 number of p; OFPP_NONE if it has none.
func PortTo10(p action.Port) uint16 {
	if p < port10Max || p >= action.PortMax {
		return uint16(p)
	}
	return 0xffff
}

// PortFrom11 checks a port number of OpenFlow 1.1 or later: this switch, as
// the stock one, has ports below 0xff00 and the reserved ones.
func PortFrom11(p uint32) (action.Port, error) {
	if p >= port10Max && action.Port(p) < action.PortMax {
		return action.PortAny, fmt.Errorf("port %d: %w", p, BACBadOutPort)
	}
	return action.Port(p), nil
}
