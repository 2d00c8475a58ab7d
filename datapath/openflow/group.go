// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
)

// GroupType is one of OFPGT_*.
type GroupType uint8

const (
	GroupTypeAll GroupType = iota
	GroupTypeSelect
	GroupTypeIndirect
	GroupTypeFF
)

// GroupModCommand is one of OFPGC_*.
type GroupModCommand uint16

const (
	GroupAdd    GroupModCommand = 0
	GroupModify GroupModCommand = 1
	GroupDelete GroupModCommand = 2
	// OpenFlow 1.5.
	GroupInsertBucket GroupModCommand = 3
	GroupRemoveBucket GroupModCommand = 5
	// GroupAddOrModify is Open vSwitch's own, in every version (ovs-ofctl --may-create mod-group).
	GroupAddOrModify GroupModCommand = 0x8000
)

// Numbers of buckets that are reserved (OpenFlow 1.5, 7.3.4.3, enum
// ofp_group_bucket); all below and with BucketMax are those of buckets.
const (
	BucketMax   uint32 = 0xffffff00
	BucketFirst uint32 = 0xfffffffd
	BucketLast  uint32 = 0xfffffffe
	BucketAll   uint32 = 0xffffffff
)

// Bucket is one choice of a group.
type Bucket struct {
	// ID is the bucket's number; before OpenFlow 1.5 its place.
	ID         uint32
	Weight     uint16 // select groups; 0: never chosen
	WatchPort  action.Port
	WatchGroup uint32
	Actions    action.List
}

// Selection says how a select group chooses (the property that Netronome defined,
// experimenter 0x0000154d type 1; OpenFlow 1.5 only).
type Selection struct {
	Method string // "": the switch's own; "hash" or "dp_hash"
	Param  uint64
	Fields []SelectField // what "hash" looks at; none: as ""
}

// SelectField is a field that a selection looks at, and its bits that count.
type SelectField struct {
	Field flow.Field
	Mask  flow.U128
}

// GroupDesc is the configuration of a group.
type GroupDesc struct {
	Group     uint32
	Type      GroupType
	Selection Selection
	Buckets   []Bucket
}

// GroupMod changes a group (OpenFlow 1.1 and later; in 1.0 NXT_GROUP_MOD).
type GroupMod struct {
	Command GroupModCommand
	// CommandBucket is the bucket to remove, or behind which to insert; BucketAll where
	// the command has none.
	CommandBucket uint32
	GroupDesc
}

// MeterModCommand is one of OFPMC_*.
type MeterModCommand uint16

const (
	MeterAdd MeterModCommand = iota
	MeterModify
	MeterDelete
)

// MeterFlags are the flags of a meter (OFPMF_*).
type MeterFlags uint16

const (
	MeterKbps  MeterFlags = 1 << 0
	MeterPktps MeterFlags = 1 << 1
	MeterBurst MeterFlags = 1 << 2
	MeterStat  MeterFlags = 1 << 3
)

// MeterBand is one band of a meter.
type MeterBand struct {
	Type        uint16 // 1: drop, 2: DSCP remark
	Rate, Burst uint32 // in the units of the flags
	PrecLevel   uint8  // DSCP remark
}

// MeterConfig is the configuration of a meter.
type MeterConfig struct {
	Meter uint32
	Flags MeterFlags
	Bands []MeterBand
}

// MeterMod changes a meter (OpenFlow 1.3 and later).
type MeterMod struct {
	Command MeterModCommand
	MeterConfig
}

func (*GroupMod) message() {}
func (*MeterMod) message() {}
