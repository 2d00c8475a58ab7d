// SPDX-License-Identifier: Apache-2.0

package action

import "github.com/weirswitch/weir/datapath/flow"

// Port is an OpenFlow port number in its 32-bit form (OpenFlow 1.1 and later);
// the codec maps the reserved numbers of OpenFlow 1.0 (0xff00 and above) to
// 0xffffff00 and above.
type Port uint32

// Reserved port numbers (OpenFlow 1.3, A.2.1, enum ofp_port_no).
const (
	PortMax        Port = 0xffffff00 // the first number that is not a physical or logical port
	PortUnset      Port = 0xfffffff7 // the value of actset_output when the set has no output (OpenFlow 1.5, 7.2.3.1)
	PortInPort     Port = 0xfffffff8
	PortTable      Port = 0xfffffff9
	PortNormal     Port = 0xfffffffa
	PortFlood      Port = 0xfffffffb
	PortAll        Port = 0xfffffffc
	PortController Port = 0xfffffffd
	PortLocal      Port = 0xfffffffe
	PortAny        Port = 0xffffffff // OFPP_NONE in OpenFlow 1.0
)

// Group numbers that are reserved (OpenFlow 1.3, A.3.4.2, enum ofp_group).
const (
	GroupMax uint32 = 0xffffff00
	GroupAll uint32 = 0xfffffffc
	GroupAny uint32 = 0xffffffff
)

// Action is one of the types of this package that name an action.
type Action interface{ action() }

// List is a sequence of actions, executed in order.
type List []Action

// Instructions is what a flow does with a packet, in the order in which
// OpenFlow 1.3, 5.9 executes it.
type Instructions struct {
	Meter        uint32 // 0: none
	Apply        List
	ClearActions bool
	Write        List // added to the action set
	Metadata     uint64
	MetadataMask uint64 // 0: no write-metadata
	Goto         uint8
	HasGoto      bool
}

// Actions with a standard OpenFlow number.
type (
	// Output sends the packet to Port, which may be reserved. MaxLen is for
	// PortController only: the bytes to send, 0xffff (OFPCML_NO_BUFFER) all.
	Output struct {
		Port   Port
		MaxLen uint16
	}
	// Enqueue is Output with a queue (OpenFlow 1.0).
	Enqueue struct {
		Port  Port
		Queue uint32
	}
	// Group hands the packet to a group.
	Group struct{ ID uint32 }
	// SetQueue sets the queue for the outputs that follow.
	SetQueue struct{ ID uint32 }
	// PopQueue goes back to the queue that was set when the packet arrived (a
	// Nicira action).
	PopQueue struct{}
	// Meter passes the packet to a meter (an action since OpenFlow 1.5).
	Meter struct{ ID uint32 }
	// PushVLAN adds a VLAN tag with type TPID (0x8100 or 0x88a8), VID and PCP 0
	// (as the stock switch; OpenFlow would copy those of the tag outside before).
	PushVLAN struct{ TPID uint16 }
	// PopVLAN removes the outer VLAN tag; without one it does nothing. Legacy
	// says that it came as OpenFlow 1.0's strip_vlan: printed so, otherwise
	// without meaning.
	PopVLAN struct{ Legacy bool }
	// SetVLANVID sets the VID; without a tag it adds one if PushIfNone
	// (OpenFlow 1.0), else does nothing.
	SetVLANVID struct {
		VID        uint16
		PushIfNone bool
	}
	// SetVLANPCP sets the priority (0 to 7); like SetVLANVID without a tag.
	SetVLANPCP struct {
		PCP        uint8
		PushIfNone bool
	}
	// PushMPLS adds a label stack entry with EthType 0x8847 or 0x8848.
	PushMPLS struct{ EthType uint16 }
	// PopMPLS removes the outer label stack entry; the type of what is behind
	// it becomes EthType.
	PopMPLS struct{ EthType uint16 }
	// SetTTL sets the TTL or hop limit.
	SetTTL struct{ TTL uint8 }
	// DecTTL decrements the TTL; at 0 or 1 the packet goes to the controllers
	// named (0 if none is) with reason "invalid TTL" and the list of actions ends.
	DecTTL struct{ Controllers []uint16 }
	// SetMPLSTTL sets the TTL of the outer label.
	SetMPLSTTL struct{ TTL uint8 }
	// DecMPLSTTL is DecTTL for the outer label.
	DecMPLSTTL struct{}
	// SetField writes the bits Mask of Value to Field: set_field, and the
	// OpenFlow 1.0 actions that set one header field. A Mask of all ones is
	// the plain form.
	SetField struct {
		Field       flow.Field
		Value, Mask flow.U128
		// Legacy says that it came as the OpenFlow 1.0 action of its own
		// (mod_nw_src, ...): printed so, otherwise without meaning.
		Legacy bool
	}
	// Move copies Src to Dst, of equal width: copy_field and NXAST_REG_MOVE.
	Move struct{ Src, Dst flow.Subfield }
)

// Actions of the Nicira extension (vendor 0x00002320).
type (
	// Load writes Value to Dst: NXAST_REG_LOAD.
	Load struct {
		Dst   flow.Subfield
		Value uint64
	}
	// OutputReg outputs to the port whose number Src holds.
	OutputReg struct {
		Src    flow.Subfield
		MaxLen uint16
	}
	// OutputTrunc outputs at most MaxLen bytes of the packet.
	OutputTrunc struct {
		Port   Port
		MaxLen uint32
	}
	// Controller sends the packet to the controllers with connection id ID.
	// It stands for NXAST_CONTROLLER and NXAST_CONTROLLER2.
	Controller struct {
		MaxLen   uint16
		ID       uint16
		Reason   uint8
		Userdata []byte
		Pause    bool
		Meter    uint32
	}
	// Resubmit searches Table (ResubmitSameTable: the current one) again, with
	// in_port replaced by InPort for the search (PortInPort: unchanged), and
	// goes on behind this action afterwards.
	Resubmit struct {
		InPort Port
		Table  uint8
		WithCT bool // search with the conntrack tuple in place of the addresses
	}
	// StackPush pushes Src to the stack; StackPop pops into Dst.
	StackPush struct{ Src flow.Subfield }
	StackPop  struct{ Dst flow.Subfield }
	// Conjunction makes the flow clause Clause (0-based) of Clauses for ID.
	Conjunction struct {
		ID              uint32
		Clause, Clauses uint8
	}
	// Note does nothing.
	Note struct{ Data []byte }
	// Clone runs Actions on a copy of packet and state.
	Clone struct{ Actions List }
	// CheckPktLarger sets the bit Dst to whether the packet is longer than Len bytes, for what stands
	// behind it in its list and what that executes (NXAST_CHECK_PKT_LARGER).
	CheckPktLarger struct {
		Dst flow.Subfield // 1 bit
		Len uint16        // with the Ethernet header, without FCS
	}
	// Exit ends the pipeline for this packet, the action set included.
	Exit struct{}
)

// ResubmitSameTable as Resubmit.Table means the current table.
const ResubmitSameTable = 255

func (Output) action()      {}
func (Enqueue) action()     {}
func (Group) action()       {}
func (SetQueue) action()    {}
func (PopQueue) action()    {}
func (Meter) action()       {}
func (PushVLAN) action()    {}
func (PopVLAN) action()     {}
func (SetVLANVID) action()  {}
func (SetVLANPCP) action()  {}
func (PushMPLS) action()    {}
func (PopMPLS) action()     {}
func (SetTTL) action()      {}
func (DecTTL) action()      {}
func (SetMPLSTTL) action()  {}
func (DecMPLSTTL) action()  {}
func (SetField) action()    {}
func (Move) action()        {}
func (Load) action()        {}
func (OutputReg) action()   {}
func (OutputTrunc) action() {}
func (Controller) action()  {}
func (Resubmit) action()    {}
func (StackPush) action()   {}
func (StackPop) action()    {}
func (Conjunction) action() {}
func (Note) action()        {}
func (Clone) action()       {}
func (Exit) action()        {}

func (CheckPktLarger) action() {}
