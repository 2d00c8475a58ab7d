// SPDX-License-Identifier: Apache-2.0

// Package firmware is the root of what makes a switch out of the parts. It
// holds no code itself.
//
//	switchd   the reconciler: database -> wanted switch -> apply -> status;
//	          its pure core is switchd/wanted
//	base      leaves that every layer may use: sockets by their Open vSwitch
//	          names (stream), the control socket of ovs-appctl (unixctl), logs
//	          (vlog), pid files (pidfile), reconnection (reconnect)
//	boot      what process 1 does, as printable steps (pure); boot/apply does them
//	supervise  keeps programs running and reaps
//	image     packs the initramfs
//	fwtest    boots a board in QEMU for tests, with its wires, console and chip;
//	          fwtest/agent runs commands inside
//
// To come: update (signed bundles, slots).
//
// Firmware imports ovsdb, datapath, asic, dsa and boards; none of them imports
// firmware, but for the leaves under base.
package firmware
