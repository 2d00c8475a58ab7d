// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// target is a run of 1 to 8 bytes in a header that a field is part of: the
// field's bits, shifted left by shift, in the big-endian number that the bytes
// are. It starts at an even offset, as checksums want it. A field has several
// targets if its place depends on the packet, each with what the packet needs
// to have.
type target struct {
	need  uint16
	base  uint8
	off   uint16
	len   uint8
	shift uint8
	high  bool // the field's upper 64 bits
	csum  uint8
}

const (
	l4v4 = csumIP | csumPseudo
	l4v6 = csumBare | csumPseudo
)

// Transport ports and ICMP's two bytes.
var (
	tcpSrc     = target{need: hasTCP, base: baseL4, off: 0, len: 2, csum: csumL4}
	tcpDst     = target{need: hasTCP, base: baseL4, off: 2, len: 2, csum: csumL4}
	udpSrc     = target{need: hasUDP, base: baseL4, off: 0, len: 2, csum: csumL4}
	udpDst     = target{need: hasUDP, base: baseL4, off: 2, len: 2, csum: csumL4}
	icmpType   = target{need: hasICMP, base: baseL4, off: 0, len: 2, shift: 8, csum: csumL4}
	icmpCode   = target{need: hasICMP, base: baseL4, off: 0, len: 2, csum: csumL4}
	icmpv6Type = target{need: hasICMPv6, base: baseL4, off: 0, len: 2, shift: 8, csum: csumL4}
	icmpv6Code = target{need: hasICMPv6, base: baseL4, off: 0, len: 2, csum: csumL4}
)

// targets says where the fields are that Set can write, but VLAN and mark.
var targets = map[flow.Field][]target{
	flow.FieldEthDst: {{base: baseL2, off: 0, len: 6}},
	flow.FieldEthSrc: {{base: baseL2, off: 6, len: 6}},

	flow.FieldMPLSLabel: {{need: hasMPLS, base: baseMPLS, len: 4, shift: 12, csum: csumBare}},
	flow.FieldMPLSTC:    {{need: hasMPLS, base: baseMPLS, len: 4, shift: 9, csum: csumBare}},
	flow.FieldMPLSTTL:   {{need: hasMPLS, base: baseMPLS, len: 4, csum: csumBare}},

	flow.FieldIPSrc: {{need: hasIPv4, base: baseL3, off: 12, len: 4, csum: l4v4}},
	flow.FieldIPDst: {{need: hasIPv4, base: baseL3, off: 16, len: 4, csum: l4v4}},
	flow.FieldIPv6Src: {
		{need: hasIPv6, base: baseL3, off: 8, len: 8, high: true, csum: l4v6},
		{need: hasIPv6, base: baseL3, off: 16, len: 8, csum: l4v6},
	},
	flow.FieldIPv6Dst: {
		{need: hasIPv6, base: baseL3, off: 24, len: 8, high: true, csum: l4v6 | csumRouted},
		{need: hasIPv6, base: baseL3, off: 32, len: 8, csum: l4v6 | csumRouted},
	},
	flow.FieldIPv6Label: {{need: hasIPv6, base: baseL3, len: 4, csum: csumBare}},
	flow.FieldIPTOS: {
		{need: hasIPv4, base: baseL3, len: 2, csum: csumIP},
		{need: hasIPv6, base: baseL3, len: 2, shift: 4, csum: csumBare},
	},
	flow.FieldIPDSCP: {
		{need: hasIPv4, base: baseL3, len: 2, shift: 2, csum: csumIP},
		{need: hasIPv6, base: baseL3, len: 2, shift: 6, csum: csumBare},
	},
	flow.FieldIPECN: {
		{need: hasIPv4, base: baseL3, len: 2, csum: csumIP},
		{need: hasIPv6, base: baseL3, len: 2, shift: 4, csum: csumBare},
	},
	flow.FieldIPTTL: {
		{need: hasIPv4, base: baseL3, off: 8, len: 2, shift: 8, csum: csumIP},
		{need: hasIPv6, base: baseL3, off: 6, len: 2, csum: csumBare},
	},

	flow.FieldARPOp:  {{need: hasARP, base: baseL3, off: 6, len: 2, csum: csumBare}},
	flow.FieldARPSHA: {{need: hasARP, base: baseL3, off: 8, len: 6, csum: csumBare}},
	flow.FieldARPSPA: {{need: hasARP, base: baseL3, off: 14, len: 4, csum: csumBare}},
	flow.FieldARPTHA: {{need: hasARP, base: baseL3, off: 18, len: 6, csum: csumBare}},
	flow.FieldARPTPA: {{need: hasARP, base: baseL3, off: 24, len: 4, csum: csumBare}},

	flow.FieldNDReserved: {{need: hasND, base: baseL4, off: 4, len: 4, csum: csumL4}},
	flow.FieldNDTarget: {
		{need: hasND, base: baseL4, off: 8, len: 8, high: true, csum: csumL4},
		{need: hasND, base: baseL4, off: 16, len: 8, csum: csumL4},
	},
	flow.FieldNDSLL: {{need: hasND | hasSLL, base: baseSLL, len: 6, csum: csumL4}},
	flow.FieldNDTLL: {{need: hasND | hasTLL, base: baseTLL, len: 6, csum: csumL4}},

	flow.FieldTCPSrc:     {tcpSrc},
	flow.FieldTCPDst:     {tcpDst},
	flow.FieldUDPSrc:     {udpSrc},
	flow.FieldUDPDst:     {udpDst},
	flow.FieldICMPType:   {icmpType},
	flow.FieldICMPCode:   {icmpCode},
	flow.FieldICMPv6Type: {icmpv6Type},
	flow.FieldICMPv6Code: {icmpv6Code},
	// These two also exist in SCTP: see compileSet.
	flow.FieldTPSrc: {tcpSrc, udpSrc, icmpType, icmpv6Type},
	flow.FieldTPDst: {tcpDst, udpDst, icmpCode, icmpv6Code},
}

// maxActions is the length of an action list; most actions are one operation,
// and one is for the end.
const maxActions = maxOps - 1

// compile turns the actions of a flow into operations, at most maxOps with
// the opEnd behind them.
func compile(f *dpif.Flow) ([]cOp, error) {
	if len(f.Actions) > maxActions {
		return nil, &dpif.Unsupported{Reason: fmt.Sprintf("%d actions are more than %d", len(f.Actions), maxActions)}
	}
	ops := make([]cOp, 0, len(f.Actions)+1)
	var err error
	for i, a := range f.Actions {
		switch a := a.(type) {
		case dpif.Output:
			if a.Port > dpif.MaxPort {
				return nil, &dpif.Unsupported{Reason: fmt.Sprintf("port %d is above %d", a.Port, dpif.MaxPort)}
			}
			if a.MaxLen != 0 {
				return nil, &dpif.Unsupported{Reason: "the BPF program does not truncate packets"}
			}
			op := cOp{Code: opOut, Val: uint64(a.Port)}
			if i == len(f.Actions)-1 {
				op.Code = opLast
			}
			ops = append(ops, op)
		case dpif.PushVLAN:
			if a.TPID != flow.EthTypeVLAN && a.TPID != 0x88a8 {
				return nil, &dpif.Unsupported{Reason: fmt.Sprintf("the kernel pushes VLAN tags of type 0x8100 and 0x88a8 only, not %#04x", a.TPID)}
			}
			ops = append(ops, cOp{Code: opPush, Val: uint64(a.TPID)<<16 | uint64(a.TCI&^flow.VLANPresent)})
		case dpif.PopVLAN:
			ops = append(ops, cOp{Code: opPop})
		case dpif.Set:
			if ops, err = compileSet(ops, f, a); err != nil {
				return nil, err
			}
		case dpif.Userspace:
			op := cOp{Code: opUpcall, Val: uint64(dpif.ReasonAction)<<32 | uint64(a.Arg)}
			if a.Meter != 0 {
				ops = align(ops)
				op.Code, op.Mask = opMUpcall, uint64(a.Meter)
			}
			ops = append(ops, op)
		case dpif.Meter:
			ops = append(align(ops), cOp{Code: opMeter, Mask: uint64(a.ID)})
		case dpif.PushMPLS, dpif.PopMPLS:
			// bpf_skb_adjust_room takes IP packets only (net/core/filter.c).
			return nil, &dpif.Unsupported{Reason: "a BPF program cannot insert or remove MPLS labels"}
		default:
			return nil, &dpif.Unsupported{Reason: fmt.Sprintf("the BPF program has no action %T", a)}
		}
	}
	if n := len(ops); n == 0 || ops[n-1].Code != opLast {
		ops = append(ops, cOp{Code: opEnd})
	}
	if len(ops) > maxOps {
		return nil, &dpif.Unsupported{Reason: fmt.Sprintf("its actions are %d operations, more than %d", len(ops), maxOps)}
	}
	return ops, nil
}

// align fills ops up to the start of a chunk, where the verifier has to follow the
// program into a meter: at a quarter of the places only.
func align(ops []cOp) []cOp {
	for len(ops)%chunkOps != 0 {
		ops = append(ops, cOp{Code: opSkip})
	}
	return ops
}

func compileSet(ops []cOp, f *dpif.Flow, a dpif.Set) ([]cOp, error) {
	mask := a.Mask.And(flow.Ones(a.Field.Bits()))
	val := a.Value.And(mask)
	switch a.Field {
	case flow.FieldPktMark:
		return append(ops, cOp{Code: opMark, Val: val.Lo, Mask: mask.Lo}), nil
	case flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldDLVLAN:
		m := mask.Lo &^ flow.VLANPresent
		return append(ops, cOp{Code: opTCI, Val: val.Lo & m, Mask: m}), nil
	case flow.FieldVLANPCP:
		return append(ops, cOp{Code: opTCI, Val: val.Lo << 13, Mask: mask.Lo << 13}), nil
	case flow.FieldTPSrc, flow.FieldTPDst:
		if f.Mask.Get(flow.FieldIPProto) != flow.Ones(8) || f.Key.IPProto() == flow.ProtoSCTP {
			return nil, &dpif.Unsupported{Reason: "the checksum of SCTP is a CRC, and the flow's packets may be SCTP"}
		}
	case flow.FieldARPOp:
		if mask.Lo != 0xff {
			return nil, &dpif.Unsupported{Reason: "a part of arp_op cannot be set"}
		}
		mask.Lo = 0xffff // the key shows the low byte, the packet has two
	}
	ts, ok := targets[a.Field]
	if !ok {
		return nil, &dpif.Unsupported{Reason: fmt.Sprintf("the BPF program cannot set %v", a.Field)}
	}
	for _, t := range ts {
		v, m := val.Lo, mask.Lo
		if t.high {
			v, m = val.Hi, mask.Hi
		}
		if m == 0 {
			continue
		}
		if a.Field == flow.FieldTPSrc || a.Field == flow.FieldTPDst {
			if t.need&(hasICMP|hasICMPv6) != 0 { // one byte
				v, m = v&0xff, m&0xff
			}
		}
		ops = append(ops, cOp{
			Code: opSet, Base: t.base, Len: t.len, Csum: t.csum, Off: t.off, Need: t.need,
			Val: memOrder(v<<t.shift, t.len), Mask: memOrder(m<<t.shift, t.len),
		})
	}
	return ops, nil
}

// memOrder returns the word whose first n bytes in memory are v in network
// order, the others 0.
func memOrder(v uint64, n uint8) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v<<(64-8*n))
	return binary.NativeEndian.Uint64(b[:])
}
