// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// protocols is a set of flow formats: an OpenFlow version and, for 1.0, which of
// Nicira's extensions are on (ovs-ofctl(8), --flow-format). The lowest bit
// is the most widely supported one.
type protocols uint16

const (
	of10    protocols = 1 << iota // OpenFlow 1.0
	of10tid                       // with tables in flow_mods
	nxm                           // OpenFlow 1.0 with NXM
	nxmTID
	of11
	oxm12
	oxm13
	oxm14
	oxm15
	numProtocols = iota
)

const (
	oxm      = oxm12 | oxm13 | oxm14 | oxm15
	anyProto = 1<<numProtocols - 1
	nxmUp    = nxm | nxmTID | oxm        // that have extensible matches
	of11Up   = of11 | oxm                // OpenFlow 1.1 and later
	withTID  = of10tid | nxmTID | of11Up // that name a flow's table
)

var protocolNames = [numProtocols]string{
	"OpenFlow10-table_id", "OpenFlow10+table_id", "NXM-table_id", "NXM+table_id", "OpenFlow11",
	"OXM-OpenFlow12", "OXM-OpenFlow13", "OXM-OpenFlow14", "OXM-OpenFlow15",
}

// protocolSets are abbreviations.
var protocolSets = []struct {
	name string
	set  protocols
}{{"any", anyProto}, {"OpenFlow10", of10 | of10tid}, {"NXM", nxm | nxmTID}, {"OXM", oxm}}

func (p protocols) String() string {
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

// parseProtocols reads what -F takes.
func parseProtocols(s string) (protocols, error) {
	var p protocols
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

// version returns the OpenFlow version of the lowest member of p.
func (p protocols) version() ofp.Version {
	switch {
	case p&(of10|of10tid|nxm|nxmTID) != 0:
		return ofp.V10
	case p&of11 != 0:
		return ofp.V11
	}
	for v := ofp.V12; v < ofp.V15; v++ {
		if p&protocolsOf(v) != 0 {
			return v
		}
	}
	return ofp.V15
}

// lowest returns the lowest member.
func (p protocols) lowest() protocols { return p & -p }

// protocolsOf returns the formats of version v.
func protocolsOf(v ofp.Version) protocols {
	switch {
	case v == ofp.V10:
		return of10 | of10tid | nxm | nxmTID
	case v == ofp.V11:
		return of11
	case v >= ofp.V12 && v <= ofp.V15:
		return oxm12 << (v - ofp.V12)
	}
	return 0
}

// versions returns the versions of the members of p.
func (p protocols) versions() (s ofp.Versions) {
	for v := ofp.V10; v <= ofp.V15; v++ {
		if p&protocolsOf(v) != 0 {
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
func usableFor(f flow.Field, m flow.U128) protocols {
	n := f.Bits()
	exact := m == flow.Ones(n)
	ifElse := func(c bool, a, b protocols) protocols {
		if c {
			return a
		}
		return b
	}
	switch f {
	case flow.FieldInPort, flow.FieldEthType, flow.FieldVLANPCP, flow.FieldIPProto, flow.FieldIPTOS, flow.FieldIPDSCP,
		flow.FieldARPOp, flow.FieldICMPType, flow.FieldICMPCode:
		return anyProto
	case flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldTPSrc, flow.FieldTPDst, flow.FieldTCPSrc, flow.FieldTCPDst,
		flow.FieldUDPSrc, flow.FieldUDPDst:
		return ifElse(exact, anyProto, nxmUp)
	case flow.FieldSCTPSrc, flow.FieldSCTPDst:
		return ifElse(exact, nxmUp|of11, nxmUp)
	case flow.FieldEthSrc, flow.FieldEthDst:
		return ifElse(exact, anyProto, nxmUp|of11)
	case flow.FieldIPSrc, flow.FieldIPDst, flow.FieldARPSPA, flow.FieldARPTPA:
		return ifElse(prefix(m, n), anyProto, nxmUp|of11)
	case flow.FieldMetadata, flow.FieldIPECN, flow.FieldMPLSLabel, flow.FieldMPLSTC:
		return nxmUp | of11
	}
	return nxmUp
}
