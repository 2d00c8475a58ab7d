// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// keyWord says which word of a flow.Key each word of a C key is: the bits are
// the same, in host order.
var keyWord = [keyWords]uint8{
	wordOf(flow.FieldInPort),
	wordOf(flow.FieldPktMark),
	wordOf(flow.FieldEthDst),
	wordOf(flow.FieldEthSrc),
	wordOf(flow.FieldVLANTPID),
	wordOf(flow.FieldIPSrc),
	wordOf(flow.FieldIPProto),
	wordOf(flow.FieldTPSrc),
	wordOf(flow.FieldIPv6Src), wordOf(flow.FieldIPv6Src) + 1,
	wordOf(flow.FieldIPv6Dst), wordOf(flow.FieldIPv6Dst) + 1,
	wordOf(flow.FieldMPLS0),
	wordOf(flow.FieldMPLS2),
	wordOf(flow.FieldARPSHA),
	wordOf(flow.FieldARPTHA),
	wordOf(flow.FieldNDTarget), wordOf(flow.FieldNDTarget) + 1,
	wordOf(flow.FieldNDReserved),
}

func wordOf(f flow.Field) uint8 { return f.Info().Word }

// matchFields are the fields that the program reads. packet_type is always 0.
var matchFields = [...]flow.Field{
	flow.FieldInPort, flow.FieldRecircID, flow.FieldPktMark,
	flow.FieldEthDst, flow.FieldEthSrc, flow.FieldEthType,
	flow.FieldVLANTCI, flow.FieldVLANTPID, flow.FieldCVLANTCI, flow.FieldCVLANTPID,
	flow.FieldMPLS0, flow.FieldMPLS1, flow.FieldMPLS2, flow.FieldPacketType,
	flow.FieldIPSrc, flow.FieldIPDst, flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label,
	flow.FieldIPProto, flow.FieldIPTOS, flow.FieldIPTTL, flow.FieldIPFrag,
	flow.FieldARPSHA, flow.FieldARPTHA,
	flow.FieldNDTarget, flow.FieldNDOptionsType, flow.FieldNDReserved,
	flow.FieldTPSrc, flow.FieldTPDst, flow.FieldTCPFlags,
}

// matchable returns the bits that a flow's mask may have.
func matchable() (m flow.Mask) {
	for _, f := range matchFields {
		m.SetAll(f)
	}
	return m
}

// checkMask returns nil if every bit of m can be matched.
func checkMask(m, can *flow.Mask) error {
	if can.Covers(m) {
		return nil
	}
	for f := flow.FieldNone + 1; f < flow.NumFields; f++ {
		if bad := m.Get(f).AndNot(can.Get(f)); !bad.IsZero() {
			return &dpif.Unsupported{Reason: fmt.Sprintf("the BPF program does not read %v", f)}
		}
	}
	return &dpif.Unsupported{Reason: "the mask has bits of no field"}
}

// toC returns the words of w that a C key has.
func toC(w *[flow.Words]uint64) (c cKey) {
	for i, n := range keyWord {
		c[i] = w[n]
	}
	return c
}

// and returns the words of k under m.
func (k cKey) and(m *cKey) cKey {
	for i := range k {
		k[i] &= m[i]
	}
	return k
}

func newMask(words cKey, seed uint64) cMask {
	m := cMask{Word: words, Seed: seed, Groups: groupInUse}
	for _, w := range words[group1:group2] {
		if w != 0 {
			m.Groups |= groupIPv6
		}
	}
	for _, w := range words[group2:] {
		if w != 0 {
			m.Groups |= groupOther
		}
	}
	return m
}

// hash is the function hash of c/lookup.h, of a masked key.
func (m *cMask) hash(k *cKey) uint64 {
	h := m.Seed
	mix := func(ws []uint64) {
		for _, w := range ws {
			h = (h ^ w) * 0x9e3779b97f4a7c15
			h ^= h >> 32
		}
	}
	mix(k[:group1])
	if m.Groups&groupIPv6 != 0 {
		mix(k[group1:group2])
	}
	if m.Groups&groupOther != 0 {
		mix(k[group2:])
	}
	return h
}
