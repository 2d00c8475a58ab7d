// SPDX-License-Identifier: Apache-2.0

// Package dsa will hold what knows about switch chips behind the kernel's DSA
// and switchdev interfaces: the topology of chips and ports, its discovery
// (sysfs, netlink, devlink), and bridge offload (VLANs, FDB, port flags).
// Nothing of it exists yet.
//
// Planned packages: dsa (topology and port state, pure), dsa/discover (edge),
// dsa/bridge (pure plan, thin apply).
package dsa
