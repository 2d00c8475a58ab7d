// SPDX-License-Identifier: Apache-2.0

package openflow

import "github.com/weirswitch/weir/datapath/action"

// PortConfig are the settings of a port: the bits of OpenFlow 1.0 (5.2.1), of
// which later versions keep PortDown, NoRecv, NoFwd and NoPacketIn at the
// same places.
type PortConfig uint32

const (
	ConfigDown       PortConfig = 1 << 0
	ConfigNoSTP      PortConfig = 1 << 1 // OpenFlow 1.0 only
	ConfigNoRecv     PortConfig = 1 << 2
	ConfigNoRecvSTP  PortConfig = 1 << 3 // OpenFlow 1.0 only
	ConfigNoFlood    PortConfig = 1 << 4 // OpenFlow 1.0 only
	ConfigNoFwd      PortConfig = 1 << 5
	ConfigNoPacketIn PortConfig = 1 << 6
)

// PortState is the state of a port: the bits of OpenFlow 1.3 (A.2.1) and the
// spanning tree's of OpenFlow 1.0.
type PortState uint32

const (
	StateLinkDown PortState = 1 << 0
	StateBlocked  PortState = 1 << 1 // OpenFlow 1.1 and later
	StateLive     PortState = 1 << 2 // OpenFlow 1.1 and later

	StateSTPListen  PortState = 0 << 8 // OpenFlow 1.0 only, bits 8 and 9
	StateSTPLearn   PortState = 1 << 8
	StateSTPForward PortState = 2 << 8
	StateSTPBlock   PortState = 3 << 8
	StateSTPMask    PortState = 3 << 8
)

// PortFeatures are speeds and media: the bits of OpenFlow 1.3 (A.2.1, enum
// ofp_port_features); those of OpenFlow 1.0 for media are mapped.
type PortFeatures uint32

const (
	Feature10MbHD PortFeatures = 1 << iota
	Feature10MbFD
	Feature100MbHD
	Feature100MbFD
	Feature1GbHD
	Feature1GbFD
	Feature10GbFD
	Feature40GbFD
	Feature100GbFD
	Feature1TbFD
	FeatureOther
	FeatureCopper
	FeatureFiber
	FeatureAutoneg
	FeaturePause
	FeaturePauseAsym
)

// PortDesc describes a port.
type PortDesc struct {
	No     action.Port
	HWAddr [6]byte
	Name   string // at most 15 bytes on the wire (63 bytes are kept from OpenFlow 1.0 to 1.5 nowhere)
	Config PortConfig
	State  PortState

	Curr, Advertised, Supported, Peer PortFeatures
	CurrSpeed, MaxSpeed               uint32 // kbit/s; not in OpenFlow 1.0
}

// PortReason says what happened to a port (OFPPR_*).
type PortReason uint8

const (
	PortAdded    PortReason = 0
	PortDeleted  PortReason = 1
	PortModified PortReason = 2
)

// PortStatus says that a port came, went or changed.
type PortStatus struct {
	Reason PortReason
	Desc   PortDesc
}

// PortMod changes the settings of a port.
type PortMod struct {
	No           action.Port
	HWAddr       [6]byte // must be the port's; HasHWAddr
	Config, Mask PortConfig
	Advertise    PortFeatures // 0: no change
}

// PortStats are counters of a port. Counters that are not known are all ones.
type PortStats struct {
	No                              action.Port
	RxPackets, TxPackets            uint64
	RxBytes, TxBytes                uint64
	RxDropped, TxDropped            uint64
	RxErrors, TxErrors              uint64
	RxFrameErr, RxOverErr, RxCRCErr uint64
	Collisions                      uint64
	Duration                        Lifetime // since the port was added; OpenFlow 1.3 and later
}

// QueueStats are counters of a queue of a port.
type QueueStats struct {
	Port                       action.Port
	Queue                      uint32
	TxBytes, TxPackets, TxErrs uint64
	Duration                   Lifetime
}

func (*PortStatus) message() {}
func (*PortMod) message()    {}
