// SPDX-License-Identifier: Apache-2.0

package openflow

import "github.com/weirswitch/weir/datapath/action"

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
	GroupAdd GroupModCommand = iota
	GroupModify
	GroupDelete
)

// Bucket is one choice of a group.
type Bucket struct {
	Weight     uint16
	WatchPort  action.Port
	WatchGroup uint32
	Actions    action.List
}

// GroupDesc is the configuration of a group.
type GroupDesc struct {
	Group   uint32
	Type    GroupType
	Buckets []Bucket
}

// GroupMod changes a group (OpenFlow 1.1 and later).
type GroupMod struct {
	Command GroupModCommand
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
