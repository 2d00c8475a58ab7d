// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Protocols is a set of flow formats: an OpenFlow version and, for 1.0, which of
// Nicira's extensions are on (ovs-ofctl(8), --flow-format). The lowest bit
// is the most widely supported one.
type Protocols uint16

const (
	OF10    Protocols = 1 << iota // OpenFlow 1.0
	OF10TID                       // with tables in flow_mods
	NXM                           // OpenFlow 1.0 with NXM
	NXMTID
	OF11
	OXM12
	OXM13
	OXM14
	OXM15
	numProtocols = iota
)

const (
	OXM     = OXM12 | OXM13 | OXM14 | OXM15
	Any     = 1<<numProtocols - 1
	NXMUp   = NXM | NXMTID | OXM        // that have extensible matches
	OF11Up  = OF11 | OXM                // OpenFlow 1.1 and later
	WithTID = OF10TID | NXMTID | OF11Up // that name a flow's table
)

var protocolNames = [numProtocols]string{
	"OpenFlow10-table_id", "OpenFlow10+table_id", "NXM-table_id", "NXM+table_id", "OpenFlow11",
	"OXM-OpenFlow12", "OXM-OpenFlow13", "OXM-OpenFlow14", "OXM-OpenFlow15",
}

// protocolSets are abbreviations.
var protocolSets = []struct {
	name string
	set  Protocols
}{{"any", Any}, {"OpenFlow10", OF10 | OF10TID}, {"NXM", NXM | NXMTID}, {"OXM", OXM}}

func (p Protocols) String() string {
	if p == 0 {
		return "none"
	}
	var ws []string
	for _, a := range protocolSets {
		if p&a.set == a.set {
			ws = append(ws, a.name)
			p &^= a.set
		}
	}
	for i, n := range protocolNames {
		if p&(1<<i) != 0 {
			ws = append(ws, n)
		}
	}
	return strings.Join(ws, ",")
}

// ParseProtocols reads what -F takes.
func ParseProtocols(s string) (Protocols, error) {
	var p Protocols
next:
	for _, w := range strings.Split(s, ",") {
		for _, a := range protocolSets {
			if strings.EqualFold(w, a.name) {
				p |= a.set
				continue next
			}
		}
		for i, n := range protocolNames {
			if strings.EqualFold(w, n) {
				p |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%s: unknown flow protocol", w)
	}
	return p, nil
}

// Version returns the OpenFlow version of the lowest member of p.
func (p Protocols) Version() ofp.Version {
	switch {
	case p&(OF10|OF10TID|NXM|NXMTID) != 0:
		return ofp.V10
	case p&OF11 != 0:
		return ofp.V11
	}
	for v := ofp.V12; v < ofp.V15; v++ {
		if p&ProtocolsOf(v) != 0 {
			return v
		}
	}
	return ofp.V15
}

// Lowest returns the lowest member.
func (p Protocols) Lowest() Protocols { return p & -p }

// ProtocolsOf returns the formats of version v.
func ProtocolsOf(v ofp.Version) Protocols {
	switch {
	case v == ofp.V10:
		return OF10 | OF10TID | NXM | NXMTID
	case v == ofp.V11:
		return OF11
	case v >= ofp.V12 && v <= ofp.V15:
		return OXM12 << (v - ofp.V12)
	}
	return 0
}

// Versions returns the versions of the members of p.
func (p Protocols) Versions() (s ofp.Versions) {
	for v := ofp.V10; v <= ofp.V15; v++ {
		if p&ProtocolsOf(v) != 0 {
			s |= ofp.VersionSet(v)
		}
	}
	return s
}

// prefix reports whether the ones of m, in a field of n bits, stand before all
// zeros.
func prefix(m flow.U128, n int) bool {
	for i := range n + 1 {
		if m == flow.Ones(n).AndNot(flow.Ones(n-i)) {
			return true
		}
	}
	return false
}

// usableFor returns the formats that can express a match of the bits m of f:
// OpenFlow 1.0 has its twelve fields, addresses with prefixes; OpenFlow 1.1
// adds a few and masks.
func usableFor(f flow.Field, m flow.U128) Protocols {
	n := f.Bits()
	exact := m == flow.Ones(n)
	ifElse := func(c bool, a, b Protocols) Protocols {
		if c {
			return a
		}
		return b
	}
	switch f {
	case flow.FieldInPort, flow.FieldEthType, flow.FieldVLANPCP, flow.FieldIPProto, flow.FieldIPTOS, flow.FieldIPDSCP,
		flow.FieldARPOp, flow.FieldICMPType, flow.FieldICMPCode:
		return Any
	case flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldTPSrc, flow.FieldTPDst, flow.FieldTCPSrc, flow.FieldTCPDst,
		flow.FieldUDPSrc, flow.FieldUDPDst:
		return ifElse(exact, Any, NXMUp)
	case flow.FieldSCTPSrc, flow.FieldSCTPDst:
		return ifElse(exact, NXMUp|OF11, NXMUp)
	case flow.FieldEthSrc, flow.FieldEthDst:
		return ifElse(exact, Any, NXMUp|OF11)
	case flow.FieldIPSrc, flow.FieldIPDst, flow.FieldARPSPA, flow.FieldARPTPA:
		return ifElse(prefix(m, n), Any, NXMUp|OF11)
	case flow.FieldMetadata, flow.FieldIPECN, flow.FieldMPLSLabel, flow.FieldMPLSTC:
		return NXMUp | OF11
	}
	return NXMUp
}
