// SPDX-License-Identifier: Apache-2.0

// Package dsa says what a switch made of chips is, as plain values: the
// topology of switches, chips and ports behind the kernel's DSA and switchdev
// interfaces, what their drivers can do, and how two topologies differ. It is
// pure: packages below it do the looking and the changing.
//
//	nlattr    netlink attributes                                     pure
//	nlerr     what refusals mean                                    pure
//	nlconn    a conversation with the kernel                         edge
//	discover  what there is: records of links, sysfs, devlink, ethtool,
//	          from which a topology is computed (pure), and its edge
//	bridge    wanted and present bridges, VLANs, FDB, MDB, LAG, mirrors;
//	          the ordered difference; FDB both ways                  pure
//	rtbridge  reads and applies those over rtnetlink, reads back     edge
//	counters  a chip port's own counters, or that they are unknown
//	dsatest   a chip with limits and faults to test against          pure
//
// # Vocabulary
//
// A switch is what one phys_switch_id names: for DSA a whole tree of chips,
// since the id is the tree's index (net/dsa/port.c); for plain switchdev one
// chip. A chip is a devlink instance. A user port is a netdev; the CPU port and
// cascade ports have none and are seen through devlink only. The conduit is
// the router's own MAC behind the CPU port.
//
// # Invariants
//
// A Topology is sorted: switches by id, ports by number within their switch,
// then by name; so equal hardware gives equal values and equal text.
package dsa
