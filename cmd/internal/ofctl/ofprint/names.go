// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"encoding/binary"
	"fmt"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// names10 are the message types of OpenFlow 1.0 (5.1).
var names10 = []string{
	"HELLO", "ERROR", "ECHO_REQUEST", "ECHO_REPLY", "VENDOR", "FEATURES_REQUEST", "FEATURES_REPLY",
	"GET_CONFIG_REQUEST", "GET_CONFIG_REPLY", "SET_CONFIG", "PACKET_IN", "FLOW_REMOVED", "PORT_STATUS",
	"PACKET_OUT", "FLOW_MOD", "PORT_MOD", "", "", "BARRIER_REQUEST", "BARRIER_REPLY",
	"QUEUE_GET_CONFIG_REQUEST", "QUEUE_GET_CONFIG_REPLY",
}

// names13 are those of OpenFlow 1.3 and later (1.5.1, 7.1).
var names13 = []string{
	"HELLO", "ERROR", "ECHO_REQUEST", "ECHO_REPLY", "EXPERIMENTER", "FEATURES_REQUEST", "FEATURES_REPLY",
	"GET_CONFIG_REQUEST", "GET_CONFIG_REPLY", "SET_CONFIG", "PACKET_IN", "FLOW_REMOVED", "PORT_STATUS",
	"PACKET_OUT", "FLOW_MOD", "GROUP_MOD", "PORT_MOD", "TABLE_MOD", "", "", "BARRIER_REQUEST", "BARRIER_REPLY",
	"QUEUE_GET_CONFIG_REQUEST", "QUEUE_GET_CONFIG_REPLY", "ROLE_REQUEST", "ROLE_REPLY", "GET_ASYNC_REQUEST",
	"GET_ASYNC_REPLY", "SET_ASYNC", "METER_MOD", "ROLE_STATUS", "TABLE_STATUS", "REQUESTFORWARD",
	"BUNDLE_CONTROL", "BUNDLE_ADD_MESSAGE",
}

// statsNames are the multipart types (OpenFlow 1.5.1, 7.3.5.1; 1.0: 5.3.5).
var statsNames = []string{
	"DESC", "FLOW", "AGGREGATE", "TABLE", "PORT", "QUEUE", "GROUP", "GROUP_DESC", "GROUP_FEATURES", "METER",
	"METER_CONFIG", "METER_FEATURES", "TABLE_FEATURES", "PORT_DESC", "TABLE_DESC", "QUEUE_DESC", "FLOW_MONITOR",
}

// niciraNames are Nicira's message types (nicira-ext.h).
var niciraNames = map[uint32]string{
	10: "ROLE_REQUEST", 11: "ROLE_REPLY", 12: "SET_FLOW_FORMAT", 13: "FLOW_MOD", 14: "FLOW_REMOVED",
	15: "FLOW_MOD_TABLE_ID", 16: "SET_PACKET_IN_FORMAT", 17: "PACKET_IN", 18: "FLOW_AGE", 19: "SET_ASYNC_CONFIG",
	20: "SET_CONTROLLER_ID", 21: "FLOW_MONITOR_CANCEL", 22: "FLOW_MONITOR_PAUSED", 23: "FLOW_MONITOR_RESUMED",
	24: "TLV_TABLE_MOD", 25: "TLV_TABLE_REQUEST", 26: "TLV_TABLE_REPLY", 27: "SET_ASYNC_CONFIG2", 28: "RESUME",
	29: "CT_FLUSH_ZONE", 30: "PACKET_IN2", 31: "GROUP_MOD", 32: "CT_FLUSH",
}

// niciraStats are Nicira's multipart types.
var niciraStats = map[uint32]string{
	0: "FLOW", 1: "AGGREGATE", 2: "FLOW_MONITOR", 3: "IPFIX_BRIDGE", 4: "IPFIX_FLOW", 7: "GROUP", 8: "GROUP_DESC", 9: "GROUP_FEATURES",
}

func multipartTypes(v ofp.Version) (request, reply uint8) {
	if v == ofp.V10 {
		return 16, 17
	}
	return 18, 19
}

// Experimenter numbers.
const (
	nicira = 0x00002320
	onf    = 0x4f4e4600
)

// typeName returns the name of a message.
func typeName(raw []byte) string {
	h := openflow.ParseHeader(raw)
	at := func(ofs int) uint32 {
		if len(raw) < ofs+4 {
			return 0
		}
		return binary.BigEndian.Uint32(raw[ofs:])
	}
	req, rep := multipartTypes(h.Version)
	switch h.Type {
	case req, rep:
		if len(raw) < 12 {
			break
		}
		dir := " request"
		if h.Type == rep {
			dir = " reply"
		}
		n := int(binary.BigEndian.Uint16(raw[8:]))
		if n == 0xffff {
			ofs := 16
			if h.Version == ofp.V10 {
				ofs = 12
			}
			if at(ofs) == nicira {
				if n, ok := niciraStats[at(ofs+4)]; ok {
					return "NXST_" + n + dir
				}
			}
		}
		if n < len(statsNames) {
			return "OFPST_" + statsNames[n] + dir
		}
		return fmt.Sprintf("OFPST_%d%s", n, dir)
	case 4:
		if at(8) == nicira {
			if n, ok := niciraNames[at(12)]; ok {
				return "NXT_" + n
			}
		}
		if at(8) == onf {
			switch at(12) {
			case 2300:
				return "ONFT_BUNDLE_CONTROL"
			case 2301:
				return "ONFT_BUNDLE_ADD_MESSAGE"
			}
		}
	}
	names := names13
	if h.Version == ofp.V10 {
		names = names10
	}
	if int(h.Type) < len(names) && names[h.Type] != "" {
		return "OFPT_" + names[h.Type]
	}
	return fmt.Sprintf("type %d", h.Type)
}
