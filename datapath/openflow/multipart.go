// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
)

// Multipart requests and replies ("stats" in OpenFlow 1.0 to 1.2). In a reply,
// More says that further parts follow: Decode sets it; Encode sets it by
// itself where it splits, and on the last part if the field is set.
//
// DescRequest asks for DescReply.
type DescRequest struct{}

// DescReply describes the switch to people. Strings are cut to 255 bytes
// (Serial 31).
type DescReply struct {
	Manufacturer, Hardware, Software, Serial, Datapath string
	More                                               bool
}

// FlowFilter selects flows.
type FlowFilter struct {
	Match              flow.Match
	Table              uint8 // TableAll: all
	OutPort            action.Port
	OutGroup           uint32
	Cookie, CookieMask uint64
}

// FlowStatsRequest asks for FlowStatsReply.
type FlowStatsRequest struct {
	FlowFilter
	Nicira bool // came as NXST_FLOW; the reply goes the same way
}

// FlowStats describes one flow.
type FlowStats struct {
	Table    uint8
	Priority uint16
	Match    flow.Match
	Cookie   uint64
	Lifetime Lifetime
	// IdleAge is the time since the last packet, HardAge that since the
	// last modification, seconds; -1: unknown. Only NXST_FLOW carries them.
	IdleAge, HardAge int32
	IdleTimeout      uint16 // seconds; 0: none
	HardTimeout      uint16
	Importance       uint16
	Flags            FlowModFlags // OpenFlow 1.3 and later
	Packets, Bytes   uint64       // all ones: unknown
	Instructions     action.Instructions
}

// FlowStatsReply lists flows.
type FlowStatsReply struct {
	Flows  []FlowStats
	Nicira bool
	More   bool
}

// AggregateRequest asks for AggregateReply.
type AggregateRequest struct {
	FlowFilter
	Nicira bool
}

// AggregateReply sums flows up.
type AggregateReply struct {
	Packets, Bytes uint64
	Flows          uint32
	Nicira         bool
	More           bool
}

// TableStatsRequest asks for TableStatsReply.
type TableStatsRequest struct{}

// TableStats are the counters of a table, with what OpenFlow 1.0 to 1.2 say
// about its abilities.
type TableStats struct {
	Table      uint8
	Name       string // not after OpenFlow 1.2
	MaxEntries uint32 // not after OpenFlow 1.2
	Active     uint32
	Lookups    uint64
	Matched    uint64
}

// TableStatsReply lists tables.
type TableStatsReply struct {
	Tables []TableStats
	More   bool
}

// PortStatsRequest asks for PortStatsReply; Port PortAny: all.
type PortStatsRequest struct{ Port action.Port }

// PortStatsReply lists ports.
type PortStatsReply struct {
	Ports []PortStats
	More  bool
}

// PortDescRequest asks for PortDescReply; Port is PortAny before OpenFlow 1.5.
type PortDescRequest struct{ Port action.Port }

// PortDescReply lists ports.
type PortDescReply struct {
	Ports []PortDesc
	More  bool
}

// QueueStatsRequest asks for QueueStatsReply; Queue 0xffffffff: all.
type QueueStatsRequest struct {
	Port  action.Port
	Queue uint32
}

// QueueStatsReply lists queues.
type QueueStatsReply struct {
	Queues []QueueStats
	More   bool
}

// QueueGetConfigRequest asks for QueueGetConfigReply.
type QueueGetConfigRequest struct {
	Port  action.Port
	Queue uint32 // OpenFlow 1.4 and later; else all
}

// QueueConfig describes a queue; rates are 1/10 of a percent, 0xffff: none.
type QueueConfig struct {
	Port             action.Port
	ID               uint32
	MinRate, MaxRate uint16
}

// QueueGetConfigReply lists the queues of a port.
type QueueGetConfigReply struct {
	Port   action.Port
	Queues []QueueConfig
	More   bool
}

// TableFeaturesRequest asks for TableFeaturesReply (OpenFlow 1.3 and later). A
// request with a body would change the tables: Set is true and its content
// is not kept.
type TableFeaturesRequest struct{ Set bool }

// TableFeatures describes what a table can do.
type TableFeatures struct {
	Table                       uint8
	Name                        string // at most 31 bytes
	MetadataMatch, MetadataMask uint64
	MaxEntries                  uint32
	Next                        []uint8 // tables that goto_table may name
	// The field sets; which instructions and actions there are follows
	// from what the codec can express.
	Match, Wildcards, SetField []flow.Field
}

// TableFeaturesReply lists tables.
type TableFeaturesReply struct {
	Tables []TableFeatures
	More   bool
}

// TableDescRequest asks for TableDescReply (OpenFlow 1.4 and later).
type TableDescRequest struct{}

// TableDesc is the configuration of a table.
type TableDesc struct {
	Table    uint8
	Eviction bool // asked for by TableMod
	// Vacancy events, likewise, with their thresholds and what is free now, per cent.
	Vacancy                      bool
	VacancyDown, VacancyUp, Free uint8
}

// TableDescReply lists tables.
type TableDescReply struct {
	Tables []TableDesc
	More   bool
}

// GroupDescRequest asks for GroupDescReply; Group is GroupAll before OpenFlow 1.5.
type GroupDescRequest struct{ Group uint32 }

// GroupDescReply lists groups.
type GroupDescReply struct {
	Groups []GroupDesc
	More   bool
}

// GroupStatsRequest asks for GroupStatsReply.
type GroupStatsRequest struct{ Group uint32 }

// GroupStats are the counters of a group.
type GroupStats struct {
	Group          uint32
	RefCount       uint32
	Packets, Bytes uint64
	Lifetime       Lifetime
	Buckets        []BucketStats
}

// BucketStats are the counters of a bucket.
type BucketStats struct{ Packets, Bytes uint64 }

// GroupStatsReply lists groups.
type GroupStatsReply struct {
	Groups []GroupStats
	More   bool
}

// GroupFeaturesRequest asks for GroupFeaturesReply.
type GroupFeaturesRequest struct{}

// GroupFeaturesReply says what groups can do; the arrays are indexed by GroupType.
type GroupFeaturesReply struct {
	Types        uint32 // 1 << GroupType
	Capabilities uint32
	MaxGroups    [4]uint32
	Actions      [4]uint32 // 1 << OFPAT_*
	More         bool
}

// MeterFeaturesRequest asks for MeterFeaturesReply.
type MeterFeaturesRequest struct{}

// MeterFeaturesReply says what meters can do.
type MeterFeaturesReply struct {
	MaxMeters          uint32
	BandTypes          uint32
	Capabilities       uint32
	MaxBands, MaxColor uint8
	More               bool
}

// MeterConfigRequest asks for MeterConfigReply.
type MeterConfigRequest struct{ Meter uint32 }

// MeterConfigReply lists meters.
type MeterConfigReply struct {
	Meters []MeterConfig
	More   bool
}

// MeterStatsRequest asks for MeterStatsReply.
type MeterStatsRequest struct{ Meter uint32 }

// MeterStats are the counters of a meter.
type MeterStats struct {
	Meter          uint32
	Flows          uint32
	Packets, Bytes uint64
	Lifetime       Lifetime
	Bands          []BucketStats
}

// MeterStatsReply lists meters.
type MeterStatsReply struct {
	Meters []MeterStats
	More   bool
}

func (*DescRequest) message()           {}
func (*DescReply) message()             {}
func (*FlowStatsRequest) message()      {}
func (*FlowStatsReply) message()        {}
func (*AggregateRequest) message()      {}
func (*AggregateReply) message()        {}
func (*TableStatsRequest) message()     {}
func (*TableStatsReply) message()       {}
func (*PortStatsRequest) message()      {}
func (*PortStatsReply) message()        {}
func (*PortDescRequest) message()       {}
func (*PortDescReply) message()         {}
func (*QueueStatsRequest) message()     {}
func (*QueueStatsReply) message()       {}
func (*QueueGetConfigRequest) message() {}
func (*QueueGetConfigReply) message()   {}
func (*TableFeaturesRequest) message()  {}
func (*TableFeaturesReply) message()    {}
func (*TableDescRequest) message()      {}
func (*TableDescReply) message()        {}
func (*GroupDescRequest) message()      {}
func (*GroupDescReply) message()        {}
func (*GroupStatsRequest) message()     {}
func (*GroupStatsReply) message()       {}
func (*GroupFeaturesRequest) message()  {}
func (*GroupFeaturesReply) message()    {}
func (*MeterFeaturesRequest) message()  {}
func (*MeterFeaturesReply) message()    {}
func (*MeterConfigRequest) message()    {}
func (*MeterConfigReply) message()      {}
func (*MeterStatsRequest) message()     {}
func (*MeterStatsReply) message()       {}
