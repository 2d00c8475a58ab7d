// SPDX-License-Identifier: Apache-2.0

package dpif

import (
	"context"
	"errors"
	"time"

	"github.com/weirswitch/weir/datapath/flow"
)

// Port is a datapath's own number of a port: 0 to 65535; MaxPort at most.
type Port uint32

// MaxPort is the highest port number.
const MaxPort Port = 65535

// PortSpec says what a port is.
type PortSpec struct {
	Name    string // of the network device whose frames are the port's, at most 15 bytes
	Ifindex int    // of that device, in the network namespace of this process
	// SendOnly is for a device that belongs to somebody else, such as the kernel's bridge that a
	// chip follows: frames are sent on it, and those that arrive are not the port's.
	SendOnly bool
}

// PortStats are counters of a port since it was added, of what this datapath saw.
type PortStats struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64
	TxDropped          uint64 // outputs that the device refused, as far as the datapath is told; else they count as sent
	UpcallPackets      uint64 // packets handed to user space
	UpcallDropped      uint64 // packets that should have been, lost at the bound of the queue
	RxMalformed        uint64 // packets dropped because not even an Ethernet header could be read, or that came in a form that cannot be forwarded
}

// FlowID names a megaflow within a datapath.
type FlowID uint64

// Flow is a megaflow.
type Flow struct {
	ID      FlowID
	Key     flow.Key
	Mask    *flow.Mask // shared between flows, never changed
	Actions []Action   // shared between flows, never changed
}

// FlowStats are a megaflow's counters.
type FlowStats struct {
	Packets, Bytes uint64    // bytes from the Ethernet header on, without FCS
	Used           time.Time // of the last packet; zero if there was none
	TCPFlags       uint16    // all flags seen, or-ed
}

// GSO describes a packet that stands for several on the wire, or whose
// transport checksum is not finished (virtio 1.2, 5.1.6, struct virtio_net_hdr).
type GSO struct {
	Size      uint16 // payload bytes of each segment; 0: one packet
	NeedsCsum bool   // the checksum field holds the folded sum of the pseudo header
}

// Packet is a frame from its Ethernet header on, without FCS.
type Packet struct {
	Data []byte
	GSO  GSO
}

// Reason says why a packet comes to user space.
type Reason uint8

const (
	ReasonMiss   Reason = iota // no megaflow matched
	ReasonAction               // a Userspace action
)

// Upcall is a packet handed to user space.
type Upcall struct {
	InPort Port
	Reason Reason
	Flow   FlowID // whose action it was; 0 for a miss
	Arg    uint32 // of the Userspace action
	Packet Packet
	Recirc uint32
	Mark   uint32 // skb mark
}

// MaxBatch is how many upcalls come at a time, at most: enough that a system call and a lock
// for each batch cost little, few enough that a packet waits some 100 us for the others.
const MaxBatch = 32

// Each returns a handler for Run that calls handle for one upcall after the other.
func Each(handle func(*Upcall)) func([]Upcall) {
	return func(us []Upcall) {
		for i := range us {
			handle(&us[i])
		}
	}
}

// Execution is a packet with actions, for Executes.
type Execution struct {
	In      Port
	Packet  Packet
	Actions []Action
	Err     error
}

// Action is one of the types below.
type Action interface{ dpAction() }

type (
	// Output sends the packet as it is now to a port; of a packet longer than MaxLen
	// bytes (0: no limit, else 14 at least) only the first MaxLen.
	Output struct {
		Port   Port
		MaxLen uint32
	}
	// PushVLAN adds an outer tag; TCI with flow.VLANPresent set.
	PushVLAN struct{ TPID, TCI uint16 }
	// PopVLAN removes the outer tag.
	PopVLAN struct{}
	// PushMPLS puts a label stack entry between the Ethernet header, its VLAN tags
	// included, and what follows; EthType (0x8847 or 0x8848) becomes the packet's.
	PushMPLS struct {
		EthType uint16
		LSE     uint32
	}
	// PopMPLS removes the outer label stack entry of an MPLS packet; EthType
	// becomes the packet's, and what is behind the entry is read as that says.
	PopMPLS struct{ EthType uint16 }
	// Set writes the bits Mask of Value to a header field that the packet has.
	Set struct {
		Field       flow.Field
		Value, Mask flow.U128
	}
	// Userspace hands the packet as it is now to user space, as an Upcall of
	// ReasonAction with Arg, unless Meter (0: none) refuses it; the actions
	// behind go on in either case.
	Userspace struct {
		Arg   uint32
		Meter MeterID
	}
	// Meter passes the packet to a meter; if that refuses it, the packet is
	// dropped: no action behind is executed.
	Meter struct{ ID MeterID }
)

func (Output) dpAction()    {}
func (PushVLAN) dpAction()  {}
func (PopVLAN) dpAction()   {}
func (PushMPLS) dpAction()  {}
func (PopMPLS) dpAction()   {}
func (Set) dpAction()       {}
func (Userspace) dpAction() {}
func (Meter) dpAction()     {}

// MeterID names a meter within a datapath: 1 to Features.MaxMeters.
type MeterID uint32

// MeterSpec says what a meter lets pass. All bands drop what exceeds them.
type MeterSpec struct {
	PerPacket bool        // rates count packets, else kilobits (1,000 bits) from the Ethernet header on, without FCS
	Bands     []MeterBand // 1 to Features.MaxBands
}

// MeterBand is a token bucket.
type MeterBand struct {
	Rate  uint32 // kbit/s or packets/s, not 0
	Burst uint32 // kbit or packets; 0: what the rate brings in a second
}

// MeterCount counts packets.
type MeterCount struct{ Packets, Bytes uint64 }

// MeterStats are a meter's counters since the last MeterSet.
type MeterStats struct {
	MeterCount              // packets that came to the meter
	Bands      []MeterCount // packets dropped, by band
}

// Features says what a datapath can do; what it cannot, it refuses.
type Features struct {
	Name       string    // "soft", "bpf"
	Match      flow.Mask // bits that a flow's mask may have
	MaxActions int       // length of an action list
	MaxFlows   int
	MaxMeters  int // 0: no meters
	MaxBands   int // of a meter
}

// Datapath forwards. See the package comment for the contract.
type Datapath interface {
	Features() Features

	// PortAdd makes the device a port. It fails with ErrExist if the number or
	// the device is taken. PortDel ends that; flows that output to it stay.
	PortAdd(no Port, spec PortSpec) error
	PortDel(no Port) error
	PortStats(no Port) (PortStats, error)

	FlowPut(f *Flow) error
	// FlowPuts does FlowPut for each of fs, in order; errs, of the same length, takes what that
	// would return. It may take the datapath fewer system calls.
	FlowPuts(fs []Flow, errs []error)
	FlowDel(id FlowID) (FlowStats, error)
	FlowStats(id FlowID) (FlowStats, error)
	// FlowDump calls yield for every flow until it returns false. Flows that
	// come or go meanwhile may or may not be seen; no other is left out.
	FlowDump(yield func(FlowID, FlowStats) bool) error

	// MeterSet makes meter id what spec says, a new one or in place of the one with
	// this ID, with full buckets and counters of 0. MeterPass puts a packet of n bytes that is
	// in user space through a meter, as the action does, and reports whether it
	// passes; it passes a meter that is not there.
	MeterSet(id MeterID, spec *MeterSpec) error
	MeterDel(id MeterID) (MeterStats, error)
	MeterStats(id MeterID) (MeterStats, error)
	MeterPass(id MeterID, n int) bool

	// Execute runs actions on a packet as if it had arrived on in. It counts at
	// no flow. The packet is the callee's: it may be changed.
	Execute(in Port, p Packet, actions []Action) error
	// Executes does Execute for each of xs, in order, and puts what that would return into Err.
	// Packets leave a port in that order; those of different ports may not.
	Executes(xs []Execution)

	// Run delivers upcalls to handle, 1 to MaxBatch at a time, until ctx ends or the datapath is
	// closed, and returns nil then.
	Run(ctx context.Context, handle func([]Upcall)) error

	// Close stops the forwarding and frees what the datapath holds.
	Close() error
}

// Errors of a datapath.
var (
	ErrExist    = errors.New("exists already")
	ErrNotExist = errors.New("does not exist")
	ErrFull     = errors.New("table full")
	ErrClosed   = errors.New("datapath closed")
)

// Unsupported is the error for a flow or an action that a datapath cannot do.
type Unsupported struct {
	Reason string // completes the sentence "not supported, because ..."
}

func (e *Unsupported) Error() string { return "not supported, because " + e.Reason }
