// SPDX-License-Identifier: Apache-2.0

package wanted

import "github.com/weirswitch/weir/ovsdb"

// Rows is the part of the database that configures the switch: the rows that
// can be reached from the Open_vSwitch row, in the words of
// ovs-vswitchd.conf.db(5). Optional integers are pointers.
type Rows struct {
	ID          ovsdb.UUID // of the Open_vSwitch row; zero: there is none, and nothing is wanted
	NextCfg     int64
	OtherConfig map[string]string
	Bridges     []BridgeRow // any order
}

// BridgeRow is a row of the table Bridge.
type BridgeRow struct {
	ID           ovsdb.UUID
	Name         string
	DatapathType string
	FailMode     string
	Protocols    []string
	OtherConfig  map[string]string
	Controllers  []ControllerRow
	Tables       map[int64]TableRow // by number
	Ports        []PortRow
}

// PortRow is a row of the table Port.
type PortRow struct {
	ID          ovsdb.UUID
	Name        string
	VLANMode    string // "": none
	Tag         *int64
	Trunks      []int64
	OtherConfig map[string]string
	Interfaces  []InterfaceRow
}

// InterfaceRow is a row of the table Interface.
type InterfaceRow struct {
	ID            ovsdb.UUID
	Name          string
	Type          string
	Options       map[string]string
	Ofport        *int64 // the number it had last; a hint
	OfportRequest *int64
	MAC           string // "": none
	MTURequest    *int64
}

// ControllerRow is a row of the table Controller.
type ControllerRow struct {
	ID              ovsdb.UUID
	Target          string
	Type            string // "primary", "service", "": by the target
	InactivityProbe *int64 // ms
	MaxBackoff      *int64 // ms
	RateLimit       *int64 // packet-ins a second
	BurstLimit      *int64 // packet-ins
	QueueSize       *int64 // packet-ins
	NoAsync         bool   // enable_async_messages=false
}

// TableRow is a row of the table Flow_Table.
type TableRow struct {
	Name           string
	FlowLimit      *int64
	OverflowPolicy string // "evict", "refuse", "": refuse
	Groups         []string
}
