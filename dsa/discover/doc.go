// SPDX-License-Identifier: Apache-2.0

// Package discover finds the switch chips of a machine.
//
//   - record.go: Record, the raw facts: dumps of rtnetlink and of the generic
//     families devlink and netdev, and short values of sysfs and ethtool that no
//     dump has. It has a text form, so a board's facts are test
//     data (weir ports --record).
//   - build.go, decode.go: Topology, computed from a Record; pure.
//   - read.go: Read, the edge that makes a Record of this machine.
//   - watch.go: the stream of changes. Events only say that something
//     happened; what, is read. So a lost event (ENOBUFS) costs nothing but the
//     same reading again.
//
// # Where a fact is from
//
//	kind, conduit           IFLA_INFO_KIND "dsa", IFLA_LINK; else IFLA_PHYS_SWITCH_ID
//	switch                  IFLA_PHYS_SWITCH_ID
//	number, flavour, chip   devlink; without it the digits behind the p of IFLA_PHYS_PORT_NAME
//	driver                  class/net/NAME/device/driver: ethtool says "dsa" for every DSA port
//	tag protocol            class/net/CONDUIT/dsa/tagging
//	native XDP              netdev family, NETDEV_XDP_ACT_BASIC
//	hw-tc-offload           ethtool family, active features
//
// A kernel without one of the generic families leaves that part unknown.
package discover
