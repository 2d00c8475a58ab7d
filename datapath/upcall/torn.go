// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/openflow"
)

// Torn is the value of a panic in a call of the Switch that left tables, megaflows or locks
// half way. Nobody may go on with the Switch: whoever contains the panics of connections
// must let this one end the process.
type Torn struct{ Panic any }

// Torn marks the value for those who do not know this package.
func (Torn) Torn() {}

func (t Torn) Error() string { return fmt.Sprintf("the switch is torn: %v", t.Panic) }

// tear, deferred, makes every panic one that ends the process.
func tear() {
	if p := recover(); p != nil {
		panic(Torn{p})
	}
}

// looks says whether the tables' answer to m changes nothing.
func looks(m openflow.Message) bool {
	switch m := m.(type) {
	case *openflow.GetConfigRequest, *openflow.FeaturesRequest, *openflow.DescRequest,
		*openflow.FlowStatsRequest, *openflow.AggregateRequest, *openflow.TableStatsRequest, *openflow.TableDescRequest,
		*openflow.PortStatsRequest, *openflow.PortDescRequest, *openflow.QueueStatsRequest, *openflow.QueueGetConfigRequest,
		*openflow.GroupStatsRequest, *openflow.GroupDescRequest, *openflow.GroupFeaturesRequest,
		*openflow.MeterStatsRequest, *openflow.MeterConfigRequest, *openflow.MeterFeaturesRequest:
		return true
	case *openflow.TableFeaturesRequest:
		return !m.Set
	}
	return false
}
