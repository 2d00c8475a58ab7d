// SPDX-License-Identifier: Apache-2.0

package bpf

// The Go twins of the structures and constants in c/maps.h; load compares
// their sizes with those in the object. Integers are in host order.

const (
	maxMasks   = 128 // MAX_MASKS
	lookMasks  = 32  // LOOK_MASKS
	segShift   = 10  // SEG_SHIFT
	segLen     = 1 << segShift
	chunkOps   = 4  // CHUNK_OPS
	maxOps     = 64 // MAX_OPS
	group1     = 8  // K_GROUP1
	group2     = 12 // K_GROUP2
	keyWords   = 19 // K_WORDS
	maxUpcall  = 81920
	meterCPUs  = 64 // METER_CPUS
	missChunk  = 0  // executed for a packet without flow
	groupInUse = 1
	groupIPv6  = 2
	groupOther = 4
)

type cKey [keyWords]uint64

type cMask struct {
	Word   cKey
	Seed   uint64
	Groups uint32
	_      uint32
}

type cOrder struct{ Slot [maxMasks]uint32 }

type cCtl struct {
	Active   uint32
	MaxVLANs uint32
	CPUs     uint32
	Quota    uint32
}

type cFlow struct {
	Key  cKey
	ID   uint64
	Act  uint32
	Mask uint32
}

type cFlowStats struct {
	Packets, Bytes, Used, Flags uint64
}

// An op's Val and Mask are in memory order for opSet, else in host order.
type cOp struct {
	Code, Base, Len, Csum uint8
	Off, Need             uint16
	Val, Mask             uint64
}

const (
	opEnd uint8 = iota
	opOut
	opLast
	opPush
	opPop
	opTCI
	opSet
	opMark
	opUpcall
	opSkip
	opMeter   // Mask: the meter's number; first in its chunk
	opMUpcall // opUpcall if the meter lets it; likewise
)

const (
	baseL2 uint8 = iota
	baseMPLS
	baseL3
	baseL4
	baseSLL
	baseTLL
)

const (
	csumIP uint8 = 1 << iota
	csumPseudo
	csumL4
	csumRouted
	csumBare
)

const (
	hasMPLS uint16 = 1 << iota
	hasARP
	hasIPv4
	hasIPv6
	hasTCP
	hasUDP
	hasICMP
	hasICMPv6
	hasND
	hasSLL
	hasTLL
)

type cChunk struct {
	Next uint32
	_    uint32
	Op   [chunkOps]cOp
}

type cMeter struct {
	Cost, Depth, Empty, Debt, PerPacket uint64
}

type cMeterUse struct {
	Used, Frac            uint64
	Packets, Bytes        uint64
	Dropped, DroppedBytes uint64
	_                     [2]uint64
}

type cDev struct{ Port, Slot uint32 }

type cPort struct {
	Ifindex  uint32
	Slot, Up uint16
	MTU      uint32
	_        uint32
}

type cPortStats struct {
	RxPackets, RxBytes            uint64
	TxPackets, TxBytes, TxDropped uint64
	Upcalls, UpcallDropped        uint64
	Malformed                     uint64
	Charged                       uint64
}

// cUpcall is the header of a record; decodeUpcall reads it.
const (
	upcallHeader = 64
)
