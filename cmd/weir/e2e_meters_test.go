// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"strings"
	"testing"
)

// A meter between two hosts holds pings back, counts them, and takes its flow
// with it; a table of the database's limit evicts.
func TestE2EMeters(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		h1, _ := r.host("h1", "10.0.0.1/24"), r.host("h2", "10.0.0.2/24")
		r.twoHosts()
		of := func(args ...string) string {
			t.Helper()
			return r.ofctl(append([]string{"-O", "OpenFlow13"}, args...)...)
		}
		of("add-meter", "br0", "meter=7 pktps burst stats bands=type=drop rate=1 burst_size=100")
		of("add-flow", "br0", "in_port=1,actions=meter:7,output:2")
		of("add-flow", "br0", "in_port=2,actions=output:1")
		r.reaches(h1, "10.0.0.2")
		if out := of("meter-stats", "br0", "meter=7"); !strings.Contains(out, "flow_count:1") || strings.Contains(out, "packet_in_count:0 ") {
			t.Errorf("meter-stats: %s", out)
		}
		of("mod-meter", "br0", "meter=7 pktps burst stats bands=type=drop rate=1 burst_size=1")
		_ = ping(h1, "10.0.0.2") // takes what is in the bucket
		r.separated(h1, "10.0.0.2")
		if out := of("meter-stats", "br0"); strings.Contains(out, "0: packet_count:0 ") {
			t.Errorf("the meter has dropped nothing: %s", out)
		}
		of("del-meters", "br0")
		if out := of("dump-flows", "br0"); strings.Contains(out, "in_port=1 ") {
			t.Errorf("the flow is still there: %s", out)
		}

		r.vsctl("--", "--id=@t", "create", "Flow_Table", "flow_limit=2", "overflow_policy=evict", "name=small", "--", "set", "Bridge", "br0", "flow_tables:3=@t")
		for _, f := range []string{"in_port=1,hard_timeout=900", "in_port=2,hard_timeout=800", "in_port=3"} {
			of("add-flow", "br0", "table=3,"+f+",actions=drop")
		}
		if out := of("dump-flows", "br0", "table=3"); strings.Contains(out, "in_port=2") || strings.Count(out, "n_packets") != 2 {
			t.Errorf("the wrong flow was evicted: %s", out)
		}
	})
}
