// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"context"
	"encoding/json"
)

// The switch of the board qemu-x86_64-rocker, as its emulator calls it.
const rockerName = "sw1"

// RockerFlow is an entry of one of the chip's tables (QEMU's qapi/rocker.json,
// RockerOfDpaFlow).
type RockerFlow struct {
	Cookie uint64 `json:"cookie"`
	Hits   uint64 `json:"hits"`
	Key    struct {
		Priority uint32  `json:"priority"`
		Table    uint32  `json:"tbl-id"` // 0 ingress port, 10 VLAN, 20 termination MAC, 30 and 40 routing, 50 bridging, 60 ACL
		InPort   *uint32 `json:"in-pport"`
		Tunnel   *uint32 `json:"tunnel-id"`
		VLAN     *uint16 `json:"vlan-id"`
		EthType  *uint16 `json:"eth-type"`
		EthSrc   *string `json:"eth-src"`
		EthDst   *string `json:"eth-dst"`
		IPProto  *uint8  `json:"ip-proto"`
		IPTos    *uint8  `json:"ip-tos"`
		IPDst    *string `json:"ip-dst"`
	} `json:"key"`
	Mask   json.RawMessage `json:"mask"`
	Action struct {
		Goto      *uint32 `json:"goto-tbl"`
		Group     *uint32 `json:"group-id"`
		TunnelLog *uint32 `json:"tunnel-lport"`
		VLAN      *uint16 `json:"vlan-id"`
		NewVLAN   *uint16 `json:"new-vlan-id"`
		OutPort   *uint32 `json:"out-pport"`
	} `json:"action"`
}

// RockerGroup is one of the chip's groups (RockerOfDpaGroup).
type RockerGroup struct {
	ID      uint32   `json:"id"`
	Type    uint8    `json:"type"`
	VLAN    *uint16  `json:"vlan-id"`
	Port    *uint32  `json:"pport"`
	Index   *uint32  `json:"index"`
	OutPort *uint32  `json:"out-pport"`
	Group   *uint32  `json:"group-id"`
	Groups  []uint32 `json:"group-ids"`
	SetVLAN *uint16  `json:"set-vlan-id"`
	PopVLAN *uint8   `json:"pop-vlan"`
	SetSrc  *string  `json:"set-eth-src"`
	SetDst  *string  `json:"set-eth-dst"`
	TTL     *uint8   `json:"ttl-check"`
}

// RockerPort is one of the chip's ports (RockerPort).
type RockerPort struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	LinkUp  bool   `json:"link-up"`
	Speed   uint32 `json:"speed"` // Mbit/s
}

// RockerFlows returns the entries of all tables of the chip.
func (m *Machine) RockerFlows(ctx context.Context) ([]RockerFlow, error) {
	var out []RockerFlow
	// All ones mean all tables; leaving it out means table 0 (QEMU 7.2).
	err := m.QMP.Do(ctx, "query-rocker-of-dpa-flows", map[string]any{"name": rockerName, "tbl-id": uint32(1<<32 - 1)}, &out)
	return out, err
}

// RockerGroups returns all groups of the chip.
func (m *Machine) RockerGroups(ctx context.Context) ([]RockerGroup, error) {
	var out []RockerGroup
	// 9 means all types; leaving it out means type 0 (QEMU 7.2).
	err := m.QMP.Do(ctx, "query-rocker-of-dpa-groups", map[string]any{"name": rockerName, "type": 9}, &out)
	return out, err
}

// RockerPorts returns the ports of the chip.
func (m *Machine) RockerPorts(ctx context.Context) ([]RockerPort, error) {
	var out []RockerPort
	err := m.QMP.Do(ctx, "query-rocker-ports", map[string]any{"name": rockerName}, &out)
	return out, err
}

// SetLink plugs a port's cable in or out.
func (m *Machine) SetLink(ctx context.Context, port string, up bool) error {
	return m.QMP.Do(ctx, "set_link", map[string]any{"name": port, "up": up}, nil)
}

// PressPower presses the power button.
func (m *Machine) PressPower(ctx context.Context) error {
	return m.QMP.Do(ctx, "system_powerdown", nil, nil)
}
