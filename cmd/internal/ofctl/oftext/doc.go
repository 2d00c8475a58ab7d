// SPDX-License-Identifier: Apache-2.0

// Package oftext reads what users write about an OpenFlow switch: flows, groups,
// meters, packet-outs, tunnel options, connections, and files of them (ovs-ofctl(8), Flow
// Syntax and the sections behind it).
//
// A text becomes a message of package openflow together with the set of flow formats,
// [Protocols], that can carry it. Names of ports and tables are the caller's. Texts
// and errors are those of Open vSwitch 3.1, compared by the tests of package
// ofctl with the stock program's; package ofprint is the other direction.
//
// Pure: no goroutines, no files.
package oftext
