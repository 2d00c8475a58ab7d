// SPDX-License-Identifier: Apache-2.0

package wanted

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func statusText(columns []Column) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%s %s %s\n", c.Table, c.Name, c.Value.AppendJSON(nil))
	}
	return b.String()
}

func TestStatus(t *testing.T) {
	w, book := newWorld(), &Book{}
	w.device("eth0", MAC{2, 1, 2, 3, 4, 5})
	s := New(rows(BridgeRow{ID: id(0x01020304), Name: "br0", OtherConfig: map[string]string{"hwaddr": "02:00:00:00:00:01"}, Ports: []PortRow{portRow("eth0", ""), portRow("no", "")}}))
	p, _, err := w.settle(s, book)
	if err != nil {
		t.Fatal(err)
	}
	got := statusText(Status(s, p, map[string]Link{"eth0": {Speed: 1e10, FullDuplex: true, Driver: map[string]string{"driver_name": "veth"}, Statistics: map[string]int64{"rx_packets": 3}}},
		About{OVSVersion: "1", DBVersion: "8.3.1", DatapathVersion: "w"}))
	const want = `Open_vSwitch cur_cfg 4
Open_vSwitch ovs_version "1"
Open_vSwitch db_version "8.3.1"
Open_vSwitch system_type ["set",[]]
Open_vSwitch system_version ["set",[]]
Open_vSwitch iface_types ["set",["internal","patch","system"]]
Open_vSwitch datapath_types ["set",["netdev","system"]]
Bridge datapath_id "0000020000000001"
Bridge datapath_version "w"
Bridge status ["map",[]]
Interface error ["set",[]]
Interface ofport 1
Interface mac_in_use "02:01:02:03:04:05"
Interface ifindex 1
Interface admin_state "up"
Interface link_state "down"
Interface mtu 1500
Interface link_speed 10000000000
Interface duplex "full"
Interface status ["map",[["driver_name","veth"]]]
Interface statistics ["map",[["rx_packets",3]]]
Interface error "could not open network device no (No such device)"
Interface ofport -1
Interface mac_in_use ["set",[]]
Interface ifindex ["set",[]]
Interface admin_state ["set",[]]
Interface link_state ["set",[]]
Interface link_speed ["set",[]]
Interface duplex ["set",[]]
Interface mtu ["set",[]]
Interface status ["map",[]]
Interface statistics ["map",[]]
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
