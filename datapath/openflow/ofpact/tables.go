// SPDX-License-Identifier: Apache-2.0

package ofpact

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// table holds the action types of one version.
type table struct {
	std, nicira, onf map[uint16]decoder
}

// tables is indexed by version.
var tables = func() (t [ofp.V15 + 1]table) {
	nx := niciraActions()
	onf := map[uint16]decoder{3200: {min: 24, read: readCopyONF}}
	std12 := actions12()
	t[ofp.V10] = table{std: actions10(), nicira: niciraActions()}
	// What has a standard form from OpenFlow 1.1 on is not taken as Nicira's there.
	for _, sub := range []uint16{4, 18, 23, 24, 25, 26, 30, 31, 40} {
		delete(nx, sub)
	}
	t[ofp.V12] = table{std: std12, nicira: nx}
	t[ofp.V13] = table{std: std12, nicira: nx, onf: onf}
	t[ofp.V14] = table{std: std12, nicira: nx, onf: onf}
	t[ofp.V15] = table{std: actions15(), nicira: nx}
	return t
}()

// actions10 are those of OpenFlow 1.0.0, 5.2.4.
func actions10() map[uint16]decoder {
	return map[uint16]decoder{
		0:  {size: 8, read: readOutput10},
		1:  {size: 8, read: readSetVLANVID},
		2:  {size: 8, read: readSetVLANPCP},
		3:  {size: 8, read: readPad4(action.PopVLAN{Legacy: true})},
		4:  {size: 16, read: readMAC(flow.FieldEthSrc)},
		5:  {size: 16, read: readMAC(flow.FieldEthDst)},
		6:  {size: 8, read: read32(flow.FieldIPSrc)},
		7:  {size: 8, read: read32(flow.FieldIPDst)},
		8:  {size: 8, read: readTOS},
		9:  {size: 8, read: read16(flow.FieldTPSrc)},
		10: {size: 8, read: read16(flow.FieldTPDst)},
		11: {size: 16, read: readEnqueue},
	}
}

// actions12 are those of OpenFlow 1.2 to 1.4 (1.3.5, 7.2.5).
func actions12() map[uint16]decoder {
	return map[uint16]decoder{
		0: {size: 16, read: readOutput11},
		// OpenFlow 1.1's, which the stock switch takes in later versions too.
		1:  {size: 8, read: readSetVLANVID},
		2:  {size: 8, read: readSetVLANPCP},
		3:  {size: 16, read: readMAC(flow.FieldEthSrc)},
		4:  {size: 16, read: readMAC(flow.FieldEthDst)},
		5:  {size: 8, read: read32(flow.FieldIPSrc)},
		6:  {size: 8, read: read32(flow.FieldIPDst)},
		7:  {size: 8, read: readTOS},
		8:  {size: 8, read: readECN},
		9:  {size: 8, read: read16(flow.FieldTPSrc)},
		10: {size: 8, read: read16(flow.FieldTPDst)},
		13: {size: 8, read: readMPLSLabel},
		14: {size: 8, read: readMPLSTC},
		15: {size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action {
			v := r.U8()
			r.Skip(3)
			return action.SetMPLSTTL{TTL: v}
		}},
		16: {size: 8, read: readPad4(action.DecMPLSTTL{})},
		17: {size: 8, read: readPushVLAN},
		18: {size: 8, read: readPad4(action.PopVLAN{})},
		19: {size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action {
			t := mplsType(r)
			r.Skip(2)
			return action.PushMPLS{EthType: t}
		}},
		20: {size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action {
			t := r.U16()
			r.Skip(2)
			return action.PopMPLS{EthType: t}
		}},
		21: {size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action { return action.SetQueue{ID: r.U32()} }},
		22: {size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action { return action.Group{ID: r.U32()} }},
		23: {size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action {
			v := r.U8()
			r.Skip(3)
			return action.SetTTL{TTL: v}
		}},
		24: {size: 8, read: readPad4(action.DecTTL{})},
		25: {min: 16, read: readSetField},
	}
}

// actions15 are those of OpenFlow 1.5 (1.5.1, 7.2.6).
func actions15() map[uint16]decoder {
	t := actions12()
	t[28] = decoder{min: 24, read: readCopy}
	t[29] = decoder{size: 8, read: func(_ *ctx, r *ofp.Reader) action.Action { return action.Meter{ID: r.U32()} }}
	return t
}

// niciraActions are the subtypes of vendor 0x2320 (nicira-ext.h, enum
// nx_action_subtype), alike in all versions.
func niciraActions() map[uint16]decoder {
	return map[uint16]decoder{
		1:  {size: 16, read: readResubmit},
		2:  {size: 16, read: readSetTunnel},
		4:  {size: 16, read: readSetQueueNX},
		5:  {size: 16, read: readPopQueue},
		6:  {min: 24, read: readMove},
		7:  {size: 24, read: readLoad},
		8:  {min: 16, read: readNote},
		9:  {size: 24, read: readSetTunnel64},
		14: {size: 16, read: readResubmitTable(false)},
		15: {size: 24, read: readOutputReg},
		16: {min: 32, read: readLearn},
		17: {size: 16, read: skip6(action.Exit{})},
		18: {size: 16, read: skip6(action.DecTTL{})},
		19: {size: 16, read: readFinTimeout},
		20: {size: 16, read: readController},
		21: {min: 16, read: readDecTTLIDs},
		22: {size: 32, read: readWriteMetadata},
		23: {size: 16, read: func(_ *ctx, r *ofp.Reader) action.Action {
			t := mplsType(r)
			r.Skip(4)
			return action.PushMPLS{EthType: t}
		}},
		24: {size: 16, read: func(_ *ctx, r *ofp.Reader) action.Action {
			t := r.U16()
			r.Skip(4)
			return action.PopMPLS{EthType: t}
		}},
		25: {size: 16, read: func(_ *ctx, r *ofp.Reader) action.Action {
			v := r.U8()
			r.Skip(5)
			return action.SetMPLSTTL{TTL: v}
		}},
		26: {size: 16, read: skip6(action.DecMPLSTTL{})},
		27: {min: 24, read: readStack(false)},
		28: {min: 24, read: readStack(true)},
		30: {size: 16, read: func(d *ctx, r *ofp.Reader) action.Action { r.Skip(2); return readMPLSLabel(d, r) }},
		31: {size: 16, read: readMPLSTC},
		32: {min: 24, read: readOutputReg2},
		33: {min: 16, read: readLoad2},
		34: {size: 16, read: readConjunction},
		37: {min: 16, read: readController2},
		39: {size: 16, read: readOutputTrunc},
		40: {size: 16, read: readGroupNX},
		42: {min: 16, read: readClone},
		44: {size: 16, read: readResubmitTable(true)},
		45: {min: 40, read: readLearn2},
		49: {min: 24, read: readCheckPktLarger},
	}
}

func skip6(a action.Action) func(*ctx, *ofp.Reader) action.Action {
	return func(_ *ctx, r *ofp.Reader) action.Action { r.Skip(6); return a }
}

func readMPLSLabel(_ *ctx, r *ofp.Reader) action.Action {
	return setField(flow.FieldMPLSLabel, uint64(r.U32()&0xfffff))
}

func readMPLSTC(_ *ctx, r *ofp.Reader) action.Action {
	v := r.U8()
	r.Skip(r.Len())
	if v > 7 {
		r.Failf(ofp.BACBadArgument, "set_mpls_tc %d", v)
	}
	return setField(flow.FieldMPLSTC, uint64(v))
}
