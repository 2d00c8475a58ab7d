// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Message is a pointer to one of the message types of this package.
type Message interface{ message() }

// NoBuffer is the buffer id that means: no packet is buffered. This switch
// buffers none, as Open vSwitch does not.
const NoBuffer uint32 = 0xffffffff

// TableAll means all tables (OFPTT_ALL).
const TableAll = 0xff

// Hello opens a connection.
type Hello struct {
	// Versions that the sender speaks. When the peer sent no bitmap: all up to
	// the version in the header.
	Versions ofp.Versions
}

// Error refuses the message with the same transaction id.
type Error struct {
	// Kind is what to send, and what was received if it is known.
	Kind ofp.Kind
	// Numbers are what was received; ignored when sending unless Kind is
	// ofp.NoError.
	Numbers ofp.Numbers
	// Of, if not nil, is the message that is refused, where that is not the request that is
	// answered: one of a bundle. Encode does not look at it; package ofconn does.
	Of   []byte
	Data []byte // the message refused, cut to what fits, or its first bytes (64 at least)
}

// EchoRequest asks for an EchoReply with the same data.
type EchoRequest struct{ Data []byte }

// EchoReply answers an EchoRequest.
type EchoReply struct{ Data []byte }

// Experimenter is a vendor message that this package does not know; Decode
// does not return it (it returns the error), Encode writes it.
type Experimenter struct {
	Vendor, Subtype uint32
	Data            []byte
}

// FeaturesRequest asks for FeaturesReply.
type FeaturesRequest struct{}

// FeaturesReply describes the switch.
type FeaturesReply struct {
	DatapathID   uint64
	Buffers      uint32
	Tables       uint8
	AuxID        uint8 // OpenFlow 1.3 and later
	Capabilities Capabilities
	Actions      uint32     // OpenFlow 1.0: a bit for each action type (1 << OFPAT10_*)
	Ports        []PortDesc // OpenFlow 1.0 to 1.2
}

// Capabilities of a switch; the bits of OpenFlow 1.3 (A.3.1), the codec maps
// those of other versions.
type Capabilities uint32

const (
	CapFlowStats   Capabilities = 1 << 0
	CapTableStats  Capabilities = 1 << 1
	CapPortStats   Capabilities = 1 << 2
	CapGroupStats  Capabilities = 1 << 3 // not in OpenFlow 1.0
	CapIPReasm     Capabilities = 1 << 5
	CapQueueStats  Capabilities = 1 << 6
	CapPortBlocked Capabilities = 1 << 8 // OpenFlow 1.2 and later
	CapBundles     Capabilities = 1 << 9 // OpenFlow 1.4 and later
	CapFlowMonitor Capabilities = 1 << 10
	CapSTP         Capabilities = 1 << 16 // OpenFlow 1.0 only, bit 3 there
	CapARPMatchIP  Capabilities = 1 << 17 // OpenFlow 1.0 and 1.1 only, bit 7 there
)

// FragMode says what happens to IP fragments (OFPC_FRAG_*).
type FragMode uint8

const (
	FragNormal     FragMode = 0
	FragDrop       FragMode = 1
	FragReassemble FragMode = 2
	FragNXMatch    FragMode = 3
)

// Config is the configuration of a switch.
type Config struct {
	Frag FragMode
	// InvalidTTL sends packets with an invalid TTL to this controller
	// (OFPC_INVALID_TTL_TO_CONTROLLER, not after OpenFlow 1.2).
	InvalidTTL  bool
	MissSendLen uint16 // bytes of a packet that a table-miss packet-in holds
}

// GetConfigRequest asks for GetConfigReply.
type GetConfigRequest struct{}

// GetConfigReply answers a GetConfigRequest.
type GetConfigReply struct{ Config }

// SetConfig changes the configuration.
type SetConfig struct{ Config }

// BarrierRequest is answered when everything before it is done.
type BarrierRequest struct{}

// BarrierReply answers a BarrierRequest.
type BarrierReply struct{}

// PacketInReason says why a packet comes to a controller (OFPR_*). The numbers
// are those of OpenFlow 1.3, with later ones behind; the codec maps
// what a version does not have as the stock switch does.
type PacketInReason uint8

const (
	ReasonNoMatch      PacketInReason = 0 // table miss
	ReasonAction       PacketInReason = 1 // output to the controller
	ReasonInvalidTTL   PacketInReason = 2
	ReasonActionSet    PacketInReason = 3 // output to the controller in an action set
	ReasonGroup        PacketInReason = 4
	ReasonPacketOut    PacketInReason = 5
	ReasonExplicitMiss PacketInReason = 6 // output to the controller in a table-miss flow: ReasonNoMatch from OpenFlow 1.3 on, ReasonAction before
	ReasonImplicitMiss PacketInReason = 7 // no flow matched and the version sends the packet
)

// PacketIn brings a packet to a controller.
type PacketIn struct {
	BufferID uint32
	TotalLen int // of the packet before it was cut to Data, bytes
	Reason   PacketInReason
	Table    uint8
	Cookie   uint64 // of the flow; all ones if there was none
	// Metadata holds in_port and, if not zero, metadata, registers, tunnel
	// fields, pkt_mark.
	Metadata flow.Match
	Data     []byte
	// Userdata and the rest only in the format NXT_PACKET_IN2.
	Userdata     []byte
	Continuation []byte
}

// FlowRemovedReason says why a flow has gone (OFPRR_*).
type FlowRemovedReason uint8

const (
	RemovedIdle        FlowRemovedReason = 0
	RemovedHard        FlowRemovedReason = 1
	RemovedDelete      FlowRemovedReason = 2
	RemovedGroupDelete FlowRemovedReason = 3
	RemovedMeterDelete FlowRemovedReason = 4 // OpenFlow 1.4 and later
	RemovedEviction    FlowRemovedReason = 5
)

// FlowRemoved says that a flow with FlagSendFlowRem has gone.
type FlowRemoved struct {
	Match       flow.Match
	Cookie      uint64
	Priority    uint16
	Reason      FlowRemovedReason
	Table       uint8
	Lifetime    Lifetime
	IdleTimeout uint16 // seconds; 0: none
	HardTimeout uint16
	Packets     uint64
	Bytes       uint64
}

// Lifetime is how long something has existed.
type Lifetime struct{ Sec, Nsec uint32 }

// PacketOut executes actions on a packet.
type PacketOut struct {
	BufferID uint32
	InPort   action.Port // PortController if there is none
	Metadata flow.Match  // in_port is in InPort; more from OpenFlow 1.5 on only
	Actions  action.List
	Data     []byte
}

// FlowModCommand is one of OFPFC_*.
type FlowModCommand uint8

const (
	FlowAdd FlowModCommand = iota
	FlowModify
	FlowModifyStrict
	FlowDelete
	FlowDeleteStrict
)

// FlowModFlags are the flags of a flow and of a FlowMod: the bits of
// OpenFlow 1.3 (A.3.4.1), with those of other versions mapped.
type FlowModFlags uint16

const (
	FlagSendFlowRem  FlowModFlags = 1 << 0
	FlagCheckOverlap FlowModFlags = 1 << 1
	// FlagResetCounts resets the counters of flows that a modification or an
	// addition meets. OpenFlow 1.2 and later; an add of 1.0 and 1.1 always has it.
	FlagResetCounts FlowModFlags = 1 << 2
	FlagNoPktCounts FlowModFlags = 1 << 3
	FlagNoBytCounts FlowModFlags = 1 << 4
)

// FlowMod changes flow tables.
type FlowMod struct {
	Command  FlowModCommand
	Table    uint8 // TableAll: all (delete), or the switch chooses (add: table 0); modify: all
	Priority uint16
	Match    flow.Match

	// Cookie and CookieMask select the flows of a modification or deletion.
	Cookie, CookieMask uint64
	// NewCookie is the cookie of added flows, and of modified ones if
	// ModifyCookie (OpenFlow 1.0: always, unless it is all ones).
	NewCookie    uint64
	ModifyCookie bool

	// ModifyAdds says that a modification that meets no flow adds one
	// (OpenFlow 1.0 and 1.1, without a cookie filter).
	ModifyAdds bool

	IdleTimeout uint16 // seconds; 0: none
	HardTimeout uint16
	Importance  uint16 // OpenFlow 1.4 and later: higher is evicted later
	Flags       FlowModFlags
	BufferID    uint32
	OutPort     action.Port // deletions: only flows that output there; PortAny: no filter
	OutGroup    uint32      // likewise; action.GroupAny: no filter

	Instructions action.Instructions
}

// Role of a controller.
type Role uint32

const (
	RoleNoChange  Role = 0
	RoleEqual     Role = 1
	RolePrimary   Role = 2 // "master" in OpenFlow
	RoleSecondary Role = 3 // "slave"
)

// RoleRequest asks for a role: OFPT_ROLE_REQUEST, or NXT_ROLE_REQUEST.
type RoleRequest struct {
	Role         Role
	HasGen       bool
	GenerationID uint64
	Nicira       bool // came as NXT_ROLE_REQUEST; the reply goes the same way
}

// RoleReply answers a RoleRequest.
type RoleReply struct {
	Role         Role
	HasGen       bool
	GenerationID uint64
	Nicira       bool
}

// AsyncType is a class of asynchronous messages.
type AsyncType uint8

const (
	AsyncPacketIn AsyncType = iota
	AsyncPortStatus
	AsyncFlowRemoved
	AsyncRoleStatus
	AsyncTableStatus
	AsyncRequestForward
	NumAsync
)

// AsyncConfig says which asynchronous messages a controller gets: bit n of an
// element for reason n.
type AsyncConfig struct {
	Primary   [NumAsync]uint32 // in the roles equal and primary
	Secondary [NumAsync]uint32
}

// GetAsyncRequest asks for GetAsyncReply.
type GetAsyncRequest struct{}

// GetAsyncReply answers a GetAsyncRequest.
type GetAsyncReply struct{ AsyncConfig }

// SetAsync changes the asynchronous configuration; elements whose bit is not
// in Set stay.
type SetAsync struct {
	AsyncConfig
	SetPrimary, SetSecondary [NumAsync]bool
	Nicira                   bool // came as NXT_SET_ASYNC_CONFIG or NXT_SET_ASYNC_CONFIG2
	Properties               bool // came as NXT_SET_ASYNC_CONFIG2
}

// PacketInFormat is how packet-ins are written (NXPIF_*).
type PacketInFormat uint8

const (
	PacketInStandard PacketInFormat = 0 // that of the version
	PacketInNXT      PacketInFormat = 1 // NXT_PACKET_IN
	PacketInNXT2     PacketInFormat = 2 // NXT_PACKET_IN2
)

// Messages of the Nicira extension.
type (
	// SetFlowFormat chooses between ofp10_match (false) and NXM for the
	// flow messages of OpenFlow 1.0.
	SetFlowFormat struct{ NXM bool }
	// SetFlowModTableID makes the upper byte of a flow_mod's command the table
	// (OpenFlow 1.0 and 1.1).
	SetFlowModTableID struct{ On bool }
	// SetPacketInFormat chooses the format of packet-ins.
	SetPacketInFormat struct{ Format PacketInFormat }
	// SetControllerID gives the connection the id that Controller actions name.
	SetControllerID struct{ ID uint16 }
)

func (*Hello) message()             {}
func (*Error) message()             {}
func (*EchoRequest) message()       {}
func (*EchoReply) message()         {}
func (*Experimenter) message()      {}
func (*FeaturesRequest) message()   {}
func (*FeaturesReply) message()     {}
func (*GetConfigRequest) message()  {}
func (*GetConfigReply) message()    {}
func (*SetConfig) message()         {}
func (*BarrierRequest) message()    {}
func (*BarrierReply) message()      {}
func (*PacketIn) message()          {}
func (*FlowRemoved) message()       {}
func (*PacketOut) message()         {}
func (*FlowMod) message()           {}
func (*RoleRequest) message()       {}
func (*RoleReply) message()         {}
func (*GetAsyncRequest) message()   {}
func (*GetAsyncReply) message()     {}
func (*SetAsync) message()          {}
func (*SetFlowFormat) message()     {}
func (*SetFlowModTableID) message() {}
func (*SetPacketInFormat) message() {}
func (*SetControllerID) message()   {}
