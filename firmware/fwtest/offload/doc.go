// SPDX-License-Identifier: Apache-2.0

// Package offload has no code. Its tests show bridging in the switch chip end to end, on one boot of the board
// qemu-x86_64-rocker: stock ovs-vsctl and ovs-ofctl drive the switch over TCP from outside, frames go in and come out
// on the wires, and the chip's own tables are asked over QMP.
//
//   - model_test.go: who gets a frame and with which tag, by ovs-vswitchd.conf.db(5), with the chip's two documented
//     differences; a twin that shares no code with Weir.
//   - rig_test.go: the machine, frames with numbers, what arrived.
//   - boot_test.go: nothing passes before the first configuration.
//   - forward_test.go: frame matrices of bridged and standalone ports, known unicast, rate.
//   - change_test.go: moves of a port between VLANs under traffic, the daemon killed while it flows and in the middle of
//     programming, rules that demote a port.
//   - leg_test.go: between chip and software, the local port, addresses that move.
//   - fault_test.go: others write to the bridge, cables, a chip that goes away.
//
// # Absence
//
// That a frame did not come is looked at behind fences: broadcasts sent afterwards on the same wires, which have come
// where they belong. A slow machine makes such a check later, never wrong.
//
// # Time
//
// What must be fast is tried a few times, and once is enough: a slow machine makes a test slower. All waits are bounded by
// the test's context.
package offload
