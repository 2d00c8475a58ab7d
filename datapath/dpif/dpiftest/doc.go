// SPDX-License-Identifier: Apache-2.0

// Package dpiftest is the conformance suite for datapaths: what package dpif
// promises, tried on the real kernel. Run makes a network namespace for each
// test, with pairs of veth devices: one end of each is a port of the datapath,
// from the other the test sends and there it looks what comes out.
//
// The namespaces have no name and no process: each belongs to a locked thread
// of the test and is gone with it. Random tests print their seed.
//
// Features that a datapath refuses with *dpif.Unsupported are skipped and named
// in the log; everything that it accepts must be right.
package dpiftest

import (
	"testing"

	"github.com/weirswitch/weir/datapath/dpif"
)

// tests is what Run runs.
var tests = []struct {
	name  string
	ports int
	run   func(l *lab)
}{
	{"Miss", 2, testMiss},
	{"Flow", 3, testFlow},
	{"Drop", 2, testDrop},
	{"Masks", 3, testMasks},
	{"Errors", 2, testErrors},
	{"Closed", 1, testClosed},
	{"Outputs", 4, testOutputs},
	{"VLAN", 2, testVLAN},
	{"MPLS", 2, testMPLS},
	{"Truncate", 3, testTruncate},
	{"Set", 2, testSet},
	{"Parse", 2, testParse},
	{"Userspace", 2, testUserspace},
	{"Execute", 3, testExecute},
	{"FlowPuts", 3, testFlowPuts},
	{"Executes", 3, testExecutes},
	{"Meter", 2, testMeter},
	{"MeterUserspace", 2, testMeterUserspace},
	{"MeterRate", 3, testMeterRate},
	{"Dump", 1, testDump},
	{"UpcallBounds", 2, testUpcallBounds},
	{"PortDelete", 3, testPortDelete},
	{"SendOnly", 2, testSendOnly},
	{"LinkDown", 2, testLinkDown},
	{"TCP", 0, testTCP},
	{"TCPNAT", 0, testTCPNAT},
	{"TCPNATFinished", 0, testTCPNATFinished},
	{"TCPVLAN", 0, testTCPVLAN},
	{"TCPSlowPath", 0, testTCPSlowPath},
	{"TCP6", 0, testTCP6},
	{"UDP", 0, testUDP},
	{"USO", 0, testUSO},
}

// Run runs the suite against datapaths that open makes: one for each test, with
// a VLAN limit of 2 where that is configurable. open is called on a thread in
// the test's network namespace, and so are PortAdd and PortDel.
func Run(t *testing.T, open func(t *testing.T) dpif.Datapath) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, open)
			for i := range c.ports {
				l.addPort(dpif.Port(i + 1))
			}
			c.run(l)
		})
	}
}
