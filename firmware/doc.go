// SPDX-License-Identifier: Apache-2.0

// Package firmware is the root of what makes a switch out of the parts. It
// holds no code itself.
//
//	switchd   the reconciler: database -> wanted switch -> apply -> status;
//	          its pure core is switchd/wanted
//	base      leaves that every layer may use: sockets by their Open vSwitch
//	          names (stream), the control socket of ovs-appctl (unixctl), logs
//	          (vlog), pid files (pidfile), reconnection (reconnect)
//
// To come: boot (the steps of PID 1 as printable values), supervise, update
// (signed bundles, slots) and image (packing).
//
// Firmware imports ovsdb, datapath, asic, dsa and boards; none of them imports
// firmware, but for the leaves under base.
package firmware
